/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/nl.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netconf.h>
#include <netlink/attr.h>

static void addr_init(struct fl_req *q, int type, int flags, uint32_t index,
		      const struct fl_prefix *p)
{
	struct ifaddrmsg ifa = { .ifa_family = p->addr.family,
				 .ifa_prefixlen = p->len,
				 .ifa_index = index };

	fl_req_init(q, type, flags, &ifa, sizeof(ifa));
	/* IPv4 wants LOCAL; without a peer both are the same address (rtnetlink(7)). */
	fl_req_addr(q, IFA_LOCAL, &p->addr);
	fl_req_addr(q, IFA_ADDRESS, &p->addr);
}

static void put_broadcast(struct fl_req *q, const struct fl_prefix *p)
{
	struct fl_addr last = fl_prefix_last(p);

	if (p->addr.family == AF_INET && p->len <= 30)
		fl_req_addr(q, IFA_BROADCAST, &last);
}

void fl_ifaddr_build(struct fl_req *q, uint32_t index, const struct fl_prefix *p, uint32_t flags)
{
	addr_init(q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, p);
	put_broadcast(q, p);
	if (flags)
		fl_req_u32(q, IFA_FLAGS, flags);
}

int fl_ifaddr_add(struct fl_nl *nl, uint32_t index, const struct fl_prefix *p, uint32_t flags,
		  struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_ifaddr_build(&q, index, p, flags);
	return fl_nl_do(nl, &q, err, "address %s", fl_prefix_str(p, FL_PREFIX_BUF));
}

int fl_ifaddr_set(struct fl_nl *nl, uint32_t index, const struct fl_prefix *p, uint32_t valid,
		  struct fl_error *err)
{
	struct ifa_cacheinfo life = { .ifa_prefered = valid, .ifa_valid = valid };
	FL_AUTOREQ struct fl_req q = { 0 };

	addr_init(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, p);
	put_broadcast(&q, p);
	fl_req_put(&q, IFA_CACHEINFO, &life, sizeof(life));
	return fl_nl_do(nl, &q, err, "address %s", fl_prefix_str(p, FL_PREFIX_BUF));
}

int fl_ifaddr_add_deprecated(struct fl_nl *nl, uint32_t index, const struct fl_prefix *p,
			     uint32_t flags, struct fl_error *err)
{
	struct ifa_cacheinfo life = { .ifa_prefered = 0, .ifa_valid = UINT32_MAX };
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_ifaddr_build(&q, index, p, flags);
	fl_req_put(&q, IFA_CACHEINFO, &life, sizeof(life));
	return fl_nl_do(nl, &q, err, "address %s", fl_prefix_str(p, FL_PREFIX_BUF));
}

int fl_ifaddr_del(struct fl_nl *nl, uint32_t index, const struct fl_prefix *p, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	addr_init(&q, RTM_DELADDR, 0, index, p);
	r = fl_nl_do(nl, &q, err, "address %s", fl_prefix_str(p, FL_PREFIX_BUF));
	return r == -EADDRNOTAVAIL ? 0 : r;
}

struct each {
	uint32_t index;
	int (*fn)(void *arg, const struct fl_ifaddr *);
	void *arg;
};

static bool parse_addr(const struct nlmsghdr *h, struct fl_ifaddr *ret)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	struct fl_ifaddr a = { .index = ifa->ifa_index,
			       .flags = ifa->ifa_flags,
			       .scope = ifa->ifa_scope };
	const struct nlattr *at =
		(const struct nlattr *)((const char *)ifa + NLMSG_ALIGN(sizeof(*ifa)));
	int rest = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*ifa)));
	size_t want = ifa->ifa_family == AF_INET ? 4 : 16;

	a.prefix.len = ifa->ifa_prefixlen;
	for (; nla_ok(at, rest); at = nla_next(at, &rest)) {
		bool local = nla_type(at) == IFA_LOCAL;

		if (nla_type(at) == IFA_FLAGS)
			a.flags = nla_get_u32(at);
		/* LOCAL is the address itself where both are given (point to point). */
		if ((local || (nla_type(at) == IFA_ADDRESS && !a.prefix.addr.family)) &&
		    (size_t)nla_len(at) == want)
			a.prefix.addr = fl_addr_make(ifa->ifa_family, nla_data(at));
	}
	*ret = a;
	return a.prefix.addr.family;
}

bool fl_nl_event_address(const struct fl_nl_event *e, struct fl_ifaddr *ret)
{
	return e->msg && e->kind == FL_NL_ADDRESS && parse_addr(e->msg, ret);
}

static int each_addr(void *arg, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(h);
	const struct each *e = arg;
	struct fl_ifaddr a;

	if (h->nlmsg_type != RTM_NEWADDR || (e->index && e->index != ifa->ifa_index))
		return 0;
	return parse_addr(h, &a) ? e->fn(e->arg, &a) : 0;
}

int fl_ifaddrs_each(struct fl_nl *nl, uint32_t index,
		    int (*fn)(void *arg, const struct fl_ifaddr *), void *arg, struct fl_error *err)
{
	struct ifaddrmsg ifa = { .ifa_family = AF_UNSPEC, .ifa_index = index };
	FL_AUTOREQ struct fl_req q = { 0 };
	struct each e = { index, fn, arg };

	fl_req_init(&q, RTM_GETADDR, NLM_F_DUMP, &ifa, sizeof(ifa));
	return fl_nl_ask(nl, &q, each_addr, &e, err);
}

static int take_forwarding(void *arg, const struct nlmsghdr *h)
{
	const struct netconfmsg *nc = NLMSG_DATA(h);
	const struct nlattr *a =
		(const struct nlattr *)((const char *)nc + NLMSG_ALIGN(sizeof(*nc)));
	int rest = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*nc)));

	for (; nla_ok(a, rest); a = nla_next(a, &rest))
		if (nla_type(a) == NETCONFA_FORWARDING)
			*(bool *)arg = nla_get_u32(a);
	return 0;
}

int fl_forwarding_get(struct fl_nl *nl, int family, bool *ret, struct fl_error *err)
{
	struct netconfmsg nc = { .ncm_family = (uint8_t)family };
	FL_AUTOREQ struct fl_req q = { 0 };
	bool on = false;
	int r;

	fl_req_init(&q, RTM_GETNETCONF, 0, &nc, sizeof(nc));
	fl_req_u32(&q, NETCONFA_IFINDEX, (uint32_t)NETCONFA_IFINDEX_ALL);
	r = fl_nl_ask(nl, &q, take_forwarding, &on, err);
	if (!r)
		*ret = on;
	return r;
}
