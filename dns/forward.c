/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions for others. The servers are asked in their order, each as soon as the one before it has
 * failed or was silent for a moment, so that a dead one costs that moment and no more; and all of
 * them again, with other ids and ports, for what was lost. The first answer counts. When all have
 * failed, and at the latest after DEADLINE_MS, the asker gets SERVFAIL: never silence.
 */
#include "dns/worker.h"

#include "dns/cache.h"

#include <errno.h>
#include <string.h>

enum {
	STAGGER_MS = 250,
	ROUNDS = 3,
	DEADLINE_MS = 10000, /* two attempts of five seconds: resolv.conf(5) */
	VIEW_MAX = 4096,     /* at work for one sandbox: others are not to suffer */
	ALL_MAX = 131072,
	TABLE_SIZE = 4096,
	FAILURES_MAX = 3, /* in a row, and the server is asked last */
	BAD_MS = 10000,
};

static const unsigned round_at[ROUNDS] = { 0, 2000, 5000 };

struct forward {
	struct forward *next, **at; /* of the view */
	struct forward *chain;	    /* of the table */
	struct worker *w;
	struct pool *pool;
	struct servers *servers;
	struct asker who;
	struct fl_dns_query q;
	struct attempt *attempts;
	uint8_t order[SERVERS_MAX]; /* of the servers, as they are asked */
	size_t n;		    /* of them */
	unsigned asked, round;	    /* in this round */
	uint64_t began;		    /* ms */
	uint64_t owner;		    /* of the cache */
	bool cache;
	uint8_t *refusal; /* the last answer that was none */
	size_t refusal_len;
	struct event *timer;
	size_t len;
	uint8_t msg[];
};

/* ---- who asks: a repeated question is not asked twice ---- */

static unsigned slot_of(const struct asker *who, uint16_t id)
{
	const uint8_t *b = (const uint8_t *)&who->from;
	uint32_t h = 2166136261u ^ id ^ (uint32_t)who->view->sandbox;

	for (size_t i = 0; i < sizeof(who->from); i++)
		h = (h ^ b[i]) * 16777619u;
	return h % TABLE_SIZE;
}

static struct forward *find_same(struct worker *w, const struct asker *who,
				 const struct fl_dns_query *q)
{
	struct forward *f = who->stream ? NULL : w->table[slot_of(who, q->id)];

	for (; f; f = f->chain)
		if (f->who.view == who->view && !f->who.stream && f->q.id == q->id &&
		    !memcmp(&f->who.from, &who->from, sizeof(who->from)) && f->q.type == q->type &&
		    fl_dns_name_eq(&f->q.name, &q->name))
			return f;
	return NULL;
}

/* ---- life ---- */

static void unlink_table(struct forward *f)
{
	struct forward **at = &f->w->table[slot_of(&f->who, f->q.id)];

	while (*at && *at != f)
		at = &(*at)->chain;
	if (*at)
		*at = f->chain;
}

static void forward_free(struct forward *f)
{
	struct attempt *a;

	while ((a = f->attempts)) {
		f->attempts = a->next;
		upstream_cancel(f->pool, a);
		free(a);
	}
	if (!f->who.stream)
		unlink_table(f);
	*f->at = f->next;
	if (f->next)
		f->next->at = f->at;
	f->who.view->n_forwards--;
	f->w->n_forwards--;
	servers_unref(f->servers);
	if (f->timer)
		event_free(f->timer);
	free(f->refusal);
	free(f);
}

static void deliver(struct forward *f, uint8_t *msg, size_t len, const char *how)
{
	struct asker who = f->who;

	if (f->w->watchers)
		log_query(f->w, who.view, &f->q, how, fl_dns_get16(msg + 2) & FL_DNS_RCODE,
			  now_us() - who.at);
	query_deliver(f->w, &who, msg, len);
	forward_free(f);
}

static size_t limit_of(const struct forward *f)
{
	return f->who.stream ? FL_DNS_MESSAGE_MAX : f->q.udp_size;
}

