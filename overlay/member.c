/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * read node/ and alive/  ->  grant a lease  ->  write both, if nobody else has meanwhile
 *         ^                                                  |
 *         +---- the lease was lost, or our record changed ---+ keepalive
 *
 * An epoch is one such round: what is written under an older one may be somebody else's by now.
 */
#include "overlay/agent.h"

#include <string.h>

static void enter(struct agent *a);

static void after(struct agent *a, int64_t ms)
{
	const struct timeval t = { ms / 1000, ms % 1000 * 1000 };

	event_add(a->member.timer, &t);
}

static int64_t lease_ms(const struct agent *a)
{
	return a->conf.lease_s * 1000;
}

static void again(struct agent *a)
{
	a->member.state = MEMBER_OUT;
	after(a, RETRY_MS);
}

/* ---- the lease ---- */

static void on_kept(void *arg, struct fl_etcd_result *r)
{
	struct agent *a = arg;

	a->member.call = NULL;
	if (r->outcome == FL_ETCD_LOST)
		say("the lease was lost: this node was taken for dead for a while");
	if (r->outcome == FL_ETCD_LOST || a->member.stale) {
		enter(a);
		return;
	}
	if (agent_heard(a, r))
		a->member.lease_ends = now_ms() + r->ttl * 1000;
	after(a, r->outcome == FL_ETCD_OK ? lease_ms(a) / 3 : RETRY_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	struct fl_error err = { 0 };

	(void)fd;
	(void)what;
	if (a->member.call)
		return;
	if (a->member.state != MEMBER_IN || a->member.stale) {
		enter(a);
		return;
	}
	if (fl_etcd_lease(a->etcd, FL_ETCD_KEEPALIVE, a->member.lease, on_kept, a, &a->member.call,
			  &err)) {
		say("%s", err.text);
		after(a, RETRY_MS);
	}
}

/* ---- entering ---- */

static void on_entered(void *arg, struct fl_etcd_result *r)
{
	struct agent *a = arg;
	struct member *m = &a->member;

	m->call = NULL;
	if (!agent_heard(a, r) || r->outcome != FL_ETCD_OK) {
		/* Not known: reading again tells. */
		again(a);
		return;
	}
	m->state = MEMBER_IN;
	m->entered = r->header.revision;
	m->since = now_ms();
	m->lease_ends = now_ms() + lease_ms(a);
	say("node %s is in cluster %s, epoch %lld", a->conf.node, a->conf.cluster,
	    (long long)m->epoch);
	after(a, m->stale ? RETRY_MS : lease_ms(a) / 3);
	networks_in(a);
	agent_wake(a);
}

static void encode(struct fl_rec *rec, struct fl_strbuf *b)
{
	if (fl_rec_encode(rec, b))
		die_of_memory();
}

static void fill_node(struct agent *a, struct fl_rec *rec)
{
	struct fl_rec_node *n = &rec->node;

	rec->kind = FL_REC_NODE;
	*n = (struct fl_rec_node){ .mtu = a->vtep_mtu,
				   .port = VXLAN_PORT,
				   .epoch = a->member.epoch };
	if (a->vtep.family == AF_INET6)
		n->vtep6 = a->vtep;
	else
		n->vtep4 = a->vtep;
	fl_strcpy(n->boot_id, sizeof(n->boot_id), a->boot_id);
	a->member.wrote = a->vtep;
}

static void key_of(const struct agent *a, enum fl_rec_kind kind, char *key)
{
	struct fl_rec_key k = { .kind = kind };

	fl_strcpy(k.id, sizeof(k.id), a->conf.node);
	fl_rec_key(&k, key);
}

static void on_granted(void *arg, struct fl_etcd_result *r)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	FL_AUTOSTRBUF struct fl_strbuf node = { 0 }, alive = { 0 };
	struct fl_rec *rec = must_alloc(sizeof(*rec));
	char node_key[FL_REC_KEY_STR], alive_key[FL_REC_KEY_STR];
	struct agent *a = arg;
	struct fl_error err = { 0 };

	a->member.call = NULL;
	fl_etcd_txn_init(&t, fl_etcd_prefix(a->etcd));
	if (!agent_heard(a, r)) {
		again(a);
		free(rec);
		return;
	}
	a->member.lease = r->lease;
	key_of(a, FL_REC_NODE, node_key);
	key_of(a, FL_REC_ALIVE, alive_key);
	fill_node(a, rec);
	encode(rec, &node);
	*rec = (struct fl_rec){ .kind = FL_REC_ALIVE, .alive.epoch = a->member.epoch };
	encode(rec, &alive);
	free(rec);
	fl_etcd_txn_if(&t, node_key, FL_ETCD_T_MOD, FL_ETCD_EQ, a->member.node_mod);
	fl_etcd_txn_if(&t, alive_key, FL_ETCD_T_MOD, FL_ETCD_EQ, a->member.alive_mod);
	fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, node_key, node.s, node.len, 0);
	fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, alive_key, alive.s, alive.len, a->member.lease);
	if (fl_etcd_txn(a->etcd, &t, on_entered, a, &a->member.call, &err)) {
		say("%s", err.text);
		again(a);
	}
}

