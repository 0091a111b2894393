/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records to elements: each case is a record in short form and the elements that it must give. */
#include "unit.h"

#include "base/strbuf.h"
#include "fw/elems.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void data_str(const struct fl_nft_set *set, const struct fl_nft_elem *e, char *buf, size_t n)
{
	int family = set->data[0] == FL_NFT_IPV6 ? AF_INET6 : AF_INET;
	struct fl_addr a = fl_addr_make(family, e->data);
	size_t at = fl_addr_len(&a);

	buf[0] = '\0';
	if (set->data[0] == FL_NFT_VERDICT)
		snprintf(buf, n, " : goto %s", e->jump);
	else if (set->data[1])
		snprintf(buf, n, " : %s . %u", fl_addr_str(&a, FL_ADDR_BUF),
			 (unsigned)e->data[at] << 8 | e->data[at + 1]);
	else if (set->data[0])
		snprintf(buf, n, " : %s", fl_addr_str(&a, FL_ADDR_BUF));
}

/* One line per element, "SET { KEY : DATA }"; intervals as first-last. */
static int print_elem(void *arg, enum fl_fw_set_id set, const struct fl_nft_elem *e)
{
	char key[256], data[64];

	data_str(&fl_fw_sets[set], e, data, sizeof(data));
	fl_strbuf_addf(arg, "%s { %s%s }\n", fl_fw_sets[set].name,
		       fl_fw_key_str(set, e, key, sizeof(key)), data);
	return 0;
}

static struct fl_network network(const char *link, const char *const *subnets)
{
	struct fl_network n = { .name = "net", .driver = "bridge" };

	fl_strcpy(n.link, sizeof(n.link), link);
	for (; subnets && *subnets; subnets++)
		assert_int_equal(fl_prefix_parse(*subnets, &n.subnets[n.n_subnets++]), 0);
	return n;
}

#define SUBNETS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void expect_network(const struct fl_network *n, const char *want)
{
	FL_AUTOSTRBUF struct fl_strbuf got = { 0 };

	assert_int_equal(fl_fw_network_elems(n, print_elem, &got), 0);
	assert_string_equal(got.s ? got.s : "", want);
}

static void test_network(void **state)
{
	struct fl_network n = network("br0", SUBNETS("10.1.0.0/24"));

	(void)state;
	n.masquerade = true;
	expect_network(&n, "bridges { br0 }\n"
			   "same_net { br0 . br0 }\n"
			   "masquerade4 { 10.1.0.0-10.1.0.255 : goto outward }\n"
			   "same_subnet4 { 10.1.0.0-10.1.0.255 . 10.1.0.0-10.1.0.255 }\n"
			   "hairpin4 { 10.1.0.0-10.1.0.255 . 10.1.0.0-10.1.0.255 }\n"
			   "hairpin4 { 127.0.0.0-127.255.255.255 . 10.1.0.0-10.1.0.255 }\n");
	n.snat[0] = (struct fl_addr){ AF_INET, { 192, 0, 2, 7 } };
	n.no_hairpin_snat = true;
	n.hairpin_all = true;
	expect_network(&n, "bridges { br0 }\n"
			   "same_net { br0 . br0 }\n"
			   "snat4 { 10.1.0.0-10.1.0.255 : 192.0.2.7 }\n"
			   "same_subnet4 { 10.1.0.0-10.1.0.255 . 10.1.0.0-10.1.0.255 }\n"
			   "hairpin_all4 { 10.1.0.0-10.1.0.255 }\n");
}

static void test_network_flags(void **state)
{
	struct fl_network n = network("br0", NULL);

	(void)state;
	n.isolate = n.no_icc = n.guarded = true;
	expect_network(&n, "bridges { br0 }\nsame_net { br0 . br0 }\nisolated { br0 }\n"
			   "no_icc { br0 }\nguarded { br0 }\n");
	n.isolate = n.no_icc = false;
	n.gateway_mode = FL_GATEWAY_ROUTED;
	expect_network(&n, "bridges { br0 }\nsame_net { br0 . br0 }\nguarded { br0 }\n"
			   "routed { br0 }\n");
	n.guarded = false;
	expect_network(&n, "bridges { br0 }\nsame_net { br0 . br0 }\n");
}

