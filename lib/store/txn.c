/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transactions and raw tables. */
#include "store/private.h"

#include <errno.h>
#include <string.h>

static int begin_read(struct fl_store *s, struct fl_txn *t)
{
	int rc;

	if (s->reader) {
		rc = mdb_txn_renew(s->reader);
	} else {
		rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->reader);
		if (rc == MDB_READERS_FULL && !mdb_reader_check(s->env, NULL))
			rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->reader);
		if (rc)
			s->reader = NULL;
	}
	if (!rc) {
		t->mdb = s->reader;
		t->pooled = true;
	}
	return rc;
}

static int begin_write(struct fl_store *s, struct fl_txn *t)
{
	/* A killed reader pins pages until somebody clears its slot. */
	if (!s->readers_checked)
		mdb_reader_check(s->env, NULL);
	s->readers_checked = true;
	return mdb_txn_begin(s->env, NULL, 0, &t->mdb);
}

int fl_txn_begin(struct fl_store *s, bool write, struct fl_txn **ret, struct fl_error *err)
{
	struct fl_txn *t = &s->txn;
	int rc;

	if (t->mdb)
		return fl_error_set(err, EBUSY, FL_ECODE_STORE,
				    "state directory %s: a transaction is already open", s->dir);
	*t = (struct fl_txn){ .store = s, .write = write };
	rc = write ? begin_write(s, t) : begin_read(s, t);
	/*
	 * LMDB reserves reader slots by pid through a file lock: a process with the same pid in
	 * another pid namespace makes that EAGAIN. The writer's lock does not have this limit.
	 */
	if (rc == EAGAIN && !write)
		rc = begin_write(s, t);
	if (rc) {
		t->mdb = NULL;
		return fl_store_fail(s, rc, err);
	}
	*ret = t;
	return 0;
}

void fl_txn_abort(struct fl_txn *t)
{
	if (!t || !t->mdb)
		return;
	if (t->pooled)
		mdb_txn_reset(t->mdb);
	else
		mdb_txn_abort(t->mdb);
	t->mdb = NULL;
}

int fl_txn_commit(struct fl_txn **txn, struct fl_error *err)
{
	struct fl_txn *t = fl_take_ptr(*txn);
	int rc;

	if (!t->write) {
		fl_txn_abort(t);
		return 0;
	}
	rc = mdb_txn_commit(t->mdb);
	t->mdb = NULL;
	return fl_store_fail(t->store, rc, err);
}

uint64_t fl_txn_id(const struct fl_txn *t)
{
	return mdb_txn_id(t->mdb);
}

bool fl_txn_writes(const struct fl_txn *t)
{
	return t->write;
}

static int fail(struct fl_txn *t, int rc, struct fl_error *err)
{
	return fl_store_fail(t->store, rc, err);
}

static MDB_val to_val(struct fl_bytes b)
{
	return (MDB_val){ b.len, (void *)b.p };
}

static struct fl_bytes from_val(MDB_val v)
{
	return (struct fl_bytes){ v.mv_data, v.mv_size };
}

int fl_get(struct fl_txn *t, enum fl_table table, struct fl_bytes key, struct fl_bytes *ret,
	   struct fl_error *err)
{
	MDB_val k = to_val(key), v;
	int rc = mdb_get(t->mdb, t->store->dbi[table], &k, &v);

	if (rc)
		return fail(t, rc, err);
	*ret = from_val(v);
	return 0;
}

/* A transaction that only reads may be a write transaction underneath: it must not change. */
static int check_writable(struct fl_txn *t, struct fl_error *err)
{
	return t->write ? 0 : fail(t, EACCES, err);
}

int fl_put(struct fl_txn *t, enum fl_table table, struct fl_bytes key, struct fl_bytes val,
	   struct fl_error *err)
{
	MDB_val k = to_val(key), v = to_val(val);
	int r = check_writable(t, err);

