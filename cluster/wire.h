/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the etcd v3 JSON gateway is told and what it answers. Pure.
 *
 * Source: rpc.proto and its JSON mapping (etcd documentation, "gRPC gateway"): keys and values
 * are base64, 64-bit integers are strings, fields of value zero are absent. Whatever is read here
 * is a stranger's: sizes are bounded, types are checked, and the errors name the path of the key.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	FL_ETCD_KEY_MAX = 512, /* bytes, without the prefix */
	FL_ETCD_PREFIX_MAX = 96,
	FL_ETCD_VALUE_MAX = 1 << 20, /* of a put: the server refuses requests of 1.5 MiB */
	FL_ETCD_TXN_OPS = 128,	     /* of each list (etcd --max-txn-ops) */
	FL_ETCD_ANSWER_MAX = 32 << 20,
	FL_ETCD_LINE_MAX = 64 << 20,  /* of a watch; fragments of one answer together */
	FL_ETCD_TOKENS_MAX = 1 << 20, /* commas, colons, braces and brackets of a document: memory
					 while it is parsed is by the value, not by the byte */
	FL_ETCD_MEMBERS_MAX = 64,
};

/* ---- base64, RFC 4648 section 4 ---- */
void fl_base64_add(struct fl_strbuf *b, const void *data, size_t n);
/* Bytes that `text` decodes to at most. */
static inline size_t fl_base64_room(size_t text_len)
{
	return text_len / 4 * 3;
}
/* Strict: alphabet, padding, zero bits at the end. 0 or -EINVAL. `out` has fl_base64_room() bytes.
 */
int fl_base64_decode(const char *text, size_t len, uint8_t *out, size_t *ret_len);

/* ---- requests ---- */

struct fl_etcd_range {
	const char *key;
	bool prefix; /* all that begin with key; "" is everything below the client's prefix */
	bool keys_only, count_only;
	bool serializable; /* answered by the member alone: works without a leader, may be old */
	int64_t revision;  /* 0: now */
	unsigned limit;	   /* keys in all, 0: no limit */
	unsigned page;	   /* keys at once, 0: FL_ETCD_PAGE */
};

/*
 * A transaction, built step by step. Sticky: what cannot be built makes fl_etcd_txn_check() fail,
 * which sending does.
 */
enum fl_etcd_list { FL_ETCD_COMPARES, FL_ETCD_SUCCESS, FL_ETCD_FAILURE, FL_ETCD_LISTS };
struct fl_etcd_txn {
	char prefix[FL_ETCD_PREFIX_MAX];
	struct fl_strbuf list[FL_ETCD_LISTS];
	unsigned n[FL_ETCD_LISTS];
	const char *fault; /* the first, or NULL */
	bool reads_only;
};
void fl_etcd_txn_init(struct fl_etcd_txn *t, const char *prefix);
void fl_etcd_txn_clear(struct fl_etcd_txn *t);
#define FL_AUTOETCDTXN FL_CLEANUP(fl_etcd_txn_clear)

enum fl_etcd_target {
	FL_ETCD_T_CREATE,
	FL_ETCD_T_MOD,
	FL_ETCD_T_VERSION,
	FL_ETCD_T_LEASE,
	FL_ETCD_T_VALUE /* fl_etcd_txn_if_value() */
};
enum fl_etcd_relation { FL_ETCD_EQ, FL_ETCD_NE, FL_ETCD_LT, FL_ETCD_GT };
void fl_etcd_txn_if(struct fl_etcd_txn *t, const char *key, enum fl_etcd_target target,
		    enum fl_etcd_relation rel, int64_t n);
void fl_etcd_txn_if_value(struct fl_etcd_txn *t, const char *key, enum fl_etcd_relation rel,
			  const void *value, size_t len);
/* The same of every key that begins with `prefix`; true when there is none, as long as 0 would be.
 */
void fl_etcd_txn_if_each(struct fl_etcd_txn *t, const char *prefix, enum fl_etcd_target target,
			 enum fl_etcd_relation rel, int64_t n);
static inline void fl_etcd_txn_if_absent(struct fl_etcd_txn *t, const char *key)
{
	fl_etcd_txn_if(t, key, FL_ETCD_T_CREATE, FL_ETCD_EQ, 0);
}
/* `list`: FL_ETCD_SUCCESS or FL_ETCD_FAILURE. */
void fl_etcd_txn_put(struct fl_etcd_txn *t, enum fl_etcd_list list, const char *key,
		     const void *value, size_t len, int64_t lease);
void fl_etcd_txn_delete(struct fl_etcd_txn *t, enum fl_etcd_list list, const char *key,
			bool prefix);
/* Not in pages: `limit` bounds the answer. */
void fl_etcd_txn_range(struct fl_etcd_txn *t, enum fl_etcd_list list,
		       const struct fl_etcd_range *q);
/* -EINVAL, -E2BIG (operations), -ENOMEM. */
int fl_etcd_txn_check(const struct fl_etcd_txn *t, struct fl_error *err);
/* The body; to be called on what passed the check. */
void fl_etcd_txn_body(const struct fl_etcd_txn *t, struct fl_strbuf *b);

/* The fields of a range request. `from` (a whole key) replaces the start unless NULL. */
void fl_etcd_range_body(struct fl_strbuf *b, const char *prefix, const struct fl_etcd_range *q,
			const void *from, size_t from_len, unsigned limit);
