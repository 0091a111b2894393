/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers with keys: ranges, transactions. */
#include "cluster/kv.h"

#include <errno.h>
#include <string.h>

void fl_etcd_kvs_clear(struct fl_etcd_kvs *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->items[i].key);
	free(k->items);
	*k = (struct fl_etcd_kvs){ 0 };
}

/* Bytes from the base64 of a member; absent is none. `*ret` is owned, of one byte at least. */
static int read_bytes(const json_t *obj, const char *key, uint8_t **ret, size_t *ret_len,
		      struct fl_error *err)
{
	FL_AUTOFREE uint8_t *bytes = NULL;
	const char *text;
	size_t len;
	int r = fl_etcd_text(obj, key, &text, err);

	if (r)
		return r;
	len = strlen(text);
	bytes = malloc(fl_base64_room(len) + 1);
	if (!bytes)
		return fl_error_oom(err);
	if (fl_base64_decode(text, len, bytes, ret_len))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO, "%s: expected base64, not \"%.32s\"",
				    key, text);
	*ret = fl_take_ptr(bytes);
	return 0;
}

static int read_numbers(const json_t *obj, struct fl_etcd_kv *kv, struct fl_error *err)
{
	int r = fl_etcd_int(obj, "create_revision", &kv->create_revision, err);

	if (!r)
		r = fl_etcd_int(obj, "mod_revision", &kv->mod_revision, err);
	if (!r)
		r = fl_etcd_int(obj, "version", &kv->version, err);
	if (!r)
		r = fl_etcd_int(obj, "lease", &kv->lease, err);
	return r;
}

/* Is it below the prefix, and text? */
static bool is_ours(const uint8_t *key, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len > n && len - n <= FL_ETCD_KEY_MAX && !memcmp(key, prefix, n) &&
	       !memchr(key, '\0', len);
}

int fl_etcd_read_key(const json_t *obj, uint8_t **ret, size_t *ret_len, struct fl_error *err)
{
	return read_bytes(obj, "key", ret, ret_len, err);
}

/* `key` and the value of `obj`, one after the other in memory of their own. */
static int fill(const json_t *obj, const char *key, size_t len, struct fl_etcd_kv *kv,
		struct fl_error *err)
{
	FL_AUTOFREE uint8_t *value = NULL;
	char *both;
	int r = read_bytes(obj, "value", &value, &kv->value_len, err);

	if (r)
		return r;
	both = malloc(len + kv->value_len + 2);
	if (!both)
		return fl_error_oom(err);
	memcpy(both, key, len);
	both[len] = '\0';
	memcpy(both + len + 1, value, kv->value_len);
	both[len + 1 + kv->value_len] = '\0';
	kv->key = both;
	kv->key_len = len;
	kv->value = both + len + 1;
	return 0;
}

int fl_etcd_read_kv(const json_t *obj, const char *prefix, struct fl_etcd_kv *ret,
		    struct fl_error *err)
{
	FL_AUTOFREE uint8_t *key = NULL;
	struct fl_etcd_kv kv = { 0 };
	size_t len, skip = strlen(prefix);
	int r;

	if (!json_is_object(obj))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO, "kvs: expected objects");
	r = read_numbers(obj, &kv, err);
	if (!r)
		r = fl_etcd_read_key(obj, &key, &len, err);
	if (!r && is_ours(key, len, prefix))
		r = fill(obj, (const char *)key + skip, len - skip, &kv, err);
	if (!r)
		*ret = kv;
	return r;
}

static int append(struct fl_etcd_kvs *k, const struct fl_etcd_kv *kv, struct fl_error *err)
{
	size_t cap = k->cap ? 2 * k->cap : 16;
	struct fl_etcd_kv *items;

	if (k->n == k->cap) {
		items = realloc(k->items, cap * sizeof(*items));
		if (!items)
			return fl_error_oom(err);
		k->items = items;
		k->cap = cap;
	}
	k->items[k->n++] = *kv;
	k->bytes += kv->key_len + kv->value_len;
	return 0;
}

static int read_one(const json_t *obj, const char *prefix, struct fl_etcd_kvs *kvs,
		    struct fl_error *err)
{
	struct fl_etcd_kv kv;
	int r = fl_etcd_read_kv(obj, prefix, &kv, err);

