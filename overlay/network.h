/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Networks of the cluster, and what is done in them. Private to the daemon: overlay/agent.h. */
#pragma once

#include "overlay/table.h"

/* ---- network.c ---- */

/* A network of the cluster; most of it is in use only where this node takes part. */
struct network {
	struct agent *a;
	char id[FL_OVERLAY_ID];
	struct fl_rec_net rec;
	bool seen, gone;
	bool unread;	/* there is a record, which this version does not understand */
	bool joined;	/* follows what is there */
	bool member;	/* this node takes part */
	bool announced; /* join/ is in the store */
	struct fl_rec_join self;
	int64_t self_mod;
	bool self_seen; /* our join/ is in the store */
	bool unwritten; /* but is not what `self` is */
	bool announcing, retiring, tidying;
	bool keeps;		 /* asks for the addresses that it has had */
	bool others;		 /* cannot have them again */
	struct fl_error refusal; /* why it could not be announced */
	struct follow eps, joins, ip_keys, blocks;
	bool has_ip_keys, has_blocks;
	struct fl_ippool *pools[FL_OVERLAY_SUBNETS];
	struct work *works, **works_end; /* not sent yet */
	struct sending *sendings;
	struct conflict *conflicts;
	struct event *linger, *retry;
	struct fl_etcd_call *writing; /* of own.c */
	uint32_t bridge, tunnel;      /* ifindex, 0: not there */
	struct ep *table;
	struct ip_slot *ips, *dirty_ips;
	struct mac_slot *macs, *dirty_macs;
	struct block_slot *block_slots, *dirty_blocks;
	unsigned n_local, n_remote;
	bool reconcile;	    /* is to be done */
	bool flood_changed; /* who gets broadcasts */
	bool doubtful;	    /* the kernel refused something */
	bool touched;	    /* something may have happened to bridge or tunnel */
	bool port_left;	    /* of the bridge, and is still there */
	bool ways_changed;  /* L3: where nodes can be reached */
	bool mirrored;	    /* the node's store has all of it */
	bool mirror_stale;  /* or what it has is not known */
	UT_hash_handle hh;
};

void networks_start(struct agent *a);
void networks_stop(struct agent *a);
bool networks_synced(const struct agent *a);
struct network *network_named(struct agent *a, const char *name);
void network_join(struct network *net);
/* Follows what is there, without a part in it; until network_unobserve(). */
void network_observe(struct network *net);
void network_unobserve(struct network *net);
/* Ends the part in it, which nobody needs. */
void network_leave(struct network *net);
/* Everything that was to be known is, and the node has its addresses. */
bool network_ready(const struct network *net);
bool network_synced(const struct network *net);
/* An endpoint came or went. */
void network_used(struct network *net);
/* A node's record or life changed; networks_settle() ends it. */
void networks_touch_node(struct agent *a, const struct node *n);
/* Where all of them are has been read. */
void networks_know_nodes(struct agent *a);
void networks_settle(struct agent *a);
void networks_in(struct agent *a);
void network_answer(struct network *net, struct fl_overlay_network *ret);
static inline bool network_is_routed(const struct network *net)
{
	return net->rec.mode == FL_REC_L3;
}
/* The host is in it, as gateway. Of an internal one only where it routes to the other nodes. */
static inline bool network_has_gateway(const struct network *net)
{
	return !net->rec.internal || network_is_routed(net);
}
/* The pool that an address is of, or NULL. */
struct fl_ippool *network_pool(struct network *net, const struct fl_addr *a);

/* ---- prefixes.c: ep/, join/, ip/ and blk/ of a network ---- */

/* Puts an endpoint of the store into the table. */
void network_put_ep(struct network *net, const char *id, const struct fl_rec_ep *rec,
		    int64_t revision);
/* An ip/ or blk/ record. One that cannot be read is somebody's, wholly. */
void network_read_address(const struct network *net, const struct fl_rec_key *key,
			  const struct fl_etcd_kv *kv, struct fl_rec *ret);
/* The transaction is nothing if the network was removed. */
void network_if_exists(const struct network *net, struct fl_etcd_txn *t);
/* Our join/ was deleted: somebody took us for dead. It is written again. */
void network_lost_record(struct network *net);
/* It could not be made what it ought to be: that is tried again. */
void network_adopt_later(struct network *net);
/* Some changes were told: kernel and node's store follow. */
void network_settle(struct network *net);
/* All of it is known, maybe not for the first time. */
void network_known(struct network *net);
/* The store was: what is known of it is of the former one. */
void network_restored(struct network *net);
/* What the store has not, which was restored, has not been written again: it is gone. */
void network_end_doubt(struct network *net);

/* ---- work.c: transactions that take or give back addresses ---- */

