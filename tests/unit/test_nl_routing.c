/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lib/nl against the running kernel: routes, rules, traffic control. */
#include "nlfixture.h"

/* ---- routes and rules ---- */

static void test_default_route(void **state)
{
	struct fl_nlroute r = { .mtu = 77 };

	(void)state;
	err = (struct fl_error){ 0 };
	assert_int_equal(fl_default_route(nl, AF_INET, &r, &err), -ENOENT);
	assert_int_equal(fl_default_route(nl, AF_INET6, &r, &err), -ENOENT);
	assert_int_equal(err.err, 0);
	assert_int_equal(r.mtu, 77);
	in(own_fd, "ip addr add 10.1.0.1/24 dev eth0; ip addr add 10.2.0.1/24 dev p0;"
		   "ip -6 addr add fd00::1/64 dev eth0 nodad;"
		   "ip route add default via 10.1.0.9 metric 50;"
		   "ip route add unreachable default metric 3;"
		   "ip route add default via 10.1.0.8 table 7;"
		   "ip route add default metric 20 nexthop via 10.2.0.9 nexthop via 10.1.0.9;"
		   "ip -6 route add default via fd00::9 metric 30;"
		   "ip -6 route add default via fd00::8 metric 10");
	ok(fl_default_route(nl, AF_INET, &r, &err));
	assert_string_equal(fl_addr_str(&r.gw, FL_ADDR_BUF), "10.2.0.9");
	assert_int_equal(r.oif, index_in(nl, "p0"));
	assert_int_equal(r.priority, 20);
	ok(fl_default_route(nl, AF_INET6, &r, &err));
	assert_string_equal(fl_addr_str(&r.gw, FL_ADDR_BUF), "fd00::8");
}

struct list {
	struct fl_nlroute r[16];
	size_t n;
};

static int collect(void *arg, const struct fl_nlroute *r)
{
	struct list *l = arg;

	assert_true(l->n < FL_ARRAY_SIZE(l->r));
	l->r[l->n++] = *r;
	return 0;
}

static char *text_of(const char *command)
{
	static char buf[2][4096];
	static int which;
	char *b = buf[which ^= 1];
	FILE *f = popen(command, "r");
	size_t n = fread(b, 1, sizeof(buf[0]) - 1, f);

	b[n] = '\0';
	pclose(f);
	return b;
}

static void test_routes_move_to_a_table(void **state)
{
	struct list l = { .n = 0 };

	(void)state;
	in(own_fd, "ip addr add 10.1.0.1/24 dev eth0; ip addr add 10.2.0.1/24 dev p0;"
		   "ip route add 10.3.0.0/16 via 10.1.0.9 src 10.1.0.1 mtu 1300 advmss 1200 "
		   "metric 9 proto static;"
		   "ip route add 10.4.0.0/16 via 10.9.9.9 dev eth0 onlink;"
		   "ip route add 10.5.0.0/16 via inet6 fe80::1 dev eth0;"
		   "ip route add default via 10.1.0.9 dev eth0");
	ok(fl_routes_each_table(nl, AF_INET, RT_TABLE_MAIN, index_in(nl, "eth0"), collect, &l,
				&err));
	assert_int_equal(l.n, 5);
	/* the connected one first: gateways are looked up in the new table as in any */
	for (int twice = 0; twice < 2; twice++)
		for (size_t i = 0; i < l.n; i++) {
			l.r[i].table = 1000;
			ok(fl_route_replace(nl, &l.r[i], &err));
		}
	assert_string_equal(text_of("ip route show table 1000"),
			    text_of("ip route show dev eth0 | "
				    "sed -E 's/^([^ ]+)( via (inet6 )?[^ ]+)?/& dev eth0/'"));
	for (int twice = 0; twice < 2; twice++)
		for (size_t i = 0; i < l.n; i++)
			ok(fl_route_del(nl, &l.r[i], &err));
	assert_string_equal(text_of("ip route show table 1000"), "");
	l.n = 0;
	ok(fl_routes_each_table(nl, AF_INET, 4711, 0, collect, &l, &err));
	ok(fl_routes_each_table(nl, AF_INET6, 4711, 0, collect, &l, &err));
	assert_int_equal(l.n, 0);
}

