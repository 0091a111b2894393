/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Overlay networks whose host routes between bridge and tunnel: the addresses of the two, and
 * whether the kernel does send there what is for their containers. Other routes and rules may go
 * before; entries that are missing are doctor_entries.c's.
 */
#include "netctl/cluster_network.h"
#include "netctl/doctor_overlay.h"
#include "netctl/out.h"
#include "netctl/taken.h"
#include "nl/virtual.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* ---- addresses of bridge and tunnel ---- */

struct routes {
	struct fl_nlroute *v;
	size_t n;
};

static int take_route(void *arg, const struct fl_nlroute *r)
{
	struct routes *all = arg;

	if (r->protocol != FL_VXLAN_RTPROT || fl_addr_is_set(&r->src))
		return 0;
	if (array_grow((void **)&all->v, all->n, sizeof(*r)))
		return -ENOMEM;
	all->v[all->n++] = *r;
	return 0;
}

/* IPv6 leaves the routes that had the address as their source, without it. */
static int give_source(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	struct routes all = { 0 };
	int r = fl_routes_each_table(d->c->host, AF_INET6, RT_TABLE_MAIN,
				     host_link(d, f->net->link)->index, take_route, &all, err);

	for (size_t i = 0; !r && i < all.n; i++) {
		all.v[i].src = f->prefix.addr;
		r = fl_route_replace(d->c->host, &all.v[i], err);
	}
	free(all.v);
	return r == -ENOMEM ? fl_error_oom(err) : r;
}

static int give_address(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	bool six = f->prefix.addr.family == AF_INET6;
	bool gateway = f->index == host_link(d, f->net->link)->index;
	int r = six && gateway ? fl_ifaddr_add_deprecated(d->c->host, f->index, &f->prefix,
							  IFA_F_NODAD, err)
			       : fl_ifaddr_add(d->c->host, f->index, &f->prefix,
					       six ? IFA_F_NODAD : 0, err);

	if (r == -EEXIST)
		r = 0;
	if (!r && six && !gateway)
		r = give_source(d, f, err);
	if (r)
		return r;
	/* Routes that have it as their source went with it. */
	return agent_ask_network(d->c, FL_OVERLAY_RESYNC, f->net->name, NULL, err);
}

static void check_address(struct doctor *d, const struct fl_network *net, const struct fl_link *l,
			  const struct fl_prefix *want, const char *whose)
{
	const struct fl_ifaddr *has;
	size_t n;
	char object[256];
	struct finding *f;

	has = host_addrs(d, l->index, &n);
	for (size_t i = 0; i < n; i++)
		if (fl_addr_eq(&has[i].prefix.addr, &want->addr))
			return;
	snprintf(object, sizeof(object), "network %s", net->name);
	f = find(d, "overlay-address-missing", SEVERITY_ERROR, object,
		 "%s has lost %s, %s: what the host sends there has another source, or no answer",
		 l->name, fl_prefix_str(want, FL_PREFIX_BUF), whose);
	remedy(f, "ip addr add %s dev %s", fl_prefix_str(want, FL_PREFIX_BUF), l->name);
	f->net = net;
	f->index = l->index;
	f->prefix = *want;
	mend(f, STAGE_ADDRESS, give_address);
}

static void check_addresses(struct doctor *d, const struct fl_network *net,
			    const struct fl_link *bridge, const struct fl_link *tunnel)
{
	const json_t *one;
	struct fl_prefix p;
	size_t i;

	json_array_foreach(json_object_get(cluster_network(&d->cluster, net->name), "subnets"), i,
			   one)
	{
		if (fl_addr_parse(text_of(one, "node"), &p.addr))
			continue;
		p.len = (uint8_t)fl_addr_bits(&p.addr);
		check_address(d, net, tunnel, &p, "this node's address in the network");
	}
	for (i = 0; i < net->n_anycast; i++)
		check_address(d, net, bridge, &net->anycast[i], "the containers' gateway");
}

static int take_out(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	int r = fl_link_set_master(d->c->host, f->index, 0, err);

	return r ? r : agent_ask_network(d->c, FL_OVERLAY_RESYNC, f->net->name, NULL, err);
}

static void check_place(struct doctor *d, const struct fl_network *net,
			const struct fl_link *tunnel)
{
	char object[256];
	struct finding *f;

	if (!tunnel->master)
		return;
	snprintf(object, sizeof(object), "network %s", net->name);
	f = find(d, "overlay-tunnel", SEVERITY_ERROR, object,
		 "its tunnel %s is a port of a bridge, and the host does not route by it",
		 net->tunnel);
	remedy(f, "ip link set %s nomaster", net->tunnel);
	f->net = net;
	f->index = tunnel->index;
	mend(f, STAGE_LINK, take_out);
}

/* ---- what the kernel does ---- */

struct asking {
	struct doctor *d;
	const struct fl_network *net;
	uint32_t bridge, tunnel;
	struct fl_addr from[2]; /* of a container here, [0] IPv4 */
	size_t n, looks;	/* how often all routes were read */
	struct taken first;
	struct fl_addr addr;
	const json_t *who;
};

