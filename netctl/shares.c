/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/shares.h"

#include <string.h>

static bool is_owner(const struct attachment *a, const struct fl_endpoint *sharer)
{
	return !*a->main->shares && !strcmp(a->main->id.container, sharer->shares);
}

/* Chosen with it, or instead of it; false: the owner is attached to nothing. */
static bool choose(const struct model *m, const struct attachment *a, bool *chosen)
{
	bool any = false;

	if (!*a->main->shares) {
		chosen[a - m->attachments] = true;
		return true;
	}
	for (size_t i = 0; i < m->n_attachments; i++)
		if (is_owner(&m->attachments[i], a->main))
			any = chosen[i] = true;
	return any;
}

int shares_resolve(const struct model *m, const struct attachment ***found, size_t *n,
		   struct fl_error *err)
{
	FL_AUTOFREE bool *chosen = calloc(m->n_attachments + 1, sizeof(*chosen));
	const struct attachment **all;
	size_t used = 0, sharers = 0;

	for (size_t i = 0; i < *n; i++)
		sharers += *(*found)[i]->main->shares != '\0';
	if (!sharers)
		return 0;
	all = calloc(m->n_attachments + 1, sizeof(*all));
	if (!chosen || !all) {
		free(all);
		return fl_error_oom(err);
	}
	for (size_t i = 0; i < *n; i++)
		if (!choose(m, (*found)[i], chosen)) {
			free(all);
			return not_found(err,
					 "container %s shares the sandbox of %s, which is attached "
					 "to no network any more",
					 CONTAINER_LABEL((*found)[i]->main),
					 (*found)[i]->main->shares);
		}
	for (size_t i = 0; i < m->n_attachments; i++)
		if (chosen[i])
			all[used++] = &m->attachments[i];
	free(*found);
	*found = all;
	*n = used;
	return 0;
}

const char *shares_interface(const struct model *m, const struct fl_endpoint *ep, char *buf,
			     size_t size)
{
	if (!*ep->shares)
		return ep->id.ifname;
	snprintf(buf, size, "(%s's)", ep->shares);
	for (size_t i = 0; i < m->n_attachments; i++)
		if (is_owner(&m->attachments[i], ep)) {
			snprintf(buf, size, "(%s's)", CONTAINER_LABEL(m->attachments[i].main));
			break;
		}
	return buf;
}
