/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network rm and prune: the configuration, and the bridge that nobody uses any more. */
#include "netctl/attach.h"
#include "netctl/cluster_network.h"
#include "netctl/conflist.h"
#include "netctl/netfile.h"
#include "netctl/out.h"
#include "netctl/runtime.h"

#include <errno.h>
#include <string.h>

extern const struct command network_prune_command;

static size_t count(const struct model *m, const char *network)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_attachments; i++)
		n += !strcmp(m->attachments[i].main->id.network, network);
	return n;
}

static const struct fl_endpoint *first_of(const struct model *m, const char *network)
{
	for (size_t i = 0; i < m->n_attachments; i++)
		if (!strcmp(m->attachments[i].main->id.network, network))
			return m->attachments[i].main;
	return NULL;
}

static int detach_network(struct ctl *c, const struct model *m, const char *network,
			  struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; i < m->n_attachments && !r; i++)
		if (!strcmp(m->attachments[i].main->id.network, network))
			r = runtime_detach(c, &m->attachments[i], option_given(c, "force"), err);
	return r;
}

/* ---- the bridge ---- */

struct use {
	uint32_t index;
	const struct conflist *file; /* its network's */
	bool ports, foreign_address;
};

static int look_at_port(void *arg, const struct fl_link *link)
{
	struct use *u = arg;

	u->ports |= link->master == u->index;
	return u->ports;
}

static int is_within(void *arg, const struct fl_prefix *subnet)
{
	return fl_prefix_contains(subnet, arg);
}

/* The kernel gives it fe80::, and we give it the gateways. */
static int look_at_address(void *arg, const struct fl_ifaddr *a)
{
	struct use *u = arg;
	struct fl_addr addr = a->prefix.addr;

	u->foreign_address |=
		!fl_addr_is_linklocal(&addr) && !conflist_subnets_each(u->file, is_within, &addr);
	return u->foreign_address;
}

static bool named_by_another(const struct conflists *files, const struct conflist *file,
			     const char *bridge)
{
	for (size_t i = 0; i < files->n; i++) {
		const char *other = files->v[i].json && &files->v[i] != file
					    ? json_string_value(fl_json_get(
						      conflist_main(&files->v[i]), "bridge"))
					    : NULL;

		if (other && !strcmp(other, bridge))
			return true;
	}
	return false;
}

/* Only one that netctl's own configuration made, and that nothing else has found a use for. */
static int remove_bridge(struct ctl *c, const struct conflists *files, const struct conflist *file,
			 struct fl_error *err)
{
	const char *bridge = json_string_value(fl_json_get(conflist_main(file), "bridge"));
	struct use u = { .file = file };
	char own[IFNAMSIZ];
	struct fl_link link;
	int r = ctl_host(c, err);

	netfile_bridge(file->name, own);
	/* One of another name was there before, or may have been. */
	if (r || !bridge || strcmp(bridge, own) != 0 ||
	    strcmp(conflist_type(file), "bridge") != 0 || named_by_another(files, file, bridge))
		return r;
	r = fl_link_find(c->host, bridge, &link, err);
	if (r <= 0 || strcmp(link.kind, "bridge") != 0)
		return r < 0 ? r : 0;
	u.index = link.index;
	r = fl_links_each(c->host, look_at_port, &u, err);
	if (r >= 0)
		r = fl_ifaddrs_each(c->host, link.index, look_at_address, &u, err);
	if (r < 0)
		return r;
	if (u.ports || u.foreign_address) {
		remark(c, "bridge %s stays: it has %s", bridge,
		       u.ports ? "other interfaces in it" : "an address of somebody else");
		return 0;
	}
	return fl_link_del_index(c->host, link.index, err);
}

/* ---- rm ---- */

static int check_unused(struct ctl *c, const struct model *m, const char *network,
			struct fl_error *err)
{
	size_t n = count(m, network);

	if (!n || option_given(c, "force"))
		return 0;
	return fl_error_set(err, EBUSY, FL_ECODE_CONFLICT,
			    "network %s has %zu endpoint%s (%s%s); detach them, or --force does",
			    network, n, n == 1 ? "" : "s", CONTAINER_LABEL(first_of(m, network)),
			    n > 1 ? ", ..." : "");
}

/* What nobody is attached to here may be in use on other nodes, or soon: prune asks no one. */
static bool stays_in_cluster(const struct ctl *c)
{
	return c->command == &network_prune_command || option_given(c, "local");
}

/* Under the file's lock nobody attaches by netctl; what did so before is seen. */
static int remove_locked(struct ctl *c, const struct conflists *files, const struct conflist *file,
			 struct fl_error *err)
{
	AUTOMODEL struct model m = { 0 };
	char path[4400];
	int r;

