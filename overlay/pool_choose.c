/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which address to take next. */
#include "overlay/pool_private.h"

#include "base/siphash.h"

#include <errno.h>
#include <string.h>

static struct fl_rec_ip *copy(const struct fl_rec_ip *ip)
{
	struct fl_rec_ip *c = malloc(sizeof(*c));

	if (c)
		*c = *ip;
	return c;
}

static uint64_t rotated(uint64_t bits, unsigned by)
{
	return by ? bits >> by | bits << (64 - by) : bits;
}

static int exhausted(const struct fl_ippool *p, int64_t now, struct fl_error *err)
{
	struct fl_ippool_count c = fl_ippool_count(p, now);

	return fl_error_set(err, ENOSPC, FL_ECODE_EXHAUSTED,
			    "subnet %s: none of its %llu addresses is free: %llu are in use, %llu "
			    "are being taken, %llu in quarantine; remove containers, or use a "
			    "network with a larger subnet",
			    fl_prefix_str(&p->subnet, FL_PREFIX_BUF), (unsigned long long)c.total,
			    (unsigned long long)c.used, (unsigned long long)c.pending,
			    (unsigned long long)c.quarantined);
}

/* ---- small subnets ---- */

static int stage_slot(struct fl_ippool *p, struct slot *s, const struct fl_rec_ip *to,
		      struct fl_error *err)
{
	s->pending = copy(to);
	if (!s->pending)
		return fl_error_oom(err);
	s->decided = s->revision;
	fl_ippool_slot_settle(p, s);
	return 0;
}

static struct slot *free_slot(const struct fl_ippool *p, uint64_t random)
{
	size_t n = p->n_slots, words = (n + 63) / 64, from = (size_t)(random % n);
	uint64_t first = p->free[from / 64] & ~0ull << from % 64;

	if (first)
		return &p->slots[from / 64 * 64 + (size_t)__builtin_ctzll(first)];
	for (size_t i = 1; i <= words; i++) {
		size_t w = (from / 64 + i) % words;

		if (p->free[w])
			return &p->slots[w * 64 + (size_t)__builtin_ctzll(p->free[w])];
	}
	return NULL;
}

static struct slot *longest_freed(const struct fl_ippool *p)
{
	struct slot *best = NULL;

	for (size_t i = 0; i < p->n_slots; i++) {
		struct slot *s = &p->slots[i];
		struct fl_addr a;

		if (!is_freed(s) || s->pending || (best && s->revision >= best->revision))
			continue;
		a = fl_addr_add(p->subnet.addr, i);
		if (!is_reserved(p, &a))
			best = s;
	}
	return best;
}

static int choose_slot(struct fl_ippool *p, const struct fl_ippool_want *want, struct fl_addr *ret,
		       struct fl_error *err)
{
	struct slot *s = free_slot(p, want->random);
	int r;

	if (!s)
		s = longest_freed(p);
	if (!s)
		return exhausted(p, want->now, err);
	r = stage_slot(p, s, &want->who, err);
	if (!r)
		*ret = fl_addr_add(p->subnet.addr, (uint64_t)(s - p->slots));
	return r;
}

static int taken_slot(const struct fl_addr *a, const struct fl_rec_ip *who, bool pending,
		      struct fl_error *err)
{
	static const char *const what[] = { "endpoint", "node", "gateway", "service", "release" };

	return fl_error_set(
		err, EADDRINUSE, FL_ECODE_CONFLICT,
		"address %s %s %s%s%s%s%s; ask for another one, or for none",
		fl_addr_str(a, FL_ADDR_BUF), pending ? "is being taken by" : "is that of",
		what[who->use], *who->id ? " " : "", who->id,
		*who->node && who->use != FL_REC_USE_NODE ? " of node " : " ", who->node);
}