/* No address of an internal network may appear: two of them can have the same subnet. */
static void test_internal_network(void **state)
{
	struct fl_network n = network("br0", SUBNETS("10.1.0.0/24", "fd00::/64"));

	(void)state;
	n.internal = n.masquerade = n.hairpin_all = true;
	expect_network(&n, "bridges { br0 }\nsame_net { br0 . br0 }\ninternal { br0 }\n");
}

static void test_network_without_link(void **state)
{
	struct fl_network n = network("", SUBNETS("10.1.0.7/32", "fd00::/64"));

	(void)state;
	expect_network(&n, "subnets4 { 10.1.0.7 }\n"
			   "hairpin4 { 10.1.0.7 . 10.1.0.7 }\n"
			   "hairpin4 { 127.0.0.0-127.255.255.255 . 10.1.0.7 }\n"
			   "subnets6 { fd00::-fd00::ffff:ffff:ffff:ffff }\n"
			   "hairpin6 { fd00::-fd00::ffff:ffff:ffff:ffff . "
			   "fd00::-fd00::ffff:ffff:ffff:ffff }\n");
}

static void test_two_subnets_pair_up(void **state)
{
	struct fl_network n = network("br0", SUBNETS("10.1.0.0/24", "10.2.0.0/24", "fd00::/64"));
	FL_AUTOSTRBUF struct fl_strbuf got = { 0 };

	(void)state;
	n.masquerade = true;
	assert_int_equal(fl_fw_network_elems(&n, print_elem, &got), 0);
	assert_non_null(
		strstr(got.s, "same_subnet4 { 10.1.0.0-10.1.0.255 . 10.2.0.0-10.2.0.255 }"));
	assert_non_null(
		strstr(got.s, "same_subnet4 { 10.2.0.0-10.2.0.255 . 10.1.0.0-10.1.0.255 }"));
	assert_non_null(strstr(got.s, "hairpin4 { 10.2.0.0-10.2.0.255 . 10.1.0.0-10.1.0.255 }"));
	assert_non_null(
		strstr(got.s, "masquerade6 { fd00::-fd00::ffff:ffff:ffff:ffff : goto outward }"));
}

/* HOST "" is unset. */
static struct fl_port port(uint8_t proto, const char *host, uint16_t from, uint16_t to, uint32_t n)
{
	struct fl_port p = { .proto = proto, .host_port = from, .container_port = to, .count = n };

	if (*host)
		assert_int_equal(fl_addr_parse(host, &p.host), 0);
	return p;
}

static struct fl_endpoint endpoint(const char *const *addrs, struct fl_port *ports, uint32_t n)
{
	struct fl_endpoint ep = { .ports = ports, .n_ports = n };

	fl_strcpy(ep.id.container, sizeof(ep.id.container), "web");
	fl_strcpy(ep.id.ifname, sizeof(ep.id.ifname), "eth0");
	for (; addrs && *addrs; addrs++)
		assert_int_equal(fl_prefix_parse(*addrs, &ep.addrs[ep.n_addrs++]), 0);
	return ep;
}

static void expect_endpoint(const struct fl_network *n, const struct fl_endpoint *ep,
			    const char *want)
{
	FL_AUTOSTRBUF struct fl_strbuf got = { 0 };

	assert_int_equal(fl_fw_endpoint_elems(n, ep, print_elem, &got), 0);
	assert_string_equal(got.s ? got.s : "", want);
}

#define V4 SUBNETS("10.1.0.2/24")
#define DUAL SUBNETS("10.1.0.2/24", "10.9.0.2/24", "fe80::1/64", "fd00::2/64")

