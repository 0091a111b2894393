/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the gateway is told, byte by byte; and what it may answer. */
#include "cluster/wire.h"

#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "/c/v1/"

/* ---- base64 ---- */

static void base64_of_rfc4648(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(pairs); i++) {
		FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
		uint8_t out[16];
		size_t n = 99;

		fl_strbuf_add(&b, "");
		fl_base64_add(&b, pairs[i][0], strlen(pairs[i][0]));
		assert_string_equal(b.s, pairs[i][1]);
		assert_int_equal(fl_base64_decode(b.s, b.len, out, &n), 0);
		assert_int_equal(n, strlen(pairs[i][0]));
		assert_memory_equal(out, pairs[i][0], n);
	}
}

static void base64_of_every_byte(void **state)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	uint8_t in[256], out[258];
	size_t n;

	(void)state;
	for (int i = 0; i < 256; i++)
		in[i] = (uint8_t)i;
	fl_base64_add(&b, in, sizeof(in));
	assert_int_equal(fl_base64_decode(b.s, b.len, out, &n), 0);
	assert_int_equal(n, sizeof(in));
	assert_memory_equal(in, out, n);
}

static void base64_refused(void **state)
{
	static const char *const bad[] = { "Z",	   "Zg",   "Zg=",      "Zh==", "Zm9=", "=m9v",
					   "Zm=v", "Z===", "Zg==Zg==", "Zm 9", "Zm-_", "====" };
	uint8_t out[16];
	size_t n = 99;

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++)
		assert_int_equal(fl_base64_decode(bad[i], strlen(bad[i]), out, &n), -EINVAL);
	assert_int_equal(n, 99);
}

/* ---- requests ---- */

static void golden_ranges(void **state)
{
	static const struct {
		struct fl_etcd_range q;
		const char *from;
		unsigned limit;
		const char *body;
	} cases[] = {
		{ { .key = "a" }, NULL, 0, "{\"key\":\"L2MvdjEvYQ==\"}" },
		{ { .key = "a", .prefix = true },
		  NULL,
		  1000,
		  "{\"key\":\"L2MvdjEvYQ==\",\"range_end\":\"L2MvdjEvYg==\",\"limit\":\"1000\"}" },
		{ { .key = "", .prefix = true, .count_only = true, .serializable = true },
		  NULL,
		  0,
		  "{\"key\":\"L2MvdjEv\",\"range_end\":\"L2MvdjEw\",\"count_only\":true,"
		  "\"serializable\":true}" },
		{ { .key = "a",
		    .prefix = true,
		    .keys_only = true,
		    .revision = 9000000000000000000 },
		  "xyz",
		  5,
		  "{\"key\":\"eHl6\",\"range_end\":\"L2MvdjEvYg==\",\"keys_only\":true,"
		  "\"revision\":\"9000000000000000000\",\"limit\":\"5\"}" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		FL_AUTOSTRBUF struct fl_strbuf b = { 0 };

		fl_etcd_range_body(&b, PREFIX, &cases[i].q, cases[i].from, cases[i].from ? 3 : 0,
				   cases[i].limit);
		assert_string_equal(b.s, cases[i].body);
	}
}

/* The end of a range whose last byte cannot grow. */
static void range_ends(void **state)
{
	static const struct {
		const char *prefix, *key, *end;
	} cases[] = {
		{ "", "a\xff", "\"range_end\":\"Yg==\"" },
		{ "", "\xff\xff", "\"range_end\":\"AA==\"" },
		{ "", "", "\"range_end\":\"AA==\"" },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		FL_AUTOSTRBUF struct fl_strbuf b = { 0 };

		fl_etcd_range_body(&b, cases[i].prefix,
				   &(struct fl_etcd_range){ .key = cases[i].key, .prefix = true },
				   NULL, 0, 0);
		assert_non_null(strstr(b.s, cases[i].end));
	}
}

static void golden_watch(void **state)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };

	(void)state;
	fl_etcd_watch_body(&b, PREFIX, "ep/", 7);
	assert_string_equal(b.s, "{\"create_request\":{\"key\":\"L2MvdjEvZXAv\",\"range_end\":"
				 "\"L2MvdjEvZXAw\",\"prev_kv\":true,\"progress_notify\":true,"
				 "\"fragment\":true,\"start_revision\":\"7\"}}");
}

