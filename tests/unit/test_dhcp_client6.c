/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DHCPv6 client with a clock of its own and a wire that is an array. Random numbers are 0:
 * every fuzzed time is the shortest possible. */
#include "unit.h"

#include "base/cleanup.h"
#include "dhcp/client6.h"

#include <string.h>

#define S 1000

struct world {
	struct fl_dhcp6_client c;
	uint64_t now;
	uint32_t random;
	int sent, events;
	uint8_t msg[FL_DHCP6_MSG_MAX];
	size_t len;
	enum fl_dhcp_event event;
	bool had_old;
};

static void on_send(void *arg, const uint8_t *msg, size_t len)
{
	struct world *w = arg;

	w->sent++;
	memcpy(w->msg, msg, len);
	w->len = len;
}

static uint32_t draw(void *arg)
{
	return ((struct world *)arg)->random;
}

static void on_event(void *arg, enum fl_dhcp_event e, const struct fl_dhcp6_reply *old)
{
	struct world *w = arg;

	w->events++;
	w->event = e;
	w->had_old = old;
}

static void begin(struct world *w)
{
	*w = (struct world){ .now = 1000 * S };
	fl_dhcp6_ident_make("c1", "eth0", &w->c.id);
	w->c.io = (struct fl_dhcp6_io){ on_send, draw, on_event, w };
	fl_dhcp6_client_start(&w->c, w->now);
}

/* From server `id`, with an address of 100 s unless `last` is 0. */
static struct fl_dhcp6_reply answer(const struct world *w, enum fl_dhcp6_type type, uint8_t id,
				    uint8_t last)
{
	struct fl_dhcp6_reply r = { .type = type,
				    .xid = w->c.xid,
				    .client = w->c.id.duid,
				    .server = { { 0, 1, id }, 3 },
				    .has_ia = true };

	if (last) {
		fl_addr_parse("2001:db8::", &r.addresses[0].addr);
		r.addresses[0].addr.b[15] = last;
		r.addresses[0].preferred = r.addresses[0].valid = 100;
		r.n_addresses = 1;
	}
	return r;
}

static bool hear(struct world *w, enum fl_dhcp6_type type, uint8_t id, uint8_t last)
{
	struct fl_dhcp6_reply r = answer(w, type, id, last);

	return fl_dhcp6_client_input(&w->c, &r, w->now);
}

static void wait(struct world *w)
{
	assert_true(w->c.deadline >= w->now && w->c.deadline != FL_DHCP_NEVER);
	w->now = w->c.deadline;
	fl_dhcp6_client_timeout(&w->c, w->now);
}

static void bound(struct world *w)
{
	begin(w);
	assert_true(hear(w, FL_DHCP6_ADVERTISE, 1, 5));
	wait(w);
	assert_int_equal(w->msg[0], FL_DHCP6_REQUEST);
	assert_true(hear(w, FL_DHCP6_REPLY, 1, 5));
	assert_int_equal(w->c.state, FL_DHCP_BOUND);
}

static uint8_t held(const struct world *w)
{
	return fl_dhcp6_best(&w->c.lease)->addr.b[15];
}

/* Whether an option of the outer level is in the last message. */
static bool sent_has(const struct world *w, uint16_t code)
{
	for (size_t i = 4; i + 4 <= w->len; i += 4 + (size_t)(w->msg[i + 2] << 8 | w->msg[i + 3]))
		if ((w->msg[i] << 8 | w->msg[i + 1]) == code)
			return true;
	return false;
}

static void test_bind(void **state)
{
	struct world w;

	(void)state;
	bound(&w);
	assert_int_equal(w.event, FL_DHCP_GOT);
	assert_false(w.had_old);
	assert_true(w.c.held);
	assert_int_equal(held(&w), 5);
	assert_true(sent_has(&w, FL_DHCP6_OPT_SERVER_ID));
	assert_int_equal(w.c.t1, w.now + 50 * S);
	assert_int_equal(w.c.t2, w.now + 80 * S);
	assert_int_equal(w.c.expiry, w.now + 100 * S);
	assert_int_equal(w.c.deadline, w.c.t1);
	assert_false(fl_dhcp6_client_listens(&w.c));
}

