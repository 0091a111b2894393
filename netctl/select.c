/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/select.h"

#include <errno.h>
#include <string.h>

static void mark(const struct model *m, const struct attachment **found, size_t n, bool *chosen)
{
	for (size_t i = 0; i < n; i++)
		chosen[found[i] - m->attachments] = true;
}

/* A container's own name, a network's name, the beginning of a container's id: in this order. */
static int choose(const struct model *m, const char *word, bool *chosen, struct fl_error *err)
{
	FL_AUTOFREE const struct attachment **found = NULL;
	bool container = model_knows(m, word);
	size_t n = 0;
	int r = container ? -ENOENT : model_find(m, NULL, word, NULL, &found, &n, NULL);

	if (r == -ENOENT)
		r = model_find(m, word, NULL, NULL, &found, &n, err);
	if (!r)
		mark(m, found, n, chosen);
	else if (r == -ENOENT && !container)
		not_found(err, "%s: no container and no network of this name is attached", word);
	return r;
}

int select_attachments(const struct model *m, char **words, size_t n_words, bool must,
		       const struct attachment ***ret, size_t *n, struct fl_error *err)
{
	FL_AUTOFREE bool *chosen = calloc(m->n_attachments + 1, sizeof(*chosen));
	const struct attachment **found = calloc(m->n_attachments + 1, sizeof(*found));
	size_t used = 0;
	int r = chosen && found ? 0 : fl_error_oom(err);

	for (size_t i = 0; i < n_words && !r; i++) {
		r = choose(m, words[i], chosen, err);
		if (r == -ENOENT && !must)
			r = 0;
	}
	if (r) {
		free(found);
		return r;
	}
	for (size_t i = 0; i < m->n_attachments; i++)
		if (!n_words || chosen[i])
			found[used++] = &m->attachments[i];
	*ret = found;
	*n = used;
	return 0;
}
