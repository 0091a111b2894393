/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What broker and worker tell each other, over a SOCK_SEQPACKET pair. Both are of one executable,
 * so that the layout is theirs alone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CHANNEL_FDS 64

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

/* 0 or -errno; -EAGAIN where the socket is non-blocking and full. */
int channel_send(int fd, const struct channel_msg *m, const int *fds, size_t n);
/*
 * Returns how many descriptors came, closed on exec, or -errno: -EAGAIN, -ECONNRESET when the other
 * side is gone, -EBADMSG for what is none of ours.
 */
int channel_receive(int fd, struct channel_msg *m, int fds[CHANNEL_FDS]);
/* The same for messages of another layout: `len` bytes exactly. */
int channel_send_bytes(int fd, const void *msg, size_t len, const int *fds, size_t n);
int channel_receive_bytes(int fd, void *msg, size_t len, int *fds, size_t max);
