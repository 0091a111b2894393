/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mode "etcd": nodes and addresses are in the cluster's store, and the node's agent knows them. */
#include "overlay.h"

#include "base/dnsname.h"
#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct raw_subnet {
	struct fl_prefix subnet;
	struct fl_addr gateway;
};

static const struct fl_field subnet_fields[] = {
	FL_F("subnet", PREFIX, struct raw_subnet, subnet),
	FL_F("gateway", ADDR, struct raw_subnet, gateway),
	{ 0 },
};

/* ---- subnets ---- */

static int check_subnet(const struct raw_subnet *raw, const char *path, struct fl_error *err)
{
	const struct fl_addr *a = &raw->subnet.addr, *g = &raw->gateway;
	struct fl_prefix masked = fl_prefix_masked(&raw->subnet);
	struct fl_addr last = fl_prefix_last(&masked);

	if (!fl_addr_is_set(a))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s.subnet: missing", path);
	if (!fl_addr_eq(&masked.addr, a))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: expected the subnet's own address %s, not %s", path,
				    fl_prefix_str(&masked, FL_PREFIX_BUF),
				    fl_prefix_str(&raw->subnet, FL_PREFIX_BUF));
	if (raw->subnet.len > fl_addr_bits(a) - 2 || !raw->subnet.len || fl_addr_is_multicast(a) ||
	    fl_addr_is_loopback(a) || fl_addr_is_linklocal(a))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: expected a unicast subnet with room for containers, not "
				    "%s",
				    path, fl_prefix_str(&raw->subnet, FL_PREFIX_BUF));
	if (!fl_addr_is_set(g))
		return 0;
	if (!fl_prefix_contains(&masked, g) || fl_addr_eq(g, &masked.addr) ||
	    (g->family == AF_INET && fl_addr_eq(g, &last)))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s.gateway: expected an address of a host in %s, not %s", path,
				    fl_prefix_str(&masked, FL_PREFIX_BUF),
				    fl_addr_str(g, FL_ADDR_BUF));
	return 0;
}

static int take_subnet(struct overlay_conf *conf, const json_t *v, const char *path,
		       struct fl_error *err)
{
	static const char want[] = "a subnet such as \"10.5.0.0/24\", or an object with subnet and "
				   "gateway";
	struct fl_overlay_settings *s = &conf->agent->settings;
	struct raw_subnet raw = { 0 };
	int r = 0;

	if (!json_is_string(v) && !json_is_object(v))
		return overlay_wrong_kind(path, want, v, err);
	if (json_is_object(v))
		r = fl_fields_decode(v, subnet_fields, path, &raw, err);
	else if (fl_prefix_parse(json_string_value(v), &raw.subnet))
		r = fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s: expected %s, not \"%.64s\"",
				 path, want, json_string_value(v));
	if (!r)
		r = check_subnet(&raw, path, err);
	if (r)
		return r;
	if (conf->internal && conf->overlay_mode != FL_OVERLAY_L3 && fl_addr_is_set(&raw.gateway))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "internal, %s.gateway: an internal network leads nowhere; "
				    "expected at most one of them",
				    path);
	for (uint32_t i = 0; i < s->n_subnets; i++)
		if (s->subnets[i].subnet.addr.family == raw.subnet.addr.family)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s: expected at most one subnet of each family", path);
	s->subnets[s->n_subnets].subnet = raw.subnet;
	s->subnets[s->n_subnets++].gateway = raw.gateway;
	return 0;
}

static int read_subnets(struct overlay_conf *conf, struct fl_error *err)
{
	const json_t *one = conf->subnet_json, *list = conf->subnets_json;
	char path[32];
	int r = 0;

	one = json_is_null(one) ? NULL : one;
	list = json_is_null(list) ? NULL : list;
	if (one && list)
		return overlay_bad(err, "subnet, subnets: expected at most one of them");
	if (one)
		return take_subnet(conf, one, "subnet", err);
	if (list && !json_is_array(list))
		return overlay_wrong_kind("subnets", "a list", list, err);
	for (size_t i = 0; i < json_array_size(list) && !r; i++) {
		snprintf(path, sizeof(path), "subnets[%zu]", i);
		r = take_subnet(conf, json_array_get(list, i), path, err);
	}
	return r;
}

/* ---- the rest ---- */

static int check_keys(const struct fl_call *c, struct fl_error *err)
{
	static const char *const others[] = { "peers", "local", "nodeAddress", NULL };
	const struct overlay_conf *conf = c->conf;
	const json_t *ipam = fl_json_get(c->req.config, "ipam");
	int r = overlay_refuse_keys(c, others,
				    "mode \"etcd\" has it from the agent of this node; expected it "
				    "with mode \"static\" only",
				    err);

	if (r)
		return r;
	if (json_object_size(ipam))
		return overlay_bad(err, "ipam: in mode \"etcd\" addresses come from the cluster; "
					"expected none (the subnet is said by subnets)");
	if (fl_config_get(c, "runtimeConfig", "ipRanges", NULL))
		return overlay_bad(err, "runtimeConfig.ipRanges: in mode \"etcd\" addresses come "
					"from the cluster; expected ips, or nothing");
	if (!fl_name_valid(c->req.network, FL_OVERLAY_NAME - 1))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "name: in mode \"etcd\" expected 1 to %d of [a-zA-Z0-9_.-], "
				    "not \"%.80s\"",
				    FL_OVERLAY_NAME - 1, c->req.network);
	if (conf->overlay_mode == FL_OVERLAY_L3 && conf->broadcast)
		return overlay_bad(err,
				   "broadcast: with overlayMode \"l3\" nodes are routers, which "
				   "pass no broadcast on; expected false, or \"l2\"");
	return 0;
}

