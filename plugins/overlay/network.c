/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the node has of the network: the way to the others, bridge and tunnel, addresses. */
#include "overlay.h"

#include "base/strbuf.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <string.h>

#define IPV6_MTU_MIN 1280 /* RFC 8200 section 5 */

uint64_t overlay_hash(uint64_t h, const void *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
	return h;
}

/*
 * While it has containers here, a network is not another one of the same name: their addresses are
 * of that one.
 */
static int refuse_other(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_network net;
	int r = fl_txn_begin(c->store, false, &t, err);

	if (!r)
		r = fl_network_get(t, c->net.name, c->net.driver, &net, err);
	if (r || !strcmp(net.cluster, c->net.cluster))
		return r == -ENOENT ? 0 : r;
	r = fl_network_in_use(t, net.name, net.driver, NULL, err);
	if (r <= 0)
		return r;
	return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
			    "network %s: its containers on this node are in %s network of this "
			    "name; delete them first",
			    c->net.name, *net.cluster ? "the cluster's former" : "a static");
}

int overlay_prepare(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	int r;

	fl_network_made_add(&c->net, "link", c->net.tunnel);
	fl_network_made_add(&c->net, "link", c->net.link);
	r = conf->mode->prepare(c, err);
	return r || c->req.verb != FL_VERB_ADD ? r : refuse_other(c, err);
}

/* ---- when addresses are known ---- */

struct overlap {
	struct fl_call *c;
	struct fl_error *err;
};

/* The host has one route to a subnet: the second network's containers would never get an answer. */
static int see_network(void *arg, const struct fl_network *net)
{
	const struct overlap *o = arg;
	struct fl_call *c = o->c;

	if ((net->internal && !net->tunnel_routed) || net->direct ||
	    !strcmp(net->name, c->net.name))
		return 0;
	for (uint32_t i = 0; i < net->n_subnets; i++)
		for (uint32_t k = 0; k < c->ep.n_addrs; k++)
			if (fl_prefix_overlaps(&net->subnets[i], &c->ep.addrs[k]))
				return fl_error_set(
					o->err, EADDRINUSE, FL_ECODE_CONFLICT,
					"network %s: its subnet %s overlaps with %s of network %s "
					"on this node; only internal networks may",
					c->net.name,
					fl_prefix_str(
						&(struct fl_prefix){
							fl_prefix_masked(&c->ep.addrs[k]).addr,
							c->ep.addrs[k].len },
						FL_PREFIX_BUF),
					fl_prefix_str(&net->subnets[i], FL_PREFIX_BUF), net->name);
	return 0;
}

/* The node's own address in this subnet, or NULL. */
static const struct fl_prefix *node_in(const struct overlay_conf *conf, const struct fl_prefix *net)
{
	for (size_t i = 0; i < conf->node.n; i++)
		if (fl_prefix_same_net(&conf->node.v[i], net))
			return &conf->node.v[i];
	return NULL;
}

static int settle_gateway(struct fl_call *c, struct fl_result_ip *ip, struct fl_error *err)
{
	struct fl_prefix net = fl_prefix_masked(&ip->address);
	const struct fl_prefix *node = node_in(c->conf, &net);

	if (!node)
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"nodeAddress: expected an address of this node in the subnet %s "
			"with its prefix length",
			fl_prefix_str(&net, FL_PREFIX_BUF));
	if (fl_addr_eq(&node->addr, &ip->address.addr))
		return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT,
				    "nodeAddress: %s is the container's",
				    fl_addr_str(&node->addr, FL_ADDR_BUF));
	if (!fl_addr_is_set(&ip->gateway))
		ip->gateway = fl_addr_add(net.addr, 1);
	if (!fl_addr_eq(&ip->gateway, &node->addr))
		fl_network_add_anycast(&c->net, &ip->gateway);
	return 0;
}

/* What leads to the other nodes must not lead into the network itself. */
static int check_vteps(const struct fl_call *c, const struct fl_prefix *subnet,
		       struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;

	for (size_t i = 0; i < conf->n_peers; i++)
		if (fl_prefix_contains(subnet, &conf->peers[i].vtep))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "peers[%zu]: %s lies in the network's own subnet", i,
					    fl_addr_str(&conf->peers[i].vtep, FL_ADDR_BUF));
	return 0;
}

