/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns_answers.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

/* ---- fl_dns_is_answer ---- */

static bool is_answer(const struct msg *m, const struct msg *sent)
{
	return fl_dns_is_answer(m->b, m->len, sent->b, sent->len);
}

static void test_is_answer(void **state)
{
	struct msg sent = query(FL_DNS_A), m = answer(0, FL_DNS_A);

	(void)state;
	assert_true(is_answer(&m, &sent));
	for (size_t i = FL_DNS_HEADER; i < FL_DNS_HEADER + sizeof(WEB); i++) {
		if (m.b[i] >= 'A')
			m.b[i] ^= 0x20;
	}
	assert_true(is_answer(&m, &sent)); /* in another case */
	opt(&sent, 1232, 0, 0);
	put_a(&m, AN, 5);
	assert_true(is_answer(&m, &sent));
}

static void test_is_no_answer(void **state)
{
	static const struct {
		size_t at;
		uint8_t flip;
	} cases[] = {
		{ 0, 1 },  { 1, 1 },  { 2, 0x80 }, { 2, 0x08 },	 { 2, 0x40 },  { 5, 3 },
		{ 4, 1 },  { 12, 1 }, { 13, 1 },   { 13, 0x40 }, { 14, 0x80 }, { 16, 4 },
		{ 20, 1 }, { 21, 1 }, { 22, 1 },   { 23, 1 },	 { 24, 1 },
	};
	struct msg sent = query(FL_DNS_A);

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct msg m = answer(0, FL_DNS_A);

		m.b[cases[i].at] ^= cases[i].flip;
		if (is_answer(&m, &sent))
			fail_msg("byte %zu ^ %#x", cases[i].at, cases[i].flip);
	}
}

/* '@' and '`', '[' and '{' differ in the bit of the case, and are no letters. */
static void test_is_answer_cases_letters_only(void **state)
{
	struct msg sent = header(0, 1, 0, 0, 0), m = header(FL_DNS_QR, 1, 0, 0, 0);

	(void)state;
	question(&sent, "\4@[\xc4z", 6, FL_DNS_A);
	question(&m, "\4@[\xc4Z", 6, FL_DNS_A);
	assert_true(is_answer(&m, &sent));
	for (size_t i = 13; i < 16; i++) {
		m.b[i] ^= 0x20;
		assert_false(is_answer(&m, &sent));
		m.b[i] ^= 0x20;
	}
}

static void test_is_answer_cut(void **state)
{
	struct msg sent = query(FL_DNS_A), m = answer(0, FL_DNS_A);

	(void)state;
	for (size_t len = 0; len < m.len; len++) {
		assert_false(fl_dns_is_answer(m.b, len, sent.b, sent.len));
		assert_false(fl_dns_is_answer(m.b, m.len, sent.b, len));
	}
}

/* Without the question only what a server says that did not read it. */
static void test_is_answer_without_question(void **state)
{
	struct msg sent = query(FL_DNS_A);

	(void)state;
	for (unsigned rcode = 0; rcode < 16; rcode++) {
		struct msg m = header(FL_DNS_QR | rcode, 0, 0, 0, 0);

		assert_int_equal(is_answer(&m, &sent),
				 rcode == FL_DNS_FORMERR || rcode == FL_DNS_SERVFAIL ||
					 rcode == FL_DNS_NOTIMP || rcode == FL_DNS_REFUSED);
		m.b[0] ^= 1;
		assert_false(is_answer(&m, &sent));
	}
}

static void test_is_answer_to_no_query(void **state)
{
	struct msg sent = header(0, 0, 0, 0, 0), m = answer(0, FL_DNS_A);

	(void)state;
	assert_false(is_answer(&m, &sent));
	sent = query(FL_DNS_A);
	sent.b[5] = 2;
	question(&sent, WEB, sizeof(WEB), FL_DNS_A);
	assert_false(is_answer(&m, &sent));
	m.b[5] = 2;
	question(&m, WEB, sizeof(WEB), FL_DNS_A);
	assert_false(is_answer(&m, &sent));
}

/* ---- fl_dns_inspect ---- */

