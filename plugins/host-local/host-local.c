/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host-local: the address allocator as an executable, for plugins that are not ours. */
#include "drivers.h"

const struct fl_driver host_local_driver = {
	.type = "host-local",
	.about = "gives addresses from ranges, kept on this host",
	.flags = FL_DRIVER_IS_IPAM,
};
