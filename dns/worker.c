/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/worker.h"

#include "base/error.h"
#include "base/json.h"
#include "dns/broker.h"
#include "dns/cache.h"
#include "dns/memo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>

enum {
	EVENTS = 64,	    /* of UDP sockets, at once */
	HOT_TURNS = 8,	    /* see read_hot() */
	TURNS = 64,	    /* before the loop looks at other events */
	MESSAGES = 64,	    /* from the broker, likewise */
	DRAIN_SECONDS = 11, /* a forwarded query is answered by then */
	TABLE_SIZE = 4096,
	POLL_MS = 5000,
};

uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint16_t random16(struct worker *w)
{
	uint16_t v;

	if (w->random_left < sizeof(v)) {
		/* Up to 256 bytes come whole once the pool is ready (getrandom(2)), and it is. */
		while (getrandom(w->random, 256, 0) != 256)
			continue;
		w->random_left = 256;
	}
	w->random_left -= sizeof(v);
	memcpy(&v, w->random + w->random_left, sizeof(v));
	memset(w->random + w->random_left, 0, sizeof(v));
	return v;
}

void worker_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("fairlead-dnsd: worker: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

bool worker_read(struct worker *w)
{
	return !fl_txn_begin(w->store, false, &w->txn, NULL);
}

void worker_read_end(struct worker *w)
{
	/* A reader that sleeps in a transaction would keep old pages from being used again. */
	fl_txn_abort(fl_take_ptr(w->txn));
}

/* ---- the broker's messages ---- */

static void end_if_drained(struct worker *w)
{
	if (w->draining && !w->n_forwards)
		event_base_loopbreak(w->base);
}

/* Others have the same sockets by now: no more is read from them. */
static void stop_reading(struct view *v, void *arg)
{
	struct worker *w = arg;

	epoll_ctl(w->udp_set, EPOLL_CTL_DEL, v->udp, NULL);
	event_del(v->accept);
}

static void drain(struct worker *w)
{
	static const struct timeval limit = { DRAIN_SECONDS, 0 };

	w->draining = true;
	views_each(w, stop_reading, w);
	event_base_loopexit(w->base, &limit);
	end_if_drained(w);
}

static void close_fds(int *fds, int n)
{
	while (n > 0)
		close(fds[--n]);
}

/* A DEL waits for it. The broker reads as long as it lives; it is dead when it does not. */
static void tell_closed(const struct worker *w, const struct channel_msg *m)
{
	struct pollfd p = { w->channel, POLLOUT, 0 };

	while (channel_send(w->channel, m, NULL, 0) == -EAGAIN)
		if (poll(&p, 1, POLL_MS) <= 0)
			_exit(1);
}

static void do_close(struct worker *w, const struct channel_msg *m)
{
	struct channel_msg closed = { .op = CHANNEL_CLOSED, .value = m->value };
	struct view *v = view_find(w, m->sandbox);

	if (v)
		view_close(v);
	if (m->value)
		tell_closed(w, &closed);
	end_if_drained(w);
}

static void do_client(struct worker *w, const struct channel_msg *m, int *fds, int n)
{
	if (n != 1)
		close_fds(fds, n);
	else if (m->value == FL_DNSD_STATS)
		stats_client(w, m->sandbox, fds[0]);
	else
		log_client(w, m->sandbox, fds[0]);
}

static void handle(struct worker *w, const struct channel_msg *m, int *fds, int n)
{
	struct view *v;

	switch (m->op) {
	case CHANNEL_OPEN:
		view_open(w, m, fds, n);
		break;
	case CHANNEL_CLOSE:
		do_close(w, m);
		break;
	case CHANNEL_SOCKETS:
		v = view_find(w, m->sandbox);
		if (v)
			upstream_sockets(&v->pool, m, fds, n);
		else
			close_fds(fds, n);
		break;
	case CHANNEL_HOSTCONF:
		hostservers_read(w, n ? fds[0] : -1);
		close_fds(fds, n);
		break;
	case CHANNEL_CLIENT:
		do_client(w, m, fds, n);
		break;
	case CHANNEL_DRAIN:
		drain(w);
		break;
	default:
		close_fds(fds, n);
	}
}

static void on_channel(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct channel_msg m;
	int fds[CHANNEL_FDS];

	(void)what;
	for (int i = 0; i < MESSAGES; i++) {
		int n = channel_receive(fd, &m, fds);

		if (n == -EAGAIN)
			return;
		if (n < 0) {
			/* The broker is gone, and with it who could close anything. */
			_exit(0);
		}
		handle(w, &m, fds, n);
	}
}

static void on_check(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	end_if_drained(arg);
}

/* ---- UDP ---- */

/* What will be needed is fetched while the kernel works for others. */
static void prefetch(const struct epoll_event *events, int i, int n)
{
	const struct view *v;

	if (i < n) {
		v = events[i].data.ptr;
		__builtin_prefetch(v);
		__builtin_prefetch(&v->count, 1);
	}
	if (i - 1 < n) {
		v = events[i - 1].data.ptr;
		__builtin_prefetch(v->scope);
	}
}

/*
 * Where one sandbox asks a lot it is mostly the one that is ready: it is read without looking who
 * is, but for every HOT_TURNS times, when all have their turn.
 */
static bool read_hot(struct worker *w)
{
	if (!w->hot || w->hot_turns++ % HOT_TURNS == 0)
		return false;
	return udp_many(w->hot);
}

static void on_udp(evutil_socket_t fd, short what, void *arg)
{
	struct epoll_event events[EVENTS];
	struct worker *w = arg;
	int n;

	(void)what;
	if (read_hot(w))
		return;
	w->hot = NULL;
	for (int turn = 0; turn < TURNS; turn++) {
		n = epoll_wait(fd, events, EVENTS, 0);
		w->turn++;
		w->now = now_us();
		for (int i = 0; i < n; i++) {
			prefetch(events, i + 2, n);
			udp_readable(events[i].data.ptr);
		}
		/* Whoever is ready by now is told of by the loop. */
		if (n < EVENTS)
			return;
	}
}

/* ---- start ---- */

static int prepare(struct worker *w, int channel, const char *state, const char *cache,
		   struct fl_error *err)
{
	unsigned long kib = cache ? strtoul(cache, NULL, 10) : 0;
	/* Whoever took the worker over could not write into it. */
	int r = fl_store_open_reader(state, &w->store, err);

	if (r)
		return r;
	w->channel = channel;
	w->spare = fcntl(channel, F_DUPFD_CLOEXEC, 0);
	w->base = event_base_new();
	w->udp_set = epoll_create1(EPOLL_CLOEXEC);
	w->buffers = buffers_new();
	w->memo = memo_new();
	w->services = services_read();
	w->table = calloc(TABLE_SIZE, sizeof(struct forward *));
	w->cache = kib ? cache_new(kib << 10) : NULL;
	pool_init(&w->host_pool, w, NULL);
	if (!w->base || w->udp_set < 0 || !w->buffers || !w->memo || !w->table)
		return fl_error_oom(err);
	/* Likewise the random bytes of jansson's hash. */
	json_object_seed(0);
	/* The first transaction takes a slot in a file that cannot be opened any more later. */
	if (!worker_read(w))
		return fl_error_set(err, EIO, FL_ECODE_STORE, "state directory %s: cannot be read",
				    state);
	worker_read_end(w);
	if (fcntl(channel, F_SETFD, FD_CLOEXEC) || fcntl(channel, F_SETFL, O_NONBLOCK))
		return fl_error_errno(err, errno, FL_ECODE_IO, "the channel");
	return confine(err);
}

int worker_main(int channel, const char *state, const char *cache)
{
	static const struct timeval second = { 1, 0 };
	static struct worker w;
	struct fl_error err = { 0 };
	struct event *events[3];

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/* Those of a terminal are for the broker. */
	signal(SIGINT, SIG_IGN);
	if (prepare(&w, channel, state, cache, &err)) {
		worker_note("%s", err.text);
		return 1;
	}
	events[0] = event_new(w.base, channel, EV_READ | EV_PERSIST, on_channel, &w);
	events[1] = event_new(w.base, w.udp_set, EV_READ | EV_PERSIST, on_udp, &w);
	events[2] = event_new(w.base, -1, EV_PERSIST, on_check, &w);
	for (int i = 0; i < 3; i++)
		if (!events[i] || event_add(events[i], i == 2 ? &second : NULL))
			return 1;
	event_base_dispatch(w.base);
	return 0;
}
