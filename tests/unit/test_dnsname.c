/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "base/dnsname.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static struct fl_dns_name name(const char *text)
{
	struct fl_dns_name n;

	assert_int_equal(fl_dns_name_parse(text, &n), 0);
	return n;
}

static const char *text(const struct fl_dns_name *n)
{
	static char buf[FL_DNS_TEXT_MAX];

	return fl_dns_name_str(n, buf);
}

/* Labels of the given lengths, joined by dots. */
static const char *labels(const int *lengths, size_t n)
{
	static char buf[600];
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		memset(buf + at, 'a', (size_t)lengths[i]);
		at += (size_t)lengths[i];
		buf[at++] = '.';
	}
	buf[at - 1] = '\0';
	return buf;
}

static void test_parse(void **state)
{
	static const struct {
		const char *text, *wire;
		size_t len;
	} good[] = {
		{ ".", "", 1 },
		{ "a", "\1a", 3 },
		{ "a.", "\1a", 3 },
		{ "Web.EXAMPLE.", "\3web\7example", 13 },
		{ "x-1_@[`{.y", "\10x-1_@[`{\1y", 12 }, /* around the letters */
		{ "a\\.b", "\2a\\\1b", 6 },		/* no escapes */
		{ "a b", "\3a b", 5 },
		{ "\xc3\x84", "\2\xc3\x84", 4 }, /* letters of ASCII alone */
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(good); i++) {
		struct fl_dns_name n = name(good[i].text);

		assert_int_equal(n.len, good[i].len);
		assert_memory_equal(n.b, good[i].wire, n.len);
	}
}

static void test_parse_refuses(void **state)
{
	static const char *const bad[] = { "", "..", ".a", "a..", "a..b", ". " };
	struct fl_dns_name n = { .len = 7 };

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++)
		assert_int_equal(fl_dns_name_parse(bad[i], &n), -EINVAL);
	assert_int_equal(n.len, 7);
}