static void test_best_preference(void **state)
{
	struct fl_dhcp6_reply r;
	struct world w;

	(void)state;
	begin(&w);
	assert_int_equal(w.c.deadline, w.now + S + 1);
	assert_true(hear(&w, FL_DHCP6_ADVERTISE, 1, 5));
	r = answer(&w, FL_DHCP6_ADVERTISE, 2, 6);
	r.preference = 7;
	assert_true(fl_dhcp6_client_input(&w.c, &r, w.now));
	assert_false(hear(&w, FL_DHCP6_ADVERTISE, 3, 7));
	assert_int_equal(w.sent, 1);
	wait(&w);
	assert_int_equal(w.msg[0], FL_DHCP6_REQUEST);
	assert_false(hear(&w, FL_DHCP6_REPLY, 1, 5));
	assert_true(hear(&w, FL_DHCP6_REPLY, 2, 6));

	/* 255: at once; and so is any after the first second */
	begin(&w);
	r = answer(&w, FL_DHCP6_ADVERTISE, 2, 6);
	r.preference = 255;
	fl_dhcp6_client_input(&w.c, &r, w.now);
	assert_int_equal(w.msg[0], FL_DHCP6_REQUEST);
	begin(&w);
	wait(&w);
	assert_int_equal(w.msg[0], FL_DHCP6_SOLICIT);
	hear(&w, FL_DHCP6_ADVERTISE, 1, 5);
	assert_int_equal(w.msg[0], FL_DHCP6_REQUEST);
}

static void test_advertise_without_use(void **state)
{
	struct fl_dhcp6_reply r;
	struct world w;

	(void)state;
	begin(&w);
	assert_false(hear(&w, FL_DHCP6_ADVERTISE, 1, 0));
	assert_false(hear(&w, FL_DHCP6_REPLY, 1, 5));
	r = answer(&w, FL_DHCP6_ADVERTISE, 1, 0);
	r.ia_status = FL_DHCP6_NO_ADDRS;
	r.sol_max_rt = 60;
	assert_false(fl_dhcp6_client_input(&w.c, &r, w.now));
	assert_int_equal(w.c.refusal, FL_DHCP6_NO_ADDRS);
	r = answer(&w, FL_DHCP6_ADVERTISE, 1, 5);
	r.xid++;
	assert_false(fl_dhcp6_client_input(&w.c, &r, w.now));
	r = answer(&w, FL_DHCP6_ADVERTISE, 1, 5);
	r.client.b[5] ^= 1;
	assert_false(fl_dhcp6_client_input(&w.c, &r, w.now));
	r = answer(&w, FL_DHCP6_ADVERTISE, 1, 5);
	r.server.len = 0;
	assert_false(fl_dhcp6_client_input(&w.c, &r, w.now));
	/* an answer of no use still slows the client down: RFC 8415, 18.2.9 */
	for (int i = 0; i < 12; i++)
		wait(&w);
	assert_int_equal(w.c.deadline - w.now, 54 * S);
}

static void test_retransmission(void **state)
{
	static const uint64_t pauses[] = { 1001, 1902, 3614, 6867, 13048, 24792 };
	struct world w;

	(void)state;
	begin(&w);
	for (size_t i = 0; i < FL_ARRAY_SIZE(pauses); i++) {
		assert_int_equal(w.c.deadline - w.now, pauses[i]);
		wait(&w);
	}
	for (int i = 0; i < 20; i++)
		wait(&w);
	assert_int_equal(w.c.deadline - w.now, 3240 * S);
	begin(&w);
	w.c.resend_max = 2 * S;
	for (int i = 0; i < 5; i++)
		wait(&w);
	assert_int_equal(w.c.deadline - w.now, 1800);
	/* elapsed time: 1001 + 1902 + 3 * 1800 ms, in hundredths */
	assert_true(sent_has(&w, FL_DHCP6_OPT_ELAPSED));
}

static void test_request_unanswered(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	hear(&w, FL_DHCP6_ADVERTISE, 1, 5);
	for (int i = 0; i < 10; i++) {
		wait(&w);
		assert_int_equal(w.msg[0], FL_DHCP6_REQUEST);
	}
	wait(&w);
	assert_int_equal(w.msg[0], FL_DHCP6_SOLICIT);
	assert_false(w.c.advertised);
}

static void test_request_refused(void **state)
{
	static const struct {
		uint16_t status, ia_status;
		enum fl_dhcp_state then;
	} cases[] = {
		{ 0, FL_DHCP6_NO_ADDRS, FL_DHCP_INIT },
		{ FL_DHCP6_NO_ADDRS, 0, FL_DHCP_INIT },
		{ FL_DHCP6_NOT_ON_LINK, 0, FL_DHCP_INIT },
		{ 0, FL_DHCP6_NOT_ON_LINK, FL_DHCP_INIT },
		{ FL_DHCP6_UNSPEC_FAIL, 0, FL_DHCP_REQUESTING },
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_dhcp6_reply r;

		begin(&w);
		hear(&w, FL_DHCP6_ADVERTISE, 1, 5);
		wait(&w);
		r = answer(&w, FL_DHCP6_REPLY, 1, 5);
		r.status = cases[i].status;
		r.ia_status = cases[i].ia_status;
		fl_dhcp6_client_input(&w.c, &r, w.now);
		assert_int_equal(w.c.state, cases[i].then);
		assert_int_equal(w.events, 0);
		wait(&w);
		assert_int_equal(w.msg[0], cases[i].then == FL_DHCP_INIT ? FL_DHCP6_SOLICIT
									 : FL_DHCP6_REQUEST);
	}
}