static void give_up(struct forward *f)
{
	static uint8_t out[FL_DNS_MESSAGE_MAX + FL_DNS_OPT_SIZE];
	struct fl_dns_facts facts;
	size_t len;

	f->who.view->count.failed++;
	fl_dns_set16(f->msg, f->q.id);
	/* A server's own SERVFAIL may say why (RFC 8914). */
	if (f->refusal && !fl_dns_inspect(f->refusal, f->refusal_len, &facts) && facts.complete &&
	    facts.rcode == FL_DNS_SERVFAIL) {
		memcpy(out, f->refusal, f->refusal_len);
		fl_dns_set16(out, f->q.id);
		len = fl_dns_fit(out, f->refusal_len, &facts, &f->q, limit_of(f));
	} else {
		len = fl_zone_refuse(f->msg, &f->q, FL_DNS_SERVFAIL, out, FL_DNS_UDP_MAX);
	}
	deliver(f, out, len, "failed");
}

/* ---- attempts ---- */

const uint8_t *forward_query(const struct attempt *a, size_t *ret_len)
{
	fl_dns_set16(a->forward->msg, a->id);
	*ret_len = a->forward->len;
	return a->forward->msg;
}

const struct server *forward_server(const struct attempt *a)
{
	return &a->forward->servers->v[a->server];
}

/* It is no server's fault where we lack something ourselves. */
static bool is_ours(int r)
{
	return r == -ENOMEM || r == -ENOBUFS || r == -EMFILE || r == -ENFILE || r == -EBUSY ||
	       r == -EMSGSIZE || r == -EAGAIN;
}

static void note_failure(struct server *s, int r)
{
	if (is_ours(r))
		return;
	if (++s->failures >= FAILURES_MAX)
		s->bad_until = now_ms() + BAD_MS;
}

static void note_success(struct forward *f, const struct attempt *by)
{
	struct server *s = &f->servers->v[by->server];

	s->failures = 0;
	s->bad_until = 0;
	/* Those that were asked before it and are silent still. */
	for (const struct attempt *a = by->next; a; a = a->next)
		if (!a->over && a->server != by->server)
			note_failure(&f->servers->v[a->server], -ETIMEDOUT);
}

static bool is_waiting(const struct forward *f)
{
	for (const struct attempt *a = f->attempts; a; a = a->next)
		if (!a->over)
			return true;
	return false;
}

static void arm(struct forward *f, uint64_t in_ms)
{
	struct timeval t = { (time_t)(in_ms / 1000), (suseconds_t)(in_ms % 1000 * 1000) };

	event_add(f->timer, &t);
}

static int attempt_begin(struct forward *f, unsigned server, bool tcp)
{
	struct attempt *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	*a = (struct attempt){ .forward = f, .next = f->attempts, .server = server, .tcp = tcp };
	f->attempts = a;
	r = upstream_send(f->pool, a);
	if (r) {
		a->over = true;
		note_failure(&f->servers->v[server], r);
	}
	return r;
}

/* Those that failed lately come last. */
static void choose_order(struct forward *f)
{
	struct servers *s = f->servers;
	uint8_t ours = s == f->w->host_servers ? servers_ours(f->w, s) : 0;
	uint64_t now = now_ms();

	f->n = 0;
	for (int bad = 0; bad < 2; bad++)
		for (size_t i = 0; i < s->n; i++)
			if ((s->v[i].bad_until > now) == bad && !(ours >> i & 1))
				f->order[f->n++] = (uint8_t)i;
}

/* When there is something to do without an answer. */
static uint64_t next_step(const struct forward *f)
{
	uint64_t now = now_ms(), at = f->began + DEADLINE_MS;

	if (f->asked < f->n)
		return STAGGER_MS;
	if (f->round + 1 < ROUNDS)
		at = f->began + round_at[f->round + 1];
	return at > now ? at - now : 0;
}

/* Asks on until one question is out. False: all have failed. */
static bool ask_next(struct forward *f)
{
	while (f->asked < f->n)
		if (!attempt_begin(f, f->order[f->asked++], false))
			return true;
	return is_waiting(f);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct forward *f = arg;

	(void)fd;
	(void)what;
	if (now_ms() >= f->began + DEADLINE_MS) {
		give_up(f);
		return;
	}
	if (f->asked >= f->n && f->round + 1 < ROUNDS && is_waiting(f)) {
		f->round++;
		f->asked = 0;
		choose_order(f);
	}
	if (ask_next(f))
		arm(f, next_step(f));
	else
		give_up(f);
}

