/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Policy rules: ip-rule(8), linux/fib_rules.h. */
#pragma once

#include "nl/nl.h"

struct fl_rule {
	uint8_t family;		   /* AF_INET, AF_INET6 */
	struct fl_prefix src, dst; /* family 0 or length 0: any */
	uint32_t table;
	uint32_t priority;		   /* 0 on adding: the kernel's choice; on deleting: any */
	char iif[IFNAMSIZ], oif[IFNAMSIZ]; /* "": any */
	/* Only read: it selects by more than this (mark, ports, not ...) or does other than look
	 * into a table. */
	bool other;
};

void fl_rule_build(struct fl_req *q, bool add, const struct fl_rule *r);
/* -EEXIST: there is exactly such a rule. */
int fl_rule_add(struct fl_nl *nl, const struct fl_rule *r, struct fl_error *err);
/* Deletes one rule that matches what is given; absent is success. */
int fl_rule_del(struct fl_nl *nl, const struct fl_rule *r, struct fl_error *err);
/* In the order in which they are looked at. */
int fl_rules_each(struct fl_nl *nl, int family, int (*fn)(void *arg, const struct fl_rule *),
		  void *arg, struct fl_error *err);
