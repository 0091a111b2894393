/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network inspect of an overlay: what the cluster knows of it. */
#include "netctl/cluster_network.h"
#include "netctl/out.h"

#include "base/cleanup.h"

#include <string.h>

const struct column cluster_node_columns[] = {
	{ "NODE", "name", COLUMN_TRUNC, NULL },
	{ "STATE", "state", 0, node_colour },
	{ "VTEP", "vteps", COLUMN_WRAP, NULL },
	{ "MTU", "mtu", COLUMN_RIGHT, NULL },
	{ "THIS", "self", 0, NULL },
	{ "BLOCKS", "blocks", COLUMN_WRAP | COLUMN_ANY, NULL },
	{ 0 },
};

static json_t *node_row(const struct cluster *k, const char *name, const json_t *blocks)
{
	const json_t *node = cluster_node(k, name);
	json_t *row = json_pack("{ss ss so}", "name", name, "state", text_of(node, "state"),
				"vteps", node_vteps(node));

	if (json_object_get(node, "mtu"))
		json_object_set(row, "mtu", json_object_get(node, "mtu"));
	json_object_set_new(row, "self", json_boolean(is_true(node, "self")));
	if (json_object_get(blocks, name))
		json_object_set(row, "blocks", json_object_get(blocks, name));
	return row;
}

static void copy(json_t *to, const char *key, const json_t *from, const char *of)
{
	json_t *v = json_object_get(from, of);

	if (v && !json_is_null(v))
		json_object_set(to, key, v);
}

void cluster_add_subnets(json_t *o, const json_t *net)
{
	const json_t *one;
	size_t i;
	json_t *list;

	if (json_array_size(json_object_get(o, "subnets")))
		return;
	list = json_array();
	json_array_foreach(json_object_get(net, "subnets"), i, one)
		json_array_append(list, json_object_get(one, "subnet"));
	json_object_set_new(o, "subnets", list);
}

void cluster_inspect(const struct cluster *k, const char *network, json_t *o)
{
	static const char *const keys[] = { "vni", "port", "mtu", "mode", "broadcast", "internal" };
	const json_t *net = cluster_network(k, network), *name;
	FL_AUTOJSON json_t *blocks = cluster_blocks_of_network(k, network);
	json_t *nodes;
	size_t i;

	if (!net)
		return;
	for (i = 0; i < FL_ARRAY_SIZE(keys); i++)
		copy(o, keys[i], net, keys[i]);
	copy(o, "endpointsHere", net, "local");
	copy(o, "endpointsElsewhere", net, "remote");
	cluster_add_subnets(o, net);
	nodes = json_array();
	json_array_foreach(json_object_get(net, "nodes"), i, name)
	{
		if (json_is_string(name))
			json_array_append_new(nodes, node_row(k, json_string_value(name), blocks));
	}
	json_object_set_new(o, "nodes", nodes);
}
