/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nft/ctnetlink.h"

#include "nft/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

/* enum ctnetlink_filter... of net/netfilter/nf_conntrack_netlink.c, not exported to user space */
#define FILTER_IP_SRC (1u << 0)
#define FILTER_IP_DST (1u << 1)
#define FILTER_PROTO_NUM (1u << 3)
#define FILTER_DST_PORT (1u << 5)

#define REQUEST_MAX 512
#define DELETE_CHUNK 32768 /* deletions sent at once: their answers must fit the receive buffer */

static struct nlmsghdr *ct_header(void *buf, unsigned message, uint16_t flags, uint8_t family,
				  uint32_t seq)
{
	return fl_nfnl_header(buf, NFNL_SUBSYS_CTNETLINK, message, flags, family, 0, seq);
}

static void put_addr(struct nlmsghdr *nlh, bool src, const struct fl_addr *a)
{
	bool v4 = a->family == AF_INET;

	if (a->family)
		fl_attr_put(nlh,
			    (uint16_t)(src ? (v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC)
					   : (v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST)),
			    fl_addr_len(a), a->b);
}

static uint32_t put_tuple(struct nlmsghdr *nlh, uint16_t type, const struct fl_addr *src,
			  const struct fl_addr *dst, uint8_t proto, uint16_t dport)
{
	uint32_t flags = (src->family ? FILTER_IP_SRC : 0) | (dst->family ? FILTER_IP_DST : 0) |
			 (proto ? FILTER_PROTO_NUM : 0) | (dport ? FILTER_DST_PORT : 0);
	struct nlattr *tuple, *nest;

	if (!flags)
		return 0;
	tuple = fl_attr_nest_start(nlh, type);
	if (src->family || dst->family) {
		nest = fl_attr_nest_start(nlh, CTA_TUPLE_IP);
		put_addr(nlh, true, src);
		put_addr(nlh, false, dst);
		fl_attr_nest_end(nlh, nest);
	}
	if (proto) {
		nest = fl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
		fl_attr_put_u8(nlh, CTA_PROTO_NUM, proto);
		if (dport)
			fl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(dport));
		fl_attr_nest_end(nlh, nest);
	}
	fl_attr_nest_end(nlh, tuple);
	return flags;
}

static void put_filter(struct nlmsghdr *nlh, const struct fl_ct_match *m)
{
	static const struct fl_addr none;
	uint32_t orig =
		put_tuple(nlh, CTA_TUPLE_ORIG, &m->orig_src, &m->orig_dst, m->proto, m->dport);
	uint32_t reply = put_tuple(nlh, CTA_TUPLE_REPLY, &m->reply_src, &none, 0, 0);
	struct nlattr *nest = fl_attr_nest_start(nlh, CTA_FILTER);

	fl_attr_put_u32(nlh, CTA_FILTER_ORIG_FLAGS, orig);
	fl_attr_put_u32(nlh, CTA_FILTER_REPLY_FLAGS, reply);
	fl_attr_nest_end(nlh, nest);
}