static void test_parse_limits(void **state)
{
	static const struct {
		int lengths[5];
		size_t n;
		int result;
		uint8_t len;
	} cases[] = {
		{ { 63 }, 1, 0, 65 },
		{ { 64 }, 1, -EINVAL, 0 },
		{ { 1, 64 }, 2, -EINVAL, 0 },
		{ { 63, 63, 63, 61 }, 4, 0, 255 },
		{ { 63, 63, 63, 62 }, 4, -EINVAL, 0 },
		{ { 63, 63, 63, 59, 1 }, 5, 0, 255 },
		{ { 63, 63, 63, 60, 1 }, 5, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_dns_name n = { 0 };

		assert_int_equal(fl_dns_name_parse(labels(cases[i].lengths, cases[i].n), &n),
				 cases[i].result);
		assert_int_equal(n.len, cases[i].len);
	}
}

static void test_str(void **state)
{
	static const struct {
		struct fl_dns_name n;
		const char *text;
	} cases[] = {
		{ { 0 }, "" },
		{ { 1, "" }, "." },
		{ { 13, "\3web\7example" }, "web.example." },
		{ { 9, "\7a.b\\c\0d" }, "a\\046b\\092c\\000d." },
		{ { 8, "\6 ~\x7f\x80\xff\n" }, "\\032~\\127\\128\\255\\010." },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++)
		assert_string_equal(text(&cases[i].n), cases[i].text);
}

/* The longest text there is stays within what is promised. */
static void test_str_longest(void **state)
{
	struct fl_dns_name n;
	char buf[FL_DNS_TEXT_MAX + 1];

	(void)state;
	assert_int_equal(fl_dns_name_parse(labels((int[]){ 63, 63, 63, 61 }, 4), &n), 0);
	for (size_t i = 0; i + 1 < n.len; i++)
		n.b[i] = n.b[i] == 'a' ? 0xff : n.b[i];
	buf[FL_DNS_TEXT_MAX] = '#';
	assert_int_equal(strlen(fl_dns_name_str(&n, buf)), 250 * 4 + 4);
	assert_int_equal(buf[FL_DNS_TEXT_MAX], '#');
}

static void test_eq(void **state)
{
	struct fl_dns_name a = name("Web.Example"), b = name("web.example."), c = name("web"),
			   none = { 0 };

	(void)state;
	b.b[b.len] = 0x55; /* what is behind the end does not count */
	assert_true(fl_dns_name_eq(&a, &b));
	assert_false(fl_dns_name_eq(&a, &c));
	assert_false(fl_dns_name_eq(&none, &c));
	b.b[1] = 'v';
	assert_false(fl_dns_name_eq(&a, &b));
}

static void test_stem(void **state)
{
	static const struct {
		const char *n, *suffix, *stem; /* NULL: not below */
	} cases[] = {
		{ "web.net", "net", "web." },
		{ "a.web.net", "net", "a.web." },
		{ "a.web.net", "web.net", "a." },
		{ "web.net", ".", "web.net." },
		{ "net", "net", NULL },
		{ ".", ".", NULL },
		{ ".", "net", NULL },
		{ "net", "web.net", NULL },
		{ "web.met", "net", NULL },
		{ "cabinet", "net", NULL },
		{ "a\003net", "net", NULL }, /* the suffix's bytes inside of one label */
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_dns_name n = name(cases[i].n), suffix = name(cases[i].suffix),
				   stem = { .len = 9 };

		if (cases[i].stem) {
			assert_true(fl_dns_name_stem(&n, &suffix, &stem));
			assert_string_equal(text(&stem), cases[i].stem);
			assert_true(fl_dns_name_stem(&n, &suffix, &n));
			assert_true(fl_dns_name_eq(&n, &stem));
		} else {
			assert_false(fl_dns_name_stem(&n, &suffix, &stem));
			assert_int_equal(stem.len, 9);
		}
	}
}

static void test_stem_of_no_name(void **state)
{
	struct fl_dns_name none = { 0 }, web = name("web"), stem;

	(void)state;
	assert_false(fl_dns_name_stem(&web, &none, &stem));
	assert_false(fl_dns_name_stem(&none, &web, &stem));
	assert_false(fl_dns_name_stem(&none, &none, &stem));
}

static void test_join(void **state)
{
	struct fl_dns_name a = name("a.b"), c = name("c"), root = name("."), none = { 0 }, n;

	(void)state;
	assert_int_equal(fl_dns_name_join(&a, &c, &n), 0);
	assert_string_equal(text(&n), "a.b.c.");
	assert_int_equal(fl_dns_name_join(&a, &root, &n), 0);
	assert_string_equal(text(&n), "a.b.");
	assert_int_equal(fl_dns_name_join(&root, &a, &n), 0);
	assert_string_equal(text(&n), "a.b.");
	assert_int_equal(fl_dns_name_join(&none, &a, &n), -EINVAL);
	assert_int_equal(fl_dns_name_join(&a, &none, &n), -EINVAL);
	/* into one of them */
	assert_int_equal(fl_dns_name_join(&a, &c, &c), 0);
	assert_string_equal(text(&c), "a.b.c.");
	assert_int_equal(fl_dns_name_join(&a, &c, &a), 0);
	assert_string_equal(text(&a), "a.b.a.b.c.");
	assert_int_equal(fl_dns_name_join(&a, &a, &a), 0);
	assert_string_equal(text(&a), "a.b.a.b.c.a.b.a.b.c.");
}

static void test_join_limit(void **state)
{
	struct fl_dns_name a = name(labels((int[]){ 63, 63 }, 2)),
			   b = name(labels((int[]){ 63, 61 }, 2)),
			   c = name(labels((int[]){ 63, 62 }, 2)), n = { .len = 5 };

	(void)state;
	assert_int_equal(fl_dns_name_join(&a, &c, &n), -EINVAL);
	assert_int_equal(n.len, 5);
	assert_int_equal(fl_dns_name_join(&a, &b, &n), 0);
	assert_int_equal(n.len, FL_DNS_NAME_MAX);
	assert_true(fl_dns_name_stem(&n, &b, &n));
	assert_true(fl_dns_name_eq(&n, &a));
}

static void test_labels_and_parent(void **state)
{
	static const struct {
		const char *n;
		unsigned labels;
		const char *parent;
	} cases[] = {
		{ ".", 0, "." },
		{ "a", 1, "." },
		{ "a.bc", 2, "bc." },
		{ "a.bc.def", 3, "bc.def." },
	};
	struct fl_dns_name none = { 0 }, up;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_dns_name n = name(cases[i].n);

		assert_int_equal(fl_dns_name_labels(&n), cases[i].labels);
		up = fl_dns_name_parent(&n);
		assert_string_equal(text(&up), cases[i].parent);
	}
	assert_int_equal(fl_dns_name_labels(&none), 0);
	up = fl_dns_name_parent(&none);
	assert_int_equal(up.len, 0);
}

