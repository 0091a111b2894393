/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns_message.h"

#include "base/cleanup.h"
#include "dns/cache.h"

#include <stdio.h>

enum { SIZE = 65536, HOST = 1 };

/* What cache_put() and cache_get() take of a message. */
struct ask {
	struct msg m;
	struct fl_dns_query q;
};

static struct ask asking(const char *wire_name, size_t n, unsigned type)
{
	struct ask a = { .m = header(FL_DNS_RD, 1, 0, 0, 0) };

	question(&a.m, wire_name, n, type);
	assert_int_equal(fl_dns_query_parse(a.m.b, a.m.len, &a.q), 0);
	return a;
}

static struct ask asking_number(unsigned n)
{
	char name[16] = "\7";

	snprintf(name + 1, sizeof(name) - 1, "%07u", n);
	return asking(name, 9, FL_DNS_A);
}

static struct ask asking_web(unsigned type)
{
	return asking(WEB, sizeof(WEB), type);
}

/* The answer to it, with one record of `rdlen` bytes. */
static struct msg answering(const struct ask *a, uint32_t ttl, unsigned rdlen)
{
	struct msg m = a->m;

	fl_dns_set16(m.b + 2, FL_DNS_QR | FL_DNS_RD | FL_DNS_RA);
	fl_dns_set16(m.b + 6, 1);
	record(&m, "\xc0\x0c", 2, a->q.type, FL_DNS_IN, ttl, rdlen);
	return m;
}

static void put_msg(struct cache *c, uint64_t owner, const struct ask *a, const uint8_t *msg,
		    size_t len, uint64_t now)
{
	struct fl_dns_facts f;

	assert_int_equal(fl_dns_inspect(msg, len, &f), 0);
	assert_true(f.cacheable);
	cache_put(c, owner, &a->q, msg, &f, now);
	assert_true(cache_used(c) <= SIZE);
}

static void put(struct cache *c, const struct ask *a, uint32_t ttl, uint64_t now)
{
	struct msg m = answering(a, ttl, 4);

	put_msg(c, HOST, a, m.b, m.len, now);
}

static uint8_t out[CACHE_ENTRY_MAX + FL_DNS_OPT_SIZE];

static size_t get(struct cache *c, const struct ask *a, uint64_t now)
{
	return cache_get(c, HOST, &a->q, a->m.b, now, out, sizeof(out));
}

static uint32_t ttl_of(size_t len)
{
	struct fl_dns_facts f;

	assert_int_equal(fl_dns_inspect(out, len, &f), 0);
	assert_true(f.complete);
	return f.ttl;
}

static int setup(void **state)
{
	*state = cache_new(SIZE);
	return !*state;
}

static int teardown(void **state)
{
	cache_free(*state);
	return 0;
}

/* ---- in and out ---- */

static void test_new(void **state)
{
	struct cache *c = cache_new(4096);

	(void)state;
	assert_non_null(c);
	assert_int_equal(cache_entries(c), 0);
	assert_in_range(cache_used(c), 1, 4096);
	cache_free(c);
	cache_free(NULL);
	assert_null(cache_new(4095));
	assert_null(cache_new(0));
}

static void test_same_as_it_was(void **state)
{
	struct ask a = asking_web(FL_DNS_A);
	struct msg m = answering(&a, 300, 4);

	assert_int_equal(get(*state, &a, 0), 0);
	put(*state, &a, 300, 0);
	assert_int_equal(get(*state, &a, 0), m.len);
	assert_memory_equal(out, m.b, m.len);
}

static void test_id_and_question_are_the_askers(void **state)
{
	struct ask a = asking_web(FL_DNS_A), b = asking("\3WEB\3nEt", 9, FL_DNS_A);

	put(*state, &a, 300, 0);
	fl_dns_set16(b.m.b, 0x4321);
	b.q.id = 0x4321;
	assert_int_equal(get(*state, &b, 0), answering(&a, 300, 4).len);
	assert_int_equal(fl_dns_id(out), 0x4321);
	assert_memory_equal(out + FL_DNS_HEADER, b.m.b + FL_DNS_HEADER, b.q.question_len);
}

