/* SPDX-License-Identifier: GPL-2.0-or-later */
/* After an interruption: is the store the one that was read? */
#include "follow_bench.h"

static void test_the_same_store(void **state)
{
	int64_t was[KEYS], revision;

	(void)state;
	bench_sync_first();
	bench_put(KEYS - 1, true);
	bench_interrupt();
	memcpy(was, bench_store.mod, sizeof(was));
	revision = bench_store.revision;
	/* Meanwhile: new ones, changed ones, and some that go. */
	bench_put(KEYS - 2, true);
	bench_put(KEYS - 2, false);
	bench_put(5, true);
	bench_put(6, false);
	bench_answer(FL_ETCD_OK, was, revision);
	assert_int_equal(bench_store.others, 0);
	assert_int_equal(bench_heard.begins, 1);
	bench_same_as_the_store();
}

static void test_another_store(void **state)
{
	int64_t was[KEYS];

	(void)state;
	bench_sync_first();
	bench_interrupt();
	memcpy(was, bench_store.mod, sizeof(was));
	was[7] = 0;
	bench_answer(FL_ETCD_OK, was, bench_store.revision);
	assert_int_equal(bench_store.others, 1);
	assert_false(bench_follow.synced);
	bench_store.mod[7] = 0;
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	bench_until_synced();
	assert_true(bench_heard.restored);
}

/* What the comparison needs is gone: all is read, and that is compared. */
static void test_comparison_compacted(void **state)
{
	(void)state;
	bench_sync_first();
	bench_interrupt();
	bench_put(8, true);
	bench_answer(FL_ETCD_COMPACTED, NULL, 0);
	assert_non_null(bench_store.calls);
	assert_int_equal(bench_store.calls->revision, 0);
	assert_null(bench_store.watch);
	bench_put(9, false);
	bench_heard.mod[9] = 0;
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	bench_until_synced();
	assert_int_equal(bench_store.others, 0);
	assert_int_equal(bench_heard.syncs, 2);
	bench_same_as_the_store();
	bench_put(10, true);
	bench_same_as_the_store();
}

static void test_comparison_compacted_of_another(void **state)
{
	(void)state;
	bench_sync_first();
	bench_interrupt();
	bench_answer(FL_ETCD_COMPACTED, NULL, 0);
	bench_store.mod[11]--; /* old, and never told */
	bench_store.revision += LATER;
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	bench_until_synced();
	assert_int_equal(bench_store.others, 1);
	assert_true(bench_heard.restored);
}

/* No answer is none: it is asked again, and another interruption asks again, too. */
static void test_comparison_unanswered(void **state)
{
	(void)state;
	bench_sync_first();
	bench_interrupt();
	bench_answer(FL_ETCD_NOT_REACHED, NULL, 0);
	assert_null(bench_store.calls);
	bench_until_asked();
	bench_store.watch->ops.reopened(bench_store.watch->ops.arg);
	assert_null(bench_store.calls); /* what the store that was would say is not waited for */
	bench_until_asked();
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	assert_int_equal(bench_store.others, 0);
	assert_null(bench_store.calls);
}

/* What was written, and is not told up to a later revision, was of the former history. */
static void test_own_write_that_is_not_told(void **state)
{
	(void)state;
	bench_sync_first();
	follow_wrote(&bench_follow, bench_store.revision + LATER);
	bench_interrupt();
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	assert_int_equal(bench_store.others, 0);
	assert_null(bench_store.watch);
	assert_non_null(bench_store.calls);
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	bench_until_synced();
	assert_int_equal(bench_heard.syncs, 2);
}

/* Also when the other history has got beyond it by then. */
static void test_own_write_that_is_overtaken(void **state)
{
	(void)state;
	bench_sync_first();
	follow_wrote(&bench_follow, bench_store.revision + 2);
	bench_store.watch->ops.reopened(bench_store.watch->ops.arg);
	bench_store.revision += LATER;
	bench_put(14, true);
	bench_until_asked();
	assert_true(bench_store.calls->revision > bench_follow.wrote);
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	assert_int_equal(bench_store.others, 0);
	assert_null(bench_store.watch);
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	bench_until_synced();
	bench_interrupt();
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	assert_non_null(bench_store.watch);
}

/* It was late, and nothing else. */
static void test_own_write_that_is_told_afterwards(void **state)
{
	(void)state;
	bench_sync_first();
	follow_wrote(&bench_follow, bench_store.revision + 1);
	bench_store.watch->ops.reopened(bench_store.watch->ops.arg);
	bench_put(15, true);
	bench_until_asked();
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	assert_non_null(bench_store.watch);
	assert_null(bench_store.calls);
}

static void test_own_write_that_is_told(void **state)
{
	(void)state;
	bench_sync_first();
	follow_wrote(&bench_follow, bench_store.revision + 1);
	bench_put(12, true);
	bench_interrupt();
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	assert_non_null(bench_store.watch);
	assert_null(bench_store.calls);
	assert_int_equal(bench_store.others, 0);
}

/* One that completes while all is told, and that the watch has to tell of. */
static void write_own(void)
{
	bench_put(13, true);
	follow_wrote(&bench_follow, bench_store.revision);
}

static void test_own_write_meanwhile(void **state)
{
	(void)state;
	for (int told = 0; told < 2; told++) {
		int64_t was[KEYS], revision = bench_store.revision;

		memcpy(was, bench_store.mod, sizeof(was));
		bench_heard.told = 0;
		bench_heard.meanwhile = told ? write_own : NULL;
		if (!told) /* while it is read */
			write_own();
		bench_answer(FL_ETCD_OK, was, revision);
		bench_until_synced();
		assert_int_equal(bench_store.watch->revision, revision);
		bench_interrupt();
		bench_answer(FL_ETCD_OK, was, revision);
		assert_null(bench_store.watch);
		assert_int_equal(bench_store.others, 0);
		bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
		bench_until_synced();
		bench_same_as_the_store();
		follow_again(&bench_follow);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_the_same_store),
		CASE(test_another_store),
		CASE(test_comparison_compacted),
		CASE(test_comparison_compacted_of_another),
		CASE(test_comparison_unanswered),
		CASE(test_own_write_that_is_not_told),
		CASE(test_own_write_that_is_overtaken),
		CASE(test_own_write_that_is_told_afterwards),
		CASE(test_own_write_that_is_told),
		CASE(test_own_write_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
