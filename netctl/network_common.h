/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What several verbs want to know of a network. */
#pragma once

#include "netctl/model.h"

/* How many are attached. */
size_t network_endpoints(const struct model *m, const char *network);
/* Its record by the plugin that made interfaces; NULL: nothing is attached. */
const struct fl_network *network_record(const struct model *m, const char *network);
/* Appends it, without host bits, to `list` (json_t *): for conflist_subnets_each(). */
int add_subnet(void *list, const struct fl_prefix *p);
/* The list of those of the record. */
json_t *network_subnets(const struct fl_network *net);
