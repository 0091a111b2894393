/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The client with a clock of its own and a wire that is an array. Random numbers are 0, but for
 * xids. */
#include "unit.h"

#include "base/cleanup.h"
#include "dhcp/client.h"

#include <string.h>

#define S 1000

struct world {
	struct fl_dhcp_client c;
	uint64_t now;
	uint32_t random;
	int sent, events;
	uint8_t msg[FL_DHCP_MSG_MAX];
	struct fl_dhcp_packet p;
	enum fl_dhcp_event event;
	bool had_old;
	struct fl_addr old;
};

static void on_send(void *arg, const struct fl_dhcp_packet *p)
{
	struct world *w = arg;

	w->sent++;
	w->p = *p;
	memcpy(w->msg, p->msg, p->len);
}

static uint32_t draw(void *arg)
{
	return ((struct world *)arg)->random;
}

static void on_event(void *arg, enum fl_dhcp_event e, const struct fl_dhcp_reply *old)
{
	struct world *w = arg;

	w->events++;
	w->event = e;
	w->had_old = old;
	if (old)
		w->old = old->ip.addr;
}

static struct world begin(void)
{
	return (struct world){ .now = 1000 * S,
			       .c.id.mac = { { 2, 0, 0, 0, 0, 1 } },
			       .c.id.client_id = "\0c",
			       .c.id.client_id_len = 2 };
}

static void wire(struct world *w)
{
	w->c.io = (struct fl_dhcp_io){ on_send, draw, on_event, w };
}

static struct fl_dhcp_reply reply(const struct world *w, enum fl_dhcp_type type, const char *ip)
{
	struct fl_dhcp_reply r = { .type = type,
				   .xid = w->c.xid,
				   .mac = w->c.id.mac,
				   .server = { AF_INET, { 10, 1, 0, 1 } },
				   .lease = 3600 };

	fl_prefix_parse(ip, &r.ip);
	return r;
}

static bool hear(struct world *w, enum fl_dhcp_type type, const char *ip)
{
	struct fl_dhcp_reply r = reply(w, type, ip);

	return fl_dhcp_client_input(&w->c, &r, w->now);
}

/* To the client's own next deadline. */
static void tick(struct world *w)
{
	assert_true(w->c.deadline >= w->now && w->c.deadline != FL_DHCP_NEVER);
	w->now = w->c.deadline;
	fl_dhcp_client_timeout(&w->c, w->now);
}

static bool sent_has(const struct world *w, uint8_t code)
{
	for (size_t i = 240; i < w->p.len && w->msg[i] != 255; i += 2 + w->msg[i + 1])
		if (w->msg[i] == code)
			return true;
	return false;
}

static void bound(struct world *w)
{
	fl_dhcp_client_start(&w->c, w->now);
	assert_true(hear(w, FL_DHCP_OFFER, "10.1.0.50/24"));
	assert_true(hear(w, FL_DHCP_ACK, "10.1.0.50/24"));
	assert_int_equal(w->c.state, FL_DHCP_BOUND);
}

static void test_acquire(void **state)
{
	struct world w = begin();

	(void)state;
	wire(&w);
	fl_dhcp_client_start(&w.c, w.now);
	assert_int_equal(w.c.state, FL_DHCP_SELECTING);
	assert_int_equal(w.msg[242], FL_DHCP_DISCOVER);
	assert_false(w.p.unicast);
	assert_true(hear(&w, FL_DHCP_OFFER, "10.1.0.50/24"));
	assert_int_equal(w.c.state, FL_DHCP_REQUESTING);
	assert_true(sent_has(&w, FL_DHCP_OPT_REQUESTED) && sent_has(&w, FL_DHCP_OPT_SERVER));
	w.now += 200;
	assert_true(hear(&w, FL_DHCP_ACK, "10.1.0.50/24"));
	assert_int_equal(w.events, 1);
	assert_int_equal(w.event, FL_DHCP_GOT);
	assert_false(w.had_old);
	/* from the moment of the REQUEST, not of the ACK */
	assert_int_equal(w.c.t1, 1000 * S + 1800 * S);
	assert_int_equal(w.c.t2, 1000 * S + 3150 * S);
	assert_int_equal(w.c.expiry, 1000 * S + 3600 * S);
}

