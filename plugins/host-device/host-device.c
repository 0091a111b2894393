/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host-device: a device of the host, in the sandbox until DEL (fairlead-host-device(8)). */
#include "drivers.h"
#include "hostdev.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

struct hostdev_conf {
	bool dpdk;
	int64_t mtu;
	struct hostdev_selector sel;
	struct hostdev dev;
	struct fl_mac mac; /* asked for */
};

static const struct fl_field fields[] = {
	FL_F("dpdkMode", BOOL, struct hostdev_conf, dpdk),
	FL_F("mtu", INT, struct hostdev_conf, mtu, 0, 65535),
	{ 0 },
};

/* Other verbs go by the record; GC and STATUS do not even know the runtime's deviceID. */
static int validate(struct fl_call *c, struct fl_error *err)
{
	struct hostdev_conf *conf = c->conf;
	int r = c->req.verb == FL_VERB_ADD ? hostdev_select(c, &conf->sel, err)
					   : hostdev_select_types(c, err);

	if (!r && c->req.verb == FL_VERB_ADD)
		r = fl_requested_mac(c, &conf->mac, err);
	return r;
}

static int prepare_dpdk(struct fl_call *c, struct fl_error *err)
{
	const struct hostdev_conf *conf = c->conf;

	if (conf->mtu || !fl_mac_is_zero(&conf->mac))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: the device %s is in use by DPDK; the program that drives "
				    "it sets this",
				    conf->mtu ? "mtu" : "mac", conf->dev.bus);
	c->ep.ifindex = c->inside_index = 0;
	return 0;
}

static int prepare_link(struct fl_call *c, struct fl_error *err)
{
	const struct hostdev_conf *conf = c->conf;
	struct fl_link taken;

	/* Before the device loses its addresses for nothing. */
	if (!fl_link_get(c->inside, c->req.ifname, &taken, NULL))
		return fl_ifname_taken(c, err);
	c->mac_given = !fl_mac_is_zero(&conf->mac);
	c->ep.mac = c->mac_given ? conf->mac : conf->dev.mac;
	/* Neighbours may know another MAC behind the address. */
	c->mac_chosen = true;
	return 0;
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	struct hostdev_conf *conf = c->conf;
	int r = hostdev_find(c, &conf->sel, conf->dpdk, &conf->dev, err);

	if (!r)
		r = conf->dev.dpdk ? prepare_dpdk(c, err) : prepare_link(c, err);
	if (r)
		return r;
	c->mac_settled = true;
	c->memo = hostdev_memo(&conf->dev);
	return c->memo ? 0 : fl_error_oom(err);
}

/* The index of the record goes with the move: from then on it is known by that, whatever comes. */
static int move_in(struct fl_call *c, struct fl_link *ret, struct fl_error *err)
{
	const struct hostdev_conf *conf = c->conf;
	const struct hostdev *d = &conf->dev;
	const struct fl_link_target to = { c->sandbox.fd, c->req.ifname, c->ep.ifindex, d->name };
	int r = fl_link_move_as(c->host, d->index, &to, err);

	if (r == -EEXIST)
		return fl_ifname_taken(c, err);
	if (r == -ENODEV)
		return hostdev_missing(c, &conf->sel, "the device went away meanwhile", err);
	if (r)
		return fl_error_prefix(err, "%s: device %s", conf->sel.key, d->name);
	r = fl_link_get(c->inside, c->req.ifname, ret, err);
	if (!r)
		c->ep.ifindex = c->inside_index = ret->index;
	return r;
}

static int adjust(struct fl_call *c, struct fl_link *l, struct fl_error *err)
{
	const struct hostdev_conf *conf = c->conf;
	int r = 0;

	if (c->mac_given && memcmp(&conf->mac, &l->mac, sizeof(l->mac)) != 0)
		r = fl_link_set_mac(c->inside, l->index, &conf->mac, err);
	if (r)
		return fl_error_prefix(err, "mac: device %s", conf->dev.name);
	if (conf->mtu)
		r = fl_link_set_mtu(c->inside, l->index, (uint32_t)conf->mtu, err);
	if (r)
		return fl_error_prefix(err, "mtu: device %s", conf->dev.name);
	l->mtu = conf->mtu ? (uint32_t)conf->mtu : l->mtu;
	return 0;
}

static int report(struct fl_call *c, uint32_t mtu, struct fl_error *err)
{
	const struct hostdev_conf *conf = c->conf;
	const struct fl_mac *mac = fl_mac_is_zero(&c->ep.mac) ? NULL : &c->ep.mac;
	char pci[HOSTDEV_BUS];
	int i = fl_result_add_interface(&c->result, c->req.ifname, mac, c->req.netns, mtu);

	if (i < 0)
		return fl_error_oom(err);
	if (hostdev_pci_parse(conf->dev.bus, pci))
		return 0;
	c->result.interfaces[i].pci_id = strdup(pci);
	return c->result.interfaces[i].pci_id ? 0 : fl_error_oom(err);
}

static int endpoint_create(struct fl_call *c, struct fl_error *err)
{
	const struct hostdev_conf *conf = c->conf;
	struct fl_link l = { 0 };
	int r = conf->dev.dpdk ? 0 : move_in(c, &l, err);

	if (!r && !conf->dev.dpdk)
		r = adjust(c, &l, err);
	return r ? r : report(c, l.mtu, err);
}

/* Addresses for a program: nothing of the kernel's has them. */
static int report_addresses(struct fl_call *c, struct fl_error *err)
{
	for (size_t i = 0; i < c->ipam_result.n_ips; i++) {
		c->result.ips[c->result.n_ips] = c->ipam_result.ips[i];
		c->result.ips[c->result.n_ips++].interface = 0;
	}
	for (size_t i = 0; i < c->ipam_result.n_routes; i++)
		if (fl_result_add_route(&c->result, &c->ipam_result.routes[i]))
			return fl_error_oom(err);
	return 0;
}

static int join(struct fl_call *c, struct fl_error *err)
{
	const struct hostdev_conf *conf = c->conf;

	return conf->dev.dpdk ? report_addresses(c, err)
			      : fl_join_interface(c, &(struct fl_join){ 0 }, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	const struct hostdev_conf *conf = c->conf;
	FL_AUTOJSON json_t *memo = NULL;
	struct hostdev d = { 0 };
	struct fl_link l;
	int r = fl_call_memo(c, &c->ep, &memo, err);

	if (!r)
		r = hostdev_memo_read(memo, &d, err);
	if (r && r != -ENOENT)
		return r;
	if (d.dpdk)
		return 0;
	r = fl_link_get(c->inside, c->req.ifname, &l, err);
	if (r || l.index != c->ep.ifindex)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: interface %s is not the device %s any more",
				    c->req.container, c->req.ifname, d.name);
	if (conf->mtu && l.mtu != conf->mtu)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: %s has MTU %u, not %lld", c->req.container,
				    c->req.ifname, l.mtu, (long long)conf->mtu);
	return fl_check_interface(c, err);
}

const struct fl_driver host_device_driver = {
	.type = "host-device",
	.about = "moves a device of the host into a sandbox",
	.flags = FL_DRIVER_IPAM | FL_DRIVER_INSIDE | FL_DRIVER_DIRECT | FL_DRIVER_KEEPS_LINK,
	.fields = fields,
	.conf_size = sizeof(struct hostdev_conf),
	.validate = validate,
	.prepare = prepare,
	.endpoint_create = endpoint_create,
	.join = join,
	.endpoint_delete = hostdev_return,
	.endpoint_unknown = hostdev_return_unknown,
	.check = check,
};
