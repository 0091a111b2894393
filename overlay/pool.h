/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The addresses of one subnet of an overlay network: which are taken, as the cluster's store says,
 * which to take next, and what has to be compared and written for that. Pure: no clock, no store.
 *
 * A subnet of at most FL_IPPOOL_SMALL addresses is small: each address in use has a key
 * (ip/NET/ADDR), unless the pool is told otherwise. Other subnets have blocks (blk/NET/ADDR-LEN),
 * and no keys of addresses: endpoints', nodes' and requested ones are bits of them. What has no key
 * is free. The subnet's own address, IPv4's broadcast address and the gateway are nobody's.
 *
 * The life of an address:
 *
 *   choose        one that nobody has, staged here: this pool gives it to nobody else
 *   batch_add     into a transaction, with all that its endpoint needs
 *   (the caller)  for each write of the batch: compare key.mod_revision with `expected`, then put
 *                 or delete; on failure read the key
 *   (the caller)  feeds what the failure's reads said
 *   batch_done    won: it is taken; lost: nothing is staged any more, so choose again
 *   release       gives it back: staged, batch_add, batch_done
 *
 * A key is in one batch at a time (-EBUSY: try after a batch_done). So what arrives while a
 * transaction is under way is staged and goes together into the next one: 64 endpoints at once are
 * two transactions, not 64 that fight for a block.
 *
 * What the store says is fed in any order, by watch, by range or by a failed transaction: each
 * key's newest mod_revision counts. Only the store's comparison decides; a pool that knows little
 * chooses badly, never wrongly.
 */
#pragma once

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "cluster/records.h"

enum {
	FL_IPPOOL_SMALL = 1024,
	FL_IPPOOL_BLOCK_BITS = 6,  /* of FL_REC_BLOCK addresses */
	FL_IPPOOL_QUARANTINE = 60, /* seconds: a block's released address; twice a DNS answer's TTL
				      is less */
};

struct fl_ippool;
struct fl_ippool_batch;

struct fl_ippool_config {
	const char *net, *node;	 /* ids; copied */
	struct fl_prefix subnet; /* masked */
	struct fl_addr gateway;	 /* may be unset */
	bool blocks; /* also when it is small, so that a node's addresses lie together */
};

/* -EINVAL: not a masked prefix, or a gateway outside, or blocks that are larger than it; -ENOMEM.
 * Memory: 48 bytes an address of a small subnet; of others, 0.8 KB for each block that was fed. */
int fl_ippool_new(const struct fl_ippool_config *config, struct fl_ippool **ret,
		  struct fl_error *err);
/* Its batches have to be done before. */
void fl_ippool_free(struct fl_ippool *p);
FL_DEFINE_CLEANUP(struct fl_ippool *, fl_ippool_free)
#define FL_AUTOIPPOOL FL_CLEANUP(fl_ippool_free_p)

/* Which keys it has: blk/ (true) or ip/. */
bool fl_ippool_has_blocks(const struct fl_ippool *p);
bool fl_ippool_holds(const struct fl_ippool *p, const struct fl_addr *a);

/* ---- feeding ---- */

/*
 * What a key has, NULL when it has been deleted or was not there, and the mod_revision (of the
 * deletion; of the answer that said that there is none). Older than what is known: ignored. 0;
 * -EINVAL: not a key of this pool (of another subnet), which is ignored; -ENOMEM.
 */
int fl_ippool_ip(struct fl_ippool *p, const struct fl_addr *a, const struct fl_rec_ip *ip,
		 int64_t revision);
int fl_ippool_block(struct fl_ippool *p, const struct fl_prefix *block,
		    const struct fl_rec_blk *blk, int64_t revision);

/*
 * Around the feeding of a whole range: what is not fed in between and is not newer than `revision`
 * (of the range's answer) is gone. `restored`: the store is another or older than it was; what was
 * known counts for nothing, and neither does a batch that is under way.
 */
void fl_ippool_list_begin(struct fl_ippool *p, bool restored);
void fl_ippool_list_end(struct fl_ippool *p, int64_t revision);

/* ---- choosing ---- */

struct fl_ippool_want {
	struct fl_addr addr; /* this one; unset: any */
	struct fl_rec_ip who;
	int64_t now;	 /* seconds since 1970 */
	uint64_t random; /* anew in each call */
};

/*
 * Stages an address. Order: free ones (small: from a random one on; else this node's blocks, each
 * from its `next` on; a new block, where the node's hash leads; one without owner; a free address
 * of another's block), then the one that was released longest ago.
 *
 * -EADDRINUSE (FL_ECODE_CONFLICT): somebody has the wanted one, and the text says who; -EINVAL:
 * it is outside the subnet or nobody's; -ENOSPC (FL_ECODE_EXHAUSTED); -ENOMEM. A wanted address may
 * be one that was released just now.
 */