static void test_replaced(void **state)
{
	struct ask a = asking_web(FL_DNS_A);
	struct msg m = answering(&a, 200, 16);
	size_t used;

	put(*state, &a, 300, 0);
	put(*state, &a, 300, 0);
	used = cache_used(*state);
	assert_int_equal(cache_entries(*state), 1);
	put_msg(*state, HOST, &a, m.b, m.len, 1000);
	assert_int_equal(cache_entries(*state), 1);
	assert_int_equal(cache_used(*state), used + 12);
	assert_int_equal(get(*state, &a, 1000), m.len);
	assert_int_equal(ttl_of(m.len), 200);
}

/* What may not be kept takes the older one away all the same. */
static void test_replaced_by_nothing(void **state)
{
	struct ask a = asking_web(FL_DNS_A);
	size_t empty = cache_used(*state);

	put(*state, &a, 300, 0);
	put(*state, &a, 0, 0);
	assert_int_equal(cache_entries(*state), 0);
	assert_int_equal(cache_used(*state), empty);
	assert_int_equal(get(*state, &a, 0), 0);
}

static void test_cleared(void **state)
{
	size_t empty = cache_used(*state);

	for (unsigned i = 0; i < 50; i++) {
		struct ask a = asking_number(i);

		put(*state, &a, 300, 0);
	}
	assert_int_equal(cache_entries(*state), 50);
	cache_clear(*state);
	assert_int_equal(cache_entries(*state), 0);
	assert_int_equal(cache_used(*state), empty);
	cache_clear(*state);
}

/* ---- time ---- */

static void test_time_passes(void **state)
{
	static const struct {
		uint64_t at;
		uint32_t ttl;
	} cases[] = { { 5000, 10 }, { 5999, 10 }, { 6000, 9 }, { 14000, 1 }, { 14999, 1 } };
	struct ask a = asking_web(FL_DNS_A);

	put(*state, &a, 10, 5000);
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++)
		assert_int_equal(ttl_of(get(*state, &a, cases[i].at)), cases[i].ttl);
	assert_int_equal(get(*state, &a, 15000), 0);
	assert_int_equal(cache_entries(*state), 0);
}

static void test_clock_that_was_set_back(void **state)
{
	struct ask a = asking_web(FL_DNS_A);

	put(*state, &a, 10, 5000);
	assert_int_equal(get(*state, &a, 4999), 0);
	assert_int_equal(cache_entries(*state), 0);
}

static void test_longest_life(void **state)
{
	struct ask a = asking_web(FL_DNS_A);

	put(*state, &a, INT32_MAX, 0);
	assert_true(get(*state, &a, CACHE_TTL_MAX * 1000ull - 1));
	assert_int_equal(get(*state, &a, CACHE_TTL_MAX * 1000ull), 0);
}

static void test_negative(void **state)
{
	struct ask a = asking_web(FL_DNS_A);
	struct msg m = a.m;

	fl_dns_set16(m.b + 2, FL_DNS_QR | FL_DNS_NXDOMAIN);
	fl_dns_set16(m.b + 8, 1);
	record(&m, "", 1, FL_DNS_SOA, FL_DNS_IN, 60, 0);
	bytes(&m, "\0\0", 2);
	for (unsigned i = 0; i < 5; i++)
		bytes(&m, "\0\0\0\x1e", 4);
	fl_dns_set16(m.b + m.len - 24, 22);
	put_msg(*state, HOST, &a, m.b, m.len, 0);
	assert_int_equal(get(*state, &a, 29999), m.len);
	assert_int_equal(fl_dns_get16(out + 2) & FL_DNS_RCODE, FL_DNS_NXDOMAIN);
	assert_int_equal(get(*state, &a, 30000), 0);
}

/* ---- keys ---- */

