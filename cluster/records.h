/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nodes keep in the cluster's store for overlay networks: keys below /CLUSTER/v1/, and their
 * values, JSON objects with "v": 1. Pure.
 *
 *   net/NET            a network                     who created it, with vni/ and netname/
 *   vni/N              whose VNI it is               the same
 *   netname/NAME       whose name it is              the same
 *   node/NODE          a node                        its agent, no lease
 *   alive/NODE         that it is there              its agent, by a lease
 *   join/NET/NODE      a node has endpoints there    its agent
 *   ep/NET/EP          an endpoint                   the agent of its node, with its ip/ keys
 *   ip/NET/ADDR        whose address it is           who claims it
 *   blk/NET/ADDR-LEN   a block of 64 addresses       the node that owns it
 *
 * A key has one spelling: what the parser accepts, the builder gives again. In values of others
 * unknown keys are ignored; a wrong type or size, or another "v", is refused, and the error names
 * the path of the key ("aliases[3]").
 */
#pragma once

#include "base/addr.h"
#include "base/error.h"
#include "base/strbuf.h"

enum {
	FL_REC_ID_MAX = 64,    /* bytes of ids of networks, nodes, endpoints: [a-zA-Z0-9_.-] */
	FL_REC_NAME_MAX = 253, /* of names, which resolve */
	FL_REC_NETNAME_MAX = 63,
	FL_REC_CONTAINER_MAX = 200, /* of a container's id: [a-zA-Z0-9_.-] */
	FL_REC_IFNAME_MAX = 15,
	FL_REC_SUBNETS_MAX = 8,
	FL_REC_ALIASES_MAX = 16,
	FL_REC_SERVICES_MAX = 16,
	FL_REC_PAIRS_MAX = 16, /* labels, options */
	FL_REC_WORD_MAX = 63,  /* bytes of their keys */
	FL_REC_TEXT_MAX = 255, /* and of their values */
	FL_REC_CAPS_MAX = 16,
	FL_REC_BLOCK = 64, /* addresses of a block: a /26, a /122 */
	FL_REC_VALUE_MAX = 32 << 10,
	FL_REC_KEY_STR = 256,
	FL_REC_VNI_MAX = (1 << 24) - 1,
};

enum fl_rec_kind {
	FL_REC_NET,
	FL_REC_VNI,
	FL_REC_NETNAME,
	FL_REC_NODE,
	FL_REC_ALIVE,
	FL_REC_JOIN,
	FL_REC_EP,
	FL_REC_IP,
	FL_REC_BLK,
	FL_REC_KINDS,
};

/* ---- keys ---- */

struct fl_rec_key {
	enum fl_rec_kind kind;
	char net[FL_REC_ID_MAX + 1]; /* net, join, ep, ip, blk */
	char id[FL_REC_ID_MAX + 1];  /* netname: NAME; node, alive, join: NODE; ep: EP */
	uint32_t vni;
	struct fl_addr addr;	/* ip */
	struct fl_prefix block; /* blk: masked, of FL_REC_BLOCK addresses */
};

/* Writes at most FL_REC_KEY_STR bytes. -EINVAL for what the parser would refuse. */
int fl_rec_key(const struct fl_rec_key *k, char *buf);
int fl_rec_key_parse(const char *key, struct fl_rec_key *ret);
/* What all keys of a kind begin with, of one network where `net` is not NULL: "ep/NET/". Returns
 * buf. */
const char *fl_rec_prefix(enum fl_rec_kind kind, const char *net, char *buf);
/* The block that an address lies in. */
struct fl_prefix fl_rec_block_of(const struct fl_addr *a);

/* ---- values ---- */

struct fl_rec_pair {
	char key[FL_REC_WORD_MAX + 1], value[FL_REC_TEXT_MAX + 1];
};
struct fl_rec_pairs {
	struct fl_rec_pair list[FL_REC_PAIRS_MAX];
	size_t n;
};

