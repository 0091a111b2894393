/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The same messages, read and written by ldns: what we build it reads as it was meant, what it
 * builds we read as it does, and where the two differ about a damaged message it is known why.
 * Everything is drawn from a fixed seed.
 */
#include "dns_draw.h"
#include "dns_outline.h"

#include "base/cleanup.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 3000, MUTATIONS = 12 };

static ldns_rdf *rdf(ldns_rdf_type type, const void *data, size_t n)
{
	ldns_rdf *r = ldns_rdf_new_frm_data(type, n, data);

	assert_non_null(r);
	return r;
}

static ldns_rdf *dname(const struct fl_dns_name *n)
{
	return rdf(LDNS_RDF_TYPE_DNAME, n->b, n->len);
}

/* ---- messages by ldns ---- */

static struct wire written(ldns_pkt *p)
{
	struct wire w = { .len = 0 };
	uint8_t *data = NULL;

	assert_int_equal(ldns_pkt2wire(&data, p, &w.len), LDNS_STATUS_OK);
	assert_true(w.len <= WIRE_MAX);
	memcpy(w.b, data, w.len);
	free(data);
	ldns_pkt_free(p);
	return w;
}

static const uint16_t types[] = { FL_DNS_A,  FL_DNS_NS,	 FL_DNS_CNAME, FL_DNS_SOA, FL_DNS_PTR,
				  FL_DNS_MX, FL_DNS_TXT, FL_DNS_AAAA,  FL_DNS_SRV, 65280 };

static uint16_t any_type(void)
{
	return types[rnd(FL_ARRAY_SIZE(types))];
}

static void push_numbers(ldns_rr *rr, ldns_rdf_type type, int n)
{
	for (; n; n--)
		ldns_rr_push_rdf(rr, type == LDNS_RDF_TYPE_INT16
					     ? ldns_native2rdf_int16(type, (uint16_t)rnd(65536))
					     : ldns_native2rdf_int32(type, rnd(UINT32_MAX)));
}

static void push_rdata(ldns_rr *rr, uint16_t type)
{
	uint8_t data[17] = { 16 };

	for (size_t i = 1; i < sizeof(data); i++)
		data[i] = (uint8_t)rnd(256);
	if (type == FL_DNS_MX || type == FL_DNS_SRV)
		push_numbers(rr, LDNS_RDF_TYPE_INT16, type == FL_DNS_MX ? 1 : 3);
	if (type == FL_DNS_A)
		ldns_rr_push_rdf(rr, rdf(LDNS_RDF_TYPE_A, data, 4));
	else if (type == FL_DNS_AAAA)
		ldns_rr_push_rdf(rr, rdf(LDNS_RDF_TYPE_AAAA, data, 16));
	else if (type == FL_DNS_TXT)
		ldns_rr_push_rdf(rr, rdf(LDNS_RDF_TYPE_STR, data, sizeof(data)));
	else if (type == 65280)
		ldns_rr_push_rdf(rr, rdf(LDNS_RDF_TYPE_UNKNOWN, data, rnd(sizeof(data))));
	else
		ldns_rr_push_rdf(rr, dname(any_name()));
	if (type == FL_DNS_SOA) {
		ldns_rr_push_rdf(rr, dname(any_name()));
		push_numbers(rr, LDNS_RDF_TYPE_INT32, 4);
		ldns_rr_push_rdf(rr, ldns_native2rdf_int32(LDNS_RDF_TYPE_INT32, rnd(4000)));
	}
}

static void push_records(ldns_pkt *p, ldns_pkt_section section, uint32_t n, uint16_t like)
{
	for (; n; n--) {
		ldns_rr *rr = ldns_rr_new();
		uint16_t type = rnd(3) ? like : any_type();

		ldns_rr_set_owner(rr, dname(any_name()));
		ldns_rr_set_type(rr, (ldns_rr_type)type);
		ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
		ldns_rr_set_ttl(rr, rnd(16) ? rnd(4000) : rnd(UINT32_MAX));
		push_rdata(rr, type);
		assert_true(ldns_pkt_push_rr(p, section, rr));
	}
}

static void push_opt(ldns_pkt *p)
{
	uint8_t options[64] = { 0, 10, 0, 8 }; /* a cookie */

	ldns_pkt_set_edns_udp_size(p, (uint16_t)(1 + rnd(rnd(2) ? 1500 : 65535)));
	ldns_pkt_set_edns_do(p, rnd(2));
	ldns_pkt_set_edns_version(p, rnd(16) ? 0 : (uint8_t)rnd(256));
	if (rnd(2))
		ldns_pkt_set_edns_data(p, rdf(LDNS_RDF_TYPE_UNKNOWN, options, 12));
}

