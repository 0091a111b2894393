/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One login for all requests that need a token: the server takes tens of milliseconds of CPU for
 * each (bcrypt). The token is valid at every member.
 */
#include "cluster/client.h"

#include <errno.h>
#include <string.h>

static bool token_valid(const char *token)
{
	size_t n = strlen(token);

	for (size_t i = 0; i < n; i++)
		if (token[i] <= ' ' || token[i] > '~')
			return false;
	return n && n < TOKEN_MAX;
}

static int read_token(struct fl_etcd_call *call, const json_t *doc, enum fl_etcd_outcome *outcome,
		      struct fl_error *err)
{
	struct fl_etcd *c = call->c;
	const char *token;
	int r = fl_etcd_text(doc, "token", &token, err);

	(void)outcome;
	if (r)
		return r;
	if (!token_valid(token))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO,
				    "token: expected 1 to %d printable bytes", TOKEN_MAX - 1);
	fl_strcpy(c->token, sizeof(c->token), token);
	c->token_number++;
	return 0;
}

static struct fl_etcd_call *first_waiting(struct fl_etcd *c)
{
	struct fl_etcd_call *call = TAILQ_FIRST(&c->calls);

	while (call && call->waits != WAITS_LOGIN)
		call = TAILQ_NEXT(call, link);
	return call;
}

static void on_login(void *arg, struct fl_etcd_result *r)
{
	struct fl_etcd *c = arg;
	struct fl_etcd_call *call;

	while ((call = first_waiting(c))) {
		if (r->outcome == FL_ETCD_OK) {
			call_resume(call);
			continue;
		}
		call->waits = WAITS_NOT;
		call->result.err = r->err;
		call->result.code = r->code;
		fl_error_prefix(&call->result.err, "login");
		call_end(call, r->outcome);
	}
}

static void add_body(struct fl_etcd *c, struct fl_strbuf *b)
{
	FL_AUTOJSON json_t *doc = json_pack("{ssss}", "name", c->user, "password", c->password);
	char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	if (!text) {
		b->failed = true;
		return;
	}
	fl_strbuf_add(b, text);
	explicit_bzero(text, strlen(text));
	free(text);
}

int login_wait(struct fl_etcd *c, struct fl_error *err)
{
	struct fl_etcd_call *call;
	int r;

	if (c->login)
		return 0;
	r = call_new(c, "/auth/authenticate", on_login, c, &call, err);
	if (r)
		return r;
	add_body(c, &call->body);
	call->answer = read_token;
	call->open = true;
	call->leader = true;
	r = call_start(call, err);
	if (r)
		return r;
	c->login = call;
	c->stats.logins++;
	return 0;
}
