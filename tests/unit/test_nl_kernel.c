/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lib/nl against the running kernel, in a network namespace of its own. What is in the kernel is
 * read back by ip(8) and tc(8).
 */
#include "unit.h"

#include "nl/qdisc.h"
#include "nl/rule.h"
#include "nl/virtual.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int home_fd;		 /* of the whole run */
static int own_fd, other_fd;	 /* namespaces */
static struct fl_nl *nl, *other; /* their sockets */
static struct fl_error err;

static void ok_at(int line, int r)
{
	if (r)
		fail_msg("line %d: %d: %s (%s)", line, r, err.text, err.details);
}
#define ok(call) ok_at(__LINE__, call)

/* ---- namespaces and commands ---- */

static int new_netns(struct fl_nl **ret)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY);
	assert_true(fd >= 0);
	if (ret)
		ok(fl_nl_open(ret, &err));
	assert_int_equal(setns(own_fd, CLONE_NEWNET), 0);
	return fd;
}

__attribute__((format(printf, 2, 3))) static void in(int fd, const char *fmt, ...)
{
	char command[512];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	r = system(command);
	assert_int_equal(setns(own_fd, CLONE_NEWNET), 0);
	if (r)
		fail_msg("%s: %d", command, r);
}

/* JSON of a command's output, whose first element is an object; the caller releases it. */
static json_t *json_in(int fd, const char *command)
{
	json_error_t e;
	json_t *j;
	FILE *f;

	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	f = popen(command, "r");
	assert_int_equal(setns(own_fd, CLONE_NEWNET), 0);
	assert_non_null(f);
	j = json_loadf(f, 0, &e);
	pclose(f);
	if (!j)
		fail_msg("%s: %s", command, e.text);
	return j;
}

/* "linkinfo.info_kind" of an object. */
static const json_t *at(const json_t *j, const char *path)
{
	char word[64];

	while (j && *path) {
		size_t n = strcspn(path, ".");

		snprintf(word, sizeof(word), "%.*s", (int)n, path);
		j = json_object_get(j, word);
		path += n + (path[n] == '.');
	}
	return j;
}

static void expect_str(const json_t *j, const char *path, const char *want)
{
	const char *s = json_string_value(at(j, path));

	if (!s || strcmp(s, want))
		fail_msg("%s: \"%s\", not \"%s\"", path, s ? s : "(none)", want);
}

static void expect_int(const json_t *j, const char *path, json_int_t want)
{
	const json_t *v = at(j, path);

	if (!json_is_integer(v) || json_integer_value(v) != want)
		fail_msg("%s: %lld, not %lld", path, (long long)json_integer_value(v),
			 (long long)want);
}

static bool has_flag(const json_t *j, const char *flag)
{
	size_t i;
	json_t *v;

	json_array_foreach(json_object_get(j, "flags"), i,
			   v) if (!strcmp(json_string_value(v), flag)) return true;
	return false;
}

static uint32_t index_in(struct fl_nl *where, const char *name)
{
	struct fl_link l;

	ok(fl_link_get(where, name, &l, &err));
	return l.index;
}

static struct fl_prefix prefix(const char *s)
{
	struct fl_prefix p = { 0 };

	assert_int_equal(fl_prefix_parse(s, &p), 0);
	return p;
}

/* Each test has two namespaces; eth0 of its own is a veth whose other end is p0. */
static int setup(void **state)
{
	(void)state;
	err = (struct fl_error){ 0 };
	own_fd = home_fd;
	own_fd = new_netns(&nl);
	assert_int_equal(setns(own_fd, CLONE_NEWNET), 0);
	other_fd = new_netns(&other);
	in(own_fd, "ip link add eth0 type veth peer name p0 && ip link set eth0 up && "
		   "ip link set p0 up && ip link set lo up");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fl_nl_close(nl);
	fl_nl_close(other);
	assert_int_equal(setns(home_fd, CLONE_NEWNET), 0);
	close(own_fd);
	close(other_fd);
	return 0;
}

static struct fl_vlink_spec macvlan(const char *name)
{
	return (struct fl_vlink_spec){ .kind = "macvlan",
				       .name = name,
				       .netns_fd = other_fd,
				       .lower = index_in(nl, "eth0"),
				       .mode = FL_MACVLAN_BRIDGE };
}

/* ---- virtual links ---- */

