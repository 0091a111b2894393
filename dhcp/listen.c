/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define PASSED_FD 3 /* sd_listen_fds(3) */

int make_parents(const char *path, struct fl_error *err)
{
	FL_AUTOFREE char *p = strdup(path);

	if (!p)
		return fl_error_oom(err);
	for (char *s = p + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		if (mkdir(p, 0700) && errno != EEXIST)
			return fl_error_errno(err, errno, FL_ECODE_STORE,
					      "cannot make the folder %s", p);
		*s = '/';
	}
	return 0;
}

/* systemd's, or -1. The variables are for this process alone. */
static int passed_listener(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	bool ours = pid && n && strtol(pid, NULL, 10) == getpid() && strtol(n, NULL, 10) >= 1;

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (!ours || fcntl(PASSED_FD, F_SETFD, FD_CLOEXEC) || fcntl(PASSED_FD, F_SETFL, O_NONBLOCK))
		return -1;
	return PASSED_FD;
}

/* A socket file that nobody listens at is a killed daemon's. */
static int clear_stale(const struct sockaddr_un *a, struct fl_error *err)
{
	FL_AUTOCLOSE int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (s < 0)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot open a socket");
	if (!connect(s, (const struct sockaddr *)a, sizeof(*a)) || errno == EAGAIN)
		return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT,
				    "another daemon listens at %s: end it, or choose another "
				    "--socket",
				    a->sun_path);
	if (errno == ECONNREFUSED && unlink(a->sun_path) && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot remove %s", a->sun_path);
	return 0;
}

int open_listener(const struct daemon *d, bool *ret_own, struct fl_error *err)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	FL_AUTOCLOSE int s = passed_listener();
	mode_t mask;
	int r;

	*ret_own = s < 0;
	if (s >= 0)
		return fl_take_fd(&s);
	if (strlen(d->socket_path) >= sizeof(a.sun_path))
		return fl_error_set(err, ENAMETOOLONG, FL_ECODE_CONFIG,
				    "--socket: expected a path of at most %zu bytes",
				    sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, d->socket_path, strlen(d->socket_path) + 1);
	r = make_parents(d->socket_path, err);
	if (!r)
		r = clear_stale(&a, err);
	if (r)
		return r;
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177);
	r = s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) || listen(s, 1024) ? -errno : 0;
	umask(mask);
	if (r)
		return fl_error_errno(err, r, FL_ECODE_IO, "cannot listen at %s", a.sun_path);
	return fl_take_fd(&s);
}
