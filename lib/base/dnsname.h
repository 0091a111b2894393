/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Domain names as they stand on the wire, uncompressed (RFC 1035 section 3.1), with the letters of
 * ASCII in lower case, so that equal names are equal bytes (RFC 4343). Pure.
 */
#pragma once

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FL_DNS_NAME_MAX 255
#define FL_DNS_LABEL_MAX 63
#define FL_DNS_TEXT_MAX 1025 /* of a name as text, each byte as \DDD, with the NUL */

struct fl_dns_name {
	uint8_t len; /* with the root's empty label; 0: no name */
	uint8_t b[FL_DNS_NAME_MAX];
};

/* A length of a label is below 'A': whole names can be lowered without regard to labels. */
static inline uint8_t fl_dns_lower(uint8_t c)
{
	return (uint8_t)(c + ((uint8_t)(c - 'A') < 26) * 32);
}

/*
 * From labels joined by dots; a final dot may be there. "." is the root. No escapes: every other
 * byte stands for itself. -EINVAL: empty, an empty label, or one that is too long, or the whole.
 */
int fl_dns_name_parse(const char *text, struct fl_dns_name *ret);
/*
 * For people and logs: "web.example." with spaces, what is not printable ASCII, and '.' and '\' of
 * a label as \DDD (RFC 1035 section 5.1); "" for no name. Writes at most FL_DNS_TEXT_MAX bytes.
 * Returns buf.
 */
const char *fl_dns_name_str(const struct fl_dns_name *n, char *buf);
bool fl_dns_name_eq(const struct fl_dns_name *a, const struct fl_dns_name *b);
/*
 * Is `n` below `suffix`, by at least one label? Then *ret is what stands in front of it, ended with
 * the root: "web.net." below "net." is "web.".
 */
bool fl_dns_name_stem(const struct fl_dns_name *n, const struct fl_dns_name *suffix,
		      struct fl_dns_name *ret);
/* a's labels in front of b's; *ret may be either. -EINVAL when that is longer than a name may be,
 * or one is no name. */
int fl_dns_name_join(const struct fl_dns_name *a, const struct fl_dns_name *b,
		     struct fl_dns_name *ret);
/* How many labels, without the root. */
unsigned fl_dns_name_labels(const struct fl_dns_name *n);
/* The name without its first label; the root stays the root. */
struct fl_dns_name fl_dns_name_parent(const struct fl_dns_name *n);

/* "4.3.2.1.in-addr.arpa." and nibbles below ip6.arpa (RFC 1035 section 3.5, RFC 3596 section 2.5);
 * no name for no address. */
void fl_dns_name_of_addr(const struct fl_addr *a, struct fl_dns_name *ret);
/* The address that such a name stands for, of full length, without leading zeros. -ENOENT: it is
 * none. */
int fl_dns_name_to_addr(const struct fl_dns_name *n, struct fl_addr *ret);
