/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stepping through the sections of a message, for both its readers; and the OPT that both write. */
#pragma once

#include "dns/wire.h"

struct fl_dns_rr {
	size_t start; /* of its owner */
	size_t ttl_at, rdata;
	uint16_t type, class, rdlen;
	uint32_t ttl;
};

enum {
	FL_DNS_COUNTS = 4,	   /* of the header: questions, and three sections of records */
	FL_DNS_QUESTION_FIXED = 4, /* type and class, behind the name */
};

static inline uint32_t fl_dns_get32(const uint8_t *p)
{
	return (uint32_t)fl_dns_get16(p) << 16 | fl_dns_get16(p + 2);
}
static inline void fl_dns_set32(uint8_t *p, uint32_t v)
{
	fl_dns_set16(p, (uint16_t)(v >> 16));
	fl_dns_set16(p + 2, (uint16_t)v);
}

/* How many the header announces. */
static inline uint16_t fl_dns_count(const uint8_t *msg, int section)
{
	return fl_dns_get16(msg + 4 + 2 * section);
}

/*
 * The offset behind the name at `at`, which may end in a pointer to what stands before it (RFC 1035
 * section 4.1.4). The pointer is not followed, so that none can lead in circles. 0: it is no name.
 */
size_t fl_dns_skip_name(const uint8_t *msg, size_t len, size_t at);
/*
 * The name at `at`, pointers followed, in its own case. Each leads further to the front than the
 * one before, so that none can lead in circles. -EBADMSG.
 */
int fl_dns_expand_name(const uint8_t *msg, size_t len, size_t at, struct fl_dns_name *ret);
/* The offset behind the record at `at`; 0: there is none. */
size_t fl_dns_read_rr(const uint8_t *msg, size_t len, size_t at, struct fl_dns_rr *ret);
/* Is it an OPT where one may be: in the additional section, of the root, the first? */
bool fl_dns_opt_valid(const uint8_t *msg, const struct fl_dns_rr *rr, int section, bool seen);
/* FL_DNS_OPT_SIZE bytes, with the upper bits of rcode. */
void fl_dns_write_opt(uint8_t *to, uint16_t rcode, bool dnssec_ok);
