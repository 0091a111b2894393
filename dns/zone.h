/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the resolver knows by itself: names, addresses and services of containers, as one asker may
 * see them. Pure: the tables are behind functions.
 *
 * A name is looked up as it stands on each of the asker's networks, and all addresses together are
 * the answer; when no network knows it, as NAME.NETWORK and NAME.DOMAIN of the network's configured
 * domain.
 */
#pragma once

#include "dns/wire.h"
#include "store/hosts.h"

#define FL_ZONE_ANSWERS 512 /* addresses of one name that are considered */
#define FL_ZONE_TTL 5	    /* seconds, also of what is not there */

struct fl_zone_net {
	const char *name;
	uint64_t *hits;		   /* counts the answers from this network; may be NULL */
	struct fl_dns_name suffix; /* the network's name as a domain; len 0: it cannot be one */
	struct fl_dns_name domain; /* `dns.domain`; len 0: none */
};

struct fl_zone {
	const struct fl_zone_net *nets;
	size_t n_nets;
	unsigned rotate; /* with which of several addresses an answer begins */
	/* fl_hosts_find() and fl_hosts_reverse() */
	int (*find)(void *arg, const struct fl_dns_name *name, const char *network,
		    struct fl_host *out, size_t max, size_t *n);
	int (*reverse)(void *arg, const struct fl_addr *a, const char *network,
		       struct fl_dns_name *ret);
	/*
	 * Does the endpoint with this address publish the service ("http", "8080") over the
	 * protocol (IPPROTO_*)? Then *ret is the port inside the container. -ENOENT.
	 */
	int (*service)(void *arg, const struct fl_addr *a, const char *network, const char *service,
		       uint8_t proto, uint16_t *ret);
	void *arg;
};

/*
 * Answers the query `msg`, parsed as `q`, of class IN into `out` (`size` bytes, at least
 * FL_DNS_UDP_MIN, another place than `msg`). False: nobody here is called so; *ret_len is
 * untouched.
 */
bool fl_zone_answer(const struct fl_zone *z, const uint8_t *msg, const struct fl_dns_query *q,
		    uint8_t *out, size_t size, size_t *ret_len);

/* A bare answer with this rcode; NXDOMAIN with a SOA, so that it is remembered. Returns its length.
 */
size_t fl_zone_refuse(const uint8_t *msg, const struct fl_dns_query *q, uint16_t rcode,
		      uint8_t *out, size_t size);
