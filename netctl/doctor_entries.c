/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What bridge and tunnel of an overlay have, compared with the endpoints that the agent knows of:
 * of a remote one the neighbour, the VTEP behind which its MAC is, and that the MAC is behind the
 * tunnel; of a local one the neighbour. Where the host routes between the two, of each other node
 * its address as the tunnel's neighbour, and its VTEP.
 */
#include "netctl/doctor_overlay.h"

#include "netctl/cluster_network.h"
#include "netctl/out.h"

#include "base/strbuf.h"
#include "nl/neigh.h"

#include <errno.h>
#include <string.h>

enum entry_kind { ENTRY_NEIGHBOUR, ENTRY_VTEP, ENTRY_PORT };

struct entry {
	enum entry_kind kind;
	struct fl_addr addr; /* NEIGHBOUR */
	struct fl_mac mac;
	struct fl_addr vtep; /* VTEP */
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
	return x->kind == ENTRY_NEIGHBOUR ? memcmp(&x->addr, &y->addr, sizeof(x->addr))
					  : memcmp(&x->mac, &y->mac, sizeof(x->mac));
}

static bool is_same(const struct entry *x, const struct entry *y)
{
	return !memcmp(&x->mac, &y->mac, sizeof(x->mac)) &&
	       (x->kind != ENTRY_VTEP || fl_addr_eq(&x->vtep, &y->vtep));
}

static void sort(struct entries *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_key);
}

/* ---- wanted ---- */

static struct fl_addr vtep_of(const struct doctor *d, const json_t *who)
{
	const json_t *node = cluster_node(&d->cluster, text_of(who, "node"));
	struct fl_addr a = { 0 };

	fl_addr_parse(text_of(node, *text_of(d->cluster.agent, "vtep4") ? "vtep4" : "vtep6"), &a);
	return a;
}

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
	e.vtep = vtep_of(c->d, who);
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

static void want_all(struct comparison *c)
{
	const json_t *one;
	size_t i;

	json_array_foreach(c->d->cluster.endpoints, i, one) want(c, one, false);
	json_array_foreach(c->d->cluster.addresses, i, one) want(c, one, true);
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

static int read_kernel(struct comparison *c, const struct fl_link *bridge,
		       const struct fl_link *tunnel, struct fl_error *err)
{
	const uint32_t links[] = { bridge->index, tunnel->index };
	struct fl_nl *nl = c->d->c->host;
	int r = 0;

	for (size_t i = 0; i < (c->net->tunnel_routed ? 2 : 1) && !r; i++) {
		r = fl_neighs_each(nl, AF_INET, links[i], take_neighbour, c, err);
		if (!r)
			r = fl_neighs_each(nl, AF_INET6, links[i], take_neighbour, c, err);
	}
	return r ? r : fl_fdbs_each(nl, tunnel->index, take_fdb, c, err);
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
			"as %s (node %s, container %s)",
			n, c->net->link, c->net->tunnel, describe(first, text, sizeof(text)),
			text_of(first->who, "node"), text_of(first->who, "container"));
		f->net = c->net;
		mend(f, STAGE_OVERLAY, resync);
	}
	n = missing(&c->has, &c->want, &first);
	if (!n)
		return;
	f = find(c->d, "overlay-entries-stale", SEVERITY_ERROR, object,
		 "%zu entries of %s and %s lead to no container that the cluster has, such as %s",
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
	want_all(&c);
	/* The kernel says when something came in between. */
	do {
		c.has.n = 0;
		r = read_kernel(&c, bridge, tunnel, err);
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
