/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a prefix is read, told in portions, and compared after an interruption; with a store of
 * lists. */
#include "unit.h"

#include "overlay/agent.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { KEYS = 300, LATER = 1000 };

/* ---- the store: what is there, what was asked, what is watched ---- */

struct fl_etcd_call {
	struct fl_etcd_call *next;
	fl_etcd_fn done;
	void *arg;
	int64_t revision;
};

struct fl_etcd_watch {
	struct fl_etcd_watch_ops ops;
	int64_t revision;
	bool open;
};

static struct {
	int64_t revision, mod[KEYS]; /* mod 0: not there */
	struct fl_etcd_call *calls;
	struct fl_etcd_watch *watch;
	unsigned watches, others, flushed;
} store;

static struct agent a;
static struct follow f;
static struct {
	int64_t mod[KEYS];
	unsigned begins, syncs, told;
	bool restored;
	int64_t slow_us;
	void (*meanwhile)(void);
} heard;

int fl_etcd_range(struct fl_etcd *c, const struct fl_etcd_range *q, fl_etcd_fn done, void *arg,
		  struct fl_etcd_call **ret, struct fl_error *err)
{
	struct fl_etcd_call *call = must_alloc(sizeof(*call));

	(void)c;
	(void)err;
	*call = (struct fl_etcd_call){ store.calls, done, arg, q->revision };
	store.calls = call;
	*ret = call;
	return 0;
}

void fl_etcd_cancel(struct fl_etcd_call *call)
{
	struct fl_etcd_call **at = &store.calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	free(call);
}

int fl_etcd_watch(struct fl_etcd *c, const char *prefix, int64_t revision,
		  const struct fl_etcd_watch_ops *ops, struct fl_etcd_watch **ret,
		  struct fl_error *err)
{
	(void)c;
	(void)prefix;
	(void)err;
	assert_null(store.watch);
	store.watch = must_alloc(sizeof(*store.watch));
	*store.watch = (struct fl_etcd_watch){ *ops, revision - 1, true };
	store.watches++;
	*ret = store.watch;
	return 0;
}

void fl_etcd_watch_stop(struct fl_etcd_watch *w)
{
	free(w);
	store.watch = NULL;
}

int64_t fl_etcd_watch_revision(const struct fl_etcd_watch *w)
{
	return w->revision;
}

const char *fl_etcd_watch_endpoint(const struct fl_etcd_watch *w)
{
	return w->open ? "http://192.0.2.101:2379" : NULL;
}

/* As the client does: first the watches, then the owner. */
void fl_etcd_is_another(struct fl_etcd *c)
{
	struct fl_etcd_watch *w = fl_take_ptr(store.watch);

	(void)c;
	store.others++;
	if (w) {
		struct fl_etcd_watch_ops ops = w->ops;

		free(w);
		ops.ended(ops.arg, FL_ETCD_ENDED_RESTORED, 0);
	}
	a.restores++;
	follow_restored(&f);
}

/* ---- the rest of the agent ---- */

void die_of_memory(void)
{
	abort();
}

void *must_alloc(size_t n)
{
	void *p = calloc(1, n);

	assert_non_null(p);
	return p;
}

void say(const char *fmt, ...)
{
	(void)fmt;
}

bool agent_heard(struct agent *agent, const struct fl_etcd_result *r)
{
	(void)agent;
	return r->outcome == FL_ETCD_OK;
}

void agent_wake(struct agent *agent)
{
	(void)agent;
}

void mirror_flush(struct agent *agent)
{
	(void)agent;
	store.flushed++;
}

void ignored_changed(struct agent *agent, const char *key, int64_t revision)
{
	(void)agent;
	(void)key;
	(void)revision;
}

void ignored_begin(struct agent *agent, const char *prefix)
{
	(void)agent;
	(void)prefix;
}

void ignored_end(struct agent *agent, const char *prefix)
{
	(void)agent;
	(void)prefix;
}

void ignore(struct agent *agent, const char *key, int64_t revision, const struct fl_error *why)
{
	(void)agent;
	fail_msg("%s at %lld: %s", key, (long long)revision, why->text);
}

