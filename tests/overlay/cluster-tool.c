/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster-tool.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void print_json(json_t *owned)
{
	FL_AUTOJSON json_t *j = owned;

	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
}

json_t *kv_json(const struct fl_etcd_kv *kv)
{
	return json_pack("{ss% so* sI sI sI sI}", "key", kv->key, kv->key_len, "value",
			 json_stringn(kv->value, kv->value_len), "mod",
			 (json_int_t)kv->mod_revision, "create", (json_int_t)kv->create_revision,
			 "version", (json_int_t)kv->version, "lease", (json_int_t)kv->lease);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

json_t *times_json(double *seconds, unsigned n)
{
	qsort(seconds, n, sizeof(*seconds), by_size);
	return json_pack("{sisfsf}", "n", (int)n, "median_ms", seconds[n / 2] * 1e3, "p99_ms",
			 seconds[n * 99 / 100] * 1e3);
}

static json_t *members_json(const struct fl_etcd_members *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->n; i++)
		json_array_append_new(list, json_pack("{ssss}", "name", m->items[i].name, "url",
						      m->items[i].client_url));
	return list;
}

static json_t *result_json(struct tool *t, const struct fl_etcd_result *r)
{
	const struct fl_etcd_stats *s = fl_etcd_stats(t->c);
	json_t *kvs = json_array();
	const char *url, *version;

	fl_etcd_endpoint(t->c, &url, &version);
	for (size_t i = 0; i < r->kvs.n; i++)
		json_array_append_new(kvs, kv_json(&r->kvs.items[i]));
	return json_pack(
		"{ss ss si sI so sI sI sI sI sI so si ss sI sI ss ss s{sI sI sI sI sI sI sI}}",
		"outcome", fl_etcd_outcome_str(r->outcome), "error", r->err.text, "code", r->code,
		"revision", (json_int_t)r->header.revision, "kvs", kvs, "count",
		(json_int_t)r->count, "deleted", (json_int_t)r->deleted, "lease",
		(json_int_t)r->lease, "ttl", (json_int_t)r->ttl, "granted", (json_int_t)r->granted,
		"members", members_json(&r->members), "alarms", (int)r->alarms, "server",
		r->status.version, "leader", (json_int_t)r->status.leader, "db",
		(json_int_t)r->status.db_size, "endpoint", url, "version", version, "stats",
		"requests", (json_int_t)s->requests, "retries", (json_int_t)s->retries, "failovers",
		(json_int_t)s->failovers, "logins", (json_int_t)s->logins, "bad",
		(json_int_t)s->bad_answers, "ignored", (json_int_t)s->ignored_keys, "restores",
		(json_int_t)s->restores);
}

enum fl_etcd_outcome wait_for(struct tool *t, struct fl_etcd_wait *w, int r, struct fl_error *err)
{
	if (r) {
		print_json(json_pack("{ssss}", "outcome", "not started", "error", err->text));
		exit(1);
	}
	fl_etcd_wait(t->c, w);
	return w->result.outcome;
}

/* Waits for what was started, and prints it. */
static int show(struct tool *t, struct fl_etcd_wait *w, int r, struct fl_error *err)
{
	double start = now_s();
	json_t *j;

	wait_for(t, w, r, err);
	j = result_json(t, &w->result);
	json_object_set_new(j, "seconds", json_real(now_s() - start));
	print_json(j);
	r = w->result.outcome != FL_ETCD_OK;
	fl_etcd_result_clear(&w->result);
	return r;
}

/* ---- commands ---- */

static int do_range(struct tool *t)
{
	struct fl_etcd_range q = { .key = t->args[0],
				   .prefix = t->prefix,
				   .keys_only = t->keys_only,
				   .count_only = t->count_only,
				   .serializable = t->serializable,
				   .revision = t->revision,
				   .limit = t->limit,
				   .page = t->page };
	struct fl_etcd_wait w = { 0 };
	struct fl_error err;

	return show(t, &w, fl_etcd_range(t->c, &q, fl_etcd_wait_done, &w, NULL, &err), &err);
}

static int do_put(struct tool *t)
{
	struct fl_etcd_wait w = { 0 };
	struct fl_error err;

	return show(t, &w,
		    fl_etcd_put(t->c, t->args[0], t->args[1], strlen(t->args[1]), t->lease,
				fl_etcd_wait_done, &w, NULL, &err),
		    &err);
}

