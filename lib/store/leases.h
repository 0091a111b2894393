/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pools and leases: which address of a pool belongs to whom. No policy here (ipam/ has ranges,
 * gateways and the order of search); only entries that change together.
 *
 * Occupancy is kept three times, each for one question: an entry per address ("whose is it"), a
 * bitmap per 4,096 addresses ("which is the next free one", at the same cost with 1 lease and with
 * 65,000), and an entry per owner ("what does this container hold").
 */
#pragma once

#include "store/store.h"

struct fl_pool {
	uint32_t id;   /* short form of the name in keys, never reused in an environment */
	bool imported; /* the reference's lease directory was read */
};

/*
 * Drivers in the owner of a lease that came from the reference's files. Nobody's endpoint record
 * has them. STALE: the file is older than this boot, so the container is gone unless the clock was
 * wrong.
 */
#define FL_LEASE_IMPORTED "@imported"
#define FL_LEASE_STALE "@stale"

/* -ENOENT (err untouched) when there is no such pool. */
int fl_pool_get(struct fl_txn *t, const char *name, struct fl_pool *ret, struct fl_error *err);
int fl_pool_create(struct fl_txn *t, const char *name, struct fl_pool *ret, struct fl_error *err);
int fl_pool_set_imported(struct fl_txn *t, const char *name, struct fl_pool *pool,
			 struct fl_error *err);

/* Calls fn for each pool, in order of their names, until it returns non-zero, which is returned. */
int fl_pools_each(struct fl_txn *t,
		  int (*fn)(void *arg, const char *name, const struct fl_pool *pool), void *arg,
		  struct fl_error *err);

/* -EEXIST (err untouched) when the address is held. */
int fl_lease_claim(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *addr,
		   const struct fl_endpoint_id *owner, struct fl_error *err);
/* Freeing what nobody holds succeeds. */
int fl_lease_free(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *addr,
		  struct fl_error *err);
/* -ENOENT (err untouched) when the address is free. */
int fl_lease_owner(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *addr,
		   struct fl_endpoint_id *ret, struct fl_error *err);
/* Lowest free address in [from, to]; -ENOENT (err untouched) when all are held. */
int fl_lease_next_free(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *from,
		       const struct fl_addr *to, struct fl_addr *ret, struct fl_error *err);

/* Does (container, ifname) hold a lease? 1, 0 or -errno. */
int fl_leases_held(struct fl_txn *t, const struct fl_pool *pool, const char *container,
		   const char *ifname, struct fl_error *err);
/* Frees what (container, ifname) holds; returns how many, or -errno. */
int fl_leases_free_owner(struct fl_txn *t, const struct fl_pool *pool, const char *container,
			 const char *ifname, struct fl_error *err);

/*
 * Calls fn for each lease with from <= address <= to in order (NULL, NULL: all of the pool) until
 * it returns non-zero, which is returned. In a write transaction fn may free any lease.
 */
typedef int (*fl_lease_fn)(void *arg, const struct fl_addr *addr,
			   const struct fl_endpoint_id *owner);
int fl_leases_each(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *from,
		   const struct fl_addr *to, fl_lease_fn fn, void *arg, struct fl_error *err);

/*
 * Where the search of a range set goes on: the last address given, kept by the set's first address.
 * -ENOENT (err untouched).
 */
int fl_lease_cursor_get(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *set,
			struct fl_addr *ret, struct fl_error *err);
int fl_lease_cursor_put(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *set,
			const struct fl_addr *last, struct fl_error *err);
/* The same by the number that the reference's last_reserved_ip.N has. */
int fl_lease_imported_cursor_get(struct fl_txn *t, const struct fl_pool *pool, uint8_t n,
				 struct fl_addr *ret, struct fl_error *err);
int fl_lease_imported_cursor_put(struct fl_txn *t, const struct fl_pool *pool, uint8_t n,
				 const struct fl_addr *last, struct fl_error *err);
