/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the packet comes to the host's links: out of a sandbox, from a socket of the host, or in. */
#include "netctl/reach.h"

#include "base/strbuf.h"
#include "store/hosts.h"

#include <errno.h>
#include <string.h>

static const struct fl_network *network_of(struct walk *w, const struct attachment *at)
{
	return model_network(w->m, at->main);
}

static const struct attachment *by_ifname(const struct party *p, const char *ifname)
{
	for (size_t i = 0; i < p->n; i++)
		if (!strcmp(p->at[i]->main->id.ifname, ifname))
			return p->at[i];
	return NULL;
}

static int no_route(struct walk *w, const struct fl_error *why)
{
	const struct fl_network *net = w->src ? network_of(w, w->src) : NULL;
	const char *dst = fl_addr_str(&w->p.dst, FL_ADDR_BUF);

	if (net && net->internal)
		step_failed(w->steps, "route",
			    "attach it to a network that is not internal as well",
			    "network %s is internal: %s has no route to %s", net->name,
			    PARTY(w->from), dst);
	else
		step_failed(w->steps, "route",
			    "a default route comes with isDefaultGateway, or a route of the "
			    "network's ipam",
			    "in the sandbox of %s: %s", PARTY(w->from), why->text);
	return 0;
}

static int same_address(struct walk *w)
{
	step_failed(w->steps, "route",
		    TEXT("give networks %s and %s subnets that do not overlap",
			 w->src->main->id.network, w->dst->main->id.network),
		    "%s has the address %s itself: what it sends there does not leave its sandbox",
		    PARTY(w->from), fl_addr_str(&w->p.dst, FL_ADDR_BUF));
	return 0;
}

/* The route inside the sandbox, and by it interface, source and next hop. */
static int route_inside(struct walk *w, struct fl_nl *nl)
{
	struct fl_error why = { 0 };
	const struct fl_addr *from = fl_addr_is_set(&w->p.src) ? &w->p.src : NULL;
	struct fl_nlroute route;
	struct fl_link link;
	int r = fl_route_get(nl, &w->p.dst, from, 0, &route, &why);

	if (r)
		return no_route(w, &why);
	if (route.type == RTN_LOCAL && w->dst &&
	    fl_endpoint_sandbox(w->dst->main) != fl_endpoint_sandbox(w->src->main))
		return same_address(w);
	if (route.type == RTN_LOCAL) {
		w->own = true;
		w->p.src = w->p.dst;
		w->dst = w->src;
		step_ok(w->steps, "route", "%s is the container's own address",
			fl_addr_str(&w->p.dst, FL_ADDR_BUF));
		return 1;
	}
	r = fl_link_get_index(nl, route.oif, &link, &why);
	w->src = r ? NULL : by_ifname(w->from, link.name);
	if (!w->src) {
		step_unknown(w->steps, "route", NULL,
			     "%s leaves its sandbox through %s, which is not an interface of ours",
			     PARTY(w->from), r ? "an interface" : link.name);
		return 0;
	}
	if (!from)
		w->p.src = fl_addr_is_set(&route.src) ? route.src
						      : *attachment_address(w->src, w->family);
	w->nexthop = fl_addr_is_set(&route.gw) ? route.gw : w->p.dst;
	w->p.mac = link.mac;
	step_ok(w->steps, "route", "leaves through %s (network %s) as %s%s%s", link.name,
		w->src->main->id.network, fl_addr_str(&w->p.src, FL_ADDR_BUF),
		fl_addr_is_set(&route.gw) ? ", by the gateway " : ", straight to the neighbour",
		fl_addr_is_set(&route.gw) ? fl_addr_str(&route.gw, FL_ADDR_BUF) : "");
	return 1;
}

static void check_spoofing(struct walk *w, const struct fl_link *port)
{
	struct fl_fw_packet p = w->p;
	struct fl_fw_traced t;
	struct fl_error why = { 0 };

	fl_strcpy(p.in, sizeof(p.in), port->name);
	if (fl_fw_trace(w->fw, NFPROTO_BRIDGE, "prerouting", &p, &t, &why))
		step_unknown(w->steps, "spoof check", NULL, "%s", why.text);
	else if (t.outcome == FL_FW_DROPPED)
		step_failed(w->steps, "spoof check",
			    TEXT("set its MAC address to %s again, which it was attached with",
				 fl_mac_str(&w->src->main->mac, FL_MAC_BUF)),
			    "frames from %s are dropped: only the recorded MAC address may send "
			    "through %s",
			    fl_mac_str(&p.mac, FL_MAC_BUF), port->name);
}

