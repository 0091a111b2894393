/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gc: what is left of containers that are provably gone. */
#include "netctl/leftovers.h"
#include "netctl/out.h"
#include "netctl/text.h"

#include <string.h>

static const struct column columns[] = {
	{ "WHAT", "kind", 0, NULL },
	{ "CONTAINER", "label", 0, NULL },
	{ "NETWORK", "network", 0, NULL },
	{ "INTERFACE", "interface", 0, NULL },
	{ "ADDRESS", "address", 0, NULL },
	{ "WHY", "why", COLUMN_TRUNC, NULL },
	{ 0 },
};

static json_t *row_of(const struct leftover *l, bool removed)
{
	char label[FL_HOSTNAME_MAX + 1];

	if (l->a)
		container_label(l->a->main, label, sizeof(label));
	else
		snprintf(label, sizeof(label), "%s", l->id.container);
	return json_pack("{ss ss ss ss ss ss ss sb}", "kind", leftover_kind_str(l->kind), "label",
			 label, "container", l->id.container, "network", l->id.network, "interface",
			 l->id.ifname, "address",
			 l->kind == LEFT_LEASE ? fl_addr_str(&l->addr, FL_ADDR_BUF) : "", "why",
			 leftover_why(l), "removed", (int)removed);
}

/* Goes on at a failure; the first one is reported. */
static int sweep(struct ctl *c, const struct leftovers *l, bool dry, json_t *rows,
		 struct fl_error *err)
{
	int first = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct fl_error e = { 0 };
		int r;

		/* The container lives, and somebody has to attach it again: doctor says so. */
		if (l->v[i].kind == LEFT_UNPLUGGED)
			continue;
		r = dry ? 1 : leftover_remove(c, &l->v[i], &e);
		if (r > 0)
			json_array_append_new(rows, row_of(&l->v[i], !dry));
		if (r >= 0)
			continue;
		if (first)
			remark(c, "%s: %s", LEFTOVER_STR(&l->v[i]), clean_text(e.text));
		else
			*err = e;
		first = first ? first : r;
	}
	return first;
}

static int run_gc(struct ctl *c, struct fl_error *err)
{
	AUTOLEFTOVERS struct leftovers l = { 0 };
	AUTOMODEL struct model m = { 0 };
	bool dry = option_given(c, "dry-run");
	json_t *rows;
	int r = model_read(c, &m, err), shown;
	size_t n;

	if (!r)
		r = leftovers_find(c, &m, option_value(c, "network"), &l, err);
	if (r)
		return r;
	rows = json_array();
	r = sweep(c, &l, dry, rows, err);
	n = json_array_size(rows);
	if (!n && !c->json) {
		json_decref(rows);
		if (!r)
			say(c, "nothing is left of containers that are gone");
		return r;
	}
	shown = show_list(c, rows, columns, r ? NULL : err);
	if (!r)
		say(c, dry ? "%zu would be removed" : "%zu removed", n);
	return r ? r : shown;
}

static const struct option_spec options[] = {
	{ "network", 0, "NETWORK", "of this network only", "@network" },
	{ "dry-run", 'n', NULL, "show what would be removed, and remove nothing", NULL },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl gc --dry-run", "what is left of containers that are gone" },
	{ "netctl gc", "remove it" },
	{ 0 },
};

const struct command gc_command = {
	.name = "gc",
	.args = "",
	.about = "remove what is left of containers that are gone",
	.text = "Endpoints whose sandbox is gone, those whose ADD or DEL ended in the midst of it, "
		"leases whose owner is not attached, and files that no record explains. What lives "
		"is "
		"never touched.",
	.json = "a list of objects: kind (endpoint, lease, attachment, files), label "
		"(for people), container (id), network, interface, address, why, "
		"removed.",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.run = run_gc,
};
