/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/request.h"

#include "base/cleanup.h"
#include "base/seqpacket.h"
#include "dns/rewrite.h"

#include <errno.h>

static const struct fl_asked daemon_asked = { "dns", FL_DNSD_PROGRAM, "reload it (SIGHUP)",
					      FL_DNSD_MAGIC };

int fl_dnsd_identify(const char *state_dir, struct fl_dnsd_request *q)
{
	q->magic = FL_DNSD_MAGIC;
	return fl_folder_identify(state_dir, &q->dev, &q->ino);
}

int fl_dnsd_connect(const char *state_dir, bool activate)
{
	int s = fl_packet_connect_in(state_dir, FL_DNSD_SOCKET);

	if (activate && (s == -ENOENT || s == -ECONNREFUSED)) {
		int other = fl_packet_connect(FL_DNSD_ACTIVATION);

		s = other < 0 ? s : other;
	}
	return s == -ECONNREFUSED ? -ENOENT : s;
}

int fl_dnsd_exchange(int s, const struct fl_dnsd_request *q, int fd, struct fl_dnsd_answer *ret,
		     struct fl_error *err)
{
	struct fl_dnsd_answer a;
	int r = fl_packet_ask(s, &daemon_asked, q, sizeof(*q), fd, &a, sizeof(a), err);

	/* It ended between two callers, or serves another state: as if nobody listened. */
	if (r || a.result == -EXDEV)
		return r ? r : -ENOENT;
	a.text[sizeof(a.text) - 1] = '\0';
	if (ret)
		*ret = a;
	if (a.result < 0)
		return fl_error_set(err, a.result, (enum fl_ecode)a.code, "%s", a.text);
	return a.result;
}

int fl_dnsd_ask(const char *state_dir, struct fl_dnsd_request *q, int fd, bool activate,
		struct fl_dnsd_answer *ret, struct fl_error *err)
{
	FL_AUTOCLOSE int s = -1;
	int r = fl_dnsd_identify(state_dir, q);

	if (r)
		return r == -ENOENT ? r
				    : fl_error_errno(err, r, FL_ECODE_STORE, "state directory %s",
						     state_dir);
	s = fl_dnsd_connect(state_dir, activate);
	if (s < 0)
		return s == -ENOENT ? s
				    : fl_error_errno(err, s, FL_ECODE_IO,
						     "dns: cannot reach " FL_DNSD_PROGRAM
						     " at %s/" FL_DNSD_SOCKET,
						     state_dir);
	return fl_dnsd_exchange(s, q, fd, ret, err);
}

int fl_dnsd_clear_rules(struct fl_error *err)
{
	return rewrite_remove(err);
}
