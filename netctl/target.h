/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What people mean by a sandbox: a container, a named namespace, a process, a path. */
#pragma once

#include "netctl/model.h"

struct target {
	char container[FL_NAME_MAX + 1]; /* id for the plugins */
	char netns[256];		 /* path */
	const struct attachment *at;	 /* one that it has already, in the model; NULL */
};

/*
 * In this order: a path ('/' in it), a container by its id or name that is attached to something, a
 * name in /run/netns, a process id, the beginning of a container's id. A namespace that is a
 * container's sandbox, by whatever path, is that container. A new id is the namespace's name, or
 * pid-N; EXIT_NOT_FOUND.
 */
int target_resolve(struct ctl *c, const struct model *m, const char *word, struct target *ret,
		   struct fl_error *err);
/* Its namespace; of a container only if it is still the one that was attached: EXIT_NOT_FOUND. */
int target_open(struct ctl *c, const struct target *t, struct fl_netns *ret, struct fl_error *err);
/*
 * Whose sandbox the namespace is, by its identity; NULL: nobody's that is recorded. `id` goes
 * before others that share it.
 */
const struct attachment *target_owner(const struct model *m, const struct fl_netns *ns,
				      const char *id);
