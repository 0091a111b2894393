/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who has an address is decided by the store: one key has one writer. Between two events of it two
 * endpoints may say the same, and the newer one is right; when it goes, the other is looked for.
 */
#include "overlay/agent.h"

#include <string.h>

void table_node_id(const char *node, char *buf)
{
	/* No endpoint's id begins so. */
	snprintf(buf, TABLE_ID, "=%s", node);
}

struct ep *table_find(struct network *net, const char *id)
{
	struct ep *e;

	HASH_FIND_STR(net->table, id, e);
	return e;
}

const struct ep *table_owner(struct network *net, const struct fl_addr *a)
{
	const struct ip_slot *s;

	HASH_FIND(hh, net->ips, a, sizeof(*a), s);
	return s ? s->owner : NULL;
}

/* ---- slots ---- */

static void dirty_ip(struct network *net, struct ip_slot *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	s->next = net->dirty_ips;
	net->dirty_ips = s;
}

static void dirty_mac(struct network *net, struct mac_slot *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	s->next = net->dirty_macs;
	net->dirty_macs = s;
}

static struct ip_slot *ip_slot(struct network *net, const struct fl_addr *a)
{
	struct ip_slot *s;

	HASH_FIND(hh, net->ips, a, sizeof(*a), s);
	if (s)
		return s;
	s = must_alloc(sizeof(*s));
	s->addr = *a;
	HASH_ADD(hh, net->ips, addr, sizeof(s->addr), s);
	return s;
}

static struct mac_slot *mac_slot(struct network *net, const struct fl_mac *m)
{
	struct mac_slot *s;

	HASH_FIND(hh, net->macs, m, sizeof(*m), s);
	if (s)
		return s;
	s = must_alloc(sizeof(*s));
	s->mac = *m;
	HASH_ADD(hh, net->macs, mac, sizeof(s->mac), s);
	return s;
}

/* What a container here has is not taken from it by another node's record. */
static bool is_newer(const struct ep *e, const struct ep *than)
{
	if (than && e->node->self != than->node->self)
		return e->node->self;
	return !than || e == than || e->mod >= than->mod;
}

static bool has_ip(const struct ep *e, const struct fl_addr *a)
{
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		if (fl_addr_eq(&e->ip[i], a))
			return true;
	return false;
}

/* Where the host routes, no frame goes to another node's container, and what MAC that has is its
 * own business. */
static bool counts_mac(const struct network *net, const struct ep *e)
{
	return e->of_node || !network_is_routed(net);
}

static bool has_mac(const struct network *net, const struct ep *e, const struct fl_mac *m)
{
	return counts_mac(net, e) && !memcmp(&e->mac, m, sizeof(*m));
}

bool table_is_anothers(const struct network *net, const struct fl_addr *a, const char *id)
{
	const struct ip_slot *s;

	HASH_FIND(hh, net->ips, a, sizeof(*a), s);
	if (!s || (s->n == 1 && s->owner && !strcmp(s->owner->id, id)))
		return false;
	for (const struct ep *e = net->table; e; e = e->hh.next)
		if (e->seen && has_ip(e, a) && strcmp(e->id, id) != 0)
			return true;
	return false;
}

static struct ep *newest(struct network *net, const struct fl_addr *a, const struct fl_mac *m)
{
	struct ep *best = NULL, *e, *tmp;

	HASH_ITER (hh, net->table, e, tmp)
		if ((a ? has_ip(e, a) : has_mac(net, e, m)) && is_newer(e, best))
			best = e;
	return best;
}

static struct mac_slot *mac_slot_of(struct network *net, const struct ep *e)
{
	return counts_mac(net, e) ? mac_slot(net, &e->mac) : NULL;
}