void fl_etcd_watch_body(struct fl_strbuf *b, const char *prefix, const char *key, int64_t revision);

/* ---- answers ---- */

struct fl_etcd_header {
	uint64_t cluster_id, member_id;
	int64_t revision;
};

struct fl_etcd_kv {
	char *key;   /* without the prefix; text; owned */
	char *value; /* any bytes, and a NUL after them; in the same memory */
	size_t key_len, value_len;
	int64_t create_revision, mod_revision, version, lease;
};

struct fl_etcd_kvs {
	struct fl_etcd_kv *items;
	size_t n, cap;
	size_t bytes;	/* of all keys and values */
	size_t ignored; /* keys that are not ours */
};
void fl_etcd_kvs_clear(struct fl_etcd_kvs *k);

struct fl_etcd_event {
	bool deleted;
	struct fl_etcd_kv kv;	/* of a deletion: key and mod_revision */
	struct fl_etcd_kv prev; /* what was there before; key NULL: nothing, or compacted */
};

struct fl_etcd_status {
	char version[32];
	int64_t db_size, db_in_use; /* bytes */
	uint64_t leader;	    /* member id, 0: none */
};

struct fl_etcd_member {
	uint64_t id;
	char name[64], client_url[256]; /* the first; "" when it has not started yet */
	bool learner;
};
struct fl_etcd_members {
	struct fl_etcd_member *items; /* owned */
	size_t n;
};

enum { FL_ETCD_ALARM_NOSPACE = 1, FL_ETCD_ALARM_CORRUPT = 2, FL_ETCD_ALARM_OTHER = 4 };

/* One JSON object within the limits. -EBADMSG, -E2BIG. */
int fl_etcd_parse(const char *text, size_t len, json_t **ret, struct fl_error *err);
/* The integer of a member: string or number; absent is 0. -EBADMSG. */
int fl_etcd_int(const json_t *obj, const char *key, int64_t *ret, struct fl_error *err);
int fl_etcd_uint(const json_t *obj, const char *key, uint64_t *ret, struct fl_error *err);
/* The text of a member, "" when absent. -EBADMSG. */
int fl_etcd_text(const json_t *obj, const char *key, const char **ret, struct fl_error *err);
/* The object `key` of an answer, or -EBADMSG. */
int fl_etcd_object(const json_t *obj, const char *key, json_t **ret, struct fl_error *err);
/* "header" of an answer. Absent: -EBADMSG. */
int fl_etcd_read_header(const json_t *answer, struct fl_etcd_header *ret, struct fl_error *err);

/* Where a page ends. */
struct fl_etcd_page {
	int64_t count;
	bool more;
	uint8_t *last; /* the whole last key, owned; NULL for an empty page */
	size_t last_len;
};
/* Appends to *kvs, which stays as it is on failure. */
int fl_etcd_read_range(const json_t *answer, const char *prefix, struct fl_etcd_kvs *kvs,
		       struct fl_etcd_page *ret, struct fl_error *err);
struct fl_etcd_txn_answer {
	bool succeeded;
	int64_t count, deleted; /* sums */
};
int fl_etcd_read_txn(const json_t *answer, const char *prefix, struct fl_etcd_kvs *kvs,
		     struct fl_etcd_txn_answer *ret, struct fl_error *err);
int fl_etcd_read_status(const json_t *answer, struct fl_etcd_status *ret, struct fl_error *err);
int fl_etcd_read_members(const json_t *answer, struct fl_etcd_members *ret, struct fl_error *err);
int fl_etcd_read_alarms(const json_t *answer, unsigned *ret, struct fl_error *err);

/* A refusal in any of the shapes that gateways have: see answer_error.c. */
struct fl_etcd_refusal {
	int code; /* gRPC; 2 (unknown) when the answer does not say */
	char message[256];
};
/* True when `doc` (NULL: not JSON) is one. */
bool fl_etcd_read_refusal(const json_t *doc, struct fl_etcd_refusal *ret);
/* The beginning of an answer that is no JSON, made printable. */
void fl_etcd_excerpt(const char *text, size_t len, char *buf, size_t size);

/* The same in place, for errors that quote a stranger. */
void fl_etcd_printable(char *text);

/* A line of a watch. */
struct fl_etcd_line {
	bool created, canceled, fragment, refused;
	int64_t compact_revision;
	char reason[256]; /* why it was cancelled */
	struct fl_etcd_header header;
	struct fl_etcd_refusal refusal;
	struct fl_etcd_event *events; /* owned */
	size_t n, ignored;
	int64_t last; /* the highest mod_revision, ignored events included; 0: none */
};
int fl_etcd_read_line(const char *text, size_t len, const char *prefix, struct fl_etcd_line *ret,
		      struct fl_error *err);
void fl_etcd_events_clear(struct fl_etcd_event *events, size_t n);
void fl_etcd_line_clear(struct fl_etcd_line *l);

/* Takes bytes as they come and gives whole lines. */
struct fl_etcd_lines {
	struct fl_strbuf in;
	size_t start, scanned;
};
/* -ENOMEM, or -E2BIG: a line longer than FL_ETCD_LINE_MAX. */
int fl_etcd_lines_add(struct fl_etcd_lines *l, const void *data, size_t n);
/* True, and the line without its end, valid until the next call. Empty lines are left out. */
bool fl_etcd_lines_next(struct fl_etcd_lines *l, const char **ret, size_t *ret_len);
void fl_etcd_lines_clear(struct fl_etcd_lines *l);
