/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bridge plugin's configuration and its steps. Keys and defaults: fairlead-bridge(8). */
#pragma once

#include "plugin/shape.h"

struct vlan_trunk {
	int64_t id, min, max;
};

struct bridge_conf {
	const char *bridge;
	bool is_gateway, is_default_gateway, force_address, ip_masq;
	bool hairpin, promisc, spoof_check, port_isolation, no_container_up;
	bool internal, isolate, guarded;
	int preserve_default_vlan, dad, icc; /* FL_FIELD_TRI; -1: not given */
	int gateway_mode, masq_backend;
	int64_t mtu, vlan;
	struct fl_list trunk;
	struct fl_addr snat;
	json_t *snat_json;
	struct fl_shape shape;
};

extern const struct fl_field bridge_fields[];

int bridge_validate(struct fl_call *c, struct fl_error *err);
int bridge_prepare(struct fl_call *c, struct fl_error *err);
int bridge_network_create(struct fl_call *c, struct fl_error *err);
int bridge_network_address(struct fl_call *c, struct fl_error *err);
void bridge_network_undo(struct fl_call *c);
int bridge_endpoint_create(struct fl_call *c, struct fl_error *err);
int bridge_join(struct fl_call *c, struct fl_error *err);
int bridge_check(struct fl_call *c, struct fl_error *err);
int bridge_status(struct fl_call *c, struct fl_error *err);