static int want_slot(struct fl_ippool *p, const struct fl_ippool_want *want, struct fl_error *err)
{
	struct slot *s = fl_ippool_slot(p, &want->addr);

	if (s->pending)
		return taken_slot(&want->addr, s->pending, true, err);
	/* Its own: who claims it again may have been told only of one half of its loss. */
	if (is_used(s) &&
	    (s->known->use != want->who.use || strcmp(s->known->node, want->who.node) ||
	     strcmp(s->known->id, want->who.id)))
		return taken_slot(&want->addr, s->known, false, err);
	return stage_slot(p, s, &want->who, err);
}

/* ---- subnets with blocks ---- */

static void take(struct fl_ippool *p, struct block *b, unsigned n, int64_t now)
{
	b->take |= 1ull << n;
	b->at = now;
	b->next = (uint8_t)((n + 1) % FL_REC_BLOCK);
	fl_ippool_block_settle(p, b);
	if (b->set == SET_OWN)
		p->own = b->pos;
}

/* The first one from `next` on that is not in quarantine, or -1. */
static int free_bit(const struct block *b, int64_t now)
{
	for (uint64_t rest = rotated(unused(b), b->next); rest; rest &= rest - 1) {
		unsigned n = (b->next + (unsigned)__builtin_ctzll(rest)) % FL_REC_BLOCK;

		if (!in_quarantine(&b->rec, n, now))
			return (int)n;
	}
	return -1;
}

static struct block *in_set(const struct fl_ippool *p, enum set set, uint64_t from, int64_t now,
			    int *ret)
{
	const struct set_of_blocks *s = &p->sets[set];

	for (size_t i = 0; i < s->n; i++) {
		struct block *b = s->v[(from % s->n + i) % s->n];
		int n = free_bit(b, now);

		if (n >= 0) {
			*ret = n;
			return b;
		}
	}
	return NULL;
}

/* One that the store does not have, from where the node's hash leads: other nodes begin elsewhere,
 * and a node's blocks lie side by side. */
static bool new_block(const struct fl_ippool *p, struct fl_addr *ret)
{
	static const uint8_t key[16];
	uint64_t at = fl_siphash(key, p->node, strlen(p->node));

	if (HASH_COUNT(p->blocks) >= p->n_blocks)
		return false;
	for (uint64_t i = 0; i < p->n_blocks; i++) {
		struct fl_addr a =
			fl_addr_add(p->subnet.addr, (at + i) % p->n_blocks * FL_REC_BLOCK);

		if (!fl_ippool_block_find(p, &a)) {
			*ret = a;
			return true;
		}
	}
	return false;
}

static struct block *longest_released(const struct fl_ippool *p, int *ret)
{
	struct block *best = NULL;

	for (int set = 0; set < SETS; set++)
		for (size_t i = 0; i < p->sets[set].n; i++) {
			struct block *b = p->sets[set].v[i];

			for (uint64_t rest = unused(b); rest; rest &= rest - 1) {
				int n = __builtin_ctzll(rest);

				if (best && b->rec.released[n] >= best->rec.released[*ret])
					continue;
				best = b;
				*ret = n;
			}
		}
	return best;
}

static int choose_bit(struct fl_ippool *p, const struct fl_ippool_want *want, struct fl_addr *ret,
		      struct fl_error *err)
{
	struct fl_addr fresh;
	int n = 0;
	struct block *b = in_set(p, SET_OWN, p->own, want->now, &n);

	if (!b && new_block(p, &fresh)) {
		b = fl_ippool_block_get(p, &fresh);
		if (!b)
			return fl_error_oom(err);
		n = free_bit(b, want->now);
	}
	if (!b)
		b = in_set(p, SET_NOBODYS, want->random, want->now, &n);
	if (!b)
		b = in_set(p, SET_OTHERS, want->random, want->now, &n);
	if (!b)
		b = longest_released(p, &n);
	if (!b)
		return exhausted(p, want->now, err);
	take(p, b, (unsigned)n, want->now);
	*ret = fl_addr_add(b->addr, (uint64_t)n);
	return 0;
}

