/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ipam free, ipam import */
#include "netctl/ipam.h"
#include "netctl/leftovers.h"
#include "netctl/out.h"
#include "netctl/text.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

/* ---- free ---- */

struct lease_search {
	struct fl_txn *t;
	const char *network;
	const struct fl_addr *addr;
	struct fl_pool pool;
	struct fl_endpoint_id owner;
	size_t pools;
	struct fl_error *err;
};

/* 1: this pool has it. */
static int look_in(void *arg, const char *name, const struct fl_pool *pool)
{
	struct lease_search *s = arg;
	char network[FL_NAME_MAX + 1];
	int r;

	pool_network(name, network, sizeof(network));
	if (strcmp(network, s->network) != 0)
		return 0;
	s->pools++;
	r = fl_lease_owner(s->t, pool, s->addr, &s->owner, s->err);
	if (r)
		return r == -ENOENT ? 0 : r;
	s->pool = *pool;
	return 1;
}

static int refuse(const struct model *m, const struct lease_search *s, const char *state,
		  struct fl_error *err)
{
	const struct fl_endpoint *ep = model_endpoint(m, &s->owner);
	struct fl_endpoint nobody = { .id = s->owner };

	fl_error_set(err, EBUSY, FL_ECODE_CONFLICT,
		     "%s is in use by container %s, interface %s%s: `netctl detach` it, or free "
		     "the address all the same by --force",
		     fl_addr_str(s->addr, FL_ADDR_BUF), CONTAINER_LABEL(ep ? ep : &nobody),
		     s->owner.ifname, !strcmp(state, "live") ? "" : ", for all that is known here");
	clean_text(err->text);
	return -EBUSY;
}

static int find_lease(struct ctl *c, struct lease_search *s, struct fl_error *err)
{
	int r = s->t ? fl_pools_each(s->t, look_in, s, err) : 0;

	(void)c;
	if (r)
		return r < 0 ? r : 0;
	if (!s->pools)
		return not_found(err, "network %s has no pool of addresses", s->network);
	return not_found(err, "%s is free already on network %s", fl_addr_str(s->addr, FL_ADDR_BUF),
			 s->network);
}

static int run_free(struct ctl *c, struct fl_error *err)
{
	AUTOMODEL struct model m = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct lease_search s = { .network = c->argv[0], .err = err };
	struct fl_addr addr;
	const char *state;
	int r;

	if (fl_addr_parse(c->argv[1], &addr))
		return usage_error(err, "%s: expected an IP address", c->argv[1]);
	s.addr = &addr;
	r = model_read(c, &m, err);
	if (!r)
		r = ctl_host(c, err);
	/* Nothing is created for the sake of an answer. */
	if (!r && c->store)
		r = ctl_store(c, true, err);
	if (!r && c->store)
		r = fl_txn_begin(c->store, true, &t, err);
	s.t = t;
	if (!r)
		r = find_lease(c, &s, err);
	if (r)
		return r;
	state = lease_state(c, &m, &s.owner);
	if (strcmp(state, "stale") != 0 && !option_given(c, "force"))
		return refuse(&m, &s, state, err);
	r = fl_lease_free(t, &s.pool, &addr, err);
	if (!r)
		r = fl_txn_commit(&t, err);
	if (!r)
		say(c, "%s is free; container %s had it", fl_addr_str(&addr, FL_ADDR_BUF),
		    clean_text(s.owner.container));
	return r;
}

static const struct option_spec free_options[] = {
	{ "force", 'f', NULL, "also while a container has it: two may then have the same", NULL },
	{ 0 },
};

static const struct example free_examples[] = {
	{ "netctl ipam free web 10.89.0.7", "a lease whose container is gone" },
	{ 0 },
};

const struct command ipam_free_command = {
	.name = "ipam free",
	.args = "NETWORK ADDRESS",
	.about = "free an address that a container left behind",
	.options = free_options,
	.examples = free_examples,
	.min = 2,
	.max = 2,
	.completes = "@network",
	.run = run_free,
};

