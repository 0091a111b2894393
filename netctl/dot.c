/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The topology for graphviz. */
#include "netctl/shares.h"
#include "netctl/text.h"
#include "netctl/topology.h"

enum { PORTS_SHOWN = 8 };

static void add_prefixes(struct fl_strbuf *b, const struct fl_prefix *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fl_strbuf_addf(b, "\\n%s", fl_prefix_str(&p[i], FL_PREFIX_BUF));
}

static void add_host(const struct topology *t, struct fl_strbuf *b)
{
	fl_strbuf_add(b, "\toutside [label=\"outside\", shape=ellipse];\n\thost [label=\"");
	add_dot(b, t->host);
	if (*t->uplink) {
		fl_strbuf_add(b, "\\n");
		add_dot(b, t->uplink);
	}
	add_prefixes(b, t->uplink_addrs, t->n_uplink);
	fl_strbuf_add(b, "\", shape=box, penwidth=2];\n\toutside -> host [dir=both];\n");
}

static void add_net(const struct topo_net *net, size_t i, struct fl_strbuf *b)
{
	fl_strbuf_addf(b, "\tn%zu [label=\"", i);
	add_dot(b, net->name);
	fl_strbuf_add(b, "\\n");
	add_dot(b, net->driver);
	fl_strbuf_add(b, " ");
	add_dot(b, net->link);
	if (net->record)
		add_prefixes(b, net->record->subnets, net->record->n_subnets);
	fl_strbuf_addf(b,
		       "\", shape=box, style=filled, fillcolor=\"#e2e8f0\"];\n"
		       "\thost -> n%zu [dir=none];\n",
		       i);
}

static void add_node(const struct topology *t, size_t net, const struct topo_node *node,
		     struct fl_strbuf *b)
{
	size_t i = (size_t)(node - t->nodes);

	fl_strbuf_addf(b, "\tm%zu [label=\"node ", i);
	add_dot(b, node->name);
	fl_strbuf_addf(b, "\\n%s", NODE_WORDS(node));
	for (size_t k = 0; k < node->n && k < TOPO_NAMES; k++) {
		fl_strbuf_add(b, "\\n");
		add_dot(b, PEER_LABEL(&node->v[k]));
	}
	if (node->n > TOPO_NAMES)
		fl_strbuf_addf(b, "\\n+ %zu more", node->n - TOPO_NAMES);
	fl_strbuf_addf(b,
		       "\", shape=box, style=\"rounded,dashed\"];\n"
		       "\tn%zu -> m%zu [dir=none, style=dashed, label=\"",
		       net, i);
	add_dot(b, topology_tunnel(&t->nets[net]));
	fl_strbuf_add(b, "\"];\n");
}

struct ports {
	struct fl_strbuf *b;
	size_t n;
};

static void add_port(void *arg, const struct fl_port *p)
{
	struct ports *all = arg;
	char words[128];

	if (all->n++ >= PORTS_SHOWN)
		return;
	port_words(p, "->", words, sizeof(words));
	fl_strbuf_add(all->b, all->n > 1 ? "\\n" : "");
	add_dot(all->b, words);
}

static void add_ports(const struct attachment *a, size_t box, struct fl_strbuf *b)
{
	FL_AUTOSTRBUF struct fl_strbuf label = { 0 };
	struct ports all = { &label, 0 };

	ports_each(a, add_port, &all);
	if (!all.n)
		return;
	if (all.n > PORTS_SHOWN)
		fl_strbuf_addf(&label, "\\n+ %zu more", all.n - PORTS_SHOWN);
	fl_strbuf_addf(b, "\toutside -> e%zu [label=\"%s\", style=dashed, constraint=false];\n",
		       box, label.s ? label.s : "");
}

static void add_box(const struct topology *t, size_t i, struct fl_strbuf *b)
{
	const struct topo_box *box = &t->boxes[i];

	fl_strbuf_addf(b, "\te%zu [label=\"", i);
	add_dot(b, CONTAINER_LABEL(box->members[0]->main));
	fl_strbuf_add(b, "\", shape=box, style=\"rounded\", tooltip=\"");
	add_dot(b, box->id);
	fl_strbuf_add(b, "\"];\n");
	for (size_t k = 0; k < box->n; k++) {
		const struct fl_endpoint *ep = box->members[k]->main;

		fl_strbuf_addf(b, "\tn%td -> e%zu [dir=none, label=\"",
			       topology_net(t, box->members[k]) - t->nets, i);
		add_dot(b, SHARES_INTERFACE(box->members[k]));
		add_prefixes(b, ep->addrs, ep->n_addrs);
		fl_strbuf_add(b, "\"];\n");
		add_ports(box->members[k], i, b);
	}
}

void draw_dot(const struct topology *t, struct fl_strbuf *b)
{
	fl_strbuf_add(b, "digraph fairlead {\n"
			 "\trankdir=TB;\n"
			 "\tgraph [fontname=\"sans-serif\"];\n"
			 "\tnode [fontname=\"sans-serif\", fontsize=11];\n"
			 "\tedge [fontname=\"sans-serif\", fontsize=9];\n");
	add_host(t, b);
	for (size_t i = 0; i < t->n_nets; i++)
		add_net(&t->nets[i], i, b);
	for (size_t i = 0; i < t->n_boxes; i++)
		add_box(t, i, b);
	for (size_t i = 0; i < t->n_nets; i++)
		for (size_t k = 0; k < t->nets[i].n_nodes; k++)
			add_node(t, i, &t->nets[i].nodes[k], b);
	fl_strbuf_add(b, "}\n");
}
