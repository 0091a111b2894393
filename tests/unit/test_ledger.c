/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was told, against a plain array of the same; then against what a store says. */
#include "unit.h"

#include "overlay/agent.h"

#include <stdlib.h>

enum { KEYS = 700, STEPS = 60000 };

struct store {
	char names[KEYS][16];
	int64_t revision[KEYS]; /* 0: not there */
};

static struct fl_etcd_kv kv_of(struct store *s, size_t i)
{
	return (struct fl_etcd_kv){ .key = s->names[i],
				    .value = s->names[i],
				    .value_len = strlen(s->names[i]),
				    .mod_revision = s->revision[i] };
}

static struct fl_etcd_kvs all_of(struct store *s)
{
	struct fl_etcd_kvs all = { .items = calloc(KEYS, sizeof(*all.items)) };

	assert_non_null(all.items);
	for (size_t i = 0; i < KEYS; i++)
		if (s->revision[i])
			all.items[all.n++] = kv_of(s, i);
	return all;
}

static void tell(struct ledger *l, struct store *s, size_t i, int64_t revision, bool there,
		 bool comparing)
{
	struct fl_etcd_kv kv;

	s->revision[i] = there ? revision : 0;
	kv = kv_of(s, i);
	ledger_note(l, s->names[i], there ? &kv : NULL, revision, comparing);
}

static struct store *fill(struct ledger *l)
{
	struct store *s = must_alloc(sizeof(*s));

	for (size_t i = 0; i < KEYS; i++)
		snprintf(s->names[i], sizeof(s->names[i]), "ep/%zu", i);
	for (int64_t step = 1; step <= STEPS; step++)
		tell(l, s, (size_t)rand() % KEYS, step, rand() % 3, false);
	return s;
}

static unsigned compare(struct ledger *l, struct store *s, int64_t revision)
{
	struct fl_etcd_kvs all = all_of(s);
	unsigned n = ledger_compare(l, &all, revision);

	free(all.items);
	return n;
}

static void test_the_same(void **state)
{
	struct ledger l = { 0 };
	struct store *s = fill(&l);
	struct fl_etcd_kvs all = all_of(s);

	(void)state;
	assert_int_equal(l.n, all.n);
	assert_int_equal(compare(&l, s, STEPS), 0);
	assert_int_equal(l.n, all.n);
	assert_int_equal(compare(&l, s, STEPS), 0);
	free(all.items);
	ledger_clear(&l);
	assert_int_equal(compare(&l, &(struct store){ 0 }, STEPS), 0);
	free(s);
}

/* Each kind of difference counts, and no change that came after does. */
static void test_others(void **state)
{
	struct ledger l = { 0 };
	struct store *s = fill(&l), *was = must_alloc(sizeof(*was));
	size_t here = 0, gone = 0;

	(void)state;
	while (!s->revision[here])
		here++;
	while (s->revision[gone])
		gone++;
	s->revision[here]--; /* not told, and what was told is not there */
	assert_int_equal(compare(&l, s, STEPS), 2);
	s->revision[here] = 0;
	assert_int_equal(compare(&l, s, STEPS), 1);
	s->revision[gone] = 7;
	assert_int_equal(compare(&l, s, STEPS), 2);
	s->revision[gone] = STEPS + 1;
	assert_int_equal(compare(&l, s, STEPS), 1);
	ledger_clear(&l);
	free(s);
	s = fill(&l);
	*was = *s;
	for (size_t i = 0; i < KEYS; i += 2)
		tell(&l, s, i, STEPS + 1 + (int64_t)i, i % 4, true);
	assert_int_equal(compare(&l, was, STEPS), 0);
	assert_int_equal(compare(&l, s, STEPS + KEYS), 0);
	ledger_clear(&l);
	free(was);
	free(s);
}

/* Half a second for a small cluster; then 50 keys a millisecond of all nodes together; five
 * minutes. */
static void test_spread(void **state)
{
	(void)state;
	assert_int_equal(ledger_spread_ms(0, 0), 500);
	assert_int_equal(ledger_spread_ms(100, 3), 506);
	assert_int_equal(ledger_spread_ms(10000, 1), 700);
	assert_int_equal(ledger_spread_ms(20000, 1), 900);
	assert_int_equal(ledger_spread_ms(10000, 2), 900);
	assert_int_equal(ledger_spread_ms(10000, 1000), 200500);
	assert_int_equal(ledger_spread_ms(14975, 1000), 300000);
	assert_int_equal(ledger_spread_ms(14974, 1000), 299980);
	assert_int_equal(ledger_spread_ms(500000, 100000), 300000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
