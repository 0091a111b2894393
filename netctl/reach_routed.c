/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlay networks whose host routes between bridge and tunnel: from the route to a node's block of
 * addresses to its VTEP. Each step is what the kernel has; with an agent it is held against what
 * the cluster has.
 */
#include "netctl/reach.h"

#include "netctl/agent.h"
#include "netctl/links.h"
#include "netctl/out.h"
#include "netctl/taken.h"
#include "nl/neigh.h"

#include <errno.h>
#include <string.h>

static const char COMPARE[] =
	"netctl doctor --repair: the node's agent compares the kernel with the cluster";

const struct fl_network *reach_tunnel_of(const struct walk *w, const char *ifname)
{
	for (size_t i = 0; i < w->m->n_networks; i++)
		if (w->m->networks[i].tunnel_routed && !strcmp(w->m->networks[i].tunnel, ifname))
			return &w->m->networks[i];
	return NULL;
}

/* The network of the peer, or that the address is in. */
static const struct fl_network *network_to(const struct walk *w, const struct fl_addr *to,
					   const struct fl_peer *peer)
{
	for (size_t i = 0; i < w->m->n_networks; i++) {
		const struct fl_network *net = &w->m->networks[i];

		if (!net->tunnel_routed)
			continue;
		if (peer && !strcmp(net->name, peer->network))
			return net;
		for (uint32_t k = 0; !peer && k < net->n_subnets; k++)
			if (fl_prefix_contains(&net->subnets[k], to))
				return net;
	}
	return NULL;
}

static const struct fl_peer *peer_to(const struct walk *w)
{
	return w->to->kind == PARTY_PEER ? w->to->peer : NULL;
}

/* ---- the host's route ---- */

static void tell_missing(struct walk *w, const struct fl_network *net, const char *dst,
			 const char *out)
{
	const struct fl_peer *peer = peer_to(w);

	if (peer)
		step_failed(w->steps, "node route", COMPARE,
			    "there is no route by %s to %s, or to the block of node %s that it is "
			    "in%s%s",
			    net->tunnel, dst, peer->node, *out ? ": it would go out through " : "",
			    out);
	else
		step_failed(w->steps, "node route",
			    "netctl network inspect tells which blocks of addresses the nodes have",
			    "%s is in no node's block of network %s: nobody has it", dst,
			    net->name);
}

/* What keeps the packet out of the tunnel; false: nothing that can be told. */
static bool tell_taken(struct walk *w, const struct fl_network *net)
{
	const char *dst = fl_addr_str(&w->p.dst, FL_ADDR_BUF);
	struct taken_question q = { .to = w->p.dst, .subnet = taken_subnet(net, &w->p.dst) };
	struct fl_error why = { 0 };
	struct fl_link link;
	struct taken t;

	if (fl_link_find(w->c->host, net->tunnel, &link, &why) != 1)
		return false; /* told where the tunnel is looked at */
	q.want = link.index;
	if (*w->p.in && fl_link_find(w->c->host, w->p.in, &link, &why) == 1) {
		q.from = w->p.src;
		q.iif = link.index;
	}
	if (taken_ask(w->c, &q, &t, &why) || !t.away)
		return false;
	if (t.missing)
		tell_missing(w, net, dst, w->p.out);
	else
		step_failed(w->steps, "node route", t.remedy,
			    "%s does not go out through %s, the tunnel of network %s: %s", dst,
			    net->tunnel, net->name, t.cause);
	return true;
}

bool reach_routed_gate(struct walk *w)
{
	const struct fl_network *net = w->dst ? NULL : network_to(w, &w->p.dst, peer_to(w));
	const char *dst = fl_addr_str(&w->p.dst, FL_ADDR_BUF);
	if (!net || !strcmp(w->p.out, net->tunnel))
		return true;
	if (!peer_to(w) && !strcmp(w->p.out, net->link)) {
		step_failed(w->steps, "endpoint", NULL,
			    "%s is in a block of this node, and no container of network %s has it",
			    dst, net->name);
		return false;
	}
	return !tell_taken(w, net);
}

bool reach_routed_refused(struct walk *w)
{
	const struct fl_network *net = w->dst ? NULL : network_to(w, &w->p.dst, peer_to(w));

	return net && tell_taken(w, net);
}

bool reach_is_routed(const struct walk *w)
{
	return network_to(w, &w->p.dst, peer_to(w));
}

/* ---- from the route to the VTEP ---- */

