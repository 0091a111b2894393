/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A watch whose stream was lost goes on by revisions, and a store that was restored meanwhile has
 * revisions of another history. So what was told is compared, some time later, with what the store
 * had at that revision: when both are the same, and all that came after is told by the watch, this
 * node knows what there is, whatever the store has been through.
 */
#include "overlay/agent.h"

#include <stdlib.h>
#include <string.h>

enum {
	PORTION_US = 3000, /* of telling, before the loop turns */
	PORTION_CHECK = 64 /* keys that are compared between two looks at the clock */
};

static void read_all(struct follow *f);

static void read_later(struct follow *f)
{
	/* Not all nodes at once, when the store is there again. */
	long ms = RETRY_MS + random() % RETRY_MS;
	const struct timeval pause = { ms / 1000, ms % 1000 * 1000 };

	event_add(f->retry, &pause);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_all(arg);
}

static void tell(struct follow *f, const char *key, const struct fl_etcd_kv *kv, int64_t revision)
{
	struct fl_rec_key k;

	f->a->n.events++;
	ignored_changed(f->a, key, revision);
	ledger_note(&f->ledger, key, kv, revision, f->verify);
	if (revision > f->covered)
		f->covered = revision;
	f->untold &= revision != f->wrote;
	if (fl_rec_key_parse(key, &k)) {
		if (kv)
			ignore(f->a, key, revision,
			       &(struct fl_error){ .text = "this version has no such key" });
	} else {
		f->ops->change(f->arg, &k, kv, revision);
	}
}

static void on_events(void *arg, const struct fl_etcd_event *events, size_t n)
{
	struct follow *f = arg;

	for (size_t i = 0; i < n; i++)
		tell(f, events[i].kv.key, events[i].deleted ? NULL : &events[i].kv,
		     events[i].kv.mod_revision);
	f->ops->settled(f->arg);
	agent_wake(f->a);
}

/* ---- after an interruption ---- */

/* At a random time, so that etcd has the same to do however many nodes read however much. */
static void verify_later(struct follow *f)
{
	int64_t ms = random() % ledger_spread_ms(f->ledger.n, HASH_COUNT(f->a->nodes));
	const struct timeval t = { ms / 1000, ms % 1000 * 1000 };

	if (!f->verify && !evtimer_pending(f->doubt, NULL))
		event_add(f->doubt, &t);
}

static bool is_open(const struct follow *f)
{
	return f->watch && fl_etcd_watch_endpoint(f->watch);
}

static void stop_verifying(struct follow *f)
{
	if (f->verify)
		fl_etcd_cancel(fl_take_ptr(f->verify));
	if (f->doubt)
		event_del(f->doubt);
	f->doubted = false;
}

static void believe_restored(struct follow *f, unsigned n, int64_t revision)
{
	say("%s: %u record%s of revision %lld are not what this node was told: the store has "
	    "another history",
	    f->prefix, n, n == 1 ? "" : "s", (long long)revision);
	fl_etcd_is_another(f->a->etcd);
}

static void on_verified(void *arg, struct fl_etcd_result *r)
{
	struct follow *f = arg;
	unsigned n;

	f->verify = NULL;
	if (r->outcome == FL_ETCD_COMPACTED || r->outcome == FL_ETCD_REFUSED) {
		follow_again(f);
		return;
	}
	if (r->outcome != FL_ETCD_OK) {
		if (is_open(f))
			verify_later(f);
		return;
	}
	f->doubted = false;
	n = ledger_compare(&f->ledger, &r->kvs, f->verified);
	if (n)
		believe_restored(f, n, f->verified);
	/* Of what we wrote ourselves nothing was told: it was of the former history. */
	else if (f->watch && f->untold)
		follow_again(f);
}

