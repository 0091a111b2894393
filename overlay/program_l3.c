/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mode L3: the host routes between the bridge of its containers and the tunnel, which is no port of
 * it. The kernel has nothing for each remote endpoint, but for each node that joined a neighbour
 * (N, its address in the network to its MAC) and an FDB entry (F, that MAC to its VTEP), and for
 * each of its blocks of addresses a route (R, by its address). An address that is in no block of
 * its node has a route of its own. Where the block is this node's, R leads to the bridge: other
 * routes of the host, to a larger prefix, lead elsewhere then.
 *
 * R makes the host send, so it comes last and goes first. Everything is written in the place of
 * what is there.
 */
#include "overlay/program.h"

#include "vxlan/dataplane.h"

#include <linux/rtnetlink.h>
#include <string.h>

/* ---- what slots ought to have ---- */

/* The node's address in the network, behind which its containers are; unset: it has not joined, or
 * where it is is not known. */
static struct fl_addr address_of(struct network *net, const struct node *n, int family)
{
	struct fl_addr vtep = node_vtep(net->a, n);
	char id[TABLE_ID];
	const struct ep *e;

	table_node_id(n->name, id);
	e = fl_addr_is_set(&vtep) ? table_find(net, id) : NULL;
	for (int i = 0; e && i < FL_OVERLAY_SUBNETS; i++)
		if (e->ip[i].family == family)
			return e->ip[i];
	return (struct fl_addr){ 0 };
}

static struct way way_to(struct network *net, const struct node *n, int family)
{
	struct way w = { 0 };

	if (n && n->self)
		return (struct way){ .has = true, .oif = net->bridge };
	if (n)
		w.via = address_of(net, n, family);
	w.has = fl_addr_is_set(&w.via);
	w.oif = w.has ? net->tunnel : 0;
	return w;
}

static struct way way_of_ip(struct network *net, const struct ip_slot *s)
{
	const struct ep *e = s->owner;
	struct way w = { 0 };

	if (!e || table_holder(net, &s->addr) == e->node)
		return w;
	w = way_to(net, e->node, s->addr.family);
	/* It is the tunnel's neighbour itself. */
	if (e->of_node)
		w.via = (struct fl_addr){ 0 };
	return w;
}

/* The device on which the address is a neighbour; 0: on none. */
static uint32_t wanted_at(const struct network *net, const struct ip_slot *s)
{
	const struct ep *e = s->owner;
	struct fl_addr vtep;

	if (!e || e->of_node == e->node->self)
		return 0;
	if (!e->of_node)
		return net->bridge;
	vtep = node_vtep(net->a, e->node);
	return fl_addr_is_set(&vtep) ? net->tunnel : 0;
}

/* ---- slots, shown ---- */

static uint8_t block_len(const struct fl_addr *a)
{
	return (uint8_t)(fl_addr_bits(a) - FL_IPPOOL_BLOCK_BITS);
}

void l3_each(struct network *net, l3_fn fn, void *arg)
{
	for (struct block_slot *b = net->block_slots; b; b = b->hh.next) {
		struct fl_prefix to = { b->addr, block_len(&b->addr) };
		struct way w = way_to(net, b->node, b->addr.family);

		if (b->node)
			fn(arg, &to, b->node, &w);
	}
	for (struct ip_slot *s = net->ips; s; s = s->hh.next) {
		struct fl_prefix to = { s->addr, (uint8_t)fl_addr_bits(&s->addr) };
		struct way w = way_of_ip(net, s);

		if (s->owner && table_holder(net, &s->addr) != s->owner->node)
			fn(arg, &to, s->owner->node, &w);
	}
}

/* ---- slots into changes ---- */

static bool same_way(const struct way *a, const struct way *b)
{
	return a->has == b->has && a->oif == b->oif && fl_addr_eq(&a->via, &b->via);
}

static struct fl_nlroute route_of(const struct network *net, const struct fl_addr *addr,
				  uint8_t len, const struct way *w)
{
	bool v6 = addr->family == AF_INET6;
	struct fl_nlroute r = { .dst = { *addr, len },
				.oif = w->oif,
				.gw = w->via,
				.onlink = fl_addr_is_set(&w->via),
				.protocol = FL_VXLAN_RTPROT };

	if (r.onlink)
		return r;
	/* The bridge has the gateway's address alone, which is every node's. */
	r.src = v6 ? net->self.ip6 : net->self.ip4;
	r.scope = v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	return r;
}

static void del_way(struct batch *b, const struct network *net, const struct fl_addr *addr,
		    uint8_t len, struct way *has, const struct way *want)
{
	struct fl_nlroute r;

	if (!has->has || want->has)
		return;
	r = route_of(net, addr, len, has);
	r.src = (struct fl_addr){ 0 };
	batch_add(b, DEL_ROUTE)->route = r;
	*has = *want;
}

static void put_way(struct batch *b, const struct network *net, const struct fl_addr *addr,
		    uint8_t len, struct way *has, const struct way *want)
{
	if (!want->has || same_way(has, want))
		return;
	batch_add(b, PUT_ROUTE)->route = route_of(net, addr, len, want);
	*has = *want;
}

typedef void (*way_fn)(struct batch *b, const struct network *net, const struct fl_addr *addr,
		       uint8_t len, struct way *has, const struct way *want);

static void flush_ip_ways(struct network *net, struct batch *b, bool of_node, way_fn fn)
{
	for (struct ip_slot *s = net->dirty_ips; s; s = s->next) {
		struct way want = way_of_ip(net, s);

		if (of_node == (s->owner && s->owner->of_node))
			fn(b, net, &s->addr, (uint8_t)fl_addr_bits(&s->addr), &s->way, &want);
	}
}