struct hop {
	struct walk *w;
	const struct fl_network *net;
	struct cluster k;
	const char *node;   /* "": not known */
	const json_t *self; /* its address object; NULL: not known */
	const char *back;   /* "the answer: ", or "" */
	uint32_t tunnel;
	struct fl_addr via, vtep;
	struct fl_mac mac;
	bool found;
};

static void hop_clear(struct hop *h)
{
	cluster_clear(&h->k);
}

static bool ask_route(struct hop *h, const struct fl_addr *to)
{
	struct taken_question q = { .to = *to, .want = h->tunnel };
	struct fl_error why = { 0 };
	struct taken t;

	if (taken_ask(h->w->c, &q, &t, &why)) {
		step_unknown(h->w->steps, "node route", NULL, "%s", why.text);
		return false;
	}
	if (t.away) {
		step_failed(h->w->steps, "node route", t.missing ? COMPARE : t.remedy,
			    "%s%s does not go out through %s, the tunnel of network %s: %s",
			    h->back, fl_addr_str(to, FL_ADDR_BUF), h->net->tunnel, h->net->name,
			    t.missing ? "there is no route to the node's block" : t.cause);
		return false;
	}
	h->via = fl_addr_is_set(&t.route.gw) ? t.route.gw : *to;
	if (!*h->node) {
		h->self = cluster_address_of(&h->k, h->net->name, &h->via);
		h->node = text_of(h->self, "node");
	}
	if (h->self && !ips_have(h->self, &h->via)) {
		step_failed(
			h->w->steps, "node route", COMPARE,
			"%sthe route leads by %s, which is not node %s's address in the network",
			h->back, fl_addr_str(&h->via, FL_ADDR_BUF), h->node);
		return false;
	}
	step_ok(h->w->steps, "node route", "%sto %s by %s%s%s, through %s", h->back,
		fl_addr_str(to, FL_ADDR_BUF), fl_addr_str(&h->via, FL_ADDR_BUF),
		*h->node ? ", node " : "", h->node, h->net->tunnel);
	return true;
}

static int take_neigh(void *arg, const struct fl_neigh *n)
{
	struct hop *h = arg;

	if (fl_addr_eq(&n->addr, &h->via) && !(n->state & (NUD_FAILED | NUD_INCOMPLETE))) {
		h->mac = n->mac;
		h->found = true;
	}
	return 0;
}

static int take_fdb(void *arg, const struct fl_fdb *f)
{
	struct hop *h = arg;

	if (f->table == FL_FDB_SELF && !memcmp(&f->mac, &h->mac, sizeof(f->mac))) {
		h->vtep = f->dst;
		h->found = true;
	}
	return 0;
}

static int read_neighs(struct hop *h, struct fl_error *err)
{
	return fl_neighs_each(h->w->c->host, h->via.family, h->tunnel, take_neigh, h, err);
}

static int read_fdb(struct hop *h, struct fl_error *err)
{
	return fl_fdbs_each(h->w->c->host, h->tunnel, take_fdb, h, err);
}

/* false: it cannot be read, which is a step. */
static bool look(struct hop *h, const char *step, int (*read)(struct hop *h, struct fl_error *err))
{
	struct fl_error why = { 0 };
	int r = -EINTR;

	for (int tries = 0; tries < DUMP_TRIES && r == -EINTR; tries++) {
		h->found = false;
		r = read(h, &why);
	}
	if (r)
		step_unknown(h->w->steps, step, NULL, "%s", why.text);
	return !r;
}

static bool ask_neighbour(struct hop *h)
{
	const char *via = fl_addr_str(&h->via, FL_ADDR_BUF);
	struct fl_mac want;

	if (!look(h, "neighbour", read_neighs))
		return false;
	if (!h->found)
		step_failed(h->w->steps, "neighbour", COMPARE,
			    "%s%s has no neighbour %s, and nothing is asked through it", h->back,
			    h->net->tunnel, via);
	else if (h->self && !fl_mac_parse(text_of(h->self, "mac"), &want) &&
		 memcmp(&want, &h->mac, sizeof(want)) != 0)
		step_failed(h->w->steps, "neighbour", COMPARE,
			    "%s%s is a neighbour at %s, and node %s has %s", h->back, via,
			    fl_mac_str(&h->mac, FL_MAC_BUF), h->node,
			    fl_mac_str(&want, FL_MAC_BUF));
	else {
		step_ok(h->w->steps, "neighbour", "%s%s is at %s", h->back, via,
			fl_mac_str(&h->mac, FL_MAC_BUF));
		return true;
	}
	return false;
}

