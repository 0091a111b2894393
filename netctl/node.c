/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node ls, inspect, rm: the nodes of the cluster, as this node's agent knows them. */
#include "netctl/agent.h"
#include "netctl/attach.h"
#include "netctl/cluster_network.h"
#include "netctl/nearest.h"
#include "netctl/out.h"

#include "base/cleanup.h"
#include "base/strbuf.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

/* "12 s", "3 min", "5 h", "2 d" */
static const char *age(long long since, char *buf, size_t size)
{
	static const struct {
		long long seconds;
		const char *unit;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
	long long n = (long long)time(NULL) - since;
	size_t i = 0;

	if (since <= 0)
		return "";
	n = n < 0 ? 0 : n;
	while (i < FL_ARRAY_SIZE(units) - 1 && n < 2 * units[i].seconds)
		i++;
	snprintf(buf, size, "%lld %s", n / units[i].seconds, units[i].unit);
	return buf;
}

/* For people: the addresses together, and for how long it is what it is. */
static void add_words(json_t *row)
{
	char buf[32];

	json_object_set_new(row, "vteps", node_vteps(row));
	json_object_set_new(row, "for",
			    json_string(age(number_of(row, "since"), buf, sizeof(buf))));
	if (!*text_of(row, "kept"))
		json_object_del(row, "kept");
}

static json_t *row_of(const struct ctl *c, const json_t *node)
{
	json_t *row = json_copy((json_t *)node);

	json_object_del(row, "kind");
	if (!c->json)
		add_words(row);
	return row;
}

static const struct column columns[] = {
	{ "NODE", "name", COLUMN_TRUNC, NULL },
	{ "STATE", "state", 0, node_colour },
	{ "FOR", "for", COLUMN_RIGHT, NULL },
	{ "VTEP", "vteps", COLUMN_WRAP, NULL },
	{ "MTU", "mtu", COLUMN_RIGHT, NULL },
	{ "NETWORKS", "networks", COLUMN_WRAP, NULL },
	{ "THIS", "self", 0, NULL },
	{ "KEPT FOR", "kept", COLUMN_TRUNC | COLUMN_ANY, NULL },
	{ 0 },
};

static int run_ls(struct ctl *c, struct fl_error *err)
{
	AUTOCLUSTER struct cluster k = { 0 };
	json_t *rows;
	const json_t *node;
	size_t i;
	int r = cluster_read(c, &k, err);

	if (r)
		return r;
	rows = json_array();
	json_array_foreach(k.nodes, i, node) json_array_append_new(rows, row_of(c, node));
	if (k.agent && json_is_false(json_object_get(k.agent, "reachable")))
		remark(c, "etcd cannot be reached, this is what was known last: %s",
		       text_of(k.agent, "error"));
	return show_list(c, rows, columns, err);
}

/* ---- inspect ---- */

static int find_node(const struct cluster *k, const char *name, const json_t **ret,
		     struct fl_error *err)
{
	const json_t *node = cluster_node(k, name), *one;
	struct nearest n = { .word = name };
	size_t i;

	if (node) {
		*ret = node;
		return 0;
	}
	json_array_foreach(k->nodes, i, one) nearest_try(&n, text_of(one, "name"));
	if (n.best)
		return not_found(err, "%s: no such node in the cluster; did you mean %s?", name,
				 n.best);
	return not_found(err, "%s: no such node in the cluster", name);
}

static const struct column endpoint_columns[] = {
	{ "CONTAINER", "container", COLUMN_TRUNC, NULL },
	{ "NETWORK", "network", 0, NULL },
	{ "INTERFACE", "ifname", 0, NULL },
	{ "ADDRESSES", "ips", COLUMN_WRAP, NULL },
	{ "MAC", "mac", COLUMN_WIDE, NULL },
	{ 0 },
};

static const struct column network_columns[] = {
	{ "NETWORK", "network", COLUMN_TRUNC, NULL },
	{ "MODE", "mode", 0, NULL },
	{ "ITS ADDRESSES", "ips", COLUMN_WRAP, NULL },
	{ "BLOCKS", "blocks", COLUMN_WRAP | COLUMN_ANY, NULL },
	{ "MAC", "mac", COLUMN_WIDE, NULL },
	{ 0 },
};

static const struct field fields[] = {
	{ "Name", "name", NULL },
	{ "State", "state", NULL },
	{ "For", "for", NULL },
	{ "Kept for", "kept", NULL },
	{ "VTEP", "vteps", NULL },
	{ "MTU", "mtu", NULL },
	{ "Epoch", "epoch", NULL },
	{ "This node", "self", NULL },
	{ "Networks", "networks", NULL },
	{ "Cluster", "cluster", NULL },
	{ "etcd", "endpoint", NULL },
	{ "Version", "version", NULL },
	{ "Reachable", "reachable", NULL },
	{ "Error", "error", NULL },
	{ "Lease, seconds", "lease", NULL },
	{ "Alarms", "alarms", NULL },
	{ "To be released", "releases", NULL },
	{ "On networks", "onNetworks", network_columns },
	{ "Endpoints", "endpoints", endpoint_columns },
	{ 0 },
};

static json_t *endpoints_of(const struct cluster *k, const char *node)
{
	json_t *list = json_array(), *one;
	size_t i;

	json_array_foreach(k->endpoints, i, one)
	{
		json_t *row;

		if (strcmp(text_of(one, "node"), node) != 0)
			continue;
		row = json_copy(one);
		json_object_del(row, "kind");
		json_array_append_new(list, row);
	}
	return list;
}

/* What it is there, and in mode l3 which addresses are its own to give. */
static json_t *on_networks(const struct cluster *k, const char *node)
{
	FL_AUTOJSON json_t *blocks = cluster_blocks_of_node(k, node);
	json_t *list = json_array();
	const json_t *one;
	size_t i;

	json_array_foreach(k->addresses, i, one)
	{
		const char *network = text_of(one, "network");
		const json_t *net = cluster_network(k, network), *own;
		json_t *row;

		if (strcmp(text_of(one, "node"), node) != 0)
			continue;
		own = json_object_get(blocks, network);
		row = json_pack("{ss ss sO? ss}", "network", network, "mode", text_of(net, "mode"),
				"ips", json_object_get(one, "ips"), "mac", text_of(one, "mac"));
		if (own)
			json_object_set(row, "blocks", (json_t *)own);
		json_array_append_new(list, row);
	}
	return list;
}

/* Its link to etcd, which is known of this node alone. */
static void add_agent(json_t *o, const json_t *agent)
{
	static const char *const keys[] = {
		"cluster", "endpoint", "version", "reachable", "error",
		"lease",   "revision", "alarms",  "releases",  "stats"
	};

	for (size_t i = 0; i < FL_ARRAY_SIZE(keys); i++) {
		json_t *v = json_object_get(agent, keys[i]);

		if (v && !json_is_null(v))
			json_object_set(o, keys[i], v);
	}
}

static int run_inspect(struct ctl *c, struct fl_error *err)
{
	AUTOCLUSTER struct cluster k = { 0 };
	const json_t *node;
	json_t *o;
	int r = cluster_read(c, &k, err);

	if (!r)
		r = find_node(&k, c->argv[0], &node, err);
	if (r)
		return r;
	o = row_of(c, node);
	if (is_true(node, "self"))
		add_agent(o, k.agent);
	json_object_set_new(o, "onNetworks", on_networks(&k, c->argv[0]));
	json_object_set_new(o, "endpoints", endpoints_of(&k, c->argv[0]));
	return show_object(c, o, fields, err);
}

/* ---- rm ---- */

static bool is_clusters(const struct model *m, const struct attachment *a)
{
	const struct fl_network *net = model_network(m, a->main);

	return net && *net->cluster;
}

/* Those of the cluster's networks; what else the node has is not the cluster's. */
static int detach_own(struct ctl *c, struct fl_error *err)
{
	AUTOMODEL struct model m = { 0 };
	int r = model_read(c, &m, err);

	for (size_t i = 0; !r && i < m.n_attachments; i++)
		if (is_clusters(&m, &m.attachments[i]))
			r = runtime_detach(c, &m.attachments[i], true, err);
	return r;
}

static int leave(struct ctl *c, struct fl_error *err)
{
	struct fl_error why = { 0 };
	int r = option_given(c, "force") ? detach_own(c, err) : 0;

	if (r)
		return r;
	r = agent_ask_network(c, FL_OVERLAY_LEAVE, "", NULL, &why);
	if (r == -EBUSY)
		return fl_error_set(err, r, why.code, "%s; --force detaches them", why.text);
	return r ? fl_error_set(err, r, why.code, "%s", why.text) : 0;
}

static int evict(struct ctl *c, const char *node, struct fl_error *err)
{
	FL_AUTOFREE struct fl_overlay_request *q = calloc(1, sizeof(*q));

	if (!q)
		return fl_error_oom(err);
	q->op = FL_OVERLAY_EVICT;
	fl_strcpy(q->node, sizeof(q->node), node);
	return agent_ask(c, q, NULL, err);
}

/* One that is not listed may still have something in networks that this node is not in. */
static int take_out(struct ctl *c, const struct cluster *k, struct fl_error *err)
{
	struct fl_error why = { 0 };
	const json_t *node;
	int unknown = find_node(k, c->argv[0], &node, err), r;

	if (!unknown && is_true(node, "self"))
		return leave(c, err);
	r = evict(c, c->argv[0], &why);
	if (r && (r != -ENOENT || !unknown))
		*err = why;
	return r;
}

static int run_rm(struct ctl *c, struct fl_error *err)
{
	AUTOCLUSTER struct cluster k = { 0 };
	int r = cluster_read(c, &k, err);

	if (!r)
		r = take_out(c, &k, err);
	if (r)
		return r;
	say(c, "%s", c->argv[0]);
	return c->json ? show_json(json_pack("[s]", c->argv[0]), err) : 0;
}

static const struct option_spec rm_options[] = {
	{ "force", 'f', NULL, "of this node: its endpoints are detached", NULL },
	{ 0 },
};

static const struct example ls_examples[] = {
	{ "netctl node ls", "who is in the cluster, and gives signs of life" },
	{ 0 },
};

static const struct example inspect_examples[] = {
	{ "netctl node inspect node2", "what it has on the networks that this node takes part in" },
	{ 0 },
};

static const struct example rm_examples[] = {
	{ "netctl node rm node2", "all that a dead node left behind" },
	{ 0 },
};

#define NODE_JSON                                                                           \
	"name, state, since, vtep4, vtep6, mtu, epoch, self, record (whether it has one), " \
	"networks (list), "                                                                 \
	"kept (the key in etcd by which a dead node has what is not understood here)"
#define STATES                                                                                   \
	"State: alive; suspect when it gives no sign of life (its endpoints are still reached, " \
	"its "                                                                                   \
	"names are not answered); dead when that has lasted for the hold-down time of the "      \
	"agents. "                                                                               \
	"Then another node's agent takes it out of the cluster, with all that it has there; a "  \
	"node whose record is kept has what a later version wrote, which this one does not "     \
	"understand."

const struct command node_ls_command = {
	.name = "node ls",
	.args = "",
	.about = "nodes of the cluster and their state",
	.text = STATES,
	.json = "a list of objects: " NODE_JSON ".",
	.examples = ls_examples,
	.flags = COMMAND_READS,
	.run = run_ls,
};

const struct command node_inspect_command = {
	.name = "node inspect",
	.args = "NODE",
	.about = "everything about a node of the cluster",
	.text = STATES,
	.json = "an object: " NODE_JSON
		"; onNetworks (list of objects: network, mode, ips (the node's own), mac, blocks "
		"(list of prefixes, mode l3)); endpoints (list of objects: network, id, node, "
		"container, ifname, mac, ips, "
		"name, aliases, local, suspect, conflict); of this node also cluster, endpoint (of "
		"etcd), version, reachable, error, lease (seconds left), revision, alarms (list), "
		"releases (how many wait for etcd), stats.",
	.examples = inspect_examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 1,
	.completes = "@node",
	.run = run_inspect,
};

const struct command node_rm_command = {
	.name = "node rm",
	.args = "NODE",
	.about = "take a node out of the cluster, with all that it has there",
	.text = "Another node must be dead; what it left behind goes, also its addresses. This "
		"node "
		"leaves the cluster, which needs it to have no endpoints on overlays.",
	.json = "a list of the name.",
	.options = rm_options,
	.examples = rm_examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 1,
	.completes = "@node",
	.run = run_rm,
};
