/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a DHCP server, or anyone on its link, may send: as a message, and as a packet. */
#include "dhcp/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct fl_dhcp_reply *r)
{
	if (r->n_routes > FL_DHCP_ROUTES_MAX || r->n_dns > FL_DHCP_LIST_MAX ||
	    r->n_routers > FL_DHCP_LIST_MAX || r->n_search > FL_DHCP_LIST_MAX)
		abort();
	for (size_t i = 0; i < r->n_search; i++)
		if (strpbrk(r->search[i], " \t\r\n#;") || !*r->search[i])
			abort();
	for (size_t i = 0; i < r->n_routes; i++)
		if (r->routes[i].dst.len > 32)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fl_dhcp_reply r;
	const uint8_t *msg;
	size_t len;

	if (!fl_dhcp_parse(data, size, &r))
		check(&r);
	if (fl_dhcp_unframe(data, size, true, &msg, &len) && !fl_dhcp_parse(msg, len, &r))
		check(&r);
	return 0;
}
