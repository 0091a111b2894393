/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Endpoints of other nodes on networks that span them: written by the node's agent, read by the
 * resolver (their names are in `hosts`, as if they were here) and by who shows them. They own
 * nothing on this node: no lease, no port, no sandbox, and no verb of a plugin sees them.
 *
 * - peers: network, id of the endpoint in the cluster -> JSON
 */
#pragma once

#include "base/dnsname.h"
#include "store/store.h"

#define FL_PEER_ID 65

struct fl_peer {
	char network[FL_NAME_MAX + 1]; /* as it is called here; it, id and node are never "" */
	char id[FL_PEER_ID];	       /* of the endpoint, in the cluster */
	char node[FL_PEER_ID];	       /* where it is */
	char container[FL_NAME_MAX + 1];
	char ifname[IFNAMSIZ];
	struct fl_mac mac;
	struct fl_addr addrs[2]; /* IPv4, IPv6; unset: none */
	char name[FL_HOSTNAME_MAX + 1];
	char aliases[1024]; /* as in struct fl_endpoint */
	bool suspect;	    /* its node gives no sign of life: its names are not answered */
};

/*
 * Written, or in the place of what is there, with its names; what is there just so is not written.
 * -EINVAL, FL_ECODE_CONFIG: it cannot be a record. -EBADMSG, FL_ECODE_STORE: what is there is
 * damaged (also of deleting).
 */
int fl_peer_put(struct fl_txn *t, const struct fl_peer *p, struct fl_error *err);
/* Absent is success. */
int fl_peer_del(struct fl_txn *t, const char *network, const char *id, struct fl_error *err);
/* -ENOENT (err untouched). */
int fl_peer_get(struct fl_txn *t, const char *network, const char *id, struct fl_peer *ret,
		struct fl_error *err);
/* Of one network, or of all when network is NULL, until fn returns non-zero, which is returned. In
 * a write transaction fn may change the table. */
int fl_peers_each(struct fl_txn *t, const char *network,
		  int (*fn)(void *arg, const struct fl_peer *p), void *arg, struct fl_error *err);

/* What it is called, as fl_endpoint_canonical() and fl_endpoint_hostnames() (store/hosts.h). */
int fl_peer_canonical(const struct fl_peer *p, struct fl_dns_name *ret);
int fl_peer_hostnames(const struct fl_peer *p, int (*fn)(void *arg, const struct fl_dns_name *name),
		      void *arg);

/* Compact JSON, as of the other records (store/record.h). */
int fl_peer_encode(const struct fl_peer *p, char **ret, struct fl_error *err);
int fl_peer_decode(const char *json, size_t len, struct fl_peer *ret, struct fl_error *err);
