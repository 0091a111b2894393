/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who asks: plugins, netctl. They run as this user, or the folder would have kept them out. */
#include "dns/broker.h"

#include "base/strbuf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { WORKER = 1, DRAINING = 2 };

struct client {
	struct broker *b;
	struct client *next;
	int fd;
	struct event *event;
	uint64_t token;	  /* of a CLOSE that the worker has not answered; 0: none */
	unsigned awaited; /* from whom: WORKER, DRAINING */
	int result;	  /* of it */
};

static void client_free(struct client *c)
{
	struct client **at = &c->b->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->b->n_clients--;
	event_free(c->event);
	close(c->fd);
	free(c);
}

static void answer(struct client *c, int result, uint16_t port, const struct fl_error *err)
{
	struct fl_dnsd_answer a = { .magic = FL_DNSD_MAGIC, .result = result, .port = port };

	if (result < 0 && err) {
		a.code = err->code ? err->code : FL_ECODE_IO;
		snprintf(a.text, sizeof(a.text), "%.511s", err->text);
	}
	fl_packet_send(c->fd, &a, sizeof(a), NULL, 0);
}

void clients_closed(struct broker *b, const struct worker_process *w, uint64_t token)
{
	unsigned who = w == &b->worker ? WORKER : DRAINING;

	for (struct client *c = b->clients; c; c = c->next) {
		if (!c->token || (token && c->token != token))
			continue;
		c->awaited &= ~who;
		if (c->awaited)
			continue;
		c->token = 0;
		answer(c, c->result, 0, NULL);
	}
}

/* ---- operations ---- */

/* The namespace that the descriptor leads to, if it is the recorded one. */
static int check_namespace(struct broker *b, const struct fl_dnsd_request *q, int fd,
			   struct fl_netns *ret, struct fl_error *err)
{
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = fd < 0 ? fl_error_set(err, EBADF, FL_ECODE_IO,
				  "dns: no namespace came with the request")
		   : fl_netns_open(path, &b->self, ret, err);
	if (r)
		return r;
	if (fl_sandbox_id(ret->cookie, ret->dev, ret->ino) == q->sandbox &&
	    served_recorded(b, q->sandbox))
		return 0;
	return fl_error_set(err, ENOENT, FL_ECODE_STORE,
			    "dns: the sandbox has no record in %s, or is another one", b->state);
}

static void do_open(struct client *c, const struct fl_dnsd_request *q, int fd)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	struct served *s = served_find(c->b, q->sandbox);
	struct fl_error err = { 0 };
	int r = s ? 0 : check_namespace(c->b, q, fd, &ns, &err);

	/* The caller comes again, to the daemon that reads the new one. */
	if (r == -ENOENT && broker_reads_old_state(c->b))
		broker_replace(c->b);
	if (!r && !s)
		r = served_open(c->b, &ns, q->sandbox, q->path, 0, false, &s, &err);
	answer(c, r, r ? 0 : s->port, &err);
}

/* The answer waits until nobody has a socket of it open. */
static void close_then_answer(struct client *c, struct served *s, int result)
{
	struct broker *b = c->b;

	if (!s) {
		answer(c, result, 0, NULL);
		return;
	}
	c->token = ++b->next_token;
	c->result = result;
	c->awaited = (b->worker.pid ? WORKER : 0) | (b->draining.pid ? DRAINING : 0);
	served_close(b, s, c->token);
	if (!c->awaited && c->token) {
		c->token = 0;
		answer(c, result, 0, NULL);
	}
}

/* An ADD to another network may have come since the caller looked: then the sandbox is still
 * served. */
static void do_close(struct client *c, const struct fl_dnsd_request *q)
{
	if (served_recorded(c->b, q->sandbox))
		answer(c, 0, 0, NULL);
	else
		close_then_answer(c, served_find(c->b, q->sandbox), 0);
}

static void do_alive(struct client *c, const struct fl_dnsd_request *q)
{
	struct served *s = served_find(c->b, q->sandbox);

	if (!s || served_used(s))
		answer(c, 1, 0, NULL);
	else
		close_then_answer(c, s, 0);
}

