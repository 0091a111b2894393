/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ask.h"

#include "base/strbuf.h"
#include "plugin/execute.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PROGRAM "fairlead-firewalld"
#define BUS "/run/dbus/system_bus_socket"

static bool has_bus(void)
{
	const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");

	return (address && *address) || !access(BUS, F_OK);
}

/* "CODE TEXT" or "0|1 TEXT" */
static int read_answer(const char *text, int status, struct fl_error *err)
{
	char *rest;
	long n = strtol(text, &rest, 10);

	if (rest == text || !WIFEXITED(status))
		return fl_error_set(err, EIO, FL_ECODE_IO, PROGRAM " ended without an answer");
	rest += *rest == ' ';
	rest[strcspn(rest, "\n")] = '\0';
	if (WEXITSTATUS(status))
		return fl_error_set(err, EIO, (enum fl_ecode)n, "%s", rest);
	if (!n && *rest)
		fl_error_set(err, EUCLEAN, FL_ECODE_CHECK, "%s", rest);
	return n != 0;
}

int firewall_ask(const char *verb, const char *zone, const struct fl_endpoint *ep,
		 struct fl_error *err)
{
	FL_AUTOSTRBUF struct fl_strbuf out = { 0 };
	char file[4096], addrs[FL_ENDPOINT_ADDRS][FL_ADDR_STR];
	const char *argv[FL_ENDPOINT_ADDRS + 4] = { file, verb, zone };
	struct fl_error quiet = { 0 };
	int r, status = 0;

	if (!has_bus())
		return 0;
	for (uint32_t i = 0; zone && i < ep->n_addrs; i++)
		argv[3 + i] = fl_addr_str(&ep->addrs[i].addr, addrs[i]);
	fl_libexec_path(PROGRAM, file, sizeof(file));
	r = fl_execute(argv, NULL, "", &out, &status, &quiet);
	if (r == -ENOENT)
		return 0;
	if (r && err)
		*err = quiet;
	return r ? r : read_answer(out.s ? out.s : "", status, err);
}