static void test_inspect(void **state)
{
	struct msg m = answer(FL_DNS_AD, FL_DNS_A);
	size_t question_end = m.len, records_end;
	struct fl_dns_facts f;

	(void)state;
	put_a(&m, AN, 300);
	put_a(&m, AN, 200);
	put(&m, NS, FL_DNS_NS, 100, NAME_POINTER, 2);
	put_a(&m, AR, 400);
	records_end = m.len;
	opt(&m, 4096, 0x8000, 8);
	f = facts(&m);
	assert_int_equal(f.rcode, FL_DNS_NOERROR);
	assert_false(f.truncated);
	assert_true(f.complete);
	assert_true(f.cacheable);
	assert_int_equal(f.ttl, 100);
	assert_int_equal(f.question_end, question_end);
	assert_int_equal(f.records_end, records_end);
	assert_true(f.opt);
	assert_int_equal(f.additional, 1);
}

static void test_inspect_short(void **state)
{
	struct msg m = answer(0, FL_DNS_A);
	struct fl_dns_facts f;

	(void)state;
	for (size_t len = 0; len < FL_DNS_HEADER; len++)
		assert_int_equal(fl_dns_inspect(m.b, len, &f), -EBADMSG);
}

static void test_inspect_cut(void **state)
{
	struct msg m = answer(FL_DNS_TC | FL_DNS_NXDOMAIN, FL_DNS_A);

	(void)state;
	put_a(&m, AN, 1);
	put_soa(&m, NS, 1, 1);
	opt(&m, 4096, 0, 8);
	for (size_t len = FL_DNS_HEADER; len < m.len; len++) {
		struct fl_dns_facts f = facts_of(&m, len);

		assert_false(f.complete);
		assert_false(f.cacheable);
		assert_true(f.truncated);
		assert_int_equal(f.rcode, FL_DNS_NXDOMAIN);
	}
	assert_true(facts(&m).complete);
	bytes(&m, "", 1);
	assert_false(facts(&m).complete);
}

static void test_inspect_malformed(void **state)
{
	static const struct {
		const char *owner;
		size_t n;
	} owners[] = {
		{ "\xc0\x19", 2 },    /* itself: the record is at 25 */
		{ "\xc0\x1b", 2 },    /* forward */
		{ "\1a\xc0\x19", 4 }, /* in a circle */
		{ "\xc0\x0b", 2 },    /* into the header */
		{ "\xff\xff", 2 },    { "\x40", 1 }, { "\x80", 1 },
	};
	struct msg m = answer(0, FL_DNS_A);

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(owners); i++) {
		m = answer(0, FL_DNS_A);
		assert_int_equal(m.len, 25);
		record(&m, owners[i].owner, owners[i].n, FL_DNS_A, FL_DNS_IN, 1, 4);
		m.b[AN + 1] = 1;
		assert_false(facts(&m).complete);
	}
	m = header(FL_DNS_QR, 1, 0, 0, 0); /* a question that points at itself */
	question(&m, NAME_POINTER, 2, FL_DNS_A);
	assert_false(facts(&m).complete);
	m = answer(0, FL_DNS_A);
	memset(m.b + AN, 0xff, 6); /* counts that nothing stands behind */
	assert_false(facts(&m).complete);
	m = answer(0, FL_DNS_A);
	memset(m.b + 4, 0xff, 2);
	assert_false(facts(&m).complete);
}

static void test_inspect_opt(void **state)
{
	struct msg m = answer(1, FL_DNS_A);
	struct fl_dns_facts f;

	(void)state;
	opt(&m, 4096, 0xff000000, 0);
	f = facts(&m);
	assert_int_equal(f.rcode, 0xff1);
	assert_true(f.complete && f.opt);
	assert_false(f.cacheable);
	assert_int_equal(f.records_end, f.question_end);
	opt(&m, 4096, 0, 0); /* two */
	assert_false(facts(&m).complete);
	m = answer(0, FL_DNS_A); /* of a name */
	put(&m, AR, FL_DNS_OPT, 0, "", 0);
	assert_false(facts(&m).complete);
	for (int section = AN; section < AR; section += 2) {
		m = answer(0, FL_DNS_A);
		record(&m, "", 1, FL_DNS_OPT, 1232, 0, 0);
		m.b[section + 1] = 1;
		assert_false(facts(&m).complete);
	}
}

