/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dns ls: who asks the resolver, and what it is called. */
#include "netctl/dns.h"
#include "netctl/out.h"
#include "netctl/peers.h"

#include "dns/request.h"

#include <errno.h>
#include <string.h>

/* ---- who has a resolver ---- */

static uint64_t sandbox_of(const struct fl_endpoint *ep)
{
	return fl_endpoint_sandbox(ep);
}

static int by_sandbox(const void *a, const void *b)
{
	const struct fl_endpoint *x = *(const struct fl_endpoint *const *)a,
				 *y = *(const struct fl_endpoint *const *)b;
	uint64_t i = sandbox_of(x), k = sandbox_of(y);

	/* As they are in the model. */
	return i < k ? -1 : i > k ? 1 : x < y ? -1 : x > y;
}

int askers_find(const struct model *m, struct askers *ret, struct fl_error *err)
{
	const struct fl_endpoint **v = calloc(m->n_endpoints + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return fl_error_oom(err);
	for (size_t i = 0; i < m->n_endpoints; i++)
		if (*m->endpoints[i].dns && m->endpoints[i].state != FL_STATE_DELETING)
			v[n++] = &m->endpoints[i];
	qsort(v, n, sizeof(*v), by_sandbox);
	*ret = (struct askers){ v, n };
	return 0;
}

void askers_clear(struct askers *a)
{
	free(a->v);
	*a = (struct askers){ 0 };
}

size_t askers_same(const struct askers *a, size_t i)
{
	size_t n = 1;

	while (i + n < a->n && sandbox_of(a->v[i]) == sandbox_of(a->v[i + n]))
		n++;
	return n;
}

const struct fl_endpoint *askers_get(const struct askers *a, uint64_t sandbox)
{
	size_t from = 0, to = a->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (sandbox_of(a->v[mid]) < sandbox)
			from = mid + 1;
		else
			to = mid;
	}
	return from < a->n && sandbox_of(a->v[from]) == sandbox ? a->v[from] : NULL;
}

static int choose_only(const struct askers *a, const struct fl_endpoint **ret, struct fl_error *err)
{
	if (!a->n)
		return not_found(err, "no container has a resolver; a network's \"dns\": "
				      "{\"enabled\": true} gives them one");
	if (askers_same(a, 0) != a->n)
		return usage_error(err,
				   "several containers have a resolver: say by --from which one "
				   "asks");
	*ret = a->v[0];
	return 0;
}

int askers_choose(const struct model *m, const struct askers *a, const char *container,
		  const struct fl_endpoint **ret, struct fl_error *err)
{
	FL_AUTOFREE const struct attachment **found = NULL;
	size_t n = 0;
	int r;

	if (!container)
		return choose_only(a, ret, err);
	r = model_find(m, container, NULL, NULL, &found, &n, err);
	for (size_t i = 0; !r && i < n; i++) {
		const struct fl_endpoint *ep = askers_get(a, sandbox_of(found[i]->main));

		if (ep) {
			*ret = ep;
			return 0;
		}
	}
	return r ? r : not_found(err, "container %s has no resolver", container);
}

int no_resolver(struct fl_error *err)
{
	return fl_error_set(err, ENOENT, FL_ECODE_NOT_AVAILABLE,
			    "no " FL_DNSD_PROGRAM " is at work; `netctl reload` starts it where "
			    "containers have a resolver");
}

/* ---- ls ---- */

static const char *served_colour(const json_t *row)
{
	const json_t *served = json_object_get(row, "served");

	return json_is_true(served) ? COLOUR_GOOD : json_is_null(served) ? NULL : COLOUR_BAD;
}

static const struct column columns[] = {
	{ "CONTAINER", "label", 0, NULL },	 { "NETWORKS", "networks", COLUMN_WRAP, NULL },
	{ "LISTENS", "listens", 0, NULL },	 { "SERVED", "served", 0, served_colour },
	{ "NAMES", "names", COLUMN_WRAP, NULL }, { 0 },
};

static const struct column columns_with_nodes[] = {
	{ "CONTAINER", "label", 0, NULL },
	{ "NODE", "node", 0, NULL },
	{ "NETWORKS", "networks", COLUMN_WRAP, NULL },
	{ "LISTENS", "listens", 0, NULL },
	{ "SERVED", "served", 0, served_colour },
	{ "NAMES", "names", COLUMN_WRAP, NULL },
	{ 0 },
};

static bool has_string(const json_t *list, const char *s)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (!strcmp(json_string_value(one), s))
			return true;
	}
	return false;
}

static void add_once(json_t *list, const char *s)
{
	if (!has_string(list, s))
		json_array_append_new(list, json_string(s));
}

static int add_name(void *arg, const struct fl_dns_name *name)
{
	char text[FL_DNS_TEXT_MAX];
	size_t n = strlen(fl_dns_name_str(name, text));

	if (n > 1)
		text[n - 1] = '\0';
	add_once(arg, text);
	return 0;
}