static int do_delete(struct tool *t)
{
	struct fl_etcd_wait w = { 0 };
	struct fl_error err;

	return show(t, &w, fl_etcd_delete(t->c, t->args[0], fl_etcd_wait_done, &w, NULL, &err),
		    &err);
}

static int create(struct tool *t, const char *key, const char *value, struct fl_etcd_wait *w,
		  struct fl_error *err)
{
	FL_AUTOETCDTXN struct fl_etcd_txn txn;

	fl_etcd_txn_init(&txn, fl_etcd_prefix(t->c));
	fl_etcd_txn_if_absent(&txn, key);
	fl_etcd_txn_put(&txn, FL_ETCD_SUCCESS, key, value, strlen(value), t->lease);
	fl_etcd_txn_range(&txn, FL_ETCD_FAILURE, &(struct fl_etcd_range){ .key = key });
	return fl_etcd_txn(t->c, &txn, fl_etcd_wait_done, w, NULL, err);
}

static int do_create(struct tool *t)
{
	struct fl_etcd_wait w = { 0 };
	struct fl_error err;

	return show(t, &w, create(t, t->args[0], t->args[1], &w, &err), &err);
}

/* Many creates by one client: how many were its own. */
static int do_claim(struct tool *t)
{
	unsigned n = (unsigned)atoi(t->args[1]), won = 0;
	struct fl_error err;
	char key[128];

	for (unsigned i = 0; i < n; i++) {
		struct fl_etcd_wait w = { 0 };

		snprintf(key, sizeof(key), "%s%u", t->args[0], i);
		won += wait_for(t, &w, create(t, key, t->args[2], &w, &err), &err) == FL_ETCD_OK;
		fl_etcd_result_clear(&w.result);
	}
	print_json(json_pack("{si}", "won", (int)won));
	return 0;
}

/* One step of a counter: 0 when it was ours. */
static int increment(struct tool *t, const char *key, struct fl_error *err)
{
	struct fl_etcd_range q = { .key = key };
	struct fl_etcd_wait read = { 0 }, write = { 0 };
	FL_AUTOETCDTXN struct fl_etcd_txn txn;
	int64_t mod = 0;
	char value[32];
	int n = 0;

	fl_etcd_txn_init(&txn, fl_etcd_prefix(t->c));
	wait_for(t, &read, fl_etcd_range(t->c, &q, fl_etcd_wait_done, &read, NULL, err), err);
	if (read.result.kvs.n) {
		n = atoi(read.result.kvs.items[0].value);
		mod = read.result.kvs.items[0].mod_revision;
	}
	fl_etcd_result_clear(&read.result);
	snprintf(value, sizeof(value), "%d", n + 1);
	fl_etcd_txn_if(&txn, key, FL_ETCD_T_MOD, FL_ETCD_EQ, mod);
	fl_etcd_txn_put(&txn, FL_ETCD_SUCCESS, key, value, strlen(value), 0);
	n = (int)wait_for(t, &write, fl_etcd_txn(t->c, &txn, fl_etcd_wait_done, &write, NULL, err),
			  err);
	fl_etcd_result_clear(&write.result);
	return n;
}

static int do_increment(struct tool *t)
{
	int n = atoi(t->args[1]), tries = 0;
	struct fl_error err;

	for (int i = 0; i < n; tries++)
		i += increment(t, t->args[0], &err) == FL_ETCD_OK;
	print_json(json_pack("{sisi}", "n", n, "tries", tries));
	return 0;
}

/* Puts until each is known to be there; a line for each that was not at once. */
static int do_puts(struct tool *t)
{
	unsigned n = (unsigned)atoi(t->args[1]), unsure = 0;
	struct fl_error err;
	char key[128];

	for (unsigned i = 0; i < n;) {
		struct fl_etcd_wait w = { 0 };
		enum fl_etcd_outcome o;

		snprintf(key, sizeof(key), "%s%u", t->args[0], i);
		o = wait_for(t, &w, create(t, key, "x", &w, &err), &err);
		if (o == FL_ETCD_OK || o == FL_ETCD_COMPARE)
			i++;
		else
			unsure++;
		fl_etcd_result_clear(&w.result);
	}
	print_json(json_pack("{sisi}", "n", (int)n, "unsure", (int)unsure));
	return 0;
}

