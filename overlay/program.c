/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Three entries lead to a remote endpoint: F, which VTEP its MAC is behind; M, that the MAC is
 * behind the tunnel and nowhere else; N, its address. N makes containers send, so it comes last and
 * goes first. A local endpoint has N alone. Everything is written in the place of what is there: to
 * delete and add again would lose packets.
 */
#include "overlay/program.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

/* What a slot ought to have. */

static bool leads_away(const struct ep *e)
{
	return e && !e->node->self;
}

static bool in_subnets(const struct network *net, const struct fl_addr *a)
{
	for (size_t i = 0; i < net->rec.n_subnets; i++)
		if (fl_prefix_contains(&net->rec.subnets[i].subnet, a))
			return true;
	return false;
}

/* What leads to the other nodes must not lead into the network itself. */
static struct fl_addr vtep_of(const struct network *net, const struct node *n)
{
	struct fl_addr vtep = node_vtep(net->a, n);

	return in_subnets(net, &vtep) ? (struct fl_addr){ 0 } : vtep;
}

/* Also when it was told of before our own was known. */
static bool is_others(const struct network *net, const struct mac_slot *s)
{
	return leads_away(s->owner) && memcmp(&s->mac, &net->self.mac, sizeof(s->mac)) != 0;
}

struct fl_addr program_vtep(const struct network *net, const struct mac_slot *s)
{
	return is_others(net, s) ? vtep_of(net, s->owner->node) : (struct fl_addr){ 0 };
}

/* The node's own address is its bridge's, and no neighbour. */
static bool wants_neigh(const struct network *net, const struct ip_slot *s)
{
	const struct ep *e = s->owner;
	struct fl_addr vtep;

	if (!e || (e->of_node && e->node->self) || fl_addr_eq(&s->addr, &net->self.ip4) ||
	    fl_addr_eq(&s->addr, &net->self.ip6))
		return false;
	vtep = leads_away(e) ? vtep_of(net, e->node) : net->a->vtep;
	return fl_addr_is_set(&vtep);
}

/* ---- batches ---- */

struct change *batch_add(struct batch *b, enum change_kind kind)
{
	if (b->n == b->cap) {
		struct change *grown;

		b->cap = b->cap ? b->cap * 2 : 64;
		grown = realloc(b->list, b->cap * sizeof(*grown));
		if (!grown)
			die_of_memory();
		b->list = grown;
	}
	b->list[b->n] = (struct change){ .kind = kind };
	return &b->list[b->n++];
}

static void build(struct fl_req *q, void *arg, size_t i)
{
	const struct change *c = &((const struct batch *)arg)->list[i];

	switch (c->kind) {
	case DEL_NEIGH:
	case PUT_NEIGH:
		fl_neigh_build(q, c->kind == PUT_NEIGH, &c->neigh);
		break;
	case DEL_SELF:
	case DEL_MASTER:
		fl_fdb_build(q, FL_FDB_DELETE, &c->fdb);
		break;
	case PUT_SELF:
	case PUT_MASTER:
		fl_fdb_build(q, FL_FDB_REPLACE, &c->fdb);
		break;
	case DEL_ROUTE:
		fl_route_del_build(q, &c->route);
		break;
	case PUT_ROUTE:
		fl_route_replace_build(q, &c->route);
		break;
	}
}

/* Deleting what is gone is no failure. */
static bool is_failure(const struct change *c, int r)
{
	bool deletes = c->kind == DEL_NEIGH || c->kind == DEL_SELF || c->kind == DEL_MASTER ||
		       c->kind == DEL_ROUTE;

	return r && !(deletes && (r == -ENOENT || r == -ESRCH));
}

static void transmit(struct network *net, struct batch *b)
{
	struct fl_error err = { 0 };
	size_t failed = 0;
	int r = b->n ? fl_nl_bulk(net->a->nl, b->n, build, b, &failed, &err) : 0;
	net->a->n.programmed += b->n;
	/* The first failure alone is told, so what there is besides has to be looked for. */
	net->doubtful |= r;
	if (r && is_failure(&b->list[failed], r))
		say("network %s: %s", net->rec.name, err.text);
	free(b->list);
}

