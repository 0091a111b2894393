/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys of the leases table, all behind the pool's number (4 bytes):
 *   'a' family address               -> the owner's endpoint key
 *   'b' family address of the chunk  -> bitmap of the chunk, absent while it has no lease
 *   'c' family first address of set  -> family and address given last
 *   'l' number                       -> the same, from the reference's last_reserved_ip.N
 *   'o' container NUL ifname NUL family address -> nothing
 */
#include "store/leases.h"
#include "store/private.h"

#include <errno.h>
#include <string.h>

#define CHUNK_BITS 12
#define CHUNK_ADDRS (1u << CHUNK_BITS)
#define CHUNK_BYTES (CHUNK_ADDRS / 8)
#define HEAD 5 /* bytes of a key before its own part: pool and kind */
#define NEXT_POOL_KEY "next-pool"

/* ---- pools: the name -> number (4 bytes), imported (1 byte) ---- */

static struct fl_bytes str_bytes(const char *s)
{
	return (struct fl_bytes){ s, strlen(s) };
}

static int put_pool(struct fl_txn *t, const char *name, const struct fl_pool *pool,
		    struct fl_error *err)
{
	struct fl_key val = { 0 };

	fl_key_u32(&val, pool->id);
	fl_key_u8(&val, pool->imported);
	return fl_put(t, FL_TABLE_POOLS, str_bytes(name), fl_key_done(&val), err);
}

static int damaged(struct fl_error *err)
{
	return fl_error_set(err, EBADMSG, FL_ECODE_STORE,
			    "state: an entry of the address pools is damaged");
}

int fl_pool_get(struct fl_txn *t, const char *name, struct fl_pool *ret, struct fl_error *err)
{
	struct fl_bytes val;
	const uint8_t *b;
	int r = fl_get(t, FL_TABLE_POOLS, str_bytes(name), &val, err);

	if (r)
		return r;
	if (val.len != 5)
		return damaged(err);
	b = val.p;
	*ret = (struct fl_pool){ fl_get_u32(b), b[4] };
	return 0;
}

int fl_pool_create(struct fl_txn *t, const char *name, struct fl_pool *ret, struct fl_error *err)
{
	struct fl_pool pool = { .id = 1 };
	struct fl_key next = { 0 };
	struct fl_bytes val;
	int r = fl_get(t, FL_TABLE_META, str_bytes(NEXT_POOL_KEY), &val, err);

	if (r && r != -ENOENT)
		return r;
	if (!r && val.len != 4)
		return damaged(err);
	if (!r)
		pool.id = fl_get_u32(val.p);
	fl_key_u32(&next, pool.id + 1);
	r = fl_put(t, FL_TABLE_META, str_bytes(NEXT_POOL_KEY), fl_key_done(&next), err);
	if (!r)
		r = put_pool(t, name, &pool, err);
	if (!r)
		*ret = pool;
	return r;
}

int fl_pool_set_imported(struct fl_txn *t, const char *name, struct fl_pool *pool,
			 struct fl_error *err)
{
	struct fl_pool next = { pool->id, true };
	int r = put_pool(t, name, &next, err);

	if (!r)
		*pool = next;
	return r;
}

struct pools_walk {
	int (*fn)(void *arg, const char *name, const struct fl_pool *pool);
	void *arg;
	struct fl_error *err;
};

static int one_pool(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	struct pools_walk *w = arg;
	struct fl_pool pool;
	char name[512];

	if (val.len != 5 || key.len >= sizeof(name))
		return damaged(w->err);
	memcpy(name, key.p, key.len);
	name[key.len] = '\0';
	pool = (struct fl_pool){ fl_get_u32(val.p), ((const uint8_t *)val.p)[4] };
	return w->fn(w->arg, name, &pool);
}

int fl_pools_each(struct fl_txn *t,
		  int (*fn)(void *arg, const char *name, const struct fl_pool *pool), void *arg,
		  struct fl_error *err)
{
	struct pools_walk w = { fn, arg, err };

