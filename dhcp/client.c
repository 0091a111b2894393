/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/client.h"

#include <string.h>

enum {
	FIRST_RESEND = 1000, /* ms; RFC 2131's 4 s would spend half of an ADD's time on one loss */
	ASK_TRIES = 3,	     /* of a REQUEST before it is given up: 7 s */
	RENEW_MIN = 60000,   /* RFC 2131, 4.4.5 */
	DECLINE_PAUSE = 10000,
	NAK_PAUSE = 1000, /* a server that refuses its own offer is not asked at once */
};

static const struct fl_addr none = { .family = AF_INET };
static const struct fl_addr everybody = { AF_INET, { 255, 255, 255, 255 } };

const char *fl_dhcp_state_name(enum fl_dhcp_state s)
{
	static const char *const names[] = {
		[FL_DHCP_INIT] = "init",
		[FL_DHCP_SELECTING] = "selecting",
		[FL_DHCP_REQUESTING] = "requesting",
		[FL_DHCP_BOUND] = "bound",
		[FL_DHCP_RENEWING] = "renewing",
		[FL_DHCP_REBINDING] = "rebinding",
		[FL_DHCP_REBOOTING] = "rebooting",
	};

	return names[s];
}

enum fl_dhcp_state fl_dhcp_phase(uint64_t t1, uint64_t t2, uint64_t now)
{
	return now < t1 ? FL_DHCP_BOUND : now < t2 ? FL_DHCP_RENEWING : FL_DHCP_REBINDING;
}

uint64_t fl_dhcp_after(uint64_t from, uint32_t seconds)
{
	return seconds == FL_DHCP_FOREVER ? FL_DHCP_NEVER : from + (uint64_t)seconds * 1000;
}

bool fl_dhcp_client_listens(const struct fl_dhcp_client *c)
{
	return c->state != FL_DHCP_INIT && c->state != FL_DHCP_BOUND;
}

/* v less up to 1/2^shift of it, or that much more. */
static uint64_t fuzz(struct fl_dhcp_client *c, uint64_t v, unsigned shift, bool both)
{
	uint64_t span = v >> shift;

	if (both)
		v += c->io.random(c->io.arg) % (span + 1);
	return v - c->io.random(c->io.arg) % (span + 1);
}

/* 1, 2, 4 s ... up to resend_max, each a quarter more or less. */
static uint64_t backoff(struct fl_dhcp_client *c)
{
	unsigned shift = c->tries < 1 ? 0 : c->tries - 1;
	uint64_t delay = (uint64_t)FIRST_RESEND << (shift > 10 ? 10 : shift);
	uint64_t most = c->resend_max ? c->resend_max : FL_DHCP_RESEND_MAX;

	return fuzz(c, delay < most ? delay : most, 2, true);
}

static void transmit(struct fl_dhcp_client *c, enum fl_dhcp_kind kind, uint64_t now)
{
	bool release = kind == FL_DHCP_SEND_RELEASE,
	     unicast = release || kind == FL_DHCP_SEND_RENEW;
	uint64_t secs = (now - c->began) / 1000;
	struct fl_dhcp_spec spec = {
		.kind = kind,
		.xid = c->xid,
		.secs = release ? 0 : (uint16_t)(secs > UINT16_MAX ? UINT16_MAX : secs),
		.max_size = c->max_size,
		.address = c->held ? c->lease.ip.addr : c->offered,
		.server = c->held ? c->lease.server : c->server,
	};
	struct fl_dhcp_packet p = { .unicast = unicast, .src = none, .dst = everybody };
	uint8_t msg[FL_DHCP_MSG_MAX];

	c->sent = now;
	c->tries++;
	if (fl_dhcp_build(&c->id, &spec, msg, &p.len, NULL))
		return;
	p.msg = msg;
	if (unicast || kind == FL_DHCP_SEND_REBIND)
		p.src = spec.address;
	if (unicast)
		p.dst = spec.server;
	c->io.send(c->io.arg, &p);
}

static void enter(struct fl_dhcp_client *c, enum fl_dhcp_state s, uint64_t now)
{
	c->state = s;
	c->tries = 0;
	c->began = now;
	c->xid = c->io.random(c->io.arg);
}