static void test_backoff(void **state)
{
	static const unsigned pauses[] = { 1, 2, 4, 8, 16, 32, 64, 64 };
	struct world w = begin();

	(void)state;
	wire(&w);
	fl_dhcp_client_start(&w.c, w.now);
	for (size_t i = 0; i < FL_ARRAY_SIZE(pauses); i++) {
		assert_int_equal(w.c.deadline - w.now, pauses[i] * S);
		assert_int_equal(w.sent, i + 1);
		tick(&w);
	}
	assert_int_equal(w.msg[8] << 8 | w.msg[9], 191); /* secs */
}

static void test_jitter_is_a_quarter(void **state)
{
	uint64_t least = UINT64_MAX, most = 0;

	(void)state;
	for (uint32_t i = 0; i < 500; i++) {
		/* both draws of a pause are the same number unless it changes in between */
		struct world w = begin();

		wire(&w);
		w.c.resend_max = i & 1 ? 1000 : 500;
		w.random = i * 7919;
		fl_dhcp_client_start(&w.c, w.now);
		least = w.c.deadline - w.now < least ? w.c.deadline - w.now : least;
		most = w.c.deadline - w.now > most ? w.c.deadline - w.now : most;
	}
	assert_true(least >= 375 && most <= 1250);
}

static void test_request_is_given_up(void **state)
{
	struct world w = begin();

	(void)state;
	wire(&w);
	fl_dhcp_client_start(&w.c, w.now);
	hear(&w, FL_DHCP_OFFER, "10.1.0.50/24");
	for (int i = 0; i < 3; i++)
		tick(&w);
	assert_int_equal(w.c.state, FL_DHCP_SELECTING);
	assert_int_equal(w.now - 1000 * S, 7 * S);
	assert_false(sent_has(&w, FL_DHCP_OPT_REQUESTED));
}

static void test_strangers(void **state)
{
	struct world w = begin();
	struct fl_dhcp_reply r;

	(void)state;
	wire(&w);
	fl_dhcp_client_start(&w.c, w.now);
	r = reply(&w, FL_DHCP_OFFER, "10.1.0.50/24");
	r.xid++;
	assert_false(fl_dhcp_client_input(&w.c, &r, w.now));
	r = reply(&w, FL_DHCP_OFFER, "10.1.0.50/24");
	r.mac.b[5]++;
	assert_false(fl_dhcp_client_input(&w.c, &r, w.now));
	r = reply(&w, FL_DHCP_OFFER, "10.1.0.50/24");
	r.has_client_id = true;
	r.client_id_len = 2;
	memcpy(r.client_id, "\0d", 2);
	assert_false(fl_dhcp_client_input(&w.c, &r, w.now));
	r = reply(&w, FL_DHCP_OFFER, "10.1.0.50/24");
	r.server.family = 0;
	assert_false(fl_dhcp_client_input(&w.c, &r, w.now));
	assert_false(hear(&w, FL_DHCP_ACK, "10.1.0.50/24"));
	assert_true(hear(&w, FL_DHCP_OFFER, "10.1.0.50/24"));
	assert_false(hear(&w, FL_DHCP_OFFER, "10.1.0.51/24"));
	assert_false(hear(&w, FL_DHCP_ACK, "10.1.0.51/24"));
	r = reply(&w, FL_DHCP_NAK, "0.0.0.0/0");
	r.server.b[3] = 9;
	assert_false(fl_dhcp_client_input(&w.c, &r, w.now));
	r = reply(&w, FL_DHCP_ACK, "10.1.0.50/24");
	r.lease = 0;
	assert_false(fl_dhcp_client_input(&w.c, &r, w.now));
	assert_int_equal(w.events, 0);
}

