/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of a daemon: long options, and nothing else. --version and --help are among
 * them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct fl_option {
	const char *name;
	/* What is not NULL is filled in. With one of the latter two it takes an argument. */
	bool *given;
	const char **text;
	unsigned long *number, min, max;
};

struct fl_program {
	const char *name, *version, *usage;
	const struct fl_option *options;
	size_t n; /* FL_OPTIONS_MAX at most */
};

#define FL_OPTIONS_MAX 16

/* -1: go on. Else the exit status, and what had to be said was said. */
int fl_options_parse(const struct fl_program *p, int argc, char **argv);
