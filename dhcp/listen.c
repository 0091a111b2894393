/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/daemon.h"

#include "base/service.h"

#include <sys/socket.h>

int open_listener(const struct daemon *d, bool *ret_own, struct fl_error *err)
{
	*ret_own = !fl_passed_sockets();
	return *ret_own ? fl_listen_at(d->socket_path, SOCK_STREAM, "--socket", err)
			: FL_PASSED_FIRST;
}
