/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a prefix is read and told, in portions, and what may come between two of them. */
#include "follow_bench.h"

#include <sys/eventfd.h>
#include <unistd.h>

static void count(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	++*(unsigned *)arg;
}

/* While it is told, others come between, and no watch tells anything else. */
static void test_portions(void **state)
{
	unsigned between = 0, turns = 0;
	int ready = eventfd(1, 0);
	struct event *other =
		event_new(bench_agent.base, ready, EV_READ | EV_PERSIST, count, &between);

	(void)state;
	bench_heard.slow_us = 100;
	event_add(other, NULL);
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	assert_int_equal(bench_heard.told, 0);
	for (; !bench_follow.synced; turns++) {
		assert_int_equal(bench_store.watches, 0);
		assert_int_equal(bench_heard.syncs, 0);
		assert_int_equal(bench_follow.revision, 0);
		bench_turn();
		assert_int_equal(bench_store.flushed, turns + 1);
	}
	/* 29 ms of work, at most 3 of them in one turn. */
	assert_true(turns >= 9);
	assert_int_equal(between, turns);
	assert_int_equal(bench_store.watches, 1);
	assert_int_equal(bench_follow.revision, bench_store.revision);
	bench_same_as_the_store();
	event_free(other);
	close(ready);
}

/* What is known is not acted on while it is told anew, and known as of the former revision. */
static void test_told_anew(void **state)
{
	int64_t before = bench_store.revision;

	(void)state;
	bench_sync_first();
	bench_put(0, true);
	bench_heard.slow_us = 100;
	bench_heard.told = 0;
	follow_again(&bench_follow);
	assert_true(bench_follow.synced);
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	for (unsigned turns = 0; bench_follow.step != NOTHING_TO_TELL; turns++) {
		bench_turn();
		/* A slow machine spends more than a turn on what is only compared. */
		assert_true(bench_follow.synced == (bench_follow.step != TELLING));
		assert_int_equal(bench_follow.revision, bench_follow.step == NOTHING_TO_TELL
								? bench_store.revision
								: before);
	}
	assert_int_equal(bench_heard.syncs, 2);
	assert_int_equal(bench_store.others, 0);
}

static void test_nothing_there(void **state)
{
	(void)state;
	memset(bench_store.mod, 0, sizeof(bench_store.mod));
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	bench_until_synced();
	assert_true(bench_follow.synced);
	assert_int_equal(bench_heard.begins, 1);
	assert_int_equal(bench_heard.told, 0);
	bench_put(0, true);
	bench_same_as_the_store();
}

static void again(void)
{
	follow_again(&bench_follow);
}

static void test_again_meanwhile(void **state)
{
	int64_t old[KEYS];

	(void)state;
	bench_heard.slow_us = 50;
	bench_heard.meanwhile = again;
	memcpy(old, bench_store.mod, sizeof(old));
	bench_answer(FL_ETCD_OK, old, bench_store.revision);
	bench_put(3, true);
	bench_put(4, false);
	bench_until_synced();
	assert_int_equal(bench_heard.syncs, 1);
	assert_null(bench_store.watch);
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	bench_until_synced();
	assert_int_equal(bench_heard.begins, 2);
	assert_int_equal(bench_heard.syncs, 2);
	assert_int_equal(bench_heard.mod[3], bench_store.mod[3]);
	assert_non_null(bench_store.watch);
	assert_int_equal(bench_store.others, 0);
}

static void stop(void)
{
	follow_stop(&bench_follow);
}

/* By the loop, and by what is done with a record. */
static void test_stop_meanwhile(void **state)
{
	(void)state;
	bench_heard.slow_us = 100;
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	while (!bench_heard.begins)
		bench_turn();
	stop();
	assert_true(TAILQ_EMPTY(&bench_agent.telling));
	bench_turn();
	assert_int_equal(bench_heard.syncs, 0);
	bench_follow_start();
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	stop();
	bench_turn();
	assert_int_equal(bench_heard.begins, 1);
	bench_heard.told = 0;
	bench_heard.meanwhile = stop;
	bench_follow_start();
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	while (bench_follow.a)
		bench_turn();
	assert_true(TAILQ_EMPTY(&bench_agent.telling));
	bench_turn();
	assert_int_equal(bench_heard.told, KEYS / 2);
	assert_int_equal(bench_heard.syncs, 0);
}

static void another(void)
{
	fl_etcd_is_another(NULL);
}

/* What is left of the former store is not told, and what was told of it is not believed. */
static void test_restored_meanwhile(void **state)
{
	(void)state;
	bench_sync_first();
	bench_put(1, true);
	bench_heard.told = 0;
	bench_heard.meanwhile = another;
	follow_again(&bench_follow);
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	while (bench_heard.told < KEYS / 2)
		bench_turn();
	assert_int_equal(bench_heard.told, KEYS / 2);
	assert_false(bench_follow.synced);
	assert_int_equal(bench_heard.syncs, 1);
	bench_heard.meanwhile = NULL;
	bench_store.revision = 9;
	for (size_t i = 0; i < KEYS; i++)
		bench_store.mod[i] = bench_heard.mod[i] = i < 9 ? (int64_t)i + 1 : 0;
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	assert_false(bench_heard.restored);
	bench_until_synced();
	assert_true(bench_heard.restored);
	assert_int_equal(bench_store.others, 1);
	assert_int_equal(bench_heard.syncs, 2);
	assert_int_equal(bench_follow.revision, 9);
	bench_same_as_the_store();
}

/* Read, and not told yet. */
static void test_restored_before(void **state)
{
	(void)state;
	bench_sync_first();
	follow_again(&bench_follow);
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	another();
	assert_false(bench_follow.synced);
	bench_turn();
	assert_int_equal(bench_heard.begins, 1);
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	bench_until_synced();
	assert_true(bench_heard.restored);
	assert_int_equal(bench_heard.begins, 2);
}

/* It was restored while nobody watched: only what is read tells, by portions, too. */
static void test_restored_between_reads(void **state)
{
	(void)state;
	bench_sync_first();
	follow_again(&bench_follow);
	bench_store.mod[KEYS - 20] -= 3;
	bench_store.revision += LATER;
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	bench_until_synced();
	assert_int_equal(bench_store.others, 1);
	assert_true(bench_heard.restored);
	assert_null(bench_store.calls);
	assert_int_equal(bench_heard.syncs, 2);
	bench_same_as_the_store();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_portions),	    CASE(test_told_anew),
		CASE(test_nothing_there),   CASE(test_again_meanwhile),
		CASE(test_stop_meanwhile),  CASE(test_restored_meanwhile),
		CASE(test_restored_before), CASE(test_restored_between_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
