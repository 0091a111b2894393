/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns_message.h"

#include "base/cleanup.h"
#include "dns/walk.h"

#include <errno.h>
#include <string.h>

/* On memory of exactly its size, so that valgrind and ASan see a byte too much. */
static int parse(const struct msg *m, size_t len, struct fl_dns_query *q)
{
	FL_AUTOFREE uint8_t *exact = malloc(len ? len : 1);

	assert_non_null(exact);
	memcpy(exact, m->b, len);
	return fl_dns_query_parse(exact, len, q);
}

static int parse_all(const struct msg *m, struct fl_dns_query *q)
{
	return parse(m, m->len, q);
}

/* ---- queries ---- */

static void test_query(void **state)
{
	struct msg m = query(FL_DNS_AAAA);
	struct fl_dns_query q;

	(void)state;
	assert_int_equal(parse_all(&m, &q), 0);
	assert_int_equal(q.id, 0x1234);
	assert_int_equal(q.flags, FL_DNS_RD);
	assert_string_equal(text(&q.name), "web.net.");
	assert_int_equal(q.type, FL_DNS_AAAA);
	assert_int_equal(q.class, FL_DNS_IN);
	assert_int_equal(q.question_len, sizeof(WEB) + 4);
	assert_false(q.edns);
	assert_false(q.dnssec_ok);
	assert_int_equal(q.udp_size, FL_DNS_UDP_MIN);
}

static void test_query_of_root(void **state)
{
	struct msg m = header(0, 1, 0, 0, 0);
	struct fl_dns_query q;

	(void)state;
	question(&m, "", 1, FL_DNS_NS);
	assert_int_equal(parse_all(&m, &q), 0);
	assert_string_equal(text(&q.name), ".");
	assert_int_equal(q.question_len, 5);
}

static void test_query_edns(void **state)
{
	static const struct {
		unsigned size;
		uint32_t ttl;
		unsigned options;
		uint16_t udp_size;
		bool dnssec_ok;
	} cases[] = {
		{ 0, 0, 0, 512, false },
		{ 511, 0, 0, 512, false },
		{ 512, 0, 0, 512, false },
		{ 513, 0x8000, 0, 513, true },
		{ 1231, 0x7fff, 0, 1231, false },
		{ 1232, 0xffff, 12, 1232, true },
		{ 1233, 0, 300, 1232, false },
		{ 65535, 0xff008000, 0, 1232, true }, /* an rcode in a query says nothing */
	};
	struct fl_dns_query q;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct msg m = query(FL_DNS_A);

		opt(&m, cases[i].size, cases[i].ttl, cases[i].options);
		assert_int_equal(parse_all(&m, &q), 0);
		assert_true(q.edns);
		assert_int_equal(q.udp_size, cases[i].udp_size);
		assert_int_equal(q.dnssec_ok, cases[i].dnssec_ok);
	}
}

/* Records that nobody asked for, one with a pointer, one of a name of its own, are stepped over. */
static void test_query_steps_over(void **state)
{
	struct msg m = query(FL_DNS_A);
	struct fl_dns_query q;

	(void)state;
	record(&m, "\xc0\x0c", 2, FL_DNS_A, FL_DNS_IN, 1, 4);
	record(&m, "\1x\xc0\x10", 4, FL_DNS_SOA, FL_DNS_IN, 1, 0);
	record(&m, "\1x", 3, 999, FL_DNS_IN, 1, 100);
	memcpy(m.b + 6, "\0\1\0\1\0\1", 6);
	opt(&m, 1000, 0, 0);
	record(&m, "", 1, FL_DNS_TSIG, FL_DNS_CLASS_ANY, 0, 30);
	m.b[11]++;
	assert_int_equal(parse_all(&m, &q), 0);
	assert_int_equal(q.udp_size, 1000);
}

static void test_query_not_answered(void **state)
{
	struct msg m = query(FL_DNS_A);
	struct fl_dns_query q;

	(void)state;
	for (size_t len = 0; len < FL_DNS_HEADER; len++)
		assert_int_equal(parse(&m, len, &q), -EBADMSG);
	m.b[2] |= 0x80;
	assert_int_equal(parse_all(&m, &q), -EBADMSG);
}

