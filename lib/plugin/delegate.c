/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running a foreign IPAM executable: found in CNI_PATH, same environment but for CNI_COMMAND, the
 * complete configuration on stdin (CNI specification 1.1.0 section 4).
 */
#include "plugin/internal.h"

#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OUTPUT_MAX (1u << 20)

extern char **environ;

static int find(const char *path, const char *type, char *buf, size_t size, struct fl_error *err)
{
	struct stat st;

	if (!*type || strchr(type, '/') || !strcmp(type, ".") || !strcmp(type, ".."))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "ipam.type: expected a name without '/', not \"%.64s\"", type);
	for (const char *end, *p = path; *p; p = *end ? end + 1 : end) {
		end = strchrnul(p, ':');
		if (end == p ||
		    snprintf(buf, size, "%.*s/%s", (int)(end - p), p, type) >= (int)size)
			continue;
		if (!stat(buf, &st) && S_ISREG(st.st_mode))
			return 0;
	}
	return fl_error_set(err, ENOENT, FL_ECODE_CONFIG,
			    "ipam.type: there is no executable \"%s\" in CNI_PATH \"%s\"", type,
			    path);
}

static int spawn(const char *file, const char *command, int in, int out, pid_t *ret,
		 struct fl_error *err)
{
	char setting[32], *argv[] = { (char *)file, NULL };
	posix_spawn_file_actions_t actions;
	size_t n = 0, used = 0;
	char **env;
	int r;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	if (!env)
		return fl_error_oom(err);
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "CNI_COMMAND=", 12))
			env[used++] = environ[i];
	snprintf(setting, sizeof(setting), "CNI_COMMAND=%s", command);
	env[used] = setting;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	r = posix_spawn(ret, file, &actions, NULL, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	free(env);
	return r ? fl_error_errno(err, r, FL_ECODE_IO, "cannot run %s", file) : 0;
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

static int foreign_error(const char *type, const char *command, json_t *obj, struct fl_error *err)
{
	const char *msg = json_string_value(fl_json_get(obj, "msg"));
	json_t *code = fl_json_get(obj, "code");

	if (!msg)
		return fl_error_set(err, EIO, FL_ECODE_IO,
				    "IPAM plugin %s failed in %s without an error object", type,
				    command);
	fl_error_set(err, EIO,
		     json_is_integer(code) ? (enum fl_ecode)json_integer_value(code) : FL_ECODE_IO,
		     "%s", msg);
	fl_error_details(err, json_string_value(fl_json_get(obj, "details")));
	return -EIO;
}

static int run(const char *file, const char *command, const char *text, struct fl_strbuf *out,
	       int *status, struct fl_error *err)
{
	int in[2] = { -1, -1 }, back[2] = { -1, -1 };
	pid_t pid = -1;
	int r = 0;

	if (pipe2(in, O_CLOEXEC) || pipe2(back, O_CLOEXEC))
		r = fl_error_errno(err, errno, FL_ECODE_IO, "pipe");
	if (!r)
		r = spawn(file, command, in[0], back[1], &pid, err);
	fl_close_p(&in[0]);
	fl_close_p(&back[1]);
	if (!r) {
		signal(SIGPIPE, SIG_IGN);
		fcntl(in[1], F_SETFL, O_NONBLOCK);
		r = pump(&in[1], back[0], text, out);
		if (r)
			fl_error_errno(err, r, FL_ECODE_IO, "cannot talk to %s", file);
		while (waitpid(pid, status, 0) < 0 && errno == EINTR)
			continue;
	}
	fl_close_p(&in[1]);
	fl_close_p(&back[0]);
	return r;
}

int fl_delegate(const struct fl_call *c, const char *type, const char *command, json_t **ret,
		struct fl_error *err)
{
	FL_AUTOFREE char *text = json_dumps(c->req.config, JSON_COMPACT);
	FL_AUTOSTRBUF struct fl_strbuf out = { 0 };
	FL_AUTOJSON json_t *obj = NULL;
	char file[4096];
	int r, status = 0;

	if (!text)
		return fl_error_oom(err);
	r = find(c->req.path, type, file, sizeof(file), err);
	if (!r)
		r = run(file, command, text, &out, &status, err);
	if (r)
		return r;
	obj = out.len ? json_loadb(out.s, out.len, 0, NULL) : NULL;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return foreign_error(type, command, obj, err);
	if (ret)
		*ret = fl_take_ptr(obj);
	return 0;
}
