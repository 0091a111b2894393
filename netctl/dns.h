/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sandboxes that have a resolver, and records of DNS as people read them. */
#pragma once

#include "netctl/model.h"

#include "dns/walk.h"
#include "store/hosts.h"

/* Endpoints with a resolver, those of a sandbox together. */
struct askers {
	const struct fl_endpoint **v; /* in the model, by sandbox */
	size_t n;
};

int askers_find(const struct model *m, struct askers *ret, struct fl_error *err);
void askers_clear(struct askers *a);
#define AUTOASKERS FL_CLEANUP(askers_clear)
/* How many from v[i] on are of the same sandbox. */
size_t askers_same(const struct askers *a, size_t i);
/* The first endpoint of the sandbox; NULL. */
const struct fl_endpoint *askers_get(const struct askers *a, uint64_t sandbox);
/*
 * That of a container with a resolver; NULL `container`: of the only one. EXIT_NOT_FOUND, or
 * EXIT_USAGE where several are to choose from.
 */
int askers_choose(const struct model *m, const struct askers *a, const char *container,
		  const struct fl_endpoint **ret, struct fl_error *err);

/* fairlead-dnsd is not at work. */
int no_resolver(struct fl_error *err);

/* ---- dns_record.c ---- */

/* "AAAA", "TYPE999" (RFC 3597 section 5); any letter case. -EINVAL. */
int dns_type_parse(const char *text, uint16_t *ret);
const char *dns_type_str(uint16_t type, char *buf, size_t size);
#define DNS_TYPE(type) dns_type_str(type, (char[16]){ 0 }, 16)
const char *dns_rcode_str(uint16_t rcode, char *buf, size_t size);
#define DNS_RCODE(rcode) dns_rcode_str(rcode, (char[16]){ 0 }, 16)
/* Its data as in a zone's file; nothing of it can be a control character. NULL: no memory. */
json_t *dns_data_json(const uint8_t *msg, size_t len, const struct fl_dns_rr *rr);
