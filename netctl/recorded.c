/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/recorded.h"

#include "base/siphash.h"
#include "base/strbuf.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

struct record {
	char *key, *val; /* owned, in one piece of memory at `key` */
	size_t key_len, val_len;
	uint64_t who; /* of its attachment: the plugins of a chain have a record each */
	uint32_t ifindex;
	bool known, same;
};

struct touched {
	uint64_t who;
	bool known;
};

static void records_free(struct record *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].key);
	free(v);
}

void recorded_clear(struct recorded *r)
{
	records_free(r->v, r->n);
	free(r->networks);
	free(r->touched);
	*r = (struct recorded){ 0 };
}

static uint64_t who_of(const struct recorded *r, const struct fl_endpoint_id *id)
{
	char text[2 * (FL_NAME_MAX + 1) + IFNAMSIZ] = "";

	fl_strcpy(text, FL_NAME_MAX + 1, id->network);
	fl_strcpy(text + FL_NAME_MAX + 1, FL_NAME_MAX + 1, id->container);
	fl_strcpy(text + 2 * (FL_NAME_MAX + 1), IFNAMSIZ, id->ifname);
	return fl_siphash(r->seed, text, sizeof(text));
}

/* ---- what differs ---- */

static int compare_touched(const void *x, const void *y)
{
	const struct touched *a = x, *b = y;

	return a->who < b->who ? -1 : a->who > b->who;
}

static struct touched *find_touched(const struct recorded *r, uint64_t who)
{
	struct touched key = { who, false };

	return r->n_touched ? bsearch(&key, r->touched, r->n_touched, sizeof(key), compare_touched)
			    : NULL;
}

static int touch(struct recorded *r, uint64_t who)
{
	if (array_grow((void **)&r->touched, r->n_touched, sizeof(*r->touched)))
		return -ENOMEM;
	r->touched[r->n_touched++] = (struct touched){ who, false };
	return 0;
}

static void sort_touched(struct recorded *r)
{
	size_t used = 0;

	if (r->n_touched)
		qsort(r->touched, r->n_touched, sizeof(*r->touched), compare_touched);
	for (size_t i = 0; i < r->n_touched; i++)
		if (!used || r->touched[used - 1].who != r->touched[i].who)
			r->touched[used++] = r->touched[i];
	r->n_touched = used;
}

/* ---- reading the store ---- */

struct reading {
	struct recorded *r;   /* as it was */
	struct recorded next; /* its records alone */
	size_t at;
	struct fl_error *err;
};

static int compare_bytes(const char *a, size_t n, const char *b, size_t m)
{
	int r = memcmp(a, b, n < m ? n : m);

	return r ? r : n < m ? -1 : n > m;
}

static int decode(const struct record *rec, struct fl_endpoint *ret, struct fl_error *err)
{
	return fl_endpoint_decode(rec->val, rec->val_len, ret, err);
}

static int add_new(struct reading *x, struct fl_bytes key, struct fl_bytes val)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	struct record *rec = &x->next.v[x->next.n];
	int r;

	*rec = (struct record){ .key_len = key.len, .val_len = val.len };
	rec->key = malloc(key.len + val.len + 1);
	if (!rec->key)
		return -ENOMEM;
	rec->val = rec->key + key.len;
	memcpy(rec->key, key.p, key.len);
	memcpy(rec->val, val.p, val.len);
	x->next.n++;
	r = decode(rec, &ep, x->err);
	if (r)
		return r;
	rec->who = who_of(x->r, &ep.id);
	rec->ifindex = ep.ifindex;
	return touch(x->r, rec->who);
}

/* Both are in the order of keys. */
static int take(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	struct reading *x = arg;
	struct record *was = NULL;
	int order = 1;

	if (array_grow((void **)&x->next.v, x->next.n, sizeof(*x->next.v)))
		return -ENOMEM;
	for (; x->at < x->r->n; x->at++) {
		was = &x->r->v[x->at];
		order = compare_bytes(was->key, was->key_len, key.p, key.len);
		if (order >= 0)
			break;
	}
	if (x->at == x->r->n || order || was->val_len != val.len ||
	    memcmp(was->val, val.p, val.len) != 0)
		return add_new(x, key, val);
	x->next.v[x->next.n] = *was;
	x->next.v[x->next.n++].same = true;
	was->key = NULL;
	x->at++;
	return 0;
}

static int take_network(void *arg, const struct fl_network *net)
{
	struct recorded *next = arg;

	if (array_grow((void **)&next->networks, next->n_networks, sizeof(*net)))
		return -ENOMEM;
	next->networks[next->n_networks++] = *net;
	return 0;
}

