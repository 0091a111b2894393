/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DHCPv4 messages as bytes. Pure: no clock, no socket, no allocation.
 *
 * RFC 2131 (protocol), 2132 (options), 3396 (options of more than 255 bytes), 3397 (domain search),
 * 3442 (classless routes), 6842 (client identifier in replies). Addresses are struct fl_addr of
 * family AF_INET; times are seconds as on the wire, FL_DHCP_FOREVER for an infinite lease.
 */
#pragma once

#include "base/addr.h"
#include "base/error.h"

#include <linux/filter.h>
#include <stdint.h>

#define FL_DHCP_SERVER_PORT 67
#define FL_DHCP_CLIENT_PORT 68
#define FL_DHCP_FOREVER UINT32_MAX
#define FL_DHCP_MSG_MAX 1472   /* built messages: one Ethernet frame without IPv4 and UDP headers */
#define FL_DHCP_FRAME_MAX 1500 /* and with them */
#define FL_DHCP_INPUT_MAX 2048 /* longer packets are not looked at */

#define FL_DHCP_PARAMS_MAX 64
#define FL_DHCP_EXTRA_MAX 16
#define FL_DHCP_LIST_MAX 8 /* routers, name servers, search domains; more are left out */
#define FL_DHCP_ROUTES_MAX 64

/* Option codes (RFC 2132 and as named). */
enum {
	FL_DHCP_OPT_PAD = 0,
	FL_DHCP_OPT_MASK = 1,
	FL_DHCP_OPT_ROUTERS = 3,
	FL_DHCP_OPT_DNS = 6,
	FL_DHCP_OPT_HOSTNAME = 12,
	FL_DHCP_OPT_DOMAIN = 15,
	FL_DHCP_OPT_MTU = 26,
	FL_DHCP_OPT_STATIC_ROUTES = 33,
	FL_DHCP_OPT_REQUESTED = 50,
	FL_DHCP_OPT_LEASE = 51,
	FL_DHCP_OPT_OVERLOAD = 52,
	FL_DHCP_OPT_TYPE = 53,
	FL_DHCP_OPT_SERVER = 54,
	FL_DHCP_OPT_PARAMS = 55,
	FL_DHCP_OPT_MESSAGE = 56,
	FL_DHCP_OPT_MAX_SIZE = 57,
	FL_DHCP_OPT_T1 = 58,
	FL_DHCP_OPT_T2 = 59,
	FL_DHCP_OPT_CLIENT_ID = 61,
	FL_DHCP_OPT_SEARCH = 119, /* RFC 3397 */
	FL_DHCP_OPT_ROUTES = 121, /* RFC 3442 */
	FL_DHCP_OPT_END = 255,
};

enum fl_dhcp_type {
	FL_DHCP_DISCOVER = 1,
	FL_DHCP_OFFER,
	FL_DHCP_REQUEST,
	FL_DHCP_DECLINE,
	FL_DHCP_ACK,
	FL_DHCP_NAK,
	FL_DHCP_RELEASE,
};

/* Messages of a client; a REQUEST differs by the state that sends it (RFC 2131, 4.3.2 and table 5).
 */
enum fl_dhcp_kind {
	FL_DHCP_SEND_DISCOVER,
	FL_DHCP_SEND_SELECT,
	FL_DHCP_SEND_REBOOT,
	FL_DHCP_SEND_RENEW,
	FL_DHCP_SEND_REBIND,
	FL_DHCP_SEND_DECLINE,
	FL_DHCP_SEND_RELEASE,
};

struct fl_dhcp_option {
	uint8_t code, len;
	uint8_t data[255];
};

/* What a client says about itself in every message. */
struct fl_dhcp_ident {
	struct fl_mac mac;
	uint8_t client_id[255];		    /* option 61: type byte and identifier */
	uint8_t client_id_len;		    /* 0: the option is not sent */
	uint8_t params[FL_DHCP_PARAMS_MAX]; /* option 55, in this order */
	uint8_t n_params;
	struct fl_dhcp_option extra[FL_DHCP_EXTRA_MAX]; /* not in DECLINE and RELEASE */
	uint8_t n_extra;
	bool broadcast; /* asks servers to answer by broadcast */
};

struct fl_dhcp_spec {
	enum fl_dhcp_kind kind;
	uint32_t xid;
	uint16_t secs;
	uint16_t max_size;	/* option 57: largest IP packet; 0: not sent */
	struct fl_addr address; /* offered or held; unset in DISCOVER */
	struct fl_addr server;	/* option 54 where the kind has it */
};

/*
 * Writes the message, padded to the 300 bytes of BOOTP (RFC 1542, 2.1), into FL_DHCP_MSG_MAX bytes.
 * -E2BIG (FL_ECODE_CONFIG) when the options do not fit.
 */
int fl_dhcp_build(const struct fl_dhcp_ident *id, const struct fl_dhcp_spec *spec, uint8_t *buf,
		  size_t *ret_len, struct fl_error *err);

struct fl_dhcp_route {
	struct fl_prefix dst; /* masked */
	struct fl_addr gw;    /* unset: on the link (RFC 3442, router 0.0.0.0) */
};

struct fl_dhcp_reply {
	enum fl_dhcp_type type; /* OFFER, ACK or NAK */
	uint32_t xid;
	struct fl_mac mac;	/* chaddr */
	struct fl_prefix ip;	/* yiaddr with option 1, else its class's length; unset: none */
	struct fl_addr server;	/* option 54; unset: none */
	uint32_t lease, t1, t2; /* seconds; 0: absent */
	uint16_t mtu;		/* 0: absent */
	struct fl_addr gateway; /* of the default route among `routes`; unset: none */
	/* Option 121; without it option 33 and a default route to the first of option 3. */
	struct fl_dhcp_route routes[FL_DHCP_ROUTES_MAX];
	struct fl_addr routers[FL_DHCP_LIST_MAX], dns[FL_DHCP_LIST_MAX];
	size_t n_routes, n_routers, n_dns, n_search;
	char domain[256];
	char search[FL_DHCP_LIST_MAX][256];
	char message[256]; /* option 56, printable ASCII */
	uint8_t client_id[255];
	uint8_t client_id_len;
	bool has_client_id;
};

/*
 * Reads a server's message. Names that are no host names are left out: they end up in resolv.conf.
 * -EBADMSG: not a reply, cut, or of another message type.
 */
int fl_dhcp_parse(const uint8_t *msg, size_t len, struct fl_dhcp_reply *ret);

/* ---- IPv4 and UDP around it (RFC 791, 768), for packet sockets ---- */

/* Ports 68 to 67. `buf` has FL_DHCP_FRAME_MAX bytes, msg at most FL_DHCP_MSG_MAX. Returns the
 * length. */
size_t fl_dhcp_frame(const struct fl_addr *src, const struct fl_addr *dst, const uint8_t *msg,
		     size_t len, uint8_t *buf);
/*
 * Checks headers and checksums of a packet for port 68 and finds the message in it. `unsummed`: the
 * kernel says that the UDP checksum was left to hardware (TP_STATUS_CSUMNOTREADY). false: drop it.
 */
bool fl_dhcp_unframe(const uint8_t *packet, size_t len, bool unsummed, const uint8_t **ret_msg,
		     size_t *ret_len);

/* Unfragmented UDP to port 68 that is a BOOTREPLY, on a socket whose packets begin at the IPv4
 * header. */
#define FL_DHCP_FILTER_LEN 11
extern const struct sock_filter fl_dhcp_filter[FL_DHCP_FILTER_LEN];
