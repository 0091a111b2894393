/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bandwidth of a container behind a veth pair: the keys of the reference's bandwidth plugin, and
 * what they come to in the kernel. For drivers.
 *
 * Towards the container the host's end sends, and has the qdisc. What comes from the container
 * arrives there, where nothing can be queued: it is redirected to an ifb of this endpoint alone,
 * which has the qdisc and puts the packets back (kernel: drivers/net/ifb.c). The qdisc is tbf; with
 * subnets it is htb with one class that is shaped and one that is not.
 *
 * The ifb's index is in the record (struct fl_endpoint's `ifb`) before it is made, and its name
 * follows from that: no two endpoints share one, and whatever was interrupted can be removed.
 */
#pragma once

#include "plugin/plugin.h"

#define FL_SHAPE_SUBNETS 256

struct fl_shape_rate {
	uint64_t rate;	/* bytes per second, 0: not limited */
	uint32_t burst; /* bytes; one packet of the interface at least is used */
};

struct fl_shape {
	struct fl_shape_rate in, out;		    /* towards the container, and from it */
	struct fl_prefix subnets[FL_SHAPE_SUBNETS]; /* of the other side */
	size_t n_subnets;
	bool only; /* these alone are shaped, not all but these */
};

/*
 * Reads the configuration's keys, and runtimeConfig.bandwidth for what is not given there: rates
 * and bursts as one, and subnets as one. FL_ECODE_DECODE or FL_ECODE_CONFIG.
 */
int fl_shape_parse(const struct fl_call *c, struct fl_shape *ret, struct fl_error *err);
bool fl_shape_wanted(const struct fl_shape *s);
/* For prepare(): chooses c->ep.ifb where one is needed. */
void fl_shape_prepare(struct fl_call *c, const struct fl_shape *s);
/* Shapes the host's end c->ep.ifindex, and adds the ifb to `result`. Undone by the record. */
int fl_shape_create(struct fl_call *c, const struct fl_shape *s, struct fl_result *result,
		    struct fl_error *err);
/* Takes the shaping off ep->ifindex and removes ep->ifb; the host's end stays. */
int fl_shape_delete(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err);
/* Is c->ep shaped like that? FL_ECODE_CHECK. */
int fl_shape_check(struct fl_call *c, const struct fl_shape *s, struct fl_error *err);
