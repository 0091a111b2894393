/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The overlay plugin's configuration and its steps. Keys and defaults: fairlead-overlay(8). */
#pragma once

#include "plugin/parent.h"
#include "vxlan/dataplane.h"

#define OVERLAY_PEERS_MAX 1024

#define OVERLAY_NODES_MAX 8

/* A node's own addresses in the network's subnets, one in each, with the subnet's length. */
struct overlay_nodes {
	struct fl_prefix v[OVERLAY_NODES_MAX];
	size_t n;
};

/* Another node, or this one: the list may be the same everywhere. */
struct overlay_peer {
	struct fl_addr vtep;
	struct overlay_nodes node;
};

struct overlay_conf {
	int64_t vni, port;
	int mode;
	const char *local_text;
	json_t *mtu_json, *node_json, *peers_json;
	bool ip_masq, internal, isolate, guarded, attachable;
	int broadcast; /* FL_FIELD_TRI */

	/* filled by validate() */
	struct fl_addr local;	    /* unset: the interface local_link, or the route's source */
	const char *local_link;	    /* NULL: none named */
	uint32_t mtu;		    /* 0: auto */
	struct overlay_nodes node;  /* this node's */
	struct overlay_peer *peers; /* owned */
	size_t n_peers;
};

extern const struct fl_field overlay_fields[];

int overlay_validate(struct fl_call *c, struct fl_error *err);
void overlay_clear(struct fl_call *c);
int overlay_prepare(struct fl_call *c, struct fl_error *err);
int overlay_settle(struct fl_call *c, struct fl_txn *t, struct fl_error *err);
int overlay_network_create(struct fl_call *c, struct fl_error *err);
int overlay_network_address(struct fl_call *c, struct fl_error *err);
int overlay_endpoint_create(struct fl_call *c, struct fl_error *err);
int overlay_join(struct fl_call *c, struct fl_error *err);
int overlay_network_delete(struct fl_call *c, struct fl_txn *t, const struct fl_network *net,
			   struct fl_error *err);
int overlay_network_unknown(struct fl_call *c, struct fl_txn *t, struct fl_error *err);
int overlay_check(struct fl_call *c, struct fl_error *err);
int overlay_status(struct fl_call *c, struct fl_error *err);

#define OVERLAY_ADDRESSES_MAX (2 * FL_NETWORK_SUBNETS)

/* What the bridge has on this node. */
struct overlay_address {
	struct fl_prefix prefix;
	bool anycast; /* the gateway, which the other nodes have too */
};
/* In the order in which they are to be added; returns their number. */
size_t overlay_addresses(const struct fl_call *c, struct overlay_address *ret);
