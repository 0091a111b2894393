/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A prefix of the store, as it is and as it changes. Private to the daemon: overlay/agent.h. */
#pragma once

#include "overlay/common.h"

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

struct follow {
	struct agent *a;
	const struct follow_ops *ops;
	void *arg;
	char prefix[FL_REC_KEY_STR];
	struct fl_etcd_call *call;
	struct fl_etcd_watch *watch;
	struct event *retry;
	bool told;	       /* that the watch is interrupted */
	bool synced, restored; /* restored: from begin() to synced() */
	int64_t revision;      /* of what synced() ends */
	unsigned restores;     /* of the agent, when it was read */
};
void follow_start(struct follow *f, struct agent *a, const char *prefix,
		  const struct follow_ops *ops, void *arg);
/* All that is there is told again. */
void follow_again(struct follow *f);
void follow_stop(struct follow *f);
