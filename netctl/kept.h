/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What netctl has to know at DEL of an attachment that it made: {"config", "capabilityArgs",
 * "netns", "name", "hostname", "result"}. One file each, under a lock for its container.
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
int kept_lock(struct ctl *c, const char *container, const char *network, const char *ifname,
	      struct kept *ret, struct fl_error *err);
/* -ENOENT (err untouched) when there is none. */
int kept_read(const struct kept *k, json_t **ret, struct fl_error *err);
int kept_write(const struct kept *k, const json_t *v, struct fl_error *err);
void kept_remove(const struct kept *k);
/* Unlocks; the container's folder goes when it is empty. */
void kept_close(struct kept *k);
#define AUTOKEPT FL_CLEANUP(kept_close)
