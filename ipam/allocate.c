/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Next-fit over range sets. */
#include "ipam/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One allocation or one question about it. */
struct search {
	struct fl_txn *t;
	const struct fl_ipam_conf *conf;
	struct fl_pool pool;
	struct fl_error *err;
};

static bool is_gateway(const struct fl_ipam_conf *conf, const struct fl_addr *a)
{
	for (size_t i = 0; i < conf->n_sets; i++)
		for (size_t j = 0; j < conf->sets[i].n; j++)
			if (fl_addr_eq(&conf->sets[i].ranges[j].gateway, a))
				return true;
	return false;
}

static const struct fl_prefix *excluded(const struct fl_ipam_conf *conf,
					const struct fl_range *range, const struct fl_addr *a)
{
	const struct fl_prefix *p = fl_prefixes_find(range->exclude, range->n_exclude, a);

	return p ? p : fl_prefixes_find(conf->exclude, conf->n_exclude, a);
}

/* Must a never be handed out? Then *last is the end of the block for which that is known. */
static bool barred(const struct fl_ipam_conf *conf, const struct fl_range *range,
		   const struct fl_addr *a, struct fl_addr *last)
{
	const struct fl_prefix *p = excluded(conf, range, a);

	if (p)
		*last = fl_prefix_last(p);
	else if (is_gateway(conf, a))
		*last = *a;
	else
		return false;
	return true;
}

/* Lowest address of the range in [from, to] that may be given. -ENOENT. */
static int search_range(const struct search *s, const struct fl_range *range, struct fl_addr from,
			const struct fl_addr *to, struct fl_addr *ret)
{
	struct fl_addr a, last;

	for (;;) {
		int r = fl_lease_next_free(s->t, &s->pool, &from, to, &a, s->err);

		if (r)
			return r;
		if (!barred(s->conf, range, &a, &last))
			break;
		if (fl_addr_cmp(&last, to) >= 0)
			return -ENOENT;
		from = fl_addr_add(last, 1);
	}
	*ret = a;
	return 0;
}

/* The range of the set that the cursor points into, or the number of ranges. */
static int find_cursor(const struct search *s, size_t index, struct fl_addr *cursor,
		       size_t *ret_range)
{
	const struct fl_range_set *set = &s->conf->sets[index];
	int r = fl_lease_cursor_get(s->t, &s->pool, &set->ranges[0].start, cursor, s->err);

	if (r == -ENOENT)
		r = fl_lease_imported_cursor_get(s->t, &s->pool, (uint8_t)index, cursor, s->err);
	if (r && r != -ENOENT)
		return r;
	*ret_range = set->n;
	for (size_t i = 0; !r && i < set->n; i++)
		if (fl_range_holds(&set->ranges[i], cursor))
			*ret_range = i;
	return 0;
}

/*
 * The next free address of the set: behind the cursor to the end of its range, the other ranges in
 * turn, and at last its range from the start up to the cursor. -ENOENT.
 */
static int search_set(const struct search *s, size_t index, struct fl_addr *ret,
		      const struct fl_range **ret_range)
{
	const struct fl_range_set *set = &s->conf->sets[index];
	struct fl_addr cursor;
	size_t at, first;
	int r = find_cursor(s, index, &cursor, &at);

	if (r)
		return r;
	r = -ENOENT;
	if (at < set->n && fl_addr_cmp(&cursor, &set->ranges[at].end) < 0) {
		*ret_range = &set->ranges[at];
		r = search_range(s, *ret_range, fl_addr_add(cursor, 1), &set->ranges[at].end, ret);
	}
	first = at < set->n ? at + 1 : 0;
	for (size_t i = 0; r == -ENOENT && i < set->n; i++) {
		*ret_range = &set->ranges[(first + i) % set->n];
		r = search_range(s, *ret_range, (*ret_range)->start, &(*ret_range)->end, ret);
	}
	return r;
}

/* ---- owners that are gone ---- */

struct reclaim {
	const struct search *s;
	const struct fl_gone *gone;
	size_t n;
};

/* Frees the lease when its owner is provably gone, with all that the owner has. 1, 0 or -errno. */
static int reclaim_lease(const struct search *s, const struct fl_gone *gone,
			 const struct fl_addr *addr, const struct fl_endpoint_id *owner)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	int r;

	/* A file older than this boot: no container of it can live, unless the clock was wrong. */
	if (strcmp(owner->driver, FL_LEASE_STALE)) {
		r = gone ? fl_endpoint_get(s->t, owner, &ep, s->err) : -ENOENT;
		if (r)
			return r == -ENOENT ? 0 : r;
		if (!gone->fn(gone->arg, &ep))
			return 0;
		r = fl_endpoint_evict(s->t, &ep, s->err);
		if (r)
			return r;
	}
	r = fl_lease_free(s->t, &s->pool, addr, s->err);
	return r ? r : 1;
}

