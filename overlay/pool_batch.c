/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes into one transaction, and what came of it. */
#include "overlay/pool_private.h"

#include <errno.h>
#include <string.h>

struct fl_ippool_batch *fl_ippool_batch_new(void)
{
	return calloc(1, sizeof(struct fl_ippool_batch));
}

void fl_ippool_batch_free(struct fl_ippool_batch *b)
{
	if (!b)
		return;
	fl_ippool_batch_done(b, false, 0);
	free(b->v);
	free(b);
}

size_t fl_ippool_batch_size(const struct fl_ippool_batch *b)
{
	return b->n;
}

const struct fl_ippool_write *fl_ippool_batch_write(const struct fl_ippool_batch *b, size_t i)
{
	return &b->v[i].write;
}

static int reserve(struct fl_ippool_batch *b, size_t more)
{
	size_t room = b->room ? b->room : 8;
	struct item *grown;

	while (room < b->n + more)
		room *= 2;
	if (room == b->room)
		return 0;
	grown = realloc(b->v, room * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	b->v = grown;
	b->room = room;
	return 0;
}

/* ---- one address ---- */

/* 0, -EBUSY or -ESTALE. */
static int slot_ready(const struct slot *s)
{
	if (s->batch)
		return -EBUSY;
	return s->pending && s->decided == s->revision ? 0 : -ESTALE;
}

static int bit_ready(const struct block *b, uint64_t bit, const struct fl_ippool_batch *batch)
{
	bool fits;

	if (!b)
		return -ESTALE;
	if ((b->taking | b->giving) & bit)
		return -EBUSY;
	if (b->take & bit)
		fits = !(b->rec.used & bit);
	else
		fits = b->give & b->rec.used & bit;
	if (!fits)
		return -ESTALE;
	return !b->batch || b->batch == batch ? 0 : -EBUSY;
}

static int ready(const struct fl_ippool_batch *batch, const struct fl_ippool_at *at)
{
	const struct fl_ippool *p = at->pool;
	const struct block *b;

	if (!fl_ippool_holds(p, &at->addr))
		return -ESTALE;
	if (p->slots)
		return slot_ready(fl_ippool_slot(p, &at->addr));
	b = fl_ippool_block_find(p, &at->addr);
	return bit_ready(b, b ? 1ull << bit_of(b, &at->addr) : 0, batch);
}

static struct item *add_item(struct fl_ippool_batch *batch, struct fl_ippool *p,
			     enum fl_rec_kind kind)
{
	struct item *i = &batch->v[batch->n++];

	*i = (struct item){ .pool = p, .epoch = p->epoch };
	i->write.key.kind = kind;
	strcpy(i->write.key.net, p->net);
	return i;
}

static void add_slot(struct fl_ippool_batch *batch, struct fl_ippool *p, struct slot *s,
		     const struct fl_addr *a)
{
	struct item *i = add_item(batch, p, FL_REC_IP);

	i->slot = s;
	i->write.key.addr = *a;
	i->write.expected = s->known ? s->revision : 0;
	i->write.ip = *s->pending;
	s->batch = batch;
}

static struct item *add_block(struct fl_ippool_batch *batch, struct fl_ippool *p, struct block *b)
{
	struct item *i;

	for (size_t n = batch->n; b->batch && n-- > 0;)
		if (batch->v[n].block == b)
			return &batch->v[n];
	i = add_item(batch, p, FL_REC_BLK);
	i->block = b;
	i->write.key.block = fl_rec_block_of(&b->addr);
	i->write.expected = b->exists ? b->revision : 0;
	i->write.blk = b->rec;
	for (unsigned n = 0; n < FL_REC_BLOCK; n++)
		if (!in_quarantine(&b->rec, n, b->at))
			i->write.blk.released[n] = 0;
	b->batch = batch;
	return i;
}

static void add_bit(struct fl_ippool_batch *batch, struct fl_ippool *p, struct block *b, unsigned n)
{
	struct item *i = add_block(batch, p, b);
	struct fl_rec_blk *to = &i->write.blk;
	uint64_t bit = 1ull << n;

	if (b->take & bit) {
		to->used |= bit;
		to->released[n] = 0;
		to->next = (uint8_t)((n + 1) % FL_REC_BLOCK);
		if (!*to->node)
			strcpy(to->node, p->node);
		b->taking |= bit;
	} else if (b->give & bit) {
		to->used &= ~bit;
		to->released[n] = b->at;
		b->giving |= bit;
	}
	b->take &= ~bit;
	b->give &= ~bit;
}

static void add(struct fl_ippool_batch *batch, const struct fl_ippool_at *at)
{
	struct fl_ippool *p = at->pool;

	if (p->slots) {
		struct slot *s = fl_ippool_slot(p, &at->addr);

		if (!s->batch)
			add_slot(batch, p, s, &at->addr);
	} else {
		struct block *b = fl_ippool_block_find(p, &at->addr);

		add_bit(batch, p, b, bit_of(b, &at->addr));
	}
}

int fl_ippool_batch_add(struct fl_ippool_batch *batch, const struct fl_ippool_at *at, size_t n)
{
	int worst = reserve(batch, n);

	for (size_t i = 0; i < n && worst != -ENOMEM && worst != -ESTALE; i++) {
		int r = ready(batch, &at[i]);

		worst = r ? r : worst;
	}
	for (size_t i = 0; i < n && worst == -ESTALE; i++)
		fl_ippool_cancel(at[i].pool, &at[i].addr);
	for (size_t i = 0; i < n && !worst; i++)
		add(batch, &at[i]);
	return worst;
}

/* ---- the outcome ---- */

static void slot_done(struct item *i, bool won, int64_t revision)
{
	struct slot *s = i->slot;

	if (won && revision > s->revision) {
		free(s->known);
		s->known = fl_take_ptr(s->pending);
		s->revision = revision;
	}
	free(s->pending);
	s->pending = NULL;
	s->batch = NULL;
	fl_ippool_slot_settle(i->pool, s);
}

static void block_done(struct item *i, bool won, int64_t revision)
{
	struct block *b = i->block;

	if (won && revision > b->revision) {
		b->exists = !i->write.remove;
		b->rec = b->exists ? i->write.blk : (struct fl_rec_blk){ 0 };
		b->revision = revision;
	}
	b->taking = b->giving = 0;
	b->batch = NULL;
	fl_ippool_block_settle(i->pool, b);
}

void fl_ippool_batch_done(struct fl_ippool_batch *batch, bool won, int64_t revision)
{
	for (size_t n = 0; n < batch->n; n++) {
		struct item *i = &batch->v[n];
		bool counts = won && i->epoch == i->pool->epoch;

		if (i->slot)
			slot_done(i, counts, revision);
		else
			block_done(i, counts, revision);
	}
	batch->n = 0;
}

/* ---- leaving ---- */

static bool leave_slot(struct fl_ippool *p, struct slot *s, struct fl_ippool_batch *batch)
{
	struct fl_addr a = fl_addr_add(p->subnet.addr, (uint64_t)(s - p->slots));

	s->pending = calloc(1, sizeof(*s->pending));
	if (!s->pending)
		return false;
	s->pending->use = FL_REC_USE_FREED;
	s->decided = s->revision;
	add_slot(batch, p, s, &a);
	return true;
}

static int64_t leave_slots(struct fl_ippool *p, const char *node, struct fl_ippool_batch *batch,
			   size_t max)
{
	int64_t left = 0;

	for (size_t i = 0; i < p->n_slots; i++) {
		struct slot *s = &p->slots[i];

		if (!is_used(s) || !*node || strcmp(s->known->node, node))
			continue;
		if (s->pending || batch->n >= max)
			left++;
		else if (reserve(batch, 1) || !leave_slot(p, s, batch))
			return -ENOMEM;
	}
	return left;
}

static bool is_empty(const struct block *b, int64_t now)
{
	for (unsigned n = 0; n < FL_REC_BLOCK; n++)
		if (b->rec.used >> n & 1 || in_quarantine(&b->rec, n, now))
			return false;
	return true;
}

static int64_t leave_blocks(struct fl_ippool *p, const char *node, int64_t now,
			    struct fl_ippool_batch *batch, size_t max)
{
	int64_t left = 0;

	for (struct block *b = p->blocks; b; b = b->hh.next) {
		struct item *i;
		bool empty;

		if (!b->exists || strcmp(b->rec.node, node))
			continue;
		empty = is_empty(b, now);
		if (!*node && !empty)
			continue;
		if (b->batch || b->take || b->give || batch->n >= max) {
			left++;
			continue;
		}
		if (reserve(batch, 1))
			return -ENOMEM;
		b->at = now;
		i = add_block(batch, p, b);
		i->write.remove = empty;
		i->write.blk.node[0] = 0;
	}
	return left;
}

int64_t fl_ippool_leave(struct fl_ippool *p, const char *node, int64_t now,
			struct fl_ippool_batch *batch, size_t max)
{
	return p->slots ? leave_slots(p, node, batch, max) : leave_blocks(p, node, now, batch, max);
}

/* ---- what nobody has ---- */

/* A block that cannot be read is known as nobody's, with all bits set: it stays as it is. */
static bool is_mendable(const struct fl_ippool *p, const struct block *b)
{
	if (!b->exists || b->batch)
		return false;
	return *b->rec.node ? !strcmp(b->rec.node, p->node) : b->rec.used != ~0ull;
}

static uint64_t orphans(const struct block *b, const struct fl_ippool_mend *m)
{
	uint64_t rest = b->rec.used & ~(b->reserved | b->take | b->give), found = 0;

	for (; rest; rest &= rest - 1) {
		unsigned n = (unsigned)__builtin_ctzll(rest);
		struct fl_addr a = fl_addr_add(b->addr, n);

		if (!m->has_key(m->arg, &a))
			found |= 1ull << n;
	}
	return found;
}

static void give_bits(struct fl_ippool_batch *batch, struct fl_ippool *p, struct block *b,
		      uint64_t bits)
{
	b->give |= bits;
	for (; bits; bits &= bits - 1)
		add_bit(batch, p, b, (unsigned)__builtin_ctzll(bits));
}

/* Another node's are its own to mend, or the sweeper's. */
static int mend_slots(struct fl_ippool *p, struct fl_ippool_mend *m, struct fl_ippool_batch *batch,
		      size_t max)
{
	for (size_t i = 0; i < p->n_slots; i++) {
		struct slot *s = &p->slots[i];
		struct fl_addr a = fl_addr_add(p->subnet.addr, i);

		if (!is_used(s) || s->pending || strcmp(s->known->node, p->node) != 0 ||
		    m->has_key(m->arg, &a))
			continue;
		if (s->revision > m->known) {
			m->unproven = s->revision > m->unproven ? s->revision : m->unproven;
			continue;
		}
		if (!batch || batch->n >= max)
			continue;
		if (reserve(batch, 1) || !leave_slot(p, s, batch))
			return -ENOMEM;
		m->n++;
	}
	return 0;
}

static int mend_blocks(struct fl_ippool *p, struct fl_ippool_mend *m, int64_t now,
		       struct fl_ippool_batch *batch, size_t max)
{
	for (struct block *b = p->blocks; b; b = b->hh.next) {
		uint64_t bits = is_mendable(p, b) ? orphans(b, m) : 0;

		if (!bits)
			continue;
		if (b->revision > m->known) {
			m->unproven = b->revision > m->unproven ? b->revision : m->unproven;
			continue;
		}
		if (!batch || batch->n >= max)
			continue;
		if (reserve(batch, 1))
			return -ENOMEM;
		b->at = now;
		give_bits(batch, p, b, bits);
		m->n += (unsigned)__builtin_popcountll(bits);
	}
	return 0;
}

int fl_ippool_mend(struct fl_ippool *p, struct fl_ippool_mend *m, int64_t now,
		   struct fl_ippool_batch *batch, size_t max)
{
	return p->slots ? mend_slots(p, m, batch, max) : mend_blocks(p, m, now, batch, max);
}
