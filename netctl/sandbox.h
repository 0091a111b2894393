/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running a program in a sandbox as a container would see it. */
#pragma once

#include "netctl/ctl.h"

/*
 * In the calling process, for good: a mount namespace of its own with /sys of the sandbox and
 * resolv.conf, hosts and hostname of the container (STATE/files/CONTAINER; what is not there stays
 * as it is), and its host name: `hostname` (may be NULL) where the files have none. The thread is
 * in the sandbox's network namespace already.
 */
int sandbox_enter_files(const char *state, const char *container, const char *hostname,
			struct fl_error *err);
/* Executes; returns 126 or 127 with a sentence on stderr when it cannot. */
int sandbox_execute(char *const *argv);
/*
 * Waits for the child and hands on SIGTERM and SIGHUP to it; SIGINT and SIGQUIT come from the
 * terminal to both. Its exit status, 128 + N when signal N ended it.
 */
int sandbox_wait(int pid);
/* What would end netctl between making a sandbox and waiting for it; sandbox_wait() lets go. */
void sandbox_hold_signals(bool hold);
/* Brings lo up in the namespace the thread is in. */
int sandbox_loopback(struct fl_error *err);
