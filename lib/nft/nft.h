/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nf_tables: a socket, and a builder of atomic batches (Linux Documentation/netlink, nfnetlink.h,
 * nf_tables.h). The builder is sticky: put, put, put; the first error comes out of the commit.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"

#include <netinet/in.h>

#include <linux/netfilter.h> /* behind netinet/in.h, with which it shares names */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nlmsghdr;

/*
 * A nfnetlink socket of the namespace in which it was opened; shared by nf_tables and conntrack.
 * Without one (fd -1) the first request opens it, in the namespace that the thread is in.
 */
struct fl_nft {
	int fd;
	size_t sndbuf; /* what the socket was told to hold; 0: the system's default */
};

int fl_nft_open(struct fl_nft *ret, struct fl_error *err);
void fl_nft_close(struct fl_nft *nft);

/* nft's own numbers, so that `nft list` prints values as a person would write them. */
enum fl_nft_type {
	FL_NFT_NONE = 0,
	FL_NFT_VERDICT = 1, /* as data only: the verdict is `goto CHAIN` */
	FL_NFT_IPV4 = 7,
	FL_NFT_IPV6 = 8,
	FL_NFT_ETHER = 9,
	FL_NFT_PROTO = 12,
	FL_NFT_PORT = 13,
	FL_NFT_IFNAME = 41,
};

#define FL_NFT_FIELDS 3
#define FL_NFT_KEY_MAX 32
#define FL_NFT_DATA_MAX 20
#define FL_NFT_COMMENT_MAX 127 /* without the NUL; nft(8)'s limit */

/* A set, or a map when data[0] is given. Strings belong to the caller and outlive the batch. */
struct fl_nft_set {
	uint8_t family; /* NFPROTO_INET, ... */
	bool interval;
	uint8_t key[FL_NFT_FIELDS]; /* enum fl_nft_type; FL_NFT_NONE after the last */
	uint8_t data[2];
	const char *table;
	const char *name;
};

/* Every field of a concatenation takes a multiple of 4 bytes, zero-padded. */
size_t fl_nft_field_len(uint8_t type); /* the value itself */
size_t fl_nft_key_len(const struct fl_nft_set *set);
size_t fl_nft_data_len(const struct fl_nft_set *set); /* 0 for sets and verdict maps */

/* One element. With `range`, in interval sets, it is key..key_end, both inclusive. */
struct fl_nft_elem {
	uint8_t key[FL_NFT_KEY_MAX];
	uint8_t key_end[FL_NFT_KEY_MAX];
	uint8_t data[FL_NFT_DATA_MAX];
	bool range;
	const char *jump;    /* chain of a verdict map's data */
	const char *comment; /* NULL or at most FL_NFT_COMMENT_MAX bytes are used */
};

/* A base chain has a type ("filter", "nat"); policy is always accept. */
struct fl_nft_chain {
	const char *name;
	const char *type;
	uint32_t hook;
	int32_t priority;
};

enum fl_nft_op {
	FL_NFT_END, /* terminates a rule */
	FL_NFT_META,
	FL_NFT_META_SET,
	FL_NFT_CT,
	FL_NFT_PAYLOAD,
	FL_NFT_FIB,
	FL_NFT_CMP,
	FL_NFT_BITWISE, /* reg = (reg & mask) ^ value */
	FL_NFT_LOOKUP,
	FL_NFT_IMMEDIATE, /* a verdict */
	FL_NFT_NAT,
	FL_NFT_MASQ,
	FL_NFT_COUNTER,
	FL_NFT_NOTRACK,
	FL_NFT_LOAD,	    /* reg = value */
	FL_NFT_PAYLOAD_SET, /* of a transport header: its checksum follows (code: where that is) */
};

/* One expression of a rule: the arguments of the kernel's expression of that name. */
struct fl_nft_expr {
	uint8_t op;
	uint8_t reg;	   /* source, or destination of a load */
	uint8_t dreg;	   /* LOOKUP: where data go; NAT: register of the port, 0 none */
	uint8_t key;	   /* META/CT key, PAYLOAD base, FIB result, CMP operator, NAT type */
	uint8_t offset;	   /* PAYLOAD, PAYLOAD_SET */
	uint8_t len;	   /* PAYLOAD, PAYLOAD_SET, CMP, BITWISE, LOAD */
	bool map;	   /* LOOKUP: dreg is used */
	uint8_t family;	   /* NAT */
	int32_t code;	   /* verdict; LOOKUP, NAT, MASQ, FIB: flags */
	uint8_t value[16]; /* CMP, BITWISE, LOAD; as the register holds it */
	uint8_t mask[4];
	const char *name; /* set or chain */
};

