/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bridge itself: made when absent, its gateway addresses, the host's forwarding. */
#include "bridge.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <string.h>

static int wrong_kind(const struct fl_link *l, struct fl_error *err)
{
	return fl_error_set(err, EEXIST, FL_ECODE_CONFIG,
			    "bridge: \"%s\" exists and is %s%s, not a bridge; choose another name",
			    l->name, *l->kind ? "of kind " : "a physical interface", l->kind);
}

static bool wants_vlans(const struct bridge_conf *conf)
{
	return conf->vlan || conf->trunk.n;
}

static int no_vlans(const struct bridge_conf *conf, struct fl_error *err)
{
	return fl_error_set(
		err, EOPNOTSUPP, FL_ECODE_KERNEL,
		"%s: this kernel has no bridge VLAN filtering (CONFIG_BRIDGE_VLAN_FILTERING)",
		conf->vlan ? "vlan" : "vlanTrunk");
}

/* Before it is up. Without IPv6 in the kernel there are no such keys. */
static int set_sysctls(const char *bridge, struct fl_error *err)
{
	/* Advertisements of a container must not configure the host. */
	int r = fl_host_sysctl("0", err, "net/ipv6/conf/%s/accept_ra", bridge);

	/* A tentative link-local address cannot ask for neighbours: the first packet would wait two
	 * seconds. */
	if (r >= 0)
		r = fl_host_sysctl("0", err, "net/ipv6/conf/%s/accept_dad", bridge);
	return r < 0 && r != -ENOENT ? r : 0;
}

/* Its MAC is given: a bridge without one takes the lowest of its ports', and changes when they do.
 */
static int make(struct fl_call *c, struct fl_link *l, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	struct fl_bridge_spec spec = { .name = conf->bridge,
				       .mac = fl_mac_random(),
				       .mtu = (uint32_t)conf->mtu,
				       .vlan_filtering = wants_vlans(conf),
				       .no_default_vlan =
					       wants_vlans(conf) && !conf->preserve_default_vlan };
	int r = fl_bridge_create(c->host, &spec, err);

	if (r == -EOPNOTSUPP && wants_vlans(conf))
		return no_vlans(conf, err);
	if (r && r != -EEXIST)
		return r;
	c->created_network = !r;
	if (!r)
		r = set_sysctls(conf->bridge, err);
	else
		r = 0;
	if (r)
		return r;
	return fl_link_get(c->host, conf->bridge, l, err);
}

static int ensure_bridge(struct fl_call *c, struct fl_link *l, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	int r = fl_link_get(c->host, conf->bridge, l, err);

	if (r == -ENODEV)
		r = make(c, l, err);
	if (r)
		return r;
	if (strcmp(l->kind, "bridge"))
		return wrong_kind(l, err);
	if (wants_vlans(conf) && !l->knows_vlans)
		return no_vlans(conf, err);
	if (wants_vlans(conf) && !l->vlan_filtering)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "bridge %s: vlan needs VLAN filtering on it, and it was "
				    "created without: set it, or choose another bridge",
				    conf->bridge);
	if (!(l->flags & IFF_UP))
		r = fl_link_set_up(c->host, l->index, true, err);
	if (!r && conf->promisc && !(l->flags & IFF_PROMISC))
		r = fl_link_set_promisc(c->host, l->index, true, err);
	return r;
}

/* ---- gateway addresses ---- */

struct gateways {
	struct fl_prefix want[FL_ENDPOINT_ADDRS];
	bool have[FL_ENDPOINT_ADDRS];
	size_t n;
	struct fl_prefix foreign; /* an address in the way, if any */
	bool force;
	struct fl_prefix drop[8];
	size_t n_drop;
};

static int see_address(void *arg, const struct fl_ifaddr *a)
{
	struct gateways *g = arg;
	bool clash = false;

	for (size_t i = 0; i < g->n; i++) {
		const struct fl_prefix *w = &g->want[i];

		if (w->addr.family != a->prefix.addr.family)
			continue;
		if (w->len == a->prefix.len && fl_addr_eq(&w->addr, &a->prefix.addr)) {
			g->have[i] = true;
			return 0;
		}
		/* One IPv4 network a bridge; IPv6 networks side by side as long as they do not
		 * overlap. */
		clash |= w->addr.family == AF_INET || fl_prefix_overlaps(w, &a->prefix);
	}
	if (!clash || (a->prefix.addr.family == AF_INET6 && fl_addr_is_linklocal(&a->prefix.addr)))
		return 0;
	g->foreign = a->prefix;
	if (g->n_drop < FL_ARRAY_SIZE(g->drop))
		g->drop[g->n_drop++] = a->prefix;
	return 0;
}

