/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of a subnet's addresses. */
#include "overlay/pool_private.h"

#include <errno.h>
#include <string.h>

/* ---- slots ---- */

struct slot *fl_ippool_slot(const struct fl_ippool *p, const struct fl_addr *a)
{
	return &p->slots[fl_addr_distance(&p->subnet.addr, a)];
}

static struct fl_addr slot_addr(const struct fl_ippool *p, size_t i)
{
	return fl_addr_add(p->subnet.addr, i);
}

void fl_ippool_slot_settle(struct fl_ippool *p, struct slot *s)
{
	size_t i = (size_t)(s - p->slots);
	struct fl_addr a = slot_addr(p, i);
	uint64_t bit = 1ull << i % 64;

	if (s->known || s->pending || is_reserved(p, &a))
		p->free[i / 64] &= ~bit;
	else
		p->free[i / 64] |= bit;
}

static void slot_forget(struct fl_ippool *p, struct slot *s, int64_t revision)
{
	free(s->known);
	s->known = NULL;
	s->revision = revision;
	fl_ippool_slot_settle(p, s);
}

/* ---- blocks ---- */

static bool is_pending(const struct block *b)
{
	return b->take || b->give || b->batch;
}

/* A block without owner becomes this node's by the first address that is taken there. */
static enum set set_of(const struct fl_ippool *p, const struct block *b)
{
	bool taken = b->take || b->taking;

	if (!unused(b) || (!b->exists && !taken))
		return SET_NONE;
	if (!*b->rec.node)
		return taken ? SET_OWN : SET_NOBODYS;
	return strcmp(b->rec.node, p->node) ? SET_OTHERS : SET_OWN;
}

static void set_move(struct fl_ippool *p, struct block *b, enum set to)
{
	if (b->set == to)
		return;
	if (b->set != SET_NONE) {
		struct set_of_blocks *from = &p->sets[b->set];

		from->v[b->pos] = from->v[--from->n];
		from->v[b->pos]->pos = b->pos;
	}
	b->set = to;
	if (to != SET_NONE) {
		b->pos = p->sets[to].n++;
		p->sets[to].v[b->pos] = b;
	}
}

void fl_ippool_block_settle(struct fl_ippool *p, struct block *b)
{
	set_move(p, b, set_of(p, b));
	if (b->exists || is_pending(b))
		return;
	HASH_DEL(p->blocks, b);
	free(b);
}

struct block *fl_ippool_block_find(const struct fl_ippool *p, const struct fl_addr *a)
{
	struct fl_addr key = fl_rec_block_of(a).addr;
	struct block *b;

	HASH_FIND(hh, p->blocks, &key, sizeof(key), b);
	return b;
}

/* Room for all blocks in each set, so that a move cannot fail. */
static int reserve(struct fl_ippool *p, size_t n)
{
	size_t room = p->room ? 2 * p->room : 16;

	if (n <= p->room)
		return 0;
	for (int i = 0; i < SETS; i++) {
		struct block **grown = realloc(p->sets[i].v, room * sizeof(struct block *));

		if (!grown)
			return -ENOMEM;
		p->sets[i].v = grown;
	}
	p->room = room;
	return 0;
}

static uint64_t reserved_bits(const struct fl_ippool *p, const struct fl_addr *first)
{
	const struct fl_addr *nobodys[] = { &p->subnet.addr, &p->gateway, &p->last };
	size_t n = p->last.family == AF_INET ? 3 : 2;
	uint64_t bits = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t at = fl_addr_distance(first, nobodys[i]);

		if (at < FL_REC_BLOCK)
			bits |= 1ull << at;
	}
	return bits;
}

struct block *fl_ippool_block_get(struct fl_ippool *p, const struct fl_addr *a)
{
	struct block *b = fl_ippool_block_find(p, a);

	if (b || reserve(p, HASH_COUNT(p->blocks) + 1))
		return b;
	b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->addr = fl_rec_block_of(a).addr;
	b->reserved = reserved_bits(p, &b->addr);
	b->set = SET_NONE;
	HASH_ADD(hh, p->blocks, addr, sizeof(b->addr), b);
	if (!b->hh.tbl) {
		free(b);
		return NULL;
	}
	return b;
}

static void block_forget(struct fl_ippool *p, struct block *b, int64_t revision)
{
	b->rec = (struct fl_rec_blk){ 0 };
	b->exists = false;
	b->revision = revision;
	fl_ippool_block_settle(p, b);
}

/* ---- life ---- */

