/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text that others chose, container names above all, on its way to a terminal, to SVG or to DOT.
 * Every function takes any bytes: what is not UTF-8 becomes U+FFFD.
 */
#pragma once

#include "base/strbuf.h"

#include <stdint.h>

/*
 * The next character, and how many bytes it takes; U+FFFD for a byte that begins none. 0 at the
 * end.
 */
size_t utf8_next(const char *s, uint32_t *ret);

/*
 * What a terminal would obey or be misled by: control characters (C0, DEL, C1) and marks that turn
 * the direction of writing.
 */
bool is_control(uint32_t ch);

/* Appends it for a terminal: control characters as \u{1b}. */
void add_plain(struct fl_strbuf *b, const char *s);
/* The same as a string of its own; NULL without memory. */
char *plain_text(const char *s);

/*
 * In its place, for what goes into JSON: '?' for each byte of a control character, and where there
 * is no UTF-8. Returns s.
 */
char *clean_text(char *s);

/* Appends it as text or attribute value of XML 1.0; what XML cannot hold becomes U+FFFD. */
void add_xml(struct fl_strbuf *b, const char *s);
/* Appends it for a quoted string of DOT. */
void add_dot(struct fl_strbuf *b, const char *s);

/* Fonts by the generic names of CSS. Widths are those of the widest of their usual kind. */
enum font { FONT_SANS, FONT_SANS_BOLD, FONT_MONO };

/* Width in units of `size`; never less than what a browser draws with a usual font. */
double text_width(enum font font, double size, const char *s);
/* As much of it as fits into `width`, with an ellipsis where it was cut: appended to b, unescaped.
 * True when it was cut. */
bool add_fitting(struct fl_strbuf *b, enum font font, double size, double width, const char *s);

/* "999", "12.3k", "4.56M", "7.89G": at most five characters. */
const char *short_number(double v, char *buf, size_t size);
#define SHORT_NUMBER(v) short_number((double)(v), (char[16]){ 0 }, 16)
