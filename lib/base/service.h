/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every daemon of the suite begins with. */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Folders of this mode (0700: private ones) down to the path's last slash. */
int fl_make_parents(const char *path, unsigned mode, struct fl_error *err);

/*
 * The sockets that systemd passed (sd_listen_fds(3)): how many, from FL_PASSED_FIRST on,
 * non-blocking and closed on exec. 0: none. The variables that tell of them are removed.
 */
#define FL_PASSED_FIRST 3
int fl_passed_sockets(void);

/*
 * Listens at a UNIX socket of this type (SOCK_STREAM, SOCK_SEQPACKET) that only this user reaches.
 * A socket file that nobody listens at is a killed daemon's, and is replaced; -EADDRINUSE,
 * FL_ECODE_CONFLICT: somebody does. Returns the descriptor. `option` is the one that names the
 * path, for messages.
 */
int fl_listen_at(const char *path, int type, const char *option, struct fl_error *err);

/*
 * The lock file in a state directory, for as long as the process has the descriptor that is
 * returned: who has it serves the state. Its text is the process id, for people. -EWOULDBLOCK,
 * FL_ECODE_CONFLICT: another `program` has it; with `replace` that one, which listens at `socket`
 * (SOCK_SEQPACKET) in the directory, gets SIGTERM and is waited for.
 */
struct fl_state_lock {
	const char *file, *program, *socket;
	bool replace;
};
int fl_lock_state(const char *dir, const struct fl_state_lock *l, struct fl_error *err);

/*
 * Tells systemd, where it waits for that (sd_notify(3), Type=notify). Not for a daemon in the
 * background: the environment is that of whoever executed the plugin, and so is the socket in it.
 */
void fl_notify_ready(void);

/* As many open files as this process may have; with `more` and the privilege, at least that many.
 */
void fl_raise_files(size_t more);