static void test_macvlan_is_born_under_its_name(void **state)
{
	struct fl_vlink_spec s = macvlan("eth0"); /* a name that is taken here */
	struct fl_link l;
	json_t *j, *before, *after;

	(void)state;
	s.mac = (struct fl_mac){ { 2, 0, 0, 0, 0, 9 } };
	s.mtu = 1400;
	s.up = true;
	s.has_bcqueuelen = true;
	s.bcqueuelen = 77;
	before = json_in(own_fd, "ip -j link show up");
	ok(fl_vlink_create(nl, &s, &err));
	after = json_in(own_fd, "ip -j link show up");
	assert_int_equal(json_array_size(before), json_array_size(after));
	json_decref(before);
	json_decref(after);
	j = json_in(other_fd, "ip -d -j link show eth0");
	expect_str(json_array_get(j, 0), "linkinfo.info_kind", "macvlan");
	expect_str(json_array_get(j, 0), "linkinfo.info_data.mode", "bridge");
	expect_int(json_array_get(j, 0), "linkinfo.info_data.bcqueuelen", 77);
	expect_str(json_array_get(j, 0), "address", "02:00:00:00:00:09");
	expect_int(json_array_get(j, 0), "mtu", 1400);
	assert_true(has_flag(json_array_get(j, 0), "UP"));
	json_decref(j);
	ok(fl_link_get(other, "eth0", &l, &err));
	assert_string_equal(l.kind, "macvlan");
	assert_int_equal(l.macvlan_mode, FL_MACVLAN_BRIDGE);
	assert_int_equal(l.peer, s.lower);
	assert_int_equal(fl_vlink_create(nl, &s, &err), -EEXIST);
}

static void test_macvlan_sources(void **state)
{
	const struct fl_mac from[] = { { { 2, 0, 0, 0, 0, 1 } }, { { 2, 0, 0, 0, 0, 2 } } };
	struct fl_vlink_spec s = macvlan("src0");
	json_t *j;

	(void)state;
	s.mode = FL_MACVLAN_SOURCE;
	s.source_macs = from;
	s.n_source_macs = 2;
	ok(fl_vlink_create(nl, &s, &err));
	j = json_in(other_fd, "ip -d -j link show src0");
	expect_int(json_array_get(j, 0), "linkinfo.info_data.macaddr_count", 2);
	json_decref(j);
}

static void test_macvlan_failures(void **state)
{
	struct fl_vlink_spec s = macvlan("m0");

	(void)state;
	s.mode = FL_MACVLAN_PASSTHRU;
	ok(fl_vlink_create(nl, &s, &err));
	s.name = "m1";
	assert_int_equal(fl_vlink_create(nl, &s, &err), -EINVAL);
	s.mode = FL_MACVLAN_BRIDGE;
	assert_int_equal(fl_vlink_create(nl, &s, &err), -EINVAL);
	in(own_fd, "ip link add br0 type bridge; ip link set p0 master br0");
	s.lower = index_in(nl, "p0");
	assert_int_equal(fl_vlink_create(nl, &s, &err), -EBUSY);
	s.lower = 9999;
	assert_int_equal(fl_vlink_create(nl, &s, &err), -ENODEV);
	/* Nothing of a link whose last step, going up, fails is left. */
	in(own_fd, "ip link set p0 nomaster");
	s.lower = index_in(nl, "p0");
	s.mac = (struct fl_mac){ { 2, 0, 0, 0, 0, 9 } };
	s.up = true;
	ok(fl_vlink_create(nl, &s, &err));
	s.name = "m2";
	assert_int_equal(fl_vlink_create(nl, &s, &err), -EADDRINUSE);
	assert_int_equal(fl_link_get(other, "m2", &(struct fl_link){ 0 }, &err), -ENODEV);
}

static void test_kinds_name_their_option(void **state)
{
	static const char *const kinds[][2] = { { "ipvlan", "CONFIG_IPVLAN" },
						{ "vlan", "CONFIG_VLAN_8021Q" },
						{ "dummy", "CONFIG_DUMMY" },
						{ "vrf", "CONFIG_NET_VRF" } };

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(kinds); i++) {
		bool lower = i < 2;
		struct fl_vlink_spec s = { .kind = kinds[i][0],
					   .name = "v0",
					   .netns_fd = other_fd,
					   .lower = lower ? index_in(nl, "eth0") : 0,
					   .vlan_id = 5,
					   .table = 10 };
		struct fl_link l;
		int r = fl_vlink_create(nl, &s, &err);

		if (r) {
			assert_int_equal(r, -EOPNOTSUPP);
			assert_int_equal(err.code, FL_ECODE_KERNEL);
			assert_non_null(strstr(err.text, kinds[i][1]));
			continue;
		}
		ok(fl_link_get(other, "v0", &l, &err));
		assert_string_equal(l.kind, s.kind);
		assert_int_equal(l.vlan_id, i == 1 ? 5 : 0);
		assert_int_equal(l.vrf_table, i == 3 ? 10 : 0);
		ok(fl_link_del(other, "v0", &err));
	}
}

