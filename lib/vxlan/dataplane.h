/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a node has of an overlay network: a bridge, a VXLAN device as a port of it (the tunnel), and
 * the settings of the other ports. Whoever keeps the list of the other nodes (a configuration, an
 * agent) says what is to be there; everything here makes it so, whatever there is already.
 *
 * No names of containers, no store: `nl` is the namespace that counts.
 */
#pragma once

#include "nl/vxlan.h"

/* IFLA_GROUP of the links made here ("flov"), and how the tunnel's alias begins: how they are known
 * when the state was lost. */
#define FL_VXLAN_GROUP 0x666c6f76u
#define FL_VXLAN_ALIAS "fairlead overlay "
/* rtm_protocol of routes of overlay networks, by which ours are known. rtnetlink.h gives it to
 * nobody.
 */
#define FL_VXLAN_RTPROT 102

/* RFC 7348: outer Ethernet is not counted; inner Ethernet 14, VXLAN 8, UDP 8, IP 20 or 40. */
#define FL_VXLAN_OVERHEAD4 50u
#define FL_VXLAN_OVERHEAD6 70u

static inline uint32_t fl_vxlan_overhead(int family)
{
	return family == AF_INET6 ? FL_VXLAN_OVERHEAD6 : FL_VXLAN_OVERHEAD4;
}

struct fl_dataplane {
	const char *network; /* for messages and the tunnel's alias */
	const char *link;    /* the bridge's name */
	const char *tunnel;  /* the VXLAN device's name */
	struct fl_mac mac;   /* of the bridge: another one on each node, always the same there */
	struct fl_vxlan
		vxlan; /* learning: MACs and VTEPs are learned from frames, not programmed */
	uint32_t mtu;  /* of bridge and containers */
	uint32_t underlay_mtu; /* of the tunnel: it then answers what is too large, see below */
	bool routed;	       /* the host routes between bridge and tunnel: see below */
	bool ipv6;	       /* routed: the tunnel gets IPv6 addresses */
	bool suppress; /* the bridge answers ARP and ND for neighbours that were programmed */
	const struct fl_addr *flood; /* VTEPs that get broadcast, multicast and unknown unicast */
	size_t n_flood;
	uint32_t stamp; /* of all that this was made from: fl_dataplane_settled() */
};

/* Who has this interface among its own? 1 and its network's name in `network`, 0: nobody. */
struct fl_vxlan_owner {
	int (*fn)(void *arg, const char *ifname, char *network, size_t size);
	void *arg;
};

/*
 * Makes bridge and tunnel, or mends them; a tunnel that differs in what cannot be changed is made
 * again. A tunnel of ours with the VNI that nobody owns is removed, with its bridge if that has no
 * other port. -EEXIST FL_ECODE_CONFLICT: somebody has the VNI, who is named.
 *
 * The tunnel's MTU is the underlay's, although nothing that large passes: what a container sends
 * above `mtu` then meets a device that knows the path's limit and answers, where a smaller MTU
 * would drop it in silence.
 *
 * `routed`: the tunnel is no port of the bridge, and has `mac`, too, and `mtu`, at which the host's
 * routing answers. IPv6 is on there if there is to be any (`ipv6`), and neither looks for
 * duplicates nor hears advertisements.
 */
int fl_dataplane_ensure(struct fl_nl *nl, const struct fl_dataplane *d,
			const struct fl_vxlan_owner *owner, struct fl_link *ret_bridge,
			struct fl_error *err);
/* Says that all is done, also what the caller adds to it: whoever was killed before is followed by
 * one that does it again. */
int fl_dataplane_settle(struct fl_nl *nl, const struct fl_dataplane *d, struct fl_error *err);
/* Was that done with this stamp, and is all of it up? */
bool fl_dataplane_settled(const struct fl_link *bridge, const struct fl_link *tunnel, bool routed,
			  uint32_t stamp);
/*
 * A container's port: it learns nothing and lets in no frame with another source than `mac`, which
 * has a static entry there. A forged source would move a neighbour's entry here, and cut it off.
 */
int fl_dataplane_port(struct fl_nl *nl, uint32_t index, const struct fl_mac *mac, bool hairpin,
		      struct fl_error *err);
/* Is the port as the above makes it? */
bool fl_dataplane_port_ok(const struct fl_link *port, bool hairpin);
/* 1: the tunnel floods to exactly these VTEPs; 0: not. */
int fl_dataplane_floods(struct fl_nl *nl, uint32_t tunnel, const struct fl_addr *vtep, size_t n,
			struct fl_error *err);

/* The way to the other nodes. */
struct fl_underlay {
	struct fl_addr local; /* as given; else the source address of the route to the first peer */
	uint32_t mtu;	      /* the least of all routes; UINT32_MAX without peers */
};
/*
 * Drops from `peers` the addresses of this host: a list may be the same on every node, and one that
 * is found there is `local` where that is unset. -ENETUNREACH names the peer.
 */
int fl_underlay_find(struct fl_nl *nl, struct fl_addr *peers, size_t *n, struct fl_underlay *u,
		     struct fl_error *err);

/*
 * Takes both away unless the bridge has another port than the tunnel. For a network of which there
 * is no record any more. What is not there, or not ours, is left alone.
 */
int fl_dataplane_remove_unused(struct fl_nl *nl, const char *link, const char *tunnel,
			       struct fl_error *err);

/* Both, however many ports there are. Absent is success. */
int fl_dataplane_remove(struct fl_nl *nl, const char *link, const char *tunnel,
			struct fl_error *err);

/* In owner.c: by the mark; a tunnel that was about to be deleted has its alias only. */
bool fl_vxlan_is_ours(const struct fl_link *l);
/* In owner.c: takes away what is in the way of (vni, port), or names it. */
int fl_vxlan_evict(struct fl_nl *nl, const struct fl_dataplane *d,
		   const struct fl_vxlan_owner *owner, struct fl_error *err);
