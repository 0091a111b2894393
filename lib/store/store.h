/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of one host namespace: an LMDB environment in tmpfs, shared by every process of the
 * suite without a daemon. Networks, endpoints, leases and published ports are tables of the one
 * environment and change in one transaction.
 *
 * Rules kept here (and nowhere else): one fixed map size; no WRITEMAP; 1,024 readers; every writer
 * runs mdb_reader_check when it opens; a read transaction that fails because of a pid namespace
 * (EAGAIN) is done as a write transaction; the environment carries the schema version and the boot
 * id, and an environment of another boot is emptied before use.
 */
#pragma once

#include "base/cleanup.h"
#include "store/record.h"

struct fl_store;
struct fl_txn;

enum fl_table {
	FL_TABLE_META,
	FL_TABLE_NETWORKS,
	FL_TABLE_ENDPOINTS,
	FL_TABLE_POOLS,
	FL_TABLE_LEASES,
	FL_TABLE_PORTS,
	FL_TABLE_NAMES,
	FL_TABLE_MEMOS,
	FL_TABLE_HOSTS, /* these three: store/hosts.h */
	FL_TABLE_ADDRESSES,
	FL_TABLE_SANDBOXES,
	FL_TABLE_PEERS, /* store/peers.h */
	FL_TABLE_COUNT
};

struct fl_bytes {
	const void *p; /* valid until the next change or the end of the transaction */
	size_t len;
};

/*
 * Chooses the state directory for the host namespace with this cookie: $FAIRLEAD_STATE_DIR if set,
 * else `configured` if not NULL, else /run/fairlead, else (not writable) $XDG_RUNTIME_DIR/fairlead;
 * plus "/COOKIE". Creates it 0700. -errno with FL_ECODE_STORE.
 */
int fl_store_dir(const char *configured, uint64_t cookie, char *buf, size_t size,
		 struct fl_error *err);

int fl_store_open(const char *dir, struct fl_store **ret, struct fl_error *err);
/* For who may only read: it must exist, and be of this boot and schema. */
int fl_store_open_reader(const char *dir, struct fl_store **ret, struct fl_error *err);
/* Its directory. */
const char *fl_store_path(const struct fl_store *s);
void fl_store_close(struct fl_store *s);
FL_DEFINE_CLEANUP(struct fl_store *, fl_store_close)
#define FL_AUTOSTORE FL_CLEANUP(fl_store_close_p)

/* One transaction at a time per process. An uncommitted one is aborted by its cleanup. */
int fl_txn_begin(struct fl_store *s, bool write, struct fl_txn **ret, struct fl_error *err);
int fl_txn_commit(struct fl_txn **txn,
		  struct fl_error *err); /* *txn becomes NULL also on failure */
void fl_txn_abort(struct fl_txn *txn);
/* Grows with each commit: what was read in a transaction of the same number is still so. */
uint64_t fl_txn_id(const struct fl_txn *t);
/* Was it begun for writing? */
bool fl_txn_writes(const struct fl_txn *t);
FL_DEFINE_CLEANUP(struct fl_txn *, fl_txn_abort)
#define FL_AUTOTXN FL_CLEANUP(fl_txn_abort_p)

/*
 * An environment that is new knows nothing of what nftables may hold from one before it (somebody
 * removed the state directory): 1 until fl_store_rules_rebuilt() is called in the transaction of a
 * rebuild, 0 afterwards.
 */
int fl_store_rules_stale(struct fl_txn *t, struct fl_error *err);
int fl_store_rules_rebuilt(struct fl_txn *t, struct fl_error *err);
/* The same mark, by whoever changes a record so that elements of it would be forgotten. */
int fl_store_rules_mark_stale(struct fl_txn *t, struct fl_error *err);

/* Raw tables, for modules that keep their own keys (IPAM). -ENOENT (err untouched) when absent. */
int fl_get(struct fl_txn *t, enum fl_table table, struct fl_bytes key, struct fl_bytes *ret,
	   struct fl_error *err);
int fl_put(struct fl_txn *t, enum fl_table table, struct fl_bytes key, struct fl_bytes val,
	   struct fl_error *err);
/* Deleting what is absent succeeds. */
int fl_del(struct fl_txn *t, enum fl_table table, struct fl_bytes key, struct fl_error *err);
/* First entry with key >= `from` ({ NULL, 0 }: of all); -ENOENT at the end. */
int fl_seek(struct fl_txn *t, enum fl_table table, struct fl_bytes from, struct fl_bytes *key,
	    struct fl_bytes *val, struct fl_error *err);
/* Last entry with key < `before`; -ENOENT. */
int fl_seek_before(struct fl_txn *t, enum fl_table table, struct fl_bytes before,
		   struct fl_bytes *key, struct fl_bytes *val, struct fl_error *err);
/*
 * Calls fn for each entry whose key starts with `prefix`, in key order, until it returns non-zero,
 * which is returned. In a write transaction fn may change the table; each step goes on behind the
 * key that was visited.
 */
