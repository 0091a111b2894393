/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network ls: configurations, and networks that have endpoints without one. */
#include "netctl/cluster_network.h"
#include "netctl/conflist.h"
#include "netctl/network_common.h"
#include "netctl/out.h"

#include <string.h>

static const char *file_colour(const json_t *row)
{
	return json_object_get(row, "error") ? COLOUR_BAD : NULL;
}

static const struct column columns[] = {
	{ "NETWORK", "name", COLUMN_TRUNC, NULL },
	{ "DRIVER", "driver", 0, NULL },
	{ "SUBNETS", "subnets", COLUMN_WRAP, NULL },
	{ "LINK", "where", 0, NULL },
	{ "ENDPOINTS", "endpoints", COLUMN_RIGHT, NULL },
	{ "FILE", "file", COLUMN_WIDE, file_colour },
	{ 0 },
};

static json_t *row_of(const struct model *m, const char *name, const struct conflist *file)
{
	const struct fl_network *net = network_record(m, name);
	json_t *row = json_object(), *subnets;
	const char *link =
		file ? json_string_value(fl_json_get(conflist_main(file), "bridge")) : NULL;

	if (!link && file)
		link = json_string_value(fl_json_get(conflist_main(file), "master"));
	if (net && *net->link)
		link = net->link;
	subnets = net ? network_subnets(net) : json_array();
	if (file && !json_array_size(subnets))
		conflist_subnets_each(file, add_subnet, subnets);
	json_object_set_new(row, "name", json_string(name));
	json_object_set_new(row, "driver",
			    json_string(file  ? conflist_type(file)
					: net ? net->driver
					      : ""));
	json_object_set_new(row, "subnets", subnets);
	json_object_set_new(row, "link", json_string(link ? link : ""));
	json_object_set_new(row, "where", json_string(link ? link : ""));
	json_object_set_new(row, "endpoints", json_integer((json_int_t)network_endpoints(m, name)));
	json_object_set_new(row, "file", json_text(file ? file->file : ""));
	json_object_set_new(row, "managed", json_boolean(file && file->ours));
	return row;
}

static json_t *broken_row(const struct conflist *file)
{
	return json_pack("{ss ss s[] ss ss si so sb so}", "name", "", "driver", "", "subnets",
			 "link", "", "where", "", "endpoints", 0, "file", json_text(file->file),
			 "managed", (int)file->ours, "error", json_text(file->why));
}

/* Networks that other nodes made, and that nothing here tells of. */
static void add_clusters(json_t *rows, const struct cluster *k, const struct model *m,
			 const struct conflists *files)
{
	const json_t *net;
	size_t i;

	json_array_foreach(k->networks, i, net)
	{
		const char *name = text_of(net, "name");
		json_t *row;

		if (conflists_find(files, name) || network_record(m, name))
			continue;
		row = json_pack("{ss ss ss ss sI ss sb}", "name", name, "driver", "overlay", "link",
				"", "where", "(other nodes)", "endpoints", (json_int_t)0, "file",
				"", "managed", 0);
		cluster_add_subnets(row, net);
		json_object_set_new(row, "cluster", json_true());
		json_array_append_new(rows, row);
	}
}

static json_t *rows_of(struct ctl *c, const struct model *m, const struct conflists *files,
		       const struct cluster *k)
{
	json_t *rows = json_array();
	const char *last = "";

	for (size_t i = 0; i < files->n; i++) {
		const struct conflist *f = &files->v[i];
		json_t *row = f->json ? row_of(m, f->name, f) : broken_row(f);

		if (!f->json)
			remark(c, "%s/%s: %s", c->dir, f->file, f->why);
		else if (is_cluster_file(f))
			cluster_add_subnets(row, cluster_network(k, f->name));
		json_array_append_new(rows, row);
	}
	for (size_t i = 0; i < m->n_attachments; i++) {
		const char *name = m->attachments[i].main->id.network;

		if (strcmp(name, last) != 0 && !conflists_find(files, name))
			json_array_append_new(rows, row_of(m, name, NULL));
		last = name;
	}
	return rows;
}

static int run_ls(struct ctl *c, struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	AUTOMODEL struct model m = { 0 };
	AUTOCLUSTER struct cluster k = { 0 };
	json_t *rows;
	int r = conflists_read(c->dir, &files, err);

	if (!r)
		r = model_read(c, &m, err);
	if (!r)
		r = cluster_read_if(c, &k, err);
	if (r)
		return r;
	rows = rows_of(c, &m, &files, &k);
	add_clusters(rows, &k, &m, &files);
	return show_list(c, rows, columns, err);
}

static const struct example examples[] = {
	{ "netctl network ls", "all networks" },
	{ "netctl network ls -q", "their names" },
	{ 0 },
};

const struct command network_ls_command = {
	.name = "network ls",
	.args = "",
	.about = "networks, their subnets and how many are attached",
	.text = "An overlay that other nodes of the cluster made, and this one does not use yet, "
		"has \"(other nodes)\" for its link; attaching to it writes its file.",
	.json = "a list of objects: name, driver, subnets (list), link, endpoints (how many), "
		"file, "
		"managed (netctl made it), where (the link, or that other nodes have it); cluster, "
		"of an overlay that has no file here; error, where the file cannot be read.",
	.examples = examples,
	.flags = COMMAND_READS,
	.run = run_ls,
};
