/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What broker and worker tell each other, over a SOCK_SEQPACKET pair. Both are of one executable,
 * so that the layout is theirs alone.
 */
#pragma once

#include "base/seqpacket.h"

#define CHANNEL_FDS FL_PACKET_FDS

enum channel_op {
	/* broker to worker */
	CHANNEL_OPEN,	  /* UDP and TCP socket: serve the sandbox */
	CHANNEL_CLOSE,	  /* with a token: close all that is of the sandbox, then CLOSED */
	CHANNEL_SOCKETS,  /* what WANT asked for; none and `err` when that failed */
	CHANNEL_HOSTCONF, /* the host's resolv.conf, opened for reading; none: it is gone */
	CHANNEL_CLIENT,	  /* a connection that asked for STATS or LOG (`value`) */
	CHANNEL_DRAIN,	  /* no more queries: finish those at work and end */
	/* worker to broker */
	CHANNEL_CLOSED,
	CHANNEL_WANT, /* `count` sockets in the sandbox, of `family` and `type` */
};

struct channel_msg {
	uint32_t op;
	uint32_t count;
	uint64_t sandbox;
	uint64_t value; /* token; operation */
	uint32_t family, type;
	int32_t err;
	char network[201]; /* OPEN of a listener for the host: its network; else "" */
};

/* As fl_packet_send() and fl_packet_receive(). */
int channel_send(int fd, const struct channel_msg *m, const int *fds, size_t n);
int channel_receive(int fd, struct channel_msg *m, int fds[CHANNEL_FDS]);
