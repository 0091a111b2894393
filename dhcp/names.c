/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/names.h"

#include <string.h>

#define NAME_MAX_LEN 253 /* RFC 1035, 2.3.4, in text */

static bool name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

bool fl_dhcp_name_valid(char *s)
{
	size_t n = strlen(s), label = 0;

	if (n && s[n - 1] == '.')
		s[--n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '.' ? !label : (!name_byte((uint8_t)s[i]) || label == 63))
			return false;
		label = s[i] == '.' ? 0 : label + 1;
	}
	return n && n <= NAME_MAX_LEN && label;
}

/*
 * One name of RFC 1035, 4.1.4 at *pos, which moves behind it. A pointer must lead backwards from
 * where the last one led, so that every chain ends.
 */
static bool read_name(const uint8_t *b, size_t n, size_t *pos, char *to)
{
	size_t at = *pos, bound = *pos, len = 0;
	bool jumped = false;

	while (at < n && b[at]) {
		size_t label = b[at];

		if (label >= 0xc0) {
			size_t target = at + 1 < n ? (label & 0x3f) << 8 | b[at + 1] : n;

			if (target >= bound)
				return false;
			if (!jumped)
				*pos = at + 2;
			jumped = true;
			at = bound = target;
			continue;
		}
		if (label > 63 || label > n - at - 1 || len + label + 1 > NAME_MAX_LEN + 1)
			return false;
		memcpy(to + len, b + at + 1, label);
		to[len + label] = '.';
		len += label + 1;
		at += label + 1;
	}
	if (at >= n)
		return false;
	if (!jumped)
		*pos = at + 1;
	to[len] = '\0';
	/* a byte 0 inside of a label would end the text early */
	return strlen(to) == len;
}

size_t fl_dhcp_names(const uint8_t *b, size_t n, char to[][256])
{
	size_t pos = 0, have = 0;

	while (pos < n && have < FL_DHCP_LIST_MAX) {
		if (!read_name(b, n, &pos, to[have]))
			break;
		if (fl_dhcp_name_valid(to[have]))
			have++;
	}
	return have;
}
