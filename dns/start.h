/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the broker comes to be. */
#pragma once

#include "base/background.h"
#include "dns/broker.h"

struct start {
	const char *state, *cache; /* options */
	bool background, replace;
	struct fl_background keeper;
	int handover; /* descriptor of what an earlier image left, -1 */
};

/* ---- handover.c ---- */
int handover_take(struct broker *b, int fd, struct fl_error *err);
