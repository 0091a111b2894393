/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Neighbour entries (ip-neighbour(8)) and forwarding databases (bridge(8), `bridge fdb`):
 * linux/neighbour.h.
 *
 * A replacement with equal values disturbs no traffic; deleting and adding again does.
 */
#pragma once

#include "nl/nl.h"

#include <linux/neighbour.h>

/* ---- neighbours ---- */
struct fl_neigh {
	uint32_t index;
	struct fl_addr addr;
	struct fl_mac mac;
	uint16_t state;	  /* NUD_*; 0 on replacing: permanent */
	uint8_t protocol; /* whose it is (RTPROT_*); 0: nobody says (before Linux 5.0 too) */
};

void fl_neigh_build(struct fl_req *q, bool add, const struct fl_neigh *n);
/* Made, or in the place of what is there. */
int fl_neigh_replace(struct fl_nl *nl, const struct fl_neigh *n, struct fl_error *err);
/* By interface and address; absent is success. */
int fl_neigh_del(struct fl_nl *nl, const struct fl_neigh *n, struct fl_error *err);
/* By interface and address: 1, or 0: there is none. -EOPNOTSUPP, -EINVAL: before Linux 5.0. */
int fl_neigh_find(struct fl_nl *nl, const struct fl_neigh *n, struct fl_error *err);
/* Of one interface; of all when index is 0. */
int fl_neighs_each(struct fl_nl *nl, int family, uint32_t index,
		   int (*fn)(void *arg, const struct fl_neigh *), void *arg, struct fl_error *err);

/* ---- forwarding databases ---- */
enum fl_fdb_table {
	FL_FDB_SELF,   /* of the device: which VTEP has the MAC */
	FL_FDB_MASTER, /* of its bridge: the MAC is behind this port */
};
enum fl_fdb_life {
	FL_FDB_PERMANENT, /* SELF: until deleted; MASTER: an address of the port itself */
	FL_FDB_STATIC,	  /* MASTER: until deleted, or a frame shows it elsewhere */
	FL_FDB_STICKY,	  /* MASTER: until deleted, whatever frames show */
	FL_FDB_LEARNED,	  /* only read */
};

struct fl_fdb {
	enum fl_fdb_table table;
	enum fl_fdb_life life;
	uint32_t index; /* the port, which for SELF is the device */
	struct fl_mac mac;
	struct fl_addr dst; /* SELF: of the VTEP; unset on deleting: all */
};

enum fl_fdb_change {
	FL_FDB_REPLACE,
	/* One more VTEP for a MAC, which only the all-zero MAC and groups may have. What is there
	 * is success. */
	FL_FDB_APPEND,
	FL_FDB_DELETE, /* absent is success */
};

void fl_fdb_build(struct fl_req *q, enum fl_fdb_change what, const struct fl_fdb *f);
int fl_fdb_change(struct fl_nl *nl, enum fl_fdb_change what, const struct fl_fdb *f,
		  struct fl_error *err);
/* Both tables, of one port; of all when index is 0. */
int fl_fdbs_each(struct fl_nl *nl, uint32_t index, int (*fn)(void *arg, const struct fl_fdb *),
		 void *arg, struct fl_error *err);
