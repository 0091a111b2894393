/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cluster's store as pools see it: keys with revisions, transactions that compare, a log. */
#pragma once

#include "overlay/pool.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { STORE_KEYS = 4096, STORE_LOG = 8192 };

struct value {
	bool exists;
	int64_t revision;
	union {
		struct fl_rec_ip ip;
		struct fl_rec_blk blk;
	};
};

struct entry {
	struct fl_addr addr;
	struct value now;
	int64_t expires; /* of a freed address */
};

struct event {
	size_t entry;
	struct value value;
};

struct store {
	bool blocks;
	int64_t revision;
	struct entry v[STORE_KEYS];
	size_t n;
	struct event log[STORE_LOG]; /* a ring */
	size_t end;		     /* events so far */
};

static inline struct entry *store_entry(struct store *s, const struct fl_addr *key)
{
	for (size_t i = 0; i < s->n; i++)
		if (fl_addr_eq(&s->v[i].addr, key))
			return &s->v[i];
	assert_true(s->n < STORE_KEYS);
	s->v[s->n] = (struct entry){ .addr = *key };
	return &s->v[s->n++];
}

static inline const struct fl_addr *key_addr(const struct fl_rec_key *k)
{
	return k->kind == FL_REC_IP ? &k->addr : &k->block.addr;
}

static inline void store_log(struct store *s, struct entry *e)
{
	s->log[s->end++ % STORE_LOG] = (struct event){ (size_t)(e - s->v), e->now };
}

static inline bool store_compares(struct store *s, const struct fl_ippool_batch *b)
{
	for (size_t i = 0; i < fl_ippool_batch_size(b); i++) {
		const struct fl_ippool_write *w = fl_ippool_batch_write(b, i);
		const struct entry *e = store_entry(s, key_addr(&w->key));
		char key[FL_REC_KEY_STR];

		assert_int_equal(fl_rec_key(&w->key, key), 0);
		if ((e->now.exists ? e->now.revision : 0) != w->expected)
			return false;
	}
	return true;
}

static inline void store_apply(struct store *s, const struct fl_ippool_batch *b, int64_t now)
{
	s->revision++;
	for (size_t i = 0; i < fl_ippool_batch_size(b); i++) {
		const struct fl_ippool_write *w = fl_ippool_batch_write(b, i);
		struct entry *e = store_entry(s, key_addr(&w->key));

		e->now = (struct value){ .exists = !w->remove, .revision = s->revision };
		if (s->blocks)
			e->now.blk = w->blk;
		else
			e->now.ip = w->ip;
		e->expires = !s->blocks && w->ip.use == FL_REC_USE_FREED ? now + 90 : 0;
		store_log(s, e);
	}
}

/* Leases end. */
static inline void store_expire(struct store *s, int64_t now)
{
	for (size_t i = 0; i < s->n; i++) {
		struct entry *e = &s->v[i];

		if (!e->now.exists || !e->expires || e->expires > now)
			continue;
		e->now = (struct value){ .revision = ++s->revision };
		e->expires = 0;
		store_log(s, e);
	}
}

static inline void feed(const struct store *s, struct fl_ippool *p, const struct fl_addr *a,
			const struct value *v, int64_t revision)
{
	struct fl_prefix block = fl_rec_block_of(a);
	int r = s->blocks ? fl_ippool_block(p, &block, v->exists ? &v->blk : NULL, revision)
			  : fl_ippool_ip(p, a, v->exists ? &v->ip : NULL, revision);

	assert_int_equal(r, 0);
}

/* As a watch does. `*at` is how far it has come. */
static inline void store_tell(const struct store *s, struct fl_ippool *p, size_t *at, size_t n)
{
	for (; n && *at < s->end; n--, (*at)++) {
		const struct event *e = &s->log[*at % STORE_LOG];

		feed(s, p, &s->v[e->entry].addr, &e->value, e->value.revision);
	}
}

/* As a range does. */
static inline void store_list(const struct store *s, struct fl_ippool *p, size_t *at, bool restored)
{
	fl_ippool_list_begin(p, restored);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].now.exists)
			feed(s, p, &s->v[i].addr, &s->v[i].now, s->v[i].now.revision);
	fl_ippool_list_end(p, s->revision);
	*at = s->end;
}

static inline bool store_used(const struct store *s, const struct fl_addr *a)
{
	struct fl_addr key = s->blocks ? fl_rec_block_of(a).addr : *a;

	for (size_t i = 0; i < s->n; i++) {
		const struct entry *e = &s->v[i];

		if (!fl_addr_eq(&e->addr, &key) || !e->now.exists)
			continue;
		return s->blocks ? e->now.blk.used >> fl_addr_distance(&key, a) & 1
				 : e->now.ip.use != FL_REC_USE_FREED;
	}
	return false;
}

/* Runs the batch at once. What another node did meanwhile is fed. */
static inline bool store_run(struct store *s, struct fl_ippool *p, struct fl_ippool_batch *b,
			     int64_t now)
{
	bool won = store_compares(s, b);

	if (won)
		store_apply(s, b, now);
	for (size_t i = 0; i < fl_ippool_batch_size(b) && !won; i++) {
		const struct fl_addr *a = key_addr(&fl_ippool_batch_write(b, i)->key);
		const struct entry *e = store_entry(s, a);

		feed(s, p, a, &e->now, e->now.exists ? e->now.revision : s->revision);
	}
	fl_ippool_batch_done(b, won, s->revision);
	return won;
}
