/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Callers: one request, one answer, each connection. */
#include "dhcp/daemon.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct conn {
	struct daemon *d;
	int fd;
	struct event *event, *deadline;
	struct fl_strbuf in;
	char *out; /* the answer, once there is one */
	size_t out_len, sent;
	bool waiting; /* an ADD is under way */
};

static void conn_free(struct conn *c)
{
	c->d->n_conns--;
	if (c->event)
		event_free(c->event);
	if (c->deadline)
		event_free(c->deadline);
	close(c->fd);
	fl_strbuf_clear(&c->in);
	free(c->out);
	free(c);
}

/* ---- writing ---- */

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	ssize_t n = send(fd, c->out + c->sent, c->out_len - c->sent, MSG_NOSIGNAL);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->sent += (size_t)n;
	if (n <= 0 || c->sent == c->out_len)
		conn_free(c);
}

void conn_answer(struct conn *c, json_t *answer)
{
	static const struct timeval limit = { REQUEST_MS / 1000, 0 };
	FL_AUTOJSON json_t *owned = answer;
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	FL_AUTOFREE char *text = owned ? json_dumps(owned, JSON_COMPACT) : NULL;

	c->waiting = false;
	event_free(c->event);
	c->event = event_new(c->d->base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
	if (text)
		fl_strbuf_add(&b, text);
	fl_strbuf_add(&b, "\n");
	if (!text || b.failed || !c->event) {
		conn_free(c);
		return;
	}
	c->out_len = b.len;
	c->out = fl_take_ptr(b.s);
	event_add(c->deadline, &limit);
	event_add(c->event, NULL);
}

void conn_fail(struct conn *c, const struct fl_error *err)
{
	enum fl_ecode code = err->code ? err->code : FL_ECODE_IO;

	conn_answer(c, json_pack("{s{siss}}", "error", "code", (int)code, "msg", err->text));
}

/* ---- commands ---- */

static void release_all(struct daemon *d, const struct fl_dhcp_request *q, const char *why)
{
	struct lease *l;

	while ((l = lease_find(d, q)))
		lease_release(l, why);
}

static void do_add(struct conn *c, json_t *request, const struct fl_dhcp_request *q)
{
	struct fl_error err = { 0 };

	release_all(c->d, q, "the same endpoint is added again");
	c->waiting = true;
	if (lease_add(c->d, request, q, c, &err))
		conn_fail(c, &err);
}

static void do_del(struct conn *c, const struct fl_dhcp_request *q)
{
	release_all(c->d, q, "DEL");
	conn_answer(c, json_object());
}

static void do_check(struct conn *c, const struct fl_dhcp_request *q)
{
	struct lease *l = lease_find(c->d, q);
	/* as many as its ADD has asked for */
	int missing = l ? l->q.v4 + l->q.v6 : 1;
	struct fl_error err = { 0 };

	for (; l && !err.err; l = lease_next(l)) {
		missing -= lease_held(l);
		if (lease_held(l) && q->netns && *q->netns)
			apply_check(l, &err);
	}
	if (missing && !err.err)
		fl_error_set(&err, ENOENT, FL_ECODE_CHECK, "dhcp: %s of %s has no lease", q->ifname,
			     q->container);
	if (err.err)
		conn_fail(c, &err);
	else
		conn_answer(c, answer_of(c->d, q));
}

static bool is_valid(const struct lease *l, const json_t *valid)
{
	for (size_t i = 0; i < json_array_size(valid); i++) {
		const json_t *pair = json_array_get(valid, i);

		if (!strcmp(l->q.container, json_string_value(json_array_get(pair, 0))) &&
		    !strcmp(l->q.ifname, json_string_value(json_array_get(pair, 1))))
			return true;
	}
	return false;
}

static void do_gc(struct conn *c, const struct fl_dhcp_request *q)
{
	int released = 0;

	for (struct lease *l = c->d->leases, *next; l; l = next) {
		next = l->next;
		if (strcmp(l->q.network, q->network) || is_valid(l, q->valid))
			continue;
		lease_release(l, "GC");
		released++;
	}
	conn_answer(c, json_pack("{si}", "released", released));
}

static void do_status(struct conn *c)
{
	int n = 0;

	for (const struct lease *l = c->d->leases; l; l = l->next)
		n++;
	conn_answer(c, json_pack("{sssi}", "version", FAIRLEAD_VERSION, "leases", n));
}

static void handle(struct conn *c)
{
	FL_AUTOJSON json_t *request = json_loadb(c->in.s, c->in.len, JSON_REJECT_DUPLICATES, NULL);
	struct fl_dhcp_request q = { 0 };
	struct fl_error err = { 0 };

	if (!request)
		fl_error_set(&err, EINVAL, FL_ECODE_DECODE, "the request is not JSON");
	else
		fl_dhcp_request_parse(request, &q, &err);
	if (err.err) {
		conn_fail(c, &err);
		return;
	}
	switch (q.command) {
	case FL_DHCP_CMD_ADD:
		do_add(c, request, &q);
		break;
	case FL_DHCP_CMD_DEL:
		do_del(c, &q);
		break;
	case FL_DHCP_CMD_CHECK:
		do_check(c, &q);
		break;
	case FL_DHCP_CMD_GC:
		do_gc(c, &q);
		break;
	default:
		do_status(c);
	}
}

/* ---- reading ---- */

static void give_up(struct conn *c)
{
	for (struct lease *l = c->d->leases, *next; l; l = next) {
		next = l->next;
		if (l->waiter != c)
			continue;
		l->waiter = NULL;
		lease_release(l, "the caller of ADD went away");
	}
	conn_free(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	char chunk[16384];
	ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
	struct fl_error err = { 0 };

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		give_up(c);
		return;
	}
	if (c->waiting) /* one request a connection: what follows it is not looked at */
		return;
	fl_strbuf_addn(&c->in, chunk, (size_t)n);
	if (c->in.failed || c->in.len > FL_DHCP_JSON_MAX) {
		fl_error_set(&err, E2BIG, FL_ECODE_DECODE, "the request is longer than %d bytes",
			     FL_DHCP_JSON_MAX);
		conn_fail(c, &err);
	} else if (memchr(chunk, '\n', (size_t)n)) {
		event_del(c->deadline);
		handle(c);
	}
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	struct fl_error err = { 0 };

	(void)fd;
	(void)what;
	if (c->out) {
		conn_free(c);
		return;
	}
	fl_error_set(&err, ETIMEDOUT, FL_ECODE_DECODE, "no newline ended the request within %d s",
		     REQUEST_MS / 1000);
	conn_fail(c, &err);
}

void conn_accept(struct daemon *d, int fd)
{
	static const struct timeval limit = { REQUEST_MS / 1000, 0 };
	struct conn *c = d->n_conns < CONNECTIONS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		close(fd);
		return;
	}
	d->n_conns++;
	c->d = d;
	c->fd = fd;
	c->event = event_new(d->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->deadline = event_new(d->base, -1, 0, on_deadline, c);
	if (!c->event || !c->deadline || event_add(c->event, NULL) ||
	    event_add(c->deadline, &limit))
		conn_free(c);
}