static ldns_pkt *new_packet(uint16_t type)
{
	static const uint16_t flags[] = { LDNS_RD, LDNS_CD, LDNS_AD, LDNS_RD | LDNS_CD };
	const struct fl_dns_name *n = any_name();
	ldns_pkt *p = ldns_pkt_query_new(dname(n), (ldns_rr_type)type,
					 rnd(8) ? LDNS_RR_CLASS_IN : LDNS_RR_CLASS_ANY,
					 flags[rnd(FL_ARRAY_SIZE(flags))]);

	assert_non_null(p);
	ldns_pkt_set_id(p, (uint16_t)rnd(65536));
	if (rnd(3))
		push_opt(p);
	return p;
}

static struct wire draw_query(void)
{
	ldns_pkt *p = new_packet(rnd(2) ? any_type() : (uint16_t)(1 + rnd(65535)));

	if (!rnd(16))
		ldns_pkt_set_opcode(p, (ldns_pkt_opcode)(1 + rnd(5)));
	if (!rnd(4))
		push_records(p, LDNS_SECTION_ANSWER, rnd(3), FL_DNS_A);
	if (!rnd(4))
		push_records(p, LDNS_SECTION_ADDITIONAL, rnd(3), FL_DNS_A);
	return written(p);
}

static struct wire draw_answer(void)
{
	static const uint8_t rcodes[] = { 0, 0, 0, 0, 3, 3, 2, 5 };
	uint16_t type = any_type();
	ldns_pkt *p = new_packet(type);

	ldns_pkt_set_qr(p, true);
	ldns_pkt_set_aa(p, rnd(2));
	ldns_pkt_set_ra(p, rnd(2));
	ldns_pkt_set_tc(p, !rnd(8));
	ldns_pkt_set_rcode(p, rcodes[rnd(FL_ARRAY_SIZE(rcodes))]);
	if (ldns_pkt_edns(p) && !rnd(16))
		ldns_pkt_set_edns_extended_rcode(p, (uint8_t)rnd(256));
	push_records(p, LDNS_SECTION_ANSWER, rnd(6), rnd(4) ? type : FL_DNS_CNAME);
	push_records(p, LDNS_SECTION_AUTHORITY, rnd(3), rnd(2) ? FL_DNS_SOA : FL_DNS_NS);
	push_records(p, LDNS_SECTION_ADDITIONAL, rnd(3), FL_DNS_AAAA);
	return written(p);
}

/* ---- where they differ ---- */

struct tally {
	unsigned accepted, refused, differ[N_WHY];
};

static void differ(const struct wire *w, bool by_ldns, struct tally *t)
{
	enum why why = explain(w, by_ldns);

	if (!why) {
		for (size_t i = 0; i < w->len; i++)
			fprintf(stderr, "%02x", w->b[i]);
		fail_msg(" is %s by ldns alone", by_ldns ? "accepted" : "refused");
	}
	t->differ[why]++;
}

static void print_tally(const char *what, const struct tally *t)
{
	print_message("%s: %u accepted by both, %u refused by both\n", what, t->accepted,
		      t->refused);
	for (int i = 1; i < N_WHY; i++)
		print_message("  %s: %u\n", why_names[i], t->differ[i]);
}

/* ---- queries ---- */

static void same_query(ldns_pkt *p, const struct fl_dns_query *q)
{
	const ldns_rr *asked = ldns_rr_list_rr(ldns_pkt_question(p), 0);
	struct fl_dns_name n = { .len = (uint8_t)ldns_rdf_size(ldns_rr_owner(asked)) };
	unsigned size = ldns_pkt_edns_udp_size(p);

	memcpy(n.b, ldns_rdf_data(ldns_rr_owner(asked)), n.len);
	n = lowered(&n);
	assert_true(fl_dns_name_eq(&n, &q->name));
	assert_int_equal(q->question_len, n.len + 4);
	assert_int_equal(q->type, ldns_rr_get_type(asked));
	assert_int_equal(q->class, ldns_rr_get_class(asked));
	assert_int_equal(q->id, ldns_pkt_id(p));
	assert_int_equal(!!(q->flags & FL_DNS_RD), ldns_pkt_rd(p));
	assert_int_equal(!!(q->flags & FL_DNS_CD), ldns_pkt_cd(p));
	assert_int_equal(!!(q->flags & FL_DNS_AD), ldns_pkt_ad(p));
	assert_int_equal(q->dnssec_ok, ldns_pkt_edns_do(p));
	/* ldns does not tell an OPT of zeros from none */
	assert_true(q->edns || !ldns_pkt_edns(p));
	assert_int_equal(q->udp_size, size < 512 ? 512 : size > 1232 ? 1232 : size);
}

