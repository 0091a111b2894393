/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/agent.h"

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "netctl/lines.h"
#include "netctl/out.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define START                                                                          \
	"`systemctl enable --now fairlead-overlayd` starts it, or `fairlead-overlayd " \
	"--background`"

bool agent_is_there(struct ctl *c)
{
	char state[4096], path[4200];

	if (ctl_state_dir(c, state, sizeof(state), NULL))
		return false;
	snprintf(path, sizeof(path), "%s/" FL_OVERLAY_SOCKET, state);
	return !access(path, F_OK);
}

static int not_running(struct fl_error *err)
{
	if (access(FL_OVERLAY_CONFIG, F_OK))
		return fl_error_set(err, ENOTCONN, FL_ECODE_NOT_AVAILABLE,
				    "this node is in no cluster: write {\"endpoints\": "
				    "[\"http://ADDRESS:2379\"]}, with the addresses of etcd, "
				    "to " FL_OVERLAY_CONFIG "; then " START);
	return fl_error_set(err, ENOTCONN, FL_ECODE_NOT_AVAILABLE,
			    FL_OVERLAY_PROGRAM ", the agent of overlay networks, does not run on "
					       "this node; " START);
}

static int ask(struct ctl *c, int *s, struct fl_overlay_request *q, struct fl_overlay_answer *ret,
	       struct fl_error *err)
{
	struct fl_error why = { 0 };
	char state[4096];
	int r = ctl_state_dir(c, state, sizeof(state), err);

	if (r)
		return r;
	r = fl_overlay_ask(state, s, q, ret, &why);
	if (r == -ENOENT && !why.err)
		return not_running(err);
	return r < 0 ? fl_error_set(err, r, why.code, "%s", why.text) : r;
}

int agent_ask(struct ctl *c, struct fl_overlay_request *q, struct fl_overlay_answer *ret,
	      struct fl_error *err)
{
	FL_AUTOCLOSE int s = -1;

	return ask(c, &s, q, ret, err);
}

int agent_ask_network(struct ctl *c, enum fl_overlay_op op, const char *network,
		      struct fl_overlay_answer *ret, struct fl_error *err)
{
	FL_AUTOFREE struct fl_overlay_request *q = calloc(1, sizeof(*q));

	if (!q)
		return fl_error_oom(err);
	q->op = op;
	fl_strcpy(q->network, sizeof(q->network), network);
	return agent_ask(c, q, ret, err);
}

/* ---- SHOW ---- */

void cluster_clear(struct cluster *k)
{
	json_decref(k->agent);
	json_decref(k->nodes);
	json_decref(k->networks);
	json_decref(k->endpoints);
	json_decref(k->addresses);
	json_decref(k->routes);
	json_decref(k->asked);
	*k = (struct cluster){ 0 };
}

static json_t **list_of(struct cluster *k, const char *kind)
{
	const struct {
		const char *kind;
		json_t **list;
	} lists[] = { { "node", &k->nodes },	     { "network", &k->networks },
		      { "endpoint", &k->endpoints }, { "address", &k->addresses },
		      { "route", &k->routes },	     { "asked", &k->asked } };

	for (size_t i = 0; i < FL_ARRAY_SIZE(lists); i++)
		if (!strcmp(lists[i].kind, kind))
			return lists[i].list;
	return NULL;
}

static int take(void *arg, const json_t *line)
{
	struct cluster *k = arg;
	const char *kind = text_of(line, "kind");
	json_t **list = list_of(k, kind);

	if (!strcmp(kind, "agent") && !k->agent)
		k->agent = json_incref((json_t *)line);
	return list && json_array_append(*list, (json_t *)line) ? -ENOMEM : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(text_of(*(json_t *const *)a, "name"), text_of(*(json_t *const *)b, "name"));
}