void batch_fdb(struct batch *b, const struct network *net, enum change_kind kind,
	       const struct fl_mac *mac, const struct fl_addr *vtep)
{
	bool self = kind == PUT_SELF || kind == DEL_SELF;

	batch_add(b, kind)->fdb =
		(struct fl_fdb){ .table = self ? FL_FDB_SELF : FL_FDB_MASTER,
				 .life = self ? FL_FDB_PERMANENT : FL_FDB_STICKY,
				 .index = net->tunnel,
				 .mac = *mac,
				 .dst = vtep && kind == PUT_SELF ? *vtep : (struct fl_addr){ 0 } };
}

void batch_neigh(struct batch *b, uint32_t index, enum change_kind kind, const struct fl_addr *addr,
		 const struct fl_mac *mac)
{
	batch_add(b, kind)->neigh = (struct fl_neigh){
		.index = index, .addr = *addr, .mac = mac ? *mac : (struct fl_mac){ { 0 } }
	};
}

/* ---- slots into changes ---- */

static void flush_mac(struct network *net, struct mac_slot *s, struct batch *b)
{
	struct fl_addr want = program_vtep(net, s);

	if (fl_addr_is_set(&want)) {
		if (!s->has_self || !fl_addr_eq(&s->vtep, &want))
			batch_fdb(b, net, PUT_SELF, &s->mac, &want);
		if (!s->has_master)
			batch_fdb(b, net, PUT_MASTER, &s->mac, NULL);
		s->has_self = s->has_master = true;
		s->vtep = want;
		return;
	}
	if (s->has_master)
		batch_fdb(b, net, DEL_MASTER, &s->mac, NULL);
	if (s->has_self)
		batch_fdb(b, net, DEL_SELF, &s->mac, NULL);
	s->has_self = s->has_master = false;
}

static void flush_ip(struct network *net, struct ip_slot *s, bool add_pass, struct batch *b)
{
	bool want = wants_neigh(net, s);

	if (add_pass && want) {
		if (!s->has || memcmp(&s->mac, &s->owner->mac, sizeof(s->mac)) != 0)
			batch_neigh(b, net->bridge, PUT_NEIGH, &s->addr, &s->owner->mac);
		s->has = true;
		s->at = net->bridge;
		s->mac = s->owner->mac;
	} else if (!add_pass && !want && s->has) {
		batch_neigh(b, net->bridge, DEL_NEIGH, &s->addr, NULL);
		s->has = false;
	}
}

/* Slots that nobody has anything to do with any more. */
static void drop_empty(struct network *net)
{
	struct ip_slot *s, *s_next;
	struct mac_slot *m, *m_next;
	struct block_slot *b, *b_next;

	for (s = net->dirty_ips; s; s = s_next) {
		s_next = s->next;
		s->dirty = false;
		if (s->n || s->has || s->way.has)
			continue;
		HASH_DEL(net->ips, s);
		free(s);
	}
	for (m = net->dirty_macs; m; m = m_next) {
		m_next = m->next;
		m->dirty = false;
		if (m->n || m->has_self || m->has_master)
			continue;
		HASH_DEL(net->macs, m);
		free(m);
	}
	for (b = net->dirty_blocks; b; b = b_next) {
		b_next = b->next;
		b->dirty = false;
		if (b->node || b->way.has)
			continue;
		HASH_DEL(net->block_slots, b);
		free(b);
	}
	net->dirty_ips = NULL;
	net->dirty_macs = NULL;
	net->dirty_blocks = NULL;
}

static void flush_l2(struct network *net, struct batch *b)
{
	for (struct ip_slot *s = net->dirty_ips; s; s = s->next)
		flush_ip(net, s, false, b);
	for (struct mac_slot *s = net->dirty_macs; s; s = s->next)
		flush_mac(net, s, b);
	for (struct ip_slot *s = net->dirty_ips; s; s = s->next)
		flush_ip(net, s, true, b);
}

