/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The subnets of a new network: those that were asked for, or free ones. */
#pragma once

#include "netctl/conflist.h"
#include "netctl/ctl.h"

struct subnet {
	struct fl_prefix prefix;
	struct fl_addr gateway;	    /* unset: the plugin's choice, the first address */
	struct fl_addr first, last; /* --ip-range; unset: all */
};

struct subnets {
	struct subnet *v; /* owned */
	size_t n;
};

void subnets_clear(struct subnets *s);
#define AUTOSUBNETS FL_CLEANUP(subnets_clear)

/*
 * By --subnet, --gateway, --ip-range and --ipv6. One that overlaps another network's, or a route of
 * the host, is refused. With `lan` it is that of a network which the host is on itself: routes are
 * no obstacle, and there is no free one to choose.
 */
int subnets_choose(struct ctl *c, const struct conflists *files, bool lan, struct subnets *ret,
		   struct fl_error *err);
/* Only what --subnet and --gateway say, whatever uses it on this host. */
int subnets_given(const struct ctl *c, struct subnets *ret, struct fl_error *err);