enum fl_rec_mode { FL_REC_L2, FL_REC_L3 };
struct fl_rec_net {
	char name[FL_REC_NETNAME_MAX + 1];
	enum fl_rec_mode mode;
	uint32_t vni;  /* 1..FL_REC_VNI_MAX */
	uint32_t mtu;  /* of its interfaces; 0: what the underlay leaves */
	uint16_t port; /* UDP, of its VXLAN; 0: 4789 */
	bool encrypted, internal;
	bool broadcast; /* broadcast and multicast go to every node that joined */
	struct {
		struct fl_prefix subnet; /* masked */
		struct fl_addr gateway;	 /* inside, or not set */
	} subnets[FL_REC_SUBNETS_MAX];
	size_t n_subnets;
	struct fl_rec_pairs options, labels;
};

/* vni/ and netname/ */
struct fl_rec_owner {
	char net[FL_REC_ID_MAX + 1];
};

struct fl_rec_node {
	struct fl_addr vtep4, vtep6; /* one of them is set */
	uint32_t mtu;		     /* of the underlay, 1,280..65,535 */
	uint16_t port;		     /* UDP, of VXLAN */
	char boot_id[37];	     /* /proc/sys/kernel/random/boot_id */
	int64_t epoch;		     /* grows with every start of the agent */
	char key[45];		     /* WireGuard's public key, base64; "" without */
	char caps[FL_REC_CAPS_MAX][32];
	size_t n_caps;
};

struct fl_rec_alive {
	int64_t epoch;
};

struct fl_rec_join {
	int64_t epoch;
	struct fl_addr ip4, ip6; /* of the node in this network; may be unset */
	struct fl_mac mac;	 /* which they have there; zero without them */
};

/* 5 KB: for passing on, not for keeping. */
struct fl_rec_ep {
	char node[FL_REC_ID_MAX + 1];
	char container[FL_REC_CONTAINER_MAX + 1], ifname[FL_REC_IFNAME_MAX + 1]; /* on the node */
	int64_t epoch;
	struct fl_mac mac;		/* unicast */
	struct fl_addr ip4, ip6;	/* one of them is set */
	char name[FL_REC_NAME_MAX + 1]; /* may be "" */
	char aliases[FL_REC_ALIASES_MAX][FL_REC_NAME_MAX + 1];
	size_t n_aliases;
	char services[FL_REC_SERVICES_MAX][FL_REC_ID_MAX + 1];
	size_t n_services;
	int64_t created; /* seconds since 1970 */
};

enum fl_rec_use {
	FL_REC_USE_ENDPOINT,
	FL_REC_USE_NODE,
	FL_REC_USE_GATEWAY,
	FL_REC_USE_SERVICE,
	FL_REC_USE_FREED, /* until its lease ends; by then nobody remembers who had it */
};
struct fl_rec_ip {
	enum fl_rec_use use;
	char node[FL_REC_ID_MAX + 1]; /* "" of a gateway, a service, a freed one */
	char id[FL_REC_ID_MAX + 1];   /* of the endpoint, the service; else "" */
};

struct fl_rec_blk {
	char node[FL_REC_ID_MAX + 1];	/* "" when nobody owns it */
	uint64_t used;			/* bit n: the block's n-th address */
	uint8_t next;			/* where the search begins */
	int64_t released[FL_REC_BLOCK]; /* seconds since 1970, 0: not lately */
};

struct fl_rec {
	enum fl_rec_kind kind;
	union {
		struct fl_rec_net net;
		struct fl_rec_owner owner;
		struct fl_rec_node node;
		struct fl_rec_alive alive;
		struct fl_rec_join join;
		struct fl_rec_ep ep;
		struct fl_rec_ip ip;
		struct fl_rec_blk blk;
	};
};

/* The record of a value. -EINVAL with the path of the key, -E2BIG (FL_REC_VALUE_MAX), -ENOMEM. */
int fl_rec_decode(enum fl_rec_kind kind, const char *text, size_t len, struct fl_rec *ret,
		  struct fl_error *err);
/* Appends the value; fields that are 0, "" or unset are left out. The buffer's failure is -ENOMEM.
 */
int fl_rec_encode(const struct fl_rec *r, struct fl_strbuf *b);