int fl_ippool_choose(struct fl_ippool *p, const struct fl_ippool_want *want, struct fl_addr *ret,
		     struct fl_error *err);
/*
 * Stages giving it back. -ENOENT: nothing is to be given back: it is not taken, or (small) not by
 * `who`; -EBUSY: something else is staged or under way for it. Of blocks only the address is
 * compared: the caller compares the endpoint's key in the same transaction.
 */
int fl_ippool_release(struct fl_ippool *p, const struct fl_addr *a, const struct fl_rec_ip *who,
		      int64_t now);
/* Undoes what is staged, choice or release, and not in a batch. */
void fl_ippool_cancel(struct fl_ippool *p, const struct fl_addr *a);

/* ---- transactions ---- */

struct fl_ippool_write {
	struct fl_rec_key key;
	int64_t expected; /* the key's mod_revision; 0: there is none */
	bool remove;	  /* delete it; else put: */
	union {
		/* With use "freed": with a lease, which ends the quarantine. */
		struct fl_rec_ip ip;
		struct fl_rec_blk blk;
	};
};

/* For any number of pools; used again after batch_done. NULL: no memory. */
struct fl_ippool_batch *fl_ippool_batch_new(void);
/* What is still in it is lost. */
void fl_ippool_batch_free(struct fl_ippool_batch *b);
FL_DEFINE_CLEANUP(struct fl_ippool_batch *, fl_ippool_batch_free)
#define FL_AUTOIPBATCH FL_CLEANUP(fl_ippool_batch_free_p)

struct fl_ippool_at {
	struct fl_ippool *pool;
	struct fl_addr addr;
};

/*
 * All that is staged for one endpoint, or none of it: 0; -EBUSY: a key is in another batch;
 * -ESTALE: the store says something else by now, and all of these are cancelled: choose (release)
 * again; -ENOMEM. Only before the batch is sent.
 */
int fl_ippool_batch_add(struct fl_ippool_batch *b, const struct fl_ippool_at *at, size_t n);
/* Its writes, one a key, as they are after what was added so far. */
size_t fl_ippool_batch_size(const struct fl_ippool_batch *b);
const struct fl_ippool_write *fl_ippool_batch_write(const struct fl_ippool_batch *b, size_t i);
/*
 * The transaction's outcome, once it is known: after an unknown one the caller reads, feeds, and
 * tells by the endpoint's key which it was. `revision`: of the transaction. Empties the batch.
 */
void fl_ippool_batch_done(struct fl_ippool_batch *b, bool won, int64_t revision);

/*
 * A node leaves, or is swept: adds to a batch, until it has `max` writes, that the node's ip/ keys
 * are freed, that its empty blocks without quarantine are deleted, and that the others have no
 * owner. Its endpoints' addresses have been released before; those still set stay. Node "" deletes
 * the empty blocks without an owner. Returns how many keys are left, because of `max` or since they
 * are in a batch or staged: call again after batch_done; or -ENOMEM.
 */
int64_t fl_ippool_leave(struct fl_ippool *p, const char *node, int64_t now,
			struct fl_ippool_batch *b, size_t max);

/*
 * Addresses that this node has, and bits that are set in its blocks or in those of nobody, and that
 * no endpoint or node has a key for. That is written together with them, so what is known of those
 * keys tells only if it is as new as the address or the block: what was written after revision
 * `known` is left alone.
 */
struct fl_ippool_mend {
	bool (*has_key)(void *arg, const struct fl_addr *a);
	void *arg;
	int64_t known;
	/* told: the newest revision of what was left alone, 0: nothing was; how many are given back
	 */
	int64_t unproven;
	unsigned n;
};
/* Adds giving them back to a batch, until that has `max` writes; NULL only looks. 0 or -ENOMEM. */
int fl_ippool_mend(struct fl_ippool *p, struct fl_ippool_mend *m, int64_t now,
		   struct fl_ippool_batch *b, size_t max);

/* ---- telling ---- */

enum fl_ippool_state {
	FL_IPPOOL_FREE,
	FL_IPPOOL_USED,
	FL_IPPOOL_QUARANTINED,
	FL_IPPOOL_PENDING,  /* chosen here, and not known to be used */
	FL_IPPOOL_RESERVED, /* nobody gets it */
};
/* Of an address of the pool's subnet. */
enum fl_ippool_state fl_ippool_state(const struct fl_ippool *p, const struct fl_addr *a,
				     int64_t now);

/* Of addresses that somebody may have. UINT64_MAX stands for more than it can hold. O(blocks). */
struct fl_ippool_count {
	uint64_t total, used, quarantined;
	uint64_t pending; /* chosen here, and not known to be used */
	uint64_t free;
	uint64_t blocks, own_blocks;
};
struct fl_ippool_count fl_ippool_count(const struct fl_ippool *p, int64_t now);
