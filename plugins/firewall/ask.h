/* SPDX-License-Identifier: GPL-2.0-or-later */
/* firewalld, by the program fairlead-firewalld. */
#pragma once

#include "plugin/plugin.h"

/*
 * "running", or "add", "remove", "has" of the endpoint's addresses as sources of the zone. 1; 0:
 * firewalld does not run (or there is no system bus, or the program is not installed), or for
 * "has" an address is missing and err says which. Errors as the program reports them.
 */
int firewall_ask(const char *verb, const char *zone, const struct fl_endpoint *ep,
		 struct fl_error *err);
