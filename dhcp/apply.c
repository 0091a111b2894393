/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A lease that changes: address and routes in its namespace. */
#include "dhcp/daemon.h"

#include "nl/nl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

void inside_close(struct inside *in)
{
	if (in->nl)
		fl_nl_close(in->nl);
}

int inside_open(struct lease *l, bool promote, struct inside *in, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	struct fl_link link;
	char key[64];
	int r = channel_netns(l, &ns, err);

	if (!r)
		r = fl_netns_enter(&ns, err);
	if (r)
		return r;
	r = fl_nl_open(&in->nl, err);
	snprintf(key, sizeof(key), "net/ipv4/conf/%s/promote_secondaries", l->q.ifname);
	if (promote)
		fl_sysctl_write(key, "1", NULL, 0, NULL);
	leave_netns(l->d);
	if (!r)
		r = fl_link_get(in->nl, l->q.ifname, &link, err);
	if (!r)
		in->index = link.index;
	return r;
}

static bool same_route(const struct fl_dhcp_route *a, const struct fl_dhcp_route *b)
{
	return fl_prefix_same_net(&a->dst, &b->dst) && fl_addr_eq(&a->gw, &b->gw);
}

static bool has_route(const struct fl_dhcp_reply *r, const struct fl_dhcp_route *want)
{
	for (size_t i = 0; i < r->n_routes; i++)
		if (same_route(&r->routes[i], want))
			return true;
	return false;
}

static bool has_destination(const struct fl_dhcp_reply *r, const struct fl_prefix *dst)
{
	for (size_t i = 0; i < r->n_routes; i++)
		if (fl_prefix_same_net(&r->routes[i].dst, dst))
			return true;
	return false;
}

static struct fl_nlroute kernel_route(const struct lease *l, const struct inside *in,
				      const struct fl_dhcp_route *r)
{
	return (struct fl_nlroute){
		.dst = r->dst,
		.gw = r->gw,
		.oif = in->index,
		.priority = (uint32_t)l->q.priority,
		.scope = fl_addr_is_set(&r->gw) ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
	};
}

/* On-link ones come first: a gateway may lie behind one. A moved address takes all anew, because
 * the kernel may have dropped some with the old one. */
static int put_routes(struct lease *l, const struct inside *in, const struct fl_dhcp_reply *old,
		      bool moved, struct fl_error *err)
{
	const struct fl_dhcp_reply *now = &l->client.lease;
	int r = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < now->n_routes && !r; i++) {
			struct fl_nlroute k = kernel_route(l, in, &now->routes[i]);
			bool had = old && !moved && has_route(old, &now->routes[i]);

			if (had || fl_addr_is_set(&k.gw) != pass)
				continue;
			r = fl_route_replace(in->nl, &k, err);
		}
	for (size_t i = 0; old && i < old->n_routes && !r; i++) {
		struct fl_nlroute k = kernel_route(l, in, &old->routes[i]);

		k.scope = RT_SCOPE_NOWHERE;
		if (!has_destination(now, &k.dst))
			r = fl_route_del(in->nl, &k, err);
	}
	return r;
}

uint32_t seconds_until(uint64_t at)
{
	uint64_t now = now_ms();

	if (at == FL_DHCP_NEVER)
		return UINT32_MAX;
	return at > now + 1000 ? (uint32_t)((at - now) / 1000) : 1;
}

struct search {
	const struct fl_prefix *want;
	bool found;
};

static int look(void *arg, const struct fl_ifaddr *a)
{
	struct search *s = arg;

	if (fl_addr_eq(&a->prefix.addr, &s->want->addr) && a->prefix.len == s->want->len)
		s->found = true;
	return 0;
}

bool inside_has(const struct inside *in, const struct fl_prefix *p)
{
	struct search s = { p, false };

	return !fl_ifaddrs_each(in->nl, in->index, look, &s, NULL) && s.found;
}

int apply_lease(struct lease *l, const struct fl_dhcp_reply *old, struct fl_error *err)
{
	const struct fl_prefix *to = &l->client.lease.ip;
	bool moved = old && (!fl_addr_eq(&old->ip.addr, &to->addr) || old->ip.len != to->len);
	AUTOINSIDE struct inside in = { 0 };
	int r = inside_open(l, moved, &in, err);

	if (r)
		return r;
	/* Somebody took it away on purpose: a renewal does not bring it back. */
	if (old && !moved && !inside_has(&in, to))
		return 0;
	r = fl_ifaddr_set(in.nl, in.index, to, seconds_until(l->client.expiry), err);
	if (!r)
		r = put_routes(l, &in, old, moved, err);
	if (!r && moved)
		r = fl_ifaddr_del(in.nl, in.index, &old->ip, err);
	return r;
}

int apply_loss(struct lease *l, const struct fl_dhcp_reply *old, struct fl_error *err)
{
	AUTOINSIDE struct inside in = { 0 };
	int r = inside_open(l, true, &in, err);

	return r ? r : fl_ifaddr_del(in.nl, in.index, &old->ip, err);
}

int apply_check(struct lease *l, struct fl_error *err)
{
	AUTOINSIDE struct inside in = { 0 };
	struct fl_prefix ip =
		l->family == AF_INET ? l->client.lease.ip : lease6_ip(&l->client6.lease);
	int r = inside_open(l, false, &in, err);

	if (r || inside_has(&in, &ip))
		return r;
	return fl_error_set(err, ENOENT, FL_ECODE_CHECK, "dhcp: %s has no address %s", l->q.ifname,
			    fl_prefix_str(&ip, FL_PREFIX_BUF));
}