/* `more`: 1 for an endpoint that is new here, 0 for one that has become newer. */
static void link_slots(struct network *net, struct ep *e, unsigned more)
{
	struct mac_slot *ms = mac_slot_of(net, e);

	if (ms) {
		ms->n += more;
		if (is_newer(e, ms->owner))
			ms->owner = e;
		dirty_mac(net, ms);
	}
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++) {
		struct ip_slot *s = fl_addr_is_set(&e->ip[i]) ? ip_slot(net, &e->ip[i]) : NULL;

		if (!s)
			continue;
		s->n += more;
		if (is_newer(e, s->owner))
			s->owner = e;
		dirty_ip(net, s);
	}
}

/* After it has been taken out of the table. */
static void unlink_slots(struct network *net, const struct ep *e)
{
	struct mac_slot *ms = mac_slot_of(net, e);

	if (ms) {
		ms->n--;
		if (ms->owner == e)
			ms->owner = ms->n ? newest(net, NULL, &e->mac) : NULL;
		dirty_mac(net, ms);
	}
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++) {
		struct ip_slot *s = fl_addr_is_set(&e->ip[i]) ? ip_slot(net, &e->ip[i]) : NULL;

		if (!s)
			continue;
		s->n--;
		if (s->owner == e)
			s->owner = s->n ? newest(net, &e->ip[i], NULL) : NULL;
		dirty_ip(net, s);
	}
}

/* ---- endpoints ---- */

static void count(struct network *net, const struct ep *e, int by)
{
	if (e->of_node)
		return;
	if (e->node->self)
		net->n_local += (unsigned)by;
	else
		net->n_remote += (unsigned)by;
}

static void free_ep(struct ep *e)
{
	free(e->container);
	free(e->name);
	free(e->aliases);
	free(e);
}

