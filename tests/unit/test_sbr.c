/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of sbr needs no kernel: lists of routes, free tables, which routes move, memos. */
#include "unit.h"

#include "sbr/plan.h"

#include <stdio.h>
#include <string.h>

#define ETH0 2
#define ETH1 3

static struct fl_addr addr(const char *s)
{
	struct fl_addr a = { 0 };

	assert_int_equal(*s ? fl_addr_parse(s, &a) : 0, 0);
	return a;
}

static struct fl_prefix prefix(const char *s)
{
	struct fl_prefix p;

	assert_int_equal(fl_prefix_parse(s, &p), 0);
	return p;
}

static struct fl_nlroute route(const char *dst, const char *gw, const char *src, uint32_t oif)
{
	return (struct fl_nlroute){ .dst = prefix(dst),
				    .gw = addr(gw),
				    .src = addr(src),
				    .oif = oif,
				    .table = RT_TABLE_MAIN,
				    .type = RTN_UNICAST,
				    .protocol = RTPROT_BOOT };
}

static void push(struct route_list *l, struct fl_nlroute r)
{
	assert_int_equal(route_list_add(l, &r, false, NULL), 0);
}

/* "TABLE DST[ via GW][ src SRC][ behind];" of each */
static const char *text(const struct route_list *l)
{
	static char buf[4096];
	size_t n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < l->n; i++) {
		const struct fl_nlroute *r = &l->items[i].route;

		n += (size_t)snprintf(
			buf + n, sizeof(buf) - n, "%s%u %s%s%s%s%s%s;", i ? " " : "", r->table,
			fl_prefix_str(&r->dst, FL_PREFIX_BUF), r->gw.family ? " via " : "",
			fl_addr_str(&r->gw, FL_ADDR_BUF), r->src.family ? " src " : "",
			fl_addr_str(&r->src, FL_ADDR_BUF), l->items[i].behind ? " behind" : "");
		assert_true(n < sizeof(buf));
	}
	return buf;
}

static struct sbr_address address(const char *p, const char *gw, uint32_t table)
{
	return (struct sbr_address){ .prefix = prefix(p), .gateway = addr(gw), .table = table };
}

static void check_put(const char *want, const struct route_list *main, struct sbr_address *a,
		      size_t n)
{
	AUTOPLAN struct sbr_plan p = { .index = ETH1 };

	assert_int_equal(sbr_plan_routes(&p, main, a, n, false, NULL), 0);
	assert_string_equal(text(&p.put), want);
}

/* ---- tables ---- */

static void tables(void **state)
{
	AUTOTABLES struct table_list used = { 0 };
	struct sbr_address a[2] = { 0 };

	(void)state;
	assert_int_equal(table_first_free(&used, 1), 1);
	assert_int_equal(table_first_free(&used, 100), 100);
	for (uint32_t t = 100; t < 253; t++)
		assert_int_equal(table_list_add(&used, t, NULL), 0);
	assert_int_equal(table_list_add(&used, 100, NULL), 0);
	assert_int_equal(used.n, 153);
	/* 253 to 255 are the kernel's. */
	assert_int_equal(table_first_free(&used, 100), 256);
	assert_int_equal(table_first_free(&used, 99), 99);
	used.n -= 2;
	sbr_choose_tables(&used, a, 2);
	assert_int_equal(a[0].table, 251);
	assert_int_equal(a[1].table, 252);
	assert_int_equal(table_list_add(&used, 251, NULL), 0);
	sbr_choose_tables(&used, a, 2);
	assert_int_equal(a[0].table, 252);
	assert_int_equal(a[1].table, 256);
}

static void reserved(void **state)
{
	struct fl_error err = { 0 };

	(void)state;
	assert_int_equal(table_check(0, &err), 0);
	assert_int_equal(table_check(252, &err), 0);
	assert_int_equal(table_check(256, &err), 0);
	assert_int_equal(table_check(4294967295, &err), 0);
	for (int t = 253; t < 256; t++) {
		assert_int_equal(table_check(t, &err), -EINVAL);
		assert_non_null(strstr(err.text, "table"));
	}
}

/* ---- which routes move ---- */

