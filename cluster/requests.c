/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transactions, leases, questions about the cluster; and waiting for them. */
#include "cluster/client.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void fl_etcd_result_clear(struct fl_etcd_result *r)
{
	fl_etcd_kvs_clear(&r->kvs);
	free(r->members.items);
	*r = (struct fl_etcd_result){ 0 };
}

static int start(struct fl_etcd_call *call, struct fl_etcd_call **ret, struct fl_error *err)
{
	int r = call_start(call, err);

	if (!r && ret)
		*ret = call;
	return r;
}

/* ---- transactions ---- */

static int read_txn(struct fl_etcd_call *call, const json_t *doc, enum fl_etcd_outcome *outcome,
		    struct fl_error *err)
{
	struct fl_etcd_txn_answer a;
	int r = fl_etcd_read_txn(doc, call->c->prefix, &call->result.kvs, &a, err);

	if (r)
		return r;
	call->c->stats.ignored_keys += call->result.kvs.ignored;
	call->result.count = a.count;
	call->result.deleted = a.deleted;
	*outcome = a.succeeded ? FL_ETCD_OK : FL_ETCD_COMPARE;
	return 0;
}

int fl_etcd_txn(struct fl_etcd *c, const struct fl_etcd_txn *t, fl_etcd_fn done, void *arg,
		struct fl_etcd_call **ret, struct fl_error *err)
{
	struct fl_etcd_call *call;
	int r = fl_etcd_txn_check(t, err);

	if (!r)
		r = call_new(c, "/kv/txn", done, arg, &call, err);
	if (r)
		return r;
	fl_etcd_txn_body(t, &call->body);
	call->write = !t->reads_only;
	call->leader = call->consistent = true;
	call->answer = read_txn;
	return start(call, ret, err);
}

int fl_etcd_put(struct fl_etcd *c, const char *key, const void *value, size_t len, int64_t lease,
		fl_etcd_fn done, void *arg, struct fl_etcd_call **ret, struct fl_error *err)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;

	fl_etcd_txn_init(&t, c->prefix);
	fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, key, value, len, lease);
	return fl_etcd_txn(c, &t, done, arg, ret, err);
}

int fl_etcd_delete(struct fl_etcd *c, const char *key, fl_etcd_fn done, void *arg,
		   struct fl_etcd_call **ret, struct fl_error *err)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;

	fl_etcd_txn_init(&t, c->prefix);
	fl_etcd_txn_delete(&t, FL_ETCD_SUCCESS, key, false);
	return fl_etcd_txn(c, &t, done, arg, ret, err);
}

/* ---- leases ---- */

static int read_lease(struct fl_etcd_call *call, const json_t *doc, enum fl_etcd_outcome *outcome,
		      struct fl_error *err)
{
	struct fl_etcd_result *res = &call->result;
	int64_t id, ttl, granted;
	int r = fl_etcd_int(doc, "ID", &id, err);

	if (!r)
		r = fl_etcd_int(doc, "TTL", &ttl, err);
	if (!r)
		r = fl_etcd_int(doc, "grantedTTL", &granted, err);
	if (!r && res->lease && id != res->lease)
		r = fl_error_set(err, EBADMSG, FL_ECODE_IO, "ID: another lease than the one named");
	if (r)
		return r;
	if (ttl <= 0) { /* keepalive: no TTL; timetolive: -1 */
		fl_error_set(err, ENOENT, FL_ECODE_IO,
			     "etcd %s: lease %" PRIx64 " has ended; grant another",
			     call->c->endpoints.list[call->endpoint].url, (uint64_t)res->lease);
		*outcome = FL_ETCD_LOST;
	}
	res->lease = id;
	res->ttl = ttl;
	res->granted = granted;
	return 0;
}

static int read_nothing(struct fl_etcd_call *call, const json_t *doc, enum fl_etcd_outcome *outcome,
			struct fl_error *err)
{
	(void)call;
	(void)doc;
	(void)outcome;
	(void)err;
	return 0;
}

