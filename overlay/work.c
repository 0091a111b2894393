/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is to be done waits in a queue of its network; each transaction takes as much of it as goes
 * together. Of a small subnet that is one endpoint each, and many are under way at once. The keys
 * of blocks are in one transaction at a time, and what came meanwhile goes with the next.
 */
#include "overlay/agent.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum {
	TRIES_MAX = 64, /* of one work: others were faster so often */
	LEAVE_WRITES = 48,
	TOGETHER = 24, /* endpoints of one transaction: each has up to five of its 128 operations */
	LEASE_S = QUARANTINE_S + 60,
	LEASE_USE_MS = 50000, /* how long a lease gets new addresses */
};

struct sending {
	struct network *net;
	struct fl_ippool_batch *batch;
	struct work *works;
	struct fl_rec_key *keys; /* of the batch, which forgets them at its end */
	size_t n_keys;
	unsigned n_works;
	struct fl_etcd_call *call;
	struct sending *next;
};

static void append(struct network *net, struct work *w)
{
	w->next = NULL;
	*net->works_end = w;
	net->works_end = &w->next;
}

static void finish(struct work *w, int r, const struct fl_error *err)
{
	w->done(w, r, err);
	free(w->rec);
	free(w);
}

static void cancel_staged(struct work *w)
{
	for (unsigned i = 0; w->staged && i < w->n_ips; i++)
		fl_ippool_cancel(network_pool(w->net, &w->ips[i]), &w->ips[i]);
	w->staged = false;
	w->n_ips = 0;
}

/* ---- the lease of what was freed ---- */

static void pump_all(struct agent *a)
{
	struct network *net, *tmp;

	HASH_ITER (hh, a->networks, net, tmp)
		if (net->joined)
			work_pump(net);
}

static void on_granted(void *arg, struct fl_etcd_result *r)
{
	struct agent *a = arg;

	a->quarantine_call = NULL;
	if (!agent_heard(a, r)) {
		struct network *net, *tmp;

		/* Whoever waits for it hears of the trouble instead. */
		HASH_ITER (hh, a->networks, net, tmp)
			work_fail(net, &r->err);
		return;
	}
	a->quarantine_lease = r->lease;
	a->quarantine_until = now_ms() + LEASE_USE_MS;
	pump_all(a);
}

bool quarantine(struct agent *a, int64_t *ret)
{
	struct fl_error err = { 0 };

	if (a->quarantine_lease && now_ms() < a->quarantine_until) {
		*ret = a->quarantine_lease;
		return true;
	}
	if (!a->quarantine_call &&
	    fl_etcd_lease_grant(a->etcd, LEASE_S, on_granted, a, &a->quarantine_call, &err))
		say("%s", err.text);
	return false;
}

/* ---- choosing ---- */

static int choose_one(struct work *w, struct fl_ippool *pool, const struct fl_addr *wanted,
		      struct fl_error *err)
{
	struct fl_ippool_want want = { .addr = *wanted, .who = w->who, .now = now_s() };
	int r;

	while (getrandom(&want.random, sizeof(want.random), 0) != sizeof(want.random))
		continue;
	r = fl_ippool_choose(pool, &want, &w->ips[w->n_ips], err);
	if (!r)
		w->n_ips++;
	return r;
}

/* The address that was named of the pool's subnet; unset: none was. */
static struct fl_addr wanted_of(const struct work *w, const struct fl_ippool *pool)
{
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		if (fl_addr_is_set(&w->wanted[i]) && fl_ippool_holds(pool, &w->wanted[i]))
			return w->wanted[i];
	return (struct fl_addr){ 0 };
}

static int stage_take(struct work *w, struct fl_error *err)
{
	int r = 0;

	for (int i = 0; i < FL_OVERLAY_SUBNETS && !r; i++) {
		struct fl_ippool *pool = w->net->pools[i];
		struct fl_addr wanted = { 0 };

		if (pool)
			wanted = wanted_of(w, pool);
		if (pool && (fl_addr_is_set(&wanted) || !w->only_wanted))
			r = choose_one(w, pool, &wanted, err);
	}
	w->staged = true;
	if (r)
		cancel_staged(w);
	return r;
}

/* What is not there, or somebody else's, needs no giving back. */
static int stage_give(struct work *w)
{
	int r = 0;

	for (int i = 0; i < FL_OVERLAY_SUBNETS && r != -EBUSY; i++) {
		const struct fl_addr *a = &w->wanted[i];
		struct fl_ippool *pool = fl_addr_is_set(a) ? network_pool(w->net, a) : NULL;

		r = pool ? fl_ippool_release(pool, a, &w->who, now_s()) : -ENOENT;
		if (!r)
			w->ips[w->n_ips++] = *a;
	}
	w->staged = true;
	if (r == -EBUSY)
		cancel_staged(w);
	return r == -EBUSY ? r : 0;
}