static void moves(void **state)
{
	struct fl_nlroute r = route("10.2.0.0/24", "", "", ETH1);

	(void)state;
	assert_true(sbr_moves(&r, ETH1));
	assert_false(sbr_moves(&r, ETH0));
	r.table = 7;
	assert_false(sbr_moves(&r, ETH1));
	r = route("10.2.0.0/24", "", "", ETH1);
	r.type = RTN_LOCAL;
	assert_false(sbr_moves(&r, ETH1));
	r = route("fe80::/64", "", "", ETH1);
	assert_false(sbr_moves(&r, ETH1));
	r = route("ff00::/8", "", "", ETH1);
	assert_false(sbr_moves(&r, ETH1));
	r = route("::/0", "fe80::1", "", ETH1);
	assert_true(sbr_moves(&r, ETH1));
	r.multipath = true;
	assert_true(sbr_moves(&r, ETH1));
	r = route("0.0.0.0/0", "10.2.0.1", "", ETH1);
	r.multipath = true;
	assert_false(sbr_moves(&r, ETH1));
}

static void each_to_its_address(void **state)
{
	AUTOROUTES struct route_list main = { 0 };
	struct sbr_address a[] = { address("10.2.0.9/24", "10.2.0.1", 100),
				   address("10.9.0.9/24", "10.9.0.1", 101),
				   address("fd00:2::9/64", "", 102) };

	(void)state;
	push(&main, route("0.0.0.0/0", "10.2.0.1", "", ETH1));
	push(&main, route("0.0.0.0/0", "10.1.0.1", "", ETH0));
	push(&main, route("10.2.0.0/24", "", "10.2.0.9", ETH1));
	push(&main, route("10.9.0.0/24", "", "10.9.0.9", ETH1));
	push(&main, route("192.0.2.0/24", "", "", ETH1));
	push(&main, route("198.51.100.0/24", "10.77.0.1", "", ETH1));
	push(&main, route("::/0", "fe80::1", "", ETH1));
	check_put("100 0.0.0.0/0 via 10.2.0.1; 100 10.2.0.0/24 src 10.2.0.9; 100 192.0.2.0/24; "
		  "100 198.51.100.0/24 via 10.77.0.1; "
		  "101 10.9.0.0/24 src 10.9.0.9; 101 192.0.2.0/24; "
		  "101 198.51.100.0/24 via 10.77.0.1; 101 0.0.0.0/0 via 10.9.0.1; "
		  "102 ::/0 via fe80::1;",
		  &main, a, 3);
}

static void default_routes(void **state)
{
	AUTOROUTES struct route_list main = { 0 };
	struct sbr_address a = address("10.2.0.9/24", "10.2.0.1", 100);

	(void)state;
	check_put("100 0.0.0.0/0 via 10.2.0.1;", &main, &a, 1);
	/* The one that is there, in the subnet, before that of prevResult ... */
	push(&main, route("0.0.0.0/0", "10.2.0.254", "", ETH1));
	check_put("100 0.0.0.0/0 via 10.2.0.254;", &main, &a, 1);
	/* ... and after that of `gateways`. */
	a.gateway_fixed = true;
	check_put("100 0.0.0.0/0 via 10.2.0.1;", &main, &a, 1);
	a = address("10.2.0.9/24", "", 100);
	check_put("100 0.0.0.0/0 via 10.2.0.254;", &main, &a, 1);
	/* Somewhere else: only for who has no gateway. */
	main.items[0].route.gw = addr("10.77.0.1");
	check_put("100 0.0.0.0/0 via 10.77.0.1;", &main, &a, 1);
	a.gateway = addr("10.2.0.1");
	check_put("100 0.0.0.0/0 via 10.2.0.1;", &main, &a, 1);
}

static void taken_in_order(void **state)
{
	AUTOROUTES struct route_list main = { 0 };
	AUTOPLAN struct sbr_plan p = { .index = ETH1 };
	struct fl_nlroute cheap = route("0.0.0.0/0", "10.1.0.1", "", ETH0);

	(void)state;
	cheap.priority = 9;
	push(&main, cheap);
	push(&main, route("0.0.0.0/0", "10.2.0.1", "", ETH1));
	push(&main, route("10.2.0.0/24", "", "", ETH0));
	push(&main, route("10.2.0.0/24", "", "10.2.0.9", ETH1));
	assert_int_equal(sbr_plan_routes(&p, &main, NULL, 0, false, NULL), 0);
	assert_string_equal(text(&p.take), "254 0.0.0.0/0 via 10.2.0.1; "
					   "254 10.2.0.0/24 src 10.2.0.9 behind;");
}

static void check_hints(const struct route_list *main, const char *hints, const char *take)
{
	struct sbr_address a[] = { address("10.2.0.9/24", "", 100), address("10.2.0.8/24", "", 101),
				   address("10.3.0.9/32", "", 102),
				   address("fd00:2::9/64", "", 103) };
	AUTOPLAN struct sbr_plan p = { .index = ETH1 };

	assert_int_equal(sbr_plan_routes(&p, main, a, 4, true, NULL), 0);
	assert_string_equal(text(&p.hints), hints);
	assert_string_equal(text(&p.take), take);
}

