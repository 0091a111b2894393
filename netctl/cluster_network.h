/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlay networks of the cluster. The network itself is in the cluster's store, where the agent
 * has it; a node that uses it has a file for its runtimes, which says no more than its name.
 */
#pragma once

#include "netctl/agent.h"
#include "netctl/conflist.h"
#include "netctl/out.h"

/* Is it the file of one? */
bool is_cluster_file(const struct conflist *f);
/* network create: makes the network, or joins it where it is there and nothing contradicts, and
 * writes the file. The folder is locked. */
int cluster_create(struct ctl *c, const char *network, struct fl_error *err);
/*
 * The file of a network that another node made: 1 and it is written, with a remark; 0: there is no
 * agent, or no such network.
 */
int cluster_adopt(struct ctl *c, const char *network, struct fl_error *err);
/* network rm: out of the cluster. -EBUSY names nodes that use it. What is not there is success. */
int cluster_remove(struct ctl *c, const char *network, struct fl_error *err);

/* network inspect: adds what the cluster knows of it: CLUSTER_INSPECT_JSON. */
#define CLUSTER_INSPECT_JSON                                                                    \
	"vni, port, mtu, mode, broadcast, endpointsHere, endpointsElsewhere (how many), nodes " \
	"(list of objects: name, state, vteps, mtu, self, blocks (of addresses, mode l3))"
#define CLUSTER_FIELDS                                                                \
	{ "VNI", "vni", NULL }, { "UDP port", "port", NULL }, { "MTU", "mtu", NULL }, \
		{ "Mode", "mode", NULL }, { "Broadcasts", "broadcast", NULL },        \
		{ "Endpoints here", "endpointsHere", NULL },                          \
		{ "Endpoints elsewhere", "endpointsElsewhere", NULL },                \
	{                                                                             \
		"Nodes", "nodes", cluster_node_columns                                \
	}
void cluster_inspect(const struct cluster *k, const char *network, json_t *o);
/* Those of the cluster's network, unless the object has some. */
void cluster_add_subnets(json_t *o, const json_t *net);
/* As a table. */
extern const struct column cluster_node_columns[];

/* A file's list for the network, as the plugin reads it. */
json_t *cluster_file(const struct ctl *c, const char *network, json_t *options, bool internal);
