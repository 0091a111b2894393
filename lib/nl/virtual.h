/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual links that are born where they belong, changes of a link, and ids of namespaces.
 *
 * One RTM_NEWLINK makes a link in its namespace with name, MAC, MTU, flags and lower device: the
 * name need be free only there, and nothing is left behind when a step of it fails.
 */
#pragma once

#include "nl/nl.h"

#include <linux/if_link.h>

/* ---- modes; names as in ip-link(8) and in CNI configurations ---- */
enum fl_macvlan_mode {
	FL_MACVLAN_PRIVATE = MACVLAN_MODE_PRIVATE,
	FL_MACVLAN_VEPA = MACVLAN_MODE_VEPA,
	FL_MACVLAN_BRIDGE = MACVLAN_MODE_BRIDGE,
	FL_MACVLAN_PASSTHRU = MACVLAN_MODE_PASSTHRU,
	FL_MACVLAN_SOURCE = MACVLAN_MODE_SOURCE,
};
enum fl_ipvlan_mode {
	FL_IPVLAN_L2 = IPVLAN_MODE_L2,
	FL_IPVLAN_L3 = IPVLAN_MODE_L3,
	FL_IPVLAN_L3S = IPVLAN_MODE_L3S,
};
enum fl_ipvlan_flag {
	FL_IPVLAN_BRIDGE = 0,
	FL_IPVLAN_PRIVATE = IPVLAN_F_PRIVATE,
	FL_IPVLAN_VEPA = IPVLAN_F_VEPA,
};

/* Exact lower-case names: 0, or -EINVAL for any other. */
int fl_macvlan_mode_parse(const char *name,
			  uint32_t *ret);		   /* private vepa bridge passthru source */
int fl_ipvlan_mode_parse(const char *name, uint32_t *ret); /* l2 l3 l3s */
int fl_ipvlan_flag_parse(const char *name, uint16_t *ret); /* bridge private vepa */
/* "" for a value without a name. */
const char *fl_macvlan_mode_name(uint32_t mode);
const char *fl_ipvlan_mode_name(uint32_t mode);
const char *fl_ipvlan_flag_name(uint16_t flag);

/* ---- creating ---- */
struct fl_vlink_spec {
	const char *kind;  /* "macvlan", "macvtap", "ipvlan", "vlan", "dummy", "ifb", "vrf" */
	const char *name;  /* final name in the namespace where it is born */
	uint32_t index;	   /* the one it is to have (-EBUSY: taken); 0: the kernel's choice */
	int netns_fd;	   /* where it is born; -1: the socket's own namespace */
	uint32_t lower;	   /* index of the lower device in the socket's namespace; 0: none */
	struct fl_mac mac; /* zero: the kernel's choice */
	uint32_t mtu;	   /* 0: default, the lower device's */
	uint32_t master;   /* index in the namespace where it is born; 0: none */
	bool up;	   /* with a vlan over a lower device that is down: -ENETDOWN */

	uint32_t mode;	       /* macvlan, macvtap: 0 is the kernel's default (vepa); ipvlan */
	uint16_t ipvlan_flags; /* FL_IPVLAN_* */
	const struct fl_mac *source_macs; /* macvlan of mode source: whose frames it gets */
	size_t n_source_macs;
	bool has_bcqueuelen; /* macvlan */
	uint32_t bcqueuelen; /* frames: IFLA_MACVLAN_BC_QUEUE_LEN */
	uint16_t vlan_id;    /* vlan; 802.1Q */
	uint32_t table;	     /* vrf */
};

void fl_vlink_build(struct fl_req *q, const struct fl_vlink_spec *s);
/*
 * Nothing is left of a link whose last step fails. -EOPNOTSUPP: this kernel has no such kind, and
 * the text names the option. -EEXIST: the name is taken. -EBUSY: the lower device is a bridge's
 * port or another's (macvlan). -EINVAL: among others a lower device that a passthru macvlan has to
 * itself. -EADDRINUSE: up, and another macvlan of the lower device has the MAC. -ENODEV: no such
 * lower device.
 */
int fl_vlink_create(struct fl_nl *nl, const struct fl_vlink_spec *s, struct fl_error *err);

/* ---- changing; `index` is in the socket's namespace ---- */
/*
 * Into another namespace under new_name (NULL: as it is called) by one message. The link is down
 * there and without addresses, and has left its master. -EEXIST: the name is taken there. The link
 * has not moved then if its old name was taken there too; else it is there under its old one.
 */
int fl_link_move(struct fl_nl *nl, uint32_t index, int netns_fd, const char *new_name,
		 struct fl_error *err);
struct fl_link_target {
	int netns_fd;
	const char *name;  /* NULL: as it is called; "x%d": the first that is free */
	uint32_t index;	   /* 0: its own where that is free; -EBUSY: taken, and nothing moved */
	const char *alias; /* NULL: as it is */
};
/* As fl_link_move(), with index (heeded since Linux 5.13) and alias, still one message. */
int fl_link_move_as(struct fl_nl *nl, uint32_t index, const struct fl_link_target *to,
		    struct fl_error *err);
/* A link that is up goes down for it, and up again, where the kernel asks for that (before 6.2). */
int fl_link_rename(struct fl_nl *nl, uint32_t index, const char *name, struct fl_error *err);
int fl_link_set_mtu(struct fl_nl *nl, uint32_t index, uint32_t mtu, struct fl_error *err);
int fl_link_set_txqlen(struct fl_nl *nl, uint32_t index, uint32_t packets, struct fl_error *err);
int fl_link_set_allmulti(struct fl_nl *nl, uint32_t index, bool on, struct fl_error *err);
/* At most IFALIASZ - 1 (255) bytes; "" clears it. */
int fl_link_set_alias(struct fl_nl *nl, uint32_t index, const char *alias, struct fl_error *err);
/* 0 releases it. */
int fl_link_set_master(struct fl_nl *nl, uint32_t index, uint32_t master, struct fl_error *err);

/* ---- ids that the socket's namespace has for others (struct fl_link's peer_nsid) ---- */
/*
 * Gives the namespace this id. When it has one already, *ret is the one that it has and want is not
 * used. -EEXIST: another namespace has that id. want -1: the kernel chooses.
 */
int fl_nsid_assign(struct fl_nl *nl, int netns_fd, int32_t want, int32_t *ret,
		   struct fl_error *err);
/*
 * 1: the id stands for a living namespace; 0: it never did, or the namespace is dead (nothing
 * refers to it any more). A dead namespace's id may be given out again once its devices are gone,
 * which RTM_DELNSID on the group RTNLGRP_NSID tells.
 */
int fl_nsid_exists(struct fl_nl *nl, int32_t id, struct fl_error *err);