/* Taking it out would leave pointers behind it wrong, so such an answer is not kept. */
static void test_inspect_opt_not_last(void **state)
{
	struct msg m = answer(0, FL_DNS_A);
	struct fl_dns_facts f;

	(void)state;
	put_a(&m, AN, 5);
	opt(&m, 4096, 0, 0);
	put_a(&m, AR, 5);
	f = facts(&m);
	assert_true(f.complete);
	assert_false(f.cacheable);
	assert_int_equal(f.records_end, m.len);
	assert_int_equal(f.additional, 1);
}

static void test_inspect_questions(void **state)
{
	struct msg m = header(FL_DNS_QR | FL_DNS_REFUSED, 0, 0, 0, 0);
	struct fl_dns_facts f = facts(&m);

	(void)state;
	assert_true(f.complete);
	assert_false(f.cacheable);
	assert_int_equal(f.question_end, FL_DNS_HEADER);
	m = answer(0, FL_DNS_A);
	question(&m, NAME_POINTER, 2, FL_DNS_A);
	m.b[5] = 2;
	put_a(&m, AN, 5);
	f = facts(&m);
	assert_true(f.complete);
	assert_false(f.cacheable);
	assert_int_equal(f.question_end, 31);
	m = header(FL_DNS_QR, 0, 0, 0, 0);
	put_a(&m, AN, 5);
	f = facts(&m);
	assert_false(f.complete); /* its owner points at nothing before it */
}

/* Which answers may be kept, and for how long. -1: not. */
static void test_inspect_ttl(void **state)
{
	static const struct {
		unsigned flags, qtype;
		struct {
			int section;
			unsigned type;
			uint32_t ttl, minimum;
		} rr[3];
		int64_t ttl;
	} cases[] = {
		{ 0, FL_DNS_A, { { AN, FL_DNS_A, 7 } }, 7 },
		{ 0, FL_DNS_A, { { AN, FL_DNS_A, 0 } }, 0 },
		{ 0, FL_DNS_A, { { AN, FL_DNS_A, INT32_MAX } }, INT32_MAX },
		{ 0, FL_DNS_A, { { AN, FL_DNS_A, 0x80000000 }, { AN, FL_DNS_A, 9 } }, 0 },
		{ 0, FL_DNS_A, { { AN, FL_DNS_CNAME, 5 }, { AN, FL_DNS_A, 9 } }, 5 },
		{ 0, FL_DNS_A, { { AN, FL_DNS_A, 9 }, { AR, FL_DNS_A, 3 } }, 3 },
		{ 0, FL_DNS_CNAME, { { AN, FL_DNS_CNAME, 5 } }, 5 },
		{ 0, FL_DNS_ANY, { { AN, FL_DNS_TXT, 5 } }, 5 },
		{ 0, FL_DNS_SOA, { { AN, FL_DNS_SOA, 50, 1 } }, 50 }, /* an answer like any */
		{ 0, FL_DNS_A, { { AN, FL_DNS_A, 50 }, { NS, FL_DNS_SOA, 60, 1 } }, 50 },
		{ FL_DNS_TC, FL_DNS_A, { { AN, FL_DNS_A, 7 } }, -1 },
		{ FL_DNS_SERVFAIL, FL_DNS_A, { { AN, FL_DNS_A, 7 } }, -1 },
		{ FL_DNS_REFUSED, FL_DNS_A, { { NS, FL_DNS_SOA, 7, 7 } }, -1 },
		/* negative, RFC 2308 */
		{ 3, FL_DNS_A, { { NS, FL_DNS_SOA, 100, 60 } }, 60 },
		{ 3, FL_DNS_A, { { NS, FL_DNS_SOA, 60, 100 } }, 60 },
		{ 3, FL_DNS_A, { { NS, FL_DNS_SOA, 60, 0xffffffff } }, 0 },
		{ 3, FL_DNS_A, { { NS, FL_DNS_SOA, 60, 50 }, { NS, FL_DNS_SOA, 60, 40 } }, 40 },
		{ 3, FL_DNS_A, { { NS, FL_DNS_SOA, 60, 40 }, { NS, FL_DNS_SOA, 60, 50 } }, 40 },
		{ 3, FL_DNS_A, { { NS, FL_DNS_SOA, 60, 50 }, { AR, FL_DNS_A, 30 } }, 30 },
		{ 3, FL_DNS_A, { { AN, FL_DNS_CNAME, 9 }, { NS, FL_DNS_SOA, 60, 50 } }, 9 },
		{ 3, FL_DNS_A, { { AN, FL_DNS_A, 9 }, { NS, FL_DNS_SOA, 60, 5 } }, 5 },
		{ 3, FL_DNS_A, { { AN, FL_DNS_SOA, 60, 50 } }, -1 },
		{ 3, FL_DNS_A, { { AR, FL_DNS_SOA, 60, 50 } }, -1 },
		{ 3, FL_DNS_A, { { AN, FL_DNS_CNAME, 9 } }, -1 },
		{ 3, FL_DNS_A, { { 0 } }, -1 },
		{ 0, FL_DNS_A, { { 0 } }, -1 },
		{ 0, FL_DNS_ANY, { { 0 } }, -1 },
		{ 0, FL_DNS_A, { { NS, FL_DNS_SOA, 100, 60 } }, 60 },
		{ 0, FL_DNS_A, { { NS, FL_DNS_NS, 100 } }, -1 }, /* a referral */
		{ 0, FL_DNS_A, { { AN, FL_DNS_CNAME, 90 }, { NS, FL_DNS_SOA, 99, 8 } }, 8 },
		{ 0, FL_DNS_A, { { AN, FL_DNS_CNAME, 90 } }, -1 },
		{ 0, FL_DNS_A, { { AN, FL_DNS_CNAME, 90 }, { AR, FL_DNS_A, 9 } }, -1 },
		{ FL_DNS_TC | 3, FL_DNS_A, { { NS, FL_DNS_SOA, 100, 60 } }, -1 },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct msg m = answer(cases[i].flags, cases[i].qtype);
		struct fl_dns_facts f;

		for (size_t j = 0; j < 3 && cases[i].rr[j].section; j++) {
			if (cases[i].rr[j].type == FL_DNS_SOA)
				put_soa(&m, cases[i].rr[j].section, cases[i].rr[j].ttl,
					cases[i].rr[j].minimum);
			else
				put(&m, cases[i].rr[j].section, cases[i].rr[j].type,
				    cases[i].rr[j].ttl, "\1a\0", 3);
		}
		f = facts(&m);
		if (!f.complete || f.cacheable != (cases[i].ttl >= 0) ||
		    (f.cacheable && f.ttl != cases[i].ttl))
			fail_msg("case %zu: %d %u", i, f.cacheable, f.ttl);
	}
}