static void test_each_part_of_the_key_counts(void **state)
{
	struct ask a = asking_web(FL_DNS_A), others[] = { a, a, a, a, a, a, a };

	others[0] = asking_web(FL_DNS_AAAA);
	others[1].q.class = FL_DNS_CLASS_ANY;
	others[2].q.dnssec_ok = true;
	others[3].q.flags &= (uint16_t)~FL_DNS_RD;
	others[4].q.flags |= FL_DNS_CD;
	others[5].q.flags |= FL_DNS_AD;
	others[6] = asking("\3weg\3net", 9, FL_DNS_A);
	put(*state, &a, 300, 0);
	for (size_t i = 0; i < FL_ARRAY_SIZE(others); i++)
		assert_int_equal(get(*state, &others[i], 0), 0);
	assert_int_equal(cache_get(*state, HOST + 1, &a.q, a.m.b, 0, out, sizeof(out)), 0);
	assert_true(get(*state, &a, 0));
	for (size_t i = 0; i < FL_ARRAY_SIZE(others); i++) {
		struct msg m = answering(&others[i], 100 + (uint32_t)i, 4);

		put_msg(*state, HOST, &others[i], m.b, m.len, 0);
	}
	assert_int_equal(cache_entries(*state), 1 + FL_ARRAY_SIZE(others));
	for (size_t i = 0; i < FL_ARRAY_SIZE(others); i++)
		assert_int_equal(ttl_of(get(*state, &others[i], 0)), 100 + i);
	assert_int_equal(ttl_of(get(*state, &a, 0)), 300);
}

static void test_other_bits_do_not_count(void **state)
{
	struct ask a = asking_web(FL_DNS_A), b = a;

	put(*state, &a, 300, 0);
	b.q.flags |= FL_DNS_TC | FL_DNS_AA | 0x0040;
	b.q.id = 1;
	assert_true(get(*state, &b, 0));
}

/* ---- EDNS ---- */

static void test_opt_of_the_server_is_not_kept(void **state)
{
	struct ask a = asking_web(FL_DNS_A);
	struct msg bare = answering(&a, 300, 4), m = bare;
	struct fl_dns_facts f;
	size_t len;

	record(&m, "\xc0\x0c", 2, FL_DNS_A, FL_DNS_IN, 400, 4);
	fl_dns_set16(m.b + 10, 1);
	opt(&m, 4096, 0x8000, 20);
	put_msg(*state, HOST, &a, m.b, m.len, 0);
	len = get(*state, &a, 0);
	assert_int_equal(len, bare.len + 16);
	assert_int_equal(fl_dns_get16(out + 10), 1);
	a.q.edns = true;
	len = get(*state, &a, 0);
	assert_int_equal(len, bare.len + 16 + FL_DNS_OPT_SIZE);
	assert_int_equal(fl_dns_inspect(out, len, &f), 0);
	assert_true(f.complete && f.opt && f.additional == 1);
	a.q.dnssec_ok = true;
	put_msg(*state, HOST, &a, m.b, m.len, 0);
	len = get(*state, &a, 0);
	assert_int_equal(out[len - 4], 0x80);
}

static void test_fitted(void **state)
{
	struct ask a = asking_web(FL_DNS_TXT);
	struct msg m = answering(&a, 300, 600);
	struct fl_dns_facts f;
	size_t len;

	put_msg(*state, HOST, &a, m.b, m.len, 0);
	assert_int_equal(get(*state, &a, 0), m.len);
	len = cache_get(*state, HOST, &a.q, a.m.b, 0, out, FL_DNS_UDP_MIN);
	assert_int_equal(len, a.m.len);
	assert_int_equal(fl_dns_inspect(out, len, &f), 0);
	assert_true(f.truncated);
	assert_int_equal(get(*state, &a, 0), m.len);
}

/* ---- how much ---- */

/* Enough for the key to be found by. */
static size_t one_entry(void)
{
	struct cache *c = cache_new(SIZE);
	size_t empty = cache_used(c), n;
	struct ask a = asking_number(0);

	put(c, &a, 300, 0);
	n = cache_used(c) - empty;
	cache_free(c);
	return n;
}

