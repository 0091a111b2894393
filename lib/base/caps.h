/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capabilities (capabilities(7)) of a daemon, for those that link libcap. */
#pragma once

#include "base/error.h"

#include <sys/capability.h>

/*
 * Gives up all capabilities but the `n` of `keep`. The first `must` of them have to be there:
 * otherwise -EPERM, FL_ECODE_PRIVILEGE, with `needed`, their names, in the text. Those from
 * `asleep` on stay permitted without being effective: whoever needs one raises it.
 */
int fl_keep_capabilities(const cap_value_t *keep, size_t n, size_t must, size_t asleep,
			 const char *needed, struct fl_error *err);
