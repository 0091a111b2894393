/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/service.h"

#include "base/cleanup.h"
#include "base/seqpacket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define BACKLOG 1024
enum { END_MS = 10000, REPLACES = 3 };

int fl_make_parents(const char *path, unsigned mode, struct fl_error *err)
{
	FL_AUTOFREE char *p = strdup(path);

	if (!p)
		return fl_error_oom(err);
	for (char *s = p + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		if (mkdir(p, mode) && errno != EEXIST)
			return fl_error_errno(err, errno, FL_ECODE_STORE,
					      "cannot make the folder %s", p);
		*s = '/';
	}
	return 0;
}

int fl_passed_sockets(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	int count = pid && n && strtol(pid, NULL, 10) == getpid() ? (int)strtol(n, NULL, 10) : 0;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (int i = 0; i < count; i++)
		if (fcntl(FL_PASSED_FIRST + i, F_SETFD, FD_CLOEXEC) ||
		    fcntl(FL_PASSED_FIRST + i, F_SETFL, O_NONBLOCK))
			return i;
	return count > 0 ? count : 0;
}

static int clear_stale(const struct sockaddr_un *a, int type, const char *option,
		       struct fl_error *err)
{
	FL_AUTOCLOSE int s = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (s < 0)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot open a socket");
	if (!connect(s, (const struct sockaddr *)a, sizeof(*a)) || errno == EAGAIN)
		return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT,
				    "another daemon listens at %s: end it, or choose another %s",
				    a->sun_path, option);
	if (errno == ECONNREFUSED && unlink(a->sun_path) && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot remove %s", a->sun_path);
	return 0;
}

int fl_listen_at(const char *path, int type, const char *option, struct fl_error *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	FL_AUTOCLOSE int s = -1;
	mode_t mask;
	int r;

	if (strlen(path) >= sizeof(a.sun_path))
		return fl_error_set(err, ENAMETOOLONG, FL_ECODE_CONFIG,
				    "%s: expected a path of at most %zu bytes", option,
				    sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path) + 1);
	r = fl_make_parents(path, 0700, err);
	if (!r)
		r = clear_stale(&a, type, option, err);
	if (r)
		return r;
	s = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177);
	r = s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, BACKLOG) ? -errno : 0;
	umask(mask);
	if (r)
		return fl_error_errno(err, r, FL_ECODE_IO, "cannot listen at %s", a.sun_path);
	return fl_take_fd(&s);
}

/* Who listens there is told to end; 0: it has. */
static int end_listener(const char *dir, const char *name)
{
	FL_AUTOCLOSE int s = fl_packet_connect_in(dir, name), process = -1;
	struct pollfd alive = { s, POLLRDHUP, 0 }, gone = { .events = POLLIN };
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);

	if (s < 0)
		return s;
	if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &who, &len))
		return -errno;
	/* 0: it is of a pid namespace that is not below ours. */
	if (who.pid <= 0)
		return -ESRCH;
	process = (int)syscall(SYS_pidfd_open, who.pid, 0);
	if (process < 0)
		return -errno;
	/* As long as it listens, the number is its own. */
	if (poll(&alive, 1, 0))
		return -EAGAIN;
	if (syscall(SYS_pidfd_send_signal, process, SIGTERM, NULL, 0))
		return -errno;
	gone.fd = process;
	return poll(&gone, 1, END_MS) == 1 ? 0 : -ETIMEDOUT;
}

static const char *why_not(int r)
{
	return !r ? "" : r == -ESRCH ? "it is of another pid namespace" : strerror(-r);
}

static int take_lock(int fd, const char *dir, const struct fl_state_lock *l, struct fl_error *err)
{
	int r = 0;

	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK)
			return fl_error_errno(err, errno, FL_ECODE_STORE, "cannot lock %s/%s", dir,
					      l->file);
		/* More than once: a plugin may have started another one meanwhile. */
		if (!l->replace || i == REPLACES || (r = end_listener(dir, l->socket)))
			return fl_error_set(err, EWOULDBLOCK, FL_ECODE_CONFLICT,
					    "another %s serves the state directory %s%s%s: end it "
					    "first%s",
					    l->program, dir, r ? ", and does not give way: " : "",
					    why_not(r),
					    l->replace ? "" : ", or let --replace do it");
	}
	return 0;
}

int fl_lock_state(const char *dir, const struct fl_state_lock *l, struct fl_error *err)
{
	FL_AUTOFREE char *path = NULL;
	FL_AUTOCLOSE int fd = -1;
	int r;

	if (asprintf(&path, "%s/%s", dir, l->file) < 0)
		return fl_error_oom(err);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fl_error_errno(err, errno, FL_ECODE_STORE, "cannot open %s", path);
	r = take_lock(fd, dir, l, err);
	if (r)
		return r;
	if (!ftruncate(fd, 0))
		dprintf(fd, "%d\n", (int)getpid());
	return fl_take_fd(&fd);
}

void fl_raise_files(size_t more)
{
	struct rlimit r, wide;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return;
	wide = (struct rlimit){ more, more };
	if (more > r.rlim_max && !setrlimit(RLIMIT_NOFILE, &wide))
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

void fl_notify_ready(void)
{
	static const char text[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	FL_AUTOCLOSE int s = -1;

	if (!len || len >= sizeof(a.sun_path) || (*path != '/' && *path != '@'))
		return;
	memcpy(a.sun_path, path, len);
	if (*path == '@') /* abstract: a name of exactly these bytes */
		a.sun_path[0] = '\0';
	s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s >= 0)
		sendto(s, text, sizeof(text) - 1, MSG_NOSIGNAL, (const struct sockaddr *)&a,
		       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}
