/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/rule.h"

#include "base/strbuf.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <netlink/attr.h>

void fl_rule_build(struct fl_req *q, bool add, const struct fl_rule *r)
{
	struct fib_rule_hdr h = { .family = r->family,
				  .src_len = r->src.len,
				  .dst_len = r->dst.len,
				  .table = r->table < 256 ? (uint8_t)r->table : RT_TABLE_UNSPEC,
				  .action = FR_ACT_TO_TBL };

	fl_req_init(q, add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE | NLM_F_EXCL : 0, &h,
		    sizeof(h));
	if (r->src.len)
		fl_req_addr(q, FRA_SRC, &r->src.addr);
	if (r->dst.len)
		fl_req_addr(q, FRA_DST, &r->dst.addr);
	if (r->table)
		fl_req_u32(q, FRA_TABLE, r->table);
	if (r->priority)
		fl_req_u32(q, FRA_PRIORITY, r->priority);
	if (r->iif[0])
		fl_req_str(q, FRA_IIFNAME, r->iif);
	if (r->oif[0])
		fl_req_str(q, FRA_OIFNAME, r->oif);
}

static int change(struct fl_nl *nl, bool add, const struct fl_rule *r, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_rule_build(&q, add, r);
	return fl_nl_do(nl, &q, err, "rule from %s to %s lookup %u%s",
			r->src.len ? fl_prefix_str(&r->src, FL_PREFIX_BUF) : "all",
			r->dst.len ? fl_prefix_str(&r->dst, FL_PREFIX_BUF) : "all", r->table,
			add ? "" : ": delete");
}

int fl_rule_add(struct fl_nl *nl, const struct fl_rule *r, struct fl_error *err)
{
	return change(nl, true, r, err);
}

int fl_rule_del(struct fl_nl *nl, const struct fl_rule *r, struct fl_error *err)
{
	int res = change(nl, false, r, err);

	return res == -ENOENT ? 0 : res;
}

static void take_addr(const struct nlattr *a, struct fl_prefix *ret)
{
	int family = ret->addr.family;

	if (nla_len(a) == (family == AF_INET ? 4 : 16))
		ret->addr = fl_addr_make(family, nla_data(a));
}

static void take_attr(const struct nlattr *a, struct fl_rule *r)
{
	switch (nla_type(a)) {
	case FRA_SRC:
		take_addr(a, &r->src);
		break;
	case FRA_DST:
		take_addr(a, &r->dst);
		break;
	case FRA_TABLE:
		r->table = nla_get_u32(a);
		break;
	case FRA_PRIORITY:
		r->priority = nla_get_u32(a);
		break;
	case FRA_IIFNAME:
		fl_strcpy(r->iif, sizeof(r->iif), nla_data(a));
		break;
	case FRA_OIFNAME:
		fl_strcpy(r->oif, sizeof(r->oif), nla_data(a));
		break;
	case FRA_L3MDEV:
		r->other |= nla_get_u8(a);
		break;
	case FRA_SUPPRESS_PREFIXLEN: /* always given */
	case FRA_SUPPRESS_IFGROUP:
		r->other |= nla_get_u32(a) != UINT32_MAX;
		break;
	case FRA_PROTOCOL: /* who made it */
	case FRA_UNSPEC:
	case FRA_PAD:
		break;
	default:
		r->other = true;
		break;
	}
}

struct each {
	int (*fn)(void *arg, const struct fl_rule *);
	void *arg;
};

static int each_rule(void *arg, const struct nlmsghdr *h)
{
	const struct fib_rule_hdr *f = NLMSG_DATA(h);
	const struct each *e = arg;
	struct fl_rule r = { .family = f->family, .table = f->table };
	const struct nlattr *a = (const struct nlattr *)((const char *)f + NLMSG_ALIGN(sizeof(*f)));
	int rest = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*f)));

	if (h->nlmsg_type != RTM_NEWRULE)
		return 0;
	r.src = (struct fl_prefix){ { .family = f->family }, f->src_len };
	r.dst = (struct fl_prefix){ { .family = f->family }, f->dst_len };
	r.other = f->action != FR_ACT_TO_TBL || f->tos || f->flags & FIB_RULE_INVERT;
	for (; nla_ok(a, rest); a = nla_next(a, &rest))
		take_attr(a, &r);
	return e->fn(e->arg, &r);
}

int fl_rules_each(struct fl_nl *nl, int family, int (*fn)(void *arg, const struct fl_rule *),
		  void *arg, struct fl_error *err)
{
	struct fib_rule_hdr h = { .family = (uint8_t)family };
	FL_AUTOREQ struct fl_req q = { 0 };
	struct each e = { fn, arg };

	fl_req_init(&q, RTM_GETRULE, NLM_F_DUMP, &h, sizeof(h));
	return fl_nl_ask(nl, &q, each_rule, &e, err);
}