static void test_addresses(void **state)
{
	static const char *const cases[][2] = {
		{ "1.2.3.4", "4.3.2.1.in-addr.arpa." },
		{ "0.10.100.255", "255.100.10.0.in-addr.arpa." },
		{ "::",
		  "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa." },
		{ "2001:db8::567:89ab",
		  "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa." },
	};
	struct fl_addr a, back, none = { 0 };
	struct fl_dns_name n;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		assert_int_equal(fl_addr_parse(cases[i][0], &a), 0);
		fl_dns_name_of_addr(&a, &n);
		assert_string_equal(text(&n), cases[i][1]);
		assert_int_equal(fl_dns_name_to_addr(&n, &back), 0);
		assert_true(fl_addr_eq(&a, &back));
	}
	fl_dns_name_of_addr(&none, &n);
	assert_int_equal(n.len, 0);
}

#define NIBBLES_31 "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."

static void test_no_address(void **state)
{
	static const char *const cases[] = {
		".",
		"in-addr.arpa",
		"3.2.1.in-addr.arpa",
		"5.4.3.2.1.in-addr.arpa",
		"4.3.2.256.in-addr.arpa",
		"4.3.2.999.in-addr.arpa",
		"4.3.2.1000.in-addr.arpa",
		"4.3.2.01.in-addr.arpa",
		"4.3.2.00.in-addr.arpa",
		"4.3.2.x.in-addr.arpa",
		"4.3.2.-1.in-addr.arpa",
		"4.3.2.1.in-addr.arpb",
		"4.3.2.1.in-addr.arpa.net",
		"4.3.2.1",
		"4.3.2.1.ip6.arpa",
		"ip6.arpa",
		NIBBLES_31 "ip6.arpa",
		NIBBLES_31 "g.ip6.arpa",
		NIBBLES_31 "0.ip6.arpb",
		NIBBLES_31 "0.ip7.arpa",
		NIBBLES_31 "0.0.ip6.arpa",
		"00.00." NIBBLES_31 "ip6.arpa", /* too long, and labels of two */
		"000.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
	};
	struct fl_addr a = { .family = 77 };
	struct fl_dns_name none = { 0 };

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_dns_name n = name(cases[i]);

		if (fl_dns_name_to_addr(&n, &a) != -ENOENT)
			fail_msg("%s", cases[i]);
	}
	assert_int_equal(fl_dns_name_to_addr(&none, &a), -ENOENT);
	assert_int_equal(a.family, 77);
}

/* As a question may write it. */
static void test_address_in_capitals(void **state)
{
	struct fl_dns_name n = name("4.3.2.1.IN-ADDR.ARPA"), six = name(NIBBLES_31 "F.IP6.ARPA");
	struct fl_addr a;

	(void)state;
	assert_int_equal(fl_dns_name_to_addr(&n, &a), 0);
	assert_string_equal(fl_addr_str(&a, FL_ADDR_BUF), "1.2.3.4");
	assert_int_equal(fl_dns_name_to_addr(&six, &a), 0);
	assert_string_equal(fl_addr_str(&a, FL_ADDR_BUF), "f000::");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_parse_limits),
		cmocka_unit_test(test_str),
		cmocka_unit_test(test_str_longest),
		cmocka_unit_test(test_eq),
		cmocka_unit_test(test_stem),
		cmocka_unit_test(test_stem_of_no_name),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_join_limit),
		cmocka_unit_test(test_labels_and_parent),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_no_address),
		cmocka_unit_test(test_address_in_capitals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
