/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What several drivers need: deletions by the record, prevResult's interfaces, default routes. */
#include "plugin/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int fl_endpoint_delete_link(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	uint32_t both[] = { ep->ifb, ep->ifindex }, group;
	int r = 0;

	/* Two links at the price of one. */
	if (ep->ifb && ep->ifindex && getrandom(&group, sizeof(group), 0) == sizeof(group))
		return fl_links_del(c->host, both, 2, group | 1u << 31, err);
	if (ep->ifb)
		r = fl_link_del_index(c->host, ep->ifb, err);
	/* By index where it is known: it is never given twice, a name may be. */
	if (!r && ep->ifindex)
		return fl_link_del_index(c->host, ep->ifindex, err);
	return !r && *ep->link ? fl_link_del(c->host, ep->link, err) : r;
}

int fl_endpoint_delete_inside(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOSANDBOX struct fl_sandbox s = { .ns = FL_NETNS_NONE };
	int r = ep->ifindex ? fl_sandbox_open(c, ep, &s, err) : -ENOENT;

	if (r)
		return r == -ENOENT ? 0 : r;
	/* The index is in the record since before the interface was made. */
	return fl_link_del_index(s.nl, ep->ifindex, err);
}

int fl_check_kind(struct fl_call *c, const char *kind, const char *what, struct fl_error *err)
{
	struct fl_link l;

	if (fl_link_get(c->inside, c->req.ifname, &l, err) || strcmp(l.kind, kind))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK, "container %s: %s %s is missing",
				    c->req.container, what, c->req.ifname);
	return fl_check_interface(c, err);
}

int fl_ifname_taken(const struct fl_call *c, struct fl_error *err)
{
	return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
			    "CNI_IFNAME: the sandbox %s has an interface %s already", c->req.netns,
			    c->req.ifname);
}

int fl_veth_attach(struct fl_call *c, uint32_t master, uint32_t mtu, struct fl_error *err)
{
	struct fl_veth_spec spec = { .name = c->ep.link,
				     .peer = c->req.ifname,
				     .peer_netns_fd = c->sandbox.fd,
				     .mac = fl_mac_random(),
				     .peer_mac = c->ep.mac,
				     .mtu = mtu,
				     .master = master };
	struct fl_link inside;
	int r = fl_veth_create(c->host, &spec, err);

	if (r == -EEXIST)
		return fl_ifname_taken(c, err);
	/* One question tells both indexes: the peer's IFLA_LINK is the host end. */
	if (!r)
		r = fl_link_get(c->inside, c->req.ifname, &inside, err);
	if (r)
		return r;
	c->inside_index = inside.index;
	c->ep.ifindex = inside.peer;
	if (fl_result_add_interface(&c->result, c->ep.link, &spec.mac, NULL, inside.mtu) < 0 ||
	    fl_result_add_interface(&c->result, c->req.ifname, &c->ep.mac, c->req.netns,
				    inside.mtu) < 0)
		return fl_error_oom(err);
	return 0;
}

const struct fl_result_interface *fl_prev_interface(const struct fl_call *c)
{
	for (size_t i = 0; i < c->prev.n_interfaces; i++)
		if (c->prev.interfaces[i].sandbox &&
		    !strcmp(c->prev.interfaces[i].name, c->req.ifname))
			return &c->prev.interfaces[i];
	return NULL;
}

bool fl_prev_is_ours(const struct fl_call *c, const struct fl_result_ip *ip)
{
	const struct fl_result_interface *i;

	if (ip->interface < 0)
		return true;
	if ((size_t)ip->interface >= c->prev.n_interfaces)
		return false;
	i = &c->prev.interfaces[ip->interface];
	return i->sandbox && !strcmp(i->name, c->req.ifname);
}

const char *fl_prev_host_end(const struct fl_call *c)
{
	const struct fl_result_interface *in = fl_prev_interface(c);

	if (!in)
		return "";
	for (const struct fl_result_interface *i = in; i-- > c->prev.interfaces;)
		if (!i->sandbox && !strncmp(i->name, "veth", 4))
			return i->name;
	return "";
}

static bool has_default(const struct fl_result *r, int family)
{
	for (size_t i = 0; i < r->n_routes; i++)
		if (r->routes[i].dst.addr.family == family && !r->routes[i].dst.len)
			return true;
	return false;
}

int fl_add_default_routes(struct fl_call *c, struct fl_error *err)
{
	for (size_t i = 0; i < c->ipam_result.n_ips; i++) {
		const struct fl_result_ip *ip = &c->ipam_result.ips[i];
		struct fl_route r = { .dst.addr.family = ip->address.addr.family,
				      .gw = ip->gateway,
				      .scope = -1 };

		if (fl_addr_is_set(&ip->gateway) &&
		    !has_default(&c->ipam_result, r.dst.addr.family) &&
		    fl_result_add_route(&c->ipam_result, &r))
			return fl_error_oom(err);
	}
	return 0;
}
