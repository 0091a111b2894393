/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/qdisc.h"

#include "base/strbuf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>

#define TICK_SHIFT 6 /* PSCHED_SHIFT: the kernel's ticks are 64 ns since 2.6.30 */
#define NS_PER_S 1000000000u

static void tc_init(struct fl_req *q, int type, int flags, uint32_t ifindex, uint32_t parent,
		    uint32_t handle, uint32_t info)
{
	struct tcmsg t = { .tcm_ifindex = (int)ifindex,
			   .tcm_parent = parent == FL_TC_ROOT ? TC_H_ROOT : parent,
			   .tcm_handle = handle,
			   .tcm_info = info };

	fl_req_init(q, type, flags, &t, sizeof(t));
}

/* What the kernel says when it has not got a scheduler, classifier or action. */
static int missing_option(int r, const char *text, struct fl_error *err)
{
	static const struct {
		const char *says; /* goes on "kind is unknown" or "not found" */
		const char *what, *option;
	} table[] = {
		{ "Specified qdisc", "tbf", "CONFIG_NET_SCH_TBF" },
		{ "Specified qdisc", "htb", "CONFIG_NET_SCH_HTB" },
		{ "Specified qdisc", "ingress", "CONFIG_NET_SCH_INGRESS" },
		{ "TC classifier not found", "u32", "CONFIG_NET_CLS_U32" },
		{ "Failed to load TC action module", "mirred", "CONFIG_NET_ACT_MIRRED" },
	};
	struct fl_error old = err ? *err : (struct fl_error){ 0 };

	for (size_t i = 0; i < FL_ARRAY_SIZE(table); i++)
		if (strstr(old.details, table[i].says) && strstr(text, table[i].what)) {
			fl_error_set(err, r, FL_ECODE_KERNEL,
				     "%s: this kernel has no %s for traffic control (%s)", text,
				     table[i].what, table[i].option);
			fl_error_details(err, old.details);
			break;
		}
	return r;
}

static int tc_do(struct fl_nl *nl, struct fl_req *q, uint32_t ifindex, const char *what,
		 struct fl_error *err)
{
	char text[64];
	int r = fl_nl_do(nl, q, err, "interface %u: %s", ifindex, what);

	snprintf(text, sizeof(text), "interface %u: %s", ifindex, what);
	return r == -ENOENT ? missing_option(r, text, err) : r;
}

/*
 * Time in ticks that so many bytes take at the rate. The kernel multiplies and shifts with what
 * psched_ratecfg_precompute() finds, 31 bits or more, and so does this: of a duration above 274 s
 * only the low 32 bits can be read back, which must then be the very same.
 */
static uint64_t ticks(uint64_t rate, uint32_t bytes)
{
	uint64_t factor = NS_PER_S;
	uint32_t mult = 1;
	int shift = 0;

	if (rate)
		while (mult = (uint32_t)(factor / rate), !(mult >> 31 || factor >> 63)) {
			factor <<= 1;
			shift++;
		}
	return ((uint64_t)bytes * mult) >> shift >> TICK_SHIFT;
}

static uint32_t clamp32(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* The same to be sent, rounded up: at 10 GB/s a tick is 640 bytes, and a burst of 0 lets nothing
 * pass. */
static uint32_t ticks_up(uint64_t rate, uint32_t bytes)
{
	uint64_t ns = (uint64_t)bytes * NS_PER_S / (rate ? rate : 1);

	return ns ? clamp32((ns + (1 << TICK_SHIFT) - 1) >> TICK_SHIFT) : 1;
}

/* With a link layer named the kernel computes by itself and wants no rate table (since 3.8). */
static struct tc_ratespec ratespec(uint64_t rate)
{
	return (struct tc_ratespec){ .linklayer = TC_LINKLAYER_ETHERNET, .rate = clamp32(rate) };
}

static void put_rate64(struct fl_req *q, int attr, uint64_t rate)
{
	if (rate > UINT32_MAX)
		fl_req_put(q, attr, &rate, sizeof(rate));
}

/* ---- tbf ---- */

static uint32_t queue_limit(uint64_t rate, uint32_t burst, uint32_t latency_us)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(rate, (uint64_t)latency_us, &bytes))
		return UINT32_MAX;
	return clamp32(bytes / 1000000 + burst);
}

void fl_tbf_build(struct fl_req *q, uint32_t ifindex, uint32_t parent, uint32_t handle,
		  uint64_t rate, uint32_t burst, uint32_t latency_us)
{
	struct tc_tbf_qopt opt = { .rate = ratespec(rate),
				   .limit = queue_limit(rate, burst, latency_us),
				   .buffer = ticks_up(rate, burst) };

	tc_init(q, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex, parent, handle, 0);
	fl_req_str(q, TCA_KIND, "tbf");
	fl_req_nest(q, TCA_OPTIONS);
	fl_req_put(q, TCA_TBF_PARMS, &opt, sizeof(opt));
	put_rate64(q, TCA_TBF_RATE64, rate);
	fl_req_u32(q, TCA_TBF_BURST, burst);
	fl_req_end(q);
}

