/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fairlead-firewalld: what the firewall plugin executes where a system bus is there. A program of
 *its own, so that no plugin is linked with D-Bus (docs/decisions/0007).
 *
 *	fairlead-firewalld running
 *	fairlead-firewalld add|remove|has ZONE ADDRESS...
 *
 * Prints 1, or 0: firewalld does not run, or (has) the zone lacks an address. On failure the
 * error's number and text, exit status 1; with has and 0 the same behind the 0.
 */
#include "bus.h"

#include <string.h>

#define ADDRESSES 64

static int run(int argc, char **argv, struct fl_error *err)
{
	struct fl_prefix addrs[ADDRESSES];
	FL_AUTOFIREWALLD struct fl_firewalld *f = NULL;
	const char *what = argc > 1 ? argv[1] : "";
	size_t n = 0;
	int r;

	if (!strcmp(what, "running"))
		return fl_firewalld_running(err);
	for (int i = 3; i < argc && n < ADDRESSES; i++)
		if (fl_prefix_parse_lenient(argv[i], &addrs[n++]))
			return fl_error_set(err, -1, FL_ECODE_CONFIG, "no address: %s", argv[i]);
	r = argc < 3 ? -1 : fl_firewalld_open(&f, err);
	if (r != 1)
		return r;
	if (!strcmp(what, "has"))
		return fl_firewalld_has_sources(f, argv[2], addrs, n, err);
	r = !strcmp(what, "add") ? fl_firewalld_add_sources(f, argv[2], addrs, n, err)
				 : fl_firewalld_remove_sources(f, argv[2], addrs, n, err);
	return r ? r : 1;
}

int main(int argc, char **argv)
{
	struct fl_error err = { 0 };
	int r = run(argc, argv, &err);

	if (r < 0)
		printf("%d %s\n", err.code, err.text);
	else
		printf("%d%s%s\n", r, *err.text ? " " : "", err.text);
	return r < 0;
}
