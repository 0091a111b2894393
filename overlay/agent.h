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

#include "overlay/network.h"

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
	bool background, replace;
	unsigned long linger_ms;
};

struct counters {
	uint64_t events, programmed, compared, fixed, mirrored, reclaimed, given_back, swept,
		conflicts, allocations, releases;
};

struct agent {
	struct event_base *base;
	struct ignored *ignored;
	bool ignored_more; /* than are remembered */
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
	struct fl_addr towards;	       /* etcd, where the way there tells what vtep is */
	uint32_t vtep_mtu, vtep_index; /* of its interface */
	int64_t vtep_gone;	       /* ms, since when; 0: it is there */
	bool vtep_missed;	       /* said so */
	char boot_id[37];
	struct member member;
	struct node *nodes;
	struct follow follow_nodes, follow_alive, follow_nets;
	struct follow_list telling; /* of follow.c */
	struct event *tell;
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
/* Soon looks whether bridges and tunnels are what they ought to be. */
void agent_look(struct agent *a);