	return fl_each(t, FL_TABLE_POOLS, (struct fl_bytes){ NULL, 0 }, one_pool, &w, err);
}

/* ---- keys ---- */

static void pool_key(struct fl_key *k, const struct fl_pool *pool, char kind)
{
	k->len = 0;
	k->overflow = false;
	fl_key_u32(k, pool->id);
	fl_key_u8(k, (uint8_t)kind);
}

static struct fl_bytes addr_key(struct fl_key *k, const struct fl_pool *pool, char kind,
				const struct fl_addr *a)
{
	pool_key(k, pool, kind);
	fl_key_addr(k, a);
	return fl_key_done(k);
}

/* The prefix of everything that (container, ifname) holds. */
static void owner_prefix(struct fl_key *k, const struct fl_pool *pool, const char *container,
			 const char *ifname)
{
	pool_key(k, pool, 'o');
	fl_key_str(k, container, false);
	fl_key_str(k, ifname, false);
}

/* Reads what fl_key_addr() wrote. */
static int parse_addr(const uint8_t *b, size_t len, struct fl_addr *ret, struct fl_error *err)
{
	if (len == 5 && b[0] == 4)
		*ret = fl_addr_make(AF_INET, b + 1);
	else if (len == 17 && b[0] == 6)
		*ret = fl_addr_make(AF_INET6, b + 1);
	else
		return damaged(err);
	return 0;
}

/* ---- bitmaps ---- */

/* Position of the address in its chunk. */
static unsigned chunk_bit(const struct fl_addr *a)
{
	size_t n = fl_addr_len(a);

	return (unsigned)(a->b[n - 2] << 8 | a->b[n - 1]) & (CHUNK_ADDRS - 1);
}

static struct fl_addr chunk_base(struct fl_addr a)
{
	return fl_addr_sub(a, chunk_bit(&a));
}

/* -ENOENT when no address of the chunk is held. */
static int get_chunk(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *a,
		     const uint8_t **ret, struct fl_error *err)
{
	struct fl_addr base = chunk_base(*a);
	struct fl_bytes val;
	struct fl_key k;
	int r = fl_get(t, FL_TABLE_LEASES, addr_key(&k, pool, 'b', &base), &val, err);

	if (r)
		return r;
	if (val.len != CHUNK_BYTES)
		return damaged(err);
	*ret = val.p;
	return 0;
}

static int mark(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *a, bool held,
		struct fl_error *err)
{
	static const uint8_t empty[CHUNK_BYTES];
	struct fl_addr base = chunk_base(*a);
	unsigned bit = chunk_bit(a);
	const uint8_t *old = empty;
	uint8_t map[CHUNK_BYTES];
	struct fl_key k;
	int r = get_chunk(t, pool, a, &old, err);

	if (r && r != -ENOENT)
		return r;
	memcpy(map, old, sizeof(map));
	if (held)
		map[bit / 8] |= (uint8_t)(1u << bit % 8);
	else
		map[bit / 8] &= (uint8_t) ~(1u << bit % 8);
	addr_key(&k, pool, 'b', &base);
	if (!memcmp(map, empty, sizeof(map)))
		return fl_del(t, FL_TABLE_LEASES, fl_key_done(&k), err);
	return fl_put(t, FL_TABLE_LEASES, fl_key_done(&k), (struct fl_bytes){ map, sizeof(map) },
		      err);
}

/* First clear bit in [bit, CHUNK_ADDRS), or CHUNK_ADDRS. */
static unsigned first_clear(const uint8_t *map, unsigned bit)
{
	while (bit < CHUNK_ADDRS) {
		if (bit % 8 == 0 && map[bit / 8] == 0xff)
			bit += 8;
		else if (map[bit / 8] & 1u << bit % 8)
			bit++;
		else
			break;
	}
	return bit;
}

