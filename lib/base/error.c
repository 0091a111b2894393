/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int negative(int err)
{
	return err > 0 ? -err : err;
}

__attribute__((format(printf, 4, 0))) static void
fill(struct fl_error *e, int err, enum fl_ecode code, const char *fmt, va_list ap)
{
	e->err = negative(err);
	e->code = code;
	e->details[0] = '\0';
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
}

int fl_error_set(struct fl_error *e, int err, enum fl_ecode code, const char *fmt, ...)
{
	va_list ap;

	if (e) {
		va_start(ap, fmt);
		fill(e, err, code, fmt, ap);
		va_end(ap);
	}
	return negative(err);
}

int fl_error_errno(struct fl_error *e, int err, enum fl_ecode code, const char *fmt, ...)
{
	size_t len;
	va_list ap;

	if (e) {
		va_start(ap, fmt);
		fill(e, err, code, fmt, ap);
		va_end(ap);
		len = strlen(e->text);
		snprintf(e->text + len, sizeof(e->text) - len, ": %s", strerror(-e->err));
	}
	return negative(err);
}

int fl_error_prefix(struct fl_error *e, const char *fmt, ...)
{
	char old[FL_ERROR_TEXT];
	size_t len;
	va_list ap;

	if (!e)
		return 0;
	memcpy(old, e->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	len = strlen(e->text);
	if (snprintf(e->text + len, sizeof(e->text) - len, ": %s", old) < 0)
		e->text[len] = '\0';
	return e->err;
}

void fl_error_details(struct fl_error *e, const char *details)
{
	if (e)
		snprintf(e->details, sizeof(e->details), "%s", details ? details : "");
}

int fl_error_oom(struct fl_error *e)
{
	return fl_error_set(e, ENOMEM, FL_ECODE_TRY_AGAIN, "out of memory");
}
