/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The etcd client by command line: one JSON object a line on stdout. */
#pragma once

#include "cluster/etcd.h"

struct tool {
	struct event_base *base;
	struct fl_etcd *c;
	struct fl_etcd_config config;
	/* options of commands */
	bool prefix, keys_only, count_only, serializable;
	unsigned page, limit, beat_ms;
	int64_t lease, revision;
	char **args;
	int n_args;
};

double now_s(void);
void print_json(json_t *owned);
json_t *kv_json(const struct fl_etcd_kv *kv);
/* A table of sorted seconds: {"n", "median_ms", "p99_ms"}. */
json_t *times_json(double *seconds, unsigned n);
/* Waits for what was started with `r`; the outcome, or exits. */
enum fl_etcd_outcome wait_for(struct tool *t, struct fl_etcd_wait *w, int r, struct fl_error *err);

/* ---- cluster-tool-watch.c ---- */
int do_watch(struct tool *t);
int do_watch_latency(struct tool *t);
