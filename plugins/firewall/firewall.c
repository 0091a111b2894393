/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firewall: lets the container's traffic through the host's own filters, and keeps other networks
 * away where asked. What it adds are elements of our constant rules; a firewalld that runs is told
 * to trust the addresses, and a foreign FORWARD policy gets the one rule that accepts our mark.
 */
#include "drivers.h"

#include "ask.h"
#include "base/strbuf.h"
#include "fw/foreign.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum policy { POLICY_OPEN, POLICY_SAME_BRIDGE, POLICY_ISOLATED };

struct firewall_conf {
	int backend, policy;
	const char *zone, *admin_chain;
};

/* iptables is what the reference calls the backend that is nftables here. */
enum backend { BACKEND_AUTO, BACKEND_NFTABLES, BACKEND_IPTABLES, BACKEND_FIREWALLD };
static const char *const backends[] = { "", "nftables", "iptables", "firewalld", NULL };
static const char *const policies[] = { "open", "same-bridge", "isolated", NULL };

static const struct fl_field fields[] = {
	FL_F("backend", ENUM, struct firewall_conf, backend, .names = backends),
	FL_F("ingressPolicy", ENUM, struct firewall_conf, policy, .names = policies),
	FL_F("firewalldZone", STRING, struct firewall_conf, zone, .max = 64),
	/* There are no chains of iptables to jump to: rules of one's own go into a table of one's
	 * own. */
	FL_F("iptablesAdminChainName", STRING, struct firewall_conf, admin_chain),
	{ 0 },
};

static const char *zone_of(const struct firewall_conf *conf)
{
	return conf->zone && *conf->zone ? conf->zone : "trusted";
}

static int take_bridge(struct fl_call *c, struct fl_error *err)
{
	const struct firewall_conf *conf = c->conf;
	const char *name = c->prev.n_interfaces ? c->prev.interfaces[0].name : "";

	if (conf->policy == POLICY_OPEN || c->req.verb != FL_VERB_ADD)
		return 0;
	if (!*name || c->prev.interfaces[0].sandbox || !fl_ifname_valid(name))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "ingressPolicy: \"%s\" needs a bridge as the first interface "
				    "of prevResult",
				    policies[conf->policy]);
	fl_strcpy(c->net.link, sizeof(c->net.link), name);
	c->net.isolate = true;
	c->net.no_icc = conf->policy == POLICY_ISOLATED;
	return 0;
}

static int validate(struct fl_call *c, struct fl_error *err)
{
	const struct firewall_conf *conf = c->conf;

	if (conf->admin_chain && *conf->admin_chain && c->req.verb == FL_VERB_ADD)
		fprintf(stderr, "note: iptablesAdminChainName: there are no iptables chains here; "
				"put rules of your own into a table of your own\n");
	for (size_t i = 0; i < c->prev.n_ips && c->ep.n_addrs < FL_ENDPOINT_ADDRS; i++)
		if (fl_prev_is_ours(c, &c->prev.ips[i]))
			c->ep.addrs[c->ep.n_addrs++] = c->prev.ips[i].address;
	/* The network's subnets are its main plugin's business. */
	c->net.direct = conf->policy == POLICY_OPEN;
	c->net.filter_only = true;
	c->ep.admit = true;
	fl_strcpy(c->ep.link, sizeof(c->ep.link), fl_prev_host_end(c));
	return take_bridge(c, err);
}

/* Known before it is told, so that a killed ADD is taken back by whoever deletes the record. */
static int prepare(struct fl_call *c, struct fl_error *err)
{
	const struct firewall_conf *conf = c->conf;
	struct fl_link l;
	int r;

	if (*c->ep.link && !fl_link_get(c->host, c->ep.link, &l, NULL))
		c->ep.ifindex = l.index;
	if (conf->backend != BACKEND_AUTO && conf->backend != BACKEND_FIREWALLD)
		return 0;
	r = firewall_ask("running", NULL, &c->ep, err);
	if (r < 0)
		return r;
	if (!r && conf->backend == BACKEND_FIREWALLD)
		return fl_error_set(err, ENOENT, FL_ECODE_CONFIG,
				    "backend: firewalld does not run; start it, or leave the key "
				    "away");
	if (!r)
		return 0;
	c->memo = json_pack("{s:s}", "firewalldZone", zone_of(conf));
	return c->memo ? 0 : fl_error_oom(err);
}

/* Inside one bridge frames do not pass the forward chain: the port itself is isolated. */
static int isolate_port(struct fl_call *c, struct fl_error *err)
{
	const struct firewall_conf *conf = c->conf;

	if (conf->policy != POLICY_ISOLATED || !c->ep.ifindex)
		return 0;
	return fl_link_set_port_flags(c->host, c->ep.ifindex, FL_PORT_ISOLATED, err);
}

static int trust(struct fl_call *c, struct fl_error *err)
{
	int r = c->memo ? firewall_ask("add", zone_of(c->conf), &c->ep, err) : 0;

	return r < 0 ? r : isolate_port(c, err);
}

/* The zone that the addresses were added to, from the memo; NULL: none. */
static int recorded_zone(struct fl_call *c, const struct fl_endpoint *ep, json_t **memo,
			 const char **ret, struct fl_error *err)
{
	int r = fl_call_memo(c, ep, memo, err);

	*ret = r ? NULL : json_string_value(json_object_get(*memo, "firewalldZone"));
	return r == -ENOENT ? 0 : r;
}

static int endpoint_delete(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOJSON json_t *memo = NULL;
	const char *zone;
	int r = recorded_zone(c, ep, &memo, &zone, err);

	if (!r && zone)
		r = firewall_ask("remove", zone, ep, err);
	return r < 0 ? r : 0;
}

static int check(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOJSON json_t *memo = NULL;
	struct fl_error missing = { 0 };
	const char *zone;
	int r = recorded_zone(c, &c->ep, &memo, &zone, err);

	if (r || !zone)
		return r;
	r = firewall_ask("has", zone, &c->ep, &missing);
	if (r > 0 || !missing.err)
		return 0;
	*err = missing;
	return missing.err;
}

static void tell(void *arg, const char *sentence)
{
	(void)arg;
	fprintf(stderr, "note: %s\n", sentence);
}

/* What is in the way of forwarded packets, for whoever asks; it may be meant to be. */
static int status(struct fl_call *c, struct fl_error *err)
{
	int r = fl_fw_foreign_obstacles(c->fw, tell, NULL, err);

	return r < 0 ? r : 0;
}

const struct fl_driver firewall_driver = {
	.type = "firewall",
	.about = "lets a container's traffic through the host's filters",
	.flags = FL_DRIVER_CHAINED,
	.fields = fields,
	.conf_size = sizeof(struct firewall_conf),
	.validate = validate,
	.prepare = prepare,
	.join = trust,
	.endpoint_delete = endpoint_delete,
	.check = check,
	.status = status,
};
