/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of a network and of an endpoint: the structs that every layer shares and their
 * compact JSON, which is what the store keeps. Pure.
 *
 * A record is the authority for deletion: DEL and GC remove what it names and nothing else, and
 * the nftables elements of an endpoint are a function of its record (lib/fw), so that they can be
 * removed and rebuilt without reading the kernel back.
 */
#pragma once

#include "base/addr.h"
#include "base/error.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#define FL_NAME_MAX \
	200 /* network names and container ids: keys of the store stay under 511 bytes */
#define FL_DRIVER_MAX 32
#define FL_ENDPOINT_ADDRS 16
#define FL_NETWORK_SUBNETS 16
#define FL_PORTS_MAX 65536
#define FL_HOSTNAME_MAX 253 /* RFC 1035 section 2.3.4 */

enum fl_origin { FL_ORIGIN_CNI, FL_ORIGIN_CNM, FL_ORIGIN_NETAVARK, FL_ORIGIN_NETCTL };
enum fl_state { FL_STATE_CREATING, FL_STATE_READY, FL_STATE_DELETING };

/* Which endpoint: one plugin's part of one attachment. All four together are the key. */
struct fl_endpoint_id {
	char network[FL_NAME_MAX + 1];
	char container[FL_NAME_MAX + 1];
	char ifname[IFNAMSIZ];	    /* inside the sandbox */
	char driver[FL_DRIVER_MAX]; /* plugin type: several plugins of a chain share the rest */
};

/* One published port or equal-length range: host port + i reaches container port + i. */
struct fl_port {
	uint8_t proto;	     /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	struct fl_addr host; /* unset: every address of the host, both families */
	uint16_t host_port;  /* never 0 in a record */
	uint16_t container_port;
	uint32_t count; /* 1 .. 65536; neither end passes 65535 */
};

struct fl_endpoint {
	struct fl_endpoint_id id;
	enum fl_origin origin;
	enum fl_state state;
	char link[IFNAMSIZ]; /* host end of the pair, "" when there is none */
	uint32_t
		ifindex; /* of that link, 0 until it exists; without one, of the interface inside */
	uint32_t ifb;	 /* index of the device that shapes what it sends; 0: none */
	uint32_t nsid;	 /* the sandbox as the host's namespace knows it (RTM_NEWNSID); 0: none */
	char netns[256]; /* path as the runtime gave it: a way in, not an identity */
	uint64_t cookie; /* the sandbox's SO_NETNS_COOKIE; 0 where the kernel has none */
	uint64_t dev, ino; /* of the namespace file, for kernels without cookies */
	struct fl_mac mac;
	struct fl_prefix addrs[FL_ENDPOINT_ADDRS];
	uint32_t n_addrs;
	struct fl_port *ports; /* owned */
	uint32_t n_ports;
	bool spoof_check;	      /* only frames from `mac` may enter the bridge at `link` */
	bool admit;		      /* what comes from its addresses may be forwarded */
	char ipam[FL_DRIVER_MAX];     /* IPAM type that gave the addresses, "" for none */
	char pool[512];		      /* pool of the addresses when IPAM is in-process, else "" */
	char shares[FL_NAME_MAX + 1]; /* id of the container whose sandbox this one joined, or "" */
	char name[FL_HOSTNAME_MAX + 1]; /* what people call the container, "" when nobody said */
	char hostname[FL_HOSTNAME_MAX +
		      1];   /* what the container calls itself, "" when nobody said */
	char aliases[1024]; /* names that were asked for: a JSON list, "" for none */
	char dns[1024]; /* the resolver in its sandbox: struct fl_resolver as JSON, "" for none */
	uint32_t dns_port; /* where it listens on 127.0.0.11, 0: not known */
};

enum fl_gateway_mode { FL_GATEWAY_NAT, FL_GATEWAY_ROUTED };