static int reclaim_each(void *arg, const struct fl_addr *addr, const struct fl_endpoint_id *owner)
{
	struct reclaim *rc = arg;
	int r = reclaim_lease(rc->s, rc->gone, addr, owner);

	if (r > 0)
		rc->n++;
	return r < 0 ? r : 0;
}

/* Asks about each lease of the set once. Returns how many came free, or -errno. */
static int reclaim_set(const struct search *s, const struct fl_range_set *set,
		       const struct fl_gone *gone)
{
	struct reclaim rc = { s, gone, 0 };

	for (size_t i = 0; i < set->n; i++) {
		int r = fl_leases_each(s->t, &s->pool, &set->ranges[i].start, &set->ranges[i].end,
				       reclaim_each, &rc, s->err);

		if (r)
			return r;
	}
	return rc.n > 0;
}

/* ---- requested addresses ---- */

static const struct fl_range *range_of(const struct fl_range_set *set, const struct fl_addr *a)
{
	for (size_t i = 0; i < set->n; i++)
		if (fl_range_holds(&set->ranges[i], a))
			return &set->ranges[i];
	return NULL;
}

static int check_request(const struct search *s, size_t i, const struct fl_range *range)
{
	const char *text = fl_addr_str(&s->conf->requests[i], FL_ADDR_BUF),
		   *src = s->conf->request_src[i];

	if (is_gateway(s->conf, &s->conf->requests[i]))
		return fl_error_set(s->err, EINVAL, FL_ECODE_CONFIG, "%s: %s is the gateway of %s",
				    src, text, fl_prefix_str(&range->subnet, FL_PREFIX_BUF));
	if (excluded(s->conf, range, &s->conf->requests[i]))
		return fl_error_set(s->err, EINVAL, FL_ECODE_CONFIG, "%s: %s is excluded", src,
				    text);
	return 0;
}

/* wanted[set] becomes the request's index plus one. Each request must find a set of its own. */
static int assign_requests(const struct search *s, size_t wanted[FL_IPAM_SETS])
{
	const struct fl_ipam_conf *conf = s->conf;

	for (size_t i = 0; i < conf->n_requests; i++) {
		const struct fl_range *range = NULL;
		size_t set = 0;
		int r;

		while (set < conf->n_sets &&
		       !(range = range_of(&conf->sets[set], &conf->requests[i])))
			set++;
		if (!range)
			return fl_error_set(s->err, EINVAL, FL_ECODE_CONFIG,
					    "%s: %s is in no range of the network",
					    conf->request_src[i],
					    fl_addr_str(&conf->requests[i], FL_ADDR_BUF));
		if (wanted[set])
			return fl_error_set(
				s->err, EINVAL, FL_ECODE_CONFIG,
				"%s: %s and %s are of the same range set, which gives one address",
				conf->request_src[i],
				fl_addr_str(&conf->requests[wanted[set] - 1], FL_ADDR_BUF),
				fl_addr_str(&conf->requests[i], FL_ADDR_BUF));
		r = check_request(s, i, range);
		if (r)
			return r;
		wanted[set] = i + 1;
	}
	return 0;
}

static int give_requested(const struct search *s, size_t i, const struct fl_endpoint_id *owner,
			  const struct fl_gone *gone)
{
	const struct fl_addr *a = &s->conf->requests[i];
	struct fl_endpoint_id holder;
	int r = fl_lease_claim(s->t, &s->pool, a, owner, s->err);

	if (r != -EEXIST)
		return r;
	r = fl_lease_owner(s->t, &s->pool, a, &holder, s->err);
	if (!r)
		r = reclaim_lease(s, gone, a, &holder);
	if (r < 0)
		return r;
	if (r == 0)
		return fl_error_set(s->err, EADDRINUSE, FL_ECODE_CONFLICT,
				    "%s: %s is held by container %s%s%s%s on network %s",
				    s->conf->request_src[i], fl_addr_str(a, FL_ADDR_BUF),
				    holder.container, holder.ifname[0] ? " (interface " : "",
				    holder.ifname, holder.ifname[0] ? ")" : "", holder.network);
	return fl_lease_claim(s->t, &s->pool, a, owner, s->err);
}

