/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ptp plugin's configuration and its two shapes: to the host, or between two sandboxes. */
#pragma once

#include "plugin/plugin.h"

struct ptp_conf {
	bool ip_masq, internal, dad;
	int masq_backend;
	int64_t mtu;
	const char *peer;	 /* container id or name: a cable to its sandbox */
	const char *peer_ifname; /* of the cable's end there */
	struct fl_sandbox peer_sandbox;
	struct fl_endpoint_id peer_id;
	char peer_netns[256];
};

/* cable.c */
int ptp_cable_validate(struct fl_call *c, struct fl_error *err);
int ptp_cable_prepare(struct fl_call *c, struct fl_error *err);
int ptp_cable_create(struct fl_call *c, struct fl_error *err);
int ptp_cable_join(struct fl_call *c, struct fl_error *err);
int ptp_cable_check(struct fl_call *c, struct fl_error *err);
