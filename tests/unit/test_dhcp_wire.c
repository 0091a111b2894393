/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "dhcp/options.h"
#include "dhcp/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a server's message, written option by option ---- */
struct msg {
	uint8_t b[FL_DHCP_INPUT_MAX];
	size_t len;
};

static void opt(struct msg *m, uint8_t code, uint8_t len, const char *data)
{
	m->b[m->len++] = code;
	m->b[m->len++] = len;
	memcpy(m->b + m->len, data, len);
	m->len += len;
}

static void begin(struct msg *m, uint8_t type)
{
	static const uint8_t head[] = { 2, 1, 6, 0, 0x12, 0x34, 0x56, 0x78 };

	memset(m, 0, sizeof(*m));
	memcpy(m->b, head, sizeof(head));
	memcpy(m->b + 16, "\x0a\x01\x00\x32", 4);
	memcpy(m->b + 28, "\x02\0\0\0\0\x01", 6);
	memcpy(m->b + 236, "\x63\x82\x53\x63", 4);
	m->len = 240;
	opt(m, 53, 1, (char *)&type);
	opt(m, 54, 4, "\x0a\x01\x00\x01");
	opt(m, 51, 4, "\0\0\x0e\x10");
}

static struct fl_dhcp_reply parsed(struct msg *m)
{
	struct fl_dhcp_reply r;

	m->b[m->len++] = 255;
	assert_int_equal(fl_dhcp_parse(m->b, m->len, &r), 0);
	return r;
}

static const char *addr(const struct fl_addr *a)
{
	static char buf[FL_ADDR_STR];

	return fl_addr_str(a, buf);
}

static const char *prefix(const struct fl_prefix *p)
{
	static char buf[FL_PREFIX_STR];

	return fl_prefix_str(p, buf);
}

static void test_ack(void **state)
{
	struct msg m;
	struct fl_dhcp_reply r;

	(void)state;
	begin(&m, FL_DHCP_ACK);
	opt(&m, 1, 4, "\xff\xff\xff\0");
	opt(&m, 3, 8, "\x0a\x01\x00\xfe\x0a\x01\x00\xfd");
	opt(&m, 6, 8, "\x0a\x01\x00\x02\x0a\x01\x00\x03");
	opt(&m, 15, 11, "example.com");
	opt(&m, 26, 2, "\x05\x78");
	opt(&m, 58, 4, "\0\0\x07\x08");
	opt(&m, 59, 4, "\0\0\x0c\x4e");
	r = parsed(&m);
	assert_int_equal(r.type, FL_DHCP_ACK);
	assert_int_equal(r.xid, 0x12345678);
	assert_string_equal(prefix(&r.ip), "10.1.0.50/24");
	assert_string_equal(addr(&r.server), "10.1.0.1");
	assert_int_equal(r.lease, 3600);
	assert_int_equal(r.t1, 1800);
	assert_int_equal(r.t2, 3150);
	assert_int_equal(r.n_routers, 2);
	assert_int_equal(r.n_dns, 2);
	assert_string_equal(r.domain, "example.com");
	assert_int_equal(r.mtu, 1400);
	assert_int_equal(r.n_routes, 1);
	assert_string_equal(addr(&r.gateway), "10.1.0.254");
	assert_false(r.has_client_id);
}

/* RFC 3442: option 121 puts 3 and 33 out of force. */
static void test_classless(void **state)
{
	struct msg m;
	struct fl_dhcp_reply r;

	(void)state;
	begin(&m, FL_DHCP_ACK);
	opt(&m, 3, 4, "\x0a\x01\x00\xfe");
	opt(&m, 33, 8, "\xac\x10\0\0\x0a\x01\x00\x07");
	opt(&m, 121, 8, "\x18\xc0\xa8\x07\x0a\x01\x00\x09");
	opt(&m, 121, 5, "\0\x0a\x01\x00\x63"); /* in two pieces: RFC 3396 */
	opt(&m, 121, 9, "\x20\x01\x02\x03\x04\0\0\0\0");
	r = parsed(&m);
	assert_int_equal(r.n_routes, 3);
	assert_string_equal(prefix(&r.routes[0].dst), "192.168.7.0/24");
	assert_string_equal(addr(&r.gateway), "10.1.0.99");
	assert_string_equal(prefix(&r.routes[2].dst), "1.2.3.4/32");
	assert_false(fl_addr_is_set(&r.routes[2].gw));
}

