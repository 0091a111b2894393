/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Building messages, and the headers below them. */
#include "dhcp/wire.h"

#include "dhcp/layout.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* A cursor that remembers that something did not fit. */
struct out {
	uint8_t *b;
	size_t len;
	bool full;
};

static void put(struct out *o, const void *data, size_t n)
{
	if (o->full || n > FL_DHCP_MSG_MAX - o->len) {
		o->full = true;
		return;
	}
	memcpy(o->b + o->len, data, n);
	o->len += n;
}

static void put_option(struct out *o, uint8_t code, const void *data, uint8_t n)
{
	put(o, (uint8_t[]){ code, n }, 2);
	put(o, data, n);
}

static void put_addr(struct out *o, uint8_t code, const struct fl_addr *a)
{
	if (fl_addr_is_set(a))
		put_option(o, code, a->b, 4);
}

static const struct {
	enum fl_dhcp_type type;
	bool ciaddr, requested, server; /* where the address goes, whether option 54 is in it */
	bool wishes; /* parameter list, maximum size and the caller's own options */
} kinds[] = {
	[FL_DHCP_SEND_DISCOVER] = { FL_DHCP_DISCOVER, .requested = true, .wishes = true },
	[FL_DHCP_SEND_SELECT] = { FL_DHCP_REQUEST, .requested = true, .server = true,
				  .wishes = true },
	[FL_DHCP_SEND_REBOOT] = { FL_DHCP_REQUEST, .requested = true, .wishes = true },
	[FL_DHCP_SEND_RENEW] = { FL_DHCP_REQUEST, .ciaddr = true, .wishes = true },
	[FL_DHCP_SEND_REBIND] = { FL_DHCP_REQUEST, .ciaddr = true, .wishes = true },
	[FL_DHCP_SEND_DECLINE] = { FL_DHCP_DECLINE, .requested = true, .server = true },
	[FL_DHCP_SEND_RELEASE] = { FL_DHCP_RELEASE, .ciaddr = true, .server = true },
};

static void put_header(struct out *o, const struct fl_dhcp_ident *id,
		       const struct fl_dhcp_spec *spec)
{
	uint8_t *b = o->b;

	memset(b, 0, BOOTP_OPTIONS);
	b[BOOTP_OP] = BOOTREQUEST;
	b[BOOTP_HTYPE] = 1; /* Ethernet */
	b[BOOTP_HLEN] = 6;
	memcpy(b + BOOTP_XID, &(uint32_t){ htonl(spec->xid) }, 4);
	memcpy(b + BOOTP_SECS, &(uint16_t){ htons(spec->secs) }, 2);
	/* A held address can be answered by unicast: the flag is for those without one. */
	if (id->broadcast && !kinds[spec->kind].ciaddr)
		b[BOOTP_FLAGS] = 0x80;
	if (kinds[spec->kind].ciaddr)
		memcpy(b + BOOTP_CIADDR, spec->address.b, 4);
	memcpy(b + BOOTP_CHADDR, id->mac.b, 6);
	memcpy(b + BOOTP_COOKIE, dhcp_cookie, 4);
	o->len = BOOTP_OPTIONS;
}

static void put_wishes(struct out *o, const struct fl_dhcp_ident *id,
		       const struct fl_dhcp_spec *spec)
{
	uint16_t size = htons(spec->max_size);

	if (spec->max_size)
		put_option(o, FL_DHCP_OPT_MAX_SIZE, &size, 2);
	if (id->n_params)
		put_option(o, FL_DHCP_OPT_PARAMS, id->params, id->n_params);
	for (size_t i = 0; i < id->n_extra; i++)
		put_option(o, id->extra[i].code, id->extra[i].data, id->extra[i].len);
}

