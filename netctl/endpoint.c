/* SPDX-License-Identifier: GPL-2.0-or-later */
/* endpoint ls */
#include "netctl/model.h"
#include "netctl/out.h"
#include "netctl/shares.h"

#include <errno.h>
#include <string.h>

static const char *state_colour(const json_t *row)
{
	const char *s = json_string_value(json_object_get(row, "state"));

	return s && !strcmp(s, "ready") ? COLOUR_GOOD : COLOUR_WARN;
}

static const struct column columns[] = {
	{ "CONTAINER", "label", COLUMN_TRUNC, NULL },
	{ "NETWORK", "network", COLUMN_TRUNC, NULL },
	{ "DRIVER", "driver", COLUMN_WIDE, NULL },
	{ "INTERFACE", "interface", 0, NULL },
	{ "HOST", "hostInterface", 0, NULL },
	{ "ADDRESSES", "addresses", COLUMN_WRAP, NULL },
	{ "MAC", "mac", COLUMN_WIDE, NULL },
	{ "STATE", "state", 0, state_colour },
	{ 0 },
};

/* A word alone is a network, or else a container: where both have it, --container decides. */
static int find(const struct ctl *c, const struct model *m, const struct attachment ***ret,
		size_t *n, struct fl_error *err)
{
	const char *container = option_value(c, "container"), *word = c->argc ? c->argv[0] : NULL;
	struct fl_error other = { 0 };
	int r = model_find(m, container, word, NULL, ret, n, err);

	if (r != -ENOENT || !word || container)
		return r;
	r = model_find(m, word, NULL, NULL, ret, n, &other);
	if (r == -ENOTUNIQ)
		*err = other;
	return r;
}

static int run_ls(struct ctl *c, struct fl_error *err)
{
	FL_AUTOFREE const struct attachment **found = NULL;
	AUTOMODEL struct model m = { 0 };
	json_t *rows;
	size_t n = 0;
	int r = model_read(c, &m, err);

	if (!r)
		r = find(c, &m, &found, &n, err);
	if (r)
		return r;
	rows = json_array();
	for (size_t i = 0; i < n; i++) {
		json_t *row = attachment_json(found[i]);

		json_object_set_new(row, "label", json_string(CONTAINER_LABEL(found[i]->main)));
		json_object_set_new(row, "sharesSandboxOf", json_string(found[i]->main->shares));
		/* It made no interface: its own name of one is the runtime's alone. */
		if (!c->json)
			json_object_set_new(row, "interface",
					    json_string(SHARES_INTERFACE(found[i])));
		json_array_append_new(rows, row);
	}
	return show_list(c, rows, columns, err);
}

static const struct option_spec options[] = {
	{ "container", 0, "CONTAINER", "of this container only, in the network", "@endpoint" },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl endpoint ls", "everything that is attached" },
	{ "netctl endpoint ls web --json", "of network web, or container web; for scripts" },
	{ 0 },
};

const struct command endpoint_ls_command = {
	.name = "endpoint ls",
	.args = "[NETWORK|CONTAINER]",
	.about = "who is attached, with which interface and addresses",
	.json = "a list of objects: " ATTACHMENT_JSON ", " SHARES_JSON ".",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.max = 1,
	.completes = "@network",
	.run = run_ls,
};
