/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lower device of a macvlan, ipvlan or vlan network: which it is, and what of it is the
 * network's own. NAME.VID that is absent is made as an 802.1Q interface on NAME, and a network that
 * leads nowhere has a stand-in; both, and promiscuous mode, are listed in the network's `made` and
 * go with the last endpoint of the last network that lists them.
 */
#pragma once

#include "plugin/plugin.h"

struct fl_parent {
	const char *master; /* as configured; NULL or "": the default route's interface */
	bool in_sandbox;    /* the master is in the sandbox (linkInContainer) */
	bool internal;	    /* no master: endpoints reach each other only */
	bool promisc;	    /* the master is to be promiscuous */
	bool no_vlan;	    /* a master that is absent is never made */
	int64_t mtu;	    /* wanted by the endpoint: at most the master's */

	/* filled by fl_parent_prepare(), and by fl_parent_create() where it makes the device */
	struct fl_link link;
	bool ours;     /* listed in `made`: another process may remove it until the claim */
	uint32_t base; /* index of NAME of NAME.VID */
	uint16_t vid;
};

/* For a driver's prepare(). Fills c->net.parent and made. */
int fl_parent_prepare(struct fl_call *c, struct fl_parent *p, struct fl_error *err);
/* For network_create(). */
int fl_parent_create(struct fl_call *c, struct fl_parent *p, struct fl_error *err);
/* A driver's network_delete(). */
int fl_parent_network_delete(struct fl_call *c, struct fl_txn *t, const struct fl_network *net,
			     struct fl_error *err);
/* "PREFIXxxxxxxxx": a name for a host interface of this network, the same each time. */
void fl_network_link_name(const struct fl_call *c, const char *prefix, char name[IFNAMSIZ]);
/* The namespace's socket in which the master is found, and where links on it are made from. */
static inline struct fl_nl *fl_parent_nl(const struct fl_call *c, const struct fl_parent *p)
{
	return p->in_sandbox ? c->inside : c->host;
}
/*
 * The endpoint on it: fills what is common (name, index, namespace, lower device, MTU, MAC if set)
 * and makes it. The messages name the master.
 */
int fl_parent_attach(struct fl_call *c, const struct fl_parent *p, struct fl_vlink_spec *spec,
		     struct fl_error *err);
/* The MAC that the kernel took from the master, into record and result. */
int fl_inherited_mac(struct fl_call *c, struct fl_error *err);
/* Is CNI_IFNAME still of this kind, and on this master? FL_ECODE_CHECK. */
int fl_parent_check(struct fl_call *c, struct fl_parent *p, const char *kind, struct fl_link *ret,
		    struct fl_error *err);
