/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storefixture.h"

#include <errno.h>
#include <netinet/in.h>

static struct fl_endpoint full_endpoint(void)
{
	struct fl_endpoint ep = {
		.id = make_id("net", "bridge", "c0ffee", "eth0"),
		.origin = FL_ORIGIN_CNM,
		.state = FL_STATE_READY,
		.link = "veth0",
		.ifindex = UINT32_MAX,
		.ifb = 0x01000007,
		.netns = "/run/netns/a \"quoted\" path",
		.cookie = UINT64_MAX,
		.dev = 4,
		.ino = 4026532900,
		.mac = { { 2, 0, 0, 0, 0, 9 } },
		.n_addrs = 2,
		.n_ports = 2,
		.spoof_check = true,
		.ipam = "host-local",
		.pool = "net@/data",
		.name = "web",
	};

	ep.addrs[0] = make_prefix("10.1.0.2/16");
	ep.addrs[1] = make_prefix("2001:db8::2/64");
	ep.ports = calloc(2, sizeof(*ep.ports));
	ep.ports[0] = (struct fl_port){ IPPROTO_TCP, { 0 }, 8080, 80, 1 };
	ep.ports[1] = (struct fl_port){ IPPROTO_UDP, make_addr("192.0.2.1"), 10000, 20000, 10000 };
	return ep;
}

static void endpoint_round_trip(void **state)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = full_endpoint(), back = { 0 };
	FL_AUTOFREE char *json = NULL, *again = NULL;

	(void)state;
	assert_int_equal(fl_endpoint_encode(&ep, &json, NULL), 0);
	assert_int_equal(fl_endpoint_decode(json, strlen(json), &back, NULL), 0);
	assert_int_equal(fl_endpoint_encode(&back, &again, NULL), 0);
	assert_string_equal(json, again);
	assert_true(fl_endpoint_id_eq(&ep.id, &back.id));
	assert_int_equal(back.cookie, UINT64_MAX);
	assert_int_equal(back.ifindex, UINT32_MAX);
	assert_string_equal(back.netns, ep.netns);
	assert_int_equal(back.n_addrs, 2);
	assert_memory_equal(&back.addrs[1], &ep.addrs[1], sizeof(ep.addrs[1]));
	assert_int_equal(back.n_ports, 2);
	assert_int_equal(back.ports[1].count, 10000);
	assert_true(fl_addr_eq(&back.ports[1].host, &ep.ports[1].host));
	assert_false(fl_addr_is_set(&back.ports[0].host));
	assert_true(back.spoof_check);
}

/* The golden text: what a newer version must go on reading. */
static void endpoint_text(void **state)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = full_endpoint();
	FL_AUTOFREE char *json = NULL;

	(void)state;
	ep.cookie = 27956;
	assert_int_equal(fl_endpoint_encode(&ep, &json, NULL), 0);
	assert_string_equal(
		json,
		"{\"network\":\"net\",\"driver\":\"bridge\",\"container\":\"c0ffee\",\"ifname\":"
		"\"eth0\","
		"\"origin\":\"cnm\",\"state\":\"ready\",\"link\":\"veth0\",\"ifindex\":4294967295,"
		"\"ifb\":16777223,"
		"\"netns\":\"/run/netns/a \\\"quoted\\\" "
		"path\",\"cookie\":27956,\"dev\":4,\"ino\":4026532900,"
		"\"mac\":\"02:00:00:00:00:09\",\"addrs\":[\"10.1.0.2/16\",\"2001:db8::2/64\"],"
		"\"ports\":[[\"tcp\",\"\",8080,80,1],[\"udp\",\"192.0.2.1\",10000,20000,10000]],"
		"\"spoofCheck\":true,\"ipam\":\"host-local\",\"pool\":\"net@/"
		"data\","
		"\"name\":\"web\"}");
}

static void unset_members_are_left_out(void **state)
{
	struct fl_endpoint ep = { .id = make_id("n", "none", "c", "eth0") };
	FL_AUTOFREE char *json = NULL;

	(void)state;
	assert_int_equal(fl_endpoint_encode(&ep, &json, NULL), 0);
	assert_string_equal(
		json,
		"{\"network\":\"n\",\"driver\":\"none\",\"container\":\"c\",\"ifname\":\"eth0\","
		"\"origin\":\"cni\",\"state\":\"creating\"}");
}

#define ID                                                                                       \
	"\"network\":\"n\",\"driver\":\"d\",\"container\":\"c\",\"ifname\":\"eth0\",\"origin\":" \
	"\"cni\",\"state\":\"ready\""