static void test_query_notimp(void **state)
{
	struct fl_dns_query q;

	(void)state;
	for (unsigned opcode = 1; opcode < 16; opcode++) {
		struct msg m = query(FL_DNS_A);

		m.b[2] |= (uint8_t)(opcode << 3);
		assert_int_equal(parse_all(&m, &q), FL_DNS_NOTIMP);
		assert_int_equal(q.question_len, 0);
		assert_int_equal(q.name.len, 0);
		assert_int_equal(q.udp_size, FL_DNS_UDP_MIN);
	}
}

static void test_query_badvers(void **state)
{
	struct msg m = query(FL_DNS_A), two;
	struct fl_dns_query q;

	(void)state;
	opt(&m, 1232, 0x00018000, 0);
	two = m;
	assert_int_equal(parse_all(&m, &q), FL_DNS_BADVERS);
	assert_true(q.edns);
	assert_int_equal(q.question_len, sizeof(WEB) + 4);
	/* what is malformed beyond that is so first */
	opt(&two, 1232, 0, 0);
	assert_int_equal(parse_all(&two, &q), FL_DNS_FORMERR);
}

/* Everything before the end is cut off somewhere: no cut is a query. */
static void test_query_cut(void **state)
{
	struct msg m = query(FL_DNS_A);
	size_t question_end = m.len;
	struct fl_dns_query q;

	(void)state;
	record(&m, "\xc0\x0c", 2, FL_DNS_A, FL_DNS_IN, 1, 4);
	m.b[7] = 1;
	opt(&m, 1232, 0x8000, 8);
	for (size_t len = FL_DNS_HEADER; len < m.len; len++) {
		assert_int_equal(parse(&m, len, &q), FL_DNS_FORMERR);
		assert_int_equal(q.id, 0x1234);
		assert_int_equal(q.question_len, len < question_end ? 0 : question_end - 12);
		assert_int_equal(q.name.len, len < question_end ? 0 : sizeof(WEB));
	}
	assert_int_equal(parse_all(&m, &q), 0);
	bytes(&m, "", 1);
	assert_int_equal(parse_all(&m, &q), FL_DNS_FORMERR);
}

static void test_query_counts(void **state)
{
	static const unsigned cases[][4] = {
		{ 0, 0, 0, 0 }, { 2, 0, 0, 0 }, { 0xffff, 0, 0, 0 }, { 1, 1, 0, 0 },
		{ 1, 0, 1, 0 }, { 1, 0, 0, 1 }, { 1, 0, 0, 0xffff }, { 1, 0xffff, 0xffff, 0xffff },
		{ 0, 1, 0, 0 },
	};
	struct fl_dns_query q;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		const unsigned *c = cases[i];
		struct msg m = header(FL_DNS_RD, c[0], c[1], c[2], c[3]);

		question(&m, WEB, sizeof(WEB), FL_DNS_A);
		assert_int_equal(parse_all(&m, &q), FL_DNS_FORMERR);
	}
}

static void test_query_two_questions(void **state)
{
	struct msg m = query(FL_DNS_A);
	struct fl_dns_query q;

	(void)state;
	m.b[5] = 2;
	question(&m, WEB, sizeof(WEB), FL_DNS_AAAA);
	assert_int_equal(parse_all(&m, &q), FL_DNS_FORMERR);
	assert_int_equal(q.question_len, 0);
}

static void test_query_bad_names(void **state)
{
	static const struct {
		const char *name;
		size_t n;
	} cases[] = {
		{ "\xc0\x0c", 2 },	/* itself */
		{ "\xc0\x00", 2 },	/* the header */
		{ "\3web\xc0\x0c", 6 }, /* in a circle */
		{ "\3web\xc0\x10", 6 }, /* to itself, forward */
		{ "\xff\xff", 2 },
		{ "\x40web", 5 }, /* labels that were never defined, RFC 6891 section 5 */
		{ "\x41web", 5 },
		{ "\x80web", 5 },
		{ "\x3fweb", 5 }, /* longer than all there is */
	};
	struct fl_dns_query q;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct msg m = header(FL_DNS_RD, 1, 0, 0, 0);

		question(&m, cases[i].name, cases[i].n, FL_DNS_A);
		assert_int_equal(parse_all(&m, &q), FL_DNS_FORMERR);
		assert_int_equal(q.question_len, 0);
		assert_int_equal(q.name.len, 0);
	}
}

