/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/request.h"

#include "base/cleanup.h"
#include "base/strbuf.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

struct call {
	int fd;
	const char *path;
	int64_t end; /* ms, CLOCK_MONOTONIC */
	struct fl_error *err;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int wait_for(const struct call *c, short events)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	int64_t left;
	int n;

	do {
		left = c->end - now_ms();
		n = left > 0 ? poll(&p, 1, (int)left) : 0;
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return 0;
	if (n < 0)
		return fl_error_errno(c->err, errno, FL_ECODE_IO, "dhcp: waiting for %s", c->path);
	return fl_error_set(c->err, ETIMEDOUT, FL_ECODE_TRY_AGAIN,
			    "dhcp: the daemon at %s did not answer in time: its log has the cause",
			    c->path);
}

static int refused(const struct call *c, int e)
{
	if (e == ENOENT || e == ECONNREFUSED)
		return fl_error_set(
			c->err, e, FL_ECODE_NOT_AVAILABLE,
			"dhcp: no daemon listens at %s: start fairlead-dhcpd (systemctl "
			"enable --now fairlead-dhcpd.socket, or run it by hand)",
			c->path);
	if (e == EACCES || e == EPERM)
		return fl_error_set(c->err, e, FL_ECODE_PRIVILEGE,
				    "dhcp: %s may not be opened: its daemon serves its own user "
				    "only, as a rule root",
				    c->path);
	if (e == EAGAIN)
		return fl_error_set(
			c->err, e, FL_ECODE_TRY_AGAIN,
			"dhcp: the daemon at %s has too many callers waiting: try again", c->path);
	return fl_error_errno(c->err, e, FL_ECODE_IO, "dhcp: cannot connect to %s", c->path);
}

static int open_socket(struct call *c)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (strlen(c->path) >= sizeof(a.sun_path))
		return fl_error_set(c->err, ENAMETOOLONG, FL_ECODE_CONFIG,
				    "dhcp: the path of the daemon's socket has %zu bytes, at most "
				    "%zu are possible: %s",
				    strlen(c->path), sizeof(a.sun_path) - 1, c->path);
	memcpy(a.sun_path, c->path, strlen(c->path) + 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return fl_error_errno(c->err, errno, FL_ECODE_KERNEL, "dhcp: cannot open a socket");
	return connect(c->fd, (struct sockaddr *)&a, sizeof(a)) ? refused(c, errno) : 0;
}

static int send_all(const struct call *c, const char *s, size_t n)
{
	while (n) {
		ssize_t sent = send(c->fd, s, n, MSG_NOSIGNAL);
		int r;

		if (sent > 0) {
			s += sent;
			n -= (size_t)sent;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return fl_error_errno(c->err, errno, FL_ECODE_IO,
					      "dhcp: the daemon at %s took no request", c->path);
		r = wait_for(c, POLLOUT);
		if (r)
			return r;
	}
	return 0;
}

/* Until the newline: the daemon closes after it, but an answer without one was cut. */
static int receive(const struct call *c, struct fl_strbuf *b)
{
	char chunk[4096];
	ssize_t n;
	int r;

	while (!b->len || b->s[b->len - 1] != '\n') {
		r = wait_for(c, POLLIN);
		if (r)
			return r;
		n = recv(c->fd, chunk, sizeof(chunk), 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return fl_error_errno(c->err, errno, FL_ECODE_IO,
					      "dhcp: reading the answer of %s", c->path);
		if (!n)
			return fl_error_set(c->err, EPIPE, FL_ECODE_TRY_AGAIN,
					    "dhcp: the daemon at %s ended before it had answered: "
					    "try again",
					    c->path);
		fl_strbuf_addn(b, chunk, (size_t)n);
		if (b->failed)
			return fl_error_oom(c->err);
		if (b->len > FL_DHCP_JSON_MAX)
			return fl_error_set(c->err, EMSGSIZE, FL_ECODE_IO,
					    "dhcp: the answer of %s is longer than %d bytes",
					    c->path, FL_DHCP_JSON_MAX);
	}
	return 0;
}

static int take_answer(const struct call *c, const struct fl_strbuf *b, json_t **ret)
{
	FL_AUTOJSON json_t *answer = json_loadb(b->s, b->len, 0, NULL);
	const json_t *error = json_object_get(answer, "error");
	const char *msg = json_string_value(json_object_get(error, "msg"));
	json_int_t code = json_integer_value(json_object_get(error, "code"));

	if (!json_is_object(answer))
		return fl_error_set(c->err, EBADMSG, FL_ECODE_DECODE,
				    "dhcp: what listens at %s does not speak fairlead-dhcpd's "
				    "language",
				    c->path);
	if (error)
		return fl_error_set(c->err, EREMOTEIO,
				    code > 0 && code < 1000 ? (enum fl_ecode)code : FL_ECODE_IO,
				    "%s", msg ? msg : "dhcp: the daemon gave no reason");
	*ret = fl_take_ptr(answer);
	return 0;
}

int fl_dhcp_call(const char *socket_path, const json_t *request, int timeout_ms, json_t **ret,
		 struct fl_error *err)
{
	struct call c = { -1, socket_path && *socket_path ? socket_path : FL_DHCP_SOCKET,
			  now_ms() + timeout_ms, err };
	FL_AUTOSTRBUF struct fl_strbuf answer = { 0 };
	FL_AUTOFREE char *text = json_dumps(request, JSON_COMPACT);
	int r;

	if (!text)
		return fl_error_oom(err);
	if (strlen(text) >= FL_DHCP_JSON_MAX)
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
				    "dhcp: the request has %zu bytes, at most %d are possible",
				    strlen(text), FL_DHCP_JSON_MAX - 1);
	r = open_socket(&c);
	if (!r)
		r = send_all(&c, text, strlen(text));
	if (!r)
		r = send_all(&c, "\n", 1);
	if (!r)
		r = receive(&c, &answer);
	if (!r)
		r = take_answer(&c, &answer, ret);
	fl_close_p(&c.fd);
	return r;
}