/*
 * The same for this address on every node and at any time, so that no neighbour's cache is ever
 * wrong: nothing announces a container before its port forwards. docs/decisions/0010.
 */
static struct fl_mac mac_for(const struct fl_call *c, const struct fl_addr *a)
{
	const struct overlay_conf *conf = c->conf;
	uint64_t h = overlay_hash(OVERLAY_HASH_START, &conf->vni, sizeof(conf->vni));
	struct fl_mac m;

	h = overlay_hash(h, c->net.name, strlen(c->net.name) + 1);
	h = overlay_hash(h, a->b, fl_addr_len(a));
	for (int i = 0; i < 6; i++)
		m.b[i] = (uint8_t)(h >> (8 * i));
	m.b[0] = (uint8_t)((m.b[0] & 0xfc) | 0x02); /* unicast, locally administered */
	return m;
}

int overlay_settle(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct overlap o = { c, err };
	int r = 0;

	if (!c->mac_chosen && c->ep.n_addrs)
		c->ep.mac = mac_for(c, &c->ep.addrs[0].addr);
	for (size_t i = 0; i < c->ipam_result.n_ips && overlay_has_host(conf) && !r; i++) {
		r = settle_gateway(c, &c->ipam_result.ips[i], err);
		if (!r)
			r = check_vteps(c, &c->ipam_result.ips[i].address, err);
	}
	return r || !overlay_has_host(conf) ? r : fl_networks_each(t, see_network, &o, err);
}

/* ---- bridge and tunnel ---- */

struct asking {
	const char *ifname;
	const struct fl_network *self;
	char *network;
	size_t size;
};

static int lists_link(void *arg, const struct fl_network *net)
{
	const struct asking *a = arg;

	if (!strcmp(net->name, a->self->name) || !fl_network_made_has(net, "link", a->ifname))
		return 0;
	fl_strcpy(a->network, a->size, net->name);
	return 1;
}

static int owner_of(void *arg, const char *ifname, char *network, size_t size)
{
	struct fl_call *c = arg;
	struct asking a = { ifname, &c->net, network, size };
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_txn_begin(c->store, false, &t, NULL);

	return r ? r : fl_networks_each(t, lists_link, &a, NULL);
}

static struct fl_dataplane dataplane_of(const struct fl_call *c)
{
	const struct overlay_conf *conf = c->conf;

	return (struct fl_dataplane){ .network = c->net.name,
				      .link = c->net.link,
				      .tunnel = c->net.tunnel,
				      .stamp = conf->mode->stamp(conf) };
}

static int make(struct fl_call *c, struct fl_link *bridge, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	const struct fl_vxlan_owner owner = { owner_of, c };
	FL_AUTOFREE struct fl_addr *flood = NULL;
	struct fl_dataplane d = dataplane_of(c);
	int r = conf->mode->plan(c, &d, &flood, err);

	return r ? r : fl_dataplane_ensure(c->host, &d, &owner, bridge, err);
}

static bool has_ipv6(const struct fl_call *c)
{
	bool found = false;

	for (uint32_t i = 0; i < c->net.n_subnets; i++)
		found |= c->net.subnets[i].addr.family == AF_INET6;
	return found;
}

int overlay_network_create(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	const struct fl_dataplane d = dataplane_of(c);
	struct fl_link bridge, tunnel;
	bool settled;
	int r = fl_link_find(c->host, c->net.link, &bridge, err);

	if (r > 0)
		r = fl_link_find(c->host, c->net.tunnel, &tunnel, err);
	settled = r > 0 && fl_dataplane_settled(&bridge, &tunnel, conf->routed, d.stamp) &&
		  conf->mode->same_underlay(c, &tunnel);
	if (r >= 0 && !settled)
		r = make(c, &bridge, err);
	if (r < 0)
		return r;
	c->link_index = bridge.index;
	/* 127.0.0.1:PORT is sent into the bridge with a loopback source before NAT. */
	if (!bridge.route_localnet && !conf->internal)
		r = fl_host_sysctl("1", err, "net/ipv4/conf/%s/route_localnet", c->net.link);
	if (r >= 0)
		r = fl_result_add_interface(&c->result, c->net.link, &bridge.mac, NULL, bridge.mtu);
	if (r >= 0 && !settled && overlay_has_host(conf) && has_ipv6(c))
		r = fl_expect_link_local(c, c->net.link, bridge.index, err);
	if (r >= 0 && conf->routed)
		r = overlay_routed_create(c, !settled, err);
	if (r >= 0 && !settled)
		r = fl_dataplane_settle(c->host, &d, err);
	return r < 0 ? r : 0;
}

