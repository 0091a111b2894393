/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bridge and tunnel are the plugin's to make, when a container comes. What somebody deletes or
 * changes later, with containers there, nobody would mend before the next one: so the agent does,
 * from what the two stores say. A bridge that was set down stays so: that is somebody's will.
 */
#include "overlay/agent.h"

#include "netns/netns.h"
#include "vxlan/dataplane.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <string.h>

#define DRIVER "overlay"

struct mending {
	struct agent *a;
	struct fl_network rec; /* of the node's store */
	uint32_t bridge;       /* 0: only looks whether there are containers */
	bool used;
	struct fl_error *err;
};

/* ---- devices ---- */

/* Whoever else has the VNI keeps it. */
static int is_others(void *arg, const char *ifname, char *network, size_t size)
{
	(void)arg;
	(void)ifname;
	fl_strcpy(network, size, "of another name");
	return 1;
}

/* Without a plugin's stamp: the next ADD looks at all of it again. */
static int make_devices(struct network *net, struct mending *m, struct fl_error *err)
{
	const struct fl_vxlan_owner owner = { is_others, NULL };
	struct fl_overlay_network n;
	struct fl_link bridge, tunnel;
	bool routed = network_is_routed(net);
	struct fl_dataplane d = { .network = net->rec.name,
				  .link = m->rec.link,
				  .tunnel = m->rec.tunnel,
				  .routed = routed,
				  .ipv6 = fl_addr_is_set(&net->self.ip6),
				  .suppress = !routed };
	int r;

	network_answer(net, &n);
	d.mac = n.mac;
	d.vxlan = (struct fl_vxlan){ .vni = n.vni, .local = n.local, .port = n.port };
	d.mtu = n.mtu;
	d.underlay_mtu = n.underlay_mtu;
	r = fl_dataplane_ensure(net->a->nl, &d, &owner, &bridge, err);
	if (!r)
		r = fl_dataplane_settle(net->a->nl, &d, err);
	if (!r)
		r = fl_link_get(net->a->nl, m->rec.tunnel, &tunnel, err);
	if (r)
		return r;
	net->bridge = bridge.index;
	net->tunnel = tunnel.index;
	say("network %s: bridge or tunnel was deleted or changed, and is made again",
	    net->rec.name);
	return 0;
}

/* Other nodes know the bridge (L3: the tunnel) by this MAC, and containers their gateway. */
static int restore_mac(struct network *net, uint32_t index, struct fl_error *err)
{
	struct fl_link l;
	int r = fl_link_get_index(net->a->nl, index, &l, err);

	if (r || !memcmp(&l.mac, &net->self.mac, sizeof(l.mac)))
		return r;
	say("network %s: somebody gave %s the MAC %s, which is taken back", net->rec.name, l.name,
	    fl_mac_str(&l.mac, FL_MAC_BUF));
	return fl_link_set_mac(net->a->nl, l.index, &net->self.mac, err);
}

static int restore_macs(struct network *net, struct fl_error *err)
{
	int r = restore_mac(net, net->bridge, err);

	return r || !network_is_routed(net) ? r : restore_mac(net, net->tunnel, err);
}

/* In mode L2 the tunnel is a port of the bridge, else of none; its source is the node's address. */
static bool is_placed(const struct network *net)
{
	struct fl_link l;

	return net->bridge && net->tunnel &&
	       !fl_link_get_index(net->a->nl, net->tunnel, &l, NULL) &&
	       l.master == (network_is_routed(net) ? 0 : net->bridge) &&
	       fl_addr_eq(&l.vxlan.local, &net->a->vtep);
}

/* ---- containers ---- */

static int see_endpoint(void *arg, const struct fl_endpoint *ep)
{
	struct mending *m = arg;
	struct fl_link l;
	int r;

	if (strcmp(ep->id.driver, DRIVER) != 0 || ep->state == FL_STATE_DELETING || !ep->ifindex)
		return 0;
	m->used = true;
	if (!m->bridge)
		return 1;
	/* One that is gone is the next DEL's. */
	if (fl_link_get_index(m->a->nl, ep->ifindex, &l, NULL) || l.master == m->bridge)
		return 0;
	r = fl_link_dress(m->a->nl, l.index, &(struct fl_link_dress){ .master = m->bridge },
			  m->err);
	return r ? r : fl_dataplane_port(m->a->nl, l.index, &ep->mac, ep->n_ports, m->err);
}

static int each_endpoint(struct network *net, struct mending *m)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_txn_begin(net->a->store, false, &t, m->err);

	if (!r)
		r = fl_network_get(t, net->rec.name, DRIVER, &m->rec, m->err);
	if (!r)
		r = fl_endpoints_each(t, net->rec.name, see_endpoint, m, m->err);
	return r > 0 ? 0 : r;
}

/* ---- sysctls ---- */

static int set(const char *link, const char *family, const char *key, const char *value,
	       struct fl_error *err)
{
	char name[128];
	int r;

