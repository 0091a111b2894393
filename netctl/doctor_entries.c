/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What bridge and tunnel of an overlay have, compared with the endpoints that the agent knows of:
 * of a remote one the neighbour, the VTEP behind which its MAC is, and that the MAC is behind the
 * tunnel; of a local one the neighbour. Where the host routes between the two, of each other node
 * its address as the tunnel's neighbour, its VTEP, and a route to each of its blocks of addresses.
 */
#include "netctl/doctor_overlay.h"

#include "netctl/cluster_network.h"
#include "netctl/out.h"

#include "base/strbuf.h"
#include "nl/neigh.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

enum entry_kind { ENTRY_NEIGHBOUR, ENTRY_VTEP, ENTRY_PORT, ENTRY_ROUTE };

struct entry {
	enum entry_kind kind;
	struct fl_addr addr; /* NEIGHBOUR, ROUTE */
	uint8_t len;
	uint32_t index; /* ROUTE: through which link */
	struct fl_mac mac;
	struct fl_addr vtep; /* VTEP; ROUTE: by which address, or unset */
	const json_t *who;   /* not compared; NULL: of the kernel */
};

struct entries {
	struct entry *v;
	size_t n, cap;
	bool failed;
};

struct comparison {
	struct doctor *d;
	const struct fl_network *net;
	struct entries want, has;
	uint32_t bridge, tunnel;
	bool routes; /* are told: what this node has is in a block of it, or has one */
};

static void comparison_clear(struct comparison *c)
{
	free(c->want.v);
	free(c->has.v);
}

static void add(struct entries *l, const struct entry *e)
{
	size_t cap = l->cap ? 2 * l->cap : 64;
	struct entry *v = l->n < l->cap ? l->v : reallocarray(l->v, cap, sizeof(*v));

	if (!v) {
		l->failed = true;
		return;
	}
	if (l->n == l->cap)
		l->cap = cap;
	l->v = v;
	l->v[l->n++] = *e;
}

/* What there can be one of only: an address' neighbour, a MAC's place. */
static int by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->kind == ENTRY_ROUTE && x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->kind == ENTRY_NEIGHBOUR || x->kind == ENTRY_ROUTE
		       ? memcmp(&x->addr, &y->addr, sizeof(x->addr))
		       : memcmp(&x->mac, &y->mac, sizeof(x->mac));
}

static bool is_same(const struct entry *x, const struct entry *y)
{
	return !memcmp(&x->mac, &y->mac, sizeof(x->mac)) && x->index == y->index &&
	       ((x->kind != ENTRY_VTEP && x->kind != ENTRY_ROUTE) ||
		fl_addr_eq(&x->vtep, &y->vtep));
}

static void sort(struct entries *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_key);
}

/* ---- wanted ---- */

static void want(struct comparison *c, const json_t *who, bool of_node)
{
	struct entry e = { .who = who };
	bool local = is_true(who, "local"), routed = c->net->tunnel_routed;
	const json_t *ip;
	size_t i;

	/* The node's own address is its bridge's, and no neighbour. */
	if (strcmp(text_of(who, "network"), c->net->name) != 0 || (local && of_node) ||
	    fl_mac_parse(text_of(who, "mac"), &e.mac))
		return;
	if (routed && !local && !of_node)
		return;
	e.vtep = cluster_vtep(&c->d->cluster, text_of(who, "node"));
	if (!local && !fl_addr_is_set(&e.vtep))
		return;
	for (e.kind = ENTRY_VTEP; !local && e.kind <= (routed ? ENTRY_VTEP : ENTRY_PORT); e.kind++)
		add(&c->want, &e);
	e.kind = ENTRY_NEIGHBOUR;
	json_array_foreach(json_object_get(who, "ips"), i, ip)
	{
		if (json_is_string(ip) && !fl_addr_parse(json_string_value(ip), &e.addr))
			add(&c->want, &e);
	}
}

static void want_route(struct comparison *c, const json_t *route)
{
	struct entry e = { .kind = ENTRY_ROUTE, .index = c->tunnel, .who = route };
	struct fl_prefix to;

	if (strcmp(text_of(route, "network"), c->net->name) != 0 ||
	    fl_prefix_parse(text_of(route, "to"), &to))
		return;
	e.addr = to.addr;
	e.len = to.len;
	if (is_true(route, "local"))
		e.index = c->bridge;
	else if (!is_true(route, "direct") && fl_addr_parse(text_of(route, "via"), &e.vtep))
		return;
	add(&c->want, &e);
	c->routes = true;
}

static void want_all(struct comparison *c)
{
	const json_t *one;
	size_t i;

	json_array_foreach(c->d->cluster.endpoints, i, one) want(c, one, false);
	json_array_foreach(c->d->cluster.addresses, i, one) want(c, one, true);
	json_array_foreach(c->d->cluster.routes, i, one) want_route(c, one);
}

/* ---- there ---- */

static int take_neighbour(void *arg, const struct fl_neigh *n)
{
	struct comparison *c = arg;

	if (n->state & NUD_PERMANENT && !fl_addr_is_multicast(&n->addr))
		add(&c->has,
		    &(struct entry){ .kind = ENTRY_NEIGHBOUR, .addr = n->addr, .mac = n->mac });
	return 0;
}

static int take_route(void *arg, const struct fl_nlroute *r)
{
	struct comparison *c = arg;

	if (r->protocol == FL_VXLAN_RTPROT)
		add(&c->has, &(struct entry){ .kind = ENTRY_ROUTE,
					      .addr = r->dst.addr,
					      .len = r->dst.len,
					      .index = r->oif,
					      .vtep = r->gw });
	return 0;
}

