/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading servers' messages: nothing in them is trusted. */
#include "dhcp/wire.h"

#include "base/cleanup.h"
#include "dhcp/layout.h"
#include "dhcp/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* The fields that hold options, in the order in which RFC 3396, section 5 joins them. */
struct fields {
	struct {
		const uint8_t *b;
		size_t n;
	} part[3];
	size_t n;
};

/*
 * Appends every piece of the option to `to`. Returns the bytes there, -1 when the option is absent,
 * -2 when an option reaches beyond its field.
 */
static int collect_part(const uint8_t *b, size_t n, uint8_t code, uint8_t *to, int have)
{
	for (size_t i = 0; i < n && b[i] != FL_DHCP_OPT_END;) {
		size_t len;

		if (b[i] == FL_DHCP_OPT_PAD) {
			i++;
			continue;
		}
		if (i + 1 >= n || b[i + 1] > n - i - 2)
			return -2;
		len = b[i + 1];
		if (b[i] == code) {
			have = have < 0 ? 0 : have;
			memcpy(to + have, b + i + 2, len);
			have += (int)len;
		}
		i += 2 + len;
	}
	return have;
}

/* `to` has FL_DHCP_INPUT_MAX bytes: no message has more. */
static int collect(const struct fields *f, uint8_t code, uint8_t *to)
{
	int have = -1;

	for (size_t i = 0; i < f->n && have >= -1; i++)
		have = collect_part(f->part[i].b, f->part[i].n, code, to, have);
	return have;
}

static uint32_t number(const struct fields *f, uint8_t code, int width)
{
	uint8_t b[FL_DHCP_INPUT_MAX];
	uint32_t v = 0;

	if (collect(f, code, b) < width)
		return 0;
	for (int i = 0; i < width; i++)
		v = v << 8 | b[i];
	return v;
}

static size_t addresses(const struct fields *f, uint8_t code, struct fl_addr *to)
{
	uint8_t b[FL_DHCP_INPUT_MAX];
	int n = collect(f, code, b);
	size_t have = 0;

	for (int i = 0; i + 4 <= n && have < FL_DHCP_LIST_MAX; i += 4) {
		to[have] = fl_addr_make(AF_INET, b + i);
		if (!fl_addr_is_any(&to[have]))
			have++;
	}
	return have;
}

/* ---- names ---- */

static void text(const struct fields *f, uint8_t code, char *to, size_t size)
{
	uint8_t b[FL_DHCP_INPUT_MAX];
	int n = collect(f, code, b);
	size_t i;

	for (i = 0; (int)i < n && i + 1 < size && b[i]; i++)
		to[i] = b[i] >= ' ' && b[i] < 127 ? (char)b[i] : '?';
	to[i] = '\0';
}

static size_t search_list(const struct fields *f, char to[][256])
{
	uint8_t b[FL_DHCP_INPUT_MAX];
	int n = collect(f, FL_DHCP_OPT_SEARCH, b);

	return n > 0 ? fl_dhcp_names(b, (size_t)n, to) : 0;
}

/* ---- routes ---- */

static void add_route(struct fl_dhcp_reply *r, const uint8_t *dst, uint8_t len, const uint8_t *gw)
{
	struct fl_dhcp_route *to = &r->routes[r->n_routes];
	struct fl_addr via = fl_addr_make(AF_INET, gw);
	struct fl_prefix p = { fl_addr_make(AF_INET, dst), len };

	if (r->n_routes == FL_DHCP_ROUTES_MAX)
		return;
	to->dst = fl_prefix_masked(&p);
	to->gw = fl_addr_is_any(&via) ? (struct fl_addr){ 0 } : via;
	if (!len && !fl_addr_is_set(&r->gateway))
		r->gateway = to->gw;
	r->n_routes++;
}

/* RFC 3442: width, as many bytes as it needs, router. false: absent or malformed. */
static bool classless_routes(const struct fields *f, struct fl_dhcp_reply *r)
{
	uint8_t b[FL_DHCP_INPUT_MAX], dst[4];
	int n = collect(f, FL_DHCP_OPT_ROUTES, b), bytes;

	for (int i = 0; i < n; i += 1 + bytes + 4) {
		bytes = (b[i] + 7) / 8;
		if (b[i] > 32 || i + 1 + bytes + 4 > n) {
			r->n_routes = 0;
			r->gateway = (struct fl_addr){ 0 };
			return false;
		}
		memset(dst, 0, sizeof(dst));
		memcpy(dst, b + i + 1, (size_t)bytes);
		add_route(r, dst, b[i], b + i + 1 + bytes);
	}
	return n > 0;
}

static uint8_t class_length(const uint8_t *addr)
{
	return addr[0] < 128 ? 8 : addr[0] < 192 ? 16 : 24;
}

