/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iptables-legacy: the kernel's own tables, which nf_tables knows nothing of. Read only. */
#pragma once

#include "base/error.h"

#include <stdint.h>

#define FL_XT_CHAIN 32

/* As fl_fw_walk(): what a packet with our mark meets in FORWARD of table filter by default. */
struct fl_xt_walk {
	enum { FL_XT_PASSES, FL_XT_POLICY_DROP, FL_XT_STOPPED } fate;
	/* as in struct fl_fw_walk; number is 0 for the chain's end */
	char chain[FL_XT_CHAIN];
	unsigned number;
};

/*
 * Family AF_INET or AF_INET6, in the calling thread's namespace. FL_XT_PASSES when there is no such
 * table; asking never makes the kernel create it.
 */
int fl_xt_walk_forward(int family, struct fl_xt_walk *ret, struct fl_error *err);
