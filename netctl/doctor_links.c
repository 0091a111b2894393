/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bridges with their addresses, and the ports of containers in them. */
#include "netctl/doctor.h"

#include "base/strbuf.h"
#include "nl/virtual.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <string.h>

/* ---- what there should be ---- */

/* Its configuration as it is now; NULL: there is none. */
static json_t *config_of(const struct doctor *d, const struct fl_network *net)
{
	const struct conflist *file = conflists_find(&d->files, net->name);
	json_t *main = file ? conflist_main(file) : NULL;
	const char *type = json_string_value(json_object_get(main, "type"));

	return type && !strcmp(type, "bridge") ? main : NULL;
}

static bool flag_of(const json_t *config, const char *key)
{
	return json_is_true(fl_json_get(config, key));
}

/* The gateway that a range of this subnet names. */
static bool named_in(const json_t *range, const struct fl_prefix *subnet, struct fl_addr *ret)
{
	const char *text = json_string_value(fl_json_get(range, "subnet")),
		   *gateway = json_string_value(fl_json_get(range, "gateway"));
	struct fl_prefix p;

	return text && gateway && !fl_prefix_parse(text, &p) && fl_prefix_same_net(&p, subnet) &&
	       !fl_addr_parse(gateway, ret);
}

static struct fl_prefix gateway_of(const json_t *config, const struct fl_prefix *subnet)
{
	const json_t *ipam = fl_json_get(config, "ipam"), *set, *range;
	struct fl_prefix first = fl_prefix_masked(subnet);
	struct fl_prefix gw = { fl_addr_add(first.addr, 1), subnet->len };
	size_t i, k;

	if (!json_is_object(ipam) || named_in(ipam, subnet, &gw.addr))
		return gw;
	json_array_foreach(fl_json_get(ipam, "ranges"), i, set)
	{
		json_array_foreach(set, k, range)
		{
			if (named_in(range, subnet, &gw.addr))
				return gw;
		}
	}
	return gw;
}

/*
 * Addresses that the bridge has for its network. Without the configuration it is a guess, and only
 * for what routes out.
 */
static size_t gateways_of(const struct doctor *d, const struct fl_network *net,
			  struct fl_prefix *out, bool *sure)
{
	const json_t *config = config_of(d, net);
	size_t n = 0;

	*sure = config;
	if (config ? !flag_of(config, "isGateway") && !flag_of(config, "isDefaultGateway")
		   : !net->masquerade)
		return 0;
	for (uint32_t i = 0; i < net->n_subnets; i++)
		out[n++] = gateway_of(config, &net->subnets[i]);
	return n;
}

static unsigned port_flags(const struct doctor *d, const struct fl_network *net,
			   const struct fl_endpoint *ep)
{
	const json_t *config = config_of(d, net);
	unsigned flags = 0;

	if (flag_of(config, "hairpinMode") || (ep->n_ports && !flag_of(config, "promiscMode")))
		flags |= FL_PORT_HAIRPIN;
	if (net->no_icc || flag_of(config, "portIsolation"))
		flags |= FL_PORT_ISOLATED;
	return flags;
}

/* VLANs of ports are in no record. */
static bool has_vlans(const json_t *config)
{
	return fl_json_get(config, "vlan") || fl_json_get(config, "vlanTrunk");
}

/* ---- ports ---- */

static int plug_in(struct doctor *d, const struct fl_network *net, const struct fl_endpoint *ep,
		   uint32_t bridge, struct fl_error *err)
{
	const struct fl_link *l = host_end(d, ep);
	unsigned flags = port_flags(d, net, ep);
	int r = l ? fl_link_set_master(d->c->host, l->index, bridge, err) : 0;

	if (r || !l)
		return r;
	if (flags)
		r = fl_link_set_port_flags(d->c->host, l->index, flags, err);
	return r ? r : fl_link_set_up(d->c->host, l->index, true, err);
}

static int mend_port(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	struct fl_link bridge;
	int r = fl_link_get(d->c->host, f->net->link, &bridge, err);

	return r ? r : plug_in(d, f->net, f->ep, bridge.index, err);
}

static int mend_up(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	return fl_link_set_up(d->c->host, f->index, true, err);
}

static int mend_flags(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	return fl_link_set_port_flags(d->c->host, f->index, port_flags(d, f->net, f->ep), err);
}

