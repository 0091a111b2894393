/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An automatic subnet: what must not overlap with it, and the default pools. */
#pragma once

#include "ipam/ipam.h"
#include "nl/nl.h"
#include "store/store.h"

/* Small subnets first, in a range that neither Docker nor podman hands out by default. */
extern const struct fl_default_pool fl_default_pools[];
extern const size_t fl_n_default_pools;

struct fl_used {
	struct fl_prefix *v; /* owned */
	size_t n;
};

void fl_used_clear(struct fl_used *u);
#define FL_AUTOUSED FL_CLEANUP(fl_used_clear)
int fl_used_add(struct fl_used *u, const struct fl_prefix *p, struct fl_error *err);
/* Routes and name servers of the host, AF_INET or AF_INET6. */
int fl_used_by_host(struct fl_nl *host, int family, struct fl_used *u, struct fl_error *err);
/* Subnets of the networks that have endpoints. */
int fl_used_by_networks(struct fl_txn *t, struct fl_used *u, struct fl_error *err);
