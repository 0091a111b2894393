/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of an exact size on SOCK_SEQPACKET sockets: how the suite's own processes ask each
 * other. Both sides are of one build, or say by a magic number that they are not.
 */
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FL_PACKET_FDS 64 /* descriptors that a message may carry */

/* 0 or -errno; -EAGAIN where the socket is non-blocking and full, or its time is over. */
int fl_packet_send(int fd, const void *msg, size_t len, const int *fds, size_t n);
/*
 * Returns how many descriptors came, closed on exec (those beyond `max` are closed), or -errno:
 * -EAGAIN, -ECONNRESET when the other side is gone, -EBADMSG for what is not of `len` bytes
 * exactly. `msg` may have been written in any case.
 */
int fl_packet_receive(int fd, void *msg, size_t len, int *fds, size_t max);

/* Which folder: by its state directory a request says whose daemon is meant. 0 or -errno. */
int fl_folder_identify(const char *path, uint64_t *ret_dev, uint64_t *ret_ino);

/* ---- for who asks a daemon ---- */

/* Who is asked, for messages. */
struct fl_asked {
	const char *subject; /* what the sentences begin with: "dns" */
	const char *program;
	const char *renew; /* what is to be done to one of another version */
	uint32_t magic;	   /* what requests and answers begin with */
};

#define FL_ANSWER_SECONDS 10

/* Descriptors whose sends and receives end after FL_ANSWER_SECONDS, or -errno. */
int fl_packet_connect(const char *path);
/* By the folder's descriptor: its path may be longer than an address can be. */
int fl_packet_connect_in(const char *dir, const char *name);
/*
 * Sends the request, with `fd` unless that is -1, and receives the answer: `answer` is written on
 * success alone. -ENOENT (err untouched): the other side ended before it answered.
 *
 * Or first the one, with fl_packet_send(), and later the other; `sent` is what that returned.
 */
int fl_packet_answer(int s, const struct fl_asked *who, int sent, void *answer, size_t answer_len,
		     struct fl_error *err);
int fl_packet_ask(int s, const struct fl_asked *who, const void *request, size_t len, int fd,
		  void *answer, size_t answer_len, struct fl_error *err);
