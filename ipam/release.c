/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipam/private.h"

#include <errno.h>
#include <string.h>

int fl_ipam_release(struct fl_txn *t, const char *pool_name, const struct fl_endpoint_id *owner,
		    struct fl_error *err)
{
	struct fl_pool pool;
	int r = fl_ipam_pool_open(t, pool_name, &pool, err);

	if (!r)
		r = fl_leases_free_owner(t, &pool, owner->container, owner->ifname, err);
	/* Leases of the reference's old files know no interface. */
	if (r == 0)
		r = fl_leases_free_owner(t, &pool, owner->container, "", err);
	return r < 0 ? r : 0;
}

int fl_ipam_release_conf(struct fl_txn *t, const struct fl_ipam_conf *conf,
			 const struct fl_endpoint_id *owner, struct fl_error *err)
{
	return fl_ipam_release(t, conf->pool, owner, err);
}

int fl_ipam_held(struct fl_txn *t, const char *pool_name, const struct fl_endpoint_id *owner,
		 struct fl_error *err)
{
	struct fl_pool pool;
	int r = fl_txn_writes(t) ? fl_ipam_pool_open(t, pool_name, &pool, err)
				 : fl_pool_get(t, pool_name, &pool, err);

	if (r)
		return r == -ENOENT ? 0 : r;
	r = fl_leases_held(t, &pool, owner->container, owner->ifname, err);
	return r ? r : fl_leases_held(t, &pool, owner->container, "", err);
}

/* ---- GC ---- */

struct gc {
	struct fl_txn *t;
	const struct fl_pool *pool;
	const char *driver;
	const struct fl_attachment **valid; /* sorted */
	size_t n_valid;
	struct fl_error *err;
};

static int compare_valid(const void *x, const void *y)
{
	const struct fl_attachment *a = *(const struct fl_attachment *const *)x;
	const struct fl_attachment *b = *(const struct fl_attachment *const *)y;
	int c = strcmp(a->container, b->container);

	return c ? c : strcmp(a->ifname, b->ifname);
}

/* An owner without an interface is any interface of the container. */
static int compare_owner(const void *key, const void *item)
{
	const struct fl_endpoint_id *owner = key;
	const struct fl_attachment *a = *(const struct fl_attachment *const *)item;
	int c = strcmp(owner->container, a->container);

	return c || !owner->ifname[0] ? c : strcmp(owner->ifname, a->ifname);
}

static int gc_lease(void *arg, const struct fl_addr *addr, const struct fl_endpoint_id *owner)
{
	struct gc *g = arg;

	/* Imported leases are those of the drivers that we replaced, whichever they were. */
	if (strcmp(owner->driver, g->driver) && strcmp(owner->driver, FL_LEASE_IMPORTED) &&
	    strcmp(owner->driver, FL_LEASE_STALE))
		return 0;
	if (g->n_valid && bsearch(owner, g->valid, g->n_valid, sizeof(*g->valid), compare_owner))
		return 0;
	return fl_lease_free(g->t, g->pool, addr, g->err);
}

int fl_ipam_gc(struct fl_txn *t, const char *pool_name, const char *owner_driver,
	       const struct fl_attachment *valid, size_t n_valid, struct fl_error *err)
{
	FL_AUTOFREE const struct fl_attachment **sorted = calloc(n_valid + 1, sizeof(*sorted));
	struct fl_pool pool;
	struct gc g = { t, &pool, owner_driver, sorted, n_valid, err };
	int r;

	if (!sorted)
		return fl_error_oom(err);
	for (size_t i = 0; i < n_valid; i++)
		sorted[i] = &valid[i];
	qsort(sorted, n_valid, sizeof(*sorted), compare_valid);
	r = fl_ipam_pool_open(t, pool_name, &pool, err);
	return r ? r : fl_leases_each(t, &pool, NULL, NULL, gc_lease, &g, err);
}