static bool ask_fdb(struct hop *h)
{
	struct fl_addr want = cluster_vtep(&h->k, h->node);
	const char *mac = fl_mac_str(&h->mac, FL_MAC_BUF);

	if (!look(h, "FDB", read_fdb))
		return false;
	if (!h->found || !fl_addr_is_set(&h->vtep))
		step_failed(h->w->steps, "FDB", COMPARE,
			    "%s%s has no entry for %s: it knows no VTEP for its frames", h->back,
			    h->net->tunnel, mac);
	else if (fl_addr_is_set(&want) && !fl_addr_eq(&want, &h->vtep))
		step_failed(h->w->steps, "FDB", COMPARE,
			    "%sframes for %s go to VTEP %s, and node %s has %s", h->back, mac,
			    fl_addr_str(&h->vtep, FL_ADDR_BUF), h->node,
			    fl_addr_str(&want, FL_ADDR_BUF));
	else {
		step_ok(h->w->steps, "FDB", "%sframes for %s go to VTEP %s", h->back, mac,
			fl_addr_str(&h->vtep, FL_ADDR_BUF));
		return true;
	}
	return false;
}

static void ask_underlay(struct hop *h)
{
	const char *vtep = fl_addr_str(&h->vtep, FL_ADDR_BUF);
	struct fl_error why = { 0 };
	struct fl_nlroute r;
	struct fl_link out;

	if (fl_route_get(h->w->c->host, &h->vtep, NULL, 0, &r, &why) ||
	    fl_link_get_index(h->w->c->host, r.oif, &out, &why))
		step_failed(h->w->steps, "underlay", "give the host a route to the node's VTEP",
			    "%sVTEP %s: %s", h->back, vtep, why.text);
	else if (r.oif == h->tunnel || r.type == RTN_LOCAL)
		step_failed(h->w->steps, "underlay", TEXT("ip route get %s", vtep),
			    "%sVTEP %s is reached through %s, and is another node's", h->back, vtep,
			    out.name);
	else if (!(out.flags & IFF_UP))
		step_failed(h->w->steps, "underlay", TEXT("ip link set %s up", out.name),
			    "%s%s, the way to VTEP %s, is down", h->back, out.name, vtep);
	else
		step_ok(h->w->steps, "underlay", "%sVTEP %s by %s%s%s", h->back, vtep, out.name,
			fl_addr_is_set(&r.gw) ? " and " : "",
			fl_addr_is_set(&r.gw) ? fl_addr_str(&r.gw, FL_ADDR_BUF) : "");
}

static int follow(struct walk *w, const struct fl_network *net, const struct fl_addr *to,
		  const char *node, const char *back, struct fl_error *err)
{
	FL_CLEANUP(hop_clear) struct hop h = { .w = w, .net = net, .node = node, .back = back };
	struct fl_error why = { 0 };
	struct fl_link link;
	int r;

	/* What is wrong with the tunnel is told already. */
	if (fl_link_find(w->c->host, net->tunnel, &link, &why) != 1)
		return 0;
	h.tunnel = link.index;
	r = cluster_read_if(w->c, &h.k, err);
	if (r)
		return r;
	if (*node)
		h.self = cluster_address(&h.k, net->name, node);
	if (link.master)
		step_failed(w->steps, "tunnel", TEXT("ip link set %s nomaster", net->tunnel),
			    "%s is a port of a bridge, and the host does not route by it",
			    net->tunnel);
	else if (ask_route(&h, to) && ask_neighbour(&h) && ask_fdb(&h))
		ask_underlay(&h);
	return 0;
}

int reach_routed(struct walk *w, struct fl_error *err)
{
	const struct fl_peer *peer = peer_to(w);
	const struct fl_network *net = network_to(w, &w->p.dst, peer);

	return net && !strcmp(net->tunnel, w->p.out)
		       ? follow(w, net, &w->p.dst, peer ? peer->node : "", "", err)
		       : 0;
}

int reach_routed_back(struct walk *w, struct fl_error *err)
{
	const struct fl_network *net = reach_tunnel_of(w, w->p.in);

	return net && w->from->kind == PARTY_PEER && fl_addr_is_set(&w->p.src)
		       ? follow(w, net, &w->p.src, w->from->peer->node, "the answer: ", err)
		       : 0;
}