/* ---- changes ---- */

static void test_moves(void **state)
{
	uint32_t index = index_in(nl, "p0");
	json_t *j;

	(void)state;
	in(other_fd, "ip link add p0 type ifb; ip link add taken type ifb");
	assert_int_equal(fl_link_move(nl, index, other_fd, NULL, &err), -EEXIST);
	assert_int_equal(fl_link_move(nl, index, other_fd, "taken", &err), -EEXIST);
	assert_int_equal(index_in(nl, "p0"), index);
	/* up, and both its old name taken there and its new one here */
	ok(fl_link_move(nl, index, other_fd, "eth0", &err));
	j = json_in(other_fd, "ip -d -j link show eth0");
	expect_str(json_array_get(j, 0), "linkinfo.info_kind", "veth");
	assert_false(has_flag(json_array_get(j, 0), "UP"));
	json_decref(j);
	ok(fl_link_set_up(other, index_in(other, "eth0"), true, &err));
	ok(fl_link_move(other, index_in(other, "eth0"), own_fd, "back", &err));
	index_in(nl, "back");
	ok(fl_link_move(nl, index_in(nl, "back"), other_fd, NULL, &err));
	index_in(other, "back");
}

/* A rename that fails behind a move that succeeded. */
static void test_moves_without_its_name(void **state)
{
	uint32_t index = index_in(nl, "p0");

	(void)state;
	in(other_fd, "ip link add taken type ifb");
	assert_int_equal(fl_link_move(nl, index, other_fd, "taken", &err), -EEXIST);
	index_in(other, "p0");
}

static void test_moves_with_index_and_alias(void **state)
{
	uint32_t index = index_in(nl, "p0");
	struct fl_link_target to = { other_fd, "eth0", 0x01234567, "p0" };
	struct fl_link l;

	(void)state;
	in(other_fd, "ip link add busy index 19088743 type ifb");
	assert_int_equal(fl_link_move_as(nl, index, &to, &err), -EBUSY);
	assert_int_equal(index_in(nl, "p0"), index);
	to.index++;
	ok(fl_link_move_as(nl, index, &to, &err));
	ok(fl_link_get_index(other, to.index, &l, &err));
	assert_string_equal(l.name, "eth0");
	assert_string_equal(l.alias, "p0");
	ok(fl_link_move_as(other, to.index, &(struct fl_link_target){ own_fd, "free%d", index, "" },
			   &err));
	ok(fl_link_get_index(nl, index, &l, &err));
	assert_memory_equal(l.name, "free", 4);
	assert_string_equal(l.alias, "");
}

static void test_changes(void **state)
{
	uint32_t index = index_in(nl, "p0"), bridge;
	struct fl_link l;
	json_t *j;

	(void)state;
	in(own_fd, "ip link add br0 type bridge");
	bridge = index_in(nl, "br0");
	ok(fl_link_rename(nl, index, "renamed", &err));
	ok(fl_link_set_mtu(nl, index, 1300, &err));
	ok(fl_link_set_txqlen(nl, index, 123, &err));
	ok(fl_link_set_allmulti(nl, index, true, &err));
	ok(fl_link_set_alias(nl, index, "an alias", &err));
	ok(fl_link_set_master(nl, index, bridge, &err));
	j = json_in(own_fd, "ip -d -j link show renamed");
	expect_int(json_array_get(j, 0), "mtu", 1300);
	expect_int(json_array_get(j, 0), "txqlen", 123);
	expect_str(json_array_get(j, 0), "ifalias", "an alias");
	expect_str(json_array_get(j, 0), "master", "br0");
	assert_true(has_flag(json_array_get(j, 0), "ALLMULTI"));
	assert_true(has_flag(json_array_get(j, 0), "UP"));
	json_decref(j);
	ok(fl_link_get_index(nl, index, &l, &err));
	assert_int_equal(l.txqlen, 123);
	assert_string_equal(l.alias, "an alias");
	assert_true(fl_mac_is_zero(&l.perm_mac));
	assert_string_equal(l.parent_dev, "");
	ok(fl_link_set_alias(nl, index, "", &err));
	ok(fl_link_set_allmulti(nl, index, false, &err));
	ok(fl_link_set_master(nl, index, 0, &err));
	j = json_in(own_fd, "ip -d -j link show renamed");
	assert_null(at(json_array_get(j, 0), "ifalias"));
	assert_null(at(json_array_get(j, 0), "master"));
	assert_false(has_flag(json_array_get(j, 0), "ALLMULTI"));
	json_decref(j);
}

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

/* ---- ids of namespaces ---- */

