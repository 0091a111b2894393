/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fairlead-overlayd: what a node has to do with the overlay networks of its cluster. Private to the
 * daemon.
 *
 * One thread, one event loop. The cluster's store says what there is; every prefix of it that
 * matters is followed (follow.c): read once, watched from there, read again when the watch cannot
 * go on. From what was read, each network keeps a table of what its bridge and tunnel ought to have
 * (table.c); whatever in it differs from what the kernel was given is changed in the kernel
 * (program.c), and from time to time the kernel is read and compared. The same for the names, in
 * the node's own store (mirror.c).
 *
 * What this node owns is what its own store says: an endpoint of ours in the cluster's store that
 * is not in the node's is given back, one that is here and not there is claimed again (local.c). So
 * neither a crash of this process nor of etcd needs a journal.
 *
 * Memory that cannot be had ends the process: kernel and stores keep all that counts, and the next
 * one begins where this one was.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "cluster/etcd.h"
#include "cluster/records.h"
#include "nl/neigh.h"
#include "nl/vxlan.h"
#include "overlay/pool.h"
#include "overlay/request.h"
#include "store/peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What cannot be allocated ends the process; see above. */
#define uthash_fatal(msg) die_of_memory()
void die_of_memory(void) __attribute__((noreturn));
#include <uthash.h>

enum {
	VXLAN_PORT = 4789, /* IANA */
	RETRY_MS = 1000,
	LINGER_MS = 5000,    /* in a network without endpoints */
	COMPARE_MS = 300000, /* between two comparisons of kernel and table */
	QUARANTINE_S = 60,   /* at least, before an address is given out again */
	WAIT_MS = 8000,	     /* a request, for what it needs */
};

struct agent;
struct network;
struct client;

void *must_alloc(size_t n); /* zeroed */
char *must_copy(const char *s);
int64_t now_s(void);  /* since 1970 */
int64_t now_ms(void); /* of a clock that does not jump */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- config.c ---- */

#define POOLS_MAX 8
struct pool_source {
	struct fl_prefix from;
	uint8_t len; /* of the subnets cut from it */
};

struct config {
	json_t *json; /* owns the strings */
	const char *cluster, *node, *local;
	const char *ca_file, *cert_file, *key_file, *user, *password, *password_file;
	const char *endpoints[FL_ETCD_ENDPOINTS_MAX];
	size_t n_endpoints;
	int64_t lease_s, hold_down_s;
	struct pool_source pools[POOLS_MAX];
	size_t n_pools;
};
int config_read(const char *path, struct config *ret, struct fl_error *err);
void config_clear(struct config *c);

/* ---- follow.c: a prefix of the store, as it is and as it changes ---- */

struct follow_ops {
	/* All that is there will be told anew; what is not told until synced() is gone. */
	void (*begin)(void *arg);
	/* `kv` NULL: deleted. `revision`: of the change. */
	void (*change)(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
		       int64_t revision);
	void (*synced)(void *arg);
	/* Some changes are over. */
	void (*settled)(void *arg);
};

struct follow {
	struct agent *a;
	const struct follow_ops *ops;
	void *arg;
	char prefix[FL_REC_KEY_STR];
	struct fl_etcd_call *call;
	struct fl_etcd_watch *watch;
	struct event *retry;
	bool told;	       /* that the watch is interrupted */
	bool synced, restored; /* restored: from begin() to synced() */
	int64_t revision;      /* of what synced() ends */
	unsigned restores;     /* of the agent, when it was read */
};
void follow_start(struct follow *f, struct agent *a, const char *prefix,
		  const struct follow_ops *ops, void *arg);
void follow_stop(struct follow *f);

/* ---- nodes.c: node/ and alive/ ---- */

