/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network configurations in a folder, as libcni reads it: NAME.conflist, NAME.conf and NAME.json in
 * the order of their names. A runtime takes the first.
 */
#pragma once

#include "base/addr.h"
#include "base/error.h"
#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>

#define CONFLIST_PREFIX "fairlead-" /* of the files that netctl makes */

struct conflist {
	char *file;    /* name in the folder */
	char *name;    /* of the network; "" where it cannot be read */
	json_t *json;  /* a list: what is a single configuration is wrapped; NULL: cannot be read */
	bool ours;     /* netctl made it */
	char why[256]; /* json NULL: the reason */
};

struct conflists {
	struct conflist *v; /* in the order of file names */
	size_t n;
};

/* A folder that is not there is empty. */
int conflists_read(const char *dir, struct conflists *ret, struct fl_error *err);
void conflists_clear(struct conflists *l);
#define AUTOCONFLISTS FL_CLEANUP(conflists_clear)
/* The first of that name, as a runtime has it; NULL. */
const struct conflist *conflists_find(const struct conflists *l, const char *name);
/* The same, or EXIT_NOT_FOUND with the near names. */
int conflists_get(const struct conflists *l, const char *dir, const char *name,
		  const struct conflist **ret, struct fl_error *err);

/* The list's first plugin, which makes the interface; NULL when there is none. */
json_t *conflist_main(const struct conflist *l);
const char *conflist_type(const struct conflist *l); /* its type, or "" */
/* Calls fn for each subnet of its host-local ranges until it returns non-zero. */
int conflist_subnets_each(const struct conflist *l,
			  int (*fn)(void *arg, const struct fl_prefix *subnet), void *arg);
/*
 * Whoever attaches to the network holds its file, shared; who removes it, for itself alone. Waits.
 * EXIT_NOT_FOUND when it was removed meanwhile.
 */
int conflist_lock(const char *dir, const struct conflist *l, bool exclusive, int *ret,
		  struct fl_error *err);
/* Path of its file. */
void conflist_path(const char *dir, const struct conflist *l, char *buf, size_t size);
