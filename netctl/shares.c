/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/shares.h"

#include <string.h>

/* Chosen with it, or instead of it; false: the owner is attached to nothing. */
static bool choose(const struct model *m, const struct attachment *a, bool *chosen, bool *owners)
{
	if (!*a->main->shares)
		chosen[a - m->attachments] = true;
	else if (a->owner)
		owners[a->owner - m->attachments] = true;
	return !*a->main->shares || a->owner;
}

static int no_owner(const struct attachment *a, struct fl_error *err)
{
	return not_found(err,
			 "container %s shares the sandbox of %s, which is attached to no network "
			 "any more",
			 CONTAINER_LABEL(a->main), a->main->shares);
}

int shares_resolve(const struct model *m, const struct attachment ***found, size_t *n,
		   struct fl_error *err)
{
	size_t all = m->n_attachments, used = 0, sharers = 0;
	FL_AUTOFREE bool *chosen = calloc(all + 1, sizeof(*chosen));
	FL_AUTOFREE bool *owners = calloc(all + 1, sizeof(*owners));
	FL_AUTOFREE const struct attachment **kept = NULL;

	for (size_t i = 0; i < *n; i++)
		sharers += *(*found)[i]->main->shares != '\0';
	if (!sharers)
		return 0;
	kept = calloc(all + 1, sizeof(*kept));
	if (!chosen || !owners || !kept)
		return fl_error_oom(err);
	for (size_t i = 0; i < *n; i++)
		if (!choose(m, (*found)[i], chosen, owners))
			return no_owner((*found)[i], err);
	for (size_t i = 0; i < all; i++) {
		const struct attachment *a = &m->attachments[i];

		if (chosen[i] || (!*a->main->shares && owners[a->owner - m->attachments]))
			kept[used++] = a;
	}
	free(*found);
	*found = fl_take_ptr(kept);
	*n = used;
	return 0;
}

const char *shares_interface(const struct attachment *a, char *buf, size_t size)
{
	const struct fl_endpoint *ep = a->main;

	if (!*ep->shares)
		return ep->id.ifname;
	snprintf(buf, size, "(%s's)", a->owner ? CONTAINER_LABEL(a->owner->main) : ep->shares);
	return buf;
}
