/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/nearest.h"
#include "netctl/portspec.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *text;
	struct portspec want;
} good[] = {
	{ "80", { "", 0, 0, 80, 1, IPPROTO_TCP } },
	{ "80/udp", { "", 0, 0, 80, 1, IPPROTO_UDP } },
	{ "8000:80", { "", 8000, 1, 80, 1, IPPROTO_TCP } },
	{ "8000-8009:80-89/TCP", { "", 8000, 10, 80, 10, IPPROTO_TCP } },
	{ "8000-8009:80", { "", 8000, 10, 80, 1, IPPROTO_TCP } },
	{ "127.0.0.1::80", { "127.0.0.1", 0, 0, 80, 1, IPPROTO_TCP } },
	{ "0.0.0.0:1:65535/sctp", { "0.0.0.0", 1, 1, 65535, 1, IPPROTO_SCTP } },
	{ "[::1]:8000:80", { "::1", 8000, 1, 80, 1, IPPROTO_TCP } },
	{ "[2001:db8::1]::80-90", { "2001:db8::1", 0, 0, 80, 11, IPPROTO_TCP } },
};

static const char *const bad[] = { "",
				   ":",
				   "0",
				   "65536",
				   "80-79",
				   "80-",
				   "-80",
				   "+80",
				   " 80",
				   "80 ",
				   "8000:",
				   ":80",
				   "80/",
				   "80/tcp/",
				   "1.2.3:80:80",
				   "::1:80:80",
				   "[1.2.3.4]:80:80",
				   "[::1]:80",
				   "1-2:1-3",
				   "a:b:c:d",
				   "99999999999:80",
				   "80:80:80:80" };

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct fl_error err = { 0 };
		struct portspec p;

		if (portspec_parse(good[i].text, &p, &err))
			fail_msg("%s: %s", good[i].text, err.text);
		assert_string_equal(p.host, good[i].want.host);
		assert_int_equal(p.host_port, good[i].want.host_port);
		assert_int_equal(p.n_host, good[i].want.n_host);
		assert_int_equal(p.container_port, good[i].want.container_port);
		assert_int_equal(p.count, good[i].want.count);
		assert_int_equal(p.proto, good[i].want.proto);
	}
}

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct fl_error err = { 0 };
		struct portspec p;

		if (!portspec_parse(bad[i], &p, &err))
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_true(err.text[0]);
	}
}

static const char *nearest(const char *word)
{
	static const char *const known[] = { "network ls", "network create", "doctor", "dns ls" };
	struct nearest n = { .word = word };

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		nearest_try(&n, known[i]);
	return n.best;
}

static void test_nearest(void **state)
{
	(void)state;
	assert_string_equal(nearest("docotr"), "doctor");
	assert_string_equal(nearest("network craete"), "network create");
	assert_string_equal(nearest("dsn ls"), "dns ls");
	assert_null(nearest("xyzzy"));
	assert_null(nearest(""));
	assert_null(
		nearest("a word that is much longer than any that is known, by far, and by more"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
