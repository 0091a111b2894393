/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's links and addresses, as a dump has them and as events have changed them since. */
#pragma once

#include "netctl/ctl.h"

struct host_news {
	uint32_t at; /* the order of what was told */
	bool gone;
};

struct host_link {
	struct host_news news; /* of an event; first */
	uint32_t index;
	uint8_t operstate;
	char name[IFNAMSIZ];
};

struct host_address {
	struct host_news news; /* of an event; first */
	uint32_t index;
	struct fl_prefix prefix;
};

struct host_view {
	struct host_link *links; /* by index */
	size_t n_links, room_links;
	struct host_address *addresses; /* by index, then address; without link-local ones */
	size_t n_addresses, room_addresses;
};

void host_view_clear(struct host_view *v);
/* All of them anew. */
int host_view_read(struct ctl *c, struct host_view *ret, struct fl_error *err);

/* What was heard since the last look, for fl_nl_hear(). */
struct host_heard {
	struct host_view news; /* as they came */
	uint32_t n;
	bool lost; /* more than is known: all has to be read anew */
};

void host_heard_forget(struct host_heard *heard);
void host_hear(void *heard, const struct fl_nl_event *e);
/* `old` with all of it; what was heard is forgotten. */
int host_view_after(const struct host_view *old, struct host_heard *heard, struct host_view *ret,
		    struct fl_error *err);

/* Indexes of those that are gone or in another state, in their order; *ret is owned. */
int host_view_changed(const struct host_view *old, const struct host_view *now, uint32_t **ret,
		      size_t *n, struct fl_error *err);
/* NULL: there is none of this index. */
const struct host_link *host_link_find(const struct host_view *v, uint32_t index);
/* By index, then address. */
int host_address_compare(const void *a, const void *b);
