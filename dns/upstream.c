/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets to name servers. Each query has one of its own, connected, so that its port is random and
 * the kernel drops what others send to it; beyond BUSY_MAX at once in a namespace, queries share.
 * For a server that has few of them more are opened even so, up to BUSY_LIMIT.
 */
#include "dns/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <string.h>
#include <sys/socket.h>

enum {
	BUSY_MAX = 1024,
	BUSY_LIMIT = 2 * BUSY_MAX,
	IDLE_HOST = 128,
	IDLE_SANDBOX = 4,
	SHARE_TRIES = 16, /* of the sockets, for one that is connected to the right server */
	SHARE_STEP = 389, /* between them: those to one server often lie together */
	BLANK_TRIES = 64,
	OWED_MS = 1000, /* the broker has lost what it was asked for */
	LENGTH = 2,
};

struct upstream {
	struct upstream *next; /* of the idle ones */
	struct pool *pool;
	int fd;
	unsigned kind;
	unsigned index; /* among the busy ones */
	struct server server;
	struct attempt *attempts; /* TCP: one */
	struct event *event;	  /* UDP */
	struct bufferevent *io;	  /* TCP */
};

static unsigned kind_of(const struct attempt *a)
{
	return (a->tcp ? 2u : 0u) | (forward_server(a)->addr.family == AF_INET6 ? 1u : 0u);
}

static bool is_tcp(unsigned kind)
{
	return kind & 2;
}

static socklen_t address_of(const struct server *s, union address *ret)
{
	*ret = (union address){ 0 };
	if (s->addr.family == AF_INET) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(s->port);
		memcpy(&ret->in.sin_addr, s->addr.b, sizeof(ret->in.sin_addr));
		return sizeof(ret->in);
	}
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons(s->port);
	ret->in6.sin6_scope_id = s->scope;
	memcpy(&ret->in6.sin6_addr, s->addr.b, sizeof(ret->in6.sin6_addr));
	return sizeof(ret->in6);
}

/* ---- sockets ---- */

static void upstream_free(struct upstream *u)
{
	if (u->event)
		event_free(u->event);
	if (u->io)
		bufferevent_free(u->io); /* closes the descriptor */
	else if (u->fd >= 0)
		close(u->fd);
	free(u);
}

/* Takes the descriptor. */
static struct upstream *upstream_new(struct pool *p, unsigned kind, int fd)
{
	struct upstream *u = calloc(1, sizeof(*u));

	if (!u) {
		close(fd);
		return NULL;
	}
	*u = (struct upstream){ .pool = p, .fd = fd, .kind = kind };
	return u;
}

static struct upstream *take_idle(struct pool *p, unsigned kind)
{
	struct upstream *u = p->idle[kind];

	if (!u)
		return NULL;
	p->idle[kind] = u->next;
	p->n_idle[kind]--;
	u->next = NULL;
	return u;
}

static int add_busy(struct upstream *u)
{
	struct pool *p = u->pool;
	unsigned cap = p->cap_busy ? 2 * p->cap_busy : 8;
	struct upstream **grown;

	if (p->n_busy == p->cap_busy) {
		grown = realloc(p->busy, cap * sizeof(struct upstream *));
		if (!grown)
			return -ENOMEM;
		p->busy = grown;
		p->cap_busy = cap;
	}
	u->index = p->n_busy;
	p->busy[p->n_busy++] = u;
	return 0;
}

static void remove_busy(struct upstream *u)
{
	struct pool *p = u->pool;

	p->busy[u->index] = p->busy[--p->n_busy];
	p->busy[u->index]->index = u->index;
	if (p->n_busy)
		return;
	free(p->busy);
	p->busy = NULL;
	p->cap_busy = 0;
}

/* Nothing is left of it that could answer a later query: no datagram, nor an error. */
static bool made_blank(const struct upstream *u)
{
	static const struct sockaddr none = { .sa_family = AF_UNSPEC };
	uint8_t rest[64];

	if (connect(u->fd, &none, sizeof(none)))
		return false;
	for (unsigned i = 0; i < BLANK_TRIES; i++)
		if (recv(u->fd, rest, sizeof(rest), MSG_DONTWAIT) < 0 && errno == EAGAIN)
			return true;
	return false;
}

