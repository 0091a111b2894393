/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How plugins and netctl ask fairlead-overlayd, the agent of a node: one fixed-size request and one
 * fixed-size answer on a SOCK_SEQPACKET connection to STATE/overlay.sock (0600, in a folder of
 * 0700), where STATE is the state directory of the host namespace. After the answer to SHOW comes
 * JSON, one object a line, until the connection ends.
 *
 * Who asks for an ALLOCATE has its record in the node's store before, and marks it before a
 * RELEASE: what the cluster has for this node without such a record is given back.
 *
 * SHOW's objects, by "kind":
 *
 * - agent: node, cluster, epoch, vtep4, vtep6, mtu, endpoint (URL in use), version (of etcd),
 *   reachable (bool), error (why not, or null), since (of that state), lease (seconds left, or
 *   null), leaseSeconds (of a whole one), revision, alarms ([names]), releases (waiting for the
 *   store), stats {counter: number}
 * - node: name, state ("alive", "suspect", "dead"), since, vtep4, vtep6, mtu, epoch, self (bool),
 *   record (bool; false: only what is its tells of it, and nothing leads there), networks ([names],
 *   of those this node joined or that are known), kept (the key in etcd by which a dead node has
 *   what this version does not understand, or null)
 * - network: name, id, vni, port, mode ("l2", "l3"), mtu, internal, broadcast, subnets ([{subnet,
 *   gateway, node}]), joined, synced (bools), local, remote (numbers of endpoints), nodes ([names])
 * - endpoint: network, id, node, container, ifname, mac, ips ([text]), name, aliases, local,
 *   suspect, conflict (bools); of joined networks
 * - address: network, node, mac, ips, local (bool): a node's own in a joined network
 * - route: network, to (prefix), node, block (bool; else of one address, outside its node's
 * blocks), via (the node's address, or null: it has none, so that nothing leads there), local
 * (bool, by the bridge); of joined networks of mode l3
 *
 * - asked: network, address, state ("free", "used", "quarantined", "pending", "reserved"): of the
 *   address in the request's ips[0], in the networks whose addresses the agent follows
 *
 * Times are seconds since 1970; what is not known is null or left out.
 */
#pragma once

#include "base/addr.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define FL_OVERLAY_MAGIC 0x32766c6fu	 /* "olv2": grows with the structs */
#define FL_OVERLAY_SOCKET "overlay.sock" /* in the state directory */
#define FL_OVERLAY_PROGRAM "fairlead-overlayd"
#define FL_OVERLAY_CONFIG "/etc/fairlead/overlay.json"

enum {
	FL_OVERLAY_ID = 65,	    /* bytes of ids with their NUL: of networks, nodes */
	FL_OVERLAY_NAME = 64,	    /* of a network's name */
	FL_OVERLAY_CONTAINER = 201, /* of a container's id */
	FL_OVERLAY_HOST = 254,	    /* of a host name */
	FL_OVERLAY_SUBNETS = 2,	    /* of a network: one of each family */
	FL_OVERLAY_ALIASES = 16,
};

enum fl_overlay_op {
	/*
	 * This node takes part in a network, which is created with `settings` when the cluster has
	 * none of the name and `create` is set. -ENOENT: there is none; -EEXIST: it is there, and
	 * the settings that were given contradict it. Answered from memory when it has joined.
	 */
	FL_OVERLAY_JOIN = 1,
	/*
	 * An endpoint's addresses, recorded in the cluster's store before the answer. The bridge
	 * and the tunnel are there: what leads to the other nodes' endpoints is programmed before
	 * the answer, too. What the same container and interface had is given back
	 * before.
	 */
	FL_OVERLAY_ALLOCATE,
	/* Gives them back, now or as soon as the store can be reached. What is not there is
	 * success. Ends the part in the network a while after the node's last endpoint. */
	FL_OVERLAY_RELEASE,
	/* Is the endpoint in the store, with these addresses, and is nobody else's claim on them
	 * stronger? -EUCLEAN. */
	FL_OVERLAY_CHECK,
	FL_OVERLAY_STATUS, /* can an endpoint be allocated? `network` may be "" */
	FL_OVERLAY_CREATE, /* a network, for all nodes; -EEXIST */
	FL_OVERLAY_REMOVE, /* -EBUSY: nodes have endpoints there */
	FL_OVERLAY_SHOW,   /* all that the agent knows, as JSON */
	FL_OVERLAY_EVICT,  /* all that the node `node` has in the store, which must be dead */
	FL_OVERLAY_LEAVE,  /* this node leaves the cluster. -EBUSY: it has endpoints */
	FL_OVERLAY_RESYNC, /* reads what the kernel has of the network's bridge and tunnel, mends it
			    */
};

enum fl_overlay_mode { FL_OVERLAY_L2, FL_OVERLAY_L3 };

/* What may be said about a network that is to be created; zero: not said. */
struct fl_overlay_settings {
	enum fl_overlay_mode mode;
	uint32_t vni;  /* 0: the first free one of 0x100000..0xfffffe */
	uint32_t mtu;  /* of containers; 0: what the underlay leaves */
	uint16_t port; /* UDP; 0: 4789 */
	bool internal, broadcast;
	bool ipv6; /* without subnets: one of this family too */
	struct {
		struct fl_prefix subnet; /* masked */
		struct fl_addr gateway;	 /* unset: the first address */
	} subnets[FL_OVERLAY_SUBNETS];	 /* none: a free one of the agent's pools */
	uint32_t n_subnets;
};

struct fl_overlay_request {
	uint32_t magic, op;
	uint64_t dev, ino; /* of the state directory: whose agent is meant */
	char network[FL_OVERLAY_NAME];
	char node[FL_OVERLAY_ID];
	bool create;
	struct fl_overlay_settings settings;
	/* ALLOCATE, RELEASE, CHECK */
	char container[FL_OVERLAY_CONTAINER];
	char ifname[IFNAMSIZ];
	struct fl_mac mac;
	uint32_t bridge, tunnel; /* ifindex of the network's; L3: the tunnel leads there alone */
	struct fl_addr ips[FL_OVERLAY_SUBNETS]; /* asked for (ALLOCATE), or had (CHECK); asked about
						   (SHOW) */
	char name[FL_OVERLAY_HOST];
	char aliases[FL_OVERLAY_ALIASES][FL_OVERLAY_HOST];
	uint32_t n_aliases;
};

struct fl_overlay_network {
	char id[FL_OVERLAY_ID];
	enum fl_overlay_mode mode;
	uint32_t vni;
	uint16_t port;
	uint32_t mtu;	       /* of bridge and containers, on every node */
	uint32_t underlay_mtu; /* of the tunnel */
	bool internal, broadcast;
	struct fl_addr local; /* this node's VTEP */
	struct fl_mac mac;    /* of this node's bridge (L3: of its tunnel) */
	struct {
		struct fl_prefix subnet;
		struct fl_addr gateway; /* the same on every node; unset: none (L2, internal) */
		struct fl_addr node;	/* this node's; unset: none (L2, internal) */
	} subnets[FL_OVERLAY_SUBNETS];
	uint32_t n_subnets;
};

struct fl_overlay_answer {
	uint32_t magic;
	int32_t result; /* 0 or -errno */
	uint32_t code;	/* enum fl_ecode */
	char text[512];
	struct fl_overlay_network network;	/* JOIN, CREATE */
	struct fl_addr ips[FL_OVERLAY_SUBNETS]; /* ALLOCATE; unset: none of this subnet */
	uint32_t n_synced; /* ALLOCATE: remote endpoints programmed, for messages and tests */
};

/*
 * Fills in magic, dev and ino, sends the request and waits at most 10 s. -ENOENT (err untouched):
 * nobody listens. Otherwise the answer's result, or why there is none. `*s` < 0: connects; else
 * goes on with that connection. It stays open in *s, the caller's to close.
 */
int fl_overlay_ask(const char *state_dir, int *s, struct fl_overlay_request *q,
		   struct fl_overlay_answer *ret, struct fl_error *err);

/*
 * The same in two steps, on a connection that is there: what takes long (ALLOCATE) goes on while
 * the caller does something else. The second one's errors are those of both.
 */
int fl_overlay_send(const char *state_dir, int s, struct fl_overlay_request *q);
int fl_overlay_receive(int s, int sent, struct fl_overlay_answer *ret, struct fl_error *err);
