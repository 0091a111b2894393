/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/nl.h"

#include <errno.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>

/* struct rtvia: the family as 16 bits of the host's order, then the address. */
static void put_via(struct fl_req *q, const struct fl_addr *gw)
{
	uint16_t family = gw->family;
	uint8_t via[18];

	memcpy(via, &family, 2);
	memcpy(via + 2, gw->b, 16);
	fl_req_put(q, RTA_VIA, via, 2 + fl_addr_len(gw));
}

static void route_init(struct fl_req *q, int type, int flags, const struct fl_nlroute *r,
		       const struct rtmsg *with)
{
	struct rtmsg rt = *with;

	rt.rtm_family = r->dst.addr.family;
	rt.rtm_dst_len = r->dst.len;
	rt.rtm_table = r->table && r->table < 256 ? (uint8_t)r->table
		       : r->table		  ? RT_TABLE_UNSPEC
						  : RT_TABLE_MAIN;
	fl_req_init(q, type, flags, &rt, sizeof(rt));
	if (r->dst.len)
		fl_req_addr(q, RTA_DST, &r->dst.addr);
	if (fl_addr_is_set(&r->gw) && r->gw.family == r->dst.addr.family)
		fl_req_addr(q, RTA_GATEWAY, &r->gw);
	else if (fl_addr_is_set(&r->gw))
		put_via(q, &r->gw);
	if (fl_addr_is_set(&r->src))
		fl_req_addr(q, RTA_PREFSRC, &r->src);
	if (r->oif)
		fl_req_u32(q, RTA_OIF, r->oif);
	if (r->table)
		fl_req_u32(q, RTA_TABLE, r->table);
	if (r->priority)
		fl_req_u32(q, RTA_PRIORITY, r->priority);
}

void fl_route_build(struct fl_req *q, const struct fl_nlroute *r)
{
	struct rtmsg rt = {
		.rtm_protocol = r->protocol ? r->protocol : RTPROT_BOOT,
		.rtm_scope = r->scope,
		.rtm_type = r->type ? r->type : RTN_UNICAST,
		.rtm_flags = r->onlink ? RTNH_F_ONLINK : 0,
	};

	route_init(q, RTM_NEWROUTE, NLM_F_CREATE, r, &rt);
	if (!r->mtu && !r->advmss)
		return;
	fl_req_nest(q, RTA_METRICS);
	if (r->mtu)
		fl_req_u32(q, RTAX_MTU, r->mtu);
	if (r->advmss)
		fl_req_u32(q, RTAX_ADVMSS, r->advmss);
	fl_req_end(q);
}

int fl_route_add(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_route_build(&q, r);
	return fl_nl_do(nl, &q, err, "route to %s", fl_prefix_str(&r->dst, FL_PREFIX_BUF));
}

int fl_route_append(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_route_build(&q, r);
	if (!q.failed)
		nlmsg_hdr(q.msg)->nlmsg_flags |= NLM_F_APPEND;
	return fl_nl_do(nl, &q, err, "route to %s", fl_prefix_str(&r->dst, FL_PREFIX_BUF));
}

void fl_route_replace_build(struct fl_req *q, const struct fl_nlroute *r)
{
	fl_route_build(q, r);
	if (!q->failed)
		nlmsg_hdr(q->msg)->nlmsg_flags |= NLM_F_REPLACE;
}

int fl_route_replace(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_route_replace_build(&q, r);
	return fl_nl_do(nl, &q, err, "route to %s", fl_prefix_str(&r->dst, FL_PREFIX_BUF));
}

void fl_route_del_build(struct fl_req *q, const struct fl_nlroute *r)
{
	/* NOWHERE is any scope: the kernel's own choice on adding need not be known. */
	struct rtmsg rt = { .rtm_protocol = r->protocol,
			    .rtm_scope = RT_SCOPE_NOWHERE,
			    .rtm_type = r->type };

	route_init(q, RTM_DELROUTE, 0, r, &rt);
}

int fl_route_del(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int res;

	fl_route_del_build(&q, r);
	res = fl_nl_do(nl, &q, err, "route to %s: delete", fl_prefix_str(&r->dst, FL_PREFIX_BUF));
	return res == -ESRCH ? 0 : res;
}

struct each {
	int (*fn)(void *arg, const struct fl_nlroute *);
	void *arg;
};

static void take_metrics(const struct nlattr *metrics, struct fl_nlroute *r)
{
	const struct nlattr *a;
	int rest;

	nla_for_each_nested (a, (struct nlattr *)metrics, rest) {
		if (nla_type(a) == RTAX_MTU)
			r->mtu = nla_get_u32(a);
		if (nla_type(a) == RTAX_ADVMSS)
			r->advmss = nla_get_u32(a);
	}
}

