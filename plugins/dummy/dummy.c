/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dummy: an interface that leads nowhere, for an address that is always there. */
#include "drivers.h"

#include <errno.h>

static int validate(struct fl_call *c, struct fl_error *err)
{
	if (c->ipam_mode == FL_IPAM_NONE && c->req.verb == FL_VERB_ADD)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "ipam: expected an object with a type, found none");
	return fl_requested_mac(c, &c->ep.mac, err);
}

static int create(struct fl_call *c, struct fl_error *err)
{
	struct fl_vlink_spec spec = { .kind = "dummy",
				      .name = c->req.ifname,
				      .index = c->ep.ifindex,
				      .netns_fd = -1,
				      .mac = c->ep.mac };
	struct fl_link l;
	int r = fl_vlink_create(c->inside, &spec, err);

	if (r == -EEXIST)
		return fl_ifname_taken(c, err);
	if (!r)
		r = fl_link_get_index(c->inside, c->ep.ifindex, &l, err);
	if (!r && fl_result_add_interface(&c->result, l.name, &l.mac, c->req.netns, l.mtu) < 0)
		r = fl_error_oom(err);
	return r;
}

static int join(struct fl_call *c, struct fl_error *err)
{
	return fl_join_interface(c, &(struct fl_join){ 0 }, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	return fl_check_kind(c, "dummy", "dummy interface", err);
}

const struct fl_driver dummy_driver = {
	.type = "dummy",
	.about = "gives a sandbox an interface that leads nowhere",
	.flags = FL_DRIVER_IPAM | FL_DRIVER_INSIDE | FL_DRIVER_DIRECT,
	.validate = validate,
	.endpoint_create = create,
	.join = join,
	.endpoint_delete = fl_endpoint_delete_inside,
	.check = check,
};