static void test_malformed_classless_is_none(void **state)
{
	struct msg m;
	struct fl_dhcp_reply r;

	(void)state;
	begin(&m, FL_DHCP_ACK);
	opt(&m, 3, 4, "\x0a\x01\x00\xfe");
	opt(&m, 33, 16, "\0\0\0\0\x0a\x01\x00\x07\xac\x10\0\0\x0a\x01\x00\x07");
	opt(&m, 121, 7, "\0\x0a\x01\x00\x63\x21\x01");
	r = parsed(&m);
	assert_int_equal(r.n_routes, 2);
	assert_string_equal(prefix(&r.routes[0].dst), "172.16.0.0/16");
	assert_string_equal(addr(&r.gateway), "10.1.0.254");
}

static void test_overload(void **state)
{
	struct msg m;
	struct fl_dhcp_reply r;

	(void)state;
	begin(&m, FL_DHCP_ACK);
	opt(&m, 52, 1, "\x03");
	opt(&m, 6, 3, "\x0a\x01\x00");
	memcpy(m.b + 108, "\x06\x03\x02\x0a\x01\xff", 6);
	memcpy(m.b + 44, "\x06\x02\x00\x03\xff", 5);
	r = parsed(&m);
	assert_int_equal(r.n_dns, 2);
	assert_string_equal(addr(&r.dns[1]), "10.1.0.3");
}

static void test_search(void **state)
{
	static const char list[] = "\x03"
				   "eng\x05"
				   "apple\x03"
				   "com\0"
				   "\x09"
				   "marketing\xc0\x04";
	struct msg m;
	struct fl_dhcp_reply r;

	(void)state;
	begin(&m, FL_DHCP_ACK);
	opt(&m, 119, sizeof(list) - 1, list);
	r = parsed(&m);
	assert_int_equal(r.n_search, 2);
	assert_string_equal(r.search[0], "eng.apple.com");
	assert_string_equal(r.search[1], "marketing.apple.com");
}

static void test_hostile_names(void **state)
{
	static const struct {
		uint8_t len;
		const char *search;
	} bad[] = {
		{ 2, "\xc0\x00" },	   /* to itself */
		{ 4, "\x01\x61\xc0\x00" }, /* round and round */
		{ 3, "\x05\x61\x62" },	   /* cut */
		{ 1, "\xc0" },
		{ 5, "\x03\x61\n\x62\0" },
		{ 5, "\x03\x61\0\x62\0" },
		{ 3, "\x40\x61\0" },
	};
	struct msg m;
	struct fl_dhcp_reply r;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++) {
		begin(&m, FL_DHCP_ACK);
		opt(&m, 119, bad[i].len, bad[i].search);
		opt(&m, 15, 12, "a\nnameserver");
		r = parsed(&m);
		assert_int_equal(r.n_search, 0);
		assert_string_equal(r.domain, "");
	}
}

static void test_refused_messages(void **state)
{
	struct msg good, m;
	struct fl_dhcp_reply r;

	(void)state;
	begin(&good, FL_DHCP_ACK);
	good.b[good.len++] = 255;
	for (size_t len = 0; len < 240; len++)
		assert_int_equal(fl_dhcp_parse(good.b, len, &r), -EBADMSG);
	for (size_t i = 0; i < 3; i++) {
		m = good;
		m.b[i] ^= 1;
		assert_int_equal(fl_dhcp_parse(m.b, m.len, &r), -EBADMSG);
	}
	m = good;
	m.b[236] = 0;
	assert_int_equal(fl_dhcp_parse(m.b, m.len, &r), -EBADMSG);
	begin(&m, FL_DHCP_REQUEST);
	assert_int_equal(fl_dhcp_parse(m.b, m.len, &r), -EBADMSG);
	begin(&m, FL_DHCP_ACK);
	m.b[m.len++] = 6;
	m.b[m.len++] = 9; /* beyond the end */
	assert_int_equal(fl_dhcp_parse(m.b, m.len, &r), -EBADMSG);
}

