/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/fields.h"

#include <errno.h>
#include <string.h>

struct inner {
	int64_t n;
	struct fl_list names;
};

struct outer {
	bool flag;
	int tri, kind;
	int64_t n;
	const char *text;
	struct fl_addr addr;
	struct fl_prefix prefix;
	struct fl_mac mac;
	struct inner one;
	struct fl_list many;
	json_t *any, *object;
};

static const char *const kinds[] = { "none", "some", NULL };

static const struct fl_field inner_fields[] = {
	FL_F("n", INT, struct inner, n, 1, 10),
	FL_F("names", STRINGS, struct inner, names, .max = 2),
	{ 0 },
};

static const struct fl_field fields[] = {
	FL_F("flag", BOOL, struct outer, flag),
	FL_F("tri", TRI, struct outer, tri),
	FL_F("kind", ENUM, struct outer, kind, .names = kinds),
	FL_F("hostPort", INT, struct outer, n, 0, 65535),
	FL_F("text", STRING, struct outer, text, .max = 8),
	FL_F("addr", ADDR, struct outer, addr),
	FL_F("prefix", PREFIX, struct outer, prefix),
	FL_F("mac", MAC, struct outer, mac),
	FL_F("one", OBJECT, struct outer, one, .sub = inner_fields),
	FL_F("many", LIST, struct outer, many, .max = 3, .sub = inner_fields,
	     .size = sizeof(struct inner)),
	FL_F("any", JSON, struct outer, any),
	FL_F("object", JSON_OBJECT, struct outer, object),
	{ 0 },
};

static int decode(const char *text, struct outer *o, struct fl_error *err)
{
	json_t *j = json_loads(text, 0, NULL);
	int r;

	assert_non_null(j);
	memset(o, 0, sizeof(*o));
	o->tri = -1;
	r = fl_fields_decode(j, fields, "", o, err);
	fl_fields_clear(fields, o);
	json_decref(j);
	return r;
}

static void good(void **state)
{
	struct outer o;
	struct fl_error e = { 0 };

	(void)state;
	assert_int_equal(decode("{\"flag\":true,\"hostPort\":80,\"kind\":\"SOME\",\"mac\":\"02:00:"
				"00:00:00:0A\"}",
				&o, &e),
			 0);
	assert_true(o.flag);
	assert_int_equal(o.n, 80);
	assert_int_equal(o.kind, 1);
	assert_int_equal(o.mac.b[5], 10);
	assert_int_equal(o.tri, -1);
	/* As Go does: exact first, then any case; null leaves the preset. */
	assert_int_equal(decode("{\"HOSTPORT\":81,\"tri\":null}", &o, &e), 0);
	assert_int_equal(o.n, 81);
	assert_int_equal(o.tri, -1);
	assert_int_equal(decode("{\"HostPort\":1,\"hostPort\":2}", &o, &e), 0);
	assert_int_equal(o.n, 2);
	assert_int_equal(
		decode("{\"many\":[{\"n\":1},{\"names\":[\"a\",\"b\"]}],\"one\":{\"n\":3}}", &o,
		       &e),
		0);
	assert_int_equal(o.one.n, 3);
}

static void hostile(void **state)
{
	static const struct {
		const char *json, *says;
		enum fl_ecode code;
	} cases[] = {
		{ "{\"flag\":1}", "flag: expected true or false, not an integer", FL_ECODE_DECODE },
		{ "{\"tri\":\"x\"}", "tri: expected true or false", FL_ECODE_DECODE },
		{ "{\"hostPort\":\"80\"}",
		  "hostPort: expected an integer from 0 to 65535, not a string", FL_ECODE_DECODE },
		{ "{\"hostPort\":1.5}", "not a fraction", FL_ECODE_DECODE },
		{ "{\"hostPort\":65536}", "not 65536", FL_ECODE_CONFIG },
		{ "{\"hostPort\":-1}", "not -1", FL_ECODE_CONFIG },
		{ "{\"text\":\"123456789\"}", "text: expected at most 8 bytes", FL_ECODE_CONFIG },
		{ "{\"text\":[]}", "text: expected a string, not a list", FL_ECODE_DECODE },
		{ "{\"addr\":\"1.2.3\"}", "addr: expected an IP address", FL_ECODE_CONFIG },
		{ "{\"prefix\":\"1.2.3.4\"}", "prefix: expected a prefix", FL_ECODE_CONFIG },
		{ "{\"prefix\":\"\"}", "prefix: expected a prefix", FL_ECODE_CONFIG },
		{ "{\"mac\":\"zz\"}", "mac: expected a MAC address", FL_ECODE_CONFIG },
		{ "{\"kind\":\"all\"}", "kind: expected one of \"none\", \"some\", not \"all\"",
		  FL_ECODE_CONFIG },
		{ "{\"one\":[]}", "one: expected an object, not a list", FL_ECODE_DECODE },
		{ "{\"one\":{\"n\":11}}", "one.n: expected an integer from 1 to 10",
		  FL_ECODE_CONFIG },
		{ "{\"many\":{}}", "many: expected a list of objects", FL_ECODE_DECODE },
		{ "{\"many\":[{},{},{},{}]}", "many: expected at most 3 items, not 4",
		  FL_ECODE_CONFIG },
		{ "{\"many\":[{},7]}", "many[1]: expected an object, not an integer",
		  FL_ECODE_DECODE },
		{ "{\"many\":[{\"names\":[\"a\",1]}]}", "many[0].names[1]: expected a string",
		  FL_ECODE_DECODE },
		{ "{\"object\":true}", "object: expected an object, not a boolean",
		  FL_ECODE_DECODE },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_error e = { 0 };
		struct outer o;

		assert_int_equal(decode(cases[i].json, &o, &e), -EINVAL);
		if (!strstr(e.text, cases[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].json, e.text,
				 cases[i].says);
		assert_int_equal(e.code, cases[i].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(good), cmocka_unit_test(hostile) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
