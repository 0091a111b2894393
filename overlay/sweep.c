/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node without a sign of life keeps everything for the hold-down: it may have lost the store
 * only. Then one of the others, whoever gets the lock, gives back what it has, each transaction
 * under the condition that it is still dead; its record goes last.
 */
#include "overlay/agent.h"

#include <errno.h>
#include <string.h>

#define LOCK "lock/sweep"

enum {
	/* Endpoints under way, so that others' requests have their turn: transactions, or
	 * endpoints of eight of them where many go together. */
	AT_ONCE = 24,
	AT_ONCE_BLOCKS = 8 * 24,
	KEPT_MS = 3600000, /* until it is tried again to give back what was not understood */
};

struct sweep {
	struct agent *a;
	struct node *node;
	struct client *client;
	bool locked;
	int64_t lock;		    /* revision of the lock; 0: there is none */
	int64_t mod;		    /* of the node's record when its time was over */
	struct network *net;	    /* the one that is being swept */
	unsigned works;		    /* under way */
	bool gave, leaving;	    /* its endpoints; then its own address */
	bool found;		    /* anything that was its */
	char (*ids)[FL_OVERLAY_ID]; /* the endpoints, and how many were begun */
	size_t n_ids, at;
	struct network *look;	   /* whose keys are read for what is not understood */
	unsigned look_at;	   /* which of them */
	char left[FL_REC_KEY_STR]; /* the first key found; "": none */
	struct fl_error err;
	unsigned n;
	struct fl_etcd_call *call;
};

static void next_network(struct sweep *s);

static bool is_due(const struct node *n)
{
	return !n->self && !n->alive && !n->unread && node_exists(n) && n->sweep_at &&
	       now_ms() >= n->sweep_at;
}

static void on_unlocked(void *arg, struct fl_etcd_result *r)
{
	agent_heard(arg, r);
}

/* Whoever wrote it chose its bytes. */
static void leave_key(struct sweep *s, const char *key)
{
	fl_strcpy(s->left, sizeof(s->left), key);
	for (char *c = s->left; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
}

static void finish(struct sweep *s, int r)
{
	struct agent *a = s->a;
	struct client *c = s->client;
	struct fl_error err = s->err;

	if (s->net)
		network_unobserve(s->net);
	if (!r)
		say("node %s: %u endpoints were given back", s->node->name, s->n);
	else if (r != -EBUSY && r != -ENOENT && !(*s->left && !strcmp(s->left, s->node->kept)))
		say("node %s cannot be swept now: %s", s->node->name, err.text);
	/* Not before everybody else has had the time to see it. */
	s->node->sweep_at =
		!r || s->node->alive ? 0 : now_ms() + (*s->left ? KEPT_MS : 5 * RETRY_MS);
	/* What ended before it came to look leaves what is known. */
	if (!r || *s->left)
		fl_strcpy(s->node->kept, sizeof(s->node->kept), s->left);
	a->n.swept += !r;
	if (s->locked)
		fl_etcd_delete(a->etcd, LOCK, on_unlocked, a, NULL, NULL);
	a->sweep = NULL;
	free(s->ids);
	free(s);
	if (c)
		client_answer(c, r, &err, NULL);
	sweep_check(a);
}

/* ---- its record ---- */

static int none(struct fl_error *err, const char *name)
{
	return fl_error_set(err, ENOENT, FL_ECODE_UNKNOWN_CONTAINER, "the cluster has no node %s",
			    name);
}

static void on_record_gone(void *arg, struct fl_etcd_result *r)
{
	struct sweep *s = arg;

	s->call = NULL;
	agent_heard(s->a, r);
	if (r->outcome == FL_ETCD_OK) {
		finish(s, s->found ? 0 : none(&s->err, s->node->name));
		return;
	}
	s->err = r->err;
	if (r->outcome == FL_ETCD_COMPARE)
		fl_error_set(&s->err, ECANCELED, FL_ECODE_CONFLICT, "node %s is alive again",
			     s->node->name);
	finish(s, s->err.err);
}

static void key_of(const struct sweep *s, enum fl_rec_kind kind, const char *net, char *buf)
{
	struct fl_rec_key k = { .kind = kind };

	fl_strcpy(k.net, sizeof(k.net), net);
	fl_strcpy(k.id, sizeof(k.id), s->node->name);
	fl_rec_key(&k, buf);
}

static void delete_record(struct sweep *s)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	char key[FL_REC_KEY_STR];

	fl_etcd_txn_init(&t, fl_etcd_prefix(s->a->etcd));
	key_of(s, FL_REC_ALIVE, "", key);
	fl_etcd_txn_if_absent(&t, key);
	key_of(s, FL_REC_NODE, "", key);
	fl_etcd_txn_if(&t, key, FL_ETCD_T_MOD, FL_ETCD_EQ, s->mod);
	fl_etcd_txn_delete(&t, FL_ETCD_SUCCESS, key, false);
	if (fl_etcd_txn(s->a->etcd, &t, on_record_gone, s, &s->call, &s->err))
		finish(s, s->err.err);
}

