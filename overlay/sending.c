/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One transaction: its conditions and writes, and what becomes of the works in it. Where its answer
 * is lost, reading tells whether it was done.
 */
#include "overlay/work.h"

#include <errno.h>
#include <string.h>

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

static void read_key(struct fl_etcd_txn *t, enum fl_etcd_list list, const char *key)
{
	fl_etcd_txn_range(t, list, &(struct fl_etcd_range){ .key = key });
}

static void put_record(struct fl_etcd_txn *t, const char *key, const struct fl_rec *rec,
		       int64_t lease)
{
	FL_AUTOSTRBUF struct fl_strbuf value = { 0 };

	if (fl_rec_encode(rec, &value))
		die_of_memory();
	fl_etcd_txn_put(t, FL_ETCD_SUCCESS, key, value.s, value.len, lease);
}

static void node_key(enum fl_rec_kind kind, const char *node, char *key)
{
	struct fl_rec_key k = { .kind = kind };

	fl_strcpy(k.id, sizeof(k.id), node);
	fl_rec_key(&k, key);
}

/* Only as long as the other node gives no sign of life, and has not come again. */
static void build_guard(struct fl_etcd_txn *t, const struct work *w)
{
	char key[FL_REC_KEY_STR];

	node_key(FL_REC_ALIVE, w->guard, key);
	fl_etcd_txn_if_absent(t, key);
	read_key(t, FL_ETCD_FAILURE, key);
	node_key(FL_REC_NODE, w->guard, key);
	fl_etcd_txn_if(t, key, FL_ETCD_T_MOD, FL_ETCD_EQ, w->guard_mod);
	read_key(t, FL_ETCD_FAILURE, key);
}

/* Only as long as this node is not taken for dead, and its name is not another's. */
static void build_fence(struct fl_etcd_txn *t, const struct agent *a)
{
	char key[FL_REC_KEY_STR];

	node_key(FL_REC_ALIVE, a->conf.node, key);
	fl_etcd_txn_if(t, key, FL_ETCD_T_MOD, FL_ETCD_EQ, a->member.entered);
	read_key(t, FL_ETCD_FAILURE, key);
}

static void build_work(struct fl_etcd_txn *t, struct work *w)
{
	if (*w->guard)
		build_guard(t, w);
	/* The node's key goes last, when nothing else of it is left. */
	if (w->kind == WORK_LEAVE && (w->left || w->tidies))
		return;
	fl_etcd_txn_if(t, w->key, FL_ETCD_T_MOD, FL_ETCD_EQ, w->expected);
	read_key(t, FL_ETCD_FAILURE, w->key);
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
	read_key(t, FL_ETCD_FAILURE, key);
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

bool sending_needs_lease(const struct sending *s)
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
	build_fence(t, s->net->a);
	if (takes(s))
		network_if_exists(s->net, t);
	for (struct work *w = s->works; w; w = w->next)
		build_work(t, w);
	for (size_t i = 0; i < fl_ippool_batch_size(s->batch); i++)
		build_write(t, fl_ippool_batch_write(s->batch, i), lease);
}

/* ---- its end ---- */

void sending_free(struct sending *s)
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

	if (kv)
		network_read_address(net, k, kv, rec);
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

struct work *sending_take(struct sending *s)
{
	struct work *w = s->works;

	s->works = NULL;
	return w;
}

/* The watch will tell, but the answer to whoever waits comes first. */
static void take_blocks(struct sending *s, int64_t revision)
{
	for (size_t i = 0; i < fl_ippool_batch_size(s->batch); i++) {
		const struct fl_ippool_write *w = fl_ippool_batch_write(s->batch, i);

		if (w->key.kind == FL_REC_BLK)
			table_put_block(s->net, &w->key.block, w->remove ? NULL : w->blk.node,
					revision);
	}
}

/* `r`: what the store has of its keys, and since when, where that had to be read; else NULL. */
static void wrote(struct sending *s, int64_t revision)
{
	struct network *net = s->net;

	for (const struct work *w = s->works; w; w = w->next)
		follow_wrote(!strncmp(w->key, "ep/", 3) ? &net->eps : &net->joins, revision);
	for (size_t i = 0; i < s->n_keys; i++)
		follow_wrote(s->keys[i].kind == FL_REC_IP ? &net->ip_keys : &net->blocks, revision);
}

static void won(struct sending *s, int64_t revision, const struct fl_etcd_result *r)
{
	struct network *net = s->net;
	struct work *w, *next;

	wrote(s, revision);
	if (r)
		learn_all(s, r);
	else
		take_blocks(s, revision);
	fl_ippool_batch_done(s->batch, !r, revision);
	w = sending_take(s);
	sending_free(s);
	for (; w; w = next) {
		next = w->next;
		w->revision = revision;
		if (w->kind == WORK_LEAVE && w->left)
			work_append(w);
		else
			work_finish(w, 0, NULL);
	}
	network_settle(net);
}

static int64_t mod_of(const struct fl_etcd_result *r, const char *key)
{
	const struct fl_etcd_kv *kv = find(r, key);

	return kv ? kv->mod_revision : 0;
}