static void take_via(const struct nlattr *a, struct fl_nlroute *r)
{
	const char *via = nla_data(a);
	uint16_t family;

	if (nla_len(a) < 2)
		return;
	memcpy(&family, via, 2);
	if (nla_len(a) >= 2 + (family == AF_INET ? 4 : 16))
		r->gw = fl_addr_make(family, via + 2);
}

static void take_attr(const struct nlattr *a, const struct rtmsg *rt, struct fl_nlroute *r)
{
	size_t want = rt->rtm_family == AF_INET ? 4 : 16;
	bool is_addr = (size_t)nla_len(a) == want;

	switch (nla_type(a)) {
	case RTA_DST:
		if (is_addr)
			r->dst.addr = fl_addr_make(rt->rtm_family, nla_data(a));
		break;
	case RTA_GATEWAY:
		if (is_addr)
			r->gw = fl_addr_make(rt->rtm_family, nla_data(a));
		break;
	case RTA_PREFSRC:
		if (is_addr)
			r->src = fl_addr_make(rt->rtm_family, nla_data(a));
		break;
	case RTA_OIF:
		r->oif = nla_get_u32(a);
		break;
	case RTA_TABLE:
		r->table = nla_get_u32(a);
		break;
	case RTA_PRIORITY:
		r->priority = nla_get_u32(a);
		break;
	case RTA_VIA:
		take_via(a, r);
		break;
	case RTA_METRICS:
		take_metrics(a, r);
		break;
	default:
		break;
	}
}

/* What the hops have in common is in *r. */
static int each_hop(const struct nlattr *hops, const struct rtmsg *rt, const struct fl_nlroute *r,
		    const struct each *e)
{
	const struct rtnexthop *hop = nla_data(hops);
	int left = nla_len(hops), res = 0;

	for (; !res && RTNH_OK(hop, left);
	     left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		const struct nlattr *a = (const struct nlattr *)RTNH_DATA(hop);
		int rest = hop->rtnh_len - (int)RTNH_LENGTH(0);
		struct fl_nlroute one = *r;

		one.multipath = true;
		one.oif = (uint32_t)hop->rtnh_ifindex;
		one.onlink = hop->rtnh_flags & RTNH_F_ONLINK;
		for (; nla_ok(a, rest); a = nla_next(a, &rest))
			if (nla_type(a) == RTA_GATEWAY || nla_type(a) == RTA_VIA)
				take_attr(a, rt, &one);
		res = e->fn(e->arg, &one);
	}
	return res;
}

static int each_route(void *arg, const struct nlmsghdr *h)
{
	const struct rtmsg *rt = NLMSG_DATA(h);
	const struct each *e = arg;
	struct fl_nlroute r = { .scope = rt->rtm_scope,
				.protocol = rt->rtm_protocol,
				.type = rt->rtm_type,
				.table = rt->rtm_table,
				.onlink = rt->rtm_flags & RTNH_F_ONLINK };
	const struct nlattr *a =
		(const struct nlattr *)((const char *)rt + NLMSG_ALIGN(sizeof(*rt)));
	const struct nlattr *hops = NULL; /* the kernel gives either these or RTA_OIF */
	int rest = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*rt)));

	if (h->nlmsg_type != RTM_NEWROUTE || rt->rtm_flags & RTM_F_CLONED)
		return 0;
	r.dst.addr.family = rt->rtm_family;
	r.dst.len = rt->rtm_dst_len;
	for (; nla_ok(a, rest); a = nla_next(a, &rest)) {
		if (nla_type(a) == RTA_MULTIPATH)
			hops = a;
		take_attr(a, rt, &r);
	}
	return hops ? each_hop(hops, rt, &r, e) : e->fn(e->arg, &r);
}

int fl_routes_each(struct fl_nl *nl, int family, int (*fn)(void *arg, const struct fl_nlroute *),
		   void *arg, struct fl_error *err)
{
	struct rtmsg rt = { .rtm_family = (uint8_t)family };
	FL_AUTOREQ struct fl_req q = { 0 };
	struct each e = { fn, arg };

	fl_req_init(&q, RTM_GETROUTE, NLM_F_DUMP, &rt, sizeof(rt));
	return fl_nl_ask(nl, &q, each_route, &e, err);
}

int fl_routes_each_table(struct fl_nl *nl, int family, uint32_t table, uint32_t oif,
			 int (*fn)(void *arg, const struct fl_nlroute *), void *arg,
			 struct fl_error *err)
{
	struct rtmsg rt = { .rtm_family = (uint8_t)family };
	FL_AUTOREQ struct fl_req q = { 0 };
	struct each e = { fn, arg };

