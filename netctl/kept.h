/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What netctl has to know at DEL of an attachment that it made: {"config", "capabilityArgs",
 * "netns", "cookie", "name", "hostname", "result"}. One file each, STATE/attachments/CONTAINER/
 * NETWORK,INTERFACE, under a lock for its container.
 */
#pragma once

#include "netctl/ctl.h"

struct kept {
	int dir; /* STATE/attachments/CONTAINER, locked; -1: none */
	char file[FL_NAME_MAX + IFNAMSIZ + 8];
	char folder[4096 + FL_NAME_MAX];
};

#define KEPT_NONE ((struct kept){ .dir = -1 })

/* Waits for the lock. */
int kept_lock(struct ctl *c, const char *container, struct kept *ret, struct fl_error *err);
/* Which of the container's attachments the three below are about. */
void kept_choose(struct kept *k, const char *network, const char *ifname);
/* -ENOENT (err untouched) when there is none. */
int kept_read(const struct kept *k, json_t **ret, struct fl_error *err);
int kept_write(const struct kept *k, const json_t *v, struct fl_error *err);
void kept_remove(const struct kept *k);
/*
 * Calls fn for each attachment that the container has here, by a copy of the list, until it
 * returns non-zero, which is returned.
 */
int kept_each(struct kept *k,
	      int (*fn)(void *arg, struct kept *k, const char *network, const char *ifname),
	      void *arg);
/* Unlocks; the container's folder goes when it is empty. */
void kept_close(struct kept *k);
#define AUTOKEPT FL_CLEANUP(kept_close)

/* A lock that is one for all containers: choosing a port of a range, and publishing it. */
int kept_lock_all(struct ctl *c, int *ret, struct fl_error *err);
