/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One request and the endpoints that it tries.
 *
 *   try_next -> step: [PROBE: GET /version] [LOGIN: waits for login.c] SEND -> on_done -> interpret
 *
 * A round visits every endpoint once. After it another one begins, until the deadline, if one of
 * them may work soon (no leader yet, no answer in time); else the request fails at once.
 */
#include "cluster/client.h"

#include <errno.h>
#include <string.h>

static void step(struct fl_etcd_call *call);

/* ---- life ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg);

int call_new(struct fl_etcd *c, const char *path, fl_etcd_fn done, void *arg,
	     struct fl_etcd_call **ret, struct fl_error *err)
{
	bool urgent = !strcmp(path, LEASE_KEEPALIVE);
	struct fl_etcd_call *call;

	if (c->n_calls >= FL_ETCD_CALLS_MAX && !urgent)
		return fl_error_set(err, EBUSY, FL_ECODE_TRY_AGAIN,
				    "etcd: %d requests are under way; try again later",
				    FL_ETCD_CALLS_MAX);
	call = calloc(1, sizeof(*call));
	if (call)
		call->timer = evtimer_new(c->base, on_timer, call);
	if (!call || !call->timer) {
		free(call);
		return fl_error_oom(err);
	}
	call->c = c;
	call->path = path;
	call->urgent = urgent;
	call->done = done;
	call->arg = arg;
	call->endpoint = -1;
	TAILQ_INSERT_TAIL(&c->calls, call, link);
	c->n_calls++;
	*ret = call;
	return 0;
}

static void wait_ms(struct fl_etcd_call *call, uint64_t ms)
{
	struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

	event_add(call->timer, &tv);
}

int call_start(struct fl_etcd_call *call, struct fl_error *err)
{
	if (call->body.failed) {
		call_free(call);
		return fl_error_oom(err);
	}
	call->deadline = etcd_now() + call->c->total_ms;
	call->last_deadline = etcd_now() + (uint64_t)RANGE_TOTALS * call->c->total_ms;
	call->floor = call->c->revision;
	wait_ms(call, 0);
	return 0;
}

/* The next that waits for a slot, if one is free, goes on; from the loop. */
static void wake_next(struct fl_etcd *c)
{
	struct fl_etcd_call *call;

	if (c->n_active >= ACTIVE_MAX)
		return;
	TAILQ_FOREACH (call, &c->calls, link)
		if (call->waits == WAITS_SLOT) {
			call->waits = WAITS_TURN;
			wait_ms(call, 0);
			return;
		}
}

static void release_slot(struct fl_etcd *c)
{
	c->n_active--;
	wake_next(c);
}

void call_free(struct fl_etcd_call *call)
{
	if (call == call->c->login)
		call->c->login = NULL;
	TAILQ_REMOVE(&call->c->calls, call, link);
	call->c->n_calls--;
	if (call->t) {
		transfer_free(call->t);
		release_slot(call->c);
	} else if (call->waits == WAITS_TURN) {
		wake_next(call->c);
	}
	event_free(call->timer);
	if (call->body.s)
		explicit_bzero(call->body.s, call->body.len);
	fl_strbuf_clear(&call->body);
	fl_etcd_result_clear(&call->result);
	free(call->key);
	free(call->last);
	free(call);
}

void fl_etcd_cancel(struct fl_etcd_call *call)
{
	if (call->busy)
		call->cancelled = true;
	else
		call_free(call);
}

/* Hands the result over; the call is gone when its function runs. */
void call_end(struct fl_etcd_call *call, enum fl_etcd_outcome outcome)
{
	struct fl_etcd_result result = call->result;
	fl_etcd_fn done = call->done;
	void *arg = call->arg;

	call->result = (struct fl_etcd_result){ 0 };
	call_free(call);
	result.outcome = outcome;
	if (outcome == FL_ETCD_OK || outcome == FL_ETCD_COMPARE) {
		result.err = (struct fl_error){ 0 };
		result.code = 0;
	} else {
		fl_etcd_kvs_clear(&result.kvs); /* a part of a range is none */
	}
	done(arg, &result);
	fl_etcd_result_clear(&result);
}

/* ---- failures ---- */

static void try_next(struct fl_etcd_call *call)
{
	struct fl_etcd *c = call->c;
	uint64_t now = etcd_now();
	int i = call->ping ? call->endpoint : endpoints_pick(&c->endpoints, call->tried, now);

	if (i < 0 && call->transient && now + ROUND_MS < call->deadline) {
		call->tried = 0;
		call->transient = false;
		wait_ms(call, ROUND_MS);
		return;
	}
	if (i < 0 || now >= call->deadline) {
		call_end(call, FL_ETCD_NOT_REACHED);
		return;
	}
	call->endpoint = i;
	call->tried |= 1u << i;
	step(call);
}

