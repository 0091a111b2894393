/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The known word that a mistyped one is nearest to. */
#pragma once

struct nearest {
	const char *word;
	const char *best; /* NULL: none is near */
	unsigned distance;
	char copy[64];
};

/* `known` must outlive `n`. */
void nearest_try(struct nearest *n, const char *known);
/* One that does not. */
void nearest_try_copy(struct nearest *n, const char *known);
