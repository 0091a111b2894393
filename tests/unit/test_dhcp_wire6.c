/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DHCPv6 messages, byte by byte as in RFC 8415, section 21. */
#include "unit.h"

#include "base/cleanup.h"
#include "dhcp/wire6.h"

#include <errno.h>
#include <string.h>

#define IAID 0x01020304

struct msg {
	uint8_t b[FL_DHCP_INPUT_MAX + 512];
	size_t len;
};

static void raw(struct msg *m, const void *data, size_t n)
{
	memcpy(m->b + m->len, data, n);
	m->len += n;
}

static void head(struct msg *m, uint16_t code, size_t n)
{
	raw(m, (uint8_t[]){ (uint8_t)(code >> 8), (uint8_t)code, (uint8_t)(n >> 8), (uint8_t)n },
	    4);
}

static void opt(struct msg *m, uint16_t code, size_t n, const void *data)
{
	head(m, code, n);
	raw(m, data, n);
}

static void begin(struct msg *m, enum fl_dhcp6_type type)
{
	m->len = 0;
	raw(m, (uint8_t[]){ (uint8_t)type, 0x12, 0x34, 0x56 }, 4);
	opt(m, 1, 4, "\0\4ab");
	opt(m, 2, 6, "\0\1serv");
}

/* t1 100, t2 160, then `n` bytes of options. */
static void ia(struct msg *m, size_t n)
{
	head(m, 3, 12 + n);
	raw(m, "\1\2\3\4\0\0\0\x64\0\0\0\xa0", 12);
}

static void address(struct msg *m, const char *text, uint8_t preferred, uint8_t valid, size_t more)
{
	struct fl_addr a;

	fl_addr_parse(text, &a);
	head(m, 5, 24 + more);
	raw(m, a.b, 16);
	raw(m, (uint8_t[]){ 0, 0, 0, preferred, 0, 0, 0, valid }, 8);
}

static struct fl_dhcp6_reply parsed(const struct msg *m)
{
	struct fl_dhcp6_reply r;

	assert_int_equal(fl_dhcp6_parse(m->b, m->len, IAID, &r), 0);
	return r;
}

static const char *text(const struct fl_addr *a)
{
	static char buf[FL_ADDR_STR];

	return fl_addr_str(a, buf);
}

