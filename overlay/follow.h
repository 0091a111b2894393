/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A prefix of the store, as it is and as it changes. Private to the daemon: overlay/agent.h. */
#pragma once

#include "overlay/common.h"

#include <sys/queue.h>

struct follow_ops {
	/* All that is there will be told anew; what is not told until synced() is gone. */
	void (*begin)(void *arg);
	/* `kv` NULL: deleted. `revision`: of the change. */
	void (*change)(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
		       int64_t revision);
	void (*synced)(void *arg);
	/* Some changes are over. */
	void (*settled)(void *arg);
};

/* Of ledger.c; all zero: empty. */
struct ledger {
	struct told *slots;
	size_t size, n; /* size: a power of two, or 0 */
};

/* What was read is compared with what was told before, and then told; CHECKED is between both, in
 * one turn of the loop. */
enum follow_step { NOTHING_TO_TELL, CHECKING, CHECKED, TELLING };

struct follow {
	struct agent *a;
	TAILQ_ENTRY(follow) link; /* of those that have something to tell */
	const struct follow_ops *ops;
	void *arg;
	char prefix[FL_REC_KEY_STR];
	struct fl_etcd_call *call;
	enum follow_step step;
	struct fl_etcd_kvs read;
	int64_t read_at; /* the revision of `read` */
	size_t told;	 /* of `read` in this step */
	unsigned others; /* of `read` contradict what was told before */
	bool again;	 /* follow_again() meanwhile */
	struct fl_etcd_watch *watch;
	struct event *retry;
	bool synced;	   /* all of it was told */
	bool restored;	   /* from begin() to synced() */
	int64_t revision;  /* as of which all is known; of what synced() ends */
	unsigned restores; /* of the agent, when it was read */
	struct ledger ledger;
	int64_t covered;     /* all changes up to this revision were told */
	int64_t wrote;	     /* the last of this agent's own */
	bool untold;	     /* that one, before an interruption and since */
	struct event *doubt; /* whether the store is still the one that was read */
	bool doubted;
	struct fl_etcd_call *verify; /* as it was at `verified` */
	int64_t verified;
};
TAILQ_HEAD(follow_list, follow);

/* Before the first one starts. */
void follow_prepare(struct agent *a);
void follow_start(struct follow *f, struct agent *a, const char *prefix,
		  const struct follow_ops *ops, void *arg);
/* All that is there is told again. */
void follow_again(struct follow *f);
/* The store is another one: what is known is not to be acted on until it is read. */
void follow_restored(struct follow *f);
/* Between begin() and synced(), which may be many turns of the loop. */
bool follow_tells(const struct follow *f);
void follow_stop(struct follow *f);
/* A transaction of this agent has changed something there, which the watch will tell of. */
void follow_wrote(struct follow *f, int64_t revision);

/* ---- ledger.c: what the store has told, by hashes ---- */

/* `kv` NULL: deleted. `comparing`: deletions are remembered until the comparison. */
void ledger_note(struct ledger *l, const char *key, const struct fl_etcd_kv *kv, int64_t revision,
		 bool comparing);
/* How many of what was read, of no later revision than `revision`, were never told like that. */
unsigned ledger_contradict(struct ledger *l, const struct fl_etcd_kvs *kvs, int64_t revision);
/* The same of all there is at `revision`; what was told and is not there counts, too. */
unsigned ledger_compare(struct ledger *l, const struct fl_etcd_kvs *kvs, int64_t revision);
void ledger_clear(struct ledger *l);
/* In how many ms after an interruption the nodes read all keys, so that the store has the same to
 * do however many both are. */
int64_t ledger_spread_ms(size_t keys, size_t nodes);
