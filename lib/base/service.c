/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/service.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG 1024

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

int fl_lock_state(const char *dir, const char *file, const char *program, struct fl_error *err)
{
	FL_AUTOFREE char *path = NULL;
	FL_AUTOCLOSE int fd = -1;

	if (asprintf(&path, "%s/%s", dir, file) < 0)
		return fl_error_oom(err);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fl_error_errno(err, errno, FL_ECODE_STORE, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return fl_error_set(err, errno, FL_ECODE_CONFLICT,
				    "another %s serves the state directory %s", program, dir);
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
