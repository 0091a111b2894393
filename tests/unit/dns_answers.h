/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers to the one question of dns_message.h, record by record. */
#pragma once

#include "dns_message.h"

#include "base/cleanup.h"

#include <stdlib.h>

enum { AN = 6, NS = 8, AR = 10 }; /* where their counts are */
#define NAME_POINTER "\xc0\x0c"

static inline struct msg answer(unsigned flags, unsigned type)
{
	struct msg m = header(FL_DNS_QR | FL_DNS_RD | FL_DNS_RA | flags, 1, 0, 0, 0);

	question(&m, WEB, sizeof(WEB), type);
	return m;
}

/* A record of the question's name. */
static inline void put(struct msg *m, int section, unsigned type, uint32_t ttl, const void *rdata,
		       unsigned n)
{
	record(m, NAME_POINTER, 2, type, FL_DNS_IN, ttl, n);
	memcpy(m->b + m->len - n, rdata, n);
	m->b[section + 1]++;
}

static inline void put_a(struct msg *m, int section, uint32_t ttl)
{
	put(m, section, FL_DNS_A, ttl, "\x0a\0\0\1", 4);
}

/* Of compressed names, as servers write it. */
static inline void put_soa(struct msg *m, int section, uint32_t ttl, uint32_t minimum)
{
	uint8_t rdata[] = "\2ns\xc0\x0c\xc0\x0c\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4MINI";

	fl_dns_set16(rdata + sizeof(rdata) - 5, (uint16_t)(minimum >> 16));
	fl_dns_set16(rdata + sizeof(rdata) - 3, (uint16_t)minimum);
	put(m, section, FL_DNS_SOA, ttl, rdata, sizeof(rdata) - 1);
}

/* On memory of exactly its size, so that valgrind and ASan see a byte too much. */
static inline struct fl_dns_facts facts_of(const struct msg *m, size_t len)
{
	FL_AUTOFREE uint8_t *exact = malloc(len);
	struct fl_dns_facts f;

	assert_non_null(exact);
	memcpy(exact, m->b, len);
	assert_int_equal(fl_dns_inspect(exact, len, &f), 0);
	return f;
}

static inline struct fl_dns_facts facts(const struct msg *m)
{
	return facts_of(m, m->len);
}