static int stage(struct work *w, struct fl_error *err)
{
	if (w->staged || w->kind == WORK_LEAVE)
		return 0;
	return w->kind == WORK_TAKE ? stage_take(w, err) : stage_give(w);
}

/* ---- one transaction ---- */

static void fill_addresses(struct work *w)
{
	struct fl_addr *to4, *to6;

	if (w->rec->kind == FL_REC_JOIN) {
		to4 = &w->rec->join.ip4;
		to6 = &w->rec->join.ip6;
	} else {
		to4 = &w->rec->ep.ip4;
		to6 = &w->rec->ep.ip6;
	}
	*to4 = *to6 = (struct fl_addr){ 0 };
	for (unsigned i = 0; i < w->n_ips; i++)
		*(w->ips[i].family == AF_INET6 ? to6 : to4) = w->ips[i];
}

static void read_key(struct fl_etcd_txn *t, const char *key)
{
	fl_etcd_txn_range(t, FL_ETCD_FAILURE, &(struct fl_etcd_range){ .key = key });
}

static void put_record(struct fl_etcd_txn *t, const char *key, const struct fl_rec *rec,
		       int64_t lease)
{
	FL_AUTOSTRBUF struct fl_strbuf value = { 0 };

	if (fl_rec_encode(rec, &value))
		die_of_memory();
	fl_etcd_txn_put(t, FL_ETCD_SUCCESS, key, value.s, value.len, lease);
}

/* Only as long as the other node gives no sign of life, and has not come again. */
static void build_guard(struct fl_etcd_txn *t, const struct work *w)
{
	struct fl_rec_key k = { .kind = FL_REC_ALIVE };
	char key[FL_REC_KEY_STR];

	fl_strcpy(k.id, sizeof(k.id), w->guard);
	fl_rec_key(&k, key);
	fl_etcd_txn_if_absent(t, key);
	read_key(t, key);
	k.kind = FL_REC_NODE;
	fl_rec_key(&k, key);
	fl_etcd_txn_if(t, key, FL_ETCD_T_MOD, FL_ETCD_EQ, w->guard_mod);
	read_key(t, key);
}

static void build_work(struct fl_etcd_txn *t, struct work *w)
{
	if (*w->guard)
		build_guard(t, w);
	/* The node's key goes last, when nothing else of it is left. */
	if (w->kind == WORK_LEAVE && w->left)
		return;
	fl_etcd_txn_if(t, w->key, FL_ETCD_T_MOD, FL_ETCD_EQ, w->expected);
	read_key(t, w->key);
	if (w->kind != WORK_TAKE) {
		fl_etcd_txn_delete(t, FL_ETCD_SUCCESS, w->key, false);
		return;
	}
	fill_addresses(w);
	put_record(t, w->key, w->rec, 0);
}

static void build_write(struct fl_etcd_txn *t, const struct fl_ippool_write *write, int64_t lease)
{
	struct fl_rec *rec = must_alloc(sizeof(*rec));
	char key[FL_REC_KEY_STR];

	fl_rec_key(&write->key, key);
	fl_etcd_txn_if(t, key, FL_ETCD_T_MOD, FL_ETCD_EQ, write->expected);
	read_key(t, key);
	rec->kind = write->key.kind;
	if (write->remove) {
		fl_etcd_txn_delete(t, FL_ETCD_SUCCESS, key, false);
	} else if (rec->kind == FL_REC_IP) {
		rec->ip = write->ip;
		put_record(t, key, rec, write->ip.use == FL_REC_USE_FREED ? lease : 0);
	} else {
		rec->blk = write->blk;
		put_record(t, key, rec, 0);
	}
	free(rec);
}

static bool needs_lease(const struct sending *s)
{
	for (size_t i = 0; i < fl_ippool_batch_size(s->batch); i++) {
		const struct fl_ippool_write *w = fl_ippool_batch_write(s->batch, i);

		if (!w->remove && w->key.kind == FL_REC_IP && w->ip.use == FL_REC_USE_FREED)
			return true;
	}
	return false;
}

static bool takes(const struct sending *s)
{
	for (const struct work *w = s->works; w; w = w->next)
		if (w->kind == WORK_TAKE)
			return true;
	return false;
}

