/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why the host sends elsewhere what a route of an overlay network is for. */
#pragma once

#include "netctl/ctl.h"

#include "store/record.h"

/* A packet that the host forwards or sends, and the network's links. */
struct taken_question {
	struct fl_addr to, from; /* `from` unset: of the host itself */
	uint32_t iif;		 /* 0: of the host itself */
	uint32_t want;		 /* the link that it ought to go out by */
	struct fl_prefix subnet; /* that the remedy is about; len 0: the route's */
	bool brief;		 /* the cause is not looked for, nor whether it is missing */
};

struct taken {
	struct fl_nlroute route; /* that is taken; oif 0: none, as `why` says */
	struct fl_error why;
	bool away;    /* it does not go out by `want` */
	bool missing; /* no route of the network is there for it; without it the rest is natural */
	char cause[256], remedy[256];
	char prefix[64]; /* of the route of table main that goes before, or "" */
};

/* The command that deletes the route; asks nobody. */
void taken_remedy(const struct fl_nlroute *r, const char *ifname, char *buf, size_t size);
/* Of the network, with the address in it; len 0: none. */
struct fl_prefix taken_subnet(const struct fl_network *net, const struct fl_addr *a);

/* Asks the kernel, and where it says something else, looks for what is in the way. */
int taken_ask(struct ctl *c, const struct taken_question *q, struct taken *ret,
	      struct fl_error *err);
