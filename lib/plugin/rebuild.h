/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rebuild of nftables from the records, when the skeleton is not there. */
#pragma once

#include "fw/fw.h"
#include "store/store.h"

/*
 * Skeleton and elements of everything that the store knows, in one batch. `t` is a write
 * transaction, so that no ADD or DEL comes in between; the caller commits it.
 */
int fl_rules_rebuild(struct fl_txn *t, struct fl_fw *fw, struct fl_error *err);
