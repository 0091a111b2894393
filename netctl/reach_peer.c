/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parties on other nodes: who is meant, and the tunnel that leads there. */
#include "netctl/reach.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

static bool is_meant(const struct party *p, const struct fl_peer *peer, bool whole)
{
	if (fl_addr_is_set(&p->addr))
		return peer_has(peer, &p->addr);
	return whole ? peer_is_called(peer, p->text) : peer_id_begins(peer, p->text);
}

/* One container may be on several networks; several containers are an error. */
static int several(const struct party *p, struct fl_error *err)
{
	const struct fl_peer *first = &p->peers.v[0];

	for (size_t i = 1; !fl_addr_is_set(&p->addr) && i < p->peers.n; i++)
		if (strcmp(p->peers.v[i].container, first->container) != 0 ||
		    strcmp(p->peers.v[i].node, first->node) != 0)
			return ambiguous(
				err,
				"%s: containers of other nodes are called so, on %s and on "
				"%s among others; give the address",
				p->text, first->node, p->peers.v[i].node);
	return 1;
}

int party_take_peers(struct ctl *c, struct party *p, bool whole, struct fl_error *err)
{
	size_t n = 0;
	int r;

	peers_clear(&p->peers);
	r = peers_read(c, &p->peers, err);
	for (size_t i = 0; !r && i < p->peers.n; i++)
		if (is_meant(p, &p->peers.v[i], whole))
			p->peers.v[n++] = p->peers.v[i];
	p->peers.n = n;
	if (r || !n)
		return r;
	p->kind = PARTY_PEER;
	p->peer = p->peers.v;
	return several(p, err);
}

/* ---- by which address ---- */

static const struct fl_addr *peer_address(const struct fl_peer *peer, int family)
{
	const struct fl_addr *a = &peer->addrs[family == AF_INET6];

	return fl_addr_is_set(a) ? a : NULL;
}

static bool is_on(const struct party *other, const struct fl_peer *peer, int family)
{
	for (size_t i = 0; i < other->n; i++)
		if (!strcmp(other->at[i]->main->id.network, peer->network) &&
		    attachment_address(other->at[i], family))
			return true;
	return false;
}

const char *party_choose_peer(struct party *p, const struct party *other, int family)
{
	static const int both[] = { AF_INET, AF_INET6 };
	const struct fl_addr *found = NULL, *any = NULL;
	bool named = fl_addr_is_set(&p->addr);

	for (size_t f = 0; f < FL_ARRAY_SIZE(both) && !found; f++) {
		if ((family && family != both[f]) || (named && p->addr.family != both[f]))
			continue;
		for (size_t i = 0; i < p->peers.n && !found; i++) {
			const struct fl_addr *a = peer_address(&p->peers.v[i], both[f]);

			if (!any && a) {
				any = a;
				p->peer = &p->peers.v[i];
			}
			found = a && is_on(other, &p->peers.v[i], both[f]) ? a : NULL;
			if (found)
				p->peer = &p->peers.v[i];
		}
	}
	if (!named && any)
		p->addr = found ? *found : *any;
	return found ? p->peer->network : NULL;
}

/* ---- the tunnel ---- */

static const struct fl_network *network_of(struct walk *w, const struct fl_peer *peer)
{
	for (size_t i = 0; i < w->m->n_networks; i++)
		if (!strcmp(w->m->networks[i].name, peer->network) && *w->m->networks[i].tunnel)
			return &w->m->networks[i];
	return NULL;
}

/* 1: it is there, and up. */
static int check_tunnel(struct walk *w, const struct fl_network *net)
{
	struct fl_error why = { 0 };
	struct fl_link link;
	int r = fl_link_find(w->c->host, net->tunnel, &link, &why);

	if (r < 0)
		step_unknown(w->steps, "tunnel", NULL, "%s", why.text);
	else if (!r)
		step_failed(w->steps, "tunnel",
			    "attach a container to the network: the tunnel is made anew",
			    "%s, the tunnel of network %s, does not exist", net->tunnel, net->name);
	else if (!(link.flags & IFF_UP))
		step_failed(w->steps, "tunnel", TEXT("ip link set %s up", net->tunnel),
			    "%s, the tunnel of network %s, is down", net->tunnel, net->name);
	return r > 0 && link.flags & IFF_UP;
}

static int through_tunnel(struct walk *w, const struct fl_peer *peer, const char *way)
{
	const struct fl_network *net = network_of(w, peer);

	if (net && !check_tunnel(w, net))
		return 0;
	if (peer->suspect)
		step_unknown(w->steps, "node",
			     TEXT("see to node %s, or to its fairlead-overlayd", peer->node),
			     "%s is on node %s, which gives no sign of life", PEER_LABEL(peer),
			     peer->node);
	else
		step_ok(w->steps, "node", "%s is on node %s: %s the tunnel %s of network %s",
			PEER_LABEL(peer), peer->node, way, net ? net->tunnel : "", peer->network);
	return 1;
}

int reach_peer(struct walk *w, struct fl_error *err)
{
	const struct fl_peer *peer = w->to->peer;
	bool there = through_tunnel(w, peer, "behind");
	int r = there ? reach_routed(w, err) : 0;

	if (r)
		return r;
	if (there)
		step_unknown(w->steps, "elsewhere",
			     fl_addr_is_set(&w->p.src)
				     ? TEXT("on node %s: netctl why %s %s", peer->node,
					    fl_addr_str(&w->p.src, FL_ADDR_BUF), PEER_LABEL(peer))
				     : NULL,
			     "what node %s makes of it is not looked at from here", peer->node);
	return 0;
}

int reach_from_peer(struct walk *w)
{
	const struct fl_network *net = network_of(w, w->from->peer);

	if (net && net->tunnel_routed) {
		fl_strcpy(w->p.in, sizeof(w->p.in), net->tunnel);
		return through_tunnel(w, w->from->peer, "comes in through");
	}
	if (!w->dst || strcmp(w->dst->main->id.network, w->from->peer->network) != 0)
		return -ENOENT;
	if (!through_tunnel(w, w->from->peer, "comes in through"))
		return 0;
	w->bridged = true;
	return 1;
}