int fl_tbf_set(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, uint32_t handle, uint64_t rate,
	       uint32_t burst, uint32_t latency_us, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	if (!rate || !burst)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "interface %u: tbf needs a rate and a burst above 0", ifindex);
	fl_tbf_build(&q, ifindex, parent, handle, rate, burst, latency_us);
	return tc_do(nl, &q, ifindex, "tbf qdisc", err);
}

bool fl_tbf_matches(const struct fl_qdisc *q, uint64_t rate, uint32_t burst)
{
	uint64_t want = ticks(rate, burst);
	/* A millionth, should the kernel round otherwise one day. */
	uint32_t slack = 2 + (want > UINT32_MAX ? 0 : (uint32_t)(want >> 20));
	uint32_t off = q->buffer - (uint32_t)want;

	if (strcmp(q->kind, "tbf") || q->rate != rate)
		return false;
	return off <= slack || -off <= slack;
}

/* ---- htb ---- */

int fl_htb_root(struct fl_nl *nl, uint32_t ifindex, uint32_t handle, uint32_t default_class,
		struct fl_error *err)
{
	struct tc_htb_glob g = { .version = TC_HTB_PROTOVER,
				 .rate2quantum = 10,
				 .defcls = default_class };
	FL_AUTOREQ struct fl_req q = { 0 };

	tc_init(&q, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, FL_TC_ROOT, handle, 0);
	fl_req_str(&q, TCA_KIND, "htb");
	fl_req_nest(&q, TCA_OPTIONS);
	fl_req_put(&q, TCA_HTB_INIT, &g, sizeof(g));
	fl_req_end(&q);
	return tc_do(nl, &q, ifindex, "htb qdisc", err);
}

/* Bytes that a class may send before it is another's turn. Without one the kernel takes a tenth of
 * the rate and writes a warning to its log when that is below 1000 or above 200000. */
static uint32_t quantum(uint64_t rate)
{
	uint64_t v = rate / 10;

	return v < 1514 ? 1514 : v > 200000 ? 200000 : (uint32_t)v;
}

void fl_htb_class_build(struct fl_req *q, uint32_t ifindex, uint32_t parent, uint32_t classid,
			uint64_t rate, uint64_t ceil, uint32_t burst)
{
	struct tc_htb_opt opt = { .rate = ratespec(rate),
				  .ceil = ratespec(ceil),
				  .buffer = ticks_up(rate, burst),
				  .cbuffer = ticks_up(ceil, burst),
				  .quantum = quantum(rate) };

	tc_init(q, RTM_NEWTCLASS, NLM_F_CREATE, ifindex, parent, classid, 0);
	fl_req_str(q, TCA_KIND, "htb");
	fl_req_nest(q, TCA_OPTIONS);
	fl_req_put(q, TCA_HTB_PARMS, &opt, sizeof(opt));
	put_rate64(q, TCA_HTB_RATE64, rate);
	put_rate64(q, TCA_HTB_CEIL64, ceil);
	fl_req_end(q);
}

int fl_htb_class(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, uint32_t classid,
		 uint64_t rate, uint64_t ceil, uint32_t burst, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	if (!rate || !ceil || !burst)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "interface %u: an htb class needs rates and a burst above 0",
				    ifindex);
	fl_htb_class_build(&q, ifindex, parent, classid, rate, ceil, burst);
	return tc_do(nl, &q, ifindex, "htb class", err);
}

/* The kernel gives back the ticks that it was sent, and it was sent fl_htb_class_build()'s. */
bool fl_htb_matches(const struct fl_qdisc *q, uint64_t rate, uint32_t burst)
{
	uint32_t off = q->buffer - ticks_up(rate, burst);

	return !strcmp(q->kind, "htb") && q->rate == rate && (off <= 2 || -off <= 2);
}

/* ---- ingress and filters ---- */

int fl_ingress_add(struct fl_nl *nl, uint32_t ifindex, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	tc_init(&q, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, FL_TC_INGRESS,
		FL_TC_INGRESS_HANDLE, 0);
	fl_req_str(&q, TCA_KIND, "ingress");
	return tc_do(nl, &q, ifindex, "ingress qdisc", err);
}

