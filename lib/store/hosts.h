/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the resolver reads: the names and addresses of endpoints, and which endpoints a sandbox has.
 * Written with the endpoint's record (fl_endpoint_put(), fl_endpoint_evict()) where that has a
 * resolver (`dns`), and gone as soon as it is marked as `deleting`. Of what is on other nodes
 * (store/peers.h) there are names and addresses only.
 *
 * - hosts: hash of name on the wire and network -> family, address, owner; one entry each. The hash
 * is under a secret of the environment: names are chosen by strangers.
 * - addresses: address, network -> owner, canonical name on the wire
 * - sandboxes: number of the sandbox, hash of the endpoint's key -> key of the endpoint, its `dns`
 */
#pragma once

#include "base/dnsname.h"
#include "store/store.h"

/* An address that a name has. Family 0: the name is known and has none. */
struct fl_host {
	uint8_t family; /* 4, 6, 0 */
	uint8_t addr[16];
	uint8_t owner[8]; /* hash of the key of its record, with a bit that tells where that is */
};

#define FL_HOST_ELSEWHERE (1ull << 63) /* of an owner: a peer */

static inline bool fl_host_is_here(const struct fl_host *h)
{
	uint64_t owner;

	__builtin_memcpy(&owner, h->owner, sizeof(owner));
	return !(owner & FL_HOST_ELSEWHERE);
}

/*
 * Appends the addresses of the name on the network to out[*n], up to `max` in all. -ENOENT (err
 * untouched): the network knows no such name. Entries come in order of family and address.
 */
int fl_hosts_find(struct fl_txn *t, const struct fl_dns_name *name, const char *network,
		  struct fl_host *out, size_t max, size_t *n, struct fl_error *err);

/* What the address is called on the network (without the network), and whose it is. -ENOENT; also
 * when the owner is asked for and is elsewhere. Either ret may be NULL. */
int fl_hosts_reverse(struct fl_txn *t, const struct fl_addr *a, const char *network,
		     struct fl_dns_name *ret_name, struct fl_endpoint_id *ret_id,
		     struct fl_error *err);

/*
 * The canonical name: `name`, else the short id. -EINVAL when neither can be a domain name. Then
 * come aliases, short id and hostname, until fn returns non-zero, which is returned. Duplicates are
 * not removed; what can be no domain name is left out.
 */
int fl_endpoint_canonical(const struct fl_endpoint *ep, struct fl_dns_name *ret);
int fl_endpoint_hostnames(const struct fl_endpoint *ep,
			  int (*fn)(void *arg, const struct fl_dns_name *name), void *arg);

/* Which sandbox: its cookie; for kernels without, a hash of device and inode. */
uint64_t fl_sandbox_id(uint64_t cookie, uint64_t dev, uint64_t ino);
static inline uint64_t fl_endpoint_sandbox(const struct fl_endpoint *ep)
{
	return fl_sandbox_id(ep->cookie, ep->dev, ep->ino);
}

/* One endpoint with a resolver. Valid during the call only. */
struct fl_sandbox_entry {
	uint64_t sandbox;
	struct fl_endpoint_id id;
	const char *dns; /* of the record; not ended by NUL */
	size_t dns_len;
};
/* Of one sandbox, or with `all` of every one, a sandbox's together; until fn returns non-zero,
 * which is returned. */
int fl_sandboxes_each(struct fl_txn *t, uint64_t sandbox, bool all,
		      int (*fn)(void *arg, const struct fl_sandbox_entry *e), void *arg,
		      struct fl_error *err);
/* Changes when an entry of the sandbox does; 0: it has none. */
int fl_sandbox_digest(struct fl_txn *t, uint64_t sandbox, uint64_t *ret, struct fl_error *err);
/* Has the sandbox another endpoint with a resolver than this one? 1, 0 or -errno. */
int fl_sandbox_in_use(struct fl_txn *t, uint64_t sandbox, const struct fl_endpoint_id *except,
		      struct fl_error *err);

/*
 * Where networks listen for their hosts: the `dns` of a network's last record that has "listen":
 * [["ADDRESS", PORT], ...]. Goes with the network.
 */
int fl_listeners_each(struct fl_txn *t,
		      int (*fn)(void *arg, const char *network, const struct fl_addr *a,
				uint16_t port),
		      void *arg, struct fl_error *err);
/* That `dns`; valid until the next change. -ENOENT. */
int fl_listener_get(struct fl_txn *t, const char *network, struct fl_bytes *ret,
		    struct fl_error *err);
int fl_listener_del(struct fl_txn *t, const char *network, struct fl_error *err);

/* For lib/store itself: both are idempotent. */
int fl_hosts_put(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err);
int fl_hosts_del(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err);