/* No pause is a long one. */
long random(void)
{
	return 0;
}

/* ---- who is told ---- */

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void on_begin(void *arg)
{
	(void)arg;
	heard.begins++;
	heard.restored = f.restored;
}

static void on_change(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
		      int64_t revision)
{
	int64_t end = now_us() + heard.slow_us;

	(void)arg;
	heard.mod[atoi(key->id)] = kv ? revision : 0;
	heard.told++;
	while (now_us() < end)
		continue;
	if (heard.told == KEYS / 2 && heard.meanwhile)
		heard.meanwhile();
}

static void on_synced(void *arg)
{
	(void)arg;
	heard.syncs++;
}

static void on_settled(void *arg)
{
	(void)arg;
}

static const struct follow_ops told_ops = { on_begin, on_change, on_synced, on_settled };

/* ---- what happens ---- */

static void key_of(size_t i, char *buf)
{
	snprintf(buf, FL_REC_KEY_STR, "node/%zu", i);
}

static struct fl_etcd_kv kv_of(size_t i, int64_t revision)
{
	char key[FL_REC_KEY_STR], *both;

	key_of(i, key);
	both = must_alloc(strlen(key) + 1);
	strcpy(both, key);
	return (struct fl_etcd_kv){
		.key = both, .value = both, .value_len = strlen(both), .mod_revision = revision
	};
}

static struct fl_etcd_kvs all_of(const int64_t mod[KEYS])
{
	struct fl_etcd_kvs all = { 0 };

	for (size_t i = 0; i < KEYS; i++) {
		if (!mod[i])
			continue;
		if (!all.items)
			all.items = must_alloc(KEYS * sizeof(*all.items));
		all.items[all.n++] = kv_of(i, mod[i]);
	}
	return all;
}

/* The oldest question is answered with what was there, as of a revision. */
static void answer(enum fl_etcd_outcome outcome, const int64_t mod[KEYS], int64_t revision)
{
	struct fl_etcd_call *call = store.calls, q;
	struct fl_etcd_result r = { .outcome = outcome, .header.revision = revision };

	assert_non_null(call);
	while (call->next)
		call = call->next;
	q = *call;
	fl_etcd_cancel(call);
	if (outcome == FL_ETCD_OK)
		r.kvs = all_of(mod);
	q.done(q.arg, &r);
	fl_etcd_kvs_clear(&r.kvs);
}

/* The store changes, and the watch tells when there is one. */
static void put(size_t i, bool there)
{
	struct fl_etcd_event e = { .deleted = !there };

	store.mod[i] = there ? ++store.revision : 0;
	store.revision += !there;
	if (!store.watch || !store.watch->open)
		return;
	e.kv = kv_of(i, store.revision);
	store.watch->revision = store.revision;
	store.watch->ops.events(store.watch->ops.arg, &e, 1);
	free(e.kv.key);
}

