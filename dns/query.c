/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One query: from the store, from the cache, or from a name server. And how they come by UDP. */
#include "dns/worker.h"

#include "dns/cache.h"
#include "dns/memo.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { ANSWERS = 6 }; /* where a header counts them */

struct buffers {
	uint8_t in[BATCH][QUERY_MAX];
	uint8_t out[BATCH][FL_DNS_UDP_MAX];
	uint8_t large[CACHE_ENTRY_MAX + FL_DNS_OPT_SIZE]; /* from the cache, until it is fitted */
	union address from[BATCH];
	struct iovec iov_in[BATCH], iov_out[BATCH];
	struct mmsghdr msgs[BATCH], answers[BATCH];
};

/* ---- the store, as the zone asks it ---- */

static int find(void *arg, const struct fl_dns_name *name, const char *network, struct fl_host *out,
		size_t max, size_t *n)
{
	const struct view *v = arg;

	return fl_hosts_find(v->w->txn, name, network, out, max, n, NULL);
}

static int reverse(void *arg, const struct fl_addr *a, const char *network, struct fl_dns_name *ret)
{
	const struct view *v = arg;

	return fl_hosts_reverse(v->w->txn, a, network, ret, NULL, NULL);
}

struct wanted {
	const struct fl_endpoint_id *id; /* of the attachment, whichever plugin's */
	uint8_t proto;
	uint16_t port, inside;
};

/* By its number on either side. */
static int find_port(void *arg, const struct fl_endpoint *ep)
{
	struct wanted *w = arg;

	if (ep->state == FL_STATE_DELETING || strcmp(ep->id.network, w->id->network) != 0 ||
	    strcmp(ep->id.container, w->id->container) != 0 ||
	    strcmp(ep->id.ifname, w->id->ifname) != 0)
		return 0;
	for (uint32_t i = 0; i < ep->n_ports; i++) {
		const struct fl_port *p = &ep->ports[i];
		uint32_t inside = (uint32_t)w->port - p->container_port,
			 outside = (uint32_t)w->port - p->host_port;

		if (p->proto != w->proto || (inside >= p->count && outside >= p->count))
			continue;
		w->inside = inside < p->count ? w->port : (uint16_t)(p->container_port + outside);
		return 1;
	}
	return 0;
}

/* The plugin that publishes may be another one of the chain than the one that has the address. */
static int service(void *arg, const struct fl_addr *a, const char *network, const char *name,
		   uint8_t proto, uint16_t *ret)
{
	const struct view *v = arg;
	struct fl_endpoint_id id;
	struct wanted w = { &id, proto, services_find(v->w->services, name, proto), 0 };
	int r = w.port ? fl_hosts_reverse(v->w->txn, a, network, NULL, &id, NULL) : -ENOENT;

	if (!r)
		r = fl_endpoints_named(v->w->txn, id.container, find_port, &w, NULL);
	if (r <= 0)
		return r ? r : -ENOENT;
	*ret = w.inside;
	return 0;
}

/* ---- one query ---- */

static void done(struct worker *w, const struct asker *who, const struct fl_dns_query *q,
		 const char *how, const uint8_t *out)
{
	if (w->watchers)
		log_query(w, who->view, q, how, fl_dns_get16(out + 2) & FL_DNS_RCODE,
			  now_us() - who->at);
}

static size_t refuse(struct worker *w, const struct asker *who, const struct fl_dns_query *q,
		     const uint8_t *msg, uint16_t rcode, uint8_t *out, size_t size)
{
	size_t len = fl_zone_refuse(msg, q, rcode, out, size);
	bool malformed =
		rcode == FL_DNS_FORMERR || rcode == FL_DNS_NOTIMP || rcode == FL_DNS_BADVERS;

	if (malformed)
		who->view->count.malformed++;
	else if (rcode == FL_DNS_SERVFAIL)
		who->view->count.failed++;
	else
		who->view->count.refused++;
	done(w, who, q,
	     malformed			? "malformed"
	     : rcode == FL_DNS_SERVFAIL ? "failed"
					: "refused",
	     out);
	return len;
}