	fl_req_init(&q, RTM_GETROUTE, NLM_F_DUMP, &rt, sizeof(rt));
	fl_req_u32(&q, RTA_TABLE, table);
	if (oif)
		fl_req_u32(&q, RTA_OIF, oif);
	return fl_nl_ask(nl, &q, each_route, &e, err);
}

struct best {
	struct fl_nlroute route;
	bool found;
};

static int better_default(void *arg, const struct fl_nlroute *r)
{
	struct best *b = arg;

	if (r->dst.len || r->type != RTN_UNICAST || (b->found && b->route.priority <= r->priority))
		return 0;
	*b = (struct best){ *r, true };
	return 0;
}

int fl_default_route(struct fl_nl *nl, int family, struct fl_nlroute *ret, struct fl_error *err)
{
	struct best best = { 0 };
	int r = fl_routes_each_table(nl, family, RT_TABLE_MAIN, 0, better_default, &best, err);

	if (r)
		return r;
	if (!best.found)
		return -ENOENT;
	*ret = best.route;
	return 0;
}

static int take_oif(void *arg, const struct fl_nlroute *r)
{
	*(uint32_t *)arg = r->oif;
	return 0;
}

/* The answer is a cloned route, which each_route() would leave out. */
static int each_cloned(void *arg, const struct nlmsghdr *h)
{
	((struct rtmsg *)NLMSG_DATA(h))->rtm_flags &= ~(unsigned)RTM_F_CLONED;
	return each_route(arg, h);
}

static int take_route(void *arg, const struct fl_nlroute *r)
{
	*(struct fl_nlroute *)arg = *r;
	return 0;
}

int fl_route_get(struct fl_nl *nl, const struct fl_addr *to, const struct fl_addr *from,
		 uint32_t iif, struct fl_nlroute *ret, struct fl_error *err)
{
	struct rtmsg rt = { .rtm_family = to->family, .rtm_dst_len = (uint8_t)fl_addr_bits(to) };
	FL_AUTOREQ struct fl_req q = { 0 };
	struct fl_nlroute found = { 0 };
	struct each e = { take_route, &found };
	int r;

	if (from)
		rt.rtm_src_len = (uint8_t)fl_addr_bits(from);
	fl_req_init(&q, RTM_GETROUTE, 0, &rt, sizeof(rt));
	fl_req_addr(&q, RTA_DST, to);
	if (from)
		fl_req_addr(&q, RTA_SRC, from);
	if (iif)
		fl_req_u32(&q, RTA_IIF, iif);
	r = fl_nl_ask(nl, &q, each_cloned, &e, err);
	/* IPv6 gives its refusing routes as routes. */
	if (!r && found.type != RTN_UNICAST && found.type != RTN_LOCAL)
		r = fl_error_set(err, ENETUNREACH, FL_ECODE_KERNEL, "no route there");
	if (r) {
		fl_error_prefix(err, "route to %s", fl_addr_str(to, FL_ADDR_BUF));
		return r;
	}
	*ret = found;
	return 0;
}

int fl_route_match(struct fl_nl *nl, const struct fl_addr *to, struct fl_nlroute *ret,
		   struct fl_error *err)
{
	struct rtmsg rt = { .rtm_family = to->family,
			    .rtm_dst_len = (uint8_t)fl_addr_bits(to),
			    .rtm_flags = RTM_F_FIB_MATCH };
	FL_AUTOREQ struct fl_req q = { 0 };
	struct fl_nlroute found = { 0 };
	struct each e = { take_route, &found };
	int r;

	fl_req_init(&q, RTM_GETROUTE, 0, &rt, sizeof(rt));
	fl_req_addr(&q, RTA_DST, to);
	r = fl_nl_ask(nl, &q, each_cloned, &e, err);
	if (r)
		return fl_error_prefix(err, "route to %s", fl_addr_str(to, FL_ADDR_BUF));
	*ret = found;
	return 0;
}

int fl_route_lookup(struct fl_nl *nl, const struct fl_addr *to, uint32_t *ret_oif,
		    struct fl_error *err)
{
	struct rtmsg rt = { .rtm_family = to->family, .rtm_dst_len = (uint8_t)fl_addr_bits(to) };
	FL_AUTOREQ struct fl_req q = { 0 };
	uint32_t oif = 0;
	struct each e = { take_oif, &oif };
	int r;

	fl_req_init(&q, RTM_GETROUTE, 0, &rt, sizeof(rt));
	fl_req_addr(&q, RTA_DST, to);
	r = fl_nl_ask(nl, &q, each_cloned, &e, err);
	if (!r && !oif)
		r = fl_error_set(err, ENETUNREACH, FL_ECODE_KERNEL, "no route to the container");
	if (!r)
		*ret_oif = oif;
	else
		fl_error_prefix(err, "route to %s", fl_addr_str(to, FL_ADDR_BUF));
	return r;
}
