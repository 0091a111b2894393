/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network rm and prune: the configuration, and the bridge that nobody uses any more. */
#include "netctl/attach.h"
#include "netctl/conflist.h"
#include "netctl/out.h"
#include "netctl/runtime.h"

#include <errno.h>
#include <string.h>

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
			r = runtime_detach(c, &m->attachments[i], err);
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
	struct fl_link link;
	int r = ctl_host(c, err);

	if (r || !bridge || strcmp(conflist_type(file), "bridge") != 0 ||
	    named_by_another(files, file, bridge))
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

static int remove_network(struct ctl *c, const struct model *m, const struct conflists *files,
			  const char *network, struct fl_error *err)
{
	const struct conflist *file;
	size_t n = count(m, network);
	char path[4400];
	int r = conflists_get(files, c->dir, network, &file, err);

	if (r)
		return r;
	if (!file->ours && !option_given(c, "force"))
		return fl_error_set(err, EPERM, FL_ECODE_CONFLICT,
				    "network %s: %s/%s is not netctl's; --force removes it all the "
				    "same",
				    network, c->dir, file->file);
	if (n && !option_given(c, "force"))
		return fl_error_set(err, EBUSY, FL_ECODE_CONFLICT,
				    "network %s has %zu endpoint%s (%s%s); detach them, or --force "
				    "does",
				    network, n, n == 1 ? "" : "s",
				    CONTAINER_LABEL(first_of(m, network)), n > 1 ? ", ..." : "");
	r = detach_network(c, m, network, err);
	if (r)
		return r;
	conflist_path(c->dir, file, path, sizeof(path));
	if (unlink(path) && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot remove %s", path);
	say(c, "%s", network);
	return file->ours ? remove_bridge(c, files, file, err) : 0;
}

static int run_rm(struct ctl *c, struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	AUTOMODEL struct model m = { 0 };
	int r = conflists_read(c->dir, &files, err), first = 0;

	if (!r)
		r = model_read(c, &m, err);
	if (r)
		return r;
	for (int i = 0; i < c->argc; i++) {
		struct fl_error e = { 0 };

		r = remove_network(c, &m, &files, c->argv[i], &e);
		if (r && !first) {
			first = r;
			*err = e;
		} else if (r) {
			remark(c, "%s", e.text);
		}
	}
	return first;
}

static int run_prune(struct ctl *c, struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	AUTOMODEL struct model m = { 0 };
	int r = conflists_read(c->dir, &files, err);

	if (!r)
		r = model_read(c, &m, err);
	for (size_t i = 0; !r && i < files.n; i++) {
		const struct conflist *f = &files.v[i];

		if (!f->json || !f->ours || count(&m, f->name))
			continue;
		if (option_given(c, "dry-run"))
			say(c, "%s", f->name);
		else
			r = remove_network(c, &m, &files, f->name, err);
	}
	return r;
}

static const struct option_spec rm_options[] = {
	{ "force", 'f', NULL, "also with endpoints, which are detached; also what others made",
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
	.options = rm_options,
	.examples = rm_examples,
	.min = 1,
	.max = -1,
	.completes = "@network",
	.run = run_rm,
};

const struct command network_prune_command = {
	.name = "network prune",
	.args = "",
	.about = "remove the networks of netctl that nobody is attached to",
	.options = prune_options,
	.examples = prune_examples,
	.run = run_prune,
};
