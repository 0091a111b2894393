/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of etcd's v3 JSON gateway (etcd documentation, "gRPC gateway"), on an event base.
 *
 * Nothing here blocks and nothing starts a thread, except that libcurl resolves host names of
 * endpoints in one of its own: numeric addresses avoid that. Every request ends in exactly one call
 * of its function, from the loop, never from inside of the function that started it; a cancelled
 * one ends in none. Callbacks may start, cancel and stop whatever they like, but not free the
 * client.
 *
 * Keys are given and returned without the client's prefix, /CLUSTER/v1/. A key below it that is
 * no text, or longer than FL_ETCD_KEY_MAX, is not ours: it is left out and counted.
 *
 * Endpoints: the one that worked last is used for everything; the first is drawn by lot. One that
 * fails is avoided for half a second, doubling to 30 s. Reads, leases and logins go to the next
 * endpoint. A write does so only while nothing of it was sent, or the answer proves that nothing
 * was done; otherwise its outcome is FL_ETCD_UNKNOWN, and the caller has to read again.
 */
#pragma once

#include "base/error.h"
#include "cluster/wire.h"

#include <event2/event.h>

enum {
	FL_ETCD_ENDPOINTS_MAX = 16,
	FL_ETCD_URL_MAX = 256,
	FL_ETCD_VERSION_MAX = 32,
	FL_ETCD_CALLS_MAX = 4096,	 /* requests not answered; 32 of them are sent at once,
					 and keepalives, which wait for none */
	FL_ETCD_RANGE_KEYS = 500000,	 /* of one fl_etcd_range(), all pages together */
	FL_ETCD_RANGE_BYTES = 128 << 20, /* the same, of their keys and values */
	FL_ETCD_PAGE = 1000,		 /* keys asked for at once, by default */
};

enum fl_etcd_outcome {
	FL_ETCD_OK,
	FL_ETCD_COMPARE,     /* a comparison of the transaction failed: its `failure` was done */
	FL_ETCD_NOT_REACHED, /* no endpoint answered; of a write, nothing was sent or done */
	FL_ETCD_UNKNOWN,     /* a write was sent and has no answer: read again */
	FL_ETCD_REFUSED,     /* see `code` and `err` */
	FL_ETCD_NO_SPACE,    /* the quota is used up: nobody can write until an operator acts */
	FL_ETCD_DENIED,	     /* password, certificate or role */
	FL_ETCD_LOST,	     /* there is no such lease (any more) */
	FL_ETCD_COMPACTED,   /* the revision asked for is no longer there */
};
/* "ok", "compare failed", ... */
const char *fl_etcd_outcome_str(enum fl_etcd_outcome o);

struct fl_etcd;
struct fl_etcd_call;
struct fl_etcd_watch;

/* All strings are copied. Zero and NULL mean the default. */
struct fl_etcd_config {
	const char *const *endpoints; /* "http://HOST:PORT" or "https://HOST:PORT" */
	size_t n_endpoints;
	const char *ca_file, *cert_file, *key_file; /* PEM */
	const char *user;
	const char *password, *password_file; /* one of them; a file's first line, at most 1,024
						 bytes */
	const char *cluster; /* name of the cluster: [a-zA-Z0-9_.-], at most 63 bytes */
	unsigned connect_ms; /* 1,000 */
	unsigned try_ms;     /* 2,000: one endpoint */
	unsigned total_ms;   /* 8,000: all of them */
	unsigned check_ms;   /* 30,000: how often a watch is compared with a read */
	uint64_t cluster_id; /* as fl_etcd_identity() told in an earlier life; 0: not known */
	int64_t revision;
	/*
	 * The cluster is another one, or older than it has been: everything that was read before
	 * is void. The watches have ended with FL_ETCD_ENDED_RESTORED before this.
	 */
	void (*restored)(void *arg);
	void *arg;
};