static void strict_decoding(void **state)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"{",
		"{" ID "} x",
		"{}",
		"{\"network\":\"n\"}",
		"{" ID ",\"colour\":\"red\"}",
		"{" ID ",\"Link\":\"veth0\"}",
		"{" ID ",\"link\":7}",
		"{" ID ",\"link\":\"sixteen-letters!\"}",
		"{" ID ",\"network\":\"twice\"}",
		"{" ID ",\"ifindex\":-1}",
		"{" ID ",\"ifindex\":4294967296}",
		"{" ID ",\"ifindex\":1.5}",
		"{" ID ",\"spoofCheck\":1}",
		"{" ID ",\"mac\":\"02:00\"}",
		"{" ID ",\"addrs\":\"10.0.0.1/8\"}",
		"{" ID ",\"addrs\":[\"10.0.0.1\"]}",
		"{" ID ",\"addrs\":[1]}",
		"{" ID ",\"ports\":[[\"tcp\",\"\",80,80]]}",
		"{" ID ",\"ports\":[[\"icmp\",\"\",80,80,1]]}",
		"{" ID ",\"ports\":[[\"tcp\",\"\",0,80,1]]}",
		"{" ID ",\"ports\":[[\"tcp\",\"\",80,0,1]]}",
		"{" ID ",\"ports\":[[\"tcp\",\"\",80,80,0]]}",
		"{" ID ",\"ports\":[[\"tcp\",\"\",65535,80,2]]}",
		"{" ID ",\"ports\":[[\"tcp\",\"\",80,65535,2]]}",
		"{" ID ",\"ports\":[[\"tcp\",\"x\",80,80,1]]}",
		"{" ID ",\"ports\":[[\"tcp\",\"\",80,80,1],7]}",
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(wrong); i++) {
		struct fl_endpoint ep = { .n_addrs = 77 };
		struct fl_error err = { 0 };

		if (fl_endpoint_decode(wrong[i], strlen(wrong[i]), &ep, &err) != -EBADMSG)
			fail_msg("accepted %s", wrong[i]);
		assert_int_equal(err.code, FL_ECODE_STORE);
		assert_int_equal(ep.n_addrs, 77); /* untouched on failure */
	}
}

static void too_many_addresses(void **state)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	struct fl_endpoint ep;

	(void)state;
	fl_strbuf_add(&b, "{" ID ",\"addrs\":[\"10.0.0.1/8\"");
	for (int i = 1; i <= FL_ENDPOINT_ADDRS; i++)
		fl_strbuf_add(&b, ",\"10.0.0.1/8\"");
	fl_strbuf_add(&b, "]}");
	assert_int_equal(fl_endpoint_decode(b.s, b.len, &ep, NULL), -EBADMSG);
}

static void bad_endpoints_are_not_written(void **state)
{
	struct fl_port port = { IPPROTO_TCP, { 0 }, 65535, 80, 2 };
	struct fl_endpoint ep = { .id = make_id("n", "d", "c", "eth0"),
				  .ports = &port,
				  .n_ports = 1 };
	FL_AUTOFREE char *json = NULL;

	(void)state;
	assert_int_equal(fl_endpoint_encode(&ep, &json, NULL), -EINVAL);
	ep.n_ports = 0;
	strcpy(ep.netns, "\xff");
	assert_int_equal(fl_endpoint_encode(&ep, &json, NULL), -EINVAL);
	assert_null(json);
}

static struct fl_network full_network(void)
{
	struct fl_network net = {
		.name = "net",
		.driver = "bridge",
		.origin = FL_ORIGIN_NETCTL,
		.ready = true,
		.link = "fl0",
		.internal = true,
		.no_icc = true,
		.isolate = true,
		.guarded = true,
		.masquerade = true,
		.hairpin_all = true,
		.no_hairpin_snat = true,
		.gateway_mode = FL_GATEWAY_ROUTED,
		.tunnel = "flx0",
		.tunnel_routed = true,
	};
	struct fl_prefix a = make_prefix("10.1.0.5/16"), b = make_prefix("2001:db8::/64");

	net.snat[0] = make_addr("192.0.2.1");
	net.snat[1] = make_addr("2001:db8::1");
	assert_true(fl_network_add_subnet(&net, &a));
	assert_true(fl_network_add_subnet(&net, &b));
	assert_true(fl_network_add_anycast(&net, &a.addr));
	assert_true(fl_network_add_anycast(&net, &b.addr));
	assert_false(fl_network_add_anycast(&net, &a.addr));
	return net;
}

static void network_round_trip(void **state)
{
	struct fl_network net = full_network(), back;
	FL_AUTOFREE char *json = NULL;

	(void)state;
	assert_int_equal(fl_network_encode(&net, &json, NULL), 0);
	assert_string_equal(
		json,
		"{\"name\":\"net\",\"driver\":\"bridge\",\"origin\":\"netctl\",\"ready\":true,"
		"\"link\":\"fl0\",\"internal\":true,\"noIcc\":true,\"isolate\":true,\"guarded\":"
		"true,"
		"\"masquerade\":true,\"hairpinAll\":true,\"noHairpinSnat\":true,"
		"\"gatewayMode\":\"routed\",\"snat4\":\"192.0.2.1\",\"snat6\":\"2001:db8::1\","
		"\"subnets\":[\"10.1.0.0/16\",\"2001:db8::/64\"],\"tunnel\":\"flx0\","
		"\"tunnelRouted\":true,"
		"\"anycast\":[\"10.1.0.5/32\",\"2001:db8::/128\"]}");
	assert_int_equal(fl_network_decode(json, strlen(json), &back, NULL), 0);
	assert_true(fl_network_same(&net, &back));
	assert_int_equal(back.origin, FL_ORIGIN_NETCTL);
	assert_true(back.ready);
}