static void test_nak_while_requesting(void **state)
{
	struct world w = begin();

	(void)state;
	wire(&w);
	fl_dhcp_client_start(&w.c, w.now);
	hear(&w, FL_DHCP_OFFER, "10.1.0.50/24");
	assert_true(hear(&w, FL_DHCP_NAK, "0.0.0.0/0"));
	assert_int_equal(w.c.state, FL_DHCP_INIT);
	tick(&w);
	assert_int_equal(w.c.state, FL_DHCP_SELECTING);
	assert_int_equal(w.events, 0);
}

static void test_renew(void **state)
{
	struct world w = begin();

	(void)state;
	wire(&w);
	bound(&w);
	tick(&w);
	assert_int_equal(w.c.state, FL_DHCP_RENEWING);
	assert_true(w.p.unicast);
	assert_int_equal(w.p.dst.b[3], 1);
	assert_int_equal(w.p.src.b[3], 50);
	assert_false(sent_has(&w, FL_DHCP_OPT_REQUESTED) || sent_has(&w, FL_DHCP_OPT_SERVER));
	assert_true(hear(&w, FL_DHCP_ACK, "10.1.0.50/24"));
	assert_int_equal(w.c.state, FL_DHCP_BOUND);
	assert_true(w.had_old);
	assert_int_equal(w.c.t1, 1000 * S + 3600 * S);
}

static void test_rebind_and_expire(void **state)
{
	struct world w = begin();
	uint64_t before;

	(void)state;
	wire(&w);
	bound(&w);
	while (w.c.state != FL_DHCP_REBINDING) {
		before = w.now;
		tick(&w);
		assert_true(w.now > before);
	}
	assert_int_equal(w.now, 1000 * S + 3150 * S);
	assert_false(w.p.unicast);
	assert_int_equal(w.p.src.b[3], 50);
	while (w.c.state == FL_DHCP_REBINDING)
		tick(&w);
	assert_int_equal(w.now, 1000 * S + 3600 * S);
	assert_int_equal(w.event, FL_DHCP_EXPIRED);
	assert_int_equal(w.old.b[3], 50);
	assert_false(w.c.held);
	assert_int_equal(w.c.state, FL_DHCP_SELECTING);
	/* at least a minute apart: 1350 s halved until T2, then 450 s halved */
	assert_in_range(w.sent, 8, 16);
}

/* A server that moves the lease, and another one answers the rebinding. */
static void test_rebind_elsewhere(void **state)
{
	struct world w = begin();
	struct fl_dhcp_reply r;

	(void)state;
	wire(&w);
	bound(&w);
	while (w.c.state != FL_DHCP_REBINDING)
		tick(&w);
	r = reply(&w, FL_DHCP_ACK, "10.1.0.77/24");
	r.server.b[3] = 2;
	assert_true(fl_dhcp_client_input(&w.c, &r, w.now));
	assert_int_equal(w.old.b[3], 50);
	assert_int_equal(w.c.lease.ip.addr.b[3], 77);
	assert_int_equal(w.c.lease.server.b[3], 2);
}

static void test_nak_takes_the_lease(void **state)
{
	struct world w = begin();

	(void)state;
	wire(&w);
	bound(&w);
	tick(&w);
	assert_true(hear(&w, FL_DHCP_NAK, "0.0.0.0/0"));
	assert_int_equal(w.event, FL_DHCP_REFUSED);
	assert_int_equal(w.c.state, FL_DHCP_SELECTING);
	assert_false(sent_has(&w, FL_DHCP_OPT_REQUESTED));
}

