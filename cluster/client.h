/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the client. A transfer is one HTTP exchange; a call is one request with its probe,
 * its login, and the endpoints that it tries; a watch is a call that finds an endpoint, and then a
 * transfer whose body does not end.
 */
#pragma once

#include "cluster/endpoints.h"

#include <curl/curl.h>
#include <sys/queue.h>

enum {
	CONNECT_MS = 1000,
	TRY_MS = 2000,
	TOTAL_MS = 8000,
	CHECK_MS = 30000,
	ROUND_MS = 200, /* between two rounds through all endpoints */
	TOKEN_MAX = 4096,
	PAGING_RESTARTS = 3,
	RANGE_TOTALS = 10, /* times TOTAL_MS for all pages of a range */
	PULSE_MS = 2000,   /* after it an endpoint with streams is asked whether it lives */
	ACTIVE_MAX = 32,   /* requests under way at once: each has a connection */
};

/* ---- transfer.c ---- */

struct transfer {
	TAILQ_ENTRY(transfer) ready;
	struct fl_etcd *c;
	CURL *easy;
	struct curl_slist *headers;
	char *url, *body;
	struct fl_strbuf in;
	size_t max; /* bytes of `in` */
	bool sent;  /* some of it may be */
	bool once;  /* must not be sent twice */
	bool too_large;
	bool queued, finished;
	CURLcode result;
	char text[CURL_ERROR_SIZE];
	void (*data)(void *arg); /* new bytes in `in`; NULL: not told */
	void (*done)(void *arg);
	void *arg;
};
TAILQ_HEAD(transfer_list, transfer);

struct exchange {
	const struct endpoint *to;
	const char *path; /* below the gateway's, or of the server when `raw` */
	bool raw, get;	  /* GET and no token: /version */
	bool leader;	  /* to be refused by a member that knows none */
	bool once;
	const char *body;    /* copied */
	unsigned timeout_ms; /* 0: none */
	size_t max;
};

/* Starts an exchange, whose functions are set in *ret before the loop runs. -ENOMEM. */
int transfer_start(struct fl_etcd *c, const struct exchange *x, struct transfer **ret);
void transfer_free(struct transfer *t);
FL_DEFINE_CLEANUP(struct transfer *, transfer_free)
long transfer_status(const struct transfer *t);
int transport_init(struct fl_etcd *c, struct fl_error *err);
void transport_clear(struct fl_etcd *c);
/* What libcurl said, as a sentence with a remedy where there is one. Returns the errno. */
int transfer_error(const struct transfer *t, const struct endpoint *to, struct fl_error *err);

/* ---- call.c ---- */

#define LEASE_KEEPALIVE "/lease/keepalive"

enum call_stage { CALL_PROBE, CALL_LOGIN, CALL_SEND };
/* TURN: a slot is free, and the loop will give it */
enum call_wait { WAITS_NOT, WAITS_LOGIN, WAITS_SLOT, WAITS_TURN };

struct fl_etcd_call {
	TAILQ_ENTRY(fl_etcd_call) link;
	struct fl_etcd *c;
	const char *path;
	struct fl_strbuf body;
	bool write;		/* not to be done twice */
	bool leader;		/* see struct exchange */
	bool consistent;	/* its header.revision never falls */
	bool open;		/* needs no token */
	bool urgent;		/* waits for no other: a node without a lease is dead */
	bool ping;		/* of this endpoint alone, only whether it answers */
	bool headless;		/* the answer may have no header */
	int64_t floor;		/* the revision known when it was sent */
	uint64_t deadline;	/* ms */
	uint64_t last_deadline; /* that progress cannot move */
	uint32_t tried;		/* endpoints of this round, by bits */
	bool transient;		/* one of this round may work soon */
	bool logged_in;		/* because it was refused: once */
	enum call_wait waits;
	bool busy, cancelled;
	unsigned token; /* number of the one that was sent */
	int endpoint;	/* that is asked, or has answered */
	enum call_stage stage;
	struct transfer *t;
	struct event *timer;
	/* Reads the answer into `result`; 1: has changed the body, to be sent too; -errno. */
	int (*answer)(struct fl_etcd_call *call, const json_t *doc, enum fl_etcd_outcome *outcome,
		      struct fl_error *err);
	struct fl_etcd_result result;
	fl_etcd_fn done;
	void *arg;
	/* of a range */
	struct fl_etcd_range range;
	char *key;     /* what range.key points to */
	uint8_t *last; /* key of the pages so far, and room for a byte after it */
	size_t last_len;
	bool pinned; /* the caller gave the revision */
	unsigned restarts;
};
TAILQ_HEAD(call_list, fl_etcd_call);