static void test_nsid(void **state)
{
	struct fl_nl *events, *inside;
	int third_fd, gone = 0;
	int32_t id = -7;

	(void)state;
	ok(fl_nl_open_groups(1u << (RTNLGRP_NSID - 1), &events, &err));
	assert_int_equal(fl_nsid_exists(nl, 4711, &err), 0);
	ok(fl_nsid_assign(nl, other_fd, 4711, &id, &err));
	assert_int_equal(id, 4711);
	assert_int_equal(fl_nsid_exists(nl, 4711, &err), 1);
	/* the one that it has */
	ok(fl_nsid_assign(nl, other_fd, 5000, &id, &err));
	assert_int_equal(id, 4711);
	assert_int_equal(fl_nsid_exists(nl, 5000, &err), 0);
	/* another's */
	third_fd = new_netns(&inside);
	assert_int_equal(fl_nsid_assign(nl, third_fd, 4711, &id, &err), -EEXIST);
	ok(fl_nsid_assign(nl, third_fd, 5000, &id, &err));
	assert_int_equal(id, 5000);
	/* Its last file is closed, but a socket in it is open: it lives. */
	close(third_fd);
	assert_int_equal(fl_nsid_exists(nl, 5000, &err), 1);
	while (fl_nl_wait(events, 0, &err) > 0)
		;
	fl_nl_close(inside);
	for (int i = 0; i < 100 && !gone; i++) {
		fl_nl_wait(events, 100, &err);
		gone = !fl_nsid_exists(nl, 5000, &err);
	}
	assert_true(gone);
	assert_int_equal(fl_nsid_exists(nl, 4711, &err), 1);
	assert_int_equal(fl_nsid_exists(nl, -1, &err), 0);
	/* Of one that only a file held, nothing need be waited for. */
	third_fd = new_netns(NULL);
	ok(fl_nsid_assign(nl, third_fd, 6000, &id, &err));
	close(third_fd);
	assert_int_equal(fl_nsid_exists(nl, 6000, &err), 0);
	fl_nl_close(events);
}

/* ---- counters ---- */

/* 3 datagrams of 100 bytes to an address of the own namespace, which nobody reads. */
static void send_three(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sendto(s, (char[100]){ 0 }, 100, 0, (void *)&to, sizeof(to)), 100);
	close(s);
}

struct counted {
	struct fl_stats lo;
	size_t links;
};

static int count_stats(void *arg, const struct fl_stats *s)
{
	struct counted *c = arg;

	if (s->index == 1)
		c->lo = *s;
	c->links++;
	return 0;
}

static void test_stats(void **state)
{
	struct counted all = { 0 };
	struct fl_stats one = { 0 };
	json_t *links, *lo;

	(void)state;
	in(own_fd, "ip link set lo up && ip link add s0 type veth peer name s1");
	send_three();
	ok(fl_stats_get(nl, 1, &one, &err));
	ok(fl_stats_each(nl, count_stats, &all, &err));
	assert_true(one.tx_packets >= 3 && one.tx_bytes >= 3 * 128);
	links = json_in(own_fd, "ip -j -s link");
	lo = json_array_get(links, 0);
	expect_int(lo, "stats64.rx.packets", (json_int_t)one.rx_packets);
	expect_int(lo, "stats64.rx.bytes", (json_int_t)one.rx_bytes);
	expect_int(lo, "stats64.tx.packets", (json_int_t)one.tx_packets);
	expect_int(lo, "stats64.tx.bytes", (json_int_t)one.tx_bytes);
	assert_int_equal(all.lo.tx_bytes, one.tx_bytes);
	assert_int_equal(all.links, json_array_size(links));
	json_decref(links);
	assert_int_equal(fl_stats_get(nl, 4242, &one, &err), -ENODEV);
	assert_non_null(strstr(err.text, "4242"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_macvlan_is_born_under_its_name),
		TEST(test_macvlan_sources),
		TEST(test_macvlan_failures),
		TEST(test_kinds_name_their_option),
		TEST(test_moves),
		TEST(test_moves_without_its_name),
		TEST(test_moves_with_index_and_alias),
		TEST(test_changes),
		TEST(test_default_route),
		TEST(test_routes_move_to_a_table),
		TEST(test_routes6),
		TEST(test_hops6),
		TEST(test_in_front_and_behind),
		TEST(test_rules),
		TEST(test_token_bucket),
		TEST(test_classes),
		TEST(test_redirect),
		TEST(test_nsid),
		TEST(test_stats),
	};

	if (unshare(CLONE_NEWNET)) {
		printf("1..0 # SKIP needs root: unshare: %s\n", strerror(errno));
		return 77;
	}
	home_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
