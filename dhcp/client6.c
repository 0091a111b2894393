/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/client6.h"

#include <string.h>

/* RFC 8415, 7.6; ms */
enum {
	SOL_TIMEOUT = 1000,
	SOL_MAX_RT = 3600000,
	REQ_TIMEOUT = 1000,
	REQ_MAX_RT = 30000,
	REQ_MAX_RC = 10,
	REN_TIMEOUT = 10000, /* of REBIND too */
	REN_MAX_RT = 600000,
	PAUSE = 10000, /* after a DECLINE */
	BEST_PREFERENCE = 255,
};

bool fl_dhcp6_client_listens(const struct fl_dhcp6_client *c)
{
	return c->state != FL_DHCP_INIT && c->state != FL_DHCP_BOUND;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- sending ---- */

/* v and a tenth of it more or less; never less for the first SOLICIT (RFC 8415, 18.2.1). */
static uint64_t fuzz(struct fl_dhcp6_client *c, uint64_t v, bool up)
{
	uint64_t span = v / 10, drawn = c->io.random(c->io.arg);

	return up ? v + 1 + drawn % (span + 1) : v - span + drawn % (2 * span + 1);
}

/* RFC 8415, 15: the pause after this transmission. */
static uint64_t pause_after(struct fl_dhcp6_client *c, uint64_t first, uint64_t most)
{
	uint64_t rt = c->timeout;

	if (!rt)
		rt = fuzz(c, first, c->state == FL_DHCP_SELECTING);
	else
		rt += fuzz(c, rt, false);
	if (rt > most)
		rt = fuzz(c, most, false);
	c->timeout = rt;
	return rt;
}

static void transmit(struct fl_dhcp6_client *c, enum fl_dhcp6_type type, uint64_t now)
{
	const struct fl_dhcp6_reply *with = c->held ? &c->lease : &c->offer;
	const struct fl_dhcp6_address *a = fl_dhcp6_best(with);
	uint64_t elapsed = (now - c->began) / 10;
	struct fl_dhcp6_spec spec = {
		.type = type,
		.xid = c->xid,
		.elapsed = (uint16_t)(elapsed > UINT16_MAX ? UINT16_MAX : elapsed),
		.server = with->server,
	};
	uint8_t msg[FL_DHCP6_MSG_MAX];
	size_t len;

	if (a && type != FL_DHCP6_SOLICIT)
		spec.address = a->addr;
	c->sent = now;
	c->tries++;
	len = fl_dhcp6_build(&c->id, &spec, msg);
	c->io.send(c->io.arg, msg, len);
}

static void enter(struct fl_dhcp6_client *c, enum fl_dhcp_state s, uint64_t now)
{
	c->state = s;
	c->tries = 0;
	c->timeout = 0;
	c->began = now;
	c->xid = c->io.random(c->io.arg) & 0xffffff;
}

static void solicit(struct fl_dhcp6_client *c, uint64_t now)
{
	uint64_t most = c->sol_max_rt ? c->sol_max_rt : c->resend_max ? c->resend_max : SOL_MAX_RT;

	transmit(c, FL_DHCP6_SOLICIT, now);
	c->deadline = now + pause_after(c, SOL_TIMEOUT, most);
}

void fl_dhcp6_client_start(struct fl_dhcp6_client *c, uint64_t now)
{
	enter(c, FL_DHCP_SELECTING, now);
	c->held = c->advertised = false;
	solicit(c, now);
}

static void request(struct fl_dhcp6_client *c, uint64_t now)
{
	transmit(c, FL_DHCP6_REQUEST, now);
	c->deadline = now + pause_after(c, REQ_TIMEOUT, REQ_MAX_RT);
	if (c->held)
		c->deadline = lesser(c->deadline, c->expiry);
}

static void request_offer(struct fl_dhcp6_client *c, uint64_t now)
{
	enter(c, FL_DHCP_REQUESTING, now);
	request(c, now);
}

static void pause_then_start(struct fl_dhcp6_client *c, uint64_t now, uint64_t ms)
{
	c->state = FL_DHCP_INIT;
	c->held = false;
	c->deadline = now + ms;
}

/* ---- a held lease ---- */

static void lose(struct fl_dhcp6_client *c, enum fl_dhcp_event why, uint64_t now)
{
	struct fl_dhcp6_reply old = c->lease;

	c->held = false;
	c->io.event(c->io.arg, why, &old);
	fl_dhcp6_client_start(c, now);
}

static void ask_until(struct fl_dhcp6_client *c, enum fl_dhcp6_type type, uint64_t limit,
		      uint64_t now)
{
	transmit(c, type, now);
	c->deadline = lesser(now + pause_after(c, REN_TIMEOUT, REN_MAX_RT), limit);
}

/* The part of the lease's life that `now` falls into. */
static void carry_on(struct fl_dhcp6_client *c, uint64_t now)
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
		ask_until(c, FL_DHCP6_RENEW, c->t2, now);
	else
		ask_until(c, FL_DHCP6_REBIND, c->expiry, now);
}

