/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vrf is about to do, and its memo. Pure.
 *
 * A link that enters or leaves a VRF goes down and up (the kernel's cycle_netdev()): what comes
 * back by itself are IPv4 addresses, the routes that the kernel makes for addresses, and IPv6
 * addresses where net.ipv6.conf.LINK.keep_addr_on_down is 1.
 */
#pragma once

#include "routing.h"

#define VRF_FIRST_TABLE 1
#define VRF_ADDRS 64

struct vrf_plan {
	uint32_t index; /* of CNI_IFNAME */
	uint32_t vrf;	/* index of the VRF; of one that is to be made, chosen before */
	uint32_t table;
	bool made;			   /* this ADD makes it */
	struct fl_ifaddr addrs[VRF_ADDRS]; /* IPv6, to be there again */
	size_t n_addrs;
	struct route_list put;	/* to be there in the VRF */
	struct route_list take; /* as they were before */
};

void vrf_plan_clear(struct vrf_plan *p);
#define AUTOPLAN FL_CLEANUP(vrf_plan_clear)

/*
 * An IPv6 address that nobody but us would bring back: a global one without end of life that is no
 * temporary one (RFC 8981).
 */
bool vrf_restores_address(const struct fl_ifaddr *a);
/* The flags with which it is added again: it was found to be unique already. */
uint32_t vrf_address_flags(const struct fl_ifaddr *a);
/* A route that the kernel does not make by itself when the link comes up. */
bool vrf_restores_route(const struct fl_nlroute *r, uint32_t index);
/* Fills put and take: what was in the main table is the VRF's, other tables stay what they are. */
int vrf_plan_routes(struct vrf_plan *p, const struct route_list *all, struct fl_error *err);

int vrf_plan_encode(const struct vrf_plan *p, json_t **ret, struct fl_error *err);
int vrf_plan_decode(const json_t *memo, struct vrf_plan *ret, struct fl_error *err);
