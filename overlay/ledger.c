/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open addressing with linear probing, at most three quarters full: a large cluster has a hundred
 * thousand keys, and a node of uthash takes four times as much.
 */
#include "overlay/agent.h"

#include "base/siphash.h"

#include <sys/random.h>

enum {
	SLOTS_MIN = 16,
	SPREAD_MS = 500,	 /* when there is little to read */
	SPREAD_MAX_MS = 300000,	 /* when there is much */
	SPREAD_KEYS_PER_MS = 50, /* that all nodes together read */
};

struct told {
	uint64_t key, value; /* hashes; key 0: nothing is here */
	uint64_t revision : 62;
	uint64_t deleted : 1; /* kept while a comparison is under way */
	uint64_t found : 1;
};

/* Whoever chooses keys and values must not choose what they are taken for. */
static uint64_t hash(const void *data, size_t len)
{
	static uint8_t secret[16];
	static bool drawn;
	uint64_t h;

	while (!drawn)
		drawn = getrandom(secret, sizeof(secret), 0) == sizeof(secret);
	h = fl_siphash(secret, data, len);
	return h ? h : 1;
}

/* ---- slots ---- */

/* Where the key is, or would be put. */
static struct told *slot(const struct ledger *l, uint64_t key)
{
	size_t i = key & (l->size - 1);

	while (l->slots[i].key && l->slots[i].key != key)
		i = (i + 1) & (l->size - 1);
	return &l->slots[i];
}

static struct told *find(const struct ledger *l, uint64_t key)
{
	struct told *t = l->size ? slot(l, key) : NULL;

	return t && t->key ? t : NULL;
}

static void resize(struct ledger *l, size_t size)
{
	struct told *old = l->slots;
	size_t n = l->size;

	l->slots = must_alloc(size * sizeof(*l->slots));
	l->size = size;
	for (size_t i = 0; i < n; i++)
		if (old[i].key)
			*slot(l, old[i].key) = old[i];
	free(old);
}

static struct told *make(struct ledger *l, uint64_t key)
{
	struct told *t;

	if ((l->n + 1) * 4 > l->size * 3)
		resize(l, l->size ? l->size * 2 : SLOTS_MIN);
	t = slot(l, key);
	t->key = key;
	l->n++;
	return t;
}

/* Those behind it that could not have its place close the gap. */
static void drop(struct ledger *l, struct told *t)
{
	size_t mask = l->size - 1, gap = (size_t)(t - l->slots), i = gap;

	for (;;) {
		size_t home;

		i = (i + 1) & mask;
		if (!l->slots[i].key)
			break;
		home = l->slots[i].key & mask;
		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		l->slots[gap] = l->slots[i];
		gap = i;
	}
	l->slots[gap] = (struct told){ 0 };
	l->n--;
}

/* ---- what was told ---- */

static bool is_same(const struct told *t, const struct fl_etcd_kv *kv)
{
	return !t->deleted && (int64_t)t->revision == kv->mod_revision &&
	       t->value == hash(kv->value, kv->value_len);
}

void ledger_note(struct ledger *l, const char *key, const struct fl_etcd_kv *kv, int64_t revision,
		 bool comparing)
{
	uint64_t h = hash(key, strlen(key));
	struct told *t = find(l, h);

	if (!kv && !comparing) {
		if (t)
			drop(l, t);
		return;
	}
	if (!t)
		t = make(l, h);
	t->revision = (uint64_t)revision & (UINT64_MAX >> 2);
	t->deleted = !kv;
	t->value = kv ? hash(kv->value, kv->value_len) : 0;
}

unsigned ledger_contradict(struct ledger *l, const struct fl_etcd_kvs *kvs, int64_t revision)
{
	unsigned n = 0;

	for (size_t i = 0; i < kvs->n; i++) {
		const struct fl_etcd_kv *kv = &kvs->items[i];
		struct told *t = find(l, hash(kv->key, strlen(kv->key)));

		/* One that is newer has changed since. */
		if (t && ((int64_t)t->revision > revision || is_same(t, kv)))
			t->found = true;
		else
			n += kv->mod_revision <= revision;
	}
	return n;
}

/* Those that were deleted meanwhile are not kept any longer: into a new table, because a slot that
 * is freed moves others. */
static void forget_deleted(struct ledger *l)
{
	struct ledger kept = { 0 };

	for (size_t i = 0; i < l->size; i++) {
		l->slots[i].found = false;
		if (l->slots[i].key && !l->slots[i].deleted)
			*make(&kept, l->slots[i].key) = l->slots[i];
	}
	ledger_clear(l);
	*l = kept;
}

unsigned ledger_compare(struct ledger *l, const struct fl_etcd_kvs *kvs, int64_t revision)
{
	unsigned n = ledger_contradict(l, kvs, revision);

	for (size_t i = 0; i < l->size; i++) {
		const struct told *t = &l->slots[i];

		n += t->key && !t->found && !t->deleted && (int64_t)t->revision <= revision;
	}
	forget_deleted(l);
	return n;
}

void ledger_clear(struct ledger *l)
{
	free(l->slots);
	*l = (struct ledger){ 0 };
}

int64_t ledger_spread_ms(size_t keys, size_t nodes)
{
	int64_t ms = SPREAD_MS + (int64_t)keys * (int64_t)nodes / SPREAD_KEYS_PER_MS;

	return ms < SPREAD_MAX_MS ? ms : SPREAD_MAX_MS;
}
