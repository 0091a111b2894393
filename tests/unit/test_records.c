/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records of overlay networks: each key and value byte by byte, and there and back. */
#include "cluster/records.h"

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- keys ---- */

static void golden_keys(void **state)
{
	static const struct {
		const char *text;
		struct fl_rec_key k;
	} cases[] = {
		{ "net/n1", { FL_REC_NET, .net = "n1" } },
		{ "vni/1048576", { FL_REC_VNI, .vni = 0x100000 } },
		{ "vni/1", { FL_REC_VNI, .vni = 1 } },
		{ "vni/16777215", { FL_REC_VNI, .vni = 16777215 } },
		{ "netname/front.end", { FL_REC_NETNAME, .id = "front.end" } },
		{ "node/host-a", { FL_REC_NODE, .id = "host-a" } },
		{ "alive/host-a", { FL_REC_ALIVE, .id = "host-a" } },
		{ "join/n1/host-a", { FL_REC_JOIN, .net = "n1", .id = "host-a" } },
		{ "ep/n1/0123abcd", { FL_REC_EP, .net = "n1", .id = "0123abcd" } },
		{ "ip/n1/10.1.0.5",
		  { FL_REC_IP, .net = "n1", .addr = { AF_INET, { 10, 1, 0, 5 } } } },
		{ "ip/n1/2001:db8::5",
		  { FL_REC_IP, .net = "n1",
		    .addr = { AF_INET6, { 0x20, 1, 0xd, 0xb8, [15] = 5 } } } },
		{ "blk/n1/10.1.0.64-26",
		  { FL_REC_BLK, .net = "n1", .block = { { AF_INET, { 10, 1, 0, 64 } }, 26 } } },
		{ "blk/n1/fd00::40-122",
		  { FL_REC_BLK, .net = "n1",
		    .block = { { AF_INET6, { 0xfd, [15] = 0x40 } }, 122 } } },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_rec_key k;
		char buf[FL_REC_KEY_STR];

		assert_int_equal(fl_rec_key(&cases[i].k, buf), 0);
		assert_string_equal(buf, cases[i].text);
		assert_int_equal(fl_rec_key_parse(cases[i].text, &k), 0);
		assert_memory_equal(&k, &cases[i].k, sizeof(k));
	}
}

static void wrong_keys(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"net",
		"net/",
		"net/a/b",
		"net/a/",
		"net/a b",
		"net/.a",
		"NET/a",
		"other/a",
		"vni/0",
		"vni/01",
		"vni/+1",
		"vni/ 1",
		"vni/1x",
		"vni/16777216",
		"vni/4294967297",
		"netname/",
		"node/",
		"node/a/b",
		"join/a",
		"join/a/",
		"join//a",
		"ep/n/e/",
		"ip/n/10.1.0.05",
		"ip/n/10.1.0",
		"ip/n/2001:DB8::5",
		"ip/n/2001:db8:0:0:0:0:0:5",
		"ip/n/10.1.0.5/24",
		"blk/n/10.1.0.65-26",
		"blk/n/10.1.0.64-25",
		"blk/n/10.1.0.64/26",
		"blk/n/10.1.0.64",
		"blk/n/10.1.0.64-026",
		"blk/n/fd00::40-26",
	};
	char buf[FL_REC_KEY_STR * 2];
	struct fl_rec_key k = { .vni = 77 };

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++)
		assert_int_equal(fl_rec_key_parse(bad[i], &k), -EINVAL);
	for (size_t len = 64; len <= 65; len++) {
		memset(buf, 'n', sizeof(buf));
		memcpy(buf, "node/", 5);
		buf[5 + len] = '\0';
		assert_int_equal(fl_rec_key_parse(buf, &k), len > 64 ? -EINVAL : 0);
		memset(buf, 'e', sizeof(buf));
		memcpy(buf, "ep/", 3);
		buf[3 + len] = '/';
		buf[3 + len + 65] = '\0';
		assert_int_equal(fl_rec_key_parse(buf, &k), len > 64 ? -EINVAL : 0);
	}
	memset(buf, 'n', sizeof(buf));
	memcpy(buf, "net/", 4);
	buf[sizeof(buf) - 1] = '\0';
	assert_int_equal(fl_rec_key_parse(buf, &k), -EINVAL);
}

