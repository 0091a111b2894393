/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the builder share. */
#pragma once

#include "nft/socket.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>

static inline void put_be32(struct nlmsghdr *nlh, uint16_t type, uint32_t v)
{
	mnl_attr_put_u32(nlh, type, htonl(v));
}

static inline void put_value(struct nlmsghdr *nlh, uint16_t type, const void *value, size_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, len, value);
	mnl_attr_nest_end(nlh, nest);
}

struct nlmsghdr *fl_nft_begin_rule(struct fl_nft_batch *b, uint8_t family);
void fl_nft_end_rule(struct fl_nft_batch *b, struct nlmsghdr *nlh, const char *comment);
void fl_nft_put_verdict(struct nlmsghdr *nlh, uint16_t type, int32_t code, const char *chain);
/* Table, set and the key of one element, as NFT_MSG_GETSETELEM wants them. */
void fl_nft_put_get_elem(struct nlmsghdr *nlh, const struct fl_nft_set *set,
			 const struct fl_nft_elem *e);
