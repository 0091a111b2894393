/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/addr.h"
#include "base/cleanup.h"

#include "unit.h"

#include <errno.h>
#include <string.h>

static struct fl_addr addr(const char *s)
{
	struct fl_addr a;

	assert_int_equal(fl_addr_parse(s, &a), 0);
	return a;
}

static struct fl_prefix prefix(const char *s)
{
	struct fl_prefix p;

	assert_int_equal(fl_prefix_parse(s, &p), 0);
	return p;
}

static void addresses_round_trip(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "0.0.0.0", "0.0.0.0" },
		{ "10.1.2.3", "10.1.2.3" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "::", "::" },
		{ "2001:DB8:0:0::1", "2001:db8::1" },
		{ "fe80::1", "fe80::1" },
		{ "::ffff:10.0.0.1", "::ffff:10.0.0.1" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_addr a = addr(cases[i].in);

		assert_string_equal(fl_addr_str(&a, FL_ADDR_BUF), cases[i].out);
	}
	assert_string_equal(fl_addr_str(&(struct fl_addr){ 0 }, FL_ADDR_BUF), "");
}

static void bad_addresses_are_refused(void **state)
{
	static const char *const cases[] = {
		"",	     " ",	    "10.0.0",	 "10.0.0.256",	 "10.0.0.1 ",
		" 10.0.0.1", "10.0.0.1/24", "1.2.3.4.5", "fe80::1%eth0", ":::",
		"g::",	     "0x0a000001"
	};
	struct fl_addr a = { 9, { 1 } };

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++)
		if (fl_addr_parse(cases[i], &a) != -EINVAL)
			fail_msg("accepted \"%s\"", cases[i]);
	assert_int_equal(a.family, 9); /* untouched on failure */
}

static void prefixes_are_parsed(void **state)
{
	static const struct {
		const char *in;
		int strict, lenient;
	} cases[] = {
		{ "10.1.0.0/16", 0, 0 },
		{ "10.1.0.5/0", 0, 0 },
		{ "10.1.0.5/32", 0, 0 },
		{ "2001:db8::/128", 0, 0 },
		{ "10.1.0.5", -EINVAL, 0 },
		{ "2001:db8::", -EINVAL, 0 },
		{ "10.1.0.5/33", -EINVAL, -EINVAL },
		{ "::/129", -EINVAL, -EINVAL },
		{ "10.1.0.5/", -EINVAL, -EINVAL },
		{ "10.1.0.5/+8", -EINVAL, -EINVAL },
		{ "10.1.0.5/08", -EINVAL, -EINVAL },
		{ "10.1.0.5/8 ", -EINVAL, -EINVAL },
		{ "10.1.0.5/-1", -EINVAL, -EINVAL },
		{ "/8", -EINVAL, -EINVAL },
		{ "10.1.0.5/99999999999", -EINVAL, -EINVAL },
		{ "10.1.0.5/255.0.0.0", -EINVAL, -EINVAL },
	};
	struct fl_prefix p;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		if (fl_prefix_parse(cases[i].in, &p) != cases[i].strict)
			fail_msg("strict: \"%s\"", cases[i].in);
		if (fl_prefix_parse_lenient(cases[i].in, &p) != cases[i].lenient)
			fail_msg("lenient: \"%s\"", cases[i].in);
	}
	assert_int_equal(fl_prefix_parse_lenient("10.1.0.5", &p), 0);
	assert_int_equal(p.len, 32);
	assert_int_equal(fl_prefix_parse_lenient("::1", &p), 0);
	assert_int_equal(p.len, 128);
}

static void prefix_arithmetic(void **state)
{
	static const struct {
		const char *in, *masked, *last;
	} cases[] = {
		{ "10.1.2.3/16", "10.1.0.0/16", "10.1.255.255" },
		{ "10.1.2.3/32", "10.1.2.3/32", "10.1.2.3" },
		{ "10.1.2.3/0", "0.0.0.0/0", "255.255.255.255" },
		{ "10.1.2.131/25", "10.1.2.128/25", "10.1.2.255" },
		{ "2001:db8::1:2/64", "2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff" },
		{ "2001:db8::12ff/120", "2001:db8::1200/120", "2001:db8::12ff" },
		{ "2001:db8::ffff/121", "2001:db8::ff80/121", "2001:db8::ffff" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_prefix p = prefix(cases[i].in), m = fl_prefix_masked(&p);
		struct fl_addr last = fl_prefix_last(&p);

		assert_string_equal(fl_prefix_str(&m, FL_PREFIX_BUF), cases[i].masked);
		assert_string_equal(fl_addr_str(&last, FL_ADDR_BUF), cases[i].last);
		assert_true(fl_prefix_contains(&p, &last));
		assert_true(fl_prefix_same_net(&p, &m));
	}
}

static void containment_and_overlap(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.0.0/16", true },
		{ "10.0.0.0/16", "10.1.0.0/16", false },
		{ "0.0.0.0/0", "192.0.2.0/24", true },
		{ "0.0.0.0/0", "2001:db8::/32", false },
		{ "2001:db8::/32", "2001:db8:1::/48", true },
		{ "2001:db8::/48", "2001:db8:1::/48", false },
		{ "10.0.0.0/25", "10.0.0.128/25", false },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_prefix a = prefix(cases[i].a), b = prefix(cases[i].b);

		assert_int_equal(fl_prefix_overlaps(&a, &b), cases[i].overlap);
		assert_int_equal(fl_prefix_overlaps(&b, &a), cases[i].overlap);
	}
}