static void test_renew(void **state)
{
	uint64_t expiry;
	struct world w;

	(void)state;
	bound(&w);
	expiry = w.c.expiry;
	wait(&w);
	assert_int_equal(w.c.state, FL_DHCP_RENEWING);
	assert_int_equal(w.msg[0], FL_DHCP6_RENEW);
	assert_true(sent_has(&w, FL_DHCP6_OPT_SERVER_ID));
	assert_false(hear(&w, FL_DHCP6_REPLY, 2, 5));
	assert_false(hear(&w, FL_DHCP6_REPLY, 1, 0));
	wait(&w);
	assert_int_equal(w.msg[0], FL_DHCP6_RENEW);
	assert_true(hear(&w, FL_DHCP6_REPLY, 1, 5));
	assert_true(w.had_old);
	assert_true(w.c.expiry > expiry);
}

static void test_rebind_and_expiry(void **state)
{
	struct world w;

	(void)state;
	bound(&w);
	while (w.c.state != FL_DHCP_REBINDING)
		wait(&w);
	assert_int_equal(w.now, w.c.t2);
	assert_int_equal(w.msg[0], FL_DHCP6_REBIND);
	assert_false(sent_has(&w, FL_DHCP6_OPT_SERVER_ID));
	assert_true(hear(&w, FL_DHCP6_REPLY, 2, 5));
	assert_int_equal(w.c.lease.server.b[2], 2);
	while (w.c.held)
		wait(&w);
	assert_int_equal(w.now, w.c.expiry);
	assert_int_equal(w.event, FL_DHCP_EXPIRED);
	assert_int_equal(w.msg[0], FL_DHCP6_SOLICIT);
}

static void test_moved_or_taken(void **state)
{
	struct fl_dhcp6_reply r;
	struct world w;

	(void)state;
	bound(&w);
	wait(&w);
	/* ours ends, another begins */
	r = answer(&w, FL_DHCP6_REPLY, 1, 5);
	r.addresses[1] = answer(&w, FL_DHCP6_REPLY, 1, 6).addresses[0];
	r.addresses[0].preferred = r.addresses[0].valid = 0;
	r.n_addresses = 2;
	assert_true(fl_dhcp6_client_input(&w.c, &r, w.now));
	assert_int_equal(held(&w), 6);
	wait(&w);
	/* ours ends */
	r = answer(&w, FL_DHCP6_REPLY, 1, 6);
	r.addresses[0].preferred = r.addresses[0].valid = 0;
	assert_true(fl_dhcp6_client_input(&w.c, &r, w.now));
	assert_int_equal(w.event, FL_DHCP_REFUSED);
	assert_int_equal(w.msg[0], FL_DHCP6_SOLICIT);
	/* the link is another */
	bound(&w);
	wait(&w);
	r = answer(&w, FL_DHCP6_REPLY, 1, 5);
	r.status = FL_DHCP6_NOT_ON_LINK;
	assert_true(fl_dhcp6_client_input(&w.c, &r, w.now));
	assert_int_equal(w.event, FL_DHCP_REFUSED);
}

static void test_no_binding(void **state)
{
	struct fl_dhcp6_reply r;
	struct world w;

	(void)state;
	bound(&w);
	wait(&w);
	r = answer(&w, FL_DHCP6_REPLY, 1, 0);
	r.ia_status = FL_DHCP6_NO_BINDING;
	assert_true(fl_dhcp6_client_input(&w.c, &r, w.now));
	assert_int_equal(w.msg[0], FL_DHCP6_REQUEST);
	assert_true(w.c.held);
	assert_true(hear(&w, FL_DHCP6_REPLY, 1, 5));
	assert_true(w.had_old);
	/* and when that stays without an answer, until the lease ends and no longer */
	wait(&w);
	r.xid = w.c.xid;
	assert_true(fl_dhcp6_client_input(&w.c, &r, w.now));
	while (w.c.held)
		wait(&w);
	assert_int_equal(w.now, w.c.expiry);
	assert_int_equal(w.event, FL_DHCP_EXPIRED);
}

