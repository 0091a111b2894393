/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

size_t fl_addr_len(const struct fl_addr *a)
{
	return a->family == AF_INET ? 4 : a->family == AF_INET6 ? 16 : 0;
}

unsigned fl_addr_bits(const struct fl_addr *a)
{
	return (unsigned)fl_addr_len(a) * 8;
}

bool fl_addr_is_any(const struct fl_addr *a)
{
	static const uint8_t zero[16];

	return a->family && !memcmp(a->b, zero, fl_addr_len(a));
}

bool fl_addr_is_loopback(const struct fl_addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (a->family == AF_INET)
		return a->b[0] == 127;
	return a->family == AF_INET6 && !memcmp(a->b, one, 16);
}

bool fl_addr_is_multicast(const struct fl_addr *a)
{
	if (a->family == AF_INET)
		return (a->b[0] & 0xf0) == 0xe0;
	return a->family == AF_INET6 && a->b[0] == 0xff;
}

bool fl_addr_is_v4mapped(const struct fl_addr *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return a->family == AF_INET6 && !memcmp(a->b, mapped, sizeof(mapped));
}

bool fl_addr_is_linklocal(const struct fl_addr *a)
{
	if (a->family == AF_INET)
		return a->b[0] == 169 && a->b[1] == 254;
	return a->family == AF_INET6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

bool fl_addr_eq(const struct fl_addr *a, const struct fl_addr *b)
{
	return fl_addr_cmp(a, b) == 0;
}

int fl_addr_cmp(const struct fl_addr *a, const struct fl_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->b, b->b, fl_addr_len(a));
}

struct fl_addr fl_addr_add(struct fl_addr a, uint64_t n)
{
	unsigned carry = 0;

	for (size_t i = fl_addr_len(&a); i-- > 0 && (n || carry);) {
		unsigned sum = a.b[i] + (unsigned)(n & 0xff) + carry;

		a.b[i] = (uint8_t)sum;
		carry = sum >> 8;
		n >>= 8;
	}
	return a;
}

struct fl_addr fl_addr_sub(struct fl_addr a, uint64_t n)
{
	unsigned borrow = 0;

	for (size_t i = fl_addr_len(&a); i-- > 0 && (n || borrow);) {
		unsigned take = (unsigned)(n & 0xff) + borrow;

		borrow = a.b[i] < take;
		a.b[i] = (uint8_t)(a.b[i] - take);
		n >>= 8;
	}
	return a;
}

uint64_t fl_addr_distance(const struct fl_addr *a, const struct fl_addr *b)
{
	uint8_t diff[16];
	size_t len = fl_addr_len(a);
	unsigned borrow = 0;
	uint64_t n = 0;

	if (a->family != b->family || fl_addr_cmp(a, b) > 0)
		return UINT64_MAX;
	for (size_t i = len; i-- > 0;) {
		unsigned take = a->b[i] + borrow;

		borrow = b->b[i] < take;
		diff[i] = (uint8_t)(b->b[i] - take);
	}
	for (size_t i = 0; i < len; i++) {
		if (len - i > 8 && diff[i])
			return UINT64_MAX;
		n = n << 8 | diff[i];
	}
	return n;
}

struct fl_addr fl_addr_make(int family, const void *bytes)
{
	struct fl_addr a = { .family = (uint8_t)family };

	memcpy(a.b, bytes, fl_addr_len(&a));
	return a;
}

int fl_addr_parse(const char *s, struct fl_addr *ret)
{
	struct fl_addr a = { .family = AF_INET };

	if (inet_pton(AF_INET, s, a.b) != 1) {
		a.family = AF_INET6;
		if (inet_pton(AF_INET6, s, a.b) != 1)
			return -EINVAL;
	}
	*ret = a;
	return 0;
}

