/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the daemon comes to be. In the foreground (systemd) the process is the broker. In the
 * background the caller gets its prompt back when the broker is ready, and a keeper stays that does
 * nothing but start the broker again when something kills it.
 */
#pragma once

#include "dns/broker.h"

#define START_ANOTHER 3 /* exit status: another daemon serves this state */

struct start {
	const char *state, *cache; /* options */
	bool background;
	int handover; /* descriptor of what an earlier image left, -1 */
	int ready;    /* pipe to who waits, -1 */
};

/* -1: go on as the broker. Else the exit status of this process. */
int start_background(struct start *s);
void start_ready(const struct start *s);
void start_failed(const struct start *s, const struct fl_error *err);

/* ---- handover.c ---- */
int handover_take(struct broker *b, int fd, struct fl_error *err);
