/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domain names in options of both families. Pure. They end up in resolv.conf: only host names pass.
 */
#pragma once

#include "dhcp/wire.h"

/* Labels of 1 to 63 letters, digits, '-' and '_', 253 bytes in all; cuts off the final dot. */
bool fl_dhcp_name_valid(char *s);
/*
 * The names of RFC 1035, section 4.1.4 that fill `b`, up to FL_DHCP_LIST_MAX, those that are no
 * host names left out. Returns how many are in `to`; what follows a malformed one is not looked at.
 */
size_t fl_dhcp_names(const uint8_t *b, size_t n, char to[][256]);