/* Opens TCA_OPTIONS: the caller adds its own and ends it. */
static void u32_init(struct fl_req *q, uint32_t ifindex, uint32_t parent, uint16_t prio,
		     uint16_t protocol, const struct tc_u32_key *keys, uint8_t n)
{
	struct tc_u32_sel sel;
	char m[sizeof(sel) + 4 * sizeof(*keys)]; /* the keys are the header's flexible array */

	memset(&sel, 0, sizeof(sel)); /* it has a hole, and is sent */
	sel.flags = TC_U32_TERMINAL;
	sel.nkeys = n;
	memcpy(m, &sel, sizeof(sel));
	memcpy(m + sizeof(sel), keys, n * sizeof(*keys));
	tc_init(q, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, ifindex, parent, 0,
		TC_H_MAKE((uint32_t)prio << 16, htons(protocol)));
	fl_req_str(q, TCA_KIND, "u32");
	fl_req_nest(q, TCA_OPTIONS);
	fl_req_put(q, TCA_U32_SEL, m, sizeof(sel) + n * sizeof(*keys));
}

void fl_u32_redirect_build(struct fl_req *q, uint32_t ifindex, uint32_t parent, uint32_t to_ifindex)
{
	const struct tc_u32_key any = { 0 };
	struct tc_mirred m = { .action = TC_ACT_STOLEN,
			       .eaction = TCA_EGRESS_REDIR,
			       .ifindex = to_ifindex };

	u32_init(q, ifindex, parent, 0, ETH_P_ALL, &any, 1);
	fl_req_nest(q, TCA_U32_ACT);
	fl_req_nest(q, 1); /* the first action */
	fl_req_str(q, TCA_ACT_KIND, "mirred");
	fl_req_nest(q, TCA_ACT_OPTIONS);
	fl_req_put(q, TCA_MIRRED_PARMS, &m, sizeof(m));
	fl_req_end(q);
	fl_req_end(q);
	fl_req_end(q);
	fl_req_end(q);
}

int fl_u32_redirect(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, uint32_t to_ifindex,
		    struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_u32_redirect_build(&q, ifindex, parent, to_ifindex);
	return tc_do(nl, &q, ifindex, "u32 filter with mirred action", err);
}

/* Words of the address that the prefix covers; one that matches all for length 0. */
static uint8_t net_keys(const struct fl_prefix *net, int offset, struct tc_u32_key *keys)
{
	struct fl_prefix p = fl_prefix_masked(net);
	uint8_t n = 0;

	do {
		unsigned left = p.len > 32u * n ? p.len - 32u * n : 0;
		uint32_t mask = !left ? 0 : left >= 32 ? UINT32_MAX : ~(UINT32_MAX >> left);

		keys[n] = (struct tc_u32_key){ .mask = htonl(mask), .off = offset + 4 * n };
		memcpy(&keys[n].val, p.addr.b + 4 * n, 4);
		n++;
	} while (32u * n < p.len);
	return n;
}

void fl_u32_class_build(struct fl_req *q, uint32_t ifindex, uint32_t parent, uint16_t prio,
			const struct fl_prefix *net, bool by_source, uint32_t classid)
{
	bool v4 = net->addr.family == AF_INET;
	/* Addresses in the headers of RFC 791 and RFC 8200. */
	int offset = v4 ? (by_source ? 12 : 16) : (by_source ? 8 : 24);
	struct tc_u32_key keys[4];
	uint8_t n = net_keys(net, offset, keys);

	u32_init(q, ifindex, parent, prio, v4 ? ETH_P_IP : ETH_P_IPV6, keys, n);
	fl_req_u32(q, TCA_U32_CLASSID, classid);
	fl_req_end(q);
}

int fl_u32_class(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, uint16_t prio,
		 const struct fl_prefix *net, bool by_source, uint32_t classid,
		 struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_u32_class_build(&q, ifindex, parent, prio, net, by_source, classid);
	return tc_do(nl, &q, ifindex, "u32 filter", err);
}

/* ---- deleting and reading ---- */

int fl_qdisc_del(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	tc_init(&q, RTM_DELQDISC, 0, ifindex, parent, 0, 0);
	r = fl_nl_do(nl, &q, err, "interface %u: delete qdisc", ifindex);
	return r == -ENOENT || r == -ENODEV ? 0 : r;
}

static void set_burst(struct fl_qdisc *d)
{
	d->burst = clamp32((uint64_t)((__extension__(unsigned __int128) d->buffer << TICK_SHIFT) *
				      d->rate / NS_PER_S));
}

static void take_tbf(const struct nlattr *options, struct fl_qdisc *d)
{
	const struct nlattr *a;
	int rest;

	nla_for_each_nested (a, (struct nlattr *)options, rest) {
		if (nla_type(a) == TCA_TBF_PARMS && nla_len(a) >= (int)sizeof(struct tc_tbf_qopt)) {
			const struct tc_tbf_qopt *opt = nla_data(a);

			d->buffer = opt->buffer;
			if (!d->rate)
				d->rate = opt->rate.rate;
		}
		if (nla_type(a) == TCA_TBF_RATE64)
			d->rate = nla_get_u64(a);
	}
	set_burst(d);
}