static void prefixes(void **state)
{
	char buf[FL_REC_KEY_STR];
	struct fl_addr a;
	struct fl_prefix p;

	(void)state;
	assert_string_equal(fl_rec_prefix(FL_REC_EP, "n1", buf), "ep/n1/");
	assert_string_equal(fl_rec_prefix(FL_REC_ALIVE, NULL, buf), "alive/");
	assert_int_equal(fl_addr_parse("10.1.0.127", &a), 0);
	p = fl_rec_block_of(&a);
	assert_string_equal(fl_prefix_str(&p, FL_PREFIX_BUF), "10.1.0.64/26");
	assert_int_equal(fl_addr_parse("fd00::1ff", &a), 0);
	p = fl_rec_block_of(&a);
	assert_string_equal(fl_prefix_str(&p, FL_PREFIX_BUF), "fd00::1c0/122");
}

/* ---- values ---- */

static const struct value {
	enum fl_rec_kind kind;
	const char *text;
} golden[] = {
	{ FL_REC_NET,
	  "{\"v\":1,\"name\":\"front\",\"mode\":\"l3\",\"vni\":4097,\"mtu\":1400,"
	  "\"encrypted\":true,\"internal\":true,\"port\":8472,\"broadcast\":true,\"subnets\":[{"
	  "\"subnet\":\"10.1.0.0/16\","
	  "\"gateway\":\"10.1.0.1\"},{\"subnet\":\"fd00::/64\"}],\"options\":{\"a\":\"b\"},"
	  "\"labels\":{\"x\":\"y\",\"z\":\"\"}}" },
	{ FL_REC_NET, "{\"v\":1,\"name\":\"a\",\"mode\":\"l2\",\"vni\":1}" },
	{ FL_REC_VNI, "{\"v\":1,\"net\":\"n1\"}" },
	{ FL_REC_NETNAME, "{\"v\":1,\"net\":\"n1\"}" },
	{ FL_REC_NODE,
	  "{\"v\":1,\"vtep4\":\"192.0.2.1\",\"vtep6\":\"2001:db8::1\",\"mtu\":1500,\"port\":4789,"
	  "\"boot_id\":\"7a5e1f6e-1111-4222-8333-123456789abc\",\"epoch\":3,"
	  "\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"caps\":[\"l3\",\"wg\"]}" },
	{ FL_REC_NODE, "{\"v\":1,\"vtep6\":\"2001:db8::1\",\"mtu\":1280,\"port\":1}" },
	{ FL_REC_ALIVE, "{\"v\":1,\"epoch\":9223372036854775807}" },
	{ FL_REC_ALIVE, "{\"v\":1}" },
	{ FL_REC_JOIN, "{\"v\":1,\"epoch\":1,\"ip4\":\"10.1.0.2\",\"ip6\":\"fd00::2\","
		       "\"mac\":\"02:00:00:00:00:02\"}" },
	{ FL_REC_JOIN, "{\"v\":1}" },
	{ FL_REC_EP,
	  "{\"v\":1,\"node\":\"a\",\"container\":\"c1\",\"ifname\":\"eth0\",\"epoch\":2,"
	  "\"mac\":\"02:00:00:00:00:01\","
	  "\"ip4\":\"10.1.0.5\",\"ip6\":\"fd00::5\",\"name\":\"web\",\"aliases\":[\"w\",\"www.x\"],"
	  "\"services\":[\"s1\"],\"created\":1700000000}" },
	{ FL_REC_IP, "{\"v\":1,\"use\":\"endpoint\",\"node\":\"a\",\"id\":\"e1\"}" },
	{ FL_REC_IP, "{\"v\":1,\"use\":\"gateway\"}" },
	{ FL_REC_IP, "{\"v\":1,\"use\":\"node\",\"node\":\"a\"}" },
	{ FL_REC_IP, "{\"v\":1,\"use\":\"service\",\"id\":\"s1\"}" },
	{ FL_REC_IP, "{\"v\":1,\"use\":\"freed\"}" },
	{ FL_REC_BLK, "{\"v\":1,\"node\":\"a\",\"used\":\"8000000000000001\",\"next\":63,"
		      "\"released\":[{\"n\":0,\"at\":5},{\"n\":63,\"at\":6}]}" },
	{ FL_REC_BLK, "{\"v\":1,\"used\":\"0\"}" },
};

