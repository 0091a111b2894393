/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host, its networks and who is on them: what the tree, JSON, DOT and SVG are drawn from.
 * Everything points into the model and the peers.
 */
#pragma once

#include "netctl/peers.h"

#include "base/strbuf.h"

#include <net/if.h>

enum { TOPO_NAMES = 8 }; /* of a node's containers, which are shown; the rest is counted */

/* Another node, as one network has it. */
struct topo_node {
	const char *name;
	const struct fl_peer *v; /* its containers; into the peers */
	size_t n, suspect;	 /* of them without a sign of life */
};

struct topo_net {
	const char *name;
	const char *driver;		 /* of the endpoints */
	const struct fl_network *record; /* NULL: none is kept */
	const char *link;		 /* bridge, or the parent of macvlan and the like; "" */
	struct fl_prefix *gateways;	 /* of `link`, without link-local ones; owned */
	size_t n_gateways;
	const struct attachment **members; /* into topology.by_net */
	size_t n;
	const struct topo_node *nodes; /* into topology.nodes: behind the tunnel */
	size_t n_nodes;
};

struct topo_box {
	const char *id; /* of the container */
	const struct attachment *
		*members; /* into topology.by_box: one for each line to a network */
	size_t n;
};

struct topology {
	const struct attachment **by_net, **by_box;
	size_t n; /* of each */
	struct topo_net *nets;
	size_t n_nets;
	struct topo_box *boxes;
	size_t n_boxes;
	struct topo_node *nodes; /* by network */
	size_t n_nodes;
	char host[65];
	char uplink[IFNAMSIZ]; /* of the default route, "" without */
	struct fl_prefix uplink_addrs[8];
	size_t n_uplink;
};

/* Of the networks in `only`, or of all when n_only is 0. Model and peers must outlive it. */
int topology_make(struct ctl *c, const struct model *m, const struct peers *peers, char **only,
		  size_t n_only, struct topology *ret, struct fl_error *err);
void topology_clear(struct topology *t);
#define AUTOTOPOLOGY FL_CLEANUP(topology_clear)

/* The box of an attachment of the topology. */
const struct topo_box *topology_box(const struct topology *t, const struct attachment *a);
/* The network of the same. */
const struct topo_net *topology_net(const struct topology *t, const struct attachment *a);
/* Of the port that leads to the other nodes; "" where none is kept. */
static inline const char *topology_tunnel(const struct topo_net *net)
{
	return net->record ? net->record->tunnel : "";
}
/* "3 containers", "3 containers, 1 suspect" */
const char *node_words(const struct topo_node *node, char *buf, size_t size);
#define NODE_WORDS(node) node_words(node, (char[64]){ 0 }, 64)
/* "internal", "isolated", "no-icc", "guarded", "routed", "masquerade", "snat", "direct", "l3". */
json_t *network_flags(const struct fl_network *net);
/* "8080 -> 80/tcp", with the host's address in front unless it is all of them. */
void port_words(const struct fl_port *p, const char *arrow, char *buf, size_t size);
/* Calls fn for each published port of all plugins of the chain. */
void ports_each(const struct attachment *a, void (*fn)(void *arg, const struct fl_port *p),
		void *arg);

/* dot.c, svg.c: the whole document is appended to b. */
void draw_dot(const struct topology *t, struct fl_strbuf *b);
int draw_svg(const struct topology *t, struct fl_strbuf *b, struct fl_error *err);
