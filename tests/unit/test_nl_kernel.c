/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lib/nl against the running kernel: links, ids of namespaces, counters. */
#include "nlfixture.h"

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
