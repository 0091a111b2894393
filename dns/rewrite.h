/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 127.0.0.11:53 is where containers ask; we listen on another port, because a container may have a
 * DNS server of its own on 0.0.0.0:53, with which no socket option gets along. Table ip
 * fairlead_dns in the sandbox changes the port, both ways and without connection tracking:
 * `redirect` would go to 127.0.0.1, and `dnat` would put conntrack on all of the container's
 * traffic.
 */
#pragma once

#include "base/error.h"

#include <stdint.h>

#define FL_DNS_TABLE "fairlead_dns"

/* In the namespace that the thread is in: what is there of an earlier port is replaced. */
int rewrite_set(uint16_t port, struct fl_error *err);
/* Success also when it is not there. */
int rewrite_remove(struct fl_error *err);
