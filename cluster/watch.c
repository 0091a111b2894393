/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A watch: IDLE -> FINDING (a count of the keys tells which endpoint answers) -> OPENING (the
 * stream, at that endpoint) -> OPEN; and back to IDLE after any failure.
 *
 * `next` is the first revision whose events were not delivered. `resume` may be higher: a revision
 * that a read has told of and that the stream has had a whole check's time for. It keeps a quiet
 * watch from asking for revisions that were compacted long ago.
 */
#include "cluster/client.h"

#include <errno.h>
#include <string.h>

enum {
	BACKOFF_MS = 100,
	BACKOFF_MAX_MS = 2000,
	SOON_MS = 20,	  /* not all watches at once */
	STABLE_MS = 1000, /* a stream that was open for so long was no failure */
	GRACE_MS = 1000,  /* for events that are under way when a count changes */
	QUIET_CHECKS = 10,
};

enum stage { IDLE, FINDING, OPENING, OPEN };

struct fl_etcd_watch {
	TAILQ_ENTRY(fl_etcd_watch) link;
	struct fl_etcd *c;
	struct fl_etcd_watch_ops ops;
	char *key;
	enum stage stage;
	unsigned endpoint;
	int64_t next, resume;
	struct event *timer;
	struct fl_etcd_call *call; /* finding, or checking */
	struct transfer *t;
	struct fl_etcd_lines lines;
	struct fl_etcd_event *pending; /* of an answer whose last fragment is to come */
	size_t n_pending, pending_bytes;
	unsigned fails;
	uint64_t opened; /* ms */
	bool lost;	 /* the stream, without our doing */
	/* of the last check */
	int64_t count, revision;
	unsigned quiet;	 /* checks */
	bool heard;	 /* an event since */
	bool suspicious; /* the count has changed in silence */
	bool leave;
	bool busy;    /* a function of the owner runs */
	bool stopped; /* meanwhile */
	bool doomed;
};

static void watch_free(struct fl_etcd_watch *w)
{
	event_free(w->timer);
	free(w->key);
	free(w);
}

static void close_stream(struct fl_etcd_watch *w)
{
	if (w->call)
		fl_etcd_cancel(fl_take_ptr(w->call));
	if (w->t)
		transfer_free(fl_take_ptr(w->t));
	fl_etcd_lines_clear(&w->lines);
	fl_etcd_events_clear(w->pending, w->n_pending);
	w->pending = NULL;
	w->n_pending = w->pending_bytes = 0;
	w->suspicious = w->leave = false;
}

void fl_etcd_watch_stop(struct fl_etcd_watch *w)
{
	TAILQ_REMOVE(&w->c->watches, w, link);
	close_stream(w);
	event_del(w->timer);
	if (w->busy)
		w->stopped = true;
	else
		watch_free(w);
}

static void wait_ms(struct fl_etcd_watch *w, unsigned ms)
{
	struct timeval tv = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };

	event_add(w->timer, &tv);
}

/* Ends a stretch in which functions of the owner may have run. False: the watch is gone. */
static bool leave_busy(struct fl_etcd_watch *w, bool was)
{
	bool gone = !was && w->stopped;

	w->busy = was;
	if (gone)
		watch_free(w);
	return !gone;
}

static void end(struct fl_etcd_watch *w, enum fl_etcd_end why, int64_t revision)
{
	struct fl_etcd_watch_ops ops = w->ops;

	fl_etcd_watch_stop(w);
	ops.ended(ops.arg, why, revision);
}

static void tell(struct fl_etcd_watch *w, const struct fl_error *err)
{
	if (w->ops.state)
		w->ops.state(w->ops.arg, err);
}

/* Other members are asked before there is a pause: as often as there are any. */
static unsigned pause_ms(const struct fl_etcd_watch *w)
{
	unsigned n = w->c->endpoints.n;

	if (w->fails <= n)
		return etcd_lot() % SOON_MS;
	return backoff_ms(w->fails - n, BACKOFF_MS, BACKOFF_MAX_MS, etcd_lot());
}

/* Begins anew after a while. To be called while busy, as are all that follow. */
static void restart(struct fl_etcd_watch *w, bool blame, const struct fl_error *err)
{
	struct fl_etcd *c = w->c;
	uint64_t now = etcd_now();

	if (w->stage == OPEN && now - w->opened >= STABLE_MS)
		w->fails = 0;
	close_stream(w);
	if (blame)
		endpoints_failed(&c->endpoints, w->endpoint, now, etcd_lot());
	c->stats.watch_restarts++;
	w->stage = IDLE;
	w->lost = true;
	if (w->fails < FL_ETCD_ENDPOINTS_MAX + 16)
		w->fails++;
	wait_ms(w, pause_ms(w));
	tell(w, err);
}