static void hints(void **state)
{
	AUTOROUTES struct route_list main = { 0 };

	(void)state;
	check_hints(&main, "254 10.2.0.0/24 src 10.2.0.9; 254 fd00:2::/64 src fd00:2::9;", "");
	/* It says so already, and stays. */
	push(&main, route("10.2.0.0/24", "", "10.2.0.9", ETH1));
	push(&main, route("fd00:2::/64", "", "", ETH1));
	push(&main, route("0.0.0.0/0", "10.2.0.1", "", ETH1));
	check_hints(&main, "254 fd00:2::/64 src fd00:2::9;",
		    "254 fd00:2::/64; 254 0.0.0.0/0 via 10.2.0.1;");
	main.items[0].route.src = addr("10.2.0.8");
	check_hints(&main, "254 10.2.0.0/24 src 10.2.0.9; 254 fd00:2::/64 src fd00:2::9;",
		    "254 10.2.0.0/24 src 10.2.0.8; 254 fd00:2::/64; 254 0.0.0.0/0 via 10.2.0.1;");
}

/* ---- memos ---- */

static void memo(void **state)
{
	AUTOPLAN struct sbr_plan p = { .index = ETH1, .own = true, .n_rules = 2 }, q = { 0 };
	FL_AUTOJSON json_t *j = NULL;
	struct fl_nlroute r = route("0.0.0.0/0", "fe80::1", "10.2.0.9", ETH1);

	(void)state;
	p.rules[0] = (struct sbr_rule){ addr("10.2.0.9"), 100 };
	p.rules[1] = (struct sbr_rule){ addr("fd00:2::9"), 4294967295 };
	r.table = 4294967295;
	r.priority = 4294967295;
	r.mtu = 1400;
	r.advmss = 1300;
	r.scope = RT_SCOPE_LINK;
	r.onlink = true;
	push(&p.put, r);
	push(&p.take, route("::/0", "", "", ETH1));
	p.take.items[0].behind = true;
	assert_int_equal(sbr_plan_encode(&p, &j, NULL), 0);
	assert_int_equal(sbr_plan_decode(j, &q, NULL), 0);
	assert_int_equal(q.index, ETH1);
	assert_true(q.own);
	assert_int_equal(q.n_rules, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(fl_addr_eq(&q.rules[i].from, &p.rules[i].from));
		assert_int_equal(q.rules[i].table, p.rules[i].table);
	}
	assert_int_equal(q.put.n, 1);
	assert_true(route_same(&q.put.items[0].route, &r));
	assert_int_equal(q.put.items[0].route.priority, r.priority);
	assert_int_equal(q.put.items[0].route.mtu, 1400);
	assert_int_equal(q.put.items[0].route.advmss, 1300);
	assert_int_equal(q.put.items[0].route.scope, RT_SCOPE_LINK);
	assert_int_equal(q.put.items[0].route.type, RTN_UNICAST);
	assert_int_equal(q.put.items[0].route.protocol, RTPROT_BOOT);
	assert_true(q.put.items[0].route.onlink);
	assert_true(q.take.items[0].behind);
	assert_int_equal(q.hints.n, 0);
}

static void damaged(void **state)
{
	static const char *const memos[] = {
		"{}",
		"{\"index\": 3}",
		"{\"index\": \"eth1\", \"put\": [], \"take\": [], \"hints\": []}",
		"{\"index\": 3, \"put\": [{\"dst\": \"x\"}], \"take\": [], \"hints\": []}",
		"{\"index\": 3, \"put\": [], \"take\": 7, \"hints\": []}",
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(memos); i++) {
		FL_AUTOJSON json_t *j = json_loads(memos[i], 0, NULL);
		struct sbr_plan p = { 0 };
		struct fl_error err = { 0 };

		assert_non_null(j);
		assert_true(sbr_plan_decode(j, &p, &err) < 0);
		assert_true(err.text[0]);
	}
}

static void limits(void **state)
{
	AUTOROUTES struct route_list l = { 0 };
	struct fl_nlroute r = route("10.0.0.0/8", "", "", ETH1);

	(void)state;
	for (int i = 0; i < ROUTE_LIST_MAX; i++)
		push(&l, r);
	assert_int_equal(route_list_add(&l, &r, false, NULL), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables),	  cmocka_unit_test(reserved),
		cmocka_unit_test(moves),	  cmocka_unit_test(each_to_its_address),
		cmocka_unit_test(default_routes), cmocka_unit_test(taken_in_order),
		cmocka_unit_test(hints),	  cmocka_unit_test(memo),
		cmocka_unit_test(damaged),	  cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