/* The agent has them in no order. */
static int sort(json_t **list)
{
	size_t n = json_array_size(*list);
	FL_AUTOFREE json_t **v = calloc(n + 1, sizeof(json_t *));
	json_t *sorted = json_array();

	if (!v || !sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		v[i] = json_array_get(*list, i);
	qsort(v, n, sizeof(json_t *), by_name);
	for (size_t i = 0; i < n; i++)
		json_array_append(sorted, v[i]);
	json_decref(*list);
	*list = sorted;
	return 0;
}

int cluster_read(struct ctl *c, struct cluster *ret, struct fl_error *err)
{
	return cluster_ask(c, &(struct fl_addr){ 0 }, ret, err);
}

int cluster_ask(struct ctl *c, const struct fl_addr *a, struct cluster *ret, struct fl_error *err)
{
	FL_AUTOFREE struct fl_overlay_request *q = calloc(1, sizeof(*q));
	AUTOCLUSTER struct cluster k = { .nodes = json_array(),
					 .networks = json_array(),
					 .endpoints = json_array(),
					 .addresses = json_array(),
					 .routes = json_array(),
					 .asked = json_array() };
	FL_AUTOCLOSE int s = -1;
	int r;

	if (!q || !k.nodes || !k.networks || !k.endpoints || !k.addresses || !k.routes || !k.asked)
		return fl_error_oom(err);
	q->op = FL_OVERLAY_SHOW;
	q->ips[0] = *a;
	r = ask(c, &s, q, NULL, err);
	if (!r)
		r = lines_read(s, FL_OVERLAY_PROGRAM, take, &k, err);
	if (!r && (sort(&k.nodes) || sort(&k.networks)))
		r = fl_error_oom(err);
	if (r)
		return r;
	*ret = k;
	k = (struct cluster){ 0 };
	return 0;
}

int cluster_read_if(struct ctl *c, struct cluster *ret, struct fl_error *err)
{
	return cluster_ask_if(c, &(struct fl_addr){ 0 }, ret, err);
}

int cluster_ask_if(struct ctl *c, const struct fl_addr *a, struct cluster *ret,
		   struct fl_error *err)
{
	struct fl_error why = { 0 };
	int r = agent_is_there(c) ? cluster_ask(c, a, ret, &why) : 0;

	if (r == -ENOMEM)
		return fl_error_oom(err);
	if (r)
		remark(c, "the cluster's networks are not shown: %s", why.text);
	return 0;
}

static json_t *named(const json_t *list, const char *name)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (!strcmp(text_of(one, "name"), name))
			return one;
	}
	return NULL;
}

json_t *cluster_network(const struct cluster *k, const char *name)
{
	return named(k->networks, name);
}

json_t *cluster_node(const struct cluster *k, const char *name)
{
	return named(k->nodes, name);
}

json_t *cluster_address(const struct cluster *k, const char *network, const char *node)
{
	json_t *one;
	size_t i;

	json_array_foreach(k->addresses, i, one)
	{
		if (!strcmp(text_of(one, "network"), network) &&
		    !strcmp(text_of(one, "node"), node))
			return one;
	}
	return NULL;
}

bool ips_have(const json_t *o, const struct fl_addr *a)
{
	struct fl_addr one;
	const json_t *ip;
	size_t i;

	json_array_foreach(json_object_get(o, "ips"), i, ip)
	{
		if (json_is_string(ip) && !fl_addr_parse(json_string_value(ip), &one) &&
		    fl_addr_eq(&one, a))
			return true;
	}
	return false;
}

json_t *cluster_address_of(const struct cluster *k, const char *network, const struct fl_addr *a)
{
	json_t *one;
	size_t i;

	json_array_foreach(k->addresses, i, one)
	{
		if (!strcmp(text_of(one, "network"), network) && ips_have(one, a))
			return one;
	}
	return NULL;
}

static json_t *blocks_by(const struct cluster *k, const char *key, const char *value,
			 const char *by)
{
	json_t *map = json_object(), *one, *list;
	size_t i;

	json_array_foreach(k->routes, i, one)
	{
		const char *name = text_of(one, by);

		if (strcmp(text_of(one, key), value) != 0 || !is_true(one, "block"))
			continue;
		list = json_object_get(map, name);
		if (!list)
			json_object_set_new(map, name, list = json_array());
		json_array_append(list, json_object_get(one, "to"));
	}
	return map;
}

json_t *cluster_blocks_of_network(const struct cluster *k, const char *network)
{
	return blocks_by(k, "network", network, "node");
}

json_t *cluster_blocks_of_node(const struct cluster *k, const char *node)
{
	return blocks_by(k, "node", node, "network");
}

struct fl_addr cluster_vtep(const struct cluster *k, const char *node)
{
	struct fl_addr a = { 0 };

	fl_addr_parse(
		text_of(cluster_node(k, node), *text_of(k->agent, "vtep4") ? "vtep4" : "vtep6"),
		&a);
	return a;
}

json_t *node_vteps(const json_t *node)
{
	static const char *const keys[] = { "vtep4", "vtep6" };
	json_t *list = json_array();

	for (size_t i = 0; i < FL_ARRAY_SIZE(keys); i++)
		if (*text_of(node, keys[i]))
			json_array_append(list, json_object_get(node, keys[i]));
	return list;
}

const char *node_colour(const json_t *row)
{
	const char *state = text_of(row, "state");

	return !strcmp(state, "alive")	   ? COLOUR_GOOD
	       : !strcmp(state, "suspect") ? COLOUR_WARN
	       : *state			   ? COLOUR_BAD
					   : NULL;
}