struct fl_network {
	char name[FL_NAME_MAX + 1];
	char driver[FL_DRIVER_MAX];
	enum fl_origin origin;
	bool ready;	     /* its nftables elements were committed as they stand here */
	char link[IFNAMSIZ]; /* bridge, or the host interface that leads to the containers; "" none
			      */
	bool internal;	     /* no route out, no NAT */
	bool direct;	     /* its traffic does not pass through the host: no elements */
	bool filter_only;    /* chained behind the plugin that has its subnets: interfaces alone */
	bool host_access;    /* macvlan: `link` is the host's own way to the endpoints */
	bool no_icc;	     /* endpoints do not reach each other */
	bool isolate;	     /* other fairlead networks do not reach it, nor it them */
	bool guarded;	     /* from outside only published ports are reached */
	bool masquerade;
	bool hairpin_all;     /* masquerade every DNATed connection (portmap's masqAll) */
	bool no_hairpin_snat; /* portmap's snat: false */
	enum fl_gateway_mode gateway_mode;
	struct fl_addr
		snat[2]; /* source address for traffic out, [0] IPv4, [1] IPv6; unset: masquerade */
	char parent[IFNAMSIZ]; /* lower device of macvlan and the like, "" for none */
	char made[256];	       /* host objects made for it: fl_network_made_add() */
	struct fl_prefix subnets[FL_NETWORK_SUBNETS]; /* masked */
	uint32_t n_subnets;
	char tunnel[IFNAMSIZ]; /* overlay: the port of `link` that leads to other nodes, else "" */
	bool tunnel_routed;    /* it is no port of `link`: the host routes between the two */
	char cluster[65]; /* id of the network in the store that nodes share, "" where none does */
	/* Addresses that `link` has on each of the nodes, with full length: nobody asks another
	 * node for them. */
	struct fl_prefix anycast[FL_NETWORK_SUBNETS];
	uint32_t n_anycast;
};

/* Releases what an endpoint owns (ports), not the struct itself. */
void fl_endpoint_clear(struct fl_endpoint *ep);
#define FL_AUTOENDPOINT FL_CLEANUP(fl_endpoint_clear)

/* Compact JSON; *ret is malloc'd. -ENOMEM. */
int fl_endpoint_encode(const struct fl_endpoint *ep, char **ret, struct fl_error *err);
int fl_network_encode(const struct fl_network *net, char **ret, struct fl_error *err);
/* Accepts only what encode writes (unknown keys and bad values are -EBADMSG, FL_ECODE_STORE). */
int fl_endpoint_decode(const char *json, size_t len, struct fl_endpoint *ret, struct fl_error *err);
int fl_network_decode(const char *json, size_t len, struct fl_network *ret, struct fl_error *err);

bool fl_endpoint_id_eq(const struct fl_endpoint_id *a, const struct fl_endpoint_id *b);
/* Elements, name and flags equal; `ready` is not compared. */
bool fl_network_same(const struct fl_network *a, const struct fl_network *b);
/* Adds the masked prefix unless it is there. True when it was added; false also when full. */
bool fl_network_add_subnet(struct fl_network *net, const struct fl_prefix *p);

/* The same for an address of `anycast`. */
bool fl_network_add_anycast(struct fl_network *net, const struct fl_addr *a);

/*
 * Host objects that a network made and that go with its last endpoint, unless another network took
 * them over: "link eth0.10", "promisc eth0". Adding what is there succeeds. -E2BIG.
 */
int fl_network_made_add(struct fl_network *net, const char *what, const char *name);
bool fl_network_made_has(const struct fl_network *net, const char *what, const char *name);
void fl_network_made_remove(struct fl_network *net, const char *what, const char *name);
/* Calls fn for each until it returns non-zero, which is returned. */
int fl_network_made_each(const struct fl_network *net,
			 int (*fn)(void *arg, const char *what, const char *name), void *arg);

/* Known protocol, no port 0, and neither range passes 65535. */
bool fl_port_valid(const struct fl_port *p);
const char *fl_proto_str(uint8_t proto);	 /* "tcp", "udp", "sctp" */
int fl_proto_parse(const char *s, uint8_t *ret); /* any letter case; -EINVAL */
