/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipam/private.h"

/* Of two prefixes with one first address the wider comes first. */
static int compare(const void *x, const void *y)
{
	const struct fl_prefix *a = x, *b = y;
	int c = fl_addr_cmp(&a->addr, &b->addr);

	return c ? c : (int)a->len - (int)b->len;
}

void fl_prefixes_tidy(struct fl_prefix *p, size_t *n)
{
	size_t kept = 0;

	if (!*n)
		return;
	for (size_t i = 0; i < *n; i++)
		p[i] = fl_prefix_masked(&p[i]);
	qsort(p, *n, sizeof(*p), compare);
	for (size_t i = 0; i < *n; i++)
		if (!kept || !fl_prefix_contains(&p[kept - 1], &p[i].addr))
			p[kept++] = p[i];
	*n = kept;
}

const struct fl_prefix *fl_prefixes_find(const struct fl_prefix *p, size_t n,
					 const struct fl_addr *a)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (fl_prefix_contains(&p[mid], a))
			return &p[mid];
		if (fl_addr_cmp(&p[mid].addr, a) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}
