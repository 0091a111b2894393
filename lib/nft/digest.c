/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a rule says, in one number that is the same for the rule as we send it and as the kernel
 * tells it: kernels name registers in two ways, and tell defaults that nobody sent.
 */
#include "base/siphash.h"
#include "nft/chains.h"
#include "nft/internal.h"

#include <linux/netfilter/nf_nat.h>

enum { ATTRS = 16 };

struct saying {
	uint8_t buf[2048];
	size_t len;
	bool cut; /* what follows does not fit: never said of ours */
};

static void say(struct saying *s, const void *data, size_t len)
{
	if (len > sizeof(s->buf) - s->len) {
		s->cut = true;
		return;
	}
	if (len)
		memcpy(s->buf + s->len, data, len);
	s->len += len;
}

static void say_attr(struct saying *s, uint16_t type, const void *data, size_t len)
{
	uint16_t head[] = { type, (uint16_t)len };

	say(s, head, sizeof(head));
	say(s, data, len);
}

/* Attributes of an expression that are not plain values. */
struct form {
	const char *name;
	uint32_t registers, data; /* by type */
	uint32_t optional;	  /* absent where it is 0 */
	uint16_t same[2][2];	  /* the first one is left out where it equals the second */
	uint16_t flags;		  /* whose `implied` bits follow from the other attributes */
	uint32_t implied;
};

#define BIT(n) (1u << (n))

static const struct form forms[] = {
	{ .name = "meta", .registers = BIT(NFTA_META_DREG) | BIT(NFTA_META_SREG) },
	{ .name = "ct", .registers = BIT(NFTA_CT_DREG) | BIT(NFTA_CT_SREG) },
	{ .name = "payload", .registers = BIT(NFTA_PAYLOAD_DREG) | BIT(NFTA_PAYLOAD_SREG) },
	{ .name = "fib", .registers = BIT(NFTA_FIB_DREG) },
	{ .name = "cmp", .registers = BIT(NFTA_CMP_SREG), .data = BIT(NFTA_CMP_DATA) },
	{ .name = "bitwise",
	  .registers = BIT(NFTA_BITWISE_SREG) | BIT(NFTA_BITWISE_DREG),
	  .data = BIT(NFTA_BITWISE_MASK) | BIT(NFTA_BITWISE_XOR),
	  .optional = BIT(NFTA_BITWISE_OP) },
	{ .name = "lookup",
	  .registers = BIT(NFTA_LOOKUP_SREG) | BIT(NFTA_LOOKUP_DREG),
	  .optional = BIT(NFTA_LOOKUP_FLAGS) },
	{ .name = "immediate",
	  .registers = BIT(NFTA_IMMEDIATE_DREG),
	  .data = BIT(NFTA_IMMEDIATE_DATA) },
	{ .name = "nat",
	  .registers = BIT(NFTA_NAT_REG_ADDR_MIN) | BIT(NFTA_NAT_REG_ADDR_MAX) |
		       BIT(NFTA_NAT_REG_PROTO_MIN) | BIT(NFTA_NAT_REG_PROTO_MAX),
	  .optional = BIT(NFTA_NAT_FLAGS),
	  .same = { { NFTA_NAT_REG_ADDR_MAX, NFTA_NAT_REG_ADDR_MIN },
		    { NFTA_NAT_REG_PROTO_MAX, NFTA_NAT_REG_PROTO_MIN } },
	  .flags = NFTA_NAT_FLAGS,
	  .implied = NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED },
	{ .name = "masq", .optional = BIT(NFTA_MASQ_FLAGS) },
};

static const struct form *form_of(const char *name)
{
	static const struct form plain;

	for (size_t i = 0; i < FL_ARRAY_SIZE(forms); i++)
		if (!strcmp(forms[i].name, name))
			return &forms[i];
	return &plain;
}

static uint32_t get_u32(const struct nlattr *a)
{
	return fl_attr_is_u32(a) ? ntohl(fl_attr_u32(a)) : 0;
}