/* Labels of 63 bytes, and a last one. */
static size_t long_name(uint8_t *to, uint8_t last)
{
	size_t at = 0;

	for (int i = 0; i < 4; i++) {
		to[at] = i < 3 ? 63 : last;
		memset(to + at + 1, 'A' + i, to[at]);
		at += 1 + (size_t)to[at];
	}
	to[at] = 0;
	return at + 1;
}

static void test_query_name_length(void **state)
{
	struct msg m = header(0, 1, 0, 0, 0);
	uint8_t name[300];
	struct fl_dns_query q;

	(void)state;
	question(&m, (char *)name, long_name(name, 61), FL_DNS_A);
	assert_int_equal(parse_all(&m, &q), 0);
	assert_int_equal(q.name.len, FL_DNS_NAME_MAX);
	assert_int_equal(q.name.b[1], 'a');
	m.len = FL_DNS_HEADER;
	question(&m, (char *)name, long_name(name, 62), FL_DNS_A);
	assert_int_equal(parse_all(&m, &q), FL_DNS_FORMERR);
}

static void test_query_bad_records(void **state)
{
	struct msg base = query(FL_DNS_A), m;
	struct fl_dns_query q;

	(void)state;
	m = base; /* two OPT */
	opt(&m, 1232, 0, 0);
	opt(&m, 1232, 0, 0);
	assert_int_equal(parse_all(&m, &q), FL_DNS_FORMERR);
	m = base; /* of a name */
	record(&m, "\xc0\x0c", 2, FL_DNS_OPT, 1232, 0, 0);
	m.b[11] = 1;
	assert_int_equal(parse_all(&m, &q), FL_DNS_FORMERR);
	assert_false(q.edns);
	for (int count = 7; count < 11; count += 2) { /* in another section */
		m = base;
		record(&m, "", 1, FL_DNS_OPT, 1232, 0, 0);
		m.b[count] = 1;
		assert_int_equal(parse_all(&m, &q), FL_DNS_FORMERR);
	}
	m = base; /* an owner that points at itself */
	record(&m, "\xc0\x19", 2, FL_DNS_A, FL_DNS_IN, 0, 4);
	m.b[7] = 1;
	assert_int_equal(m.b[0x19], 0xc0);
	assert_int_equal(parse_all(&m, &q), FL_DNS_FORMERR);
	m = base; /* rdata beyond the end */
	opt(&m, 1232, 0, 4);
	m.b[m.len - 5]++;
	assert_int_equal(parse_all(&m, &q), FL_DNS_FORMERR);
}

/* ---- replies ---- */

#define HEAD(flags, an, ns, ar) "\x12\x34" flags "\0\1\0" an "\0" ns "\0" ar
#define OPT_PLAIN "\0\0\x29\x04\xd0\0\0\0\0\0\0"

static void assert_message(const struct msg *m, const char *want, size_t n)
{
	assert_int_equal(m->len, n);
	assert_memory_equal(m->b, want, n);
}

static struct fl_dns_reply begin(struct msg *m, size_t size, uint16_t flags)
{
	struct fl_dns_query q;
	struct fl_dns_reply r;

	assert_true(parse_all(m, &q) >= 0);
	fl_dns_reply_begin(&r, m->b, size, m->b, &q, flags); /* in place */
	return r;
}

static void test_reply_address(void **state)
{
	static const char want[] = HEAD("\x85\x80", "\2", "\0", "\0") WEB
		"\0\0\1\0\1"
		"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\1\2\3"
		"\xc0\x0c\0\x1c\0\1\x7f\xff\xff\xff\0\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1";
	struct msg m = query(FL_DNS_A);
	struct fl_dns_reply r = begin(&m, 512, FL_DNS_AA | FL_DNS_RA);
	struct fl_addr four = addr("10.1.2.3"), six = addr("fd00::1");

	(void)state;
	fl_dns_put_addr(&r, FL_DNS_ANSWER, NULL, 60, &four);
	fl_dns_put_addr(&r, FL_DNS_ANSWER, NULL, 0x7fffffff, &six);
	m.len = fl_dns_reply_end(&r, FL_DNS_NOERROR);
	assert_message(&m, want, sizeof(want) - 1);
}

