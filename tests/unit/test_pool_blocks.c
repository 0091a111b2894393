/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The allocator of overlay networks: blocks, transactions, and what a node leaves behind. */
#include "poolfixture.h"

#include <errno.h>
#include <time.h>

/* ---- blocks ---- */

static void node_pools(struct fl_ippool **p, size_t n, const char *subnet)
{
	for (size_t i = 0; i < n; i++)
		p[i] = pool_of(subnet, NULL, (char[]){ (char)('a' + i), 0 });
}

static void blocks_of_their_own(void **state)
{
	static const char *const subnets[] = { "10.0.0.0/8", "fd00:1::/64", "fd00:1::/48" };

	(void)state;
	for (int k = 0; k < 3; k++) {
		struct fl_ippool *p[20];
		unsigned lost = 0;

		node_pools(p, 20, subnets[k]);
		for (int round = 0; round < 70; round++)
			for (int i = 0; i < 20; i++) {
				struct fl_ippool_want w =
					want_of((char[]){ (char)('a' + i), 0 }, 1000, 0);
				struct fl_addr a;

				assert_int_equal(fl_ippool_choose(p[i], &w, &a, NULL), 0);
				lost += !commit(p[i], &a, 1000);
			}
		/* No node knows of the others. */
		assert_int_equal(lost, 0);
		assert_int_equal(store.n, 40);
		for (int i = 0; i < 20; i++) {
			assert_int_equal(fl_ippool_count(p[i], 1000).own_blocks, 2);
			fl_ippool_free(p[i]);
		}
	}
}

static void borrowing(void **state)
{
	struct fl_ippool *p[2];
	struct fl_addr a, last = { 0 };
	size_t at = 0;

	(void)state;
	node_pools(p, 2, "10.1.0.0/21");
	for (int i = 0; i < 32 * 64 - 2 - 5; i++)
		last = take(p[0], "a", 1000);
	store_tell(&store, p[1], &at, SIZE_MAX);
	assert_int_equal(fl_ippool_count(p[1], 1000).own_blocks, 0);
	for (int i = 0; i < 5; i++)
		a = take(p[1], "b", 1000);
	assert_int_equal(try_take(p[1], "b", 1000, 0, &a, NULL), -ENOSPC);
	assert_int_equal(fl_ippool_count(p[1], 1000).own_blocks, 0);
	/* The owner does not know yet; the store tells it. */
	assert_int_equal(fl_ippool_count(p[0], 1000).free, 5);
	assert_int_equal(try_take(p[0], "a", 1000, 0, &a, NULL), -ENOSPC);
	/* And back: by who borrowed, in a block of another node. */
	give(p[0], &last, "a", 1001);
	store_tell(&store, p[1], &at, SIZE_MAX);
	a = take(p[1], "b", 1100);
	assert_true(fl_addr_eq(&a, &last));
	give(p[1], &a, "b", 1101);
	store_tell(&store, p[0], &(size_t){ 0 }, SIZE_MAX);
	a = take(p[0], "a", 1300);
	assert_true(fl_addr_eq(&a, &last));
	fl_ippool_free(p[0]);
	fl_ippool_free(p[1]);
}

/* Borrowers do not all write the same block. */
static void borrowers_spread(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/21", NULL, "a");
	struct fl_rec_blk blk = { .node = "b", .used = 1 };
	struct fl_prefix first = prefix("10.1.0.0/26");
	unsigned seen = 0;

	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		struct fl_prefix block = { fl_addr_add(first.addr, i * 64ull), 26 };

		assert_int_equal(fl_ippool_block(p, &block, &blk, 5), 0);
	}
	for (unsigned i = 0; i < 32; i++) {
		struct fl_ippool_want w = want_of("a", 1000, i);
		struct fl_addr a;

		assert_int_equal(fl_ippool_choose(p, &w, &a, NULL), 0);
		seen |= 1u << fl_addr_distance(&first.addr, &a) / 64;
	}
	assert_int_equal(seen, UINT32_MAX);
}