static void there_and_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(golden); i++) {
		FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
		FL_AUTOFREE struct fl_rec *r = malloc(sizeof(*r));
		struct fl_error err;

		if (fl_rec_decode(golden[i].kind, golden[i].text, strlen(golden[i].text), r, &err))
			fail_msg("%s: %s", golden[i].text, err.text);
		assert_int_equal(fl_rec_encode(r, &b), 0);
		assert_string_equal(b.s, golden[i].text);
	}
}

/* What others write in later versions. */
static void unknown_keys(void **state)
{
	static const char text[] = "{\"v\":1,\"net\":\"n1\",\"new\":{\"a\":[1]},\"old\":null}";
	FL_AUTOFREE struct fl_rec *r = malloc(sizeof(*r));

	(void)state;
	assert_int_equal(fl_rec_decode(FL_REC_VNI, text, strlen(text), r, NULL), 0);
	assert_string_equal(r->owner.net, "n1");
}

#define WHOSE "\"container\":\"c\",\"ifname\":\"e\","
#define EP "{\"v\":1,\"node\":\"a\"," WHOSE "\"mac\":\"02:00:00:00:00:01\",\"ip4\":\"10.1.0.5\""
#define NET "{\"v\":1,\"name\":\"a\",\"vni\":1"
#define NODE "{\"v\":1,\"vtep4\":\"192.0.2.1\",\"mtu\":1500,\"port\":4789"

