/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Golden netlink messages of virtual links, traffic control and policy rules: also what a kernel
 * without the feature cannot show. A message is written out as its header's and attributes' bytes,
 * nests in brackets; numbers are those of a little-endian machine.
 */
#include "unit.h"

#include "nl/neigh.h"
#include "nl/qdisc.h"
#include "nl/rule.h"
#include "nl/virtual.h"
#include "nl/vxlan.h"

#include <endian.h>
#include <errno.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <string.h>

struct text {
	char s[4096];
	size_t len;
};

static void add(struct text *t, const char *s)
{
	t->len += (size_t)snprintf(t->s + t->len, sizeof(t->s) - t->len, "%s", s);
	assert_true(t->len < sizeof(t->s));
}

static void add_hex(struct text *t, const void *data, size_t len)
{
	const uint8_t *b = data;
	char two[3];

	for (size_t i = 0; i < len; i++) {
		snprintf(two, sizeof(two), "%02x", b[i]);
		add(t, two);
	}
}

/* nests: " 18 18.2 " are the paths of the attributes that hold attributes. */
static void add_attrs(struct text *t, const void *from, int len, const char *path,
		      const char *nests)
{
	const struct nlattr *a = from;
	char here[64], word[66];

	for (const char *gap = ""; nla_ok(a, len); a = nla_next(a, &len), gap = " ") {
		snprintf(here, sizeof(here), "%s%s%d", path, *path ? "." : "", nla_type(a));
		snprintf(word, sizeof(word), " %s ", here);
		add(t, gap);
		add(t, strrchr(here, '.') ? strrchr(here, '.') + 1 : here);
		if (strstr(nests, word)) {
			add(t, "=[");
			add_attrs(t, nla_data(a), nla_len(a), here, nests);
			add(t, "]");
			continue;
		}
		add(t, "=");
		add_hex(t, nla_data(a), (size_t)nla_len(a));
	}
	assert_int_equal(len, 0);
}

static void expect(struct fl_req *q, int type, int flags, size_t header, const char *nests,
		   const char *want)
{
	struct text t = { .len = 0 };
	struct nlmsghdr *h;

	assert_false(q->failed);
	assert_int_equal(q->depth, 0);
	h = nlmsg_hdr(q->msg);
	assert_int_equal(h->nlmsg_type, type);
	assert_int_equal(h->nlmsg_flags, NLM_F_REQUEST | flags);
	add_hex(&t, NLMSG_DATA(h), header);
	add(&t, " ");
	add_attrs(&t, (char *)NLMSG_DATA(h) + NLMSG_ALIGN(header),
		  (int)(h->nlmsg_len - NLMSG_SPACE(header)), "", nests);
	assert_string_equal(t.s, want);
	fl_req_clear(q);
}

#define DOWN "00000000000000000000000000000000 "
#define UP "00000000000000000100000001000000 "

static void expect_link(const struct fl_vlink_spec *s, const char *want)
{
	struct fl_req q;

	fl_vlink_build(&q, s);
	expect(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg),
	       " 18 18.2 18.2.5 ", want);
}

static void links(void **state)
{
	const struct fl_mac from[] = { { { 2, 0, 0, 0, 0, 1 } }, { { 2, 0, 0, 0, 0, 2 } } };

	(void)state;
	expect_link(&(struct fl_vlink_spec){ .kind = "dummy", .name = "d0", .netns_fd = -1 },
		    DOWN "3=643000 18=[1=64756d6d7900]");
	expect_link(
		&(struct fl_vlink_spec){
			.kind = "ifb", .name = "i0", .netns_fd = -1, .up = true, .mtu = 1400 },
		UP "3=693000 4=78050000 18=[1=69666200]");
	expect_link(
		&(struct fl_vlink_spec){
			.kind = "vrf", .name = "v0", .netns_fd = -1, .table = 1000 },
		DOWN "3=763000 18=[1=76726600 2=[1=e8030000]]");
	expect_link(
		&(struct fl_vlink_spec){
			.kind = "vlan", .name = "v5", .netns_fd = 7, .lower = 3, .vlan_id = 5 },
		DOWN "3=763500 28=07000000 5=03000000 18=[1=766c616e00 2=[1=0500]]");
	expect_link(&(struct fl_vlink_spec){ .kind = "ipvlan",
					     .name = "eth0",
					     .netns_fd = 7,
					     .lower = 3,
					     .mode = FL_IPVLAN_L3S,
					     .ipvlan_flags = FL_IPVLAN_VEPA },
		    DOWN "3=6574683000 28=07000000 5=03000000 "
			 "18=[1=6970766c616e00 2=[1=0200 2=0200]]");
	/* l2 and bridge are 0, and said */
	expect_link(&(struct fl_vlink_spec){ .kind = "ipvlan", .name = "e", .netns_fd = -1 },
		    DOWN "3=6500 18=[1=6970766c616e00 2=[1=0000 2=0000]]");
	expect_link(&(struct fl_vlink_spec){ .kind = "macvlan",
					     .name = "eth0",
					     .netns_fd = 7,
					     .lower = 3,
					     .mac = { { 2, 0, 0, 0, 0, 9 } },
					     .mtu = 1400,
					     .master = 4,
					     .up = true,
					     .mode = FL_MACVLAN_SOURCE,
					     .source_macs = from,
					     .n_source_macs = 2,
					     .has_bcqueuelen = true,
					     .bcqueuelen = 2000 },
		    UP "3=6574683000 28=07000000 5=03000000 1=020000000009 4=78050000 10=04000000 "
		       "18=[1=6d6163766c616e00 2=[1=10000000 7=d0070000 3=03000000 "
		       "5=[4=020000000001 4=020000000002]]]");
	expect_link(&(struct fl_vlink_spec){ .kind = "macvtap",
					     .name = "t",
					     .netns_fd = -1,
					     .lower = 3,
					     .mode = FL_MACVLAN_PASSTHRU },
		    DOWN "3=7400 5=03000000 18=[1=6d61637674617000 2=[1=08000000]]");
}

