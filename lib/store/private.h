/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of lib/store share. Nobody else includes this header. */
#pragma once

#include "store/hosts.h"

#include <lmdb.h>

#define FL_KEY_MAX 511 /* LMDB's limit as built by every distribution */

struct fl_txn {
	struct fl_store *store;
	MDB_txn *mdb; /* NULL: no transaction is open */
	bool write;   /* the caller asked for changes */
	bool pooled;  /* mdb is store->reader: it is reset, not aborted */
};

struct fl_store {
	MDB_env *env;
	MDB_dbi dbi[FL_TABLE_COUNT];
	MDB_txn *reader;    /* kept between read transactions, reset while unused */
	MDB_cursor *hosts;  /* of the reader, kept with it */
	uint8_t secret[16]; /* of this environment: store/hosts.h */
	bool readers_checked;
	bool read_only;
	struct fl_txn txn;
	char dir[256];
};

/*
 * A key under construction: strings joined by NUL bytes, or fixed-size binary parts. Sticky: a key
 * that grew too long ends as bytes of length 0, which LMDB refuses.
 */
struct fl_key {
	size_t len;
	bool overflow;
	uint8_t b[FL_KEY_MAX];
};

void fl_key_bytes(struct fl_key *k, const void *p, size_t n);
/* Appends the string and, unless it is the last part, its NUL. */
void fl_key_str(struct fl_key *k, const char *s, bool last);
void fl_key_u8(struct fl_key *k, uint8_t v);
void fl_key_u16(struct fl_key *k, uint16_t v); /* big endian: keys sort by number */
void fl_key_u32(struct fl_key *k, uint32_t v);
/* Family (4 or 6) and address bytes. */
void fl_key_addr(struct fl_key *k, const struct fl_addr *a);

static inline struct fl_bytes fl_key_done(const struct fl_key *k)
{
	return (struct fl_bytes){ k->b, k->overflow ? 0 : k->len };
}

/* The key of an endpoint's record, which is also how leases and ports name their owner. */
void fl_key_endpoint(struct fl_key *k, const struct fl_endpoint_id *id);
/* -EBADMSG when the bytes are not such a key. */
int fl_key_endpoint_parse(struct fl_bytes key, struct fl_endpoint_id *ret, struct fl_error *err);

static inline bool fl_bytes_eq(struct fl_bytes a, struct fl_bytes b)
{
	return a.len == b.len && !__builtin_memcmp(a.p, b.p, a.len);
}

static inline bool fl_bytes_start(struct fl_bytes a, struct fl_bytes prefix)
{
	return a.len >= prefix.len && (!prefix.len || !__builtin_memcmp(a.p, prefix.p, prefix.len));
}

static inline uint32_t fl_get_u32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Fills err from an LMDB result and returns -errno; -ENOENT leaves err alone. */
int fl_store_fail(const struct fl_store *s, int rc, struct fl_error *err);

/* Whose names and addresses they are: an endpoint, a peer. Points into its record. */
struct fl_named {
	const char *network, *container, *name, *hostname, *aliases; /* "": none */
	uint64_t owner;						     /* fl_named_hash() */
	struct fl_addr addrs[FL_ENDPOINT_ADDRS];
	uint32_t n_addrs;
	bool fresh; /* nothing of it is there yet */
};

/* Of what is here and what is elsewhere none are equal. */
uint64_t fl_named_hash(struct fl_bytes key, bool elsewhere);
/* fl_endpoint_canonical(), fl_endpoint_hostnames() */
int fl_named_canonical(const struct fl_named *who, struct fl_dns_name *ret);
int fl_named_each(const struct fl_named *who, int (*fn)(void *arg, const struct fl_dns_name *name),
		  void *arg);
/* In hosts and addresses. Both are idempotent. */
int fl_named_put(struct fl_txn *t, const struct fl_named *who, struct fl_error *err);
int fl_named_del(struct fl_txn *t, const struct fl_named *who, struct fl_error *err);
