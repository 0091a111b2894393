/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/dnsname.h"

#include <errno.h>
#include <string.h>

int fl_dns_name_parse(const char *text, struct fl_dns_name *ret)
{
	struct fl_dns_name n = { 0 };
	size_t at = 0, len;

	if (!strcmp(text, "."))
		text++;
	else if (!*text)
		return -EINVAL;
	while (*text) {
		len = strcspn(text, ".");
		if (!len || len > FL_DNS_LABEL_MAX || at + 1 + len + 1 > FL_DNS_NAME_MAX)
			return -EINVAL;
		n.b[at++] = (uint8_t)len;
		while (len--)
			n.b[at++] = fl_dns_lower((uint8_t)*text++);
		text += *text == '.';
	}
	n.len = (uint8_t)(at + 1);
	*ret = n;
	return 0;
}

static char *put_byte(char *to, uint8_t c)
{
	if (c > ' ' && c < 127 && c != '.' && c != '\\') {
		*to++ = (char)c;
		return to;
	}
	*to++ = '\\';
	*to++ = (char)('0' + c / 100);
	*to++ = (char)('0' + c / 10 % 10);
	*to++ = (char)('0' + c % 10);
	return to;
}

const char *fl_dns_name_str(const struct fl_dns_name *n, char *buf)
{
	const uint8_t *p = n->b;
	char *to = buf;

	if (n->len == 1)
		*to++ = '.';
	while (n->len && *p) {
		for (uint8_t left = *p++; left; left--)
			to = put_byte(to, *p++);
		*to++ = '.';
	}
	*to = '\0';
	return buf;
}

bool fl_dns_name_eq(const struct fl_dns_name *a, const struct fl_dns_name *b)
{
	return a->len == b->len && !memcmp(a->b, b->b, a->len);
}

bool fl_dns_name_stem(const struct fl_dns_name *n, const struct fl_dns_name *suffix,
		      struct fl_dns_name *ret)
{
	size_t want, at = 0;

	if (!suffix->len || n->len <= suffix->len)
		return false;
	/* The same bytes may stand across labels, where they are no suffix. */
	want = (size_t)n->len - suffix->len;
	while (at < want)
		at += 1 + (size_t)n->b[at];
	if (at != want || memcmp(n->b + at, suffix->b, suffix->len))
		return false;
	memmove(ret->b, n->b, at);
	ret->b[at] = 0;
	ret->len = (uint8_t)(at + 1);
	return true;
}

int fl_dns_name_join(const struct fl_dns_name *a, const struct fl_dns_name *b,
		     struct fl_dns_name *ret)
{
	size_t front = (size_t)a->len - 1, back = b->len;

	if (!a->len || !b->len || front + back > FL_DNS_NAME_MAX)
		return -EINVAL;
	/* in this order: either may be *ret */
	memmove(ret->b + front, b->b, back);
	memmove(ret->b, a->b, front);
	ret->len = (uint8_t)(front + back);
	return 0;
}

unsigned fl_dns_name_labels(const struct fl_dns_name *n)
{
	unsigned labels = 0;

	for (size_t at = 0; at + 1 < n->len; at += 1 + (size_t)n->b[at])
		labels++;
	return labels;
}

struct fl_dns_name fl_dns_name_parent(const struct fl_dns_name *n)
{
	struct fl_dns_name up = { 0 };
	size_t first = n->len > 1 ? 1 + (size_t)n->b[0] : 0;

	up.len = (uint8_t)(n->len - first);
	memcpy(up.b, n->b + first, up.len);
	return up;
}

/* ---- addresses ---- */

static const uint8_t in_addr[] = "\7in-addr\4arpa";
static const uint8_t ip6[] = "\3ip6\4arpa";

enum { IP6_NAME = 32 * 2 + sizeof(ip6) };

static size_t put_octet(uint8_t *to, uint8_t v)
{
	size_t n = 0;

	if (v >= 100)
		to[++n] = (uint8_t)('0' + v / 100);
	if (v >= 10)
		to[++n] = (uint8_t)('0' + v / 10 % 10);
	to[++n] = (uint8_t)('0' + v % 10);
	to[0] = (uint8_t)n;
	return n + 1;
}

static size_t put_nibble(uint8_t *to, uint8_t v)
{
	to[0] = 1;
	to[1] = (uint8_t) "0123456789abcdef"[v];
	return 2;
}

void fl_dns_name_of_addr(const struct fl_addr *a, struct fl_dns_name *ret)
{
	struct fl_dns_name n = { 0 };
	size_t at = 0, tail = a->family == AF_INET6 ? sizeof(ip6) : sizeof(in_addr);

	for (size_t i = fl_addr_len(a); i-- > 0;) {
		if (a->family == AF_INET) {
			at += put_octet(n.b + at, a->b[i]);
		} else {
			at += put_nibble(n.b + at, a->b[i] & 15);
			at += put_nibble(n.b + at, a->b[i] >> 4);
		}
	}
	if (at) {
		memcpy(n.b + at, a->family == AF_INET6 ? ip6 : in_addr, tail);
		n.len = (uint8_t)(at + tail);
	}
	*ret = n;
}

/* A label of decimal digits, without leading zeros. Returns its bytes, 0: it is none. */
static size_t read_octet(const uint8_t *label, uint8_t *ret)
{
	unsigned v = 0;

	if (!label[0] || label[0] > 3 || (label[0] > 1 && label[1] == '0'))
		return 0;
	for (size_t i = 1; i <= label[0]; i++) {
		if (label[i] < '0' || label[i] > '9')
			return 0;
		v = v * 10 + label[i] - '0';
	}
	*ret = (uint8_t)v;
	return v <= 255 ? 1 + (size_t)label[0] : 0;
}

static int to_addr4(const struct fl_dns_name *n, struct fl_addr *ret)
{
	struct fl_addr a = { .family = AF_INET };
	size_t at = 0, octet;

	for (int i = 3; i >= 0; i--) {
		octet = read_octet(n->b + at, &a.b[i]);
		if (!octet)
			return -ENOENT;
		at += octet;
	}
	if (n->len != at + sizeof(in_addr) || memcmp(n->b + at, in_addr, sizeof(in_addr)))
		return -ENOENT;
	*ret = a;
	return 0;
}

static int nibble(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int fl_dns_name_to_addr(const struct fl_dns_name *n, struct fl_addr *ret)
{
	struct fl_addr a = { .family = AF_INET6 };
	size_t front = IP6_NAME - sizeof(ip6);

	if (n->len <= sizeof(in_addr))
		return -ENOENT;
	if (n->len != IP6_NAME || memcmp(n->b + front, ip6, sizeof(ip6)))
		return to_addr4(n, ret);
	for (size_t i = 0; i < 32; i++) {
		int v = n->b[2 * i] == 1 ? nibble(n->b[2 * i + 1]) : -1;

		if (v < 0)
			return -ENOENT;
		a.b[15 - i / 2] |= (uint8_t)(i & 1 ? v << 4 : v);
	}
	*ret = a;
	return 0;
}