static int parse_prefix(const char *s, bool need_len, struct fl_prefix *ret)
{
	const char *slash = strchr(s, '/');
	char text[FL_ADDR_STR];
	struct fl_prefix p = { 0 };
	unsigned len = 0;

	if (!slash) {
		if (need_len || fl_addr_parse(s, &p.addr))
			return -EINVAL;
		p.len = (uint8_t)fl_addr_bits(&p.addr);
		*ret = p;
		return 0;
	}
	if ((size_t)(slash - s) >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, (size_t)(slash - s));
	text[slash - s] = '\0';
	if (fl_addr_parse(text, &p.addr))
		return -EINVAL;
	s = slash + 1;
	if (!*s || strlen(s) > 3 || (s[0] == '0' && s[1]))
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		len = len * 10 + (unsigned)(*s - '0');
	}
	if (len > fl_addr_bits(&p.addr))
		return -EINVAL;
	p.len = (uint8_t)len;
	*ret = p;
	return 0;
}

int fl_prefix_parse(const char *s, struct fl_prefix *ret)
{
	return parse_prefix(s, true, ret);
}

int fl_prefix_parse_lenient(const char *s, struct fl_prefix *ret)
{
	return parse_prefix(s, false, ret);
}

const char *fl_addr_str(const struct fl_addr *a, char *buf)
{
	if (!a->family || !inet_ntop(a->family, a->b, buf, FL_ADDR_STR))
		buf[0] = '\0';
	return buf;
}

const char *fl_prefix_str(const struct fl_prefix *p, char *buf)
{
	fl_addr_str(&p->addr, buf);
	if (buf[0])
		snprintf(buf + strlen(buf), 5, "/%u", p->len);
	return buf;
}

struct fl_prefix fl_prefix_masked(const struct fl_prefix *p)
{
	struct fl_prefix m = *p;

	for (unsigned i = 0; i < fl_addr_len(&m.addr); i++) {
		unsigned keep = m.len > i * 8 ? m.len - i * 8 : 0;

		if (keep < 8)
			m.addr.b[i] &= (uint8_t)(0xff00u >> keep);
	}
	return m;
}

struct fl_addr fl_prefix_last(const struct fl_prefix *p)
{
	struct fl_addr a = fl_prefix_masked(p).addr;

	for (unsigned i = 0; i < fl_addr_len(&a); i++) {
		unsigned keep = p->len > i * 8 ? p->len - i * 8 : 0;

		if (keep < 8)
			a.b[i] |= (uint8_t)(0xffu >> keep);
	}
	return a;
}

bool fl_prefix_contains(const struct fl_prefix *p, const struct fl_addr *a)
{
	struct fl_prefix q = { *a, p->len };

	return p->addr.family == a->family && fl_prefix_same_net(p, &q);
}

bool fl_prefix_overlaps(const struct fl_prefix *a, const struct fl_prefix *b)
{
	return a->len <= b->len ? fl_prefix_contains(a, &b->addr) : fl_prefix_contains(b, &a->addr);
}

bool fl_prefix_same_net(const struct fl_prefix *a, const struct fl_prefix *b)
{
	struct fl_prefix x = fl_prefix_masked(a), y = fl_prefix_masked(b);

	return a->len == b->len && fl_addr_eq(&x.addr, &y.addr);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int fl_mac_parse(const char *s, struct fl_mac *ret)
{
	struct fl_mac m;

	if (strlen(s) != FL_MAC_STR - 1)
		return -EINVAL;
	for (int i = 0; i < 6; i++, s += 3) {
		int hi = hex(s[0]), lo = hex(s[1]);

		if (hi < 0 || lo < 0 || (i < 5 && s[2] != ':' && s[2] != '-'))
			return -EINVAL;
		m.b[i] = (uint8_t)(hi << 4 | lo);
	}
	*ret = m;
	return 0;
}

const char *fl_mac_str(const struct fl_mac *m, char *buf)
{
	snprintf(buf, FL_MAC_STR, "%02x:%02x:%02x:%02x:%02x:%02x", m->b[0], m->b[1], m->b[2],
		 m->b[3], m->b[4], m->b[5]);
	return buf;
}

bool fl_mac_is_zero(const struct fl_mac *m)
{
	return !memcmp(m->b, (uint8_t[6]){ 0 }, 6);
}

struct fl_mac fl_mac_random(void)
{
	struct fl_mac m;

	/* Up to 256 bytes are never cut short or interrupted: getrandom(2). */
	while (getrandom(m.b, sizeof(m.b), 0) != sizeof(m.b))
		continue;
	m.b[0] = (uint8_t)((m.b[0] & 0xfe) | 0x02);
	return m;
}
