/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Offsets in a DHCP message (RFC 2131, figure 1). Private to the wire files. */
#pragma once

#include <stdint.h>

enum {
	BOOTP_OP = 0,
	BOOTP_HTYPE = 1,
	BOOTP_HLEN = 2,
	BOOTP_XID = 4,
	BOOTP_SECS = 8,
	BOOTP_FLAGS = 10,
	BOOTP_CIADDR = 12,
	BOOTP_YIADDR = 16,
	BOOTP_CHADDR = 28,
	BOOTP_SNAME = 44,
	BOOTP_FILE = 108,
	BOOTP_COOKIE = 236,
	BOOTP_OPTIONS = 240,
	BOOTP_MIN = 300,
};

enum { BOOTREQUEST = 1, BOOTREPLY = 2 };

static const uint8_t dhcp_cookie[4] = { 99, 130, 83, 99 };