	if (!r && !kv.key)
		kvs->ignored++;
	else if (!r) {
		r = append(kvs, &kv, err);
		if (r)
			free(kv.key);
	}
	return r;
}

/* Takes back what was appended after `n`. */
static void cut(struct fl_etcd_kvs *k, size_t n, size_t ignored)
{
	while (k->n > n) {
		struct fl_etcd_kv *kv = &k->items[--k->n];

		k->bytes -= kv->key_len + kv->value_len;
		free(kv->key);
	}
	k->ignored = ignored;
}

/* The list `name`, NULL when absent. */
static int list_of(const json_t *obj, const char *name, const json_t **ret, struct fl_error *err)
{
	const json_t *v = json_object_get(obj, name);

	if (v && !json_is_null(v) && !json_is_array(v))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO, "%s: expected a list, not %s", name,
				    fl_json_kind(v));
	*ret = v;
	return 0;
}

static int read_list(const json_t *answer, const char *prefix, struct fl_etcd_kvs *kvs,
		     const json_t **ret, struct fl_error *err)
{
	size_t n = kvs->n, ignored = kvs->ignored;
	const json_t *list = NULL;
	int r = list_of(answer, "kvs", &list, err);

	for (size_t i = 0; !r && i < json_array_size(list); i++)
		r = read_one(json_array_get(list, i), prefix, kvs, err);
	if (r)
		cut(kvs, n, ignored);
	else
		*ret = list;
	return r;
}

int fl_etcd_read_range(const json_t *answer, const char *prefix, struct fl_etcd_kvs *kvs,
		       struct fl_etcd_page *ret, struct fl_error *err)
{
	struct fl_etcd_page page = { .more = json_is_true(json_object_get(answer, "more")) };
	size_t n = kvs->n, ignored = kvs->ignored, size;
	const json_t *list = NULL;
	int r = fl_etcd_int(answer, "count", &page.count, err);

	if (!r)
		r = read_list(answer, prefix, kvs, &list, err);
	if (r)
		return r;
	size = json_array_size(list);
	if (size)
		r = fl_etcd_read_key(json_array_get(list, size - 1), &page.last, &page.last_len,
				     err);
	if (r)
		cut(kvs, n, ignored);
	else
		*ret = page;
	return r;
}

/* One of the answers to the operations of a transaction. */
static int read_response(const json_t *item, const char *prefix, struct fl_etcd_kvs *kvs,
			 struct fl_etcd_txn_answer *a, struct fl_error *err)
{
	const json_t *range = json_object_get(item, "response_range");
	const json_t *deletion = json_object_get(item, "response_delete_range");
	const json_t *list = NULL;
	int64_t n = 0;
	int r = 0;

	if (!json_is_object(item))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO, "responses: expected objects");
	if (range) {
		r = fl_etcd_int(range, "count", &n, err);
		if (!r)
			r = read_list(range, prefix, kvs, &list, err);
		a->count += r || n < 0 || n > INT32_MAX ? 0 : n;
	} else if (deletion) {
		r = fl_etcd_int(deletion, "deleted", &n, err);
		a->deleted += r || n < 0 || n > INT32_MAX ? 0 : n;
	}
	return r;
}

int fl_etcd_read_txn(const json_t *answer, const char *prefix, struct fl_etcd_kvs *kvs,
		     struct fl_etcd_txn_answer *ret, struct fl_error *err)
{
	const json_t *list = NULL, *succeeded = json_object_get(answer, "succeeded");
	struct fl_etcd_txn_answer a = { .succeeded = json_is_true(succeeded) };
	size_t n = kvs->n, ignored = kvs->ignored;
	int r = list_of(answer, "responses", &list, err);

	if (succeeded && !json_is_boolean(succeeded))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO,
				    "succeeded: expected a boolean, not %s",
				    fl_json_kind(succeeded));
	for (size_t i = 0; !r && i < json_array_size(list); i++)
		r = read_response(json_array_get(list, i), prefix, kvs, &a, err);
	if (r)
		cut(kvs, n, ignored);
	else
		*ret = a;
	return r;
}
