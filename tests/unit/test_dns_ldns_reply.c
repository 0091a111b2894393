/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What we build, as ldns reads it: every kind of reply, to names drawn at random. */
#include "dns_draw.h"

#include "base/cleanup.h"

#include <ldns/ldns.h>
#include <string.h>

enum { ROUNDS = 2000, RECORDS_MAX = 600, SIZE_MAX_REPLY = 4096 };

/* A record that ldns has to find. */
struct want {
	enum fl_dns_section section;
	struct fl_dns_name owner;
	uint16_t type;
	uint32_t ttl;
	uint8_t rdata[2 * FL_DNS_NAME_MAX + 20];
	size_t rdlen;
};

/* A query, its reply while it is built, and what has been put into it. */
struct talk {
	struct msg sent;
	struct fl_dns_query q;
	int status; /* of parsing it */
	size_t size;
	uint8_t buf[SIZE_MAX_REPLY];
	struct fl_dns_reply reply;
	uint16_t flags;
	struct want want[RECORDS_MAX];
	size_t n;
};

static void start(struct talk *t, unsigned type, size_t size)
{
	static const uint16_t asked[] = { FL_DNS_RD, FL_DNS_CD, 0, FL_DNS_RD | FL_DNS_CD };
	const struct fl_dns_name *n = any_name();

	t->sent = header(asked[rnd(4)], 1, 0, 0, 0);
	fl_dns_set16(t->sent.b, (uint16_t)rnd(65536));
	question(&t->sent, (const char *)n->b, n->len, type);
	if (rnd(2))
		opt(&t->sent, rnd(2000), rnd(2) ? 0x8000 : 0, 0);
	t->status = fl_dns_query_parse(t->sent.b, t->sent.len, &t->q);
	t->size = size;
	t->flags = rnd(2) ? FL_DNS_AA : FL_DNS_AA | FL_DNS_RA;
	t->n = 0;
	fl_dns_reply_begin(&t->reply, t->buf, size, t->sent.b, &t->q, t->flags);
}

static struct want *expect(struct talk *t, enum fl_dns_section s, const struct fl_dns_name *owner,
			   uint16_t type, uint32_t ttl)
{
	struct want *w = &t->want[t->n++];

	assert_true(t->n <= RECORDS_MAX);
	w->section = s;
	w->type = type;
	w->ttl = ttl;
	w->rdlen = 0;
	w->owner.len = 0;
	if (owner) {
		w->owner = *owner;
		return w;
	}
	/* the question's own bytes: a pointer brings its case along */
	w->owner.len = t->q.name.len;
	memcpy(w->owner.b, t->sent.b + FL_DNS_HEADER, w->owner.len);
	return w;
}

static void rdata(struct want *w, const void *data, size_t n)
{
	memcpy(w->rdata + w->rdlen, data, n);
	w->rdlen += n;
}

static void number16(struct want *w, uint16_t v)
{
	fl_dns_set16(w->rdata + w->rdlen, v);
	w->rdlen += 2;
}

static void number32(struct want *w, uint32_t v)
{
	number16(w, (uint16_t)(v >> 16));
	number16(w, (uint16_t)v);
}

/* What did not fit is not expected. */
static void settle(struct talk *t, enum fl_dns_section s, uint16_t before)
{
	t->n -= t->reply.counts[s] == before;
}

static void put_addr(struct talk *t, enum fl_dns_section s, const struct fl_dns_name *owner,
		     bool v6)
{
	uint8_t b[16];
	struct fl_addr a;
	uint32_t ttl = rnd(INT32_MAX);
	uint16_t before = t->reply.counts[s];

	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)rnd(256);
	a = fl_addr_make(v6 ? AF_INET6 : AF_INET, b);
	rdata(expect(t, s, owner, v6 ? FL_DNS_AAAA : FL_DNS_A, ttl), b, v6 ? 16 : 4);
	fl_dns_put_addr(&t->reply, s, owner, ttl, &a);
	settle(t, s, before);
}

static void put_ptr(struct talk *t)
{
	struct fl_dns_name target = lowered(any_name());
	uint16_t before = t->reply.counts[FL_DNS_ANSWER];

	rdata(expect(t, FL_DNS_ANSWER, NULL, FL_DNS_PTR, 7), target.b, target.len);
	fl_dns_put_ptr(&t->reply, 7, &target);
	settle(t, FL_DNS_ANSWER, before);
}

