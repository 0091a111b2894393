/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of daemons: what is taken, and what is wrong usage. */
#include "base/cleanup.h"
#include "base/options.h"

#include "unit.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

struct parsed {
	const char *text, *cache;
	unsigned long number, cached;
	bool flag, numbered;
	int status;
};

static struct parsed parse(const char *line)
{
	struct parsed p = { .text = "default", .number = 7 };
	const struct fl_option options[] = {
		{ "text", .text = &p.text },
		{ "flag", .given = &p.flag },
		{ "number", .given = &p.numbered, .number = &p.number, .min = 1, .max = 600 },
		{ "cache", .text = &p.cache, .number = &p.cached, .max = 10 },
	};
	const struct fl_program program = { "test", "1.0", "usage\n", options,
					    FL_ARRAY_SIZE(options) };
	static char copy[128]; /* what is taken points into it */
	char *argv[16] = { (char *)"test" }, *save = NULL;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save))
		argv[argc++] = s;
	optind = 0;
	p.status = fl_options_parse(&program, argc, argv);
	return p;
}

static void test_nothing_given(void **state)
{
	struct parsed p = parse("");

	(void)state;
	assert_int_equal(p.status, -1);
	assert_string_equal(p.text, "default");
	assert_int_equal(p.number, 7);
	assert_false(p.flag || p.numbered || p.cache);
}

static void test_all_given(void **state)
{
	struct parsed p = parse("--text here --flag --number=600 --cache 0");

	(void)state;
	assert_int_equal(p.status, -1);
	assert_string_equal(p.text, "here");
	assert_int_equal(p.number, 600);
	assert_true(p.flag && p.numbered);
	assert_string_equal(p.cache, "0");
	assert_int_equal(p.cached, 0);
}

static void test_wrong_usage(void **state)
{
	static const char *const lines[] = {
		"--number 0",  "--number 601",
		"--number -1", "--number 1x",
		"--number",    "--number=",
		"--flag=yes",  "--other",
		"-f",	       "word",
		"--cache 11",  "--number +5",
		"--flag word", "--number 0 --flag",
		"--text",      "--number 18446744073709551617",
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(lines); i++)
		if (parse(lines[i]).status != 2)
			fail_msg("%s was taken", lines[i]);
}

static void test_what_is_only_asked(void **state)
{
	(void)state;
	assert_int_equal(parse("--version").status, 0);
	assert_int_equal(parse("--help --other").status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_given),
		cmocka_unit_test(test_all_given),
		cmocka_unit_test(test_wrong_usage),
		cmocka_unit_test(test_what_is_only_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