/* This try has failed, as `result.err` says. `sure`: nothing was done. */
static void fail_try(struct fl_etcd_call *call, bool sure, bool transient)
{
	struct fl_etcd *c = call->c;
	unsigned i = (unsigned)call->endpoint;

	endpoints_failed(&c->endpoints, i, etcd_now(), etcd_lot());
	watches_leave(c, i);
	call->transient |= transient;
	if (call->ping) {
		call_end(call, FL_ETCD_NOT_REACHED);
		return;
	}
	if (call->write && !sure) {
		fl_error_prefix(&call->result.err, "whether it was done is not known");
		call_end(call, FL_ETCD_UNKNOWN);
		return;
	}
	c->stats.retries++;
	try_next(call);
}

static void bad_answer(struct fl_etcd_call *call)
{
	call->c->stats.bad_answers++;
	fl_etcd_printable(call->result.err.text);
	fl_error_prefix(&call->result.err, "etcd %s", call->c->endpoints.list[call->endpoint].url);
	fail_try(call, false, false);
}

/* ---- answers ---- */

static void retry_with_login(struct fl_etcd_call *call, enum fl_etcd_outcome outcome)
{
	struct fl_etcd *c = call->c;

	if (!c->user || call->logged_in) {
		call_end(call, outcome);
		return;
	}
	call->logged_in = true;
	c->no_auth = false;
	/* Another call may have got a new one since. */
	if (call->token == c->token_number)
		c->token[0] = '\0';
	step(call);
}

static void follow(struct fl_etcd_call *call, struct judged j)
{
	switch (j.verdict) {
	case V_ENDED:
		endpoints_worked(&call->c->endpoints, (unsigned)call->endpoint);
		if (j.outcome == FL_ETCD_COMPACTED && range_restart(call))
			step(call);
		else
			call_end(call, j.outcome);
		break;
	case V_NEXT:
		fail_try(call, true, true);
		break;
	case V_UNSURE:
		fail_try(call, false, true);
		break;
	case V_LOGIN:
		retry_with_login(call, j.outcome);
		break;
	case V_NO_AUTH:
		call->c->no_auth = true;
		call_end(call, call == call->c->login ? FL_ETCD_OK : FL_ETCD_REFUSED);
		break;
	}
}

static void worked(struct fl_etcd_call *call)
{
	struct endpoints *e = &call->c->endpoints;

	call->c->stats.failovers += e->current != (unsigned)call->endpoint;
	endpoints_worked(e, (unsigned)call->endpoint);
	e->list[call->endpoint].heard = etcd_now();
}

/* A header of an answer that is none of an error. False: the call is gone. */
static bool check_header(struct fl_etcd_call *call)
{
	bool same;

	call->busy = true; /* the owner of a restored cluster may cancel it */
	same = identity_check(call->c, &call->result.header, call->consistent ? call->floor : -1);
	call->busy = false;
	if (call->cancelled) {
		call_free(call);
		return false;
	}
	if (!same && range_restart(call)) {
		step(call);
		return false;
	}
	return true;
}

static void accept_answer(struct fl_etcd_call *call, const json_t *doc)
{
	struct fl_etcd_result *res = &call->result;
	const json_t *result = json_object_get(doc, "result"); /* of streams */
	enum fl_etcd_outcome outcome = FL_ETCD_OK;
	int r;

	if (result)
		doc = result;
	if (json_object_get(doc, "header") || !call->headless) {
		if (fl_etcd_read_header(doc, &res->header, &res->err)) {
			bad_answer(call);
			return;
		}
		if (!check_header(call))
			return;
	}
	r = call->answer(call, doc, &outcome, &res->err);
	if (r < 0) {
		bad_answer(call);
		return;
	}
	worked(call);
	if (!r) {
		call_end(call, outcome);
		return;
	}
	call->tried = 1u << call->endpoint;
	call->deadline = etcd_now() + call->c->total_ms;
	if (call->deadline > call->last_deadline)
		call->deadline = call->last_deadline;
	step(call);
}

static void interpret(struct fl_etcd_call *call, long status, const char *body, size_t len)
{
	FL_AUTOJSON json_t *doc = NULL;
	const struct endpoint *to = &call->c->endpoints.list[call->endpoint];
	struct fl_error *err = &call->result.err;
	struct fl_etcd_refusal refusal;

	if (fl_etcd_parse(body, len, &doc, err)) {
		if (status == 200) {
			bad_answer(call);
			return;
		}
		follow(call, refusal_plain(status, body, len, to, err));
	} else if (fl_etcd_read_refusal(doc, &refusal)) {
		call->result.code = refusal.code;
		follow(call, refusal_judge(&refusal, to, call->c->user, err));
	} else if (status != 200) {
		follow(call, refusal_plain(status, body, len, to, err));
	} else {
		accept_answer(call, doc);
	}
}

/* ---- stages ---- */