static void retire(struct upstream *u)
{
	struct pool *p = u->pool;
	unsigned most = p->view ? IDLE_SANDBOX : IDLE_HOST;

	if (is_tcp(u->kind)) {
		upstream_free(u);
		return;
	}
	remove_busy(u);
	if (u->event)
		event_del(u->event);
	if (p->n_idle[u->kind] >= most || !made_blank(u)) {
		upstream_free(u);
		return;
	}
	u->next = p->idle[u->kind];
	p->idle[u->kind] = u;
	p->n_idle[u->kind]++;
}

static void detach(struct attempt *a)
{
	struct upstream *u = fl_take_ptr(a->socket);
	struct attempt **at = &u->attempts;

	while (*at != a)
		at = &(*at)->same;
	*at = a->same;
	a->same = NULL;
	if (!u->attempts)
		retire(u);
}

static void attach(struct upstream *u, struct attempt *a)
{
	a->socket = u;
	a->same = u->attempts;
	u->attempts = a;
}

/* All that wait at this socket wait in vain. */
static void fail_all(struct upstream *u, int r)
{
	struct attempt *a;

	while ((a = u->attempts)) {
		bool last = !a->same;

		detach(a);
		forward_failed(a, r);
		if (last)
			return; /* the socket is gone */
	}
}

/* ---- UDP ---- */

static struct attempt *find_attempt(const struct upstream *u, const uint8_t *msg, size_t len)
{
	for (struct attempt *a = u->attempts; a && len >= FL_DNS_HEADER; a = a->same) {
		const uint8_t *sent;
		size_t sent_len;

		if (a->id != fl_dns_id(msg))
			continue;
		sent = forward_query(a, &sent_len);
		if (fl_dns_is_answer(msg, len, sent, sent_len))
			return a;
	}
	return NULL;
}

static void on_datagram(evutil_socket_t fd, short what, void *arg)
{
	static uint8_t msg[FL_DNS_MESSAGE_MAX + FL_DNS_OPT_SIZE];
	struct upstream *u = arg;
	ssize_t n = recv(fd, msg, FL_DNS_MESSAGE_MAX, MSG_DONTWAIT);
	struct attempt *a;

	(void)what;
	if (n < 0) {
		/* ICMP: nobody is there, or there is no way. */
		if (errno != EAGAIN && errno != EINTR)
			fail_all(u, -errno);
		return;
	}
	a = find_attempt(u, msg, (size_t)n);
	if (!a)
		return;
	detach(a);
	forward_answered(a, msg, (size_t)n);
}

/* An id that no other attempt on the socket has. */
static bool choose_id(struct upstream *u, struct attempt *a)
{
	for (unsigned tries = 0; tries < 16; tries++) {
		const struct attempt *other = u->attempts;

		a->id = random16(u->pool->w);
		while (other && other->id != a->id)
			other = other->same;
		if (!other)
			return true;
	}
	return false;
}

