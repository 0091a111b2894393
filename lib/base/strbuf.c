/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/strbuf.h"

#include <ctype.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool room(struct fl_strbuf *b, size_t n)
{
	size_t want = b->len + n + 1;
	char *s;

	if (b->failed)
		return false;
	if (want <= b->cap)
		return true;
	want = want < 256 ? 256 : want * 2;
	s = realloc(b->s, want);
	if (!s) {
		b->failed = true;
		return false;
	}
	b->s = s;
	b->cap = want;
	return true;
}

void fl_strbuf_addn(struct fl_strbuf *b, const void *s, size_t n)
{
	if (!room(b, n))
		return;
	memcpy(b->s + b->len, s, n);
	b->len += n;
	b->s[b->len] = '\0';
}

void fl_strbuf_add(struct fl_strbuf *b, const char *s)
{
	fl_strbuf_addn(b, s, strlen(s));
}

void fl_strbuf_addf(struct fl_strbuf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || !room(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->s + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void fl_strbuf_clear(struct fl_strbuf *b)
{
	free(b->s);
	*b = (struct fl_strbuf){ 0 };
}

void fl_strcpy(char *dst, size_t size, const char *src)
{
	size_t n = strnlen(src, size - 1);

	memcpy(dst, src, n);
	dst[n] = '\0';
}

bool fl_name_valid(const char *s, size_t max)
{
	size_t n = strlen(s);

	if (!n || n > max || !isalnum((unsigned char)s[0]))
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n;
}

/* The spaces of Unicode outside ASCII, which the reference refuses in interface names. */
static bool has_wide_space(const char *s)
{
	static const char *const spaces[] = {
		"\xc2\x85", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
		"\u2004",   "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
		"\u2028",   "\u2029", "\u202f", "\u205f", "\u3000",
	};

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		if (strstr(s, spaces[i]))
			return true;
	return false;
}

bool fl_ifname_valid(const char *s)
{
	size_t n = strnlen(s, IFNAMSIZ);

	if (!n || n >= IFNAMSIZ || !strcmp(s, ".") || !strcmp(s, ".."))
		return false;
	/* '%' would be a pattern to the kernel, which numbers it: dev_prep_valid_name(). */
	for (size_t i = 0; i < n; i++)
		if (strchr("/:%", s[i]) || isspace((unsigned char)s[i]))
			return false;
	return !has_wide_space(s);
}