static void compare_query(const struct wire *w, struct tally *t)
{
	FL_AUTOFREE uint8_t *exact = malloc(w->len + 1);
	ldns_pkt *p = NULL;
	bool by_ldns = ldns_wire2pkt(&p, w->b, w->len) == LDNS_STATUS_OK;
	struct fl_dns_query q;
	int r, want = FL_DNS_FORMERR;

	assert_non_null(exact);
	memcpy(exact, w->b, w->len);
	r = fl_dns_query_parse(exact, w->len, &q);
	if (w->len < 12 || w->b[2] & 0x80)
		want = -EBADMSG;
	else if (w->b[2] & 0x78)
		want = FL_DNS_NOTIMP;
	else if (by_ldns && ldns_pkt_qdcount(p) == 1)
		want = ldns_pkt_edns_version(p) ? FL_DNS_BADVERS : 0;
	if (r != want)
		differ(w, by_ldns, t);
	else if ((want == 0 || want == FL_DNS_BADVERS) && !misled(w))
		same_query(p, &q);
	t->accepted += r == want && want == 0;
	t->refused += r == want && want != 0;
	if (by_ldns)
		ldns_pkt_free(p);
}

/* ---- damage ---- */

/* At the end, one more, of whichever section; sometimes it has a name. */
static void append_opt(struct wire *w)
{
	bool named = !rnd(4);

	if (w->len <= 12 || w->len + 13 > WIRE_MAX)
		return;
	memcpy(w->b + w->len, named ? "\1a" : "", named ? 3 : 1);
	w->len += named ? 3 : 1;
	memcpy(w->b + w->len, "\0\x29\x10\0\0\0\0\0\0\0", 10);
	w->len += 10;
	w->b[rnd(4) ? 11 : 9]++;
}

static void damage_one(struct wire *w)
{
	uint32_t at = rnd((uint32_t)w->len);

	switch (rnd(9)) {
	case 0:
		w->len = 1 + rnd((uint32_t)w->len);
		break;
	case 1:
		w->len += w->len + 8 < WIRE_MAX ? 1 + rnd(8) : 0;
		break;
	case 2: /* a count */
		w->b[(4 + rnd(8)) % w->len] = (uint8_t)rnd(3);
		break;
	case 3: /* a pointer */
		w->b[at] = 0xc0;
		w->b[(at + 1) % w->len] = (uint8_t)rnd((uint32_t)w->len);
		break;
	case 4: /* one byte less */
		memmove(w->b + at, w->b + at + 1, w->len - at - 1);
		w->len -= w->len > 1;
		break;
	case 5:
		append_opt(w);
		break;
	case 6: /* in place of the question's name */
		if (w->len > 14)
			memcpy(w->b + 12, "\xc0\x0e", 2);
		break;
	case 7:
		w->b[at] ^= (uint8_t)(1 << rnd(8));
		break;
	default:
		w->b[at] = (uint8_t)rnd(256);
	}
}

static struct wire damaged(const struct wire *w)
{
	struct wire d = *w;

	for (uint32_t n = 1 + rnd(3); n; n--)
		damage_one(&d);
	return d;
}

static void test_queries(void **state)
{
	struct tally whole = { 0 }, hurt = { 0 };

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct wire w, d;

		draw_names();
		w = draw_query();
		compare_query(&w, &whole);
		for (int j = 0; j < MUTATIONS; j++) {
			d = damaged(&w);
			compare_query(&d, &hurt);
		}
	}
	print_tally("queries", &whole);
	print_tally("damaged queries", &hurt);
	for (int i = 0; i < N_WHY; i++) {
		assert_int_equal(whole.differ[i], 0);
		assert_true(i == NOT_EXPLAINED || hurt.differ[i] > 0);
	}
	assert_true(whole.accepted > ROUNDS / 2 && hurt.accepted > ROUNDS && hurt.refused > ROUNDS);
}

/* ---- answers ---- */

static uint32_t sane(uint32_t ttl)
{
	return ttl & 0x80000000 ? 0 : ttl;
}

struct truth {
	uint32_t ttl, soa;
	bool has_soa, answered;
};

