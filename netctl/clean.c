/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/clean.h"

#include <stddef.h>
#include <stdint.h>

/* Length of the character that is well-formed and no control character; 0: there is none. */
static size_t character(const uint8_t *s)
{
	size_t more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
	uint32_t c = s[0];

	if (!more)
		return c >= 0x20 && c != 0x7f;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	c &= 0x3fu >> more;
	for (size_t i = 1; i <= more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	/* C1 controls, overlong forms, surrogates, what turns the direction of writing around. */
	if (c < 0xa0 || (more == 2 && c < 0x800) || (more == 3 && (c < 0x10000 || c > 0x10ffff)) ||
	    (c >= 0xd800 && c <= 0xdfff) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069))
		return 0;
	return more + 1;
}

char *clean_text(char *s)
{
	for (uint8_t *p = (uint8_t *)s; *p;) {
		size_t n = character(p);

		if (!n)
			*p = '?';
		p += n ? n : 1;
	}
	return s;
}