static void test_routes6(void **state)
{
	struct list l = { .n = 0 };

	(void)state;
	in(own_fd, "ip -6 addr add fd00::1/64 dev eth0 nodad;"
		   "ip -6 route add fd01::/64 via fd00::9 mtu 1300 metric 9");
	ok(fl_routes_each_table(nl, AF_INET6, RT_TABLE_MAIN, index_in(nl, "eth0"), collect, &l,
				&err));
	assert_true(l.n >= 2);
	for (size_t i = 0; i < l.n; i++) {
		l.r[i].table = 1000;
		ok(fl_route_replace(nl, &l.r[i], &err));
	}
	assert_non_null(strstr(text_of("ip -6 route show table 1000"),
			       "fd01::/64 via fd00::9 dev eth0 metric 9 mtu 1300"));
	for (int twice = 0; twice < 2; twice++)
		for (size_t i = 0; i < l.n; i++)
			ok(fl_route_del(nl, &l.r[i], &err));
	assert_string_equal(text_of("ip -6 route show table 1000 2>/dev/null"), "");
}

/* The kernel joins them; each hop is read, deleted and added again by itself. */
static void test_hops6(void **state)
{
	struct list l = { .n = 0 };

	(void)state;
	in(own_fd,
	   "ip -6 addr add fd00::1/64 dev eth0 nodad; ip -6 addr add fd02::1/64 dev p0 nodad;"
	   "ip -6 route prepend fd01::/64 via fd00::9; ip -6 route prepend fd01::/64 via fd02::9;"
	   "ip -6 route del fd00::/64 dev eth0; ip -6 route del fd02::/64 dev p0");
	ok(fl_routes_each(nl, AF_INET6, collect, &l, &err));
	for (size_t i = 0; i < l.n; i++)
		if (l.r[i].oif == index_in(nl, "p0") && l.r[i].multipath)
			l.r[0] = l.r[i];
	assert_true(l.r[0].multipath);
	assert_int_equal(l.r[0].dst.len, 64);
	ok(fl_route_del(nl, &l.r[0], &err));
	assert_string_equal(text_of("ip -6 route show fd01::/64"),
			    "fd01::/64 via fd00::9 dev eth0 metric 1024 pref medium\n");
	in(own_fd, "ip -6 route add fd02::/64 dev p0");
	ok(fl_route_add(nl, &l.r[0], &err));
	assert_non_null(strstr(text_of("ip -6 route show fd01::/64"), "nexthop via fd02::9"));
	assert_int_equal(fl_route_add(nl, &l.r[0], &err), -EEXIST);
}

static void test_in_front_and_behind(void **state)
{
	struct fl_nlroute r = { .dst = prefix("10.9.0.0/24"), .table = RT_TABLE_MAIN };

	(void)state;
	in(own_fd, "ip addr add 10.1.0.1/24 dev eth0; ip addr add 10.2.0.1/24 dev p0;"
		   "ip route add 10.9.0.0/24 via 10.1.0.9");
	r.gw = prefix("10.2.0.9/32").addr;
	ok(fl_route_add(nl, &r, &err));
	r.gw = prefix("10.2.0.8/32").addr;
	ok(fl_route_append(nl, &r, &err));
	assert_int_equal(fl_route_append(nl, &r, &err), -EEXIST);
	assert_string_equal(text_of("ip route show 10.9.0.0/24"),
			    "10.9.0.0/24 via 10.2.0.9 dev p0 \n10.9.0.0/24 via 10.1.0.9 dev eth0 \n"
			    "10.9.0.0/24 via 10.2.0.8 dev p0 \n");
}

struct seen {
	struct fl_rule want;
	unsigned all, same, other;
};

static int see_rule(void *arg, const struct fl_rule *r)
{
	struct seen *s = arg;

	s->all++;
	s->other += r->other;
	s->same += r->table == s->want.table && r->priority == s->want.priority &&
		   fl_prefix_same_net(&r->src, &s->want.src) && !strcmp(r->iif, s->want.iif);
	return 0;
}

static void rules_of(int family, const char *source, const char *command, const char *want)
{
	struct seen s = { .want = { .family = (uint8_t)family,
				    .src = prefix(source),
				    .table = 1000,
				    .priority = 77,
				    .iif = "eth0" } };

	ok(fl_rule_add(nl, &s.want, &err));
	assert_int_equal(fl_rule_add(nl, &s.want, &err), -EEXIST);
	assert_string_equal(text_of(command), want);
	ok(fl_rules_each(nl, family, see_rule, &s, &err));
	assert_int_equal(s.same, 1);
	assert_int_equal(s.other, 0);
	for (int twice = 0; twice < 2; twice++)
		ok(fl_rule_del(nl, &s.want, &err));
	assert_string_equal(text_of(command), "");
}

