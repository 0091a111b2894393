/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of this folder only. */
#pragma once

#include "fw/fw.h"
#include "nft/nft.h"

struct fl_fw {
	struct fl_nft nft;
};

/* What of a chain of the skeleton is in the kernel. */
struct fl_fw_chain_state {
	size_t wanted;	/* rules of the skeleton */
	size_t kept;	/* of these there are, unchanged and in their order */
	size_t foreign; /* others beside them */
};

/* -ENOENT (err untouched where the kernel says so to a dump): no such chain. */
int fl_fw_chain_state(struct fl_fw *fw, uint8_t family, const char *chain,
		      struct fl_fw_chain_state *ret, struct fl_error *err);
/* 1: somebody gave the base chain the policy drop; 0: not, or it is not there. */
int fl_fw_chain_drops(struct fl_fw *fw, uint8_t family, const char *chain, struct fl_error *err);

struct fl_fw_elems;
/* Elements of the endpoints in this state. 0 or -ENOMEM. */
int fl_fw_collect_state(struct fl_fw_elems *l, enum fl_state state,
			const struct fl_network *networks, size_t n_networks,
			const struct fl_endpoint *endpoints, size_t n_endpoints);
