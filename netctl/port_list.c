/* SPDX-License-Identifier: GPL-2.0-or-later */
/* port ls, port show, and its short form `port CONTAINER`. */
#include "netctl/nearest.h"
#include "netctl/out.h"
#include "netctl/port.h"
#include "netctl/shares.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* As many ports as `port show` gives a line each; longer ranges have one line. */
enum { EXPANDED_MAX = 1024 };

struct mappings {
	struct mapping *v;
	size_t n, cap;
	const struct attachment *at; /* of those that are being added */
};

static void mappings_clear(struct mappings *l)
{
	free(l->v);
}

static int take(void *arg, const struct mapping *m)
{
	struct mappings *l = arg;

	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct mapping *grown = realloc(l->v, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->v = grown;
		l->cap = cap;
	}
	l->v[l->n] = *m;
	l->v[l->n++].at = l->at;
	return 0;
}

static int collect(const struct model *m, const struct attachment *const *found, size_t n,
		   int (*fn)(void *arg, const struct mapping *m), void *arg,
		   const struct attachment **now, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		*now = found[i];
		for (size_t k = 0; k < found[i]->n && !r; k++)
			r = mappings_each(&found[i]->first[k],
					  model_network(m, &found[i]->first[k]), fn, arg);
	}
	return r ? fl_error_oom(err) : 0;
}

static int compare_hosts(const void *x, const void *y)
{
	const struct mapping *a = x, *b = y;
	int r = a->port.host_port - b->port.host_port;

	if (!r)
		r = a->port.proto - b->port.proto;
	return r ? r : fl_addr_cmp(&a->host, &b->host);
}

/* The order of docker's lines. */
static int compare_inside(const void *x, const void *y)
{
	const struct mapping *a = x, *b = y;
	int r = a->port.container_port - b->port.container_port;

	if (!r)
		r = strcmp(fl_proto_str(a->port.proto), fl_proto_str(b->port.proto));
	if (!r)
		r = fl_addr_cmp(&a->host, &b->host);
	return r ? r : a->port.host_port - b->port.host_port;
}

static void sort(struct mappings *l, int (*compare)(const void *, const void *))
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), compare);
}

/* ---- ls ---- */

static const struct column columns[] = {
	{ "PROTOCOL", "protocol", 0, NULL }, { "HOST", "shown", 0, NULL },
	{ "CONTAINER", "label", 0, NULL },   { "NETWORK", "network", 0, NULL },
	{ "INSIDE", "inside", 0, NULL },     { 0 },
};

static json_t *row_of(const struct mapping *m)
{
	json_t *row = mapping_json(m);
	const char *name = json_string_value(json_object_get(row, "name"));
	const char *host = json_string_value(json_object_get(row, "host"));

	json_object_set_new(row, "label",
			    json_string(name && *name ? name : CONTAINER_LABEL(m->ep)));
	/* Nothing of the host's leads there. */
	json_object_set_new(row, "shown", json_string(m->translated ? host : "-"));
	return row;
}

static int run_ls(struct ctl *c, struct fl_error *err)
{
	FL_CLEANUP(mappings_clear) struct mappings all = { 0 };
	FL_AUTOFREE const struct attachment **found = NULL;
	AUTOMODEL struct model m = { 0 };
	json_t *rows;
	size_t n = 0;
	int r = model_read(c, &m, err);

	if (!r)
		r = model_find(&m, NULL, c->argc ? c->argv[0] : NULL, NULL, &found, &n, err);
	if (!r)
		r = collect(&m, found, n, take, &all, &all.at, err);
	if (r)
		return r;
	sort(&all, compare_hosts);
	rows = json_array();
	for (size_t i = 0; i < all.n; i++)
		json_array_append_new(rows, row_of(&all.v[i]));
	return show_list(c, rows, columns, err);
}

static const struct example ls_examples[] = {
	{ "netctl port ls", "all published ports of this host" },
	{ "netctl port ls web --json", "those of one network, for scripts" },
	{ 0 },
};

const struct command port_ls_command = {
	.name = "port ls",
	.args = "[NETWORK]",
	.about = "published ports and where they lead",
	.text = "A range of ports is one line. HOST is - where the network publishes nothing at "
		"the host's addresses: gateway mode routed opens the port at the container's own "
		"address, and an internal network opens none.",
	.json = "a list of objects: " MAPPING_JSON ", label and shown (what the table has).",
	.examples = ls_examples,
	.flags = COMMAND_READS,
	.max = 1,
	.completes = "@network",
	.run = run_ls,
};

/* ---- show ---- */

/* Those that are shown: each port of a range for itself, unless there are too many. */
struct showing {
	struct mappings all;
	struct port_want want; /* inside; port 0: all */
};

