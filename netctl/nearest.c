/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/nearest.h"

#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 63 };

static unsigned min2(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: insertions, deletions, substitutions, neighbours swapped. */
static unsigned distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned d[3][WORD_MAX + 1], *two = d[0], *one = d[1], *now = d[2], *spare;

	if (n > WORD_MAX || m > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= m; j++)
		one[j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			now[j] = min2(one[j - 1] + (a[i - 1] != b[j - 1]),
				      min2(one[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = min2(now[j], two[j - 2] + 1);
		}
		spare = two;
		two = one;
		one = now;
		now = spare;
	}
	return one[m];
}

void nearest_try(struct nearest *n, const char *known)
{
	unsigned d = distance(n->word, known);

	/* A third of the letters may be wrong. */
	if (d > (strlen(n->word) + 2) / 3 || (n->best && d >= n->distance))
		return;
	n->best = known;
	n->distance = d;
}

void nearest_try_copy(struct nearest *n, const char *known)
{
	const char *before = n->best;

	nearest_try(n, known);
	if (n->best == before)
		return;
	snprintf(n->copy, sizeof(n->copy), "%s", known);
	n->best = n->copy;
}