/* -EINVAL: a wrong setting, named in the error; -EIO: a file cannot be read; -ENOMEM. */
int fl_etcd_new(struct event_base *base, const struct fl_etcd_config *config, struct fl_etcd **ret,
		struct fl_error *err);
/* The way to the members is another one (this host's address has changed): connections are made
 * anew, at once and not when the old ones are found to be dead. Requests under way may be UNKNOWN.
 */
void fl_etcd_reconnect(struct fl_etcd *c);
/* Cancels all requests and watches. */
void fl_etcd_free(struct fl_etcd *c);
FL_DEFINE_CLEANUP(struct fl_etcd *, fl_etcd_free)
#define FL_AUTOETCD FL_CLEANUP(fl_etcd_free_p)

/* "/CLUSTER/v1/", for fl_etcd_txn_init(). */
const char *fl_etcd_prefix(const struct fl_etcd *c);

struct fl_etcd_stats {
	uint64_t requests, retries, failovers, logins, watch_restarts;
	uint64_t bytes_in, bytes_out; /* bodies */
	uint64_t bad_answers;	      /* not what the gateway may say */
	uint64_t ignored_keys;	      /* below the prefix, and not ours */
	uint64_t restores;
};
const struct fl_etcd_stats *fl_etcd_stats(const struct fl_etcd *c);

/* The endpoint in use, and its server's version ("" before its first answer). */
void fl_etcd_endpoint(const struct fl_etcd *c, const char **ret_url, const char **ret_version);
/* The owner has found another history than it knew: watches end as when a header tells so. */
void fl_etcd_is_another(struct fl_etcd *c);
/* Cluster id and the highest revision seen, 0 before the first answer. */
void fl_etcd_identity(const struct fl_etcd *c, uint64_t *ret_cluster, int64_t *ret_revision);

struct fl_etcd_result {
	enum fl_etcd_outcome outcome;
	struct fl_error err; /* names endpoint, cause and remedy; unless OK or COMPARE */
	int code;	     /* gRPC status of a refusal, else 0 */
	struct fl_etcd_header header;
	struct fl_etcd_kvs kvs; /* of a range; of all ranges of a transaction, in order;
				   empty unless OK or COMPARE */
	int64_t count;		/* of keys in the range, which `limit` does not bound */
	int64_t deleted;
	int64_t lease;	 /* id */
	int64_t ttl;	 /* seconds left */
	int64_t granted; /* timetolive: seconds of the grant */
	struct fl_etcd_status status;
	struct fl_etcd_members members;
	unsigned alarms; /* FL_ETCD_ALARM_* */
};
void fl_etcd_result_clear(struct fl_etcd_result *r);
#define FL_AUTORESULT FL_CLEANUP(fl_etcd_result_clear)

/* `r` is released after the call; who wants to keep it copies the struct and zeroes *r. */
typedef void (*fl_etcd_fn)(void *arg, struct fl_etcd_result *r);

/*
 * Each of these starts a request: 0, or -EINVAL for one that etcd could not accept, -E2BIG, -EBUSY
 * (FL_ETCD_CALLS_MAX), -ENOMEM; then `done` is not called. `ret` may be NULL.
 */

/*
 * One key, or all that begin with it (`q->prefix`), in pages of one revision. A compaction
 * between two pages begins anew, at most three times, unless `q->revision` was given.
 */
int fl_etcd_range(struct fl_etcd *c, const struct fl_etcd_range *q, fl_etcd_fn done, void *arg,
		  struct fl_etcd_call **ret, struct fl_error *err);
/* Sends what was built, which stays the caller's. */
int fl_etcd_txn(struct fl_etcd *c, const struct fl_etcd_txn *t, fl_etcd_fn done, void *arg,
		struct fl_etcd_call **ret, struct fl_error *err);
/* Transactions of one operation. `lease` 0: none. */
int fl_etcd_put(struct fl_etcd *c, const char *key, const void *value, size_t len, int64_t lease,
		fl_etcd_fn done, void *arg, struct fl_etcd_call **ret, struct fl_error *err);
