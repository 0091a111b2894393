/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One call of netctl: what was asked for, and the host's state, sockets and settings. */
#pragma once

#include "base/json.h"
#include "netctl/command.h"
#include "netns/netns.h"
#include "nl/nl.h"
#include "store/store.h"

/* Exit statuses, as netctl(8) documents them. Of `run` and `sandbox exec`: the command's, or 125 to
 * 127 as with docker. */
enum {
	EXIT_FAILED = 1,    /* the kernel, a plugin or the state refused */
	EXIT_USAGE = 2,	    /* netctl was called wrongly */
	EXIT_NOT_FOUND = 3, /* no such network, container, sandbox, port */
	EXIT_NO = 4,	    /* the question was answered, with no: a finding, a closed way */
	EXIT_RUN = 125,	    /* run, exec: netctl itself failed */
};

struct given {
	const struct option_spec *spec;
	const char *value; /* NULL for one without */
};

struct ctl {
	const struct command *command;
	int argc; /* arguments without verb and options */
	char **argv;
	struct given *given; /* options in their order; owned */
	size_t n_given;
	bool json, quiet, no_header;
	bool colour;	  /* of stdout */
	unsigned width;	  /* columns of the terminal; 0: not a terminal */
	const char *dir;  /* of the network configurations */
	const char *path; /* of plugins: ':' separated */
	int status;	  /* exit status where run() returns 0 */
	struct fl_netns self;
	struct fl_nl *host;	/* ctl_host() */
	struct fl_store *store; /* ctl_store() */
	bool store_writes;
};

/* ---- options ---- */
bool option_given(const struct ctl *c, const char *name);
/* The last value given; NULL without. */
const char *option_value(const struct ctl *c, const char *name);
/* The i-th value of an option that may be given often; NULL behind the last. */
const char *option_nth(const struct ctl *c, const char *name, size_t i);
/* A decimal number from min to max; `absent` when it was not given. */
int option_number(const struct ctl *c, const char *name, long min, long max, long absent, long *ret,
		  struct fl_error *err);

/* ---- errors ---- */
/* EXIT_USAGE; the usage line follows the sentence. Returns -EINVAL. */
int usage_error(struct fl_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* EXIT_NOT_FOUND. Returns -ENOENT. */
int not_found(struct fl_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* EXIT_NOT_FOUND too: what was named is not one thing. Returns -ENOTUNIQ. */
int ambiguous(struct fl_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- the host ---- */
/* The namespace of this process, and its route socket. */
int ctl_self(struct ctl *c, struct fl_error *err);
int ctl_host(struct ctl *c, struct fl_error *err);
/* The state directory of this host; it need not exist. */
int ctl_state_dir(struct ctl *c, char *buf, size_t size, struct fl_error *err);
/*
 * Opens the state for reading, or with `write` for writing (then it is created; also when it is
 * open for reading, and outside of any transaction). c->store stays NULL, and 0 is returned, when
 * there is nothing to read: no plugin has run yet.
 */
int ctl_store(struct ctl *c, bool write, struct fl_error *err);
/* Runs fn with the thread in the namespace, and comes back. */
int ctl_inside(struct ctl *c, const struct fl_netns *ns,
	       int (*fn)(struct ctl *c, void *arg, struct fl_error *err), void *arg,
	       struct fl_error *err);
/*
 * The sandbox of an endpoint by its recorded path, if it is still the same one, and a route socket
 * in it (`ret_nl` may be NULL). -ENOENT (err untouched): gone, or nothing leads to it.
 */
int ctl_sandbox(struct ctl *c, const struct fl_endpoint *ep, struct fl_netns *ret_ns,
		struct fl_nl **ret_nl, struct fl_error *err);
/* The same for any namespace. */
int ctl_nl_in(struct ctl *c, const struct fl_netns *ns, struct fl_nl **ret, struct fl_error *err);

/* A line for people on stdout about what was done; nothing with --quiet or --json. */
void say(const struct ctl *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A remark on stderr, also with --json; nothing with --quiet. */
void remark(const struct ctl *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