static void test_odd_addresses(void **state)
{
	static const struct {
		const char *yiaddr, *mask, *expect;
	} t[] = {
		{ "\x0a\1\0\x32", "\xff\xff\xff\xff", "10.1.0.50/32" },
		{ "\x0a\1\0\x32", "\xff\0\xff\0", "10.1.0.50/8" }, /* no mask: by class */
		{ "\xc0\1\0\x32", NULL, "192.1.0.50/24" },
		{ "\0\0\0\0", NULL, "" },
		{ "\x7f\0\0\1", NULL, "" },
		{ "\xe0\0\0\1", NULL, "" },
		{ "\xff\xff\xff\xff", NULL, "" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(t); i++) {
		struct msg m;
		struct fl_dhcp_reply r;

		begin(&m, FL_DHCP_OFFER);
		memcpy(m.b + 16, t[i].yiaddr, 4);
		if (t[i].mask)
			opt(&m, 1, 4, t[i].mask);
		r = parsed(&m);
		if (*t[i].expect)
			assert_string_equal(prefix(&r.ip), t[i].expect);
		else
			assert_false(fl_addr_is_set(&r.ip.addr));
	}
}

/* ---- building ---- */

static struct fl_dhcp_ident ident(void)
{
	return (struct fl_dhcp_ident){
		.mac = { { 2, 0, 0, 0, 0, 1 } },
		.client_id = "\0c",
		.client_id_len = 2,
		.params = { 1, 121, 3 },
		.n_params = 3,
		.extra = { { 12, 2, "h1" } },
		.n_extra = 1,
		.broadcast = true,
	};
}

static void test_kinds(void **state)
{
	/* what follows the cookie, and whether ciaddr is set (RFC 2131, table 5) */
	static const struct {
		enum fl_dhcp_kind kind;
		bool ciaddr;
		size_t len;
		const char *options;
	} t[] = {
		{ FL_DHCP_SEND_SELECT, false, 32,
		  "\x35\1\3\x3d\2\0c\x32\4\x0a\1\0\x32\x36\4\x0a\1\0\1\x39\2\5\xdc\x37\3\1\x79\3"
		  "\x0c\2h1" },
		{ FL_DHCP_SEND_REBOOT, false, 26,
		  "\x35\1\3\x3d\2\0c\x32\4\x0a\1\0\x32\x39\2\5\xdc\x37\3\1\x79\3\x0c\2h1" },
		{ FL_DHCP_SEND_RENEW, true, 20,
		  "\x35\1\3\x3d\2\0c\x39\2\5\xdc\x37\3\1\x79\3\x0c\2h1" },
		{ FL_DHCP_SEND_REBIND, true, 20,
		  "\x35\1\3\x3d\2\0c\x39\2\5\xdc\x37\3\1\x79\3\x0c\2h1" },
		{ FL_DHCP_SEND_DECLINE, false, 20,
		  "\x35\1\4\x3d\2\0c\x32\4\x0a\1\0\x32\x36\4\x0a\1\0\1\xff" },
		{ FL_DHCP_SEND_RELEASE, true, 14, "\x35\1\7\x3d\2\0c\x36\4\x0a\1\0\1\xff" },
	};
	struct fl_dhcp_ident id = ident();
	struct fl_dhcp_spec spec = { .xid = 0x01020304, .secs = 5, .max_size = 1500 };
	uint8_t buf[FL_DHCP_MSG_MAX];
	size_t len;

	(void)state;
	assert_int_equal(fl_addr_parse("10.1.0.50", &spec.address), 0);
	assert_int_equal(fl_addr_parse("10.1.0.1", &spec.server), 0);
	for (size_t i = 0; i < FL_ARRAY_SIZE(t); i++) {
		spec.kind = t[i].kind;
		assert_int_equal(fl_dhcp_build(&id, &spec, buf, &len, NULL), 0);
		assert_int_equal(len, 300);
		assert_memory_equal(buf, "\1\1\6\0\1\2\3\4\0\5", 10);
		assert_int_equal(buf[10], t[i].ciaddr ? 0 : 0x80);
		assert_memory_equal(buf + 12, t[i].ciaddr ? "\x0a\1\0\x32" : "\0\0\0\0", 4);
		assert_memory_equal(buf + 28, "\2\0\0\0\0\1", 6);
		assert_memory_equal(buf + 240, t[i].options, t[i].len);
	}
}

static void test_too_many_options(void **state)
{
	struct fl_dhcp_ident id = ident();
	struct fl_error err = { 0 };
	uint8_t buf[FL_DHCP_MSG_MAX];
	size_t len;

	(void)state;
	for (id.n_extra = 0; id.n_extra < 8; id.n_extra++)
		id.extra[id.n_extra] =
			(struct fl_dhcp_option){ (uint8_t)(200 + id.n_extra), 255, { 0 } };
	assert_int_equal(fl_dhcp_build(&id, &(struct fl_dhcp_spec){ 0 }, buf, &len, &err), -E2BIG);
	assert_non_null(strstr(err.text, "provide"));
}

static void test_frames(void **state)
{
	struct fl_addr src = { AF_INET, { 10, 1, 0, 1 } },
		       dst = { AF_INET, { 255, 255, 255, 255 } };
	uint8_t msg[301] = { 2 }, frame[FL_DHCP_FRAME_MAX], bad[FL_DHCP_FRAME_MAX];
	const uint8_t *found;
	size_t n, len;

	(void)state;
	memset(msg + 1, 0x5a, 300); /* odd */
	n = fl_dhcp_frame(&src, &dst, msg, sizeof(msg), frame);
	assert_int_equal(n, 329);
	assert_false(fl_dhcp_unframe(frame, n, false, &found, &len)); /* port 67 */
	/* Swapped ports leave the sum as it was. */
	frame[21] = 67;
	frame[23] = 68;
	assert_true(fl_dhcp_unframe(frame, n, false, &found, &len));
	assert_int_equal(len, sizeof(msg));
	assert_memory_equal(found, msg, len);
	for (size_t cut = 0; cut < n; cut++)
		assert_false(fl_dhcp_unframe(frame, cut, true, &found, &len));
	for (size_t at = 0; at < 20; at++) {
		memcpy(bad, frame, n);
		bad[at] ^= 0x10;
		assert_false(fl_dhcp_unframe(bad, n, true, &found, &len));
	}
	memcpy(bad, frame, n);
	bad[100] ^= 1;
	assert_false(fl_dhcp_unframe(bad, n, false, &found, &len));
	assert_true(fl_dhcp_unframe(bad, n, true, &found, &len));
}

/* The kernel runs the filter: a socket pair takes any bytes for a packet. */
static void test_filter(void **state)
{
	const struct sock_fprog prog = { FL_DHCP_FILTER_LEN,
					 (struct sock_filter *)(uintptr_t)fl_dhcp_filter };
	static const struct {
		size_t at;
		uint8_t value;
	} refused[] = { { 9, 6 }, { 6, 0x20 }, { 7, 1 }, { 23, 69 }, { 28, 1 } };
	struct fl_addr any = { AF_INET, { 0 } };
	uint8_t msg[300] = { 2 }, frame[FL_DHCP_FRAME_MAX], copy[FL_DHCP_FRAME_MAX];
	size_t n = fl_dhcp_frame(&any, &any, msg, sizeof(msg), frame);
	int s[2];

	(void)state;
	frame[23] = 68;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s), 0);
	assert_int_equal(setsockopt(s[1], SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), 0);
	for (size_t i = 0; i < FL_ARRAY_SIZE(refused); i++) {
		memcpy(copy, frame, n);
		copy[refused[i].at] = refused[i].value;
		(void)!write(s[0], copy, n);
		assert_int_equal(read(s[1], copy, sizeof(copy)), -1);
	}
	assert_int_equal(write(s[0], frame, n), n);
	assert_int_equal(read(s[1], copy, sizeof(copy)), n);
	close(s[0]);
	close(s[1]);
}