static void look_at(const ldns_rr *rr, int section, ldns_rr_type qtype, struct truth *t)
{
	bool soa = section == 2 && ldns_rr_get_type(rr) == LDNS_RR_TYPE_SOA;
	uint32_t minimum;

	t->ttl = sane(ldns_rr_ttl(rr)) < t->ttl ? sane(ldns_rr_ttl(rr)) : t->ttl;
	if (soa && ldns_rr_rd_count(rr) == 7) {
		minimum = sane(ldns_rdf2native_int32(ldns_rr_rdf(rr, 6)));
		t->soa = minimum < t->soa ? minimum : t->soa;
		t->has_soa = true;
	}
	if (section == 1 && (ldns_rr_get_type(rr) == qtype || qtype == LDNS_RR_TYPE_ANY))
		t->answered = true;
}

static struct truth truth_of(const ldns_pkt *p)
{
	const ldns_rr_list *sections[] = { ldns_pkt_question(p), ldns_pkt_answer(p),
					   ldns_pkt_authority(p), ldns_pkt_additional(p) };
	struct truth t = { .ttl = UINT32_MAX, .soa = UINT32_MAX };
	size_t n = ldns_rr_list_rr_count(sections[0]);
	ldns_rr_type qtype = n ? ldns_rr_get_type(ldns_rr_list_rr(sections[0], n - 1)) : 0;

	for (int s = 1; s < 4; s++)
		for (size_t i = 0; i < ldns_rr_list_rr_count(sections[s]); i++)
			look_at(ldns_rr_list_rr(sections[s], i), s, qtype, &t);
	if (ldns_pkt_tsig(p))
		look_at(ldns_pkt_tsig(p), 3, qtype, &t);
	return t;
}

static void same_facts(const struct wire *w, const ldns_pkt *p, const struct fl_dns_facts *f)
{
	struct truth t = truth_of(p);
	unsigned rcode = ldns_pkt_get_rcode(p) | (unsigned)ldns_pkt_edns_extended_rcode(p) << 4;
	bool negative = rcode == 3 || !t.answered;
	struct outline o = outline(w);
	bool cacheable = (rcode == 0 || rcode == 3) && !ldns_pkt_tc(p) &&
			 ldns_pkt_qdcount(p) == 1 && !o.opt_inside && (!negative || t.has_soa);

	assert_int_equal(f->rcode, rcode);
	assert_int_equal(f->truncated, ldns_pkt_tc(p));
	assert_int_equal(f->cacheable, cacheable);
	if (cacheable)
		assert_int_equal(f->ttl, negative && t.soa < t.ttl ? t.soa : t.ttl);
	assert_int_equal(f->question_end, o.question_end);
	assert_int_equal(f->records_end, o.records_end);
	assert_true(f->opt || !ldns_pkt_edns(p));
	assert_int_equal(f->additional, ldns_pkt_arcount(p) + !!ldns_pkt_tsig(p));
}

/* Returns whether both accept it. */
static bool compare_answer(const struct wire *w, struct tally *t)
{
	FL_AUTOFREE uint8_t *exact = malloc(w->len + 1);
	ldns_pkt *p = NULL;
	bool by_ldns = ldns_wire2pkt(&p, w->b, w->len) == LDNS_STATUS_OK;
	struct fl_dns_facts f = { 0 };

	assert_non_null(exact);
	memcpy(exact, w->b, w->len);
	assert_int_equal(fl_dns_inspect(exact, w->len, &f), w->len < 12 ? -EBADMSG : 0);
	if (f.complete != by_ldns)
		differ(w, by_ldns, t);
	else if (by_ldns && !misled(w) && !outline(w).soa_ahead)
		same_facts(w, p, &f);
	t->accepted += f.complete && by_ldns;
	t->refused += !f.complete && !by_ldns;
	if (by_ldns)
		ldns_pkt_free(p);
	return f.complete && by_ldns;
}

/* ---- what is made of an answer ---- */

static void set_ttls(const ldns_pkt *p, ldns_pkt *like, uint32_t seconds)
{
	const ldns_rr_list *now[] = { ldns_pkt_answer(p), ldns_pkt_authority(p),
				      ldns_pkt_additional(p) };
	const ldns_rr_list *was[] = { ldns_pkt_answer(like), ldns_pkt_authority(like),
				      ldns_pkt_additional(like) };

	for (int s = 0; s < 3; s++) {
		for (size_t i = 0; i < ldns_rr_list_rr_count(was[s]); i++) {
			ldns_rr *rr = ldns_rr_list_rr(was[s], i);
			uint32_t ttl = sane(ldns_rr_ttl(rr));

			assert_int_equal(ldns_rr_ttl(ldns_rr_list_rr(now[s], i)),
					 ttl > seconds ? ttl - seconds : 0);
			ldns_rr_set_ttl(rr, ttl > seconds ? ttl - seconds : 0);
		}
	}
}

