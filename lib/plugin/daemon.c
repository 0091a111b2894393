/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin/daemon.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "plugin/execute.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>

enum { STARTS = 3, SETTLE_TRIES = 100, SETTLE_MS = 10 };

static int none(const struct fl_daemon *d, const char *file, const char *why, struct fl_error *err)
{
	return fl_error_set(err, ENOENT, FL_ECODE_NOT_AVAILABLE, "%s: cannot start %s: %s",
			    d->wanted_by, file, why);
}

static int execute(const struct fl_daemon *d, const char *state, struct fl_error *err)
{
	FL_AUTOSTRBUF struct fl_strbuf out = { 0 };
	char file[4096];
	const char *argv[] = { file, "--state", state, "--background", NULL };
	struct fl_error why = { 0 };
	int status = 0, r;

	fl_libexec_path(d->program, file, sizeof(file));
	r = fl_execute(argv, NULL, "", &out, &status, &why);
	if (r)
		return none(d, file, r == -ENOENT ? "it is not installed" : why.text, err);
	if (out.s)
		out.s[strcspn(out.s, "\n")] = '\0';
	/* Somebody else's comes up just now: also when it says so. */
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (out.s && strstr(out.s, "another "))
		return 0;
	return none(d, file, out.s && *out.s ? out.s : "it ended before it was ready", err);
}

int fl_daemon_start(const struct fl_daemon *d, const char *state, struct fl_error *err)
{
	FL_AUTOCLOSE int lock = -1;
	char path[4096];
	int r;

	snprintf(path, sizeof(path), "%s/%s", state, d->lock);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || flock(lock, LOCK_EX))
		return fl_error_errno(err, errno, FL_ECODE_STORE, "cannot lock %s", path);
	if (d->listens(state))
		return 0;
	r = execute(d, state, err);
	/* Ready, but for one that its keeper is starting at this moment. */
	for (int i = 0; !r && i < SETTLE_TRIES; i++) {
		if (d->listens(state))
			return 0;
		nanosleep(&(struct timespec){ .tv_nsec = SETTLE_MS * 1000000L }, NULL);
	}
	return r;
}

int fl_daemon_ask(const struct fl_daemon *d, const char *state,
		  int (*ask)(void *arg, struct fl_error *err), void *arg, struct fl_error *err)
{
	for (int i = 0; i < STARTS; i++) {
		struct fl_error e = { 0 };
		int r = ask(arg, &e);

		if (r < 0 && e.err && err)
			*err = e;
		if (r != -ENOENT || e.err)
			return r;
		r = fl_daemon_start(d, state, err);
		if (r)
			return r;
	}
	return none(d, d->program, "it ends again and again (see the system's log)", err);
}

int fl_daemon_installed(const struct fl_daemon *d, struct fl_error *err)
{
	char file[4096];

	fl_libexec_path(d->program, file, sizeof(file));
	return access(file, X_OK) ? none(d, file, "it is not installed", err) : 0;
}
