/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other people's firewalls: what of theirs stops forwarded packets that ours has accepted, and that
 * fl_fw_admit_foreign_forward() (fw/fw.h) cannot or must not mend.
 */
#pragma once

#include "fw/fw.h"

/* Names what is in the way and the command that mends it, in `backquotes`; lives for the call. */
typedef void (*fl_fw_obstacle)(void *arg, const char *sentence);

/*
 * Looks through all forward chains of nf_tables and the tables of iptables-legacy: work for STATUS
 * and a doctor, not for an ADD. Only defaults are judged, what happens to a packet that no
 * condition of theirs applies to: an obstacle may have rules of its own that let some networks
 * pass. Returns how many there are.
 */
int fl_fw_foreign_obstacles(struct fl_fw *fw, fl_fw_obstacle fn, void *arg, struct fl_error *err);
