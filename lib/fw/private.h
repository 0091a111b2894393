/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of this folder only. */
#pragma once

#include "fw/fw.h"
#include "nft/nft.h"

struct fl_fw {
	struct fl_nft nft;
};
