/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A daemon that is started by who needs it. The caller gets its prompt back when the daemon is
 * ready, and a keeper stays that does nothing but start it again when something kills it.
 */
#pragma once

#include "base/error.h"

#define FL_BACKGROUND_ANOTHER                                               \
	3 /* exit status: another daemon is at work, which need not be kept \
	   */

struct fl_background {
	const char *program; /* for messages */
	int ready;	     /* pipe to who waits; -1: nobody does */
};

/* -1: go on as the daemon. Else the exit status of this process, whose standard output has said
 * why. */
int fl_background_start(struct fl_background *b);
/* One of these, once, whether in the background or not. */
void fl_background_ready(const struct fl_background *b);
void fl_background_failed(const struct fl_background *b, const struct fl_error *err);