	snprintf(name, sizeof(name), "net/%s/conf/%s/%s", family, link, key);
	r = fl_sysctl_write(name, value, NULL, 0, err);
	return r < 0 && r != -ENOENT ? r : 0;
}

/* As the plugin makes them: plugins/overlay/network.c. */
static int restore_routing(const struct mending *m, bool six, struct fl_error *err)
{
	const char *const links[] = { m->rec.link, m->rec.tunnel };
	int r = set("all", "ipv4", "send_redirects", "0", err);

	if (!r)
		r = set(m->rec.link, "ipv4", "send_redirects", "0", err);
	for (size_t i = 0; i < FL_ARRAY_SIZE(links) && !r && six; i++) {
		r = set(links[i], "ipv6", "disable_ipv6", "0", err);
		if (!r)
			r = set(links[i], "ipv6", "keep_addr_on_down", "1", err);
	}
	return r;
}

static int restore_sysctls(const struct network *net, const struct mending *m, struct fl_error *err)
{
	bool routed = network_is_routed(net), six = fl_addr_is_set(&net->self.ip6);
	int r = net->rec.internal ? 0 : set(m->rec.link, "ipv4", "route_localnet", "1", err);

	if (!r && routed && !net->rec.internal)
		r = set(m->rec.tunnel, "ipv4", "route_localnet", "1", err);
	if (!r && routed)
		return restore_routing(m, six, err);
	return r || !six ? r : set(m->rec.link, "ipv6", "disable_ipv6", "0", err);
}

/* ---- addresses: IPv6 loses them with the interface set down ---- */

static int add(struct network *net, uint32_t index, const struct fl_prefix *p, bool gateway,
	       struct fl_error *err)
{
	struct fl_nl *nl = net->a->nl;
	bool six = p->addr.family == AF_INET6;
	int r = six && gateway ? fl_ifaddr_add_deprecated(nl, index, p, IFA_F_NODAD, err)
			       : fl_ifaddr_add(nl, index, p, six ? IFA_F_NODAD : 0, err);

	return r == -EEXIST ? 0 : r;
}

static int add_own(struct network *net, const struct fl_prefix *subnet, struct fl_error *err)
{
	const struct fl_addr *own =
		subnet->addr.family == AF_INET6 ? &net->self.ip6 : &net->self.ip4;
	uint8_t len = network_is_routed(net) ? (uint8_t)fl_addr_bits(own) : subnet->len;

	if (!fl_addr_is_set(own))
		return 0;
	return add(net, own_device(net), &(struct fl_prefix){ *own, len }, false, err);
}

static int restore_addresses(struct network *net, const struct mending *m, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; i < net->rec.n_subnets && !r; i++)
		r = add_own(net, &net->rec.subnets[i].subnet, err);
	for (uint32_t i = 0; i < m->rec.n_anycast && !r; i++)
		r = add(net, net->bridge, &m->rec.anycast[i], true, err);
	return r;
}

static int mend(struct network *net, struct mending *m, struct fl_error *err)
{
	bool ports = net->port_left, placed = is_placed(net);
	int r = each_endpoint(net, m);

	if (r || !m->used)
		return r;
	if (!placed)
		r = make_devices(net, m, err);
	if (!r)
		r = restore_macs(net, err);
	m->bridge = net->bridge;
	if (!r && (ports || !placed))
		r = each_endpoint(net, m);
	if (r || !network_has_gateway(net))
		return r;
	r = restore_sysctls(net, m, err);
	return r ? r : restore_addresses(net, m, err);
}

void network_mend(struct network *net)
{
	struct fl_error err = { 0 };
	struct mending m = { .a = net->a, .err = &err };
	int r;

	/* What this node has there is not known. */
	if (!net->announced) {
		net->touched = net->port_left = true;
		return;
	}
	r = mend(net, &m, &err);
	net->touched = net->port_left = false;
	/* Without a record of the network there are no containers either. */
	if (r && r != -ENOENT)
		say("network %s: what somebody changed cannot be mended: %s; the next ADD tries "
		    "again",
		    net->rec.name, err.text);
}

/* ---- what the kernel tells ---- */

static void on_event(void *arg, const struct fl_nl_event *e)
{
	struct agent *a = arg;
	struct network *net, *tmp;
	struct fl_link l;

	HASH_ITER (hh, a->networks, net, tmp) {
		if (!net->bridge)
			continue;
		if (e->kind == FL_NL_LOST || e->index == net->bridge || e->index == net->tunnel)
			net->touched = true;
		if (e->kind == FL_NL_LOST)
			net->port_left = true;
		/* One that is being deleted is gone by the time of this answer. */
		if (e->kind == FL_NL_PORT_LEFT && e->master == net->bridge)
			net->port_left |= !fl_link_get_index(a->nl, e->index, &l, NULL);
	}
}

void mend_hear(struct agent *a)
{
	fl_nl_hear(a->links, on_event, a);
}
