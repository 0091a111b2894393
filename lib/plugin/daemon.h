/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Daemons of the suite that are started by the first who needs them. */
#pragma once

#include "base/error.h"

#include <stdbool.h>

struct fl_daemon {
	const char *program;
	const char *wanted_by; /* what the sentences begin with: the key that needs it */
	const char *lock;      /* file in the state directory: those who come at once wait there */
	bool (*listens)(const char *state_dir);
};

/* Of this state, unless it is at work. FL_ECODE_NOT_AVAILABLE with the daemon's own sentence. */
int fl_daemon_start(const struct fl_daemon *d, const char *state_dir, struct fl_error *err);
/*
 * Asks, and where nobody listens (-ENOENT with err untouched) starts the daemon and asks again.
 * Returns what ask() does.
 */
int fl_daemon_ask(const struct fl_daemon *d, const char *state_dir,
		  int (*ask)(void *arg, struct fl_error *err), void *arg, struct fl_error *err);
/* 0, or FL_ECODE_NOT_AVAILABLE: it could not be started. */
int fl_daemon_installed(const struct fl_daemon *d, struct fl_error *err);
