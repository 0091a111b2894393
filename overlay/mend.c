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

static int make_devices(struct network *net, struct mending *m, struct fl_error *err)
{
	const struct fl_vxlan_owner owner = { is_others, NULL };
	struct fl_overlay_network n;
	struct fl_link bridge, tunnel;
	int r;

	network_answer(net, &n);
	r = fl_dataplane_ensure(
		net->a->nl,
		&(struct fl_dataplane){ .network = net->rec.name,
					.link = m->rec.link,
					.tunnel = m->rec.tunnel,
					.mac = n.mac,
					.vxlan = { .vni = n.vni, .local = n.local, .port = n.port },
					.mtu = n.mtu,
					.underlay_mtu = n.underlay_mtu,
					.suppress = true },
		&owner, &bridge, err);
	if (!r)
		r = fl_link_get(net->a->nl, m->rec.tunnel, &tunnel, err);
	if (r)
		return r;
	net->bridge = bridge.index;
	net->tunnel = tunnel.index;
	say("network %s: bridge or tunnel was deleted, and is made again", net->rec.name);
	return 0;
}

/* Other nodes know the bridge by this MAC, and containers their gateway. */
static int restore_mac(struct network *net, struct fl_error *err)
{
	struct fl_link l;
	int r = fl_link_get_index(net->a->nl, net->bridge, &l, err);

	if (r || !memcmp(&l.mac, &net->self.mac, sizeof(l.mac)))
		return r;
	say("network %s: somebody gave bridge %s the MAC %s, which is taken back", net->rec.name,
	    l.name, fl_mac_str(&l.mac, FL_MAC_BUF));
	return fl_link_set_mac(net->a->nl, l.index, &net->self.mac, err);
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
	/* One that is gone is the next DEL's. */
	if (!m->bridge || fl_link_get_index(m->a->nl, ep->ifindex, &l, NULL) ||
	    l.master == m->bridge)
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
	return r ? r : fl_endpoints_each(t, net->rec.name, see_endpoint, m, m->err);
}

/* ---- addresses: IPv6 loses them with the interface set down ---- */

static int add(struct network *net, const struct fl_prefix *p, bool gateway, struct fl_error *err)
{
	struct fl_nl *nl = net->a->nl;
	bool six = p->addr.family == AF_INET6;
	int r = six && gateway ? fl_ifaddr_add_deprecated(nl, net->bridge, p, IFA_F_NODAD, err)
			       : fl_ifaddr_add(nl, net->bridge, p, six ? IFA_F_NODAD : 0, err);

	return r == -EEXIST ? 0 : r;
}

static int set(const struct mending *m, const char *family, const char *key, const char *value,
	       struct fl_error *err)
{
	char name[128];
	int r;

	snprintf(name, sizeof(name), "net/%s/conf/%s/%s", family, m->rec.link, key);
	r = fl_sysctl_write(name, value, NULL, 0, err);
	return r == -ENOENT ? 0 : r;
}

static int restore_addresses(struct network *net, const struct mending *m, struct fl_error *err)
{
	const struct fl_rec_net *rec = &net->rec;
	int r = rec->internal ? 0 : set(m, "ipv4", "route_localnet", "1", err);

	for (size_t i = 0; i < rec->n_subnets && !rec->internal && r >= 0; i++) {
		const struct fl_prefix *subnet = &rec->subnets[i].subnet;
		bool six = subnet->addr.family == AF_INET6;
		const struct fl_addr *own = six ? &net->self.ip6 : &net->self.ip4;

		if (six)
			r = set(m, "ipv6", "disable_ipv6", "0", err);
		if (r >= 0 && fl_addr_is_set(own))
			r = add(net, &(struct fl_prefix){ *own, subnet->len }, false, err);
	}
	for (uint32_t i = 0; i < m->rec.n_anycast && !rec->internal && r >= 0; i++)
		r = add(net, &m->rec.anycast[i], true, err);
	return r < 0 ? r : 0;
}

static int mend(struct network *net, struct mending *m, struct fl_error *err)
{
	int r = each_endpoint(net, m);

	if (r || !m->used)
		return r;
	if (!net->bridge || !net->tunnel)
		r = make_devices(net, m, err);
	if (!r)
		r = restore_mac(net, err);
	m->bridge = net->bridge;
	if (!r)
		r = each_endpoint(net, m);
	return r ? r : restore_addresses(net, m, err);
}

void network_mend(struct network *net)
{
	struct fl_error err = { 0 };
	struct mending m = { .a = net->a, .err = &err };
	int r = net->announced && net->rec.mode == FL_REC_L2 ? mend(net, &m, &err) : 0;

	/* Without a record of the network there are no containers either. */
	if (r && r != -ENOENT)
		say("network %s: what somebody changed cannot be mended: %s; the next ADD tries "
		    "again",
		    net->rec.name, err.text);
}