static void take_htb(const struct nlattr *options, struct fl_qdisc *d)
{
	const struct nlattr *a;
	int rest;

	nla_for_each_nested (a, (struct nlattr *)options, rest) {
		if (nla_type(a) == TCA_HTB_PARMS && nla_len(a) >= (int)sizeof(struct tc_htb_opt)) {
			const struct tc_htb_opt *opt = nla_data(a);

			d->buffer = opt->buffer;
			if (!d->rate)
				d->rate = opt->rate.rate;
		}
		if (nla_type(a) == TCA_HTB_RATE64)
			d->rate = nla_get_u64(a);
	}
	set_burst(d);
}

struct each {
	uint32_t ifindex;
	int (*fn)(void *arg, const struct fl_qdisc *);
	void *arg;
};

static int each_qdisc(void *arg, const struct nlmsghdr *h)
{
	const struct tcmsg *t = NLMSG_DATA(h);
	const struct each *e = arg;
	struct fl_qdisc d = { .ifindex = (uint32_t)t->tcm_ifindex,
			      .handle = t->tcm_handle,
			      .parent = t->tcm_parent == TC_H_ROOT ? FL_TC_ROOT : t->tcm_parent };
	const struct nlattr *a = (const struct nlattr *)((const char *)t + NLMSG_ALIGN(sizeof(*t)));
	int rest = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*t)));

	bool class = h->nlmsg_type == RTM_NEWTCLASS;

	if ((!class && h->nlmsg_type != RTM_NEWQDISC) || (e->ifindex && e->ifindex != d.ifindex))
		return 0;
	/* The kernel puts the kind in front of the options. */
	for (; nla_ok(a, rest); a = nla_next(a, &rest)) {
		if (nla_type(a) == TCA_KIND)
			fl_strcpy(d.kind, sizeof(d.kind), nla_data(a));
		if (nla_type(a) == TCA_OPTIONS && !strcmp(d.kind, "tbf"))
			take_tbf(a, &d);
		if (nla_type(a) == TCA_OPTIONS && class && !strcmp(d.kind, "htb"))
			take_htb(a, &d);
	}
	return e->fn(e->arg, &d);
}

int fl_qdiscs_each(struct fl_nl *nl, uint32_t ifindex,
		   int (*fn)(void *arg, const struct fl_qdisc *), void *arg, struct fl_error *err)
{
	struct tcmsg t = { .tcm_ifindex = (int)ifindex };
	FL_AUTOREQ struct fl_req q = { 0 };
	struct each e = { ifindex, fn, arg };

	fl_req_init(&q, RTM_GETQDISC, NLM_F_DUMP, &t, sizeof(t));
	return fl_nl_ask(nl, &q, each_qdisc, &e, err);
}

static int take_qdisc(void *arg, const struct fl_qdisc *d)
{
	*(struct fl_qdisc *)arg = *d;
	return 0;
}

static int get(struct fl_nl *nl, int type, uint32_t ifindex, uint32_t parent, uint32_t handle,
	       struct fl_qdisc *ret, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	struct fl_qdisc d = { 0 };
	struct each e = { ifindex, take_qdisc, &d };
	int r;

	/* ECHO: the answer is a notification, and without it this socket gets none. ACK: of a
	 * built-in qdisc (noop) there is no notification, but there is always an ack. */
	tc_init(&q, type, NLM_F_ECHO | NLM_F_ACK, ifindex, parent, handle, 0);
	r = fl_nl_ask(nl, &q, each_qdisc, &e, err);
	if (!r && !d.kind[0])
		r = fl_error_set(err, ENOENT, FL_ECODE_KERNEL, "there is none");
	if (!r)
		*ret = d;
	return r;
}

int fl_qdisc_get(struct fl_nl *nl, uint32_t ifindex, uint32_t parent, struct fl_qdisc *ret,
		 struct fl_error *err)
{
	int r = get(nl, RTM_GETQDISC, ifindex, parent, 0, ret, err);

	if (r)
		fl_error_prefix(err, "interface %u: qdisc", ifindex);
	return r;
}

int fl_htb_class_get(struct fl_nl *nl, uint32_t ifindex, uint32_t classid, struct fl_qdisc *ret,
		     struct fl_error *err)
{
	int r = get(nl, RTM_GETTCLASS, ifindex, 0, classid, ret, err);

	if (!r && strcmp(ret->kind, "htb"))
		r = fl_error_set(err, ENOENT, FL_ECODE_KERNEL, "it is of kind %s", ret->kind);
	if (r)
		fl_error_prefix(err, "interface %u: htb class %x:%x", ifindex, classid >> 16,
				classid & 0xffff);
	return r;
}