/* ---- import ---- */

struct conflicts {
	json_t *list;
};

static void take_conflict(void *arg, const struct fl_addr *addr, const char *container,
			  const struct fl_endpoint_id *owner)
{
	struct conflicts *x = arg;

	json_array_append_new(x->list,
			      json_pack("{ss ss ss}", "address", fl_addr_str(addr, FL_ADDR_BUF),
					"container", container, "owner", owner->container));
}

/* The last part of the path. */
static int network_of(struct ctl *c, char *buf, size_t size, struct fl_error *err)
{
	const char *given = option_value(c, "network"), *dir = c->argv[0], *end = dir + strlen(dir),
		   *start;

	while (end > dir + 1 && end[-1] == '/')
		end--;
	for (start = end; start > dir && start[-1] != '/';)
		start--;
	snprintf(buf, size, "%.*s", given ? (int)strlen(given) : (int)(end - start),
		 given ? given : start);
	if (!fl_name_valid(buf, FL_NAME_MAX))
		return usage_error(err, "%s: cannot be a network's name; give it by --network",
				   buf);
	return 0;
}

static const struct column conflict_columns[] = {
	{ "ADDRESS", "address", 0, NULL },
	{ "IMPORTED FOR", "container", 0, NULL },
	{ "HELD BY", "owner", 0, NULL },
	{ 0 },
};

static const struct field import_fields[] = {
	{ "network:", "network", NULL },
	{ "imported:", "imported", NULL },
	{ "there already:", "present", NULL },
	{ "conflicts:", "n", NULL },
	{ "left to their holders", "conflicts", conflict_columns },
	{ 0 },
};

static int import(struct ctl *c, const char *network, struct conflicts *x,
		  struct fl_ipam_imported *ret, struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	char pool[512];
	int r = conflists_read(c->dir, &files, err);

	if (r)
		return r;
	pool_of(&files, network, pool, sizeof(pool));
	r = ctl_store(c, true, err);
	if (!r)
		r = fl_txn_begin(c->store, true, &t, err);
	if (!r)
		r = fl_ipam_import(t, pool, c->argv[0], take_conflict, x, ret, err);
	return r ? r : fl_txn_commit(&t, err);
}

static int run_import(struct ctl *c, struct fl_error *err)
{
	FL_AUTOJSON json_t *list = json_array();
	struct conflicts x = { list };
	struct fl_ipam_imported n = { 0 };
	char network[FL_NAME_MAX + 1];
	json_t *object;
	int r = network_of(c, network, sizeof(network), err);

	if (!r)
		r = import(c, network, &x, &n, err);
	if (r)
		return r;
	object = json_pack("{ss si si sO}", "network", network, "imported", (int)n.added, "present",
			   (int)n.present, "conflicts", list);
	if (n.conflicts)
		c->status = EXIT_NO;
	if (!c->json && object)
		json_object_set_new(object, "n", json_integer(n.conflicts));
	return show_object(c, object, import_fields, err);
}

static const struct option_spec import_options[] = {
	{ "network", 0, "NETWORK", "the network (the folder's name)", "@network" },
	{ 0 },
};

static const struct example import_examples[] = {
	{ "netctl ipam import /var/lib/cni/networks/web", "leases of the reference's host-local" },
	{ 0 },
};

const struct command ipam_import_command = {
	.name = "ipam import",
	.args = "DIR",
	.about = "take over leases from files of the reference's host-local",
	.text = "Plugins read /var/lib/cni/networks/NETWORK by themselves when they first need the "
		"network. This is for other folders, and for files that came later. What is held "
		"stays with its holder; the exit status is then 4.",
	.json = "network, imported and present (how many), conflicts (a list of "
		"objects: address, container, owner).",
	.options = import_options,
	.examples = import_examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 1,
	.completes = "@dir",
	.run = run_import,
};
