/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host does not reach the macvlans of its own interface: frames between the two never meet. A
 * macvlan of the host's own does. It has the parent's address with full length, so that no subnet
 * moves away from the parent, and one route leads to each container.
 */
#include "macvlan.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <string.h>

struct search {
	const struct fl_prefix *near; /* an address of the container with its subnet */
	struct fl_addr found;
};

static int see_address(void *arg, const struct fl_ifaddr *a)
{
	struct search *s = arg;

	if (!fl_addr_is_set(&s->found) && fl_prefix_contains(s->near, &a->prefix.addr))
		s->found = a->prefix.addr;
	return 0;
}

/* The host's address in the container's subnet. */
static int host_address(struct fl_call *c, const struct fl_prefix *near, struct fl_addr *ret,
			struct fl_error *err)
{
	const struct macvlan_conf *conf = c->conf;
	struct search s = { .near = near };
	int r = 0;

	if (conf->host_addr.family == near->addr.family)
		s.found = conf->host_addr;
	else
		r = fl_ifaddrs_each(c->host, conf->parent.link.index, see_address, &s, err);
	if (r)
		return r;
	if (!fl_addr_is_set(&s.found))
		return fl_error_set(
			err, EADDRNOTAVAIL, FL_ECODE_CONFIG,
			"hostAccess: the master %s has no address in the container's "
			"subnet %s; write the address that the host is to have there "
			"(\"hostAccess\": \"ADDRESS\")",
			conf->parent.link.name,
			fl_prefix_str(&(struct fl_prefix){ fl_prefix_masked(near).addr, near->len },
				      FL_PREFIX_BUF));
	*ret = s.found;
	return 0;
}

static int make(struct fl_call *c, struct fl_link *l, struct fl_error *err)
{
	const struct macvlan_conf *conf = c->conf;
	struct fl_vlink_spec spec = { .kind = "macvlan",
				      .name = c->net.link,
				      .netns_fd = -1,
				      .lower = conf->parent.link.index,
				      .mode = FL_MACVLAN_BRIDGE };
	int r = fl_vlink_create(c->host, &spec, err);

	if (r && r != -EEXIST)
		return r;
	if (!r)
		r = fl_host_sysctl("0", err, "net/ipv6/conf/%s/accept_ra", c->net.link);
	/* Absent without IPv6 in the kernel; or another ADD was faster. */
	if (r >= 0 || r == -ENOENT || r == -EEXIST)
		r = fl_link_get(c->host, c->net.link, l, err);
	return r ? r : fl_link_set_up(c->host, l->index, true, err);
}

int macvlan_host_create(struct fl_call *c, struct fl_error *err)
{
	struct fl_addr host;
	struct fl_link l;
	int r = fl_link_find(c->host, c->net.link, &l, err);

	if (!r)
		r = make(c, &l, err);
	if (r < 0)
		return r;
	r = 0;
	c->link_index = l.index;
	for (uint32_t i = 0; i < c->ep.n_addrs && !r; i++) {
		r = host_address(c, &c->ep.addrs[i], &host, err);
		if (r)
			break;
		r = fl_ifaddr_add(c->host, l.index,
				  &(struct fl_prefix){ host, (uint8_t)fl_addr_bits(&host) },
				  host.family == AF_INET6 ? IFA_F_NODAD : 0, err);
		r = r == -EEXIST ? 0 : r;
		if (!r && c->ep.n_ports)
			r = fl_enable_forwarding(c, host.family, err);
		r = r < 0 ? r : 0;
	}
	if (!r && c->ep.n_ports && !l.route_localnet)
		r = fl_host_sysctl("1", err, "net/ipv4/conf/%s/route_localnet", c->net.link);
	return r < 0 ? r : 0;
}

static struct fl_nlroute route_to(const struct fl_addr *a, uint32_t oif)
{
	return (struct fl_nlroute){ .dst = { *a, (uint8_t)fl_addr_bits(a) },
				    .oif = oif,
				    .scope = a->family == AF_INET ? RT_SCOPE_LINK
								  : RT_SCOPE_UNIVERSE };
}

int macvlan_host_route(struct fl_call *c, struct fl_error *err)
{
	int r = 0;

	for (uint32_t i = 0; i < c->ep.n_addrs && !r; i++) {
		struct fl_nlroute route = route_to(&c->ep.addrs[i].addr, c->link_index);

		r = host_address(c, &c->ep.addrs[i], &route.src, err);
		if (!r)
			r = fl_route_replace(c->host, &route, err);
	}
	return r;
}

int macvlan_host_unroute(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOJSON json_t *memo = NULL;
	const char *name;
	struct fl_link l;
	int r = fl_call_memo(c, ep, &memo, err);

	if (r)
		return r == -ENOENT ? 0 : r;
	name = json_string_value(json_object_get(memo, "hostLink"));
	if (!name || fl_link_get(c->host, name, &l, NULL))
		return 0;
	for (uint32_t i = 0; i < ep->n_addrs && !r; i++) {
		struct fl_nlroute route = route_to(&ep->addrs[i].addr, l.index);

		r = fl_route_del(c->host, &route, err);
	}
	return r;
}

struct seen {
	const struct fl_nlroute *want;
	bool found;
};

static int see_route(void *arg, const struct fl_nlroute *r)
{
	struct seen *s = arg;

	s->found |= r->dst.len == s->want->dst.len && fl_addr_eq(&r->dst.addr, &s->want->dst.addr);
	return 0;
}

int macvlan_host_check(struct fl_call *c, struct fl_error *err)
{
	struct fl_link l;
	int r = fl_link_get(c->host, c->net.link, &l, err);

	if (r || !(l.flags & IFF_UP))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "hostAccess: the host's interface %s is %s", c->net.link,
				    r ? "missing" : "down");
	for (uint32_t i = 0; i < c->ep.n_addrs && !r; i++) {
		struct fl_nlroute route = route_to(&c->ep.addrs[i].addr, l.index);
		struct seen s = { .want = &route };

		r = fl_routes_each_table(c->host, route.dst.addr.family, RT_TABLE_MAIN, l.index,
					 see_route, &s, err);
		if (!r && !s.found)
			return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
					    "hostAccess: the route to %s is missing",
					    fl_addr_str(&route.dst.addr, FL_ADDR_BUF));
	}
	return r;
}
