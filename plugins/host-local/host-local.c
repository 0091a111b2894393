/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host-local: the address allocator as an executable, for plugins that are not ours. */
#include "plugin/plugin.h"

static const struct fl_driver driver = {
	.type = "host-local",
	.about = "gives addresses from ranges, kept on this host",
	.flags = FL_DRIVER_IS_IPAM,
};

int main(void)
{
	return fl_plugin_main(&driver);
}
