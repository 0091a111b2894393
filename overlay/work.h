/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the queue (work.c) and its transactions (sending.c) have in common. */
#pragma once

#include "overlay/agent.h"

enum { WORK_TRIES_MAX = 64 }; /* of one work: others were faster so often */

struct sending {
	struct network *net;
	struct fl_ippool_batch *batch;
	struct work *works;
	struct fl_rec_key *keys; /* of the batch, which forgets them at its end */
	size_t n_keys;
	unsigned n_works;
	struct fl_etcd_call *call;
	struct sending *next;
};

struct sending *sending_new(struct network *net);
void sending_free(struct sending *s);
/* Its works, which are the caller's now. */
struct work *sending_take(struct sending *s);
/* Does it free addresses, for which it needs a lease? */
bool sending_needs_lease(const struct sending *s);
void sending_send(struct sending *s, int64_t lease);

/* What whoever waits is told: a store that cannot be reached is one that comes back. */
struct fl_error work_trouble(const struct agent *a, const struct fl_error *why);
/* Tells, and frees it. */
void work_finish(struct work *w, int r, const struct fl_error *err);
