/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is left of containers that are provably gone, for gc and doctor: records, leases, and files
 * that no record explains. Nothing here touches what lives.
 */
#pragma once

#include "netctl/model.h"

enum leftover_kind {
	LEFT_SANDBOX,	 /* an attachment whose sandbox is gone */
	LEFT_UNFINISHED, /* one that is `creating` or `deleting`, and nobody at work on it */
	LEFT_UNPLUGGED,	 /* its interface is gone, on the host and inside; the sandbox lives */
	LEFT_LEASE,	 /* its owner has no record */
	LEFT_KEPT,	 /* what was kept of an attachment that has no record, and lives no more */
	LEFT_FILES,	 /* STATE/files of a container without record */
	LEFT_KINDS
};

struct leftover {
	enum leftover_kind kind;
	const struct attachment *a; /* of the first three; in the model */
	/* Whose; the container only of LEFT_FILES, and of LEFT_KEPT where nothing is legible. */
	struct fl_endpoint_id id;
	bool unfinished;     /* LEFT_KEPT: its ADD was killed */
	char pool[512];	     /* LEFT_LEASE */
	struct fl_addr addr; /* LEFT_LEASE */
};

struct leftovers {
	struct leftover *v;
	size_t n, cap;
};

void leftovers_clear(struct leftovers *l);
#define AUTOLEFTOVERS FL_CLEANUP(leftovers_clear)

/* Of one network, or of all when `network` is NULL (files belong to none). */
int leftovers_find(struct ctl *c, const struct model *m, const char *network, struct leftovers *ret,
		   struct fl_error *err);
/* Looks again first. 1: removed; 0: it is somebody's by now, or gone. */
int leftover_remove(struct ctl *c, const struct leftover *l, struct fl_error *err);

/* The same for an attachment that was judged to be gone by the model. */
int attachment_remove(struct ctl *c, const struct attachment *a, struct fl_error *err);

/* "endpoint", "lease", "attachment", "files" */
const char *leftover_kind_str(enum leftover_kind k);
/* Why it is one, in words. */
const char *leftover_why(const struct leftover *l);
/* "container web, interface eth0, network net"; "address 10.1.0.2 of network net, ..." */
const char *leftover_str(const struct leftover *l, char *buf, size_t size);
#define LEFTOVER_STR(l) leftover_str(l, (char[800]){ 0 }, 800)

/* ---- for doctor ---- */

/* Is the owner of a lease without record known to be gone? Leases of foreign plugins are not. */
bool lease_is_stale(const struct model *m, const struct fl_endpoint_id *owner);
/* Network of a pool's name. */
void pool_network(const char *pool, char *buf, size_t size);
