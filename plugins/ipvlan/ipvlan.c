/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ipvlan: containers on the network of a host interface, behind that interface's MAC. */
#include "drivers.h"
#include "plugin/parent.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

struct ipvlan_conf {
	struct fl_parent parent;
	int mode, flag; /* indexes into modes and flags */
	bool dad;
	bool from_prev; /* the addresses are prevResult's: chained, without ipam */
};

static const char *const modes[] = { "l2", "l3", "l3s", NULL };
static const char *const flags[] = { "bridge", "private", "vepa", NULL };

static const struct fl_field fields[] = {
	FL_F("master", STRING, struct ipvlan_conf, parent.master),
	FL_F("mode", ENUM, struct ipvlan_conf, mode, .names = modes),
	FL_F("flag", ENUM, struct ipvlan_conf, flag, .names = flags),
	FL_F("mtu", INT, struct ipvlan_conf, parent.mtu, 0, 65535),
	FL_F("linkInContainer", BOOL, struct ipvlan_conf, parent.in_sandbox),
	FL_F("internal", BOOL, struct ipvlan_conf, parent.internal),
	FL_F("enabledad", BOOL, struct ipvlan_conf, dad),
	{ 0 },
};

/* Behind another plugin: its one interface is the master, its addresses are ours. */
static int use_prev(struct fl_call *c, struct fl_error *err)
{
	struct ipvlan_conf *conf = c->conf;

	if (!c->has_prev || c->req.verb != FL_VERB_ADD)
		return 0;
	if (!conf->parent.internal && (!conf->parent.master || !*conf->parent.master)) {
		if (c->prev.n_interfaces != 1 || !c->prev.interfaces[0].name[0])
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "master: expected the name of an interface, because "
					    "prevResult has %zu interfaces and not one",
					    c->prev.n_interfaces);
		conf->parent.master = c->prev.interfaces[0].name;
	}
	conf->from_prev = c->ipam_mode == FL_IPAM_NONE;
	for (size_t i = 0; conf->from_prev && i < c->prev.n_ips; i++) {
		if (c->ep.n_addrs == FL_ENDPOINT_ADDRS)
			return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
					    "prevResult.ips: expected at most %d addresses",
					    FL_ENDPOINT_ADDRS);
		c->ipam_result.ips[c->ipam_result.n_ips++] = c->prev.ips[i];
		c->ep.addrs[c->ep.n_addrs++] = c->prev.ips[i].address;
	}
	for (size_t i = 0; conf->from_prev && i < c->prev.n_routes; i++)
		if (fl_result_add_route(&c->ipam_result, &c->prev.routes[i]))
			return fl_error_oom(err);
	return 0;
}

static int validate(struct fl_call *c, struct fl_error *err)
{
	struct ipvlan_conf *conf = c->conf;

	if (c->ep.n_ports && c->req.verb == FL_VERB_ADD)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "runtimeConfig.portMappings: an ipvlan container is reached at "
				    "its own address, without the host in between; publish ports "
				    "on a bridge network");
	if (conf->parent.internal && conf->parent.master && *conf->parent.master)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "internal, master: an internal network has no master; expected "
				    "at most one of them");
	if (conf->parent.internal && conf->parent.in_sandbox)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "internal, linkInContainer: expected at most one of them");
	c->net.internal = conf->parent.internal;
	return use_prev(c, err);
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	struct ipvlan_conf *conf = c->conf;

	return fl_parent_prepare(c, &conf->parent, err);
}

static int network_create(struct fl_call *c, struct fl_error *err)
{
	struct ipvlan_conf *conf = c->conf;

	return fl_parent_create(c, &conf->parent, err);
}

static int endpoint_create(struct fl_call *c, struct fl_error *err)
{
	const struct ipvlan_conf *conf = c->conf;
	struct fl_vlink_spec spec = { .kind = "ipvlan" };
	int r;

	fl_ipvlan_mode_parse(modes[conf->mode], &spec.mode);
	fl_ipvlan_flag_parse(flags[conf->flag], &spec.ipvlan_flags);
	r = fl_parent_attach(c, &conf->parent, &spec, err);
	/* Its MAC is the master's. */
	return r || !fl_mac_is_zero(&spec.mac) ? r : fl_inherited_mac(c, err);
}

/* In l3 modes there is no neighbour discovery, so no gateway to be found: the device is the way. */
static void drop_gateways(struct fl_result *r)
{
	for (size_t i = 0; i < r->n_ips; i++)
		r->ips[i].gateway = (struct fl_addr){ 0 };
	for (size_t i = 0; i < r->n_routes; i++)
		r->routes[i].gw = (struct fl_addr){ 0 };
}

static int join(struct fl_call *c, struct fl_error *err)
{
	const struct ipvlan_conf *conf = c->conf;

	if (strcmp(modes[conf->mode], "l2"))
		drop_gateways(&c->ipam_result);
	return fl_join_interface(c, &(struct fl_join){ .dad = conf->dad }, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	struct ipvlan_conf *conf = c->conf;
	struct fl_link l;
	int r = fl_parent_check(c, &conf->parent, "ipvlan", &l, err);

	return r ? r : fl_check_interface(c, err);
}

const struct fl_driver ipvlan_driver = {
	.type = "ipvlan",
	.about = "attaches containers to the network of a host interface, behind its MAC",
	.flags = FL_DRIVER_IPAM | FL_DRIVER_PORTS | FL_DRIVER_INSIDE | FL_DRIVER_DIRECT,
	.fields = fields,
	.conf_size = sizeof(struct ipvlan_conf),
	.validate = validate,
	.prepare = prepare,
	.network_create = network_create,
	.endpoint_create = endpoint_create,
	.join = join,
	.endpoint_delete = fl_endpoint_delete_inside,
	.network_delete = fl_parent_network_delete,
	.check = check,
};