static void golden_txn(void **state)
{
	FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
	FL_AUTOETCDTXN struct fl_etcd_txn t;

	(void)state;
	fl_etcd_txn_init(&t, PREFIX);
	fl_etcd_txn_if_absent(&t, "a");
	fl_etcd_txn_if(&t, "b", FL_ETCD_T_MOD, FL_ETCD_NE, 3);
	fl_etcd_txn_if(&t, "b", FL_ETCD_T_VERSION, FL_ETCD_LT, 4);
	fl_etcd_txn_if(&t, "b", FL_ETCD_T_LEASE, FL_ETCD_GT, 5);
	fl_etcd_txn_if_value(&t, "b", FL_ETCD_EQ, "v", 1);
	fl_etcd_txn_if_each(&t, "net/", FL_ETCD_T_MOD, FL_ETCD_LT, 7);
	fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, "a", "1", 1, 0);
	fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, "a", "1", 1, 6);
	fl_etcd_txn_delete(&t, FL_ETCD_SUCCESS, "b", false);
	fl_etcd_txn_delete(&t, FL_ETCD_FAILURE, "b", true);
	fl_etcd_txn_range(&t, FL_ETCD_FAILURE, &(struct fl_etcd_range){ .key = "a", .limit = 2 });
	assert_int_equal(fl_etcd_txn_check(&t, NULL), 0);
	assert_false(t.reads_only);
	fl_etcd_txn_body(&t, &b);
	assert_string_equal(
		b.s,
		"{\"compare\":["
		"{\"target\":\"CREATE\",\"result\":\"EQUAL\",\"key\":\"L2MvdjEvYQ==\","
		"\"create_revision\":\"0\"},"
		"{\"target\":\"MOD\",\"result\":\"NOT_EQUAL\",\"key\":\"L2MvdjEvYg==\","
		"\"mod_revision\":\"3\"},"
		"{\"target\":\"VERSION\",\"result\":\"LESS\",\"key\":\"L2MvdjEvYg==\","
		"\"version\":\"4\"},"
		"{\"target\":\"LEASE\",\"result\":\"GREATER\",\"key\":\"L2MvdjEvYg==\","
		"\"lease\":\"5\"},"
		"{\"target\":\"VALUE\",\"result\":\"EQUAL\",\"key\":\"L2MvdjEvYg==\","
		"\"value\":\"dg==\"},"
		"{\"target\":\"MOD\",\"result\":\"LESS\",\"key\":\"L2MvdjEvbmV0Lw==\",\"range_"
		"end\":"
		"\"L2MvdjEvbmV0MA==\",\"mod_revision\":\"7\"}],"
		"\"success\":["
		"{\"request_put\":{\"key\":\"L2MvdjEvYQ==\",\"value\":\"MQ==\"}},"
		"{\"request_put\":{\"key\":\"L2MvdjEvYQ==\",\"value\":\"MQ==\",\"lease\":\"6\"}},"
		"{\"request_delete_range\":{\"key\":\"L2MvdjEvYg==\"}}],"
		"\"failure\":["
		"{\"request_delete_range\":{\"key\":\"L2MvdjEvYg==\",\"range_end\":"
		"\"L2MvdjEvYw==\"}},"
		"{\"request_range\":{\"key\":\"L2MvdjEvYQ==\",\"limit\":\"2\"}}]}");
}

static void limits_of_txns(void **state)
{
	char key[FL_ETCD_KEY_MAX + 2];
	struct fl_error err;

	(void)state;
	for (unsigned n = 0; n <= FL_ETCD_TXN_OPS + 2; n += FL_ETCD_TXN_OPS / 2 + 1) {
		for (int list = 0; list < FL_ETCD_LISTS; list++) {
			FL_AUTOETCDTXN struct fl_etcd_txn t;

			fl_etcd_txn_init(&t, PREFIX);
			for (unsigned i = 0; i < n; i++) {
				if (list == FL_ETCD_COMPARES)
					fl_etcd_txn_if_absent(&t, "k");
				else
					fl_etcd_txn_put(&t, (enum fl_etcd_list)list, "k", "", 0, 0);
			}
			if (list == FL_ETCD_COMPARES)
				fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, "k", "", 0, 0);
			assert_int_equal(fl_etcd_txn_check(&t, &err),
					 n > FL_ETCD_TXN_OPS		  ? -E2BIG
					 : !n && list != FL_ETCD_COMPARES ? -EINVAL
									  : 0);
		}
	}
	memset(key, 'k', sizeof(key));
	for (size_t len = FL_ETCD_KEY_MAX; len <= FL_ETCD_KEY_MAX + 1; len++) {
		FL_AUTOETCDTXN struct fl_etcd_txn t;

		fl_etcd_txn_init(&t, PREFIX);
		key[len] = '\0';
		fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, key, "", 0, 0);
		assert_int_equal(fl_etcd_txn_check(&t, &err), len > FL_ETCD_KEY_MAX ? -EINVAL : 0);
		key[len] = 'k';
	}
}

