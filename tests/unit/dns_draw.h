/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names drawn at random from a fixed seed: what fails once fails again. */
#pragma once

#include "dns_message.h"

static uint32_t seed = 0x2545f491;

static inline uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

/* They share their ends, so that there is something to compress; the letters are in any case. */
enum { NAMES = 8 };
static struct fl_dns_name names[NAMES];

static inline uint8_t label_byte(uint32_t kind)
{
	static const char plain[] = "abcXYZ019-_";

	return kind ? (uint8_t)plain[rnd(sizeof(plain) - 1)] : (uint8_t)rnd(256);
}

static inline void draw_names(void)
{
	names[0] = (struct fl_dns_name){ .len = 1 };
	for (uint32_t i = 1; i < NAMES; i++) {
		const struct fl_dns_name *rest = &names[rnd(i)];
		size_t n = 1 + rnd(rnd(8) ? 10 : 63);
		uint32_t kind = rnd(4);

		names[i] = *rest;
		if (n + 1 + rest->len > FL_DNS_NAME_MAX)
			continue;
		names[i].b[0] = (uint8_t)n;
		for (size_t j = 1; j <= n; j++)
			names[i].b[j] = label_byte(kind);
		memcpy(names[i].b + n + 1, rest->b, rest->len);
		names[i].len = (uint8_t)(n + 1 + rest->len);
	}
}

static inline const struct fl_dns_name *any_name(void)
{
	return &names[rnd(NAMES)];
}

static inline struct fl_dns_name lowered(const struct fl_dns_name *n)
{
	struct fl_dns_name low = *n;

	for (size_t i = 0; i < n->len; i++)
		low.b[i] = n->b[i] >= 'A' && n->b[i] <= 'Z' ? n->b[i] + 32 : n->b[i];
	return low;
}
