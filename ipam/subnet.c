/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Automatic subnets: the first block of the default pools that nobody uses. */
#include "ipam/private.h"

#include <errno.h>
#include <string.h>

/* First address behind the block, or unset at the end of the family's space. */
static struct fl_addr behind(const struct fl_prefix *p)
{
	struct fl_addr last = fl_prefix_last(p), next = fl_addr_add(last, 1);

	return fl_addr_cmp(&next, &last) > 0 ? next : (struct fl_addr){ 0 };
}

/* The lowest block of the size whose first address is not below a. */
static struct fl_prefix align_up(const struct fl_addr *a, uint8_t size)
{
	struct fl_prefix p = { *a, size }, block = fl_prefix_masked(&p);

	if (fl_addr_cmp(&block.addr, a) < 0)
		block.addr = behind(&block);
	return block;
}

/* `used` is tidy: sorted and disjoint, so that one pass is enough. */
static bool pick(const struct fl_default_pool *pool, const struct fl_prefix *used, size_t n,
		 struct fl_prefix *ret)
{
	struct fl_prefix base = fl_prefix_masked(&pool->base), block = { base.addr, pool->size };
	struct fl_addr next;

	if (pool->size < base.len || pool->size > fl_addr_bits(&base.addr))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!fl_prefix_overlaps(&used[i], &block))
			continue;
		next = behind(&used[i]);
		if (!fl_addr_is_set(&next))
			return false;
		block = align_up(&next, pool->size);
		if (!fl_prefix_contains(&base, &block.addr))
			return false;
	}
	*ret = block;
	return true;
}

int fl_ipam_pick_subnet(const struct fl_default_pool *pools, size_t n_pools,
			const struct fl_prefix *used, size_t n_used, struct fl_prefix *ret,
			struct fl_error *err)
{
	FL_AUTOFREE struct fl_prefix *sorted = calloc(n_used + 1, sizeof(*sorted));
	size_t n = 0;

	if (!sorted)
		return fl_error_oom(err);
	/* A default route leads everywhere and occupies nothing. */
	for (size_t i = 0; i < n_used; i++)
		if (used[i].len)
			sorted[n++] = used[i];
	fl_prefixes_tidy(sorted, &n);
	for (size_t i = 0; i < n_pools; i++)
		if (pick(&pools[i], sorted, n, ret))
			return 0;
	return fl_error_set(err, ENOSPC, FL_ECODE_EXHAUSTED,
			    "no free subnet in the default pools: each overlaps with a route or a "
			    "network of this host");
}
