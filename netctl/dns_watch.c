/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dns stats, dns log: what the resolver tells, one JSON object a line. */
#include "netctl/dns.h"
#include "netctl/lines.h"
#include "netctl/out.h"
#include "netctl/text.h"

#include "base/strbuf.h"
#include "dns/request.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

struct watch {
	struct ctl *c;
	struct model m;
	struct askers a;
	int (*take)(struct watch *w, const json_t *line);
	json_t *rows, *total; /* of stats */
};

static void watch_clear(struct watch *w)
{
	askers_clear(&w->a);
	model_clear(&w->m);
	json_decref(w->rows);
	json_decref(w->total);
}

static int read_model(struct watch *w, struct fl_error *err)
{
	int r;

	askers_clear(&w->a);
	model_clear(&w->m);
	r = model_read(w->c, &w->m, err);
	return r ? r : askers_find(&w->m, &w->a, err);
}

/* ---- lines ---- */

static int take_line(void *arg, const json_t *line)
{
	struct watch *w = arg;

	return w->take(w, line);
}

static int watch(struct watch *w, enum fl_dnsd_op op, const char *container, struct fl_error *err)
{
	static const struct timeval forever = { 0 };
	struct fl_dnsd_request q = { .op = op };
	const struct fl_endpoint *ep = NULL;
	FL_AUTOCLOSE int s = -1;
	int r = read_model(w, err);

	if (!r && container)
		r = askers_choose(&w->m, &w->a, container, &ep, err);
	if (r)
		return r;
	if (!w->c->store)
		return no_resolver(err);
	q.sandbox = ep ? fl_endpoint_sandbox(ep) : 0;
	r = fl_dnsd_identify(fl_store_path(w->c->store), &q);
	s = r ? -1 : fl_dnsd_connect(fl_store_path(w->c->store), false);
	if (s < 0)
		return no_resolver(err);
	r = fl_dnsd_exchange(s, &q, -1, NULL, err);
	if (r)
		return r == -ENOENT ? no_resolver(err) : r;
	if (op == FL_DNSD_LOG)
		setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	return lines_read(s, FL_DNSD_PROGRAM, take_line, w, err);
}

/* ---- whose ---- */

static const struct fl_endpoint *owner_of(const struct watch *w, const json_t *line)
{
	const char *id = json_string_value(json_object_get(line, "sandbox"));

	return id ? askers_get(&w->a, strtoull(id, NULL, 10)) : NULL;
}

/* "web"; "(host) net" of a listener. */
static const char *label_of(const struct fl_endpoint *ep, const json_t *line, char *buf,
			    size_t size)
{
	const char *listener = json_string_value(json_object_get(line, "listener"));

	if (ep)
		return container_label(ep, buf, size);
	snprintf(buf, size, "%s%s", listener ? "(host) " : "?", listener ? listener : "");
	return buf;
}

/* ---- stats ---- */

/* Latencies below 1, 2, 4, ... microseconds: the bound that half of them are below. */
static json_int_t median(const json_t *histogram)
{
	json_int_t all = 0, half = 0;
	const json_t *v;
	size_t i;

	json_array_foreach(histogram, i, v)
	{
		all += json_integer_value(v);
	}
	json_array_foreach(histogram, i, v)
	{
		half += json_integer_value(v);
		if (all && 2 * half >= all)
			return (json_int_t)1 << i;
	}
	return 0;
}

static int take_counters(struct watch *w, const json_t *line)
{
	static const char *const keys[] = { "queries",	 "tcp",	    "local",  "cached",
					    "forwarded", "refused", "failed", "malformed" };
	json_t *counters = json_object_get(line, "counters"), *row = json_object(), *networks;
	const struct fl_endpoint *ep = owner_of(w, line);
	const char *listener = json_string_value(json_object_get(line, "listener"));
	char label[FL_NAME_MAX + FL_HOSTNAME_MAX];

	if (!counters) {
		json_decref(row);
		/* The last one is of the whole; those of networks are no matter of people's. */
		if (json_object_get(line, "cache"))
			json_object_update(w->total, (json_t *)line);
		return 0;
	}
	networks = json_object_get(line, "networks");
	json_object_set_new(row, "container", json_string(ep ? ep->id.container : ""));
	json_object_set_new(row, "label", json_string(label_of(ep, line, label, sizeof(label))));
	json_object_set_new(row, "listener", json_string(listener ? listener : ""));
	json_object_set(row, "networks", networks);
	for (size_t i = 0; i < FL_ARRAY_SIZE(keys); i++)
		json_object_set(row, keys[i], json_object_get(counters, keys[i]));
	json_object_set(row, "waiting", json_object_get(line, "waiting"));
	json_object_set(row, "connections", json_object_get(line, "connections"));
	json_object_set_new(row, "medianMicroseconds",
			    json_integer(median(json_object_get(counters, "latency"))));
	return json_array_append_new(w->rows, row);
}

static int by_label(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;

	return strcmp(json_string_value(json_object_get(x, "label")),
		      json_string_value(json_object_get(y, "label")));
}

