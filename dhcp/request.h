/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking fairlead-dhcpd: one JSON object there, one back (their members: dhcp/options.h and
 * docs in dhcp/daemon.h), each ended by a newline, one pair a connection.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"

#define FL_DHCP_SOCKET "/run/fairlead/dhcp.sock"
#define FL_DHCP_JSON_MAX (1 << 20) /* bytes of a request or an answer */

/*
 * Calls the daemon at `socket_path` (NULL: FL_DHCP_SOCKET) and waits at most timeout_ms in all for
 * its answer; for an ADD that is to be longer than the request's own `timeout`. *ret is the
 * answer's object, owned by the caller. An error object in the answer becomes `err` with its code
 * and text, -EREMOTEIO. Without a daemon: FL_ECODE_NOT_AVAILABLE, and the text says how to start
 * one. No answer in time: -ETIMEDOUT, FL_ECODE_TRY_AGAIN.
 */
int fl_dhcp_call(const char *socket_path, const json_t *request, int timeout_ms, json_t **ret,
		 struct fl_error *err);