static void on_doubt(evutil_socket_t fd, short what, void *arg)
{
	struct follow *f = arg;
	struct fl_etcd_range q = { .key = f->prefix, .prefix = true };
	struct fl_error err = { 0 };

	(void)fd;
	(void)what;
	if (!is_open(f) || f->verify)
		return; /* on_state() */
	q.revision = f->verified = fl_etcd_watch_revision(f->watch);
	if (!q.revision || fl_etcd_range(f->a->etcd, &q, on_verified, f, &f->verify, &err))
		verify_later(f);
}

static void on_reopened(void *arg)
{
	struct follow *f = arg;

	f->doubted = true;
	/* By the time of the comparison another history may have got beyond it. */
	f->untold |= f->wrote > f->covered;
	/* It may be answered by the store that was. */
	if (f->verify)
		fl_etcd_cancel(fl_take_ptr(f->verify));
	verify_later(f);
}

/* ---- watching ---- */

static void on_ended(void *arg, enum fl_etcd_end why, int64_t revision)
{
	struct follow *f = arg;

	(void)revision;
	f->watch = NULL;
	/* What was read of another store is not to be acted on. */
	f->synced &= why != FL_ETCD_ENDED_RESTORED;
	stop_verifying(f);
	if (why == FL_ETCD_ENDED_COMPACTED)
		say("%s: too old to go on from; read again", f->prefix);
	read_all(f);
}

static void on_state(void *arg, const struct fl_error *err)
{
	struct follow *f = arg;

	/* Where one is interrupted the others are. */
	if (err && !f->a->interrupted && !f->a->trouble.err)
		say("watching is interrupted: %s", err->text);
	f->a->interrupted = err;
	if (!err && f->doubted)
		verify_later(f);
}

/* ---- reading ---- */

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* What was read is told for a bounded time in each turn of the loop: what the lease needs, and
 * whoever asks, comes between. */
static void turn(struct agent *a)
{
	static const struct timeval next = { 0, 0 };

	/* An event that is activated at once would be of the same turn. */
	if (!TAILQ_EMPTY(&a->telling) && !evtimer_pending(a->tell, NULL))
		event_add(a->tell, &next);
}

static void leave_queue(struct follow *f)
{
	if (f->step == NOTHING_TO_TELL)
		return;
	TAILQ_REMOVE(&f->a->telling, f, link);
	f->step = NOTHING_TO_TELL;
	f->again = false;
	fl_etcd_kvs_clear(&f->read);
}

static void begin(struct follow *f)
{
	ledger_clear(&f->ledger);
	f->restored = f->restores != f->a->restores;
	f->restores = f->a->restores;
	ignored_begin(f->a, f->prefix);
	f->covered = f->read_at;
	f->wrote = f->restored || f->wrote <= f->read_at ? 0 : f->wrote;
	/* As of a revision of another history nothing is known. */
	if (f->restored)
		f->revision = 0;
	f->untold = false;
	f->told = 0;
	f->step = TELLING;
	/* What is told by half is not acted on. */
	f->synced = false;
	f->ops->begin(f->arg);
}

static void check_some(struct follow *f)
{
	size_t left = f->read.n - f->told, n = left < PORTION_CHECK ? left : PORTION_CHECK;

	if (n && f->restores == f->a->restores) {
		const struct fl_etcd_kvs some = { .items = &f->read.items[f->told], .n = n };

		f->others += ledger_contradict(&f->ledger, &some, f->covered);
		f->told += n;
		return;
	}
	f->step = CHECKED;
	/* What was read is of the new history. */
	if (f->others)
		believe_restored(f, f->others, f->covered);
}

static void tell_one(struct follow *f)
{
	struct fl_etcd_kv kv = f->read.items[f->told];

	f->read.items[f->told++].key = NULL;
	tell(f, kv.key, &kv, kv.mod_revision);
	free(kv.key);
}