void fl_dhcp6_client_resume(struct fl_dhcp6_client *c, uint64_t now)
{
	carry_on(c, now);
}

static void resend(struct fl_dhcp6_client *c, uint64_t now)
{
	switch (c->state) {
	case FL_DHCP_INIT:
		fl_dhcp6_client_start(c, now);
		break;
	case FL_DHCP_SELECTING:
		if (c->advertised)
			request_offer(c, now);
		else
			solicit(c, now);
		break;
	case FL_DHCP_REQUESTING:
		/* of a held lease whose server has forgotten it: until that is over */
		if (c->held && now >= c->expiry)
			lose(c, FL_DHCP_EXPIRED, now);
		else if (c->tries < REQ_MAX_RC)
			request(c, now);
		else if (c->held)
			carry_on(c, now);
		else
			fl_dhcp6_client_start(c, now);
		break;
	default:
		carry_on(c, now);
	}
}

void fl_dhcp6_client_timeout(struct fl_dhcp6_client *c, uint64_t now)
{
	if (now >= c->deadline)
		resend(c, now);
}

void fl_dhcp6_client_ready(struct fl_dhcp6_client *c, uint64_t now)
{
	if (!fl_dhcp6_client_listens(c))
		return;
	enter(c, c->state, now);
	resend(c, now);
}

/* ---- answers ---- */

/*
 * T1 and T2 of 0.5 and 0.8 of the preferred lifetime (RFC 8415, 21.4) unless the server's end
 * before the lease does; the clock began at the client's message.
 */
static void set_times(struct fl_dhcp6_client *c)
{
	const struct fl_dhcp6_address *a = fl_dhcp6_best(&c->lease);
	uint64_t base = a->preferred ? a->preferred : a->valid;
	bool forever = base == FL_DHCP_FOREVER;

	c->expiry = fl_dhcp_after(c->sent, a->valid);
	c->t1 = fl_dhcp_after(c->sent, c->lease.t1);
	c->t2 = fl_dhcp_after(c->sent, c->lease.t2);
	if (!c->lease.t1 || c->t1 >= c->expiry)
		c->t1 = forever ? FL_DHCP_NEVER : c->sent + base * 500;
	if (!c->lease.t2 || c->t2 >= c->expiry)
		c->t2 = forever ? FL_DHCP_NEVER : c->sent + base * 800;
	c->t2 = lesser(c->t2, c->expiry);
	if (c->t1 > c->t2)
		c->t1 = c->sent + (c->t2 - c->sent) / 2;
}

static void bind_lease(struct fl_dhcp6_client *c, const struct fl_dhcp6_reply *r)
{
	struct fl_dhcp6_reply old = c->lease;
	bool held = c->held;

	c->lease = *r;
	c->held = true;
	set_times(c);
	c->state = FL_DHCP_BOUND;
	c->deadline = c->t1;
	c->io.event(c->io.arg, FL_DHCP_GOT, held ? &old : NULL);
}

/* Servers put it into the message or into the IA_NA. */
static uint16_t status_of(const struct fl_dhcp6_reply *r)
{
	return r->status ? r->status : r->ia_status;
}

