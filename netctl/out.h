/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What verbs show: a list of JSON objects, as JSON, as a table, or (--quiet) as the first column
 * alone. What is in the objects is what scripts see: keys are only ever added.
 */
#pragma once

#include "netctl/ctl.h"

enum {
	COLUMN_RIGHT = 1, /* numbers */
	COLUMN_TRUNC = 2, /* may be cut on a narrow terminal */
	COLUMN_WRAP = 4,  /* may be wrapped; a list has a line for each of its items */
	COLUMN_WIDE = 8,  /* left out on a terminal of less than 120 columns */
	COLUMN_TREE = 16, /* branches in front; a row's "children" are rows below it */
	COLUMN_ANY = 32,  /* left out when no row (but for children) has it */
};

struct column {
	const char *title; /* NULL ends the list */
	const char *key;   /* strings, numbers, booleans (yes, no), lists (joined by ", ") */
	unsigned flags;
	const char *(*colour)(const json_t *row); /* an escape sequence, or NULL; may be NULL */
};

#define COLOUR_GOOD "\033[32m"
#define COLOUR_WARN "\033[33m"
#define COLOUR_BAD "\033[31m"
#define COLOUR_FAINT "\033[2m"
#define COLOUR_HEAD "\033[1m"
#define COLOUR_END "\033[0m"

/* Shows `rows` (an array of objects) and releases it. NULL is -ENOMEM. */
int show_list(struct ctl *c, json_t *rows, const struct column *columns, struct fl_error *err);

/*
 * Shows one object, and releases it: with --json as it is, else a line for each of the `fields`
 * that it has: "title: value". A list of objects under a key with `columns` is a table below.
 */
struct field {
	const char *title; /* NULL ends the list */
	const char *key;
	const struct column *columns;
};
int show_object(struct ctl *c, json_t *object, const struct field *fields, struct fl_error *err);

/* A string for JSON of what may be anything (a file's name, a message that was cut). */
json_t *json_text(const char *s);

/* Only JSON: prints and releases it. */
int show_json(json_t *v, struct fl_error *err);

/* The value as a cell has it; malloc'd, NULL for none. */
char *cell_text(const json_t *v, const char *separator);
/* "up" when colours are on: its escape sequence in front and the end behind it. Else the text. */
const char *painted(const struct ctl *c, const char *colour, const char *text, char *buf,
		    size_t size);
#define PAINTED(c, colour, text) painted(c, colour, text, (char[256]){ 0 }, 256)

/* Values of an object, "" and 0 where there is none. */
const char *text_of(const json_t *o, const char *key);
long long number_of(const json_t *o, const char *key);
bool is_true(const json_t *o, const char *key);
