/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Containers of other nodes, as the node's agent has them in the store. */
#pragma once

#include "netctl/model.h"

#include "store/peers.h"

struct peers {
	struct fl_peer *v; /* by network, node, what people call them */
	size_t n;
};

/* Empty where no agent has written any. */
int peers_read(struct ctl *c, struct peers *ret, struct fl_error *err);
void peers_clear(struct peers *p);
#define AUTOPEERS FL_CLEANUP(peers_clear)

/* Those of a network: *n of them from the one that is returned. */
const struct fl_peer *peers_of(const struct peers *p, const char *network, size_t *n);
/* Is it called so, by name, alias or id of the container? */
bool peer_is_called(const struct fl_peer *p, const char *word);
/* As with those that are here, one letter of an id is chance. */
bool peer_id_begins(const struct fl_peer *p, const char *word);
bool peer_has(const struct fl_peer *p, const struct fl_addr *a);

const char *peer_label(const struct fl_peer *p, char *buf, size_t size);
#define PEER_LABEL(p) peer_label(p, (char[FL_HOSTNAME_MAX + 1]){ 0 }, FL_HOSTNAME_MAX + 1)
json_t *peer_addresses(const struct fl_peer *p);
json_t *peer_json(const struct fl_peer *p);
/* The same in words. */
#define PEER_JSON                                                                            \
	"id (in the cluster), node, container (id), name, label, interface, mac, addresses " \
	"(list), aliases (list), suspect (its node gives no sign of life)"