static void test_publish(void **state)
{
	const struct {
		struct fl_port port;
		const char *const *addrs;
		const char *want;
	} cases[] = {
		{ port(IPPROTO_TCP, "", 8080, 80, 1), V4,
		  "publish4 { tcp . 8080 : 10.1.0.2 . 80 }\n" },
		{ port(IPPROTO_UDP, "", 53, 53, 1), DUAL,
		  "publish4 { udp . 53 : 10.1.0.2 . 53 }\npublish6 { udp . 53 : fd00::2 . 53 }\n" },
		{ port(IPPROTO_SCTP, "0.0.0.0", 1, 65535, 1), DUAL,
		  "publish4 { sctp . 1 : 10.1.0.2 . 65535 }\n" },
		{ port(IPPROTO_TCP, "::", 8080, 80, 1), DUAL,
		  "publish6 { tcp . 8080 : fd00::2 . 80 }\n" },
		{ port(IPPROTO_TCP, "127.0.0.1", 8080, 80, 1), DUAL,
		  "publish4_at { 127.0.0.1 . tcp . 8080 : 10.1.0.2 . 80 }\n" },
		{ port(IPPROTO_TCP, "2001:db8::1", 8080, 80, 1), DUAL,
		  "publish6_at { 2001:db8::1 . tcp . 8080 : fd00::2 . 80 }\n" },
		{ port(IPPROTO_TCP, "2001:db8::1", 8080, 80, 1), V4, "" },
		{ port(IPPROTO_TCP, "::1", 8080, 80, 1), DUAL, "" },
		{ port(IPPROTO_TCP, "", 1, 1, 65535), V4,
		  "publish4_range { tcp . 1-65535 : 10.1.0.2 }\n" },
		{ port(IPPROTO_TCP, "", 9000, 9000, 2), DUAL,
		  "publish4_range { tcp . 9000-9001 : 10.1.0.2 }\n"
		  "publish6_range { tcp . 9000-9001 : fd00::2 }\n" },
		{ port(IPPROTO_TCP, "192.0.2.1", 9000, 9000, 2), V4,
		  "publish4_range_at { 192.0.2.1 . tcp . 9000-9001 : 10.1.0.2 }\n" },
		{ port(IPPROTO_TCP, "", 65534, 80, 2), V4,
		  "publish4 { tcp . 65534 : 10.1.0.2 . 80 }\n"
		  "publish4 { tcp . 65535 : 10.1.0.2 . 81 }\n" },
		{ port(IPPROTO_TCP, "192.0.2.1", 8000, 80, 2), V4,
		  "publish4_at { 192.0.2.1 . tcp . 8000 : 10.1.0.2 . 80 }\n"
		  "publish4_at { 192.0.2.1 . tcp . 8001 : 10.1.0.2 . 81 }\n" },
		{ port(IPPROTO_TCP, "", 8080, 80, 1), NULL, "" },
		{ port(IPPROTO_TCP, "", 8080, 80, 1), SUBNETS("fe80::1/64"), "" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_port p = cases[i].port;
		struct fl_endpoint ep = endpoint(cases[i].addrs, &p, 1);

		expect_endpoint(NULL, &ep, cases[i].want);
	}
}

static void test_internal_publishes_nothing(void **state)
{
	struct fl_port p = port(IPPROTO_TCP, "", 8080, 80, 1);
	struct fl_endpoint ep = endpoint(V4, &p, 1);
	struct fl_network n = network("br0", SUBNETS("10.1.0.0/24"));

	(void)state;
	n.internal = true;
	expect_endpoint(&n, &ep, "");
}

static void test_routed_opens_container_ports(void **state)
{
	struct fl_port ports[] = {
		port(IPPROTO_TCP, "", 8080, 80, 1),
		port(IPPROTO_TCP, "192.0.2.1", 8081, 80, 1),
		port(IPPROTO_TCP, "", 9000, 100, 11),
		port(IPPROTO_TCP, "", 9100, 105, 11),
		port(IPPROTO_UDP, "", 100, 100, 1),
		port(IPPROTO_TCP, "127.0.0.1", 22, 22, 1),
		port(IPPROTO_TCP, "2001:db8::1", 443, 443, 1),
		port(IPPROTO_TCP, "", 9200, 116, 1),
	};
	struct fl_endpoint ep = endpoint(DUAL, ports, FL_ARRAY_SIZE(ports));
	struct fl_network n = network("br0", NULL);

	(void)state;
	n.gateway_mode = FL_GATEWAY_ROUTED;
	expect_endpoint(&n, &ep, "");
	n.guarded = true;
	expect_endpoint(&n, &ep,
			"open4 { 10.1.0.2 . tcp . 80 }\n"
			"open4_range { 10.1.0.2 . tcp . 100-115 }\n"
			"open4 { 10.1.0.2 . tcp . 116 }\n"
			"open4 { 10.1.0.2 . udp . 100 }\n"
			"open6 { fd00::2 . tcp . 80 }\n"
			"open6_range { fd00::2 . tcp . 100-115 }\n"
			"open6 { fd00::2 . tcp . 116 }\n"
			"open6 { fd00::2 . tcp . 443 }\n"
			"open6 { fd00::2 . udp . 100 }\n");
}

static void test_spoof_check(void **state)
{
	struct fl_endpoint ep = endpoint(V4, NULL, 0);

	(void)state;
	ep.spoof_check = true;
	ep.mac = (struct fl_mac){ { 2, 0, 0, 0, 0, 9 } };
	expect_endpoint(NULL, &ep, "");
	fl_strcpy(ep.link, sizeof(ep.link), "veth0123456789a");
	expect_endpoint(NULL, &ep,
			"checked_ports { veth0123456789a }\n"
			"allowed_macs { veth0123456789a . 02:00:00:00:00:09 }\n");
}

static void test_overlay(void **state)
{
	struct fl_network n = network("flo1", SUBNETS("10.5.0.0/16", "fd05::/64"));
	struct fl_endpoint ep = endpoint(DUAL, NULL, 0);
	struct fl_addr gateway4 = { AF_INET, { 10, 5, 0, 1 } },
		       gateway6 = { AF_INET6, { 0xfd, 5, [15] = 1 } };

	(void)state;
	n.no_hairpin_snat = true;
	fl_strcpy(n.tunnel, sizeof(n.tunnel), "flx1");
	assert_true(fl_network_add_anycast(&n, &gateway4));
	assert_true(fl_network_add_anycast(&n, &gateway6));
	assert_false(fl_network_add_anycast(&n, &gateway4));
	expect_network(&n, "bridges { flo1 }\n"
			   "same_net { flo1 . flo1 }\n"
			   "overlays { flo1 }\n"
			   "anycast4 { flx1 . 10.5.0.1 }\n"
			   "anycast6 { flx1 . fd05::1 }\n"
			   "overlay4 { 10.5.0.0-10.5.255.255 }\n"
			   "overlay6 { fd05::-fd05::ffff:ffff:ffff:ffff }\n");
	expect_endpoint(&n, &ep,
			"local4 { 10.1.0.2 }\n"
			"local4 { 10.9.0.2 }\n"
			"local6 { fe80::1 }\n"
			"local6 { fd00::2 }\n");
	/* The host routes to the other nodes: the tunnel is one more interface of the network. */
	n.tunnel_routed = n.guarded = n.isolate = true;
	expect_network(&n, "bridges { flo1 }\n"
			   "same_net { flo1 . flo1 }\n"
			   "same_net { flo1 . flx1 }\n"
			   "isolated { flo1 }\n"
			   "guarded { flo1 }\n"
			   "overlays { flo1 }\n"
			   "bridges { flx1 }\n"
			   "same_net { flx1 . flo1 }\n"
			   "same_net { flx1 . flx1 }\n"
			   "isolated { flx1 }\n"
			   "guarded { flx1 }\n"
			   "overlays { flx1 }\n"
			   "overlay4 { 10.5.0.0-10.5.255.255 }\n"
			   "overlay6 { fd05::-fd05::ffff:ffff:ffff:ffff }\n");
	/* No NAT, and no subnet that another such network could not have too. */
	n.tunnel_routed = n.guarded = n.isolate = false;
	n.internal = true;
	n.n_anycast = 0;
	expect_network(&n, "bridges { flo1 }\n"
			   "same_net { flo1 . flo1 }\n"
			   "internal { flo1 }\n"
			   "overlays { flo1 }\n");
	expect_endpoint(&n, &ep, "");
}

static int keep_comment(void *arg, enum fl_fw_set_id set, const struct fl_nft_elem *e)
{
	(void)set;
	fl_strcpy(arg, 512, e->comment);
	return 0;
}

static int refuse(void *arg, enum fl_fw_set_id set, const struct fl_nft_elem *e)
{
	(void)set;
	(void)e;
	++*(int *)arg;
	return -EPIPE;
}

static void test_comment_and_sink_errors(void **state)
{
	struct fl_port p = port(IPPROTO_TCP, "", 20000, 30000, 10000);
	struct fl_endpoint ep = endpoint(DUAL, &p, 1);
	char comment[512];
	int calls = 0;

	(void)state;
	fl_fw_endpoint_elems(NULL, &ep, keep_comment, comment);
	assert_string_equal(comment, "web/eth0");
	memset(ep.id.container, 'x', FL_NAME_MAX);
	fl_fw_endpoint_elems(NULL, &ep, keep_comment, comment);
	assert_int_equal(strlen(comment), FL_NFT_COMMENT_MAX);
	assert_int_equal(fl_fw_endpoint_elems(NULL, &ep, refuse, &calls), -EPIPE);
	assert_int_equal(calls, 1);
}

static void print_list(const struct fl_fw_elems *l, struct fl_strbuf *b)
{
	for (size_t i = 0; i < l->n; i++)
		print_elem(b, l->v[i].set, &l->v[i].e);
}

static void test_unique_and_subtract(void **state)
{
	struct fl_port ports[] = { port(IPPROTO_TCP, "", 81, 1, 1), port(IPPROTO_TCP, "", 80, 1, 1),
				   port(IPPROTO_TCP, "0.0.0.0", 80, 2, 1),
				   port(IPPROTO_TCP, "", 82, 1, 1) };
	struct fl_endpoint all = endpoint(V4, ports, 4), one = endpoint(V4, ports, 1);
	FL_AUTOFWELEMS struct fl_fw_elems l = { 0 };
	FL_AUTOFWELEMS struct fl_fw_elems keep = { 0 };
	FL_AUTOSTRBUF struct fl_strbuf got = { 0 };

	(void)state;
	assert_int_equal(fl_fw_elems_endpoint(&l, NULL, &all), 0);
	assert_int_equal(fl_fw_elems_endpoint(&l, NULL, NULL), 0);
	assert_int_equal(fl_fw_elems_endpoint(&keep, NULL, &one), 0);
	assert_int_equal(l.n, 4);
	fl_fw_elems_unique(&l);
	fl_fw_elems_unique(&keep);
	fl_fw_elems_subtract(&l, &keep);
	print_list(&l, &got);
	assert_string_equal(got.s, "publish4 { tcp . 80 : 10.1.0.2 . 1 }\n"
				   "publish4 { tcp . 82 : 10.1.0.2 . 1 }\n");
}

static void test_first_of_overlapping_wins(void **state)
{
	struct fl_port ports[] = { port(IPPROTO_TCP, "", 9050, 9050, 100),
				   port(IPPROTO_TCP, "", 9000, 9000, 51),
				   port(IPPROTO_UDP, "", 9000, 9000, 100),
				   port(IPPROTO_TCP, "", 9000, 9000, 50),
				   port(IPPROTO_TCP, "192.0.2.1", 9000, 9000, 100) };
	struct fl_endpoint ep = endpoint(V4, ports, 5);
	FL_AUTOFWELEMS struct fl_fw_elems l = { 0 };
	FL_AUTOSTRBUF struct fl_strbuf got = { 0 };

	(void)state;
	assert_int_equal(fl_fw_elems_endpoint(&l, NULL, &ep), 0);
	fl_fw_elems_drop_overlaps(&l);
	print_list(&l, &got);
	assert_string_equal(got.s,
			    "publish4_range { tcp . 9050-9149 : 10.1.0.2 }\n"
			    "publish4_range { udp . 9000-9099 : 10.1.0.2 }\n"
			    "publish4_range { tcp . 9000-9049 : 10.1.0.2 }\n"
			    "publish4_range_at { 192.0.2.1 . tcp . 9000-9099 : 10.1.0.2 }\n");
}

/* by_family() relies on it. */
static void test_ipv6_sets_follow_their_twins(void **state)
{
	(void)state;
	for (int i = FL_FW_SUBNETS4; i < FL_FW_FIRST_BRIDGE_SET; i += 2) {
		char twin[32];
		char *digit;

		fl_strcpy(twin, sizeof(twin), fl_fw_sets[i].name);
		digit = strchr(twin, '4');
		assert_non_null(digit);
		*digit = '6';
		assert_string_equal(twin, fl_fw_sets[i + 1].name);
		assert_int_equal(fl_fw_sets[i].interval, fl_fw_sets[i + 1].interval);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_network_flags),
		cmocka_unit_test(test_internal_network),
		cmocka_unit_test(test_network_without_link),
		cmocka_unit_test(test_two_subnets_pair_up),
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_internal_publishes_nothing),
		cmocka_unit_test(test_routed_opens_container_ports),
		cmocka_unit_test(test_spoof_check),
		cmocka_unit_test(test_overlay),
		cmocka_unit_test(test_comment_and_sink_errors),
		cmocka_unit_test(test_unique_and_subtract),
		cmocka_unit_test(test_first_of_overlapping_wins),
		cmocka_unit_test(test_ipv6_sets_follow_their_twins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
