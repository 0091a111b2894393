/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The steps of reload, which are also doctor's repairs. */
#pragma once

#include "netctl/model.h"

/* All nftables state, from the store. */
int reload_rules(struct ctl *c, struct fl_error *err);
/* 1: a foreign FORWARD chain got the rule that it lacked; 0: none does. */
int reload_admit(const struct model *m, struct fl_error *err);
/* Is there an endpoint whose traffic passes the host's FORWARD chains? */
bool reload_wants_admit(const struct model *m);
/* Is there an endpoint whose container asks the resolver? */
bool reload_wants_resolver(const struct model *m);
