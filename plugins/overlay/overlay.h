/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The overlay plugin's configuration and its steps. Keys and defaults: fairlead-overlay(8). */
#pragma once

#include "overlay/request.h"
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
	int mode_number, overlay_mode;
	const char *local_text;
	json_t *mtu_json, *node_json, *peers_json, *subnet_json, *subnets_json, *encrypted_json;
	bool ip_masq, internal, isolate, guarded, attachable, ipv6;
	int broadcast; /* FL_FIELD_TRI */

	/* filled by validate() */
	const struct overlay_mode *mode;
	bool routed;		   /* the host routes between bridge and tunnel; by prepare() */
	uint32_t mtu;		   /* 0: auto */
	struct overlay_nodes node; /* this node's; mode "etcd": by prepare() */

	/* mode "static" */
	struct fl_addr local;	    /* unset: the interface local_link, or the route's source */
	const char *local_link;	    /* NULL: none named */
	struct overlay_peer *peers; /* owned */
	size_t n_peers;

	/* mode "etcd" */
	struct overlay_agent *agent; /* owned */
};

/* Where a network's nodes and addresses come from. */
struct overlay_mode {
	/* The keys that are this mode's. */
	int (*validate)(struct fl_call *c, struct fl_error *err);
	/* Who this node is: conf->node. */
	int (*prepare)(struct fl_call *c, struct fl_error *err);
	/* Of all that plan() makes of it, so that an ADD need not look at what has not changed. */
	uint32_t (*stamp)(const struct overlay_conf *conf);
	/* Is the node's address still the one that the tunnel has? */
	bool (*same_underlay)(struct fl_call *c, const struct fl_link *tunnel);
	/* What is to be there; `flood` is what d->flood needs, owned by the caller. */
	int (*plan)(struct fl_call *c, struct fl_dataplane *d, struct fl_addr **flood,
		    struct fl_error *err);
	/* CHECK of what is the mode's own. */
	int (*check)(struct fl_call *c, const struct fl_link *bridge, const struct fl_link *tunnel,
		     struct fl_error *err);
	int (*status)(struct fl_call *c, struct fl_error *err);
	/* Before the pair is made. May be NULL. */
	int (*begin)(struct fl_call *c, struct fl_error *err);
};
extern const struct overlay_mode overlay_static, overlay_etcd;

#define OVERLAY_VNI_MAX 16777215
#define OVERLAY_HASH_START 0xcbf29ce484222325u /* FNV-1a */
uint64_t overlay_hash(uint64_t h, const void *data, size_t n);

int overlay_bad(struct fl_error *err, const char *text);
int overlay_wrong_kind(const char *path, const char *want, const json_t *v, struct fl_error *err);
int overlay_refuse_keys(const struct fl_call *c, const char *const *keys, const char *why,
			struct fl_error *err);
/* conf into c->net. */
void overlay_intend(struct fl_call *c);

/* Mode "etcd": what the configuration says of the network, and what the agent answered. */
struct overlay_agent {
	int fd;	    /* open from JOIN to the end of this process; -1 */
	int sent;   /* ALLOCATE: 0 or -errno */
	bool asked; /* and it was not answered yet */
	struct fl_overlay_settings settings;
	struct fl_overlay_network net;
	char name[FL_OVERLAY_HOST], aliases[FL_OVERLAY_ALIASES][FL_OVERLAY_HOST];
	uint32_t n_aliases;
};
void overlay_agent_free(struct overlay_agent *a);
/* This node takes part in the network, which fills conf; ADD alone starts an agent. */
int overlay_agent_join(struct fl_call *c, struct fl_error *err);
int overlay_agent_check(struct fl_call *c, const struct fl_link *bridge,
			const struct fl_link *tunnel, struct fl_error *err);
int overlay_agent_status(struct fl_call *c, struct fl_error *err);

extern const struct fl_field overlay_fields[];

int overlay_validate(struct fl_call *c, struct fl_error *err);
void overlay_clear(struct fl_call *c);
int overlay_prepare(struct fl_call *c, struct fl_error *err);
int overlay_settle(struct fl_call *c, struct fl_txn *t, struct fl_error *err);
/* Where the host routes: the node's address and what routes need, before the agent makes them. */
int overlay_routed_create(struct fl_call *c, bool made, struct fl_error *err);
int overlay_network_create(struct fl_call *c, struct fl_error *err);
int overlay_network_address(struct fl_call *c, struct fl_error *err);
int overlay_endpoint_create(struct fl_call *c, struct fl_error *err);
/* The store takes as long as the pair does: both at once. */
int overlay_allocate_begin(struct fl_call *c, struct fl_error *err);
int overlay_allocate(struct fl_call *c, struct fl_error *err);
int overlay_join(struct fl_call *c, struct fl_error *err);
int overlay_release(struct fl_call *c, const struct fl_endpoint_id *id, struct fl_error *err);
int overlay_network_delete(struct fl_call *c, struct fl_txn *t, const struct fl_network *net,
			   struct fl_error *err);
int overlay_network_unknown(struct fl_call *c, struct fl_txn *t, struct fl_error *err);
int overlay_check(struct fl_call *c, struct fl_error *err);
int overlay_status(struct fl_call *c, struct fl_error *err);

#define OVERLAY_ADDRESSES_MAX (2 * FL_NETWORK_SUBNETS)

/* The host is in the network. Of an internal one only where it leads to the other nodes. */
static inline bool overlay_has_host(const struct overlay_conf *conf)
{
	return !conf->internal || conf->routed;
}

/* What bridge and tunnel have on this node. */
struct overlay_address {
	struct fl_prefix prefix;
	bool anycast;	/* the gateway, which the other nodes have too */
	bool of_tunnel; /* else the bridge has it */
};
/* In the order in which they are to be added; returns their number. */
size_t overlay_addresses(const struct fl_call *c, struct overlay_address *ret);
