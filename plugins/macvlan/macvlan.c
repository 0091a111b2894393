/* SPDX-License-Identifier: GPL-2.0-or-later */
/* macvlan: containers on the network of a host interface, each with a MAC of its own. */
#include "macvlan.h"

#include "base/strbuf.h"
#include "drivers.h"

#include <errno.h>
#include <string.h>

static const char *const modes[] = { "bridge", "private", "vepa", "passthru", "source", NULL };

#define SOURCE_MACS_MAX 64

static const struct fl_field fields[] = {
	FL_F("master", STRING, struct macvlan_conf, parent.master),
	FL_F("mode", ENUM, struct macvlan_conf, mode, .names = modes),
	FL_F("mtu", INT, struct macvlan_conf, parent.mtu, 0, 65535),
	FL_F("mac", MAC, struct macvlan_conf, mac),
	FL_F("linkInContainer", BOOL, struct macvlan_conf, parent.in_sandbox),
	FL_F("bcqueuelen", INT, struct macvlan_conf, bcqueuelen, 0, UINT32_MAX),
	FL_F("bcqueuelen", JSON, struct macvlan_conf, bcqueuelen_json),
	FL_F("sourceMacs", STRINGS, struct macvlan_conf, source_macs, .max = SOURCE_MACS_MAX),
	FL_F("promisc", BOOL, struct macvlan_conf, parent.promisc),
	FL_F("internal", BOOL, struct macvlan_conf, parent.internal),
	FL_F("hostAccess", JSON, struct macvlan_conf, host_access_json),
	FL_F("enabledad", BOOL, struct macvlan_conf, dad),
	{ 0 },
};

static int bad(struct fl_error *err, const char *text)
{
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s", text);
}

static int read_source_macs(const struct macvlan_conf *conf, struct fl_error *err)
{
	const char *const *text = conf->source_macs.items;
	struct fl_mac m;

	if (conf->source_macs.n && strcmp(modes[conf->mode], "source"))
		return bad(err, "sourceMacs: expected only with \"mode\": \"source\"");
	for (size_t i = 0; i < conf->source_macs.n; i++)
		if (fl_mac_parse(text[i], &m))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "sourceMacs[%zu]: expected a MAC address, not "
					    "\"%.64s\"",
					    i, text[i]);
	return 0;
}

/* true, or the address that the host is to have there. */
static int read_host_access(struct macvlan_conf *conf, struct fl_error *err)
{
	const json_t *v = conf->host_access_json;

	conf->host_access = json_is_true(v) || json_is_string(v);
	if (v && !json_is_boolean(v) && !json_is_string(v))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "hostAccess: expected true, false or an IP address, not %s",
				    fl_json_kind(v));
	if (json_is_string(v) && fl_addr_parse(json_string_value(v), &conf->host_addr))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "hostAccess: expected true, false or an IP address, not "
				    "\"%.64s\"",
				    json_string_value(v));
	if (!conf->host_access)
		return 0;
	if (strcmp(modes[conf->mode], "bridge"))
		return bad(err, "hostAccess: works in mode \"bridge\" only: in the others "
				"macvlans do not reach each other");
	if (conf->parent.internal || conf->parent.in_sandbox)
		return bad(err, "hostAccess: cannot stand beside internal or linkInContainer");
	return 0;
}

static int check_ports(const struct fl_call *c, struct fl_error *err)
{
	const struct macvlan_conf *conf = c->conf;

	if (!c->ep.n_ports || conf->host_access || c->req.verb != FL_VERB_ADD)
		return 0;
	return bad(err, "runtimeConfig.portMappings: a macvlan container is reached at its own "
			"address, without the host in between; set hostAccess to publish its ports "
			"at the host as well");
}