/* ---- what this version does not understand ---- */

static const enum fl_rec_kind look_kinds[] = { FL_REC_JOIN, FL_REC_EP, FL_REC_IP, FL_REC_BLK };

/* Records of any version name their node this way. */
static bool names(const struct fl_etcd_kv *kv, const char *node)
{
	char quoted[FL_OVERLAY_ID + 3];
	FL_AUTOJSON json_t *doc = NULL;
	const char *name;

	snprintf(quoted, sizeof(quoted), "\"%s\"", node);
	if (!memmem(kv->value, kv->value_len, quoted, strlen(quoted)))
		return false;
	doc = json_loadb(kv->value, kv->value_len, 0, NULL);
	name = json_string_value(json_object_get(doc, "node"));
	return name && !strcmp(name, node);
}

static bool is_understood(const struct network *net, enum fl_rec_kind kind,
			  const struct fl_etcd_kv *kv)
{
	struct fl_rec *rec;
	int r;

	if (net->unread)
		return false;
	rec = must_alloc(sizeof(*rec));
	r = fl_rec_decode(kind, kv->value, kv->value_len, rec, NULL);
	free(rec);
	return !r;
}

static void look_on(struct sweep *s);

static void on_looked(void *arg, struct fl_etcd_result *r)
{
	struct sweep *s = arg;
	enum fl_rec_kind kind = look_kinds[s->look_at++];

	s->call = NULL;
	if (!agent_heard(s->a, r)) {
		s->err = r->err;
		finish(s, r->err.err ? r->err.err : -EIO);
		return;
	}
	for (size_t i = 0; i < r->kvs.n && !*s->left; i++) {
		const struct fl_etcd_kv *kv = &r->kvs.items[i];

		if ((kind == FL_REC_JOIN || names(kv, s->node->name)) &&
		    !is_understood(s->look, kind, kv))
			leave_key(s, kv->key);
	}
	look_on(s);
}

static void look(struct sweep *s, enum fl_rec_kind kind)
{
	char key[FL_REC_KEY_STR];
	struct fl_etcd_range q = { .key = key, .prefix = kind != FL_REC_JOIN };

	if (q.prefix)
		fl_rec_prefix(kind, s->look->id, key);
	else
		key_of(s, kind, s->look->id, key);
	if (fl_etcd_range(s->a->etcd, &q, on_looked, s, &s->call, &s->err))
		finish(s, s->err.err);
}

/* Its record tells a later version that there is something to be given back. */
static void keep_record(struct sweep *s)
{
	finish(s, fl_error_set(&s->err, EUCLEAN, FL_ECODE_CONFLICT,
			       "its record stays, because this version does not understand %s, "
			       "which is its: an agent of a later version gives that back; or "
			       "delete it with etcdctl",
			       s->left));
}