enum work_kind {
	WORK_TAKE,
	WORK_GIVE,
	WORK_LEAVE, /* all that a node has in the network's subnets, and its key */
};

/* One key and its addresses: an endpoint's, or a node's. */
struct work {
	struct network *net;
	enum work_kind kind;
	void (*done)(struct work *w, int r, const struct fl_error *err);
	struct client *client; /* who waits for it, or NULL */
	char key[FL_REC_KEY_STR];
	int64_t expected; /* mod_revision of the key; 0: absent */
	struct fl_rec_ip who;
	struct fl_rec *rec; /* TAKE: what is put, its addresses filled in; owned */
	struct fl_addr wanted[FL_OVERLAY_SUBNETS]; /* TAKE: unset: any. GIVE, LEAVE: what it has */
	bool only_wanted;			/* no address of a subnet that none was named of */
	struct fl_addr ips[FL_OVERLAY_SUBNETS]; /* chosen */
	unsigned n_ips;
	bool staged;
	unsigned tries;
	int64_t revision;	   /* of the transaction that did it */
	char id[FL_OVERLAY_ID];	   /* the endpoint's */
	char guard[FL_OVERLAY_ID]; /* a dead node, whose things these are; "": our own */
	int64_t guard_mod;	   /* of its record */
	bool left;		   /* LEAVE: another transaction will be needed */
	bool tidies;		   /* LEAVE: empty blocks that nobody owns, and no key */
	unsigned mended;	   /* tidies: bits that nobody had */
	bool any;		   /* LEAVE: there were addresses or blocks */
	struct work *next;
};
/* Takes the work, and calls done() in the end. */
void work_add(struct work *w);
/* The same, but nothing begins before work_pump(): for many. */
void work_append(struct work *w);
/* Is the key about to be changed? */
bool work_has(const struct network *net, const char *key);
/* Whatever waits may go on: a lease came, a transaction is over. */
void work_pump(struct network *net);
/* The network goes: nothing of it is done any more, and nobody told but clients. */
void work_drop(struct network *net);
/* What waits in the queue is not done. */
void work_fail(struct network *net, const struct fl_error *err);
/* A lease that ends after the quarantine: false as long as there is none, with one on its way. */
bool quarantine(struct agent *a, int64_t *ret);

/* ---- endpoint.c: this node's endpoints ---- */
void endpoint_id(const struct agent *a, const char *container, const char *ifname, char *buf);
void endpoint_allocate(struct client *c);
void endpoint_release(struct client *c);
/* Of the node's store, which the cluster's has no more. */
void endpoint_reclaim(struct network *net, const struct fl_endpoint *ep);
void endpoint_give_back(struct network *net, struct ep *e, struct client *c);
/* Somebody else has its addresses: says who. */
bool endpoint_conflict(struct network *net, const char *id, struct fl_error *err);
/* Those that are over. */
void endpoint_forget_conflicts(struct network *net);

/* An address is nobody's any more: who is cut off because of it may have it again. */
void endpoint_freed(struct network *net, const struct fl_addr *addr);

/* ---- restore.c: the store is an old one, or another ---- */
void restore_start(struct agent *a);
void restore_begin(void *agent);
/* Not every node has written yet what it has. */
bool restore_in_doubt(const struct agent *a);

/* ---- tidy.c: blocks of addresses ---- */
/* tidy.c: deletes blocks that nodes left in quarantine, which is over, and gives back addresses
 * that no endpoint or node has a key for. */
void network_tidy(struct network *net);
/* Reads again what has to be known for that. Not from inside of a watch. */
void network_prove(struct network *net);
/* What endpoints and nodes have of them. */
struct fl_ippool_mend network_keys(struct network *net);

/* ---- local.c: the node's own store ---- */
/* Joins what its networks and endpoints are of. */
void local_rejoin(struct agent *a);
/* Compares its endpoints of the network with the cluster's, once nothing else is to be done. */
void local_reconcile(struct network *net);
bool local_has_endpoints(struct agent *a, const char *network);

/* ---- sweep.c: what dead nodes left ---- */
void sweep_start(struct agent *a);
void sweep_stop(struct agent *a);
/* A node came to life or went. */
void sweep_check(struct agent *a);
/* A network that is only looked at is synced. */
void sweep_go_on(struct agent *a);
/* Is it of this node, in this network? */
bool sweep_is_of(const struct agent *a, const struct node *n);
bool sweep_is_in(const struct network *net);
/* For a client, at once. */
void sweep_node(struct agent *a, const char *name, struct client *c);

/* ---- create.c: networks of the cluster ---- */
void create_network(struct client *c);
void remove_network(struct client *c);

/* ---- show.c ---- */
void show(struct client *c);
