/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of ipam/ share. */
#pragma once

#include "ipam/ipam.h"
#include "store/leases.h"

#define FL_IPAM_DEFAULT_DIR "/var/lib/cni/networks"

/* ---- prefix.c: lists of excluded prefixes ---- */

/* Masks, sorts and drops what another entry contains. */
void fl_prefixes_tidy(struct fl_prefix *p, size_t *n);
/* The entry of a tidy list that holds the address, or NULL. O(log n). */
const struct fl_prefix *fl_prefixes_find(const struct fl_prefix *p, size_t n,
					 const struct fl_addr *a);

/* ---- range.c ---- */

/* Fills in the defaults of a range whose subnet is set and checks it. `path` is for messages. */
int fl_range_complete(struct fl_range *r, const char *path, struct fl_error *err);
bool fl_range_holds(const struct fl_range *r, const struct fl_addr *a);
bool fl_range_overlaps(const struct fl_range *a, const struct fl_range *b);

/* ---- import.c ---- */

/*
 * The pool of this name, created when it is new; the reference's lease directory is then imported,
 * once in the life of an environment.
 */
int fl_ipam_pool_open(struct fl_txn *t, const char *name, struct fl_pool *ret,
		      struct fl_error *err);
