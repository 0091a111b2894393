/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every plugin of the suite. They are names of one executable: what they share (engine, store,
 * nftables, netlink, JSON) is on disk and in the page cache once (docs/decisions/0004).
 */
#pragma once

#include "plugin/plugin.h"

/* The list is plugin_names in plugins/meson.build; host-local's driver is host_local_driver. */
#define DRIVER(name) extern const struct fl_driver name##_driver;
#include "drivers.inc"
#undef DRIVER
