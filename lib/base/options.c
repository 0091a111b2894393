/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { DONE = 0, WRONG_USAGE = 2 };
enum { VERSION = FL_OPTIONS_MAX, HELP };

static bool take_number(const struct fl_option *o, const char *s)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	if (*s < '0' || *s > '9' || *end || v < o->min || v > o->max)
		return false;
	*o->number = v;
	return true;
}

static bool take(const struct fl_option *o, const char *argument)
{
	if (o->number && !take_number(o, argument))
		return false;
	if (o->text)
		*o->text = argument;
	if (o->given)
		*o->given = true;
	return true;
}

int fl_options_parse(const struct fl_program *p, int argc, char **argv)
{
	struct option known[FL_OPTIONS_MAX + 3] = { { "version", no_argument, NULL, VERSION },
						    { "help", no_argument, NULL, HELP } };
	bool ok = true;
	int c;

	for (size_t i = 0; i < p->n && i < FL_OPTIONS_MAX; i++)
		known[i + 2] =
			(struct option){ .name = p->options[i].name,
					 .has_arg = p->options[i].text || p->options[i].number,
					 .val = (int)i };
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == VERSION) {
			printf("%s %s\n", p->name, p->version);
			return DONE;
		}
		if (c == HELP) {
			fputs(p->usage, stdout);
			return DONE;
		}
		ok = ok && c < FL_OPTIONS_MAX && take(&p->options[c], optarg);
	}
	if (ok && optind == argc)
		return -1;
	fputs(p->usage, stderr);
	return WRONG_USAGE;
}
