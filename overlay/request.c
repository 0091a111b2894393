/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay/request.h"

#include "base/cleanup.h"
#include "base/seqpacket.h"

#include <errno.h>

static const struct fl_asked agent = { "overlay", FL_OVERLAY_PROGRAM,
				       "restart it (the networks stay as they are)",
				       FL_OVERLAY_MAGIC };

/* -ENOENT: nobody listens. */
static int connect_agent(const char *state_dir, struct fl_error *err)
{
	int s = fl_packet_connect_in(state_dir, FL_OVERLAY_SOCKET);

	if (s >= 0)
		return s;
	if (s == -ECONNREFUSED || s == -ENOENT)
		return -ENOENT;
	return fl_error_errno(err, s, FL_ECODE_IO, "overlay: cannot reach %s at %s/%s",
			      agent.program, state_dir, FL_OVERLAY_SOCKET);
}

/* Whoever goes on with a connection has something there that goes with it: no new one will do. */
static int ended(struct fl_error *err)
{
	return fl_error_set(err, ECONNRESET, FL_ECODE_TRY_AGAIN,
			    "overlay: %s ended before it had answered (see the system's log): try "
			    "again",
			    agent.program);
}

static int take_answer(struct fl_overlay_answer *a, struct fl_overlay_answer *ret,
		       struct fl_error *err)
{
	a->text[sizeof(a->text) - 1] = '\0';
	if (ret)
		*ret = *a;
	if (a->result < 0)
		return fl_error_set(err, a->result, (enum fl_ecode)a->code, "%s", a->text);
	return a->result;
}

int fl_overlay_ask(const char *state_dir, int *s, struct fl_overlay_request *q,
		   struct fl_overlay_answer *ret, struct fl_error *err)
{
	FL_AUTOFREE struct fl_overlay_answer *a = calloc(1, sizeof(*a));
	bool fresh = *s < 0;
	int r = a ? fl_folder_identify(state_dir, &q->dev, &q->ino) : -ENOMEM;

	if (r)
		return r == -ENOENT ? r
				    : fl_error_errno(err, r, FL_ECODE_STORE, "state directory %s",
						     state_dir);
	q->magic = FL_OVERLAY_MAGIC;
	if (fresh) {
		r = connect_agent(state_dir, err);
		if (r < 0)
			return r;
		*s = r;
	}
	r = fl_packet_ask(*s, &agent, q, sizeof(*q), -1, a, sizeof(*a), err);
	/* It ended between two callers, or serves another state: as if nobody listened. */
	if (r == -ENOENT || (!r && a->result == -EXDEV)) {
		if (!fresh)
			return ended(err);
		close(fl_take_fd(s));
		return -ENOENT;
	}
	return r ? r : take_answer(a, ret, err);
}

int fl_overlay_send(const char *state_dir, int s, struct fl_overlay_request *q)
{
	int r = fl_folder_identify(state_dir, &q->dev, &q->ino);

	q->magic = FL_OVERLAY_MAGIC;
	return r ? r : fl_packet_send(s, q, sizeof(*q), NULL, 0);
}

int fl_overlay_receive(int s, int sent, struct fl_overlay_answer *ret, struct fl_error *err)
{
	FL_AUTOFREE struct fl_overlay_answer *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return fl_error_oom(err);
	r = fl_packet_answer(s, &agent, sent, a, sizeof(*a), err);
	if (r == -ENOENT || (!r && a->result == -EXDEV))
		return ended(err);
	return r ? r : take_answer(a, ret, err);
}
