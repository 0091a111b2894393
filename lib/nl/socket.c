/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/nl.h"

#include <errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define BATCH_MAX 32

struct fl_nl {
	int fd;
	uint32_t seq;
	/* Dumps come in pieces of up to 32 KiB: netlink_dump() */
	char buf[32768];
};

/*
 * The socket is opened by hand: libnl's allocates a port table and callbacks that this library does
 * not use, and its receive path hides the extended ack. Its message builder is what is used.
 */
int fl_nl_open_groups(uint32_t groups, struct fl_nl **ret, struct fl_error *err)
{
	struct sockaddr_nl local = { .nl_family = AF_NETLINK, .nl_groups = groups };
	struct fl_nl *nl = malloc(sizeof(*nl));
	int one = 1;

	if (!nl)
		return fl_error_oom(err);
	nl->seq = 0;
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (nl->fd < 0 || bind(nl->fd, (struct sockaddr *)&local, sizeof(local))) {
		int r = fl_error_errno(err, errno, FL_ECODE_KERNEL,
				       "cannot open a route netlink socket");

		fl_nl_close(nl);
		return r;
	}
	/* Both since 4.12; without them messages are only less precise. */
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	*ret = nl;
	return 0;
}

int fl_nl_open(struct fl_nl **ret, struct fl_error *err)
{
	return fl_nl_open_groups(0, ret, err);
}

int fl_nl_wait(struct fl_nl *nl, int timeout_ms, struct fl_error *err)
{
	struct pollfd p = { nl->fd, POLLIN, 0 };
	int n = poll(&p, 1, timeout_ms);

	if (n < 0 && errno != EINTR)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "netlink poll");
	/* What it says does not matter, not even that some were lost: the caller looks again. */
	if (n > 0)
		(void)!recv(nl->fd, nl->buf, sizeof(nl->buf), MSG_DONTWAIT);
	return n > 0;
}

int fl_nl_fd(const struct fl_nl *nl)
{
	return nl->fd;
}

int fl_nl_drain(struct fl_nl *nl)
{
	int n = 0;

	/* ENOBUFS says that some were lost; what is behind it is read all the same. */
	while (recv(nl->fd, nl->buf, sizeof(nl->buf), MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
	       errno == EINTR)
		n++;
	return n;
}

void fl_nl_close(struct fl_nl *nl)
{
	if (!nl)
		return;
	if (nl->fd >= 0)
		close(nl->fd);
	free(nl);
}

void fl_req_init(struct fl_req *q, int type, int flags, const void *header, size_t len)
{
	*q = (struct fl_req){ .msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags) };
	q->failed = !q->msg || nlmsg_append(q->msg, (void *)header, len, NLMSG_ALIGNTO) < 0;
}

void fl_req_put(struct fl_req *q, int attr, const void *data, size_t len)
{
	if (!q->failed)
		q->failed = nla_put(q->msg, attr, (int)len, data) < 0;
}

void fl_req_u8(struct fl_req *q, int attr, uint8_t v)
{
	fl_req_put(q, attr, &v, sizeof(v));
}

void fl_req_u16(struct fl_req *q, int attr, uint16_t v)
{
	fl_req_put(q, attr, &v, sizeof(v));
}

void fl_req_u32(struct fl_req *q, int attr, uint32_t v)
{
	fl_req_put(q, attr, &v, sizeof(v));
}

void fl_req_str(struct fl_req *q, int attr, const char *s)
{
	fl_req_put(q, attr, s, strlen(s) + 1);
}

void fl_req_flag(struct fl_req *q, int attr)
{
	fl_req_put(q, attr, NULL, 0);
}

void fl_req_addr(struct fl_req *q, int attr, const struct fl_addr *a)
{
	fl_req_put(q, attr, a->b, fl_addr_len(a));
}

