/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmocka with what it needs before it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* after the above, as its manual asks */
#include <cmocka.h>