static void faults_of_txns(void **state)
{
	FL_AUTOFREE char *large = calloc(1, FL_ETCD_VALUE_MAX + 1);
	char prefix[FL_ETCD_PREFIX_MAX + 1];
	struct fl_error err;

	(void)state;
	for (int i = 0; i < 3; i++) {
		FL_AUTOETCDTXN struct fl_etcd_txn t;

		memset(prefix, 'p', sizeof(prefix));
		prefix[FL_ETCD_PREFIX_MAX - (i < 2)] = '\0';
		fl_etcd_txn_init(&t, prefix);
		fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, i == 0 ? "" : "k", large,
				i == 1 ? FL_ETCD_VALUE_MAX + 1 : 1, 0);
		assert_int_equal(fl_etcd_txn_check(&t, &err), -EINVAL);
		/* the first fault is the one that is told */
		fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, "k", "", 0, 0);
		assert_int_equal(fl_etcd_txn_check(&t, &err), -EINVAL);
	}
}

/* ---- answers ---- */

static json_t *parse(const char *text)
{
	json_t *doc = NULL;
	struct fl_error err;

	if (fl_etcd_parse(text, strlen(text), &doc, &err))
		fail_msg("%s: %s", text, err.text);
	return doc;
}

static void header_and_range(void **state)
{
	FL_AUTOJSON json_t *doc =
		parse("{\"header\":{\"cluster_id\":\"14841639068965178418\",\"member_id\":\"1\","
		      "\"revision\":\"12\",\"raft_term\":\"2\"},\"kvs\":["
		      "{\"key\":\"L2MvdjEvYQ==\",\"create_revision\":\"2\",\"mod_revision\":\"3\","
		      "\"version\":\"4\",\"value\":\"AAE=\",\"lease\":\"5\"},"
		      "{\"key\":\"L2MvdjEvYgBj\",\"value\":\"\"},"
		      "{\"key\":\"L290aGVy\"},{\"key\":\"L2MvdjEv\"}],"
		      "\"more\":true,\"count\":\"9\"}");
	struct fl_etcd_kvs kvs = { 0 };
	struct fl_etcd_header h;
	struct fl_etcd_page page;

	(void)state;
	assert_int_equal(fl_etcd_read_header(doc, &h, NULL), 0);
	assert_true(h.cluster_id == 14841639068965178418u && h.revision == 12);
	assert_int_equal(fl_etcd_read_range(doc, PREFIX, &kvs, &page, NULL), 0);
	assert_int_equal(kvs.n, 1);
	assert_int_equal(kvs.ignored, 3); /* a NUL, another prefix, the prefix itself */
	assert_string_equal(kvs.items[0].key, "a");
	assert_int_equal(kvs.items[0].value_len, 2);
	assert_memory_equal(kvs.items[0].value, "\0\1", 3);
	assert_int_equal(kvs.items[0].lease, 5);
	assert_true(page.more && page.count == 9 && page.last_len == 6);
	assert_memory_equal(page.last, "/c/v1/", 6);
	free(page.last);
	fl_etcd_kvs_clear(&kvs);
}

