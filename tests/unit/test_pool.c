/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The allocator of overlay networks: rules one by one. Many nodes at random: test_pool_nodes.c. */
#include "pool_store.h"

#include "overlay/vni.h"

#include <errno.h>
#include <time.h>

static struct store store;

static struct fl_addr addr(const char *text)
{
	struct fl_addr a;

	assert_int_equal(fl_addr_parse(text, &a), 0);
	return a;
}

static struct fl_prefix prefix(const char *text)
{
	struct fl_prefix p;

	assert_int_equal(fl_prefix_parse(text, &p), 0);
	return p;
}

static struct fl_ippool *pool_of(const char *subnet, const char *gateway, const char *node)
{
	struct fl_ippool_config c = { .net = "n1", .node = node, .subnet = prefix(subnet) };
	struct fl_ippool *p = NULL;

	if (gateway)
		c.gateway = addr(gateway);
	assert_int_equal(fl_ippool_new(&c, &p, NULL), 0);
	store = (struct store){ .blocks = fl_ippool_has_blocks(p), .revision = 100 };
	return p;
}

static struct fl_ippool_want want_of(const char *node, int64_t now, uint64_t random)
{
	struct fl_ippool_want w = { .now = now, .random = random };

	w.who.use = FL_REC_USE_ENDPOINT;
	snprintf(w.who.node, sizeof(w.who.node), "%s", node);
	strcpy(w.who.id, "e1");
	return w;
}

/* Stages the address and runs a transaction of its own. */
static bool commit(struct fl_ippool *p, const struct fl_addr *a, int64_t now)
{
	FL_AUTOIPBATCH struct fl_ippool_batch *b = fl_ippool_batch_new();
	struct fl_ippool_at at = { p, *a };

	assert_int_equal(fl_ippool_batch_add(b, &at, 1), 0);
	assert_int_equal(fl_ippool_batch_size(b), 1);
	return store_run(&store, p, b, now);
}

static int try_take(struct fl_ippool *p, const char *node, int64_t now, uint64_t random,
		    struct fl_addr *ret, struct fl_error *err)
{
	struct fl_ippool_want w = want_of(node, now, random);

	for (int i = 0; i < 100; i++) {
		int r = fl_ippool_choose(p, &w, ret, err);

		if (r || commit(p, ret, now))
			return r;
	}
	fail_msg("100 transactions were lost");
	return -EAGAIN;
}

static struct fl_addr take(struct fl_ippool *p, const char *node, int64_t now)
{
	struct fl_addr a;

	assert_int_equal(try_take(p, node, now, 0, &a, NULL), 0);
	return a;
}

static void give(struct fl_ippool *p, const struct fl_addr *a, const char *node, int64_t now)
{
	struct fl_ippool_want w = want_of(node, now, 0);

	assert_int_equal(fl_ippool_release(p, a, &w.who, now), 0);
	assert_true(commit(p, a, now));
}

static void assert_addr(const struct fl_addr *a, const char *text)
{
	assert_string_equal(fl_addr_str(a, FL_ADDR_BUF), text);
}

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
		cmocka_unit_test(vnis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