static int validate(struct fl_call *c, struct fl_error *err)
{
	struct macvlan_conf *conf = c->conf;
	struct fl_mac asked = { 0 };
	int r = read_source_macs(conf, err);

	if (!r)
		r = read_host_access(conf, err);
	if (!r)
		r = check_ports(c, err);
	if (!r)
		r = fl_requested_mac(c, &asked, err);
	if (r)
		return r;
	if (conf->parent.internal && conf->parent.master && *conf->parent.master)
		return bad(err, "internal, master: an internal network has no master; expected at "
				"most one of them");
	if (conf->parent.internal && conf->parent.in_sandbox)
		return bad(err, "internal, linkInContainer: expected at most one of them");
	if (conf->parent.promisc && conf->parent.in_sandbox)
		return bad(err, "promisc, linkInContainer: expected at most one of them");
	if (conf->mac.b[0] & 1)
		return bad(err, "mac: expected a unicast MAC address");
	c->ep.mac = fl_mac_is_zero(&asked) ? conf->mac : asked;
	c->net.host_access = conf->host_access;
	c->net.direct = !conf->host_access;
	c->net.internal = conf->parent.internal;
	if (conf->host_access) {
		fl_network_link_name(c, "flh", c->net.link);
		fl_network_made_add(&c->net, "link", c->net.link);
	}
	return 0;
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	struct macvlan_conf *conf = c->conf;
	int r = fl_parent_prepare(c, &conf->parent, err);

	if (r || !conf->host_access)
		return r;
	/* What DEL has to undo on the host's side. */
	c->memo = json_pack("{s:s}", "hostLink", c->net.link);
	return c->memo ? 0 : fl_error_oom(err);
}

static int network_create(struct fl_call *c, struct fl_error *err)
{
	struct macvlan_conf *conf = c->conf;

	return fl_parent_create(c, &conf->parent, err);
}

static int endpoint_create(struct fl_call *c, struct fl_error *err)
{
	const struct macvlan_conf *conf = c->conf;
	const char *const *text = conf->source_macs.items;
	struct fl_mac macs[SOURCE_MACS_MAX];
	struct fl_vlink_spec spec = { .kind = "macvlan",
				      .mac = c->ep.mac,
				      .source_macs = macs,
				      .n_source_macs = conf->source_macs.n,
				      .has_bcqueuelen = conf->bcqueuelen_json,
				      .bcqueuelen = (uint32_t)conf->bcqueuelen };
	int r;

	for (size_t i = 0; i < conf->source_macs.n; i++)
		fl_mac_parse(text[i], &macs[i]);
	fl_macvlan_mode_parse(modes[conf->mode], &spec.mode);
	/* A passthru macvlan has the master's MAC, and changes that when it is given another. */
	if (spec.mode == FL_MACVLAN_PASSTHRU && !c->mac_given)
		spec.mac = (struct fl_mac){ 0 };
	r = fl_parent_attach(c, &conf->parent, &spec, err);
	if (!r && fl_mac_is_zero(&spec.mac))
		return fl_inherited_mac(c, err);
	if (r != -EINVAL)
		return r;
	return fl_error_set(err, r, FL_ECODE_CONFLICT,
			    "master: interface %s has a passthru macvlan, which has it to itself, "
			    "or others while \"mode\" is \"passthru\"",
			    conf->parent.link.name);
}

static int network_address(struct fl_call *c, struct fl_error *err)
{
	const struct macvlan_conf *conf = c->conf;

	return conf->host_access ? macvlan_host_create(c, err) : 0;
}

static int join(struct fl_call *c, struct fl_error *err)
{
	const struct macvlan_conf *conf = c->conf;
	int r = fl_join_interface(c, &(struct fl_join){ .dad = conf->dad }, err);

	return r || !conf->host_access ? r : macvlan_host_route(c, err);
}

static int endpoint_delete(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	int r = macvlan_host_unroute(c, ep, err);

	return r ? r : fl_endpoint_delete_inside(c, ep, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	struct macvlan_conf *conf = c->conf;
	struct fl_link l;
	int r = fl_parent_check(c, &conf->parent, "macvlan", &l, err);

	if (!r && strcmp(fl_macvlan_mode_name(l.macvlan_mode), modes[conf->mode]))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: %s is in mode %s, not %s", c->req.container,
				    c->req.ifname, fl_macvlan_mode_name(l.macvlan_mode),
				    modes[conf->mode]);
	if (!r && conf->host_access)
		r = macvlan_host_check(c, err);
	return r ? r : fl_check_interface(c, err);
}

const struct fl_driver macvlan_driver = {
	.type = "macvlan",
	.about = "attaches containers to the network of a host interface",
	.flags = FL_DRIVER_IPAM | FL_DRIVER_PORTS | FL_DRIVER_INSIDE,
	.fields = fields,
	.conf_size = sizeof(struct macvlan_conf),
	.validate = validate,
	.prepare = prepare,
	.network_create = network_create,
	.endpoint_create = endpoint_create,
	.network_address = network_address,
	.join = join,
	.endpoint_delete = endpoint_delete,
	.network_delete = fl_parent_network_delete,
	.check = check,
};
