/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two modes share: changes of the kernel, collected and sent. Private to program*.c. */
#pragma once

#include "overlay/agent.h"

/* ---- batches ---- */

enum change_kind {
	DEL_NEIGH,
	DEL_SELF,
	DEL_MASTER,
	DEL_ROUTE,
	PUT_SELF,
	PUT_MASTER,
	PUT_NEIGH,
	PUT_ROUTE
};

struct change {
	enum change_kind kind;
	union {
		struct fl_neigh neigh;
		struct fl_fdb fdb;
		struct fl_nlroute route;
	};
};

struct batch {
	struct change *list;
	size_t n, cap;
};

struct change *batch_add(struct batch *b, enum change_kind kind);
void batch_fdb(struct batch *b, const struct network *net, enum change_kind kind,
	       const struct fl_mac *mac, const struct fl_addr *vtep);
void batch_neigh(struct batch *b, uint32_t index, enum change_kind kind, const struct fl_addr *addr,
		 const struct fl_mac *mac);

/* ---- the kernel, read ---- */

/* What is there and is nobody's goes into `extra`; what somebody is to have, into the slots. */
struct reading {
	struct network *net;
	struct batch extra;
	struct fl_addr *flood;
	size_t n_flood;
};

/* ---- mode L3: program_l3.c ---- */

/* The VTEP that frames for a MAC go to, or unset. */
struct fl_addr program_vtep(const struct network *net, const struct mac_slot *s);
void l3_flush(struct network *net, struct batch *b);
int l3_read(struct network *net, struct reading *rd, struct fl_error *err);