void fl_req_nest(struct fl_req *q, int attr)
{
	if (q->failed)
		return;
	if (q->depth == (int)FL_ARRAY_SIZE(q->nest)) {
		q->failed = true;
		return;
	}
	q->nest[q->depth] = nla_nest_start(q->msg, attr);
	q->failed = !q->nest[q->depth++];
}

void fl_req_end(struct fl_req *q)
{
	if (!q->failed)
		nla_nest_end(q->msg, q->nest[--q->depth]);
}

void fl_req_raw(struct fl_req *q, const void *data, size_t len)
{
	if (!q->failed)
		q->failed = nlmsg_append(q->msg, (void *)data, len, NLMSG_ALIGNTO) < 0;
}

void fl_req_clear(struct fl_req *q)
{
	nlmsg_free(q->msg);
	q->msg = NULL;
	q->failed = true;
}

/* The kernel's sentence from the ack's attributes, "" when it gives none. */
static void ext_ack(const struct nlmsghdr *h, char *text, size_t size)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	size_t skip = sizeof(*e);
	const struct nlattr *a;
	int rest;

	text[0] = '\0';
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - sizeof(e->msg);
	if (h->nlmsg_len < NLMSG_HDRLEN + NLMSG_ALIGN(skip))
		return;
	a = (const struct nlattr *)((const char *)e + NLMSG_ALIGN(skip));
	rest = (int)(h->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(skip));
	for (; nla_ok(a, rest); a = nla_next(a, &rest))
		if (nla_type(a) == NLMSGERR_ATTR_MSG)
			snprintf(text, size, "%.*s", nla_len(a), (const char *)nla_data(a));
}

static int ack_error(const struct nlmsghdr *h, struct fl_error *err)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	char text[256];

	if (!e->error)
		return 0;
	ext_ack(h, text, sizeof(text));
	if (e->error == -EPERM)
		fl_error_set(err, EPERM, FL_ECODE_PRIVILEGE,
			     "the kernel refuses it (CAP_NET_ADMIN in the namespace's user "
			     "namespace is needed)");
	else if (text[0])
		fl_error_errno(err, e->error, FL_ECODE_KERNEL, "%s", text);
	else
		fl_error_set(err, e->error, FL_ECODE_KERNEL, "%s", strerror(-e->error));
	fl_error_details(err, text);
	return e->error;
}

static int send_all(struct fl_nl *nl, struct fl_req *const *q, size_t n, struct fl_error *err)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct iovec iov[BATCH_MAX];
	struct msghdr m = { .msg_name = &kernel, .msg_namelen = sizeof(kernel), .msg_iov = iov };

	for (size_t i = 0; i < n; i++) {
		struct nlmsghdr *h;

		if (q[i]->failed || q[i]->depth)
			return fl_error_set(err, ENOBUFS, FL_ECODE_KERNEL,
					    "netlink request could not be built");
		h = nlmsg_hdr(q[i]->msg);
		h->nlmsg_seq = ++nl->seq;
		iov[m.msg_iovlen++] = (struct iovec){ h, NLMSG_ALIGN(h->nlmsg_len) };
	}
	while (sendmsg(nl->fd, &m, 0) < 0)
		if (errno != EINTR)
			return fl_error_errno(err, errno, FL_ECODE_KERNEL, "netlink send");
	return 0;
}

static int receive(struct fl_nl *nl, ssize_t *ret, struct fl_error *err)
{
	while ((*ret = recv(nl->fd, nl->buf, sizeof(nl->buf), 0)) < 0)
		if (errno != EINTR)
			return fl_error_errno(err, errno, FL_ECODE_KERNEL, "netlink receive");
	return 0;
}

/* The kernel answers a failed request whether or not it asked for an ack: only the last one asks.
 */
