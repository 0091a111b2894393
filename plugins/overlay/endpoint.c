/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A container: its pair and its port. CHECK and STATUS of the whole. */
#include "overlay.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

int overlay_endpoint_create(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	int r = conf->mode->begin ? conf->mode->begin(c, err) : 0;

	if (!r)
		r = fl_veth_attach(c, c->link_index, c->result.interfaces[0].mtu, err);
	if (r == -EXFULL)
		return fl_error_set(err, r, FL_ECODE_EXHAUSTED,
				    "network %s has 1,022 containers on this node, the kernel's "
				    "limit (BR_MAX_PORTS); use another network",
				    c->net.name);
	/* A container reaches itself through its published port only if the bridge may send it
	 * back. */
	return r ? r : fl_dataplane_port(c->host, c->ep.ifindex, &c->ep.mac, c->ep.n_ports, err);
}

/* An internal network routes nothing out, whatever its IPAM was told. */
static void drop_ways_out(struct fl_result *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n_routes; i++)
		if (r->routes[i].dst.len)
			r->routes[kept++] = r->routes[i];
	r->n_routes = kept;
	for (size_t i = 0; i < r->n_ips; i++)
		r->ips[i].gateway = (struct fl_addr){ 0 };
}

int overlay_join(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	const struct fl_join how = { .result_index = 2, .via_gateway = conf->routed };
	int r = 0;

	if (!conf->internal)
		r = fl_add_default_routes(c, err);
	else if (!conf->routed)
		drop_ways_out(&c->ipam_result);
	if (!r)
		r = fl_join_interface(c, &how, err);
	if (r)
		return r;
	/*
	 * Another node's first question would be lost at the port, and is repeated only after a
	 * second. So was the announcement of a MAC that was asked for: once more.
	 */
	r = fl_link_sync(c->host, c->ep.ifindex, err);
	/* Without the tunnel as a port, this may be the bridge's first one. */
	if (!r && conf->routed)
		r = fl_link_sync(c->host, c->link_index, err);
	if (r || !c->mac_chosen)
		return r;
	fl_await_addresses(c);
	return fl_link_set_mac(c->inside, c->inside_index, &c->ep.mac, err);
}

/* ---- CHECK ---- */

struct seen {
	const struct fl_prefix *want;
	bool found;
};

static int see_address(void *arg, const struct fl_ifaddr *a)
{
	struct seen *s = arg;

	s->found |= a->prefix.len == s->want->len && fl_addr_eq(&a->prefix.addr, &s->want->addr);
	return 0;
}

static int check_addresses(struct fl_call *c, uint32_t bridge, uint32_t tunnel,
			   struct fl_error *err)
{
	struct overlay_address list[OVERLAY_ADDRESSES_MAX];
	size_t n = overlay_addresses(c, list);
	int r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		struct seen s = { .want = &list[i].prefix };

		r = fl_ifaddrs_each(c->host, list[i].of_tunnel ? tunnel : bridge, see_address, &s,
				    err);
		if (!r && !s.found)
			r = fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
					 "interface %s has lost the address %s",
					 list[i].of_tunnel ? c->net.tunnel : c->net.link,
					 fl_prefix_str(s.want, FL_PREFIX_BUF));
	}
	return r;
}

static int check_tunnel(struct fl_call *c, const struct fl_link *bridge, struct fl_link *ret,
			struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	int r = fl_link_get(c->host, c->net.tunnel, ret, err);

	if (r || strcmp(ret->kind, "vxlan"))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "VXLAN interface %s of network %s is missing", c->net.tunnel,
				    c->net.name);
	if (ret->vxlan.vni != conf->vni || ret->vxlan.port != conf->port)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "interface %s has VNI %u on UDP port %u, not %lld on %lld",
				    ret->name, ret->vxlan.vni, ret->vxlan.port,
				    (long long)conf->vni, (long long)conf->port);
	if (conf->routed && ret->master)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "interface %s is a port of a bridge, and ought to be none",
				    ret->name);
	if ((!conf->routed && ret->master != bridge->index) || !(ret->flags & IFF_UP))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK, "interface %s is %s%s", ret->name,
				    ret->flags & IFF_UP ? "no port of bridge " : "down",
				    ret->flags & IFF_UP ? bridge->name : "");
	return conf->mode->check(c, bridge, ret, err);
}

static int check_port(struct fl_call *c, const struct fl_link *bridge, struct fl_error *err)
{
	struct fl_link port;

	if (fl_link_get_index(c->host, c->ep.ifindex, &port, err))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "host interface %s of container %s is missing", c->ep.link,
				    c->req.container);
	if (port.master != bridge->index)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "host interface %s of container %s is not a port of bridge %s",
				    port.name, c->req.container, bridge->name);
	if (!fl_dataplane_port_ok(&port, c->ep.n_ports))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "host interface %s of container %s has lost its flags "
				    "(learning off, locked%s)",
				    port.name, c->req.container, c->ep.n_ports ? ", hairpin" : "");
	return 0;
}

/* By the agent's route to the block, or to the address. */
static int check_route(struct fl_call *c, uint32_t bridge, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	uint32_t oif;

	for (uint32_t i = 0; i < c->ep.n_addrs && conf->routed; i++)
		if (fl_route_lookup(c->host, &c->ep.addrs[i].addr, &oif, err) || oif != bridge)
			return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
					    "the host's route to %s of container %s does not lead "
					    "to bridge %s",
					    fl_addr_str(&c->ep.addrs[i].addr, FL_ADDR_BUF),
					    c->req.container, c->net.link);
	return 0;
}

int overlay_check(struct fl_call *c, struct fl_error *err)
{
	struct fl_link bridge, tunnel;
	int r = overlay_prepare(c, err);

	if (r)
		return r;
	r = fl_link_get(c->host, c->net.link, &bridge, err);
	if (r || strcmp(bridge.kind, "bridge") || !(bridge.flags & IFF_UP))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK, "bridge %s is %s", c->net.link,
				    r ? "missing" : "down");
	r = check_tunnel(c, &bridge, &tunnel, err);
	if (!r)
		r = check_port(c, &bridge, err);
	if (!r)
		r = check_addresses(c, bridge.index, tunnel.index, err);
	if (!r)
		r = check_route(c, bridge.index, err);
	return r ? r : fl_check_interface(c, err);
}

int overlay_status(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	int r = conf->mode->status(c, err);

	if (r && err && err->code != FL_ECODE_LIMITED)
		err->code = FL_ECODE_NOT_AVAILABLE;
	return r;
}
