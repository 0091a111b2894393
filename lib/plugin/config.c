/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A configuration without anybody who calls. */
#include "plugin/internal.h"

void fl_call_of_config(const struct fl_driver *d, const char *network, json_t *config,
		       struct fl_call *ret)
{
	*ret = (struct fl_call){
		.driver = d,
		.self = FL_NETNS_NONE,
		.sandbox = FL_NETNS_NONE,
		.has_prev = d->flags & FL_DRIVER_CHAINED,
		.req = { .verb = FL_VERB_ADD,
			 .version = FL_V100,
			 .container = "c",
			 .netns = "",
			 .ifname = "eth0",
			 .network = network,
			 .args = "",
			 .path = "",
			 .config = json_incref(config) },
	};
}

int fl_config_check(const struct fl_driver *d, const char *network, json_t *config,
		    struct fl_error *err)
{
	struct fl_call c;
	int r;

	fl_call_of_config(d, network, config, &c);
	r = fl_engine_decode(&c, err);
	fl_call_clear(&c);
	return r;
}