static void test_times(void **state)
{
	static const struct {
		uint32_t preferred, valid, t1, t2;
		uint64_t want_t1, want_t2, want_expiry; /* s, 0: never */
	} cases[] = {
		{ 100, 200, 0, 0, 50, 80, 200 },
		{ 100, 200, 30, 60, 30, 60, 200 },
		{ 0, 200, 0, 0, 100, 160, 200 },
		{ 100, 200, 300, 400, 50, 80, 200 },
		{ 100, 200, 90, 0, 40, 80, 200 },
		{ 100, FL_DHCP_FOREVER, 0, 0, 50, 80, 0 },
		{ FL_DHCP_FOREVER, FL_DHCP_FOREVER, 0, 0, 0, 0, 0 },
		{ FL_DHCP_FOREVER, FL_DHCP_FOREVER, 100, 200, 100, 200, 0 },
		{ 100, 200, FL_DHCP_FOREVER, FL_DHCP_FOREVER, 50, 80, 200 },
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_dhcp6_reply r;
		uint64_t at;

		begin(&w);
		hear(&w, FL_DHCP6_ADVERTISE, 1, 5);
		wait(&w);
		at = w.now;
		w.now += 500; /* the clock began at the REQUEST */
		r = answer(&w, FL_DHCP6_REPLY, 1, 5);
		r.addresses[0].preferred = cases[i].preferred;
		r.addresses[0].valid = cases[i].valid;
		r.t1 = cases[i].t1;
		r.t2 = cases[i].t2;
		assert_true(fl_dhcp6_client_input(&w.c, &r, w.now));
		assert_int_equal(w.c.t1 == FL_DHCP_NEVER ? 0 : w.c.t1 - at, cases[i].want_t1 * S);
		assert_int_equal(w.c.t2 == FL_DHCP_NEVER ? 0 : w.c.t2 - at, cases[i].want_t2 * S);
		assert_int_equal(w.c.expiry == FL_DHCP_NEVER ? 0 : w.c.expiry - at,
				 cases[i].want_expiry * S);
	}
}

static void test_resume(void **state)
{
	struct world w, was;

	(void)state;
	bound(&was);
	w = was;
	w.c.io.arg = &w;
	w.c.state = FL_DHCP_INIT;
	fl_dhcp6_client_resume(&w.c, w.now);
	assert_int_equal(w.c.state, FL_DHCP_BOUND);
	w.now = w.c.t1 + 1;
	w.c.state = FL_DHCP_INIT;
	fl_dhcp6_client_resume(&w.c, w.now);
	assert_int_equal(w.msg[0], FL_DHCP6_RENEW);
	w.now = w.c.expiry;
	w.c.state = FL_DHCP_INIT;
	fl_dhcp6_client_resume(&w.c, w.now);
	assert_int_equal(w.event, FL_DHCP_EXPIRED);
	assert_int_equal(w.msg[0], FL_DHCP6_SOLICIT);
}

static void test_link_ready(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	wait(&w);
	w.now += 100;
	fl_dhcp6_client_ready(&w.c, w.now);
	assert_int_equal(w.sent, 3);
	assert_int_equal(w.c.deadline - w.now, S + 1);
	bound(&w);
	fl_dhcp6_client_ready(&w.c, w.now);
	assert_int_equal(w.c.state, FL_DHCP_BOUND);
}

static void test_release_and_decline(void **state)
{
	struct world w;
	int sent;

	(void)state;
	bound(&w);
	fl_dhcp6_client_release(&w.c, w.now);
	assert_int_equal(w.msg[0], FL_DHCP6_RELEASE);
	assert_true(sent_has(&w, FL_DHCP6_OPT_SERVER_ID));
	assert_false(w.c.held);
	assert_int_equal(w.c.deadline, FL_DHCP_NEVER);
	sent = w.sent;
	fl_dhcp6_client_release(&w.c, w.now);
	assert_int_equal(w.sent, sent);
	bound(&w);
	fl_dhcp6_client_decline(&w.c, w.now);
	assert_int_equal(w.msg[0], FL_DHCP6_DECLINE);
	assert_int_equal(w.c.deadline - w.now, 10 * S);
	wait(&w);
	assert_int_equal(w.msg[0], FL_DHCP6_SOLICIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_best_preference),
		cmocka_unit_test(test_advertise_without_use),
		cmocka_unit_test(test_retransmission),
		cmocka_unit_test(test_request_unanswered),
		cmocka_unit_test(test_request_refused),
		cmocka_unit_test(test_renew),
		cmocka_unit_test(test_rebind_and_expiry),
		cmocka_unit_test(test_moved_or_taken),
		cmocka_unit_test(test_no_binding),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_link_ready),
		cmocka_unit_test(test_release_and_decline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