static void take_out(struct network *net, struct ep *e)
{
	HASH_DEL(net->table, e);
	e->node->uses--;
	unlink_slots(net, e);
	count(net, e, -1);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool is_same(const struct ep *a, const struct ep *b)
{
	return a->node == b->node && !memcmp(&a->mac, &b->mac, sizeof(a->mac)) &&
	       !memcmp(a->ip, b->ip, sizeof(a->ip)) && !strcmp(a->ifname, b->ifname) &&
	       same_text(a->container, b->container) && same_text(a->name, b->name) &&
	       same_text(a->aliases, b->aliases);
}

static void mirror(struct network *net, struct ep *e)
{
	if (!e->of_node && !e->node->self)
		mirror_put(net, e);
}

void table_put(struct network *net, const struct ep *from)
{
	struct ep *old = table_find(net, from->id), *e;

	if (old && is_same(old, from)) {
		old->mod = from->mod;
		old->seen = true;
		link_slots(net, old, 0);
		return;
	}
	e = must_alloc(sizeof(*e));
	*e = *from;
	e->net = net;
	e->seen = true;
	e->container = from->container ? must_copy(from->container) : NULL;
	e->name = from->name ? must_copy(from->name) : NULL;
	e->aliases = from->aliases ? must_copy(from->aliases) : NULL;
	if (old)
		take_out(net, old);
	HASH_ADD_STR(net->table, id, e);
	e->node->uses++;
	link_slots(net, e, 1);
	count(net, e, 1);
	/* It moved here under the same id: what the store has of it is no other node's any more. */
	if (old && !old->node->self && e->node->self)
		mirror_del(net, e->id);
	mirror(net, e);
	if (old)
		free_ep(old);
}

void table_del(struct network *net, const char *id)
{
	struct ep *e = table_find(net, id);

	if (!e)
		return;
	take_out(net, e);
	if (!e->of_node && !e->node->self)
		mirror_del(net, e->id);
	free_ep(e);
}

void table_touch_node(struct network *net, const struct node *n)
{
	struct ep *e, *tmp;
	struct mac_slot *ms;

	HASH_ITER (hh, net->table, e, tmp) {
		if (e->node != n)
			continue;
		ms = mac_slot_of(net, e);
		if (ms)
			dirty_mac(net, ms);
		for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
			if (fl_addr_is_set(&e->ip[i]))
				dirty_ip(net, ip_slot(net, &e->ip[i]));
		if (e->mirrored_suspect == n->alive)
			mirror(net, e);
	}
}

/* ---- blocks ---- */

static void dirty_block(struct network *net, struct block_slot *b)
{
	if (b->dirty)
		return;
	b->dirty = true;
	b->next = net->dirty_blocks;
	net->dirty_blocks = b;
}

static struct block_slot *block_find(const struct network *net, const struct fl_addr *first)
{
	struct block_slot *b;

	HASH_FIND(hh, net->block_slots, first, sizeof(*first), b);
	return b;
}

struct node *table_holder(const struct network *net, const struct fl_addr *a)
{
	struct fl_addr first = fl_rec_block_of(a).addr;
	const struct block_slot *b = block_find(net, &first);

	return b ? b->node : NULL;
}

static struct block_slot *block_get(struct network *net, const struct fl_addr *first)
{
	struct block_slot *b = block_find(net, first);

	if (b)
		return b;
	b = must_alloc(sizeof(*b));
	b->addr = *first;
	HASH_ADD(hh, net->block_slots, addr, sizeof(b->addr), b);
	return b;
}

/* Its addresses may need routes of their own now, or need them no more. */
static void set_holder(struct network *net, struct block_slot *b, struct node *node)
{
	if (b->node == node)
		return;
	if (b->node)
		b->node->uses--;
	if (node)
		node->uses++;
	b->node = node;
	dirty_block(net, b);
	for (uint64_t i = 0; i < FL_REC_BLOCK; i++) {
		struct fl_addr a = fl_addr_add(b->addr, i);
		struct ip_slot *s;

		HASH_FIND(hh, net->ips, &a, sizeof(a), s);
		if (s)
			dirty_ip(net, s);
	}
}

void table_put_block(struct network *net, const struct fl_prefix *block, const char *node,
		     int64_t revision)
{
	struct block_slot *b;

	if (!network_is_routed(net))
		return;
	b = node && *node ? block_get(net, &block->addr) : block_find(net, &block->addr);
	if (!b || revision < b->mod)
		return;
	b->mod = revision;
	b->seen = true;
	set_holder(net, b, node && *node ? node_get(net->a, node) : NULL);
}

void table_blocks_begin(struct network *net, bool restored)
{
	for (struct block_slot *b = net->block_slots; b; b = b->hh.next) {
		b->seen = false;
		if (restored)
			b->mod = 0;
	}
}

void table_blocks_end(struct network *net, int64_t revision)
{
	for (struct block_slot *b = net->block_slots; b; b = b->hh.next)
		if (!b->seen && b->mod <= revision)
			set_holder(net, b, NULL);
}

void table_touch_ways(struct network *net)
{
	for (struct block_slot *b = net->block_slots; b; b = b->hh.next)
		dirty_block(net, b);
	for (struct ip_slot *s = net->ips; s; s = s->hh.next)
		dirty_ip(net, s);
}

void table_clear(struct network *net)
{
	struct block_slot *b, *b_tmp;
	struct ep *e, *e_tmp;
	struct ip_slot *s, *s_tmp;
	struct mac_slot *m, *m_tmp;

	HASH_ITER (hh, net->table, e, e_tmp) {
		HASH_DEL(net->table, e);
		e->node->uses--;
		free_ep(e);
	}
	HASH_ITER (hh, net->ips, s, s_tmp) {
		HASH_DEL(net->ips, s);
		free(s);
	}
	HASH_ITER (hh, net->macs, m, m_tmp) {
		HASH_DEL(net->macs, m);
		free(m);
	}
	HASH_ITER (hh, net->block_slots, b, b_tmp) {
		HASH_DEL(net->block_slots, b);
		if (b->node)
			b->node->uses--;
		free(b);
	}
	net->dirty_ips = NULL;
	net->dirty_macs = NULL;
	net->dirty_blocks = NULL;
	net->n_local = net->n_remote = 0;
}
