/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an etcd server, or anyone in its place, may answer. The first byte chooses how it is read.
 */
#include "cluster/wire.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX "/c/v1/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_kv(const struct fl_etcd_kv *kv)
{
	must(kv->key_len > 0 && kv->key_len <= FL_ETCD_KEY_MAX);
	must(strlen(kv->key) == kv->key_len && !kv->value[kv->value_len]);
}

static void check_kvs(struct fl_etcd_kvs *kvs)
{
	size_t bytes = 0;

	for (size_t i = 0; i < kvs->n; i++) {
		check_kv(&kvs->items[i]);
		bytes += kvs->items[i].key_len + kvs->items[i].value_len;
	}
	must(bytes == kvs->bytes);
	fl_etcd_kvs_clear(kvs);
}

static void read_range(const json_t *doc)
{
	struct fl_etcd_kvs kvs = { 0 };
	struct fl_etcd_page page = { 0 };

	if (fl_etcd_read_range(doc, PREFIX, &kvs, &page, NULL))
		must(!kvs.n && !kvs.bytes && !page.last);
	check_kvs(&kvs);
	free(page.last);
}

static void read_others(const json_t *doc)
{
	struct fl_etcd_kvs kvs = { 0 };
	struct fl_etcd_txn_answer a;
	struct fl_etcd_members m = { 0 };
	struct fl_etcd_status s;
	struct fl_etcd_header h;
	struct fl_etcd_refusal r;
	unsigned alarms;

	fl_etcd_read_txn(doc, PREFIX, &kvs, &a, NULL);
	check_kvs(&kvs);
	if (!fl_etcd_read_members(doc, &m, NULL))
		must(m.n <= FL_ETCD_MEMBERS_MAX);
	free(m.items);
	fl_etcd_read_status(doc, &s, NULL);
	fl_etcd_read_alarms(doc, &alarms, NULL);
	if (!fl_etcd_read_header(doc, &h, NULL))
		must(h.cluster_id && h.revision >= 0);
	if (fl_etcd_read_refusal(doc, &r))
		must(r.code > 0 && r.code < 100 && strlen(r.message) < sizeof(r.message));
}

static void read_document(const uint8_t *data, size_t size)
{
	json_t *doc;
	struct fl_error err;

	if (fl_etcd_parse((const char *)data, size, &doc, &err))
		return;
	read_range(doc);
	read_others(doc);
	json_decref(doc);
}

static void read_line(const char *text, size_t len)
{
	struct fl_etcd_line l;
	struct fl_error err;

	if (fl_etcd_read_line(text, len, PREFIX, &l, &err))
		return;
	for (size_t i = 0; i < l.n; i++) {
		check_kv(&l.events[i].kv);
		if (l.events[i].prev.key)
			check_kv(&l.events[i].prev);
		must(l.events[i].kv.mod_revision > 0 && l.events[i].kv.mod_revision <= l.last);
	}
	must(!l.refused || !l.n);
	fl_etcd_line_clear(&l);
}

static size_t count_lines(const uint8_t *data, size_t size, size_t step, bool read)
{
	struct fl_etcd_lines l = { 0 };
	const char *line;
	size_t len, n = 0;

	for (size_t i = 0; i < size; i += step) {
		must(!fl_etcd_lines_add(&l, data + i, size - i < step ? size - i : step));
		while (fl_etcd_lines_next(&l, &line, &len)) {
			must(len && !memchr(line, '\n', len));
			if (read)
				read_line(line, len);
			n++;
		}
	}
	fl_etcd_lines_clear(&l);
	return n;
}

static void decode(const uint8_t *data, size_t size)
{
	uint8_t *out = malloc(fl_base64_room(size) + 1);
	struct fl_strbuf b = { 0 };
	size_t n;

	must(out);
	fl_strbuf_add(&b, "");
	if (!fl_base64_decode((const char *)data, size, out, &n)) {
		must(n <= fl_base64_room(size));
		fl_base64_add(&b, out, n);
		must(b.len == size && !memcmp(b.s, data, size));
	}
	fl_strbuf_clear(&b);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t lines;

	if (size < 1)
		return 0;
	switch (data[0]) {
	case 'd':
		read_document(data + 1, size - 1);
		break;
	case 'w':
		lines = count_lines(data + 1, size - 1, size, true);
		must(count_lines(data + 1, size - 1, 1 + size / 7, false) == lines);
		break;
	case 'b':
		decode(data + 1, size - 1);
		break;
	}
	return 0;
}