int fl_dhcp_build(const struct fl_dhcp_ident *id, const struct fl_dhcp_spec *spec, uint8_t *buf,
		  size_t *ret_len, struct fl_error *err)
{
	struct out o = { .b = buf };

	put_header(&o, id, spec);
	put_option(&o, FL_DHCP_OPT_TYPE, &(uint8_t){ kinds[spec->kind].type }, 1);
	if (id->client_id_len)
		put_option(&o, FL_DHCP_OPT_CLIENT_ID, id->client_id, id->client_id_len);
	if (kinds[spec->kind].requested)
		put_addr(&o, FL_DHCP_OPT_REQUESTED, &spec->address);
	if (kinds[spec->kind].server)
		put_addr(&o, FL_DHCP_OPT_SERVER, &spec->server);
	if (kinds[spec->kind].wishes)
		put_wishes(&o, id, spec);
	put(&o, &(uint8_t){ FL_DHCP_OPT_END }, 1);
	if (o.full)
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
				    "dhcp: the options of ipam.provide do not fit into a message "
				    "of %d bytes: give fewer or shorter ones",
				    FL_DHCP_MSG_MAX);
	if (o.len < BOOTP_MIN)
		memset(buf + o.len, 0, BOOTP_MIN - o.len);
	*ret_len = o.len < BOOTP_MIN ? BOOTP_MIN : o.len;
	return 0;
}

/* ---- IPv4 and UDP ---- */

enum { IP_LEN = 20, UDP_LEN = 8, TTL = 64 };

static uint32_t sum(uint32_t s, const uint8_t *b, size_t n)
{
	for (; n > 1; b += 2, n -= 2)
		s += (uint32_t)b[0] << 8 | b[1];
	return n ? s + ((uint32_t)b[0] << 8) : s;
}

static uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

static void store16(uint8_t *b, size_t v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

/* Over pseudo header and datagram: 0 when the checksum in it is right. */
static uint16_t udp_sum(const uint8_t *ip, const uint8_t *udp, size_t len)
{
	return fold(sum(sum((uint32_t)(IPPROTO_UDP + len), ip + 12, 8), udp, len));
}

size_t fl_dhcp_frame(const struct fl_addr *src, const struct fl_addr *dst, const uint8_t *msg,
		     size_t len, uint8_t *buf)
{
	uint8_t *udp = buf + IP_LEN;
	uint16_t check;

	memset(buf, 0, IP_LEN + UDP_LEN);
	buf[0] = 0x45;
	store16(buf + 2, IP_LEN + UDP_LEN + len);
	buf[8] = TTL;
	buf[9] = IPPROTO_UDP;
	memcpy(buf + 12, src->b, 4);
	memcpy(buf + 16, dst->b, 4);
	store16(buf + 10, fold(sum(0, buf, IP_LEN)));
	store16(udp, FL_DHCP_CLIENT_PORT);
	store16(udp + 2, FL_DHCP_SERVER_PORT);
	store16(udp + 4, UDP_LEN + len);
	memcpy(udp + UDP_LEN, msg, len);
	check = udp_sum(buf, udp, UDP_LEN + len);
	store16(udp + 6, check ? check : 0xffff); /* 0 means "none" */
	return IP_LEN + UDP_LEN + len;
}

static size_t load16(const uint8_t *b)
{
	return (size_t)b[0] << 8 | b[1];
}

bool fl_dhcp_unframe(const uint8_t *packet, size_t len, bool unsummed, const uint8_t **ret_msg,
		     size_t *ret_len)
{
	size_t head = len >= IP_LEN ? (size_t)(packet[0] & 15) * 4 : 0, total, size;
	const uint8_t *udp;

	if (head < IP_LEN || packet[0] >> 4 != 4)
		return false;
	total = load16(packet + 2);
	if (total > len || total < head + UDP_LEN || packet[9] != IPPROTO_UDP)
		return false;
	if (load16(packet + 6) & 0x3fff || fold(sum(0, packet, head)))
		return false;
	udp = packet + head;
	size = load16(udp + 4);
	if (size < UDP_LEN || size > total - head || load16(udp + 2) != FL_DHCP_CLIENT_PORT)
		return false;
	if (!unsummed && load16(udp + 6) && udp_sum(packet, udp, size))
		return false;
	*ret_msg = udp + UDP_LEN;
	*ret_len = size - UDP_LEN;
	return true;
}

const struct sock_filter fl_dhcp_filter[FL_DHCP_FILTER_LEN] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), /* protocol */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 8),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6), /* more fragments, offset */
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 6, 0),
	BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* length of the header */
	BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),	/* destination port */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FL_DHCP_CLIENT_PORT, 0, 3),
	BPF_STMT(BPF_LD | BPF_B | BPF_IND, UDP_LEN + BOOTP_OP),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BOOTREPLY, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	BPF_STMT(BPF_RET | BPF_K, 0),
};