static void build(const struct sending *s, struct fl_etcd_txn *t, int64_t lease)
{
	fl_etcd_txn_init(t, fl_etcd_prefix(s->net->a->etcd));
	if (takes(s))
		network_if_exists(s->net, t);
	for (struct work *w = s->works; w; w = w->next)
		build_work(t, w);
	for (size_t i = 0; i < fl_ippool_batch_size(s->batch); i++)
		build_write(t, fl_ippool_batch_write(s->batch, i), lease);
}

/* ---- its end ---- */

static void sending_free(struct sending *s)
{
	struct sending **at = &s->net->sendings;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	fl_ippool_batch_free(s->batch);
	free(s->keys);
	free(s);
}

static const struct fl_etcd_kv *find(const struct fl_etcd_result *r, const char *key)
{
	for (size_t i = 0; i < r->kvs.n; i++)
		if (!strcmp(r->kvs.items[i].key, key))
			return &r->kvs.items[i];
	return NULL;
}

/* A key of an address or block, as the failed comparison read it. */
static void learn(struct network *net, const struct fl_rec_key *k, const struct fl_etcd_kv *kv,
		  int64_t revision)
{
	bool is_ip = k->kind == FL_REC_IP;
	struct fl_ippool *pool = network_pool(net, is_ip ? &k->addr : &k->block.addr);
	struct fl_rec *rec = must_alloc(sizeof(*rec));

	if (kv && fl_rec_decode(k->kind, kv->value, kv->value_len, rec, NULL))
		rec->ip = (struct fl_rec_ip){ .use = FL_REC_USE_SERVICE };
	if (is_ip)
		fl_ippool_ip(pool, &k->addr, kv ? &rec->ip : NULL,
			     kv ? kv->mod_revision : revision);
	else
		fl_ippool_block(pool, &k->block, kv ? &rec->blk : NULL,
				kv ? kv->mod_revision : revision);
	free(rec);
}

static void learn_all(struct sending *s, const struct fl_etcd_result *r)
{
	char key[FL_REC_KEY_STR];

	for (size_t i = 0; i < s->n_keys; i++) {
		fl_rec_key(&s->keys[i], key);
		learn(s->net, &s->keys[i], find(r, key), r->header.revision);
	}
}

static void take_keys(struct sending *s)
{
	s->n_keys = fl_ippool_batch_size(s->batch);
	s->keys = must_alloc((s->n_keys + 1) * sizeof(*s->keys));
	for (size_t i = 0; i < s->n_keys; i++)
		s->keys[i] = fl_ippool_batch_write(s->batch, i)->key;
}

static struct work *take_works(struct sending *s)
{
	struct work *w = s->works;

	s->works = NULL;
	return w;
}

static void won(struct sending *s, int64_t revision)
{
	struct network *net = s->net;
	struct work *w, *next;

	fl_ippool_batch_done(s->batch, true, revision);
	w = take_works(s);
	sending_free(s);
	for (; w; w = next) {
		next = w->next;
		w->revision = revision;
		if (w->kind == WORK_LEAVE && w->left)
			append(net, w);
		else
			finish(w, 0, NULL);
	}
	network_settle(net);
}

static bool guard_failed(const struct work *w, const struct fl_etcd_result *r)
{
	struct fl_rec_key k = { .kind = FL_REC_ALIVE };
	const struct fl_etcd_kv *kv;
	char key[FL_REC_KEY_STR];

	fl_strcpy(k.id, sizeof(k.id), w->guard);
	fl_rec_key(&k, key);
	if (find(r, key))
		return true;
	k.kind = FL_REC_NODE;
	fl_rec_key(&k, key);
	kv = find(r, key);
	return (kv ? kv->mod_revision : 0) != w->guard_mod;
}

/* Its own key is not as it was expected: nothing that trying again mends. */
static bool is_decided(struct work *w, const struct fl_etcd_result *r, int *ret,
		       struct fl_error *err)
{
	const struct fl_etcd_kv *kv = find(r, w->key);

	if (*w->guard && guard_failed(w, r)) {
		*ret = fl_error_set(err, ECANCELED, FL_ECODE_CONFLICT, "node %s is alive again",
				    w->guard);
		return true;
	}
	if ((w->kind == WORK_LEAVE && w->left) || (kv ? kv->mod_revision : 0) == w->expected)
		return false;
	if (w->kind != WORK_TAKE && !kv)
		*ret = 0;
	else
		*ret = fl_error_set(err, ESTALE, FL_ECODE_TRY_AGAIN,
				    "network %s: %s was changed by somebody else meanwhile; try "
				    "again",
				    w->net->rec.name, w->key);
	return true;
}