/* Every route is read for the first ones alone. */
enum { LOOKS = 16 };

static int look(struct asking *a, struct taken_question *q, struct taken *t, struct fl_error *err)
{
	int r;

	q->brief = a->n || a->looks >= LOOKS;
	r = taken_ask(a->d->c, q, t, err);
	if (r || !t->away)
		return r;
	a->looks += !q->brief;
	return q->brief ? a->n > 0 : !t->missing;
}

/* 1: it goes elsewhere though its route is there. */
static int is_away(struct asking *a, const struct fl_addr *to, bool local, struct taken *t,
		   struct fl_error *err)
{
	struct taken_question q = { .to = *to,
				    .want = local ? a->bridge : a->tunnel,
				    .subnet = taken_subnet(a->net, to) };
	const struct fl_addr *from = &a->from[to->family == AF_INET6];
	int r = look(a, &q, t, err);

	if (r || t->away || local || !fl_addr_is_set(from))
		return r;
	/* Rules may be about what comes out of the bridge alone. */
	q.from = *from;
	q.iif = a->bridge;
	return look(a, &q, t, err);
}

static int ask(struct asking *a, const json_t *who, struct fl_error *err)
{
	const json_t *ip;
	struct fl_addr to;
	size_t i;
	int r = 0;

	if (strcmp(text_of(who, "network"), a->net->name) != 0)
		return 0;
	json_array_foreach(json_object_get(who, "ips"), i, ip)
	{
		struct taken t;

		if (!json_is_string(ip) || fl_addr_parse(json_string_value(ip), &to))
			continue;
		r = is_away(a, &to, is_true(who, "local"), &t, err);
		if (r < 0)
			return r;
		if (r && !a->n++) {
			a->first = t;
			a->addr = to;
			a->who = who;
		}
	}
	return 0;
}

/* A host that forwards nothing would refuse all of them: that is told elsewhere. */
static void choose_from(struct asking *a)
{
	struct fl_error ignored = { 0 };
	bool on[2] = { false, false };

	fl_forwarding_get(a->d->c->host, AF_INET, &on[0], &ignored);
	fl_forwarding_get(a->d->c->host, AF_INET6, &on[1], &ignored);
	for (size_t i = 0; i < a->d->m.n_endpoints; i++) {
		const struct fl_endpoint *ep = &a->d->m.endpoints[i];

		for (uint32_t k = 0; !strcmp(ep->id.network, a->net->name) && k < ep->n_addrs;
		     k++) {
			bool six = ep->addrs[k].addr.family == AF_INET6;

			if (on[six])
				a->from[six] = ep->addrs[k].addr;
		}
	}
}

/* A route that is told of by check_subnets(), with the same remedy. */
static bool is_told(const struct asking *a, const char *object)
{
	for (size_t i = 0; i < a->d->n; i++)
		if (!strcmp(a->d->found[i].code, "route-taken") &&
		    !strcmp(a->d->found[i].object, object) && *a->first.prefix &&
		    strstr(a->d->found[i].text, a->first.prefix))
			return true;
	return false;
}

static void tell(struct asking *a)
{
	const struct fl_link *out = host_link_index(a->d, a->first.route.oif);
	const char *container = text_of(a->who, "container");
	char object[256];
	struct finding *f;

	if (!a->n)
		return;
	snprintf(object, sizeof(object), "network %s", a->net->name);
	if (is_told(a, object))
		return;
	f = find(a->d, "overlay-route-taken", SEVERITY_ERROR, object,
		 "%zu of its addresses are not reached from here, such as %s (node %s%s%s): %s%s; "
		 "%s",
		 a->n, fl_addr_str(&a->addr, FL_ADDR_BUF), text_of(a->who, "node"),
		 *container ? ", container " : "", container,
		 out ? "packets go out through " : "the host does not send there",
		 out ? out->name : "", a->first.cause);
	remedy(f, "%s", a->first.remedy);
}

static int check_network(struct doctor *d, const struct fl_network *net, struct fl_error *err)
{
	const struct fl_link *bridge = host_link(d, net->link), *tunnel = host_link(d, net->tunnel);
	struct asking a = { .d = d, .net = net };
	const json_t *one;
	size_t i;
	int r = 0;

	if (!bridge || !tunnel)
		return 0;
	check_addresses(d, net, bridge, tunnel);
	check_place(d, net, tunnel);
	a.bridge = bridge->index;
	a.tunnel = tunnel->index;
	choose_from(&a);
	json_array_foreach(d->cluster.endpoints, i, one)
	{
		if (!r)
			r = ask(&a, one, err);
	}
	json_array_foreach(d->cluster.addresses, i, one)
	{
		if (!r && !is_true(one, "local"))
			r = ask(&a, one, err);
	}
	if (!r)
		tell(&a);
	return r;
}

int check_routed(struct doctor *d, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < d->m.n_networks; i++) {
		const struct fl_network *net = &d->m.networks[i];

		if (is_of_cluster(net) && net->tunnel_routed &&
		    is_true(cluster_network(&d->cluster, net->name), "synced"))
			r = check_network(d, net, err);
	}
	return r;
}
