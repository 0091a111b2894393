/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may come to the broker's socket: each message gets one answer or the end of its connection.
 */
#include "dns/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a broker that serves one sandbox and does nothing ---- */

static struct served one = { .sandbox = 7, .port = 61000 };

struct served *served_find(struct broker *b, uint64_t sandbox)
{
	(void)b;
	return sandbox == one.sandbox ? &one : NULL;
}

int served_open(struct broker *b, const struct fl_netns *ns, uint64_t sandbox, const char *path,
		uint16_t port, bool rewritten, struct served **ret, struct fl_error *err)
{
	(void)b;
	(void)ns;
	(void)sandbox;
	(void)port;
	(void)rewritten;
	(void)err;
	if (strlen(path) >= sizeof(one.path))
		abort();
	*ret = &one;
	return 0;
}

int served_listen(struct broker *b, const char *network, const struct fl_addr *a, uint16_t port,
		  struct fl_error *err)
{
	(void)b;
	(void)port;
	if (strlen(network) >= sizeof(one.network) || !fl_addr_is_set(a))
		abort();
	return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT, "%s", network);
}

void served_close(struct broker *b, struct served *s, uint64_t token)
{
	(void)s;
	if (token)
		clients_closed(b, &b->worker, token);
}

bool served_recorded(struct broker *b, uint64_t sandbox)
{
	(void)b;
	return sandbox & 1;
}

bool served_listener_recorded(struct broker *b, const char *network)
{
	(void)b;
	return *network == 'r';
}

bool served_used(const struct served *s)
{
	return s->port == 0;
}

void worker_tell(struct broker *b, const struct channel_msg *m, const int *fds, size_t n)
{
	(void)b;
	if (m->op != CHANNEL_CLIENT || n != 1 || fds[0] < 0)
		abort();
}

bool broker_reads_old_state(const struct broker *b)
{
	(void)b;
	return false;
}

void broker_replace(struct broker *b)
{
	(void)b;
}

/* ---- messages ---- */

static void drain(int fd)
{
	struct fl_dnsd_answer a;
	ssize_t n;

	while ((n = recv(fd, &a, sizeof(a), MSG_DONTWAIT)) > 0)
		if (n != sizeof(a) || a.magic != FL_DNSD_MAGIC ||
		    memchr(a.text, '\0', sizeof(a.text)) == NULL)
			abort();
}

/* First byte: how the rest is cut into messages, and whether the head is made right. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct broker b = { .self = { .fd = -1 },
				   .worker = { .pid = 1, .fd = -1 },
				   .draining = { .fd = -1 } };
	struct fl_dnsd_request q;
	int pair[2];

	if (!b.base)
		b.base = event_base_new();
	if (!size || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
		return 0;
	for (size_t at = 1; at < size; at += sizeof(q)) {
		size_t n = size - at < sizeof(q) ? size - at : sizeof(q);

		memset(&q, 0, sizeof(q));
		memcpy(&q, data + at, n);
		if (data[0] & 1)
			q.magic = FL_DNSD_MAGIC;
		if (data[0] & 2)
			q.dev = q.ino = 0;
		if (data[0] & 8)
			q.sandbox = one.sandbox;
		send(pair[1], &q, data[0] & 4 ? n : sizeof(q), MSG_NOSIGNAL);
	}
	client_accept(&b, pair[0]);
	for (int i = 0; i < 8; i++) {
		event_base_loop(b.base, EVLOOP_NONBLOCK);
		drain(pair[1]);
	}
	close(pair[1]);
	while (b.n_clients)
		event_base_loop(b.base, EVLOOP_NONBLOCK);
	return 0;
}