static uint16_t may_ask(const struct fl_dns_query *q)
{
	if (q->type == FL_DNS_OPT || !q->type)
		return FL_DNS_FORMERR;
	if (q->class != FL_DNS_IN || q->type == FL_DNS_AXFR || q->type == FL_DNS_IXFR)
		return FL_DNS_REFUSED;
	return 0;
}

static size_t from_elsewhere(struct worker *w, const struct asker *who, const uint8_t *msg,
			     size_t len, const struct fl_dns_query *q, uint8_t *out, size_t size)
{
	struct view *v = who->view;
	struct servers *servers = view_servers(v);
	size_t n = 0;

	if (!v->scope->forward)
		return refuse(w, who, q, msg, FL_DNS_NXDOMAIN, out, size);
	if (w->cache && v->scope->cache && servers)
		n = cache_get(w->cache, servers_id(w, servers), q, msg, now_ms(), w->buffers->large,
			      size);
	if (n) {
		memcpy(out, w->buffers->large, n);
		v->count.cached++;
		done(w, who, q, "cached", out);
		return n;
	}
	if (forward_begin(w, who, msg, len, q))
		return 0;
	return refuse(w, who, q, msg, FL_DNS_SERVFAIL, out, size);
}

/*
 * Turns at which address an answer begins. A stub asks for A and AAAA in pairs: counted together,
 * of two addresses it would always get the same one first.
 */
static unsigned next_turn(struct view *v, uint16_t type)
{
	unsigned half = type == FL_DNS_AAAA ? 16 : 0, turn = v->rotate >> half & 0xffff;

	v->rotate = (v->rotate & ~(0xffffu << half)) | ((turn + 1) & 0xffff) << half;
	return turn;
}

/* The same words as a moment ago, while nothing changed. Whoever watches queries sees each of them.
 */
static size_t from_memory(struct worker *w, struct view *v, const uint8_t *msg, size_t len,
			  uint8_t *out)
{
	size_t n;

	if (w->watchers || !view_refresh(v, w->txn) || !v->scope->sight)
		return 0;
	n = memo_get(w->memo, v->seen, v->scope->sight, msg, len, out);
	if (n) {
		v->count.local++;
		++*v->scope->nets[0].hits;
	}
	return n;
}

/* Where there are several addresses each answer begins with another one. */
static void remember(struct worker *w, const struct view *v, const uint8_t *msg, size_t len,
		     const uint8_t *answer, size_t answer_len)
{
	if (v->scope->sight && fl_dns_get16(answer + ANSWERS) <= 1)
		memo_put(w->memo, v->seen, v->scope->sight, msg, len, answer, answer_len);
}

size_t query_handle(struct worker *w, const struct asker *who, uint8_t *msg, size_t len,
		    uint8_t *out, size_t size)
{
	struct view *v = who->view;
	size_t n = from_memory(w, v, msg, len, out);
	struct fl_dns_query q;
	struct fl_zone zone;
	int r;

	v->count.queries++;
	if (n)
		return n;
	r = fl_dns_query_parse(msg, len, &q);
	if (r < 0) {
		v->count.malformed++;
		return 0;
	}
	if (!who->stream && size > q.udp_size)
		size = q.udp_size;
	if (!r)
		r = may_ask(&q);
	if (!r && !view_refresh(v, w->txn))
		r = FL_DNS_REFUSED;
	if (r)
		return refuse(w, who, &q, msg, (uint16_t)r, out, size);
	zone = (struct fl_zone){
		v->scope->nets, v->scope->n_nets, next_turn(v, q.type), find, reverse, service, v
	};
	if (!fl_zone_answer(&zone, msg, &q, out, size, &n))
		return from_elsewhere(w, who, msg, len, &q, out, size);
	v->count.local++;
	remember(w, v, msg, len, out, n);
	done(w, who, &q, "local", out);
	return n;
}

/* ---- UDP ---- */

struct buffers *buffers_new(void)
{
	struct buffers *b = calloc(1, sizeof(*b));

	for (size_t i = 0; b && i < BATCH; i++) {
		b->iov_in[i] = (struct iovec){ b->in[i], QUERY_MAX };
		b->msgs[i].msg_hdr = (struct msghdr){ .msg_name = &b->from[i],
						      .msg_iov = &b->iov_in[i],
						      .msg_iovlen = 1 };
		b->answers[i].msg_hdr =
			(struct msghdr){ .msg_iov = &b->iov_out[i], .msg_iovlen = 1 };
	}
	return b;
}

