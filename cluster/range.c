/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ranges in pages of one revision. */
#include "cluster/client.h"

#include <errno.h>
#include <string.h>

static size_t got(const struct fl_etcd_call *call)
{
	return call->result.kvs.n + call->result.kvs.ignored;
}

/* The body of the next page; `from` NULL: of the first. */
static void write_page(struct fl_etcd_call *call, const void *from, size_t len)
{
	const struct fl_etcd_range *q = &call->range;
	unsigned page = q->page ? q->page : FL_ETCD_PAGE;

	if (q->limit && q->limit - got(call) < page)
		page = (unsigned)(q->limit - got(call));
	fl_strbuf_clear(&call->body);
	fl_etcd_range_body(&call->body, call->c->prefix, q, from, len,
			   q->prefix && !q->count_only ? page : 0);
}

bool range_restart(struct fl_etcd_call *call)
{
	if (!call->key || call->pinned || !call->range.revision ||
	    call->restarts++ >= PAGING_RESTARTS)
		return false;
	fl_etcd_kvs_clear(&call->result.kvs);
	free(call->last);
	call->last = NULL;
	call->range.revision = 0;
	write_page(call, NULL, 0);
	return !call->body.failed;
}

/* Pages must go on, or a server could keep us reading for ever. */
static int check_progress(struct fl_etcd_call *call, const struct fl_etcd_page *page,
			  struct fl_error *err)
{
	const struct fl_etcd_kvs *k = &call->result.kvs;
	size_t n = page->last_len < call->last_len ? page->last_len : call->last_len;
	int order = call->last && page->last ? memcmp(page->last, call->last, n) : 1;

	if (got(call) > FL_ETCD_RANGE_KEYS || k->bytes > FL_ETCD_RANGE_BYTES)
		return fl_error_set(err, E2BIG, FL_ECODE_IO,
				    "a range of more than %d keys or %d MiB", FL_ETCD_RANGE_KEYS,
				    FL_ETCD_RANGE_BYTES >> 20);
	if (order < 0 || (!order && page->last_len <= call->last_len))
		return fl_error_set(err, EBADMSG, FL_ECODE_IO, "kvs: a page that does not go on");
	return 0;
}

/* Takes page->last. */
static int next_page(struct fl_etcd_call *call, struct fl_etcd_page *page, struct fl_error *err)
{
	int r = check_progress(call, page, err);

	if (r || !page->more || !page->last ||
	    (call->range.limit && got(call) >= call->range.limit)) {
		free(page->last);
		return r;
	}
	free(call->last);
	call->last = page->last; /* with a zero byte after it: see read_bytes() */
	call->last_len = page->last_len;
	if (!call->range.revision)
		call->range.revision = call->result.header.revision;
	call->last[call->last_len] = '\0';
	write_page(call, call->last, call->last_len + 1);
	return call->body.failed ? fl_error_oom(err) : 1;
}

static int read_page(struct fl_etcd_call *call, const json_t *doc, enum fl_etcd_outcome *outcome,
		     struct fl_error *err)
{
	size_t ignored = call->result.kvs.ignored;
	struct fl_etcd_page page;
	int r = fl_etcd_read_range(doc, call->c->prefix, &call->result.kvs, &page, err);

	(void)outcome;
	if (r)
		return r;
	call->c->stats.ignored_keys += call->result.kvs.ignored - ignored;
	if (!call->last)
		call->result.count = page.count;
	r = next_page(call, &page, err);
	/* What was read is of this revision, whatever the cluster's is by now. */
	if (!r && call->range.revision)
		call->result.header.revision = call->range.revision;
	return r;
}

static int check(const struct fl_etcd_range *q, struct fl_error *err)
{
	size_t len = strlen(q->key);

	if (len > FL_ETCD_KEY_MAX || (!len && !q->prefix) || q->revision < 0)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "etcd: a range of key \"%.64s\" at revision %lld: expected a "
				    "key of 1 to %d bytes and a revision from 0 on",
				    q->key, (long long)q->revision, FL_ETCD_KEY_MAX);
	return 0;
}

int fl_etcd_range(struct fl_etcd *c, const struct fl_etcd_range *q, fl_etcd_fn done, void *arg,
		  struct fl_etcd_call **ret, struct fl_error *err)
{
	struct fl_etcd_call *call;
	int r = check(q, err);

	if (!r)
		r = call_new(c, "/kv/range", done, arg, &call, err);
	if (r)
		return r;
	call->range = *q;
	call->pinned = q->revision;
	call->key = strdup(q->key);
	if (!call->key) {
		call_free(call);
		return fl_error_oom(err);
	}
	call->range.key = call->key;
	call->leader = call->consistent = !q->serializable;
	call->answer = read_page;
	write_page(call, NULL, 0);
	r = call_start(call, err);
	if (!r && ret)
		*ret = call;
	return r;
}
