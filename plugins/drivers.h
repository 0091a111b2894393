/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every plugin of the suite. They are names of one executable: what they share (engine, store,
 * nftables, netlink, JSON) is on disk and in the page cache once (docs/decisions/0004).
 */
#pragma once

#include "plugin/plugin.h"

extern const struct fl_driver bridge_driver, container_driver, dummy_driver, host_driver,
	host_local_driver, ipvlan_driver, loopback_driver, macvlan_driver, none_driver,
	portmap_driver, ptp_driver, sbr_driver, static_driver, tap_driver, vlan_driver, vrf_driver;
