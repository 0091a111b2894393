/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Building messages. */
#include "dhcp/wire6.h"

#include <string.h>

bool fl_dhcp6_duid_eq(const struct fl_dhcp6_duid *a, const struct fl_dhcp6_duid *b)
{
	return a->len == b->len && !memcmp(a->b, b->b, a->len);
}

/* ---- identity ---- */

/* FNV-1a */
static uint32_t hash32(const char *s)
{
	uint32_t h = 0x811c9dc5u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x01000193u;
	return h;
}

static void hash128(const char *s, uint8_t *to)
{
	unsigned __int128 h = (unsigned __int128)0x6c62272e07bb0142u << 64 | 0x62b821756295c58du;
	const unsigned __int128 prime = (unsigned __int128)1 << 88 | 0x13b;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * prime;
	for (int i = 15; i >= 0; i--, h >>= 8)
		to[i] = (uint8_t)h;
}

void fl_dhcp6_ident_make(const char *client, const char *ifname, struct fl_dhcp6_ident *ret)
{
	struct fl_dhcp6_duid duid = { .b = { 0, 4 /* DUID-UUID */ }, .len = 18 };
	uint8_t *uuid = duid.b + 2;

	hash128(client, uuid);
	/* version 8: bits of our own making (RFC 9562, 5.8) */
	uuid[6] = (uint8_t)(0x80 | (uuid[6] & 0x0f));
	uuid[8] = (uint8_t)(0x80 | (uuid[8] & 0x3f));
	*ret = (struct fl_dhcp6_ident){ .duid = duid, .iaid = hash32(ifname) };
}

/* ---- messages ---- */

/*
 * Everything that is ever put has a bound, and their sum is less than FL_DHCP6_MSG_MAX: header 4,
 * two DUIDs of 134, IA_NA with an address 44, the rest below 100.
 */
struct out {
	uint8_t *b;
	size_t len;
};

static void put(struct out *o, const void *data, size_t n)
{
	memcpy(o->b + o->len, data, n);
	o->len += n;
}

static void put16(struct out *o, size_t v)
{
	put(o, (uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

static void put32(struct out *o, uint32_t v)
{
	put16(o, v >> 16);
	put16(o, v & 0xffff);
}

static void put_option(struct out *o, uint16_t code, const void *data, size_t n)
{
	put16(o, code);
	put16(o, n);
	put(o, data, n);
}

static const struct {
	bool server, wishes;
} kinds[] = {
	[FL_DHCP6_SOLICIT] = { .wishes = true },
	[FL_DHCP6_REQUEST] = { .server = true, .wishes = true },
	[FL_DHCP6_RENEW] = { .server = true, .wishes = true },
	[FL_DHCP6_REBIND] = { .wishes = true },
	[FL_DHCP6_RELEASE] = { .server = true },
	[FL_DHCP6_DECLINE] = { .server = true },
};

/* Times of 0: the client has no wish (RFC 8415, 21.4 and 21.6). */
static void put_ia(struct out *o, uint32_t iaid, const struct fl_addr *a)
{
	static const uint8_t times[8];
	bool has = fl_addr_is_set(a);

	put16(o, FL_DHCP6_OPT_IA_NA);
	put16(o, has ? 12 + 4 + 24 : 12);
	put32(o, iaid);
	put(o, times, sizeof(times));
	if (!has)
		return;
	put16(o, FL_DHCP6_OPT_ADDRESS);
	put16(o, 24);
	put(o, a->b, 16);
	put(o, times, sizeof(times));
}

/* S: the server is asked to update the DNS; one label without a root is a partial name (RFC 4704,
 * 4.1 and 4.2). */
static void put_hostname(struct out *o, const char *name)
{
	size_t n = strlen(name);

	if (!n)
		return;
	put16(o, FL_DHCP6_OPT_FQDN);
	put16(o, 2 + n);
	put(o, (uint8_t[]){ 1, (uint8_t)n }, 2);
	put(o, name, n);
}

size_t fl_dhcp6_build(const struct fl_dhcp6_ident *id, const struct fl_dhcp6_spec *spec,
		      uint8_t *buf)
{
	static const uint8_t wishes[] = { 0, FL_DHCP6_OPT_DNS,	     0, FL_DHCP6_OPT_SEARCH,
					  0, FL_DHCP6_OPT_SOL_MAX_RT };
	struct out o = { .b = buf };

	put32(&o, (uint32_t)spec->type << 24 | (spec->xid & 0xffffff));
	put_option(&o, FL_DHCP6_OPT_CLIENT_ID, id->duid.b, id->duid.len);
	if (kinds[spec->type].server)
		put_option(&o, FL_DHCP6_OPT_SERVER_ID, spec->server.b, spec->server.len);
	put16(&o, FL_DHCP6_OPT_ELAPSED);
	put16(&o, 2);
	put16(&o, spec->elapsed);
	put_ia(&o, id->iaid, &spec->address);
	if (kinds[spec->type].wishes) {
		put_option(&o, FL_DHCP6_OPT_REQUEST, wishes, sizeof(wishes));
		put_hostname(&o, id->hostname);
	}
	return o.len;
}
