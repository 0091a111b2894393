/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A store in a folder of its own, for tests. */
#pragma once

#include "store/store.h"

#include "base/strbuf.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
	char dir[64];
	struct fl_store *store;
	struct fl_txn *txn;
	struct fl_error err;
};

static inline int fixture_open(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/fl-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(fl_store_open(f->dir, &f->store, &f->err), 0);
	*state = f;
	return 0;
}

/* As fixture_open(), with a write transaction begun. */
static inline int fixture_begin(void **state)
{
	struct fixture *f;

	fixture_open(state);
	f = *state;
	assert_int_equal(fl_txn_begin(f->store, true, &f->txn, &f->err), 0);
	return 0;
}

static inline int fixture_close(void **state)
{
	struct fixture *f = *state;
	char command[128];

	fl_store_close(f->store);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static inline struct fl_endpoint_id make_id(const char *network, const char *driver,
					    const char *container, const char *ifname)
{
	struct fl_endpoint_id id = { 0 };

	fl_strcpy(id.network, sizeof(id.network), network);
	fl_strcpy(id.driver, sizeof(id.driver), driver);
	fl_strcpy(id.container, sizeof(id.container), container);
	fl_strcpy(id.ifname, sizeof(id.ifname), ifname);
	return id;
}

static inline struct fl_addr make_addr(const char *s)
{
	struct fl_addr a = { 0 };

	assert_int_equal(fl_addr_parse(s, &a), 0);
	return a;
}

static inline struct fl_prefix make_prefix(const char *s)
{
	struct fl_prefix p = { 0 };

	assert_int_equal(fl_prefix_parse(s, &p), 0);
	return p;
}

/* For fl_gone: everybody is gone, or nobody. */
static inline bool say_gone(void *arg, const struct fl_endpoint *owner)
{
	(void)owner;
	++*(int *)arg;
	return true;
}

static inline bool say_alive(void *arg, const struct fl_endpoint *owner)
{
	(void)owner;
	++*(int *)arg;
	return false;
}
