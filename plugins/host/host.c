/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host: the sandbox is the host's own namespace. Nothing is made; the result says what is there. */
#include "drivers.h"

#include <errno.h>
#include <linux/if_addr.h>

static int validate(struct fl_call *c, struct fl_error *err)
{
	struct fl_mac mac = { 0 };
	int r = fl_requested_mac(c, &mac, err);

	if (r || c->req.verb != FL_VERB_ADD)
		return r;
	if (c->ep.n_ports)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "runtimeConfig.portMappings: a container of network \"%s\" has "
				    "the host's namespace: its ports are the host's already",
				    c->req.network);
	if (!fl_mac_is_zero(&mac) || fl_json_get(c->req.config, "ipam"))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: a container of network \"%s\" has the host's interfaces "
				    "and addresses, none of its own",
				    fl_mac_is_zero(&mac) ? "ipam" : "runtimeConfig.mac",
				    c->req.network);
	return 0;
}

struct listing {
	struct fl_result *r;
	struct fl_nlroute route[2]; /* default routes */
};

static int take_address(void *arg, const struct fl_ifaddr *a)
{
	struct listing *l = arg;
	const struct fl_nlroute *route = &l->route[a->prefix.addr.family == AF_INET6];
	struct fl_result_ip ip = { .address = a->prefix, .interface = 0 };

	if (fl_addr_is_linklocal(&a->prefix.addr) || a->flags & IFA_F_TEMPORARY)
		return 0;
	if (l->r->n_ips == FL_RESULT_IPS)
		return 0;
	if (fl_addr_is_set(&route->gw) && fl_prefix_contains(&a->prefix, &route->gw))
		ip.gateway = route->gw;
	l->r->ips[l->r->n_ips++] = ip;
	return 0;
}

/* The interface of the default route and its addresses; lo on a host that has none. */
static int report(struct fl_call *c, struct fl_error *err)
{
	struct listing l = { .r = &c->result };
	struct fl_link link;
	int v4 = fl_default_route(c->host, AF_INET, &l.route[0], err);
	int v6 = v4 && v4 != -ENOENT ? v4 : fl_default_route(c->host, AF_INET6, &l.route[1], err);
	int r = v6 && v6 != -ENOENT ? v6 : 0;
	uint32_t oif = !v4 ? l.route[0].oif : !v6 ? l.route[1].oif : 0;

	if (!r)
		r = oif ? fl_link_get_index(c->host, oif, &link, err)
			: fl_link_get(c->host, "lo", &link, err);
	if (!r &&
	    fl_result_add_interface(&c->result, link.name, &link.mac, c->req.netns, link.mtu) < 0)
		r = fl_error_oom(err);
	return r ? r : fl_ifaddrs_each(c->host, link.index, take_address, &l, err);
}

const struct fl_driver host_driver = {
	.type = "host",
	.about = "leaves a container in the host's namespace",
	.flags = FL_DRIVER_STATELESS | FL_DRIVER_HOST | FL_DRIVER_PORTS,
	.validate = validate,
	.endpoint_create = report,
};