static void put_srv(struct talk *t)
{
	struct fl_dns_name target = lowered(any_name());
	struct want *w = expect(t, FL_DNS_ANSWER, NULL, FL_DNS_SRV, 7);
	uint16_t v[3] = { (uint16_t)rnd(65536), (uint16_t)rnd(65536), (uint16_t)rnd(65536) };
	uint16_t before = t->reply.counts[FL_DNS_ANSWER];

	for (int i = 0; i < 3; i++)
		number16(w, v[i]);
	rdata(w, target.b, target.len);
	fl_dns_put_srv(&t->reply, 7, v[0], v[1], v[2], &target);
	settle(t, FL_DNS_ANSWER, before);
	for (int i = 0; i < 3; i++)
		put_addr(t, FL_DNS_ADDITIONAL, &target, i == 2);
}

static void put_soa(struct talk *t)
{
	static const uint8_t nobody[] = "\6nobody\7invalid";
	struct fl_dns_name zone = lowered(any_name());
	const struct fl_dns_name *owner = rnd(4) ? &zone : NULL;
	struct want *w = expect(t, FL_DNS_AUTHORITY, owner, FL_DNS_SOA, 30);
	const uint32_t times[] = { 1, 3600, 1200, 604800, 30 };

	rdata(w, w->owner.b, w->owner.len);
	rdata(w, nobody, sizeof(nobody));
	for (int i = 0; i < 5; i++)
		number32(w, times[i]);
	fl_dns_put_soa(&t->reply, owner, 30);
	settle(t, FL_DNS_AUTHORITY, 0);
}

/* ---- as ldns reads it ---- */

static void same_name(const ldns_rdf *r, const struct fl_dns_name *n)
{
	assert_int_equal(ldns_rdf_size(r), n->len);
	assert_memory_equal(ldns_rdf_data(r), n->b, n->len);
}

static void same_record(const ldns_rr *rr, const struct want *w)
{
	size_t at = 0;

	same_name(ldns_rr_owner(rr), &w->owner);
	assert_int_equal(ldns_rr_get_type(rr), w->type);
	assert_int_equal(ldns_rr_get_class(rr), LDNS_RR_CLASS_IN);
	assert_int_equal(ldns_rr_ttl(rr), w->ttl);
	for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
		const ldns_rdf *r = ldns_rr_rdf(rr, i);

		assert_true(at + ldns_rdf_size(r) <= w->rdlen);
		assert_memory_equal(ldns_rdf_data(r), w->rdata + at, ldns_rdf_size(r));
		at += ldns_rdf_size(r);
	}
	assert_int_equal(at, w->rdlen);
}

static void same_records(const ldns_pkt *p, const struct talk *t)
{
	const ldns_rr_list *sections[] = { ldns_pkt_answer(p), ldns_pkt_authority(p),
					   ldns_pkt_additional(p) };
	size_t found[3] = { 0 };

	for (size_t i = 0; i < t->n; i++) {
		enum fl_dns_section s = t->want[i].section;

		assert_true(found[s] < ldns_rr_list_rr_count(sections[s]));
		same_record(ldns_rr_list_rr(sections[s], found[s]++), &t->want[i]);
	}
	for (int s = 0; s < 3; s++)
		assert_int_equal(ldns_rr_list_rr_count(sections[s]), found[s]);
}

static void same_header(const ldns_pkt *p, const struct talk *t, uint16_t rcode)
{
	assert_int_equal(ldns_pkt_id(p), t->q.id);
	assert_true(ldns_pkt_qr(p));
	assert_int_equal(ldns_pkt_get_opcode(p), (t->q.flags & FL_DNS_OPCODE) >> 11);
	assert_true(ldns_pkt_aa(p));
	assert_int_equal(ldns_pkt_tc(p), t->reply.truncated);
	assert_int_equal(ldns_pkt_rd(p), !!(t->q.flags & FL_DNS_RD));
	assert_int_equal(ldns_pkt_ra(p), !!(t->flags & FL_DNS_RA));
	assert_false(ldns_pkt_ad(p));
	assert_int_equal(ldns_pkt_cd(p), !!(t->q.flags & FL_DNS_CD));
	assert_int_equal(ldns_pkt_get_rcode(p), rcode & 15);
	assert_int_equal(ldns_pkt_edns(p), t->q.edns);
	assert_int_equal(ldns_pkt_edns_extended_rcode(p), rcode >> 4);
	if (!t->q.edns)
		return;
	assert_int_equal(ldns_pkt_edns_udp_size(p), FL_DNS_UDP_MAX);
	assert_int_equal(ldns_pkt_edns_version(p), 0);
	assert_int_equal(ldns_pkt_edns_z(p), t->q.dnssec_ok ? 0x8000 : 0);
}

static void same_question(const ldns_pkt *p, const struct talk *t)
{
	struct fl_dns_name as_asked = { .len = t->q.name.len };
	const ldns_rr *rr;

	assert_int_equal(ldns_pkt_qdcount(p), t->q.question_len > 0);
	if (!t->q.question_len)
		return;
	memcpy(as_asked.b, t->sent.b + FL_DNS_HEADER, as_asked.len);
	rr = ldns_rr_list_rr(ldns_pkt_question(p), 0);
	same_name(ldns_rr_owner(rr), &as_asked);
	assert_int_equal(ldns_rr_get_type(rr), t->q.type);
	assert_int_equal(ldns_rr_get_class(rr), t->q.class);
}

