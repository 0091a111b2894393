/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes, and this one among them. Private to the daemon: overlay/agent.h. */
#pragma once

#include "overlay/follow.h"

/* ---- nodes.c: node/ and alive/ ---- */

struct node {
	char name[FL_OVERLAY_ID];
	struct fl_rec_node rec;
	bool known, alive, self; /* known: it has a record */
	bool unread;		 /* its record is there, and of a later version */
	bool seen_record, seen_alive;
	unsigned uses;		/* endpoints and blocks in the tables here that name it */
	int64_t mod, alive_mod; /* revisions of its records, 0: there is none */
	int64_t since;		/* of `alive` as it is */
	int64_t sweep_at;	/* ms; 0: not to be swept */
	/* The key by which it has what this version cannot give back, which keeps its record. */
	char kept[FL_REC_KEY_STR];
	uint32_t route_mtu; /* of the way there; 0: not known */
	UT_hash_handle hh;
};
/* Made if need be: an endpoint may be told of before its node. */
struct node *node_get(struct agent *a, const char *name);
/* Its VTEP of the family that the cluster's underlay has here; unset: not known. */
struct fl_addr node_vtep(const struct agent *a, const struct node *n);
/* Something of it is known: its record, its life, or what says that it is the node's. */
bool node_exists(const struct node *n);
/* Frees those of which nothing is known any more. */
void nodes_tidy(struct agent *a);
void nodes_start(struct agent *a);
void nodes_stop(struct agent *a);
/* Their records have been read: without them nothing would lead to any of them. */
bool nodes_known(const struct agent *a);
/* The same, and which of them are alive. */
bool nodes_synced(const struct agent *a);
/* The least of all underlays and of the ways to them: what every node's frames fit through. */
uint32_t nodes_mtu(struct agent *a);
/* The ways may have changed. */
void nodes_look(struct agent *a);
/* ---- underlay.c ---- */
/* Fills in vtep and what belongs to it. */
int underlay_find(struct agent *a, struct fl_error *err);
/* Its MTU may be another, or the address itself, which is looked for as at the start, but in its
 * family. */
void underlay_look(struct agent *a);

/* ---- member.c: this node among the others ---- */

enum member_state { MEMBER_OUT, MEMBER_ENTERING, MEMBER_IN, MEMBER_LEAVING };

struct member {
	enum member_state state;
	int64_t epoch, lease;
	int64_t node_mod, alive_mod; /* as read */
	struct fl_addr wrote;	     /* the address in the record as this agent last wrote it */
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
