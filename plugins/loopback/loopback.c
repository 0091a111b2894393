/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loopback: brings lo up in the sandbox. CNI_IFNAME is ignored, as runtimes expect. */
#include "drivers.h"

#include <errno.h>
#include <net/if.h>

#define LO "lo"

static int take_address(void *arg, const struct fl_ifaddr *a)
{
	struct fl_result *r = arg;

	if (r->n_ips == FL_RESULT_IPS)
		return -ENOSPC;
	r->ips[r->n_ips++] = (struct fl_result_ip){ .address = a->prefix, .interface = 0 };
	return 0;
}

static int create(struct fl_call *c, struct fl_error *err)
{
	struct fl_link lo;
	int r = fl_link_get(c->inside, LO, &lo, err);

	if (!r)
		r = fl_link_set_up(c->inside, lo.index, true, err);
	if (r)
		return r;
	if (c->has_prev) {
		c->result = c->prev;
		c->prev = (struct fl_result){ 0 };
		return 0;
	}
	if (fl_result_add_interface(&c->result, LO, &lo.mac, c->req.netns, 0) < 0)
		return fl_error_oom(err);
	return fl_ifaddrs_each(c->inside, lo.index, take_address, &c->result, err);
}

static int down(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	struct fl_link lo;
	int r;

	(void)ep;
	if (!c->inside)
		return 0;
	r = fl_link_get(c->inside, LO, &lo, err);
	return r ? r : fl_link_set_up(c->inside, lo.index, false, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	struct fl_link lo;
	int r = fl_link_get(c->inside, LO, &lo, err);

	if (!r && !(lo.flags & IFF_UP))
		r = fl_error_set(err, ENETDOWN, FL_ECODE_CHECK, "container %s: lo is down",
				 c->req.container);
	return r;
}

const struct fl_driver loopback_driver = {
	.type = "loopback",
	.about = "brings the loopback interface of a sandbox up",
	.flags = FL_DRIVER_STATELESS,
	.endpoint_create = create,
	.endpoint_delete = down,
	.check = check,
};