void program_flush(struct network *net)
{
	struct batch b = { 0 };

	/* Without the devices the slots stay as they are, and dirty. */
	if (!net->bridge || !net->tunnel)
		return;
	/* Where the blocks are not known yet, each endpoint would get a route of its own. */
	if (network_is_routed(net) && !network_synced(net))
		return;
	if (network_is_routed(net) && net->ways_changed)
		table_touch_ways(net);
	net->ways_changed = false;
	if (network_is_routed(net))
		l3_flush(net, &b);
	else
		flush_l2(net, &b);
	transmit(net, &b);
	/* Where the host routes, containers ask for their gateway alone. */
	if (!network_is_routed(net))
		moved_tell(net);
	drop_empty(net);
}

/* ---- the kernel, read ---- */

static int see_neigh(void *arg, const struct fl_neigh *n)
{
	struct reading *rd = arg;
	struct ip_slot *s;

	if (!(n->state & NUD_PERMANENT) || fl_addr_is_multicast(&n->addr))
		return 0;
	HASH_FIND(hh, rd->net->ips, &n->addr, sizeof(n->addr), s);
	if (!s) {
		batch_neigh(&rd->extra, rd->net->bridge, DEL_NEIGH, &n->addr, NULL);
		return 0;
	}
	s->has = true;
	s->at = n->index;
	s->mac = n->mac;
	if (fl_mac_is_zero(&s->told))
		s->told = n->mac;
	return 0;
}

static void see_flood(struct reading *rd, const struct fl_addr *vtep)
{
	struct fl_addr *grown = realloc(rd->flood, (rd->n_flood + 1) * sizeof(*grown));

	if (!grown)
		die_of_memory();
	rd->flood = grown;
	rd->flood[rd->n_flood++] = *vtep;
}

static int see_fdb(void *arg, const struct fl_fdb *f)
{
	struct reading *rd = arg;
	bool self = f->table == FL_FDB_SELF;
	struct mac_slot *s;

	if (self && fl_mac_is_zero(&f->mac)) {
		see_flood(rd, &f->dst);
		return 0;
	}
	/* The tunnel's own address, which the bridge keeps, and multicast groups. */
	if ((!self && f->life == FL_FDB_PERMANENT) || f->mac.b[0] & 1 ||
	    (self && !fl_addr_is_set(&f->dst)))
		return 0;
	HASH_FIND(hh, rd->net->macs, &f->mac, sizeof(f->mac), s);
	if (!s) {
		batch_fdb(&rd->extra, rd->net, self ? DEL_SELF : DEL_MASTER, &f->mac, NULL);
		return 0;
	}
	if (self) {
		s->has_self = true;
		s->vtep = f->dst;
	} else {
		s->has_master = f->life == FL_FDB_STICKY;
	}
	return 0;
}

static void forget_kernel(struct network *net)
{
	struct ip_slot *s, *s_tmp;
	struct mac_slot *m, *m_tmp;

	table_touch_ways(net);
	for (struct block_slot *b = net->block_slots; b; b = b->hh.next)
		b->way.has = false;
	HASH_ITER (hh, net->ips, s, s_tmp)
		s->has = s->way.has = false;
	HASH_ITER (hh, net->macs, m, m_tmp) {
		m->has_self = m->has_master = false;
		if (!m->dirty) {
			m->dirty = true;
			m->next = net->dirty_macs;
			net->dirty_macs = m;
		}
	}
}

/* ---- broadcasts: one entry for each node that joined ---- */

static bool listed(const struct fl_addr *list, size_t n, const struct fl_addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (fl_addr_eq(&list[i], a))
			return true;
	return false;
}

static void change_flood(struct network *net, enum fl_fdb_change what, const struct fl_addr *vtep)
{
	struct fl_fdb f = { .table = FL_FDB_SELF, .index = net->tunnel, .dst = *vtep };
	struct fl_error err = { 0 };

	net->a->n.programmed++;
	if (fl_fdb_change(net->a->nl, what, &f, &err))
		say("network %s: %s", net->rec.name, err.text);
}