static bool guard_failed(const struct work *w, const struct fl_etcd_result *r)
{
	char alive[FL_REC_KEY_STR], node[FL_REC_KEY_STR];

	node_key(FL_REC_ALIVE, w->guard, alive);
	node_key(FL_REC_NODE, w->guard, node);
	return find(r, alive) || mod_of(r, node) != w->guard_mod;
}

static bool is_fenced(const struct agent *a, const struct fl_etcd_result *r)
{
	char key[FL_REC_KEY_STR];

	node_key(FL_REC_ALIVE, a->conf.node, key);
	return mod_of(r, key) != a->member.entered;
}

/* Its own key is not as it was expected: nothing that trying again mends. */
static bool is_decided(struct work *w, const struct fl_etcd_result *r, int *ret,
		       struct fl_error *err)
{
	const struct fl_etcd_kv *kv = find(r, w->key);

	if (is_fenced(w->net->a, r)) {
		*ret = fl_error_set(err, ESTALE, FL_ECODE_TRY_AGAIN,
				    "this node was taken for dead by the others for a while; try "
				    "again");
		return true;
	}
	if (*w->guard && guard_failed(w, r)) {
		*ret = fl_error_set(err, ECANCELED, FL_ECODE_CONFLICT, "node %s is alive again",
				    w->guard);
		return true;
	}
	if ((w->kind == WORK_LEAVE && (w->left || w->tidies)) || mod_of(r, w->key) == w->expected)
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

static void try_again(struct work *w)
{
	struct fl_error err = { 0 };

	w->staged = false;
	w->n_ips = 0;
	if (++w->tries < WORK_TRIES_MAX)
		work_append(w);
	else
		work_finish(w,
			    fl_error_set(&err, EBUSY, FL_ECODE_TRY_AGAIN,
					 "network %s: other nodes were faster %d times; try again",
					 w->net->rec.name, WORK_TRIES_MAX),
			    &err);
}

/* Nothing of it was written. `r`: what the store has of its keys; NULL: nobody has looked. */
static void lost(struct sending *s, const struct fl_etcd_result *r)
{
	struct network *net = s->net;
	struct work *w, *next;

	if (r)
		learn_all(s, r);
	fl_ippool_batch_done(s->batch, false, 0);
	w = sending_take(s);
	sending_free(s);
	for (; w; w = next) {
		struct fl_error err = { 0 };
		int result;

		next = w->next;
		net->a->n.conflicts += !!r;
		if (r && is_decided(w, r, &result, &err))
			work_finish(w, result, &err);
		else
			try_again(w);
	}
	/* What was found to be over has changed the table. */
	program_flush(net);
	mirror_flush(net->a);
	work_pump(net);
}

static void failed(struct sending *s, const struct fl_error *why)
{
	struct network *net = s->net;
	struct fl_error err = work_trouble(net->a, why);
	struct work *w, *next;

	fl_ippool_batch_done(s->batch, false, 0);
	w = sending_take(s);
	sending_free(s);
	for (; w; w = next) {
		next = w->next;
		work_finish(w, err.err ? err.err : -EIO, &err);
	}
	work_pump(net);
}

/* Each work has its key, and all or none were written: whose tells most. A key that is gone may
 * have been deleted by somebody else. */
static const struct work *witness(const struct sending *s)
{
	const struct work *w = s->works;

	while (w->next && w->kind != WORK_TAKE)
		w = w->next;
	return w;
}

/* Did the transaction happen? */
static bool happened(const struct sending *s, const struct fl_etcd_result *r)
{
	const struct work *w = witness(s);
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
	int64_t revision = mod_of(r, witness(s)->key);

	s->call = NULL;
	if (!agent_heard(s->net->a, r))
		failed(s, &r->err);
	else if (happened(s, r))
		won(s, revision ? revision : r->header.revision, r);
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
	node_key(FL_REC_ALIVE, s->net->a->conf.node, key);
	read_key(&t, FL_ETCD_SUCCESS, key);
	for (const struct work *w = s->works; w; w = w->next) {
		read_key(&t, FL_ETCD_SUCCESS, w->key);
		if (!*w->guard)
			continue;
		node_key(FL_REC_ALIVE, w->guard, key);
		read_key(&t, FL_ETCD_SUCCESS, key);
		node_key(FL_REC_NODE, w->guard, key);
		read_key(&t, FL_ETCD_SUCCESS, key);
	}
	for (size_t i = 0; i < s->n_keys; i++) {
		fl_rec_key(&s->keys[i], key);
		read_key(&t, FL_ETCD_SUCCESS, key);
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
		won(s, r->header.revision, NULL);
		break;
	case FL_ETCD_COMPARE:
		lost(s, r);
		break;
	case FL_ETCD_UNKNOWN:
		reread(s);
		break;
	case FL_ETCD_LOST: /* the lease of what was freed: another one */
		a->quarantine_lease = 0;
		lost(s, NULL);
		break;
	default:
		failed(s, &r->err);
	}
}

void sending_send(struct sending *s, int64_t lease)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	struct fl_error err = { 0 };

	take_keys(s);
	build(s, &t, lease);
	if (fl_etcd_txn(s->net->a->etcd, &t, on_sent, s, &s->call, &err))
		failed(s, &err);
}

struct sending *sending_new(struct network *net)
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