static size_t handle_datagram(struct view *v, size_t i, size_t len, uint64_t at)
{
	struct buffers *b = v->w->buffers;
	struct asker who = { v, NULL, b->from[i], at };

	/* The rest is of an earlier one: askers are compared as a whole. */
	if (who.from.sa.sa_family == AF_INET)
		memset((uint8_t *)&who.from + sizeof(who.from.in), 0,
		       sizeof(who.from) - sizeof(who.from.in));

	return query_handle(v->w, &who, b->in[i], len, b->out[i], FL_DNS_UDP_MAX);
}

/* The transaction begins when the query is here: what was added before it was asked is seen. */
static void one(struct view *v)
{
	struct buffers *b = v->w->buffers;
	socklen_t from_len = sizeof(b->from[0]);
	ssize_t got = recvfrom(v->udp, b->in[0], QUERY_MAX, MSG_TRUNC, &b->from[0].sa, &from_len);
	uint64_t at = v->w->now, now;
	size_t n;

	if (got < 0 || got > QUERY_MAX || !worker_read(v->w))
		return;
	n = handle_datagram(v, 0, (size_t)got, at);
	worker_read_end(v->w);
	if (!n)
		return;
	sendto(v->udp, b->out[0], n, MSG_NOSIGNAL, &b->from[0].sa, from_len);
	/* The end of this one is the beginning of the next. */
	now = now_us();
	count_latency(&v->count, now - at, 1);
	v->w->now = now;
}

static void send_batch(const struct view *v, unsigned n)
{
	struct buffers *b = v->w->buffers;

	for (unsigned sent = 0; sent < n;) {
		int r = sendmmsg(v->udp, b->answers + sent, n - sent, MSG_NOSIGNAL);

		/* One that cannot be sent (its port is forbidden there, say) is left out. */
		sent += r > 0 ? (unsigned)r : 1;
	}
}

bool udp_many(struct view *v)
{
	struct buffers *b = v->w->buffers;
	unsigned answers = 0;
	uint64_t at;
	int got;

	for (size_t i = 0; i < BATCH; i++)
		b->msgs[i].msg_hdr.msg_namelen = sizeof(b->from[i]);
	got = recvmmsg(v->udp, b->msgs, BATCH, MSG_DONTWAIT, NULL);
	v->busy = got > 1;
	v->w->hot = v->busy ? v : v->w->hot;
	at = now_us();
	if (got <= 0 || !worker_read(v->w))
		return false;
	for (int i = 0; i < got; i++) {
		size_t n = b->msgs[i].msg_hdr.msg_flags & MSG_TRUNC
				   ? 0
				   : handle_datagram(v, (size_t)i, b->msgs[i].msg_len, at);

		if (!n)
			continue;
		b->iov_out[answers] = (struct iovec){ b->out[i], n };
		b->answers[answers].msg_hdr.msg_name = &b->from[i];
		b->answers[answers++].msg_hdr.msg_namelen = b->msgs[i].msg_hdr.msg_namelen;
	}
	worker_read_end(v->w);
	send_batch(v, answers);
	if (answers)
		count_latency(&v->count, now_us() - at, answers);
	return true;
}

/*
 * A socket with one datagram at a time is read by the cheaper call; one that has another as soon as
 * it was read, by the call for many.
 */
void udp_readable(struct view *v)
{
	if (!v->busy)
		v->busy = v->last_turn + 1 == v->w->turn;
	v->last_turn = v->w->turn;
	if (v->busy)
		udp_many(v);
	else
		one(v);
}

void query_deliver(struct worker *w, const struct asker *who, const uint8_t *msg, size_t len)
{
	socklen_t size =
		who->from.sa.sa_family == AF_INET6 ? sizeof(who->from.in6) : sizeof(who->from.in);

	(void)w;
	if (who->stream)
		stream_answer(who->stream, msg, len);
	else if (who->view->udp >= 0)
		sendto(who->view->udp, msg, len, MSG_NOSIGNAL, &who->from.sa, size);
	count_latency(&who->view->count, now_us() - who->at, 1);
}
