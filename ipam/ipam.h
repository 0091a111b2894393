/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The address allocator: range sets as the reference's host-local has them, kept in the store.
 *
 * A pool is all addresses of one network (and one dataDir); range sets draw from it. Occupancy is a
 * bitmap in chunks of 4,096 addresses beside one lease entry per address, so that finding the next
 * free address costs the same with 1 lease and with 65,000. The search is next-fit: a freed address
 * is the last to be used again.
 */
#pragma once

#include "base/netconf.h"
#include "store/store.h"

#include <jansson.h>

#define FL_IPAM_SETS 16
#define FL_IPAM_RANGES 64
#define FL_IPAM_REQUESTS 64

struct fl_range {
	struct fl_prefix subnet; /* masked */
	struct fl_addr start, end, gateway;
	struct fl_prefix *exclude; /* owned; sorted, disjoint; never handed out */
	size_t n_exclude;
};

struct fl_range_set {
	struct fl_range *ranges; /* owned; one family, no overlap */
	size_t n;
};

struct fl_ipam_conf {
	char type[FL_DRIVER_MAX];
	char data_dir[256]; /* "" = default */
	char pool[512];	    /* key of the pool: network name, plus the dataDir if given */
	struct fl_range_set sets[FL_IPAM_SETS];
	size_t n_sets;
	struct fl_route *routes; /* owned */
	size_t n_routes;
	struct fl_dns dns; /* from resolvConf */
	struct fl_addr requests[FL_IPAM_REQUESTS];
	char request_src[FL_IPAM_REQUESTS][24]; /* key that asked for it, for messages */
	size_t n_requests;
	struct fl_prefix
		*exclude; /* owned; of the whole pool, sorted, disjoint; never handed out */
	size_t n_exclude;
	bool pair;	  /* each set gives two: the second one is for a link's other end */
	bool auto_subnet; /* "subnet": "auto": no set until fl_ipam_use_subnet() */
};

struct fl_ipam_address {
	struct fl_prefix addr;
	struct fl_addr gateway; /* may be unset */
};

struct fl_ipam_result {
	struct fl_ipam_address addrs[FL_ENDPOINT_ADDRS];
	size_t n_addrs;
};

/*
 * Reads `ipam` of a network configuration with everything that may ask for addresses: the object
 * itself, runtimeConfig.ipRanges (prepended) and runtimeConfig.ips, args.cni.ips, and CNI_ARGS' IP
 * (cni_args_ip, comma separated, or NULL). All rules and defaults of the reference's host-local.
 * Pure, except that resolvConf names a file to read. Messages name the path of the key
 * ("ipam.ranges[0][1].rangeEnd: ..."). FL_ECODE_CONFIG / FL_ECODE_DECODE.
 */
int fl_ipam_parse(json_t *config, const char *network, const char *cni_version,
		  const char *cni_args_ip, struct fl_ipam_conf *ret, struct fl_error *err);
void fl_ipam_conf_clear(struct fl_ipam_conf *c);
/* Of all that only `requests`: for addresses that somebody else gives. */
int fl_ipam_requests(const json_t *config, const char *cni_args_ip, struct fl_ipam_conf *c,
		     struct fl_error *err);
/* The pool alone, for a DEL whose ranges cannot be read. data_dir may be NULL. */
void fl_ipam_use_pool(struct fl_ipam_conf *c, const char *network, const char *data_dir);
/* Appends a range set that is this whole subnet, with the defaults of a set in the configuration.
 */
int fl_ipam_use_subnet(struct fl_ipam_conf *c, const struct fl_prefix *subnet,
		       struct fl_error *err);
/* An address that is never handed out, whichever set it is in. */
int fl_ipam_exclude(struct fl_ipam_conf *c, const struct fl_addr *a, struct fl_error *err);
#define FL_AUTOIPAM FL_CLEANUP(fl_ipam_conf_clear)

