/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Echo requests to many addresses at once, and how large they may be: RFC 792, RFC 4443, ip(7). */
#pragma once

#include "base/addr.h"
#include "base/error.h"

struct path {
	struct fl_addr to;
	uint32_t size;	   /* of an IP packet that is to get there in one piece; 0: any will do */
	bool small, large; /* answered: one of the least size, one of `size` */
	uint32_t limit;	   /* what fits, as this host or one on the way says; 0: nobody did */
};

/* A neighbour that has to be asked for twice takes a second by itself. */
enum { PATHS_MAX = 16384, PATH_WAIT_MS = 1500 };

/*
 * Asks all of them, half of the time later those again that have not answered, and returns when
 * all have or the time is over. Needs CAP_NET_RAW. An answer of a network that was made smaller
 * since is believed, not what the kernel remembers.
 */
int paths_probe(struct path *v, size_t n, struct fl_error *err);
