/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fairlead-dnsd, the half that meets what containers and name servers send. Private to the daemon.
 *
 * One thread without any capability, under an allow-list of system calls. It reads names from the
 * store, gets its sockets from the broker, and opens by itself only sockets to the host's name
 * servers, in the host's namespace. UDP sockets of sandboxes are in an epoll set of their own: a
 * query costs no timer and no event object.
 */
#pragma once

#include "base/addr.h"
#include "base/cleanup.h"
#include "dns/channel.h"
#include "dns/wire.h"
#include "dns/zone.h"
#include "store/hosts.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>

enum {
	BATCH = 32,	  /* datagrams a turn of one socket */
	QUERY_MAX = 2048, /* bytes of one by UDP */
	SERVERS_MAX = 8,  /* name servers that are asked */
	VIEW_BUCKETS = 4096,
	HISTOGRAM = 20, /* latencies: below 1, 2, 4, ... microseconds */
};

struct worker;
struct view;
struct forward;
struct stream;

/* ---- counters ---- */

/* What each query counts comes first: it is one cache line. */
struct counters {
	uint64_t queries; /* all that could be read */
	uint64_t local;	  /* answered from the store */
	uint64_t histogram[HISTOGRAM];
	uint64_t malformed; /* answered with FORMERR, NOTIMP, BADVERS, or dropped */
	uint64_t cached;
	uint64_t forwarded;
	uint64_t refused; /* not to be forwarded: NXDOMAIN, REFUSED */
	uint64_t failed;  /* forwarded, and answered with SERVFAIL */
	uint64_t tcp;	  /* of all, by TCP */
};

struct net_counters {
	struct net_counters *next;
	uint64_t hits;
	char name[201];
};

/* ---- name servers ---- */

struct server {
	struct fl_addr addr;
	uint32_t scope; /* of a link-local address: interface */
	uint16_t port;
	uint16_t failures;  /* in a row */
	uint64_t bad_until; /* ms: asked last */
};

/* A list of them, as long as somebody refers to it. */
struct servers {
	unsigned refs;
	uint64_t id;   /* of what they say, in the cache; 0: not given yet */
	uint8_t ours;  /* bits: at which of them we listen ourselves, for the host */
	uint64_t seen; /* ms: when that was looked at */
	size_t seen_views;
	size_t n;
	struct server v[SERVERS_MAX];
};

void servers_unref(struct servers *s);
uint64_t servers_id(struct worker *w, struct servers *s);
/* Of the host's: those of them that are listeners of ours, as `ours`. To ask them would be to ask
 * in a circle. */
uint8_t servers_ours(struct worker *w, struct servers *s);

/* ---- sockets to name servers: upstream.c ---- */

enum { KINDS = 4 }; /* of sockets: UDP and TCP, IPv4 and IPv6 */

/* Of one namespace. Idle sockets are kept for the next query, without address and port. */
struct pool {
	struct worker *w;
	struct view *view; /* NULL: the host's namespace */
	struct upstream *idle[KINDS];
	unsigned n_idle[KINDS];
	struct upstream **busy; /* UDP */
	unsigned n_busy, cap_busy;
	struct attempt *waiting[KINDS], **last[KINDS]; /* for sockets from the broker, in turn */
	unsigned n_waiting[KINDS];
	uint64_t asked[KINDS]; /* ms: since when the broker owes an answer; 0: it does not */
};

/* One question to one server. */
struct attempt {
	struct forward *forward;
	struct attempt *next;	 /* of the forward */
	struct attempt *queue;	 /* of the pool's waiting */
	struct attempt *same;	 /* of the socket */
	struct upstream *socket; /* NULL: it waits for one, or is over */
	unsigned server;
	uint16_t id;
	bool tcp, over, waits;
};

/*
 * Sends the forward's query to the attempt's server, from a random port and with a random id. What
 * comes of it is told later: forward_answered(), or forward_failed(). -errno: nothing will come.
 */
int upstream_send(struct pool *p, struct attempt *a);
/* Forgets the attempt: its socket is free again. */
void upstream_cancel(struct pool *p, struct attempt *a);
/* What WANT asked for. */
void upstream_sockets(struct pool *p, const struct channel_msg *m, int *fds, int n);
void pool_init(struct pool *p, struct worker *w, struct view *v);
void pool_clear(struct pool *p);

/* ---- who is served: view.c ---- */

struct scope {
	uint64_t sight; /* equal for all that see the same names; 0: not known */
	bool forward, cache;
	struct servers *servers; /* its own, asked from inside; NULL: the host's */
	size_t n_nets;
	struct fl_zone_net nets[];
};

/* With a thousand of them none is in the processor's cache: what a query needs are two lines. */
struct view {
	struct worker *w;
	struct scope *scope;
	uint64_t seen; /* transaction in which scope was read */
	int udp, tcp;
	unsigned rotate;
	uint32_t last_turn; /* when the UDP socket had a datagram before */
	bool busy;	    /* several datagrams at once are read from it */
	struct counters count __attribute__((aligned(64)));
	struct view *next; /* of the bucket */
	uint64_t sandbox;
	char *network;	 /* of a listener for the host; NULL: a sandbox */
	uint64_t digest; /* of what scope was made from */
	struct event *accept;
	struct pool pool;
	struct forward *forwards; /* at work, newest first */
	unsigned n_forwards, n_streams;
	struct stream *streams;
};