static void read_version(struct fl_etcd_call *call, long status, const char *body, size_t len)
{
	FL_AUTOJSON json_t *doc = NULL;
	struct endpoint *to = &call->c->endpoints.list[call->endpoint];
	struct fl_error *err = &call->result.err;
	const char *text = "", *api = NULL;

	if (status == 200 && !fl_etcd_parse(body, len, &doc, NULL) &&
	    !fl_etcd_text(doc, "etcdserver", &text, NULL))
		api = endpoint_api(text);
	if (!api) {
		refusal_plain(status, body, len, to, err);
		fl_error_prefix(err, "asked for its version");
		fail_try(call, true, false);
		return;
	}
	fl_etcd_excerpt(text, strlen(text), to->version, sizeof(to->version));
	to->api = api;
	to->heard = etcd_now();
	if (call->ping)
		call_end(call, FL_ETCD_OK);
	else
		step(call);
}

static void on_done(void *arg)
{
	struct fl_etcd_call *call = arg;
	FL_CLEANUP(transfer_free_p) struct transfer *t = fl_take_ptr(call->t);
	const struct endpoint *to = &call->c->endpoints.list[call->endpoint];
	const char *body = t->in.len ? t->in.s : "";

	release_slot(call->c);
	if (t->result != CURLE_OK) {
		bool probe = call->stage == CALL_PROBE;
		/* A connection that is closed at once (TLS, another protocol) will be again. */
		bool soon = t->result == CURLE_OPERATION_TIMEDOUT || !probe;

		transfer_error(t, to, &call->result.err);
		call->c->stats.bad_answers += t->too_large;
		fail_try(call, probe || !t->sent, t->sent && !t->too_large && soon);
	} else if (call->stage == CALL_PROBE) {
		read_version(call, transfer_status(t), body, t->in.len);
	} else {
		interpret(call, transfer_status(t), body, t->in.len);
	}
}

static void exchange(struct fl_etcd_call *call)
{
	bool probe = call->stage == CALL_PROBE;
	uint64_t now = etcd_now();
	uint64_t left = call->deadline > now ? call->deadline - now : 1;
	struct exchange x = {
		.to = &call->c->endpoints.list[call->endpoint],
		.path = probe ? "/version" : call->path,
		.raw = probe,
		.get = probe,
		.leader = call->leader && !probe,
		.once = call->write && !probe,
		.body = call->body.s,
		.timeout_ms = left < call->c->try_ms ? (unsigned)left : call->c->try_ms,
		.max = FL_ETCD_ANSWER_MAX,
	};

	call->token = call->c->token_number;
	if (transfer_start(call->c, &x, &call->t)) {
		fl_error_oom(&call->result.err);
		call_end(call, FL_ETCD_NOT_REACHED);
		return;
	}
	call->c->n_active++;
	call->t->done = on_done;
	call->t->arg = call;
}

/* Until the login, or a transfer of another call, has ended; at most until the deadline. */
static void wait_for(struct fl_etcd_call *call, enum call_wait what)
{
	uint64_t now = etcd_now();

	call->waits = what;
	wait_ms(call, call->deadline > now ? call->deadline - now : 0);
}

static void step(struct fl_etcd_call *call)
{
	struct fl_etcd *c = call->c;
	bool needs_token = c->user && !c->no_auth && !c->token[0] && !call->open;

	if (call->ping || !c->endpoints.list[call->endpoint].api)
		call->stage = CALL_PROBE;
	else if (needs_token)
		call->stage = CALL_LOGIN;
	else
		call->stage = CALL_SEND;
	if (call->stage == CALL_LOGIN && login_wait(c, &call->result.err)) {
		call_end(call, FL_ETCD_NOT_REACHED);
	} else if (call->stage == CALL_LOGIN) {
		wait_for(call, WAITS_LOGIN);
		wake_next(c); /* it may have been this one's turn */
	} else if (c->n_active >= ACTIVE_MAX && !call->open && !call->urgent) {
		wait_for(call, WAITS_SLOT);
	} else {
		exchange(call);
	}
}

static void on_pong(void *arg, struct fl_etcd_result *r)
{
	(void)arg;
	(void)r;
}

void call_ping(struct fl_etcd *c, unsigned endpoint)
{
	struct fl_etcd_call *call;
	struct fl_error err;

	if (call_new(c, "/version", on_pong, NULL, &call, &err))
		return;
	call->ping = call->open = true;
	call->endpoint = (int)endpoint;
	call_start(call, &err);
}

void call_resume(struct fl_etcd_call *call)
{
	call->waits = WAITS_NOT;
	event_del(call->timer);
	step(call);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct fl_etcd_call *call = arg;

	(void)fd;
	(void)what;
	switch (call->waits) {
	case WAITS_NOT:
		try_next(call);
		break;
	case WAITS_TURN:
		call_resume(call);
		break;
	case WAITS_LOGIN:
	case WAITS_SLOT:
		fl_error_set(&call->result.err, ETIMEDOUT, FL_ECODE_TRY_AGAIN,
			     "etcd: %s in time; check the members",
			     call->waits == WAITS_LOGIN ? "the login was not answered"
							: "other requests were not answered");
		call_end(call, FL_ETCD_NOT_REACHED);
		break;
	}
}
