/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What sbr is about to do, and its memo. Pure.
 *
 * Each address has a table of its own, as with the reference: two addresses may have different
 * gateways, and a table has one default route.
 */
#pragma once

#include "routing.h"

#define SBR_FIRST_TABLE 100

struct sbr_address {
	struct fl_prefix prefix;
	struct fl_addr gateway; /* of prevResult or `gateways`; unset: none */
	bool gateway_fixed;	/* by `gateways`: before any default route that is there */
	uint32_t table;
};

struct sbr_rule {
	struct fl_addr from;
	uint32_t table;
};

struct sbr_plan {
	uint32_t index; /* of CNI_IFNAME */
	bool own;	/* the tables are ours: chosen here, and what is in for `index` goes */
	struct sbr_rule rules[FL_ENDPOINT_ADDRS];
	size_t n_rules;
	struct route_list put;	 /* goes into the tables */
	struct route_list take;	 /* leaves the main table: as it was */
	struct route_list hints; /* goes into the main table */
};

void sbr_plan_clear(struct sbr_plan *p);
#define AUTOPLAN FL_CLEANUP(sbr_plan_clear)

/* The n first free tables from SBR_FIRST_TABLE on. */
void sbr_choose_tables(const struct table_list *used, struct sbr_address *a, size_t n);
/*
 * Is this route of the main table one that moves? Of all interfaces but `index` none does, nor a
 * link-local one, nor an IPv4 one with several hops, which cannot be taken apart.
 */
bool sbr_moves(const struct fl_nlroute *r, uint32_t index);
/*
 * Fills put, take and hints of p from the routes of the main table (of every interface, in the
 * kernel's order). A route moves to the addresses whose subnet has its source or its gateway in it;
 * one that has neither, or of nobody's subnet, to every address of its family.
 */
int sbr_plan_routes(struct sbr_plan *p, const struct route_list *main, const struct sbr_address *a,
		    size_t n, bool hints, struct fl_error *err);

int sbr_plan_encode(const struct sbr_plan *p, json_t **ret, struct fl_error *err);
int sbr_plan_decode(const json_t *memo, struct sbr_plan *ret, struct fl_error *err);
