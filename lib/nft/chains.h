/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading chains and rules, other people's too: as much of a rule as it takes to tell whether every
 * packet is subject to its verdict.
 */
#pragma once

#include "nft/nft.h"

#include <net/if.h>

#define FL_NFT_DEVICES 8
#define FL_NFT_NAME 256 /* of tables and chains, with the NUL: NFT_NAME_MAXLEN */

struct fl_nft_base_chain {
	uint8_t family;
	char table[FL_NFT_NAME], name[FL_NFT_NAME];
	uint32_t hook; /* NF_INET_..., which NF_BR_... equal; of family netdev NF_NETDEV_... */
	/* At ingress and egress: which links it is at; n may be more than are named. */
	char devices[FL_NFT_DEVICES][IFNAMSIZ + 1]; /* "eth*": all that begin so */
	size_t n_devices;
	int32_t priority;
	uint32_t policy; /* NF_ACCEPT or NF_DROP */
	uint32_t rules;	 /* how many */
};

struct fl_nft_base_chains {
	struct fl_nft_base_chain *v;
	size_t n, cap;
};

void fl_nft_base_chains_clear(struct fl_nft_base_chains *l);
#define FL_AUTONFTCHAINS FL_CLEANUP(fl_nft_base_chains_clear)

/* Every base chain of the namespace; one dump, proportional to the number of all chains. */
int fl_nft_list_base_chains(struct fl_nft *nft, struct fl_nft_base_chains *ret,
			    struct fl_error *err);
/* -ENOENT (err untouched) when there is none of that name. */
int fl_nft_get_base_chain(struct fl_nft *nft, uint8_t family, const char *table, const char *chain,
			  struct fl_nft_base_chain *ret, struct fl_error *err);

enum fl_nft_effect {
	FL_NFT_GOES_ON, /* no verdict, or one that we do not know */
	FL_NFT_ACCEPTS,
	FL_NFT_DROPS,
	FL_NFT_REJECTS,
	FL_NFT_JUMPS,
	FL_NFT_GOES_TO,
	FL_NFT_RETURNS,
};

/* What of native expressions and of iptables-nft's extensions decides about the packet. */
struct fl_nft_rule {
	uint64_t handle;
	enum fl_nft_effect effect;
	char target[FL_NFT_NAME]; /* chain of FL_NFT_JUMPS and FL_NFT_GOES_TO */
	bool conditional;	  /* may not apply to every packet */
	uint32_t mark, mark_mask; /* mask not 0: conditional on (mark & mask) == mark alone */
	char comment[FL_NFT_COMMENT_MAX + 1];
	uint64_t digest; /* as fl_nft_rule_digest() */
};

struct fl_nft_rules {
	struct fl_nft_rule *v;
	size_t n, cap;
};

void fl_nft_rules_clear(struct fl_nft_rules *l);
#define FL_AUTONFTRULES FL_CLEANUP(fl_nft_rules_clear)

/* The rules of a chain, in order. What *ret held is released on success. */
int fl_nft_list_rules(struct fl_nft *nft, uint8_t family, const char *table, const char *chain,
		      struct fl_nft_rules *ret, struct fl_error *err);

/*
 * Equal for two rules with the same expressions, as fl_nft_add_rule() would send them or as the
 * kernel lists them; what their counters have counted, and comments, do not matter. 0 when it
 * cannot be told: memory is short, or the rule is longer than any of ours.
 */
uint64_t fl_nft_rule_digest(const struct fl_nft_expr *exprs);
