/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of vrf needs no kernel: which addresses and routes are restored, memos. */
#include "unit.h"

#include "vrf/plan.h"

#include <linux/if_addr.h>
#include <string.h>

#define ETH1 3

static struct fl_addr addr(const char *s)
{
	struct fl_addr a = { 0 };

	assert_int_equal(*s ? fl_addr_parse(s, &a) : 0, 0);
	return a;
}

static struct fl_ifaddr ifaddr(const char *p, uint32_t flags)
{
	struct fl_ifaddr a = { .index = ETH1, .flags = flags };

	assert_int_equal(fl_prefix_parse(p, &a.prefix), 0);
	return a;
}

static void addresses(void **state)
{
	static const struct {
		const char *p;
		uint32_t flags;
		bool restored;
	} cases[] = {
		{ "fd00::9/64", IFA_F_PERMANENT, true },
		{ "2001:db8::9/128", IFA_F_PERMANENT | IFA_F_NODAD, true },
		{ "2001:db8::9/64", IFA_F_PERMANENT | IFA_F_TENTATIVE, true },
		/* IPv4 addresses stay; the kernel makes those of the link itself. */
		{ "10.0.0.9/24", IFA_F_PERMANENT, false },
		{ "fe80::9/64", IFA_F_PERMANENT, false },
		/* of a router's advertisement, or about to be found a duplicate */
		{ "2001:db8::9/64", 0, false },
		{ "2001:db8::9/64", IFA_F_TEMPORARY, false },
		{ "2001:db8::9/64", IFA_F_PERMANENT | IFA_F_DADFAILED, false },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_ifaddr a = ifaddr(cases[i].p, cases[i].flags);

		assert_int_equal(vrf_restores_address(&a), cases[i].restored);
	}
}

static void flags(void **state)
{
	struct fl_ifaddr a = ifaddr("fd00::9/64", IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE);

	(void)state;
	assert_int_equal(vrf_address_flags(&a), IFA_F_NOPREFIXROUTE | IFA_F_NODAD);
	a.flags = IFA_F_PERMANENT | IFA_F_TENTATIVE;
	assert_int_equal(vrf_address_flags(&a), 0);
}

static struct fl_nlroute route(const char *dst, uint32_t table, uint8_t protocol)
{
	struct fl_nlroute r = {
		.oif = ETH1, .table = table, .protocol = protocol, .type = RTN_UNICAST
	};

	assert_int_equal(fl_prefix_parse(dst, &r.dst), 0);
	return r;
}

static void which_routes(void **state)
{
	struct fl_nlroute r;

	(void)state;
	r = route("0.0.0.0/0", RT_TABLE_MAIN, RTPROT_BOOT);
	assert_true(vrf_restores_route(&r, ETH1));
	assert_false(vrf_restores_route(&r, ETH1 + 1));
	r.multipath = true;
	assert_false(vrf_restores_route(&r, ETH1));
	r = route("::/0", RT_TABLE_MAIN, RTPROT_STATIC);
	r.multipath = true;
	assert_true(vrf_restores_route(&r, ETH1));
	r = route("10.0.0.0/24", RT_TABLE_MAIN, RTPROT_KERNEL);
	assert_false(vrf_restores_route(&r, ETH1));
	/* moved there by sbr: the kernel does not make it again */
	r = route("10.0.0.0/24", 100, RTPROT_KERNEL);
	assert_true(vrf_restores_route(&r, ETH1));
	r = route("::/0", RT_TABLE_MAIN, RTPROT_RA);
	assert_false(vrf_restores_route(&r, ETH1));
	r = route("fe80::/64", RT_TABLE_MAIN, RTPROT_BOOT);
	assert_false(vrf_restores_route(&r, ETH1));
	r = route("10.0.0.9/32", RT_TABLE_LOCAL, RTPROT_BOOT);
	assert_false(vrf_restores_route(&r, ETH1));
}

static void moved_routes(void **state)
{
	AUTOPLAN struct vrf_plan p = { .index = ETH1, .table = 10 };
	AUTOROUTES struct route_list all = { 0 };
	struct fl_nlroute r[] = { route("0.0.0.0/0", RT_TABLE_MAIN, RTPROT_BOOT),
				  route("10.0.0.0/24", RT_TABLE_MAIN, RTPROT_KERNEL),
				  route("192.0.2.0/24", 5001, RTPROT_BOOT) };

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(r); i++)
		assert_int_equal(route_list_add(&all, &r[i], false, NULL), 0);
	assert_int_equal(vrf_plan_routes(&p, &all, NULL), 0);
	assert_int_equal(p.take.n, 2);
	assert_int_equal(p.take.items[0].route.table, RT_TABLE_MAIN);
	assert_int_equal(p.take.items[1].route.table, 5001);
	assert_int_equal(p.put.n, 2);
	assert_int_equal(p.put.items[0].route.table, 10);
	assert_int_equal(p.put.items[0].route.dst.len, 0);
	assert_int_equal(p.put.items[1].route.table, 5001);
}

static void memo(void **state)
{
	AUTOPLAN struct vrf_plan p = { .index = ETH1,
				       .vrf = 0x3fffffff,
				       .table = 4294967295,
				       .made = true,
				       .n_addrs = 1 },
				 q = { 0 };
	FL_AUTOJSON json_t *j = NULL, *empty = json_object();
	struct fl_nlroute r = route("0.0.0.0/0", 10, RTPROT_BOOT);
	struct fl_error err = { 0 };

	(void)state;
	r.gw = addr("10.0.0.1");
	p.addrs[0] = ifaddr("fd00::9/64", IFA_F_PERMANENT | IFA_F_NOPREFIXROUTE);
	assert_int_equal(route_list_add(&p.put, &r, false, NULL), 0);
	assert_int_equal(vrf_plan_encode(&p, &j, NULL), 0);
	assert_int_equal(vrf_plan_decode(j, &q, NULL), 0);
	assert_int_equal(q.index, ETH1);
	assert_int_equal(q.vrf, p.vrf);
	assert_int_equal(q.table, p.table);
	assert_true(q.made);
	assert_int_equal(q.n_addrs, 1);
	assert_int_equal(q.addrs[0].index, ETH1);
	assert_int_equal(q.addrs[0].flags, p.addrs[0].flags);
	assert_true(fl_addr_eq(&q.addrs[0].prefix.addr, &p.addrs[0].prefix.addr));
	assert_int_equal(q.addrs[0].prefix.len, 64);
	assert_true(route_same(&q.put.items[0].route, &r));
	assert_int_equal(q.take.n, 0);
	assert_true(vrf_plan_decode(empty, &q, &err) < 0);
	assert_true(err.text[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),	cmocka_unit_test(flags),
		cmocka_unit_test(which_routes), cmocka_unit_test(moved_routes),
		cmocka_unit_test(memo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