typedef int (*fl_each_fn)(void *arg, struct fl_bytes key, struct fl_bytes val);
int fl_each(struct fl_txn *t, enum fl_table table, struct fl_bytes prefix, fl_each_fn fn, void *arg,
	    struct fl_error *err);

/* ---- records: -ENOENT (err untouched) when absent ---- */
int fl_network_get(struct fl_txn *t, const char *name, const char *driver, struct fl_network *ret,
		   struct fl_error *err);
int fl_network_put(struct fl_txn *t, const struct fl_network *net, struct fl_error *err);
int fl_network_del(struct fl_txn *t, const char *name, const char *driver, struct fl_error *err);
int fl_networks_each(struct fl_txn *t, int (*fn)(void *arg, const struct fl_network *), void *arg,
		     struct fl_error *err);

int fl_endpoint_get(struct fl_txn *t, const struct fl_endpoint_id *id, struct fl_endpoint *ret,
		    struct fl_error *err);
int fl_endpoint_put(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err);
int fl_endpoint_del(struct fl_txn *t, const struct fl_endpoint_id *id, struct fl_error *err);
/*
 * Endpoints of a container, by its id or by the name that people call it; all drivers. Put with an
 * endpoint that is `creating`, and gone with fl_endpoint_evict().
 */
int fl_endpoints_named(struct fl_txn *t, const char *name,
		       int (*fn)(void *arg, const struct fl_endpoint *), void *arg,
		       struct fl_error *err);

/* Endpoints that joined the sandbox of this container (struct fl_endpoint's `shares`). */
int fl_endpoints_sharing(struct fl_txn *t, const char *container,
			 int (*fn)(void *arg, const struct fl_endpoint *), void *arg,
			 struct fl_error *err);

/*
 * A driver's own memo beside an endpoint's record: what its deletion needs to know (what was there
 * before). Goes with fl_endpoint_evict(). -ENOENT (err untouched) when there is none; the bytes
 * are valid until the next change.
 */
int fl_memo_put(struct fl_txn *t, const struct fl_endpoint_id *id, struct fl_bytes memo,
		struct fl_error *err);
int fl_memo_get(struct fl_txn *t, const struct fl_endpoint_id *id, struct fl_bytes *ret,
		struct fl_error *err);

/* Of one network, or of all when network is NULL. The endpoint is valid during the call only. */
int fl_endpoints_each(struct fl_txn *t, const char *network,
		      int (*fn)(void *arg, const struct fl_endpoint *), void *arg,
		      struct fl_error *err);
/* Does the network have an endpoint of this driver other than `except` (NULL: any)? 1, 0 or -errno.
 * O(1). */
int fl_network_in_use(struct fl_txn *t, const char *name, const char *driver,
		      const struct fl_endpoint_id *except, struct fl_error *err);

/* ---- published ports ---- */

/* Asked about the owner of a conflicting port or address: true when it is provably gone. */
struct fl_gone {
	bool (*fn)(void *arg, const struct fl_endpoint *owner);
	void *arg;
};

/*
 * Claims every port of ep for it. A wildcard address conflicts with each address of that family, as
 * bind(2) has it. `families` is a bit mask of FL_FAMILY_V4|V6 that a wildcard covers (the families
 * the endpoint has addresses of). A port that another endpoint holds: if gone->fn says so the
 * owner's record, ports and leases go in this transaction (see `evict`), else -EADDRINUSE,
 * FL_ECODE_CONFLICT: "tcp port 8080 is already published by container C (interface eth0) on network
 * N". O(log n) per entry plus the number of distinct host addresses in use; a range is one entry.
 */
enum { FL_FAMILY_V4 = 1, FL_FAMILY_V6 = 2 };
int fl_ports_claim(struct fl_txn *t, const struct fl_endpoint *ep, unsigned families,
		   const struct fl_gone *gone, struct fl_error *err);
/* Frees every port of ep (those that are its own). */
int fl_ports_release(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err);
/*
 * Finds `count` consecutive free ports in [first, last] that no endpoint holds for this protocol,
 * address and families, starting the search at first + offset (wrapping); `reserved` is asked too.
 * -EADDRNOTAVAIL, FL_ECODE_EXHAUSTED when there is none.
 */
int fl_ports_find_free(struct fl_txn *t, uint8_t proto, const struct fl_addr *host,
		       unsigned families, uint32_t count, uint16_t first, uint16_t last,
		       uint32_t offset, bool (*reserved)(void *arg, uint16_t port), void *arg,
		       uint16_t *ret, struct fl_error *err);
/* The endpoint that holds the port at this address (wildcard included). -ENOENT. */
int fl_ports_owner(struct fl_txn *t, uint8_t proto, const struct fl_addr *host, uint16_t port,
		   struct fl_endpoint_id *ret, struct fl_error *err);

/*
 * Removes an endpoint's record with its ports and in-process leases in this transaction: for owners
 * that are provably gone. Kernel objects and nftables elements of it are the caller's to remove
 * (it receives the record through `gone`).
 */
int fl_endpoint_evict(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err);