void view_open(struct worker *w, const struct channel_msg *m, int *fds, int n);
void view_close(struct view *v);
struct view *view_find(struct worker *w, uint64_t sandbox);
/* In the open transaction: what it may see, read again when it changed. False: nothing is known. */
bool view_refresh(struct view *v, struct fl_txn *t);
void views_each(struct worker *w, void (*fn)(struct view *v, void *arg), void *arg);
struct net_counters *net_counters(struct worker *w, const char *name);

/* ---- queries: query.c ---- */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Where an answer goes. */
struct asker {
	struct view *view;
	struct stream *stream; /* by TCP; NULL: to `from` by UDP */
	union address from;
	uint64_t at; /* us */
};

/*
 * Answers into `out` (FL_DNS_MESSAGE_MAX for TCP, FL_DNS_UDP_MAX for UDP) and returns the length;
 * 0: there is no answer (yet). In the worker's open transaction.
 */
size_t query_handle(struct worker *w, const struct asker *who, uint8_t *msg, size_t len,
		    uint8_t *out, size_t size);
/* The answer to a forwarded query. */
void query_deliver(struct worker *w, const struct asker *who, const uint8_t *msg, size_t len);

void udp_readable(struct view *v);
/* Reads all that there is, BATCH at most. False: nothing. */
bool udp_many(struct view *v);
struct buffers *buffers_new(void);
void streams_accept(struct view *v);
void stream_answer(struct stream *s, const uint8_t *msg, size_t len);
void streams_close(struct view *v);

/* ---- forwarding: forward.c ---- */

/* False: it cannot be done now (memory). */
bool forward_begin(struct worker *w, const struct asker *who, const uint8_t *msg, size_t len,
		   const struct fl_dns_query *q);
/* For upstream.c: an answer that belongs to the attempt; or none will come, and why (-errno). */
void forward_answered(struct attempt *a, uint8_t *msg, size_t len);
void forward_failed(struct attempt *a, int r);
/* The query with the attempt's id; valid until the next call. */
const uint8_t *forward_query(const struct attempt *a, size_t *ret_len);
const struct server *forward_server(const struct attempt *a);
/* All of the view: nobody waits for them any more. */
void forwards_drop(struct view *v);
void forwards_forget_stream(struct view *v, const struct stream *s);

/* The servers that the view's questions go to. NULL: none. */
struct servers *view_servers(const struct view *v);

/* ---- services.c: /etc/services ---- */

struct services;
struct services *services_read(void);
/* "http" or "80" as a port; 0: no such service of the protocol. */
uint16_t services_find(const struct services *s, const char *name, uint8_t proto);

/* ---- stats.c ---- */

void stats_client(struct worker *w, uint64_t sandbox, int fd);
void log_client(struct worker *w, uint64_t sandbox, int fd);
/* `how`: "local", "cached", "forwarded", "refused", "failed", "malformed" */
void log_query(struct worker *w, const struct view *v, const struct fl_dns_query *q,
	       const char *how, uint16_t rcode, uint64_t us);
void count_latency(struct counters *c, uint64_t us, uint64_t n);

/* ---- hostservers.c ---- */
void hostservers_read(struct worker *w, int fd);

/* ---- confine.c: privileges ---- */
struct fl_error;
int confine(struct fl_error *err);

/* ---- worker.c ---- */

struct watcher;

struct worker {
	struct event_base *base;
	struct fl_store *store;
	struct fl_txn *txn; /* open while queries are handled */
	int channel;
	int spare;   /* descriptor to be given up when there is no other */
	int udp_set; /* epoll */
	bool draining;
	struct view *views[VIEW_BUCKETS];
	size_t n_views;
	struct net_counters *nets;
	struct servers *host_servers;
	uint64_t n_lists; /* of servers that were given an id */
	struct pool host_pool;
	bool unasked; /* the channel was full: the broker is asked for sockets when it is not */
	struct cache *cache;
	struct watcher *watchers;
	size_t n_forwards;
	struct forward **table; /* by who asks */
	uint8_t random[256];
	size_t random_left;
	uint32_t turn;	  /* of the UDP sockets */
	uint64_t now;	  /* us, when the last of them was done with */
	struct view *hot; /* the one that had several datagrams at once, if there is one */
	uint32_t hot_turns;
	struct memo *memo;
	struct buffers *buffers;
	struct services *services;
};

uint64_t now_us(void);
static inline uint64_t now_ms(void)
{
	return now_us() / 1000;
}
uint16_t random16(struct worker *w);
void worker_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One transaction for all queries that are there now. */
bool worker_read(struct worker *w);
void worker_read_end(struct worker *w);
