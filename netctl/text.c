/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/text.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum { REPLACEMENT = 0xFFFD };

/* ---- characters ---- */

static size_t length_by_first(unsigned char c)
{
	return c < 0x80		    ? 1
	       : (c & 0xE0) == 0xC0 ? 2
	       : (c & 0xF0) == 0xE0 ? 3
	       : (c & 0xF8) == 0xF0 ? 4
				    : 0;
}

size_t utf8_next(const char *s, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	static const unsigned char mask[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
	const unsigned char *p = (const unsigned char *)s;
	size_t n = length_by_first(*p);
	uint32_t ch;

	if (!*p)
		return 0;
	*ret = REPLACEMENT;
	if (!n)
		return 1;
	ch = *p & mask[n];
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 1;
		ch = ch << 6 | (p[i] & 0x3F);
	}
	if (ch < least[n] || ch > 0x10FFFF || (ch >= 0xD800 && ch <= 0xDFFF))
		return 1;
	*ret = ch;
	return n;
}

bool is_control(uint32_t ch)
{
	return ch < 0x20 || (ch >= 0x7F && ch < 0xA0) || ch == 0x2028 || ch == 0x2029 ||
	       ch == 0x200E || ch == 0x200F || ch == 0x061C || (ch >= 0x202A && ch <= 0x202E) ||
	       (ch >= 0x2066 && ch <= 0x2069);
}

static void add_char(struct fl_strbuf *b, const char *s, size_t n, uint32_t ch)
{
	if (ch == REPLACEMENT)
		fl_strbuf_add(b, "\xEF\xBF\xBD");
	else
		fl_strbuf_addn(b, s, n);
}

/* ---- escapes ---- */

void add_plain(struct fl_strbuf *b, const char *s)
{
	uint32_t ch;
	size_t n;

	for (; (n = utf8_next(s, &ch)); s += n)
		if (is_control(ch))
			fl_strbuf_addf(b, "\\u{%x}", ch);
		else
			add_char(b, s, n, ch);
}

char *plain_text(const char *s)
{
	struct fl_strbuf b = { 0 };

	fl_strbuf_add(&b, "");
	add_plain(&b, s);
	if (!b.failed)
		return b.s;
	fl_strbuf_clear(&b);
	return NULL;
}

char *clean_text(char *s)
{
	uint32_t ch;
	size_t n;

	for (char *p = s; (n = utf8_next(p, &ch)); p += n) {
		if (!is_control(ch) && (ch != REPLACEMENT || n > 1))
			continue;
		/* The rest of a longer one is no character either. */
		*p = '?';
		n = 1;
	}
	return s;
}

void add_xml(struct fl_strbuf *b, const char *s)
{
	uint32_t ch;
	size_t n;

	for (; (n = utf8_next(s, &ch)); s += n) {
		if (ch == '&')
			fl_strbuf_add(b, "&amp;");
		else if (ch == '<')
			fl_strbuf_add(b, "&lt;");
		else if (ch == '>')
			fl_strbuf_add(b, "&gt;");
		else if (ch == '"')
			fl_strbuf_add(b, "&quot;");
		else if (ch == '\'')
			fl_strbuf_add(b, "&#39;");
		else if (is_control(ch) || ch == 0xFFFE || ch == 0xFFFF)
			fl_strbuf_add(b, "\xEF\xBF\xBD");
		else
			add_char(b, s, n, ch);
	}
}

void add_dot(struct fl_strbuf *b, const char *s)
{
	uint32_t ch;
	size_t n;

	/* DOT reads HTML's entities in its strings: an "&" of a name must not begin one. */
	for (; (n = utf8_next(s, &ch)); s += n) {
		if (ch == '"' || ch == '\\')
			fl_strbuf_addf(b, "\\%c", (char)ch);
		else if (ch == '&')
			fl_strbuf_add(b, "&amp;");
		else if (ch == '<')
			fl_strbuf_add(b, "&lt;");
		else if (ch == '>')
			fl_strbuf_add(b, "&gt;");
		else if (is_control(ch))
			fl_strbuf_add(b, "\xEF\xBF\xBD");
		else
			add_char(b, s, n, ch);
	}
}

/* ---- widths ---- */

/* In em, of DejaVu Sans and Verdana, the widest of what "sans-serif" usually is. */
static double sans_em(uint32_t ch)
{
	static const char narrow[] = "iljI.,:;'|!()[]/ -tfr", wide[] = "mMWw@%";

	if (ch < 0x80 && strchr(narrow, (int)ch))
		return ch == '-' || ch == 't' || ch == 'f' || ch == 'r' ? 0.42 : 0.40;
	if (ch < 0x80 && strchr(wide, (int)ch))
		return 1.01;
	if (ch >= 'A' && ch <= 'Z')
		return 0.79;
	return ch < 0x80 ? 0.65 : 0.85;
}

static double char_em(enum font font, uint32_t ch)
{
	int columns = ch < 0x80 ? 1 : wcwidth((wchar_t)ch);
	double em;

	/* Of what the locale does not know, the widest; marks are drawn upon the one before. */
	if (columns < 0 || columns > 1)
		return 1.25;
	if (font == FONT_MONO)
		return ch < 0x80 ? 0.61 : 1.0;
	em = sans_em(ch);
	return font == FONT_SANS_BOLD ? em * 1.12 : em;
}

double text_width(enum font font, double size, const char *s)
{
	double sum = 0;
	uint32_t ch;
	size_t n;

	for (; (n = utf8_next(s, &ch)); s += n)
		sum += char_em(font, ch);
	return sum * size;
}

bool add_fitting(struct fl_strbuf *b, enum font font, double size, double width, const char *s)
{
	double left = width - char_em(font, 0x2026) * size;
	const char *end = s;
	uint32_t ch;
	size_t n;

	if (text_width(font, size, s) <= width) {
		fl_strbuf_add(b, s);
		return false;
	}
	for (; (n = utf8_next(end, &ch)); end += n) {
		left -= char_em(font, ch) * size;
		if (left < 0)
			break;
	}
	fl_strbuf_addn(b, s, (size_t)(end - s));
	fl_strbuf_add(b, "\xE2\x80\xA6");
	return true;
}

const char *short_number(double v, char *buf, size_t size)
{
	static const char units[] = "kMGTPE";
	int unit = -1;

	while (v >= 999.5 && unit + 1 < (int)sizeof(units) - 1) {
		v /= 1000;
		unit++;
	}
	if (unit < 0)
		snprintf(buf, size, "%.0f", v);
	else
		snprintf(buf, size, "%.*f%c", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, units[unit]);
	return buf;
}