/* ---- giving ---- */

static int exhausted(const struct search *s, size_t index, enum fl_ecode code)
{
	const struct fl_range_set *set = &s->conf->sets[index];
	char more[32] = "";

	if (set->n > 1)
		snprintf(more, sizeof(more), " and %zu more ranges", set->n - 1);
	return fl_error_set(
		s->err, ENOSPC, code,
		"no IP addresses available in range set: %s-%s%s (range set %zu of network %.*s)",
		fl_addr_str(&set->ranges[0].start, FL_ADDR_BUF),
		fl_addr_str(&set->ranges[0].end, FL_ADDR_BUF), more, index,
		(int)strcspn(s->conf->pool, "@"), s->conf->pool);
}

static int give_next(const struct search *s, size_t index, const struct fl_endpoint_id *owner,
		     const struct fl_gone *gone, struct fl_addr *ret, const struct fl_range **range)
{
	const struct fl_range_set *set = &s->conf->sets[index];
	int r = search_set(s, index, ret, range);

	if (r == -ENOENT) {
		r = reclaim_set(s, set, gone);
		if (r < 0)
			return r;
		r = r ? search_set(s, index, ret, range) : -ENOENT;
	}
	if (r == -ENOENT)
		return exhausted(s, index, FL_ECODE_EXHAUSTED);
	if (!r)
		r = fl_lease_claim(s->t, &s->pool, ret, owner, s->err);
	return r ? r : fl_lease_cursor_put(s->t, &s->pool, &set->ranges[0].start, ret, s->err);
}

static int give(const struct search *s, size_t index, size_t wanted,
		const struct fl_endpoint_id *owner, const struct fl_gone *gone,
		struct fl_ipam_address *ret)
{
	const struct fl_range *range = NULL;
	struct fl_addr a;
	int r;

	if (wanted) {
		a = s->conf->requests[wanted - 1];
		range = range_of(&s->conf->sets[index], &a);
		r = give_requested(s, wanted - 1, owner, gone);
	} else {
		r = give_next(s, index, owner, gone, &a, &range);
	}
	if (!r)
		*ret = (struct fl_ipam_address){ { a, range->subnet.len }, range->gateway };
	return r;
}

int fl_ipam_allocate(struct fl_txn *t, const struct fl_ipam_conf *conf,
		     const struct fl_endpoint_id *owner, const struct fl_gone *gone,
		     struct fl_ipam_result *ret, struct fl_error *err)
{
	struct search s = { .t = t, .conf = conf, .err = err };
	struct fl_ipam_result res = { 0 };
	size_t wanted[FL_IPAM_SETS] = { 0 };
	size_t n = conf->pair ? 2 * conf->n_sets : conf->n_sets;
	int r;

	if (n > FL_ENDPOINT_ADDRS)
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
				    "ipam: expected at most %d range sets for two ends each",
				    FL_ENDPOINT_ADDRS / 2);
	if (!conf->n_sets)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "ipam: network %s has no range of addresses", conf->pool);
	r = fl_ipam_pool_open(t, conf->pool, &s.pool, err);
	if (!r)
		r = assign_requests(&s, wanted);
	if (!r)
		r = fl_leases_free_owner(t, &s.pool, owner->container, owner->ifname, err);
	if (r < 0)
		return r;
	r = 0;
	for (size_t i = 0; i < n && !r; i++) {
		r = give(&s, i % conf->n_sets, i < conf->n_sets ? wanted[i] : 0, owner, gone,
			 &res.addrs[i]);
		if (!r)
			res.n_addrs++;
	}
	if (!r) {
		*ret = res;
		return 0;
	}
	for (size_t i = 0; i < res.n_addrs; i++)
		fl_lease_free(t, &s.pool, &res.addrs[i].addr.addr, NULL);
	return r;
}

int fl_ipam_status(struct fl_txn *t, const struct fl_ipam_conf *conf, struct fl_error *err)
{
	struct search s = { .t = t, .conf = conf, .err = err };
	int r = fl_pool_get(t, conf->pool, &s.pool, err);

	/* Without a pool every address is free; number 0 is nobody's. */
	if (r && r != -ENOENT)
		return r;
	for (size_t i = 0; i < conf->n_sets; i++) {
		const struct fl_range *range;
		struct fl_addr a;

		r = search_set(&s, i, &a, &range);
		if (r == -ENOENT)
			return exhausted(&s, i, FL_ECODE_NOT_AVAILABLE);
		if (r)
			return r;
	}
	return 0;
}
