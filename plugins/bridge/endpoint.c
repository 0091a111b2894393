/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The veth pair: born with its final names, MACs and MTU, one end in the bridge, one in the
 * sandbox. */
#include "bridge.h"

#include <errno.h>
#include <string.h>

static int add_vlans(struct fl_call *c, uint32_t port, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	const struct vlan_trunk *t = conf->trunk.items;
	struct fl_vlan_range v[2];
	int r = 0;

	if (!conf->preserve_default_vlan) {
		v[0] = (struct fl_vlan_range){ .first = 1 };
		r = fl_vlan_del(c->host, port, false, v, 1, err);
	}
	if (!r) {
		v[0] = (struct fl_vlan_range){ .first = conf->vlan ? (uint16_t)conf->vlan : 1,
					       .pvid = true,
					       .untagged = true };
		r = fl_vlan_add(c->host, port, false, v, 1, err);
	}
	for (size_t i = 0; i < conf->trunk.n && !r; i++) {
		size_t n = 0;

		if (t[i].id)
			v[n++] = (struct fl_vlan_range){ .first = (uint16_t)t[i].id };
		if (t[i].max)
			v[n++] = (struct fl_vlan_range){ .first = (uint16_t)t[i].min,
							 .last = (uint16_t)t[i].max };
		r = fl_vlan_add(c->host, port, false, v, n, err);
	}
	return r;
}

static unsigned wanted_flags(const struct fl_call *c)
{
	const struct bridge_conf *conf = c->conf;
	unsigned flags = 0;

	/* A container reaches itself through its published port only if the bridge may send it
	 * back. */
	if (conf->hairpin || (c->ep.n_ports && !conf->promisc))
		flags |= FL_PORT_HAIRPIN;
	if (conf->port_isolation || c->net.no_icc)
		flags |= FL_PORT_ISOLATED;
	return flags;
}

static int set_port(struct fl_call *c, uint32_t port, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	unsigned flags = wanted_flags(c);
	int r = 0;

	if (flags)
		r = fl_link_set_port_flags(c->host, port, flags, err);
	if (!r && (conf->vlan || conf->trunk.n))
		r = add_vlans(c, port, err);
	return r;
}

int bridge_prepare(struct fl_call *c, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;

	(void)err;
	fl_shape_prepare(c, &conf->shape);
	return 0;
}

int bridge_endpoint_create(struct fl_call *c, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	uint32_t mtu = conf->mtu ? (uint32_t)conf->mtu : c->result.interfaces[0].mtu;
	int r = fl_veth_attach(c, c->link_index, mtu, err);

	if (r == -EXFULL)
		return fl_error_set(err, r, FL_ECODE_EXHAUSTED,
				    "bridge %s has 1,023 ports, the kernel's limit (BR_MAX_PORTS); "
				    "use another network",
				    conf->bridge);
	if (!r)
		r = set_port(c, c->ep.ifindex, err);
	return r || !fl_shape_wanted(&conf->shape)
		       ? r
		       : fl_shape_create(c, &conf->shape, &c->result, err);
}

/* An internal network routes nothing out, whatever its IPAM was told. */
static void drop_routes_out(struct fl_result *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n_routes; i++)
		if (r->routes[i].dst.len)
			r->routes[kept++] = r->routes[i];
	r->n_routes = kept;
}

int bridge_join(struct fl_call *c, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	int r = 0;

	if (conf->is_default_gateway)
		r = fl_add_default_routes(c, err);
	if (conf->internal)
		drop_routes_out(&c->ipam_result);
	return r ? r
		 : fl_join_interface(c,
				     &(struct fl_join){ .result_index = 2,
							.down = conf->no_container_up,
							.dad = conf->dad > 0 },
				     err);
}

struct gateway_seen {
	const struct fl_addr *want;
	bool found;
};

static int see_gateway(void *arg, const struct fl_ifaddr *a)
{
	struct gateway_seen *s = arg;

	s->found |= fl_addr_eq(&a->prefix.addr, s->want);
	return 0;
}

static int check_gateways(struct fl_call *c, uint32_t bridge, struct fl_error *err)
{
	for (size_t i = 0; i < c->prev.n_ips; i++) {
		struct gateway_seen s = { .want = &c->prev.ips[i].gateway };
		int r;

		if (!fl_addr_is_set(s.want))
			continue;
		r = fl_ifaddrs_each(c->host, bridge, see_gateway, &s, err);
		if (r)
			return r;
		if (!s.found)
			return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
					    "bridge %s has lost the gateway's address %s",
					    c->net.link, fl_addr_str(s.want, FL_ADDR_BUF));
	}
	return 0;
}

int bridge_check(struct fl_call *c, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	struct fl_link br, port;
	int r = fl_link_get(c->host, conf->bridge, &br, err);

	if (r || strcmp(br.kind, "bridge"))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK, "bridge %s is missing",
				    conf->bridge);
	if (!(br.flags & IFF_UP))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK, "bridge %s is down",
				    conf->bridge);
	if (conf->promisc && !(br.flags & IFF_PROMISC))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "bridge %s is not in promiscuous mode", conf->bridge);
	if (fl_link_get_index(c->host, c->ep.ifindex, &port, err))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "host interface %s of container %s is missing", c->ep.link,
				    c->req.container);
	if (port.master != br.index)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "host interface %s of container %s is not a port of bridge %s",
				    port.name, c->req.container, conf->bridge);
	if (wanted_flags(c) & ~port.port_flags)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "host interface %s of container %s has lost its %s flag",
				    port.name, c->req.container,
				    wanted_flags(c) & ~port.port_flags & FL_PORT_HAIRPIN
					    ? "hairpin"
					    : "isolated");
	r = conf->is_gateway ? check_gateways(c, br.index, err) : 0;
	if (!r && fl_shape_wanted(&conf->shape))
		r = fl_shape_check(c, &conf->shape, err);
	return r ? r : fl_check_interface(c, err);
}
