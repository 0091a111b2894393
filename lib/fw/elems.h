/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records to elements. Pure: the same record always gives the same elements, in the same order,
 * which is what lets DEL, CHECK and a rebuild work without reading the kernel back.
 */
#pragma once

#include "fw/skeleton.h"
#include "store/record.h"

/*
 * Receives one element. Its comment lives only during the call. A negative errno ends the
 * enumeration and becomes its result.
 */
typedef int (*fl_fw_sink)(void *arg, enum fl_fw_set_id set, const struct fl_nft_elem *e);

int fl_fw_network_elems(const struct fl_network *net, fl_fw_sink sink, void *arg);

/* `net` gives the flags that decide how ports are published; NULL: a plain NAT network. */
int fl_fw_endpoint_elems(const struct fl_network *net, const struct fl_endpoint *ep,
			 fl_fw_sink sink, void *arg);

/* Is the port published for this family (where its endpoint has an address of it)? */
bool fl_fw_port_has_family(const struct fl_port *p, int family);
/* The endpoint's address that its ports of this family lead to; NULL: none. */
const struct fl_addr *fl_fw_publish_addr(const struct fl_endpoint *ep, int family);

/* "tcp . 8080", "10.1.0.0-10.1.0.255 . ...": the key as nft(8) writes it. Returns buf. */
const char *fl_fw_key_str(enum fl_fw_set_id set, const struct fl_nft_elem *e, char *buf,
			  size_t size);

/* Elements of several records, kept. Zero-initialised; the comments are owned. */
struct fl_fw_elem {
	enum fl_fw_set_id set;
	uint32_t order; /* of addition */
	struct fl_nft_elem e;
};

struct fl_fw_elems {
	struct fl_fw_elem *v;
	size_t n, cap;
	char **comments;
	size_t n_comments, cap_comments;
};

void fl_fw_elems_clear(struct fl_fw_elems *l);
#define FL_AUTOFWELEMS FL_CLEANUP(fl_fw_elems_clear)
/* Both return 0 or -ENOMEM. NULL records add nothing. */
int fl_fw_elems_network(struct fl_fw_elems *l, const struct fl_network *net);
int fl_fw_elems_endpoint(struct fl_fw_elems *l, const struct fl_network *net,
			 const struct fl_endpoint *ep);
/* Sorts by set and key, and keeps the first (in order of addition) of those with the same key. */
void fl_fw_elems_unique(struct fl_fw_elems *l);
/* Drops intervals that overlap an earlier added one of their set, which the kernel refuses. */
void fl_fw_elems_drop_overlaps(struct fl_fw_elems *l);
/* Removes from `l` what `keep` has as well (set and key). Both must be unique. */
void fl_fw_elems_subtract(struct fl_fw_elems *l, const struct fl_fw_elems *keep);
