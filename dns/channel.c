/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/channel.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr align;
	char b[CMSG_SPACE(CHANNEL_FDS * sizeof(int))];
};

int channel_send_bytes(int fd, const void *msg, size_t len, const int *fds, size_t n)
{
	struct iovec iov = { (void *)msg, len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	struct cmsghdr *c;
	ssize_t sent;

	if (n > CHANNEL_FDS)
		return -E2BIG;
	if (n) {
		h.msg_control = control.b;
		h.msg_controllen = CMSG_SPACE(n * sizeof(int));
		memset(control.b, 0, h.msg_controllen);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	do
		sent = sendmsg(fd, &h, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* Whatever came with a message that is refused is closed too. */
static int take_fds(struct msghdr *h, int *fds, size_t max)
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(got));
			if (n < max)
				fds[n++] = got;
			else
				close(got);
		}
	}
	return (int)n;
}

int channel_receive_bytes(int fd, void *msg, size_t len, int *fds, size_t max)
{
	struct iovec iov = { msg, len };
	union control control;
	struct msghdr h = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.b,
			    .msg_controllen = sizeof(control.b) };
	ssize_t got;
	int n;

	do
		got = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	n = take_fds(&h, fds, max);
	if ((size_t)got == len && !(h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return n;
	while (n > 0)
		close(fds[--n]);
	return got ? -EBADMSG : -ECONNRESET;
}

int channel_send(int fd, const struct channel_msg *m, const int *fds, size_t n)
{
	return channel_send_bytes(fd, m, sizeof(*m), fds, n);
}

int channel_receive(int fd, struct channel_msg *m, int fds[CHANNEL_FDS])
{
	return channel_receive_bytes(fd, m, sizeof(*m), fds, CHANNEL_FDS);
}