/* A SOA that is none tells no TTL, and the message is still relayed. */
static void test_inspect_bad_soa(void **state)
{
	static const struct {
		const char *rdata;
		unsigned n;
	} cases[] = {
		{ "", 0 },
		{ "\0\0", 2 },
		{ "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0", 21 },
		{ "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0", 23 },
		{ "\x15\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1", 22 },
		{ "\xff\xff\xff\xff\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1", 24 },
	};
	struct msg m;
	struct fl_dns_facts f;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		m = answer(FL_DNS_NXDOMAIN, FL_DNS_A);
		put(&m, NS, FL_DNS_SOA, 60, cases[i].rdata, cases[i].n);
		f = facts(&m);
		assert_true(f.complete);
		assert_false(f.cacheable);
	}
	m = answer(FL_DNS_NXDOMAIN, FL_DNS_A);
	put(&m, NS, FL_DNS_SOA, 60, "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1", 22);
	assert_true(facts(&m).cacheable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is_answer),
		cmocka_unit_test(test_is_no_answer),
		cmocka_unit_test(test_is_answer_cases_letters_only),
		cmocka_unit_test(test_is_answer_cut),
		cmocka_unit_test(test_is_answer_without_question),
		cmocka_unit_test(test_is_answer_to_no_query),
		cmocka_unit_test(test_inspect),
		cmocka_unit_test(test_inspect_short),
		cmocka_unit_test(test_inspect_cut),
		cmocka_unit_test(test_inspect_malformed),
		cmocka_unit_test(test_inspect_opt),
		cmocka_unit_test(test_inspect_opt_not_last),
		cmocka_unit_test(test_inspect_questions),
		cmocka_unit_test(test_inspect_ttl),
		cmocka_unit_test(test_inspect_bad_soa),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