/* As they came they are in no order. */
static int sort_rows(struct watch *w)
{
	size_t n = json_array_size(w->rows);
	FL_AUTOFREE json_t **v = calloc(n + 1, sizeof(json_t *));
	json_t *sorted = json_array();

	if (!v || !sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		v[i] = json_array_get(w->rows, i);
	qsort(v, n, sizeof(json_t *), by_label);
	for (size_t i = 0; i < n; i++)
		json_array_append(sorted, v[i]);
	json_decref(w->rows);
	w->rows = sorted;
	return 0;
}

static const struct column stats_columns[] = {
	{ "CONTAINER", "label", 0, NULL },
	{ "QUERIES", "queries", COLUMN_RIGHT, NULL },
	{ "LOCAL", "local", COLUMN_RIGHT, NULL },
	{ "CACHED", "cached", COLUMN_RIGHT, NULL },
	{ "FORWARDED", "forwarded", COLUMN_RIGHT, NULL },
	{ "FAILED", "failed", COLUMN_RIGHT, NULL },
	{ "REFUSED", "refused", COLUMN_RIGHT | COLUMN_WIDE, NULL },
	{ "TCP", "tcp", COLUMN_RIGHT | COLUMN_WIDE, NULL },
	{ "MEDIAN<US", "medianMicroseconds", COLUMN_RIGHT, NULL },
	{ 0 },
};

static int run_stats(struct ctl *c, struct fl_error *err)
{
	FL_CLEANUP(watch_clear)
	struct watch w = {
		.c = c, .take = take_counters, .rows = json_array(), .total = json_object()
	};
	const json_t *cache;
	int r = watch(&w, FL_DNSD_STATS, c->argc ? c->argv[0] : NULL, err);

	if (r)
		return r;
	if (sort_rows(&w))
		return fl_error_oom(err);
	if (c->json) {
		json_object_set(w.total, "containers", w.rows);
		return show_json(json_incref(w.total), err);
	}
	r = show_list(c, json_incref(w.rows), stats_columns, err);
	cache = json_object_get(w.total, "cache");
	if (!r && cache)
		say(c, "cache: %" JSON_INTEGER_FORMAT " answers, %" JSON_INTEGER_FORMAT " bytes",
		    json_integer_value(json_object_get(cache, "entries")),
		    json_integer_value(json_object_get(cache, "bytes")));
	return r;
}

static const struct example stats_examples[] = {
	{ "netctl dns stats", "how many queries, and how they were answered" },
	{ 0 },
};

const struct command dns_stats_command = {
	.name = "dns stats",
	.args = "[CONTAINER]",
	.about = "queries of each container, and how they were answered",
	.text = "Local: from the names of containers; cached: as an earlier answer from outside; "
		"forwarded: by a name server. Half of the answers took less than MEDIAN<US "
		"microseconds.",
	.json = "containers (a list of objects: container (id), label, listener, "
		"networks, queries, tcp, local, cached, forwarded, refused, failed, "
		"malformed, waiting, connections, medianMicroseconds); without "
		"CONTAINER also cache (entries, bytes), servers, sandboxes, waiting.",
	.examples = stats_examples,
	.flags = COMMAND_READS,
	.max = 1,
	.completes = "@endpoint",
	.run = run_stats,
};

/* ---- log ---- */

static void print_line(const struct ctl *c, const char *label, const json_t *line)
{
	uint16_t rcode = (uint16_t)json_integer_value(json_object_get(line, "rcode"));
	time_t now = time(NULL);
	char when[16], answer[64];
	struct tm tm;

	strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&now, &tm));
	snprintf(answer, sizeof(answer), "%-9s %-8s", text_of(line, "answer"), DNS_RCODE(rcode));
	printf("%s %-15s %-5s %s %7" JSON_INTEGER_FORMAT " us  %s\n", when, label,
	       text_of(line, "type"), PAINTED(c, rcode ? COLOUR_WARN : COLOUR_GOOD, answer),
	       json_integer_value(json_object_get(line, "us")), text_of(line, "name"));
}

static int take_query(struct watch *w, const json_t *line)
{
	const struct fl_endpoint *ep = owner_of(w, line);
	char label[FL_NAME_MAX + FL_HOSTNAME_MAX];

	if (json_object_get(line, "lost")) {
		remark(w->c, "%" JSON_INTEGER_FORMAT " lines are lost: they came too fast",
		       json_integer_value(json_object_get(line, "lost")));
		return 0;
	}
	/* One that came since. */
	if (!ep && json_object_get(line, "sandbox") && !read_model(w, NULL))
		ep = owner_of(w, line);
	label_of(ep, line, label, sizeof(label));
	if (!w->c->json) {
		print_line(w->c, clean_text(label), line);
		return 0;
	}
	json_object_set_new((json_t *)line, "container", json_string(ep ? ep->id.container : ""));
	json_object_set_new((json_t *)line, "label", json_string(label));
	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	return 0;
}

static int run_log(struct ctl *c, struct fl_error *err)
{
	FL_CLEANUP(watch_clear) struct watch w = { .c = c, .take = take_query };
	int r = watch(&w, FL_DNSD_LOG, c->argc ? c->argv[0] : NULL, err);

	return r ? r
		 : fl_error_set(err, ECONNRESET, FL_ECODE_IO,
				"the resolver has ended the log: it was started anew");
}

static const struct example log_examples[] = {
	{ "netctl dns log web", "each query of a container, as it comes" },
	{ 0 },
};

const struct command dns_log_command = {
	.name = "dns log",
	.args = "[CONTAINER]",
	.about = "queries as they come, until interrupted",
	.json = "each query is a line with an object: sandbox or listener, container "
		"(id), label, name, type, answer (how), rcode, us; lost: lines that "
		"came too fast.",
	.examples = log_examples,
	.flags = COMMAND_READS,
	.max = 1,
	.completes = "@endpoint",
	.run = run_log,
};