/* Another machine that calls itself the same, and lives; not this one with its former address. */
static bool is_other(const struct agent *a, const struct fl_rec_node *n)
{
	const struct fl_addr *vtep = a->vtep.family == AF_INET6 ? &n->vtep6 : &n->vtep4;
	const struct fl_addr *wrote = &a->member.wrote;

	return strcmp(n->boot_id, a->boot_id) != 0 ||
	       (!fl_addr_eq(vtep, &a->vtep) &&
		(!fl_addr_is_set(wrote) || !fl_addr_eq(vtep, wrote)));
}

static void refuse(struct agent *a, const struct fl_rec_node *n)
{
	const struct fl_addr *vtep = fl_addr_is_set(&n->vtep4) ? &n->vtep4 : &n->vtep6;

	if (!a->member.taken)
		say("another node that is alive calls itself %s, at %s", a->conf.node,
		    fl_addr_str(vtep, FL_ADDR_BUF));
	a->member.taken = true;
	fl_error_set(&a->trouble, EADDRINUSE, FL_ECODE_CONFLICT,
		     "another node that is alive calls itself %s, at %s; set \"node\" in "
		     "%s",
		     a->conf.node, fl_addr_str(vtep, FL_ADDR_BUF), FL_OVERLAY_CONFIG);
	again(a);
	agent_wake(a);
}

/* Whether a record of this name is in the way; *rec is its, or empty. */
static bool read_records(struct agent *a, const struct fl_etcd_result *r, struct fl_rec *rec)
{
	struct fl_rec_key k;
	struct fl_error err = { 0 };

	a->member.node_mod = a->member.alive_mod = 0;
	for (size_t i = 0; i < r->kvs.n; i++) {
		const struct fl_etcd_kv *kv = &r->kvs.items[i];

		if (fl_rec_key_parse(kv->key, &k))
			continue;
		if (k.kind == FL_REC_ALIVE)
			a->member.alive_mod = kv->mod_revision;
		else
			a->member.node_mod = kv->mod_revision;
		if (k.kind == FL_REC_NODE &&
		    fl_rec_decode(FL_REC_NODE, kv->value, kv->value_len, rec, &err))
			say("node/%s: %s; it is replaced", a->conf.node, err.text);
	}
	return a->member.alive_mod && a->member.node_mod && rec->node.mtu &&
	       is_other(a, &rec->node);
}

/* The last one there is may be somebody's joke. */
static int64_t epoch_after(int64_t a, int64_t b)
{
	int64_t newest = a > b ? a : b;

	return newest < INT64_MAX ? newest + 1 : 1;
}

