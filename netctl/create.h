/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the makers of a network's configuration have in common. */
#pragma once

#include "netctl/conflist.h"
#include "netctl/ctl.h"

#define CNI_VERSION "1.0.0" /* what runtimes of today read; 1.1.0 is refused by older ones */

/* Every -o KEY=VALUE of the call, put into the driver's configuration: keys that it has. */
int create_options(const struct ctl *c, const char *driver, json_t *plugin, struct fl_error *err);
/* Names, capabilities, and with `routed` what publishing ports needs. */
void create_common(json_t *plugin, bool routed);
json_t *create_list(const char *network, json_t *plugin);
/* The list with --json, the name with --quiet, else where it was written. */
int create_show(const struct ctl *c, json_t *list, const char *path, struct fl_error *err);
