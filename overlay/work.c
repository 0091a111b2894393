/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is to be done waits in a queue of its network; each transaction takes as much of it as goes
 * together. Of a small subnet that is one endpoint each, and many are under way at once. The keys
 * of blocks are in one transaction at a time, and what came meanwhile goes with the next.
 */
#include "overlay/work.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum {
	LEAVE_WRITES = 48,
	TOGETHER = 24, /* endpoints of one transaction: each has up to five of its 128 operations */
	LEASE_S = QUARANTINE_S + 60,
	LEASE_USE_MS = 50000, /* how long a lease gets new addresses */
};

void work_append(struct work *w)
{
	struct network *net = w->net;

	w->next = NULL;
	*net->works_end = w;
	net->works_end = &w->next;
}

/* A list, whose last one's `next` is at `end`. */
static void append_all(struct network *net, struct work *w, struct work **end)
{
	if (!w)
		return;
	*net->works_end = w;
	net->works_end = end;
}

struct fl_error work_trouble(const struct agent *a, const struct fl_error *why)
{
	struct fl_error err = *why;

	if (err.code == FL_ECODE_IO && !a->hopeless)
		err.code = FL_ECODE_TRY_AGAIN;
	return err;
}

void work_finish(struct work *w, int r, const struct fl_error *err)
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
		const struct fl_error err = work_trouble(a, &r->err);
		struct network *net, *tmp;

		/* Whoever waits for it hears of the trouble instead. */
		HASH_ITER (hh, a->networks, net, tmp)
			work_fail(net, &err);
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

/* A bit of a block does not tell whose it is. Where two endpoints say the same, who stays may have
 * it; when it is nobody's after all, tidying tells. */
static bool is_anothers(const struct work *w, const struct fl_ippool *pool, const struct fl_addr *a)
{
	char id[TABLE_ID];

	if (!fl_ippool_has_blocks(pool))
		return false;
	if (w->kind == WORK_LEAVE)
		table_node_id(*w->guard ? w->guard : w->net->a->conf.node, id);
	else
		fl_strcpy(id, sizeof(id), w->id);
	return table_is_anothers(w->net, a, id);
}

/* What is not there, or somebody else's, needs no giving back. */
static int stage_give(struct work *w)
{
	int r = 0;

	for (int i = 0; i < FL_OVERLAY_SUBNETS && r != -EBUSY; i++) {
		const struct fl_addr *a = &w->wanted[i];
		struct fl_ippool *pool = fl_addr_is_set(a) ? network_pool(w->net, a) : NULL;

		r = pool && !is_anothers(w, pool, a) ? fl_ippool_release(pool, a, &w->who, now_s())
						     : -ENOENT;
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

/* ---- the queue ---- */

/* Whose things go; "": blocks that nobody owns. */
static const char *leaver(const struct work *w)
{
	if (w->tidies)
		return "";
	return w->guard[0] ? w->guard : w->net->a->conf.node;
}

/* The node's own addresses, with its key: of blocks nothing else tells whose a bit is. false: all
 * of them are in the batch. */
static bool give_own(struct sending *s, struct work *w)
{
	bool left = false;

	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++) {
		struct fl_ippool_at at = { .addr = w->wanted[i] };
		int r;

		if (fl_addr_is_set(&at.addr))
			at.pool = network_pool(w->net, &at.addr);
		if (!at.pool || !fl_ippool_has_blocks(at.pool) || is_anothers(w, at.pool, &at.addr))
			continue;
		r = fl_ippool_release(at.pool, &at.addr, &w->who, now_s());
		if (r == -ENOENT)
			continue;
		if (!r) {
			r = fl_ippool_batch_add(s->batch, &at, 1);
			if (r)
				fl_ippool_cancel(at.pool, &at.addr);
		}
		left |= r != 0;
	}
	return left;
}

static int put_leaving(struct sending *s, struct work *w)
{
	struct fl_ippool_mend mend = network_keys(w->net);
	int64_t left = 0;

	/* By itself: it is as large as a transaction may be. */
	if (s->n_works)
		return -EBUSY;
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++) {
		struct fl_ippool *pool = w->net->pools[i];
		int64_t n =
			!pool ? 0
			      : fl_ippool_leave(pool, leaver(w), now_s(), s->batch, LEAVE_WRITES);

		if (n == -ENOMEM || (pool && w->tidies &&
				     fl_ippool_mend(pool, &mend, now_s(), s->batch, LEAVE_WRITES)))
			die_of_memory();
		left += n;
	}
	w->mended = mend.n;
	w->left = left > 0 || (!w->tidies && give_own(s, w));
	w->any |= fl_ippool_batch_size(s->batch) > 0;
	if (fl_ippool_batch_size(s->batch) || (!w->left && !w->tidies))
		return 0;
	if (w->left)
		return -EBUSY;
	work_finish(w, 0, NULL);
	return -ENOENT;
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
	} while (r == -ESTALE && ++w->tries < WORK_TRIES_MAX);
	if (r && r != -EBUSY)
		work_finish(w, r, &err);
	return r;
}

/* Back into the queue, in front of what came later. */
static void unsend(struct sending *s)
{
	struct network *net = s->net;
	struct work *w, *next, *later = net->works, **end = net->works_end;

	fl_ippool_batch_done(s->batch, false, 0);
	w = sending_take(s);
	sending_free(s);
	net->works = NULL;
	net->works_end = &net->works;
	for (; w; w = next) {
		next = w->next;
		w->staged = false;
		w->n_ips = 0;
		work_append(w);
	}
	append_all(net, later, end);
}

static bool has_work(const struct work *w, const char *key)
{
	for (; w; w = w->next)
		if (!strcmp(w->key, key))
			return true;
	return false;
}

/* Moves works from the queue into the transaction, those that go together; how many. */
static unsigned fill(struct sending *s)
{
	struct network *net = s->net;
	unsigned n = 0, most = net->has_blocks ? TOGETHER : 1;
	struct work *w = net->works, *next, **end = &s->works, **last = net->works_end;

	net->works = NULL;
	net->works_end = &net->works;
	for (; w && n < most; w = next) {
		int r;

		next = w->next;
		s->n_works = n;
		/* etcd refuses a transaction that changes a key twice. */
		r = has_work(s->works, w->key) ? -EBUSY : put_in(s, w);
		if (r == -EBUSY)
			work_append(w);
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
	append_all(net, w, last);
	return n;
}

/* false: there is nothing that can be sent now. */
static bool send_some(struct network *net)
{
	struct sending *s = sending_new(net);
	unsigned n = fill(s);
	int64_t lease = 0;

	if (n && (!sending_needs_lease(s) || quarantine(net->a, &lease))) {
		sending_send(s, lease);
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
	work_append(w);
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
		work_finish(w, err->err ? err->err : -EIO, err);
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

bool work_has(const struct network *net, const char *key)
{
	for (const struct sending *s = net->sendings; s; s = s->next)
		if (has_work(s->works, key))
			return true;
	return has_work(net->works, key);
}
