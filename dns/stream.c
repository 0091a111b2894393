/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Queries by TCP (RFC 7766): several on one connection, answered as they are ready. A container's
 * open connections are limited, and so is what it may have at work on one and how long it may be
 * silent.
 */
#include "dns/worker.h"

#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

enum {
	STREAMS_MAX = 64, /* of a sandbox */
	PENDING_MAX = 64, /* forwarded queries of a connection */
	IDLE_SECONDS = 10,
	UNREAD_MAX = 1 << 18, /* bytes of answers that the client does not fetch */
	LENGTH = 2,
};

struct stream {
	struct stream *next;
	struct view *view;
	struct bufferevent *io;
	unsigned pending; /* forwarded, not yet answered */
	bool ended;	  /* nothing more comes from the client */
};

static void stream_free(struct stream *s)
{
	struct stream **at = &s->view->streams;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	s->view->n_streams--;
	forwards_forget_stream(s->view, s);
	bufferevent_free(s->io);
	free(s);
}

static void write_message(struct stream *s, const uint8_t *msg, size_t len)
{
	uint8_t length[LENGTH];

	fl_dns_set16(length, (uint16_t)len);
	bufferevent_write(s->io, length, sizeof(length));
	bufferevent_write(s->io, msg, len);
}

/* One message, if all of it is there. -EAGAIN: not yet; -EMSGSIZE: the client must fetch first. */
static int take_query(struct stream *s)
{
	static uint8_t msg[FL_DNS_MESSAGE_MAX], out[FL_DNS_MESSAGE_MAX];
	struct evbuffer *in = bufferevent_get_input(s->io);
	struct asker who = { .view = s->view, .stream = s, .at = now_us() };
	struct worker *w = s->view->w;
	uint64_t forwarded = s->view->count.forwarded;
	uint8_t length[LENGTH];
	size_t len, n;

	if (evbuffer_copyout(in, length, sizeof(length)) < LENGTH)
		return -EAGAIN;
	len = fl_dns_get16(length);
	if (evbuffer_get_length(in) < LENGTH + len)
		return -EAGAIN;
	if (s->pending >= PENDING_MAX ||
	    evbuffer_get_length(bufferevent_get_output(s->io)) > UNREAD_MAX)
		return -EMSGSIZE;
	evbuffer_drain(in, LENGTH);
	evbuffer_remove(in, msg, len);
	if (!worker_read(w))
		return -ENOMEM;
	s->view->count.tcp++;
	n = query_handle(w, &who, msg, len, out, sizeof(out));
	worker_read_end(w);
	if (s->view->count.forwarded != forwarded)
		s->pending++;
	if (n) {
		write_message(s, out, n);
		count_latency(&s->view->count, now_us() - who.at, 1);
	}
	/* Who sends what is no query has no connection with us. */
	return n || s->view->count.forwarded != forwarded ? 0 : -EBADMSG;
}

static bool is_finished(const struct stream *s)
{
	return s->ended && !s->pending && !evbuffer_get_length(bufferevent_get_output(s->io));
}

/* May free the stream. */
static void go_on(struct stream *s)
{
	int r;

	do
		r = take_query(s);
	while (!r);
	if (r == -EMSGSIZE)
		bufferevent_disable(s->io, EV_READ);
	else if (r == -EAGAIN && !s->ended)
		bufferevent_enable(s->io, EV_READ);
	if ((r != -EAGAIN && r != -EMSGSIZE) || is_finished(s))
		stream_free(s);
}

static void on_read(struct bufferevent *io, void *arg)
{
	(void)io;
	go_on(arg);
}

static void on_written(struct bufferevent *io, void *arg)
{
	(void)io;
	go_on(arg);
}

static void on_event(struct bufferevent *io, short what, void *arg)
{
	struct stream *s = arg;

	(void)io;
	/* A half-closed connection still gets its answers; a silent one ends unless we owe it one.
	 */
	if (what & BEV_EVENT_EOF)
		s->ended = true;
	if (what & BEV_EVENT_ERROR || (what & BEV_EVENT_TIMEOUT && !s->pending) || is_finished(s))
		stream_free(s);
	else if (what & BEV_EVENT_TIMEOUT)
		bufferevent_enable(s->io, EV_READ | EV_WRITE);
}

void stream_answer(struct stream *s, const uint8_t *msg, size_t len)
{
	s->pending--;
	write_message(s, msg, len);
}

/* With no descriptor left, the connection would wait and wake us without end: it is closed instead.
 */
static int accept_one(struct view *v)
{
	struct worker *w = v->w;
	int fd = accept4(v->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || w->spare < 0)
		return fd;
	close(w->spare);
	fd = accept4(v->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
	w->spare = fcntl(w->channel, F_DUPFD_CLOEXEC, 0);
	return -1;
}

void streams_accept(struct view *v)
{
	static const struct timeval idle = { IDLE_SECONDS, 0 };
	int fd = accept_one(v);
	struct stream *s = fd >= 0 && v->n_streams < STREAMS_MAX ? calloc(1, sizeof(*s)) : NULL;

	if (s)
		s->io = bufferevent_socket_new(v->w->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!s || !s->io) {
		free(s);
		fl_close_p(&fd);
		return;
	}
	s->view = v;
	s->next = v->streams;
	v->streams = s;
	v->n_streams++;
	bufferevent_setcb(s->io, on_read, on_written, on_event, s);
	bufferevent_setwatermark(s->io, EV_READ, 0, FL_DNS_MESSAGE_MAX + LENGTH);
	bufferevent_set_timeouts(s->io, &idle, &idle);
	bufferevent_enable(s->io, EV_READ | EV_WRITE);
}

void streams_close(struct view *v)
{
	while (v->streams)
		stream_free(v->streams);
}
