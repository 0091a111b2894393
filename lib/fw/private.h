/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of this folder only. */
#pragma once

#include "fw/fw.h"
#include "nft/nft.h"

struct fl_fw {
	struct fl_nft nft;
};

struct fl_fw_elems;
/* Elements of the endpoints in this state. 0 or -ENOMEM. */
int fl_fw_collect_state(struct fl_fw_elems *l, enum fl_state state,
			const struct fl_network *networks, size_t n_networks,
			const struct fl_endpoint *endpoints, size_t n_endpoints);