static void test_reply_ptr(void **state)
{
	static const char want[] = HEAD("\x81\0", "\1", "\0", "\1") WEB
		"\0\0\x0c\0\1"
		"\xc0\x0c\0\x0c\0\1\0\0\0\5\0\6\1a\2bc\0" OPT_PLAIN;
	struct msg m = query(FL_DNS_PTR);
	struct fl_dns_name target = name("a.bc");
	struct fl_dns_reply r;

	(void)state;
	opt(&m, 4096, 0, 0);
	r = begin(&m, 512, 0);
	fl_dns_put_ptr(&r, 5, &target);
	m.len = fl_dns_reply_end(&r, FL_DNS_NOERROR);
	assert_message(&m, want, sizeof(want) - 1);
}

static void test_reply_srv(void **state)
{
	static const char want[] = HEAD("\x81\0", "\1", "\0", "\1") WEB
		"\0\0\x21\0\1"
		"\xc0\x0c\0\x21\0\1\0\0\0\5\0\x0c\0\1\0\2\x1f\x90\1a\2bc\0"
		"\1a\2bc\0\0\1\0\1\0\0\0\5\0\4\x0a\0\0\1";
	struct msg m = query(FL_DNS_SRV);
	struct fl_dns_reply r = begin(&m, 512, 0);
	struct fl_dns_name target = name("a.bc");
	struct fl_addr a = addr("10.0.0.1");

	(void)state;
	fl_dns_put_srv(&r, 5, 1, 2, 8080, &target);
	fl_dns_put_addr(&r, FL_DNS_ADDITIONAL, &target, 5, &a);
	m.len = fl_dns_reply_end(&r, FL_DNS_NOERROR);
	assert_message(&m, want, sizeof(want) - 1);
}

#define SOA_REST "\6nobody\7invalid\0\0\0\0\1\0\0\x0e\x10\0\0\4\xb0\0\x09\x3a\x80\0\0\0\x1e"

static void test_reply_soa(void **state)
{
	static const char want[] = HEAD("\x81\0", "\0", "\1", "\0") WEB
		"\0\0\1\0\1"
		"\3net\0\0\6\0\1\0\0\0\x1e\0\x29\3net\0" SOA_REST;
	static const char own[] = HEAD("\x81\3", "\0", "\1", "\0") WEB
		"\0\0\1\0\1"
		"\xc0\x0c\0\6\0\1\0\0\0\x1e\0\x26\xc0\x0c" SOA_REST;
	static const char root[] =
		HEAD("\x81\3", "\0", "\1", "\0") WEB "\0\0\1\0\1"
						     "\0\0\6\0\1\0\0\0\x1e\0\x25\0" SOA_REST;
	struct fl_dns_name net = name("net"), dot = name(".");
	struct msg m = query(FL_DNS_A), m2 = m, m3 = m;
	struct fl_dns_reply r = begin(&m, 512, 0), r2 = begin(&m2, 512, 0), r3 = begin(&m3, 512, 0);

	(void)state;
	fl_dns_put_soa(&r, &net, 30);
	m.len = fl_dns_reply_end(&r, FL_DNS_NOERROR);
	assert_message(&m, want, sizeof(want) - 1);
	fl_dns_put_soa(&r2, NULL, 30);
	m2.len = fl_dns_reply_end(&r2, FL_DNS_NXDOMAIN);
	assert_message(&m2, own, sizeof(own) - 1);
	fl_dns_put_soa(&r3, &dot, 30);
	m3.len = fl_dns_reply_end(&r3, FL_DNS_NXDOMAIN);
	assert_message(&m3, root, sizeof(root) - 1);
}