static const char *url_of(const struct fl_etcd_watch *w)
{
	return w->c->endpoints.list[w->endpoint].url;
}

static void restart_because(struct fl_etcd_watch *w, bool blame, const char *why)
{
	struct fl_error err;

	fl_error_set(&err, EAGAIN, FL_ECODE_IO, "etcd %s: watch of %s%s: %s", url_of(w),
		     w->c->prefix, w->key, why);
	restart(w, blame, &err);
}

/* ---- lines ---- */

static void deliver(struct fl_etcd_watch *w, int64_t last)
{
	struct fl_etcd_event *events = fl_take_ptr(w->pending);
	size_t n = w->n_pending, skip = 0;

	w->n_pending = w->pending_bytes = 0;
	while (skip < n && events[skip].kv.mod_revision < w->next)
		skip++;
	if (last >= w->next)
		w->next = last + 1;
	w->fails = 0;
	w->heard = true;
	if (n > skip)
		w->ops.events(w->ops.arg, events + skip, n - skip);
	fl_etcd_events_clear(events, n);
}

/* Moves the line's events behind those that wait for their last fragment. */
static int keep(struct fl_etcd_watch *w, struct fl_etcd_line *l, size_t len)
{
	struct fl_etcd_event *more;

	w->pending_bytes += len;
	if (w->pending_bytes > FL_ETCD_LINE_MAX)
		return -E2BIG;
	more = reallocarray(w->pending, w->n_pending + l->n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memcpy(more + w->n_pending, l->events, l->n * sizeof(*more));
	w->pending = more;
	w->n_pending += l->n;
	l->n = 0;
	return 0;
}

static void on_refused(struct fl_etcd_watch *w, const struct fl_etcd_refusal *refusal)
{
	struct fl_etcd *c = w->c;
	struct fl_error err;
	struct judged j = refusal_judge(refusal, &c->endpoints.list[w->endpoint], c->user, &err);

	if (j.verdict == V_LOGIN) {
		c->token[0] = '\0';
		c->no_auth = false;
	}
	restart(w, j.verdict == V_NEXT || j.verdict == V_UNSURE, &err);
}

/* A watch that is to leave its endpoint does so, whatever else comes between. */
static void check_later(struct fl_etcd_watch *w)
{
	wait_ms(w, w->leave ? 0 : w->c->check_ms);
}

static void pulse_after(struct fl_etcd *c, uint64_t ms)
{
	const struct timeval t = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

	if (!evtimer_pending(c->pulse, NULL))
		event_add(c->pulse, &t);
}

static void on_created(struct fl_etcd_watch *w)
{
	bool lost = w->lost;

	w->stage = OPEN;
	w->opened = etcd_now();
	w->lost = false;
	check_later(w);
	pulse_after(w->c, PULSE_MS);
	tell(w, NULL);
	if (lost && !w->stopped && w->ops.reopened)
		w->ops.reopened(w->ops.arg);
}

static void on_events(struct fl_etcd_watch *w, struct fl_etcd_line *l, size_t len)
{
	w->c->stats.ignored_keys += l->ignored;
	if (l->n && keep(w, l, len)) {
		restart_because(w, false, "more events at once than fit into memory");
		return;
	}
	if (!l->fragment && l->last)
		deliver(w, l->last);
}

static void on_canceled(struct fl_etcd_watch *w, const struct fl_etcd_line *l)
{
	if (l->compact_revision)
		end(w, FL_ETCD_ENDED_COMPACTED, l->compact_revision);
	else
		restart_because(w, false, *l->reason ? l->reason : "cancelled by the server");
}

static void on_line(struct fl_etcd_watch *w, const char *text, size_t len)
{
	struct fl_etcd_line l;
	struct fl_error err;

	if (fl_etcd_read_line(text, len, w->c->prefix, &l, &err)) {
		w->c->stats.bad_answers++;
		fl_etcd_printable(err.text);
		restart_because(w, true, err.text);
		return;
	}
	if (l.refused)
		on_refused(w, &l.refusal);
	else if (identity_check(w->c, &l.header, -1)) {
		if (l.canceled)
			on_canceled(w, &l);
		else if (l.created && w->stage == OPENING)
			on_created(w);
		if (w->t && !w->stopped)
			on_events(w, &l, len);
	}
	fl_etcd_line_clear(&l);
}

static void read_lines(struct fl_etcd_watch *w)
{
	struct transfer *t = w->t;
	const char *text;
	size_t len;
	int r = fl_etcd_lines_add(&w->lines, t->in.s, t->in.len);

	t->in.len = 0;
	/* A line's meaning may be the end of this stream. */
	while (!r && w->t == t && fl_etcd_lines_next(&w->lines, &text, &len))
		on_line(w, text, len);
	if (r) {
		w->c->stats.bad_answers++;
		restart_because(w, true, "a line of more than 64 MiB, or out of memory");
	}
}

static void on_bytes(void *arg)
{
	struct fl_etcd_watch *w = arg;

	w->c->endpoints.list[w->endpoint].heard = etcd_now();
	w->busy = true;
	read_lines(w);
	leave_busy(w, false);
}

/* Why a stream has ended: what is left of its last line may tell. */
static void explain(struct fl_etcd_watch *w)
{
	const struct endpoint *to = &w->c->endpoints.list[w->endpoint];
	const struct fl_etcd_lines *l = &w->lines;
	FL_AUTOJSON json_t *doc = NULL;
	struct fl_etcd_refusal refusal;
	struct fl_error err;
	size_t len = l->in.len - l->start;

	if (w->t->result != CURLE_OK) {
		transfer_error(w->t, to, &err);
		restart(w, true, &err);
	} else if (len && !fl_etcd_parse(l->in.s + l->start, len, &doc, NULL) &&
		   fl_etcd_read_refusal(doc, &refusal)) {
		on_refused(w, &refusal);
	} else if (len || transfer_status(w->t) != 200) {
		refusal_plain(transfer_status(w->t), len ? l->in.s + l->start : "", len, to, &err);
		restart(w, true, &err);
	} else {
		restart_because(w, true, "the member has closed the stream");
	}
}

static void on_closed(void *arg)
{
	struct fl_etcd_watch *w = arg;
	struct transfer *t = w->t;

	w->busy = true;
	if (t->in.len)
		read_lines(w);
	if (w->t == t)
		explain(w);
	leave_busy(w, false);
}

/* ---- opening ---- */

static void open_stream(struct fl_etcd_watch *w)
{
	FL_AUTOSTRBUF struct fl_strbuf body = { 0 };
	struct exchange x = {
		.to = &w->c->endpoints.list[w->endpoint],
		.path = "/watch",
		.leader = true,
		.max = FL_ETCD_LINE_MAX,
	};

	if (w->resume > w->next)
		w->next = w->resume;
	fl_etcd_watch_body(&body, w->c->prefix, w->key, w->next);
	x.body = body.s;
	if (body.failed || transfer_start(w->c, &x, &w->t)) {
		restart_because(w, false, "out of memory");
		return;
	}
	w->t->data = on_bytes;
	w->t->done = on_closed;
	w->t->arg = w;
	w->stage = OPENING;
	wait_ms(w, w->c->try_ms);
}

static void remember(struct fl_etcd_watch *w, const struct fl_etcd_result *r)
{
	w->count = r->count;
	w->revision = r->header.revision;
	w->heard = false;
}

static void on_found(void *arg, struct fl_etcd_result *r)
{
	struct fl_etcd_watch *w = arg;
	struct endpoint *e;

	w->call = NULL;
	w->busy = true;
	w->endpoint = w->c->endpoints.current;
	e = &w->c->endpoints.list[w->endpoint];
	if (!w->next && r->outcome == FL_ETCD_OK)
		w->next = r->header.revision + 1;
	if (r->outcome != FL_ETCD_OK) {
		if (w->fails < w->c->endpoints.n)
			w->fails = w->c->endpoints.n; /* all were asked */
		restart(w, false, &r->err);
	} else if (w->next > r->header.revision + 1) {
		end(w, FL_ETCD_ENDED_RESTORED, r->header.revision);
	} else if (!e->api) { /* it has failed for another meanwhile */
		restart_because(w, false, "the member does not answer others");
	} else {
		remember(w, r);
		w->quiet = 0;
		open_stream(w);
	}
	leave_busy(w, false);
}

static int count_keys(struct fl_etcd_watch *w, fl_etcd_fn done)
{
	struct fl_etcd_range q = { .key = w->key, .prefix = true, .count_only = true };

	return fl_etcd_range(w->c, &q, done, w, &w->call, NULL);
}

static void find(struct fl_etcd_watch *w)
{
	w->stage = FINDING;
	if (count_keys(w, on_found))
		restart_because(w, false, "out of memory, or too many requests");
}

/* ---- checking ---- */

/* The answer to a check, of the endpoint that has the stream. */
static void compare(struct fl_etcd_watch *w, const struct fl_etcd_result *r)
{
	bool moved = r->header.revision >= w->next;

	if (!w->heard && r->count != w->count) {
		w->suspicious = true;
		wait_ms(w, GRACE_MS);
		return;
	}
	w->quiet = w->heard || !moved ? 0 : w->quiet + 1;
	if (w->quiet >= QUIET_CHECKS) {
		bool lost = w->lost;

		restart_because(w, false, "silent for long; opened again to be sure");
		w->lost = lost; /* until now it was there */
		return;
	}
	w->fails = 0;
	if (w->revision + 1 > w->resume)
		w->resume = w->revision + 1;
	remember(w, r);
}

static void on_checked(void *arg, struct fl_etcd_result *r)
{
	struct fl_etcd_watch *w = arg;

	w->call = NULL;
	w->busy = true;
	check_later(w);
	if (r->outcome == FL_ETCD_OK && w->endpoint != w->c->endpoints.current)
		restart_because(w, false, "another member answers now");
	else if (r->outcome == FL_ETCD_OK)
		compare(w, r);
	leave_busy(w, false);
}

static void on_open_timer(struct fl_etcd_watch *w)
{
	if (w->leave) {
		restart_because(w, false, "the member does not answer others");
	} else if (w->suspicious && !w->heard) {
		restart_because(w, true, "the keys have changed, and the stream is silent");
	} else {
		w->suspicious = false;
		check_later(w);
		if (!w->call)
			count_keys(w, on_checked);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct fl_etcd_watch *w = arg;

	(void)fd;
	(void)what;
	w->busy = true;
	if (w->stage == IDLE)
		find(w);
	else if (w->stage == OPENING && w->leave)
		restart_because(w, false, "the member does not answer others");
	else if (w->stage == OPENING)
		restart_because(w, true, "the stream was not opened in time");
	else if (w->stage == OPEN)
		on_open_timer(w);
	leave_busy(w, false);
}

/* ---- public ---- */

int fl_etcd_watch(struct fl_etcd *c, const char *prefix, int64_t revision,
		  const struct fl_etcd_watch_ops *ops, struct fl_etcd_watch **ret,
		  struct fl_error *err)
{
	struct fl_etcd_watch *w;

	if (strlen(prefix) > FL_ETCD_KEY_MAX || revision < 0)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "etcd: a watch of \"%.64s\": expected at most %d bytes and a "
				    "revision from 0 on",
				    prefix, FL_ETCD_KEY_MAX);
	w = calloc(1, sizeof(*w));
	if (!w)
		return fl_error_oom(err);
	w->key = strdup(prefix);
	w->timer = evtimer_new(c->base, on_timer, w);
	if (!w->key || !w->timer) {
		if (w->timer)
			event_free(w->timer);
		free(w->key);
		free(w);
		return fl_error_oom(err);
	}
	w->c = c;
	w->ops = *ops;
	w->next = revision;
	TAILQ_INSERT_TAIL(&c->watches, w, link);
	wait_ms(w, 0);
	*ret = w;
	return 0;
}

const char *fl_etcd_watch_endpoint(const struct fl_etcd_watch *w)
{
	return w->stage == OPEN ? url_of(w) : NULL;
}

int64_t fl_etcd_watch_revision(const struct fl_etcd_watch *w)
{
	int64_t next = w->next > w->resume ? w->next : w->resume;

	return next ? next - 1 : 0;
}

/*
 * A member that hangs keeps its connections, and the kernel below it answers for them. What it does
 * not say itself is worth nothing.
 */
void watches_pulse(evutil_socket_t fd, short what, void *client)
{
	struct fl_etcd *c = client;
	struct fl_etcd_watch *w;
	uint64_t now = etcd_now(), next = 0;
	uint32_t asked = 0;

	(void)fd;
	(void)what;
	TAILQ_FOREACH (w, &c->watches, link) {
		uint64_t due = c->endpoints.list[w->endpoint].heard + PULSE_MS;

		if (w->stage != OPEN || asked & 1u << w->endpoint)
			continue;
		if (due <= now) {
			asked |= 1u << w->endpoint;
			call_ping(c, w->endpoint);
			due = now + PULSE_MS;
		}
		if (!next || due < next)
			next = due;
	}
	if (next)
		pulse_after(c, next - now);
}

void watches_leave(struct fl_etcd *c, unsigned endpoint)
{
	struct fl_etcd_watch *w;

	TAILQ_FOREACH (w, &c->watches, link)
		if (w->stage >= OPENING && w->endpoint == endpoint && !w->leave) {
			w->leave = true;
			wait_ms(w, 0);
		}
}

static struct fl_etcd_watch *first_doomed(struct fl_etcd *c)
{
	struct fl_etcd_watch *w = TAILQ_FIRST(&c->watches);

	while (w && !w->doomed)
		w = TAILQ_NEXT(w, link);
	return w;
}

void watches_end(struct fl_etcd *c, enum fl_etcd_end why)
{
	struct fl_etcd_watch *w;

	/* Their owners may start others. */
	TAILQ_FOREACH (w, &c->watches, link)
		w->doomed = true;
	while ((w = first_doomed(c)))
		end(w, why, 0);
}
