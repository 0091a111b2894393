/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading servers' messages: nothing in them is trusted. */
#include "dhcp/names.h"
#include "dhcp/wire6.h"

#include <errno.h>
#include <string.h>

enum { HEADER = 4, OPTION = 4, IA_FIXED = 12, ADDRESS_FIXED = 24 };

struct option {
	uint16_t code;
	const uint8_t *b;
	size_t n;
};

static uint16_t load16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

static uint32_t load32(const uint8_t *b)
{
	return (uint32_t)load16(b) << 16 | load16(b + 2);
}

/* The option at *pos, which moves behind it. false: the end, or one that is cut. */
static bool next(const uint8_t *b, size_t n, size_t *pos, struct option *ret)
{
	if (n - *pos < OPTION)
		return false;
	*ret = (struct option){ load16(b + *pos), b + *pos + OPTION, load16(b + *pos + 2) };
	if (ret->n > n - *pos - OPTION)
		return false;
	*pos += OPTION + ret->n;
	return true;
}

/* Every option up to the last byte is whole. */
static bool whole(const uint8_t *b, size_t n)
{
	struct option o;
	size_t pos = 0;

	while (next(b, n, &pos, &o))
		;
	return pos == n;
}

static void take_duid(const struct option *o, struct fl_dhcp6_duid *to)
{
	/* One that is too long is nobody's: it equals none. */
	if (to->len || o->n > FL_DHCP6_DUID_MAX)
		return;
	to->len = (uint8_t)o->n;
	memcpy(to->b, o->b, o->n);
}

static uint16_t take_status(const struct option *o, struct fl_dhcp6_reply *r)
{
	uint16_t code = o->n >= 2 ? load16(o->b) : FL_DHCP6_UNSPEC_FAIL;
	size_t i;

	if (!code || *r->message)
		return code;
	for (i = 0; i + 2 < o->n && i + 1 < sizeof(r->message); i++)
		r->message[i] = o->b[i + 2] >= ' ' && o->b[i + 2] < 127 ? (char)o->b[i + 2] : '?';
	r->message[i] = '\0';
	return code;
}

static bool usable(const struct fl_addr *a)
{
	return !fl_addr_is_any(a) && !fl_addr_is_loopback(a) && !fl_addr_is_multicast(a) &&
	       !fl_addr_is_linklocal(a) && !fl_addr_is_v4mapped(a);
}

static void take_address(const struct option *in, struct fl_dhcp6_reply *r)
{
	struct fl_dhcp6_address a = { 0 };
	struct option o;
	size_t pos = 0;

	if (in->n < ADDRESS_FIXED || r->n_addresses == FL_DHCP_LIST_MAX)
		return;
	a.addr = fl_addr_make(AF_INET6, in->b);
	a.preferred = load32(in->b + 16);
	a.valid = load32(in->b + 20);
	while (next(in->b + ADDRESS_FIXED, in->n - ADDRESS_FIXED, &pos, &o))
		if (o.code == FL_DHCP6_OPT_STATUS && take_status(&o, r))
			return;
	if (usable(&a.addr) && a.preferred <= a.valid)
		r->addresses[r->n_addresses++] = a;
}

/* One whose times contradict each other does not count (RFC 8415, 21.4). */
static void take_ia(const struct option *in, uint32_t iaid, struct fl_dhcp6_reply *r)
{
	struct option o;
	size_t pos = 0;

	if (r->has_ia || in->n < IA_FIXED || load32(in->b) != iaid)
		return;
	r->t1 = load32(in->b + 4);
	r->t2 = load32(in->b + 8);
	if (r->t1 > r->t2 && r->t2) {
		r->t1 = r->t2 = 0;
		return;
	}
	r->has_ia = true;
	while (next(in->b + IA_FIXED, in->n - IA_FIXED, &pos, &o)) {
		if (o.code == FL_DHCP6_OPT_STATUS)
			r->ia_status = take_status(&o, r);
		else if (o.code == FL_DHCP6_OPT_ADDRESS)
			take_address(&o, r);
	}
}

/* A link-local one is of no use in resolv.conf without its interface. */
static void take_dns(const struct option *o, struct fl_dhcp6_reply *r)
{
	for (size_t i = 0; i + 16 <= o->n && r->n_dns < FL_DHCP_LIST_MAX; i += 16) {
		struct fl_addr a = fl_addr_make(AF_INET6, o->b + i);

		if (!fl_addr_is_any(&a) && !fl_addr_is_multicast(&a) && !fl_addr_is_linklocal(&a))
			r->dns[r->n_dns++] = a;
	}
}

static void take_sol_max_rt(const struct option *o, struct fl_dhcp6_reply *r)
{
	uint32_t v = o->n == 4 ? load32(o->b) : 0;

	if (v >= FL_DHCP6_SOL_MAX_RT_LEAST && v <= FL_DHCP6_SOL_MAX_RT_MOST)
		r->sol_max_rt = v;
}

static void take(const struct option *o, uint32_t iaid, struct fl_dhcp6_reply *r)
{
	switch (o->code) {
	case FL_DHCP6_OPT_CLIENT_ID:
		take_duid(o, &r->client);
		break;
	case FL_DHCP6_OPT_SERVER_ID:
		take_duid(o, &r->server);
		break;
	case FL_DHCP6_OPT_IA_NA:
		take_ia(o, iaid, r);
		break;
	case FL_DHCP6_OPT_PREFERENCE:
		r->preference = o->n == 1 ? o->b[0] : 0;
		break;
	case FL_DHCP6_OPT_STATUS:
		r->status = take_status(o, r);
		break;
	case FL_DHCP6_OPT_SOL_MAX_RT:
		take_sol_max_rt(o, r);
		break;
	case FL_DHCP6_OPT_DNS:
		take_dns(o, r);
		break;
	case FL_DHCP6_OPT_SEARCH:
		if (!r->n_search)
			r->n_search = fl_dhcp_names(o->b, o->n, r->search);
		break;
	default:
		break;
	}
}

int fl_dhcp6_parse(const uint8_t *msg, size_t len, uint32_t iaid, struct fl_dhcp6_reply *ret)
{
	struct fl_dhcp6_reply r = { 0 };
	struct option o;
	size_t pos = 0;

	if (len < HEADER || len > FL_DHCP_INPUT_MAX ||
	    (msg[0] != FL_DHCP6_ADVERTISE && msg[0] != FL_DHCP6_REPLY) ||
	    !whole(msg + HEADER, len - HEADER))
		return -EBADMSG;
	r.type = (enum fl_dhcp6_type)msg[0];
	r.xid = load32(msg) & 0xffffff;
	while (next(msg + HEADER, len - HEADER, &pos, &o))
		take(&o, iaid, &r);
	*ret = r;
	return 0;
}

const struct fl_dhcp6_address *fl_dhcp6_best(const struct fl_dhcp6_reply *r)
{
	const struct fl_dhcp6_address *best = NULL;

	for (size_t i = 0; i < r->n_addresses; i++) {
		const struct fl_dhcp6_address *a = &r->addresses[i];

		if (a->valid && (!best || (!best->preferred && a->preferred)))
			best = a;
	}
	return best;
}
