/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/lines.h"

#include "base/cleanup.h"
#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { PACKET_MAX = 1 << 20 };

static int take_whole(struct fl_strbuf *b, int (*take)(void *arg, const json_t *line), void *arg)
{
	char *at = b->s, *end;
	int r = 0;

	while (!r && at && (end = memchr(at, '\n', b->len - (size_t)(at - b->s)))) {
		FL_AUTOJSON json_t *line = json_loadb(at, (size_t)(end - at), 0, NULL);

		r = line ? take(arg, line) : 0;
		at = end + 1;
	}
	if (!at)
		return r;
	b->len -= (size_t)(at - b->s);
	memmove(b->s, at, b->len + 1);
	return r;
}

int lines_read(int s, const char *program, int (*take)(void *arg, const json_t *line), void *arg,
	       struct fl_error *err)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	FL_AUTOFREE char *packet = malloc(PACKET_MAX);
	int r = 0;

	while (packet && !r) {
		ssize_t n = recv(s, packet, PACKET_MAX, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno != ECONNRESET
				       ? fl_error_errno(err, errno, FL_ECODE_IO,
							"cannot read from %s", program)
				       : 0;
		fl_strbuf_addn(&b, packet, (size_t)n);
		r = b.failed ? -ENOMEM : take_whole(&b, take, arg);
		fflush(stdout);
	}
	return packet && r != -ENOMEM ? r : fl_error_oom(err);
}
