/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/cache.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES_PER_BUCKET = 512, SIZE_MIN = 4096 };

struct entry {
	struct entry *chain;		 /* of the bucket */
	struct entry *newer, *older;	 /* by use */
	uint64_t owner, stored, expires; /* ms */
	uint32_t hash;
	uint16_t type, class, bits;
	uint16_t len; /* of the message */
	bool dnssec_ok;
	struct fl_dns_facts facts;
	uint8_t name_len;
	uint8_t bytes[]; /* the name, then the message */
};

struct cache {
	size_t size, used, entries, buckets;
	struct entry *newest, *oldest;
	struct entry *table[];
};

struct cache *cache_new(size_t size)
{
	size_t buckets = size / BYTES_PER_BUCKET;
	struct cache *c;

	if (size < SIZE_MIN)
		return NULL;
	c = calloc(1, sizeof(*c) + buckets * sizeof(struct entry *));
	if (!c)
		return NULL;
	c->size = size;
	c->buckets = buckets;
	c->used = sizeof(*c) + buckets * sizeof(struct entry *);
	return c;
}

static size_t size_of(const struct entry *e)
{
	return sizeof(*e) + e->name_len + e->len;
}

static void unlink_use(struct cache *c, struct entry *e)
{
	*(e->newer ? &e->newer->older : &c->newest) = e->older;
	*(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_newest(struct cache *c, struct entry *e)
{
	e->newer = NULL;
	e->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

static void drop(struct cache *c, struct entry *e)
{
	struct entry **at = &c->table[e->hash % c->buckets];

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	unlink_use(c, e);
	c->used -= size_of(e);
	c->entries--;
	free(e);
}

void cache_clear(struct cache *c)
{
	while (c->oldest)
		drop(c, c->oldest);
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	cache_clear(c);
	free(c);
}

size_t cache_used(const struct cache *c)
{
	return c->used;
}

size_t cache_entries(const struct cache *c)
{
	return c->entries;
}

/* ---- keys ---- */

static uint16_t bits_of(const struct fl_dns_query *q)
{
	return q->flags & (FL_DNS_RD | FL_DNS_AD | FL_DNS_CD);
}

static uint32_t hash_of(uint64_t owner, const struct fl_dns_query *q)
{
	uint64_t h = 0xcbf29ce484222325u ^ owner ^ (uint64_t)q->type << 32; /* FNV-1a */

	for (size_t i = 0; i < q->name.len; i++)
		h = (h ^ q->name.b[i]) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

static struct entry *find(const struct cache *c, uint64_t owner, const struct fl_dns_query *q,
			  uint32_t hash)
{
	struct entry *e = c->table[hash % c->buckets];

	for (; e; e = e->chain)
		if (e->hash == hash && e->owner == owner && e->type == q->type &&
		    e->class == q->class && e->bits == bits_of(q) && e->dnssec_ok == q->dnssec_ok &&
		    e->name_len == q->name.len && !memcmp(e->bytes, q->name.b, e->name_len))
			return e;
	return NULL;
}

/* ---- in and out ---- */

static uint32_t lifetime(const struct fl_dns_facts *f)
{
	return f->ttl < CACHE_TTL_MAX ? f->ttl : CACHE_TTL_MAX;
}

/* Facts of the message without its OPT, which is last. */
static struct fl_dns_facts without_opt(const struct fl_dns_facts *f)
{
	struct fl_dns_facts bare = *f;

	bare.opt = false;
	return bare;
}

void cache_put(struct cache *c, uint64_t owner, const struct fl_dns_query *q, const uint8_t *msg,
	       const struct fl_dns_facts *f, uint64_t now)
{
	uint32_t hash = hash_of(owner, q), ttl = lifetime(f);
	struct entry *e = find(c, owner, q, hash);
	size_t len = f->records_end, size = sizeof(*e) + q->name.len + len;

	if (e)
		drop(c, e);
	if (!ttl || len > CACHE_ENTRY_MAX || size > c->size / 4 || !q->name.len)
		return;
	while (c->oldest && c->used + size > c->size)
		drop(c, c->oldest);
	e = c->used + size > c->size ? NULL : malloc(size);
	if (!e)
		return;
	*e = (struct entry){ .owner = owner,
			     .stored = now,
			     .expires = now + (uint64_t)ttl * 1000,
			     .hash = hash,
			     .type = q->type,
			     .class = q->class,
			     .bits = bits_of(q),
			     .dnssec_ok = q->dnssec_ok,
			     .len = (uint16_t)len,
			     .facts = without_opt(f),
			     .name_len = q->name.len };
	memcpy(e->bytes, q->name.b, q->name.len);
	memcpy(e->bytes + e->name_len, msg, len);
	fl_dns_set16(e->bytes + e->name_len + 10, f->additional);
	e->chain = c->table[hash % c->buckets];
	c->table[hash % c->buckets] = e;
	link_newest(c, e);
	c->used += size;
	c->entries++;
}

size_t cache_get(struct cache *c, uint64_t owner, const struct fl_dns_query *q,
		 const uint8_t *asked, uint64_t now, uint8_t *out, size_t size)
{
	struct entry *e = find(c, owner, q, hash_of(owner, q));

	if (!e)
		return 0;
	if (now >= e->expires || now < e->stored) {
		drop(c, e);
		return 0;
	}
	unlink_use(c, e);
	link_newest(c, e);
	memcpy(out, e->bytes + e->name_len, e->len);
	fl_dns_age(out, e->len, (uint32_t)((now - e->stored) / 1000));
	fl_dns_set16(out, q->id);
	memcpy(out + FL_DNS_HEADER, asked + FL_DNS_HEADER, q->question_len);
	return fl_dns_fit(out, e->len, &e->facts, q, size);
}
