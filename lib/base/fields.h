/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON objects into structs, by tables of fields. Pure.
 *
 * A table row names the key, the type, where the value goes and its bounds. Keys match exactly,
 * else ignoring ASCII case, as Go decodes them (containerd writes `HostPort`). null and absent keys
 * leave the struct as it was; unknown keys are ignored. Every message names the path of the key and
 * what was expected: "vlanTrunk[1].minID: expected an integer from 0 to 4094, not a string".
 *
 * Strings are borrowed: they live as long as the json_t they were read from.
 */
#pragma once

#include "base/addr.h"
#include "base/error.h"

#include "base/json.h"

enum fl_field_type {
	FL_FIELD_BOOL,	 /* bool */
	FL_FIELD_TRI,	 /* int: 0 or 1; absent leaves the preset (use -1 for "not given") */
	FL_FIELD_INT,	 /* int64_t within [min, max] */
	FL_FIELD_STRING, /* const char *, at most max bytes (0: 4,096) */
	FL_FIELD_ADDR,	 /* struct fl_addr; "" leaves it */
	FL_FIELD_PREFIX, /* struct fl_prefix, "ADDR/LEN" */
	FL_FIELD_MAC,	 /* struct fl_mac; "" leaves it */
	FL_FIELD_ENUM,	 /* int: index into the NULL-terminated `names`, any letter case */
	FL_FIELD_OBJECT, /* sub-table `sub` decoded into a struct at the offset */
	FL_FIELD_LIST,	 /* struct fl_list of structs of `size` bytes by `sub`; at most max items */
	FL_FIELD_STRINGS,     /* struct fl_list of const char *; at most max items */
	FL_FIELD_JSON,	      /* json_t *, borrowed, any type */
	FL_FIELD_JSON_OBJECT, /* json_t *, borrowed, must be an object */
};

struct fl_list {
	void *items; /* owned */
	size_t n;
};

struct fl_field {
	const char *key; /* NULL ends the table */
	enum fl_field_type type;
	size_t offset;
	int64_t min, max;
	const char *const *names;
	const struct fl_field *sub;
	size_t size;
};

#define FL_F(key, type, st, member, ...)                                \
	{                                                               \
		key, FL_FIELD_##type, offsetof(st, member), __VA_ARGS__ \
	}

/*
 * Decodes `obj` into `base`, which the caller has preset with defaults. `path` is put in front of
 * key names ("" or "ipam"). A value of the wrong JSON type is FL_ECODE_DECODE, one out of bounds
 * FL_ECODE_CONFIG; both -EINVAL. Lists already decoded are released on failure by
 * fl_fields_clear().
 */
int fl_fields_decode(const json_t *obj, const struct fl_field *table, const char *path, void *base,
		     struct fl_error *err);
/* Releases every list of the struct, nested ones included. */
void fl_fields_clear(const struct fl_field *table, void *base);