static int check(const struct fl_ippool_config *c, struct fl_error *err)
{
	struct fl_prefix masked = fl_prefix_masked(&c->subnet);

	if (!fl_addr_is_set(&c->subnet.addr) || !c->subnet.len ||
	    c->subnet.len > fl_addr_bits(&c->subnet.addr) ||
	    !fl_addr_eq(&masked.addr, &c->subnet.addr))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "subnet %s: expected a prefix without host bits",
				    fl_prefix_str(&c->subnet, FL_PREFIX_BUF));
	if (fl_addr_is_set(&c->gateway) && !fl_prefix_contains(&c->subnet, &c->gateway))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "subnet %s: gateway %s lies outside; expected one of its "
				    "addresses",
				    fl_prefix_str(&c->subnet, FL_PREFIX_BUF),
				    fl_addr_str(&c->gateway, FL_ADDR_BUF));
	if (c->blocks && fl_addr_bits(&c->subnet.addr) - c->subnet.len < FL_IPPOOL_BLOCK_BITS)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "subnet %s: smaller than a block of %d addresses, of which a "
				    "node has its own",
				    fl_prefix_str(&c->subnet, FL_PREFIX_BUF), FL_REC_BLOCK);
	if (strlen(c->net) > FL_REC_ID_MAX || strlen(c->node) > FL_REC_ID_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "subnet %s: the id of a network or node has at most %d bytes",
				    fl_prefix_str(&c->subnet, FL_PREFIX_BUF), FL_REC_ID_MAX);
	return 0;
}

static int make_slots(struct fl_ippool *p, unsigned host_bits)
{
	p->n_slots = 1u << host_bits;
	p->slots = calloc(p->n_slots, sizeof(*p->slots));
	if (!p->slots)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_slots; i++)
		fl_ippool_slot_settle(p, &p->slots[i]);
	return 0;
}

int fl_ippool_new(const struct fl_ippool_config *c, struct fl_ippool **ret, struct fl_error *err)
{
	FL_AUTOIPPOOL struct fl_ippool *p = NULL;
	unsigned host_bits;
	int r = check(c, err);

	if (r)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return fl_error_oom(err);
	strcpy(p->net, c->net);
	strcpy(p->node, c->node);
	p->subnet = c->subnet;
	p->gateway = c->gateway;
	p->last = fl_prefix_last(&c->subnet);
	host_bits = fl_addr_bits(&c->subnet.addr) - c->subnet.len;
	if (c->blocks || host_bits > 10)
		p->n_blocks = host_bits - FL_IPPOOL_BLOCK_BITS < 24
				      ? 1ull << (host_bits - FL_IPPOOL_BLOCK_BITS)
				      : BLOCKS_MAX;
	else if (make_slots(p, host_bits))
		return fl_error_oom(err);
	*ret = fl_take_ptr(p);
	return 0;
}

void fl_ippool_free(struct fl_ippool *p)
{
	struct block *b, *next;

	if (!p)
		return;
	for (size_t i = 0; i < p->n_slots; i++) {
		free(p->slots[i].known);
		free(p->slots[i].pending);
	}
	free(p->slots);
	HASH_ITER (hh, p->blocks, b, next) {
		HASH_DEL(p->blocks, b);
		free(b);
	}
	for (int i = 0; i < SETS; i++)
		free(p->sets[i].v);
	free(p);
}

bool fl_ippool_has_blocks(const struct fl_ippool *p)
{
	return !p->slots;
}

bool fl_ippool_holds(const struct fl_ippool *p, const struct fl_addr *a)
{
	return fl_prefix_contains(&p->subnet, a);
}

/* ---- feeding ---- */

int fl_ippool_ip(struct fl_ippool *p, const struct fl_addr *a, const struct fl_rec_ip *ip,
		 int64_t revision)
{
	struct fl_rec_ip *known = NULL;
	struct slot *s;

	if (!p->slots || !fl_ippool_holds(p, a))
		return -EINVAL;
	s = fl_ippool_slot(p, a);
	if (revision < s->revision)
		return 0;
	s->seen = p->list;
	if (revision == s->revision && !s->known == !ip)
		return 0;
	if (ip) {
		known = malloc(sizeof(*known));
		if (!known)
			return -ENOMEM;
		*known = *ip;
	}
	slot_forget(p, s, revision);
	s->known = known;
	fl_ippool_slot_settle(p, s);
	return 0;
}

int fl_ippool_block(struct fl_ippool *p, const struct fl_prefix *block,
		    const struct fl_rec_blk *blk, int64_t revision)
{
	struct block *b;

	if (p->slots || !fl_ippool_holds(p, &block->addr))
		return -EINVAL;
	b = blk ? fl_ippool_block_get(p, &block->addr) : fl_ippool_block_find(p, &block->addr);
	if (!b)
		return blk ? -ENOMEM : 0;
	if (revision < b->revision)
		return 0;
	b->seen = p->list;
	if (revision == b->revision && b->exists == !!blk)
		return 0;
	if (!blk) {
		block_forget(p, b, revision);
		return 0;
	}
	b->rec = *blk;
	b->exists = true;
	b->revision = revision;
	/* Meant as this node's own, and another node was faster: better a block of its own. */
	if (b->set == SET_OWN && *blk->node && strcmp(blk->node, p->node))
		b->take = 0;
	if (!is_pending(b))
		b->next = blk->next % FL_REC_BLOCK;
	fl_ippool_block_settle(p, b);
	return 0;
}

