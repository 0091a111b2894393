/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A request to the daemon, decoded. Pure.
 *
 *   {"command": "ADD" | "DEL" | "CHECK" | "STATUS" | "GC",
 *    "network", "container", "ifname", "netns",        the lease's key, and where its interface is
 *    "families": [4, 6],                               what is leased: by default [4]
 *    "hostname", "clientId",                           options 12 and 61, optional
 *    "request": [{"skipDefault": bool, "option": name or number}],
 *    "provide": [{"option": name or number, "value": text, "fromArg": name}],
 *    "args": "A=1;B=2" or {"A": "1"},                  what fromArg names
 *    "broadcast": bool,                                servers are to answer by broadcast
 *    "priority": metric of the routes,                 0: the kernel's choice
 *    "timeout": seconds,                               of an ADD, 1 to 600
 *    "valid": [[container, ifname], ...]}              of GC
 *
 * `request`, `provide` and `priority` are those of the reference plugin's `ipam`. Options are named
 * as dhcp-options(5) does, or by their number. The client identifier is by default the reference's,
 * CONTAINER/NETWORK/IFNAME, so that a host that changes over keeps its addresses; DHCPv6's DUID is
 * made of the same text. `request`, `provide`, `priority` and `broadcast` are DHCPv4's alone.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "dhcp/wire6.h"

#define FL_DHCP_VALID_MAX 65536

enum fl_dhcp_command {
	FL_DHCP_CMD_ADD,
	FL_DHCP_CMD_DEL,
	FL_DHCP_CMD_CHECK,
	FL_DHCP_CMD_STATUS,
	FL_DHCP_CMD_GC
};

/* Strings are borrowed from the JSON. */
struct fl_dhcp_request {
	int command; /* enum fl_dhcp_command */
	const char *network, *container, *ifname, *netns;
	int64_t timeout;  /* seconds; 0: not given */
	int64_t priority; /* 0: none */
	bool v4, v6;
	struct fl_dhcp_ident id; /* ADD: without the MAC address */
	struct fl_dhcp6_ident id6;
	const json_t *valid; /* GC: a list of pairs of strings */
};

/* FL_ECODE_DECODE or FL_ECODE_CONFIG; every message names the key. */
int fl_dhcp_request_parse(const json_t *json, struct fl_dhcp_request *ret, struct fl_error *err);

/* 1 to 254, or -EINVAL: from "routers" or "3". */
int fl_dhcp_option_code(const char *name);
