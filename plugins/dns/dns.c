/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A resolver for a container that another suite's plugin attached. The engine does the rest. */
#include "drivers.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

static int validate(struct fl_call *c, struct fl_error *err)
{
	if (c->req.verb != FL_VERB_ADD)
		return 0;
	for (size_t i = 0; i < c->prev.n_ips && c->ep.n_addrs < FL_ENDPOINT_ADDRS; i++)
		if (fl_prev_is_ours(c, &c->prev.ips[i]))
			c->ep.addrs[c->ep.n_addrs++] = c->prev.ips[i].address;
	if (!c->ep.n_addrs)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "prevResult.ips: expected an address of %s, found none",
				    c->req.ifname);
	/* So that an owner without a DEL can be seen to be gone. */
	fl_strcpy(c->ep.link, sizeof(c->ep.link), fl_prev_host_end(c));
	return 0;
}

static int note_internal(void *arg, const struct fl_network *net)
{
	struct fl_call *c = arg;

	c->net.internal |= net->internal && !strcmp(net->name, c->req.network);
	return 0;
}

/* Behind one of our own plugins, whose configuration we are not shown. */
static int find_internal(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_txn_begin(c->store, false, &t, err);

	return r ? r : fl_networks_each(t, note_internal, c, err);
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	struct fl_link l;

	if (*c->ep.link && !fl_link_get(c->host, c->ep.link, &l, NULL))
		c->ep.ifindex = l.index;
	return find_internal(c, err);
}

const struct fl_driver dns_driver = {
	.type = "dns",
	.about = "names for a container that another plugin attached, and a resolver in it",
	.flags = FL_DRIVER_CHAINED | FL_DRIVER_DIRECT | FL_DRIVER_NAMES,
	.validate = validate,
	.prepare = prepare,
};
