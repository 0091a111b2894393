/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the builder share. */
#pragma once

#include "nft/socket.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>

static inline void put_be32(struct nlmsghdr *nlh, uint16_t type, uint32_t v)
{
	fl_attr_put_u32(nlh, type, htonl(v));
}

static inline void put_value(struct nlmsghdr *nlh, uint16_t type, const void *value, size_t len)
{
	struct nlattr *nest = fl_attr_nest_start(nlh, type);

	fl_attr_put(nlh, NFTA_DATA_VALUE, len, value);
	fl_attr_nest_end(nlh, nest);
}

struct nlmsghdr *fl_nft_begin_rule(struct fl_nft_batch *b, uint8_t family);
void fl_nft_end_rule(struct fl_nft_batch *b, struct nlmsghdr *nlh, const char *comment);
/* Of NFTA_RULE_EXPRESSIONS; NULL for a rule without. */
uint64_t fl_nft_digest(const struct nlattr *expressions);
void fl_nft_put_verdict(struct nlmsghdr *nlh, uint16_t type, int32_t code, const char *chain);
/* Table, set and the key of one element, as NFT_MSG_GETSETELEM wants them. */
void fl_nft_put_get_elem(struct nlmsghdr *nlh, const struct fl_nft_set *set,
			 const struct fl_nft_elem *e);

/* ---- reading ---- */

#define FL_NFT_REQUEST_MAX 1024

static inline struct nlmsghdr *fl_nft_request(uint8_t *buf, unsigned message, uint16_t flags,
					      uint8_t family)
{
	return fl_nfnl_header(buf, NFNL_SUBSYS_NFTABLES, message, flags, family, 0, 1);
}

/* Attributes by type; those above `max` are ignored. */
static inline void fl_nft_index_attrs(const struct nlattr *nest, const struct nlattr **table,
				      size_t max)
{
	const struct nlattr *attr;

	fl_attr_for_each_nested(attr, nest) if (fl_attr_type(attr) <= max)
		table[fl_attr_type(attr)] = attr;
}

static inline void fl_nft_index_message(const struct nlmsghdr *nlh, const struct nlattr **table,
					size_t max)
{
	const struct nlattr *attr;

	fl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg)) if (fl_attr_type(attr) <= max)
		table[fl_attr_type(attr)] = attr;
}

struct fl_nft_found;
void fl_nft_read_elem(const struct nlattr *elem, struct fl_nft_found *ret);
/* Of NFTA_*_USERDATA; "" is left as it is when there is no comment. */
void fl_nft_copy_comment(const struct nlattr *attr, char *dst, size_t size);