static void nobody_there(struct walk *w, const char *hop)
{
	const struct fl_network *net = model_network(w->m, w->src->main);

	if (net && *net->tunnel)
		step_unknown(w->steps, "neighbour", NULL,
			     "no container of network %s has the address %s on this node; another "
			     "node's may, by %s",
			     net->name, hop, net->tunnel);
	else
		step_failed(w->steps, "neighbour", NULL, "nobody on network %s has the address %s",
			    w->src->main->id.network, hop);
}

/* Whose the next hop is: an endpoint on the same bridge, or the host. */
static int next_hop(struct walk *w, struct fl_error *err)
{
	const char *hop = fl_addr_str(&w->nexthop, FL_ADDR_BUF);
	bool direct = fl_addr_eq(&w->nexthop, &w->p.dst);

	if (address_is_local(w->c, &w->nexthop))
		return 1;
	/* The same address may exist in another network too. */
	if (direct && (!w->dst || strcmp(w->dst->main->id.network, w->src->main->id.network) != 0))
		w->dst = NULL;
	for (size_t i = 0; direct && !w->dst && i < w->m->n_attachments; i++) {
		const struct attachment *a = &w->m->attachments[i];
		const struct fl_addr *has = attachment_address(a, w->family);

		if (has && fl_addr_eq(has, &w->p.dst) &&
		    !strcmp(a->main->id.network, w->src->main->id.network))
			w->dst = a;
	}
	w->bridged = direct && w->dst;
	if (w->bridged)
		return 1;
	if (direct && w->to->kind == PARTY_PEER &&
	    !strcmp(w->to->peer->network, w->src->main->id.network))
		return reach_peer(w, err);
	if (direct)
		nobody_there(w, hop);
	else
		step_failed(w->steps, "gateway",
			    TEXT("give the host the address: ip address add %s/PREFIX dev BRIDGE; "
				 "a new attachment to the network does that too",
				 hop),
			    "the gateway %s is not an address of the host", hop);
	return 0;
}

static void apart(struct walk *w, const struct attachment *at)
{
	step_unknown(w->steps, "network", NULL,
		     "what network %s (%s) carries does not pass through the host",
		     at->main->id.network, at->main->id.driver);
}

static int leave_sandbox(struct walk *w, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	FL_AUTONL struct fl_nl *nl = NULL;
	struct fl_link port = { 0 };
	int r = ctl_sandbox(w->c, w->src->main, &ns, &nl, err);

	if (r && r != -ENOENT)
		return r;
	if (r) {
		step_failed(w->steps, "sandbox", "delete the attachment and make it again",
			    "the sandbox of %s is gone, or its path %s leads to another one",
			    PARTY(w->from), w->src->main->netns);
		return 0;
	}
	r = route_inside(w, nl);
	if (r <= 0 || w->own)
		return r;
	reach_foreign_inside(w, w->src, &ns);
	if (attachment_is_apart(w->src)) {
		apart(w, w->src);
		w->bridged = w->dst && !strcmp(w->dst->main->id.network, w->src->main->id.network);
		return w->bridged;
	}
	if (!reach_link(w, w->src, &port))
		return 0;
	check_spoofing(w, &port);
	fl_strcpy(w->p.in, sizeof(w->p.in), attachment_gate(w->m, w->src));
	return next_hop(w, err);
}

static int come_in(struct walk *w)
{
	struct fl_error why = { 0 };
	struct fl_nlroute r;
	struct fl_link link;
	int tunnel = w->from->kind == PARTY_PEER ? reach_from_peer(w) : -ENOENT;

	if (tunnel != -ENOENT)
		return tunnel;
	if (fl_route_get(w->c->host, &w->p.src, NULL, 0, &r, &why) ||
	    fl_link_get_index(w->c->host, r.oif, &link, &why)) {
		step_failed(w->steps, "outside", "give the host a route there", "%s", why.text);
		return 0;
	}
	if (w->dst && attachment_is_apart(w->dst)) {
		apart(w, w->dst);
		w->bridged = true;
		return 1;
	}
	fl_strcpy(w->p.in, sizeof(w->p.in), link.name);
	step_ok(w->steps, "outside", "comes in through %s from %s", link.name,
		fl_addr_str(&w->p.src, FL_ADDR_BUF));
	return 1;
}

int reach_leave(struct walk *w, struct fl_error *err)
{
	if (w->from->kind == PARTY_CONTAINER)
		return leave_sandbox(w, err);
	return w->from->kind == PARTY_HOST ? 1 : come_in(w);
}