/* Wanted: in a block that another node owns; in one that nobody has. */
static void wanted_of_others(void **state)
{
	struct fl_ippool *p[2];
	struct fl_ippool_want w = want_of("b", 1000, 0);
	struct fl_error err = { 0 };
	struct fl_addr a, got;
	size_t at = 0;
	char text[128];

	(void)state;
	node_pools(p, 2, "10.1.0.0/16");
	a = take(p[0], "a", 1000);
	store_tell(&store, p[1], &at, SIZE_MAX);
	w.addr = a;
	assert_int_equal(fl_ippool_choose(p[1], &w, &got, &err), -EADDRINUSE);
	snprintf(text, sizeof(text),
		 "address %s is in use, in a block of node a; ask for another "
		 "one, or for none",
		 fl_addr_str(&a, FL_ADDR_BUF));
	assert_string_equal(err.text, text);
	w.addr = fl_addr_add(a, 5);
	assert_int_equal(fl_ippool_choose(p[1], &w, &got, NULL), 0);
	assert_true(commit(p[1], &got, 1000));
	assert_int_equal(fl_ippool_count(p[1], 1000).own_blocks, 0);
	w.addr = fl_addr_add(a, 64);
	assert_int_equal(fl_ippool_choose(p[1], &w, &got, NULL), 0);
	assert_true(commit(p[1], &got, 1000));
	assert_int_equal(fl_ippool_count(p[1], 1000).own_blocks, 1);
	fl_ippool_free(p[0]);
	fl_ippool_free(p[1]);
}

/* ---- transactions ---- */

/* The first request goes at once, and what comes meanwhile goes together. */
static void at_once(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/16", "10.1.0.1", "a");
	struct fl_ippool_batch *b[2] = { fl_ippool_batch_new(), fl_ippool_batch_new() };
	struct fl_ippool_want w = want_of("a", 1000, 0);
	struct fl_ippool_at at[64];

	(void)state;
	for (int i = 0; i < 64; i++) {
		at[i].pool = p;
		assert_int_equal(fl_ippool_choose(p, &w, &at[i].addr, NULL), 0);
		for (int k = 0; k < i; k++)
			assert_false(fl_addr_eq(&at[i].addr, &at[k].addr));
		assert_int_equal(fl_ippool_batch_add(b[i > 0], &at[i], 1), i ? -EBUSY : 0);
	}
	assert_int_equal(fl_ippool_count(p, 1000).pending, 64);
	assert_true(store_run(&store, p, b[0], 1000));
	for (int i = 1; i < 64; i++)
		assert_int_equal(fl_ippool_batch_add(b[1], &at[i], 1), 0);
	assert_int_equal(fl_ippool_batch_size(b[1]), 1);
	assert_true(store_run(&store, p, b[1], 1000));
	assert_int_equal(fl_ippool_count(p, 1000).used, 64);
	assert_int_equal(fl_ippool_count(p, 1000).pending, 0);
	fl_ippool_batch_free(b[0]);
	fl_ippool_batch_free(b[1]);
}

static void staged_once(void **state)
{
	static const char *const subnets[] = { "10.1.0.0/24", "10.1.0.0/16" };

	(void)state;
	for (int k = 0; k < 2; k++) {
		FL_AUTOIPPOOL struct fl_ippool *p = pool_of(subnets[k], NULL, "a");
		struct fl_ippool_want w = want_of("a", 1000, 5);
		struct fl_addr got[200];

		for (int i = 0; i < 200; i++) {
			assert_int_equal(fl_ippool_choose(p, &w, &got[i], NULL), 0);
			for (int n = 0; n < i; n++)
				assert_false(fl_addr_eq(&got[i], &got[n]));
		}
		assert_int_equal(fl_ippool_count(p, 1000).pending, 200);
	}
}

/* What was chosen in a block that its owner deletes makes the block anew. */
static void deleted_meanwhile(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/16", NULL, "a");
	FL_AUTOIPBATCH struct fl_ippool_batch *b = fl_ippool_batch_new();
	struct fl_rec_blk blk = { .node = "b" };
	struct fl_prefix block = prefix("10.1.7.64/26");
	struct fl_ippool_want w = want_of("a", 1000, 0);
	struct fl_ippool_at at = { .pool = p };

	(void)state;
	assert_int_equal(fl_ippool_block(p, &block, &blk, 50), 0);
	w.addr = addr("10.1.7.70");
	assert_int_equal(fl_ippool_choose(p, &w, &at.addr, NULL), 0);
	assert_int_equal(fl_ippool_block(p, &block, NULL, 60), 0);
	assert_int_equal(fl_ippool_batch_add(b, &at, 1), 0);
	assert_int_equal(fl_ippool_batch_write(b, 0)->expected, 0);
	assert_string_equal(fl_ippool_batch_write(b, 0)->blk.node, "a");
	fl_ippool_batch_done(b, true, 70);
	assert_int_equal(fl_ippool_count(p, 1000).own_blocks, 1);
}