static const struct {
	enum fl_rec_kind kind;
	const char *text, *path;
} wrong[] = {
	{ FL_REC_VNI, "", "expected a JSON object" },
	{ FL_REC_VNI, "[]", "expected a JSON object" },
	{ FL_REC_VNI, "{}", "v: " },
	{ FL_REC_VNI, "{\"v\":2,\"net\":\"n\"}", "v: " },
	{ FL_REC_VNI, "{\"v\":\"1\",\"net\":\"n\"}", "v: " },
	{ FL_REC_VNI, "{\"v\":1}", "net: " },
	{ FL_REC_VNI, "{\"v\":1,\"net\":7}", "net: " },
	{ FL_REC_VNI, "{\"v\":1,\"net\":\"a/b\"}", "net: " },
	{ FL_REC_NET, "{\"v\":1,\"vni\":1}", "name: " },
	{ FL_REC_NET, "{\"v\":1,\"name\":\"a\"}", "vni: " },
	{ FL_REC_NET, "{\"v\":1,\"name\":\"a\",\"vni\":16777216}", "vni: " },
	{ FL_REC_NET, "{\"v\":1,\"name\":\"a\",\"vni\":\"1\"}", "vni: " },
	{ FL_REC_NET, NET ",\"mtu\":100}", "mtu: " },
	{ FL_REC_NET, NET ",\"mode\":\"l4\"}", "mode: " },
	{ FL_REC_NET, NET ",\"mode\":\"\\u001b[31m\"}", "mode: " },
	{ FL_REC_NET, NET ",\"encrypted\":1}", "encrypted: " },
	{ FL_REC_NET, NET ",\"subnets\":[{}]}", "subnets[0].subnet: " },
	{ FL_REC_NET, NET ",\"subnets\":[{\"subnet\":\"10.0.0.1/24\"}]}", "subnets[0].subnet: " },
	{ FL_REC_NET, NET ",\"subnets\":[{\"subnet\":\"0.0.0.0/0\"}]}", "subnets[0].subnet: " },
	{ FL_REC_NET, NET ",\"subnets\":[{\"subnet\":\"10.0.0.0/24\",\"gateway\":\"10.0.1.1\"}]}",
	  "subnets[0].gateway: " },
	{ FL_REC_NET, NET ",\"subnets\":[{},{},{},{},{},{},{},{},{}]}", "subnets: " },
	{ FL_REC_NET, NET ",\"labels\":{\"\":\"x\"}}", "labels: " },
	{ FL_REC_NET, NET ",\"labels\":{\"a\":1}}", "labels.a: " },
	{ FL_REC_NET, NET ",\"labels\":{\"a\":\"\\n\"}}", "labels.a: " },
	{ FL_REC_NET, NET ",\"labels\":[]}", "labels: " },
	{ FL_REC_NODE, "{\"v\":1,\"mtu\":1500,\"port\":1}", "vtep4: " },
	{ FL_REC_NODE, "{\"v\":1,\"vtep4\":\"2001:db8::1\",\"mtu\":1500,\"port\":1}", "vtep4: " },
	{ FL_REC_NODE, "{\"v\":1,\"vtep6\":\"192.0.2.1\",\"mtu\":1500,\"port\":1}", "vtep6: " },
	{ FL_REC_NODE, "{\"v\":1,\"vtep4\":\"224.0.0.1\",\"mtu\":1500,\"port\":1}", "vtep4: " },
	{ FL_REC_NODE, "{\"v\":1,\"vtep4\":\"0.0.0.0\",\"mtu\":1500,\"port\":1}", "vtep4: " },
	{ FL_REC_NODE, "{\"v\":1,\"vtep4\":\"127.0.0.1\",\"mtu\":1500,\"port\":1}", "vtep4: " },
	{ FL_REC_NODE, "{\"v\":1,\"vtep4\":\"192.0.2.1\",\"mtu\":1279,\"port\":1}", "mtu: " },
	{ FL_REC_NODE, "{\"v\":1,\"vtep4\":\"192.0.2.1\",\"port\":1}", "mtu: " },
	{ FL_REC_NODE, "{\"v\":1,\"vtep4\":\"192.0.2.1\",\"mtu\":1500}", "port: " },
	{ FL_REC_NODE, NODE ",\"key\":\"AAAA\"}", "key: " },
	{ FL_REC_NODE, NODE ",\"epoch\":-1}", "epoch: " },
	{ FL_REC_NODE, NODE ",\"caps\":[\"a b\"]}", "caps[0]: " },
	{ FL_REC_NODE, NODE ",\"caps\":[\"a\",1]}", "caps[1]: " },
	{ FL_REC_NODE, NODE ",\"boot_id\":\"/\"}", "boot_id: " },
	{ FL_REC_ALIVE, "{\"v\":1,\"epoch\":\"1\"}", "epoch: " },
	{ FL_REC_JOIN, "{\"v\":1,\"ip4\":\"fd00::1\"}", "ip4: " },
	{ FL_REC_EP, "{\"v\":1,\"mac\":\"02:00:00:00:00:01\",\"ip4\":\"10.1.0.5\"}", "node: " },
	{ FL_REC_EP, "{\"v\":1,\"node\":\"a\"," WHOSE "\"ip4\":\"10.1.0.5\"}", "mac: " },
	{ FL_REC_EP,
	  "{\"v\":1,\"node\":\"a\"," WHOSE "\"mac\":\"01:00:00:00:00:01\",\"ip4\":\"10.1.0.5\"}",
	  "mac: " },
	{ FL_REC_EP, "{\"v\":1,\"node\":\"a\"," WHOSE "\"mac\":\"02:00:00:00:00:01\"}", "ip4: " },
	{ FL_REC_EP, "{\"v\":1,\"node\":\"a\",\"ifname\":\"e\"}", "container: " },
	{ FL_REC_EP, "{\"v\":1,\"node\":\"a\",\"container\":\"c\",\"ifname\":\"a/b\"}",
	  "ifname: " },
	{ FL_REC_JOIN, "{\"v\":1,\"mac\":\"01:00:00:00:00:02\"}", "mac: " },
	{ FL_REC_EP, EP ",\"name\":\"a b\"}", "name: " },
	{ FL_REC_EP, EP ",\"name\":\"a..b\"}", "name: " },
	{ FL_REC_EP, EP ",\"aliases\":[\"a\",\"\"]}", "aliases[1]: " },
	{ FL_REC_EP, EP ",\"aliases\":\"a\"}", "aliases: " },
	{ FL_REC_EP, EP ",\"services\":[\"*\"]}", "services[0]: " },
	{ FL_REC_EP, EP ",\"created\":1.5}", "created: " },
	{ FL_REC_IP, "{\"v\":1,\"node\":\"a\"}", "id: " },
	{ FL_REC_IP, "{\"v\":1,\"id\":\"e\"}", "node: " },
	{ FL_REC_IP, "{\"v\":1,\"use\":\"mine\"}", "use: " },
	{ FL_REC_BLK, "{\"v\":1}", "used: " },
	{ FL_REC_BLK, "{\"v\":1,\"used\":\"-1\"}", "used: " },
	{ FL_REC_BLK, "{\"v\":1,\"used\":\"00000000000000001\"}", "used: " },
	{ FL_REC_BLK, "{\"v\":1,\"used\":\"0\",\"next\":64}", "next: " },
	{ FL_REC_BLK, "{\"v\":1,\"used\":\"0\",\"released\":[{\"n\":64}]}", "released[0].n: " },
};

