/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtnetlink over libnl-3's core messages: the requests that drivers need and no more.
 *
 * A `struct fl_nl` is one NETLINK_ROUTE socket. It belongs to the network namespace in which it was
 * opened for as long as it lives, whatever the thread enters later: open one per namespace and pass
 * it on. Every failure carries the kernel's extended-ack text (NETLINK_EXT_ACK) in err->details and
 * its sentence in err->text.
 *
 * Errors: the kernel's -errno; FL_ECODE_KERNEL. Messages: Documentation/userspace-api/netlink,
 * rtnetlink(7), linux/if_link.h.
 */
#pragma once

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <linux/rtnetlink.h>

struct fl_nl;
struct nl_msg;

int fl_nl_open(struct fl_nl **ret, struct fl_error *err);
/* A socket that hears the RTMGRP_* groups, for fl_nl_wait(). */
int fl_nl_open_groups(uint32_t groups, struct fl_nl **ret, struct fl_error *err);
/* Waits for a notification and drops it: 1, or 0 after timeout_ms. */
int fl_nl_wait(struct fl_nl *nl, int timeout_ms, struct fl_error *err);
/* For poll(). */
int fl_nl_fd(const struct fl_nl *nl);
/* Drops every notification that is there, and does not wait: how many reads it took. */
int fl_nl_drain(struct fl_nl *nl);

enum fl_nl_event_kind {
	FL_NL_LINK,	 /* a link came, changed or went */
	FL_NL_PORT_LEFT, /* it is no port of `master` any more; it may be going itself */
	FL_NL_ADDRESS,	 /* one of its addresses */
	FL_NL_LOST,	 /* there was more than the socket holds: anything */
};
struct fl_nl_event {
	enum fl_nl_event_kind kind;
	uint32_t index, master;
	struct fl_addr addr; /* of FL_NL_ADDRESS: which one is there; unset: one went */
	bool gone;	     /* the link, or the address, is not there any more */
	/* For fl_nl_event_link() and fl_nl_event_address(), as long as it is handed on. */
	const struct nlmsghdr *msg;
};
/* Hands on every notification that is there, and does not wait. */
void fl_nl_hear(struct fl_nl *nl, void (*fn)(void *arg, const struct fl_nl_event *), void *arg);
void fl_nl_close(struct fl_nl *nl);
FL_DEFINE_CLEANUP(struct fl_nl *, fl_nl_close)
#define FL_AUTONL FL_CLEANUP(fl_nl_close_p)

/* ---- a request: sticky error, checked at send ---- */
struct fl_req {
	struct nl_msg *msg; /* NULL after a failed allocation */
	bool failed;
	struct nlattr *nest[4];
	int depth;
};

void fl_req_init(struct fl_req *q, int type, int flags, const void *header, size_t len);
void fl_req_put(struct fl_req *q, int attr, const void *data, size_t len);
void fl_req_u8(struct fl_req *q, int attr, uint8_t v);
void fl_req_u16(struct fl_req *q, int attr, uint16_t v);
void fl_req_u32(struct fl_req *q, int attr, uint32_t v);
void fl_req_str(struct fl_req *q, int attr, const char *s);
void fl_req_flag(struct fl_req *q, int attr);
void fl_req_addr(struct fl_req *q, int attr, const struct fl_addr *a);
void fl_req_nest(struct fl_req *q, int attr);
void fl_req_end(struct fl_req *q);
/* Raw bytes behind the attributes so far (struct ifinfomsg in VETH_INFO_PEER). */
void fl_req_raw(struct fl_req *q, const void *data, size_t len);
void fl_req_clear(struct fl_req *q);
#define FL_AUTOREQ FL_CLEANUP(fl_req_clear)