int fl_etcd_delete(struct fl_etcd *c, const char *key, fl_etcd_fn done, void *arg,
		   struct fl_etcd_call **ret, struct fl_error *err);

/* `seconds` 1..86,400. A grant without an answer may leave a lease that ends by itself. */
int fl_etcd_lease_grant(struct fl_etcd *c, int64_t seconds, fl_etcd_fn done, void *arg,
			struct fl_etcd_call **ret, struct fl_error *err);

enum fl_etcd_lease_op { FL_ETCD_KEEPALIVE, FL_ETCD_REVOKE, FL_ETCD_TIMETOLIVE };
int fl_etcd_lease(struct fl_etcd *c, enum fl_etcd_lease_op op, int64_t id, fl_etcd_fn done,
		  void *arg, struct fl_etcd_call **ret, struct fl_error *err);

/* The member behind the endpoint; the members of the cluster; what is alarming. */
enum fl_etcd_query { FL_ETCD_STATUS, FL_ETCD_MEMBERS, FL_ETCD_ALARMS };
int fl_etcd_query(struct fl_etcd *c, enum fl_etcd_query what, fl_etcd_fn done, void *arg,
		  struct fl_etcd_call **ret, struct fl_error *err);

void fl_etcd_cancel(struct fl_etcd_call *call);

/* ---- watching ---- */

enum fl_etcd_end { FL_ETCD_ENDED_COMPACTED, FL_ETCD_ENDED_RESTORED };

struct fl_etcd_watch_ops {
	/* In order; events of one revision come together and once. */
	void (*events)(void *arg, const struct fl_etcd_event *events, size_t n);
	/*
	 * The watch cannot go on: read all again and start another. `revision`: the oldest that is
	 * left (compaction). The watch is already stopped and freed.
	 */
	void (*ended)(void *arg, enum fl_etcd_end why, int64_t revision);
	/* May be NULL. `err` is NULL when the stream is open, else why it is not. */
	void (*state)(void *arg, const struct fl_error *err);
	void *arg;
	/*
	 * May be NULL. The stream is open again after it was lost. It goes on by revisions: whether
	 * they are of the same history, of a store that nobody has restored, the owner has to
	 * find out.
	 */
	void (*reopened)(void *arg);
};

/*
 * Follows all keys that begin with `prefix`, from `revision` on (0: from now on; after a range: its
 * header.revision + 1). It goes on by itself, from where it was: at once as often as there are
 * endpoints, then after 0.1 s doubling to 2 s with jitter, until it has been open for a second. An
 * endpoint with streams that has said nothing for two seconds is asked for its version, and left
 * when it does not answer. Every check_ms a count of the keys is read: a
 * stream that stayed silent while the count changed, or whose endpoint is not the one that
 * answers any more, is opened again; so is one that has been silent for ten checks while the
 * cluster's revision moved. When it opens again, changes that were undone while it was silent
 * may be left out, and no others.
 */
int fl_etcd_watch(struct fl_etcd *c, const char *prefix, int64_t revision,
		  const struct fl_etcd_watch_ops *ops, struct fl_etcd_watch **ret,
		  struct fl_error *err);
void fl_etcd_watch_stop(struct fl_etcd_watch *w);
/* All changes up to this revision were told. 0: it has not begun yet. */
int64_t fl_etcd_watch_revision(const struct fl_etcd_watch *w);
/* The endpoint of the open stream, or NULL. */
const char *fl_etcd_watch_endpoint(const struct fl_etcd_watch *w);

/* ---- waiting, for tools and tests ---- */

struct fl_etcd_wait {
	bool done;
	struct fl_etcd_result result;
};
/* An fl_etcd_fn; `arg` is a struct fl_etcd_wait. */
void fl_etcd_wait_done(void *arg, struct fl_etcd_result *r);
/* Runs the loop until the request is done. */
void fl_etcd_wait(struct fl_etcd *c, struct fl_etcd_wait *w);
