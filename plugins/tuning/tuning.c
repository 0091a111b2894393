/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tuning: sysctls of the sandbox and properties of its interface; all of it is restored by DEL. */
#include "tuning.h"

#include "base/strbuf.h"
#include "drivers.h"

#include <errno.h>
#include <string.h>

static const struct fl_field fields[] = {
	FL_F("sysctl", JSON_OBJECT, struct tuning_conf, sysctl),
	FL_F("mac", MAC, struct tuning_conf, mac),
	FL_F("promisc", TRI, struct tuning_conf, promisc),
	FL_F("allmulti", TRI, struct tuning_conf, allmulti),
	FL_F("mtu", INT, struct tuning_conf, mtu, 0, 65536),
	FL_F("txQLen", INT, struct tuning_conf, txqlen, 0, UINT32_MAX),
	/* The reference's folder of backups: what is to be restored is in the record here. */
	FL_F("dataDir", STRING, struct tuning_conf, data_dir),
	{ 0 },
};

/* args.cni has the same keys and wins. */
static const struct fl_field args_fields[] = {
	FL_F("promisc", TRI, struct tuning_conf, promisc),
	FL_F("allmulti", TRI, struct tuning_conf, allmulti),
	FL_F("mtu", INT, struct tuning_conf, mtu, 0, 65536),
	FL_F("txQLen", INT, struct tuning_conf, txqlen, 0, UINT32_MAX),
	{ 0 },
};

static int read_again(struct fl_call *c, struct fl_error *err)
{
	struct tuning_conf *conf = c->conf;
	const json_t *args = fl_config_get(c, "args", "cni", NULL);
	int r;

	conf->promisc = conf->allmulti = -1;
	conf->mtu = conf->txqlen = -1;
	r = fl_fields_decode(c->req.config, fields, "", conf, err);
	if (!r && json_is_object(args))
		r = fl_fields_decode(args, args_fields, "args.cni", conf, err);
	return r;
}

static int validate(struct fl_call *c, struct fl_error *err)
{
	struct tuning_conf *conf = c->conf;
	struct fl_mac asked = { 0 };
	int r = read_again(c, err);

	if (!r)
		r = fl_requested_mac(c, &asked, err);
	if (!r && conf->mac.b[0] & 1)
		r = fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				 "mac: expected a unicast MAC address");
	if (r)
		return r;
	if (!fl_mac_is_zero(&asked))
		conf->mac = asked;
	if (conf->mtu == 0)
		conf->mtu = -1;
	/* GC and STATUS have no interface. */
	r = tuning_sysctl_parse(conf, *c->req.ifname ? c->req.ifname : "IFNAME", err);
	c->idle = !conf->n_settings && fl_mac_is_zero(&conf->mac) && conf->promisc < 0 &&
		  conf->allmulti < 0 && conf->mtu < 0 && conf->txqlen < 0;
	c->net.direct = true;
	return r;
}

static void clear(struct fl_call *c)
{
	struct tuning_conf *conf = c->conf;

	free(conf->settings);
}

/* ---- what is there now ---- */

static int read_sysctls(struct fl_call *c, struct fl_error *err)
{
	json_t *old = NULL;
	int r = tuning_sysctl_read(c->conf, &old, err);

	return r ? r : json_object_set_new(c->memo, "sysctl", old) ? fl_error_oom(err) : 0;
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	const struct tuning_conf *conf = c->conf;
	struct fl_link l;
	int r = fl_link_get(c->inside, c->req.ifname, &l, err);

	if (r)
		return r;
	c->ep.ifindex = c->inside_index = l.index;
	c->memo = json_object();
	if (!fl_mac_is_zero(&conf->mac))
		json_object_set_new(c->memo, "mac", json_string(fl_mac_str(&l.mac, FL_MAC_BUF)));
	if (conf->promisc >= 0)
		json_object_set_new(c->memo, "promisc", json_boolean(l.flags & IFF_PROMISC));
	if (conf->allmulti >= 0)
		json_object_set_new(c->memo, "allmulti", json_boolean(l.flags & IFF_ALLMULTI));
	if (conf->mtu >= 0)
		json_object_set_new(c->memo, "mtu", json_integer(l.mtu));
	if (conf->txqlen >= 0)
		json_object_set_new(c->memo, "txQLen", json_integer(l.txqlen));
	return conf->n_settings ? fl_call_inside(c, read_sysctls, err) : 0;
}

/* ---- changing ---- */

/* Some devices change their MAC only while they are down. */
static int set_mac(struct fl_nl *nl, uint32_t index, const struct fl_mac *mac, struct fl_error *err)
{
	int r = fl_link_set_mac(nl, index, mac, err);

	if (r != -EBUSY)
		return r;
	r = fl_link_set_up(nl, index, false, err);
	if (!r)
		r = fl_link_set_mac(nl, index, mac, err);
	return r ? r : fl_link_set_up(nl, index, true, err);
}