static int do_txn_latency(struct tool *t)
{
	unsigned n = (unsigned)atoi(t->args[1]);
	FL_AUTOFREE double *times = calloc(n + 1, sizeof(*times));
	struct fl_error err;
	char key[128], value[201];

	memset(value, 'v', 200);
	value[200] = '\0';
	for (unsigned i = 0; i < n && times; i++) {
		struct fl_etcd_wait w = { 0 };
		double start = now_s();

		snprintf(key, sizeof(key), "%s%u", t->args[0], i);
		wait_for(t, &w, create(t, key, value, &w, &err), &err);
		times[i] = now_s() - start;
		fl_etcd_result_clear(&w.result);
	}
	print_json(times_json(times, n));
	return 0;
}

struct burst {
	unsigned left, by_outcome[FL_ETCD_COMPACTED + 1];
};

static void on_burst(void *arg, struct fl_etcd_result *r)
{
	struct burst *b = arg;

	b->left--;
	b->by_outcome[r->outcome]++;
}

/* Many puts at once: how many ended how. */
static int do_burst(struct tool *t)
{
	struct burst b = { .left = (unsigned)atoi(t->args[1]) };
	FL_AUTOJSON json_t *j = json_object();
	unsigned n = b.left;
	struct fl_error err;
	char key[128];

	for (unsigned i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%s%u", t->args[0], i);
		if (fl_etcd_put(t->c, key, "x", 1, 0, on_burst, &b, NULL, &err))
			return 1;
	}
	while (b.left)
		event_base_loop(t->base, EVLOOP_ONCE);
	for (int o = 0; o <= FL_ETCD_COMPACTED; o++)
		if (b.by_outcome[o])
			json_object_set_new(j, fl_etcd_outcome_str((enum fl_etcd_outcome)o),
					    json_integer(b.by_outcome[o]));
	print_json(json_incref(j));
	return 0;
}

static int do_grant(struct tool *t)
{
	struct fl_etcd_wait w = { 0 };
	struct fl_error err;

	return show(t, &w,
		    fl_etcd_lease_grant(t->c, atoll(t->args[0]), fl_etcd_wait_done, &w, NULL, &err),
		    &err);
}

static int do_lease(struct tool *t)
{
	enum fl_etcd_lease_op op = *t->args[0] == 'k'	? FL_ETCD_KEEPALIVE
				   : *t->args[0] == 'r' ? FL_ETCD_REVOKE
							: FL_ETCD_TIMETOLIVE;
	struct fl_etcd_wait w = { 0 };
	struct fl_error err;

	return show(t, &w,
		    fl_etcd_lease(t->c, op, atoll(t->args[1]), fl_etcd_wait_done, &w, NULL, &err),
		    &err);
}

static int do_query(struct tool *t)
{
	enum fl_etcd_query what = *t->args[0] == 's'   ? FL_ETCD_STATUS
				  : *t->args[0] == 'm' ? FL_ETCD_MEMBERS
						       : FL_ETCD_ALARMS;
	struct fl_etcd_wait w = { 0 };
	struct fl_error err;

	return show(t, &w, fl_etcd_query(t->c, what, fl_etcd_wait_done, &w, NULL, &err), &err);
}

/* More operations than one transaction may have. */
static int do_large(struct tool *t)
{
	FL_AUTOETCDTXN struct fl_etcd_txn txn;
	struct fl_etcd_wait w = { 0 };
	struct fl_error err;
	char key[64];

	fl_etcd_txn_init(&txn, fl_etcd_prefix(t->c));
	for (int i = 0; i < atoi(t->args[0]); i++) {
		snprintf(key, sizeof(key), "large/%d", i);
		fl_etcd_txn_put(&txn, FL_ETCD_SUCCESS, key, "x", 1, 0);
	}
	return show(t, &w, fl_etcd_txn(t->c, &txn, fl_etcd_wait_done, &w, NULL, &err), &err);
}

/* The commands of its standard input, one a line, by the same client. */
static int do_script(struct tool *t);

static const struct {
	const char *name;
	int args;
	int (*run)(struct tool *t);
} commands[] = {
	{ "range", 1, do_range },
	{ "put", 2, do_put },
	{ "delete", 1, do_delete },
	{ "create", 2, do_create },
	{ "claim", 3, do_claim },
	{ "increment", 2, do_increment },
	{ "puts", 2, do_puts },
	{ "txn-latency", 2, do_txn_latency },
	{ "watch-latency", 2, do_watch_latency },
	{ "burst", 2, do_burst },
	{ "grant", 1, do_grant },
	{ "lease", 2, do_lease },
	{ "query", 1, do_query },
	{ "large", 1, do_large },
	{ "watch", 1, do_watch },
	{ "script", 0, do_script },
};