struct node {
	char name[FL_OVERLAY_ID];
	struct fl_rec_node rec;
	bool known, alive, self; /* known: it has a record */
	bool seen_record, seen_alive;
	int64_t mod, alive_mod; /* revisions of its records, 0: there is none */
	int64_t since;		/* of `alive` as it is */
	int64_t sweep_at;	/* ms; 0: not to be swept */
	uint32_t route_mtu;	/* of the way there; 0: not known */
	UT_hash_handle hh;
};
/* Made if need be: an endpoint may be told of before its node. */
struct node *node_get(struct agent *a, const char *name);
/* Its VTEP of the family that the cluster's underlay has here; unset: not known. */
struct fl_addr node_vtep(const struct agent *a, const struct node *n);
void nodes_start(struct agent *a);
void nodes_stop(struct agent *a);
bool nodes_synced(const struct agent *a);
/* The least of all underlays and of the ways to them: what every node's frames fit through. */
uint32_t nodes_mtu(struct agent *a);
/* The ways may have changed. */
void nodes_look(struct agent *a);
/* ---- underlay.c ---- */
/* Fills in vtep and what belongs to it. */
int underlay_find(struct agent *a, struct fl_error *err);
/* Its MTU may be another. */
void underlay_look(struct agent *a);

/* ---- member.c: this node among the others ---- */

enum member_state { MEMBER_OUT, MEMBER_ENTERING, MEMBER_IN, MEMBER_LEAVING };

struct member {
	enum member_state state;
	int64_t epoch, lease;
	int64_t node_mod, alive_mod; /* as read */
	int64_t entered;	     /* revision of what was written then, the newest epoch's */
	bool taken;		     /* by another node of the same name */
	bool stale;		     /* is to be written again when `call` has ended */
	int64_t since;		     /* ms: when it was entered */
	int64_t lease_ends;	     /* ms */
	struct event *timer;
	struct fl_etcd_call *call;
	struct client *client; /* who waits for the end */
};
void member_start(struct agent *a);
void member_stop(struct agent *a);
/* Somebody changed our records at this revision: we were taken for dead. */
void member_doubt(struct agent *a, int64_t revision);
/* Its lease has not ended, as far as this node's clock tells. */
bool member_lives(const struct agent *a);
/* What the record says of this node has changed. */
void member_renew(struct agent *a);
/* Deletes what tells of this node, and ends the loop. `c`: who asked for it, or NULL. */
void member_leave(struct agent *a, struct client *c);

/* ---- table.c: what bridge and tunnel of a network ought to have ---- */