/* Each error, and what of the query goes into its reply. */
static void test_reply_errors(void **state)
{
	static const char badvers[] =
		HEAD("\x81\0", "\0", "\0", "\1") WEB "\0\0\1\0\1\0\0\x29\x04\xd0\1\0\x80\0\0\0";
	static const char formerr[] = "\x12\x34\x81\1\0\0\0\0\0\0\0\0";
	static const char notimp[] = "\x12\x34\xa9\4\0\0\0\0\0\0\0\0";
	static const char refused[] = HEAD("\x81\5", "\0", "\0", "\0") WEB "\0\0\1\0\1";
	struct msg m = query(FL_DNS_A);
	struct fl_dns_reply r;

	(void)state;
	opt(&m, 1232, 0x00ff8000, 0);
	r = begin(&m, 512, 0);
	m.len = fl_dns_reply_end(&r, FL_DNS_BADVERS);
	assert_message(&m, badvers, sizeof(badvers) - 1);
	m = header(FL_DNS_RD, 1, 2, 3, 4);
	r = begin(&m, 512, 0);
	m.len = fl_dns_reply_end(&r, FL_DNS_FORMERR);
	assert_message(&m, formerr, sizeof(formerr) - 1);
	m = query(FL_DNS_SOA);
	m.b[2] |= 5 << 3;
	r = begin(&m, 512, 0);
	m.len = fl_dns_reply_end(&r, FL_DNS_NOTIMP);
	assert_message(&m, notimp, sizeof(notimp) - 1);
	m = query(FL_DNS_A);
	r = begin(&m, 512, 0);
	m.len = fl_dns_reply_end(&r, FL_DNS_REFUSED);
	assert_message(&m, refused, sizeof(refused) - 1);
}

/* Of the flags RD and CD are the asker's; AA, TC, RA, Z, AD and the rcode are not. */
static void test_reply_flags(void **state)
{
	struct msg m = query(FL_DNS_A);
	struct fl_dns_reply r;

	(void)state;
	memcpy(m.b + 2, "\x07\xff", 2);
	r = begin(&m, 512, 0);
	assert_int_equal(fl_dns_reply_end(&r, FL_DNS_NOERROR), m.len);
	assert_memory_equal(m.b + 2, "\x81\x10", 2);
	m = query(FL_DNS_A);
	m.b[2] = 0;
	r = begin(&m, 512, FL_DNS_RA);
	fl_dns_reply_end(&r, FL_DNS_SERVFAIL);
	assert_memory_equal(m.b + 2, "\x80\x82", 2);
}

/* The question comes back as it was asked (it may carry 0x20 bits), from another buffer as well. */
static void test_reply_keeps_case(void **state)
{
	struct msg m = query(FL_DNS_A);
	struct fl_dns_query q;
	struct fl_dns_reply r;
	uint8_t buf[512];

	(void)state;
	assert_int_equal(parse_all(&m, &q), 0);
	fl_dns_reply_begin(&r, buf, sizeof(buf), m.b, &q, 0);
	assert_int_equal(fl_dns_reply_end(&r, FL_DNS_NXDOMAIN), m.len);
	assert_memory_equal(buf + FL_DNS_HEADER, m.b + FL_DNS_HEADER, q.question_len);
	assert_memory_equal(buf + FL_DNS_HEADER, WEB, sizeof(WEB));
}

/* As many addresses as fit and not one more; the OPT always fits. */
static void test_reply_truncated(void **state)
{
	static const struct {
		size_t size;
		bool edns;
	} cases[] = {
		{ 512, false },	 { 512, true },	 { 513, true }, { 1232, true },
		{ 1300, false }, { 521, false }, { 532, true } /* to the last byte */
	};
	struct fl_addr a = addr("10.0.0.1");

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct msg m = query(FL_DNS_A);
		size_t room = cases[i].size - m.len - (cases[i].edns ? FL_DNS_OPT_SIZE : 0);
		struct fl_dns_reply r;

		if (cases[i].edns)
			opt(&m, 4096, 0, 0);
		memset(m.b + cases[i].size, 0x77, 64);
		r = begin(&m, cases[i].size, 0);
		for (size_t n = 0; n < room / 16; n++)
			fl_dns_put_addr(&r, FL_DNS_ANSWER, NULL, 1, &a);
		assert_false(r.truncated);
		fl_dns_put_addr(&r, FL_DNS_ANSWER, NULL, 1, &a);
		assert_true(r.truncated);
		m.len = fl_dns_reply_end(&r, FL_DNS_NOERROR);
		assert_true(m.len <= cases[i].size && m.len + 16 > cases[i].size);
		assert_int_equal(fl_dns_get16(m.b + 2), FL_DNS_QR | FL_DNS_RD | FL_DNS_TC);
		assert_int_equal(fl_dns_get16(m.b + 6), room / 16);
		assert_int_equal(fl_dns_get16(m.b + 10), cases[i].edns);
		assert_int_equal(m.b[cases[i].size], 0x77);
	}
}

