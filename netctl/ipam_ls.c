/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ipam ls, ipam show */
#include "netctl/ipam.h"
#include "netctl/leftovers.h"
#include "netctl/out.h"

#include <errno.h>
#include <string.h>

/* ---- ls ---- */

static const char *fill_colour(const json_t *row)
{
	double percent = json_real_value(json_object_get(row, "percent"));

	return percent >= 95 ? COLOUR_BAD : percent >= 80 ? COLOUR_WARN : NULL;
}

static const struct column columns[] = {
	{ "NETWORK", "network", 0, NULL },
	{ "FAMILY", "family", 0, NULL },
	{ "RANGES", "ranges", COLUMN_WRAP, NULL },
	{ "USED", "used", COLUMN_RIGHT, NULL },
	{ "FREE", "shownFree", COLUMN_RIGHT, NULL },
	{ "SIZE", "shownSize", COLUMN_RIGHT, NULL },
	{ "%", "percent", COLUMN_RIGHT, fill_colour },
	{ "POOL", "pool", COLUMN_WIDE | COLUMN_TRUNC, NULL },
	{ 0 },
};

struct listing {
	struct fl_txn *t;
	const struct model *m;
	const struct conflists *files;
	json_t *rows;
	struct fl_error *err;
	uint64_t used[2]; /* of a pool: IPv4, IPv6 */
	bool json;
};

static int count_lease(void *arg, const struct fl_addr *addr, const struct fl_endpoint_id *owner)
{
	struct listing *l = arg;

	(void)owner;
	l->used[addr->family == AF_INET6]++;
	return 0;
}

/* JSON has no larger integers. */
static json_int_t limited(uint64_t n)
{
	return n > INT64_MAX ? INT64_MAX : (json_int_t)n;
}

/* Nobody counts the addresses of a /64. */
static json_t *shown(uint64_t n)
{
	char text[32];

	if (n < 1000000000)
		return json_integer((json_int_t)n);
	snprintf(text, sizeof(text), "%.1e", (double)n);
	return json_string(text);
}

static void show_sizes(json_t *rows, uint64_t free_, uint64_t size)
{
	json_t *row = json_array_get(rows, json_array_size(rows) - 1);

	json_object_set_new(row, "shownFree", shown(free_));
	json_object_set_new(row, "shownSize", shown(size));
}

static void add_row(struct listing *l, const char *pool, const char *network,
		    const struct ranges *r, int family)
{
	uint64_t used = l->used[family == AF_INET6], size = ranges_size(r, family);

	if (!used && !size)
		return;
	json_array_append_new(
		l->rows, json_pack("{ss ss ss so sI sI sI sf}", "network", network, "pool", pool,
				   "family", family == AF_INET ? "IPv4" : "IPv6", "ranges",
				   ranges_json(r, family), "used", limited(used), "free",
				   limited(size > used ? size - used : 0), "size", limited(size),
				   "percent", size ? 100.0 * (double)used / (double)size : 0.0));
	if (!l->json)
		show_sizes(l->rows, size > used ? size - used : 0, size);
}

static void add_rows(struct listing *l, const char *pool)
{
	AUTORANGES struct ranges r = { 0 };
	char network[FL_NAME_MAX + 1];

	pool_network(pool, network, sizeof(network));
	ranges_read(l->m, l->files, network, &r);
	add_row(l, pool, network, &r, AF_INET);
	add_row(l, pool, network, &r, AF_INET6);
}

static int list_pool(void *arg, const char *name, const struct fl_pool *pool)
{
	struct listing *l = arg;
	int r;

	memset(l->used, 0, sizeof(l->used));
	r = fl_leases_each(l->t, pool, NULL, NULL, count_lease, l, l->err);
	if (!r)
		add_rows(l, name);
	return r;
}

/* Configurations whose pool nobody has used yet. */
static int list_unused(struct listing *l)
{
	for (size_t i = 0; i < l->files->n; i++) {
		struct fl_pool pool;
		char name[512];
		int r = -ENOENT;

		if (!l->files->v[i].json)
			continue;
		pool_of(l->files, l->files->v[i].name, name, sizeof(name));
		if (l->t)
			r = fl_pool_get(l->t, name, &pool, l->err);
		if (r && r != -ENOENT)
			return r;
		memset(l->used, 0, sizeof(l->used));
		if (r)
			add_rows(l, name);
	}
	return 0;
}

static int run_ls(struct ctl *c, struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	AUTOMODEL struct model m = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct listing l = { .m = &m, .files = &files, .err = err, .json = c->json };
	int r = conflists_read(c->dir, &files, err);

	if (!r)
		r = model_read(c, &m, err);
	if (!r && c->store)
		r = fl_txn_begin(c->store, false, &t, err);
	if (r)
		return r;
	l.t = t;
	l.rows = json_array();
	r = t ? fl_pools_each(t, list_pool, &l, err) : 0;
	if (!r)
		r = list_unused(&l);
	if (r) {
		json_decref(l.rows);
		return r;
	}
	return show_list(c, l.rows, columns, err);
}

static const struct example ls_examples[] = {
	{ "netctl ipam ls", "how full each network is" },
	{ 0 },
};