/* A call to be filled in, and then started; -EBUSY, -ENOMEM. */
int call_new(struct fl_etcd *c, const char *path, fl_etcd_fn done, void *arg,
	     struct fl_etcd_call **ret, struct fl_error *err);
int call_start(struct fl_etcd_call *call, struct fl_error *err);
void call_free(struct fl_etcd_call *call);
/* Asks an endpoint whether it lives. If not, it has failed, and its watches leave it. */
void call_ping(struct fl_etcd *c, unsigned endpoint);
/* Goes on with those that wait for the login. */
void call_resume(struct fl_etcd_call *call);
void call_end(struct fl_etcd_call *call, enum fl_etcd_outcome outcome);

/* ---- refusal.c ---- */

enum verdict {
	V_ENDED,   /* `outcome` is the call's */
	V_NEXT,	   /* nothing was done: another endpoint may do it */
	V_UNSURE,  /* something may have been done */
	V_LOGIN,   /* the token is not valid any more */
	V_NO_AUTH, /* of a login: the cluster wants none */
};
struct judged {
	enum verdict verdict;
	enum fl_etcd_outcome outcome;
};
/* Fills `err`. `status` is HTTP's. */
struct judged refusal_judge(const struct fl_etcd_refusal *r, const struct endpoint *to,
			    const char *user, struct fl_error *err);
/* An answer that is no JSON. */
struct judged refusal_plain(long status, const char *body, size_t len, const struct endpoint *to,
			    struct fl_error *err);

/* ---- login.c ---- */
/* Starts a login unless one is under way. 0, or the login cannot be started. */
int login_wait(struct fl_etcd *c, struct fl_error *err);

/* ---- range.c ---- */
/* Back to the first page, at the present revision; false when the call cannot begin anew. */
bool range_restart(struct fl_etcd_call *call);

/* ---- watch.c ---- */
TAILQ_HEAD(watch_list, fl_etcd_watch);
/* The endpoint does not answer others: its watches move. */
void watches_leave(struct fl_etcd *c, unsigned endpoint);
void watches_end(struct fl_etcd *c, enum fl_etcd_end why);
/* Asks the endpoints with streams that were silent. */
void watches_pulse(evutil_socket_t fd, short what, void *client);

/* ---- client.c ---- */

struct fl_etcd {
	struct event_base *base;
	CURLM *multi;
	struct event *timer; /* libcurl's */
	/* libcurl's, of watches and requests, used or kept; SO_COOKIE: the number comes again. */
	struct {
		int fd;
		uint64_t cookie;
	} sockets[2 * FL_ETCD_CALLS_MAX];
	unsigned n_sockets;
	struct transfer_list ready; /* with bytes or results that were not handed on yet */
	struct endpoints endpoints;
	char prefix[FL_ETCD_PREFIX_MAX];
	char *ca_file, *cert_file, *key_file, *user, *password;
	unsigned connect_ms, try_ms, total_ms, check_ms;
	void (*restored)(void *arg);
	void *arg;
	char token[TOKEN_MAX];
	unsigned token_number;
	bool no_auth; /* a user is configured, and the cluster asks for none */
	struct fl_etcd_call *login;
	struct call_list calls;
	unsigned n_calls, n_active;
	struct watch_list watches;
	struct event *pulse;
	uint64_t cluster_id;
	int64_t revision;
	struct fl_etcd_stats stats;
};

uint64_t etcd_now(void); /* ms */
uint32_t etcd_lot(void);
/*
 * What a header tells of the cluster. `floor`: the revision that it must have, -1: any. False when
 * it is another cluster: watches have been ended and the owner told.
 */
bool identity_check(struct fl_etcd *c, const struct fl_etcd_header *h, int64_t floor);
