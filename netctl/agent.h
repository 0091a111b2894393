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
	json_t *nodes, *networks, *endpoints, *addresses;
};

void cluster_clear(struct cluster *k);
#define AUTOCLUSTER FL_CLEANUP(cluster_clear)
/* As agent_ask(). */
int cluster_read(struct ctl *c, struct cluster *ret, struct fl_error *err);
/* Where the agent is there: *ret stays empty where it is not, or does not answer, which is told. */
int cluster_read_if(struct ctl *c, struct cluster *ret, struct fl_error *err);
/* By name; NULL. */
json_t *cluster_network(const struct cluster *k, const char *name);
json_t *cluster_node(const struct cluster *k, const char *name);
/* A list of the addresses that it has, of both families. */
json_t *node_vteps(const json_t *node);
/* Of a row with the node's "state"; for columns. */
const char *node_colour(const json_t *row);
