/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pools of addresses as people see them: what they may give, and who has what. */
#pragma once

#include "netctl/conflist.h"
#include "netctl/model.h"

#include "ipam/ipam.h"
#include "store/leases.h"

/* What a network may give, by its configuration or else by its record. */
struct ranges {
	struct fl_ipam_conf conf;
	bool known;
};

void ranges_read(const struct model *m, const struct conflists *files, const char *network,
		 struct ranges *ret);
void ranges_clear(struct ranges *r);
#define AUTORANGES FL_CLEANUP(ranges_clear)
/* How many addresses of the family can be given; UINT64_MAX: more than can be counted. */
uint64_t ranges_size(const struct ranges *r, int family);
/* ["10.1.0.2-10.1.0.254"] */
json_t *ranges_json(const struct ranges *r, int family);

/* Name of the network's pool: with the dataDir of its configuration. */
void pool_of(const struct conflists *files, const char *network, char *buf, size_t size);

/* "live", "stale", "imported", or "foreign": of a plugin that keeps no record. */
const char *lease_state(struct ctl *c, const struct model *m, const struct fl_endpoint_id *owner);