/* More than fits a message is an error of the send, never a cut message. */
static void too_many_sources(void **state)
{
	static struct fl_mac from[1000];
	FL_AUTOREQ struct fl_req q = { 0 };

	(void)state;
	fl_vlink_build(&q, &(struct fl_vlink_spec){ .kind = "macvlan",
						    .name = "m",
						    .netns_fd = -1,
						    .source_macs = from,
						    .n_source_macs = 1000 });
	assert_true(q.failed);
}

static void mode_names(void **state)
{
	const char *macvlan[] = { "private", "vepa", "bridge", "passthru", "source" };
	const char *ipvlan[] = { "l2", "l3", "l3s" };
	const char *flags[] = { "bridge", "private", "vepa" };
	uint32_t v = 77;
	uint16_t f = 77;

	(void)state;
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(fl_macvlan_mode_parse(macvlan[i], &v), 0);
		assert_int_equal(v, 1u << i);
		assert_string_equal(fl_macvlan_mode_name(v), macvlan[i]);
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(fl_ipvlan_mode_parse(ipvlan[i], &v), 0);
		assert_int_equal(v, i);
		assert_string_equal(fl_ipvlan_mode_name(v), ipvlan[i]);
		assert_int_equal(fl_ipvlan_flag_parse(flags[i], &f), 0);
		assert_int_equal(f, i);
		assert_string_equal(fl_ipvlan_flag_name(f), flags[i]);
	}
	v = f = 77;
	assert_int_equal(fl_macvlan_mode_parse("Bridge", &v), -EINVAL);
	assert_int_equal(fl_ipvlan_mode_parse("", &v), -EINVAL);
	assert_int_equal(fl_ipvlan_flag_parse("l2", &f), -EINVAL);
	assert_int_equal(v + f, 154);
	assert_string_equal(fl_macvlan_mode_name(3), "");
}

static struct fl_prefix prefix(const char *s)
{
	struct fl_prefix p = { 0 };

	assert_int_equal(fl_prefix_parse(s, &p), 0);
	return p;
}

static void rules(void **state)
{
	struct fl_rule r = { .family = AF_INET,
			     .src = prefix("10.1.0.2/32"),
			     .table = 100,
			     .priority = 5,
			     .iif = "eth0" };
	struct fl_req q;

	(void)state;
	fl_rule_build(&q, true, &r);
	expect(&q, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, 12, "",
	       "020020006400000100000000 2=0a010002 15=64000000 6=05000000 3=6574683000");
	r = (struct fl_rule){ .family = AF_INET6, .dst = prefix("fd00::/8"), .table = 1000 };
	fl_rule_build(&q, false, &r);
	expect(&q, RTM_DELRULE, 0, 12, "",
	       "0a0800000000000100000000 1=fd000000000000000000000000000000 15=e8030000");
}

#define ROOT_OF_3 "000000000300000000000000ffffffff00000000 "

