/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash-1-3 (Aumasson, Bernstein, "SipHash: a fast short-input PRF"): a hash under a secret key,
 * so that nobody who chooses what is hashed can choose what it collides with.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t fl_siphash(const uint8_t key[16], const void *data, size_t len);
