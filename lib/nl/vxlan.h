/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VXLAN devices: RFC 7348, linux/if_link.h. One VNI has one device per UDP port and underlay
 * namespace, also after the device has been moved out of it.
 */
#pragma once

#include "nl/nl.h"

struct fl_vxlan_spec {
	const char *name;
	struct fl_vxlan vxlan; /* what makes two devices different */
	uint8_t ttl;	       /* of the outer packets; 0: the kernel's */
	struct fl_mac mac;     /* zero: the kernel's choice */
	uint32_t mtu;	       /* 0: default */
	uint32_t group;	       /* IFLA_GROUP, a mark that is there from the beginning; 0: default */
};

/*
 * Created down and without a master, so that it forwards nothing before it is wholly set up. Source
 * ports follow the inner flow, as RFC 7348 section 5 recommends. -EEXIST: the name or the VNI is
 * taken. -EOPNOTSUPP: no CONFIG_VXLAN.
 */
int fl_vxlan_create(struct fl_nl *nl, const struct fl_vxlan_spec *s, struct fl_error *err);
void fl_vxlan_build(struct fl_req *q, const struct fl_vxlan_spec *s);
/* VNI, addresses, port and learning are the same: the one can serve as the other. */
bool fl_vxlan_same(const struct fl_vxlan *a, const struct fl_vxlan *b);
/*
 * The device of this namespace that has VNI and UDP port in the same family of outer addresses: 1
 * and *ret filled, 0: none.
 */
int fl_vxlan_find(struct fl_nl *nl, const struct fl_vxlan *v, struct fl_link *ret,
		  struct fl_error *err);

struct fl_link_dress {
	const char *alias;  /* NULL: as it is; at most IFALIASZ - 1 (255) bytes */
	uint32_t master;    /* 0: as it is */
	uint32_t mtu;	    /* 0: as it is */
	bool no_link_local; /* never an IPv6 address of the kernel's making */
};
/* Several changes of a link by one message; it is still as up or down as it was. */
int fl_link_dress(struct fl_nl *nl, uint32_t index, const struct fl_link_dress *d,
		  struct fl_error *err);
void fl_link_dress_build(struct fl_req *q, uint32_t index, const struct fl_link_dress *d);
