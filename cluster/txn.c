/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bodies of requests. */
#include "cluster/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const list_names[] = { "compare", "success", "failure" };
/* By enum fl_etcd_target: the name of the target, and of the field with the value. */
static const char *const targets[][2] = {
	{ "CREATE", "create_revision" },
	{ "MOD", "mod_revision" },
	{ "VERSION", "version" },
	{ "LEASE", "lease" },
	{ "VALUE", "value" },
};
static const char *const relations[] = { "EQUAL", "NOT_EQUAL", "LESS", "GREATER" };

/* ---- keys ---- */

static void add_bytes(struct fl_strbuf *b, const char *name, const void *data, size_t n)
{
	fl_strbuf_addf(b, "\"%s\":\"", name);
	fl_base64_add(b, data, n);
	fl_strbuf_add(b, "\"");
}

static void add_key(struct fl_strbuf *b, const char *name, const char *prefix, const char *key)
{
	FL_AUTOSTRBUF struct fl_strbuf whole = { 0 };

	fl_strbuf_add(&whole, prefix);
	fl_strbuf_add(&whole, key);
	if (whole.failed)
		b->failed = true;
	else
		add_bytes(b, name, whole.s, whole.len);
}

/* The end of the range of all keys that begin with prefix and key: their last byte plus one. */
static void add_range_end(struct fl_strbuf *b, const char *prefix, const char *key)
{
	FL_AUTOSTRBUF struct fl_strbuf end = { 0 };

	fl_strbuf_add(&end, prefix);
	fl_strbuf_add(&end, key);
	while (end.len && (uint8_t)end.s[end.len - 1] == 0xff)
		end.len--;
	if (end.failed)
		b->failed = true;
	else if (!end.len) /* everything: a single zero byte */
		add_bytes(b, "range_end", "", 1);
	else {
		end.s[end.len - 1]++;
		add_bytes(b, "range_end", end.s, end.len);
	}
}

static void add_number(struct fl_strbuf *b, const char *name, int64_t n)
{
	fl_strbuf_addf(b, "\"%s\":\"%" PRId64 "\"", name, n);
}

/* ---- ranges and watches ---- */

void fl_etcd_range_body(struct fl_strbuf *b, const char *prefix, const struct fl_etcd_range *q,
			const void *from, size_t from_len, unsigned limit)
{
	fl_strbuf_add(b, "{");
	if (from)
		add_bytes(b, "key", from, from_len);
	else
		add_key(b, "key", prefix, q->key);
	if (q->prefix) {
		fl_strbuf_add(b, ",");
		add_range_end(b, prefix, q->key);
	}
	if (q->keys_only)
		fl_strbuf_add(b, ",\"keys_only\":true");
	if (q->count_only)
		fl_strbuf_add(b, ",\"count_only\":true");
	if (q->serializable)
		fl_strbuf_add(b, ",\"serializable\":true");
	if (q->revision) {
		fl_strbuf_add(b, ",");
		add_number(b, "revision", q->revision);
	}
	if (limit) {
		fl_strbuf_add(b, ",");
		add_number(b, "limit", limit);
	}
	fl_strbuf_add(b, "}");
}

void fl_etcd_watch_body(struct fl_strbuf *b, const char *prefix, const char *key, int64_t revision)
{
	fl_strbuf_add(b, "{\"create_request\":{");
	add_key(b, "key", prefix, key);
	fl_strbuf_add(b, ",");
	add_range_end(b, prefix, key);
	fl_strbuf_add(b, ",\"prev_kv\":true,\"progress_notify\":true,\"fragment\":true");
	if (revision) {
		fl_strbuf_add(b, ",");
		add_number(b, "start_revision", revision);
	}
	fl_strbuf_add(b, "}}");
}

/* ---- transactions ---- */

void fl_etcd_txn_init(struct fl_etcd_txn *t, const char *prefix)
{
	*t = (struct fl_etcd_txn){ .reads_only = true };
	if (strlen(prefix) >= sizeof(t->prefix))
		t->fault = "its prefix is too long";
	else
		fl_strcpy(t->prefix, sizeof(t->prefix), prefix);
}

void fl_etcd_txn_clear(struct fl_etcd_txn *t)
{
	for (int i = 0; i < FL_ETCD_LISTS; i++)
		fl_strbuf_clear(&t->list[i]);
}

/* Begins another item, or NULL when there is nothing to be built any more. */
static struct fl_strbuf *item(struct fl_etcd_txn *t, enum fl_etcd_list list, const char *key,
			      bool may_be_empty)
{
	size_t len = strlen(key);

	if (!t->fault && len > FL_ETCD_KEY_MAX)
		t->fault = "a key is longer than 512 bytes";
	if (!t->fault && !len && !may_be_empty)
		t->fault = "a key is empty";
	if (t->fault || t->n[list] > FL_ETCD_TXN_OPS)
		return NULL;
	if (t->n[list]++)
		fl_strbuf_add(&t->list[list], ",");
	return &t->list[list];
}