static void wrong_ranges(void **state)
{
	static const char *const bad[] = {
		"{\"kvs\":{}}",
		"{\"kvs\":[1]}",
		"{\"kvs\":[{\"key\":1}]}",
		"{\"kvs\":[{\"key\":\"?\"}]}",
		"{\"kvs\":[{\"key\":\"L2MvdjEvYQ==\",\"value\":[]}]}",
		"{\"kvs\":[{\"key\":\"L2MvdjEvYQ==\",\"value\":\"x\"}]}",
		"{\"kvs\":[{\"key\":\"L2MvdjEvYQ==\",\"mod_revision\":\"x\"}]}",
		"{\"kvs\":[{\"key\":\"L2MvdjEvYQ==\",\"mod_revision\":\"\"}]}",
		"{\"kvs\":[{\"key\":\"L2MvdjEvYQ==\",\"mod_revision\":\"9223372036854775808\"}]}",
		"{\"kvs\":[{\"key\":\"L2MvdjEvYQ==\",\"lease\":1.5}]}",
		"{\"count\":{}}",
		"{\"kvs\":[{\"key\":\"L2MvdjEvYQ==\"},{\"key\":\"L2MvdjEvYg==\",\"lease\":true}]}",
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++) {
		FL_AUTOJSON json_t *doc = parse(bad[i]);
		struct fl_etcd_kvs kvs = { 0 };
		struct fl_etcd_page page = { .count = 77 };
		struct fl_error err;

		assert_int_equal(fl_etcd_read_range(doc, PREFIX, &kvs, &page, &err), -EBADMSG);
		assert_int_equal(kvs.n, 0);
		assert_int_equal(kvs.bytes, 0);
		assert_int_equal(page.count, 77);
		fl_etcd_kvs_clear(&kvs);
	}
}

static void key_sizes(void **state)
{
	(void)state;
	for (size_t len = FL_ETCD_KEY_MAX; len <= FL_ETCD_KEY_MAX + 1; len++) {
		FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
		FL_AUTOJSON json_t *doc = NULL;
		char key[6 + FL_ETCD_KEY_MAX + 1];
		struct fl_etcd_kvs kvs = { 0 };
		struct fl_etcd_page page;

		memset(key, 'k', sizeof(key));
		memcpy(key, PREFIX, 6);
		fl_strbuf_add(&b, "{\"kvs\":[{\"key\":\"");
		fl_base64_add(&b, key, 6 + len);
		fl_strbuf_add(&b, "\"}]}");
		doc = parse(b.s);
		assert_int_equal(fl_etcd_read_range(doc, PREFIX, &kvs, &page, NULL), 0);
		assert_int_equal(kvs.n, len == FL_ETCD_KEY_MAX);
		free(page.last);
		fl_etcd_kvs_clear(&kvs);
	}
}

static void txn_answers(void **state)
{
	FL_AUTOJSON json_t *doc =
		parse("{\"succeeded\":true,\"responses\":[{\"response_put\":{\"header\":{}}},"
		      "{\"response_range\":{\"kvs\":[{\"key\":\"L2MvdjEvYQ==\"}],\"count\":\"1\"}},"
		      "{\"response_delete_range\":{\"deleted\":\"3\"}},"
		      "{\"response_delete_range\":{}}]}");
	FL_AUTOJSON json_t *empty = parse("{}"), *odd = parse("{\"succeeded\":\"yes\"}");
	FL_AUTOJSON json_t *numbers = parse("{\"responses\":[1]}");
	struct fl_etcd_txn_answer a;
	struct fl_etcd_kvs kvs = { 0 };

	(void)state;
	assert_int_equal(fl_etcd_read_txn(doc, PREFIX, &kvs, &a, NULL), 0);
	assert_true(a.succeeded && a.count == 1 && a.deleted == 3 && kvs.n == 1);
	assert_int_equal(fl_etcd_read_txn(odd, PREFIX, &kvs, &a, NULL), -EBADMSG);
	assert_int_equal(fl_etcd_read_txn(numbers, PREFIX, &kvs, &a, NULL), -EBADMSG);
	assert_int_equal(fl_etcd_read_txn(empty, PREFIX, &kvs, &a, NULL), 0);
	assert_false(a.succeeded);
	fl_etcd_kvs_clear(&kvs);
}

static void wrong_headers(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"header\":null}",
		"{\"header\":[]}",
		"{\"header\":{}}",
		"{\"header\":{\"cluster_id\":\"-1\"}}",
		"{\"header\":{\"cluster_id\":\"1\",\"revision\":\"-1\"}}",
		"{\"header\":{\"cluster_id\":\"1 \"}}",
		"{\"header\":{\"cluster_id\":\"1\",\"revision\":\"9223372036854775807\"}}",
		"{\"header\":{\"cluster_id\":\"18446744073709551616\"}}",
		"{\"header\":{\"cluster_id\":\"1\",\"member_id\":true}}",
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++) {
		FL_AUTOJSON json_t *doc = parse(bad[i]);
		struct fl_etcd_header h;

		assert_int_equal(fl_etcd_read_header(doc, &h, NULL), -EBADMSG);
	}
}

