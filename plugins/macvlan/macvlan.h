/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The macvlan plugin's configuration and its steps. Keys and defaults: fairlead-macvlan(8). */
#pragma once

#include "plugin/parent.h"

struct macvlan_conf {
	struct fl_parent parent;
	int mode; /* index into macvlan_modes */
	struct fl_mac mac;
	int64_t bcqueuelen;
	json_t *bcqueuelen_json; /* given at all? */
	struct fl_list source_macs;
	json_t *host_access_json;
	bool host_access, dad;
	struct fl_addr host_addr; /* hostAccess: "ADDRESS"; unset: one of the parent's */
};

/* hostaccess.c: the host's own macvlan, and the route to each container through it. */
int macvlan_host_create(struct fl_call *c, struct fl_error *err);
int macvlan_host_route(struct fl_call *c, struct fl_error *err);
int macvlan_host_unroute(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err);
int macvlan_host_check(struct fl_call *c, struct fl_error *err);