static void finish(struct follow *f)
{
	const struct fl_etcd_watch_ops ops = { .events = on_events,
					       .ended = on_ended,
					       .state = on_state,
					       .arg = f,
					       .reopened = on_reopened };
	struct fl_error err = { 0 };
	bool again = f->again;

	leave_queue(f);
	if (again) { /* some of it was told before that was asked for */
		read_all(f);
	} else if (fl_etcd_watch(f->a->etcd, f->prefix, f->read_at + 1, &ops, &f->watch, &err)) {
		say("%s", err.text);
		read_later(f);
		return;
	}
	ignored_end(f->a, f->prefix);
	f->revision = f->read_at;
	f->synced = true;
	f->ops->synced(f->arg);
	f->restored = false;
	f->ops->settled(f->arg);
	agent_wake(f->a);
}

static void tell_some(struct follow *f, int64_t end)
{
	while (f->step == CHECKING && now_us() < end)
		check_some(f);
	if (f->step == CHECKED)
		begin(f);
	while (f->step == TELLING && f->told < f->read.n && now_us() < end)
		tell_one(f);
	if (f->step == TELLING && f->told == f->read.n)
		finish(f);
}

static void on_tell(evutil_socket_t fd, short what, void *arg)
{
	int64_t end = now_us() + PORTION_US;
	struct agent *a = arg;
	struct follow *f;

	(void)fd;
	(void)what;
	while (now_us() < end && (f = TAILQ_FIRST(&a->telling)))
		tell_some(f, end);
	/* Plugins wait for the node's store as long as it is being written. */
	mirror_flush(a);
	turn(a);
}

static void on_read(void *arg, struct fl_etcd_result *r)
{
	struct follow *f = arg;

	f->call = NULL;
	if (!agent_heard(f->a, r)) {
		read_later(f);
		return;
	}
	f->read_at = r->header.revision;
	f->read = r->kvs;
	r->kvs = (struct fl_etcd_kvs){ 0 };
	f->told = f->others = 0;
	f->step = CHECKING;
	TAILQ_INSERT_TAIL(&f->a->telling, f, link);
	turn(f->a);
}

static void read_all(struct follow *f)
{
	const struct fl_etcd_range q = { .key = f->prefix, .prefix = true };
	struct fl_error err = { 0 };

	if (!fl_etcd_range(f->a->etcd, &q, on_read, f, &f->call, &err))
		return;
	say("%s", err.text);
	read_later(f);
}

void follow_start(struct follow *f, struct agent *a, const char *prefix,
		  const struct follow_ops *ops, void *arg)
{
	*f = (struct follow){ .a = a, .ops = ops, .arg = arg, .restores = a->restores };
	fl_strcpy(f->prefix, sizeof(f->prefix), prefix);
	f->retry = evtimer_new(a->base, on_retry, f);
	f->doubt = evtimer_new(a->base, on_doubt, f);
	if (!f->retry || !f->doubt)
		die_of_memory();
	read_all(f);
}

void follow_again(struct follow *f)
{
	/* Some of it may have been told already. */
	f->again |= f->step != NOTHING_TO_TELL;
	if (!f->watch)
		return; /* it is being read */
	stop_verifying(f);
	fl_etcd_watch_stop(f->watch);
	f->watch = NULL;
	read_all(f);
}

void follow_restored(struct follow *f)
{
	if (!f->ops)
		return;
	f->synced = false;
	/* Maybe of the former one. */
	if (f->step == CHECKING || f->step == TELLING) {
		leave_queue(f);
		read_all(f);
	}
}

void follow_stop(struct follow *f)
{
	if (f->a)
		leave_queue(f);
	if (f->call)
		fl_etcd_cancel(f->call);
	if (f->watch)
		fl_etcd_watch_stop(f->watch);
	stop_verifying(f);
	if (f->doubt)
		event_free(f->doubt);
	if (f->retry)
		event_free(f->retry);
	ledger_clear(&f->ledger);
	*f = (struct follow){ 0 };
}

bool follow_tells(const struct follow *f)
{
	return f->step == TELLING;
}

void follow_prepare(struct agent *a)
{
	TAILQ_INIT(&a->telling);
	a->tell = evtimer_new(a->base, on_tell, a);
	if (!a->tell)
		die_of_memory();
}

void follow_wrote(struct follow *f, int64_t revision)
{
	if (revision > f->wrote)
		f->wrote = revision;
}