static void documents(void **state)
{
	FL_AUTOFREE char *many = malloc(FL_ETCD_TOKENS_MAX + 2);
	json_t *doc = NULL;
	struct fl_error err;

	(void)state;
	assert_int_equal(fl_etcd_parse("[]", 2, &doc, &err), -EBADMSG);
	assert_int_equal(fl_etcd_parse("", 0, &doc, &err), -EBADMSG);
	assert_int_equal(fl_etcd_parse("{}x", 3, &doc, &err), -EBADMSG);
	assert_int_equal(fl_etcd_parse("{\"a\":\"\\u0000\"}", 14, &doc, &err), -EBADMSG);
	memset(many, '[', FL_ETCD_TOKENS_MAX + 1);
	/* refused for its depth by the parser, and for its tokens before it is parsed */
	assert_int_equal(fl_etcd_parse(many, 100000, &doc, &err), -EBADMSG);
	assert_int_equal(fl_etcd_parse(many, FL_ETCD_TOKENS_MAX + 1, &doc, &err), -E2BIG);
	/* commas in strings cost nothing */
	memset(many, ',', FL_ETCD_TOKENS_MAX + 1);
	memcpy(many, "{\"a\":\"\\\"", 8);
	memcpy(many + FL_ETCD_TOKENS_MAX - 1, "\"}", 2);
	assert_int_equal(fl_etcd_parse(many, FL_ETCD_TOKENS_MAX + 1, &doc, &err), 0);
	json_decref(doc);
}