int fl_etcd_lease_grant(struct fl_etcd *c, int64_t seconds, fl_etcd_fn done, void *arg,
			struct fl_etcd_call **ret, struct fl_error *err)
{
	struct fl_etcd_call *call;
	int r;

	if (seconds < 1 || seconds > 86400)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "etcd: a lease of %" PRId64 " s: expected 1 to 86,400",
				    seconds);
	r = call_new(c, "/lease/grant", done, arg, &call, err);
	if (r)
		return r;
	fl_strbuf_addf(&call->body, "{\"TTL\":\"%" PRId64 "\"}", seconds);
	call->leader = true;
	call->answer = read_lease;
	return start(call, ret, err);
}

int fl_etcd_lease(struct fl_etcd *c, enum fl_etcd_lease_op op, int64_t id, fl_etcd_fn done,
		  void *arg, struct fl_etcd_call **ret, struct fl_error *err)
{
	static const char *const paths[] = { LEASE_KEEPALIVE, "/lease/revoke",
					     "/lease/timetolive" };
	struct fl_etcd_call *call;
	int r;

	if (id <= 0)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "etcd: not the id of a lease");
	r = call_new(c, paths[op], done, arg, &call, err);
	if (r)
		return r;
	fl_strbuf_addf(&call->body, "{\"ID\":\"%" PRId64 "\"}", id);
	call->leader = true;
	call->result.lease = id;
	call->answer = op == FL_ETCD_REVOKE ? read_nothing : read_lease;
	return start(call, ret, err);
}

/* ---- the cluster ---- */

static int read_status(struct fl_etcd_call *call, const json_t *doc, enum fl_etcd_outcome *outcome,
		       struct fl_error *err)
{
	(void)outcome;
	return fl_etcd_read_status(doc, &call->result.status, err);
}

static int read_members(struct fl_etcd_call *call, const json_t *doc, enum fl_etcd_outcome *outcome,
			struct fl_error *err)
{
	(void)outcome;
	return fl_etcd_read_members(doc, &call->result.members, err);
}

static int read_alarms(struct fl_etcd_call *call, const json_t *doc, enum fl_etcd_outcome *outcome,
		       struct fl_error *err)
{
	(void)outcome;
	return fl_etcd_read_alarms(doc, &call->result.alarms, err);
}

int fl_etcd_query(struct fl_etcd *c, enum fl_etcd_query what, fl_etcd_fn done, void *arg,
		  struct fl_etcd_call **ret, struct fl_error *err)
{
	static const struct {
		const char *path, *body;
		bool leader;
		int (*answer)(struct fl_etcd_call *call, const json_t *doc,
			      enum fl_etcd_outcome *outcome, struct fl_error *err);
	} queries[] = {
		[FL_ETCD_STATUS] = { "/maintenance/status", "{}", false, read_status },
		[FL_ETCD_MEMBERS] = { "/cluster/member/list", "{}", false, read_members },
		[FL_ETCD_ALARMS] = { "/maintenance/alarm", "{\"action\":\"GET\"}", true,
				     read_alarms },
	};
	struct fl_etcd_call *call;
	int r = call_new(c, queries[what].path, done, arg, &call, err);

	if (r)
		return r;
	fl_strbuf_add(&call->body, queries[what].body);
	call->leader = queries[what].leader;
	call->headless = true;
	call->answer = queries[what].answer;
	return start(call, ret, err);
}

/* ---- waiting ---- */

void fl_etcd_wait_done(void *arg, struct fl_etcd_result *r)
{
	struct fl_etcd_wait *w = arg;

	w->result = *r;
	*r = (struct fl_etcd_result){ 0 };
	w->done = true;
}

void fl_etcd_wait(struct fl_etcd *c, struct fl_etcd_wait *w)
{
	while (!w->done)
		if (event_base_loop(c->base, EVLOOP_ONCE) < 0)
			return;
}