static json_t *sandbox_row(struct ctl *c, const struct askers *a, size_t from, size_t n)
{
	struct fl_dnsd_request q = { .op = FL_DNSD_SERVED, .sandbox = sandbox_of(a->v[from]) };
	json_t *networks = json_array(), *names = json_array(), *containers = json_array();
	const struct fl_endpoint *first = a->v[from];
	bool served = !fl_dnsd_ask(fl_store_path(c->store), &q, -1, false, NULL, NULL);
	char listens[64] = "";

	for (size_t i = from; i < from + n; i++) {
		struct fl_dns_name canonical;

		add_once(containers, a->v[i]->id.container);
		add_once(networks, a->v[i]->id.network);
		if (!fl_endpoint_canonical(a->v[i], &canonical))
			add_name(names, &canonical);
		fl_endpoint_hostnames(a->v[i], add_name, names);
	}
	if (first->dns_port)
		snprintf(listens, sizeof(listens), FL_DNSD_ADDRESS ":%u", first->dns_port);
	return json_pack("{ss ss ss ss so so so ss si sb}", "kind", "sandbox", "container",
			 first->id.container, "label", CONTAINER_LABEL(first), "node", "",
			 "containers", containers, "networks", networks, "names", names, "listens",
			 listens, "port", (int)first->dns_port, "served", (int)served);
}

struct listing {
	json_t *rows;
	bool alive; /* the daemon */
};

static int add_listener(void *arg, const char *network, const struct fl_addr *a, uint16_t port)
{
	struct listing *l = arg;
	bool v6 = strchr(fl_addr_str(a, FL_ADDR_BUF), ':');
	char listens[FL_ADDR_STR + 16];

	snprintf(listens, sizeof(listens), "%s%s%s:%u", v6 ? "[" : "", fl_addr_str(a, FL_ADDR_BUF),
		 v6 ? "]" : "", port);
	return json_array_append_new(
		l->rows,
		json_pack("{ss ss ss ss s[] s[s] s[] ss si sb}", "kind", "listener", "container",
			  "", "label", "(host)", "node", "", "containers", "networks", network,
			  "names", "listens", listens, "port", (int)port, "served", (int)l->alive));
}

/* ---- what is on other nodes ---- */

static bool is_asked_about(const json_t *rows, const char *network)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		if (has_string(json_object_get(row, "networks"), network))
			return true;
	}
	return false;
}

static json_t *peer_row(const struct fl_peer *p)
{
	json_t *names = json_array();
	struct fl_dns_name canonical;

	if (!fl_peer_canonical(p, &canonical))
		add_name(names, &canonical);
	fl_peer_hostnames(p, add_name, names);
	return json_pack("{ss ss ss ss s[s] s[s] so ss si sn}", "kind", "peer", "container",
			 p->container, "label", PEER_LABEL(p), "node", p->node, "containers",
			 p->container, "networks", p->network, "names", names, "listens", "",
			 "port", 0, "served");
}

/* Those that a sandbox or listener of this node may ask for. */
static int add_peers(struct ctl *c, json_t *rows, bool *ret_any, struct fl_error *err)
{
	AUTOPEERS struct peers all = { 0 };
	int r = peers_read(c, &all, err);

	for (size_t i = 0, n; !r && i < all.n; i += n) {
		const struct fl_peer *v = peers_of(&all, all.v[i].network, &n);

		bool asked = is_asked_about(rows, v->network);

		for (size_t k = 0; asked && k < n; k++) {
			if (v[k].suspect)
				continue; /* has no names until its node is back */
			json_array_append_new(rows, peer_row(&v[k]));
			*ret_any = true;
		}
	}
	return r;
}

static int run_ls(struct ctl *c, struct fl_error *err)
{
	struct fl_dnsd_request ping = { .op = FL_DNSD_PING };
	struct listing l = { .rows = json_array() };
	bool elsewhere = false;
	AUTOMODEL struct model m = { 0 };
	AUTOASKERS struct askers a = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = model_read(c, &m, err);

	if (!r)
		r = askers_find(&m, &a, err);
	if (!r && c->store)
		r = fl_txn_begin(c->store, false, &t, err);
	for (size_t i = 0; !r && i < a.n; i += askers_same(&a, i))
		json_array_append_new(l.rows, sandbox_row(c, &a, i, askers_same(&a, i)));
	if (!r && t) {
		l.alive = !fl_dnsd_ask(fl_store_path(c->store), &ping, -1, false, NULL, NULL);
		r = fl_listeners_each(t, add_listener, &l, err);
	}
	fl_txn_abort(fl_take_ptr(t));
	if (!r)
		r = add_peers(c, l.rows, &elsewhere, err);
	if (r) {
		json_decref(l.rows);
		return r;
	}
	return show_list(c, l.rows, elsewhere ? columns_with_nodes : columns, err);
}

static const struct example examples[] = {
	{ "netctl dns ls", "who asks the resolver, and the names of each container" },
	{ 0 },
};

const struct command dns_ls_command = {
	.name = "dns ls",
	.args = "",
	.about = "containers with a resolver, and the names that they have",
	.text = "Where a network listens for its host, that is a line of its own; so is a "
		"container "
		"of another node, which has names here and asks there. Those of a node that gives "
		"no sign of life have none.",
	.json = "a list of objects: kind (sandbox, listener, peer), container (id), label "
		"(for people), node (\"\": this one), containers (list), networks (list), names "
		"(list), listens, port, served (null for a peer).",
	.examples = examples,
	.flags = COMMAND_READS,
	.run = run_ls,
};