/* RFC 3442: with option 121 the routers of options 3 and 33 do not count. */
static void take_routes(const struct fields *f, struct fl_dhcp_reply *r)
{
	uint8_t b[FL_DHCP_INPUT_MAX];
	static const uint8_t any[4];
	int n;

	r->n_routers = addresses(f, FL_DHCP_OPT_ROUTERS, r->routers);
	if (classless_routes(f, r))
		return;
	n = collect(f, FL_DHCP_OPT_STATIC_ROUTES, b);
	for (int i = 0; i + 8 <= n; i += 8)
		if (memcmp(b + i, any, 4)) /* RFC 2132, 5.8: no default route there */
			add_route(r, b + i, class_length(b + i), b + i + 4);
	if (r->n_routers)
		add_route(r, any, 0, r->routers[0].b);
}

/* ---- the message ---- */

static void take_address(const uint8_t *msg, const struct fields *f, struct fl_dhcp_reply *r)
{
	struct fl_addr a = fl_addr_make(AF_INET, msg + BOOTP_YIADDR);
	uint32_t mask = number(f, FL_DHCP_OPT_MASK, 4), host = ~mask;

	/* class E and the limited broadcast address are nobody's */
	if (fl_addr_is_any(&a) || fl_addr_is_loopback(&a) || a.b[0] >= 224)
		return;
	r->ip.addr = a;
	r->ip.len = class_length(a.b);
	if (mask && !(host & (host + 1)))
		r->ip.len = (uint8_t)__builtin_popcount(mask);
}

static void take_client_id(const struct fields *f, struct fl_dhcp_reply *r)
{
	uint8_t b[FL_DHCP_INPUT_MAX];
	int n = collect(f, FL_DHCP_OPT_CLIENT_ID, b);

	r->has_client_id = n >= 0;
	if (n < 0)
		return;
	/* One that is too long is not ours: a length that never matches. */
	r->client_id_len = n > 255 ? 0 : (uint8_t)n;
	memcpy(r->client_id, b, r->client_id_len);
}

static void take_options(const struct fields *f, struct fl_dhcp_reply *r)
{
	struct fl_addr server[FL_DHCP_LIST_MAX];
	uint32_t mtu = number(f, FL_DHCP_OPT_MTU, 2);

	if (addresses(f, FL_DHCP_OPT_SERVER, server))
		r->server = server[0];
	r->lease = number(f, FL_DHCP_OPT_LEASE, 4);
	r->t1 = number(f, FL_DHCP_OPT_T1, 4);
	r->t2 = number(f, FL_DHCP_OPT_T2, 4);
	r->mtu = mtu >= 68 ? (uint16_t)mtu : 0; /* RFC 2132, 5.1 */
	r->n_dns = addresses(f, FL_DHCP_OPT_DNS, r->dns);
	text(f, FL_DHCP_OPT_DOMAIN, r->domain, sizeof(r->domain));
	if (!fl_dhcp_name_valid(r->domain))
		r->domain[0] = '\0';
	r->n_search = search_list(f, r->search);
	text(f, FL_DHCP_OPT_MESSAGE, r->message, sizeof(r->message));
	take_client_id(f, r);
	take_routes(f, r);
}

static bool find_fields(const uint8_t *msg, size_t len, struct fields *f)
{
	uint8_t b[FL_DHCP_INPUT_MAX];
	int n;

	f->part[0].b = msg + BOOTP_OPTIONS;
	f->part[0].n = len - BOOTP_OPTIONS;
	f->n = 1;
	n = collect(f, FL_DHCP_OPT_OVERLOAD, b);
	if (n == -2)
		return false;
	if (n >= 1 && b[0] & 1) {
		f->part[f->n].b = msg + BOOTP_FILE;
		f->part[f->n++].n = BOOTP_COOKIE - BOOTP_FILE;
	}
	if (n >= 1 && b[0] & 2) {
		f->part[f->n].b = msg + BOOTP_SNAME;
		f->part[f->n++].n = BOOTP_FILE - BOOTP_SNAME;
	}
	return collect(f, FL_DHCP_OPT_OVERLOAD, b) != -2;
}

int fl_dhcp_parse(const uint8_t *msg, size_t len, struct fl_dhcp_reply *ret)
{
	struct fl_dhcp_reply r = { 0 };
	struct fields f = { 0 };
	uint32_t xid, type;

	if (len < BOOTP_OPTIONS || len > FL_DHCP_INPUT_MAX || msg[BOOTP_OP] != BOOTREPLY ||
	    msg[BOOTP_HTYPE] != 1 || msg[BOOTP_HLEN] != 6 ||
	    memcmp(msg + BOOTP_COOKIE, dhcp_cookie, 4) || !find_fields(msg, len, &f))
		return -EBADMSG;
	type = number(&f, FL_DHCP_OPT_TYPE, 1);
	if (type != FL_DHCP_OFFER && type != FL_DHCP_ACK && type != FL_DHCP_NAK)
		return -EBADMSG;
	r.type = (enum fl_dhcp_type)type;
	memcpy(&xid, msg + BOOTP_XID, 4);
	r.xid = ntohl(xid);
	memcpy(r.mac.b, msg + BOOTP_CHADDR, 6);
	take_address(msg, &f, &r);
	take_options(&f, &r);
	*ret = r;
	return 0;
}