static void check_flags(struct doctor *d, const struct fl_network *net,
			const struct fl_endpoint *ep, const struct fl_link *l)
{
	unsigned lost = port_flags(d, net, ep) & ~l->port_flags;
	struct finding *f;

	/* Without the configuration it may be that promiscMode does its work. */
	if (!config_of(d, net))
		lost &= ~(unsigned)FL_PORT_HAIRPIN;
	if (!lost)
		return;
	f = find(d, "port-flags", SEVERITY_ERROR, ENDPOINT_OBJECT(ep),
		 lost & FL_PORT_ISOLATED
			 ? "its host interface %s is not isolated any more: others reach it"
			 : "its host interface %s has lost its hairpin flag: it does not reach "
			   "itself by a published port",
		 l->name);
	remedy(f, "bridge link set dev %s%s%s", l->name,
	       lost & FL_PORT_ISOLATED ? " isolated on" : "",
	       lost & FL_PORT_HAIRPIN ? " hairpin on" : "");
	f->net = net;
	f->ep = ep;
	f->index = l->index;
	mend(f, STAGE_LINK, mend_flags);
}

static void check_port(struct doctor *d, const struct fl_network *net, const struct fl_endpoint *ep,
		       const struct fl_link *l)
{
	const struct fl_link *bridge = host_link(d, net->link);
	struct finding *f;

	/* Without its bridge it is mended with that. */
	if (!bridge || strcmp(bridge->kind, "bridge") != 0)
		return;
	if (l->master != bridge->index) {
		f = find(d, "port-detached", SEVERITY_ERROR, ENDPOINT_OBJECT(ep),
			 "its host interface %s is not a port of bridge %s", l->name, net->link);
		remedy(f, "ip link set %s master %s", l->name, net->link);
		f->net = net;
		f->ep = ep;
		if (!has_vlans(config_of(d, net)))
			mend(f, STAGE_LINK, mend_port);
		return;
	}
	check_flags(d, net, ep, l);
	if (l->mtu > bridge->mtu) {
		f = find(d, "mtu-port", SEVERITY_WARNING, ENDPOINT_OBJECT(ep),
			 "its host interface %s has MTU %u, and bridge %s %u: what is larger is "
			 "dropped",
			 l->name, l->mtu, bridge->name, bridge->mtu);
		remedy(f, "ip link set %s mtu %u", bridge->name, l->mtu);
	}
}

static void check_end(struct doctor *d, const struct fl_endpoint *ep)
{
	const struct fl_link *l = ep->state == FL_STATE_READY ? host_end(d, ep) : NULL;
	const struct fl_network *net = l ? model_network(&d->m, ep) : NULL;
	struct finding *f;

	if (!l)
		return;
	if (!(l->flags & IFF_UP)) {
		f = find(d, "port-down", SEVERITY_ERROR, ENDPOINT_OBJECT(ep),
			 "its host interface %s is down", l->name);
		remedy(f, "ip link set %s up", l->name);
		f->index = l->index;
		mend(f, STAGE_LINK, mend_up);
	}
	if (net && is_bridged(net))
		check_port(d, net, ep, l);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Is the link one of our networks' bridges? */
static const struct fl_network *network_of_bridge(const struct doctor *d, uint32_t index)
{
	const struct fl_link *l = host_link_index(d, index);

	for (size_t i = 0; l && i < d->m.n_networks; i++)
		if (is_bridged(&d->m.networks[i]) && !strcmp(d->m.networks[i].link, l->name))
			return &d->m.networks[i];
	return NULL;
}

/* veths in our bridges that no record knows. */
static int check_orphans(struct doctor *d, struct fl_error *err)
{
	FL_AUTOFREE uint32_t *known = calloc(d->m.n_endpoints + 1, sizeof(*known));
	const struct fl_network *net = NULL;
	uint32_t last = 0;
	size_t n = 0;

	if (!known)
		return fl_error_oom(err);
	for (size_t i = 0; i < d->m.n_endpoints; i++) {
		const struct fl_link *l = host_end(d, &d->m.endpoints[i]);

		if (l)
			known[n++] = l->index;
	}
	qsort(known, n, sizeof(*known), by_number);
	for (size_t i = 0; i < d->n_links; i++) {
		const struct fl_link *l = &d->links[i];

		if (!l->master || strncmp(l->name, "veth", 4) != 0 ||
		    bsearch(&l->index, known, n, sizeof(*known), by_number))
			continue;
		if (l->master != last)
			net = network_of_bridge(d, l->master);
		last = l->master;
		if (net)
			remedy(find(d, "port-unknown", SEVERITY_WARNING, l->name,
				    "it is a port of bridge %s, and of no container that is "
				    "recorded",
				    net->link),
			       "ip link del %s", l->name);
	}
	return 0;
}

int check_ports(struct doctor *d, struct fl_error *err)
{
	for (size_t i = 0; i < d->m.n_endpoints; i++)
		check_end(d, &d->m.endpoints[i]);
	return check_orphans(d, err);
}

/* ---- bridges ---- */

/* Keys that are not there (no IPv6) need no value. */
static void set_sysctl(const char *family, const char *link, const char *key, const char *value)
{
	char name[128];

	snprintf(name, sizeof(name), "net/%s/conf/%s/%s", family, link, key);
	fl_sysctl_write(name, value, NULL, 0, NULL);
}

/* As its plugin does it, before it is up. */
static void settle_sysctls(const struct fl_network *net, size_t n_gateways)
{
	set_sysctl("ipv6", net->link, "accept_ra", "0");
	set_sysctl("ipv6", net->link, "accept_dad", "0");
	if (!n_gateways)
		return;
	if (!net->internal)
		set_sysctl("ipv4", net->link, "route_localnet", "1");
	set_sysctl("ipv6", net->link, "disable_ipv6", "0");
	/* Containers know the old bridge's MAC address. */
	set_sysctl("ipv4", net->link, "arp_notify", "1");
	set_sysctl("ipv6", net->link, "ndisc_notify", "1");
}

static int add_gateways(struct doctor *d, const struct fl_prefix *gw, size_t n, uint32_t bridge,
			struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++) {
		r = fl_ifaddr_add(d->c->host, bridge, &gw[i],
				  gw[i].addr.family == AF_INET6 ? IFA_F_NODAD : 0, err);
		if (r == -EEXIST)
			r = 0;
	}
	return r;
}