static int want_bit(struct fl_ippool *p, const struct fl_ippool_want *want, struct fl_error *err)
{
	struct block *b = fl_ippool_block_get(p, &want->addr);
	uint64_t bit;

	if (!b)
		return fl_error_oom(err);
	bit = 1ull << bit_of(b, &want->addr);
	if ((b->take | b->taking) & bit)
		return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT,
				    "address %s is being taken by another endpoint of this node; "
				    "ask for another one, or for none",
				    fl_addr_str(&want->addr, FL_ADDR_BUF));
	if (b->rec.used & bit)
		return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT,
				    "address %s is in use, in a block of %s%s; ask for another "
				    "one, or for none",
				    fl_addr_str(&want->addr, FL_ADDR_BUF),
				    *b->rec.node ? "node " : "no node", b->rec.node);
	take(p, b, bit_of(b, &want->addr), want->now);
	return 0;
}

/* ---- all ---- */

static int refuse(const struct fl_ippool *p, const struct fl_addr *a, struct fl_error *err)
{
	const char *why = fl_addr_eq(a, &p->gateway)	   ? "is the gateway"
			  : fl_addr_eq(a, &p->subnet.addr) ? "is the subnet's own"
							   : "is that of broadcasts";

	if (!fl_ippool_holds(p, a))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "address %s lies outside subnet %s; ask for one of it, or for "
				    "none",
				    fl_addr_str(a, FL_ADDR_BUF),
				    fl_prefix_str(&p->subnet, FL_PREFIX_BUF));
	if (is_reserved(p, a))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "address %s of subnet %s %s; ask for another one, or for none",
				    fl_addr_str(a, FL_ADDR_BUF),
				    fl_prefix_str(&p->subnet, FL_PREFIX_BUF), why);
	return 0;
}

int fl_ippool_choose(struct fl_ippool *p, const struct fl_ippool_want *want, struct fl_addr *ret,
		     struct fl_error *err)
{
	int r;

	if (!fl_addr_is_set(&want->addr))
		return p->slots ? choose_slot(p, want, ret, err) : choose_bit(p, want, ret, err);
	r = refuse(p, &want->addr, err);
	if (!r)
		r = p->slots ? want_slot(p, want, err) : want_bit(p, want, err);
	if (!r)
		*ret = want->addr;
	return r;
}

/* ---- giving back ---- */

static int release_slot(struct fl_ippool *p, const struct fl_addr *a, const struct fl_rec_ip *who)
{
	static const struct fl_rec_ip freed = { .use = FL_REC_USE_FREED };
	struct slot *s = fl_ippool_slot(p, a);

	if (s->pending)
		return -EBUSY;
	if (!s->known || s->known->use != who->use || strcmp(s->known->node, who->node) ||
	    strcmp(s->known->id, who->id))
		return -ENOENT;
	return stage_slot(p, s, &freed, NULL);
}

static int release_bit(struct fl_ippool *p, const struct fl_addr *a, int64_t now)
{
	struct block *b = fl_ippool_block_find(p, a);
	uint64_t bit;

	if (!b)
		return -ENOENT;
	bit = 1ull << bit_of(b, a);
	if ((b->take | b->taking | b->give | b->giving) & bit)
		return -EBUSY;
	if (!(b->rec.used & bit))
		return -ENOENT;
	b->give |= bit;
	b->at = now;
	return 0;
}

int fl_ippool_release(struct fl_ippool *p, const struct fl_addr *a, const struct fl_rec_ip *who,
		      int64_t now)
{
	if (!fl_ippool_holds(p, a))
		return -ENOENT;
	return p->slots ? release_slot(p, a, who) : release_bit(p, a, now);
}

void fl_ippool_cancel(struct fl_ippool *p, const struct fl_addr *a)
{
	struct block *b;
	struct slot *s;

	if (!fl_ippool_holds(p, a))
		return;
	if (p->slots) {
		s = fl_ippool_slot(p, a);
		if (s->batch)
			return;
		free(s->pending);
		s->pending = NULL;
		fl_ippool_slot_settle(p, s);
		return;
	}
	b = fl_ippool_block_find(p, a);
	if (!b)
		return;
	b->take &= ~(1ull << bit_of(b, a));
	b->give &= ~(1ull << bit_of(b, a));
	fl_ippool_block_settle(p, b);
}
