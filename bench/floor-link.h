/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the floors of the bridge and of macvlan share: messages of an interface in the sandbox. */
#ifndef BENCH_FLOOR_LINK_H
#define BENCH_FLOOR_LINK_H

#include "floor.h"
#include "nlraw.h"

/* Of the namespace of the socket fd: the index, or -errno. */
int floor_ifindex(int fd, const char *name);

/* IFLA_ADDRESS: random, unicast, locally administered. */
void floor_put_mac(struct nlbuf *b);

/* A message each. None asks for an acknowledgement, but for the route. */
void floor_put_up(struct nlbuf *b, int index);
void floor_put_address(struct nlbuf *b, int index, struct in_addr address, uint8_t prefix,
		       uint16_t flags);
void floor_put_default_route(struct nlbuf *b, struct in_addr gateway);

#endif
