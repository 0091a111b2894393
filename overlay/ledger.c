/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay/agent.h"

#include "base/siphash.h"

#include <sys/random.h>

struct told {
	uint64_t key, value; /* hashes */
	int64_t revision;
	bool deleted; /* kept while a comparison is under way */
	bool found;
	UT_hash_handle hh;
};

/* Whoever chooses keys and values must not choose what they are taken for. */
static uint64_t hash(const void *data, size_t len)
{
	static uint8_t secret[16];
	static bool drawn;

	while (!drawn)
		drawn = getrandom(secret, sizeof(secret), 0) == sizeof(secret);
	return fl_siphash(secret, data, len);
}

static struct told *find(struct told *ledger, uint64_t key)
{
	struct told *t;

	HASH_FIND(hh, ledger, &key, sizeof(key), t);
	return t;
}

static void drop(struct told **ledger, struct told *t)
{
	HASH_DEL(*ledger, t);
	free(t);
}

static bool is_same(const struct told *t, const struct fl_etcd_kv *kv)
{
	return !t->deleted && t->revision == kv->mod_revision &&
	       t->value == hash(kv->value, kv->value_len);
}

void ledger_note(struct told **ledger, const char *key, const struct fl_etcd_kv *kv,
		 int64_t revision, bool comparing)
{
	uint64_t h = hash(key, strlen(key));
	struct told *t = find(*ledger, h);

	if (!kv && t && !comparing) {
		drop(ledger, t);
		return;
	}
	if (!kv && !comparing)
		return;
	if (!t) {
		t = must_alloc(sizeof(*t));
		t->key = h;
		HASH_ADD(hh, *ledger, key, sizeof(t->key), t);
	}
	t->revision = revision;
	t->deleted = !kv;
	t->value = kv ? hash(kv->value, kv->value_len) : 0;
}

unsigned ledger_contradict(struct told *ledger, const struct fl_etcd_kvs *kvs, int64_t revision)
{
	unsigned n = 0;

	for (size_t i = 0; i < kvs->n; i++) {
		const struct fl_etcd_kv *kv = &kvs->items[i];
		struct told *t = find(ledger, hash(kv->key, strlen(kv->key)));

		if (t && t->revision > revision)
			t->found = true; /* it has changed since */
		else if (t && is_same(t, kv))
			t->found = true;
		else
			n += kv->mod_revision <= revision;
	}
	return n;
}

unsigned ledger_compare(struct told **ledger, const struct fl_etcd_kvs *kvs, int64_t revision)
{
	unsigned n = ledger_contradict(*ledger, kvs, revision);
	struct told *t, *tmp;

	HASH_ITER (hh, *ledger, t, tmp) {
		n += !t->found && !t->deleted && t->revision <= revision;
		t->found = false;
		if (t->deleted)
			drop(ledger, t);
	}
	return n;
}

size_t ledger_count(struct told *ledger)
{
	return HASH_COUNT(ledger);
}

void ledger_clear(struct told **ledger)
{
	struct told *t, *tmp;

	HASH_ITER (hh, *ledger, t, tmp)
		drop(ledger, t);
}
