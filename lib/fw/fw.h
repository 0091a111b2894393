/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intent to nftables. The ruleset is a fixed skeleton of rules (table `inet fairlead`); a network
 * or an endpoint adds and removes set and map elements only, which are a pure function of its
 * record. Nothing is read back. docs/nftables.md describes each set.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "store/record.h"

#include <stddef.h>

/* A connection to nfnetlink in the namespace of its first request; networks without elements make
 * none. */
struct fl_fw;

int fl_fw_open(struct fl_fw **ret, struct fl_error *err);
void fl_fw_close(struct fl_fw *fw);
FL_DEFINE_CLEANUP(struct fl_fw *, fl_fw_close)
#define FL_AUTOFW FL_CLEANUP(fl_fw_close_p)

/* What changes in one atomic batch. NULL members are skipped. */
struct fl_fw_change {
	const struct fl_network *add_network;
	const struct fl_network
		*add_endpoint_network; /* network of add_endpoint (flags, subnets) */
	const struct fl_endpoint *add_endpoint;
	const struct fl_network *del_endpoint_network;
	const struct fl_endpoint *del_endpoint;
	const struct fl_network *del_network;
	/* elements that another living network still needs are kept when del_network goes */
	const struct fl_network *others;
	size_t n_others;
};

/*
 * Commits the change in one batch that asserts the skeleton's version. -ENOENT with no effect when
 * the skeleton is absent or of another version: the caller then rebuilds. Deleting is idempotent
 * and never takes another owner's element. -EEXIST (FL_ECODE_CONFLICT) when an added element's key
 * is held with other data.
 */
int fl_fw_apply(struct fl_fw *fw, const struct fl_fw_change *change, struct fl_error *err);

/*
 * Rebuilds skeleton and all elements in one batch: every network, and every endpoint that is not
 * `deleting` (networks are matched to endpoints by name and driver). Call it inside the store's
 * write transaction. Existing tables of another skeleton version are replaced.
 */
int fl_fw_rebuild(struct fl_fw *fw, const struct fl_network *networks, size_t n_networks,
		  const struct fl_endpoint *endpoints, size_t n_endpoints, struct fl_error *err);

/* Removes our tables. Nothing there is success. */
int fl_fw_remove(struct fl_fw *fw, struct fl_error *err);

/*
 * True (1) when every element of the endpoint (and network) is present; 0 with err filled
 * (FL_ECODE_CHECK, naming the set and key) when one is missing. Looks each element up by key.
 */
int fl_fw_check(struct fl_fw *fw, const struct fl_network *net, const struct fl_endpoint *ep,
		struct fl_error *err);

/*
 * Compares all of the ruleset with the records, at the price of one dump for each set. Elements of
 * endpoints that are not `ready` may be there or not.
 */
enum fl_fw_difference_kind {
	FL_FW_NO_TABLE,	     /* nothing of ours is there, of `wanted` elements; nothing else is
			      * told then */
	FL_FW_OTHER_VERSION, /* the table is not this version's; nothing else is told */
	FL_FW_CHAIN,	 /* `found` of the `wanted` rules of chain `what` are there; more: others
			  * are there too */
	FL_FW_MISSING,	 /* of `owner`: the element `what` ("publish4 { tcp . 80 }") */
	FL_FW_ELSEWHERE, /* the same, with other data */
	FL_FW_ORPHAN,	 /* no record explains it; `owner` is its comment */
	FL_FW_POLICY,	 /* base chain `what` has the policy drop */
};

struct fl_fw_difference {
	enum fl_fw_difference_kind kind;
	const char *family; /* "inet", "bridge" */
	const char *what, *owner;
	size_t wanted, found;
};

/* What is told lives for the call. Returns how many there are. */
int fl_fw_compare(struct fl_fw *fw, const struct fl_network *networks, size_t n_networks,
		  const struct fl_endpoint *endpoints, size_t n_endpoints,
		  void (*fn)(void *arg, const struct fl_fw_difference *d), void *arg,
		  struct fl_error *err);

/*
 * Would fl_fw_admit_foreign_forward() add a rule? 1 or 0.
 */
int fl_fw_admit_is_missing(struct fl_fw *fw, struct fl_error *err);
/* Has the namespace a table of this name, of family inet? 1 or 0. */
int fl_fw_has_table(struct fl_fw *fw, const char *table, struct fl_error *err);

/*
 * A host whose iptables (nf_tables) FORWARD chain has the policy DROP, or ends with a rule that
 * drops or rejects the rest: makes sure that the one native rule which accepts our mark is in `ip
 * filter FORWARD` (and `ip6 filter FORWARD`), at the end or in front of that last rule. Reads the
 * rules of these chains, nothing when they are absent or empty. Returns 1 when the rule was added,
 * 0 when nothing was needed. What it cannot mend, fl_fw_foreign_obstacles() names (fw/foreign.h).
 */
int fl_fw_admit_foreign_forward(struct fl_fw *fw, struct fl_error *err);

/*
 * Flushes UDP conntrack entries whose original destination port is one of the endpoint's published
 * UDP ports (one filtered pass however many), and, with `and_addrs`, all entries to or from its
 * addresses. Does nothing without UDP ports and and_addrs false.
 */
int fl_conntrack_flush(const struct fl_endpoint *ep, bool and_addrs, struct fl_error *err);