static void lost(struct sending *s, const struct fl_etcd_result *r)
{
	struct network *net = s->net;
	struct work *w, *next;

	fl_ippool_batch_done(s->batch, false, 0);
	learn_all(s, r);
	w = take_works(s);
	sending_free(s);
	for (; w; w = next) {
		struct fl_error err = { 0 };
		int result;

		next = w->next;
		w->staged = false;
		w->n_ips = 0;
		net->a->n.conflicts++;
		if (is_decided(w, r, &result, &err))
			finish(w, result, &err);
		else if (++w->tries < TRIES_MAX)
			append(net, w);
		else
			finish(w,
			       fl_error_set(&err, EBUSY, FL_ECODE_TRY_AGAIN,
					    "network %s: other nodes were faster %d times; try "
					    "again",
					    net->rec.name, TRIES_MAX),
			       &err);
	}
	work_pump(net);
}

static void failed(struct sending *s, const struct fl_error *err)
{
	struct network *net = s->net;
	struct work *w, *next;

	fl_ippool_batch_done(s->batch, false, 0);
	w = take_works(s);
	sending_free(s);
	for (; w; w = next) {
		next = w->next;
		finish(w, err->err ? err->err : -EIO, err);
	}
	work_pump(net);
}

/* Did the transaction happen? Each of its works has its key, and all or none were written. */
static bool happened(const struct sending *s, const struct fl_etcd_result *r)
{
	const struct work *w = s->works;
	const struct fl_etcd_kv *kv = find(r, w->key);
	FL_AUTOSTRBUF struct fl_strbuf value = { 0 };

	/* Of a part of a leaving node nothing tells; it is done again, and finds less. */
	if (w->kind != WORK_TAKE)
		return !kv && !w->left;
	if (!kv || kv->mod_revision == w->expected || fl_rec_encode(w->rec, &value))
		return false;
	return kv->value_len == value.len && !memcmp(kv->value, value.s, value.len);
}

static void on_reread(void *arg, struct fl_etcd_result *r)
{
	struct sending *s = arg;

	s->call = NULL;
	if (!agent_heard(s->net->a, r))
		failed(s, &r->err);
	else if (happened(s, r))
		won(s, find(r, s->works->key) ? find(r, s->works->key)->mod_revision
					      : r->header.revision);
	else
		lost(s, r);
}

/* The answer was lost: what the store has tells whether it was done. */
static void reread(struct sending *s)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	char key[FL_REC_KEY_STR];
	struct fl_error err = { 0 };

	fl_etcd_txn_init(&t, fl_etcd_prefix(s->net->a->etcd));
	for (const struct work *w = s->works; w; w = w->next)
		fl_etcd_txn_range(&t, FL_ETCD_SUCCESS, &(struct fl_etcd_range){ .key = w->key });
	for (size_t i = 0; i < s->n_keys; i++) {
		fl_rec_key(&s->keys[i], key);
		fl_etcd_txn_range(&t, FL_ETCD_SUCCESS, &(struct fl_etcd_range){ .key = key });
	}
	if (fl_etcd_txn(s->net->a->etcd, &t, on_reread, s, &s->call, &err))
		failed(s, &err);
}

static void on_sent(void *arg, struct fl_etcd_result *r)
{
	struct sending *s = arg;
	struct agent *a = s->net->a;

	s->call = NULL;
	agent_heard(a, r);
	switch (r->outcome) {
	case FL_ETCD_OK:
		won(s, r->header.revision);
		break;
	case FL_ETCD_COMPARE:
		lost(s, r);
		break;
	case FL_ETCD_UNKNOWN:
		reread(s);
		break;
	case FL_ETCD_LOST: /* the lease of what was freed: another one */
		a->quarantine_lease = 0;
		lost(s, r);
		break;
	default:
		failed(s, &r->err);
	}
}

static void send_off(struct sending *s, int64_t lease)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	struct fl_error err = { 0 };

	take_keys(s);
	build(s, &t, lease);
	if (fl_etcd_txn(s->net->a->etcd, &t, on_sent, s, &s->call, &err))
		failed(s, &err);
}

/* ---- the queue ---- */

static int put_leaving(struct sending *s, struct work *w)
{
	int64_t left = 0;

	/* By itself: it is as large as a transaction may be. */
	if (s->n_works)
		return -EBUSY;
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++) {
		struct fl_ippool *pool = w->net->pools[i];
		int64_t n =
			pool ? fl_ippool_leave(pool, w->guard[0] ? w->guard : w->net->a->conf.node,
					       now_s(), s->batch, LEAVE_WRITES)
			     : 0;

		if (n == -ENOMEM)
			die_of_memory();
		left += n;
	}
	w->left = left > 0;
	return w->left && !fl_ippool_batch_size(s->batch) ? -EBUSY : 0;
}

