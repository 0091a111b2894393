/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Removing connection tracking entries (uapi/linux/netfilter/nfnetlink_conntrack.h). */
#pragma once

#include "base/addr.h"
#include "nft/nft.h"

struct fl_ct_entry {
	uint8_t proto;
	uint16_t orig_sport, orig_dport; /* host order; 0 for protocols without ports */
	struct fl_addr orig_src, orig_dst, reply_src, reply_dst;
};

/* What is set must be equal. A source address or the protocol must be set. */
struct fl_ct_match {
	uint8_t family; /* AF_INET or AF_INET6: the kernel filters tuples of one family only */
	uint8_t proto;	/* 0: any */
	uint16_t dport; /* original destination port, host order; 0: any; needs proto */
	struct fl_addr orig_src, orig_dst, reply_src;
};

/*
 * The kernel itself deletes what matches, in one walk of its table. -EOPNOTSUPP (err untouched) on
 * kernels before about 6.11, which do not filter deletions: then fl_ct_delete_if().
 */
int fl_ct_delete_matching(struct fl_nft *nft, const struct fl_ct_match *match,
			  struct fl_error *err);

typedef bool (*fl_ct_test)(const struct fl_ct_entry *entry, void *arg);

/*
 * Dumps the entries of a family (0: both) and `proto` (0: of all; filtered by the kernel since 5.8,
 * so `test` looks at it too) and deletes those for which `test` is true. Entries that vanish
 * meanwhile are not an error.
 */
int fl_ct_delete_if(struct fl_nft *nft, uint8_t family, uint8_t proto, fl_ct_test test, void *arg,
		    struct fl_error *err);
