/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of lib/plugin share. */
#pragma once

#include "plugin/plugin.h"

/* session.c: namespaces, sockets, store; then the capabilities that are left. */
int fl_session_open(struct fl_call *c, struct fl_error *err);
int fl_session_store(struct fl_call *c, struct fl_error *err);
int fl_session_inside(struct fl_call *c, struct fl_error *err);
/* Keeps NET_ADMIN and SYS_ADMIN (entering the sandbox) and drops the rest; not the bounding set. */
int fl_session_drop(struct fl_error *err);
void fl_call_clear(struct fl_call *c);

/* runtime.c: runtimeConfig.aliases and dns */
int fl_runtime_parse(struct fl_call *c, struct fl_error *err);

/* ports.c */
int fl_ports_parse(struct fl_call *c, struct fl_error *err);
int fl_ports_choose(struct fl_call *c, struct fl_txn *t, struct fl_error *err);
int fl_ports_check_host(const struct fl_call *c, struct fl_error *err);
unsigned fl_endpoint_families(const struct fl_endpoint *ep);

/* delegate.c: a foreign IPAM executable. stdout is returned as JSON (NULL when empty). */
int fl_delegate(const struct fl_call *c, const char *type, const char *command, json_t **ret,
		struct fl_error *err);

/* ipam.c: whichever IPAM the configuration names. */
int fl_call_ipam_parse(struct fl_call *c, struct fl_error *err);
int fl_call_ipam_own(struct fl_call *c, struct fl_txn *t, const struct fl_gone *gone,
		     struct fl_error *err);
/* subnet.c: what the host uses (routes, name servers), read before the transaction; then a free
 * one. */
int fl_call_used_prefixes(struct fl_call *c, struct fl_error *err);
int fl_call_pick_subnet(struct fl_call *c, struct fl_txn *t, struct fl_prefix *ret,
			struct fl_error *err);
int fl_call_ipam_foreign(struct fl_call *c, struct fl_error *err);

/* fwstep.c: batches and the rebuild when the skeleton is missing. */
int fl_fw_step(struct fl_call *c, const struct fl_fw_change *change, struct fl_error *err);
int fl_fw_rebuild_from_store(struct fl_call *c, struct fl_txn *t, struct fl_error *err);

/* destroy.c: the one deletion, for DEL, GC, rollback and retry. */
int fl_endpoint_destroy(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err);
bool fl_owner_gone(void *arg, const struct fl_endpoint *owner);

/* engine.c: what every verb starts with. */
int fl_engine_decode(struct fl_call *c, struct fl_error *err);
int fl_engine_open(struct fl_call *c, struct fl_error *err);