int fl_nl_do_all(struct fl_nl *nl, struct fl_req *const *q, const char *const *what, size_t n,
		 size_t *ret_failed, struct fl_error *err)
{
	uint32_t first = nl->seq + 1;
	bool done = !n;
	ssize_t len;
	int r, result = 0;

	if (n > BATCH_MAX)
		return fl_error_set(err, E2BIG, FL_ECODE_KERNEL, "more than %d requests at once",
				    BATCH_MAX);
	if (n && !q[n - 1]->failed)
		nlmsg_hdr(q[n - 1]->msg)->nlmsg_flags |= NLM_F_ACK;
	r = n ? send_all(nl, q, n, err) : 0;
	while (!r && !done) {
		r = receive(nl, &len, err);
		for (struct nlmsghdr *h = (void *)nl->buf; !r && NLMSG_OK(h, len);
		     h = NLMSG_NEXT(h, len)) {
			uint32_t index = h->nlmsg_seq - first;

			if (h->nlmsg_type != NLMSG_ERROR || index >= n)
				continue;
			done |= index == n - 1;
			if (result || !(result = ack_error(h, err)))
				continue;
			if (ret_failed)
				*ret_failed = index;
			if (what)
				fl_error_prefix(err, "%s", what[index]);
		}
	}
	return r ? r : result;
}

int fl_nl_bulk(struct fl_nl *nl, size_t n, void (*build)(struct fl_req *q, void *arg, size_t i),
	       void *arg, size_t *ret_failed, struct fl_error *err)
{
	struct fl_req q[BATCH_MAX], *list[BATCH_MAX];
	int result = 0;

	for (size_t done = 0, some; done < n; done += some) {
		struct fl_error later;
		size_t at = 0;
		int r;

		some = n - done < BATCH_MAX ? n - done : BATCH_MAX;
		for (size_t i = 0; i < some; i++) {
			build(&q[i], arg, done + i);
			list[i] = &q[i];
		}
		r = fl_nl_do_all(nl, list, NULL, some, &at, result ? &later : err);
		for (size_t i = 0; i < some; i++)
			fl_req_clear(&q[i]);
		if (!r || result)
			continue;
		result = r;
		if (ret_failed)
			*ret_failed = done + at;
	}
	return result;
}

int fl_nl_do(struct fl_nl *nl, struct fl_req *q, struct fl_error *err, const char *fmt, ...)
{
	char what[256];
	va_list ap;
	int r = fl_nl_do_all(nl, &q, NULL, 1, NULL, err);

	if (!r)
		return 0;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	fl_error_prefix(err, "%s", what);
	return r;
}

/*
 * A dump that fails says so in its last message. Of a table or an interface that is not there
 * nothing is listed, as of one that is empty.
 */
static int dump_error(const struct nlmsghdr *h, struct fl_error *err)
{
	int e = 0;

	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(e)))
		memcpy(&e, NLMSG_DATA(h), sizeof(e));
	if (e >= 0 || e == -ENOENT || e == -ENODEV)
		return 0;
	return fl_error_errno(err, e, FL_ECODE_KERNEL, "the kernel's tables cannot be read");
}

int fl_nl_ask(struct fl_nl *nl, struct fl_req *q, int (*fn)(void *arg, const struct nlmsghdr *h),
	      void *arg, struct fl_error *err)
{
	bool dump, done = false, interrupted = false;
	int r, result = 0;
	ssize_t len;

	r = send_all(nl, &q, 1, err);
	if (r)
		return r;
	dump = (nlmsg_hdr(q->msg)->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	while (!done) {
		r = receive(nl, &len, err);
		if (r)
			return r;
		for (struct nlmsghdr *h = (void *)nl->buf; NLMSG_OK(h, len);
		     h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_seq != nl->seq)
				continue;
			interrupted |= dump && h->nlmsg_flags & NLM_F_DUMP_INTR;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ack_error(h, err);
			if (h->nlmsg_type == NLMSG_DONE) {
				if (!result)
					result = dump_error(h, err);
				done = true;
				break;
			}
			if (!result)
				result = fn(arg, h);
			done |= !dump;
		}
	}
	if (interrupted && !result)
		return fl_error_set(err, EINTR, FL_ECODE_TRY_AGAIN,
				    "the kernel's tables changed while they were read");
	return result;
}