/* But for the tunnel's own address, groups, and what is for everybody. */
static int take_fdb(void *arg, const struct fl_fdb *f)
{
	struct comparison *c = arg;
	bool self = f->table == FL_FDB_SELF;

	if ((!self && f->life == FL_FDB_PERMANENT) || f->mac.b[0] & 1 || fl_mac_is_zero(&f->mac) ||
	    (self && !fl_addr_is_set(&f->dst)))
		return 0;
	add(&c->has, &(struct entry){ .kind = self ? ENTRY_VTEP : ENTRY_PORT,
				      .mac = f->mac,
				      .vtep = f->dst });
	return 0;
}

static int read_kernel(struct comparison *c, struct fl_error *err)
{
	const uint32_t links[] = { c->bridge, c->tunnel };
	static const int families[] = { AF_INET, AF_INET6 };
	struct fl_nl *nl = c->d->c->host;
	int r = 0;

	for (size_t i = 0; i < (c->net->tunnel_routed ? 4 : 2) && !r; i++) {
		r = fl_neighs_each(nl, families[i % 2], links[i / 2], take_neighbour, c, err);
		if (!r && c->routes)
			r = fl_routes_each_table(nl, families[i % 2], RT_TABLE_MAIN, links[i / 2],
						 take_route, c, err);
	}
	return r ? r : fl_fdbs_each(nl, c->tunnel, take_fdb, c, err);
}

/* ---- compared ---- */

/* How many of `a` are not in `b`; the first in *ret. Both are sorted. Of several with one key in
 * `a` one is enough: the newest owner has it. */
static size_t missing(const struct entries *a, const struct entries *b, const struct entry **ret)
{
	size_t n = 0, k = 0;

	for (size_t i = 0, end; i < a->n; i = end) {
		bool found = false;

		while (k < b->n && by_key(&b->v[k], &a->v[i]) < 0)
			k++;
		for (end = i; end < a->n && !by_key(&a->v[end], &a->v[i]); end++)
			for (size_t j = k; j < b->n && !by_key(&b->v[j], &a->v[i]); j++)
				found |= is_same(&a->v[end], &b->v[j]);
		if (!found && !n++)
			*ret = &a->v[i];
	}
	return n;
}

static const char *describe(const struct entry *e, char *buf, size_t size)
{
	const char *mac = fl_mac_str(&e->mac, FL_MAC_BUF);

	if (e->kind == ENTRY_NEIGHBOUR)
		snprintf(buf, size, "neighbour %s at %s", fl_addr_str(&e->addr, FL_ADDR_BUF), mac);
	else if (e->kind == ENTRY_VTEP)
		snprintf(buf, size, "%s behind VTEP %s", mac, fl_addr_str(&e->vtep, FL_ADDR_BUF));
	else if (e->kind == ENTRY_ROUTE)
		snprintf(buf, size, "route to %s/%u by %s", fl_addr_str(&e->addr, FL_ADDR_BUF),
			 e->len,
			 fl_addr_is_set(&e->vtep) ? fl_addr_str(&e->vtep, FL_ADDR_BUF)
						  : "a device itself");
	else
		snprintf(buf, size, "%s behind the tunnel", mac);
	return buf;
}

static int resync(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	return agent_ask_network(d->c, FL_OVERLAY_RESYNC, f->net->name, NULL, err);
}

static void tell(struct comparison *c)
{
	const struct entry *first = NULL;
	char object[256], text[160];
	size_t n = missing(&c->want, &c->has, &first);
	struct finding *f;

	snprintf(object, sizeof(object), "network %s", c->net->name);
	if (n) {
		f = find(
			c->d, "overlay-entries-missing", SEVERITY_ERROR, object,
			"%zu of the entries that lead to its containers are not on %s and %s, such "
			"as %s (node %s%s%s)",
			n, c->net->link, c->net->tunnel, describe(first, text, sizeof(text)),
			text_of(first->who, "node"),
			*text_of(first->who, "container") ? ", container " : "",
			text_of(first->who, "container"));
		f->net = c->net;
		mend(f, STAGE_OVERLAY, resync);
	}
	n = missing(&c->has, &c->want, &first);
	if (!n)
		return;
	f = find(c->d, "overlay-entries-stale", SEVERITY_ERROR, object,
		 "%zu entries of %s and %s lead to nothing that the cluster has, or elsewhere, "
		 "such as %s",
		 n, c->net->link, c->net->tunnel, describe(first, text, sizeof(text)));
	f->net = c->net;
	mend(f, STAGE_OVERLAY, resync);
}

static int compare(struct doctor *d, const struct fl_network *net, struct fl_error *err)
{
	FL_CLEANUP(comparison_clear) struct comparison c = { .d = d, .net = net };
	const struct fl_link *bridge = host_link(d, net->link), *tunnel = host_link(d, net->tunnel);
	int r = 0;

	if (!bridge || !tunnel)
		return 0;
	c.bridge = bridge->index;
	c.tunnel = tunnel->index;
	want_all(&c);
	/* The kernel says when something came in between. */
	do {
		c.has.n = 0;
		r = read_kernel(&c, err);
	} while (r == -EINTR);
	if (c.want.failed || c.has.failed)
		return fl_error_oom(err);
	sort(&c.want);
	sort(&c.has);
	if (!r)
		tell(&c);
	return r;
}

int check_entries(struct doctor *d, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < d->m.n_networks; i++) {
		const struct fl_network *net = &d->m.networks[i];

		if (is_of_cluster(net) &&
		    is_true(cluster_network(&d->cluster, net->name), "synced"))
			r = compare(d, net, err);
	}
	return r;
}
