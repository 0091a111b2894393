/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `attach`, `network connect` and `run` have in common. */
#pragma once

#include "netctl/out.h"
#include "netctl/runtime.h"
#include "netctl/target.h"

#define ATTACH_OPTIONS                                                                            \
	{ "publish", 'p', "[[ADDR:]HOST:]PORT[/PROTO]",                                           \
	  "publish a port or a range, as docker run has it; HOST left out: a free one", NULL },   \
		{ "publish-all", 'P', NULL, "publish what --expose names at free host ports",     \
		  NULL },                                                                         \
		{ "expose", 0, "PORT[-PORT][/PROTO]", "a port that -P publishes", NULL },         \
		{ "interface", 'i', "NAME", "name of the interface inside (the first free ethN)", \
		  NULL },                                                                         \
		{ "ip", 0, "ADDRESS", "an address of the network; also IPv6, once for each",      \
		  NULL },                                                                         \
		{ "mac", 0, "MAC", "hardware address of the interface inside", NULL },            \
		{ "name", 0, "NAME", "what others resolve it by", NULL },                         \
		{ "hostname", 0, "NAME", "what it calls itself", NULL },                          \
		{ "alias", 0, "NAME", "another name on this network", NULL },                     \
		{ "dns", 0, "ADDRESS", "a name server for it, instead of the host's", NULL },     \
		{ "dns-search", 0, "DOMAIN", "a domain to search", NULL },                        \
	{                                                                                         \
		"dns-option", 0, "OPTION", "an option of resolv.conf(5)", NULL                    \
	}

/* Capability arguments from these options. */
int attach_arguments(struct ctl *c, json_t **ret, struct fl_error *err);
/*
 * Attaches the target to the network of that name by the options of the verb. `ret_result` (the
 * CNI result) is owned; ret_ifname has IFNAMSIZ bytes.
 */
int attach_target(struct ctl *c, const struct model *m, const char *network, const struct target *t,
		  json_t **ret_result, char *ret_ifname, struct fl_error *err);
/* Interface, addresses and published ports on stdout; with --json the result. */
int attach_show(struct ctl *c, const char *network, const struct target *t, json_t *result,
		const char *ifname, struct fl_error *err);
/*
 * Attachments of the container of just this id, all or on one network, one after the other; the
 * first failure. *ret_n is how many there were; `list` gets {"container", "network", "interface"}
 * of each that is gone.
 */
int detach_all(struct ctl *c, const char *container, const char *network, const char *ifname,
	       json_t *list, size_t *ret_n, struct fl_error *err);
