/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every part of the agent begins with. Private to the daemon: overlay/agent.h. */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "cluster/etcd.h"
#include "cluster/records.h"
#include "nl/neigh.h"
#include "nl/vxlan.h"
#include "overlay/pool.h"
#include "overlay/request.h"
#include "store/peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What cannot be allocated ends the process; see above. */
#define uthash_fatal(msg) die_of_memory()
void die_of_memory(void) __attribute__((noreturn));
#include <uthash.h>

enum {
	VXLAN_PORT = 4789, /* IANA */
	RETRY_MS = 1000,
	LINGER_MS = 5000,    /* in a network without endpoints */
	COMPARE_MS = 300000, /* between two comparisons of kernel and table */
	QUARANTINE_S = 60,   /* at least, before an address is given out again */
	WAIT_MS = 8000,	     /* a request, for what it needs */
};

struct agent;
struct network;
struct client;

void *must_alloc(size_t n); /* zeroed */
char *must_copy(const char *s);
int64_t now_s(void);  /* since 1970 */
int64_t now_ms(void); /* of a clock that does not jump */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