static void discover(struct fl_dhcp_client *c, uint64_t now)
{
	transmit(c, FL_DHCP_SEND_DISCOVER, now);
	c->deadline = now + backoff(c);
}

void fl_dhcp_client_start(struct fl_dhcp_client *c, uint64_t now)
{
	enter(c, FL_DHCP_SELECTING, now);
	c->held = false;
	c->offered = c->server = (struct fl_addr){ 0 };
	discover(c, now);
}

static void pause_then_start(struct fl_dhcp_client *c, uint64_t now, uint64_t ms)
{
	c->state = FL_DHCP_INIT;
	c->held = false;
	c->deadline = now + fuzz(c, ms, 2, false);
}

static void ask(struct fl_dhcp_client *c, enum fl_dhcp_kind kind, uint64_t now)
{
	transmit(c, kind, now);
	c->deadline = now + backoff(c);
}

/*
 * Half of what is left until `limit`, at least a minute (RFC 2131, 4.4.5); of a lease too short for
 * that, an eighth, so that one lost packet does not cost it.
 */
static void ask_until(struct fl_dhcp_client *c, enum fl_dhcp_kind kind, uint64_t limit,
		      uint64_t now)
{
	uint64_t least = (uint64_t)c->lease.lease * 1000 / 8, half = (limit - now) / 2;

	transmit(c, kind, now);
	least = least > RENEW_MIN ? RENEW_MIN : least < 1000 ? 1000 : least;
	c->deadline = now + (half > least ? half : least);
	if (c->deadline > limit)
		c->deadline = limit;
}

static void lose(struct fl_dhcp_client *c, enum fl_dhcp_event why, uint64_t now)
{
	struct fl_dhcp_reply old = c->lease;

	c->held = false;
	c->io.event(c->io.arg, why, &old);
	fl_dhcp_client_start(c, now);
}

/* The part of a held lease's life that `now` falls into. */
static void carry_on(struct fl_dhcp_client *c, uint64_t now)
{
	enum fl_dhcp_state s = fl_dhcp_phase(c->t1, c->t2, now);

	if (now >= c->expiry) {
		lose(c, FL_DHCP_EXPIRED, now);
		return;
	}
	if (s != c->state)
		enter(c, s, now);
	if (s == FL_DHCP_BOUND)
		c->deadline = c->t1;
	else if (s == FL_DHCP_RENEWING)
		ask_until(c, FL_DHCP_SEND_RENEW, c->t2, now);
	else
		ask_until(c, FL_DHCP_SEND_REBIND, c->expiry, now);
}

void fl_dhcp_client_resume(struct fl_dhcp_client *c, uint64_t now)
{
	if (now < c->t1 || now >= c->expiry) {
		carry_on(c, now);
		return;
	}
	enter(c, FL_DHCP_REBOOTING, now);
	ask(c, FL_DHCP_SEND_REBOOT, now);
}

void fl_dhcp_client_timeout(struct fl_dhcp_client *c, uint64_t now)
{
	if (now < c->deadline)
		return;
	switch (c->state) {
	case FL_DHCP_INIT:
		fl_dhcp_client_start(c, now);
		break;
	case FL_DHCP_SELECTING:
		discover(c, now);
		break;
	case FL_DHCP_REQUESTING:
		if (c->tries >= ASK_TRIES)
			fl_dhcp_client_start(c, now);
		else
			ask(c, FL_DHCP_SEND_SELECT, now);
		break;
	case FL_DHCP_REBOOTING:
		if (now >= c->expiry || c->tries >= ASK_TRIES)
			carry_on(c, now);
		else
			ask(c, FL_DHCP_SEND_REBOOT, now);
		break;
	case FL_DHCP_BOUND:
	case FL_DHCP_RENEWING:
	case FL_DHCP_REBINDING:
		carry_on(c, now);
		break;
	}
}

/* ---- answers ---- */

