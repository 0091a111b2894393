/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DHCPv6 messages as bytes, with one IA_NA each. Pure: no clock, no socket, no allocation.
 *
 * RFC 8415 (protocol and options), 3646 (DNS servers, search list), 4704 (name of the client).
 * Addresses are struct fl_addr of family AF_INET6; times are seconds as on the wire,
 * FL_DHCP_FOREVER for infinity (RFC 8415, 7.7). Limits are those of dhcp/wire.h.
 */
#pragma once

#include "dhcp/wire.h"

#define FL_DHCP6_SERVER_PORT 547
#define FL_DHCP6_CLIENT_PORT 546
#define FL_DHCP6_MSG_MAX 1024 /* built messages: below 1,280 with all headers */
#define FL_DHCP6_DUID_MAX 130 /* RFC 8415, 11.1: type and 128 bytes */
#define FL_DHCP6_HOSTNAME_MAX 63
#define FL_DHCP6_SOL_MAX_RT_LEAST 60 /* seconds; RFC 8415, 21.24 */
#define FL_DHCP6_SOL_MAX_RT_MOST 86400

/* RFC 8415, 24 and as named. */
enum {
	FL_DHCP6_OPT_CLIENT_ID = 1,
	FL_DHCP6_OPT_SERVER_ID = 2,
	FL_DHCP6_OPT_IA_NA = 3,
	FL_DHCP6_OPT_ADDRESS = 5,
	FL_DHCP6_OPT_REQUEST = 6,
	FL_DHCP6_OPT_PREFERENCE = 7,
	FL_DHCP6_OPT_ELAPSED = 8,
	FL_DHCP6_OPT_STATUS = 13,
	FL_DHCP6_OPT_DNS = 23,	  /* RFC 3646 */
	FL_DHCP6_OPT_SEARCH = 24, /* RFC 3646 */
	FL_DHCP6_OPT_FQDN = 39,	  /* RFC 4704 */
	FL_DHCP6_OPT_SOL_MAX_RT = 82,
};

enum fl_dhcp6_type {
	FL_DHCP6_SOLICIT = 1,
	FL_DHCP6_ADVERTISE = 2,
	FL_DHCP6_REQUEST = 3,
	FL_DHCP6_RENEW = 5,
	FL_DHCP6_REBIND = 6,
	FL_DHCP6_REPLY = 7,
	FL_DHCP6_RELEASE = 8,
	FL_DHCP6_DECLINE = 9,
};

/* RFC 8415, 21.13. */
enum fl_dhcp6_status {
	FL_DHCP6_SUCCESS,
	FL_DHCP6_UNSPEC_FAIL,
	FL_DHCP6_NO_ADDRS,
	FL_DHCP6_NO_BINDING,
	FL_DHCP6_NOT_ON_LINK,
	FL_DHCP6_USE_MULTICAST,
};

struct fl_dhcp6_duid {
	uint8_t b[FL_DHCP6_DUID_MAX];
	uint8_t len; /* 0: none */
};
bool fl_dhcp6_duid_eq(const struct fl_dhcp6_duid *a, const struct fl_dhcp6_duid *b);

/* What a client says about itself in every message. */
struct fl_dhcp6_ident {
	struct fl_dhcp6_duid duid;
	uint32_t iaid;
	char hostname[FL_DHCP6_HOSTNAME_MAX + 1]; /* one label; "": the option is not sent */
};

/*
 * A DUID-UUID (RFC 6355) and an IAID that depend on nothing but the two texts: the same after a
 * restart, another MAC address or on another host. 128 bits of a hash without secrets: against
 * chance, not against somebody who chooses both names.
 */
void fl_dhcp6_ident_make(const char *client, const char *ifname, struct fl_dhcp6_ident *ret);

struct fl_dhcp6_spec {
	enum fl_dhcp6_type type; /* of a client */
	uint32_t xid;		 /* 24 bits */
	uint16_t elapsed;	 /* hundredths of a second */
	struct fl_addr address;	 /* held or offered; unset: none */
	/* Sent by those that speak to one server: REQUEST, RENEW, RELEASE, DECLINE. */
	struct fl_dhcp6_duid server;
};

/* Writes the message into FL_DHCP6_MSG_MAX bytes, which always suffice, and returns its length. */
size_t fl_dhcp6_build(const struct fl_dhcp6_ident *id, const struct fl_dhcp6_spec *spec,
		      uint8_t *buf);

struct fl_dhcp6_address {
	struct fl_addr addr;
	uint32_t preferred, valid; /* seconds; valid 0: to be given up */
};

struct fl_dhcp6_reply {
	enum fl_dhcp6_type type; /* ADVERTISE or REPLY */
	uint32_t xid;
	struct fl_dhcp6_duid client, server;
	uint8_t preference;
	uint16_t status;     /* of the message */
	char message[256];   /* of the first status that is not Success, printable ASCII */
	uint32_t sol_max_rt; /* seconds; 0: absent, or out of RFC 8415's bounds */
	/* The first IA_NA of the asked identifier. */
	bool has_ia;
	uint16_t ia_status;
	uint32_t t1, t2; /* seconds; 0: the client's choice */
	struct fl_dhcp6_address addresses[FL_DHCP_LIST_MAX];
	struct fl_addr dns[FL_DHCP_LIST_MAX];
	size_t n_addresses, n_dns, n_search;
	char search[FL_DHCP_LIST_MAX][256];
};

/*
 * Reads a server's message; IA_NAs of another identifier than `iaid` are passed over. Addresses
 * that no interface can have, that the server refuses by a status or whose lifetimes contradict
 * each other (RFC 8415, 21.6), and names that are no host names are left out. -EBADMSG: cut, or not
 * an ADVERTISE or REPLY. Whose it is (xid, client, server) is the caller's to compare.
 */
int fl_dhcp6_parse(const uint8_t *msg, size_t len, uint32_t iaid, struct fl_dhcp6_reply *ret);

/* The one of its addresses to be used: the first that is preferred, else the first that is valid.
 * NULL: none. */
const struct fl_dhcp6_address *fl_dhcp6_best(const struct fl_dhcp6_reply *r);
