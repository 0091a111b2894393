/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store's endpoints as texts: of two looks only what differs is read. */
#pragma once

#include "netctl/model.h"

struct record;
struct touched;

struct recorded {
	struct record *v; /* in the store's order; owned */
	size_t n, room;
	struct fl_network *networks; /* owned */
	size_t n_networks;
	uint64_t txn; /* of when they were read; 0: nothing was */
	uint8_t seed[16];
	/* Of the look that goes on: the attachments that differ, by `who`; owned. */
	struct touched *touched;
	size_t n_touched;
};

void recorded_clear(struct recorded *r);
/*
 * Reads what has changed since the last time into `old` and `now`: attachments that came, went,
 * have another record, or are on one of these links of the host. `now` borrows the networks, see
 * recorded_done(). Nothing is there yet: both stay empty.
 */
int recorded_look(struct ctl *c, struct recorded *r, const uint32_t *links, size_t n_links,
		  struct model *old, struct model *now, struct fl_error *err);
/* Is the attachment known, as the last look left it? */
bool recorded_knows(const struct recorded *r, const struct attachment *a);
/* Keeps `known` of each of its attachments, and takes the networks back. */
void recorded_done(struct recorded *r, struct model *now, const bool *known);
