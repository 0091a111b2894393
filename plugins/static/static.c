/* SPDX-License-Identifier: GPL-2.0-or-later */
/* static: the addresses of the configuration, for plugins that are not ours. Ours read them. */
#include "drivers.h"

const struct fl_driver static_driver = {
	.type = "static",
	.about = "gives the addresses that the configuration names",
	.flags = FL_DRIVER_IS_IPAM,
};