/* ldns, told the TTLs that there should be, writes what we made of the message. */
static void compare_aged(const struct wire *w)
{
	ldns_pkt *before = NULL, *after = NULL;
	uint32_t seconds = rnd(4000);
	struct wire aged = *w, want, got;

	fl_dns_age(aged.b, aged.len, seconds);
	assert_int_equal(ldns_wire2pkt(&before, w->b, w->len), LDNS_STATUS_OK);
	assert_int_equal(ldns_wire2pkt(&after, aged.b, aged.len), LDNS_STATUS_OK);
	set_ttls(after, before, seconds);
	want = written(before);
	got = written(after);
	assert_int_equal(want.len, got.len);
	assert_memory_equal(want.b, got.b, want.len);
}

static void compare_fitted(const struct wire *w)
{
	struct fl_dns_query q = { .edns = rnd(2), .dnssec_ok = rnd(2) };
	size_t size = 512 + rnd(rnd(2) ? 100 : 4000);
	struct wire fitted = *w;
	ldns_pkt *before = NULL, *after = NULL;
	struct fl_dns_facts f;
	unsigned want;

	assert_int_equal(fl_dns_inspect(w->b, w->len, &f), 0);
	fitted.len = fl_dns_fit(fitted.b, w->len, &f, &q, size);
	assert_true(fitted.len <= size);
	assert_int_equal(ldns_wire2pkt(&before, w->b, w->len), LDNS_STATUS_OK);
	assert_int_equal(ldns_wire2pkt(&after, fitted.b, fitted.len), LDNS_STATUS_OK);
	assert_int_equal(ldns_pkt_edns(after), q.edns);
	if (q.edns && !f.opt)
		assert_int_equal(ldns_pkt_edns_do(after), q.dnssec_ok);
	want = q.edns || f.rcode < 16 ? f.rcode & 15 : FL_DNS_SERVFAIL;
	assert_int_equal(ldns_pkt_get_rcode(after), want);
	assert_int_equal(ldns_pkt_edns_extended_rcode(after), q.edns ? f.rcode >> 4 : 0);
	want = ldns_pkt_ancount(before);
	if (ldns_pkt_tc(after) && !ldns_pkt_tc(before)) {
		assert_true(w->len + (q.edns && !f.opt ? FL_DNS_OPT_SIZE : 0) > size);
		want = 0;
	}
	if (!ldns_pkt_tc(before))
		assert_int_equal(ldns_pkt_ancount(after), want);
	ldns_pkt_free(before);
	ldns_pkt_free(after);
}

/* A query as it may have been for this answer, in another case. */
static void compare_to_query(const struct wire *w)
{
	ldns_pkt *p = NULL;
	struct wire sent;

	assert_int_equal(ldns_wire2pkt(&p, w->b, w->len), LDNS_STATUS_OK);
	ldns_pkt_set_qr(p, false);
	ldns_dname2canonical(ldns_rr_owner(ldns_rr_list_rr(ldns_pkt_question(p), 0)));
	sent = written(p);
	assert_true(fl_dns_is_answer(w->b, w->len, sent.b, sent.len));
	sent.b[outline(&sent).question_end - 3] ^= 1; /* the type */
	assert_false(fl_dns_is_answer(w->b, w->len, sent.b, sent.len));
}

static void test_answers(void **state)
{
	struct tally whole = { 0 }, hurt = { 0 };

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct wire w, d;

		draw_names();
		w = draw_answer();
		if (compare_answer(&w, &whole)) {
			compare_aged(&w);
			compare_fitted(&w);
			compare_to_query(&w);
		}
		for (int j = 0; j < MUTATIONS; j++) {
			d = damaged(&w);
			compare_answer(&d, &hurt);
		}
	}
	print_tally("answers", &whole);
	print_tally("damaged answers", &hurt);
	assert_int_equal(whole.accepted, ROUNDS);
	for (int i = 1; i < N_WHY; i++)
		assert_true(hurt.differ[i] > 0);
	assert_true(hurt.accepted > ROUNDS && hurt.refused > ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queries),
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
