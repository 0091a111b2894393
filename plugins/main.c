/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The name by which the executable was called says which plugin it is. */
#include "drivers.h"

#include <stdio.h>
#include <string.h>

/* A name of one's own, for hosts where another suite's plugins have the plain ones. */
#define PREFIX "fairlead-"

static const struct fl_driver *const drivers[] = {
	&bridge_driver,	    &container_driver, &dummy_driver,	 &host_driver,
	&host_local_driver, &ipvlan_driver,    &loopback_driver, &macvlan_driver,
	&none_driver,	    &portmap_driver,   &ptp_driver,	 &sbr_driver,
	&static_driver,	    &tap_driver,       &vlan_driver,	 &vrf_driver,
};

static const struct fl_driver *find(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	if (!strncmp(name, PREFIX, strlen(PREFIX)))
		name += strlen(PREFIX);
	for (size_t i = 0; i < FL_ARRAY_SIZE(drivers); i++)
		if (!strcmp(drivers[i]->type, name))
			return drivers[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct fl_driver *driver = argc ? find(argv[0]) : NULL;

	if (driver)
		return fl_plugin_main(driver);
	fputs("fairlead: container network plugins; call it by the name of one of them:\n", stderr);
	for (size_t i = 0; i < FL_ARRAY_SIZE(drivers); i++)
		fprintf(stderr, "  %-12s %s\n", drivers[i]->type, drivers[i]->about);
	return 2;
}