static void addition_carries(void **state)
{
	static const struct {
		const char *a, *b;
		uint64_t n;
	} cases[] = {
		{ "10.0.0.0", "10.0.0.1", 1 },
		{ "10.0.255.255", "10.1.0.0", 1 },
		{ "0.0.0.0", "255.255.255.255", 0xffffffff },
		{ "2001:db8::ffff:ffff", "2001:db8::1:0:0", 1 },
		{ "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff", UINT64_MAX - 0 },
		{ "2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:db8:0:1::", 1 },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_addr a = addr(cases[i].a), b = addr(cases[i].b);
		struct fl_addr sum = fl_addr_add(a, cases[i].n),
			       difference = fl_addr_sub(b, cases[i].n);

		assert_true(fl_addr_eq(&sum, &b));
		assert_true(fl_addr_eq(&difference, &a));
		assert_int_equal(fl_addr_distance(&a, &b), cases[i].n);
		assert_true(fl_addr_cmp(&a, &b) < 0);
		assert_int_equal(fl_addr_distance(&b, &a), UINT64_MAX);
	}
	assert_int_equal(fl_addr_distance(&(struct fl_addr){ .family = AF_INET },
					  &(struct fl_addr){ .family = AF_INET6 }),
			 UINT64_MAX);
}

static void classes(void **state)
{
	static const struct {
		const char *a;
		bool any, loopback, multicast, linklocal;
	} cases[] = {
		{ "0.0.0.0", true, false, false, false },
		{ "127.9.9.9", false, true, false, false },
		{ "224.0.0.1", false, false, true, false },
		{ "169.254.1.1", false, false, false, true },
		{ "10.0.0.1", false, false, false, false },
		{ "::", true, false, false, false },
		{ "::1", false, true, false, false },
		{ "ff02::1", false, false, true, false },
		{ "fe80::1", false, false, false, true },
		{ "2001:db8::1", false, false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_addr a = addr(cases[i].a);

		assert_int_equal(fl_addr_is_any(&a), cases[i].any);
		assert_int_equal(fl_addr_is_loopback(&a), cases[i].loopback);
		assert_int_equal(fl_addr_is_multicast(&a), cases[i].multicast);
		assert_int_equal(fl_addr_is_linklocal(&a), cases[i].linklocal);
	}
}

static void mac_addresses(void **state)
{
	static const char *const wrong[] = { "",
					     "02:00:00:00:00",
					     "02:00:00:00:00:0g",
					     "02:00:00:00:00:001",
					     "02.00.00.00.00.01",
					     "0200.0000.0001" };
	struct fl_mac m, n;

	(void)state;
	assert_int_equal(fl_mac_parse("02:AB:cd:00:00:01", &m), 0);
	assert_string_equal(fl_mac_str(&m, FL_MAC_BUF), "02:ab:cd:00:00:01");
	assert_int_equal(fl_mac_parse("02-ab-cd-00-00-01", &n), 0);
	assert_memory_equal(&m, &n, sizeof(m));
	for (size_t i = 0; i < FL_ARRAY_SIZE(wrong); i++)
		assert_int_equal(fl_mac_parse(wrong[i], &m), -EINVAL);
	m = fl_mac_random();
	assert_int_equal(m.b[0] & 3, 2);
	assert_false(fl_mac_is_zero(&m));
	assert_true(fl_mac_is_zero(&(struct fl_mac){ 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_round_trip),
		cmocka_unit_test(bad_addresses_are_refused),
		cmocka_unit_test(prefixes_are_parsed),
		cmocka_unit_test(prefix_arithmetic),
		cmocka_unit_test(containment_and_overlap),
		cmocka_unit_test(addition_carries),
		cmocka_unit_test(classes),
		cmocka_unit_test(mac_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