/* T1 and T2 of 0.5 and 0.875 unless the server's are in order; the clock began at the REQUEST. */
static void set_times(struct fl_dhcp_client *c)
{
	uint32_t lease = c->lease.lease, t1 = c->lease.t1, t2 = c->lease.t2;

	c->expiry = fl_dhcp_after(c->sent, lease);
	if (lease == FL_DHCP_FOREVER) {
		c->t1 = c->t2 = FL_DHCP_NEVER;
		return;
	}
	c->t2 = t2 && t2 < lease ? fl_dhcp_after(c->sent, t2) : c->sent + (uint64_t)lease * 875;
	c->t1 = t1 ? fl_dhcp_after(c->sent, t1) : c->sent + (uint64_t)lease * 500;
	if (c->t1 >= c->t2)
		c->t1 = c->sent + (c->t2 - c->sent) / 2;
	/* RFC 2131, 4.4.5: many that were started together do not renew together. */
	c->t1 = c->sent + fuzz(c, c->t1 - c->sent, 4, false);
}

static void bind_lease(struct fl_dhcp_client *c, const struct fl_dhcp_reply *r)
{
	struct fl_dhcp_reply old = c->lease;
	bool held = c->held;

	c->lease = *r;
	if (!fl_addr_is_set(&c->lease.server))
		c->lease.server = held ? old.server : c->server;
	c->held = true;
	set_times(c);
	c->state = FL_DHCP_BOUND;
	c->deadline = c->t1;
	c->io.event(c->io.arg, FL_DHCP_GOT, held ? &old : NULL);
}

static bool is_for(const struct fl_dhcp_client *c, const struct fl_dhcp_reply *r)
{
	if (r->xid != c->xid || memcmp(&r->mac, &c->id.mac, sizeof(r->mac)))
		return false;
	/* RFC 6842, section 3 */
	return !r->has_client_id || (r->client_id_len == c->id.client_id_len &&
				     !memcmp(r->client_id, c->id.client_id, r->client_id_len));
}

static bool take_offer(struct fl_dhcp_client *c, const struct fl_dhcp_reply *r, uint64_t now)
{
	if (r->type != FL_DHCP_OFFER || !fl_addr_is_set(&r->ip.addr) || !fl_addr_is_set(&r->server))
		return false;
	c->offered = r->ip.addr;
	c->server = r->server;
	/* the xid stays: RFC 2131, table 5 */
	c->state = FL_DHCP_REQUESTING;
	c->tries = 0;
	ask(c, FL_DHCP_SEND_SELECT, now);
	return true;
}

static bool from_other(const struct fl_addr *ours, const struct fl_dhcp_reply *r)
{
	return fl_addr_is_set(&r->server) && !fl_addr_eq(&r->server, ours);
}

static bool take_answer(struct fl_dhcp_client *c, const struct fl_dhcp_reply *r, uint64_t now)
{
	bool asked_one = c->state == FL_DHCP_REQUESTING || c->state == FL_DHCP_RENEWING;

	if (r->type == FL_DHCP_OFFER ||
	    (asked_one && from_other(c->held ? &c->lease.server : &c->server, r)))
		return false;
	if (r->type == FL_DHCP_NAK) {
		if (c->held)
			lose(c, FL_DHCP_REFUSED, now);
		else
			pause_then_start(c, now, NAK_PAUSE);
		return true;
	}
	if (!r->lease || !fl_addr_is_set(&r->ip.addr) ||
	    (c->state == FL_DHCP_REQUESTING && !fl_addr_eq(&r->ip.addr, &c->offered)))
		return false;
	bind_lease(c, r);
	return true;
}

bool fl_dhcp_client_input(struct fl_dhcp_client *c, const struct fl_dhcp_reply *r, uint64_t now)
{
	if (!fl_dhcp_client_listens(c) || !is_for(c, r))
		return false;
	return c->state == FL_DHCP_SELECTING ? take_offer(c, r, now) : take_answer(c, r, now);
}

void fl_dhcp_client_release(struct fl_dhcp_client *c, uint64_t now)
{
	if (c->held) {
		enter(c, FL_DHCP_INIT, now);
		transmit(c, FL_DHCP_SEND_RELEASE, now);
	}
	c->state = FL_DHCP_INIT;
	c->held = false;
	c->deadline = FL_DHCP_NEVER;
}

void fl_dhcp_client_decline(struct fl_dhcp_client *c, uint64_t now)
{
	if (!c->held)
		return;
	enter(c, FL_DHCP_INIT, now);
	transmit(c, FL_DHCP_SEND_DECLINE, now);
	pause_then_start(c, now, DECLINE_PAUSE);
	c->deadline = now + DECLINE_PAUSE;
}