/* All but the value, which the caller adds with the closing brace. */
static struct fl_strbuf *compare(struct fl_etcd_txn *t, const char *key, enum fl_etcd_target target,
				 enum fl_etcd_relation rel, bool prefix)
{
	struct fl_strbuf *b = item(t, FL_ETCD_COMPARES, key, false);

	if (!b)
		return NULL;
	fl_strbuf_addf(b, "{\"target\":\"%s\",\"result\":\"%s\",", targets[target][0],
		       relations[rel]);
	add_key(b, "key", t->prefix, key);
	fl_strbuf_add(b, ",");
	if (prefix) {
		add_range_end(b, t->prefix, key);
		fl_strbuf_add(b, ",");
	}
	return b;
}

static void compare_number(struct fl_etcd_txn *t, const char *key, enum fl_etcd_target target,
			   enum fl_etcd_relation rel, int64_t n, bool prefix)
{
	struct fl_strbuf *b = compare(t, key, target, rel, prefix);

	if (!b)
		return;
	add_number(b, targets[target][1], n);
	fl_strbuf_add(b, "}");
}

void fl_etcd_txn_if(struct fl_etcd_txn *t, const char *key, enum fl_etcd_target target,
		    enum fl_etcd_relation rel, int64_t n)
{
	compare_number(t, key, target, rel, n, false);
}

void fl_etcd_txn_if_each(struct fl_etcd_txn *t, const char *prefix, enum fl_etcd_target target,
			 enum fl_etcd_relation rel, int64_t n)
{
	compare_number(t, prefix, target, rel, n, true);
}

void fl_etcd_txn_if_value(struct fl_etcd_txn *t, const char *key, enum fl_etcd_relation rel,
			  const void *value, size_t len)
{
	struct fl_strbuf *b = compare(t, key, FL_ETCD_T_VALUE, rel, false);

	if (!b)
		return;
	add_bytes(b, targets[FL_ETCD_T_VALUE][1], value, len);
	fl_strbuf_add(b, "}");
}

void fl_etcd_txn_put(struct fl_etcd_txn *t, enum fl_etcd_list list, const char *key,
		     const void *value, size_t len, int64_t lease)
{
	struct fl_strbuf *b;

	if (!t->fault && len > FL_ETCD_VALUE_MAX)
		t->fault = "a value is larger than 1 MiB";
	b = item(t, list, key, false);
	if (!b)
		return;
	t->reads_only = false;
	fl_strbuf_add(b, "{\"request_put\":{");
	add_key(b, "key", t->prefix, key);
	fl_strbuf_add(b, ",");
	add_bytes(b, "value", value, len);
	if (lease) {
		fl_strbuf_add(b, ",");
		add_number(b, "lease", lease);
	}
	fl_strbuf_add(b, "}}");
}

void fl_etcd_txn_delete(struct fl_etcd_txn *t, enum fl_etcd_list list, const char *key, bool prefix)
{
	struct fl_strbuf *b = item(t, list, key, prefix);

	if (!b)
		return;
	t->reads_only = false;
	fl_strbuf_add(b, "{\"request_delete_range\":{");
	add_key(b, "key", t->prefix, key);
	if (prefix) {
		fl_strbuf_add(b, ",");
		add_range_end(b, t->prefix, key);
	}
	fl_strbuf_add(b, "}}");
}

void fl_etcd_txn_range(struct fl_etcd_txn *t, enum fl_etcd_list list, const struct fl_etcd_range *q)
{
	struct fl_strbuf *b = item(t, list, q->key, q->prefix);

	if (!b)
		return;
	fl_strbuf_add(b, "{\"request_range\":");
	fl_etcd_range_body(b, t->prefix, q, NULL, 0, q->limit);
	fl_strbuf_add(b, "}");
}

int fl_etcd_txn_check(const struct fl_etcd_txn *t, struct fl_error *err)
{
	if (t->fault)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "etcd: this transaction cannot be sent: %s", t->fault);
	for (int i = 0; i < FL_ETCD_LISTS; i++) {
		if (t->n[i] > FL_ETCD_TXN_OPS)
			return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
					    "etcd: this transaction cannot be sent: more than %d "
					    "operations in %s; split it",
					    FL_ETCD_TXN_OPS, list_names[i]);
		if (t->list[i].failed)
			return fl_error_oom(err);
	}
	if (!t->n[FL_ETCD_SUCCESS] && !t->n[FL_ETCD_FAILURE])
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "etcd: this transaction cannot be sent: it has no operation");
	return 0;
}

void fl_etcd_txn_body(const struct fl_etcd_txn *t, struct fl_strbuf *b)
{
	for (int i = 0; i < FL_ETCD_LISTS; i++) {
		fl_strbuf_addf(b, "%s\"%s\":[", i ? "," : "{", list_names[i]);
		if (t->list[i].len)
			fl_strbuf_addn(b, t->list[i].s, t->list[i].len);
		fl_strbuf_add(b, "]");
	}
	fl_strbuf_add(b, "}");
}