static void wrong_values(void **state)
{
	FL_AUTOFREE struct fl_rec *r = malloc(sizeof(*r));

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(wrong); i++) {
		struct fl_error err = { 0 };

		if (fl_rec_decode(wrong[i].kind, wrong[i].text, strlen(wrong[i].text), r, &err) !=
		    -EINVAL)
			fail_msg("accepted: %s", wrong[i].text);
		for (const char *c = err.text; *c; c++)
			assert_true(*c >= ' ' && *c != 0x7f);
		if (strncmp(err.text, wrong[i].path, strlen(wrong[i].path)) != 0)
			fail_msg("%s: %s", wrong[i].text, err.text);
	}
}

/* `n` texts of `len` bytes in a list of an endpoint. */
static int decode_list(const char *key, size_t n, size_t len)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	FL_AUTOFREE struct fl_rec *r = malloc(sizeof(*r));

	fl_strbuf_addf(&b, EP ",\"%s\":[", key);
	for (size_t i = 0; i < n; i++) {
		fl_strbuf_add(&b, i ? ",\"" : "\"");
		for (size_t j = 0; j < len; j++)
			fl_strbuf_add(&b, j % 60 == 59 && j + 1 < len ? "." : "x");
		fl_strbuf_add(&b, "\"");
	}
	fl_strbuf_add(&b, "]}");
	return fl_rec_decode(FL_REC_EP, b.s, b.len, r, NULL);
}

static void sizes(void **state)
{
	FL_AUTOFREE char *large = malloc(FL_REC_VALUE_MAX + 1);
	FL_AUTOFREE struct fl_rec *r = malloc(sizeof(*r));

	(void)state;
	assert_int_equal(decode_list("aliases", FL_REC_ALIASES_MAX, FL_REC_NAME_MAX), 0);
	assert_int_equal(decode_list("aliases", FL_REC_ALIASES_MAX + 1, 1), -EINVAL);
	assert_int_equal(decode_list("aliases", 1, FL_REC_NAME_MAX + 1), -EINVAL);
	assert_int_equal(decode_list("services", FL_REC_SERVICES_MAX, FL_REC_ID_MAX), 0);
	assert_int_equal(decode_list("services", FL_REC_SERVICES_MAX + 1, 1), -EINVAL);
	assert_int_equal(decode_list("services", 1, FL_REC_ID_MAX + 1), -EINVAL);
	memset(large, ' ', FL_REC_VALUE_MAX + 1);
	memcpy(large, golden[2].text, strlen(golden[2].text));
	assert_int_equal(fl_rec_decode(FL_REC_VNI, large, FL_REC_VALUE_MAX, r, NULL), 0);
	assert_int_equal(fl_rec_decode(FL_REC_VNI, large, FL_REC_VALUE_MAX + 1, r, NULL), -E2BIG);
}

/* The largest records fit into what a reader accepts. */
static void largest(void **state)
{
	FL_AUTOFREE struct fl_rec *r = calloc(1, sizeof(*r)), *again = calloc(1, sizeof(*r));
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	struct fl_error err = { 0 };

	(void)state;
	r->kind = FL_REC_NET;
	strcpy(r->net.name, "a");
	r->net.vni = FL_REC_VNI_MAX;
	for (size_t i = 0; i < FL_REC_PAIRS_MAX; i++) {
		for (int side = 0; side < 2; side++) {
			struct fl_rec_pair *p =
				side ? &r->net.labels.list[i] : &r->net.options.list[i];

			memset(p->key, '"', FL_REC_WORD_MAX);
			p->key[0] = (char)('a' + i);
			memset(p->value, '\\', FL_REC_TEXT_MAX);
		}
	}
	r->net.labels.n = r->net.options.n = FL_REC_PAIRS_MAX;
	assert_int_equal(fl_rec_encode(r, &b), 0);
	if (fl_rec_decode(FL_REC_NET, b.s, b.len, again, &err))
		fail_msg("%s", err.text);
	assert_memory_equal(&r->net, &again->net, sizeof(r->net));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_keys),	cmocka_unit_test(wrong_keys),
		cmocka_unit_test(prefixes),	cmocka_unit_test(there_and_back),
		cmocka_unit_test(unknown_keys), cmocka_unit_test(wrong_values),
		cmocka_unit_test(sizes),	cmocka_unit_test(largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
