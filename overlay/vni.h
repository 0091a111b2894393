/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VNIs of networks that are created without one. Pure. */
#pragma once

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* Others' first ones are below: flannel's 1, Calico's 4096, Docker's 4097. */
#define FL_VNI_AUTO_FIRST 0x100000u
#define FL_VNI_AUTO_LAST 0xfffffeu

/*
 * The first of the range above that is not among `used` (in any order, also twice), from `from` on
 * and then from the range's beginning. `from` outside the range: its beginning. -ENOSPC, -ENOMEM.
 */
int fl_vni_find(const uint32_t *used, size_t n, uint32_t from, uint32_t *ret, struct fl_error *err);