static void compare_flood(struct network *net, const struct reading *rd)
{
	FL_AUTOFREE struct fl_addr *want =
		must_alloc((HASH_COUNT(net->a->nodes) + 1) * sizeof(*want));
	struct ep *e, *tmp;
	size_t n = 0;

	HASH_ITER (hh, net->table, e, tmp)
		if (net->rec.broadcast && e->of_node && !e->node->self) {
			want[n] = vtep_of(net, e->node);
			n += fl_addr_is_set(&want[n]);
		}
	for (size_t i = 0; i < rd->n_flood; i++)
		if (!listed(want, n, &rd->flood[i]))
			change_flood(net, FL_FDB_DELETE, &rd->flood[i]);
	for (size_t i = 0; i < n; i++)
		if (!listed(rd->flood, rd->n_flood, &want[i]))
			change_flood(net, FL_FDB_APPEND, &want[i]);
}

/* ---- comparing ---- */

static int read_l2(struct network *net, struct reading *rd, struct fl_error *err)
{
	int r = fl_neighs_each(net->a->nl, AF_INET, net->bridge, see_neigh, rd, err);

	return r ? r : fl_neighs_each(net->a->nl, AF_INET6, net->bridge, see_neigh, rd, err);
}

static int read_kernel(struct network *net, struct reading *rd, struct fl_error *err)
{
	int r = network_is_routed(net) ? l3_read(net, rd, err) : read_l2(net, rd, err);

	return r ? r : fl_fdbs_each(net->a->nl, net->tunnel, see_fdb, rd, err);
}

void program_compare(struct network *net, bool doubt)
{
	struct reading rd = { .net = net };
	uint64_t before = net->a->n.programmed;
	struct fl_error err = { 0 };

	/* What has not been read would be deleted. It is compared when it has been. */
	if (!net->bridge || !net->tunnel || !network_synced(net))
		return;
	net->a->n.compared++;
	net->doubtful = false;
	forget_kernel(net);
	if (read_kernel(net, &rd, &err)) {
		say("network %s: cannot read what the kernel has: %s", net->rec.name, err.text);
		net->doubtful = true;
		free(rd.extra.list);
	} else {
		compare_flood(net, &rd);
		transmit(net, &rd.extra);
	}
	free(rd.flood);
	program_flush(net);
	if (!doubt && net->a->n.programmed != before) {
		net->a->n.fixed += net->a->n.programmed - before;
		say("network %s: %llu entries of bridge and tunnel were not as they ought to be",
		    net->rec.name, (unsigned long long)(net->a->n.programmed - before));
	}
}

/* ---- is it still there? ---- */

static uint32_t index_of(struct network *net, uint32_t index, const char *kind)
{
	struct fl_link l;

	if (!index || fl_link_get_index(net->a->nl, index, &l, NULL) || strcmp(l.kind, kind) != 0)
		return 0;
	return index;
}

/* Is one of those of this device there still? It loses all of them at once when it is set down or
 * gets a MAC. */
static bool keeps_neighbours(struct network *net, uint32_t index)
{
	struct ip_slot *s, *tmp;

	HASH_ITER (hh, net->ips, s, tmp) {
		struct fl_neigh n = { .index = index, .addr = s->addr };

		if (s->has && s->at == index)
			return fl_neigh_find(net->a->nl, &n, NULL);
	}
	return true;
}

bool program_look(struct network *net)
{
	net->bridge = index_of(net, net->bridge, "bridge");
	net->tunnel = index_of(net, net->tunnel, "vxlan");
	if (!net->bridge || !net->tunnel) {
		forget_kernel(net);
		net->bridge = net->tunnel = 0;
		return false;
	}
	return keeps_neighbours(net, net->bridge) &&
	       (!network_is_routed(net) || keeps_neighbours(net, net->tunnel));
}
