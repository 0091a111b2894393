/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DHCPv6 client of one address as a state machine (RFC 8415, section 18.2), of the same shape
 * and with the same states and events as the DHCPv4 client (dhcp/client.h):
 *
 *   SELECTING --> REQUESTING --> BOUND --T1--> RENEWING --T2--> REBINDING --expiry--> SELECTING
 *   (SOLICIT)     (REQUEST)        ^--- REPLY ----+-----------------+
 *
 * The best ADVERTISE is the one of the highest preference: those of the first second are compared,
 * 255 is taken at once, later ones as they come. A lease known from before goes on with what its
 * time is for: no CONFIRM, because an interface of a container does not move to another link.
 * RECONFIGURE is not accepted, rapid commit not asked for. All messages go to
 * All_DHCP_Relay_Agents_and_Servers.
 *
 * Neither clock nor socket are here: see dhcp/client.h. No callback may free the client.
 */
#pragma once

#include "dhcp/client.h"
#include "dhcp/wire6.h"

struct fl_dhcp6_io {
	/* A message that cannot be sent is a lost one. */
	void (*send)(void *arg, const uint8_t *msg, size_t len);
	uint32_t (*random)(void *arg);
	/* old: the lease before, NULL when there was none. The new one is client->lease. */
	void (*event)(void *arg, enum fl_dhcp_event e, const struct fl_dhcp6_reply *old);
	void *arg;
};

struct fl_dhcp6_client {
	/* set by the owner */
	struct fl_dhcp6_ident id;
	struct fl_dhcp6_io io;
	uint32_t resend_max; /* ms between SOLICITs, unless a server has sent SOL_MAX_RT; 0: 1 h */

	/* read by the owner */
	enum fl_dhcp_state state;    /* never FL_DHCP_REBOOTING */
	uint64_t deadline;	     /* when fl_dhcp6_client_timeout() is due */
	bool held;		     /* `lease` and the times below are valid */
	struct fl_dhcp6_reply lease; /* with an address: fl_dhcp6_best() */
	uint64_t t1, t2, expiry;     /* FL_DHCP_NEVER for an infinite lease */
	uint16_t refusal;	     /* the last status other than Success that an answer had */

	/* own */
	uint32_t xid, sol_max_rt; /* of a server, ms */
	unsigned tries;
	uint64_t began, sent, timeout; /* RT of RFC 8415, 15 */
	bool advertised;
	struct fl_dhcp6_reply offer;
};

/* Begins with a SOLICIT. */
void fl_dhcp6_client_start(struct fl_dhcp6_client *c, uint64_t now);
/* Goes on with a lease (held, lease, t1, t2, expiry set). */
void fl_dhcp6_client_resume(struct fl_dhcp6_client *c, uint64_t now);
void fl_dhcp6_client_timeout(struct fl_dhcp6_client *c, uint64_t now);
/* What was sent so far was lost because the link was not ready, and now it is: begins the exchange
 * anew. */
void fl_dhcp6_client_ready(struct fl_dhcp6_client *c, uint64_t now);
/* True when the message was for this client and changed its state. */
bool fl_dhcp6_client_input(struct fl_dhcp6_client *c, const struct fl_dhcp6_reply *r, uint64_t now);
/* Gives the lease back when there is one, and rests. */
void fl_dhcp6_client_release(struct fl_dhcp6_client *c, uint64_t now);
/* The address is in use by somebody else: tells the server and begins anew after 10 s. */
void fl_dhcp6_client_decline(struct fl_dhcp6_client *c, uint64_t now);
/* True while an answer may come. */
bool fl_dhcp6_client_listens(const struct fl_dhcp6_client *c);