static void finish(struct talk *t, uint16_t rcode)
{
	size_t len = fl_dns_reply_end(&t->reply, rcode);
	ldns_pkt *p = NULL;
	struct fl_dns_facts f;

	assert_true(len <= t->size);
	assert_int_equal(ldns_wire2pkt(&p, t->buf, len), LDNS_STATUS_OK);
	same_header(p, t, rcode);
	same_question(p, t);
	same_records(p, t);
	ldns_pkt_free(p);
	assert_int_equal(fl_dns_inspect(t->buf, len, &f), 0);
	assert_true(f.complete);
	if (t->q.question_len)
		assert_true(fl_dns_is_answer(t->buf, len, t->sent.b, t->sent.len));
}

static struct talk talk;

static void test_addresses(void **state)
{
	unsigned truncated = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		draw_names();
		start(&talk, rnd(2) ? FL_DNS_A : FL_DNS_AAAA, 512 + rnd(800));
		for (uint32_t n = rnd(rnd(4) ? 5 : 60); n; n--)
			put_addr(&talk, FL_DNS_ANSWER, NULL, talk.q.type == FL_DNS_AAAA);
		finish(&talk, FL_DNS_NOERROR);
		truncated += talk.reply.truncated;
	}
	assert_in_range(truncated, ROUNDS / 20, ROUNDS / 2);
}

/* By TCP: more than one would think of. */
static void test_many_addresses(void **state)
{
	(void)state;
	draw_names();
	start(&talk, FL_DNS_A, SIZE_MAX_REPLY);
	for (int i = 0; i < RECORDS_MAX; i++)
		put_addr(&talk, FL_DNS_ANSWER, NULL, false);
	finish(&talk, FL_DNS_NOERROR);
	assert_true(talk.reply.truncated && talk.n > 200);
}

static void test_names_and_services(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		draw_names();
		start(&talk, FL_DNS_PTR, 512 + rnd(800));
		for (uint32_t n = 1 + rnd(4); n; n--)
			put_ptr(&talk);
		finish(&talk, FL_DNS_NOERROR);
		start(&talk, FL_DNS_SRV, 512 + rnd(800));
		put_srv(&talk);
		finish(&talk, FL_DNS_NOERROR);
	}
}

static void test_negative(void **state)
{
	static const uint16_t rcodes[] = { FL_DNS_NOERROR, FL_DNS_NXDOMAIN };

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		draw_names();
		start(&talk, FL_DNS_A, 1232);
		put_soa(&talk);
		finish(&talk, rcodes[i % 2]);
	}
}

static void test_errors(void **state)
{
	static const uint16_t rcodes[] = { FL_DNS_FORMERR, FL_DNS_SERVFAIL, FL_DNS_NXDOMAIN,
					   FL_DNS_NOTIMP, FL_DNS_REFUSED };

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		draw_names();
		start(&talk, FL_DNS_A, 512);
		assert_int_equal(talk.status, 0);
		finish(&talk, rcodes[(size_t)i % FL_ARRAY_SIZE(rcodes)]);
	}
}

/* What is not understood is answered with as much as was. */
static void answer_broken(struct talk *t, int status)
{
	t->status = fl_dns_query_parse(t->sent.b, t->sent.len, &t->q);
	assert_int_equal(t->status, status);
	t->n = 0;
	t->size = 512;
	t->flags = FL_DNS_AA;
	fl_dns_reply_begin(&t->reply, t->buf, 512, t->sent.b, &t->q, t->flags);
	finish(t, (uint16_t)status);
}

static void test_broken_queries(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		draw_names();
		start(&talk, FL_DNS_A, 512);
		bytes(&talk.sent, "x", 1);
		answer_broken(&talk, FL_DNS_FORMERR);
		assert_true(talk.q.question_len);
		start(&talk, FL_DNS_A, 512);
		talk.sent.b[5] = 0;
		answer_broken(&talk, FL_DNS_FORMERR);
		assert_false(talk.q.question_len);
		start(&talk, FL_DNS_A, 512);
		talk.sent.b[2] |= (uint8_t)(1 + rnd(15)) << 3;
		answer_broken(&talk, FL_DNS_NOTIMP);
		start(&talk, FL_DNS_A, 512);
		if (talk.q.edns) {
			talk.sent.b[talk.sent.len - 5] = (uint8_t)(1 + rnd(255));
			answer_broken(&talk, FL_DNS_BADVERS);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_many_addresses),
		cmocka_unit_test(test_names_and_services),
		cmocka_unit_test(test_negative),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_broken_queries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
