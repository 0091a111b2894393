/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What bridge and tunnel of a network ought to have, in the kernel and by name. Private to the
 * daemon: overlay/agent.h. */
#pragma once

#include "overlay/node.h"

/* ---- table.c: what bridge and tunnel of a network ought to have ---- */

enum { TABLE_ID = FL_OVERLAY_ID + 1 }; /* also of a node's name behind a mark */

/* An endpoint, or a node's own address in a network (`of_node`). */
struct ep {
	char id[TABLE_ID];
	struct network *net;
	struct node *node;
	struct fl_mac mac;
	struct fl_addr ip[FL_OVERLAY_SUBNETS]; /* IPv4, IPv6; unset: none */
	int64_t mod;			       /* revision: the newest owner of an address has it */
	bool of_node;
	bool seen;     /* false: the store had it before it was restored, and may not have it */
	bool released; /* no container has it any more, whatever the store says */
	bool busy;     /* a transaction is about it */
	bool stale;    /* not what the node's store has: it is given back, and claimed again */
	bool mirrored, mirrored_suspect;
	char *container, *name, *aliases; /* owned; aliases: JSON, or NULL */
	char ifname[IFNAMSIZ];
	UT_hash_handle hh;
};

/* A route in the kernel, mode L3. */
struct way {
	bool has;
	uint32_t oif;
	struct fl_addr
		via; /* the other node's address; unset: it is itself, or of a container here */
};

struct ip_slot {
	struct fl_addr addr;
	struct ep *owner; /* NULL: nobody any more */
	unsigned n;	  /* endpoints that say so */
	bool dirty, has;
	struct fl_mac mac;  /* in the kernel */
	uint32_t at;	    /* its device */
	struct fl_mac told; /* to containers, or known to them */
	struct way way;	    /* L3: when it is no address of its node's blocks */
	UT_hash_handle hh;
	struct ip_slot *next; /* dirty ones */
};

struct mac_slot {
	struct fl_mac mac;
	struct ep *owner;
	unsigned n;
	bool dirty, has_self, has_master;
	struct fl_addr vtep; /* in the kernel */
	UT_hash_handle hh;
	struct mac_slot *next;
};

/* Mode L3: who has a block of addresses. */
struct block_slot {
	struct fl_addr addr; /* the first one */
	struct node *node;   /* NULL: nobody */
	int64_t mod;
	bool dirty, seen;
	struct way way;
	UT_hash_handle hh;
	struct block_slot *next;
};

/* Copies what is new of `e`, which is not kept. */
void table_put(struct network *net, const struct ep *e);
void table_del(struct network *net, const char *id);
struct ep *table_find(struct network *net, const char *id);
/* Whose the address is, or NULL. */
const struct ep *table_owner(struct network *net, const struct fl_addr *a);
/* Does the store say that somebody else has it? */
bool table_is_anothers(const struct network *net, const struct fl_addr *a, const char *id);
/* All of a node: its VTEP, or whether it gives signs of life, changed. */
void table_touch_node(struct network *net, const struct node *n);
void table_clear(struct network *net);
/* Id of a node's own entry, of TABLE_ID bytes. */
void table_node_id(const char *node, char *buf);

/* In mode L3 alone; what is older than what is known is ignored. `node` "" or NULL: nobody's. */
void table_put_block(struct network *net, const struct fl_prefix *block, const char *node,
		     int64_t revision);
/* Around all of them, as of `revision`. */
void table_blocks_begin(struct network *net, bool restored);
void table_blocks_end(struct network *net, int64_t revision);
/* The node whose block the address is in, or NULL. */
struct node *table_holder(const struct network *net, const struct fl_addr *a);
/* Where nodes can be reached changed: all that leads to one. */
void table_touch_ways(struct network *net);

/* ---- program.c, and program_l3.c for networks that are routed: the kernel ---- */

/* What is dirty. */
void program_flush(struct network *net);
/* Reads the kernel and makes it so. `doubt`: something may have been lost; else a difference is a
 * fault that is counted. */
void program_compare(struct network *net, bool doubt);
/* Are bridge and tunnel there, the same, and with what they had? false: they are not, or were
 * emptied; then the slots know that too. */
bool program_look(struct network *net);
/* Mode L3: what is to have a route, a block or an address outside its node's; `w`: which one, none
 * where that of the other node is not known. */
typedef void (*l3_fn)(void *arg, const struct fl_prefix *to, const struct node *n,
		      const struct way *w);
void l3_each(struct network *net, l3_fn fn, void *arg);

/* ---- ignored.c: records of others that are not followed ---- */
/* Says why, once for each change of the record. */
void ignore(struct agent *a, const char *key, int64_t revision, const struct fl_error *why);
/* Is there any of this network, or were there more than are remembered? */
bool ignored_in(const struct agent *a, const char *net);
/* The key was told of, or is gone: what was wrong with it may be right now. */
void ignored_changed(struct agent *a, const char *key, int64_t revision);
/* Around all keys of a prefix: those that are not told of are gone. */
void ignored_begin(struct agent *a, const char *prefix);
void ignored_end(struct agent *a, const char *prefix);
/* Is there any, or were there more than are remembered? */
bool ignored_any(const struct agent *a, const char *prefix);
void ignored_clear(struct agent *a);
/* May another node have this in the network? -EINVAL */
int check_ownership(const struct network *net, const struct fl_addr *ip4, const struct fl_addr *ip6,
		    const struct fl_mac *mac, struct fl_error *err);
/* Is it one that can be had here, and not another than the one that is in use? Pools, slots and the
 * node's store are made of what it says. -EINVAL */
int check_network(const struct network *net, const struct fl_rec_net *rec, struct fl_error *err);

/* ---- mend.c ---- */
/* What the kernel tells of links and addresses: networks look at what is theirs. */
void mend_hear(struct agent *a);
/* Bridge and tunnel, where somebody deleted or changed them while there are containers. */
void network_mend(struct network *net);

/* ---- moved.c: what containers remember of an address ---- */
void moved_open(struct agent *a);
/* Tells them of dirty addresses whose MAC is another one now. */
void moved_tell(struct network *net);

/* ---- mirror.c: names of other nodes' endpoints in the node's store ---- */
void mirror_put(struct network *net, struct ep *e);
void mirror_del(struct network *net, const char *id);
/* Deletes what the store has and the table has not, and writes the others. */
void mirror_all(struct network *net);
void mirror_forget(struct agent *a, const char *network);
/* Ends the transaction of the above. */
void mirror_flush(struct agent *a);

/* ---- own.c: what bridge (L3: tunnel) have of this node ---- */
uint32_t own_device(const struct network *net);
/* Their MAC and addresses, when there are any. */
bool own_keep(struct network *net, struct fl_mac *mac, struct fl_addr wanted[FL_OVERLAY_SUBNETS]);
/* Those of net->self in the place of others; true: there were others, and routes went with them. */
bool own_put(struct network *net);
/*
 * The store has a record of an earlier life, maybe of an old backup: the device gets its addresses,
 * and the record the device's MAC, which containers know as their gateway's.
 */
void own_adopt(struct network *net);
/* Writing that, which is under way, is nobody's any more. */
void own_forget(struct network *net);
