/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/fields.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_STRING_MAX 4096
#define DEFAULT_LIST_MAX 4096

struct slot {
	const struct fl_field *f;
	const char *path; /* full path of the key */
	void *to;
	struct fl_error *err;
};

static int wrong_type(const struct slot *s, const char *expected, const json_t *v)
{
	return fl_error_set(s->err, EINVAL, FL_ECODE_DECODE, "%s: expected %s, not %s", s->path,
			    expected, fl_json_kind(v));
}

static int wrong_value(const struct slot *s, const char *expected, const char *got)
{
	return fl_error_set(s->err, EINVAL, FL_ECODE_CONFIG, "%s: expected %s, not \"%.64s\"",
			    s->path, expected, got);
}

static int read_bool(const struct slot *s, const json_t *v)
{
	if (!json_is_boolean(v))
		return wrong_type(s, "true or false", v);
	if (s->f->type == FL_FIELD_TRI)
		*(int *)s->to = json_is_true(v);
	else
		*(bool *)s->to = json_is_true(v);
	return 0;
}

static int read_int(const struct slot *s, const json_t *v)
{
	char expected[96];
	json_int_t n;

	snprintf(expected, sizeof(expected), "an integer from %lld to %lld", (long long)s->f->min,
		 (long long)s->f->max);
	if (!json_is_integer(v))
		return wrong_type(s, expected, v);
	n = json_integer_value(v);
	if (n < s->f->min || n > s->f->max)
		return fl_error_set(s->err, EINVAL, FL_ECODE_CONFIG, "%s: expected %s, not %lld",
				    s->path, expected, (long long)n);
	*(int64_t *)s->to = n;
	return 0;
}

static int string_of(const struct slot *s, const json_t *v, const char *expected, const char **ret)
{
	size_t max = s->f->max ? (size_t)s->f->max : DEFAULT_STRING_MAX;

	if (!json_is_string(v))
		return wrong_type(s, expected, v);
	if (json_string_length(v) > max)
		return fl_error_set(s->err, EINVAL, FL_ECODE_CONFIG,
				    "%s: expected at most %zu bytes, not %zu", s->path, max,
				    json_string_length(v));
	*ret = json_string_value(v);
	return 0;
}

static int read_address(const struct slot *s, const json_t *v)
{
	static const char *const expected[] = {
		[FL_FIELD_ADDR] = "an IP address",
		[FL_FIELD_PREFIX] = "a prefix such as \"10.1.0.0/16\"",
		[FL_FIELD_MAC] = "a MAC address such as \"02:00:00:00:00:01\"",
	};
	const char *text, *want = expected[s->f->type];
	int r = string_of(s, v, want, &text);

	if (r)
		return r;
	if (!*text && s->f->type != FL_FIELD_PREFIX)
		return 0;
	if (s->f->type == FL_FIELD_ADDR)
		r = fl_addr_parse(text, s->to);
	else if (s->f->type == FL_FIELD_PREFIX)
		r = fl_prefix_parse(text, s->to);
	else
		r = fl_mac_parse(text, s->to);
	return r ? wrong_value(s, want, text) : 0;
}

static int read_enum(const struct slot *s, const json_t *v)
{
	char expected[256] = "one of";
	const char *text;
	int r;

	for (size_t i = 0; s->f->names[i]; i++)
		snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected),
			 "%s \"%s\"", i ? "," : "", s->f->names[i]);
	r = string_of(s, v, expected, &text);
	if (r)
		return r;
	for (int i = 0; s->f->names[i]; i++)
		if (!strcasecmp(s->f->names[i], text)) {
			*(int *)s->to = i;
			return 0;
		}
	return wrong_value(s, expected, text);
}