/* An endpoint's addresses of two pools go together or not at all. */
static void both_or_none(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p6 = pool_of("fd00::/64", "fd00::1", "a");
	FL_AUTOIPPOOL struct fl_ippool *p4 = pool_of("10.1.0.0/24", "10.1.0.1", "a");
	FL_AUTOIPBATCH struct fl_ippool_batch *one = fl_ippool_batch_new();
	FL_AUTOIPBATCH struct fl_ippool_batch *two = fl_ippool_batch_new();
	struct fl_ippool_want w = want_of("a", 1000, 0);
	struct fl_rec_ip ip = { FL_REC_USE_NODE, "b", "" };
	struct fl_ippool_at e1[2] = { { .pool = p4 }, { .pool = p6 } }, e2[2];

	(void)state;
	memcpy(e2, e1, sizeof(e2));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fl_ippool_choose(e1[i].pool, &w, &e1[i].addr, NULL), 0);
		assert_int_equal(fl_ippool_choose(e2[i].pool, &w, &e2[i].addr, NULL), 0);
	}
	assert_int_equal(fl_ippool_batch_add(one, e1, 2), 0);
	assert_int_equal(fl_ippool_batch_size(one), 2);
	assert_int_equal(fl_ippool_batch_add(two, e2, 2), -EBUSY);
	assert_int_equal(fl_ippool_batch_size(two), 0);
	/* Somebody else took one of them: both are given up. */
	assert_int_equal(fl_ippool_ip(p4, &e2[0].addr, &ip, 50), 0);
	assert_int_equal(fl_ippool_batch_add(two, e2, 2), -ESTALE);
	assert_int_equal(fl_ippool_count(p4, 1000).pending, 1);
	assert_int_equal(fl_ippool_count(p6, 1000).pending, 1);
	fl_ippool_batch_done(one, true, 60);
	assert_int_equal(fl_ippool_count(p4, 1000).used, 2);
	assert_int_equal(fl_ippool_count(p6, 1000).used, 1);
}

/* Two nodes meet in one new block: the slower one goes elsewhere, with all that it staged. */
static void slower_goes_elsewhere(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/16", NULL, "a");
	FL_AUTOIPBATCH struct fl_ippool_batch *b = fl_ippool_batch_new();
	struct fl_ippool_want w = want_of("a", 1000, 0);
	struct fl_rec_blk theirs = { .node = "z", .used = 1 };
	struct fl_ippool_at at[3];
	struct fl_prefix block;
	struct fl_addr again;

	(void)state;
	for (int i = 0; i < 3; i++) {
		at[i].pool = p;
		assert_int_equal(fl_ippool_choose(p, &w, &at[i].addr, NULL), 0);
	}
	block = fl_rec_block_of(&at[0].addr);
	assert_int_equal(fl_ippool_batch_add(b, at, 1), 0);
	assert_int_equal(fl_ippool_batch_write(b, 0)->expected, 0);
	assert_string_equal(fl_ippool_batch_write(b, 0)->blk.node, "a");
	assert_int_equal(fl_ippool_block(p, &block, &theirs, 70), 0);
	fl_ippool_batch_done(b, false, 0);
	assert_int_equal(fl_ippool_batch_add(b, &at[1], 2), -ESTALE);
	assert_int_equal(fl_ippool_choose(p, &w, &again, NULL), 0);
	assert_false(fl_prefix_contains(&block, &again));
}

/* What is under way stays what it is when the watch is faster than the answer. */
static void watch_before_answer(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/16", NULL, "a");
	FL_AUTOIPBATCH struct fl_ippool_batch *b = fl_ippool_batch_new();
	struct fl_ippool_want w = want_of("a", 1000, 0);
	struct fl_ippool_at at = { .pool = p };
	struct fl_rec_blk newer;
	struct fl_prefix block;

	(void)state;
	assert_int_equal(fl_ippool_choose(p, &w, &at.addr, NULL), 0);
	assert_int_equal(fl_ippool_batch_add(b, &at, 1), 0);
	newer = fl_ippool_batch_write(b, 0)->blk;
	newer.used |= 1ull << 63;
	block = fl_rec_block_of(&at.addr);
	assert_int_equal(fl_ippool_block(p, &block, &newer, 102), 0);
	fl_ippool_batch_done(b, true, 101);
	assert_int_equal(fl_ippool_count(p, 1000).used, 2);
	assert_int_equal(fl_ippool_count(p, 1000).pending, 0);
}

