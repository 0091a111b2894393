/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/out.h"

#include "netctl/text.h"

#include "base/strbuf.h"

#include <errno.h>
#include <langinfo.h>
#include <libsmartcols.h>
#include <string.h>

enum { WIDE = 120, COLUMNS_MAX = 24 };

json_t *json_text(const char *s)
{
	FL_AUTOFREE char *copy = strdup(s);

	return copy ? json_string(clean_text(copy)) : NULL;
}

int show_json(json_t *v, struct fl_error *err)
{
	FL_AUTOJSON json_t *owned = v;

	if (!owned)
		return fl_error_oom(err);
	json_dumpf(owned, stdout, JSON_INDENT(2));
	putchar('\n');
	return 0;
}

static void add_value(struct fl_strbuf *b, const json_t *v, const char *separator)
{
	const json_t *item;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_STRING:
		add_plain(b, json_string_value(v));
		break;
	case JSON_INTEGER:
		fl_strbuf_addf(b, "%lld", (long long)json_integer_value(v));
		break;
	case JSON_REAL:
		fl_strbuf_addf(b, "%.1f", json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		fl_strbuf_add(b, json_is_true(v) ? "yes" : "no");
		break;
	case JSON_ARRAY:
		json_array_foreach(v, i, item)
		{
			if (b->len)
				fl_strbuf_add(b, separator);
			add_value(b, item, separator);
		}
		break;
	default:
		break;
	}
}

char *cell_text(const json_t *v, const char *separator)
{
	struct fl_strbuf b = { 0 };

	if (v)
		add_value(&b, v, separator);
	if (!b.failed && b.len)
		return b.s;
	fl_strbuf_clear(&b);
	return NULL;
}

const char *painted(const struct ctl *c, const char *colour, const char *text, char *buf,
		    size_t size)
{
	if (!c->colour || !colour)
		return text;
	snprintf(buf, size, "%s%s" COLOUR_END, colour, text);
	return buf;
}

static bool has_any(const json_t *rows, const char *key)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		if (json_object_get(row, key))
			return true;
	}
	return false;
}

static bool is_shown(const struct ctl *c, const struct column *col, const json_t *rows)
{
	if (col->flags & COLUMN_WIDE && c->width && c->width < WIDE)
		return false;
	return !(col->flags & COLUMN_ANY) || has_any(rows, col->key);
}

static int flags_of(const struct column *col)
{
	return (col->flags & COLUMN_RIGHT ? SCOLS_FL_RIGHT : 0) |
	       (col->flags & COLUMN_TRUNC ? SCOLS_FL_TRUNC : 0) |
	       (col->flags & COLUMN_TREE ? SCOLS_FL_TREE : 0) |
	       (col->flags & COLUMN_WRAP ? SCOLS_FL_WRAP : 0);
}

static int add_columns(const struct ctl *c, struct libscols_table *tb, const struct column *cols)
{
	for (; cols->title; cols++) {
		struct libscols_column *cl =
			scols_table_new_column(tb, cols->title, 0, flags_of(cols));

		if (!cl)
			return -ENOMEM;
		if (cols->flags & COLUMN_WRAP) {
			scols_column_set_safechars(cl, "\n");
			scols_column_set_wrapfunc(cl, scols_wrapnl_chunksize,
						  scols_wrapnl_nextchunk, NULL);
		}
		if (c->colour)
			scols_cell_set_color(scols_column_get_header(cl), COLOUR_HEAD);
	}
	return 0;
}

static int add_row(const struct ctl *c, struct libscols_table *tb, const struct column *all,
		   struct libscols_line *parent, const json_t *row)
{
	struct libscols_line *ln = scols_table_new_line(tb, parent);
	const struct column *cols = all;
	const json_t *child;
	int r = 0;
	size_t i;

