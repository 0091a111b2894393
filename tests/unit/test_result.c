/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "plugin/cni.h"

#include <string.h>

static const char newest[] =
	"{\"cniVersion\":\"1.1.0\",\"interfaces\":[{\"name\":\"br0\",\"mac\":\"02:00:00:00:00:01\","
	"\"mtu\":1500},"
	"{\"name\":\"eth0\",\"sandbox\":\"/run/netns/a\",\"socketPath\":\"/"
	"s\",\"pciID\":\"0000:00:01.0\"}],"
	"\"ips\":[{\"interface\":1,\"address\":\"10.1.0.2/"
	"24\",\"gateway\":\"10.1.0.1\"},{\"address\":\"fd00::2/64\"}],"
	"\"routes\":[{\"dst\":\"0.0.0.0/"
	"0\",\"gw\":\"10.1.0.1\",\"mtu\":1400,\"scope\":0},{\"dst\":\"::/0\"}],"
	"\"dns\":{\"nameservers\":[\"10.1.0.1\"],\"domain\":\"d\",\"search\":[\"s\"],\"options\":["
	"\"o\"]}}";

static json_t *convert(const char *text, enum fl_version from, enum fl_version to)
{
	FL_AUTORESULT struct fl_result r = { 0 };
	struct fl_error e = { 0 };
	json_t *in = json_loads(text, 0, NULL), *out = NULL;

	assert_non_null(in);
	assert_int_equal(fl_result_parse(in, from, "prevResult", &r, &e), 0);
	assert_int_equal(fl_result_json(&r, to, &out, &e), 0);
	json_decref(in);
	return out;
}

static void same_version_is_kept(void **state)
{
	json_t *out = convert(newest, FL_V110, FL_V110), *in = json_loads(newest, 0, NULL);

	(void)state;
	assert_true(json_equal(in, out));
	json_decref(in);
	json_decref(out);
}

static void goes_down(void **state)
{
	json_t *out = convert(newest, FL_V110, FL_V040), *ip;

	(void)state;
	ip = json_array_get(json_object_get(out, "ips"), 1);
	assert_string_equal(json_string_value(json_object_get(ip, "version")), "6");
	assert_null(json_object_get(ip, "interface"));
	assert_null(json_object_get(json_array_get(json_object_get(out, "interfaces"), 0), "mtu"));
	json_decref(out);
	out = convert(newest, FL_V110, FL_V020);
	assert_string_equal(json_string_value(json_object_get(json_object_get(out, "ip4"), "ip")),
			    "10.1.0.2/24");
	assert_string_equal(json_string_value(json_object_get(json_object_get(out, "ip6"), "ip")),
			    "fd00::2/64");
	assert_null(json_object_get(out, "interfaces"));
	assert_int_equal(json_array_size(json_object_get(json_object_get(out, "ip4"), "routes")),
			 1);
	json_decref(out);
}

static void goes_up(void **state)
{
	json_t *out = convert("{\"ip4\":{\"ip\":\"10.1.0.2/"
			      "24\",\"gateway\":\"10.1.0.1\",\"routes\":[{\"dst\":\"0.0.0.0/"
			      "0\"}]},\"dns\":{}}",
			      FL_V010, FL_V100),
	       *ips = json_object_get(out, "ips");

	(void)state;
	assert_int_equal(json_array_size(ips), 1);
	assert_int_equal(json_array_size(json_object_get(out, "routes")), 1);
	assert_null(json_object_get(out, "dns"));
	assert_null(json_object_get(json_array_get(ips, 0), "version"));
	json_decref(out);
}

static void hostile(void **state)
{
	static const struct {
		const char *json, *says;
	} cases[] = {
		{ "[]", "prevResult: expected an object" },
		{ "{\"ips\":7}", "prevResult.ips: expected a list" },
		{ "{\"ips\":[{}]}", "prevResult.ips[0].address: expected a prefix" },
		{ "{\"ips\":[{\"address\":\"x\"}]}", "prevResult.ips[0].address" },
		{ "{\"ips\":[{\"address\":\"10.0.0.1/8\",\"interface\":-1}]}",
		  "prevResult.ips[0].interface" },
		{ "{\"interfaces\":[{\"name\":1}]}", "prevResult.interfaces[0].name" },
		{ "{\"routes\":[{}]}", "prevResult.routes[0].dst" },
		{ "{\"routes\":{}}", "prevResult.routes: expected a list" },
		{ "{\"dns\":{\"nameservers\":[1]}}", "prevResult.dns.nameservers[0]" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		FL_AUTORESULT struct fl_result r = { 0 };
		struct fl_error e = { 0 };
		json_t *in = json_loads(cases[i].json, 0, NULL);

		assert_true(fl_result_parse(in, FL_V110, "prevResult", &r, &e) < 0);
		if (!strstr(e.text, cases[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].json, e.text,
				 cases[i].says);
		json_decref(in);
	}
}

static void args(void **state)
{
	struct fl_request q = { 0 };
	struct fl_error e = { 0 };

	(void)state;
	assert_int_equal(
		fl_cni_args("K8S_POD_NAME=x;MAC=02:00:00:00:00:01;IgnoreUnknown=1;IP=10.0.0.2;", &q,
			    &e),
		0);
	assert_string_equal(q.args_mac, "02:00:00:00:00:01");
	assert_string_equal(q.args_ip, "10.0.0.2");
	assert_int_equal(fl_cni_args("", &q, &e), 0);
	assert_true(fl_cni_args("MAC", &q, &e) < 0);
	assert_int_equal(e.code, FL_ECODE_ENV);
	assert_true(fl_cni_args("A=B=C", &q, &e) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_version_is_kept),
		cmocka_unit_test(goes_down),
		cmocka_unit_test(goes_up),
		cmocka_unit_test(hostile),
		cmocka_unit_test(args),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