/* To the nodes themselves first: a next hop in a block of this node's, which leads to the bridge,
 * is refused for the tunnel. */
static void flush_ways(struct network *net, struct batch *b, way_fn fn)
{
	flush_ip_ways(net, b, true, fn);
	flush_ip_ways(net, b, false, fn);
	for (struct block_slot *s = net->dirty_blocks; s; s = s->next) {
		struct way want = way_to(net, s->node, s->addr.family);

		fn(b, net, &s->addr, block_len(&s->addr), &s->way, &want);
	}
}

static void put_neigh(struct network *net, struct ip_slot *s, struct batch *b)
{
	uint32_t at = wanted_at(net, s);

	if (!at || (s->has && s->at == at && !memcmp(&s->mac, &s->owner->mac, sizeof(s->mac))))
		return;
	/* It was a node's, and is a container's, or the other way round. */
	if (s->has && s->at != at)
		batch_neigh(b, s->at, DEL_NEIGH, &s->addr, NULL);
	batch_neigh(b, at, PUT_NEIGH, &s->addr, &s->owner->mac);
	s->has = true;
	s->at = at;
	s->mac = s->owner->mac;
}

static void del_neigh(struct network *net, struct ip_slot *s, struct batch *b)
{
	if (!s->has || wanted_at(net, s))
		return;
	batch_neigh(b, s->at, DEL_NEIGH, &s->addr, NULL);
	s->has = false;
}

static void put_fdb(struct network *net, struct mac_slot *s, struct batch *b)
{
	struct fl_addr want = program_vtep(net, s);

	if (!fl_addr_is_set(&want) || (s->has_self && fl_addr_eq(&s->vtep, &want)))
		return;
	batch_fdb(b, net, PUT_SELF, &s->mac, &want);
	s->has_self = true;
	s->vtep = want;
}

static void del_fdb(struct network *net, struct mac_slot *s, struct batch *b)
{
	struct fl_addr want = program_vtep(net, s);

	if (!s->has_self || fl_addr_is_set(&want))
		return;
	batch_fdb(b, net, DEL_SELF, &s->mac, NULL);
	s->has_self = false;
}

void l3_flush(struct network *net, struct batch *b)
{
	flush_ways(net, b, del_way);
	for (struct ip_slot *s = net->dirty_ips; s; s = s->next)
		put_neigh(net, s, b);
	for (struct mac_slot *s = net->dirty_macs; s; s = s->next)
		put_fdb(net, s, b);
	/* From one node to another the route goes while both are there. */
	flush_ways(net, b, put_way);
	for (struct mac_slot *s = net->dirty_macs; s; s = s->next)
		del_fdb(net, s, b);
	for (struct ip_slot *s = net->dirty_ips; s; s = s->next)
		del_neigh(net, s, b);
}

/* ---- the kernel, read ---- */

static struct way *way_at(struct network *net, const struct fl_prefix *dst)
{
	struct block_slot *b = NULL;
	struct ip_slot *s = NULL;

	if (dst->len == block_len(&dst->addr))
		HASH_FIND(hh, net->block_slots, &dst->addr, sizeof(dst->addr), b);
	if (dst->len == fl_addr_bits(&dst->addr))
		HASH_FIND(hh, net->ips, &dst->addr, sizeof(dst->addr), s);
	return b ? &b->way : s ? &s->way : NULL;
}

static int see_route(void *arg, const struct fl_nlroute *r)
{
	struct reading *rd = arg;
	struct network *net = rd->net;
	struct way *w;

	if (r->protocol != FL_VXLAN_RTPROT || (r->oif != net->bridge && r->oif != net->tunnel))
		return 0;
	w = way_at(net, &r->dst);
	/* IPv6's routes lose their source when somebody takes that address away. */
	if (w && !w->has && r->oif == net->bridge && fl_addr_is_set(&net->self.ip6) &&
	    r->dst.addr.family == AF_INET6 && !fl_addr_eq(&r->src, &net->self.ip6))
		return 0;
	if (w && !w->has)
		*w = (struct way){ .has = true, .oif = r->oif, .via = r->gw };
	else
		batch_add(&rd->extra, DEL_ROUTE)->route = *r;
	return 0;
}

static int see_neigh(void *arg, const struct fl_neigh *n)
{
	struct reading *rd = arg;
	struct ip_slot *s;

	if (!(n->state & NUD_PERMANENT) || fl_addr_is_multicast(&n->addr))
		return 0;
	HASH_FIND(hh, rd->net->ips, &n->addr, sizeof(n->addr), s);
	if (!s || wanted_at(rd->net, s) != n->index) {
		batch_neigh(&rd->extra, n->index, DEL_NEIGH, &n->addr, NULL);
		return 0;
	}
	s->has = true;
	s->at = n->index;
	s->mac = n->mac;
	return 0;
}

int l3_read(struct network *net, struct reading *rd, struct fl_error *err)
{
	const uint32_t links[] = { net->bridge, net->tunnel };
	static const int families[] = { AF_INET, AF_INET6 };
	int r = 0;

	for (size_t i = 0; i < 4 && !r; i++)
		r = fl_routes_each_table(net->a->nl, families[i / 2], RT_TABLE_MAIN, links[i % 2],
					 see_route, rd, err);
	for (size_t i = 0; i < 4 && !r; i++)
		r = fl_neighs_each(net->a->nl, families[i / 2], links[i % 2], see_neigh, rd, err);
	return r;
}
