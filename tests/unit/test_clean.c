/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/text.h"

#include "unit.h"

#include <stdio.h>

static void check(const char *raw, const char *clean)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "%s", raw);
	assert_string_equal(clean_text(buf), clean);
}

static void test_what_stays(void **state)
{
	(void)state;
	check("", "");
	check("nginx: master ~", "nginx: master ~");
	check("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xb3",
	      "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xb3");
	check("\xc2\xa0\xf4\x8f\xbf\xbf", "\xc2\xa0\xf4\x8f\xbf\xbf");
}

static void test_controls(void **state)
{
	(void)state;
	check("a\x1b[31m\n\x7f", "a?[31m??");
	check("\xc2\x9b"
	      "31m",
	      "??31m"); /* CSI as one character */
	check("\xe2\x80\xae"
	      "gpj.exe",
	      "???gpj.exe"); /* right to left */
	check("\xe2\x81\xa6x", "???x");
}

static void test_no_utf8(void **state)
{
	(void)state;
	check("\xff\xfe"
	      "a",
	      "??a");
	check("\x80\xbf", "??");
	check("\xc0\xaf\xe0\x80\xaf", "?????"); /* overlong */
	check("\xed\xa0\x80", "???");		/* a surrogate */
	check("\xf4\x90\x80\x80\xf5", "?????"); /* beyond the last */
	check("a\xe2\x82", "a??");		/* cut */
	check("\xe2\x82"
	      "b",
	      "??b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_stays),
		cmocka_unit_test(test_controls),
		cmocka_unit_test(test_no_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
