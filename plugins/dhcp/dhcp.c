/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dhcp: leases of a DHCP server, for plugins that are not ours. The daemon has them and renews. */
#include "drivers.h"

const struct fl_driver dhcp_driver = {
	.type = "dhcp",
	.about = "gives the address that a DHCP server leases, by fairlead-dhcpd",
	.flags = FL_DRIVER_IS_IPAM,
};