static void do_served(struct client *c, const struct fl_dnsd_request *q)
{
	const struct served *s = served_find(c->b, q->sandbox);
	struct fl_error err = { 0 };

	if (!s)
		fl_error_set(&err, ENOENT, FL_ECODE_CHECK, "dns: the sandbox is not served");
	answer(c, err.err, s ? s->port : 0, &err);
}

static void do_listen(struct client *c, const struct fl_dnsd_request *q)
{
	struct fl_addr a = fl_addr_make(q->family == AF_INET6 ? AF_INET6 : AF_INET, q->addr);
	struct fl_error err = { 0 };
	int r = served_listen(c->b, q->network, &a, (uint16_t)q->port, &err);

	answer(c, r, (uint16_t)q->port, &err);
}

static void do_unlisten(struct client *c, const struct fl_dnsd_request *q)
{
	/* Somebody has come to the network since. */
	if (served_listener_recorded(c->b, q->network)) {
		answer(c, 0, 0, NULL);
		return;
	}
	for (size_t i = 0; i < SERVED_BUCKETS; i++)
		for (struct served *s = c->b->served[i], *next; s; s = next) {
			next = s->next;
			if (*s->network && !strcmp(s->network, q->network))
				served_close(c->b, s, 0);
		}
	answer(c, 0, 0, NULL);
}

/* The worker has the numbers, and writes them itself. */
static void pass_on(struct client *c, const struct fl_dnsd_request *q)
{
	struct channel_msg m = { .op = CHANNEL_CLIENT, .sandbox = q->sandbox, .value = q->op };

	answer(c, 0, 0, NULL);
	worker_tell(c->b, &m, &c->fd, 1);
	client_free(c);
}

static void handle(struct client *c, struct fl_dnsd_request *q, int fd)
{
	struct fl_error err = { 0 };

	q->network[sizeof(q->network) - 1] = q->path[sizeof(q->path) - 1] = '\0';
	if (q->magic != FL_DNSD_MAGIC) {
		answer(c, -EPROTO, 0, NULL);
		return;
	}
	if (q->dev != c->b->state_dev || q->ino != c->b->state_ino) {
		answer(c, -EXDEV, 0, NULL);
		return;
	}
	switch (q->op) {
	case FL_DNSD_OPEN:
		do_open(c, q, fd);
		break;
	case FL_DNSD_CLOSE:
		do_close(c, q);
		break;
	case FL_DNSD_ALIVE:
		do_alive(c, q);
		break;
	case FL_DNSD_SERVED:
		do_served(c, q);
		break;
	case FL_DNSD_LISTEN:
		do_listen(c, q);
		break;
	case FL_DNSD_UNLISTEN:
		do_unlisten(c, q);
		break;
	case FL_DNSD_STATS:
	case FL_DNSD_LOG:
		pass_on(c, q);
		break;
	case FL_DNSD_PING:
		answer(c, 0, 0, NULL);
		break;
	default:
		fl_error_set(&err, EOPNOTSUPP, FL_ECODE_UNSUPPORTED,
			     "dns: operation %u is not known", q->op);
		answer(c, err.err, 0, &err);
	}
}

/* ---- connections ---- */

static void on_readable(evutil_socket_t s, short what, void *arg)
{
	struct client *c = arg;
	struct fl_dnsd_request q;
	int fd = -1, n;

	(void)what;
	n = fl_packet_receive(s, &q, sizeof(q), &fd, 1);
	if (n == -EAGAIN)
		return;
	if (n == -EBADMSG) /* of another version: it is told so */
		answer(c, -EPROTO, 0, NULL);
	if (n < 0)
		client_free(c);
	else if (!c->token) /* one request at a time */
		handle(c, &q, fd);
	fl_close_p(&fd);
}

void client_accept(struct broker *b, int fd)
{
	struct client *c = b->n_clients < CLIENTS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		close(fd);
		return;
	}
	*c = (struct client){ .b = b, .fd = fd, .next = b->clients };
	c->event = event_new(b->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	b->clients = c;
	b->n_clients++;
	if (!c->event || event_add(c->event, NULL)) {
		client_free(c);
		return;
	}
	/* The request is mostly there already. */
	on_readable(fd, EV_READ, c);
}
