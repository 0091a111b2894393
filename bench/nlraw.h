/* Raw netlink: a growing message buffer and a request that waits for its acknowledgement. */
#ifndef BENCH_NLRAW_H
#define BENCH_NLRAW_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Any number of messages, one after another. A failed allocation is remembered, and told by nl_talk():
 * builders need not be checked one by one. Attributes are named by their offset, because the buffer moves.
 */
struct nlbuf {
	uint8_t *data;
	size_t len, cap;
	size_t message; /* offset of the message being built */
	uint32_t seq;   /* sequence number of that message; the first has 1 */
	bool failed;
};

void nlbuf_free(struct nlbuf *b);
void nlbuf_reset(struct nlbuf *b);

/* Starts a message with a family header of len bytes. NLM_F_REQUEST is always set. */
void nl_message(struct nlbuf *b, uint16_t type, uint16_t flags, const void *header, size_t len);
/* The same with an nfgenmsg header. type is (subsystem << 8 | message). */
void nl_nfmessage(struct nlbuf *b, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource);

void nl_put(struct nlbuf *b, uint16_t type, const void *data, size_t len);
void nl_put_str(struct nlbuf *b, uint16_t type, const char *s);
void nl_put_u8(struct nlbuf *b, uint16_t type, uint8_t v);
void nl_put_u16(struct nlbuf *b, uint16_t type, uint16_t v);
void nl_put_u32(struct nlbuf *b, uint16_t type, uint32_t v);
void nl_put_be32(struct nlbuf *b, uint16_t type, uint32_t v);

/* Bytes that belong to the open nest, without an attribute header, zero-padded to 4. */
void nl_raw(struct nlbuf *b, const void *data, size_t len);

size_t nl_nest(struct nlbuf *b, uint16_t type);
void nl_nest_end(struct nlbuf *b, size_t nest);

/* A socket of the caller's current network namespace, or -errno. */
int nl_open(int protocol);

/*
 * Sends the whole buffer at once, and reads until the acknowledgement of the message that has
 * NLM_F_ACK (or NLM_F_DUMP: then its NLMSG_DONE). Returns 0 or the first -errno that the kernel reported.
 * expect is the sequence number of that message (b->seq right after it was begun).
 */
int nl_talk(int fd, const struct nlbuf *b, uint32_t expect);

/* Prints "what: strerror" and returns 1 (an exit status) when r < 0, else 0. */
int nl_report(int r, const char *what);

#endif
