/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin/execute.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define OUTPUT_MAX (1u << 20)

extern char **environ;

/* The environment with one variable replaced; the array is malloc'd. */
static char **environment(const char *setting)
{
	size_t n = 0, used = 0, name = setting ? strcspn(setting, "=") + 1 : 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	for (size_t i = 0; env && i < n; i++)
		if (!setting || strncmp(environ[i], setting, name) != 0)
			env[used++] = environ[i];
	if (env)
		env[used] = (char *)setting;
	return env;
}

/* What this process blocks or ignores is no concern of the program's. */
static void clear_signals(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(attr);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(const char *const *argv, const char *setting, int in, int out, pid_t *ret,
		 struct fl_error *err)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	char **env = environment(setting);
	int r;

	if (!env)
		return fl_error_oom(err);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	/* LMDB opens its file without O_CLOEXEC. */
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	clear_signals(&attr);
	r = posix_spawn(ret, argv[0], &actions, &attr, (char *const *)argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	free(env);
	return r ? fl_error_errno(err, r, FL_ECODE_IO, "cannot run %s", argv[0]) : 0;
}

/* Feeds and drains at the same time: a child may answer before it has read everything. */
static int pump(int *to, int from, const char *text, struct fl_strbuf *out)
{
	size_t len = strlen(text), done = 0;
	char chunk[4096];
	ssize_t n;

	for (;;) {
		struct pollfd p[2] = { { from, POLLIN, 0 }, { *to, POLLOUT, 0 } };

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents) {
			n = write(*to, text + done, len - done);
			if (n > 0)
				done += (size_t)n;
			if ((n < 0 && errno != EINTR && errno != EAGAIN) || done == len)
				close(fl_take_fd(to));
		}
		if (!p[0].revents)
			continue;
		n = read(from, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		if (out->len < OUTPUT_MAX)
			fl_strbuf_addn(out, chunk, (size_t)n);
	}
}

int fl_execute(const char *const *argv, const char *setting, const char *input,
	       struct fl_strbuf *out, int *ret_status, struct fl_error *err)
{
	int in[2] = { -1, -1 }, back[2] = { -1, -1 };
	pid_t pid = -1;
	int r = 0;

	if (pipe2(in, O_CLOEXEC) || pipe2(back, O_CLOEXEC))
		r = fl_error_errno(err, errno, FL_ECODE_IO, "pipe");
	if (!r)
		r = spawn(argv, setting, in[0], back[1], &pid, err);
	fl_close_p(&in[0]);
	fl_close_p(&back[1]);
	if (!r) {
		signal(SIGPIPE, SIG_IGN);
		fcntl(in[1], F_SETFL, O_NONBLOCK);
		r = pump(&in[1], back[0], input, out);
		if (r)
			fl_error_errno(err, r, FL_ECODE_IO, "cannot talk to %s", argv[0]);
		while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
			continue;
	}
	fl_close_p(&in[1]);
	fl_close_p(&back[0]);
	return r;
}

void fl_libexec_path(const char *name, char *buf, size_t size)
{
	const char *folder = getenv("FAIRLEAD_LIBEXEC_DIR");

	snprintf(buf, size, "%s/%s", folder && *folder ? folder : FAIRLEAD_LIBEXEC_DIR, name);
}
