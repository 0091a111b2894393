/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "follow_bench.h"

#include <stdlib.h>

struct bench_store bench_store;
struct bench_heard bench_heard;
struct agent bench_agent;
struct follow bench_follow;

/* ---- the store: what is there, what was asked, what is watched ---- */

int fl_etcd_range(struct fl_etcd *c, const struct fl_etcd_range *q, fl_etcd_fn done, void *arg,
		  struct fl_etcd_call **ret, struct fl_error *err)
{
	struct fl_etcd_call *call = must_alloc(sizeof(*call));

	(void)c;
	(void)err;
	*call = (struct fl_etcd_call){ bench_store.calls, done, arg, q->revision };
	bench_store.calls = call;
	*ret = call;
	return 0;
}

void fl_etcd_cancel(struct fl_etcd_call *call)
{
	struct fl_etcd_call **at = &bench_store.calls;

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
	assert_null(bench_store.watch);
	bench_store.watch = must_alloc(sizeof(*bench_store.watch));
	*bench_store.watch = (struct fl_etcd_watch){ *ops, revision - 1, true };
	bench_store.watches++;
	*ret = bench_store.watch;
	return 0;
}

void fl_etcd_watch_stop(struct fl_etcd_watch *w)
{
	free(w);
	bench_store.watch = NULL;
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
	struct fl_etcd_watch *w = fl_take_ptr(bench_store.watch);

	(void)c;
	bench_store.others++;
	if (w) {
		struct fl_etcd_watch_ops ops = w->ops;

		free(w);
		ops.ended(ops.arg, FL_ETCD_ENDED_RESTORED, 0);
	}
	bench_agent.restores++;
	follow_restored(&bench_follow);
}

/* ---- the rest of the agent ---- */

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
	bench_store.flushed++;
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
	bench_heard.begins++;
	bench_heard.restored = bench_follow.restored;
}

static void on_change(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
		      int64_t revision)
{
	int64_t end = now_us() + bench_heard.slow_us;

	(void)arg;
	bench_heard.mod[atoi(key->id)] = kv ? revision : 0;
	bench_heard.told++;
	while (now_us() < end)
		continue;
	if (bench_heard.told == KEYS / 2 && bench_heard.meanwhile)
		bench_heard.meanwhile();
}

static void on_synced(void *arg)
{
	(void)arg;
	bench_heard.syncs++;
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
void bench_answer(enum fl_etcd_outcome outcome, const int64_t mod[KEYS], int64_t revision)
{
	struct fl_etcd_call *call = bench_store.calls, q;
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
void bench_put(size_t i, bool there)
{
	struct fl_etcd_event e = { .deleted = !there };

	bench_store.mod[i] = there ? ++bench_store.revision : 0;
	bench_store.revision += !there;
	if (!bench_store.watch || !bench_store.watch->open)
		return;
	e.kv = kv_of(i, bench_store.revision);
	bench_store.watch->revision = bench_store.revision;
	bench_store.watch->ops.events(bench_store.watch->ops.arg, &e, 1);
	free(e.kv.key);
}

void bench_turn(void)
{
	event_base_loop(bench_agent.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

void bench_until_synced(void)
{
	while (bench_follow.step != NOTHING_TO_TELL)
		bench_turn();
}

void bench_same_as_the_store(void)
{
	assert_memory_equal(bench_heard.mod, bench_store.mod, sizeof(bench_store.mod));
}

void bench_follow_start(void)
{
	follow_start(&bench_follow, &bench_agent, "node/", &told_ops, NULL);
}

int bench_begin(void **state)
{
	(void)state;
	memset(&bench_store, 0, sizeof(bench_store));
	memset(&bench_heard, 0, sizeof(bench_heard));
	bench_agent = (struct agent){ .base = event_base_new() };
	assert_non_null(bench_agent.base);
	for (size_t i = 0; i < KEYS - 10; i++)
		bench_put(i, true);
	follow_prepare(&bench_agent);
	bench_follow_start();
	assert_int_equal(bench_store.calls->revision, 0);
	return 0;
}

int bench_end(void **state)
{
	(void)state;
	follow_stop(&bench_follow);
	assert_null(bench_store.calls);
	assert_null(bench_store.watch);
	bench_turn();
	event_free(bench_agent.tell);
	event_base_free(bench_agent.base);
	return 0;
}

void bench_sync_first(void)
{
	bench_answer(FL_ETCD_OK, bench_store.mod, bench_store.revision);
	bench_until_synced();
	assert_int_equal(bench_heard.syncs, 1);
	bench_same_as_the_store();
}

void bench_until_asked(void)
{
	while (!bench_store.calls) {
		assert_true(evtimer_pending(bench_follow.doubt, NULL));
		bench_turn();
	}
}

/* The stream was lost and is there again; returns when the comparison is asked for. */
void bench_interrupt(void)
{
	bench_store.watch->ops.reopened(bench_store.watch->ops.arg);
	bench_until_asked();
	assert_int_equal(bench_store.calls->revision, bench_store.watch->revision);
}