int fl_lease_next_free(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *from,
		       const struct fl_addr *to, struct fl_addr *ret, struct fl_error *err)
{
	struct fl_addr a = *from;

	while (fl_addr_cmp(&a, to) <= 0) {
		struct fl_addr base = chunk_base(a), last = fl_addr_add(base, CHUNK_ADDRS - 1);
		unsigned bit = chunk_bit(&a);
		const uint8_t *map;
		int r = get_chunk(t, pool, &a, &map, err);

		if (r && r != -ENOENT)
			return r;
		if (!r)
			bit = first_clear(map, bit);
		if (bit < CHUNK_ADDRS) {
			a = fl_addr_add(base, bit);
			if (fl_addr_cmp(&a, to) > 0)
				break;
			*ret = a;
			return 0;
		}
		/* The end of the family's space must not lead back to its beginning. */
		if (fl_addr_cmp(&last, to) >= 0)
			break;
		a = fl_addr_add(last, 1);
	}
	return -ENOENT;
}

/* ---- leases ---- */

int fl_lease_owner(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *addr,
		   struct fl_endpoint_id *ret, struct fl_error *err)
{
	struct fl_bytes val;
	struct fl_key k;
	int r = fl_get(t, FL_TABLE_LEASES, addr_key(&k, pool, 'a', addr), &val, err);

	return r ? r : fl_key_endpoint_parse(val, ret, err);
}

int fl_lease_claim(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *addr,
		   const struct fl_endpoint_id *owner, struct fl_error *err)
{
	struct fl_key k, val = { 0 };
	struct fl_bytes old;
	int r = fl_get(t, FL_TABLE_LEASES, addr_key(&k, pool, 'a', addr), &old, err);

	if (r != -ENOENT)
		return r ? r : -EEXIST;
	fl_key_endpoint(&val, owner);
	r = fl_put(t, FL_TABLE_LEASES, fl_key_done(&k), fl_key_done(&val), err);
	if (r)
		return r;
	owner_prefix(&k, pool, owner->container, owner->ifname);
	fl_key_addr(&k, addr);
	r = fl_put(t, FL_TABLE_LEASES, fl_key_done(&k), (struct fl_bytes){ "", 0 }, err);
	return r ? r : mark(t, pool, addr, true, err);
}

int fl_lease_free(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *addr,
		  struct fl_error *err)
{
	struct fl_endpoint_id owner;
	struct fl_key k;
	int r = fl_lease_owner(t, pool, addr, &owner, err);

	if (r)
		return r == -ENOENT ? 0 : r;
	r = fl_del(t, FL_TABLE_LEASES, addr_key(&k, pool, 'a', addr), err);
	if (r)
		return r;
	owner_prefix(&k, pool, owner.container, owner.ifname);
	fl_key_addr(&k, addr);
	r = fl_del(t, FL_TABLE_LEASES, fl_key_done(&k), err);
	return r ? r : mark(t, pool, addr, false, err);
}