static void test_times(void **state)
{
	static const struct {
		uint32_t lease, t1, t2;
		uint64_t want1, want2;
	} t[] = {
		{ 100, 0, 0, 50000, 87500 },	 { 100, 10, 20, 10000, 20000 },
		{ 100, 200, 300, 43750, 87500 }, { 100, 30, 20, 10000, 20000 },
		{ 100, 0, 100, 50000, 87500 },	 { 1, 0, 0, 500, 875 },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(t); i++) {
		struct world w = begin();
		struct fl_dhcp_reply r;

		wire(&w);
		fl_dhcp_client_start(&w.c, w.now);
		hear(&w, FL_DHCP_OFFER, "10.1.0.50/24");
		r = reply(&w, FL_DHCP_ACK, "10.1.0.50/24");
		r.lease = t[i].lease;
		r.t1 = t[i].t1;
		r.t2 = t[i].t2;
		assert_true(fl_dhcp_client_input(&w.c, &r, w.now));
		assert_int_equal(w.c.t1 - w.now, t[i].want1);
		assert_int_equal(w.c.t2 - w.now, t[i].want2);
	}
}

static void test_infinite(void **state)
{
	struct world w = begin();
	struct fl_dhcp_reply r;

	(void)state;
	wire(&w);
	fl_dhcp_client_start(&w.c, w.now);
	hear(&w, FL_DHCP_OFFER, "10.1.0.50/24");
	r = reply(&w, FL_DHCP_ACK, "10.1.0.50/24");
	r.lease = FL_DHCP_FOREVER;
	assert_true(fl_dhcp_client_input(&w.c, &r, w.now));
	assert_true(w.c.deadline == FL_DHCP_NEVER && w.c.expiry == FL_DHCP_NEVER);
	fl_dhcp_client_resume(&w.c, w.now + 1);
	assert_int_equal(w.c.state, FL_DHCP_BOUND);
}

static void test_resume(void **state)
{
	struct world w = begin(), v;

	(void)state;
	wire(&w);
	bound(&w);
	w.sent = 0;
	w.c.state = FL_DHCP_INIT; /* as from a file */

	v = w;
	wire(&v);
	fl_dhcp_client_resume(&v.c, v.now + 10 * S);
	assert_int_equal(v.c.state, FL_DHCP_BOUND);
	assert_int_equal(v.c.deadline, v.c.t1);
	assert_int_equal(v.sent, 0);

	v = w;
	wire(&v);
	v.now = v.c.t1 + 1;
	fl_dhcp_client_resume(&v.c, v.now);
	assert_int_equal(v.c.state, FL_DHCP_REBOOTING);
	assert_true(sent_has(&v, FL_DHCP_OPT_REQUESTED) && !sent_has(&v, FL_DHCP_OPT_SERVER));
	for (int i = 0; i < 3; i++)
		tick(&v);
	assert_int_equal(v.c.state, FL_DHCP_RENEWING);
	assert_true(v.c.held);

	v = w;
	wire(&v);
	v.now = v.c.expiry;
	fl_dhcp_client_resume(&v.c, v.now);
	assert_int_equal(v.event, FL_DHCP_EXPIRED);
	assert_int_equal(v.c.state, FL_DHCP_SELECTING);
}

static void test_release_and_decline(void **state)
{
	struct world w = begin(), v;

	(void)state;
	wire(&w);
	bound(&w);
	v = w;
	wire(&v);
	fl_dhcp_client_release(&w.c, w.now);
	assert_int_equal(w.msg[242], FL_DHCP_RELEASE);
	assert_true(w.p.unicast && w.c.deadline == FL_DHCP_NEVER && !w.c.held);
	w.sent = 0;
	fl_dhcp_client_release(&w.c, w.now);
	assert_int_equal(w.sent, 0);

	fl_dhcp_client_decline(&v.c, v.now);
	assert_int_equal(v.msg[242], FL_DHCP_DECLINE);
	assert_false(v.p.unicast);
	assert_int_equal(v.c.deadline, v.now + 10 * S);
	tick(&v);
	assert_int_equal(v.c.state, FL_DHCP_SELECTING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_acquire),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_jitter_is_a_quarter),
		cmocka_unit_test(test_request_is_given_up),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_nak_while_requesting),
		cmocka_unit_test(test_renew),
		cmocka_unit_test(test_rebind_and_expire),
		cmocka_unit_test(test_rebind_elsewhere),
		cmocka_unit_test(test_nak_takes_the_lease),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_infinite),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_release_and_decline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
