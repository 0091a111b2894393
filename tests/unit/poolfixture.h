/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One node's pool on a store of the test's own. */
#pragma once

#include "pool_store.h"

#include <errno.h>

static struct store store;

static inline struct fl_addr addr(const char *text)
{
	struct fl_addr a;

	assert_int_equal(fl_addr_parse(text, &a), 0);
	return a;
}

static inline struct fl_prefix prefix(const char *text)
{
	struct fl_prefix p;

	assert_int_equal(fl_prefix_parse(text, &p), 0);
	return p;
}

static inline struct fl_ippool *pool_of(const char *subnet, const char *gateway, const char *node)
{
	struct fl_ippool_config c = { .net = "n1", .node = node, .subnet = prefix(subnet) };
	struct fl_ippool *p = NULL;

	if (gateway)
		c.gateway = addr(gateway);
	assert_int_equal(fl_ippool_new(&c, &p, NULL), 0);
	store = (struct store){ .blocks = fl_ippool_has_blocks(p), .revision = 100 };
	return p;
}

static inline struct fl_ippool_want want_of(const char *node, int64_t now, uint64_t random)
{
	struct fl_ippool_want w = { .now = now, .random = random };

	w.who.use = FL_REC_USE_ENDPOINT;
	snprintf(w.who.node, sizeof(w.who.node), "%s", node);
	strcpy(w.who.id, "e1");
	return w;
}

/* Stages the address and runs a transaction of its own. */
static inline bool commit(struct fl_ippool *p, const struct fl_addr *a, int64_t now)
{
	FL_AUTOIPBATCH struct fl_ippool_batch *b = fl_ippool_batch_new();
	struct fl_ippool_at at = { p, *a };

	assert_int_equal(fl_ippool_batch_add(b, &at, 1), 0);
	assert_int_equal(fl_ippool_batch_size(b), 1);
	return store_run(&store, p, b, now);
}

static inline int try_take(struct fl_ippool *p, const char *node, int64_t now, uint64_t random,
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

static inline struct fl_addr take(struct fl_ippool *p, const char *node, int64_t now)
{
	struct fl_addr a;

	assert_int_equal(try_take(p, node, now, 0, &a, NULL), 0);
	return a;
}

static inline void give(struct fl_ippool *p, const struct fl_addr *a, const char *node, int64_t now)
{
	struct fl_ippool_want w = want_of(node, now, 0);

	assert_int_equal(fl_ippool_release(p, a, &w.who, now), 0);
	assert_true(commit(p, a, now));
}

static inline void assert_addr(const struct fl_addr *a, const char *text)
{
	assert_string_equal(fl_addr_str(a, FL_ADDR_BUF), text);
}
