/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What sbr and vrf share: lists of routes that are read, written down in a memo and put back;
 * tables that nobody uses; and one at a time in a sandbox.
 */
#pragma once

#include "plugin/plugin.h"

#include <errno.h>

#define ROUTE_LIST_MAX 4096
#define TABLES_MAX 65536

struct route_item {
	struct fl_nlroute route;
	/* Only written down: another interface's route with destination and metric in common was
	 * before it. */
	bool behind;
};

struct route_list {
	struct route_item *items; /* owned */
	size_t n;
};

void route_list_clear(struct route_list *l);
#define AUTOROUTES FL_CLEANUP(route_list_clear)
/* -E2BIG: more than ROUTE_LIST_MAX. */
int route_list_add(struct route_list *l, const struct fl_nlroute *r, bool behind,
		   struct fl_error *err);
/* Of both families, in the kernel's order; table 0: of every table; oif 0: of every interface. */
int route_list_read(struct fl_nl *nl, uint32_t table, uint32_t oif, struct route_list *ret,
		    struct fl_error *err);
/*
 * Routes through gateways come after those that lead to the gateways, and of two that both go in
 * front the first goes last. What is there already is success. Goes on after a failure, and reports
 * the first.
 */
int route_list_put(struct fl_nl *nl, const struct route_list *l, struct fl_error *err);
/* What is not there is success. */
int route_list_delete(struct fl_nl *nl, const struct route_list *l, struct fl_error *err);
/* What is not there already, by route_same() and metric. */
int route_list_restore(struct fl_nl *nl, const struct route_list *l, struct fl_error *err);
/* Table, interface, destination, gateway and source. */
bool route_same(const struct fl_nlroute *a, const struct fl_nlroute *b);
/* Link-local and multicast routes are the kernel's own business on every interface. */
bool route_is_scoped(const struct fl_nlroute *r);

/* As a list of objects for a memo, and back. -ENOMEM; -EBADMSG, FL_ECODE_STORE. */
int route_list_encode(const struct route_list *l, json_t **ret, struct fl_error *err);
int route_list_decode(const json_t *list, struct route_list *ret, struct fl_error *err);

/* 1 and *ret filled; 0: there is no such link; -errno. */
int link_look(struct fl_nl *nl, uint32_t index, struct fl_link *ret, struct fl_error *err);

/* ---- tables ---- */
struct table_list {
	uint32_t *items; /* owned */
	size_t n;
};

void table_list_clear(struct table_list *l);
#define AUTOTABLES FL_CLEANUP(table_list_clear)
int table_list_add(struct table_list *l, uint32_t table, struct fl_error *err);
/* Tables in which something is, into which a rule looks, or that are a VRF's; both families. */
int table_list_read(struct fl_nl *nl, struct table_list *ret, struct fl_error *err);
/* default, main and local: 253 to 255. */
bool table_is_reserved(int64_t table);
/* The first from `from` on that is neither used nor reserved. */
uint32_t table_first_free(const struct table_list *used, uint32_t from);
/* The sentence for "table" in a configuration. */
int table_check(int64_t table, struct fl_error *err);

/*
 * Waits until no other process holds the sandbox, and holds it until ns->fd is closed or the
 * process ends. -EAGAIN, FL_ECODE_TRY_AGAIN: not within ten seconds.
 *
 * A table is free until somebody puts something in, and the kernel has no call that takes one: two
 * ADDs would choose the same. A lock (flock(2)) on the namespace's own file is the same whatever
 * path leads to it, ends with its holder, and is the one that the reference's sbr takes. It is
 * taken outside of the store's transactions only.
 */
int sandbox_lock(const struct fl_netns *ns, struct fl_error *err);

/* Runs a listing again while the kernel's tables change under it. */
#define LIST_TRIES 16
#define list_again(r, again)                                          \
	do {                                                          \
		for (int tries_ = 0; tries_ < LIST_TRIES; tries_++) { \
			(r) = (again);                                \
			if ((r) != -EINTR)                            \
				break;                                \
		}                                                     \
	} while (0)