static int run(struct tool *t, int n, char **words)
{
	for (size_t i = 0; n && i < FL_ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, words[0]) && commands[i].args == n - 1) {
			t->args = words + 1;
			t->n_args = n - 1;
			return commands[i].run(t);
		}
	fprintf(stderr, "cluster-tool: not a command, or not its number of arguments\n");
	return 2;
}

static int do_script(struct tool *t)
{
	char line[4096], *words[8], *rest;
	int n;

	while (fgets(line, sizeof(line), stdin)) {
		n = 0;
		for (char *w = strtok_r(line, " \n", &rest); w && n < 8;
		     w = strtok_r(NULL, " \n", &rest))
			words[n++] = w;
		run(t, n, words);
	}
	return 0;
}

/* ---- options ---- */

static const struct option options[] = {
	{ "endpoint", required_argument, NULL, 'e' },
	{ "cluster", required_argument, NULL, 'c' },
	{ "user", required_argument, NULL, 'u' },
	{ "password", required_argument, NULL, 'w' },
	{ "password-file", required_argument, NULL, 'W' },
	{ "ca", required_argument, NULL, 'A' },
	{ "cert", required_argument, NULL, 'C' },
	{ "key", required_argument, NULL, 'K' },
	{ "check-ms", required_argument, NULL, 'm' },
	{ "beat-ms", required_argument, NULL, 'b' },
	{ "try-ms", required_argument, NULL, 'T' },
	{ "total-ms", required_argument, NULL, 'O' },
	{ "prefix", no_argument, NULL, 'p' },
	{ "keys-only", no_argument, NULL, 'k' },
	{ "count-only", no_argument, NULL, 'n' },
	{ "serializable", no_argument, NULL, 's' },
	{ "page", required_argument, NULL, 'g' },
	{ "limit", required_argument, NULL, 'l' },
	{ "lease", required_argument, NULL, 'L' },
	{ "revision", required_argument, NULL, 'r' },
	{ "seen", required_argument, NULL, 'S' },
	{ 0 },
};

static void take(struct tool *t, int o, const char **endpoints)
{
	switch (o) {
	case 'e':
		if (t->config.n_endpoints <= FL_ETCD_ENDPOINTS_MAX)
			endpoints[t->config.n_endpoints++] = optarg;
		break;
	case 'c':
		t->config.cluster = optarg;
		break;
	case 'u':
		t->config.user = optarg;
		break;
	case 'w':
		t->config.password = optarg;
		break;
	case 'W':
		t->config.password_file = optarg;
		break;
	case 'A':
		t->config.ca_file = optarg;
		break;
	case 'C':
		t->config.cert_file = optarg;
		break;
	case 'K':
		t->config.key_file = optarg;
		break;
	case 'm':
		t->config.check_ms = (unsigned)atoi(optarg);
		break;
	case 'b':
		t->beat_ms = (unsigned)atoi(optarg);
		break;
	case 'T':
		t->config.try_ms = (unsigned)atoi(optarg);
		break;
	case 'O':
		t->config.total_ms = (unsigned)atoi(optarg);
		break;
	case 'S':
		t->config.revision = atoll(optarg);
		break;
	case 'g':
		t->page = (unsigned)atoi(optarg);
		break;
	case 'l':
		t->limit = (unsigned)atoi(optarg);
		break;
	case 'L':
		t->lease = atoll(optarg);
		break;
	case 'r':
		t->revision = atoll(optarg);
		break;
	case 'p':
		t->prefix = true;
		break;
	case 'k':
		t->keys_only = true;
		break;
	case 'n':
		t->count_only = true;
		break;
	case 's':
		t->serializable = true;
		break;
	default:
		exit(2);
	}
}

static void on_restored(void *arg)
{
	(void)arg;
	print_json(json_pack("{ss}", "state", "restored"));
}

int main(int argc, char **argv)
{
	const char *endpoints[FL_ETCD_ENDPOINTS_MAX + 1];
	struct tool t = { .config = { .cluster = "test", .restored = on_restored } };
	struct fl_error err;
	int o, r;

	signal(SIGPIPE, SIG_IGN);
	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0)
		take(&t, o, endpoints);
	t.config.endpoints = endpoints;
	t.base = event_base_new();
	r = fl_etcd_new(t.base, &t.config, &t.c, &err);
	if (r) {
		print_json(json_pack("{ssss}", "outcome", "not started", "error", err.text));
		event_base_free(t.base);
		return 1;
	}
	r = run(&t, argc - optind, argv + optind);
	fl_etcd_free(t.c);
	event_base_free(t.base);
	libevent_global_shutdown();
	return r;
}
