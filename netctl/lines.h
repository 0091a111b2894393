/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a daemon tells after its answer: JSON, one object a line, in packets of any size. */
#pragma once

#include "base/error.h"
#include "base/json.h"

/*
 * Calls take() for each object until it returns non-zero, which is returned, or the connection
 * ends. What is no JSON is passed over; stdout is flushed after each packet.
 */
int lines_read(int s, const char *program, int (*take)(void *arg, const json_t *line), void *arg,
	       struct fl_error *err);