static void test_reply(void **state)
{
	struct fl_dhcp6_reply r;
	struct msg m;

	(void)state;
	begin(&m, FL_DHCP6_REPLY);
	ia(&m, 28);
	address(&m, "2001:db8::5", 100, 200, 0);
	opt(&m, 7, 1, "\xff");
	opt(&m, 23, 48,
	    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x53"
	    "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
	    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x54");
	opt(&m, 24, 27, "\3eng\7example\3com\0\3lab\4home\0");
	opt(&m, 82, 4, "\0\0\1\0");
	r = parsed(&m);
	assert_int_equal(r.type, FL_DHCP6_REPLY);
	assert_int_equal(r.xid, 0x123456);
	assert_int_equal(r.client.len, 4);
	assert_memory_equal(r.server.b, "\0\1serv", 6);
	assert_int_equal(r.preference, 255);
	assert_true(r.has_ia && !r.status && !r.ia_status);
	assert_int_equal(r.t1, 100);
	assert_int_equal(r.t2, 160);
	assert_int_equal(r.n_addresses, 1);
	assert_string_equal(text(&fl_dhcp6_best(&r)->addr), "2001:db8::5");
	assert_int_equal(fl_dhcp6_best(&r)->preferred, 100);
	assert_int_equal(fl_dhcp6_best(&r)->valid, 200);
	assert_int_equal(r.n_dns, 2); /* not the link-local one */
	assert_string_equal(text(&r.dns[1]), "2001:db8::54");
	assert_int_equal(r.n_search, 2);
	assert_string_equal(r.search[0], "eng.example.com");
	assert_string_equal(r.search[1], "lab.home");
	assert_int_equal(r.sol_max_rt, 256);
}

static void test_status(void **state)
{
	struct fl_dhcp6_reply r;
	struct msg m;

	(void)state;
	begin(&m, FL_DHCP6_ADVERTISE);
	opt(&m, 13, 8, "\0\1broke\n");
	ia(&m, 10);
	opt(&m, 13, 6, "\0\2none");
	r = parsed(&m);
	assert_int_equal(r.status, FL_DHCP6_UNSPEC_FAIL);
	assert_int_equal(r.ia_status, FL_DHCP6_NO_ADDRS);
	assert_string_equal(r.message, "broke?");
	assert_null(fl_dhcp6_best(&r));

	/* a status of one address concerns that one */
	begin(&m, FL_DHCP6_REPLY);
	ia(&m, 34 + 28);
	address(&m, "2001:db8::5", 100, 200, 6);
	opt(&m, 13, 2, "\0\4");
	address(&m, "2001:db8::6", 100, 200, 0);
	r = parsed(&m);
	assert_int_equal(r.ia_status, FL_DHCP6_SUCCESS);
	assert_int_equal(r.n_addresses, 1);
	assert_string_equal(text(&r.addresses[0].addr), "2001:db8::6");

	/* too short to tell is not a success */
	begin(&m, FL_DHCP6_REPLY);
	opt(&m, 13, 1, "\0");
	assert_int_equal(parsed(&m).status, FL_DHCP6_UNSPEC_FAIL);
}

static void test_best_address(void **state)
{
	static const char *const useless[] = { "::", "::1", "fe80::1", "ff02::1",
					       "::ffff:10.0.0.1" };
	struct fl_dhcp6_reply r;
	struct msg m;

	(void)state;
	begin(&m, FL_DHCP6_REPLY);
	ia(&m, 3 * 28);
	address(&m, "2001:db8::1", 0, 0, 0);
	address(&m, "2001:db8::2", 0, 9, 0);
	address(&m, "2001:db8::3", 5, 9, 0);
	r = parsed(&m);
	assert_int_equal(r.n_addresses, 3);
	assert_string_equal(text(&fl_dhcp6_best(&r)->addr), "2001:db8::3");
	r.n_addresses = 2;
	assert_string_equal(text(&fl_dhcp6_best(&r)->addr), "2001:db8::2");
	r.n_addresses = 1;
	assert_null(fl_dhcp6_best(&r));

	for (size_t i = 0; i < FL_ARRAY_SIZE(useless); i++) {
		begin(&m, FL_DHCP6_REPLY);
		ia(&m, 28);
		address(&m, useless[i], 100, 200, 0);
		assert_int_equal(parsed(&m).n_addresses, 0);
	}
	/* preferred for longer than valid: RFC 8415, 21.6 */
	begin(&m, FL_DHCP6_REPLY);
	ia(&m, 28);
	address(&m, "2001:db8::1", 9, 8, 0);
	assert_int_equal(parsed(&m).n_addresses, 0);
}

static void test_which_ia(void **state)
{
	struct fl_dhcp6_reply r;
	struct msg m;

	(void)state;
	begin(&m, FL_DHCP6_REPLY);
	ia(&m, 28);
	address(&m, "2001:db8::5", 100, 200, 0);
	assert_int_equal(fl_dhcp6_parse(m.b, m.len, IAID + 1, &r), 0);
	assert_false(r.has_ia);
	/* T1 after T2: RFC 8415, 21.4 */
	begin(&m, FL_DHCP6_REPLY);
	opt(&m, 3, 12, "\1\2\3\4\0\0\0\xa0\0\0\0\x64");
	assert_false(parsed(&m).has_ia);
	begin(&m, FL_DHCP6_REPLY);
	opt(&m, 3, 12, "\1\2\3\4\0\0\0\xa0\0\0\0\0");
	assert_true(parsed(&m).has_ia);
	/* of two the first */
	begin(&m, FL_DHCP6_REPLY);
	ia(&m, 0);
	ia(&m, 28);
	address(&m, "2001:db8::5", 100, 200, 0);
	assert_int_equal(parsed(&m).n_addresses, 0);
}

static void test_limits(void **state)
{
	uint8_t long_duid[FL_DHCP6_DUID_MAX + 1] = { 0 };
	struct fl_dhcp6_reply r;
	struct msg m;

	(void)state;
	begin(&m, FL_DHCP6_REPLY);
	ia(&m, 28 * (FL_DHCP_LIST_MAX + 1));
	for (int i = 0; i <= FL_DHCP_LIST_MAX; i++)
		address(&m, "2001:db8::5", 100, 200, 0);
	assert_int_equal(parsed(&m).n_addresses, FL_DHCP_LIST_MAX);

	m.len = 0;
	raw(&m, "\7\0\0\1", 4);
	opt(&m, 2, sizeof(long_duid), long_duid);
	opt(&m, 82, 4, "\0\0\0\x3b"); /* 59 */
	r = parsed(&m);
	assert_int_equal(r.server.len, 0);
	assert_int_equal(r.sol_max_rt, 0);

	m.len = FL_DHCP_INPUT_MAX + 1;
	assert_int_equal(fl_dhcp6_parse(m.b, m.len, IAID, &r), -EBADMSG);
}

static void test_malformed(void **state)
{
	struct fl_dhcp6_reply r;
	struct msg m;

	(void)state;
	begin(&m, FL_DHCP6_REPLY);
	ia(&m, 28);
	address(&m, "2001:db8::5", 100, 200, 0);
	/* every cut but those between options */
	for (size_t n = 0; n < m.len; n++) {
		bool edge = n == 4 || n == 12 || n == 22;

		assert_int_equal(fl_dhcp6_parse(m.b, n, IAID, &r), edge ? 0 : -EBADMSG);
	}
	for (int type = 0; type < 256; type++) {
		m.b[0] = (uint8_t)type;
		assert_int_equal(fl_dhcp6_parse(m.b, m.len, IAID, &r),
				 type == 2 || type == 7 ? 0 : -EBADMSG);
	}
	/* an address that reaches beyond its IA_NA */
	begin(&m, FL_DHCP6_REPLY);
	ia(&m, 20);
	address(&m, "2001:db8::5", 100, 200, 0);
	m.len -= 8;
	assert_int_equal(parsed(&m).n_addresses, 0);
}

static void test_build(void **state)
{
	struct fl_dhcp6_ident id = { .duid = { { 0, 4, 'a', 'b' }, 4 },
				     .iaid = IAID,
				     .hostname = "web" };
	struct fl_dhcp6_spec spec = { .type = FL_DHCP6_SOLICIT,
				      .xid = 0xff123456,
				      .elapsed = 0x102,
				      .server = { { 0, 1, 's' }, 3 } };
	static const uint8_t solicit[] =
		"\1\x12\x34\x56\0\1\0\4\0\4ab\0\x8\0\2\1\2\0\3\0\xc\1\2\3\4\0\0\0\0\0\0\0\0"
		"\0\6\0\6\0\x17\0\x18\0\x52\0\x27\0\5\1\3web";
	static const uint8_t release[] =
		"\x8\x12\x34\x56\0\1\0\4\0\4ab\0\2\0\3\0\1s\0\x8\0\2\1\2\0\3\0\x28\1\2\3\4\0\0\0\0"
		"\0\0\0\0"
		"\0\5\0\x18\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\0";
	uint8_t b[FL_DHCP6_MSG_MAX];

	(void)state;
	assert_int_equal(fl_dhcp6_build(&id, &spec, b), sizeof(solicit) - 1);
	assert_memory_equal(b, solicit, sizeof(solicit) - 1);
	spec.type = FL_DHCP6_RELEASE;
	fl_addr_parse("2001:db8::5", &spec.address);
	assert_int_equal(fl_dhcp6_build(&id, &spec, b), sizeof(release) - 1);
	assert_memory_equal(b, release, sizeof(release) - 1);
	/* the longest of everything */
	spec.type = FL_DHCP6_REQUEST;
	id.duid.len = spec.server.len = FL_DHCP6_DUID_MAX;
	memset(id.hostname, 'x', FL_DHCP6_HOSTNAME_MAX);
	assert_true(fl_dhcp6_build(&id, &spec, b) <= FL_DHCP6_MSG_MAX);
}

static void test_identity(void **state)
{
	static const uint8_t uuid[] = { 0x3d, 0x39, 0xe5, 0xad, 0x3, 0x92, 0x89, 0x78,
					0x9f, 0x4a, 0x45, 0x54, 0x8, 0x7f, 0xf1, 0x6f };
	struct fl_dhcp6_ident a, b;

	(void)state;
	fl_dhcp6_ident_make("c1/net/eth0", "eth0", &a);
	fl_dhcp6_ident_make("c1/net/eth0", "eth0", &b);
	assert_true(fl_dhcp6_duid_eq(&a.duid, &b.duid));
	assert_int_equal(a.iaid, b.iaid);
	assert_int_equal(a.duid.len, 18);
	assert_memory_equal(a.duid.b, "\0\4", 2);
	assert_int_equal(a.duid.b[8] >> 4, 8);
	assert_int_equal(a.duid.b[10] >> 6, 2);
	/* For ever: a change takes their addresses away from all containers. */
	assert_memory_equal(a.duid.b + 2, uuid, 16);
	assert_int_equal(a.iaid, 0x67b19724);
	fl_dhcp6_ident_make("c2/net/eth0", "eth1", &b);
	assert_false(fl_dhcp6_duid_eq(&a.duid, &b.duid));
	assert_int_not_equal(a.iaid, b.iaid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reply),	     cmocka_unit_test(test_status),
		cmocka_unit_test(test_best_address), cmocka_unit_test(test_which_ia),
		cmocka_unit_test(test_limits),	     cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_build),	     cmocka_unit_test(test_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
