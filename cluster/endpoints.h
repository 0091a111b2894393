/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which endpoint is asked next, and how long to wait after failures. Pure. */
#pragma once

#include "cluster/etcd.h"

enum {
	ENDPOINT_AVOID_MS = 500, /* after the first failure, doubling */
	ENDPOINT_AVOID_MAX_MS = 30000,
};

struct endpoint {
	char url[FL_ETCD_URL_MAX];
	char version[FL_ETCD_VERSION_MAX]; /* of the server, "" while it is not known */
	const char *api;		   /* "/v3", ...; NULL while it is not known */
	unsigned fails;			   /* one after the other */
	uint64_t avoid_until;		   /* ms */
	uint64_t heard;			   /* ms: of the last that it said */
};

struct endpoints {
	struct endpoint list[FL_ETCD_ENDPOINTS_MAX];
	unsigned n, current;
};

/* Copies and checks the list; begins with number `lot` modulo their number. -EINVAL. */
int endpoints_init(struct endpoints *e, const char *const *urls, size_t n, uint32_t lot,
		   struct fl_error *err);
/* The best whose bit is not in `tried`; -1: none is left. */
int endpoints_pick(const struct endpoints *e, uint32_t tried, uint64_t now);
/* `lot`: a random number, for the jitter. */
void endpoints_failed(struct endpoints *e, unsigned i, uint64_t now, uint32_t lot);
void endpoints_worked(struct endpoints *e, unsigned i);

/* base * 2^(n-1) ms, at most max, of which the upper half is drawn by lot; n from 1 on. */
unsigned backoff_ms(unsigned n, unsigned base, unsigned max, uint32_t lot);

/*
 * The path of the gateway by the server's version ("3.4.23"): /v3alpha of 3.2, /v3beta of 3.3, /v3
 * from 3.4 on. NULL: no version, or one without a gateway.
 */
const char *endpoint_api(const char *version);
