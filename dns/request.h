/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How plugins and netctl ask fairlead-dnsd: one fixed-size request and one fixed-size answer on a
 * SOCK_SEQPACKET connection to STATE/dns.sock (0600, in a folder of 0700), where STATE is the state
 * directory of the host namespace. For STATS and LOG the answer is followed by JSON, one object a
 * line, until the connection ends.
 *
 * Where systemd has the socket unit, connecting to FL_DNSD_ACTIVATION starts the daemon; elsewhere
 * the first who needs one executes FL_DNSD_PROGRAM.
 */
#pragma once

#include "base/addr.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define FL_DNSD_MAGIC 0x31736e64u /* "dns1": grows with the structs */
#define FL_DNSD_SOCKET "dns.sock" /* in the state directory */
#define FL_DNSD_ACTIVATION "/run/fairlead/dns.sock"
#define FL_DNSD_PROGRAM "fairlead-dnsd"
#define FL_DNSD_ADDRESS "127.0.0.11"

enum fl_dnsd_op {
	FL_DNSD_OPEN = 1, /* with the namespace's descriptor: serve this sandbox */
	FL_DNSD_CLOSE,	  /* serve it no more; success also when it is not served */
	FL_DNSD_ALIVE,	  /* is it in use? 1: yes or not known, 0: provably not, and it is closed */
	FL_DNSD_SERVED,	  /* is it served? -ENOENT */
	FL_DNSD_LISTEN,	  /* for the host, at an address of a network */
	FL_DNSD_UNLISTEN, /* at none of the network's any more */
	FL_DNSD_STATS,	  /* counters of all sandboxes, or of one */
	FL_DNSD_LOG,	  /* each query from now on, of all sandboxes or of one */
	FL_DNSD_PING,
};

struct fl_dnsd_request {
	uint32_t magic, op;
	uint64_t sandbox;  /* fl_sandbox_id(); STATS, LOG: 0 for all */
	uint64_t dev, ino; /* of the state directory: whose daemon is meant */
	uint32_t port;	   /* LISTEN */
	uint8_t family;	   /* LISTEN: AF_INET, AF_INET6 */
	uint8_t addr[16];
	char network[201]; /* LISTEN, UNLISTEN: ended by NUL */
	char path[256];	   /* OPEN: of the namespace, "" when there is none that others can open */
};

struct fl_dnsd_answer {
	uint32_t magic;
	int32_t result; /* 0, a number of the operation's own, or -errno */
	uint32_t code;	/* enum fl_ecode */
	uint32_t port;	/* OPEN: where it listens on FL_DNSD_ADDRESS */
	char text[512];
};

/*
 * Fills in magic, dev and ino, sends the request with `fd` unless that is -1, and waits at most 10
 * s for the answer. -ENOENT (err untouched): nobody listens there, nor with `activate` at
 * FL_DNSD_ACTIVATION. Otherwise the answer's result, or why there is none; `ret` may be NULL.
 */
int fl_dnsd_ask(const char *state_dir, struct fl_dnsd_request *q, int fd, bool activate,
		struct fl_dnsd_answer *ret, struct fl_error *err);

/* The steps of it, for who reads on after the answer. */
int fl_dnsd_identify(const char *state_dir, struct fl_dnsd_request *q);
int fl_dnsd_connect(const char *state_dir, bool activate);
int fl_dnsd_exchange(int s, const struct fl_dnsd_request *q, int fd, struct fl_dnsd_answer *ret,
		     struct fl_error *err);

/*
 * What a daemon that is gone left in the namespace that the thread is in: nobody listens any more
 * where port 53 is led. Success also when there is nothing.
 */
int fl_dnsd_clear_rules(struct fl_error *err);
