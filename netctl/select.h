/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arguments that are a container or a network. */
#pragma once

#include "netctl/model.h"

/*
 * The attachments that any of the words names, each once and in the model's order; all when there
 * is no word. A container goes before a network of the same name. With `must`, a word that names
 * nothing is EXIT_NOT_FOUND; else it is passed over.
 */
int select_attachments(const struct model *m, char **words, size_t n_words, bool must,
		       const struct attachment ***ret, size_t *n, struct fl_error *err);