	if (!ln)
		return -ENOMEM;
	for (size_t n = 0; cols->title; cols++) {
		const char *colour = cols->colour && c->colour ? cols->colour(row) : NULL;
		char *text = cell_text(json_object_get(row, cols->key),
				       cols->flags & COLUMN_WRAP ? "\n" : ", ");
		/* An empty cell would be two separators to a script that splits at blanks. */
		if (!text)
			text = strdup("-");
		if (!text || scols_line_refer_data(ln, n, text))
			return -ENOMEM;
		if (colour)
			scols_cell_set_color(scols_line_get_cell(ln, n), colour);
		n++;
	}
	json_array_foreach(json_object_get(row, "children"), i, child)
	{
		if (!r)
			r = add_row(c, tb, all, ln, child);
	}
	return r;
}

static int print_table(const struct ctl *c, const json_t *rows, const struct column *cols,
		       struct fl_error *err)
{
	struct libscols_table *tb = scols_new_table();
	struct column shown[COLUMNS_MAX + 1] = { 0 };
	const json_t *row;
	int r = tb ? 0 : -ENOMEM;
	size_t i, n = 0;

	for (; cols->title && n < COLUMNS_MAX; cols++)
		if (is_shown(c, cols, rows))
			shown[n++] = *cols;
	if (!r) {
		scols_table_enable_noheadings(tb, c->no_header);
		scols_table_enable_colors(tb, c->colour);
		scols_table_enable_ascii(tb, strcmp(nl_langinfo(CODESET), "UTF-8") != 0);
		if (c->width) {
			scols_table_set_termforce(tb, SCOLS_TERMFORCE_ALWAYS);
			scols_table_set_termwidth(tb, c->width);
		}
		r = add_columns(c, tb, shown);
	}
	json_array_foreach(rows, i, row)
	{
		if (r)
			break;
		r = add_row(c, tb, shown, NULL, row);
	}
	if (!r)
		r = scols_print_table(tb);
	scols_unref_table(tb);
	return r ? fl_error_oom(err) : 0;
}

static void print_first(const json_t *rows, const struct column *cols)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		FL_AUTOFREE char *text = cell_text(json_object_get(row, cols->key), ", ");

		/* What has no name is not among the names that scripts ask for. */
		if (text)
			puts(text);
	}
}

int show_list(struct ctl *c, json_t *rows, const struct column *columns, struct fl_error *err)
{
	FL_AUTOJSON json_t *owned = rows;

	if (!owned)
		return fl_error_oom(err);
	if (c->json)
		return show_json(fl_take_ptr(owned), err);
	if (c->quiet) {
		print_first(rows, columns);
		return 0;
	}
	return print_table(c, rows, columns, err);
}

static int title_width(const json_t *object, const struct field *fields)
{
	int width = 0, len;

	for (; fields->title; fields++) {
		len = (int)strlen(fields->title);
		if (!fields->columns && json_object_get(object, fields->key) && len > width)
			width = len;
	}
	return width;
}

int show_object(struct ctl *c, json_t *object, const struct field *fields, struct fl_error *err)
{
	FL_AUTOJSON json_t *owned = object;
	int width, r = 0;

	if (!owned)
		return fl_error_oom(err);
	if (c->json)
		return show_json(fl_take_ptr(owned), err);
	width = title_width(object, fields);
	for (; fields->title && !r; fields++) {
		const json_t *v = json_object_get(object, fields->key);
		FL_AUTOFREE char *text = fields->columns ? NULL : cell_text(v, ", ");

		if (!v || (fields->columns && !json_array_size(v)))
			continue;
		if (!fields->columns) {
			printf("%s%*s %s\n", PAINTED(c, COLOUR_HEAD, fields->title),
			       width - (int)strlen(fields->title), "", text ? text : "-");
			continue;
		}
		printf("\n%s\n", PAINTED(c, COLOUR_HEAD, fields->title));
		r = print_table(c, v, fields->columns, err);
	}
	return r;
}

const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

long long number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

bool is_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}