static void releasing(void **state)
{
	static const char *const subnets[] = { "10.1.0.0/24", "10.1.0.0/16", "fd00::/64" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		FL_AUTOIPPOOL struct fl_ippool *p = pool_of(subnets[i], NULL, "a");
		FL_AUTOIPBATCH struct fl_ippool_batch *b = fl_ippool_batch_new();
		struct fl_ippool_want w = want_of("a", 1000, 0);
		struct fl_ippool_at at = { .pool = p, .addr = take(p, "a", 1000) };
		struct fl_addr never = fl_addr_add(at.addr, 1), out = addr("192.0.2.1");
		const struct fl_ippool_write *write;

		assert_int_equal(fl_ippool_release(p, &never, &w.who, 1010), -ENOENT);
		assert_int_equal(fl_ippool_release(p, &out, &w.who, 1010), -ENOENT);
		assert_int_equal(fl_ippool_release(p, &at.addr, &w.who, 1010), 0);
		assert_int_equal(fl_ippool_release(p, &at.addr, &w.who, 1010), -EBUSY);
		fl_ippool_cancel(p, &at.addr);
		assert_int_equal(fl_ippool_release(p, &at.addr, &w.who, 1010), 0);
		assert_int_equal(fl_ippool_batch_add(b, &at, 1), 0);
		write = fl_ippool_batch_write(b, 0);
		assert_false(write->remove);
		if (fl_ippool_has_blocks(p)) {
			assert_int_equal(write->blk.used, 0);
			assert_int_equal(write->blk.released[write->blk.next - 1], 1010);
		} else {
			assert_int_equal(write->ip.use, FL_REC_USE_FREED);
			assert_string_equal(write->ip.node, "");
		}
		assert_int_equal(write->expected, store.revision);
		assert_true(store_run(&store, p, b, 1010));
		assert_int_equal(fl_ippool_count(p, 1010).used, 0);
		assert_int_equal(fl_ippool_count(p, 1010).quarantined, 1);
		assert_int_equal(fl_ippool_release(p, &at.addr, &w.who, 1010), -ENOENT);
	}
}

/* An address of a small subnet that is somebody else's by now stays theirs. */
static void releases_its_own(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/24", NULL, "a");
	struct fl_ippool_want w = want_of("a", 1000, 0);
	struct fl_addr a = take(p, "a", 1000);

	(void)state;
	strcpy(w.who.id, "e2");
	assert_int_equal(fl_ippool_release(p, &a, &w.who, 1010), -ENOENT);
	w = want_of("b", 1000, 0);
	assert_int_equal(fl_ippool_release(p, &a, &w.who, 1010), -ENOENT);
	w = want_of("a", 1000, 0);
	w.who.use = FL_REC_USE_NODE;
	assert_int_equal(fl_ippool_release(p, &a, &w.who, 1010), -ENOENT);
}

/* ---- leaving ---- */

