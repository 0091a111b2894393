/* SPDX-License-Identifier: GPL-2.0-or-later */
/* topology: which form, and the tree and the JSON. */
#include "netctl/atomic.h"
#include "netctl/out.h"
#include "netctl/shares.h"
#include "netctl/topology.h"

#include <string.h>

static json_t *prefixes_json(const struct fl_prefix *p, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(fl_prefix_str(&p[i], FL_PREFIX_BUF)));
	return list;
}

static json_t *subnets_json(const struct topo_net *net)
{
	return net->record ? prefixes_json(net->record->subnets, net->record->n_subnets)
			   : json_array();
}

/* ---- JSON ---- */

/* The other networks of the container. */
static json_t *also_json(const struct topology *t, const struct attachment *a)
{
	const struct topo_box *box = topology_box(t, a);
	json_t *list = json_array();

	for (size_t i = 0; i < box->n; i++)
		if (box->members[i] != a)
			json_array_append_new(list, json_string(box->members[i]->main->id.network));
	return list;
}

static json_t *nodes_json(const struct topo_net *net)
{
	json_t *list = json_array();

	for (size_t i = 0; i < net->n_nodes; i++) {
		const struct topo_node *node = &net->nodes[i];
		json_t *shown = json_array();

		for (size_t k = 0; k < node->n && k < TOPO_NAMES; k++)
			json_array_append_new(shown, peer_json(&node->v[k]));
		json_array_append_new(list, json_pack("{ss ss sI sI so}", "node", node->name,
						      "tunnel", topology_tunnel(net), "count",
						      (json_int_t)node->n, "suspect",
						      (json_int_t)node->suspect, "peers", shown));
	}
	return list;
}

static json_t *net_json(const struct topology *t, const struct topo_net *net)
{
	json_t *endpoints = json_array();

	for (size_t i = 0; i < net->n; i++) {
		json_t *one = attachment_json(net->members[i]);

		json_object_set_new(one, "label",
				    json_string(CONTAINER_LABEL(net->members[i]->main)));
		json_object_set_new(one, "sharesSandboxOf",
				    json_string(net->members[i]->main->shares));
		json_object_set_new(one, "alsoOn", also_json(t, net->members[i]));
		json_array_append_new(endpoints, one);
	}
	return json_pack("{ss ss ss ss so so so so so}", "name", net->name, "driver", net->driver,
			 "link", net->link, "parent", net->record ? net->record->parent : "",
			 "subnets", subnets_json(net), "gateways",
			 prefixes_json(net->gateways, net->n_gateways), "flags",
			 network_flags(net->record), "endpoints", endpoints, "nodes",
			 nodes_json(net));
}

static json_t *topology_json(const struct topology *t)
{
	json_t *nets = json_array();

	for (size_t i = 0; i < t->n_nets; i++)
		json_array_append_new(nets, net_json(t, &t->nets[i]));
	return json_pack("{s{ss ss so} so}", "host", "name", t->host, "uplink", t->uplink,
			 "addresses", prefixes_json(t->uplink_addrs, t->n_uplink), "networks",
			 nets);
}

/* ---- the tree ---- */

static const char *row_colour(const json_t *row)
{
	return json_object_get(row, "children") ? COLOUR_HEAD : NULL;
}

static const struct column columns[] = {
	{ "NAME", "name", COLUMN_TREE | COLUMN_TRUNC, row_colour },
	{ "INTERFACE", "interface", 0, NULL },
	{ "ADDRESSES", "addresses", COLUMN_WRAP, NULL },
	{ "PORTS, FLAGS", "more", COLUMN_WRAP, NULL },
	{ 0 },
};

static void add_port(void *arg, const struct fl_port *p)
{
	char words[128];

	port_words(p, "->", words, sizeof(words));
	json_array_append_new(arg, json_string(words));
}

static json_t *endpoint_row(const struct topology *t, const struct attachment *a)
{
	json_t *ports = json_array();
	const struct fl_endpoint *ep = a->main;

	ports_each(a, add_port, ports);
	if (ep->state != FL_STATE_READY)
		json_array_append_new(ports, json_string(state_str(ep->state)));
	return json_pack(
		"{so ss so so}", "name",
		json_sprintf("%s%s", CONTAINER_LABEL(ep), topology_box(t, a)->n > 1 ? " *" : ""),
		"interface", SHARES_INTERFACE(a), "addresses",
		prefixes_json(ep->addrs, ep->n_addrs), "more", ports);
}

/* "10.1.0.0/24", and below it "gateway 10.1.0.1". */
static json_t *net_addresses(const struct topo_net *net)
{
	json_t *list = subnets_json(net);
	bool bridge = net->record && *net->record->link && !*net->record->parent;

	for (size_t i = 0; bridge && i < net->n_gateways; i++)
		json_array_append_new(
			list, json_sprintf("gateway %s",
					   fl_addr_str(&net->gateways[i].addr, FL_ADDR_BUF)));
	return list;
}

static json_t *node_row(const struct topo_net *net, const struct topo_node *node)
{
	json_t *children = json_array();

	for (size_t i = 0; i < node->n && i < TOPO_NAMES; i++)
		json_array_append_new(children,
				      json_pack("{ss ss so s[]}", "name", PEER_LABEL(&node->v[i]),
						"interface", node->v[i].ifname, "addresses",
						peer_addresses(&node->v[i]), "more"));
	if (node->n > TOPO_NAMES)
		json_array_append_new(children,
				      json_pack("{so}", "name",
						json_sprintf("+ %zu more", node->n - TOPO_NAMES)));
	return json_pack("{so ss s[] s[s] so}", "name", json_sprintf("node %s", node->name),
			 "interface", topology_tunnel(net), "addresses", "more", NODE_WORDS(node),
			 "children", children);
}