	fl_store_close(fl_take_ptr(c->store));
	r = model_read(c, &m, err);
	if (!r)
		r = check_unused(c, &m, file->name, err);
	if (!r)
		r = detach_network(c, &m, file->name, err);
	if (!r && is_cluster_file(file) && !stays_in_cluster(c))
		r = cluster_remove(c, file->name, err);
	if (r)
		return r;
	conflist_path(c->dir, file, path, sizeof(path));
	if (unlink(path) && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot remove %s", path);
	return file->ours ? remove_bridge(c, files, file, err) : 0;
}

static int remove_file(struct ctl *c, const struct conflists *files, const struct conflist *file,
		       json_t *list, struct fl_error *err)
{
	FL_AUTOCLOSE int lock = -1;
	int r;

	if (!file->ours && !option_given(c, "force"))
		return fl_error_set(err, EPERM, FL_ECODE_CONFLICT,
				    "network %s: %s/%s is not netctl's; --force removes it all the "
				    "same",
				    file->name, c->dir, file->file);
	r = conflist_lock(c->dir, file, true, &lock, err);
	if (!r)
		r = remove_locked(c, files, file, err);
	if (r)
		return r;
	say(c, "%s", file->name);
	return json_array_append_new(list, json_string(file->name)) ? fl_error_oom(err) : 0;
}

/* The first failure is what the verb ends with; the others are told. */
static void note_failure(const struct ctl *c, const struct fl_error *e, struct fl_error *err)
{
	if (!err->err)
		*err = *e;
	else
		remark(c, "%s", e->text);
}

/* Does the cluster have it, which this node has no file of? */
static bool is_clusters(struct ctl *c, const char *network)
{
	AUTOCLUSTER struct cluster k = { 0 };

	return !cluster_read_if(c, &k, NULL) && cluster_network(&k, network);
}

static int remove_elsewhere(struct ctl *c, const char *network, json_t *list, struct fl_error *err)
{
	int r;

	*err = (struct fl_error){ 0 };
	r = cluster_remove(c, network, err);
	if (r)
		return r;
	say(c, "%s", network);
	return json_array_append_new(list, json_string(network)) ? fl_error_oom(err) : 0;
}

static int run_rm(struct ctl *c, struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	FL_AUTOJSON json_t *list = json_array();
	const struct conflist *file;
	int r = conflists_read(c->dir, &files, err);

	if (r)
		return r;
	for (int i = 0; i < c->argc; i++) {
		struct fl_error e = { 0 };

		r = conflists_get(&files, c->dir, c->argv[i], &file, &e);
		if (r == -ENOENT && !option_given(c, "local") && is_clusters(c, c->argv[i]))
			r = remove_elsewhere(c, c->argv[i], list, &e);
		else if (!r)
			r = remove_file(c, &files, file, list, &e);
		if (r)
			note_failure(c, &e, err);
	}
	return err->err || !c->json ? err->err : show_json(fl_take_ptr(list), err);
}

static bool is_prunable(const struct model *m, const struct conflists *files,
			const struct conflist *f)
{
	/* One that another file hides from runtimes is not the network that the endpoints tell of.
	 */
	return f->json && f->ours && conflists_find(files, f->name) == f && !count(m, f->name);
}

static int run_prune(struct ctl *c, struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	FL_AUTOJSON json_t *list = json_array();
	AUTOMODEL struct model m = { 0 };
	int r = conflists_read(c->dir, &files, err);

	if (!r)
		r = model_read(c, &m, err);
	for (size_t i = 0; !r && i < files.n; i++) {
		struct fl_error e = { 0 };

		if (!is_prunable(&m, &files, &files.v[i]))
			continue;
		if (option_given(c, "dry-run")) {
			say(c, "%s", files.v[i].name);
			json_array_append_new(list, json_string(files.v[i].name));
		} else if (remove_file(c, &files, &files.v[i], list, &e)) {
			note_failure(c, &e, err);
		}
	}
	if (r || err->err)
		return r ? r : err->err;
	return c->json ? show_json(fl_take_ptr(list), err) : 0;
}

static const struct option_spec rm_options[] = {
	{ "force", 'f', NULL, "also with endpoints, which are detached; also what others made",
	  NULL },
	{ "local", 0, NULL, "of an overlay this node's file alone: the cluster keeps the network",
	  NULL },
	{ 0 },
};

static const struct option_spec prune_options[] = {
	{ "dry-run", 'n', NULL, "only say which", NULL },
	{ 0 },
};

static const struct example rm_examples[] = {
	{ "netctl network rm web", "its configuration and its bridge" },
	{ "netctl network rm -f web", "and whoever is attached" },
	{ 0 },
};

static const struct example prune_examples[] = {
	{ "netctl network prune --dry-run", "which networks have no endpoint" },
	{ 0 },
};

const struct command network_rm_command = {
	.name = "network rm",
	.args = "NETWORK...",
	.about = "remove networks: the configuration, and the bridge that it made",
	.text = "An overlay is removed from the whole cluster, unless another node has an endpoint "
		"there, which is named.",
	.json = "a list of the names of what was removed.",
	.options = rm_options,
	.examples = rm_examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = -1,
	.completes = "@network",
	.run = run_rm,
};

const struct command network_prune_command = {
	.name = "network prune",
	.args = "",
	.about = "remove the networks of netctl that nobody is attached to",
	.text = "Of an overlay only this node's file: the cluster keeps the network.",
	.json = "a list of the names of what was removed, or would be.",
	.options = prune_options,
	.examples = prune_examples,
	.flags = COMMAND_READS,
	.run = run_prune,
};