static int send_udp(struct upstream *u, struct attempt *a)
{
	const uint8_t *msg;
	size_t len;

	if (!choose_id(u, a))
		return -EBUSY;
	msg = forward_query(a, &len);
	return send(u->fd, msg, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int connect_udp(struct upstream *u, const struct server *s)
{
	union address to;
	socklen_t len = address_of(s, &to);

	u->server = *s;
	if (connect(u->fd, &to.sa, len))
		return -errno;
	if (!u->event)
		u->event = event_new(u->pool->w->base, u->fd, EV_READ | EV_PERSIST, on_datagram, u);
	return u->event && !event_add(u->event, NULL) ? 0 : -ENOMEM;
}

/* Takes the socket. */
static int begin_udp(struct upstream *u, struct attempt *a)
{
	int r = add_busy(u);

	if (r) {
		upstream_free(u);
		return r;
	}
	r = connect_udp(u, forward_server(a));
	if (!r)
		r = send_udp(u, a);
	if (r)
		retire(u);
	else
		attach(u, a);
	return r;
}

static bool same_server(const struct server *a, const struct server *b)
{
	return a->port == b->port && a->scope == b->scope && fl_addr_eq(&a->addr, &b->addr);
}

/* One of the sockets to that server, at random. -ENOENT: there are few. */
static int share(struct pool *p, struct attempt *a)
{
	unsigned first = random16(p->w);
	int r;

	for (unsigned i = 0; i < SHARE_TRIES && p->n_busy; i++) {
		struct upstream *u = p->busy[(first + i * SHARE_STEP) % p->n_busy];

		if (!same_server(&u->server, forward_server(a)))
			continue;
		r = send_udp(u, a);
		if (!r)
			attach(u, a);
		return r;
	}
	return -ENOENT;
}

/* ---- TCP ---- */

static void on_stream_read(struct bufferevent *io, void *arg)
{
	static uint8_t msg[FL_DNS_MESSAGE_MAX + FL_DNS_OPT_SIZE];
	struct evbuffer *in = bufferevent_get_input(io);
	struct upstream *u = arg;
	uint8_t length[LENGTH];
	struct attempt *a;
	size_t len;

	if (evbuffer_copyout(in, length, LENGTH) < LENGTH)
		return;
	len = fl_dns_get16(length);
	if (evbuffer_get_length(in) < LENGTH + len)
		return;
	evbuffer_drain(in, LENGTH);
	evbuffer_remove(in, msg, len);
	a = find_attempt(u, msg, len);
	if (!a) {
		fail_all(u, -EBADMSG);
		return;
	}
	detach(a); /* closes the connection */
	forward_answered(a, msg, len);
}

static void on_stream_event(struct bufferevent *io, short what, void *arg)
{
	(void)io;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		fail_all(arg, -ECONNRESET);
}

/* Takes the socket. */
static int begin_tcp(struct upstream *u, struct attempt *a)
{
	const uint8_t *msg;
	uint8_t length[LENGTH];
	union address to;
	socklen_t to_len = address_of(forward_server(a), &to);
	size_t len;

	u->io = bufferevent_socket_new(u->pool->w->base, u->fd, BEV_OPT_CLOSE_ON_FREE);
	if (!u->io || bufferevent_socket_connect(u->io, &to.sa, (int)to_len)) {
		upstream_free(u);
		return -ECONNREFUSED;
	}
	a->id = random16(u->pool->w);
	msg = forward_query(a, &len);
	fl_dns_set16(length, (uint16_t)len);
	bufferevent_write(u->io, length, LENGTH);
	bufferevent_write(u->io, msg, len);
	bufferevent_setcb(u->io, on_stream_read, NULL, on_stream_event, u);
	bufferevent_setwatermark(u->io, EV_READ, 0, FL_DNS_MESSAGE_MAX + LENGTH);
	bufferevent_enable(u->io, EV_READ | EV_WRITE);
	attach(u, a);
	return 0;
}

/* ---- sockets from the broker ---- */

/* Takes the socket. */
static int begin(struct upstream *u, struct attempt *a)
{
	return is_tcp(u->kind) ? begin_tcp(u, a) : begin_udp(u, a);
}

static int ask_broker(struct pool *p, unsigned kind);

static void ask_again(struct view *v, void *arg)
{
	(void)arg;
	for (unsigned k = 0; k < KINDS; k++)
		ask_broker(&v->pool, k);
}

static void on_channel_room(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd;
	(void)what;
	w->unasked = false;
	views_each(w, ask_again, NULL);
}

/* One request of a kind at a time: it then covers all that have come to wait in between. */
static int ask_broker(struct pool *p, unsigned kind)
{
	struct worker *w = p->w;
	struct channel_msg m = { .op = CHANNEL_WANT,
				 .sandbox = p->view->sandbox,
				 .family = kind & 1 ? AF_INET6 : AF_INET,
				 .type = is_tcp(kind) ? SOCK_STREAM : SOCK_DGRAM };
	uint64_t now = now_ms();
	int r;

	if (!p->n_waiting[kind] || (p->asked[kind] && now - p->asked[kind] < OWED_MS))
		return 0;
	m.count = p->n_waiting[kind] < CHANNEL_FDS ? p->n_waiting[kind] : CHANNEL_FDS;
	r = channel_send(w->channel, &m, NULL, 0);
	p->asked[kind] = r ? 0 : now;
	if (r != -EAGAIN)
		return r;
	if (!w->unasked && event_base_once(w->base, w->channel, EV_WRITE, on_channel_room, w, NULL))
		return -ENOMEM;
	w->unasked = true;
	return 0;
}

static void enqueue(struct pool *p, unsigned kind, struct attempt *a)
{
	a->waits = true;
	a->queue = NULL;
	*(p->waiting[kind] ? p->last[kind] : &p->waiting[kind]) = a;
	p->last[kind] = &a->queue;
	p->n_waiting[kind]++;
}

static void dequeue(struct pool *p, unsigned kind, struct attempt *a)
{
	struct attempt **at = &p->waiting[kind];

	while (*at != a)
		at = &(*at)->queue;
	*at = a->queue;
	if (p->last[kind] == &a->queue)
		p->last[kind] = at;
	a->queue = NULL;
	a->waits = false;
	p->n_waiting[kind]--;
}

static int wait_for_socket(struct pool *p, unsigned kind, struct attempt *a)
{
	int r;

	enqueue(p, kind, a);
	r = ask_broker(p, kind);
	if (r)
		dequeue(p, kind, a);
	return r;
}

/* The first in the queue is not in it any more: what came of it. */
static void settle(struct pool *p, unsigned kind, int r)
{
	struct attempt *a = p->waiting[kind];

	dequeue(p, kind, a);
	if (r)
		forward_failed(a, r);
}

static void use_socket(struct pool *p, unsigned kind, int fd)
{
	struct upstream *u = upstream_new(p, kind, fd);
	struct attempt *a = p->waiting[kind];
	int r;

	if (!u)
		return;
	if (!a) { /* who wanted it has its answer */
		upstream_free(u);
		return;
	}
	dequeue(p, kind, a);
	r = begin(u, a);
	if (r)
		forward_failed(a, r);
}

/* There are so many sockets that the rest shares them. */
static void share_rest(struct pool *p, unsigned kind)
{
	while (!is_tcp(kind) && p->waiting[kind] && p->n_busy >= BUSY_MAX) {
		int r = share(p, p->waiting[kind]);

		if (r == -ENOENT && p->n_busy < BUSY_LIMIT)
			return;
		settle(p, kind, r == -ENOENT ? -EBUSY : r);
	}
}

void upstream_sockets(struct pool *p, const struct channel_msg *m, int *fds, int n)
{
	unsigned kind = (m->type == SOCK_STREAM ? 2u : 0u) | (m->family == AF_INET6 ? 1u : 0u);

	p->asked[kind] = 0;
	for (int i = 0; i < n; i++)
		use_socket(p, kind, fds[i]);
	while (m->err && p->waiting[kind])
		settle(p, kind, -EMFILE);
	share_rest(p, kind);
	ask_broker(p, kind);
}

/* ---- public ---- */

static int open_socket(struct pool *p, unsigned kind, struct upstream **ret)
{
	int fd =
		socket(kind & 1 ? AF_INET6 : AF_INET,
		       (is_tcp(kind) ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	*ret = upstream_new(p, kind, fd);
	return *ret ? 0 : -ENOMEM;
}

int upstream_send(struct pool *p, struct attempt *a)
{
	unsigned kind = kind_of(a);
	struct upstream *u = take_idle(p, kind);
	int r = 0;

	if (!u && !is_tcp(kind) && p->n_busy >= BUSY_MAX) {
		r = share(p, a);
		if (r != -ENOENT)
			return r;
		if (p->n_busy >= BUSY_LIMIT)
			return -EBUSY;
	}
	if (!u && p->view)
		return wait_for_socket(p, kind, a);
	if (!u)
		r = open_socket(p, kind, &u);
	return u ? begin(u, a) : r;
}

void upstream_cancel(struct pool *p, struct attempt *a)
{
	if (a->waits)
		dequeue(p, kind_of(a), a);
	if (a->socket)
		detach(a);
}

void pool_init(struct pool *p, struct worker *w, struct view *v)
{
	*p = (struct pool){ .w = w, .view = v };
}

void pool_clear(struct pool *p)
{
	struct upstream *u;

	for (unsigned k = 0; k < KINDS; k++)
		while ((u = take_idle(p, k)))
			upstream_free(u);
	free(p->busy);
	p->busy = NULL;
}