/* Both at the price of one, because the write lock is held meanwhile. */
int overlay_network_delete(struct fl_call *c, struct fl_txn *t, const struct fl_network *net,
			   struct fl_error *err)
{
	char other[FL_NAME_MAX + 1];
	struct asking a = { net->tunnel, net, other, sizeof(other) };
	int r = net->tunnel[0] ? fl_networks_each(t, lists_link, &a, err) : 1;

	if (!r)
		r = fl_dataplane_remove(c->host, net->link, net->tunnel, err);
	return r < 0 ? r : fl_parent_network_delete(c, t, net, err);
}

int overlay_network_unknown(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	char link[IFNAMSIZ], tunnel[IFNAMSIZ];

	(void)t;
	/* The configuration may have been refused before it came to the names. */
	fl_network_link_name(c, "flo", link);
	fl_network_link_name(c, "flx", tunnel);
	return fl_dataplane_remove_unused(c->host, link, tunnel, err);
}

/* ---- addresses ---- */

/* Where the host routes, routes lead to blocks, and none to the subnet. */
static struct overlay_address address_of_node(const struct overlay_conf *conf,
					      const struct fl_prefix *node)
{
	struct overlay_address a = { *node, .of_tunnel = conf->routed };

	if (conf->routed)
		a.prefix.len = (uint8_t)fl_addr_bits(&node->addr);
	return a;
}

size_t overlay_addresses(const struct fl_call *c, struct overlay_address *ret)
{
	const struct overlay_conf *conf = c->conf;
	size_t n = 0;

	if (!overlay_has_host(conf))
		return 0;
	/* First: what the host sends into the network has this source. With the gateway's, the
	 * other nodes would answer themselves. */
	for (uint32_t i = 0; i < c->net.n_subnets; i++) {
		const struct fl_prefix *node = node_in(conf, &c->net.subnets[i]);

		if (node)
			ret[n++] = address_of_node(conf, node);
	}
	for (uint32_t i = 0; i < c->net.n_anycast; i++)
		ret[n++] = (struct overlay_address){ c->net.anycast[i], .anycast = true };
	return n;
}

struct former {
	const struct fl_prefix *node; /* with its subnet's length */
	uint8_t len;		      /* that it has there */
	struct fl_prefix found[4];
	size_t n;
};

/* An address that the node had in this subnet before its configuration was changed. */
static int see_former(void *arg, const struct fl_ifaddr *a)
{
	struct former *f = arg;

	if (a->prefix.len == f->len && fl_prefix_contains(f->node, &a->prefix.addr) &&
	    !fl_addr_eq(&a->prefix.addr, &f->node->addr) && f->n < FL_ARRAY_SIZE(f->found))
		f->found[f->n++] = a->prefix;
	return 0;
}

static int add_node_address(struct fl_call *c, uint32_t index, const struct fl_prefix *node,
			    uint8_t len, struct fl_error *err)
{
	const struct fl_prefix p = { node->addr, len };
	struct former f = { .node = node, .len = len };
	int r = fl_ifaddrs_each(c->host, index, see_former, &f, err);

	for (size_t i = 0; i < f.n && !r; i++)
		r = fl_ifaddr_del(c->host, index, &f.found[i], err);
	if (!r)
		r = fl_ifaddr_add(c->host, index, &p, p.addr.family == AF_INET6 ? IFA_F_NODAD : 0,
				  err);
	return r == -EEXIST ? 0 : r;
}