void fl_ippool_list_begin(struct fl_ippool *p, bool restored)
{
	p->list++;
	if (!restored)
		return;
	p->epoch++;
	for (size_t i = 0; i < p->n_slots; i++)
		p->slots[i].revision = 0;
	for (struct block *b = p->blocks; b; b = b->hh.next)
		b->revision = 0;
}

void fl_ippool_list_end(struct fl_ippool *p, int64_t revision)
{
	struct block *b, *next;

	for (size_t i = 0; i < p->n_slots; i++) {
		struct slot *s = &p->slots[i];

		if (s->known && s->seen != p->list && s->revision <= revision)
			slot_forget(p, s, revision);
	}
	HASH_ITER (hh, p->blocks, b, next)
		if (b->exists && b->seen != p->list && b->revision <= revision)
			block_forget(p, b, revision);
}

/* ---- telling ---- */

static void count_slots(const struct fl_ippool *p, struct fl_ippool_count *c)
{
	for (size_t i = 0; i < p->n_slots; i++) {
		const struct slot *s = &p->slots[i];
		struct fl_addr a = slot_addr(p, i);

		if (is_reserved(p, &a))
			continue;
		c->total++;
		if (is_used(s))
			c->used++;
		else if (s->pending)
			c->pending++;
		else if (is_freed(s))
			c->quarantined++;
	}
}

static void count_block(const struct fl_ippool *p, const struct block *b, int64_t now,
			struct fl_ippool_count *c)
{
	uint64_t used = b->rec.used & ~b->reserved;

	c->blocks += b->exists;
	c->own_blocks += b->exists && !strcmp(b->rec.node, p->node);
	c->used += (unsigned)__builtin_popcountll(used);
	c->pending += (unsigned)__builtin_popcountll((b->take | b->taking) & ~used);
	for (unsigned n = 0; n < FL_REC_BLOCK; n++)
		if (unused(b) >> n & 1 && in_quarantine(&b->rec, n, now))
			c->quarantined++;
}

static uint64_t total_of_blocks(const struct fl_ippool *p)
{
	uint64_t last = fl_addr_distance(&p->subnet.addr, &p->last);
	uint64_t nobodys = 1 + (p->last.family == AF_INET);

	if (last == UINT64_MAX)
		return UINT64_MAX;
	if (fl_addr_is_set(&p->gateway) && !fl_addr_eq(&p->gateway, &p->subnet.addr) &&
	    !(p->last.family == AF_INET && fl_addr_eq(&p->gateway, &p->last)))
		nobodys++;
	return last + 1 - nobodys;
}

struct fl_ippool_count fl_ippool_count(const struct fl_ippool *p, int64_t now)
{
	struct fl_ippool_count c = { 0 };
	uint64_t taken;

	count_slots(p, &c);
	for (const struct block *b = p->blocks; b; b = b->hh.next)
		count_block(p, b, now, &c);
	if (!p->slots)
		c.total = total_of_blocks(p);
	taken = c.used + c.quarantined + c.pending;
	c.free = c.total == UINT64_MAX ? UINT64_MAX : c.total - taken;
	return c;
}

static enum fl_ippool_state block_state(const struct block *b, unsigned n, int64_t now)
{
	if (b->rec.used >> n & 1)
		return FL_IPPOOL_USED;
	if ((b->take | b->taking) >> n & 1)
		return FL_IPPOOL_PENDING;
	return in_quarantine(&b->rec, n, now) ? FL_IPPOOL_QUARANTINED : FL_IPPOOL_FREE;
}

enum fl_ippool_state fl_ippool_state(const struct fl_ippool *p, const struct fl_addr *a,
				     int64_t now)
{
	const struct block *b;
	const struct slot *s;

	if (is_reserved(p, a))
		return FL_IPPOOL_RESERVED;
	if (!p->slots) {
		b = fl_ippool_block_find(p, a);
		return b ? block_state(b, bit_of(b, a), now) : FL_IPPOOL_FREE;
	}
	s = fl_ippool_slot(p, a);
	if (is_used(s))
		return FL_IPPOOL_USED;
	if (s->pending)
		return FL_IPPOOL_PENDING;
	return is_freed(s) ? FL_IPPOOL_QUARANTINED : FL_IPPOOL_FREE;
}