static void refusals(void **state)
{
	static const struct {
		const char *text;
		int code; /* 0: none */
		const char *message;
	} cases[] = {
		{ "{\"error\":\"e\",\"message\":\"m\",\"code\":5}", 5, "m" },
		{ "{\"code\":7,\"message\":\"m\",\"details\":[]}", 7, "m" },
		{ "{\"error\":{\"grpc_code\":14,\"http_code\":503,\"message\":\"m\"}}", 14, "m" },
		{ "{\"error\":\"e\"}", 2, "e" },
		{ "{\"error\":[]}", 2, "no message" },
		{ "{\"error\":\"e\",\"code\":\"x\"}", 2, "e" },
		{ "{\"error\":\"e\",\"code\":1000}", 2, "e" },
		{ "{\"message\":\"a\\nb\\u0001c\",\"code\":3}", 3, "a b c" },
		{ "{}", 0, NULL },
		{ "{\"message\":\"m\"}", 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		FL_AUTOJSON json_t *doc = parse(cases[i].text);
		struct fl_etcd_refusal r;

		assert_int_equal(fl_etcd_read_refusal(doc, &r), cases[i].code != 0);
		if (!cases[i].code)
			continue;
		assert_int_equal(r.code, cases[i].code);
		assert_string_equal(r.message, cases[i].message);
	}
}

static void about_the_cluster(void **state)
{
	FL_AUTOJSON json_t *status = parse("{\"version\":\"3.4.23\",\"dbSize\":\"20480\","
					   "\"leader\":\"10276657743932975437\"}");
	FL_AUTOJSON json_t *members =
		parse("{\"members\":[{\"ID\":\"1\",\"name\":\"a\",\"clientURLs\":[\"http://x:1\"]},"
		      "{\"ID\":\"2\",\"isLearner\":true,\"clientURLs\":[7]}]}");
	FL_AUTOJSON json_t *alarms =
		parse("{\"alarms\":[{\"memberID\":\"1\",\"alarm\":\"NOSPACE\"},"
		      "{\"alarm\":\"CORRUPT\"},{\"alarm\":\"NONE\"}]}");
	FL_AUTOJSON json_t *odd = parse("{\"members\":[1],\"alarms\":[{\"alarm\":1}],"
					"\"version\":1}");
	struct fl_etcd_members m = { 0 };
	struct fl_etcd_status s;
	unsigned set;

	(void)state;
	assert_int_equal(fl_etcd_read_status(status, &s, NULL), 0);
	assert_true(s.leader == 10276657743932975437u && s.db_size == 20480 && !s.db_in_use);
	assert_int_equal(fl_etcd_read_members(members, &m, NULL), 0);
	assert_int_equal(m.n, 2);
	assert_string_equal(m.items[0].client_url, "http://x:1");
	assert_true(m.items[1].learner && !*m.items[1].client_url);
	free(m.items);
	assert_int_equal(fl_etcd_read_alarms(alarms, &set, NULL), 0);
	assert_int_equal(set, FL_ETCD_ALARM_NOSPACE | FL_ETCD_ALARM_CORRUPT);
	assert_int_equal(fl_etcd_read_status(odd, &s, NULL), -EBADMSG);
	assert_int_equal(fl_etcd_read_members(odd, &m, NULL), -EBADMSG);
	assert_int_equal(fl_etcd_read_alarms(odd, &set, NULL), -EBADMSG);
}

static void too_many_members(void **state)
{
	for (int n = FL_ETCD_MEMBERS_MAX; n <= FL_ETCD_MEMBERS_MAX + 1; n++) {
		FL_AUTOSTRBUF struct fl_strbuf b = { 0 };
		FL_AUTOJSON json_t *doc = NULL;
		struct fl_etcd_members m = { 0 };

		fl_strbuf_add(&b, "{\"members\":[{}");
		for (int i = 1; i < n; i++)
			fl_strbuf_add(&b, ",{}");
		fl_strbuf_add(&b, "]}");
		doc = parse(b.s);
		assert_int_equal(fl_etcd_read_members(doc, &m, NULL),
				 n > FL_ETCD_MEMBERS_MAX ? -EBADMSG : 0);
		free(m.items);
	}
	(void)state;
}

/* ---- watches ---- */

#define HEADER "\"header\":{\"cluster_id\":\"1\",\"member_id\":\"2\",\"revision\":\"9\"}"

static void watch_lines(void **state)
{
	static const char text[] =
		"{\"result\":{" HEADER ",\"fragment\":true,\"events\":["
		"{\"kv\":{\"key\":\"L2MvdjEvYQ==\",\"mod_revision\":\"5\",\"value\":\"MQ==\"}},"
		"{\"type\":\"DELETE\",\"kv\":{\"key\":\"L2MvdjEvYg==\",\"mod_revision\":\"6\"},"
		"\"prev_kv\":{\"key\":\"L2MvdjEvYg==\",\"mod_revision\":\"4\",\"value\":\"Mg==\"}},"
		"{\"kv\":{\"key\":\"L290aGVy\",\"mod_revision\":\"7\"}}]}}";
	struct fl_etcd_line l;

	(void)state;
	assert_int_equal(fl_etcd_read_line(text, sizeof(text) - 1, PREFIX, &l, NULL), 0);
	assert_true(l.fragment && !l.created && !l.canceled && !l.refused);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.ignored, 1);
	assert_int_equal(l.last, 7);
	assert_false(l.events[0].deleted);
	assert_string_equal(l.events[0].kv.value, "1");
	assert_null(l.events[0].prev.key);
	assert_true(l.events[1].deleted);
	assert_string_equal(l.events[1].prev.value, "2");
	fl_etcd_line_clear(&l);
}

static void watch_words(void **state)
{
	static const char created[] = "{\"result\":{" HEADER ",\"created\":true}}";
	static const char compacted[] = "{\"result\":{" HEADER ",\"canceled\":true,"
					"\"compact_revision\":\"6\",\"cancel_reason\":\"why\"}}";
	static const char refused[] = "{\"error\":{\"grpc_code\":14,\"http_code\":503,"
				      "\"message\":\"etcdserver: no leader\"}}";
	struct fl_etcd_line l;

	(void)state;
	assert_int_equal(fl_etcd_read_line(created, sizeof(created) - 1, PREFIX, &l, NULL), 0);
	assert_true(l.created && l.header.revision == 9);
	assert_int_equal(fl_etcd_read_line(compacted, sizeof(compacted) - 1, PREFIX, &l, NULL), 0);
	assert_true(l.canceled && l.compact_revision == 6);
	assert_string_equal(l.reason, "why");
	assert_int_equal(fl_etcd_read_line(refused, sizeof(refused) - 1, PREFIX, &l, NULL), 0);
	assert_true(l.refused && l.refusal.code == 14);
}

