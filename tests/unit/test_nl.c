/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Golden netlink messages: what a kernel without the feature cannot show. Read back attribute by
 * attribute. */
#include "unit.h"

#include "nl/nl.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <netlink/msg.h>
#include <string.h>

static const struct nlattr *find(const void *from, int len, int type)
{
	return nla_find((struct nlattr *)from, len, type);
}

static const struct nlattr *top(struct fl_req *q, size_t header, int type)
{
	struct nlmsghdr *h;

	assert_false(q->failed);
	h = nlmsg_hdr(q->msg);
	return find((char *)NLMSG_DATA(h) + NLMSG_ALIGN(header),
		    (int)(h->nlmsg_len - NLMSG_SPACE(header)), type);
}

static void veth(void **state)
{
	struct fl_veth_spec s = { .name = "veth1",
				  .peer = "eth0",
				  .peer_netns_fd = 7,
				  .mac = { { 2, 0, 0, 0, 0, 1 } },
				  .peer_mac = { { 2, 0, 0, 0, 0, 2 } },
				  .mtu = 1400,
				  .master = 9 };
	FL_AUTOREQ struct fl_req q = { 0 };
	const struct nlattr *a, *data, *peer;
	const char *inner;
	int rest;

	(void)state;
	fl_veth_build(&q, &s);
	assert_int_equal(nlmsg_hdr(q.msg)->nlmsg_type, RTM_NEWLINK);
	assert_int_equal(nlmsg_hdr(q.msg)->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL),
			 NLM_F_CREATE | NLM_F_EXCL);
	assert_string_equal(nla_data(top(&q, sizeof(struct ifinfomsg), IFLA_IFNAME)), "veth1");
	assert_int_equal(nla_get_u32(top(&q, sizeof(struct ifinfomsg), IFLA_MASTER)), 9);
	a = top(&q, sizeof(struct ifinfomsg), IFLA_LINKINFO);
	data = find(nla_data(a), nla_len(a), IFLA_INFO_DATA);
	peer = find(nla_data(data), nla_len(data), VETH_INFO_PEER);
	inner = (const char *)nla_data(peer) + NLMSG_ALIGN(sizeof(struct ifinfomsg));
	rest = nla_len(peer) - (int)NLMSG_ALIGN(sizeof(struct ifinfomsg));
	assert_string_equal(nla_data(find(inner, rest, IFLA_IFNAME)), "eth0");
	assert_int_equal(nla_get_u32(find(inner, rest, IFLA_NET_NS_FD)), 7);
	assert_int_equal(nla_get_u32(find(inner, rest, IFLA_MTU)), 1400);
	assert_memory_equal(nla_data(find(inner, rest, IFLA_ADDRESS)), s.peer_mac.b, 6);
}

static void vlan_bridge(void **state)
{
	struct fl_bridge_spec s = { .name = "br0",
				    .vlan_filtering = true,
				    .no_default_vlan = true };
	FL_AUTOREQ struct fl_req q = { 0 };
	const struct nlattr *a, *data;

	(void)state;
	fl_bridge_build(&q, &s);
	a = top(&q, sizeof(struct ifinfomsg), IFLA_LINKINFO);
	data = find(nla_data(a), nla_len(a), IFLA_INFO_DATA);
	assert_int_equal(nla_get_u8(find(nla_data(data), nla_len(data), IFLA_BR_VLAN_FILTERING)),
			 1);
	assert_int_equal(
		nla_get_u16(find(nla_data(data), nla_len(data), IFLA_BR_VLAN_DEFAULT_PVID)), 0);
}

static void vlans(void **state)
{
	const struct fl_vlan_range v[] = { { .first = 10, .pvid = true, .untagged = true },
					   { .first = 20, .last = 29 } };
	const uint16_t want[][2] = {
		/* flags, vid */
		{ BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, 10 },
		{ BRIDGE_VLAN_INFO_RANGE_BEGIN, 20 },
		{ BRIDGE_VLAN_INFO_RANGE_END, 29 },
	};
	FL_AUTOREQ struct fl_req q = { 0 };
	const struct nlattr *spec, *a;
	size_t n = 0;
	int rest;

	(void)state;
	fl_vlan_build(&q, true, 5, false, v, 2);
	assert_int_equal(nlmsg_hdr(q.msg)->nlmsg_type, RTM_SETLINK);
	spec = top(&q, sizeof(struct ifinfomsg), IFLA_AF_SPEC);
	nla_for_each_nested (a, (struct nlattr *)spec, rest) {
		const struct bridge_vlan_info *i = nla_data(a);

		assert_true(n < 3);
		assert_int_equal(i->flags, want[n][0]);
		assert_int_equal(i->vid, want[n++][1]);
	}
	assert_int_equal(n, 3);
}

static void port_flags(void **state)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	const struct nlattr *a;

	(void)state;
	fl_port_flags_build(&q, 5, FL_PORT_ISOLATED);
	a = top(&q, sizeof(struct ifinfomsg), IFLA_PROTINFO);
	assert_non_null(a);
	assert_int_equal(nla_get_u8(find(nla_data(a), nla_len(a), IFLA_BRPORT_ISOLATED)), 1);
	assert_null(find(nla_data(a), nla_len(a), IFLA_BRPORT_MODE));
}

static void route(void **state)
{
	struct fl_nlroute r = { .dst = { .addr = { .family = AF_INET } },
				.oif = 3,
				.table = 1000,
				.priority = 50,
				.mtu = 1400,
				.gw = { AF_INET, { 10, 1, 0, 1 } } };
	FL_AUTOREQ struct fl_req q = { 0 };
	const struct rtmsg *rt;
	const struct nlattr *m;

	(void)state;
	fl_route_build(&q, &r);
	rt = NLMSG_DATA(nlmsg_hdr(q.msg));
	assert_int_equal(rt->rtm_table, RT_TABLE_UNSPEC);
	assert_int_equal(nla_get_u32(top(&q, sizeof(*rt), RTA_TABLE)), 1000);
	assert_int_equal(nla_get_u32(top(&q, sizeof(*rt), RTA_PRIORITY)), 50);
	assert_null(top(&q, sizeof(*rt), RTA_DST));
	m = top(&q, sizeof(*rt), RTA_METRICS);
	assert_int_equal(nla_get_u32(find(nla_data(m), nla_len(m), RTAX_MTU)), 1400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(veth),	 cmocka_unit_test(vlan_bridge),
		cmocka_unit_test(vlans), cmocka_unit_test(port_flags),
		cmocka_unit_test(route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