static void look_on(struct sweep *s)
{
	struct network *net = s->look;

	if (net && s->look_at < FL_ARRAY_SIZE(look_kinds) && !*s->left) {
		look(s, look_kinds[s->look_at]);
		return;
	}
	net = net ? net->hh.next : s->a->networks;
	while (net && !net->unread && (net->gone || !ignored_in(s->a, net->id)))
		net = net->hh.next;
	s->look = net;
	s->look_at = 0;
	if (*s->left)
		keep_record(s);
	else if (net)
		look(s, look_kinds[0]);
	else
		delete_record(s);
}

/* ---- a network ---- */

static unsigned at_once(const struct sweep *s)
{
	return s->net->has_blocks ? AT_ONCE_BLOCKS : AT_ONCE;
}

/* Half of them are over, and there are others. */
static bool wants_more(const struct sweep *s)
{
	return s->at < s->n_ids && s->works <= at_once(s) / 2;
}

static void on_given(struct work *w, int r, const struct fl_error *err)
{
	struct sweep *s = w->net->a->sweep;

	if (!s)
		return;
	s->works--;
	/* Its key is there, and could not be read. */
	if (r == -ESTALE && w->kind == WORK_LEAVE && !w->expected)
		leave_key(s, w->key);
	else if (r && !s->err.err)
		s->err = *err;
	if (!r && w->kind == WORK_GIVE) {
		s->n++;
		table_del(w->net, w->id);
	}
	s->found |= !r && (w->kind == WORK_GIVE || w->any);
	/* In the loop's next turn, which others come before. */
	if (!s->works || wants_more(s))
		event_active(s->a->sweep_timer, EV_TIMEOUT, 0);
}

static struct work *work_new(struct sweep *s, enum work_kind kind)
{
	struct work *w = must_alloc(sizeof(*w));

	w->net = s->net;
	w->kind = kind;
	w->done = on_given;
	fl_strcpy(w->guard, sizeof(w->guard), s->node->name);
	w->guard_mod = s->mod;
	s->works++;
	return w;
}

static void list_endpoints(struct sweep *s)
{
	struct ep *e, *tmp;

	free(s->ids);
	s->ids = must_alloc(HASH_COUNT(s->net->table) * sizeof(*s->ids));
	s->n_ids = s->at = 0;
	HASH_ITER (hh, s->net->table, e, tmp)
		if (!e->of_node && e->node == s->node)
			fl_strcpy(s->ids[s->n_ids++], sizeof(*s->ids), e->id);
}

static void give_endpoint(struct sweep *s, const struct ep *e)
{
	struct fl_rec_key k = { .kind = FL_REC_EP };
	struct work *w = work_new(s, WORK_GIVE);

	fl_strcpy(w->id, sizeof(w->id), e->id);
	fl_strcpy(k.net, sizeof(k.net), s->net->id);
	fl_strcpy(k.id, sizeof(k.id), e->id);
	fl_rec_key(&k, w->key);
	w->expected = e->mod;
	memcpy(w->wanted, e->ip, sizeof(w->wanted));
	w->who.use = FL_REC_USE_ENDPOINT;
	fl_strcpy(w->who.node, sizeof(w->who.node), s->node->name);
	fl_strcpy(w->who.id, sizeof(w->who.id), e->id);
	work_append(w);
}

static void give_endpoints(struct sweep *s)
{
	/* None of them ends before all are there, and the queue is looked through once. */
	s->works++;
	for (; s->at < s->n_ids && s->works <= at_once(s); s->at++) {
		const struct ep *e = table_find(s->net, s->ids[s->at]);

		if (e && !e->of_node && e->node == s->node)
			give_endpoint(s, e);
	}
	work_pump(s->net);
	if (!--s->works)
		event_active(s->a->sweep_timer, EV_TIMEOUT, 0);
}