/*
 * Gives one address per range set to (container, ifname), all or none (with `pair` two: those of
 * the other end behind all of the first). Addresses that the same
 * owner still holds in this pool are freed first: a retry of a failed ADD gets a clean start. On
 * the first use of a pool the reference's lease directory (data_dir or /var/lib/cni/networks, plus
 * "/NAME") is imported. `owner_driver` is the driver field of the endpoint record that owns the
 * lease
 * ("host-local" when called as an executable for a foreign plugin). -ENOSPC FL_ECODE_EXHAUSTED;
 * -EADDRINUSE FL_ECODE_CONFLICT with the owner's name for a requested address.
 */
int fl_ipam_allocate(struct fl_txn *t, const struct fl_ipam_conf *conf,
		     const struct fl_endpoint_id *owner, const struct fl_gone *gone,
		     struct fl_ipam_result *ret, struct fl_error *err);
/* Frees what (container, ifname) holds in the pool; nothing held is success. Imports as above. */
int fl_ipam_release(struct fl_txn *t, const char *pool, const struct fl_endpoint_id *owner,
		    struct fl_error *err);
/* As the above for a configuration's pool (imports the lease directory on first use). */
int fl_ipam_release_conf(struct fl_txn *t, const struct fl_ipam_conf *conf,
			 const struct fl_endpoint_id *owner, struct fl_error *err);
/* 1 when the owner holds a lease in the pool, 0 when not. A write transaction imports as above. */
int fl_ipam_held(struct fl_txn *t, const char *pool, const struct fl_endpoint_id *owner,
		 struct fl_error *err);
/* 0 when each range set has a free address, else -ENOSPC naming the set (FL_ECODE_NOT_AVAILABLE).
 */
int fl_ipam_status(struct fl_txn *t, const struct fl_ipam_conf *conf, struct fl_error *err);

/*
 * Fixed addresses as the reference's static IPAM has them: ipam.addresses, with those of CNI_ARGS
 * (IP and GATEWAY, comma separated lists) appended; args.cni.ips replaces them, and
 * runtimeConfig.ips replaces those. Nothing is reserved. Pure; messages name the path of the key.
 */
struct fl_args_ips {
	const char *ip, *gateway; /* NULL: not given */
};

struct fl_static_conf {
	struct fl_ipam_address addrs[FL_ENDPOINT_ADDRS];
	size_t n_addrs;
	struct fl_route *routes; /* owned */
	size_t n_routes;
	struct fl_dns dns;
};

int fl_static_parse(json_t *config, const char *cni_version, const struct fl_args_ips *args,
		    struct fl_static_conf *ret, struct fl_error *err);
void fl_static_conf_clear(struct fl_static_conf *c);

struct fl_attachment {
	char *container, *ifname;
};
/* GC: frees each lease of the pool owned by driver `owner_driver` whose owner is not in the list.
 */
int fl_ipam_gc(struct fl_txn *t, const char *pool, const char *owner_driver,
	       const struct fl_attachment *valid, size_t n_valid, struct fl_error *err);

/*
 * Reads a lease directory of the reference (ADDRESS files) into the pool, also one that was read
 * before; what is there stays. `conflict` (may be NULL) hears of addresses that another owner has
 * in the pool. -ENOENT when there is no such directory.
 */
struct fl_ipam_imported {
	uint32_t added, present, conflicts;
};
int fl_ipam_import(struct fl_txn *t, const char *pool, const char *dir,
		   void (*conflict)(void *arg, const struct fl_addr *addr, const char *container,
				    const struct fl_endpoint_id *owner),
		   void *arg, struct fl_ipam_imported *ret, struct fl_error *err);

/*
 * Picks a subnet from the pools that overlaps none of `used` (host routes, name servers, other
 * networks). `pools` are pairs of prefix and size: 172.17.0.0/12 in /16. Pure. -ENOSPC.
 */
struct fl_default_pool {
	struct fl_prefix base;
	uint8_t size;
};
int fl_ipam_pick_subnet(const struct fl_default_pool *pools, size_t n_pools,
			const struct fl_prefix *used, size_t n_used, struct fl_prefix *ret,
			struct fl_error *err);
