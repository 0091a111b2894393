/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats: what has gone over each endpoint so far. */
#include "netctl/links.h"
#include "netctl/out.h"
#include "netctl/select.h"
#include "netctl/shares.h"
#include "netctl/text.h"

#include <string.h>

static const struct column columns[] = {
	{ "CONTAINER", "label", COLUMN_TRUNC, NULL }, { "NETWORK", "network", COLUMN_TRUNC, NULL },
	{ "INTERFACE", "interface", 0, NULL },	      { "IN", "in", COLUMN_RIGHT, NULL },
	{ "OUT", "out", COLUMN_RIGHT, NULL },	      { "PKTS-IN", "pin", COLUMN_RIGHT, NULL },
	{ "PKTS-OUT", "pout", COLUMN_RIGHT, NULL },   { "DROPPED", "drops", COLUMN_RIGHT, NULL },
	{ "ERRORS", "errors", COLUMN_RIGHT, NULL },   { 0 },
};

/* Short numbers for people, in place of the exact ones. */
static void add_words(json_t *row, const struct traffic *t)
{
	const struct {
		const char *key;
		uint64_t v;
	} words[] = {
		{ "in", t->in.bytes },
		{ "out", t->out.bytes },
		{ "pin", t->in.packets },
		{ "pout", t->out.packets },
		{ "drops", t->in.dropped + t->out.dropped },
		{ "errors", t->in.errors + t->out.errors },
	};

	for (size_t i = 0; i < FL_ARRAY_SIZE(words); i++)
		json_object_set_new(row, words[i].key,
				    json_string(t->from ? SHORT_NUMBER(words[i].v) : "-"));
}

static json_t *row_of(const struct ctl *c, const struct attachment *a, const struct traffic *t)
{
	const struct fl_endpoint *ep = a->main;
	json_t *row = traffic_json(t);

	json_object_set_new(row, "container", json_string(ep->id.container));
	json_object_set_new(row, "label", json_string(CONTAINER_LABEL(ep)));
	json_object_set_new(row, "network", json_string(ep->id.network));
	json_object_set_new(row, "interface", json_string(ep->id.ifname));
	json_object_set_new(row, "hostInterface", json_string(ep->link));
	json_object_set_new(row, "sharesSandboxOf", json_string(ep->shares));
	if (!c->json) {
		json_object_set_new(row, "interface", json_string(SHARES_INTERFACE(a)));
		add_words(row, t);
	}
	return row;
}

static int run(struct ctl *c, struct fl_error *err)
{
	FL_AUTOFREE const struct attachment **found = NULL;
	FL_AUTOFREE struct traffic *traffic = NULL;
	AUTOMODEL struct model m = { 0 };
	json_t *rows;
	size_t n = 0;
	int r = model_read(c, &m, err);

	if (!r)
		r = select_attachments(&m, c->argv, (size_t)c->argc, true, &found, &n, err);
	/* Unasked, every interface is there already. */
	if (!r && c->argc)
		r = shares_resolve(&m, &found, &n, err);
	if (r)
		return r;
	traffic = calloc(n + 1, sizeof(*traffic));
	if (!traffic)
		return fl_error_oom(err);
	r = traffic_read(c, found, n, traffic, err);
	if (r)
		return r;
	rows = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(rows, row_of(c, found[i], &traffic[i]));
	return show_list(c, rows, columns, err);
}

static const struct example examples[] = {
	{ "netctl stats", "traffic of everything that is attached" },
	{ "netctl stats web --json", "of one container or network, with exact numbers" },
	{ 0 },
};

const struct command stats_command = {
	.name = "stats",
	.args = "[CONTAINER|NETWORK...]",
	.about = "bytes and packets of each endpoint so far",
	.text = "In and out are as the container sees it. Where an interface has no end on the "
		"host (macvlan, ipvlan), its counters are read in the sandbox; \"-\" when that "
		"cannot be entered. Of a container that shares another one's sandbox, that "
		"one's are shown.",
	.json = "a list of objects: container (id), label, network, interface, "
		"hostInterface, " SHARES_JSON ", " TRAFFIC_JSON ".",
	.examples = examples,
	.flags = COMMAND_READS,
	.max = -1,
	.completes = "@endpoint",
	.run = run,
};
