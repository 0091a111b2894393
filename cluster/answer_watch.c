/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lines of a watch. */
#include "cluster/kv.h"

#include <errno.h>
#include <string.h>

#define LINE_KEPT (1 << 20)

/* ---- lines ---- */

void fl_etcd_lines_clear(struct fl_etcd_lines *l)
{
	fl_strbuf_clear(&l->in);
	*l = (struct fl_etcd_lines){ 0 };
}

/* Moves what is left to the front. */
static void compact(struct fl_etcd_lines *l)
{
	if (!l->start)
		return;
	l->in.len -= l->start;
	memmove(l->in.s, l->in.s + l->start, l->in.len);
	l->scanned -= l->start;
	l->start = 0;
	/* A long line is rare, its room large. */
	if (!l->in.len && l->in.cap > LINE_KEPT)
		fl_etcd_lines_clear(l);
}

int fl_etcd_lines_add(struct fl_etcd_lines *l, const void *data, size_t n)
{
	compact(l);
	fl_strbuf_addn(&l->in, data, n);
	if (l->in.failed)
		return -ENOMEM;
	/* Bytes already searched hold no line end. */
	if (l->in.len > FL_ETCD_LINE_MAX &&
	    !memchr(l->in.s + l->scanned, '\n', l->in.len - l->scanned))
		return -E2BIG;
	return 0;
}

bool fl_etcd_lines_next(struct fl_etcd_lines *l, const char **ret, size_t *ret_len)
{
	while (l->scanned < l->in.len) {
		char *from = l->in.s + l->start;
		char *end = memchr(l->in.s + l->scanned, '\n', l->in.len - l->scanned);

		if (!end) {
			l->scanned = l->in.len;
			return false;
		}
		l->start = l->scanned = (size_t)(end + 1 - l->in.s);
		if (end == from)
			continue;
		*ret = from;
		*ret_len = (size_t)(end - from);
		return true;
	}
	return false;
}

/* ---- events ---- */

void fl_etcd_events_clear(struct fl_etcd_event *events, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(events[i].kv.key);
		free(events[i].prev.key);
	}
	free(events);
}

void fl_etcd_line_clear(struct fl_etcd_line *l)
{
	fl_etcd_events_clear(l->events, l->n);
	*l = (struct fl_etcd_line){ 0 };
}

static int read_type(const json_t *item, bool *ret_deleted, struct fl_error *err)
{
	const char *type;
	int r = fl_etcd_text(item, "type", &type, err);

	if (r)
		return r;
	if (*type && strcmp(type, "PUT") && strcmp(type, "DELETE"))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO,
				    "events: expected the type PUT or DELETE, not \"%.16s\"", type);
	*ret_deleted = *type == 'D';
	return 0;
}

static int read_event(const json_t *item, const char *prefix, struct fl_etcd_line *l,
		      struct fl_error *err)
{
	struct fl_etcd_event e = { 0 };
	const json_t *prev = json_object_get(item, "prev_kv");
	json_t *kv;
	int r = read_type(item, &e.deleted, err);

	if (!r)
		r = fl_etcd_object(item, "kv", &kv, err);
	if (!r)
		r = fl_etcd_read_kv(kv, prefix, &e.kv, err);
	if (r)
		return r;
	if (e.kv.mod_revision <= 0 || e.kv.mod_revision == INT64_MAX) /* one more is asked for */
		r = fl_error_set(err, EBADMSG, FL_ECODE_IO, "events: kv: no possible mod_revision");
	else if (e.kv.key && prev)
		r = fl_etcd_read_kv(prev, prefix, &e.prev, err);
	if (r) {
		free(e.kv.key);
		return r;
	}
	if (e.kv.mod_revision > l->last)
		l->last = e.kv.mod_revision;
	if (e.kv.key)
		l->events[l->n++] = e;
	else
		l->ignored++;
	return 0;
}

static int read_events(const json_t *result, const char *prefix, struct fl_etcd_line *l,
		       struct fl_error *err)
{
	const json_t *list = json_object_get(result, "events");
	size_t n = json_array_size(list);
	int r = 0;

	if (list && !json_is_null(list) && !json_is_array(list))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO, "events: expected a list, not %s",
				    fl_json_kind(list));
	if (!n)
		return 0;
	l->events = calloc(n, sizeof(*l->events));
	if (!l->events)
		return fl_error_oom(err);
	for (size_t i = 0; i < n && !r; i++)
		r = read_event(json_array_get(list, i), prefix, l, err);
	return r;
}

static int read_result(const json_t *result, const char *prefix, struct fl_etcd_line *l,
		       struct fl_error *err)
{
	const char *reason;
	int r = fl_etcd_read_header(result, &l->header, err);

	l->created = json_is_true(json_object_get(result, "created"));
	l->canceled = json_is_true(json_object_get(result, "canceled"));
	l->fragment = json_is_true(json_object_get(result, "fragment"));
	if (!r)
		r = fl_etcd_int(result, "compact_revision", &l->compact_revision, err);
	if (!r)
		r = fl_etcd_text(result, "cancel_reason", &reason, err);
	if (r)
		return r;
	fl_etcd_excerpt(reason, strlen(reason), l->reason, sizeof(l->reason));
	return read_events(result, prefix, l, err);
}

int fl_etcd_read_line(const char *text, size_t len, const char *prefix, struct fl_etcd_line *ret,
		      struct fl_error *err)
{
	FL_AUTOJSON json_t *doc = NULL;
	struct fl_etcd_line l = { 0 };
	json_t *result;
	int r = fl_etcd_parse(text, len, &doc, err);

	if (r)
		return r;
	l.refused = fl_etcd_read_refusal(doc, &l.refusal);
	if (!l.refused)
		r = fl_etcd_object(doc, "result", &result, err);
	if (!r && !l.refused)
		r = read_result(result, prefix, &l, err);
	if (r)
		fl_etcd_line_clear(&l);
	else
		*ret = l;
	return r;
}
