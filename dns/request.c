/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/request.h"

#include "base/cleanup.h"
#include "dns/channel.h"
#include "dns/rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ANSWER_SECONDS 10

static int connect_to(const char *path)
{
	static const struct timeval limit = { ANSWER_SECONDS, 0 };
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

/* By the folder's descriptor: its path may be longer than an address can be. */
static int connect_in(const char *state_dir)
{
	FL_AUTOCLOSE int dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[64];

	if (dir < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/" FL_DNSD_SOCKET, dir);
	return connect_to(path);
}

int fl_dnsd_identify(const char *state_dir, struct fl_dnsd_request *q)
{
	struct stat st;

	if (stat(state_dir, &st))
		return -errno;
	q->magic = FL_DNSD_MAGIC;
	q->dev = st.st_dev;
	q->ino = st.st_ino;
	return 0;
}

int fl_dnsd_connect(const char *state_dir, bool activate)
{
	int s = connect_in(state_dir);

	if (activate && (s == -ENOENT || s == -ECONNREFUSED)) {
		int other = connect_to(FL_DNSD_ACTIVATION);

		s = other < 0 ? s : other;
	}
	return s == -ECONNREFUSED ? -ENOENT : s;
}

int fl_dnsd_exchange(int s, const struct fl_dnsd_request *q, int fd, struct fl_dnsd_answer *ret,
		     struct fl_error *err)
{
	struct fl_dnsd_answer a;
	int r = channel_send_bytes(s, q, sizeof(*q), &fd, fd >= 0);

	if (!r)
		r = channel_receive_bytes(s, &a, sizeof(a), NULL, 0);
	/* It ended between two callers, or serves another state: as if nobody listened. */
	if (r == -ECONNRESET || r == -EPIPE || (!r && a.result == -EXDEV))
		return -ENOENT;
	if (r == -EAGAIN)
		return fl_error_set(err, ETIMEDOUT, FL_ECODE_TRY_AGAIN,
				    "dns: " FL_DNSD_PROGRAM " did not answer within %d s",
				    ANSWER_SECONDS);
	if (r < 0)
		return fl_error_errno(err, r, FL_ECODE_IO, "dns: cannot ask " FL_DNSD_PROGRAM);
	if (a.magic != FL_DNSD_MAGIC)
		return fl_error_set(err, EPROTO, FL_ECODE_IO,
				    "dns: the " FL_DNSD_PROGRAM " at work is of another version: "
				    "reload it (SIGHUP)");
	a.text[sizeof(a.text) - 1] = '\0';
	if (ret)
		*ret = a;
	if (a.result < 0)
		return fl_error_set(err, a.result, (enum fl_ecode)a.code, "%s", a.text);
	return a.result;
}

int fl_dnsd_ask(const char *state_dir, struct fl_dnsd_request *q, int fd, bool activate,
		struct fl_dnsd_answer *ret, struct fl_error *err)
{
	FL_AUTOCLOSE int s = -1;
	int r = fl_dnsd_identify(state_dir, q);

	if (r)
		return r == -ENOENT ? r
				    : fl_error_errno(err, r, FL_ECODE_STORE, "state directory %s",
						     state_dir);
	s = fl_dnsd_connect(state_dir, activate);
	if (s < 0)
		return s == -ENOENT ? s
				    : fl_error_errno(err, s, FL_ECODE_IO,
						     "dns: cannot reach " FL_DNSD_PROGRAM
						     " at %s/" FL_DNSD_SOCKET,
						     state_dir);
	return fl_dnsd_exchange(s, q, fd, ret, err);
}

int fl_dnsd_clear_rules(struct fl_error *err)
{
	return rewrite_remove(err);
}
