/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lib/fw/foreign.h as a program, for tests/netns/test_foreign.py:
 *
 *	foreign-probe admit		prints 1 when a rule was added, else 0
 *	foreign-probe obstacles		prints a sentence a line
 */
#include "fw/foreign.h"

#include <string.h>

static void show(void *arg, const char *sentence)
{
	(void)arg;
	puts(sentence);
}

int main(int argc, char **argv)
{
	bool admit = argc > 1 && !strcmp(argv[1], "admit");
	FL_AUTOFW struct fl_fw *fw = NULL;
	struct fl_error err = { 0 };
	int r = fl_fw_open(&fw, &err);

	if (!r)
		r = admit ? fl_fw_admit_foreign_forward(fw, &err)
			  : fl_fw_foreign_obstacles(fw, show, NULL, &err);
	if (r < 0)
		fprintf(stderr, "%d %s\n", err.code, err.text);
	else if (admit)
		printf("%d\n", r);
	return r < 0;
}