/* Sends and waits for the ack. On failure err->text is "WHAT: reason" by the format. */
int fl_nl_do(struct fl_nl *nl, struct fl_req *q, struct fl_error *err, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/*
 * Sends n requests in one system call and waits for the last one's ack; the kernel handles them in
 * order and does not stop at a failure. The first failure is reported, *ret_failed (may be NULL) is
 * its index.
 */
int fl_nl_do_all(struct fl_nl *nl, struct fl_req *const *q, const char *const *what, size_t n,
		 size_t *ret_failed, struct fl_error *err);
/* Sends and calls fn for each reply message (a dump or a single reply). A dump that was interrupted
 * (NLM_F_DUMP_INTR) is repeated by the caller: -EINTR. */
int fl_nl_ask(struct fl_nl *nl, struct fl_req *q, int (*fn)(void *arg, const struct nlmsghdr *h),
	      void *arg, struct fl_error *err);

/*
 * Builds n requests by build(q, arg, i) and sends them, each system call with as many as fit; a
 * failure does not stop the others. The first one is reported, *ret_failed (may be NULL) is its
 * index.
 */
int fl_nl_bulk(struct fl_nl *nl, size_t n, void (*build)(struct fl_req *q, void *arg, size_t i),
	       void *arg, size_t *ret_failed, struct fl_error *err);

/* ---- links ---- */
struct fl_vxlan {
	uint32_t vni;
	struct fl_addr local; /* source of the outer packets; unset: the route's */
	uint16_t port;	      /* UDP */
	bool learning;	      /* remembers which VTEP a MAC's frames came from */
};

struct fl_link {
	uint32_t index, mtu, master, flags;
	uint32_t peer; /* IFLA_LINK: index of the peer or lower link, in `peer_nsid`'s namespace */
	int32_t peer_nsid; /* -1: the same namespace */
	uint8_t operstate; /* IF_OPER_* */
	char name[IFNAMSIZ];
	char kind[16]; /* "bridge", "veth", "" for a physical device */
	struct fl_mac mac;
	bool vlan_filtering;	/* bridges only */
	bool knows_vlans;	/* bridges only: the kernel has CONFIG_BRIDGE_VLAN_FILTERING */
	uint32_t promisc;	/* IFLA_PROMISCUITY */
	bool route_localnet;	/* net.ipv4.conf.NAME.route_localnet */
	unsigned port_flags;	/* FL_PORT_*, of a bridge's port */
	uint32_t txqlen;	/* packets */
	char alias[256];	/* IFALIASZ; "" without */
	struct fl_mac perm_mac; /* of the hardware; zero without (before Linux 5.6 too) */
	char parent_dev[32];	/* name on its bus, "0000:00:03.0"; "" without (before 5.14 too) */
	uint32_t macvlan_mode;	/* FL_MACVLAN_* of virtual.h; macvlan and macvtap only */
	uint16_t vlan_id;	/* kind vlan only */
	uint32_t vrf_table;	/* kind vrf only */
	struct fl_vxlan vxlan;	/* kind vxlan only */
	uint32_t group;		/* IFLA_GROUP */
};

/* 1 and *ret filled, 0: there is none. */
int fl_link_find(struct fl_nl *nl, const char *name, struct fl_link *ret, struct fl_error *err);
/* -ENODEV when there is none. */
int fl_link_get(struct fl_nl *nl, const char *name, struct fl_link *ret, struct fl_error *err);
int fl_link_get_index(struct fl_nl *nl, uint32_t index, struct fl_link *ret, struct fl_error *err);
/* As the event tells it: false when that is not of a link itself, but of a port of a bridge. */
bool fl_nl_event_link(const struct fl_nl_event *e, struct fl_link *ret);
int fl_links_each(struct fl_nl *nl, int (*fn)(void *arg, const struct fl_link *), void *arg,
		  struct fl_error *err);

/* ---- counters ---- */
struct fl_stats {
	uint32_t index;
	uint64_t rx_bytes, rx_packets, rx_dropped, rx_errors;
	uint64_t tx_bytes, tx_packets, tx_dropped, tx_errors;
};
/* -ENODEV when there is none. */
int fl_stats_get(struct fl_nl *nl, uint32_t index, struct fl_stats *ret, struct fl_error *err);
/* Of every link of the namespace, in one dump. */
int fl_stats_each(struct fl_nl *nl, int (*fn)(void *arg, const struct fl_stats *), void *arg,
		  struct fl_error *err);

struct fl_bridge_spec {
	const char *name;
	struct fl_mac mac; /* zero: the kernel's choice, which then changes with its ports */
	uint32_t mtu;	   /* 0: default */
	uint32_t group;	   /* IFLA_GROUP; 0: default */
	bool vlan_filtering;
	bool no_default_vlan; /* default_pvid 0 */
};
/* Created down, so that sysctls can be set before it has addresses. -EEXIST is reported like any
 * other failure. */
int fl_bridge_create(struct fl_nl *nl, const struct fl_bridge_spec *spec, struct fl_error *err);

enum {
	FL_PORT_HAIRPIN = 1,
	FL_PORT_ISOLATED = 2,
	FL_PORT_LEARNING = 4, /* on at first */
	FL_PORT_NEIGH_SUPPRESS =
		8,	     /* what the bridge can answer of ARP and ND does not leave here */
	FL_PORT_LOCKED = 16, /* only sources that have an entry at it may send (5.18) */
};

struct fl_veth_spec {
	const char *name;  /* host end */
	uint32_t index;	   /* the one it is to have; 0: the kernel's choice */
	const char *peer;  /* container end: final name */
	int peer_netns_fd; /* -1: same namespace */
	struct fl_mac mac, peer_mac;
	uint32_t mtu;	 /* both ends; 0: default */
	uint32_t master; /* of the host end; 0: none */
};
/* One RTM_NEWLINK: both ends with name, MAC and MTU, the host end in its master and up. */
int fl_veth_create(struct fl_nl *nl, const struct fl_veth_spec *spec, struct fl_error *err);
void fl_veth_build(struct fl_req *q, const struct fl_veth_spec *spec);
void fl_bridge_build(struct fl_req *q, const struct fl_bridge_spec *spec);

int fl_link_set_up(struct fl_nl *nl, uint32_t index, bool up, struct fl_error *err);
int fl_link_set_mac(struct fl_nl *nl, uint32_t index, const struct fl_mac *mac,
		    struct fl_error *err);
int fl_link_set_promisc(struct fl_nl *nl, uint32_t index, bool on, struct fl_error *err);
/* IFLA_PROTINFO of a bridge port: FL_PORT_* that are to be set. */
int fl_link_set_port_flags(struct fl_nl *nl, uint32_t index, unsigned flags, struct fl_error *err);
/* The same with those that are to be cleared; the others stay. */
int fl_link_change_port(struct fl_nl *nl, uint32_t index, unsigned set, unsigned clear,
			struct fl_error *err);
/*
 * The kernel acts on a carrier that came in its own time (link watch): until then the link sends
 * nothing, and as a port of a bridge is sent nothing. This makes it act at once, where it can
 * (Linux 6.8).
 */
int fl_link_sync(struct fl_nl *nl, uint32_t index, struct fl_error *err);
/* Succeeds when there is no such link. */
int fl_link_del(struct fl_nl *nl, const char *name, struct fl_error *err);
int fl_link_del_index(struct fl_nl *nl, uint32_t index, struct fl_error *err);
/*
 * Deletes many links at the price of one: the kernel waits for RCU once per message, and a group
 * goes by one message. `group` must be nobody else's (a random number). Absent links are success.
 */
int fl_links_del(struct fl_nl *nl, const uint32_t *index, size_t n, uint32_t group,
		 struct fl_error *err);
void fl_link_up_build(struct fl_req *q, uint32_t index, bool up);
/* net.ipv4.conf.LINK.arp_notify = 1: a gratuitous ARP as the link comes up with an address. */
void fl_link_arp_notify_build(struct fl_req *q, uint32_t index);
void fl_port_flags_build(struct fl_req *q, uint32_t index, unsigned flags);
void fl_port_change_build(struct fl_req *q, uint32_t index, unsigned set, unsigned clear);

struct fl_vlan_range {
	uint16_t first, last;
	bool pvid, untagged;
};
/* VLANs of a port, or of the bridge itself (self). Needs BRIDGE_VLAN_FILTERING. */
int fl_vlan_add(struct fl_nl *nl, uint32_t index, bool self, const struct fl_vlan_range *v,
		size_t n, struct fl_error *err);
int fl_vlan_del(struct fl_nl *nl, uint32_t index, bool self, const struct fl_vlan_range *v,
		size_t n, struct fl_error *err);
void fl_vlan_build(struct fl_req *q, bool add, uint32_t index, bool self,
		   const struct fl_vlan_range *v, size_t n);

/* ---- addresses ---- */
struct fl_ifaddr {
	uint32_t index;
	struct fl_prefix prefix;
	uint32_t flags; /* IFA_F_* */
	uint8_t scope;
};
/*
 * net.ipv4.conf.all.forwarding or net.ipv6.conf.all.forwarding, by RTM_GETNETCONF: opening a file
 * of /proc/sys/net takes longer with every namespace on the host, because they share one dentry
 * hash chain a name.
 */
int fl_forwarding_get(struct fl_nl *nl, int family, bool *ret, struct fl_error *err);
int fl_ifaddr_add(struct fl_nl *nl, uint32_t index, const struct fl_prefix *p, uint32_t flags,
		  struct fl_error *err);
/* Adds the address or changes its life: the kernel removes it after `valid` seconds, UINT32_MAX:
 * never. */
int fl_ifaddr_set(struct fl_nl *nl, uint32_t index, const struct fl_prefix *p, uint32_t valid,
		  struct fl_error *err);
/* Usable, but never chosen as a source: preferred lifetime 0 (RFC 4862 section 5.5.4). IPv6. */
int fl_ifaddr_add_deprecated(struct fl_nl *nl, uint32_t index, const struct fl_prefix *p,
			     uint32_t flags, struct fl_error *err);
int fl_ifaddr_del(struct fl_nl *nl, uint32_t index, const struct fl_prefix *p,
		  struct fl_error *err);
void fl_ifaddr_build(struct fl_req *q, uint32_t index, const struct fl_prefix *p, uint32_t flags);
/* Of one link, or of all when index is 0. */
bool fl_nl_event_address(const struct fl_nl_event *e, struct fl_ifaddr *ret);
int fl_ifaddrs_each(struct fl_nl *nl, uint32_t index,
		    int (*fn)(void *arg, const struct fl_ifaddr *), void *arg,
		    struct fl_error *err);

/* ---- routes ---- */
struct fl_nlroute {
	struct fl_prefix dst;	/* len 0: default */
	struct fl_addr gw, src; /* gw may be of the other family (RTA_VIA) */
	uint32_t oif, table, priority, mtu, advmss;
	uint8_t scope, protocol, type;
	bool onlink;	/* RTNH_F_ONLINK */
	bool multipath; /* only read: one of the hops of a route */
};
/*
 * What the readers below give can be added again as it is, into another table too. A multipath
 * route they give as often as it has hops. Of IPv6 each hop can be deleted and added by itself: the
 * kernel joins routes through gateways that have destination, metric and table in common.
 *
 * An IPv4 route goes in front of those with the same destination, metric and table. -EEXIST: there
 * is exactly such a route.
 */
int fl_route_add(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err);
/* As fl_route_add(), but behind those: the way in which the kernel adds its own. */
int fl_route_append(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err);
/* In the place of the first route with the same destination, metric and table. */
int fl_route_replace(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err);
/* By destination, table and whatever else of gw, src, oif, priority, type and protocol is set.
 * Absent is success. */
int fl_route_del(struct fl_nl *nl, const struct fl_nlroute *r, struct fl_error *err);
void fl_route_build(struct fl_req *q, const struct fl_nlroute *r);
void fl_route_replace_build(struct fl_req *q, const struct fl_nlroute *r);
void fl_route_del_build(struct fl_req *q, const struct fl_nlroute *r);
/* Index of the interface through which the kernel would send to the address: RTM_GETROUTE. */
int fl_route_lookup(struct fl_nl *nl, const struct fl_addr *to, uint32_t *ret_oif,
		    struct fl_error *err);
/*
 * The kernel's whole answer. `from` (NULL: not given) and `iif` (0: sent by ourselves) make it the
 * question what becomes of a packet that came in there: then IPv4's forwarding and reverse path
 * filter have their say, -EHOSTUNREACH and -EXDEV. `type` tells RTN_LOCAL; of a route that refuses
 * (RTN_UNREACHABLE, ...) the kernel's errno comes back. `mtu` is 0 unless a metric or path MTU
 * discovery has set one.
 */
int fl_route_get(struct fl_nl *nl, const struct fl_addr *to, const struct fl_addr *from,
		 uint32_t iif, struct fl_nlroute *ret, struct fl_error *err);
/*
 * The route itself that would be taken, with its own metrics and not what path MTU discovery has
 * learned (RTM_F_FIB_MATCH, Linux 4.13).
 */
int fl_route_match(struct fl_nl *nl, const struct fl_addr *to, struct fl_nlroute *ret,
		   struct fl_error *err);
/* Main-table and other unicast routes of a family, cached ones left out. */
int fl_routes_each(struct fl_nl *nl, int family, int (*fn)(void *arg, const struct fl_nlroute *),
		   void *arg, struct fl_error *err);
/* Of one table and, unless oif is 0, one interface; the kernel filters. A table that is not there
 * is empty. */
int fl_routes_each_table(struct fl_nl *nl, int family, uint32_t table, uint32_t oif,
			 int (*fn)(void *arg, const struct fl_nlroute *), void *arg,
			 struct fl_error *err);
/* The unicast default route of the main table with the lowest metric. -ENOENT, err untouched: none.
 */
int fl_default_route(struct fl_nl *nl, int family, struct fl_nlroute *ret, struct fl_error *err);

/* ---- who listens (NETLINK_SOCK_DIAG) ---- */
struct fl_listener {
	uint32_t inode, uid;
	uint16_t port;
	struct fl_addr addr;
};
/* A socket that holds one of the ports port .. port + count - 1 (TCP: LISTEN; UDP: unconnected) at
 * this address; of an IPv4 address those of IPv6 do that take IPv4 too. 1 and *ret filled, 0: none.
 */
int fl_port_listener(uint8_t proto, const struct fl_addr *host, uint16_t port, uint32_t count,
		     struct fl_listener *ret, struct fl_error *err);
/* Finds the process that holds a socket inode: 1, or 0 when /proc does not tell. comm has 16 bytes.
 */
int fl_inode_owner(uint32_t inode, pid_t *ret_pid, char *comm);
