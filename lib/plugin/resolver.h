/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The resolver in a sandbox, as a configuration asks for it: `dns` beside what the CNI
 * specification has there.
 *
 *   "dns": {"enabled": true, "forward": true, "cache": true, "listen": true | PORT, "hosts":
 * ["NAME:ADDRESS"], "nameservers": [...], "domain": "...", "search": [...], "options": [...]}
 *
 * `nameservers` are then what is asked for foreign names, from inside the sandbox; the container
 * itself asks 127.0.0.11.
 */
#pragma once

#include "base/fields.h"

struct fl_call;
struct fl_endpoint;
struct fl_store;

struct fl_resolver {
	bool enabled;
	int forward, cache;
	json_t *listen;
	uint16_t listen_port; /* 0: nowhere */
	struct fl_list hosts; /* const char *, "NAME:ADDRESS" or "NAME:host-gateway" */
};

int fl_resolver_parse(struct fl_call *c, struct fl_error *err);
/* Into c->ep.dns, once it is known what IPAM and driver say. */
int fl_resolver_record(struct fl_call *c, struct fl_error *err);
/* What the result says of `dns`. */
int fl_resolver_result(struct fl_call *c, struct fl_error *err);
/* Its daemon serves the sandbox afterwards, and the sandbox's files are written. */
int fl_resolver_open(struct fl_call *c, struct fl_error *err);
/* Starts the daemon of this state unless it is at work; it opens all that is recorded. */
int fl_resolver_start(const char *state_dir, struct fl_error *err);
/* By the record; `last`: no other endpoint of the sandbox has a resolver. */
int fl_resolver_close(struct fl_call *c, const struct fl_endpoint *ep, bool last,
		      struct fl_error *err);
/* The network is gone: nobody listens for it on the host. */
void fl_resolver_unlisten(struct fl_call *c, const char *network);
/* Provably: nobody is in the sandbox, nor can come back to it. It is then served no more. */
bool fl_resolver_is_gone(struct fl_call *c, const struct fl_endpoint *ep);
int fl_resolver_check(struct fl_call *c, struct fl_error *err);
int fl_resolver_status(struct fl_call *c, struct fl_error *err);
void fl_resolver_clear(struct fl_resolver *r);

/* Without blanks and control characters: what may stand in resolv.conf and hosts. */
bool fl_resolver_is_word(const char *s);
/* Does the host have the address? */
bool fl_resolver_is_host(const struct fl_call *c, const struct fl_addr *a);

/* ---- files.c: resolv.conf, hosts, hostname, for runtimes and people to mount ---- */

/* STATE/files/CONTAINER */
void fl_files_dir(const struct fl_call *c, const struct fl_endpoint *ep, char *buf, size_t size);
int fl_files_write(struct fl_call *c, struct fl_error *err);
/* Takes the endpoint's lines from `hosts`; all of it when the container has no other one. */
/*
 * STATE/files/CONTAINER of a container that no record of an endpoint with a resolver is of, if it
 * is there: 1, it was removed; 0: it is somebody's, or is not there.
 */
int fl_files_sweep(struct fl_store *store, const char *container, struct fl_error *err);
int fl_files_remove(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err);