/* An endpoint, or a node's own address in a network (`of_node`). */
struct ep {
	char id[FL_OVERLAY_ID];
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
	struct fl_addr via; /* the other node's address; unset: of a container here */
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
/* All of a node: its VTEP, or whether it gives signs of life, changed. */
void table_touch_node(struct network *net, const struct node *n);
void table_clear(struct network *net);
/* Id of a node's own entry. */
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

/* ---- ignored.c: records of others that are not followed ---- */
/* Says why, once for each change of the record. */
void ignore(struct agent *a, const char *key, int64_t revision, const struct fl_error *why);
void ignored_clear(struct agent *a);
/* May another node have this in the network? -EINVAL */
int check_ownership(const struct network *net, const struct fl_addr *ip4, const struct fl_addr *ip6,
		    const struct fl_mac *mac, struct fl_error *err);

/* ---- mend.c ---- */
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
/* Their MAC and addresses, when there are any. */
bool own_keep(struct network *net, struct fl_mac *mac, struct fl_addr wanted[FL_OVERLAY_SUBNETS]);
/* Those of net->self in the place of others; true: there were others, and routes went with them. */
bool own_put(struct network *net);
/*
 * The store has a record of an earlier life, maybe of an old backup: the device gets its addresses,
 * and the record the device's MAC, which containers know as their gateway's.
 */
void own_adopt(struct network *net);
/* ---- network.c ---- */

/* A network of the cluster; most of it is in use only where this node takes part. */
struct network {
	struct agent *a;
	char id[FL_OVERLAY_ID];
	struct fl_rec_net rec;
	int64_t mod;
	bool seen, gone;
	bool joined;	/* follows what is there */
	bool member;	/* this node takes part */
	bool announced; /* join/ is in the store */
	struct fl_rec_join self;
	int64_t self_mod;
	bool self_seen; /* our join/ is in the store */
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
	uint32_t bridge, tunnel; /* ifindex, 0: not there */
	struct ep *table;
	struct ip_slot *ips, *dirty_ips;
	struct mac_slot *macs, *dirty_macs;
	struct block_slot *block_slots, *dirty_blocks;
	unsigned n_local, n_remote;
	bool reconcile;	    /* is to be done */
	bool flood_changed; /* who gets broadcasts */
	bool doubtful;	    /* the kernel refused something */
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
/* Deletes blocks that nodes left in quarantine when they went, and that is over. */
void network_tidy(struct network *net);
/* Everything that was to be known is, and the node has its addresses. */
bool network_ready(const struct network *net);
bool network_synced(const struct network *net);
/* An endpoint came or went. */
void network_used(struct network *net);
/* A node's record or life changed; networks_settle() ends it. */
void networks_touch_node(struct agent *a, const struct node *n);
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
/* Some changes were told: kernel and node's store follow. */
void network_settle(struct network *net);
/* All of it is known, maybe not for the first time. */
void network_known(struct network *net);
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
/* Is it in this network? */
bool sweep_is_in(const struct network *net);
/* For a client, at once. */
void sweep_node(struct agent *a, const char *name, struct client *c);

/* ---- create.c: networks of the cluster ---- */
void create_network(struct client *c);
void remove_network(struct client *c);

/* ---- show.c ---- */
void show(struct client *c);

/* ---- control.c: who asks ---- */
struct client {
	struct agent *a;
	struct client *prev, *next;
	int fd;
	struct event *readable, *timer;
	struct fl_overlay_request q;
	bool busy;	      /* a request is to be answered */
	bool started;	      /* an operation will answer it */
	bool dead;	      /* to be freed */
	bool expects;	      /* a network that was made just now */
	bool gone;	      /* the connection, while an operation runs */
	int64_t began;	      /* ms */
	struct fl_strbuf out; /* of SHOW */
	size_t sent;
};
int control_open(struct agent *a, struct fl_error *err);
void control_close(struct agent *a);
/* Answers and is ready for the next one. `fill` may be NULL. */
void client_answer(struct client *c, int r, const struct fl_error *err,
		   const struct fl_overlay_answer *fill);
/* Something changed that requests may wait for. */
void clients_wake(struct agent *a);
/* Does a connection that is open have to do with the network? */
bool clients_want(const struct agent *a, const char *network);
/* Text in c->out follows the answer. */
void client_stream(struct client *c);

/* ---- main.c ---- */

struct options {
	const char *config, *state;
	bool background;
	unsigned long linger_ms;
};

struct counters {
	uint64_t events, programmed, compared, fixed, mirrored, reclaimed, given_back, swept,
		conflicts, allocations, releases;
};

struct agent {
	struct event_base *base;
	struct ignored *ignored;
	struct config conf;
	char state[4096];
	uint64_t state_dev, state_ino;
	int lock;
	int moved; /* packet socket */
	struct fl_store *store;
	struct fl_nl *nl, *links;
	struct event *link_event, *look, *compare, *wake;
	struct sweep *sweep;
	struct event *sweep_timer;
	struct fl_etcd *etcd;
	struct fl_addr vtep;
	uint32_t vtep_mtu, vtep_index; /* of its interface */
	char boot_id[37];
	struct member member;
	struct node *nodes;
	struct follow follow_nodes, follow_alive, follow_nets;
	struct network *networks;
	struct fl_txn *mirror; /* of mirror.c, while it is open */
	bool mirror_failed;
	unsigned restores;   /* of the store */
	int64_t doubt_until; /* ms; of restore.c */
	struct event *doubt;
	struct fl_etcd_call *joins_call;
	bool rejoined;
	int listener;
	struct event *accept;
	struct client *clients;
	unsigned n_clients;
	/* Trouble with the store: what and since when; "" without. */
	struct fl_error trouble; /* .err 0: none */
	int64_t trouble_since;
	bool interrupted;			    /* the watches are, which was said */
	bool hopeless;				    /* does not pass by waiting */
	unsigned alarms;			    /* FL_ETCD_ALARM_* */
	unsigned long linger_ms;		    /* without a network; 0: for ever */
	unsigned idle;				    /* how often it had none, in a row */
	int64_t quarantine_lease, quarantine_until; /* ms */
	struct fl_etcd_call *quarantine_call;
	struct counters n;
};

/* Takes note of how a request ended. true: it reached the store. */
bool agent_heard(struct agent *a, const struct fl_etcd_result *r);
/* Requests look again whether they can be answered, when this event is over. */
void agent_wake(struct agent *a);
