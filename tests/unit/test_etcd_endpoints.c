/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster/endpoints.h"

#include "unit.h"

#include <errno.h>
#include <string.h>

static const char *const three[] = { "http://a:1", "https://10.0.0.1:2379/", "http://[::1]:2379" };

static void urls(void **state)
{
	static const char *const bad[] = {
		"",
		"a:1",
		"ftp://a:1",
		"http://a",
		"http://:1",
		"http://a:",
		"http://a:0",
		"http://a:65536",
		"http://a:1/x",
		"http://u@a:1",
		"http://a b:1",
		"http://a:1\r\n",
		"http://[::1:1",
		"http://[]:1",
		"http://[::g]:1",
		"http://a:000001",
		"https://a:1?q=1",
		"http://a:1#f",
		"http://a:1//",
	};
	char large[FL_ETCD_URL_MAX + 16];
	struct endpoints e;
	struct fl_error err;

	(void)state;
	assert_int_equal(endpoints_init(&e, three, 3, 4, &err), 0);
	assert_int_equal(e.current, 1);
	assert_string_equal(e.list[1].url, "https://10.0.0.1:2379");
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++)
		assert_int_equal(endpoints_init(&e, &bad[i], 1, 0, &err), -EINVAL);
	memset(large, 'a', sizeof(large));
	memcpy(large, "http://", 7);
	for (int over = 0; over < 2; over++) {
		const char *url = large;

		memcpy(large + FL_ETCD_URL_MAX - 3 + over, ":1", 3);
		assert_int_equal(endpoints_init(&e, &url, 1, 0, &err), over ? -EINVAL : 0);
	}
}

static void number_of_endpoints(void **state)
{
	const char *many[FL_ETCD_ENDPOINTS_MAX + 1];
	struct endpoints e;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(many); i++)
		many[i] = "http://a:1";
	assert_int_equal(endpoints_init(&e, many, 0, 0, NULL), -EINVAL);
	assert_int_equal(endpoints_init(&e, many, FL_ETCD_ENDPOINTS_MAX, 0, NULL), 0);
	assert_int_equal(endpoints_init(&e, many, FL_ETCD_ENDPOINTS_MAX + 1, 0, NULL), -EINVAL);
}

static void sticks_and_fails_over(void **state)
{
	struct endpoints e;

	(void)state;
	assert_int_equal(endpoints_init(&e, three, 3, 2, NULL), 0);
	assert_int_equal(endpoints_pick(&e, 0, 0), 2);
	e.list[2].api = "/v3";
	endpoints_failed(&e, 2, 1000, 0);
	assert_null(e.list[2].api); /* it may come back as another version */
	assert_int_equal(endpoints_pick(&e, 1u << 2, 1000), 0);
	endpoints_worked(&e, 0);
	/* also when 2 is not avoided any more */
	assert_int_equal(endpoints_pick(&e, 0, 1000000), 0);
	/* avoided ones come last, the one that is free first among them */
	endpoints_failed(&e, 0, 2000, 0);
	endpoints_failed(&e, 0, 2000, 0);
	assert_int_equal(endpoints_pick(&e, 0, 2000), 1);
	endpoints_failed(&e, 1, 2000, 0);
	assert_int_equal(endpoints_pick(&e, 1u << 2, 2000), 1);
	assert_int_equal(endpoints_pick(&e, 7, 2000), -1);
}

static void avoidance_grows(void **state)
{
	struct endpoints e;
	uint64_t last = 0;

	(void)state;
	assert_int_equal(endpoints_init(&e, three, 3, 0, NULL), 0);
	for (int i = 0; i < 20; i++) {
		endpoints_failed(&e, 0, 0, 0);
		assert_true(e.list[0].avoid_until >= last);
		last = e.list[0].avoid_until;
	}
	assert_int_equal(last, ENDPOINT_AVOID_MAX_MS / 2);
	endpoints_worked(&e, 0);
	endpoints_failed(&e, 0, 0, 0);
	assert_int_equal(e.list[0].avoid_until, ENDPOINT_AVOID_MS / 2);
}

static void backoff(void **state)
{
	(void)state;
	assert_int_equal(backoff_ms(1, 100, 5000, 0), 50);
	assert_int_equal(backoff_ms(1, 100, 5000, 50), 100);
	assert_int_equal(backoff_ms(1, 100, 5000, 51), 50);
	assert_int_equal(backoff_ms(4, 100, 5000, 0), 400);
	for (unsigned n = 1; n < 200; n++)
		for (uint32_t lot = 0; lot < UINT32_MAX - 99999999; lot += 99999999)
			assert_in_range(backoff_ms(n, 100, 5000, lot), n > 6 ? 2500 : 50, 5000);
}

static void api_by_version(void **state)
{
	static const struct {
		const char *version, *api;
	} cases[] = {
		{ "3.1.20", NULL },	 { "3.2.32", "/v3alpha" },
		{ "3.3.27", "/v3beta" }, { "3.4.23", "/v3" },
		{ "3.5.9", "/v3" },	 { "3.6.0-rc.1", "/v3" },
		{ "3.10.0", "/v3" },	 { "4.0.0", "/v3" },
		{ "2.3.8", NULL },	 { "", NULL },
		{ "x", NULL },		 { "3", NULL },
		{ "99999999.1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		const char *api = endpoint_api(cases[i].version);

		if (cases[i].api)
			assert_string_equal(api, cases[i].api);
		else
			assert_null(api);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(number_of_endpoints),
		cmocka_unit_test(sticks_and_fails_over),
		cmocka_unit_test(avoidance_grows),
		cmocka_unit_test(backoff),
		cmocka_unit_test(api_by_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