/* NFT_REG_1 to 4 are of 16 bytes each, NFT_REG32_00 to 15 are the same by 4 bytes. */
static uint32_t plain_register(uint32_t r)
{
	return r >= NFT_REG_1 && r <= NFT_REG_4 ? NFT_REG32_00 + (r - NFT_REG_1) * 4 : r;
}

/* A value, or a verdict: attributes within attributes, with no flag of nesting in their types. */
static void say_data(struct saying *s, const struct nlattr *nest)
{
	const struct nlattr *a, *v;

	fl_attr_for_each_nested(a, nest)
	{
		if (fl_attr_type(a) != NFTA_DATA_VERDICT) {
			say_attr(s, fl_attr_type(a), fl_attr_data(a), fl_attr_len(a));
			continue;
		}
		fl_attr_for_each_nested(v, a)
			say_attr(s, fl_attr_type(v), fl_attr_data(v), fl_attr_len(v));
	}
}

static bool is_same(const struct form *f, const struct nlattr *const *t, uint16_t type)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(f->same); i++) {
		uint16_t other = f->same[i][1];

		if (other && f->same[i][0] == type && t[other] &&
		    plain_register(get_u32(t[type])) == plain_register(get_u32(t[other])))
			return true;
	}
	return false;
}

static void say_one(struct saying *s, const struct form *f, const struct nlattr *const *t,
		    uint16_t type)
{
	const struct nlattr *a = t[type];
	uint32_t v = fl_attr_is_u32(a) ? get_u32(a) : 1;

	if (f->flags && type == f->flags)
		v &= ~f->implied;
	if ((f->optional & BIT(type) && !v) || is_same(f, t, type))
		return;
	if (f->registers & BIT(type))
		v = plain_register(v);
	if (f->data & BIT(type)) {
		say_attr(s, type, NULL, 0);
		say_data(s, a);
	} else if (fl_attr_is_u32(a)) {
		say_attr(s, type, &v, sizeof(v));
	} else {
		say_attr(s, type, fl_attr_data(a), fl_attr_len(a));
	}
}

static void say_expr(struct saying *s, const struct nlattr *expr)
{
	const struct nlattr *e[NFTA_EXPR_MAX + 1] = { 0 }, *t[ATTRS] = { 0 };
	char name[32] = "";

	fl_nft_index_attrs(expr, e, NFTA_EXPR_MAX);
	if (!e[NFTA_EXPR_NAME])
		return;
	memcpy(name, fl_attr_data(e[NFTA_EXPR_NAME]),
	       fl_attr_len(e[NFTA_EXPR_NAME]) < sizeof(name) ? fl_attr_len(e[NFTA_EXPR_NAME])
							     : sizeof(name) - 1);
	say(s, name, sizeof(name));
	/* It counts, and decides nothing. */
	if (!e[NFTA_EXPR_DATA] || !strcmp(name, "counter") || !strcmp(name, "last"))
		return;
	fl_nft_index_attrs(e[NFTA_EXPR_DATA], t, ATTRS - 1);
	for (uint16_t type = 1; type < ATTRS; type++)
		if (t[type])
			say_one(s, form_of(name), t, type);
}

uint64_t fl_nft_digest(const struct nlattr *expressions)
{
	static const uint8_t key[16];
	struct saying s = { .len = 0 };
	const struct nlattr *expr;

	if (expressions)
		fl_attr_for_each_nested(expr, expressions) say_expr(&s, expr);
	return s.cut ? 0 : fl_siphash(key, s.buf, s.len) | 1;
}

uint64_t fl_nft_rule_digest(const struct fl_nft_expr *exprs)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	const struct nlattr *t[NFTA_RULE_MAX + 1] = { 0 };

	fl_nft_add_rule(&b, NFPROTO_INET, "", "", exprs, NULL);
	if (b.error)
		return 0;
	fl_nft_index_message((const struct nlmsghdr *)(b.buf + b.open), t, NFTA_RULE_MAX);
	return fl_nft_digest(t[NFTA_RULE_EXPRESSIONS]);
}
