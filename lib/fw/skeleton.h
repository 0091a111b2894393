/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed part of the ruleset: tables, sets, chains and rules, as tables of data. Whoever changes
 * anything here raises FL_FW_VERSION: that is what makes running hosts rebuild. The rules are also
 * run over described packets (fw/trace.c), which has to know each kind of expression.
 */
#pragma once

#include "nft/nft.h"

struct fl_nft_base_chain;

#define FL_FW_TABLE "fairlead"
#define FL_FW_VERSION "4"

/* Accepted packets carry it, for hosts whose own FORWARD policy is drop. */
#define FL_FW_MARK 0x00100000
#define FL_FW_COMMENT "fairlead"

enum fl_fw_set_id {
	FL_FW_BRIDGES,
	FL_FW_SAME_NET,
	FL_FW_ISOLATED,
	FL_FW_INTERNAL,
	FL_FW_NO_ICC,
	FL_FW_GUARDED,
	FL_FW_ROUTED,
	FL_FW_OVERLAYS,
	/* By family: the IPv6 set follows its IPv4 twin. */
	FL_FW_SUBNETS4,
	FL_FW_SUBNETS6,
	FL_FW_HOSTS4,
	FL_FW_HOSTS6,
	FL_FW_SAME_SUBNET4,
	FL_FW_SAME_SUBNET6,
	FL_FW_OVERLAY4,
	FL_FW_OVERLAY6,
	FL_FW_LOCAL4,
	FL_FW_LOCAL6,
	FL_FW_HAIRPIN4,
	FL_FW_HAIRPIN6,
	FL_FW_HAIRPIN_ALL4,
	FL_FW_HAIRPIN_ALL6,
	FL_FW_MASQUERADE4,
	FL_FW_MASQUERADE6,
	FL_FW_SNAT4,
	FL_FW_SNAT6,
	FL_FW_PUBLISH4,
	FL_FW_PUBLISH6,
	FL_FW_PUBLISH4_AT,
	FL_FW_PUBLISH6_AT,
	FL_FW_PUBLISH4_RANGE,
	FL_FW_PUBLISH6_RANGE,
	FL_FW_PUBLISH4_RANGE_AT,
	FL_FW_PUBLISH6_RANGE_AT,
	FL_FW_OPEN4,
	FL_FW_OPEN6,
	FL_FW_OPEN4_RANGE,
	FL_FW_OPEN6_RANGE,
	/* table bridge fairlead */
	FL_FW_CHECKED_PORTS,
	FL_FW_ALLOWED_MACS,
	FL_FW_ANYCAST4,
	FL_FW_ANYCAST6,
	FL_FW_SETS
};

#define FL_FW_FIRST_BRIDGE_SET FL_FW_CHECKED_PORTS

/* Indexed by enum fl_fw_set_id. */
extern const struct fl_nft_set fl_fw_sets[FL_FW_SETS];

/* The chain that masquerades; what the elements of the masquerade maps name. */
extern const char fl_fw_outward[];

/* The i-th chain of table inet, and the i-th rule of a chain of a table; NULL behind the last. */
const char *fl_fw_skeleton_chain(size_t i);
const struct fl_nft_expr *fl_fw_skeleton_rule(uint8_t family, const char *chain, size_t i);

/* Whose name, hook and priority make it one of ours: others may stand in our tables. */
bool fl_fw_skeleton_has(const struct fl_nft_base_chain *c);

/* Fails the batch with -ENOENT unless the table of this family has our version. */
void fl_fw_assert_skeleton(struct fl_nft_batch *b, uint8_t family);
/* Deletes the table of this family; its absence is no error. */
void fl_fw_drop_skeleton(struct fl_nft_batch *b, uint8_t family);
/* Creates table, sets, chains and rules. The table must not exist (fl_fw_drop_skeleton() first). */
void fl_fw_put_skeleton(struct fl_nft_batch *b, uint8_t family);
/* Never has an element: it is there when the table of this family has our version. */
const struct fl_nft_set *fl_fw_version_set(uint8_t family);
/* The rule for foreign FORWARD chains, appended to `ip filter FORWARD` or its IPv6 twin. */
void fl_fw_put_admit_rule(struct fl_nft_batch *b, uint8_t family);