static void token_bucket(void **state)
{
	struct fl_req q;

	(void)state;
	/* 1 MB/s, 100 kB: 0.1 s are 1562500 ticks; 25 ms more are queued */
	fl_tbf_build(&q, 3, FL_TC_ROOT, 0, 1000000, 100000, 25000);
	expect(&q, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct tcmsg), " 2 ",
	       ROOT_OF_3 "1=74626600 2=[1=000100000000000040420f00000000000000000000000000"
			 "48e8010084d7170000000000 6=a0860100]");
	/* 10 GB/s */
	fl_tbf_build(&q, 3, FL_TC_ROOT, 0, 10000000000, 1000000, 1000000000);
	expect(&q, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct tcmsg), " 2 ",
	       ROOT_OF_3 "1=74626600 2=[1=0001000000000000ffffffff000000000000000000000000"
			 "ffffffff1b06000000000000 4=00e40b5402000000 6=40420f00]");
}

static void htb_class(void **state)
{
	struct fl_req q;

	(void)state;
	fl_htb_class_build(&q, 3, 0x10000, 0x10005, 1000000, 10000000000, 64000);
	expect(&q, RTM_NEWTCLASS, NLM_F_CREATE, sizeof(struct tcmsg), " 2 ",
	       "0000000003000000050001000000010000000000 1=68746200 "
	       "2=[1=000100000000000040420f000001000000000000ffffffff"
	       "40420f0064000000a08601000000000000000000 7=00e40b5402000000]");
}

static void filters(void **state)
{
	const struct fl_prefix v4 = prefix("10.1.2.3/20"), v6 = prefix("2001:db8:1:2:3::/68"),
			       all = prefix("::/0");
	struct fl_req q;

	(void)state;
	fl_u32_redirect_build(&q, 3, FL_TC_INGRESS_HANDLE, 9);
	expect(&q, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct tcmsg),
	       " 2 2.7 2.7.1 2.7.1.2 ",
	       "0000000003000000000000000000ffff00030000 1=75333200 "
	       "2=[5=01000100000000000000000000000000"
	       "00000000000000000000000000000000 "
	       "7=[1=[1=6d697272656400 2=[2="
	       "00000000000000000400000000000000000000000100000009000000]]]]");
	fl_u32_class_build(&q, 3, 0x10000, 7, &v4, true, 0x10005);
	expect(&q, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct tcmsg), " 2 ",
	       "0000000003000000000000000000010008000700 1=75333200 "
	       "2=[5=01000100000000000000000000000000"
	       "fffff0000a0100000c00000000000000 1=05000100]");
	fl_u32_class_build(&q, 3, 0x10000, 8, &v6, false, 0x10005);
	expect(&q, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct tcmsg), " 2 ",
	       "0000000003000000000000000000010086dd0800 1=75333200 "
	       "2=[5=01000300000000000000000000000000"
	       "ffffffff20010db81800000000000000"
	       "ffffffff000100021c00000000000000"
	       "f0000000000000002000000000000000 1=05000100]");
	fl_u32_class_build(&q, 3, 0x10000, 8, &all, true, 0x10005);
	expect(&q, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct tcmsg), " 2 ",
	       "0000000003000000000000000000010086dd0800 1=75333200 "
	       "2=[5=01000100000000000000000000000000"
	       "00000000000000000800000000000000 1=05000100]");
}

static void routes(void **state)
{
	struct fl_nlroute r = { .dst = prefix("10.1.0.0/16"),
				.gw = prefix("fe80::1/64").addr,
				.oif = 3,
				.onlink = true,
				.scope = RT_SCOPE_LINK,
				.protocol = RTPROT_STATIC,
				.type = RTN_UNICAST };
	struct fl_req q;

	(void)state;
	fl_route_build(&q, &r);
	expect(&q, RTM_NEWROUTE, NLM_F_CREATE, sizeof(struct rtmsg), "",
	       "02100000fe04fd0104000000 1=0a010000 18=0a00fe800000000000000000000000000001 "
	       "4=03000000");
}

static struct fl_addr addr(const char *s)
{
	struct fl_addr a = { 0 };

	assert_int_equal(fl_addr_parse(s, &a), 0);
	return a;
}

