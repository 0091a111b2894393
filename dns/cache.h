/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers of name servers, kept for as long as they say (RFC 1035 section 7.4, RFC 2308), in a
 * bounded amount of memory: what was not asked for longest goes first. Pure; times are milliseconds
 * of any clock.
 *
 * An answer is kept without its OPT, and belongs to the servers that gave it (`owner`), the name,
 * type, class, and the bits of the query that change answers: RD, AD, CD, DO.
 */
#pragma once

#include "dns/wire.h"

struct cache;

enum {
	CACHE_TTL_MAX =
		10800, /* seconds; longer ones are cut (RFC 2308 section 5, RFC 8767 section 4) */
	CACHE_ENTRY_MAX = 16384, /* bytes of an answer */
};

/* At most so many bytes, the table included. NULL: no memory, or `size` is too small to be of use.
 */
struct cache *cache_new(size_t size);
void cache_free(struct cache *c);
/*
 * Keeps the answer `msg`, which fl_dns_inspect() calls cacheable, to the query `q`. Replaces an
 * older one.
 */
void cache_put(struct cache *c, uint64_t owner, const struct fl_dns_query *q, const uint8_t *msg,
	       const struct fl_dns_facts *f, uint64_t now);
/*
 * The answer to the query `asked` (parsed as `q`): its id, its question as it was written, TTLs of
 * now, fitted into `size` bytes of `out`, which has room for CACHE_ENTRY_MAX + FL_DNS_OPT_SIZE.
 * Returns its length, 0 where there is none.
 */
size_t cache_get(struct cache *c, uint64_t owner, const struct fl_dns_query *q,
		 const uint8_t *asked, uint64_t now, uint8_t *out, size_t size);
/* Forgets all. */
void cache_clear(struct cache *c);
size_t cache_used(const struct cache *c);
size_t cache_entries(const struct cache *c);
