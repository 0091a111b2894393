/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The node's own store is the journal of what this node owns: a plugin writes its record before it
 * asks for addresses, and marks it before it gives them back. So an endpoint in the cluster's store
 * without a living record here is nobody's.
 */
#include "overlay/agent.h"

#include <errno.h>
#include <string.h>

#define DRIVER "overlay"

struct own {
	char id[FL_OVERLAY_ID];
	struct fl_endpoint ep;
	UT_hash_handle hh;
};

struct reading {
	struct network *net;
	struct own *list;
	bool any;
};

static int see_any(void *arg, const struct fl_endpoint *ep)
{
	struct reading *rd = arg;

	rd->any |= !strcmp(ep->id.driver, DRIVER);
	return rd->any;
}

/* 1: the node's network of this name is a static one, or of another cluster or time. */
static int is_another(struct network *net, struct fl_txn *t, struct fl_error *err)
{
	struct fl_network rec;
	int r = fl_network_get(t, net->rec.name, DRIVER, &rec, err);

	return r == -ENOENT ? 0 : r ? r : strcmp(rec.cluster, net->id) != 0;
}

/* Also what is not known counts. */
bool local_has_endpoints(struct agent *a, const char *network)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct reading rd = { 0 };
	struct fl_error err = { 0 };

	if (fl_txn_begin(a->store, false, &t, &err) ||
	    fl_endpoints_each(t, network, see_any, &rd, &err) < 0) {
		say("%s", err.text);
		return true;
	}
	return rd.any;
}

static int take(void *arg, const struct fl_endpoint *ep)
{
	struct reading *rd = arg;
	struct own *o;

	if (strcmp(ep->id.driver, DRIVER) != 0 || ep->state == FL_STATE_DELETING)
		return 0;
	o = must_alloc(sizeof(*o));
	o->ep = *ep;
	o->ep.ports = NULL;
	o->ep.n_ports = 0;
	endpoint_id(rd->net->a, ep->id.container, ep->id.ifname, o->id);
	HASH_ADD_STR(rd->list, id, o);
	return 0;
}

static int read_own(struct network *net, struct reading *rd)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_error err = { 0 };
	int r = fl_txn_begin(net->a->store, false, &t, &err);

	if (!r)
		r = is_another(net, t, &err);
	if (!r)
		r = fl_endpoints_each(t, net->rec.name, take, rd, &err);
	r = r > 0 ? 0 : r;
	if (r)
		say("network %s: %s", net->rec.name, err.text);
	return r;
}

/* Of an old backup: the container has been attached again since. */
static bool is_stale(const struct ep *e, const struct fl_endpoint *own)
{
	for (uint32_t i = 0; i < own->n_addrs; i++) {
		const struct fl_addr *a = &own->addrs[i].addr;

		if (!fl_addr_eq(&e->ip[a->family == AF_INET6], a))
			return true;
	}
	return memcmp(&e->mac, &own->mac, sizeof(e->mac)) != 0;
}

static void compare(struct network *net, struct reading *rd)
{
	struct own *o, *o_tmp;
	struct ep *e, *e_tmp;

	HASH_ITER (hh, net->table, e, e_tmp) {
		if (e->of_node || !e->node->self)
			continue;
		HASH_FIND_STR(rd->list, e->id, o);
		if (!o)
			endpoint_give_back(net, e, NULL);
	}
	HASH_ITER (hh, rd->list, o, o_tmp) {
		e = table_find(net, o->id);
		if (!o->ep.n_addrs)
			continue;
		if (!e || !e->node->self || !e->seen) {
			endpoint_reclaim(net, &o->ep);
		} else if (!e->busy && is_stale(e, &o->ep)) {
			e->stale = true;
			endpoint_give_back(net, e, NULL);
		}
	}
}

void local_reconcile(struct network *net)
{
	struct reading rd = { .net = net };
	struct own *o, *tmp;

	net->reconcile = false;
	if (!read_own(net, &rd))
		compare(net, &rd);
	HASH_ITER (hh, rd.list, o, tmp) {
		HASH_DEL(rd.list, o);
		free(o);
	}
	network_used(net);
}

/* ---- after a start ---- */

static uint32_t index_named(struct agent *a, const char *name)
{
	struct fl_link l;

	return *name && fl_link_find(a->nl, name, &l, NULL) == 1 ? l.index : 0;
}

/* Until the store tells, or when it has nothing: others may have taken the node for dead. */
static void recall(struct network *net)
{
	struct fl_addr had[FL_OVERLAY_SUBNETS] = { 0 };

	own_keep(net, &net->self.mac, had);
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		if (fl_addr_is_set(&had[i]))
			*(had[i].family == AF_INET6 ? &net->self.ip6 : &net->self.ip4) = had[i];
}

static int rejoin(void *arg, const struct fl_network *rec)
{
	struct agent *a = arg;
	struct network *net;

	if (strcmp(rec->driver, DRIVER) != 0 || !*rec->cluster)
		return 0;
	HASH_FIND_STR(a->networks, rec->cluster, net);
	if (!net || net->gone) {
		say("network %s of this node is not in cluster %s any more", rec->name,
		    a->conf.cluster);
		return 0;
	}
	if (net->joined)
		return 0;
	net->bridge = index_named(a, rec->link);
	net->tunnel = index_named(a, rec->tunnel);
	net->touched = net->port_left = true;
	recall(net);
	network_join(net);
	return 0;
}

static int forget_stranger(void *arg, const struct fl_peer *p)
{
	struct agent *a = arg;
	const struct network *net = network_named(a, p->network);
	struct fl_error err = { 0 };

	if ((!net || !net->joined) && fl_peer_del(a->mirror, p->network, p->id, &err))
		say("%s", err.text);
	return 0;
}

/* Names that an earlier life wrote, of networks that the node is in no more. */
static void forget_strangers(struct agent *a)
{
	struct fl_error err = { 0 };

	if (fl_txn_begin(a->store, true, &a->mirror, &err) ||
	    fl_peers_each(a->mirror, NULL, forget_stranger, a, &err))
		say("%s", err.text);
	mirror_flush(a);
}

static void on_joins(void *arg, struct fl_etcd_result *r)
{
	struct agent *a = arg;
	struct fl_rec_key k;

	a->joins_call = NULL;
	if (!agent_heard(a, r))
		return;
	for (size_t i = 0; i < r->kvs.n; i++) {
		struct network *net = NULL;

		if (!fl_rec_key_parse(r->kvs.items[i].key, &k) && !strcmp(k.id, a->conf.node))
			HASH_FIND_STR(a->networks, k.net, net);
		if (net && !net->gone)
			network_join(net);
	}
	a->rejoined = true;
	forget_strangers(a);
}

void local_rejoin(struct agent *a)
{
	const struct fl_etcd_range q = { .key = "join/", .prefix = true, .keys_only = true };
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_error err = { 0 };

	if (fl_txn_begin(a->store, false, &t, &err) || fl_networks_each(t, rejoin, a, &err))
		say("%s", err.text);
	/* The last endpoint of a network may have gone while nobody was here to give it back. */
	if (!a->rejoined && !a->joins_call &&
	    fl_etcd_range(a->etcd, &q, on_joins, a, &a->joins_call, &err))
		say("%s", err.text);
}
