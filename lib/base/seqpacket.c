/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/seqpacket.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

union control {
	struct cmsghdr align;
	char b[CMSG_SPACE(FL_PACKET_FDS * sizeof(int))];
};

int fl_packet_send(int fd, const void *msg, size_t len, const int *fds, size_t n)
{
	struct iovec iov = { (void *)msg, len };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control;
	struct cmsghdr *c;
	ssize_t sent;

	if (n > FL_PACKET_FDS)
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

int fl_packet_receive(int fd, void *msg, size_t len, int *fds, size_t max)
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

int fl_folder_identify(const char *path, uint64_t *ret_dev, uint64_t *ret_ino)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	*ret_dev = st.st_dev;
	*ret_ino = st.st_ino;
	return 0;
}

int fl_packet_connect(const char *path)
{
	static const struct timeval limit = { FL_ANSWER_SECONDS, 0 };
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	FL_AUTOCLOSE int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -errno;
	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path) + 1);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(s, (const struct sockaddr *)&a, sizeof(a)))
		return -errno;
	return fl_take_fd(&s);
}

int fl_packet_connect_in(const char *dir, const char *name)
{
	FL_AUTOCLOSE int folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[108];

	if (folder < 0)
		return -errno;
	if (snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", folder, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return fl_packet_connect(path);
}

static int other_version(const struct fl_asked *who, struct fl_error *err)
{
	return fl_error_set(err, EPROTO, FL_ECODE_IO,
			    "%s: the %s at work is of another version: %s", who->subject,
			    who->program, who->renew);
}

int fl_packet_answer(int s, const struct fl_asked *who, int sent, void *answer, size_t answer_len,
		     struct fl_error *err)
{
	FL_AUTOFREE void *got = malloc(answer_len);
	uint32_t magic;
	int r = got ? sent : -ENOMEM;

	if (!r)
		r = fl_packet_receive(s, got, answer_len, NULL, 0);
	if (r == -ECONNRESET || r == -EPIPE)
		return -ENOENT;
	if (r == -EAGAIN)
		return fl_error_set(err, ETIMEDOUT, FL_ECODE_TRY_AGAIN,
				    "%s: %s did not answer within %d s", who->subject, who->program,
				    FL_ANSWER_SECONDS);
	if (r == -EBADMSG)
		return other_version(who, err);
	if (r < 0)
		return fl_error_errno(err, r, FL_ECODE_IO, "%s: cannot ask %s", who->subject,
				      who->program);
	memcpy(&magic, got, sizeof(magic));
	if (magic != who->magic)
		return other_version(who, err);
	memcpy(answer, got, answer_len);
	return 0;
}

int fl_packet_ask(int s, const struct fl_asked *who, const void *request, size_t len, int fd,
		  void *answer, size_t answer_len, struct fl_error *err)
{
	int r = fl_packet_send(s, request, len, &fd, fd >= 0);

	return fl_packet_answer(s, who, r, answer, answer_len, err);
}