static int read_item(const struct slot *s, const json_t *v, const char *path, void *to)
{
	struct slot item = { s->f, path, to, s->err };
	const char *text;
	int r;

	if (s->f->type == FL_FIELD_STRINGS) {
		struct fl_field unbounded = *s->f;

		unbounded.max = 0;
		item.f = &unbounded;
		r = string_of(&item, v, "a string", &text);
		if (!r)
			*(const char **)to = text;
		return r;
	}
	if (!json_is_object(v))
		return wrong_type(&item, "an object", v);
	return fl_fields_decode(v, s->f->sub, path, to, s->err);
}

static int read_list(const struct slot *s, const json_t *v)
{
	size_t size = s->f->type == FL_FIELD_STRINGS ? sizeof(char *) : s->f->size;
	size_t max = s->f->max ? (size_t)s->f->max : DEFAULT_LIST_MAX;
	struct fl_list *list = s->to;
	size_t n = json_array_size(v);
	char path[320];
	int r = 0;

	if (!json_is_array(v))
		return wrong_type(s,
				  s->f->type == FL_FIELD_STRINGS ? "a list of strings"
								 : "a list of objects",
				  v);
	if (n > max)
		return fl_error_set(s->err, EINVAL, FL_ECODE_CONFIG,
				    "%s: expected at most %zu items, not %zu", s->path, max, n);
	if (!n)
		return 0;
	list->items = calloc(n, size);
	if (!list->items)
		return fl_error_oom(s->err);
	for (; list->n < n && !r; list->n++) {
		snprintf(path, sizeof(path), "%s[%zu]", s->path, list->n);
		r = read_item(s, json_array_get(v, list->n), path,
			      (char *)list->items + list->n * size);
	}
	return r;
}

static int read_field(const struct slot *s, json_t *v)
{
	switch (s->f->type) {
	case FL_FIELD_BOOL:
	case FL_FIELD_TRI:
		return read_bool(s, v);
	case FL_FIELD_INT:
		return read_int(s, v);
	case FL_FIELD_STRING:
		return string_of(s, v, "a string", s->to);
	case FL_FIELD_ADDR:
	case FL_FIELD_PREFIX:
	case FL_FIELD_MAC:
		return read_address(s, v);
	case FL_FIELD_ENUM:
		return read_enum(s, v);
	case FL_FIELD_LIST:
	case FL_FIELD_STRINGS:
		return read_list(s, v);
	case FL_FIELD_OBJECT:
	case FL_FIELD_JSON_OBJECT:
		if (!json_is_object(v))
			return wrong_type(s, "an object", v);
		if (s->f->type == FL_FIELD_OBJECT)
			return fl_fields_decode(v, s->f->sub, s->path, s->to, s->err);
		__attribute__((fallthrough));
	case FL_FIELD_JSON:
		*(json_t **)s->to = v;
		return 0;
	}
	return 0;
}

int fl_fields_decode(const json_t *obj, const struct fl_field *table, const char *path, void *base,
		     struct fl_error *err)
{
	char full[256];
	int r;

	for (const struct fl_field *f = table; f->key; f++) {
		json_t *v = fl_json_get(obj, f->key);

		if (!v)
			continue;
		snprintf(full, sizeof(full), "%s%s%s", path, *path ? "." : "", f->key);
		r = read_field(&(struct slot){ f, full, (char *)base + f->offset, err }, v);
		if (r)
			return r;
	}
	return 0;
}

void fl_fields_clear(const struct fl_field *table, void *base)
{
	for (const struct fl_field *f = table; f->key; f++) {
		void *at = (char *)base + f->offset;
		struct fl_list *list = at;

		if (f->type == FL_FIELD_OBJECT)
			fl_fields_clear(f->sub, at);
		if (f->type != FL_FIELD_LIST && f->type != FL_FIELD_STRINGS)
			continue;
		for (size_t i = 0; f->type == FL_FIELD_LIST && i < list->n; i++)
			fl_fields_clear(f->sub, (char *)list->items + i * f->size);
		free(list->items);
		*list = (struct fl_list){ 0 };
	}
}
