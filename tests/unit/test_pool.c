/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The allocator of overlay networks: rules one by one. Blocks: test_pool_blocks.c; many nodes at
 * random: test_pool_nodes.c. */
#include "poolfixture.h"

#include "overlay/vni.h"

#include <errno.h>
#include <time.h>

/* ---- what nobody gets ---- */

static void refuses_prefixes(void **state)
{
	static const struct {
		const char *subnet, *gateway, *text;
	} bad[] = {
		{ "10.1.0.1/24", NULL, "subnet 10.1.0.1/24: expected a prefix without host bits" },
		{ "0.0.0.0/0", NULL, "subnet 0.0.0.0/0: expected a prefix without host bits" },
		{ "10.1.0.0/24", "10.1.1.1",
		  "subnet 10.1.0.0/24: gateway 10.1.1.1 lies outside; expected one of its "
		  "addresses" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++) {
		struct fl_ippool_config c = { .net = "n1", .node = "a" };
		struct fl_ippool *p = (void *)1;
		struct fl_error err = { 0 };

		c.subnet = prefix(bad[i].subnet);
		if (bad[i].gateway)
			c.gateway = addr(bad[i].gateway);
		assert_int_equal(fl_ippool_new(&c, &p, &err), -EINVAL);
		assert_string_equal(err.text, bad[i].text);
		assert_ptr_equal(p, (void *)1);
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *subnet, *gateway;
		bool blocks;
		uint64_t total;
	} cases[] = {
		{ "10.1.0.0/22", "10.1.0.1", false, 1021 },
		{ "10.1.0.0/21", "10.1.0.1", true, 2045 },
		{ "10.1.0.0/21", NULL, true, 2046 },
		{ "10.0.0.0/8", "10.0.0.1", true, (1 << 24) - 3 },
		{ "10.1.0.0/30", "10.1.0.2", false, 1 },
		{ "10.1.0.0/31", NULL, false, 0 },
		{ "10.1.0.1/32", NULL, false, 0 },
		{ "fd00::/118", "fd00::1", false, 1022 },
		{ "fd00::/117", "fd00::1", true, 2046 },
		{ "fd00::/64", "fd00::1", true, UINT64_MAX },
		{ "fd00::/48", "fd00::1", true, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		FL_AUTOIPPOOL struct fl_ippool *p = pool_of(cases[i].subnet, cases[i].gateway, "a");
		struct fl_ippool_count c = fl_ippool_count(p, 1000);

		assert_int_equal(fl_ippool_has_blocks(p), cases[i].blocks);
		assert_true(c.total == cases[i].total);
		assert_true(c.free == cases[i].total);
	}
}

static void wanted(void **state)
{
	static const struct {
		const char *subnet, *want;
		int result;
		const char *text;
	} cases[] = {
		{ "10.1.0.0/24", "10.1.0.7", 0, "" },
		{ "10.1.0.0/24", "10.1.0.0", -EINVAL, "is the subnet's own" },
		{ "10.1.0.0/24", "10.1.0.1", -EINVAL, "is the gateway" },
		{ "10.1.0.0/24", "10.1.0.255", -EINVAL, "is that of broadcasts" },
		{ "10.1.0.0/24", "10.1.1.0", -EINVAL,
		  "address 10.1.1.0 lies outside subnet 10.1.0.0/24" },
		{ "10.1.0.0/24", "fd00::7", -EINVAL, "lies outside" },
		{ "10.1.0.0/16", "10.1.77.7", 0, "" },
		{ "10.1.0.0/16", "10.1.77.255", 0, "" },
		{ "10.1.0.0/16", "10.1.255.255", -EINVAL, "is that of broadcasts" },
		{ "10.1.0.0/16", "10.1.0.1", -EINVAL, "is the gateway" },
		{ "10.1.0.0/16", "10.2.0.0", -EINVAL, "lies outside" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		FL_AUTOIPPOOL struct fl_ippool *p = pool_of(cases[i].subnet, "10.1.0.1", "a");
		struct fl_ippool_want w = want_of("a", 1000, 3);
		struct fl_error err = { 0 };
		struct fl_addr got = { 0 };

		w.addr = addr(cases[i].want);
		assert_int_equal(fl_ippool_choose(p, &w, &got, &err), cases[i].result);
		assert_non_null(strstr(err.text, cases[i].text));
		assert_int_equal(fl_addr_is_set(&got), !cases[i].result);
		if (cases[i].result)
			continue;
		assert_addr(&got, cases[i].want);
		assert_int_equal(fl_ippool_choose(p, &w, &got, &err), -EADDRINUSE);
		assert_non_null(strstr(err.text, "being taken"));
		assert_true(commit(p, &got, 1000));
		/* A key tells that it is its own, to be claimed again; a bit does not. */
		assert_int_equal(fl_ippool_choose(p, &w, &got, &err),
				 fl_ippool_has_blocks(p) ? -EADDRINUSE : 0);
		fl_ippool_cancel(p, &got);
		fl_strcpy(w.who.id, sizeof(w.who.id), "another");
		assert_int_equal(fl_ippool_choose(p, &w, &got, &err), -EADDRINUSE);
		assert_int_equal(err.code, FL_ECODE_CONFLICT);
	}
}

static void conflict_says_who(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/24", "10.1.0.1", "a");
	struct fl_rec_ip ip = { FL_REC_USE_ENDPOINT, "host-b", "e77" };
	struct fl_ippool_want w = want_of("a", 1000, 0);
	struct fl_error err = { 0 };
	struct fl_addr got;

	(void)state;
	w.addr = addr("10.1.0.9");
	assert_int_equal(fl_ippool_ip(p, &w.addr, &ip, 5), 0);
	assert_int_equal(fl_ippool_choose(p, &w, &got, &err), -EADDRINUSE);
	assert_string_equal(err.text, "address 10.1.0.9 is that of endpoint e77 of node host-b; "
				      "ask for another one, or for none");
	ip = (struct fl_rec_ip){ FL_REC_USE_NODE, "host-b", "" };
	assert_int_equal(fl_ippool_ip(p, &w.addr, &ip, 6), 0);
	assert_int_equal(fl_ippool_choose(p, &w, &got, &err), -EADDRINUSE);
	assert_string_equal(err.text, "address 10.1.0.9 is that of node host-b; ask for another "
				      "one, or for none");
	/* One that was freed may be asked for at once, and its record is compared. */
	ip = (struct fl_rec_ip){ FL_REC_USE_FREED, "", "" };
	assert_int_equal(fl_ippool_ip(p, &w.addr, &ip, 7), 0);
	assert_int_equal(fl_ippool_choose(p, &w, &got, &err), 0);
}

static void other_keys_are_ignored(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *small = pool_of("10.1.0.0/24", NULL, "a");
	FL_AUTOIPPOOL struct fl_ippool *large = pool_of("10.1.0.0/16", NULL, "a");
	struct fl_prefix inside = prefix("10.1.0.64/26"), outside = prefix("10.2.0.0/26");
	struct fl_addr in = addr("10.1.0.70"), out = addr("10.2.0.1"), v6 = addr("fd00::1");
	struct fl_rec_ip ip = { FL_REC_USE_NODE, "b", "" };
	struct fl_rec_blk blk = { .node = "b" };

	(void)state;
	assert_int_equal(fl_ippool_ip(small, &out, &ip, 5), -EINVAL);
	assert_int_equal(fl_ippool_ip(small, &v6, &ip, 5), -EINVAL);
	assert_int_equal(fl_ippool_block(small, &inside, &blk, 5), -EINVAL);
	assert_int_equal(fl_ippool_block(large, &outside, &blk, 5), -EINVAL);
	assert_int_equal(fl_ippool_ip(large, &in, &ip, 5), -EINVAL);
	assert_int_equal(fl_ippool_count(small, 9).used + fl_ippool_count(large, 9).blocks, 0);
	assert_int_equal(fl_ippool_block(large, &inside, &blk, 5), 0);
	assert_int_equal(fl_ippool_count(large, 9).blocks, 1);
}

/* ---- revisions ---- */

static void newest_counts(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *small = pool_of("10.1.0.0/24", NULL, "a");
	FL_AUTOIPPOOL struct fl_ippool *large = pool_of("10.1.0.0/16", NULL, "a");
	struct fl_prefix block = prefix("10.1.0.64/26");
	struct fl_rec_blk blk = { .node = "b", .used = 7 };
	struct fl_rec_ip ip = { FL_REC_USE_NODE, "b", "" };
	struct fl_addr a = addr("10.1.0.5");

	(void)state;
	assert_int_equal(fl_ippool_ip(small, &a, &ip, 5), 0);
	assert_int_equal(fl_ippool_ip(small, &a, NULL, 4), 0);
	assert_int_equal(fl_ippool_count(small, 9).used, 1);
	assert_int_equal(fl_ippool_ip(small, &a, NULL, 6), 0);
	assert_int_equal(fl_ippool_ip(small, &a, &ip, 5), 0);
	assert_int_equal(fl_ippool_count(small, 9).used, 0);

	assert_int_equal(fl_ippool_block(large, &block, &blk, 5), 0);
	blk.used = 1;
	assert_int_equal(fl_ippool_block(large, &block, &blk, 4), 0);
	assert_int_equal(fl_ippool_block(large, &block, NULL, 4), 0);
	assert_int_equal(fl_ippool_count(large, 9).used, 3);
	assert_int_equal(fl_ippool_block(large, &block, &blk, 6), 0);
	assert_int_equal(fl_ippool_count(large, 9).used, 1);
	assert_int_equal(fl_ippool_block(large, &block, NULL, 7), 0);
	assert_int_equal(fl_ippool_count(large, 9).blocks, 0);
}

static void listed_again(void **state)
{
	static const char *const subnets[] = { "10.1.0.0/24", "10.1.0.0/16" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		FL_AUTOIPPOOL struct fl_ippool *p = pool_of(subnets[i], NULL, "a");
		struct fl_addr first = take(p, "a", 1000), second = take(p, "a", 1000);
		size_t at;

		store_list(&store, p, &at, false);
		assert_int_equal(fl_ippool_count(p, 1000).used, 2);
		/* Nothing is left, but a list that is older than what is known says nothing. */
		fl_ippool_list_begin(p, false);
		fl_ippool_list_end(p, 100);
		assert_int_equal(fl_ippool_count(p, 1000).used, 2);
		fl_ippool_list_begin(p, false);
		fl_ippool_list_end(p, store.revision);
		assert_int_equal(fl_ippool_count(p, 1000).used, 0);
		(void)first;
		(void)second;
	}
}

/* A backup's revisions are lower; a transaction of before counts for nothing. */
static void restored(void **state)
{
	static const char *const subnets[] = { "10.1.0.0/24", "10.1.0.0/16" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		FL_AUTOIPPOOL struct fl_ippool *p = pool_of(subnets[i], NULL, "a");
		FL_AUTOIPBATCH struct fl_ippool_batch *b = fl_ippool_batch_new();
		struct fl_ippool_want w = want_of("a", 1000, 0);
		struct fl_ippool_at at = { .pool = p };
		size_t from;

		take(p, "a", 1000);
		take(p, "a", 1000);
		assert_int_equal(fl_ippool_choose(p, &w, &at.addr, NULL), 0);
		assert_int_equal(fl_ippool_batch_add(b, &at, 1), 0);
		store = (struct store){ .blocks = store.blocks, .revision = 3 };
		store_list(&store, p, &from, true);
		fl_ippool_batch_done(b, true, 5000);
		assert_int_equal(fl_ippool_count(p, 1000).used, 0);
		assert_int_equal(fl_ippool_count(p, 1000).pending, 0);
		take(p, "a", 1000);
		assert_int_equal(fl_ippool_count(p, 1000).used, 1);
	}
}

/* ---- quarantine ---- */

static void small_quarantine(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/28", "10.1.0.1", "a");
	struct fl_addr got[13], a;
	struct fl_error err = { 0 };

	(void)state;
	for (int i = 0; i < 13; i++)
		got[i] = take(p, "a", 1000);
	assert_int_equal(try_take(p, "a", 1000, 7, &a, &err), -ENOSPC);
	assert_int_equal(err.code, FL_ECODE_EXHAUSTED);
	assert_string_equal(err.text,
			    "subnet 10.1.0.0/28: none of its 13 addresses is free: 13 are in use, "
			    "0 are being taken, 0 in quarantine; remove containers, or use a "
			    "network with a larger subnet");
	/* 5, 9, 2 are freed in this order; the lease of none ends: first come, first served. */
	give(p, &got[5], "a", 1001);
	give(p, &got[9], "a", 1001);
	give(p, &got[2], "a", 1001);
	assert_int_equal(fl_ippool_count(p, 1001).quarantined, 3);
	for (uint64_t random = 0; random < 16; random++) {
		struct fl_ippool_want w = want_of("a", 1001, random);

		assert_int_equal(fl_ippool_choose(p, &w, &a, NULL), 0);
		assert_true(fl_addr_eq(&a, &got[5]));
		fl_ippool_cancel(p, &a);
	}
	a = take(p, "a", 1001);
	assert_true(fl_addr_eq(&a, &got[5]));
	/* One whose lease has ended goes before one that was freed earlier. */
	store_entry(&store, &got[2])->expires = 1001;
	store_expire(&store, 1001);
	store_tell(&store, p, &(size_t){ 0 }, SIZE_MAX);
	assert_int_equal(try_take(p, "a", 1002, 11, &a, NULL), 0);
	assert_true(fl_addr_eq(&a, &got[2]));
}

/* A block's next address, not its lowest free one; then others; then the longest released. */
static void block_quarantine(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/21", NULL, "a");
	struct fl_addr got[2046], a;

	(void)state;
	for (int i = 0; i < 10; i++)
		got[i] = take(p, "a", 1000);
	give(p, &got[3], "a", 1001);
	got[10] = take(p, "a", 1001);
	assert_true(fl_addr_distance(&got[9], &got[10]) == 1);
	for (int i = 11; i < 2045; i++) {
		got[i] = take(p, "a", 1002);
		assert_false(fl_addr_eq(&got[i], &got[3]));
	}
	/* All but two of 2,046 are in use; one of them is in quarantine. */
	a = take(p, "a", 1003);
	assert_false(fl_addr_eq(&a, &got[3]));
	give(p, &got[700], "a", 1004);
	give(p, &got[3 + 64], "a", 1005);
	a = take(p, "a", 1006);
	assert_true(fl_addr_eq(&a, &got[3]));
	a = take(p, "a", 1006);
	assert_true(fl_addr_eq(&a, &got[700]));
	a = take(p, "a", 1006);
	assert_true(fl_addr_eq(&a, &got[3 + 64]));
	assert_int_equal(try_take(p, "a", 1006, 0, &a, NULL), -ENOSPC);
}

/* Reuse comes late, also when no quarantine forbids it. */
static void next_not_lowest(void **state)
{
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/16", NULL, "a");
	FL_AUTOIPPOOL struct fl_ippool *again = NULL;
	struct fl_addr got[10], a;

	(void)state;
	for (int i = 0; i < 10; i++)
		got[i] = take(p, "a", 1000);
	give(p, &got[3], "a", 1001);
	a = take(p, "a", 5000);
	assert_true(fl_addr_distance(&got[9], &a) == 1);
	/* Another agent of the node goes on from there. */
	fl_ippool_new(&(struct fl_ippool_config){ "n1", "a", prefix("10.1.0.0/16"), { 0 } }, &again,
		      NULL);
	store_tell(&store, again, &(size_t){ 0 }, SIZE_MAX);
	a = take(again, "a", 5000);
	assert_true(fl_addr_distance(&got[9], &a) == 2);
}

static void quarantine_ends(void **state)
{
	static const struct {
		int64_t now;
		uint64_t quarantined;
	} cases[] = { { 1000, 1 },
		      { 1059, 1 },
		      { 1060, 0 },
		      { 5000, 0 },
		      /* another node's clock */
		      { 941, 1 },
		      { 940, 0 },
		      { INT64_MAX / 2, 0 },
		      { 100, 0 } };
	FL_AUTOIPPOOL struct fl_ippool *p = pool_of("10.1.0.0/16", NULL, "a");
	struct fl_prefix block = prefix("10.1.7.64/26");
	struct fl_rec_blk blk = { .node = "a", .used = 1, .next = 9, .released = { [9] = 1000 } };

	(void)state;
	assert_int_equal(fl_ippool_block(p, &block, &blk, 5), 0);
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_ippool_want w = want_of("a", cases[i].now, 0);
		struct fl_addr a;

		assert_int_equal(fl_ippool_count(p, cases[i].now).quarantined,
				 cases[i].quarantined);
		assert_int_equal(fl_ippool_choose(p, &w, &a, NULL), 0);
		assert_addr(&a, cases[i].quarantined ? "10.1.7.74" : "10.1.7.73");
		fl_ippool_cancel(p, &a);
		assert_int_equal(fl_ippool_block(p, &block, &blk, 6 + (int64_t)i), 0);
	}
}

/* ---- VNIs ---- */

static void vnis(void **state)
{
	static const uint32_t used[] = { 0x100002, 1, 0x100000, 0xfffffe, 0x100000, 0x100001 };
	uint32_t *all = calloc(0xf00000, sizeof(*all)), got;
	struct fl_error err = { 0 };

	(void)state;
	assert_int_equal(fl_vni_find(NULL, 0, 0, &got, NULL), 0);
	assert_int_equal(got, 0x100000);
	assert_int_equal(fl_vni_find(used, FL_ARRAY_SIZE(used), 0, &got, NULL), 0);
	assert_int_equal(got, 0x100003);
	assert_int_equal(fl_vni_find(used, FL_ARRAY_SIZE(used), 0x100001, &got, NULL), 0);
	assert_int_equal(got, 0x100003);
	assert_int_equal(fl_vni_find(used, FL_ARRAY_SIZE(used), 0x200000, &got, NULL), 0);
	assert_int_equal(got, 0x200000);
	assert_int_equal(fl_vni_find(used, FL_ARRAY_SIZE(used), 0xfffffe, &got, NULL), 0);
	assert_int_equal(got, 0x100003);
	assert_int_equal(fl_vni_find(used, FL_ARRAY_SIZE(used), 0xffffff, &got, NULL), 0);
	assert_int_equal(got, 0x100003);
	for (uint32_t i = 0; i < 0xefffff; i++)
		all[i] = 0xfffffe - i;
	assert_int_equal(fl_vni_find(all, 0xefffff, 7, &got, &err), -ENOSPC);
	assert_int_equal(err.code, FL_ECODE_EXHAUSTED);
	assert_int_equal(fl_vni_find(all, 0xeffffe, 0xfffffe, &got, &err), 0);
	assert_int_equal(got, 0x100000);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_prefixes),
		cmocka_unit_test(sizes),
		cmocka_unit_test(wanted),
		cmocka_unit_test(conflict_says_who),
		cmocka_unit_test(other_keys_are_ignored),
		cmocka_unit_test(newest_counts),
		cmocka_unit_test(listed_again),
		cmocka_unit_test(restored),
		cmocka_unit_test(small_quarantine),
		cmocka_unit_test(block_quarantine),
		cmocka_unit_test(next_not_lowest),
		cmocka_unit_test(quarantine_ends),
		cmocka_unit_test(vnis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