/* What of the store differs: touched, and the records of before that are not among those of now. */
static int read_store(struct fl_txn *t, struct recorded *r, struct record **gone, size_t *n_gone,
		      struct fl_error *err)
{
	struct reading x = { .r = r, .err = err };
	int e = fl_each(t, FL_TABLE_ENDPOINTS, (struct fl_bytes){ NULL, 0 }, take, &x, err);

	if (!e)
		e = fl_networks_each(t, take_network, &x.next, err);
	for (size_t i = 0; i < r->n && !e; i++)
		e = r->v[i].key ? touch(r, r->v[i].who) : 0;
	/* What was taken over is in `next`, so that nothing can go back from here. */
	*gone = r->v;
	*n_gone = r->n;
	free(r->networks);
	r->v = x.next.v;
	r->n = x.next.n;
	r->networks = x.next.networks;
	r->n_networks = x.next.n_networks;
	return e;
}

/* ---- the two models ---- */

static int add(struct model *m, const struct record *rec, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	int r = decode(rec, &ep, err);

	return r ? r : model_add(m, &ep);
}

static void note_known(const struct recorded *r, const struct record *rec)
{
	struct touched *t = find_touched(r, rec->who);

	if (t && rec->known)
		t->known = true;
}

static int make_models(const struct recorded *r, const struct record *gone, size_t n_gone,
		       struct model *old, struct model *now, struct fl_error *err)
{
	int e = 0;

	for (size_t i = 0; i < n_gone && !e; i++)
		if (gone[i].key) {
			note_known(r, &gone[i]);
			e = add(old, &gone[i], err);
		}
	for (size_t i = 0; i < r->n && !e; i++) {
		const struct record *rec = &r->v[i];

		if (!find_touched(r, rec->who))
			continue;
		note_known(r, rec);
		e = rec->same ? add(old, rec, err) : 0;
		e = e ? e : add(now, rec, err);
	}
	if (!e)
		e = model_group(old);
	return e ? e : model_group(now);
}

static bool is_among(const uint32_t *links, size_t n, uint32_t index)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (links[middle] < index)
			low = middle + 1;
		else
			high = middle;
	}
	return index && low < n && links[low] == index;
}

/* 1: the store has another transaction than before. */
static int begin(struct ctl *c, struct recorded *r, struct fl_txn **t, struct fl_error *err)
{
	int e = ctl_store(c, false, err);

	if (!e && c->store)
		e = fl_txn_begin(c->store, false, t, err);
	if (e || !*t)
		return e;
	if (!r->txn && getrandom(r->seed, sizeof(r->seed), 0) != sizeof(r->seed))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "getrandom");
	return r->txn != fl_txn_id(*t);
}

int recorded_look(struct ctl *c, struct recorded *r, const uint32_t *links, size_t n_links,
		  struct model *old, struct model *now, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct record *gone = NULL;
	size_t n_gone = 0;
	int e = begin(c, r, &t, err);

	r->n_touched = 0;
	for (size_t i = 0; i < r->n; i++)
		r->v[i].same = true;
	if (e > 0) {
		r->txn = fl_txn_id(t);
		for (size_t i = 0; i < r->n; i++)
			r->v[i].same = false;
		e = read_store(t, r, &gone, &n_gone, err);
	}
	for (size_t i = 0; i < r->n && !e; i++)
		if (n_links && is_among(links, n_links, r->v[i].ifindex))
			e = touch(r, r->v[i].who);
	sort_touched(r);
	if (!e)
		e = make_models(r, gone, n_gone, old, now, err);
	records_free(gone, n_gone);
	if (e)
		return e == -ENOMEM ? fl_error_oom(err) : e;
	now->networks = r->networks;
	now->n_networks = r->n_networks;
	return 0;
}

bool recorded_knows(const struct recorded *r, const struct attachment *a)
{
	const struct touched *t = find_touched(r, who_of(r, &a->main->id));

	return t && t->known;
}

void recorded_done(struct recorded *r, struct model *now, const bool *known)
{
	now->networks = NULL;
	now->n_networks = 0;
	for (size_t i = 0; i < r->n_touched; i++)
		r->touched[i].known = false;
	for (size_t i = 0; i < now->n_attachments; i++) {
		struct touched *t = find_touched(r, who_of(r, &now->attachments[i].main->id));

		if (t && known)
			t->known = known[i];
	}
	for (size_t i = 0; i < r->n; i++) {
		const struct touched *t = find_touched(r, r->v[i].who);

		if (t)
			r->v[i].known = t->known;
	}
}
