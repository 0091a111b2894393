/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"

#include <strings.h>

json_t *fl_json_get(const json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key), *item;
	const char *k;

	if (!v)
		json_object_foreach ((json_t *)obj, k, item)
			if (!strcasecmp(k, key)) {
				v = item;
				break;
			}
	return json_is_null(v) ? NULL : v;
}

const char *fl_json_kind(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "a list";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	default:
		return "null";
	}
}
