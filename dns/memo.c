/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/memo.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	ENTRIES = 2048,
	ID = 2,
	WINDOW = 1024, /* lookups after which it is judged whether they are worth it */
	WORTH = 16,    /* one hit in so many */
	SAMPLE = 16,   /* of those not worth it, one is looked up all the same */
};

struct entry {
	uint64_t txn, scope;
	uint16_t len, answer_len;
	uint8_t query[MEMO_QUERY_MAX], answer[MEMO_ANSWER_MAX];
};

struct memo {
	unsigned lookups, hits; /* in this window */
	unsigned skipped;
	bool idle, skip; /* it is not worth it; the query at hand is not looked up */
	struct entry v[ENTRIES];
};

struct memo *memo_new(void)
{
	return calloc(1, sizeof(struct memo));
}

void memo_free(struct memo *m)
{
	free(m);
}

/* Whoever finds names that meet in one place gains nothing by it: the next answer takes the place.
 */
static size_t place_of(uint64_t scope, const uint8_t *query, size_t len)
{
	uint64_t h = scope, word;

	for (size_t at = ID; at < len; at += sizeof(word)) {
		size_t n = len - at < sizeof(word) ? len - at : sizeof(word);

		word = 0;
		memcpy(&word, query + at, n);
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return h % ENTRIES;
}

static bool is_skipped(struct memo *m)
{
	m->skip = m->idle && ++m->skipped % SAMPLE;
	if (m->skip)
		return true;
	if (++m->lookups < WINDOW)
		return false;
	m->idle = m->hits * WORTH < m->lookups;
	m->lookups = m->hits = 0;
	return false;
}

size_t memo_get(struct memo *m, uint64_t txn, uint64_t scope, const uint8_t *query, size_t len,
		uint8_t *out)
{
	const struct entry *e;

	if (is_skipped(m) || len <= ID || len > MEMO_QUERY_MAX)
		return 0;
	e = &m->v[place_of(scope, query, len)];
	if (e->txn != txn || e->scope != scope || e->len != len || !e->answer_len ||
	    memcmp(e->query + ID, query + ID, len - ID) != 0)
		return 0;
	memcpy(out, e->answer, e->answer_len);
	memcpy(out, query, ID);
	m->hits++;
	return e->answer_len;
}

void memo_put(struct memo *m, uint64_t txn, uint64_t scope, const uint8_t *query, size_t len,
	      const uint8_t *answer, size_t answer_len)
{
	struct entry *e;

	if (m->skip || len <= ID || len > MEMO_QUERY_MAX || answer_len > MEMO_ANSWER_MAX)
		return;
	e = &m->v[place_of(scope, query, len)];
	e->txn = txn;
	e->scope = scope;
	e->len = (uint16_t)len;
	e->answer_len = (uint16_t)answer_len;
	memcpy(e->query, query, len);
	memcpy(e->answer, answer, answer_len);
}
