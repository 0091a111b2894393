/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a DHCPv6 server, or anyone on its link, may send; what is read is then sent back. */
#include "dhcp/wire6.h"

#include <stdlib.h>
#include <string.h>

#define IAID 0x01020304

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct fl_dhcp6_reply *r)
{
	if (r->n_addresses > FL_DHCP_LIST_MAX || r->n_dns > FL_DHCP_LIST_MAX ||
	    r->n_search > FL_DHCP_LIST_MAX || r->server.len > FL_DHCP6_DUID_MAX ||
	    r->client.len > FL_DHCP6_DUID_MAX)
		abort();
	for (size_t i = 0; i < r->n_search; i++)
		if (strpbrk(r->search[i], " \t\r\n#;") || !*r->search[i])
			abort();
	for (size_t i = 0; i < r->n_addresses; i++)
		if (r->addresses[i].preferred > r->addresses[i].valid ||
		    fl_addr_is_multicast(&r->addresses[i].addr))
			abort();
	if (r->t2 && r->t1 > r->t2)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fl_dhcp6_spec spec = { .type = FL_DHCP6_REQUEST };
	uint8_t msg[FL_DHCP6_MSG_MAX];
	struct fl_dhcp6_ident id;
	struct fl_dhcp6_reply r;

	if (fl_dhcp6_parse(data, size, IAID, &r))
		return 0;
	check(&r);
	fl_dhcp6_ident_make("c1/net/eth0", "eth0", &id);
	spec.server = r.server;
	if (fl_dhcp6_best(&r))
		spec.address = fl_dhcp6_best(&r)->addr;
	if (fl_dhcp6_build(&id, &spec, msg) > sizeof(msg))
		abort();
	return 0;
}
