/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IP addresses, prefixes and MAC addresses. Pure; both families in one type; bytes are in network
 * order. Text forms are RFC 5952 for IPv6 and dotted quads for IPv4.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct fl_addr {
	uint8_t family; /* AF_INET, AF_INET6, or 0: no address */
	uint8_t b[16];	/* the first 4 for IPv4, the rest zero */
};

struct fl_prefix {
	struct fl_addr addr; /* host bits are kept: 10.1.0.5/24 is an address with its prefix */
	uint8_t len;
};

struct fl_mac {
	uint8_t b[6];
};

#define FL_ADDR_STR 46 /* INET6_ADDRSTRLEN */
#define FL_PREFIX_STR (FL_ADDR_STR + 4)
#define FL_MAC_STR 18

/* 4, 16, or 0 for no address. */
size_t fl_addr_len(const struct fl_addr *a);
/* 32, 128, or 0. */
unsigned fl_addr_bits(const struct fl_addr *a);
static inline bool fl_addr_is_set(const struct fl_addr *a)
{
	return a->family != 0;
}
/* 0.0.0.0 or :: */
bool fl_addr_is_any(const struct fl_addr *a);
bool fl_addr_is_loopback(const struct fl_addr *a);
bool fl_addr_is_multicast(const struct fl_addr *a);
/* ::ffff:0:0/96, RFC 4291 section 2.5.5.2 */
bool fl_addr_is_v4mapped(const struct fl_addr *a);
bool fl_addr_is_linklocal(const struct fl_addr *a);
bool fl_addr_eq(const struct fl_addr *a, const struct fl_addr *b);
/* Orders by family, then numerically. */
int fl_addr_cmp(const struct fl_addr *a, const struct fl_addr *b);
/* a + n, wrapping at the end of the family's space. */
struct fl_addr fl_addr_add(struct fl_addr a, uint64_t n);
struct fl_addr fl_addr_sub(struct fl_addr a, uint64_t n);
/* b - a, or UINT64_MAX when it does not fit or the families differ or b < a. */
uint64_t fl_addr_distance(const struct fl_addr *a, const struct fl_addr *b);
/* From family and 4 or 16 bytes. */
struct fl_addr fl_addr_make(int family, const void *bytes);

/* Accepts one address, nothing around it; v4-mapped IPv6 stays IPv6. Returns 0 or -EINVAL. */
int fl_addr_parse(const char *s, struct fl_addr *ret);
/* "ADDR/LEN"; LEN decimal without sign or leading zero. Returns 0 or -EINVAL. */
int fl_prefix_parse(const char *s, struct fl_prefix *ret);
/* As fl_prefix_parse(); without "/LEN" the full length is taken. */
int fl_prefix_parse_lenient(const char *s, struct fl_prefix *ret);
/* Writes at most FL_ADDR_STR bytes; "" for no address. Returns buf. */
const char *fl_addr_str(const struct fl_addr *a, char *buf);
const char *fl_prefix_str(const struct fl_prefix *p, char *buf);

/* The same prefix without host bits. */
struct fl_prefix fl_prefix_masked(const struct fl_prefix *p);
/* Last address of the prefix (all host bits set). */
struct fl_addr fl_prefix_last(const struct fl_prefix *p);
bool fl_prefix_contains(const struct fl_prefix *p, const struct fl_addr *a);
bool fl_prefix_overlaps(const struct fl_prefix *a, const struct fl_prefix *b);
/* Equal after masking. */
bool fl_prefix_same_net(const struct fl_prefix *a, const struct fl_prefix *b);

/* "aa:bb:cc:dd:ee:ff" (also with '-'); any letter case. Returns 0 or -EINVAL. */
int fl_mac_parse(const char *s, struct fl_mac *ret);
const char *fl_mac_str(const struct fl_mac *m, char *buf);
bool fl_mac_is_zero(const struct fl_mac *m);
/* A random locally administered unicast address. */
struct fl_mac fl_mac_random(void);

#define FL_ADDR_BUF ((char[FL_ADDR_STR]){ 0 })
#define FL_PREFIX_BUF ((char[FL_PREFIX_STR]){ 0 })
#define FL_MAC_BUF ((char[FL_MAC_STR]){ 0 })
