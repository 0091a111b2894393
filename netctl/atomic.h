/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that are there as a whole or as they were before. */
#pragma once

#include "base/error.h"

#include <stddef.h>

/*
 * A link stays one: what it leads to is replaced. What is no regular file (/dev/stdout, a pipe) is
 * written to.
 */
int file_replace(const char *path, const void *data, size_t len, struct fl_error *err);
