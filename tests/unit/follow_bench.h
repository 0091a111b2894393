/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A prefix that is followed, with a store of lists: what is there, what was asked, what is watched.
 */
#pragma once

#include "unit.h"

#include "overlay/agent.h"

#include <event2/event.h>

enum { KEYS = 300, LATER = 1000 };

struct fl_etcd_call {
	struct fl_etcd_call *next;
	fl_etcd_fn done;
	void *arg;
	int64_t revision;
};

struct fl_etcd_watch {
	struct fl_etcd_watch_ops ops;
	int64_t revision;
	bool open;
};

struct bench_store {
	int64_t revision, mod[KEYS]; /* mod 0: not there */
	struct fl_etcd_call *calls;
	struct fl_etcd_watch *watch;
	unsigned watches, others, flushed;
};

/* What the owner of the prefix was told. */
struct bench_heard {
	int64_t mod[KEYS];
	unsigned begins, syncs, told;
	bool restored;
	int64_t slow_us;
	void (*meanwhile)(void);
};

extern struct bench_store bench_store;
extern struct bench_heard bench_heard;
extern struct agent bench_agent;
extern struct follow bench_follow;

/* The oldest question is answered with what was there, as of a revision. */
void bench_answer(enum fl_etcd_outcome outcome, const int64_t mod[KEYS], int64_t revision);
/* The store changes, and the watch tells when there is one. */
void bench_put(size_t i, bool there);
void bench_turn(void);
void bench_until_synced(void);
void bench_same_as_the_store(void);
void bench_follow_start(void);
/* Before and after each test. */
int bench_begin(void **state);
int bench_end(void **state);
void bench_sync_first(void);
/* The stream was lost and is there again; returns when the comparison is asked for. */
void bench_interrupt(void);
void bench_until_asked(void);

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_begin, bench_end)