static int plug_in_all(struct doctor *d, const char *link, uint32_t bridge, struct fl_error *err)
{
	int first = 0;

	for (size_t i = 0; i < d->m.n_endpoints; i++) {
		const struct fl_endpoint *ep = &d->m.endpoints[i];
		const struct fl_network *net =
			*ep->link && ep->state == FL_STATE_READY ? model_network(&d->m, ep) : NULL;
		int r = net && is_bridged(net) && !strcmp(net->link, link)
				? plug_in(d, net, ep, bridge, first ? NULL : err)
				: 0;

		first = first ? first : r;
	}
	return first;
}

/* Networks may share it. */
static int add_all_gateways(struct doctor *d, const char *link, uint32_t bridge,
			    struct fl_error *err)
{
	struct fl_prefix gw[FL_NETWORK_SUBNETS];
	int r = 0;
	bool sure;

	for (size_t i = 0; i < d->m.n_networks && !r; i++) {
		const struct fl_network *net = &d->m.networks[i];
		size_t n;

		if (!is_bridged(net) || strcmp(net->link, link) != 0)
			continue;
		n = gateways_of(d, net, gw, &sure);
		settle_sysctls(net, n);
		r = add_gateways(d, gw, n, bridge, err);
	}
	return r;
}

static int make_bridge(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	const struct fl_network *net = f->net;
	const json_t *config = config_of(d, net);
	struct fl_bridge_spec spec = {
		.name = net->link,
		.mac = fl_mac_random(),
		.mtu = (uint32_t)json_integer_value(fl_json_get(config, "mtu")),
	};
	struct fl_link bridge;
	int r = fl_bridge_create(d->c->host, &spec, err);

	if (r && r != -EEXIST)
		return r;
	r = fl_link_get(d->c->host, net->link, &bridge, err);
	if (!r)
		r = add_all_gateways(d, net->link, bridge.index, err);
	if (!r)
		r = plug_in_all(d, net->link, bridge.index, err);
	if (!r && flag_of(config, "promiscMode"))
		r = fl_link_set_promisc(d->c->host, bridge.index, true, err);
	return r ? r : fl_link_set_up(d->c->host, bridge.index, true, err);
}

static int mend_gateway(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	struct fl_link bridge;
	int r = fl_link_get(d->c->host, f->net->link, &bridge, err);

	return r ? r : add_gateways(d, &f->prefix, 1, bridge.index, err);
}

static int drop_address(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	return fl_ifaddr_del(d->c->host, f->index, &f->prefix, err);
}

/* ---- addresses of a bridge ---- */

/* An address of any network on this bridge. */
static bool is_gateway(const struct doctor *d, const char *link, const struct fl_addr *a)
{
	struct fl_prefix gw[FL_NETWORK_SUBNETS];
	bool sure;

	for (size_t i = 0; i < d->m.n_networks; i++) {
		const struct fl_network *net = &d->m.networks[i];
		size_t n = is_bridged(net) && !strcmp(net->link, link)
				   ? gateways_of(d, net, gw, &sure)
				   : 0;

		while (n--)
			if (fl_addr_eq(&gw[n].addr, a))
				return true;
	}
	return false;
}

static const struct fl_endpoint *holder_of(const struct doctor *d, const struct fl_addr *a)
{
	for (size_t i = 0; i < d->m.n_endpoints; i++)
		for (uint32_t k = 0; k < d->m.endpoints[i].n_addrs; k++)
			if (fl_addr_eq(&d->m.endpoints[i].addrs[k].addr, a))
				return &d->m.endpoints[i];
	return NULL;
}