static void test_longest_unused_goes_first(void **state)
{
	unsigned most = (unsigned)((SIZE - cache_used(*state)) / one_entry());
	struct ask a;

	for (unsigned i = 0; i < most; i++) {
		a = asking_number(i);
		put(*state, &a, 300, 0);
	}
	assert_int_equal(cache_entries(*state), most);
	a = asking_number(0);
	assert_true(get(*state, &a, 0)); /* used: now 1 is the oldest */
	for (unsigned i = most; i < most + 3; i++) {
		a = asking_number(i);
		put(*state, &a, 300, 0);
		assert_int_equal(cache_entries(*state), most);
	}
	for (unsigned i = 0; i < most + 3; i++) {
		a = asking_number(i);
		assert_int_equal(!get(*state, &a, 0), i >= 1 && i <= 3);
	}
}

static void test_as_many_go_as_are_in_the_way(void **state)
{
	unsigned most = (unsigned)((SIZE - cache_used(*state)) / one_entry());
	struct ask a, large = asking_web(FL_DNS_TXT);
	struct msg m = answering(&large, 300, 1500);

	for (unsigned i = 0; i < most; i++) {
		a = asking_number(i);
		put(*state, &a, 300, 0);
	}
	put_msg(*state, HOST, &large, m.b, m.len, 0);
	assert_in_range(cache_entries(*state), most - 12, most - 4);
	assert_int_equal(get(*state, &large, 0), m.len);
	a = asking_number(most - 1);
	assert_true(get(*state, &a, 0));
	a = asking_number(0);
	assert_int_equal(get(*state, &a, 0), 0);
}

/* Nothing else has to go for what may not come in. */
static void test_too_large(void **state)
{
	static uint8_t big[CACHE_ENTRY_MAX + 1];
	struct ask a = asking_web(FL_DNS_TXT), other = asking_number(1);
	struct cache *small = cache_new(4096), *c = cache_new(1 << 20);
	struct msg m = answering(&a, 300, 1000);
	struct fl_dns_facts f;

	put(*state, &other, 300, 0);
	put(small, &other, 300, 0);
	put_msg(small, HOST, &a, m.b, m.len, 0); /* more than a quarter of it */
	assert_int_equal(cache_entries(small), 1);
	assert_int_equal(get(small, &a, 0), 0);
	assert_true(get(small, &other, 0));
	for (size_t len = CACHE_ENTRY_MAX; len <= CACHE_ENTRY_MAX + 1; len++) {
		memcpy(big, m.b, m.len - 1000);
		fl_dns_set16(big + m.len - 1002, (uint16_t)(len - (m.len - 1000)));
		assert_int_equal(fl_dns_inspect(big, len, &f), 0);
		assert_true(f.cacheable);
		cache_put(c, HOST, &a.q, big, &f, 0);
		assert_int_equal(get(c, &a, 0), len == CACHE_ENTRY_MAX ? len : 0);
	}
	cache_free(small);
	cache_free(c);
}

static void test_no_question(void **state)
{
	struct ask a = asking_web(FL_DNS_A);
	struct msg m = answering(&a, 300, 4);

	a.q.name.len = 0;
	put_msg(*state, HOST, &a, m.b, m.len, 0);
	assert_int_equal(cache_entries(*state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_same_as_it_was),
		T(test_id_and_question_are_the_askers),
		T(test_replaced),
		T(test_replaced_by_nothing),
		T(test_cleared),
		T(test_time_passes),
		T(test_clock_that_was_set_back),
		T(test_longest_life),
		T(test_negative),
		T(test_each_part_of_the_key_counts),
		T(test_other_bits_do_not_count),
		T(test_opt_of_the_server_is_not_kept),
		T(test_fitted),
		T(test_longest_unused_goes_first),
		T(test_as_many_go_as_are_in_the_way),
		T(test_too_large),
		T(test_no_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
