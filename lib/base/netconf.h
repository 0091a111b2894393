/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Routes and resolver settings as CNI configurations and results write them (specification 1.1.0,
 * "Well-known types"). Pure.
 */
#pragma once

#include "base/addr.h"
#include "base/error.h"
#include "base/json.h"

#define FL_ROUTES_MAX 1024

/* Fields that are absent are 0, unset, or -1 (scope). */
struct fl_route {
	struct fl_prefix dst; /* masked */
	struct fl_addr gw;    /* of dst's family */
	uint32_t mtu, advmss, priority, table;
	int scope; /* RT_SCOPE_* */
};

struct fl_dns {
	char **nameservers, **search, **options; /* NULL-terminated, owned; NULL when absent */
	char *domain;				 /* owned */
};

/* Reads a list of routes; `path` is put in front of keys in messages. FL_ECODE_DECODE or
 * FL_ECODE_CONFIG. */
int fl_routes_parse(const json_t *list, const char *path, struct fl_route **ret, size_t *ret_n,
		    struct fl_error *err);

/* Reads {"nameservers", "search", "options", "domain"}; what *ret held is released on success. */
int fl_dns_parse(const json_t *json, const char *path, struct fl_dns *ret, struct fl_error *err);
/* No server, domain or option at all. */
bool fl_dns_empty(const struct fl_dns *d);
/* Deep copy over *dst. -ENOMEM. */
int fl_dns_copy(struct fl_dns *dst, const struct fl_dns *src);
void fl_dns_clear(struct fl_dns *d);

/* Reads resolver configuration text as resolv.conf(5) has it; unknown lines are ignored. -ENOMEM.
 */
int fl_resolvconf_parse(const char *text, size_t len, struct fl_dns *ret, struct fl_error *err);
/* The same from a regular file of at most 64 KiB. */
int fl_resolvconf_read(const char *path, struct fl_dns *ret, struct fl_error *err);