static int check_asked(const struct fl_call *c, struct fl_error *err)
{
	const struct fl_ipam_conf *p = &c->ipam;

	for (size_t i = 0; i < p->n_requests; i++)
		for (size_t k = 0; k < i; k++)
			if (p->requests[i].family == p->requests[k].family)
				return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
						    "%s: %s: a container has one address of each "
						    "family in this network",
						    p->request_src[i],
						    fl_addr_str(&p->requests[i], FL_ADDR_BUF));
	return 0;
}

/* As the cluster's store has names. */
static bool resolves(const char *name)
{
	struct fl_dns_name n;

	return fl_name_valid(name, FL_OVERLAY_HOST - 1) && !fl_dns_name_parse(name, &n);
}

/* A name that cannot be one is no reason to refuse the container: nothing will ask for it. */
static int add_alias(struct overlay_agent *a, const char *name, struct fl_error *err)
{
	if (!resolves(name))
		return 0;
	if (a->n_aliases == FL_OVERLAY_ALIASES)
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
				    "runtimeConfig.aliases: expected at most %d names in mode "
				    "\"etcd\" (args.cni.hostname is one of them)",
				    FL_OVERLAY_ALIASES);
	fl_strcpy(a->aliases[a->n_aliases++], sizeof(a->aliases[0]), name);
	return 0;
}

static int read_names(const struct fl_call *c, struct overlay_agent *a, struct fl_error *err)
{
	const struct fl_endpoint *ep = &c->ep;
	FL_AUTOJSON json_t *list = *ep->aliases ? json_loads(ep->aliases, 0, NULL) : NULL;
	int r = 0;

	if (resolves(ep->name))
		fl_strcpy(a->name, sizeof(a->name), ep->name);
	for (size_t i = 0; i < json_array_size(list) && !r; i++)
		r = add_alias(a, json_string_value(json_array_get(list, i)), err);
	if (!r && *ep->hostname && strcmp(ep->hostname, ep->name) != 0)
		r = add_alias(a, ep->hostname, err);
	return r;
}

static void take_settings(const struct overlay_conf *conf)
{
	struct fl_overlay_settings *s = &conf->agent->settings;

	s->mode = (enum fl_overlay_mode)conf->overlay_mode;
	s->vni = (uint32_t)conf->vni;
	s->port = (uint16_t)conf->port;
	s->mtu = conf->mtu;
	s->internal = conf->internal;
	s->broadcast = conf->broadcast;
	s->ipv6 = conf->ipv6;
}

static int etcd_validate(struct fl_call *c, struct fl_error *err)
{
	struct overlay_conf *conf = c->conf;
	int r;

	/* A DEL goes by this whatever else is wrong. */
	c->ipam_mode = FL_IPAM_DRIVER;
	c->ipam_type = "etcd";
	conf->agent = calloc(1, sizeof(*conf->agent));
	if (!conf->agent)
		return fl_error_oom(err);
	conf->agent->fd = -1;
	r = check_keys(c, err);
	if (!r)
		r = read_subnets(conf, err);
	if (!r)
		r = fl_ipam_requests(c->req.config, *c->req.args_ip ? c->req.args_ip : NULL,
				     &c->ipam, err);
	if (!r)
		r = check_asked(c, err);
	if (!r)
		r = read_names(c, conf->agent, err);
	take_settings(conf);
	return r;
}

/* ---- bridge and tunnel ---- */

static uint32_t etcd_stamp(const struct overlay_conf *conf)
{
	const struct fl_overlay_network *n = &conf->agent->net;
	uint64_t h = overlay_hash(OVERLAY_HASH_START, n->id, strlen(n->id) + 1);

	h = overlay_hash(h, &n->vni, sizeof(n->vni));
	h = overlay_hash(h, &n->port, sizeof(n->port));
	h = overlay_hash(h, &n->mtu, sizeof(n->mtu));
	h = overlay_hash(h, &n->underlay_mtu, sizeof(n->underlay_mtu));
	h = overlay_hash(h, n->local.b, fl_addr_len(&n->local));
	h = overlay_hash(h, &n->mac, sizeof(n->mac));
	h = overlay_hash(h, &n->mode, sizeof(n->mode));
	return (uint32_t)(h ^ h >> 32);
}

static bool same_underlay(struct fl_call *c, const struct fl_link *tunnel)
{
	const struct overlay_conf *conf = c->conf;

	return fl_addr_eq(&conf->agent->net.local, &tunnel->vxlan.local);
}

/* The agent programs who is where: nothing is learned, and floods go where it says. */
static int etcd_plan(struct fl_call *c, struct fl_dataplane *d, struct fl_addr **flood,
		     struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	const struct fl_overlay_network *n = &conf->agent->net;

	(void)flood;
	(void)err;
	d->vxlan = (struct fl_vxlan){ .vni = n->vni, .local = n->local, .port = n->port };
	d->mtu = n->mtu;
	d->underlay_mtu = n->underlay_mtu;
	d->mac = n->mac;
	d->routed = n->mode == FL_OVERLAY_L3;
	d->suppress = !d->routed;
	for (uint32_t i = 0; i < n->n_subnets; i++)
		d->ipv6 |= n->subnets[i].node.family == AF_INET6;
	return 0;
}

const struct overlay_mode overlay_etcd = {
	.validate = etcd_validate,
	.prepare = overlay_agent_join,
	.stamp = etcd_stamp,
	.begin = overlay_allocate_begin,
	.same_underlay = same_underlay,
	.plan = etcd_plan,
	.check = overlay_agent_check,
	.status = overlay_agent_status,
};
