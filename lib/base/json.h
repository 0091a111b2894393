/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small helpers over jansson that more than one layer needs. */
#pragma once

#include "base/cleanup.h"

#include <jansson.h>

/* Member by exact key, else by the first key equal ignoring ASCII case; NULL when absent or null.
 */
json_t *fl_json_get(const json_t *obj, const char *key);
/* "a boolean", "a string", ... for messages. */
const char *fl_json_kind(const json_t *v);

static inline void fl_json_p(json_t **j)
{
	json_decref(*j);
}
#define FL_AUTOJSON FL_CLEANUP(fl_json_p)
