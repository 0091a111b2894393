/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of pools share. */
#pragma once

#include "overlay/pool.h"

/* Where memory runs out, the default ends the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Where new blocks are looked for: of an IPv6 subnet the first 2^30 addresses. */
#define BLOCKS_MAX (1u << 24)

/* An address of a small subnet. */
struct slot {
	struct fl_rec_ip *known;   /* NULL: no key */
	struct fl_rec_ip *pending; /* what it is to become; NULL: nothing is staged */
	int64_t revision;	   /* of `known` */
	int64_t decided;	   /* `revision` when `pending` was */
	const struct fl_ippool_batch *batch;
	uint32_t seen; /* by which list */
};

/* Blocks with an address that nobody has, by owner: where a choice looks. */
enum set { SET_OWN, SET_NOBODYS, SET_OTHERS, SETS, SET_NONE = SETS };

struct block {
	UT_hash_handle hh;
	struct fl_addr addr;
	struct fl_rec_blk rec; /* as known; zero when there is no key */
	bool exists;
	int64_t revision;
	uint64_t reserved;
	uint64_t take, give;	 /* staged */
	uint64_t taking, giving; /* in `batch` */
	int64_t at;		 /* when the last of them was staged */
	uint8_t next;
	const struct fl_ippool_batch *batch;
	uint32_t seen;
	enum set set;
	size_t pos; /* in the set */
};

struct set_of_blocks {
	struct block **v;
	size_t n;
};

struct fl_ippool {
	char net[FL_REC_ID_MAX + 1], node[FL_REC_ID_MAX + 1];
	struct fl_prefix subnet;
	struct fl_addr last, gateway;
	uint32_t list, epoch; /* lists begun; of which stores */
	/* small */
	struct slot *slots;
	size_t n_slots;
	uint64_t free[FL_IPPOOL_SMALL / 64]; /* no key, nothing staged, not reserved */
	/* with blocks */
	struct block *blocks;
	size_t room; /* of each set */
	struct set_of_blocks sets[SETS];
	uint64_t n_blocks; /* that may be made */
	size_t own;	   /* position in SET_OWN of the last one used */
};

struct item {
	struct fl_ippool_write write;
	struct fl_ippool *pool;
	struct slot *slot; /* or */
	struct block *block;
	uint32_t epoch;
};

struct fl_ippool_batch {
	struct item *v;
	size_t n, room;
};

static inline bool is_reserved(const struct fl_ippool *p, const struct fl_addr *a)
{
	return fl_addr_eq(a, &p->subnet.addr) || fl_addr_eq(a, &p->gateway) ||
	       (a->family == AF_INET && fl_addr_eq(a, &p->last));
}

static inline bool is_freed(const struct slot *s)
{
	return s->known && s->known->use == FL_REC_USE_FREED;
}

static inline bool is_used(const struct slot *s)
{
	return s->known && s->known->use != FL_REC_USE_FREED;
}

/* Clocks of nodes differ: a time that lies a little ahead counts, too. */
static inline bool in_quarantine(const struct fl_rec_blk *b, unsigned n, int64_t now)
{
	int64_t at = b->released[n];

	return at > 0 && at > now - FL_IPPOOL_QUARANTINE && at < now + FL_IPPOOL_QUARANTINE;
}

/* Of a block: nobody has them. */
static inline uint64_t unused(const struct block *b)
{
	return ~(b->rec.used | b->reserved | b->take | b->taking);
}

static inline unsigned bit_of(const struct block *b, const struct fl_addr *a)
{
	return (unsigned)fl_addr_distance(&b->addr, a);
}

/* ---- pool.c ---- */

struct slot *fl_ippool_slot(const struct fl_ippool *p, const struct fl_addr *a);
/* The slot's bit in `free`, after a change. */
void fl_ippool_slot_settle(struct fl_ippool *p, struct slot *s);
struct block *fl_ippool_block_find(const struct fl_ippool *p, const struct fl_addr *a);
/* Makes it when it is not known. NULL: no memory. */
struct block *fl_ippool_block_get(struct fl_ippool *p, const struct fl_addr *a);
/* After a change: the block's set; frees one without key that nothing is staged for. */
void fl_ippool_block_settle(struct fl_ippool *p, struct block *b);
