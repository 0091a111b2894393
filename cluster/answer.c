/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every answer is made of: documents within limits, members, headers, refusals. */
#include "cluster/wire.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_token(char c)
{
	return c == ',' || c == ':' || c == '{' || c == '[';
}

/* What parsing takes memory for, counted without it. */
static size_t count_tokens(const char *text, size_t len)
{
	bool quoted = false;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"')
			quoted = !quoted;
		else if (quoted && text[i] == '\\')
			i++;
		else
			n += !quoted && is_token(text[i]);
	}
	return n;
}

int fl_etcd_parse(const char *text, size_t len, json_t **ret, struct fl_error *err)
{
	json_error_t where;
	json_t *doc;

	if (count_tokens(text, len) > FL_ETCD_TOKENS_MAX)
		return fl_error_set(err, E2BIG, FL_ECODE_IO, "more than %d values in an answer",
				    FL_ETCD_TOKENS_MAX);
	doc = json_loadb(text, len, 0, &where);
	if (!doc)
		return fl_error_set(err, EBADMSG, FL_ECODE_IO,
				    "an answer that is no JSON: byte %d: %s", where.position,
				    where.text);
	if (!json_is_object(doc)) {
		json_decref(doc);
		return fl_error_set(err, EBADMSG, FL_ECODE_IO, "an answer that is no object");
	}
	*ret = doc;
	return 0;
}

/* ---- members ---- */

static int wrong_type(struct fl_error *err, const char *key, const char *want, const json_t *v)
{
	return fl_error_set(err, EBADMSG, FL_ECODE_IO, "%s: expected %s, not %s", key, want,
			    fl_json_kind(v));
}

/* The member, NULL for absent and null alike. */
static json_t *member(const json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);

	return json_is_null(v) ? NULL : v;
}

int fl_etcd_text(const json_t *obj, const char *key, const char **ret, struct fl_error *err)
{
	const json_t *v = member(obj, key);

	if (v && !json_is_string(v))
		return wrong_type(err, key, "a string", v);
	*ret = v ? json_string_value(v) : "";
	return 0;
}

int fl_etcd_int(const json_t *obj, const char *key, int64_t *ret, struct fl_error *err)
{
	const json_t *v = member(obj, key);
	const char *text;
	char *end;
	int64_t n;

	if (json_is_integer(v)) {
		*ret = json_integer_value(v);
		return 0;
	}
	if (fl_etcd_text(obj, key, &text, NULL))
		return wrong_type(err, key, "an integer", v);
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || *end || (v && !isdigit((unsigned char)text[*text == '-'])))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO,
				    "%s: expected an integer, not \"%.32s\"", key, text);
	*ret = n;
	return 0;
}

int fl_etcd_uint(const json_t *obj, const char *key, uint64_t *ret, struct fl_error *err)
{
	const json_t *v = member(obj, key);
	const char *text;
	char *end;
	uint64_t n;

	if (json_is_integer(v) && json_integer_value(v) >= 0) {
		*ret = (uint64_t)json_integer_value(v);
		return 0;
	}
	if (fl_etcd_text(obj, key, &text, NULL))
		return wrong_type(err, key, "an unsigned integer", v);
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || (v && !isdigit((unsigned char)*text)))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO,
				    "%s: expected an unsigned integer, not \"%.32s\"", key, text);
	*ret = n;
	return 0;
}

int fl_etcd_object(const json_t *obj, const char *key, json_t **ret, struct fl_error *err)
{
	json_t *v = member(obj, key);

	if (!v)
		return fl_error_set(err, EBADMSG, FL_ECODE_IO, "%s: missing", key);
	if (!json_is_object(v))
		return wrong_type(err, key, "an object", v);
	*ret = v;
	return 0;
}

int fl_etcd_read_header(const json_t *answer, struct fl_etcd_header *ret, struct fl_error *err)
{
	struct fl_etcd_header h = { 0 };
	json_t *obj;
	int r = fl_etcd_object(answer, "header", &obj, err);

	if (!r)
		r = fl_etcd_uint(obj, "cluster_id", &h.cluster_id, err);
	if (!r)
		r = fl_etcd_uint(obj, "member_id", &h.member_id, err);
	if (!r)
		r = fl_etcd_int(obj, "revision", &h.revision, err);
	if (!r && (!h.cluster_id || h.revision < 0 || h.revision == INT64_MAX))
		r = fl_error_set(err, EBADMSG, FL_ECODE_IO,
				 "header: no cluster id, or no possible revision");
	if (!r)
		*ret = h;
	return r;
}

/* ---- refusals ---- */

void fl_etcd_excerpt(const char *text, size_t len, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= ' ' && c < 0x7f)
			buf[n++] = (char)c;
		else if (n && buf[n - 1] != ' ')
			buf[n++] = ' ';
	}
	while (n && buf[n - 1] == ' ')
		n--;
	buf[n] = '\0';
}

void fl_etcd_printable(char *text)
{
	fl_etcd_excerpt(text, strlen(text), text, strlen(text) + 1);
}

/*
 * The shapes: {"error": TEXT, "message": TEXT, "code": N} (3.3, 3.4), {"code": N, "message": TEXT}
 * (3.5 and later), {"error": {"grpc_code": N, "http_code": N, "message": TEXT}} (streams).
 */
bool fl_etcd_read_refusal(const json_t *doc, struct fl_etcd_refusal *ret)
{
	const json_t *error = json_object_get(doc, "error");
	const json_t *in = json_is_object(error) ? error : doc;
	const json_t *message = json_object_get(in, "message");
	const json_t *code = json_object_get(in, json_is_object(error) ? "grpc_code" : "code");

	if (!error && !(json_is_string(message) && code))
		return false;
	if (!json_is_string(message))
		message = error;
	ret->code = 2;
	if (json_is_integer(code) && json_integer_value(code) > 0 && json_integer_value(code) < 100)
		ret->code = (int)json_integer_value(code);
	fl_strcpy(ret->message, sizeof(ret->message), "no message");
	if (json_is_string(message))
		fl_etcd_excerpt(json_string_value(message), json_string_length(message),
				ret->message, sizeof(ret->message));
	return true;
}
