/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nfnetlink transport, shared by the files of this folder. */
#pragma once

#include "nft/nft.h"

#include "nft/attr.h"
#include <linux/netfilter/nfnetlink.h>

/* Writes netlink and nfnetlink headers at `buf`. NLM_F_REQUEST is always set. */
struct nlmsghdr *fl_nfnl_header(void *buf, unsigned subsys, unsigned message, uint16_t flags,
				uint8_t family, uint16_t resource, uint32_t seq);

/* What an NLMSG_ERROR message says. */
struct fl_nfnl_ack {
	int err;	  /* 0 or negative errno */
	uint32_t seq;	  /* of the message that it answers */
	uint32_t offset;  /* of the bad attribute in that message, 0 unknown */
	const char *text; /* the kernel's extended ack, NULL for none */
};

void fl_nfnl_parse_ack(const struct nlmsghdr *nlh, struct fl_nfnl_ack *ret);

int fl_nfnl_send(struct fl_nft *nft, const void *buf, size_t len);
/*
 * Receives one datagram. nfnetlink works inside send, so whatever there is to read has arrived:
 * -EAGAIN means that nothing more comes.
 */
ssize_t fl_nfnl_recv(struct fl_nft *nft, void *buf, size_t size);

/* A callback that returns a negative errno ends the request with it. */
typedef int (*fl_nfnl_cb)(const struct nlmsghdr *nlh, void *arg);

/*
 * One request and its replies, until NLMSG_DONE, an error, an acknowledgement, or nothing more.
 * Returns 0 or negative errno; `err` gets only the kernel's text as details, if any.
 */
int fl_nfnl_talk(struct fl_nft *nft, const struct nlmsghdr *request, fl_nfnl_cb cb, void *arg,
		 struct fl_error *err);

#define FL_NFNL_BUF 32768 /* the most that the kernel puts into one datagram of a dump */