void forward_failed(struct attempt *a, int r)
{
	struct forward *f = a->forward;

	a->over = true;
	note_failure(&f->servers->v[a->server], r);
	/* From the loop: whoever calls may have more to tell. */
	if (f->asked < f->n || !is_waiting(f))
		arm(f, 0);
}

static void keep_refusal(struct forward *f, const uint8_t *msg, size_t len)
{
	uint8_t *copy = malloc(len + FL_DNS_OPT_SIZE);

	if (!copy)
		return;
	memcpy(copy, msg, len);
	free(f->refusal);
	f->refusal = copy;
	f->refusal_len = len;
}

/* It says something of the server; any other rcode says something of the question. */
static bool is_refusal(const struct fl_dns_facts *facts)
{
	return facts->rcode == FL_DNS_SERVFAIL || facts->rcode == FL_DNS_NOTIMP ||
	       facts->rcode == FL_DNS_REFUSED;
}

void forward_answered(struct attempt *a, uint8_t *msg, size_t len)
{
	struct forward *f = a->forward;
	struct fl_dns_facts facts;
	int r = fl_dns_inspect(msg, len, &facts);

	a->over = true;
	if (!r && facts.truncated && !a->tcp) {
		note_success(f, a);
		if (attempt_begin(f, a->server, true))
			forward_failed(a, -EBUSY); /* what there is to note is noted */
		return;
	}
	if (r || !facts.complete || is_refusal(&facts)) {
		if (!r && facts.complete)
			keep_refusal(f, msg, len);
		forward_failed(a, -EBADMSG);
		return;
	}
	note_success(f, a);
	fl_dns_set16(msg, f->q.id);
	if (f->cache && f->w->cache && facts.cacheable)
		cache_put(f->w->cache, f->owner, &f->q, msg, &facts, now_ms());
	deliver(f, msg, fl_dns_fit(msg, len, &facts, &f->q, limit_of(f)), "forwarded");
}

/* ---- begin and end ---- */

static struct forward *forward_new(struct worker *w, const struct asker *who, const uint8_t *msg,
				   size_t len, const struct fl_dns_query *q)
{
	struct forward *f = malloc(sizeof(*f) + len), **table;
	const struct scope *scope = who->view->scope;

	if (!f)
		return NULL;
	*f = (struct forward){ .w = w,
			       .who = *who,
			       .q = *q,
			       .len = len,
			       .began = now_ms(),
			       .servers = view_servers(who->view),
			       .cache = scope->cache };
	memcpy(f->msg, msg, len);
	f->owner = servers_id(w, f->servers);
	f->servers->refs++;
	f->pool = scope->servers && !who->view->network ? &who->view->pool : &w->host_pool;
	f->next = who->view->forwards;
	f->at = &who->view->forwards;
	if (f->next)
		f->next->at = &f->next;
	who->view->forwards = f;
	who->view->n_forwards++;
	w->n_forwards++;
	if (!who->stream) {
		table = &w->table[slot_of(who, q->id)];
		f->chain = *table;
		*table = f;
	}
	f->timer = evtimer_new(w->base, on_timer, f);
	return f;
}

bool forward_begin(struct worker *w, const struct asker *who, const uint8_t *msg, size_t len,
		   const struct fl_dns_query *q)
{
	struct forward *f;

	if (!view_servers(who->view))
		return false;
	if (find_same(w, who, q))
		return true;
	/* No stub asks so much; kept for thousands of them, it would be a lot of memory. */
	if (len > QUERY_MAX)
		return false;
	if (who->view->n_forwards >= VIEW_MAX || w->n_forwards >= ALL_MAX)
		return false;
	f = forward_new(w, who, msg, len, q);
	if (!f)
		return false;
	if (!f->timer) {
		forward_free(f);
		return false;
	}
	choose_order(f);
	who->view->count.forwarded++;
	/* When all failed already it is said from the loop, as every answer is. */
	arm(f, ask_next(f) ? next_step(f) : 0);
	return true;
}

void forwards_drop(struct view *v)
{
	while (v->forwards)
		forward_free(v->forwards);
}

void forwards_forget_stream(struct view *v, const struct stream *s)
{
	for (struct forward *f = v->forwards, *next; f; f = next) {
		next = f->next;
		if (f->who.stream == s)
			forward_free(f);
	}
}