	return r ? r : fail(t, mdb_put(t->mdb, t->store->dbi[table], &k, &v, 0), err);
}

int fl_del(struct fl_txn *t, enum fl_table table, struct fl_bytes key, struct fl_error *err)
{
	MDB_val k = to_val(key);
	int r = check_writable(t, err), rc;

	if (r)
		return r;
	rc = mdb_del(t->mdb, t->store->dbi[table], &k, NULL);
	return rc == MDB_NOTFOUND ? 0 : fail(t, rc, err);
}

/* First entry with key >= from; without bytes, the first of all (LMDB refuses an empty key). */
static int cursor_seek(MDB_cursor *c, struct fl_bytes from, MDB_val *k, MDB_val *v)
{
	*k = to_val(from);
	return mdb_cursor_get(c, k, v, from.p ? MDB_SET_RANGE : MDB_FIRST);
}

int fl_seek(struct fl_txn *t, enum fl_table table, struct fl_bytes from, struct fl_bytes *key,
	    struct fl_bytes *val, struct fl_error *err)
{
	MDB_cursor *c;
	MDB_val k, v;
	int rc = mdb_cursor_open(t->mdb, t->store->dbi[table], &c);

	if (rc)
		return fail(t, rc, err);
	rc = cursor_seek(c, from, &k, &v);
	mdb_cursor_close(c);
	if (rc)
		return fail(t, rc, err);
	*key = from_val(k);
	*val = from_val(v);
	return 0;
}

int fl_seek_before(struct fl_txn *t, enum fl_table table, struct fl_bytes before,
		   struct fl_bytes *key, struct fl_bytes *val, struct fl_error *err)
{
	MDB_cursor *c;
	MDB_val k, v;
	int rc = mdb_cursor_open(t->mdb, t->store->dbi[table], &c);

	if (rc)
		return fail(t, rc, err);
	rc = cursor_seek(c, before, &k, &v);
	if (!rc)
		rc = mdb_cursor_get(c, &k, &v, MDB_PREV);
	else if (rc == MDB_NOTFOUND)
		rc = mdb_cursor_get(c, &k, &v, MDB_LAST);
	mdb_cursor_close(c);
	if (rc)
		return fail(t, rc, err);
	*key = from_val(k);
	*val = from_val(v);
	return 0;
}

/* Goes on from the key that was visited, wherever it is now: fn may have deleted it and others. */
static int next_after(MDB_cursor *c, const uint8_t *visited, size_t len, MDB_val *k, MDB_val *v)
{
	int rc = cursor_seek(c, (struct fl_bytes){ visited, len }, k, v);

	if (!rc && k->mv_size == len && !memcmp(k->mv_data, visited, len))
		rc = mdb_cursor_get(c, k, v, MDB_NEXT);
	return rc;
}

static int each(struct fl_txn *t, MDB_cursor *c, struct fl_bytes prefix, fl_each_fn fn, void *arg,
		int *ret)
{
	uint8_t visited[FL_KEY_MAX];
	MDB_val k, v;
	int rc = cursor_seek(c, prefix, &k, &v);

	while (!rc && fl_bytes_start(from_val(k), prefix)) {
		size_t len = k.mv_size;

		memcpy(visited, k.mv_data, len);
		*ret = fn(arg, from_val(k), from_val(v));
		if (*ret)
			return 0;
		rc = t->write ? next_after(c, visited, len, &k, &v)
			      : mdb_cursor_get(c, &k, &v, MDB_NEXT);
	}
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int fl_each(struct fl_txn *t, enum fl_table table, struct fl_bytes prefix, fl_each_fn fn, void *arg,
	    struct fl_error *err)
{
	MDB_cursor *c;
	int ret = 0, rc = mdb_cursor_open(t->mdb, t->store->dbi[table], &c);

	if (rc)
		return fail(t, rc, err);
	rc = each(t, c, prefix, fn, arg, &ret);
	mdb_cursor_close(c);
	return rc ? fail(t, rc, err) : ret;
}