static void give_node(struct sweep *s)
{
	char id[TABLE_ID];
	const struct ep *e;
	struct work *w;

	s->leaving = true;
	table_node_id(s->node->name, id);
	e = table_find(s->net, id);
	w = work_new(s, WORK_LEAVE);
	w->expected = e ? e->mod : 0;
	if (e)
		memcpy(w->wanted, e->ip, sizeof(w->wanted));
	key_of(s, FL_REC_JOIN, s->net->id, w->key);
	work_add(w);
}

bool sweep_is_of(const struct agent *a, const struct node *n)
{
	return a->sweep && a->sweep->node == n;
}

bool sweep_is_in(const struct network *net)
{
	return net->a->sweep && net->a->sweep->net == net;
}

static void go_on(struct agent *a)
{
	struct sweep *s = a->sweep;

	if (!s || !s->locked || !s->net || s->call)
		return;
	if (s->works) {
		if (s->net->joined && !s->err.err && wants_more(s))
			give_endpoints(s);
		return;
	}
	if (!s->net->joined) {
		/* It was removed meanwhile, with all that the node had in it. */
		next_network(s);
		return;
	}
	if (!network_synced(s->net))
		return;
	if (s->err.err)
		finish(s, s->err.err);
	else if (!s->leaving && !s->gave) {
		s->gave = true;
		list_endpoints(s);
		give_endpoints(s);
	} else if (s->at < s->n_ids) {
		give_endpoints(s);
	} else if (!s->leaving) {
		give_node(s);
	} else {
		next_network(s);
	}
}

/* Not from inside of what told it: the network's follows may end. */
void sweep_go_on(struct agent *a)
{
	if (a->sweep)
		event_active(a->sweep_timer, EV_TIMEOUT, 0);
}

static void next_network(struct sweep *s)
{
	struct network *net = s->net ? s->net->hh.next : s->a->networks;

	if (s->net)
		network_unobserve(s->net);
	while (net && net->gone)
		net = net->hh.next;
	s->net = net;
	s->leaving = s->gave = false;
	s->n_ids = s->at = 0;
	if (!net) {
		look_on(s);
		return;
	}
	network_observe(net);
	sweep_go_on(s->a);
}

/* ---- the lock ---- */

/* Whose unlocking was lost, or the answer to whose locking: its lease would keep it. */
static bool is_ours(struct sweep *s, const struct fl_etcd_result *r)
{
	const char *self = s->a->conf.node;

	for (size_t i = 0; i < r->kvs.n; i++) {
		const struct fl_etcd_kv *kv = &r->kvs.items[i];

		if (strcmp(kv->key, LOCK) != 0 || kv->mod_revision == s->lock ||
		    kv->value_len != strlen(self) || memcmp(kv->value, self, kv->value_len) != 0)
			continue;
		s->lock = kv->mod_revision;
		return true;
	}
	return false;
}

static void take_lock(struct sweep *s);

static void on_locked(void *arg, struct fl_etcd_result *r)
{
	struct sweep *s = arg;

	s->call = NULL;
	agent_heard(s->a, r);
	if (r->outcome == FL_ETCD_OK) {
		s->locked = true;
		next_network(s);
		return;
	}
	if (r->outcome == FL_ETCD_COMPARE && is_ours(s, r)) {
		take_lock(s);
		return;
	}
	s->err = r->err;
	if (r->outcome == FL_ETCD_COMPARE)
		fl_error_set(&s->err, EBUSY, FL_ECODE_TRY_AGAIN,
			     "another node does it at the moment, or it is alive again");
	finish(s, s->err.err);
}

static void take_lock(struct sweep *s)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	struct agent *a = s->a;
	char key[FL_REC_KEY_STR];

	fl_etcd_txn_init(&t, fl_etcd_prefix(a->etcd));
	fl_etcd_txn_if(&t, LOCK, FL_ETCD_T_MOD, FL_ETCD_EQ, s->lock);
	fl_etcd_txn_range(&t, FL_ETCD_FAILURE, &(struct fl_etcd_range){ .key = LOCK });
	key_of(s, FL_REC_NODE, "", key);
	fl_etcd_txn_if(&t, key, FL_ETCD_T_MOD, FL_ETCD_EQ, s->mod);
	fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, LOCK, a->conf.node, strlen(a->conf.node),
			a->member.lease);
	if (fl_etcd_txn(a->etcd, &t, on_locked, s, &s->call, &s->err))
		finish(s, s->err.err);
}