static bool take_advertise(struct fl_dhcp6_client *c, const struct fl_dhcp6_reply *r, uint64_t now)
{
	if (r->type != FL_DHCP6_ADVERTISE || status_of(r) || !r->has_ia || !fl_dhcp6_best(r))
		return false;
	if (c->advertised && r->preference <= c->offer.preference)
		return false;
	c->offer = *r;
	c->advertised = true;
	/* After the first pause each retransmission takes the first that comes (RFC 8415, 18.2.1).
	 */
	if (r->preference == BEST_PREFERENCE || c->tries > 1)
		request_offer(c, now);
	return true;
}

/*
 * The server does not know the binding, or does not say a word of it. NoBinding: a REQUEST to that
 * server makes it anew (RFC 8415, 18.2.10.1); otherwise the next retransmission asks again.
 */
static bool not_prolonged(struct fl_dhcp6_client *c, const struct fl_dhcp6_reply *r, uint64_t now)
{
	const struct fl_dhcp6_address *ours = fl_dhcp6_best(&c->lease);

	if (status_of(r) == FL_DHCP6_NO_BINDING && c->state != FL_DHCP_REQUESTING) {
		c->lease.server = r->server;
		request_offer(c, now);
		return true;
	}
	for (size_t i = 0; i < r->n_addresses && !status_of(r); i++) {
		if (!fl_addr_eq(&r->addresses[i].addr, &ours->addr))
			continue;
		/* a lifetime of 0, or it would have been the best one */
		lose(c, FL_DHCP_REFUSED, now);
		return true;
	}
	return false;
}

static bool take_refusal(struct fl_dhcp6_client *c, const struct fl_dhcp6_reply *r, uint64_t now)
{
	uint16_t status = status_of(r);

	if (status == FL_DHCP6_NOT_ON_LINK) {
		if (c->held)
			lose(c, FL_DHCP_REFUSED, now);
		else
			pause_then_start(c, now, fuzz(c, SOL_TIMEOUT, true));
		return true;
	}
	if (status == FL_DHCP6_UNSPEC_FAIL || status == FL_DHCP6_USE_MULTICAST)
		return false; /* the next retransmission asks again */
	if (c->held)
		return not_prolonged(c, r, now);
	/* What it has offered it does not give: not asked again at once. */
	pause_then_start(c, now, fuzz(c, SOL_TIMEOUT, true));
	return true;
}

static bool take_reply(struct fl_dhcp6_client *c, const struct fl_dhcp6_reply *r, uint64_t now)
{
	const struct fl_dhcp6_duid *asked = c->held ? &c->lease.server : &c->offer.server;

	if (r->type != FL_DHCP6_REPLY ||
	    (c->state != FL_DHCP_REBINDING && !fl_dhcp6_duid_eq(&r->server, asked)))
		return false;
	if (status_of(r) || !r->has_ia || !fl_dhcp6_best(r))
		return take_refusal(c, r, now);
	bind_lease(c, r);
	return true;
}

bool fl_dhcp6_client_input(struct fl_dhcp6_client *c, const struct fl_dhcp6_reply *r, uint64_t now)
{
	if (!fl_dhcp6_client_listens(c) || r->xid != c->xid ||
	    !fl_dhcp6_duid_eq(&r->client, &c->id.duid) || !r->server.len)
		return false;
	if (r->sol_max_rt)
		c->sol_max_rt = r->sol_max_rt * 1000;
	if (status_of(r))
		c->refusal = status_of(r);
	return c->state == FL_DHCP_SELECTING ? take_advertise(c, r, now) : take_reply(c, r, now);
}

void fl_dhcp6_client_release(struct fl_dhcp6_client *c, uint64_t now)
{
	if (c->held) {
		enter(c, FL_DHCP_INIT, now);
		transmit(c, FL_DHCP6_RELEASE, now);
	}
	c->state = FL_DHCP_INIT;
	c->held = false;
	c->deadline = FL_DHCP_NEVER;
}

void fl_dhcp6_client_decline(struct fl_dhcp6_client *c, uint64_t now)
{
	if (!c->held)
		return;
	enter(c, FL_DHCP_INIT, now);
	transmit(c, FL_DHCP6_DECLINE, now);
	pause_then_start(c, now, PAUSE);
}