/* 0: it is in the batch; -EBUSY: not now. Else it is over, and freed. */
static int put_in(struct sending *s, struct work *w)
{
	struct fl_ippool_at at[FL_OVERLAY_SUBNETS];
	struct fl_error err = { 0 };
	int r;

	if (w->kind == WORK_LEAVE)
		return put_leaving(s, w);
	do {
		r = stage(w, &err);
		if (r)
			break;
		for (unsigned i = 0; i < w->n_ips; i++)
			at[i] = (struct fl_ippool_at){ network_pool(w->net, &w->ips[i]),
						       w->ips[i] };
		r = w->n_ips ? fl_ippool_batch_add(s->batch, at, w->n_ips) : 0;
		if (r == -ESTALE) {
			w->staged = false;
			w->n_ips = 0;
		}
	} while (r == -ESTALE && ++w->tries < TRIES_MAX);
	if (r && r != -EBUSY)
		finish(w, r, &err);
	return r;
}

/* Back into the queue, in front of what came later. */
static void unsend(struct sending *s)
{
	struct network *net = s->net;
	struct work *w, *next, *later = net->works;

	fl_ippool_batch_done(s->batch, false, 0);
	w = take_works(s);
	sending_free(s);
	net->works = NULL;
	net->works_end = &net->works;
	for (; w; w = next) {
		next = w->next;
		w->staged = false;
		w->n_ips = 0;
		append(net, w);
	}
	for (w = later; w; w = next) {
		next = w->next;
		append(net, w);
	}
}

static struct sending *sending_new(struct network *net)
{
	struct sending *s = must_alloc(sizeof(*s));

	s->net = net;
	s->batch = fl_ippool_batch_new();
	if (!s->batch)
		die_of_memory();
	s->next = net->sendings;
	net->sendings = s;
	return s;
}

/* Moves works from the queue into the transaction, those that go together; how many. */
static unsigned fill(struct sending *s)
{
	struct network *net = s->net;
	unsigned n = 0, most = net->has_blocks ? TOGETHER : 1;
	struct work *w = net->works, *next, **end = &s->works;

	net->works = NULL;
	net->works_end = &net->works;
	for (; w; w = next) {
		int r;

		next = w->next;
		s->n_works = n;
		r = n < most ? put_in(s, w) : -EBUSY;
		if (r == -EBUSY)
			append(net, w);
		if (r)
			continue;
		w->next = NULL;
		*end = w;
		end = &w->next;
		n++;
		/* A node that leaves fills the transaction by itself. */
		if (w->kind == WORK_LEAVE)
			most = n;
	}
	return n;
}

/* false: there is nothing that can be sent now. */
static bool send_some(struct network *net)
{
	struct sending *s = sending_new(net);
	unsigned n = fill(s);
	int64_t lease = 0;

	if (n && (!needs_lease(s) || quarantine(net->a, &lease))) {
		send_off(s, lease);
		return true;
	}
	unsend(s);
	return false;
}

void work_pump(struct network *net)
{
	while (net->works && send_some(net))
		continue;
}

void work_add(struct work *w)
{
	append(w->net, w);
	work_pump(w->net);
}

void work_fail(struct network *net, const struct fl_error *err)
{
	struct work *w = net->works, *next;

	net->works = NULL;
	net->works_end = &net->works;
	for (; w; w = next) {
		next = w->next;
		cancel_staged(w);
		finish(w, err->err ? err->err : -EIO, err);
	}
}

void work_drop(struct network *net)
{
	struct fl_error err = { 0 };

	fl_error_set(&err, ENOENT, FL_ECODE_UNKNOWN_CONTAINER,
		     "network %s was removed from the cluster", net->rec.name);
	while (net->sendings) {
		struct sending *s = net->sendings;

		if (s->call)
			fl_etcd_cancel(s->call);
		unsend(s);
	}
	work_fail(net, &err);
}

static bool has_work(const struct work *w, const char *key)
{
	for (; w; w = w->next)
		if (!strcmp(w->key, key))
			return true;
	return false;
}

bool work_has(const struct network *net, const char *key)
{
	for (const struct sending *s = net->sendings; s; s = s->next)
		if (has_work(s->works, key))
			return true;
	return has_work(net->works, key);
}
