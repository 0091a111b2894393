/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What people mean by a sandbox: a container, a named namespace, a process, a path. */
#pragma once

#include "netctl/model.h"

struct target {
	char container[FL_NAME_MAX + 1]; /* id for the plugins */
	char netns[256];		 /* path */
	bool known;			 /* has attachments under this id */
};

/*
 * In this order: a path ('/' in it), a container by name, id or prefix of it that is attached to
 * something, a name in /run/netns, a process id. A new id is the namespace's name, or pid-N;
 * EXIT_NOT_FOUND.
 */
int target_resolve(struct ctl *c, const struct model *m, const char *word, struct target *ret,
		   struct fl_error *err);
/* The first ethN that neither the sandbox nor a record of it has. */
int target_free_interface(struct ctl *c, const struct model *m, const struct target *t, char *ret,
			  struct fl_error *err);