static void wrong_lines(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"result\":[]}",
		"{\"result\":{}}",
		"{\"result\":{" HEADER ",\"events\":{}}}",
		"{\"result\":{" HEADER ",\"events\":[1]}}",
		"{\"result\":{" HEADER ",\"events\":[{}]}}",
		"{\"result\":{" HEADER ",\"events\":[{\"type\":\"MOVE\",\"kv\":{}}]}}",
		"{\"result\":{" HEADER ",\"events\":[{\"kv\":{\"key\":\"L2MvdjEvYQ==\"}}]}}",
		"{\"result\":{" HEADER ",\"events\":[{\"kv\":{\"key\":\"L2MvdjEvYQ==\","
		"\"mod_revision\":\"-5\"}}]}}",
		"{\"result\":{" HEADER ",\"events\":[{\"kv\":{\"key\":\"L2MvdjEvYQ==\","
		"\"mod_revision\":\"9223372036854775807\"}}]}}",
		"{\"result\":{" HEADER ",\"events\":[{\"kv\":{\"key\":\"L2MvdjEvYQ==\","
		"\"mod_revision\":\"5\"},\"prev_kv\":7}]}}",
		"{\"result\":{" HEADER ",\"compact_revision\":{}}}",
		"{\"result\":{" HEADER ",\"cancel_reason\":1}}",
	};

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++) {
		struct fl_etcd_line l = { .n = 77 };
		struct fl_error err;

		assert_int_equal(fl_etcd_read_line(bad[i], strlen(bad[i]), PREFIX, &l, &err),
				 -EBADMSG);
		assert_int_equal(l.n, 77);
	}
}

/* The same lines, in pieces of every size. */
static void lines_in_pieces(void **state)
{
	static const char text[] = "one\n\n\ntwo two\nthree\n";
	static const char *const want[] = { "one", "two two", "three" };

	(void)state;
	for (size_t step = 1; step <= sizeof(text); step++) {
		struct fl_etcd_lines l = { 0 };
		const char *line;
		size_t len, n = 0;

		for (size_t i = 0; i < sizeof(text) - 1; i += step) {
			size_t part = sizeof(text) - 1 - i < step ? sizeof(text) - 1 - i : step;

			assert_int_equal(fl_etcd_lines_add(&l, text + i, part), 0);
			while (fl_etcd_lines_next(&l, &line, &len)) {
				assert_true(n < 3);
				assert_int_equal(len, strlen(want[n]));
				assert_memory_equal(line, want[n++], len);
			}
		}
		assert_int_equal(n, 3);
		fl_etcd_lines_clear(&l);
	}
}

/* Small pieces: each byte is searched once, or this takes minutes. */
#define PIECE 4096
static void longest_line(void **state)
{
	FL_AUTOFREE char *piece = malloc(PIECE);
	struct fl_etcd_lines l = { 0 };
	const char *line;
	size_t len, n = 0;
	int r = 0;

	(void)state;
	memset(piece, 'x', PIECE);
	for (; !r && n <= FL_ETCD_LINE_MAX; n += PIECE) {
		r = fl_etcd_lines_add(&l, piece, PIECE);
		assert_false(fl_etcd_lines_next(&l, &line, &len));
	}
	assert_int_equal(r, -E2BIG);
	assert_int_equal(n, FL_ETCD_LINE_MAX + (PIECE));
	fl_etcd_lines_clear(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_of_rfc4648), cmocka_unit_test(base64_of_every_byte),
		cmocka_unit_test(base64_refused),    cmocka_unit_test(golden_ranges),
		cmocka_unit_test(range_ends),	     cmocka_unit_test(golden_watch),
		cmocka_unit_test(golden_txn),	     cmocka_unit_test(limits_of_txns),
		cmocka_unit_test(faults_of_txns),    cmocka_unit_test(header_and_range),
		cmocka_unit_test(wrong_ranges),	     cmocka_unit_test(key_sizes),
		cmocka_unit_test(txn_answers),	     cmocka_unit_test(wrong_headers),
		cmocka_unit_test(documents),	     cmocka_unit_test(refusals),
		cmocka_unit_test(about_the_cluster), cmocka_unit_test(too_many_members),
		cmocka_unit_test(watch_lines),	     cmocka_unit_test(watch_words),
		cmocka_unit_test(wrong_lines),	     cmocka_unit_test(lines_in_pieces),
		cmocka_unit_test(longest_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
