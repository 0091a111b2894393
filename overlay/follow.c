/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay/agent.h"

#include <stdlib.h>
#include <string.h>

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

static void on_ended(void *arg, enum fl_etcd_end why, int64_t revision)
{
	struct follow *f = arg;

	(void)revision;
	f->watch = NULL;
	/* What was read of another store is not to be acted on. */
	f->synced &= why != FL_ETCD_ENDED_RESTORED;
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
}

static void on_read(void *arg, struct fl_etcd_result *r)
{
	const struct fl_etcd_watch_ops ops = {
		.events = on_events, .ended = on_ended, .state = on_state, .arg = arg
	};
	struct follow *f = arg;
	struct fl_error err = { 0 };

	f->call = NULL;
	if (!agent_heard(f->a, r)) {
		read_later(f);
		return;
	}
	if (fl_etcd_watch(f->a->etcd, f->prefix, r->header.revision + 1, &ops, &f->watch, &err)) {
		say("%s", err.text);
		read_later(f);
		return;
	}
	f->revision = r->header.revision;
	f->restored = f->restores != f->a->restores;
	f->restores = f->a->restores;
	ignored_begin(f->a, f->prefix);
	f->ops->begin(f->arg);
	for (size_t i = 0; i < r->kvs.n; i++)
		tell(f, r->kvs.items[i].key, &r->kvs.items[i], r->kvs.items[i].mod_revision);
	ignored_end(f->a, f->prefix);
	f->synced = true;
	f->ops->synced(f->arg);
	f->restored = false;
	f->ops->settled(f->arg);
	agent_wake(f->a);
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
	if (!f->retry)
		die_of_memory();
	read_all(f);
}

void follow_again(struct follow *f)
{
	if (!f->watch)
		return; /* it is being read */
	fl_etcd_watch_stop(f->watch);
	f->watch = NULL;
	read_all(f);
}

void follow_stop(struct follow *f)
{
	if (f->call)
		fl_etcd_cancel(f->call);
	if (f->watch)
		fl_etcd_watch_stop(f->watch);
	if (f->retry)
		event_free(f->retry);
	*f = (struct follow){ 0 };
}
