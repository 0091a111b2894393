/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of lib/plugin share. */
#pragma once

#include "plugin/plugin.h"

/* session.c: namespaces, sockets, store; then the capabilities that are left. */
int fl_session_open(struct fl_call *c, struct fl_error *err);
int fl_session_store(struct fl_call *c, struct fl_error *err);
int fl_session_inside(struct fl_call *c, struct fl_error *err);
/*
 * Keeps NET_ADMIN and SYS_ADMIN (entering the sandbox) and drops the rest; not the bounding set. A
 * DEL or GC that has to find sandboxes by their recorded paths keeps what opening those needs.
 */
int fl_session_drop(const struct fl_call *c, struct fl_error *err);
void fl_call_clear(struct fl_call *c);

/* runtime.c: runtimeConfig.aliases and dns */
int fl_runtime_parse(struct fl_call *c, struct fl_error *err);

/* ports.c */
int fl_ports_parse(struct fl_call *c, struct fl_error *err);
int fl_ports_choose(struct fl_call *c, struct fl_txn *t, struct fl_error *err);
int fl_ports_check_host(const struct fl_call *c, struct fl_error *err);

/* delegate.c: a foreign IPAM executable. stdout is returned as JSON (NULL when empty). */
int fl_delegate(const struct fl_call *c, const char *type, const char *command, json_t **ret,
		struct fl_error *err);

/* ipam.c: whichever IPAM the configuration names. */
int fl_call_ipam_parse(struct fl_call *c, struct fl_error *err);
/* What of `ipam` DEL needs, from a configuration that was refused: the mode and the pool. */
void fl_call_ipam_of_broken(struct fl_call *c);
/* Is it asked when the interface is there? Then it runs between endpoint_create and the claim. */
bool fl_call_ipam_is_late(const struct fl_call *c);
/* In the transaction `t` (NULL: the mode needs none). Fills c->ipam_result and c->ep. */
int fl_call_ipam_early(struct fl_call *c, struct fl_txn *t, const struct fl_gone *gone,
		       struct fl_error *err);
int fl_call_ipam_late(struct fl_call *c, struct fl_error *err);
/* "DEL", "CHECK", "GC" or "STATUS" of a late one; nothing for the others. */
int fl_call_ipam_verb(struct fl_call *c, const char *verb, struct fl_error *err);
/* dhcp.c: keys checked; a lease into c->ipam_result; any verb, with the answer where ret is given.
 */
int fl_dhcp_validate(const struct fl_call *c, struct fl_error *err);
int fl_dhcp_acquire(struct fl_call *c, struct fl_error *err);
int fl_dhcp_verb(struct fl_call *c, const char *verb, json_t **ret, struct fl_error *err);
/* fwstep.c: batches and the rebuild when the skeleton is missing. */
int fl_fw_step(struct fl_call *c, const struct fl_fw_change *change, struct fl_error *err);
/* Sets c->rules_stale from the store. */
int fl_note_stale_rules(struct fl_call *c, struct fl_txn *t, struct fl_error *err);
int fl_fw_rebuild_from_store(struct fl_call *c, struct fl_txn *t, struct fl_error *err);

/* destroy.c: the one deletion, for DEL, GC, rollback and retry. */
int fl_endpoint_destroy(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err);
/*
 * This call's network, if it has a record but no endpoint: the last one was evicted by an ADD of
 * another network, which does not know what this one made.
 */
int fl_network_forget_unused(struct fl_call *c, struct fl_error *err);
/* Its traffic passes the host's FORWARD chains, and is to: fl_fw_admit_foreign_forward(). */
static inline bool fl_endpoint_is_forwarded(const struct fl_network *net,
					    const struct fl_endpoint *ep)
{
	return net->masquerade || ep->n_ports || ep->admit;
}
bool fl_owner_gone(void *arg, const struct fl_endpoint *owner);

/* claim.c: what an ADD keeps between its transactions, and these. */
struct fl_step {
	struct fl_network old; /* the network as other endpoints have it, when it differs */
	bool has_old;
	bool programmed; /* the batch was committed */
};

/* The first record of an endpoint whose address comes late: it must be known before it is made. */
int fl_announce(struct fl_call *c, struct fl_error *err);
/* Addresses, ports, network and endpoint as `creating`. */
int fl_claim(struct fl_call *c, struct fl_step *s, struct fl_error *err);
int fl_conclude(struct fl_call *c, struct fl_error *err);

/* config.c: an ADD of nobody, to be decoded. */
void fl_call_of_config(const struct fl_driver *d, const char *network, json_t *config,
		       struct fl_call *ret);

/* engine.c: what every verb starts with. */
int fl_engine_decode(struct fl_call *c, struct fl_error *err);
int fl_engine_open(struct fl_call *c, struct fl_error *err);