static int add_address(struct fl_call *c, const struct overlay_address *a, struct fl_error *err)
{
	int r;

	if (!a->anycast)
		r = add_node_address(c, c->link_index, &a->prefix, a->prefix.len, err);
	else if (a->prefix.addr.family == AF_INET6)
		r = fl_ifaddr_add_deprecated(c->host, c->link_index, &a->prefix, IFA_F_NODAD, err);
	else
		r = fl_ifaddr_add(c->host, c->link_index, &a->prefix, 0, err);
	return r == -EEXIST ? 0 : r ? fl_error_prefix(err, "bridge %s", c->net.link) : 0;
}

static int enable_family(struct fl_call *c, int family, struct fl_error *err)
{
	uint32_t mtu = c->result.interfaces[0].mtu;
	int r = 0;

	if (family == AF_INET6 && mtu < IPV6_MTU_MIN)
		return fl_error_set(err, EMSGSIZE, FL_ECODE_CONFIG,
				    "network %s: IPv6 needs an MTU of %d, and the way to the other "
				    "nodes leaves %u",
				    c->net.name, IPV6_MTU_MIN, mtu);
	if (family == AF_INET6)
		r = fl_host_sysctl("0", err, "net/ipv6/conf/%s/disable_ipv6", c->net.link);
	return r < 0 ? r : fl_enable_forwarding(c, family, err);
}

/*
 * A host that sends a packet back to where it came from tells its sender to go there directly, for
 * minutes, whatever becomes of the other container meanwhile. It does as long as either of the two
 * switches says so; the other interfaces keep their own.
 */
static int disable_redirects(struct fl_call *c, struct fl_error *err)
{
	int r = fl_host_sysctl("0", err, "net/ipv4/conf/all/send_redirects");

	return r < 0 ? r : fl_host_sysctl("0", err, "net/ipv4/conf/%s/send_redirects", c->net.link);
}

/* A link that is set down loses its addresses, but these, and with them the agent's routes. */
static int enable_tunnel6(struct fl_call *c, struct fl_error *err)
{
	const char *const links[] = { c->net.link, c->net.tunnel };
	int r = fl_host_sysctl("0", err, "net/ipv6/conf/%s/disable_ipv6", c->net.tunnel);

	for (size_t i = 0; i < FL_ARRAY_SIZE(links) && r >= 0; i++)
		r = fl_host_sysctl("1", err, "net/ipv6/conf/%s/keep_addr_on_down", links[i]);
	return r;
}

/* The agent's routes are made before the container's addresses are known, in both families. */
int overlay_routed_create(struct fl_call *c, bool made, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct fl_link tunnel;
	int r = fl_link_get(c->host, c->net.tunnel, &tunnel, err);

	if (r >= 0 && made)
		r = disable_redirects(c, err);
	/* A host's own connection to 127.0.0.1:PORT may go to another node's container. */
	if (r >= 0 && made && !conf->internal)
		r = fl_host_sysctl("1", err, "net/ipv4/conf/%s/route_localnet", c->net.tunnel);
	for (size_t i = 0; i < conf->node.n && r >= 0; i++) {
		const struct fl_prefix *node = &conf->node.v[i];
		int family = node->addr.family;

		if (made && family == AF_INET6)
			r = enable_tunnel6(c, err);
		if (r >= 0 && made)
			r = enable_family(c, family, err);
		if (r >= 0)
			r = add_node_address(c, tunnel.index, node,
					     (uint8_t)fl_addr_bits(&node->addr), err);
	}
	return r < 0 ? r : 0;
}

int overlay_network_address(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct overlay_address list[OVERLAY_ADDRESSES_MAX];
	unsigned families = fl_endpoint_families(&c->ep);
	size_t n = overlay_addresses(c, list);
	int r = 0;

	/* Where the host routes, the rest is there: overlay_routed_create(). */
	for (size_t i = 0; i < n && conf->routed && !r; i++)
		r = list[i].of_tunnel ? 0 : add_address(c, &list[i], err);
	if (conf->internal || conf->routed)
		return r;
	if (families & FL_FAMILY_V4)
		r = enable_family(c, AF_INET, err);
	if (r >= 0 && families & FL_FAMILY_V6)
		r = enable_family(c, AF_INET6, err);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = add_address(c, &list[i], err);
	return r < 0 ? r : 0;
}