static void network_strict(void **state)
{
	static const char *const wrong[] = {
		"{\"name\":\"n\",\"driver\":\"d\"}",
		"{\"name\":\"n\",\"driver\":\"d\",\"origin\":\"cni\",\"snat4\":\"::1\"}",
		"{\"name\":\"n\",\"driver\":\"d\",\"origin\":\"cni\",\"subnets\":[\"10.0.0.1/8\"]}",
		"{\"name\":\"n\",\"driver\":\"d\",\"origin\":\"cni\",\"gatewayMode\":\"NAT\"}",
	};
	struct fl_network net;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(wrong); i++)
		assert_int_equal(fl_network_decode(wrong[i], strlen(wrong[i]), &net, NULL),
				 -EBADMSG);
}

static void network_equality(void **state)
{
	struct fl_network a = full_network(), b = full_network();
	struct fl_prefix swap = b.subnets[0], other = make_prefix("10.9.0.0/16");

	(void)state;
	b.subnets[0] = b.subnets[1];
	b.subnets[1] = swap;
	b.ready = false;
	assert_true(fl_network_same(&a, &b));
	b.guarded = false;
	assert_false(fl_network_same(&a, &b));
	b.guarded = true;
	b.subnets[0] = other;
	assert_false(fl_network_same(&a, &b));
	b = full_network();
	b.anycast[1] = other;
	assert_false(fl_network_same(&a, &b));
	b = full_network();
	b.tunnel[3]++;
	assert_false(fl_network_same(&a, &b));
	b = full_network();
	b.tunnel_routed = false;
	assert_false(fl_network_same(&a, &b));
}

static void subnets_are_unique_and_bounded(void **state)
{
	struct fl_network net = { 0 };
	struct fl_prefix p = make_prefix("10.1.2.3/16");

	(void)state;
	assert_true(fl_network_add_subnet(&net, &p));
	p = make_prefix("10.1.0.0/16");
	assert_false(fl_network_add_subnet(&net, &p));
	assert_string_equal(fl_prefix_str(&net.subnets[0], FL_PREFIX_BUF), "10.1.0.0/16");
	for (int i = 1; i < FL_NETWORK_SUBNETS; i++) {
		p.addr.b[1]++;
		assert_true(fl_network_add_subnet(&net, &p));
	}
	p.addr.b[1]++;
	assert_false(fl_network_add_subnet(&net, &p));
}

static void protocols(void **state)
{
	uint8_t proto = 0;

	(void)state;
	assert_int_equal(fl_proto_parse("TCP", &proto), 0);
	assert_int_equal(proto, IPPROTO_TCP);
	assert_int_equal(fl_proto_parse("sctp", &proto), 0);
	assert_string_equal(fl_proto_str(proto), "sctp");
	assert_int_equal(fl_proto_parse("", &proto), -EINVAL);
	assert_int_equal(fl_proto_parse("icmp", &proto), -EINVAL);
}

static int join_made(void *arg, const char *what, const char *name)
{
	sprintf((char *)arg + strlen(arg), "%s=%s ", what, name);
	return 0;
}

static void what_a_network_made(void **state)
{
	struct fl_network net = { 0 };
	char seen[512] = "", name[IFNAMSIZ];
	int n = 0;

	(void)state;
	assert_int_equal(fl_network_made_add(&net, "link", "eth0.10"), 0);
	assert_int_equal(fl_network_made_add(&net, "link", "eth0.1"), 0);
	assert_int_equal(fl_network_made_add(&net, "promisc", "eth0"), 0);
	assert_int_equal(fl_network_made_add(&net, "link", "eth0.10"), 0);
	assert_true(fl_network_made_has(&net, "link", "eth0.1"));
	assert_false(fl_network_made_has(&net, "link", "eth0"));
	assert_false(fl_network_made_has(&net, "promisc", "eth0.1"));
	fl_network_made_remove(&net, "link", "eth0.1");
	fl_network_made_remove(&net, "link", "absent");
	assert_int_equal(fl_network_made_each(&net, join_made, seen), 0);
	assert_string_equal(seen, "link=eth0.10 promisc=eth0 ");
	do
		snprintf(name, sizeof(name), "if%d", n);
	while (!fl_network_made_add(&net, "link", name) && ++n < 1000);
	assert_true(n > 10 && n < 1000);
	assert_true(strlen(net.made) < sizeof(net.made));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoint_round_trip),
		cmocka_unit_test(endpoint_text),
		cmocka_unit_test(unset_members_are_left_out),
		cmocka_unit_test(strict_decoding),
		cmocka_unit_test(too_many_addresses),
		cmocka_unit_test(bad_endpoints_are_not_written),
		cmocka_unit_test(network_round_trip),
		cmocka_unit_test(network_strict),
		cmocka_unit_test(network_equality),
		cmocka_unit_test(subnets_are_unique_and_bounded),
		cmocka_unit_test(protocols),
		cmocka_unit_test(what_a_network_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