int fl_leases_held(struct fl_txn *t, const struct fl_pool *pool, const char *container,
		   const char *ifname, struct fl_error *err)
{
	struct fl_bytes key, val;
	struct fl_key k;
	int r;

	owner_prefix(&k, pool, container, ifname);
	r = fl_seek(t, FL_TABLE_LEASES, fl_key_done(&k), &key, &val, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	return fl_bytes_start(key, fl_key_done(&k));
}

int fl_leases_free_owner(struct fl_txn *t, const struct fl_pool *pool, const char *container,
			 const char *ifname, struct fl_error *err)
{
	struct fl_key prefix;
	int n = 0;

	owner_prefix(&prefix, pool, container, ifname);
	for (;; n++) {
		struct fl_bytes key, val;
		struct fl_addr addr;
		int r = fl_seek(t, FL_TABLE_LEASES, fl_key_done(&prefix), &key, &val, err);

		if (r == -ENOENT || (!r && !fl_bytes_start(key, fl_key_done(&prefix))))
			return n;
		if (!r)
			r = parse_addr((const uint8_t *)key.p + prefix.len, key.len - prefix.len,
				       &addr, err);
		if (!r)
			r = fl_lease_free(t, pool, &addr, err);
		if (r)
			return r;
	}
}

/* ---- enumeration ---- */

static bool lease_key_after(struct fl_bytes key, struct fl_bytes last)
{
	int c = memcmp(key.p, last.p, key.len < last.len ? key.len : last.len);

	return c > 0 || (c == 0 && key.len > last.len);
}

/* Every step is a new search, so that fn may free what it likes. */
int fl_leases_each(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *from,
		   const struct fl_addr *to, fl_lease_fn fn, void *arg, struct fl_error *err)
{
	struct fl_bytes key, val;
	struct fl_endpoint_id owner;
	struct fl_key k, last;
	struct fl_addr addr;
	int r;

	pool_key(&k, pool, 'a');
	pool_key(&last, pool, 'a' + 1);
	if (from)
		addr_key(&k, pool, 'a', from);
	if (to)
		addr_key(&last, pool, 'a', to);
	for (;;) {
		r = fl_seek(t, FL_TABLE_LEASES, fl_key_done(&k), &key, &val, err);
		if (r == -ENOENT || (!r && lease_key_after(key, fl_key_done(&last))))
			return 0;
		if (!r)
			r = parse_addr((const uint8_t *)key.p + HEAD, key.len - HEAD, &addr, err);
		if (!r)
			r = fl_key_endpoint_parse(val, &owner, err);
		if (r)
			return r;
		addr_key(&k, pool, 'a', &addr);
		fl_key_u8(&k, 0); /* the smallest key after this one */
		r = fn(arg, &addr, &owner);
		if (r)
			return r;
	}
}

/* ---- cursors ---- */

static int get_cursor(struct fl_txn *t, struct fl_bytes key, struct fl_addr *ret,
		      struct fl_error *err)
{
	struct fl_bytes val;
	int r = fl_get(t, FL_TABLE_LEASES, key, &val, err);

	return r ? r : parse_addr(val.p, val.len, ret, err);
}

static int put_cursor(struct fl_txn *t, struct fl_bytes key, const struct fl_addr *last,
		      struct fl_error *err)
{
	struct fl_key val = { 0 };

	fl_key_addr(&val, last);
	return fl_put(t, FL_TABLE_LEASES, key, fl_key_done(&val), err);
}

static struct fl_bytes imported_key(struct fl_key *k, const struct fl_pool *pool, uint8_t n)
{
	pool_key(k, pool, 'l');
	fl_key_u8(k, n);
	return fl_key_done(k);
}

int fl_lease_cursor_get(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *set,
			struct fl_addr *ret, struct fl_error *err)
{
	struct fl_key k;

	return get_cursor(t, addr_key(&k, pool, 'c', set), ret, err);
}

int fl_lease_cursor_put(struct fl_txn *t, const struct fl_pool *pool, const struct fl_addr *set,
			const struct fl_addr *last, struct fl_error *err)
{
	struct fl_key k;

	return put_cursor(t, addr_key(&k, pool, 'c', set), last, err);
}

int fl_lease_imported_cursor_get(struct fl_txn *t, const struct fl_pool *pool, uint8_t n,
				 struct fl_addr *ret, struct fl_error *err)
{
	struct fl_key k;

	return get_cursor(t, imported_key(&k, pool, n), ret, err);
}

int fl_lease_imported_cursor_put(struct fl_txn *t, const struct fl_pool *pool, uint8_t n,
				 const struct fl_addr *last, struct fl_error *err)
{
	struct fl_key k;

	return put_cursor(t, imported_key(&k, pool, n), last, err);
}