static void showing_clear(struct showing *s)
{
	mappings_clear(&s->all);
}

static int take_shown(void *arg, const struct mapping *m)
{
	struct showing *s = arg;
	uint32_t first = 0, count = m->port.count;
	int r = 0;

	if (!m->translated)
		return 0;
	if (s->want.port) {
		if (m->port.proto != s->want.proto || s->want.port < m->port.container_port ||
		    s->want.port - m->port.container_port >= (int)count)
			return 0;
		first = s->want.port - m->port.container_port;
		count = 1;
	} else if (count > EXPANDED_MAX) {
		return take(&s->all, m);
	}
	for (uint32_t i = 0; i < count && !r; i++) {
		struct mapping one = mapping_nth(m, first + i);

		r = take(&s->all, &one);
	}
	return r;
}

static int print_shown(struct ctl *c, const struct showing *s, struct fl_error *err)
{
	json_t *rows = c->json ? json_array() : NULL;

	for (size_t i = 0; i < s->all.n; i++) {
		const struct mapping *m = &s->all.v[i];

		if (c->json)
			json_array_append_new(rows, mapping_json(m));
		else if (s->want.port)
			printf("%s\n", MAPPING_HOST(m));
		else
			printf("%s -> %s\n", PORT_CONTAINER(&m->port), MAPPING_HOST(m));
	}
	return c->json ? show_json(rows, err) : 0;
}

static int run_show(struct ctl *c, struct fl_error *err)
{
	FL_CLEANUP(showing_clear) struct showing s = { 0 };
	FL_AUTOFREE const struct attachment **found = NULL;
	AUTOMODEL struct model m = { 0 };
	size_t n = 0;
	int r = c->argc > 1 ? port_parse(c->argv[1], &s.want, err) : 0;

	if (!s.want.proto)
		s.want.proto = IPPROTO_TCP;
	if (!r)
		r = model_read(c, &m, err);
	if (!r)
		r = model_find(&m, c->argv[0], NULL, NULL, &found, &n, err);
	if (!r)
		r = shares_resolve(&m, &found, &n, err);
	if (!r)
		r = collect(&m, found, n, take_shown, &s, &s.all.at, err);
	if (r)
		return r;
	if (s.want.port && !s.all.n)
		return not_found(err, "no public port '%u/%s' published for %s", s.want.port,
				 fl_proto_str(s.want.proto), c->argv[0]);
	sort(&s.all, compare_inside);
	return print_shown(c, &s, err);
}

/* A mistyped verb arrives here as the name of a container. */
static int run_short(struct ctl *c, struct fl_error *err)
{
	struct nearest near = { .word = c->argv[0] };
	int r = run_show(c, err);

	if (r != -ENOENT || c->argc != 1)
		return r;
	for (size_t i = 0; commands[i]; i++)
		if (!strncmp(commands[i]->name, "port ", 5))
			nearest_try(&near, commands[i]->name + 5);
	return near.best ? not_found(err, "no container %s; did you mean the verb %s?", c->argv[0],
				     near.best)
			 : r;
}

static const struct example show_examples[] = {
	{ "netctl port show web", "all its ports, as docker port shows them" },
	{ "netctl port web 80/tcp", "where one of them is published; show can be left out" },
	{ 0 },
};

#define SHOW_JSON "a list of objects: " MAPPING_JSON "."

#define SHOW_TEXT                                                                                 \
	"The output is docker port's: a line \"80/tcp -> 0.0.0.0:8080\" for each port, and with " \
	"a "                                                                                      \
	"port given the host's side alone. A range is a line for each of its ports; one of more " \
	"than 1024 ports is one line, \"8000-9999/tcp -> 0.0.0.0:8000-9999\". Without a "         \
	"protocol, "                                                                              \
	"tcp is meant. A container that shares another one's sandbox has that one's ports."

const struct command port_show_command = {
	.name = "port show",
	.args = "CONTAINER [PORT[/PROTO]]",
	.about = "where a container's ports are published",
	.text = SHOW_TEXT "\n\n`netctl port CONTAINER` is short for it.",
	.json = SHOW_JSON,
	.examples = show_examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 2,
	.completes = "@endpoint",
	.run = run_show,
};

const struct command port_command = {
	.name = "port",
	.args = "CONTAINER [PORT[/PROTO]]",
	.about = "short for port show",
	.text = SHOW_TEXT,
	.json = SHOW_JSON,
	.examples = show_examples,
	.flags = COMMAND_READS | COMMAND_HIDDEN,
	.min = 1,
	.max = 2,
	.completes = "@endpoint",
	.run = run_short,
};