const struct command ipam_ls_command = {
	.name = "ipam ls",
	.args = "",
	.about = "pools of addresses, and how full they are",
	.json = "a list of objects, one for each family of a pool: network, pool, "
		"family (IPv4, IPv6), ranges (list), used, free, size, percent.",
	.examples = ls_examples,
	.flags = COMMAND_READS,
	.run = run_ls,
};

/* ---- show ---- */

static const char *state_colour(const json_t *row)
{
	const char *s = json_string_value(json_object_get(row, "state"));

	return !strcmp(s, "live") ? COLOUR_GOOD : !strcmp(s, "stale") ? COLOUR_WARN : COLOUR_FAINT;
}

static const struct column lease_columns[] = {
	{ "ADDRESS", "address", 0, NULL },     { "CONTAINER", "label", 0, NULL },
	{ "INTERFACE", "interface", 0, NULL }, { "PLUGIN", "driver", 0, NULL },
	{ "STATE", "state", 0, state_colour }, { 0 },
};

static const struct field fields[] = {
	{ "Network", "network", NULL },	       { "Ranges", "ranges", NULL },
	{ "Gateways", "gateways", NULL },      { "Used", "used", NULL },
	{ "Leases", "leases", lease_columns }, { 0 },
};

struct showing {
	struct ctl *c;
	const struct model *m;
	const char *network;
	struct fl_txn *t;
	json_t *leases;
	size_t pools;
	struct fl_error *err;
};

static int show_lease(void *arg, const struct fl_addr *addr, const struct fl_endpoint_id *owner)
{
	struct showing *s = arg;
	const struct fl_endpoint *ep = model_endpoint(s->m, owner);
	struct fl_endpoint nobody = { .id = *owner };

	return json_array_append_new(
		s->leases,
		json_pack("{ss ss ss ss ss ss}", "address", fl_addr_str(addr, FL_ADDR_BUF),
			  "container", owner->container, "label",
			  CONTAINER_LABEL(ep ? ep : &nobody), "interface", owner->ifname, "driver",
			  *owner->driver == '@' ? "" : owner->driver, "state",
			  lease_state(s->c, s->m, owner)));
}

static int show_pool(void *arg, const char *name, const struct fl_pool *pool)
{
	struct showing *s = arg;
	char network[FL_NAME_MAX + 1];

	pool_network(name, network, sizeof(network));
	if (strcmp(network, s->network) != 0)
		return 0;
	s->pools++;
	return fl_leases_each(s->t, pool, NULL, NULL, show_lease, s, s->err);
}

static json_t *gateways_json(const struct ranges *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->conf.n_sets; i++)
		for (size_t k = 0; k < r->conf.sets[i].n; k++)
			if (fl_addr_is_set(&r->conf.sets[i].ranges[k].gateway))
				json_array_append_new(
					list,
					json_string(fl_addr_str(&r->conf.sets[i].ranges[k].gateway,
								FL_ADDR_BUF)));
	return list;
}

static json_t *object_of(const struct showing *s, const struct conflists *files)
{
	AUTORANGES struct ranges r = { 0 };
	json_t *all, *more;

	ranges_read(s->m, files, s->network, &r);
	all = ranges_json(&r, AF_INET);
	more = ranges_json(&r, AF_INET6);
	json_array_extend(all, more);
	json_decref(more);
	return json_pack("{ss so so sI sO}", "network", s->network, "ranges", all, "gateways",
			 gateways_json(&r), "used", (json_int_t)json_array_size(s->leases),
			 "leases", s->leases);
}

static int run_show(struct ctl *c, struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	AUTOMODEL struct model m = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	FL_AUTOJSON json_t *leases = json_array();
	struct showing s = { .c = c, .m = &m, .network = c->argv[0], .leases = leases, .err = err };
	const struct conflist *file;
	int r = conflists_read(c->dir, &files, err);

	if (!r)
		r = model_read(c, &m, err);
	if (!r)
		r = ctl_host(c, err);
	if (!r && c->store)
		r = fl_txn_begin(c->store, false, &t, err);
	s.t = t;
	if (!r && t)
		r = fl_pools_each(t, show_pool, &s, err);
	/* A network without a lease is one all the same. */
	if (!r && !s.pools)
		r = conflists_get(&files, c->dir, c->argv[0], &file, err);
	return r ? r : show_object(c, object_of(&s, &files), fields, err);
}

static const struct example show_examples[] = {
	{ "netctl ipam show web", "who has which address" },
	{ 0 },
};

const struct command ipam_show_command = {
	.name = "ipam show",
	.args = "NETWORK",
	.about = "the addresses of a network, and who has them",
	.text = "A lease is live, stale (its container is gone: netctl gc frees it), imported "
		"(from "
		"the files of the reference's host-local), or foreign (of a plugin that keeps no "
		"record here).",
	.json = "network, ranges (list), gateways (list), used (how many), leases (a "
		"list of objects: address, container (id), label (for people), "
		"interface, driver, state (live, stale, imported, foreign)).",
	.examples = show_examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 1,
	.completes = "@network",
	.run = run_show,
};
