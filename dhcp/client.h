/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The DHCPv4 client of one lease as a state machine (RFC 2131, figure 5).
 *
 *   INIT --> SELECTING --> REQUESTING --> BOUND --T1--> RENEWING --T2--> REBINDING --expiry--> INIT
 *                                           ^--- ACK ------+-----------------+
 *   REBOOTING (a lease known from before) --> BOUND, or REBINDING when nobody answers
 *
 * Neither clock nor socket are here: the owner passes the time (milliseconds of a clock that counts
 * suspended time and never jumps), hands received messages in, calls fl_dhcp_client_timeout() at
 * `deadline` and sends what it is told to. No callback may free the client.
 */
#pragma once

#include "dhcp/wire.h"

#define FL_DHCP_NEVER UINT64_MAX
#define FL_DHCP_RESEND_MAX 64000 /* ms between transmissions without a lease (RFC 2131, 4.1) */

enum fl_dhcp_state {
	FL_DHCP_INIT, /* waits, or is at rest with deadline FL_DHCP_NEVER */
	FL_DHCP_SELECTING,
	FL_DHCP_REQUESTING,
	FL_DHCP_BOUND,
	FL_DHCP_RENEWING,
	FL_DHCP_REBINDING,
	FL_DHCP_REBOOTING,
};
const char *fl_dhcp_state_name(enum fl_dhcp_state s);
/* BOUND, RENEWING or REBINDING: the part of a lease's life that `now` falls into. */
enum fl_dhcp_state fl_dhcp_phase(uint64_t t1, uint64_t t2, uint64_t now);
/* A time of the client's clock; FL_DHCP_FOREVER seconds: FL_DHCP_NEVER. */
uint64_t fl_dhcp_after(uint64_t from, uint32_t seconds);

enum fl_dhcp_event {
	FL_DHCP_GOT,	 /* an ACK: new lease, or the old one prolonged or changed */
	FL_DHCP_REFUSED, /* a NAK took the lease away */
	FL_DHCP_EXPIRED, /* its time is over */
};

struct fl_dhcp_packet {
	bool unicast; /* else by broadcast, whatever dst is */
	struct fl_addr src, dst;
	const uint8_t *msg;
	size_t len;
};

struct fl_dhcp_io {
	/* A message that cannot be sent is a lost one. */
	void (*send)(void *arg, const struct fl_dhcp_packet *p);
	uint32_t (*random)(void *arg);
	/* old: the lease before, NULL when there was none. The new one is client->lease. */
	void (*event)(void *arg, enum fl_dhcp_event e, const struct fl_dhcp_reply *old);
	void *arg;
};

struct fl_dhcp_client {
	/* set by the owner */
	struct fl_dhcp_ident id;
	struct fl_dhcp_io io;
	uint32_t resend_max; /* ms */
	uint16_t max_size;   /* see struct fl_dhcp_spec */

	/* read by the owner */
	enum fl_dhcp_state state;
	uint64_t deadline; /* when fl_dhcp_client_timeout() is due */
	bool held;	   /* `lease` and the times below are valid */
	struct fl_dhcp_reply lease;
	uint64_t t1, t2, expiry; /* FL_DHCP_NEVER for an infinite lease */

	/* own */
	uint32_t xid;
	unsigned tries;
	uint64_t began, sent;
	struct fl_addr offered, server;
};

/* Begins at INIT with a DISCOVER. */
void fl_dhcp_client_start(struct fl_dhcp_client *c, uint64_t now);
/*
 * Goes on with a lease (held, lease, t1, t2, expiry set): waits for T1, or when that is past asks
 * whether the lease still holds (INIT-REBOOT), or when it has expired, reports that and begins
 * anew.
 */
void fl_dhcp_client_resume(struct fl_dhcp_client *c, uint64_t now);
void fl_dhcp_client_timeout(struct fl_dhcp_client *c, uint64_t now);
/* True when the message was for this client and changed its state. */
bool fl_dhcp_client_input(struct fl_dhcp_client *c, const struct fl_dhcp_reply *r, uint64_t now);
/* Gives the lease back when there is one, and rests. */
void fl_dhcp_client_release(struct fl_dhcp_client *c, uint64_t now);
/* The address is in use by somebody else: tells the server and begins anew after 10 s (RFC 2131,
 * 3.1). */
void fl_dhcp_client_decline(struct fl_dhcp_client *c, uint64_t now);
/* True while an answer may come: SELECTING, REQUESTING, REBOOTING, RENEWING, REBINDING. */
bool fl_dhcp_client_listens(const struct fl_dhcp_client *c);