static int settle_foreign(struct fl_call *c, const struct gateways *g, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	int r = 0;

	if (!g->n_drop)
		return 0;
	if (!conf->force_address)
		return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFIG,
				    "\"%s\" already has an IP address different from %s: it has "
				    "%s; set forceAddress to replace it",
				    conf->bridge, fl_prefix_str(&g->want[0], FL_PREFIX_BUF),
				    fl_prefix_str(&g->foreign, FL_PREFIX_BUF));
	for (size_t i = 0; i < g->n_drop && !r; i++)
		r = fl_ifaddr_del(c->host, c->link_index, &g->drop[i], err);
	return r;
}

static void collect_gateways(struct fl_call *c, struct gateways *g)
{
	for (size_t i = 0; i < c->ipam_result.n_ips && g->n < FL_ENDPOINT_ADDRS; i++) {
		struct fl_result_ip *ip = &c->ipam_result.ips[i];
		struct fl_prefix net = fl_prefix_masked(&ip->address);
		bool twice = false;

		if (!fl_addr_is_set(&ip->gateway))
			ip->gateway = fl_addr_add(net.addr, 1);
		for (size_t k = 0; k < g->n; k++)
			twice |= fl_addr_eq(&g->want[k].addr, &ip->gateway);
		if (!twice)
			g->want[g->n++] = (struct fl_prefix){ ip->gateway, ip->address.len };
	}
}

static int ensure_gateways(struct fl_call *c, struct fl_error *err)
{
	struct gateways g = { 0 };
	int r;

	collect_gateways(c, &g);
	if (!g.n)
		return 0;
	r = fl_ifaddrs_each(c->host, c->link_index, see_address, &g, err);
	if (!r)
		r = settle_foreign(c, &g, err);
	for (size_t i = 0; i < g.n && !r; i++) {
		if (g.have[i])
			continue;
		r = fl_ifaddr_add(c->host, c->link_index, &g.want[i],
				  g.want[i].addr.family == AF_INET6 ? IFA_F_NODAD : 0, err);
		if (r == -EEXIST) /* another first ADD was quicker */
			r = 0;
		else if (r)
			fl_error_prefix(err, "bridge %s", c->net.link);
	}
	return r;
}

static int enable_families(struct fl_call *c, struct fl_error *err)
{
	bool done[2] = { false, false };
	int r = 0;

	for (size_t i = 0; i < c->ipam_result.n_ips && r >= 0; i++) {
		int family = c->ipam_result.ips[i].address.addr.family;

		if (done[family == AF_INET6])
			continue;
		done[family == AF_INET6] = true;
		if (family == AF_INET6 && c->created_network) {
			r = fl_host_sysctl("0", err, "net/ipv6/conf/%s/disable_ipv6", c->net.link);
			if (r >= 0)
				r = fl_expect_link_local(c, c->net.link, c->link_index, err);
		}
		if (r >= 0 && !c->net.internal)
			r = fl_enable_forwarding(c, family, err);
	}
	return r < 0 ? r : 0;
}

int bridge_network_create(struct fl_call *c, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	struct fl_link l;
	int r = ensure_bridge(c, &l, err);

	if (r)
		return r;
	c->link_index = l.index;
	/*
	 * 127.0.0.1:PORT on the host is sent into the bridge with a loopback source before NAT. The
	 * skeleton's first rule keeps everybody else from 127/8.
	 */
	if (!l.route_localnet && (c->ep.n_ports || (conf->is_gateway && !conf->internal)))
		r = fl_host_sysctl("1", err, "net/ipv4/conf/%s/route_localnet", conf->bridge);
	if (r >= 0)
		r = fl_result_add_interface(&c->result, conf->bridge, &l.mac, NULL, l.mtu);
	return r < 0 ? r : 0;
}

int bridge_network_address(struct fl_call *c, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	int r = conf->is_gateway ? enable_families(c, err) : 0;

	return r || !conf->is_gateway ? r : ensure_gateways(c, err);
}

static int uses_link(void *arg, const struct fl_network *net)
{
	return !strcmp(net->link, arg);
}

/* The bridge goes only while no network of the store names it: asked under the write lock. */
void bridge_network_undo(struct fl_call *c)
{
	FL_AUTOTXN struct fl_txn *t = NULL;

	if (c->created_network && !fl_txn_begin(c->store, true, &t, NULL) &&
	    !fl_networks_each(t, uses_link, c->net.link, NULL))
		fl_link_del(c->host, c->net.link, NULL);
}

int bridge_status(struct fl_call *c, struct fl_error *err)
{
	const struct bridge_conf *conf = c->conf;
	struct fl_link l;
	int r = fl_link_get(c->host, conf->bridge, &l, err);

	if (r == -ENODEV)
		return 0;
	if (!r && !strcmp(l.kind, "bridge"))
		return wants_vlans(conf) && !l.knows_vlans ? no_vlans(conf, err) : 0;
	if (r)
		return r;
	wrong_kind(&l, err);
	err->code = FL_ECODE_NOT_AVAILABLE;
	return err->err;
}
