/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The agent of overlay networks on this node, fairlead-overlayd, and what it knows of the cluster.
 */
#pragma once

#include "netctl/ctl.h"
#include "overlay/request.h"

/* Does its socket exist? Asks nobody. */
bool agent_is_there(struct ctl *c);
/*
 * Asks it: 0, or the answer's error. -ENOTCONN: it does not run, and the sentence says how it
 * would.
 */
int agent_ask(struct ctl *c, struct fl_overlay_request *q, struct fl_overlay_answer *ret,
	      struct fl_error *err);
/* The same for an operation on the network of that name alone. */
int agent_ask_network(struct ctl *c, enum fl_overlay_op op, const char *network,
		      struct fl_overlay_answer *ret, struct fl_error *err);

/* All that it shows: the objects of overlay/request.h by their kind. */
struct cluster {
	json_t *agent; /* NULL: not known */
	json_t *nodes, *networks, *endpoints, *addresses, *routes;
	json_t *asked; /* of cluster_ask() */
};

void cluster_clear(struct cluster *k);
#define AUTOCLUSTER FL_CLEANUP(cluster_clear)
/* As agent_ask(). */
int cluster_read(struct ctl *c, struct cluster *ret, struct fl_error *err);
/* The same, with what it knows of an address. */
int cluster_ask(struct ctl *c, const struct fl_addr *a, struct cluster *ret, struct fl_error *err);
/* Where the agent is there: *ret stays empty where it is not, or does not answer, which is told. */
int cluster_read_if(struct ctl *c, struct cluster *ret, struct fl_error *err);
int cluster_ask_if(struct ctl *c, const struct fl_addr *a, struct cluster *ret,
		   struct fl_error *err);
/* By name; NULL. */
json_t *cluster_network(const struct cluster *k, const char *name);
json_t *cluster_node(const struct cluster *k, const char *name);
/* The node's own address object in the network, or the one that has the address. NULL. */
json_t *cluster_address(const struct cluster *k, const char *network, const char *node);
json_t *cluster_address_of(const struct cluster *k, const char *network, const struct fl_addr *a);
/* Mode l3: blocks of addresses, of the network by their node, or of the node by their network:
 * {name: [prefixes]}. */
json_t *cluster_blocks_of_network(const struct cluster *k, const char *network);
json_t *cluster_blocks_of_node(const struct cluster *k, const char *node);
/* Where its frames go, of the family that this node's have; unset: not known. */
struct fl_addr cluster_vtep(const struct cluster *k, const char *node);
/* Are they in a list of texts, of an object's "ips"? */
bool ips_have(const json_t *o, const struct fl_addr *a);
/* A list of the addresses that it has, of both families. */
json_t *node_vteps(const json_t *node);
/* Of a row with the node's "state"; for columns. */
const char *node_colour(const json_t *row);
