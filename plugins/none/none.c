/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * none: a sandbox with its loopback up and nothing else. Also the template of a plugin, which is a
 * table of operations: copy it, and read lib/plugin/plugin.h for what each may do.
 */
#include "drivers.h"

#include <net/if.h>

#define LO "lo"

static int create(struct fl_call *c, struct fl_error *err)
{
	struct fl_link lo;
	int r = fl_link_get(c->inside, LO, &lo, err);

	if (!r && !(lo.flags & IFF_UP))
		r = fl_link_set_up(c->inside, lo.index, true, err);
	if (!r && fl_result_add_interface(&c->result, LO, &lo.mac, c->req.netns, lo.mtu) < 0)
		r = fl_error_oom(err);
	return r;
}

static int check(struct fl_call *c, struct fl_error *err)
{
	struct fl_link lo;
	int r = fl_link_get(c->inside, LO, &lo, err);

	if (!r && !(lo.flags & IFF_UP))
		r = fl_error_set(err, 1, FL_ECODE_CHECK, "container %s: lo is down",
				 c->req.container);
	return r;
}

const struct fl_driver none_driver = {
	.type = "none",
	.about = "a sandbox with its loopback up and no network",
	.flags = FL_DRIVER_STATELESS | FL_DRIVER_NO_ADDRESS,
	.endpoint_create = create,
	.check = check,
};