static void begin(struct agent *a, struct node *n, struct client *c)
{
	struct sweep *s = must_alloc(sizeof(*s));

	s->a = a;
	s->node = n;
	s->mod = n->mod;
	s->found = node_exists(n);
	s->client = c;
	a->sweep = s;
	if (c)
		c->started = true;
	take_lock(s);
}

/* ---- when ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	struct node *n, *tmp, *first = NULL;

	(void)fd;
	(void)what;
	if (a->sweep) {
		go_on(a);
		return;
	}
	/* One that cannot be swept now has a later time, so that each has its turn. */
	HASH_ITER (hh, a->nodes, n, tmp)
		if (is_due(n) && (!first || n->sweep_at < first->sweep_at))
			first = n;
	if (first && a->member.state == MEMBER_IN && !a->trouble.err && networks_synced(a))
		begin(a, first, NULL);
	else
		sweep_check(a);
}

void sweep_check(struct agent *a)
{
	int64_t soonest = INT64_MAX, now = now_ms();
	struct node *n, *tmp;

	if (!nodes_synced(a) || a->sweep)
		return;
	HASH_ITER (hh, a->nodes, n, tmp) {
		if (n->alive || n->self || n->unread || !node_exists(n)) {
			n->sweep_at = 0;
			*n->kept = 0;
			continue;
		}
		if (!n->sweep_at)
			n->sweep_at = now + a->conf.hold_down_s * 1000;
		if (n->sweep_at < soonest)
			soonest = n->sweep_at;
	}
	if (soonest < INT64_MAX) {
		/* When the store cannot be reached just then, a second later. */
		int64_t ms = soonest - now < RETRY_MS ? RETRY_MS : soonest - now;
		const struct timeval t = { ms / 1000, ms % 1000 * 1000 };

		event_add(a->sweep_timer, &t);
	}
}

void sweep_node(struct agent *a, const char *name, struct client *c)
{
	struct fl_error err = { 0 };
	struct node *n;

	if (!fl_name_valid(name, FL_REC_ID_MAX - 1)) {
		client_answer(c, none(&err, name), &err, NULL);
		return;
	}
	/* Somebody may have deleted its record, and networks that this node is not in have what was
	 * its: sweeping tells. */
	n = node_get(a, name);
	if (n->self)
		fl_error_set(&err, EINVAL, FL_ECODE_CONFIG,
			     "%s is this node: it leaves the cluster by itself", name);
	else if (n->alive)
		fl_error_set(&err, EBUSY, FL_ECODE_CONFLICT,
			     "node %s is alive: stop its fairlead-overlayd, and wait for the end "
			     "of its lease",
			     name);
	else if (n->unread)
		fl_error_set(&err, EUCLEAN, FL_ECODE_CONFLICT,
			     "the record of node %s is of a later version: run this on a node that "
			     "has that",
			     name);
	if (err.err)
		client_answer(c, err.err, &err, NULL);
	else if (!a->sweep && a->member.state == MEMBER_IN)
		begin(a, n, c);
}

void sweep_start(struct agent *a)
{
	a->sweep_timer = evtimer_new(a->base, on_timer, a);
	if (!a->sweep_timer)
		die_of_memory();
}

void sweep_stop(struct agent *a)
{
	if (a->sweep && a->sweep->call)
		fl_etcd_cancel(a->sweep->call);
	if (a->sweep)
		free(a->sweep->ids);
	free(fl_take_ptr(a->sweep));
	event_free(a->sweep_timer);
}
