/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/steps.h"

#include "netctl/out.h"
#include "netctl/text.h"

#include <stdarg.h>
#include <string.h>

enum { STATUS = 9, NAME = 13 }; /* columns */

void steps_clear(struct steps *s)
{
	json_decref(s->list);
	*s = (struct steps){ 0 };
}

__attribute__((format(printf, 5, 0))) static void
add(struct steps *s, const char *step, json_t *ok, const char *remedy, const char *fmt, va_list ap)
{
	char detail[FL_ERROR_TEXT], cure[FL_ERROR_TEXT];

	vsnprintf(detail, sizeof(detail), fmt, ap);
	snprintf(cure, sizeof(cure), "%s", remedy ? remedy : "");
	if (!s->list)
		s->list = json_array();
	json_array_append_new(s->list, json_pack("{ss so ss ss}", "step", step, "ok", ok, "detail",
						 clean_text(detail), "remedy", clean_text(cure)));
}

void step_ok(struct steps *s, const char *step, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(s, step, json_true(), NULL, fmt, ap);
	va_end(ap);
}

void step_failed(struct steps *s, const char *step, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(s, step, json_false(), remedy, fmt, ap);
	va_end(ap);
	s->failed = true;
}

void step_unknown(struct steps *s, const char *step, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(s, step, json_null(), remedy, fmt, ap);
	va_end(ap);
	s->unknown = true;
}

/* Wraps at blanks where there is a terminal; the first line has `used` columns already. */
static void print_wrapped(const struct ctl *c, const char *words)
{
	size_t indent = STATUS + NAME, at = indent;

	while (*words) {
		size_t len = strcspn(words, " ");

		if (c->width > 2 * indent && at > indent && at + 1 + len >= c->width) {
			printf("\n%*s", (int)indent, "");
			at = indent;
		}
		at += (size_t)printf("%s%.*s", at > indent ? " " : "", (int)len, words);
		words += len;
		words += strspn(words, " ");
	}
	putchar('\n');
}

static void print_step(const struct ctl *c, const json_t *step)
{
	const json_t *ok = json_object_get(step, "ok");
	const char *remedy = json_string_value(json_object_get(step, "remedy"));
	const char *word = json_is_true(ok) ? "ok" : json_is_false(ok) ? "failed" : "unknown";
	const char *colour = json_is_true(ok)	 ? COLOUR_GOOD
			     : json_is_false(ok) ? COLOUR_BAD
						 : COLOUR_WARN;

	printf("%s%*s%-*s", PAINTED(c, colour, word), STATUS - (int)strlen(word), "", NAME,
	       json_string_value(json_object_get(step, "step")));
	print_wrapped(c, json_string_value(json_object_get(step, "detail")));
	if (!*remedy)
		return;
	printf("%*s", STATUS + NAME, "");
	print_wrapped(c, TEXT("remedy: %s", remedy));
}

void steps_print(const struct ctl *c, const struct steps *s)
{
	const json_t *step;
	size_t i;

	json_array_foreach(s->list, i, step)
	{
		print_step(c, step);
	}
}

json_t *steps_json(const struct steps *s)
{
	return s->list ? json_incref(s->list) : json_array();
}

const char *text(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return buf;
}