/* ---- requests ---- */

#define ADD "'command':'ADD','network':'n','container':'c','ifname':'eth0','netns':'/run/netns/c'"

static int decode(const char *text, json_t **keep, struct fl_dhcp_request *q, struct fl_error *err)
{
	char buf[4096];

	snprintf(buf, sizeof(buf), "{%s}", text);
	for (char *p = buf; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	*keep = json_loads(buf, 0, NULL);
	assert_non_null(*keep);
	return fl_dhcp_request_parse(*keep, q, err);
}

static void test_request(void **state)
{
	FL_AUTOJSON json_t *json = NULL;
	struct fl_dhcp_request q;
	struct fl_error err = { 0 };

	(void)state;
	assert_int_equal(
		decode(ADD ",'hostname':'h','args':'A=1;POD=web;B=',"
			   "'request':[{'skipDefault':true},{'option':'routers'},{'option':6}],"
			   "'provide':[{'option':'60','value':'v','fromArg':'NONE'},"
			   "{'option':'user-class','fromArg':'POD'},{'option':12,'value':'x'}]",
		       &json, &q, &err),
		0);
	assert_int_equal(q.id.n_params, 2);
	assert_memory_equal(q.id.params, "\3\6", 2);
	assert_int_equal(q.id.client_id_len, 9);
	assert_memory_equal(q.id.client_id, "\0c/n/eth0", 9);
	assert_int_equal(q.id.n_extra, 3);
	assert_memory_equal(q.id.extra[0].data, "x", 1); /* `provide` wins over `hostname` */
	assert_memory_equal(q.id.extra[1].data, "v", 1);
	assert_int_equal(q.id.extra[2].code, 77);
	assert_memory_equal(q.id.extra[2].data, "web", 3);
}

static void test_default_params(void **state)
{
	FL_AUTOJSON json_t *json = NULL;
	struct fl_dhcp_request q;
	const uint8_t *routes, *routers;

	(void)state;
	assert_int_equal(decode(ADD ",'clientId':'me','request':[{'option':42},{'option':3}]",
				&json, &q, NULL),
			 0);
	routes = memchr(q.id.params, 121, q.id.n_params);
	routers = memchr(q.id.params, 3, q.id.n_params);
	assert_true(routes && routers && routes < routers);
	assert_int_equal(q.id.params[q.id.n_params - 1], 42);
	assert_memory_equal(q.id.client_id, "\0me", 3);
}

static void test_refused_requests(void **state)
{
	static const struct {
		const char *json, *text;
	} t[] = {
		{ "'command':'FOO'", "command" },
		{ "'network':'n'", "command" },
		{ "'command':'ADD','network':'n','container':'c','ifname':'eth0'", "netns" },
		{ "'command':'DEL','network':'n','container':'c','ifname':'a/b'", "ifname" },
		{ "'command':'DEL','network':'n','ifname':'eth0'", "container" },
		{ "'command':'GC','network':'n','valid':[['a']]", "valid[0]" },
		{ ADD ",'timeout':0", "timeout" },
		{ ADD ",'request':[{'option':'no-such'}]", "request[0].option" },
		{ ADD ",'request':[{'option':255}]", "request[0].option" },
		{ ADD ",'provide':[{'value':'x'}]", "provide[0].option" },
		{ ADD ",'provide':[{'option':53,'value':'x'}]", "provide[0].option" },
		{ ADD ",'args':[]", "args" },
		{ "'command':'ADD','network':'n','container':'c','ifname':'e','netns':'x'",
		  "netns" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(t); i++) {
		FL_AUTOJSON json_t *json = NULL;
		struct fl_dhcp_request q;
		struct fl_error err = { 0 };

		assert_int_equal(decode(t[i].json, &json, &q, &err), -EINVAL);
		assert_non_null(strstr(err.text, t[i].text));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ack),
		cmocka_unit_test(test_classless),
		cmocka_unit_test(test_malformed_classless_is_none),
		cmocka_unit_test(test_overload),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_refused_messages),
		cmocka_unit_test(test_odd_addresses),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_too_many_options),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_default_params),
		cmocka_unit_test(test_refused_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
