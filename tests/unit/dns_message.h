/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DNS messages, written piece by piece. */
#pragma once

#include "unit.h"

#include "dns/wire.h"

#include <string.h>

struct msg {
	uint8_t b[2048];
	size_t len;
};

static inline void bytes(struct msg *m, const void *data, size_t n)
{
	memcpy(m->b + m->len, data, n);
	m->len += n;
}

static inline void u16(struct msg *m, unsigned v)
{
	fl_dns_set16(m->b + m->len, (uint16_t)v);
	m->len += 2;
}

static inline struct msg header(unsigned flags, unsigned qd, unsigned an, unsigned ns, unsigned ar)
{
	struct msg m = { .len = 0 };

	u16(&m, 0x1234);
	u16(&m, flags);
	u16(&m, qd);
	u16(&m, an);
	u16(&m, ns);
	u16(&m, ar);
	return m;
}

#define WEB "\3wEb\3Net" /* and the root's byte behind it */

static inline void question(struct msg *m, const char *name, size_t n, unsigned type)
{
	bytes(m, name, n);
	u16(m, type);
	u16(m, FL_DNS_IN);
}

static inline struct msg query(unsigned type)
{
	struct msg m = header(FL_DNS_RD, 1, 0, 0, 0);

	question(&m, WEB, sizeof(WEB), type);
	return m;
}

static inline void record(struct msg *m, const char *name, size_t n, unsigned type, unsigned class,
			  uint32_t ttl, unsigned rdlen)
{
	bytes(m, name, n);
	u16(m, type);
	u16(m, class);
	u16(m, ttl >> 16);
	u16(m, ttl & 0xffff);
	u16(m, rdlen);
	for (; rdlen; rdlen--)
		bytes(m, "\x11", 1);
}

static inline void opt(struct msg *m, unsigned size, uint32_t ttl, unsigned rdlen)
{
	record(m, "", 1, FL_DNS_OPT, size, ttl, rdlen);
	fl_dns_set16(m->b + 10, (uint16_t)(fl_dns_get16(m->b + 10) + 1));
}

static inline const char *text(const struct fl_dns_name *n)
{
	static char buf[FL_DNS_TEXT_MAX];

	return fl_dns_name_str(n, buf);
}

static inline struct fl_addr addr(const char *s)
{
	struct fl_addr a;

	assert_int_equal(fl_addr_parse(s, &a), 0);
	return a;
}

static inline struct fl_dns_name name(const char *s)
{
	struct fl_dns_name n;

	assert_int_equal(fl_dns_name_parse(s, &n), 0);
	return n;
}