static void leaving_blocks(void **state)
{
	struct fl_ippool *p[2];
	FL_AUTOIPBATCH struct fl_ippool_batch *b = fl_ippool_batch_new();
	struct fl_ippool_want w = want_of("b", 1000, 0);
	struct fl_addr mine[200];
	size_t at = 0;

	(void)state;
	node_pools(p, 2, "10.1.0.0/16");
	for (int i = 0; i < 200; i++)
		mine[i] = take(p[0], "a", 1000);
	store_tell(&store, p[1], &at, SIZE_MAX);
	w.addr = fl_addr_add(mine[199], 1);
	assert_int_equal(fl_ippool_choose(p[1], &w, &w.addr, NULL), 0);
	assert_true(commit(p[1], &w.addr, 1000));
	store_tell(&store, p[0], &(size_t){ 0 }, SIZE_MAX);
	for (int i = 0; i < 200; i++)
		give(p[0], &mine[i], "a", i < 64 ? 1000 : 1050);
	/* The first block has neither addresses nor a quarantine; the last one another's. */
	assert_int_equal(fl_ippool_count(p[0], 1070).own_blocks, 4);
	assert_int_equal(fl_ippool_leave(p[0], "a", 1070, b, 3), 1);
	assert_int_equal(fl_ippool_batch_size(b), 3);
	assert_int_equal(fl_ippool_leave(p[0], "a", 1070, b, 3), 4);
	assert_true(store_run(&store, p[0], b, 1070));
	assert_int_equal(fl_ippool_leave(p[0], "a", 1070, b, 3), 0);
	assert_true(store_run(&store, p[0], b, 1070));
	assert_int_equal(fl_ippool_count(p[0], 1070).own_blocks, 0);
	assert_int_equal(fl_ippool_count(p[0], 1070).blocks, 3);
	assert_int_equal(fl_ippool_count(p[0], 1070).used, 1);
	/* Later: what is empty and nobody's goes, by anybody; what is in use stays. */
	store_tell(&store, p[1], &at, SIZE_MAX);
	assert_int_equal(fl_ippool_leave(p[1], "", 1070, b, 99), 0);
	assert_int_equal(fl_ippool_batch_size(b), 0);
	assert_int_equal(fl_ippool_leave(p[1], "", 1110, b, 99), 0);
	assert_int_equal(fl_ippool_batch_size(b), 2);
	assert_true(store_run(&store, p[1], b, 1110));
	assert_int_equal(fl_ippool_count(p[1], 1110).blocks, 1);
	assert_true(store_used(&store, &w.addr));
	fl_ippool_free(p[0]);
	fl_ippool_free(p[1]);
}

/* Once there is no other place, a block without owner becomes that of who takes from it. */
static void adopting(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/21", NULL, "a");
	struct fl_prefix block;
	struct fl_addr a;

	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		struct fl_rec_blk blk = { .node = "b", .used = 1 };

		block = fl_rec_block_of(&(struct fl_addr){
			AF_INET, { 10, 1, (uint8_t)(i / 4), (uint8_t)(i % 4 * 64) } });
		if (i == 20)
			strcpy(blk.node, "");
		assert_int_equal(fl_ippool_block(p, &block, &blk, 5), 0);
		store_entry(&store, &block.addr)->now =
			(struct value){ .exists = true, .revision = 5, .blk = blk };
	}
	a = take(p, "a", 1000);
	assert_addr(&a, "10.1.5.1");
	assert_int_equal(fl_ippool_count(p, 1000).own_blocks, 1);
}

static void sweeping_small(void **state)
{
	struct fl_ippool *p[2];
	FL_AUTOIPBATCH struct fl_ippool_batch *b = fl_ippool_batch_new();
	size_t at = 0;

	(void)state;
	node_pools(p, 2, "10.1.0.0/24");
	for (int i = 0; i < 10; i++) {
		take(p[0], "a", 1000);
		take(p[1], "b", 1000);
	}
	store_tell(&store, p[1], &at, SIZE_MAX);
	assert_int_equal(fl_ippool_leave(p[1], "a", 1000, b, 7), 3);
	assert_true(store_run(&store, p[1], b, 1000));
	assert_int_equal(fl_ippool_leave(p[1], "a", 1000, b, 7), 0);
	assert_int_equal(fl_ippool_batch_size(b), 3);
	assert_true(store_run(&store, p[1], b, 1000));
	assert_int_equal(fl_ippool_count(p[1], 1000).used, 10);
	assert_int_equal(fl_ippool_count(p[1], 1000).quarantined, 10);
	assert_int_equal(fl_ippool_leave(p[1], "", 1000, b, 7), 0);
	assert_int_equal(fl_ippool_batch_size(b), 0);
	fl_ippool_free(p[0]);
	fl_ippool_free(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_of_their_own),
		cmocka_unit_test(borrowing),
		cmocka_unit_test(borrowers_spread),
		cmocka_unit_test(wanted_of_others),
		cmocka_unit_test(at_once),
		cmocka_unit_test(staged_once),
		cmocka_unit_test(deleted_meanwhile),
		cmocka_unit_test(both_or_none),
		cmocka_unit_test(slower_goes_elsewhere),
		cmocka_unit_test(watch_before_answer),
		cmocka_unit_test(releasing),
		cmocka_unit_test(releases_its_own),
		cmocka_unit_test(leaving_blocks),
		cmocka_unit_test(adopting),
		cmocka_unit_test(sweeping_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