static void turn(void)
{
	event_base_loop(a.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void until_synced(void)
{
	while (f.step != NOTHING_TO_TELL)
		turn();
}

static void same_as_the_store(void)
{
	assert_memory_equal(heard.mod, store.mod, sizeof(store.mod));
}

static int begin(void **state)
{
	(void)state;
	memset(&store, 0, sizeof(store));
	memset(&heard, 0, sizeof(heard));
	a = (struct agent){ .base = event_base_new() };
	assert_non_null(a.base);
	for (size_t i = 0; i < KEYS - 10; i++)
		put(i, true);
	follow_prepare(&a);
	follow_start(&f, &a, "node/", &told_ops, NULL);
	assert_int_equal(store.calls->revision, 0);
	return 0;
}

static int end(void **state)
{
	(void)state;
	follow_stop(&f);
	assert_null(store.calls);
	assert_null(store.watch);
	turn();
	event_free(a.tell);
	event_base_free(a.base);
	return 0;
}

static void sync_first(void)
{
	answer(FL_ETCD_OK, store.mod, store.revision);
	until_synced();
	assert_int_equal(heard.syncs, 1);
	same_as_the_store();
}

static void until_asked(void)
{
	while (!store.calls) {
		assert_true(evtimer_pending(f.doubt, NULL));
		turn();
	}
}

/* The stream was lost and is there again; returns when the comparison is asked for. */
static void interrupt(void)
{
	store.watch->ops.reopened(store.watch->ops.arg);
	until_asked();
	assert_int_equal(store.calls->revision, store.watch->revision);
}

/* ---- portions ---- */

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
	struct event *other = event_new(a.base, ready, EV_READ | EV_PERSIST, count, &between);

	(void)state;
	heard.slow_us = 100;
	event_add(other, NULL);
	answer(FL_ETCD_OK, store.mod, store.revision);
	assert_int_equal(heard.told, 0);
	for (; !f.synced; turns++) {
		assert_int_equal(store.watches, 0);
		assert_int_equal(heard.syncs, 0);
		assert_int_equal(f.revision, 0);
		turn();
		assert_int_equal(store.flushed, turns + 1);
	}
	/* 29 ms of work, at most 3 of them in one turn. */
	assert_true(turns >= 9);
	assert_int_equal(between, turns);
	assert_int_equal(store.watches, 1);
	assert_int_equal(f.revision, store.revision);
	same_as_the_store();
	event_free(other);
	close(ready);
}

/* What is known is not acted on while it is told anew, and known as of the former revision. */
static void test_told_anew(void **state)
{
	int64_t before = store.revision;

	(void)state;
	sync_first();
	put(0, true);
	heard.slow_us = 100;
	heard.told = 0;
	follow_again(&f);
	assert_true(f.synced);
	answer(FL_ETCD_OK, store.mod, store.revision);
	for (unsigned turns = 0; f.step != NOTHING_TO_TELL; turns++) {
		turn();
		assert_true(f.synced == (f.step == NOTHING_TO_TELL));
		assert_int_equal(f.revision, f.synced ? store.revision : before);
	}
	assert_int_equal(heard.syncs, 2);
	assert_int_equal(store.others, 0);
}

static void test_nothing_there(void **state)
{
	(void)state;
	memset(store.mod, 0, sizeof(store.mod));
	answer(FL_ETCD_OK, store.mod, store.revision);
	until_synced();
	assert_true(f.synced);
	assert_int_equal(heard.begins, 1);
	assert_int_equal(heard.told, 0);
	put(0, true);
	same_as_the_store();
}

static void again(void)
{
	follow_again(&f);
}

static void test_again_meanwhile(void **state)
{
	int64_t old[KEYS];

	(void)state;
	heard.slow_us = 50;
	heard.meanwhile = again;
	memcpy(old, store.mod, sizeof(old));
	answer(FL_ETCD_OK, old, store.revision);
	put(3, true);
	put(4, false);
	until_synced();
	assert_int_equal(heard.syncs, 1);
	assert_null(store.watch);
	answer(FL_ETCD_OK, store.mod, store.revision);
	until_synced();
	assert_int_equal(heard.begins, 2);
	assert_int_equal(heard.syncs, 2);
	assert_int_equal(heard.mod[3], store.mod[3]);
	assert_non_null(store.watch);
	assert_int_equal(store.others, 0);
}

static void stop(void)
{
	follow_stop(&f);
}

/* By the loop, and by what is done with a record. */
static void test_stop_meanwhile(void **state)
{
	(void)state;
	heard.slow_us = 100;
	answer(FL_ETCD_OK, store.mod, store.revision);
	while (!heard.begins)
		turn();
	stop();
	assert_true(TAILQ_EMPTY(&a.telling));
	turn();
	assert_int_equal(heard.syncs, 0);
	follow_start(&f, &a, "node/", &told_ops, NULL);
	answer(FL_ETCD_OK, store.mod, store.revision);
	stop();
	turn();
	assert_int_equal(heard.begins, 1);
	heard.told = 0;
	heard.meanwhile = stop;
	follow_start(&f, &a, "node/", &told_ops, NULL);
	answer(FL_ETCD_OK, store.mod, store.revision);
	while (f.a)
		turn();
	assert_true(TAILQ_EMPTY(&a.telling));
	turn();
	assert_int_equal(heard.told, KEYS / 2);
	assert_int_equal(heard.syncs, 0);
}

static void another(void)
{
	fl_etcd_is_another(NULL);
}

/* What is left of the former store is not told, and what was told of it is not believed. */
static void test_restored_meanwhile(void **state)
{
	(void)state;
	sync_first();
	put(1, true);
	heard.told = 0;
	heard.meanwhile = another;
	follow_again(&f);
	answer(FL_ETCD_OK, store.mod, store.revision);
	while (!heard.told)
		turn();
	assert_int_equal(heard.told, KEYS / 2);
	assert_false(f.synced);
	assert_int_equal(heard.syncs, 1);
	heard.meanwhile = NULL;
	store.revision = 9;
	for (size_t i = 0; i < KEYS; i++)
		store.mod[i] = heard.mod[i] = i < 9 ? (int64_t)i + 1 : 0;
	answer(FL_ETCD_OK, store.mod, store.revision);
	assert_false(heard.restored);
	until_synced();
	assert_true(heard.restored);
	assert_int_equal(store.others, 1);
	assert_int_equal(heard.syncs, 2);
	assert_int_equal(f.revision, 9);
	same_as_the_store();
}

/* Read, and not told yet. */
static void test_restored_before(void **state)
{
	(void)state;
	sync_first();
	follow_again(&f);
	answer(FL_ETCD_OK, store.mod, store.revision);
	another();
	assert_false(f.synced);
	turn();
	assert_int_equal(heard.begins, 1);
	answer(FL_ETCD_OK, store.mod, store.revision);
	until_synced();
	assert_true(heard.restored);
	assert_int_equal(heard.begins, 2);
}

/* It was restored while nobody watched: only what is read tells, by portions, too. */
static void test_restored_between_reads(void **state)
{
	(void)state;
	sync_first();
	follow_again(&f);
	store.mod[KEYS - 20] -= 3;
	store.revision += LATER;
	answer(FL_ETCD_OK, store.mod, store.revision);
	until_synced();
	assert_int_equal(store.others, 1);
	assert_true(heard.restored);
	assert_null(store.calls);
	assert_int_equal(heard.syncs, 2);
	same_as_the_store();
}

/* ---- after an interruption ---- */

static void test_the_same_store(void **state)
{
	int64_t was[KEYS], revision;

	(void)state;
	sync_first();
	put(KEYS - 1, true);
	interrupt();
	memcpy(was, store.mod, sizeof(was));
	revision = store.revision;
	/* Meanwhile: new ones, changed ones, and some that go. */
	put(KEYS - 2, true);
	put(KEYS - 2, false);
	put(5, true);
	put(6, false);
	answer(FL_ETCD_OK, was, revision);
	assert_int_equal(store.others, 0);
	assert_int_equal(heard.begins, 1);
	same_as_the_store();
}

static void test_another_store(void **state)
{
	int64_t was[KEYS];

	(void)state;
	sync_first();
	interrupt();
	memcpy(was, store.mod, sizeof(was));
	was[7] = 0;
	answer(FL_ETCD_OK, was, store.revision);
	assert_int_equal(store.others, 1);
	assert_false(f.synced);
	store.mod[7] = 0;
	answer(FL_ETCD_OK, store.mod, store.revision);
	until_synced();
	assert_true(heard.restored);
}

/* What the comparison needs is gone: all is read, and that is compared. */
static void test_comparison_compacted(void **state)
{
	(void)state;
	sync_first();
	interrupt();
	put(8, true);
	answer(FL_ETCD_COMPACTED, NULL, 0);
	assert_non_null(store.calls);
	assert_int_equal(store.calls->revision, 0);
	assert_null(store.watch);
	put(9, false);
	heard.mod[9] = 0;
	answer(FL_ETCD_OK, store.mod, store.revision);
	until_synced();
	assert_int_equal(store.others, 0);
	assert_int_equal(heard.syncs, 2);
	same_as_the_store();
	put(10, true);
	same_as_the_store();
}

static void test_comparison_compacted_of_another(void **state)
{
	(void)state;
	sync_first();
	interrupt();
	answer(FL_ETCD_COMPACTED, NULL, 0);
	store.mod[11]--; /* old, and never told */
	store.revision += LATER;
	answer(FL_ETCD_OK, store.mod, store.revision);
	until_synced();
	assert_int_equal(store.others, 1);
	assert_true(heard.restored);
}

/* No answer is none: it is asked again, and another interruption asks again, too. */
static void test_comparison_unanswered(void **state)
{
	(void)state;
	sync_first();
	interrupt();
	answer(FL_ETCD_NOT_REACHED, NULL, 0);
	assert_null(store.calls);
	until_asked();
	store.watch->ops.reopened(store.watch->ops.arg);
	assert_null(store.calls); /* what the store that was would say is not waited for */
	until_asked();
	answer(FL_ETCD_OK, store.mod, store.revision);
	assert_int_equal(store.others, 0);
	assert_null(store.calls);
}

/* What was written, and is not told up to a later revision, was of the former history. */
static void test_own_write_that_is_not_told(void **state)
{
	(void)state;
	sync_first();
	follow_wrote(&f, store.revision + LATER);
	interrupt();
	answer(FL_ETCD_OK, store.mod, store.revision);
	assert_int_equal(store.others, 0);
	assert_null(store.watch);
	assert_non_null(store.calls);
	answer(FL_ETCD_OK, store.mod, store.revision);
	until_synced();
	assert_int_equal(heard.syncs, 2);
}

/* Also when the other history has got beyond it by then. */
static void test_own_write_that_is_overtaken(void **state)
{
	(void)state;
	sync_first();
	follow_wrote(&f, store.revision + 2);
	store.watch->ops.reopened(store.watch->ops.arg);
	store.revision += LATER;
	put(14, true);
	until_asked();
	assert_true(store.calls->revision > f.wrote);
	answer(FL_ETCD_OK, store.mod, store.revision);
	assert_int_equal(store.others, 0);
	assert_null(store.watch);
	answer(FL_ETCD_OK, store.mod, store.revision);
	until_synced();
	interrupt();
	answer(FL_ETCD_OK, store.mod, store.revision);
	assert_non_null(store.watch);
}

/* It was late, and nothing else. */
static void test_own_write_that_is_told_afterwards(void **state)
{
	(void)state;
	sync_first();
	follow_wrote(&f, store.revision + 1);
	store.watch->ops.reopened(store.watch->ops.arg);
	put(15, true);
	until_asked();
	answer(FL_ETCD_OK, store.mod, store.revision);
	assert_non_null(store.watch);
	assert_null(store.calls);
}

static void test_own_write_that_is_told(void **state)
{
	(void)state;
	sync_first();
	follow_wrote(&f, store.revision + 1);
	put(12, true);
	interrupt();
	answer(FL_ETCD_OK, store.mod, store.revision);
	assert_non_null(store.watch);
	assert_null(store.calls);
	assert_int_equal(store.others, 0);
}

/* One that completes while all is told, and that the watch has to tell of. */
static void write_own(void)
{
	put(13, true);
	follow_wrote(&f, store.revision);
}

static void test_own_write_meanwhile(void **state)
{
	(void)state;
	for (int told = 0; told < 2; told++) {
		int64_t was[KEYS], revision = store.revision;

		memcpy(was, store.mod, sizeof(was));
		heard.told = 0;
		heard.meanwhile = told ? write_own : NULL;
		if (!told) /* while it is read */
			write_own();
		answer(FL_ETCD_OK, was, revision);
		until_synced();
		assert_int_equal(store.watch->revision, revision);
		interrupt();
		answer(FL_ETCD_OK, was, revision);
		assert_null(store.watch);
		assert_int_equal(store.others, 0);
		answer(FL_ETCD_OK, store.mod, store.revision);
		until_synced();
		same_as_the_store();
		follow_again(&f);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_portions),
		CASE(test_told_anew),
		CASE(test_nothing_there),
		CASE(test_again_meanwhile),
		CASE(test_stop_meanwhile),
		CASE(test_restored_meanwhile),
		CASE(test_restored_before),
		CASE(test_restored_between_reads),
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