static void test_rules(void **state)
{
	struct seen s = { .all = 0 };

	(void)state;
	rules_of(AF_INET, "10.1.0.2/32", "ip rule show pref 77",
		 "77:\tfrom 10.1.0.2 iif eth0 lookup 1000\n");
	rules_of(AF_INET6, "fd00::2/128", "ip -6 rule show pref 77",
		 "77:\tfrom fd00::2 iif eth0 lookup 1000\n");
	in(own_fd, "ip rule add fwmark 1 table 5; ip rule add not from 10.0.0.1 table 5;"
		   "ip rule add table 5 suppress_prefixlength 0; ip rule add blackhole");
	ok(fl_rules_each(nl, AF_INET, see_rule, &s, &err));
	assert_int_equal(s.other, 4);
	assert_int_equal(s.all, 7);
}

/* ---- traffic control ---- */

static int first_qdisc(void *arg, const struct fl_qdisc *d)
{
	*(struct fl_qdisc *)arg = *d;
	return 1;
}

static void token_bucket(uint64_t rate, uint32_t burst)
{
	uint32_t index = index_in(nl, "p0");
	struct fl_qdisc d;
	json_t *j;

	for (int twice = 0; twice < 2; twice++)
		ok(fl_tbf_set(nl, index, FL_TC_ROOT, 0x10000, rate, burst, 25000, &err));
	j = json_in(own_fd, "tc -j qdisc show dev p0");
	expect_str(json_array_get(j, 0), "kind", "tbf");
	expect_str(json_array_get(j, 0), "handle", "1:");
	expect_int(json_array_get(j, 0), "options.rate", (json_int_t)rate);
	json_decref(j);
	assert_int_equal(fl_qdiscs_each(nl, index, first_qdisc, &d, &err), 1);
	assert_string_equal(d.kind, "tbf");
	assert_int_equal(d.handle, 0x10000);
	assert_int_equal(d.parent, FL_TC_ROOT);
	assert_int_equal(d.rate, rate);
	assert_true(fl_tbf_matches(&d, rate, burst));
	assert_false(fl_tbf_matches(&d, rate + 1, burst));
	assert_false(fl_tbf_matches(&d, rate, burst / 2));
	assert_false(fl_tbf_matches(&d, rate, burst + burst / 2));
	d = (struct fl_qdisc){ 0 };
	ok(fl_qdisc_get(nl, index, FL_TC_ROOT, &d, &err));
	assert_true(fl_tbf_matches(&d, rate, burst));
	for (int twice = 0; twice < 2; twice++)
		ok(fl_qdisc_del(nl, index, FL_TC_ROOT, &err));
	ok(fl_qdisc_get(nl, index, FL_TC_ROOT, &d, &err));
	assert_string_equal(d.kind, "noqueue");
}

static void test_token_bucket(void **state)
{
	struct fl_qdisc d;

	(void)state;
	token_bucket(125000, 20000);
	token_bucket(1000000, 100000);
	token_bucket(125000000, 10000000);
	token_bucket(10000000000, 400000000);
	token_bucket(1, 2000);
	token_bucket(1, 4000000000);
	token_bucket(1000, 268435455);
	/* what the kernel has as time is what tc(8) shows */
	ok(fl_tbf_set(nl, index_in(nl, "p0"), FL_TC_ROOT, 0, 1000000, 100000, 25000, &err));
	assert_non_null(
		strstr(text_of("tc qdisc show dev p0"), "rate 8Mbit burst 100000b lat 25ms"));
	ok(fl_qdisc_get(nl, index_in(nl, "p0"), FL_TC_ROOT, &d, &err));
	assert_int_equal(d.burst, 100000);
	assert_int_equal(fl_tbf_set(nl, 2, FL_TC_ROOT, 0, 0, 1, 1, &err), -EINVAL);
	assert_int_equal(fl_qdisc_get(nl, 9999, FL_TC_ROOT, &d, &err), -ENODEV);
	assert_int_equal(fl_qdisc_get(nl, index_in(nl, "p0"), FL_TC_INGRESS, &d, &err), -ENOENT);
	ok(fl_qdisc_del(nl, 9999, FL_TC_ROOT, &err));
	ok(fl_qdisc_del(nl, index_in(nl, "p0"), FL_TC_INGRESS, &err));
	in(own_fd, "ip link add idle type ifb"); /* down: noop, of which the kernel tells nothing */
	assert_int_equal(fl_qdisc_get(nl, index_in(nl, "idle"), FL_TC_ROOT, &d, &err), -ENOENT);
}

