/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interfaces of endpoints: their state in words and what went over them. */
#pragma once

#include "netctl/model.h"

/* How often a dump that changes interrupted is begun again. */
enum { DUMP_TRIES = 10 };

/* "up", "down", "lowerlayerdown", ... as ip(8) has them; "unknown" too. */
const char *operstate_str(uint8_t operstate);
/* The container's interface is of this namespace alone: there is no host end. */
bool is_inside(const struct fl_endpoint *ep);

struct counters {
	uint64_t bytes, packets, dropped, errors;
};

/* As the container sees it: `in` is what the host's end has sent. */
struct traffic {
	const char *from; /* "host", "inside"; NULL: neither can be read */
	struct counters in, out;
};

/* Of each of the n attachments: one dump of the host's links, and a look into the sandboxes of
 * those without a host end. */
int traffic_read(struct ctl *c, const struct attachment *const *a, size_t n, struct traffic *ret,
		 struct fl_error *err);
/* {"from", "inBytes", "inPackets", "inDropped", "inErrors", "outBytes", ...}; null where unknown.
 */
json_t *traffic_json(const struct traffic *t);
/* The same in words, for the verbs that show it. */
#define TRAFFIC_JSON                                                                     \
	"from (host, inside; empty: it cannot be read), inBytes, inPackets, inDropped, " \
	"inErrors, outBytes, outPackets, outDropped, outErrors (null when it cannot be read)"