static void vxlans(void **state)
{
	struct fl_vxlan_spec s = { .name = "v0",
				   .vxlan = { 5001, addr("192.0.2.1"), 4789, true },
				   .mac = { { 2, 0, 0, 0, 0, 9 } },
				   .mtu = 1500,
				   .group = 7,
				   .ttl = 64 };
	struct fl_req q;

	(void)state;
	fl_vxlan_build(&q, &s);
	expect(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg), " 18 18.2 ",
	       DOWN "3=763000 1=020000000009 4=dc050000 27=07000000 18=[1=76786c616e00 "
		    "2=[1=89130000 4=c0000201 15=12b5 7=01 5=40]]");
	s = (struct fl_vxlan_spec){ .name = "v0",
				    .vxlan = { 16777215, addr("2001:db8::1"), 8472, false } };
	fl_vxlan_build(&q, &s);
	expect(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg), " 18 18.2 ",
	       DOWN "3=763000 18=[1=76786c616e00 "
		    "2=[1=ffffff00 17=20010db8000000000000000000000001 15=2118 7=00]]");
	fl_link_dress_build(
		&q, 3,
		&(struct fl_link_dress){
			.alias = "mine", .master = 4, .mtu = 1400, .no_link_local = true });
	expect(&q, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), " 26 26.10 ",
	       "00000000030000000000000000000000 "
	       "4=78050000 20=6d696e65 10=04000000 26=[10=[8=01]]");
}

static void port_flags(void **state)
{
	struct fl_req q;

	(void)state;
	fl_port_change_build(&q, 3, FL_PORT_LOCKED | FL_PORT_HAIRPIN,
			     FL_PORT_LEARNING | FL_PORT_NEIGH_SUPPRESS | FL_PORT_ISOLATED);
	expect(&q, RTM_SETLINK, 0, sizeof(struct ifinfomsg), " 12 ",
	       "07000000030000000000000000000000 12=[4=01 33=00 8=00 32=00 39=01]");
	fl_port_flags_build(&q, 3, FL_PORT_ISOLATED);
	expect(&q, RTM_SETLINK, 0, sizeof(struct ifinfomsg), " 12 ",
	       "07000000030000000000000000000000 12=[33=01]");
}

static void neighbours(void **state)
{
	struct fl_neigh n = { .index = 3,
			      .addr = addr("10.5.0.12"),
			      .mac = { { 2, 0, 0, 0, 0, 9 } },
			      .protocol = 200 };
	struct fl_req q;

	(void)state;
	fl_neigh_build(&q, true, &n);
	expect(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ndmsg), "",
	       "020000000300000080000000 1=0a05000c 2=020000000009 12=c8");
	n.addr = addr("fd05::c");
	n.state = NUD_NOARP;
	n.protocol = 0;
	fl_neigh_build(&q, true, &n);
	expect(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ndmsg), "",
	       "0a0000000300000040000000 1=fd05000000000000000000000000000c 2=020000000009");
	fl_neigh_build(&q, false, &n);
	expect(&q, RTM_DELNEIGH, 0, sizeof(struct ndmsg), "",
	       "0a0000000300000000000000 1=fd05000000000000000000000000000c");
}

static void forwarding(void **state)
{
	struct fl_fdb f = { .index = 3, .mac = { { 2, 0, 0, 0, 0, 9 } }, .dst = addr("192.0.2.2") };
	struct fl_req q;

	(void)state;
	fl_fdb_build(&q, FL_FDB_REPLACE, &f);
	expect(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ndmsg), "",
	       "070000000300000080000200 2=020000000009 1=c0000202");
	f.mac = (struct fl_mac){ 0 };
	f.dst = addr("2001:db8::2");
	fl_fdb_build(&q, FL_FDB_APPEND, &f);
	expect(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND, sizeof(struct ndmsg), "",
	       "070000000300000080000200 2=000000000000 1=20010db8000000000000000000000002");
	fl_fdb_build(&q, FL_FDB_DELETE, &f);
	expect(&q, RTM_DELNEIGH, 0, sizeof(struct ndmsg), "",
	       "070000000300000080000200 2=000000000000 1=20010db8000000000000000000000002");
	f = (struct fl_fdb){ .table = FL_FDB_MASTER, .life = FL_FDB_STICKY, .index = 3 };
	fl_fdb_build(&q, FL_FDB_REPLACE, &f);
	expect(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ndmsg), "",
	       "070000000300000040004400 2=000000000000");
	f.life = FL_FDB_STATIC;
	fl_fdb_build(&q, FL_FDB_REPLACE, &f);
	expect(&q, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ndmsg), "",
	       "070000000300000040000400 2=000000000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links),      cmocka_unit_test(too_many_sources),
		cmocka_unit_test(mode_names), cmocka_unit_test(rules),
		cmocka_unit_test(htb_class),  cmocka_unit_test(token_bucket),
		cmocka_unit_test(filters),    cmocka_unit_test(routes),
		cmocka_unit_test(vxlans),     cmocka_unit_test(port_flags),
		cmocka_unit_test(neighbours), cmocka_unit_test(forwarding),
	};

	if (BYTE_ORDER != LITTLE_ENDIAN)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