static void on_read(void *arg, struct fl_etcd_result *r)
{
	struct fl_rec *rec = must_alloc(sizeof(*rec));
	struct agent *a = arg;
	struct fl_error err = { 0 };

	a->member.call = NULL;
	if (!agent_heard(a, r)) {
		again(a);
	} else if (read_records(a, r, rec)) {
		refuse(a, &rec->node);
	} else {
		a->member.taken = false;
		a->member.epoch = epoch_after(rec->node.epoch, a->member.epoch);
		if (fl_etcd_lease_grant(a->etcd, a->conf.lease_s, on_granted, a, &a->member.call,
					&err)) {
			say("%s", err.text);
			again(a);
		}
	}
	free(rec);
}

static void enter(struct agent *a)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	char key[FL_REC_KEY_STR];
	struct fl_error err = { 0 };

	a->member.state = MEMBER_ENTERING;
	a->member.stale = false;
	event_del(a->member.timer);
	fl_etcd_txn_init(&t, fl_etcd_prefix(a->etcd));
	key_of(a, FL_REC_NODE, key);
	fl_etcd_txn_range(&t, FL_ETCD_SUCCESS, &(struct fl_etcd_range){ .key = key });
	key_of(a, FL_REC_ALIVE, key);
	fl_etcd_txn_range(&t, FL_ETCD_SUCCESS, &(struct fl_etcd_range){ .key = key });
	if (fl_etcd_txn(a->etcd, &t, on_read, a, &a->member.call, &err)) {
		say("%s", err.text);
		again(a);
	}
}

void member_start(struct agent *a)
{
	a->member.timer = evtimer_new(a->base, on_timer, a);
	if (!a->member.timer)
		die_of_memory();
	enter(a);
}

void member_stop(struct agent *a)
{
	if (a->member.call)
		fl_etcd_cancel(a->member.call);
	if (a->member.timer)
		event_free(a->member.timer);
	a->member = (struct member){ .epoch = a->member.epoch };
}

void member_renew(struct agent *a)
{
	struct member *m = &a->member;
	bool soon = now_ms() - m->since < RETRY_MS;

	if (m->state == MEMBER_OUT || m->state == MEMBER_LEAVING)
		return;
	m->stale = true;
	if (m->call || m->state != MEMBER_IN)
		return;
	/* Two that take each other for the other have pauses. */
	if (soon)
		after(a, RETRY_MS);
	else
		enter(a);
}

void member_doubt(struct agent *a, int64_t revision)
{
	if (a->member.state != MEMBER_IN || revision <= a->member.entered || a->member.stale)
		return;
	say("the record of this node was changed by another: claiming again");
	member_renew(a);
}

bool member_lives(const struct agent *a)
{
	return a->member.state == MEMBER_IN && !a->member.stale && now_ms() < a->member.lease_ends;
}
/* ---- leaving ---- */

static void on_left(void *arg, struct fl_etcd_result *r)
{
	struct agent *a = arg;
	struct client *c = a->member.client;

	a->member.call = NULL;
	a->member.client = NULL;
	if (!agent_heard(a, r)) {
		a->member.state = MEMBER_IN;
		after(a, RETRY_MS);
	} else {
		say("node %s has left cluster %s", a->conf.node, a->conf.cluster);
		event_base_loopbreak(a->base);
	}
	if (c)
		client_answer(c, r->outcome == FL_ETCD_OK ? 0 : r->err.err, &r->err, NULL);
}
void member_leave(struct agent *a, struct client *c)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	char key[FL_REC_KEY_STR];
	struct fl_error err = { 0 };

	if (a->member.call || a->member.state != MEMBER_IN)
		return;
	a->member.state = MEMBER_LEAVING;
	event_del(a->member.timer);
	fl_etcd_txn_init(&t, fl_etcd_prefix(a->etcd));
	key_of(a, FL_REC_ALIVE, key);
	fl_etcd_txn_delete(&t, FL_ETCD_SUCCESS, key, false);
	key_of(a, FL_REC_NODE, key);
	fl_etcd_txn_delete(&t, FL_ETCD_SUCCESS, key, false);
	a->member.client = c;
	if (c)
		c->started = true;
	if (!fl_etcd_txn(a->etcd, &t, on_left, a, &a->member.call, &err))
		return;
	again(a);
	a->member.client = NULL;
	if (c)
		client_answer(c, err.err, &err, NULL);
}
