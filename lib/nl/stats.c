/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counters of links: RTM_GETSTATS, whose answers hold nothing else. */
#include "nl/nl.h"

#include <errno.h>
#include <linux/if_link.h>
#include <netlink/attr.h>
#include <string.h>

static void parse_link64(const struct nlattr *a, struct fl_stats *s)
{
	struct rtnl_link_stats64 k = { 0 };
	size_t len = (size_t)nla_len(a);

	/* Newer kernels append members. */
	memcpy(&k, nla_data(a), len < sizeof(k) ? len : sizeof(k));
	s->rx_bytes = k.rx_bytes;
	s->rx_packets = k.rx_packets;
	s->rx_dropped = k.rx_dropped;
	s->rx_errors = k.rx_errors;
	s->tx_bytes = k.tx_bytes;
	s->tx_packets = k.tx_packets;
	s->tx_dropped = k.tx_dropped;
	s->tx_errors = k.tx_errors;
}

static bool parse_stats(const struct nlmsghdr *h, struct fl_stats *s)
{
	const struct if_stats_msg *m = NLMSG_DATA(h);
	const struct nlattr *a = (const struct nlattr *)((const char *)m + NLMSG_ALIGN(sizeof(*m)));
	int rest = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*m)));

	if (h->nlmsg_type != RTM_NEWSTATS)
		return false;
	*s = (struct fl_stats){ .index = m->ifindex };
	for (; nla_ok(a, rest); a = nla_next(a, &rest))
		if (nla_type(a) == IFLA_STATS_LINK_64)
			parse_link64(a, s);
	return true;
}

static void stats_init(struct fl_req *q, int flags, uint32_t index)
{
	struct if_stats_msg m = { .ifindex = index,
				  .filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64) };

	fl_req_init(q, RTM_GETSTATS, flags, &m, sizeof(m));
}

static int take_stats(void *arg, const struct nlmsghdr *h)
{
	return parse_stats(h, arg) ? 0 : -EBADMSG;
}

int fl_stats_get(struct fl_nl *nl, uint32_t index, struct fl_stats *ret, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	struct fl_stats s = { 0 };
	int r;

	stats_init(&q, 0, index);
	r = fl_nl_ask(nl, &q, take_stats, &s, err);
	if (r == -ENODEV)
		return fl_error_set(err, r, FL_ECODE_KERNEL, "there is no interface with index %u",
				    index);
	if (!r)
		*ret = s;
	return r;
}

struct each {
	int (*fn)(void *arg, const struct fl_stats *);
	void *arg;
};

static int each_stats(void *arg, const struct nlmsghdr *h)
{
	const struct each *e = arg;
	struct fl_stats s;

	return parse_stats(h, &s) ? e->fn(e->arg, &s) : 0;
}

int fl_stats_each(struct fl_nl *nl, int (*fn)(void *arg, const struct fl_stats *), void *arg,
		  struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	struct each e = { fn, arg };

	stats_init(&q, NLM_F_DUMP, 0);
	return fl_nl_ask(nl, &q, each_stats, &e, err);
}
