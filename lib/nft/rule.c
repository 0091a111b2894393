/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules: from our expressions to the kernel's attributes (uapi/linux/netfilter/nf_tables.h). */
#include "nft/internal.h"

#include <endian.h>

void fl_nft_put_verdict(struct nlmsghdr *nlh, uint16_t type, int32_t code, const char *chain)
{
	struct nlattr *nest = fl_attr_nest_start(nlh, type);
	struct nlattr *verdict = fl_attr_nest_start(nlh, NFTA_DATA_VERDICT);

	put_be32(nlh, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		fl_attr_put_strz(nlh, NFTA_VERDICT_CHAIN, chain);
	fl_attr_nest_end(nlh, verdict);
	fl_attr_nest_end(nlh, nest);
}

static void put_meta(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_META_KEY, e->key);
	put_be32(nlh, NFTA_META_DREG, e->reg);
}

static void put_meta_set(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_META_KEY, e->key);
	put_be32(nlh, NFTA_META_SREG, e->reg);
}

static void put_ct(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_CT_KEY, e->key);
	put_be32(nlh, NFTA_CT_DREG, e->reg);
}

static void put_payload(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_PAYLOAD_DREG, e->reg);
	put_be32(nlh, NFTA_PAYLOAD_BASE, e->key);
	put_be32(nlh, NFTA_PAYLOAD_OFFSET, e->offset);
	put_be32(nlh, NFTA_PAYLOAD_LEN, e->len);
}

static void put_fib(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_FIB_DREG, e->reg);
	put_be32(nlh, NFTA_FIB_RESULT, e->key);
	put_be32(nlh, NFTA_FIB_FLAGS, (uint32_t)e->code);
}

static void put_cmp(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_CMP_SREG, e->reg);
	put_be32(nlh, NFTA_CMP_OP, e->key);
	put_value(nlh, NFTA_CMP_DATA, e->value, e->len);
}

static void put_bitwise(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_BITWISE_SREG, e->reg);
	put_be32(nlh, NFTA_BITWISE_DREG, e->reg);
	put_be32(nlh, NFTA_BITWISE_LEN, e->len);
	put_value(nlh, NFTA_BITWISE_MASK, e->mask, e->len);
	put_value(nlh, NFTA_BITWISE_XOR, e->value, e->len);
}

static void put_lookup(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	fl_attr_put_strz(nlh, NFTA_LOOKUP_SET, e->name);
	put_be32(nlh, NFTA_LOOKUP_SREG, e->reg);
	if (e->map)
		put_be32(nlh, NFTA_LOOKUP_DREG, e->dreg);
	if (e->code)
		put_be32(nlh, NFTA_LOOKUP_FLAGS, (uint32_t)e->code);
}

static void put_immediate(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	fl_nft_put_verdict(nlh, NFTA_IMMEDIATE_DATA, e->code, e->name);
}

static void put_nat(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_NAT_TYPE, e->key);
	put_be32(nlh, NFTA_NAT_FAMILY, e->family);
	put_be32(nlh, NFTA_NAT_REG_ADDR_MIN, e->reg);
	if (e->dreg)
		put_be32(nlh, NFTA_NAT_REG_PROTO_MIN, e->dreg);
	if (e->code)
		put_be32(nlh, NFTA_NAT_FLAGS, (uint32_t)e->code);
}

static void put_masq(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	if (e->code)
		put_be32(nlh, NFTA_MASQ_FLAGS, (uint32_t)e->code);
}

static void put_counter(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	(void)e;
	fl_attr_put_u64(nlh, NFTA_COUNTER_BYTES, 0);
	fl_attr_put_u64(nlh, NFTA_COUNTER_PACKETS, 0);
}

static void put_notrack(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	(void)nlh;
	(void)e;
}

static void put_load(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_IMMEDIATE_DREG, e->reg);
	put_value(nlh, NFTA_IMMEDIATE_DATA, e->value, e->len);
}

static void put_payload_set(struct nlmsghdr *nlh, const struct fl_nft_expr *e)
{
	put_be32(nlh, NFTA_PAYLOAD_SREG, e->reg);
	put_be32(nlh, NFTA_PAYLOAD_BASE, e->key);
	put_be32(nlh, NFTA_PAYLOAD_OFFSET, e->offset);
	put_be32(nlh, NFTA_PAYLOAD_LEN, e->len);
	put_be32(nlh, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
	put_be32(nlh, NFTA_PAYLOAD_CSUM_OFFSET, (uint32_t)e->code);
}

static const struct {
	const char *name;
	void (*put)(struct nlmsghdr *nlh, const struct fl_nft_expr *e);
} ops[] = {
	[FL_NFT_META] = { "meta", put_meta },
	[FL_NFT_META_SET] = { "meta", put_meta_set },
	[FL_NFT_CT] = { "ct", put_ct },
	[FL_NFT_PAYLOAD] = { "payload", put_payload },
	[FL_NFT_FIB] = { "fib", put_fib },
	[FL_NFT_CMP] = { "cmp", put_cmp },
	[FL_NFT_BITWISE] = { "bitwise", put_bitwise },
	[FL_NFT_LOOKUP] = { "lookup", put_lookup },
	[FL_NFT_IMMEDIATE] = { "immediate", put_immediate },
	[FL_NFT_NAT] = { "nat", put_nat },
	[FL_NFT_MASQ] = { "masq", put_masq },
	[FL_NFT_COUNTER] = { "counter", put_counter },
	[FL_NFT_NOTRACK] = { "notrack", put_notrack },
	[FL_NFT_LOAD] = { "immediate", put_load },
	[FL_NFT_PAYLOAD_SET] = { "payload", put_payload_set },
};

void fl_nft_add_rule(struct fl_nft_batch *b, uint8_t family, const char *table, const char *chain,
		     const struct fl_nft_expr *exprs, const char *comment)
{
	struct nlmsghdr *nlh = fl_nft_begin_rule(b, family);
	struct nlattr *list, *elem, *data;

	if (!nlh)
		return;
	fl_attr_put_strz(nlh, NFTA_RULE_TABLE, table);
	fl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	if (b->before)
		fl_attr_put_u64(nlh, NFTA_RULE_POSITION, htobe64(b->before));
	b->before = 0;
	list = fl_attr_nest_start(nlh, NFTA_RULE_EXPRESSIONS);
	for (const struct fl_nft_expr *e = exprs; e->op != FL_NFT_END; e++) {
		elem = fl_attr_nest_start(nlh, NFTA_LIST_ELEM);
		fl_attr_put_strz(nlh, NFTA_EXPR_NAME, ops[e->op].name);
		data = fl_attr_nest_start(nlh, NFTA_EXPR_DATA);
		ops[e->op].put(nlh, e);
		fl_attr_nest_end(nlh, data);
		fl_attr_nest_end(nlh, elem);
	}
	fl_attr_nest_end(nlh, list);
	fl_nft_end_rule(b, nlh, comment);
}