static bool in_subnets(const struct fl_network *net, const struct fl_addr *a)
{
	for (uint32_t i = 0; i < net->n_subnets; i++)
		if (fl_prefix_contains(&net->subnets[i], a))
			return true;
	return false;
}

static void check_foreign(struct doctor *d, const struct fl_network *net,
			  const struct fl_link *bridge, const struct fl_ifaddr *a, bool sure,
			  bool complete)
{
	const struct fl_endpoint *holder;
	struct finding *f;

	if (a->scope != RT_SCOPE_UNIVERSE || is_gateway(d, net->link, &a->prefix.addr))
		return;
	/* Without the configuration it may be the gateway, where the usual one is not there. */
	holder = holder_of(d, &a->prefix.addr);
	if (!sure && !complete && !holder)
		return;
	if (holder)
		f = find(d, "address-duplicate", SEVERITY_ERROR, net->link,
			 "it has the address %s of container %s",
			 fl_prefix_str(&a->prefix, FL_PREFIX_BUF), CONTAINER_LABEL(holder));
	else
		f = find(d, "address-foreign", SEVERITY_WARNING, net->link,
			 "it has the address %s, which is no gateway of network %s",
			 fl_prefix_str(&a->prefix, FL_PREFIX_BUF), net->name);
	remedy(f, "ip addr del %s dev %s", fl_prefix_str(&a->prefix, FL_PREFIX_BUF), net->link);
	f->index = bridge->index;
	f->prefix = a->prefix;
	/* What is outside of our subnets is somebody's own; and a guess is not enough. */
	if ((sure || holder) && in_subnets(net, &a->prefix.addr))
		mend(f, STAGE_ADDRESS, drop_address);
}

static bool has_gateway(const struct fl_ifaddr *addrs, size_t n, const struct fl_prefix *gw,
			bool sure)
{
	for (size_t i = 0; i < n; i++)
		if (sure ? fl_addr_eq(&addrs[i].prefix.addr, &gw->addr)
			 : fl_prefix_contains(gw, &addrs[i].prefix.addr))
			return true;
	return false;
}

static void check_addresses(struct doctor *d, const struct fl_network *net,
			    const struct fl_link *bridge)
{
	struct fl_prefix gw[FL_NETWORK_SUBNETS];
	bool sure;
	size_t n = gateways_of(d, net, gw, &sure), n_addrs;
	const struct fl_ifaddr *addrs = host_addrs(d, bridge->index, &n_addrs);
	bool complete = n;

	for (size_t i = 0; i < n; i++) {
		struct finding *f;

		complete &= has_gateway(addrs, n_addrs, &gw[i], true);

		if (has_gateway(addrs, n_addrs, &gw[i], sure))
			continue;
		f = find(d, "gateway-missing", SEVERITY_ERROR, net->link,
			 "it has lost the gateway's address %s of network %s",
			 fl_prefix_str(&gw[i], FL_PREFIX_BUF), net->name);
		remedy(f, "ip addr add %s dev %s", fl_prefix_str(&gw[i], FL_PREFIX_BUF), net->link);
		f->net = net;
		f->prefix = gw[i];
		mend(f, STAGE_ADDRESS, mend_gateway);
	}
	for (size_t i = 0; i < n_addrs; i++)
		check_foreign(d, net, bridge, &addrs[i], sure, complete);
}

static void bridge_missing(struct doctor *d, const struct fl_network *net)
{
	struct finding *f = find(
		d, "bridge-missing", SEVERITY_ERROR, net->link,
		"the bridge of network %s is not there: its containers are cut off", net->name);

	f->net = net;
	if (has_vlans(config_of(d, net)))
		remedy(f, "attach its containers again: their VLANs are in no record");
	else
		mend(f, STAGE_BRIDGE, make_bridge);
}

static void check_bridge(struct doctor *d, const struct fl_network *net)
{
	const struct fl_link *l = host_link(d, net->link);
	struct finding *f;

	if (!l) {
		bridge_missing(d, net);
		return;
	}
	if (strcmp(l->kind, "bridge") != 0) {
		remedy(find(d, "bridge-kind", SEVERITY_ERROR, net->link,
			    "it is the name of network %s's bridge, and no bridge", net->name),
		       "give it another name, and attach the containers again");
		return;
	}
	if (!(l->flags & IFF_UP)) {
		f = find(d, "bridge-down", SEVERITY_ERROR, net->link,
			 "the bridge of network %s is down", net->name);
		remedy(f, "ip link set %s up", net->link);
		f->index = l->index;
		mend(f, STAGE_LINK, mend_up);
	}
	check_addresses(d, net, l);
}

int check_bridges(struct doctor *d, struct fl_error *err)
{
	(void)err;
	for (size_t i = 0; i < d->m.n_networks; i++)
		if (is_bridged(&d->m.networks[i]))
			check_bridge(d, &d->m.networks[i]);
	return 0;
}