static void test_classes(void **state)
{
	uint32_t index = index_in(nl, "p0");
	const struct fl_prefix v4 = prefix("10.1.0.0/16"), v6 = prefix("2001:db8::/36");
	struct fl_qdisc d;

	(void)state;
	ok(fl_htb_root(nl, index, 0x10000, 0x30, &err));
	assert_int_equal(fl_htb_root(nl, index, 0x10000, 0x30, &err), -EEXIST);
	for (int twice = 0; twice < 2; twice++)
		ok(fl_htb_class(nl, index, 0x10000, 0x10030, 1000000, 10000000000, 64000, &err));
	ok(fl_htb_class(nl, index, 0x10000, 0x10005, 10000000000, 10000000000, 64000, &err));
	ok(fl_htb_class_get(nl, index, 0x10030, &d, &err));
	assert_true(fl_htb_matches(&d, 1000000, 64000));
	assert_false(fl_htb_matches(&d, 1000001, 64000));
	assert_false(fl_htb_matches(&d, 1000000, 32000));
	ok(fl_htb_class_get(nl, index, 0x10005, &d, &err));
	assert_true(fl_htb_matches(&d, 10000000000, 64000));
	assert_int_equal(fl_htb_class_get(nl, index, 0x10006, &d, &err), -ENOENT);
	assert_non_null(strstr(text_of("tc class show dev p0 classid 1:30"),
			       "rate 8Mbit ceil 80Gbit burst 64000b cburst "));
	assert_int_equal(fl_htb_class(nl, index, 0x50000, 0x50001, 1, 1, 1, &err), -ENOENT);
	assert_null(strstr(err.text, "CONFIG_"));
	ok(fl_u32_class(nl, index, 0x10000, 1, &v4, true, 0x10005, &err));
	ok(fl_u32_class(nl, index, 0x10000, 2, &v6, false, 0x10005, &err));
	ok(fl_u32_class(nl, index, 0x10000, 2, &v6, true, 0x10005, &err));
	assert_int_not_equal(fl_u32_class(nl, index, 0x10000, 1, &v6, true, 0x10005, &err), 0);
	assert_non_null(strstr(text_of("tc -p filter show dev p0 protocol ip"),
			       "match IP src 10.1.0.0/16"));
	assert_non_null(strstr(text_of("tc filter show dev p0 protocol ipv6"),
			       "match 20010db8/ffffffff at 24\n  match 00000000/f0000000 at 28"));
	ok(fl_tbf_set(nl, index, 0x10005, 0, 1000000, 100000, 1000, &err));
	ok(fl_qdisc_del(nl, index, FL_TC_ROOT, &err));
	assert_string_equal(text_of("tc class show dev p0"), "");
}

static long rx_packets(const char *name)
{
	char command[128];
	json_t *j;
	long n;

	snprintf(command, sizeof(command), "ip -s -j link show %s", name);
	j = json_in(own_fd, command);
	n = (long)json_integer_value(at(json_array_get(j, 0), "stats64.rx.packets"));
	json_decref(j);
	return n;
}

static void send_udp(const char *to, int times)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET, to, &sin.sin_addr), 1);
	while (times--)
		assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&sin, sizeof(sin)), 1);
	close(fd);
}

static void test_redirect(void **state)
{
	struct fl_vlink_spec s = { .kind = "ifb", .name = "ifb9", .netns_fd = -1, .up = true };
	uint32_t index = index_in(nl, "p0");
	long before;

	(void)state;
	ok(fl_vlink_create(nl, &s, &err));
	ok(fl_ingress_add(nl, index, &err));
	assert_int_equal(fl_ingress_add(nl, index, &err), -EEXIST);
	ok(fl_u32_redirect(nl, index, FL_TC_INGRESS_HANDLE, index_in(nl, "ifb9"), &err));
	assert_non_null(strstr(text_of("tc filter show dev p0 ingress"),
			       "mirred (Egress Redirect to device ifb9) stolen"));
	before = rx_packets("ifb9");
	in(own_fd, "ip addr add 10.1.0.1/24 dev eth0;"
		   "ip neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev eth0");
	send_udp("10.1.0.2", 3);
	for (int i = 0; i < 1000 && rx_packets("ifb9") < before + 3; i++)
		sched_yield();
	assert_true(rx_packets("ifb9") >= before + 3);
	ok(fl_qdisc_del(nl, index, FL_TC_INGRESS, &err));
	assert_string_equal(text_of("tc qdisc show dev p0 ingress"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_default_route),
		TEST(test_routes_move_to_a_table),
		TEST(test_routes6),
		TEST(test_hops6),
		TEST(test_in_front_and_behind),
		TEST(test_rules),
		TEST(test_token_bucket),
		TEST(test_classes),
		TEST(test_redirect),
	};

	if (unshare(CLONE_NEWNET)) {
		printf("1..0 # SKIP needs root: unshare: %s\n", strerror(errno));
		return 77;
	}
	home_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
