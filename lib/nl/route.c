/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/nl.h"

#include <errno.h>
#include <netlink/attr.h>
#include <string.h>

static void build(struct fl_req *q, int type, int flags, const struct fl_nlroute *r)
{
	struct rtmsg rt = {
		.rtm_family = r->dst.addr.family,
		.rtm_dst_len = r->dst.len,
		.rtm_table = r->table && r->table < 256 ? (uint8_t)r->table
			     : r->table			? RT_TABLE_UNSPEC
							: RT_TABLE_MAIN,
		.rtm_protocol = r->protocol ? r->protocol : RTPROT_BOOT,
		.rtm_scope = r->scope,
		.rtm_type = r->type ? r->type : RTN_UNICAST,
	};

	fl_req_init(q, type, flags, &rt, sizeof(rt));
	if (r->dst.len)
		fl_req_addr(q, RTA_DST, &r->dst.addr);
	if (fl_addr_is_set(&r->gw))
		fl_req_addr(q, RTA_GATEWAY, &r->gw);
	if (fl_addr_is_set(&r->src))
		fl_req_addr(q, RTA_PREFSRC, &r->src);
	if (r->oif)
		fl_req_u32(q, RTA_OIF, r->oif);
	if (r->table)
		fl_req_u32(q, RTA_TABLE, r->table);
	if (r->priority)
		fl_req_u32(q, RTA_PRIORITY, r->priority);
	if (!r->mtu && !r->advmss)
		return;
	fl_req_nest(q, RTA_METRICS);
	if (r->mtu)
		fl_req_u32(q, RTAX_MTU, r->mtu);
	if (r->advmss)
		fl_req_u32(q, RTAX_ADVMSS, r->advmss);
	fl_req_end(q);
}

void fl_route_build(struct fl_req *q, const struct fl_nlroute *r)
{
	build(q, RTM_NEWROUTE, NLM_F_CREATE, r);
}

int fl_route_replace(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	build(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, r);
	return fl_nl_do(nl, &q, err, "route to %s", fl_prefix_str(&r->dst, FL_PREFIX_BUF));
}

int fl_route_del(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int e;

	build(&q, RTM_DELROUTE, 0, r);
	e = fl_nl_do(nl, &q, err, "route to %s", fl_prefix_str(&r->dst, FL_PREFIX_BUF));
	return e == -ESRCH ? 0 : e;
}

int fl_route_add(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_route_build(&q, r);
	return fl_nl_do(nl, &q, err, "route to %s", fl_prefix_str(&r->dst, FL_PREFIX_BUF));
}

struct each {
	int (*fn)(void *arg, const struct fl_nlroute *);
	void *arg;
};

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
	default:
		break;
	}
}

static int each_route(void *arg, const struct nlmsghdr *h)
{
	const struct rtmsg *rt = NLMSG_DATA(h);
	const struct each *e = arg;
	struct fl_nlroute r = { .scope = rt->rtm_scope,
				.protocol = rt->rtm_protocol,
				.type = rt->rtm_type,
				.table = rt->rtm_table };
	const struct nlattr *a =
		(const struct nlattr *)((const char *)rt + NLMSG_ALIGN(sizeof(*rt)));
	int rest = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*rt)));

	if (h->nlmsg_type != RTM_NEWROUTE || rt->rtm_flags & RTM_F_CLONED)
		return 0;
	r.dst.addr.family = rt->rtm_family;
	r.dst.len = rt->rtm_dst_len;
	for (; nla_ok(a, rest); a = nla_next(a, &rest))
		take_attr(a, rt, &r);
	return e->fn(e->arg, &r);
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
