/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is made of a foreign answer before a stub gets it. */
#include "dns_answers.h"

#include "base/cleanup.h"

#include <string.h>

/* ---- fl_dns_age ---- */

static uint32_t ttl_at(const struct msg *m, size_t at)
{
	return (uint32_t)fl_dns_get16(m->b + at) << 16 | fl_dns_get16(m->b + at + 2);
}

static void test_age(void **state)
{
	static const struct {
		uint32_t ttl, seconds, left;
	} cases[] = {
		{ 300, 0, 300 },
		{ 300, 1, 299 },
		{ 300, 299, 1 },
		{ 300, 300, 0 },
		{ 300, 301, 0 },
		{ 300, UINT32_MAX, 0 },
		{ 0, 0, 0 },
		{ 0, 1, 0 },
		{ INT32_MAX, 1, INT32_MAX - 1 },
		{ 0x12345678, 0x100, 0x12345578 },
		{ 0x80000000, 0, 0 }, /* RFC 2181 section 8 */
		{ 0xffffffff, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct msg m = answer(0, FL_DNS_A), before;
		size_t at[3];

		for (int j = 0; j < 3; j++) {
			put_a(&m, AN + 2 * j, cases[i].ttl);
			at[j] = m.len - 10;
		}
		opt(&m, 4096, 0x11008000, 0);
		before = m;
		fl_dns_age(m.b, m.len, cases[i].seconds);
		for (int j = 0; j < 3; j++) {
			assert_int_equal(ttl_at(&m, at[j]), cases[i].left);
			memset(m.b + at[j], 0, 4);
			memset(before.b + at[j], 0, 4);
		}
		assert_memory_equal(m.b, before.b, m.len); /* OPT above all */
	}
}

static void test_age_without_records(void **state)
{
	struct msg m = answer(0, FL_DNS_A), before = m;

	(void)state;
	fl_dns_age(m.b, m.len, 5);
	assert_memory_equal(m.b, before.b, m.len);
}

/* ---- fl_dns_fit ---- */

static struct fl_dns_query asked(bool edns, bool dnssec_ok)
{
	return (struct fl_dns_query){ .edns = edns, .dnssec_ok = dnssec_ok };
}

/* Fits it and reads it again; behind the new end nothing was touched. */
static struct fl_dns_facts fit(struct msg *m, const struct fl_dns_query *q, size_t size)
{
	struct fl_dns_facts f = facts(m);
	size_t most = m->len + FL_DNS_OPT_SIZE;

	assert_true(f.complete);
	memset(m->b + most, 0x77, 16);
	m->len = fl_dns_fit(m->b, m->len, &f, q, size);
	assert_true(m->len <= size);
	assert_int_equal(m->b[most], 0x77);
	f = facts(m);
	assert_true(f.complete);
	return f;
}

static struct msg four_addresses(void)
{
	struct msg m = answer(0, FL_DNS_A);

	for (int i = 0; i < 4; i++)
		put_a(&m, AN, 5);
	return m;
}

/* Where both agree on EDNS, and there is room, the answer stays as it is, options included. */
static void test_fit_leaves_alone(void **state)
{
	struct fl_dns_query plain = asked(false, false), edns = asked(true, true);
	struct msg m = four_addresses(), before = m;

	(void)state;
	fit(&m, &plain, m.len);
	assert_int_equal(m.len, before.len);
	assert_memory_equal(m.b, before.b, m.len);
	opt(&m, 4096, 0x01000000, 30);
	before = m;
	fit(&m, &edns, m.len);
	assert_int_equal(m.len, before.len);
	assert_memory_equal(m.b, before.b, m.len);
}

static void test_fit_drops_opt(void **state)
{
	struct fl_dns_query plain = asked(false, false);
	struct msg want = four_addresses(), m;

	(void)state;
	put_a(&want, AR, 5);
	m = want;
	opt(&m, 4096, 0x8000, 30);
	assert_false(fit(&m, &plain, 512).opt);
	assert_int_equal(m.len, want.len);
	assert_memory_equal(m.b, want.b, want.len);
}

static void test_fit_drops_what_is_behind_opt(void **state)
{
	struct fl_dns_query plain = asked(false, false);
	struct msg want = four_addresses(), m;

	(void)state;
	put_a(&want, AR, 5);
	m = want;
	opt(&m, 4096, 0x8000, 0);
	put_a(&m, AR, 5);
	put_a(&m, AR, 5);
	fit(&m, &plain, 512);
	assert_int_equal(m.len, want.len);
	assert_memory_equal(m.b, want.b, want.len);
}

static void test_fit_rcode_without_opt(void **state)
{
	struct fl_dns_query plain = asked(false, false);
	struct msg m = answer(0, FL_DNS_A);

	(void)state;
	opt(&m, 4096, 0x01000000, 0); /* BADVERS */
	assert_int_equal(fit(&m, &plain, 512).rcode, FL_DNS_SERVFAIL);
	m = answer(FL_DNS_NXDOMAIN, FL_DNS_A);
	opt(&m, 4096, 0, 0);
	assert_int_equal(fit(&m, &plain, 512).rcode, FL_DNS_NXDOMAIN);
}

static void test_fit_puts_opt(void **state)
{
	static const char ours[] = "\0\0\x29\x04\xd0\0\0\x80\0\0\0";
	struct fl_dns_query edns = asked(true, true), no_do = asked(true, false);
	struct msg m = four_addresses(), m2 = m, before;
	struct fl_dns_facts f;

	(void)state;
	put_a(&m, AR, 5);
	before = m;
	f = fit(&m, &edns, m.len + FL_DNS_OPT_SIZE);
	assert_true(f.opt && !f.truncated);
	assert_int_equal(f.additional, 1);
	assert_int_equal(m.len, before.len + FL_DNS_OPT_SIZE);
	assert_memory_equal(m.b + before.len, ours, FL_DNS_OPT_SIZE);
	fit(&m2, &no_do, 512);
	assert_int_equal(m2.b[m2.len - 4], 0); /* DO is the asker's */
}

static void test_fit_truncates(void **state)
{
	static const struct {
		bool edns, opt;
		size_t less; /* than what there would have to be */
		uint16_t rcode;
	} cases[] = {
		{ false, false, 1, 0 }, { false, true, 1, 0 },	   { true, false, 1, 0 },
		{ true, true, 1, 0 },	{ true, true, 50, 0x100 }, { true, false, 11, 3 },
		{ false, true, 9, 3 },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_dns_query q = asked(cases[i].edns, true);
		struct msg m = answer(cases[i].rcode & 15, FL_DNS_A);
		size_t question_end = m.len, need;
		struct fl_dns_facts f;

		for (int j = 0; j < 40; j++)
			put_a(&m, AN, 5);
		put_soa(&m, NS, 5, 5);
		put_a(&m, AR, 5);
		need = m.len + (cases[i].edns ? FL_DNS_OPT_SIZE : 0);
		if (cases[i].opt)
			opt(&m, 4096, (uint32_t)cases[i].rcode >> 4 << 24, 0);
		f = fit(&m, &q, need - cases[i].less);
		assert_true(f.truncated);
		assert_int_equal(f.opt, cases[i].edns);
		assert_int_equal(f.rcode, cases[i].rcode);
		assert_int_equal(f.question_end, question_end);
		assert_int_equal(f.records_end, question_end);
		assert_int_equal(m.len, question_end + (cases[i].edns ? FL_DNS_OPT_SIZE : 0));
		assert_int_equal(fl_dns_get16(m.b + 4), 1);
		assert_int_equal(fl_dns_get16(m.b + 10), cases[i].edns);
	}
}

/* Many questions may be longer than what there is room for, or leave none for the OPT. */
static void test_fit_questions_too_long(void **state)
{
	static const struct {
		uint8_t questions;
		bool kept;
	} cases[] = { { 80, true }, { 81, false }, { 82, false }, { 100, false } };
	struct fl_dns_query q = asked(true, false);

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct msg m = answer(FL_DNS_REFUSED, FL_DNS_A);
		struct fl_dns_facts f;

		for (int j = 1; j < cases[i].questions; j++)
			question(&m, NAME_POINTER, 2, FL_DNS_A);
		m.b[5] = cases[i].questions;
		for (int j = 0; j < 10; j++)
			put_a(&m, AN, 1);
		f = fit(&m, &q, 512);
		assert_true(f.truncated && f.opt);
		assert_int_equal(f.rcode, FL_DNS_REFUSED);
		assert_int_equal(fl_dns_get16(m.b + 4), cases[i].kept ? cases[i].questions : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_age_without_records),
		cmocka_unit_test(test_fit_leaves_alone),
		cmocka_unit_test(test_fit_drops_opt),
		cmocka_unit_test(test_fit_drops_what_is_behind_opt),
		cmocka_unit_test(test_fit_rcode_without_opt),
		cmocka_unit_test(test_fit_puts_opt),
		cmocka_unit_test(test_fit_truncates),
		cmocka_unit_test(test_fit_questions_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
