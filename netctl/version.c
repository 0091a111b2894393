/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/ctl.h"
#include "netctl/out.h"
#include "plugin/result.h"

#include <sys/utsname.h>

static json_t *versions(void)
{
	json_t *list = json_array();

	for (int i = 0; i < FL_VERSIONS; i++)
		json_array_append_new(list, json_string(fl_version_names[i]));
	return list;
}

static int run(struct ctl *c, struct fl_error *err)
{
	static const struct field fields[] = {
		{ "fairlead", "version", NULL },
		{ "CNI", "cniVersions", NULL },
		{ "plugins", "pluginPath", NULL },
		{ "kernel", "kernel", NULL },
		{ 0 },
	};
	struct utsname u;

	uname(&u);
	return show_object(c,
			   json_pack("{ss so ss ss}", "version", FAIRLEAD_VERSION, "cniVersions",
				     versions(), "pluginPath", c->path, "kernel", u.release),
			   fields, err);
}

const struct command version_command = {
	.name = "version",
	.args = "",
	.about = "versions of netctl, the CNI protocol and the kernel",
	.json = "version, cniVersions (list), pluginPath, kernel.",
	.flags = COMMAND_READS,
	.run = run,
};
