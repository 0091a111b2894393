/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names and addresses of a store, in words. */
#pragma once

#include "storefixture.h"

#include "store/hosts.h"

#include <errno.h>

static inline struct fl_dns_name name(const char *text)
{
	struct fl_dns_name n = { 0 };

	assert_int_equal(fl_dns_name_parse(text, &n), 0);
	return n;
}

/* "10.0.0.2 fd00::2": the addresses of a name; "-" for one that has none, "?" for one unknown. */
static inline const char *find_in(struct fl_txn *t, const char *network, const char *called)
{
	static char text[4096];
	struct fl_dns_name n = name(called);
	struct fl_host out[64];
	struct fl_error err = { 0 };
	size_t count = 0;
	int r = fl_hosts_find(t, &n, network, out, FL_ARRAY_SIZE(out), &count, &err);

	assert_true(!r || (r == -ENOENT && !err.err));
	strcpy(text, r ? "?" : "");
	for (size_t i = 0; i < count; i++) {
		struct fl_addr a =
			fl_addr_make(out[i].family == 4 ? AF_INET : AF_INET6, out[i].addr);

		if (i)
			strcat(text, " ");
		strcat(text, out[i].family ? fl_addr_str(&a, FL_ADDR_BUF) : "-");
	}
	return text;
}

#define assert_found(f, network, called, wanted) \
	assert_string_equal(find_in((f)->txn, network, called), wanted)

static inline int count_entry(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	(void)key;
	(void)val;
	++*(int *)arg;
	return 0;
}

static inline int entries(struct fixture *f)
{
	static const enum fl_table tables[] = { FL_TABLE_HOSTS, FL_TABLE_ADDRESSES,
						FL_TABLE_SANDBOXES };
	int n = 0;

	for (size_t i = 0; i < FL_ARRAY_SIZE(tables); i++)
		assert_int_equal(fl_each(f->txn, tables[i], (struct fl_bytes){ 0 }, count_entry, &n,
					 &f->err),
				 0);
	return n;
}