int fl_ct_delete_matching(struct fl_nft *nft, const struct fl_ct_match *match, struct fl_error *err)
{
	uint8_t buf[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct fl_error details = { 0 };
	struct nlmsghdr *nlh;
	int r;

	/* Without a tuple the request would mean: delete everything. */
	if (!match->orig_src.family && !match->reply_src.family && !match->proto)
		return -EINVAL;
	nlh = ct_header(buf, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, match->family, 1);
	put_filter(nlh, match);
	r = fl_nfnl_talk(nft, nlh, NULL, NULL, &details);
	if (!r || r == -ENOENT)
		return 0;
	if (r == -EINVAL || r == -EOPNOTSUPP)
		return -EOPNOTSUPP;
	fl_error_errno(err, r, r == -EPERM ? FL_ECODE_PRIVILEGE : FL_ECODE_KERNEL,
		       "conntrack: cannot delete entries");
	fl_error_details(err, details.details);
	return r;
}

/* Deletions collected during a dump: complete messages, one after another. */
struct collector {
	fl_ct_test test;
	void *arg;
	uint8_t *buf;
	size_t len, cap;
};

static void index_nested(const struct nlattr *nest, const struct nlattr **t, size_t max)
{
	const struct nlattr *attr;

	if (!nest)
		return;
	fl_attr_for_each_nested(attr, nest) if (fl_attr_type(attr) <= max) t[fl_attr_type(attr)] =
		attr;
}

static void take_addr(const struct nlattr *v4, const struct nlattr *v6, struct fl_addr *ret)
{
	if (v4 && fl_attr_len(v4) == 4)
		*ret = fl_addr_make(AF_INET, fl_attr_data(v4));
	else if (v6 && fl_attr_len(v6) == 16)
		*ret = fl_addr_make(AF_INET6, fl_attr_data(v6));
}

static uint16_t take_port(const struct nlattr *attr)
{
	return attr ? ntohs(fl_attr_u16(attr)) : 0;
}

static void take_tuple(const struct nlattr *tuple, struct fl_addr *src, struct fl_addr *dst,
		       struct fl_ct_entry *orig)
{
	const struct nlattr *t[CTA_TUPLE_MAX + 1] = { 0 }, *ip[CTA_IP_MAX + 1] = { 0 };
	const struct nlattr *proto[CTA_PROTO_MAX + 1] = { 0 };

	index_nested(tuple, t, CTA_TUPLE_MAX);
	index_nested(t[CTA_TUPLE_IP], ip, CTA_IP_MAX);
	take_addr(ip[CTA_IP_V4_SRC], ip[CTA_IP_V6_SRC], src);
	take_addr(ip[CTA_IP_V4_DST], ip[CTA_IP_V6_DST], dst);
	if (!orig)
		return;
	index_nested(t[CTA_TUPLE_PROTO], proto, CTA_PROTO_MAX);
	if (proto[CTA_PROTO_NUM])
		orig->proto = fl_attr_u8(proto[CTA_PROTO_NUM]);
	orig->orig_sport = take_port(proto[CTA_PROTO_SRC_PORT]);
	orig->orig_dport = take_port(proto[CTA_PROTO_DST_PORT]);
}

/* The entry's own tuple, zone and id, copied: nothing but this very entry is deleted. */
static int collect(struct collector *c, uint8_t family, const struct nlattr **t)
{
	static const uint16_t keep[] = { CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID };
	struct nlmsghdr *nlh;

	if (c->cap - c->len < REQUEST_MAX) {
		size_t cap = c->cap ? c->cap * 2 : 16384;
		uint8_t *buf = realloc(c->buf, cap);

		if (!buf)
			return -ENOMEM;
		memset(buf + c->cap, 0, cap - c->cap);
		c->buf = buf;
		c->cap = cap;
	}
	nlh = ct_header(c->buf + c->len, IPCTNL_MSG_CT_DELETE, 0, family, 2);
	for (size_t i = 0; i < FL_ARRAY_SIZE(keep); i++)
		if (t[keep[i]] && fl_attr_len(t[keep[i]]) <= 256 / (i + 1))
			fl_attr_put(nlh, t[keep[i]]->nla_type, fl_attr_len(t[keep[i]]),
				    fl_attr_data(t[keep[i]]));
	c->len += nlh->nlmsg_len;
	return 0;
}

static int take_entry(const struct nlmsghdr *nlh, void *arg)
{
	const struct nfgenmsg *nfg = fl_msg_payload(nlh);
	const struct nlattr *t[CTA_MAX + 1] = { 0 }, *attr;
	struct fl_ct_entry e = { 0 };
	struct collector *c = arg;

	fl_attr_for_each(attr, nlh, sizeof(*nfg)) if (fl_attr_type(attr) <= CTA_MAX)
		t[fl_attr_type(attr)] = attr;
	if (!t[CTA_TUPLE_ORIG] || !t[CTA_TUPLE_REPLY])
		return 0;
	take_tuple(t[CTA_TUPLE_ORIG], &e.orig_src, &e.orig_dst, &e);
	take_tuple(t[CTA_TUPLE_REPLY], &e.reply_src, &e.reply_dst, NULL);
	return c->test(&e, c->arg) ? collect(c, nfg->nfgen_family, t) : 0;
}

static int dump(struct fl_nft *nft, uint8_t family, uint8_t proto, struct collector *c,
		struct fl_error *details)
{
	struct fl_ct_match match = { .proto = proto };
	uint8_t buf[REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *nlh = ct_header(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family, 1);
	int r;

	if (proto) {
		put_filter(nlh, &match);
		r = fl_nfnl_talk(nft, nlh, take_entry, c, details);
		if (r != -EINVAL && r != -EOPNOTSUPP)
			return r;
		c->len = 0;
		nlh = ct_header(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, family, 1);
	}
	return fl_nfnl_talk(nft, nlh, take_entry, c, details);
}

/* Reads what is there to read; the first error but ENOENT counts. */
static int drain(struct fl_nft *nft)
{
	uint8_t buf[8192] __attribute__((aligned(8)));
	struct fl_nfnl_ack ack;
	int first = 0;

	for (;;) {
		ssize_t n = fl_nfnl_recv(nft, buf, sizeof(buf));
		int left = (int)n;

		if (n == -EAGAIN)
			return first;
		if (n < 0 && n != -ENOBUFS)
			return (int)n;
		for (struct nlmsghdr *nlh = (void *)buf; left > 0 && fl_msg_ok(nlh, left);
		     nlh = fl_msg_next(nlh, &left)) {
			if (nlh->nlmsg_type != NLMSG_ERROR)
				continue;
			fl_nfnl_parse_ack(nlh, &ack);
			if (ack.err && ack.err != -ENOENT && !first)
				first = ack.err;
		}
	}
}

static int delete_collected(struct fl_nft *nft, const struct collector *c)
{
	int r = 0;

	for (size_t at = 0; at < c->len && !r;) {
		size_t end = at;

		while (end < c->len && end - at < DELETE_CHUNK)
			end += ((const struct nlmsghdr *)(c->buf + end))->nlmsg_len;
		r = fl_nfnl_send(nft, c->buf + at, end - at);
		if (!r)
			r = drain(nft);
		at = end;
	}
	return r;
}

int fl_ct_delete_if(struct fl_nft *nft, uint8_t family, uint8_t proto, fl_ct_test test, void *arg,
		    struct fl_error *err)
{
	struct collector c = { .test = test, .arg = arg };
	struct fl_error details = { 0 };
	int r = dump(nft, family, proto, &c, &details);

	if (!r)
		r = delete_collected(nft, &c);
	free(c.buf);
	if (r) {
		fl_error_errno(err, r, r == -EPERM ? FL_ECODE_PRIVILEGE : FL_ECODE_KERNEL,
			       "conntrack: cannot remove entries");
		fl_error_details(err, details.details);
	}
	return r;
}
