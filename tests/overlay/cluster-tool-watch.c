/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster-tool.h"

#include <string.h>

/* ---- watch PREFIX: a line for each event, until it ends; with --beat-ms a read now and then ----
 */

struct follower {
	struct tool *t;
	struct fl_etcd_watch *w;
	bool ended;
};

static void on_events(void *arg, const struct fl_etcd_event *events, size_t n)
{
	(void)arg;
	for (size_t i = 0; i < n; i++) {
		json_t *j = kv_json(&events[i].kv);

		json_object_set_new(j, "event", json_string(events[i].deleted ? "delete" : "put"));
		json_object_set_new(j, "batch", json_integer((json_int_t)n));
		if (events[i].prev.key)
			json_object_set_new(j, "prev", json_string(events[i].prev.value));
		print_json(j);
	}
}

static void on_ended(void *arg, enum fl_etcd_end why, int64_t revision)
{
	struct follower *f = arg;

	f->ended = true;
	print_json(json_pack("{sssI}", "state",
			     why == FL_ETCD_ENDED_COMPACTED ? "compacted" : "ended restored",
			     "revision", (json_int_t)revision));
}

static void on_state(void *arg, const struct fl_error *err)
{
	struct follower *f = arg;
	const char *url = f->w ? fl_etcd_watch_endpoint(f->w) : NULL;
	const struct fl_etcd_stats *s = fl_etcd_stats(f->t->c);

	print_json(json_pack("{sssssssIsI}", "state", err ? "closed" : "open", "error",
			     err ? err->text : "", "endpoint", url ? url : "", "bad",
			     (json_int_t)s->bad_answers, "ignored", (json_int_t)s->ignored_keys));
}

static void on_read(void *arg, struct fl_etcd_result *r)
{
	(void)arg;
	(void)r;
}

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct tool *t = arg;

	(void)fd;
	(void)what;
	fl_etcd_range(t->c, &(struct fl_etcd_range){ .key = "beat" }, on_read, NULL, NULL, NULL);
}

int do_watch(struct tool *t)
{
	struct event *beat = event_new(t->base, -1, EV_PERSIST, on_beat, t);
	struct timeval every = { t->beat_ms / 1000, (suseconds_t)(t->beat_ms % 1000) * 1000 };
	struct follower f = { .t = t };
	struct fl_etcd_watch_ops ops = { on_events, on_ended, on_state, &f };
	struct fl_error err;

	if (fl_etcd_watch(t->c, t->args[0], t->revision, &ops, &f.w, &err))
		return 1;
	if (t->beat_ms)
		event_add(beat, &every);
	while (!f.ended)
		event_base_loop(t->base, EVLOOP_ONCE);
	event_free(beat);
	return 0;
}

/* ---- watch-latency PREFIX N: from the start of a put to its event ---- */

struct timing {
	bool open, arrived;
};

static void on_timed_events(void *arg, const struct fl_etcd_event *events, size_t n)
{
	(void)events;
	(void)n;
	((struct timing *)arg)->arrived = true;
}

static void on_timed_end(void *arg, enum fl_etcd_end why, int64_t revision)
{
	(void)arg;
	(void)why;
	(void)revision;
	exit(1);
}

static void on_timed_state(void *arg, const struct fl_error *err)
{
	((struct timing *)arg)->open = !err;
}

int do_watch_latency(struct tool *t)
{
	unsigned n = (unsigned)atoi(t->args[1]);
	FL_AUTOFREE double *times = calloc(n + 1, sizeof(*times));
	struct timing timing = { 0 };
	struct fl_etcd_watch_ops ops = { on_timed_events, on_timed_end, on_timed_state, &timing };
	struct fl_etcd_watch *w;
	struct fl_error err;
	char key[128];

	if (!times || fl_etcd_watch(t->c, t->args[0], 0, &ops, &w, &err))
		return 1;
	while (!timing.open)
		event_base_loop(t->base, EVLOOP_ONCE);
	for (unsigned i = 0; i < n; i++) {
		struct fl_etcd_wait wait = { 0 };
		double start = now_s();

		timing.arrived = false;
		snprintf(key, sizeof(key), "%s%u", t->args[0], i);
		if (fl_etcd_put(t->c, key, "x", 1, 0, fl_etcd_wait_done, &wait, NULL, &err))
			return 1;
		while (!timing.arrived)
			event_base_loop(t->base, EVLOOP_ONCE);
		times[i] = now_s() - start;
		fl_etcd_wait(t->c, &wait);
		fl_etcd_result_clear(&wait.result);
	}
	print_json(times_json(times, n));
	return 0;
}
