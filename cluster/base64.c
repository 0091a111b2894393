/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster/wire.h"

#include <errno.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void fl_base64_add(struct fl_strbuf *b, const void *data, size_t n)
{
	const uint8_t *p = data;
	char out[4];

	for (; n; p += n < 3 ? n : 3, n -= n < 3 ? n : 3) {
		uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) |
			     (n > 2 ? p[2] : 0);

		out[0] = alphabet[v >> 18];
		out[1] = alphabet[v >> 12 & 63];
		out[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
		out[3] = n > 2 ? alphabet[v & 63] : '=';
		fl_strbuf_addn(b, out, 4);
	}
}

static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Four characters, of which the last `pad` are "=". Returns 0 or -EINVAL. */
static int decode_quad(const char *s, unsigned pad, uint8_t *out)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 4; i++) {
		int n = i < 4 - pad ? sextet(s[i]) : 0;

		if (n < 0)
			return -EINVAL;
		v = v << 6 | (uint32_t)n;
	}
	if (v & ((1u << 8 * pad) - 1)) /* bits that belong to no byte */
		return -EINVAL;
	out[0] = (uint8_t)(v >> 16);
	if (pad < 2)
		out[1] = (uint8_t)(v >> 8);
	if (pad < 1)
		out[2] = (uint8_t)v;
	return 0;
}

int fl_base64_decode(const char *text, size_t len, uint8_t *out, size_t *ret_len)
{
	size_t n = 0;

	if (len % 4)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 4) {
		unsigned pad = 0;

		if (i + 4 == len && text[i + 3] == '=')
			pad = text[i + 2] == '=' ? 2 : 1;
		if (decode_quad(text + i, pad, out + n))
			return -EINVAL;
		n += 3 - pad;
	}
	*ret_len = n;
	return 0;
}