static json_t *net_row(const struct topology *t, const struct topo_net *net)
{
	json_t *children = json_array();

	for (size_t i = 0; i < net->n; i++)
		json_array_append_new(children, endpoint_row(t, net->members[i]));
	for (size_t i = 0; i < net->n_nodes; i++)
		json_array_append_new(children, node_row(net, &net->nodes[i]));
	return json_pack("{so ss so so so}", "name",
			 json_sprintf("%s (%s)", net->name, net->driver), "interface",
			 *net->link ? net->link : "-", "addresses", net_addresses(net), "more",
			 network_flags(net->record), "children", children);
}

/* The networks, without the rest of the tree. */
static int show_names(struct ctl *c, const struct topology *t, json_t *rows, struct fl_error *err)
{
	for (size_t i = 0; i < t->n_nets; i++)
		json_array_append_new(rows, json_pack("{ss}", "name", t->nets[i].name));
	return show_list(c, rows, columns, err);
}

static int show_tree(struct ctl *c, const struct topology *t, struct fl_error *err)
{
	json_t *children = json_array();
	bool several = false;
	int r;

	if (c->quiet)
		return show_names(c, t, children, err);
	for (size_t i = 0; i < t->n_nets; i++)
		json_array_append_new(children, net_row(t, &t->nets[i]));
	r = show_list(c,
		      json_pack("[{ss ss so s[] so}]", "name", *t->host ? t->host : "host",
				"interface", *t->uplink ? t->uplink : "-", "addresses",
				prefixes_json(t->uplink_addrs, t->n_uplink), "more", "children",
				children),
		      columns, err);
	for (size_t i = 0; i < t->n_boxes && !several; i++)
		several = t->boxes[i].n > 1;
	if (!r && several)
		say(c, "* is on several networks");
	return r;
}

/* ---- the verb ---- */

static int put_out(const struct ctl *c, const struct fl_strbuf *b, struct fl_error *err)
{
	const char *file = option_value(c, "output");

	if (b->failed)
		return fl_error_oom(err);
	if (file)
		return file_replace(file, b->s, b->len, err);
	fwrite(b->s, 1, b->len, stdout);
	return 0;
}

static int put_json(const struct ctl *c, const struct topology *t, struct fl_error *err)
{
	FL_AUTOJSON json_t *v = topology_json(t);
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };

	if (!v)
		return fl_error_oom(err);
	b.s = json_dumps(v, JSON_INDENT(2));
	if (!b.s)
		return fl_error_oom(err);
	b.len = strlen(b.s);
	b.cap = b.len + 1;
	fl_strbuf_add(&b, "\n");
	return put_out(c, &b, err);
}

static int show(struct ctl *c, const struct topology *t, struct fl_error *err)
{
	bool svg = option_given(c, "svg"), dot = option_given(c, "dot");
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	int r = 0;

	if (c->json)
		return put_json(c, t, err);
	if (!svg && !dot)
		return show_tree(c, t, err);
	if (svg)
		r = draw_svg(t, &b, err);
	else
		draw_dot(t, &b);
	return r ? r : put_out(c, &b, err);
}

static int run(struct ctl *c, struct fl_error *err)
{
	int forms = c->json + option_given(c, "svg") + option_given(c, "dot");
	AUTOTOPOLOGY struct topology t = { 0 };
	AUTOMODEL struct model m = { 0 };
	AUTOPEERS struct peers peers = { 0 };
	int r;

	if (forms > 1)
		return usage_error(err, "--json, --dot and --svg exclude each other");
	if (option_given(c, "output") && !forms)
		return usage_error(err, "--output needs --svg, --dot or --json");
	r = model_read(c, &m, err);
	if (!r)
		r = peers_read(c, &peers, err);
	if (!r)
		r = topology_make(c, &m, &peers, c->argv, (size_t)c->argc, &t, err);
	return r ? r : show(c, &t, err);
}

static const struct option_spec options[] = {
	{ "svg", 0, NULL, "a picture", NULL },
	{ "dot", 0, NULL, "a graph for graphviz", NULL },
	{ "output", 'o', "FILE", "into a file, which is replaced as a whole", "@file" },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl topology", "the host's networks and who is on them" },
	{ "netctl topology --svg -o /tmp/networks.svg", "the same as a picture" },
	{ 0 },
};

const struct command topology_command = {
	.name = "topology",
	.args = "[NETWORK...]",
	.about = "the host, its networks and who is on them: tree, picture or graph",
	.text = "The tree has the host at the top, below it networks with their bridge or parent "
		"interface, and below those the containers with their addresses and published "
		"ports. What is on several networks is marked with *. Where an agent tells of "
		"other "
		"nodes, these stand behind the tunnel, each with how many containers it has on the "
		"network and the names of eight of them; netctl network inspect has all.",
	.json = "an object: host: name, uplink, addresses (list); networks, a list of: name, "
		"driver, "
		"link, parent, subnets (list), gateways (list), flags (list of internal, isolated, "
		"no-icc, guarded, routed, masquerade, snat, direct, l3), endpoints, a list "
		"of: " ATTACHMENT_JSON ", " SHARES_JSON
		", alsoOn (list of networks); nodes, a list of: node, tunnel "
		"(the way there), count (of its containers), suspect (how many of them), peers "
		"(eight of them at most), a list of: " PEER_JSON ".",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.max = -1,
	.completes = "@network",
	.run = run,
};
