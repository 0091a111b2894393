/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plugin's configuration, judged before it is written. */
#pragma once

#include "base/error.h"

#include "base/json.h"

/*
 * Does the plugin look at the key that `path` ("dns.enabled") names, and at those inside of
 * `value`? `ipam` is the configuration's ipam.type, NULL without: keys of an IPAM that is not
 * fairlead's are not judged.
 */
int keys_check(const char *driver, const char *ipam, const char *path, json_t *value,
	       struct fl_error *err);
/* Every type and value, by the plugin's own decoder. */
int keys_check_values(const char *driver, const char *network, json_t *plugin,
		      struct fl_error *err);
