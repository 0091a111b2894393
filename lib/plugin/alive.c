/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin/alive.h"

#include "base/strbuf.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int hold(const struct fl_endpoint *ep)
{
	char token[IFNAMSIZ + 16];
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n;

	if (s < 0)
		return -errno;
	if (*ep->link)
		fl_strcpy(token, sizeof(token), ep->link);
	else
		snprintf(token, sizeof(token), "%u/%u", ep->nsid, ep->ifindex);
	n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "fairlead/creating/%s", token);
	if (!bind(s, (struct sockaddr *)&a,
		  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)))
		return s;
	n = -errno;
	close(s);
	return n;
}

void fl_alive_hold(const struct fl_endpoint *ep)
{
	/* Without it a killed ADD is only recognised later, by DEL or GC. */
	(void)hold(ep);
}

bool fl_alive_check(const struct fl_endpoint *ep)
{
	int s = *ep->link || ep->nsid ? hold(ep) : -ENOENT;

	if (s >= 0)
		close(s);
	return s == -EADDRINUSE;
}