/* What failed, for the layer that knows what the bytes mean. Points into the batch. */
struct fl_nft_failure {
	uint16_t message;   /* NFT_MSG_..., 0 for the batch as a whole */
	const char *set;    /* NULL when it was no element message */
	const uint8_t *key; /* NULL when the kernel did not say which element */
	size_t key_len;
};

struct fl_nft_batch {
	uint8_t *buf;
	size_t len, cap;
	size_t open; /* offset of the message being written or the last one */
	size_t list; /* offset of the open element list, 0 for none */
	const struct fl_nft_set *list_set;
	uint16_t list_type;
	uint32_t seq;	 /* of the last message; the batch's begin has 1 */
	uint32_t genid;	 /* not 0: -ERESTART unless the ruleset is still of this generation */
	uint64_t before; /* handle of the rule in front of which the next one goes; 0: at the end */
	int error;	 /* first error of a builder call */
};

void fl_nft_batch_clear(struct fl_nft_batch *b);
#define FL_AUTONFTBATCH FL_CLEANUP(fl_nft_batch_clear)

/* Creates the table unless it is there. */
void fl_nft_add_table(struct fl_nft_batch *b, uint8_t family, const char *table);
void fl_nft_del_table(struct fl_nft_batch *b, uint8_t family, const char *table);
void fl_nft_add_chain(struct fl_nft_batch *b, uint8_t family, const char *table,
		      const struct fl_nft_chain *chain);
void fl_nft_flush_chain(struct fl_nft_batch *b, uint8_t family, const char *table,
			const char *chain);
void fl_nft_add_set(struct fl_nft_batch *b, const struct fl_nft_set *set);
/* Changes nothing; the commit fails with -ENOENT when there is no such set. */
void fl_nft_assert_set(struct fl_nft_batch *b, const struct fl_nft_set *set);
/* The next rule goes in front of the rule with this handle, instead of to the end. */
void fl_nft_before_rule(struct fl_nft_batch *b, uint64_t handle);
/* Appends a rule. `exprs` ends with FL_NFT_END; comment may be NULL. */
void fl_nft_add_rule(struct fl_nft_batch *b, uint8_t family, const char *table, const char *chain,
		     const struct fl_nft_expr *exprs, const char *comment);
/*
 * Consecutive elements of one set share a message. An element that exists with the same data is
 * success, with other data -EEXIST; deleting an absent one is -ENOENT.
 */
void fl_nft_add_elem(struct fl_nft_batch *b, const struct fl_nft_set *set,
		     const struct fl_nft_elem *e);
void fl_nft_del_elem(struct fl_nft_batch *b, const struct fl_nft_set *set,
		     const struct fl_nft_elem *e);

/* Closes the batch; afterwards buf/len are what a commit sends. 0 or the sticky error. */
int fl_nft_batch_finish(struct fl_nft_batch *b);

/*
 * Sends the batch in one message: all of it takes effect, or nothing. `ret_failure` (may be NULL)
 * is filled when a message was refused. An empty batch is success.
 */
int fl_nft_commit(struct fl_nft *nft, struct fl_nft_batch *b, struct fl_nft_failure *ret_failure,
		  struct fl_error *err);

struct fl_nft_found {
	uint8_t key[FL_NFT_KEY_MAX], key_end[FL_NFT_KEY_MAX], data[FL_NFT_DATA_MAX];
	bool range;
	bool boundary; /* an interval's end, in the middle of a listing only */
	char jump[64];
	char comment[FL_NFT_COMMENT_MAX + 1];
};

/*
 * Looks the element up by its key. -ENOENT (err untouched) when set or element is not there. In
 * interval sets what comes back may be another interval that contains the key.
 */
int fl_nft_get_elem(struct fl_nft *nft, const struct fl_nft_set *set, const struct fl_nft_elem *e,
		    struct fl_nft_found *ret, struct fl_error *err);
/* True when `f` is element `e`: bounds and data equal. */
bool fl_nft_found_is(const struct fl_nft_set *set, const struct fl_nft_found *f,
		     const struct fl_nft_elem *e);

/* All elements of a set, by their keys. */
struct fl_nft_founds {
	struct fl_nft_found *v;
	size_t n, cap;
};

void fl_nft_founds_clear(struct fl_nft_founds *l);
#define FL_AUTONFTFOUNDS FL_CLEANUP(fl_nft_founds_clear)

/*
 * One dump. Elements of interval sets have both bounds (`range`), those of others the key alone.
 * -ENOENT (err untouched): no such set. What *ret held is released on success.
 */
int fl_nft_list_elems(struct fl_nft *nft, const struct fl_nft_set *set, struct fl_nft_founds *ret,
		      struct fl_error *err);

int fl_nft_genid(struct fl_nft *nft, uint32_t *ret, struct fl_error *err);

/* "inet", "ip", "ip6", "bridge", or "?" */
const char *fl_nft_family_str(uint8_t family);