/* One that would fit after one that did not is not put: half an answer looks like a whole one. */
static void test_reply_sticky(void **state)
{
	struct msg m = query(FL_DNS_A);
	struct fl_dns_reply r = begin(&m, 512, 0);
	struct fl_addr four = addr("10.0.0.1"), six = addr("fd00::1");
	size_t len;

	(void)state;
	fl_dns_put_addr(&r, FL_DNS_ANSWER, NULL, 1, &four);
	while (r.limit - r.len >= 28)
		fl_dns_put_addr(&r, FL_DNS_ANSWER, NULL, 1, &six);
	assert_true(r.limit - r.len >= 16);
	len = r.len;
	fl_dns_put_addr(&r, FL_DNS_ANSWER, NULL, 1, &six);
	fl_dns_put_addr(&r, FL_DNS_ANSWER, NULL, 1, &four);
	fl_dns_put_soa(&r, NULL, 1);
	fl_dns_put_ptr(&r, 1, &(struct fl_dns_name){ 1, { 0 } });
	fl_dns_put_srv(&r, 1, 1, 1, 1, &(struct fl_dns_name){ 1, { 0 } });
	assert_true(r.truncated);
	assert_int_equal(fl_dns_reply_end(&r, 0), len);
}

/* RFC 2181 section 9: what is only additional is left out without a word. */
static void test_reply_additional_is_left_out(void **state)
{
	struct msg m = query(FL_DNS_SRV);
	struct fl_dns_reply r = begin(&m, 512, 0);
	struct fl_dns_name target = name("a");
	struct fl_addr six = addr("fd00::1"), four = addr("10.0.0.1");
	uint16_t fit;

	(void)state;
	fl_dns_put_srv(&r, 1, 0, 0, 80, &target);
	for (int i = 0; i < 30; i++)
		fl_dns_put_addr(&r, FL_DNS_ADDITIONAL, &target, 1, &six);
	fit = r.counts[FL_DNS_ADDITIONAL];
	assert_in_range(fit, 1, 29);
	fl_dns_put_addr(&r, FL_DNS_ADDITIONAL, &target, 1, &four);
	assert_int_equal(r.counts[FL_DNS_ADDITIONAL], fit);
	assert_true(fl_dns_reply_end(&r, 0) <= 512);
	assert_int_equal(fl_dns_get16(m.b + 2) & FL_DNS_TC, 0);
}

/* By TCP there is more room, but not more than the length in front of a message can say. */
static void test_reply_size_limit(void **state)
{
	FL_AUTOFREE uint8_t *buf = malloc(100000);
	struct msg m = query(FL_DNS_AAAA);
	struct fl_addr six = addr("fd00::1");
	struct fl_dns_query q;
	struct fl_dns_reply r;

	(void)state;
	assert_non_null(buf);
	assert_int_equal(parse_all(&m, &q), 0);
	fl_dns_reply_begin(&r, buf, 100000, m.b, &q, 0);
	for (int i = 0; i < 3000; i++)
		fl_dns_put_addr(&r, FL_DNS_ANSWER, NULL, 1, &six);
	assert_true(r.truncated);
	assert_in_range(fl_dns_reply_end(&r, 0), FL_DNS_MESSAGE_MAX - 28, FL_DNS_MESSAGE_MAX);
}

/* The longest question leaves room for the OPT in the smallest reply. */
static void test_reply_longest_question(void **state)
{
	struct msg m = header(0, 1, 0, 0, 0);
	struct fl_addr a = addr("10.0.0.1");
	struct fl_dns_name target = name("a");
	struct fl_dns_reply r;
	uint8_t text_name[300];

	(void)state;
	question(&m, (char *)text_name, long_name(text_name, 61), FL_DNS_A);
	opt(&m, 512, 0, 0);
	target.len = (uint8_t)long_name(target.b, 61);
	r = begin(&m, 512, 0);
	fl_dns_put_addr(&r, FL_DNS_ANSWER, NULL, 1, &a);
	assert_false(r.truncated);
	fl_dns_put_ptr(&r, 1, &target);
	assert_true(r.truncated);
	assert_int_equal(fl_dns_reply_end(&r, 0), 12 + 259 + 16 + 11);
}