static int set_link(struct fl_nl *nl, uint32_t index, const struct tuning_conf *want,
		    struct fl_error *err)
{
	int r = 0;

	if (want->promisc >= 0)
		r = fl_link_set_promisc(nl, index, want->promisc, err);
	if (!r && want->allmulti >= 0)
		r = fl_link_set_allmulti(nl, index, want->allmulti, err);
	if (!r && want->mtu >= 0)
		r = fl_link_set_mtu(nl, index, (uint32_t)want->mtu, err);
	if (!r && want->txqlen >= 0)
		r = fl_link_set_txqlen(nl, index, (uint32_t)want->txqlen, err);
	if (!r && !fl_mac_is_zero(&want->mac))
		r = set_mac(nl, index, &want->mac, err);
	return r;
}

static int write_sysctls(struct fl_call *c, struct fl_error *err)
{
	return tuning_sysctl_write(c->conf, err);
}

/* The plugins after this one are to see the interface as it is now. */
static void tell_next(struct fl_call *c)
{
	const struct tuning_conf *conf = c->conf;
	struct fl_result_interface *in = (struct fl_result_interface *)fl_prev_interface(c);

	if (in && !fl_mac_is_zero(&conf->mac))
		fl_mac_str(&conf->mac, in->mac);
	if (in && in->mtu && conf->mtu > 0)
		in->mtu = (uint32_t)conf->mtu;
}

static int apply(struct fl_call *c, struct fl_error *err)
{
	const struct tuning_conf *conf = c->conf;
	int r = conf->n_settings ? fl_call_inside(c, write_sysctls, err) : 0;

	if (!r)
		r = set_link(c->inside, c->inside_index, conf, err);
	if (!r)
		tell_next(c);
	return r;
}

/* ---- restoring ---- */

static int restore_sysctls(struct fl_call *c, void *arg, struct fl_error *err)
{
	(void)c;
	(void)err;
	tuning_sysctl_restore(arg);
	return 0;
}

/* The memo's members are those of the configuration, with the values of before. */
static int endpoint_delete(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOSANDBOX struct fl_sandbox s = { .ns = FL_NETNS_NONE };
	FL_AUTOJSON json_t *memo = NULL;
	struct tuning_conf old = { .promisc = -1, .allmulti = -1, .mtu = -1, .txqlen = -1 };
	json_t *sysctl;
	int r = fl_call_memo(c, ep, &memo, err);

	if (!r)
		r = fl_sandbox_open(c, ep, &s, err);
	if (!r)
		r = fl_fields_decode(memo, fields, "", &old, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = set_link(s.nl, ep->ifindex, &old, err);
	if (r && r != -ENODEV)
		return r;
	sysctl = json_object_get(memo, "sysctl");
	return sysctl ? fl_sandbox_run(c, &s, restore_sysctls, sysctl, err) : 0;
}

/* ---- CHECK ---- */

static int check_sysctls(struct fl_call *c, struct fl_error *err)
{
	return tuning_sysctl_check(c->conf, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	const struct tuning_conf *conf = c->conf;
	struct fl_link l;
	const char *wrong = NULL;
	int r = fl_link_get(c->inside, c->req.ifname, &l, err);

	if (r)
		return fl_error_set(err, r, FL_ECODE_CHECK, "container %s: interface %s is missing",
				    c->req.container, c->req.ifname);
	if (!fl_mac_is_zero(&conf->mac) && memcmp(&conf->mac, &l.mac, sizeof(l.mac)))
		wrong = "mac";
	if (conf->promisc >= 0 && conf->promisc != !!(l.flags & IFF_PROMISC))
		wrong = "promisc";
	if (conf->allmulti >= 0 && conf->allmulti != !!(l.flags & IFF_ALLMULTI))
		wrong = "allmulti";
	if (conf->mtu >= 0 && conf->mtu != l.mtu)
		wrong = "mtu";
	if (conf->txqlen >= 0 && conf->txqlen != l.txqlen)
		wrong = "txQLen";
	if (wrong)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: %s of %s is not as it was set", c->req.container,
				    wrong, c->req.ifname);
	return conf->n_settings ? fl_call_inside(c, check_sysctls, err) : 0;
}

const struct fl_driver tuning_driver = {
	.type = "tuning",
	.about = "sets sysctls of a sandbox and properties of its interface",
	.flags = FL_DRIVER_CHAINED | FL_DRIVER_INSIDE,
	.fields = fields,
	.conf_size = sizeof(struct tuning_conf),
	.validate = validate,
	.clear = clear,
	.prepare = prepare,
	.join = apply,
	.endpoint_delete = endpoint_delete,
	.check = check,
};