/* ---- names, pointers followed ---- */

static void test_expand_name(void **state)
{
	/* At 12 "web.net.", at 21 "www" and a pointer to 16 ("net."), at 27 one to 21. */
	static const uint8_t msg[] = "............\3web\3net\0\3www\300\020\300\025"
				     "\300\035\300\037\77";
	struct fl_dns_name n;

	(void)state;
	assert_int_equal(fl_dns_expand_name(msg, sizeof(msg) - 1, 12, &n), 0);
	assert_string_equal(text(&n), "web.net.");
	assert_int_equal(fl_dns_expand_name(msg, sizeof(msg) - 1, 21, &n), 0);
	assert_string_equal(text(&n), "www.net.");
	assert_int_equal(fl_dns_expand_name(msg, sizeof(msg) - 1, 27, &n), 0);
	assert_string_equal(text(&n), "www.net.");
	/* To itself, forward, past the end. */
	assert_int_equal(fl_dns_expand_name(msg, sizeof(msg) - 1, 29, &n), -EBADMSG);
	assert_int_equal(fl_dns_expand_name(msg, sizeof(msg) - 1, 31, &n), -EBADMSG);
	assert_int_equal(fl_dns_expand_name(msg, sizeof(msg) - 1, 33, &n), -EBADMSG);
	assert_int_equal(fl_dns_expand_name(msg, 15, 12, &n), -EBADMSG);
	assert_int_equal(fl_dns_expand_name(msg, 12, 12, &n), -EBADMSG);
}

/* Each part is a name of its own; together they are too long. */
static void test_expand_long_name(void **state)
{
	uint8_t msg[FL_DNS_HEADER + 600] = { 0 };
	struct fl_dns_name n;
	size_t at = FL_DNS_HEADER, first = at;

	(void)state;
	for (int i = 0; i < 3; i++, at += 64)
		msg[at] = 63;
	at++;
	for (int i = 0; i < 2; i++) {
		size_t start = at;

		msg[at] = (uint8_t)(i ? 61 : 60);
		at += 1 + (size_t)msg[at];
		fl_dns_set16(msg + at, (uint16_t)(0xc000 | first));
		at += 2;
		assert_int_equal(fl_dns_expand_name(msg, sizeof(msg), start, &n), 0);
		assert_int_equal(n.len, 193 + 61 + i);
	}
	msg[at] = 62;
	fl_dns_set16(msg + at + 63, (uint16_t)(0xc000 | first));
	assert_int_equal(fl_dns_expand_name(msg, sizeof(msg), at, &n), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand_name),
		cmocka_unit_test(test_expand_long_name),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_query_of_root),
		cmocka_unit_test(test_query_edns),
		cmocka_unit_test(test_query_steps_over),
		cmocka_unit_test(test_query_not_answered),
		cmocka_unit_test(test_query_notimp),
		cmocka_unit_test(test_query_badvers),
		cmocka_unit_test(test_query_cut),
		cmocka_unit_test(test_query_counts),
		cmocka_unit_test(test_query_two_questions),
		cmocka_unit_test(test_query_bad_names),
		cmocka_unit_test(test_query_name_length),
		cmocka_unit_test(test_query_bad_records),
		cmocka_unit_test(test_reply_address),
		cmocka_unit_test(test_reply_ptr),
		cmocka_unit_test(test_reply_srv),
		cmocka_unit_test(test_reply_soa),
		cmocka_unit_test(test_reply_errors),
		cmocka_unit_test(test_reply_flags),
		cmocka_unit_test(test_reply_keeps_case),
		cmocka_unit_test(test_reply_truncated),
		cmocka_unit_test(test_reply_sticky),
		cmocka_unit_test(test_reply_additional_is_left_out),
		cmocka_unit_test(test_reply_size_limit),
		cmocka_unit_test(test_reply_longest_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
