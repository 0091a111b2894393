/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * This node's own MAC and addresses in a network. The plugin gives them to the bridge (L3: to the
 * tunnel) when it makes that; a node that was taken for dead and announces itself again keeps what
 * is there as far as it can, for nobody makes the device anew.
 */
#include "overlay/agent.h"

#include <linux/if_addr.h>
#include <string.h>

uint32_t own_device(const struct network *net)
{
	return network_is_routed(net) ? net->tunnel : net->bridge;
}

struct own {
	struct network *net;
	struct fl_prefix found[FL_OVERLAY_SUBNETS]; /* by subnet; unset: none */
};

static int see_own(void *arg, const struct fl_ifaddr *a)
{
	struct own *o = arg;
	const struct fl_rec_net *rec = &o->net->rec;

	for (size_t i = 0; i < rec->n_subnets && i < FL_OVERLAY_SUBNETS; i++)
		if (fl_prefix_contains(&rec->subnets[i].subnet, &a->prefix.addr) &&
		    !fl_addr_eq(&rec->subnets[i].gateway, &a->prefix.addr))
			o->found[i] = a->prefix;
	return 0;
}

static bool find(struct network *net, struct own *o)
{
	struct fl_error err = { 0 };

	*o = (struct own){ .net = net };
	if (!own_device(net))
		return false;
	if (!fl_ifaddrs_each(net->a->nl, own_device(net), see_own, o, &err))
		return true;
	say("network %s: %s", net->rec.name, err.text);
	return false;
}

bool own_keep(struct network *net, struct fl_mac *mac, struct fl_addr wanted[FL_OVERLAY_SUBNETS])
{
	struct fl_link l;
	struct own o;
	bool any = false;

	if (!find(net, &o) || fl_link_get_index(net->a->nl, own_device(net), &l, NULL))
		return false;
	*mac = l.mac;
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++) {
		wanted[i] = o.found[i].addr;
		any |= fl_addr_is_set(&wanted[i]);
	}
	return any;
}

static int add(struct network *net, const struct fl_prefix *p, struct fl_error *err)
{
	int r = fl_ifaddr_add(net->a->nl, own_device(net), p,
			      p->addr.family == AF_INET6 ? IFA_F_NODAD : 0, err);

	return r == -EEXIST ? 0 : r;
}

static int exchange(struct network *net, const struct fl_prefix *old, const struct fl_addr *addr,
		    struct fl_error *err)
{
	const struct fl_prefix p = { *addr, old->len };
	bool alone = p.len == fl_addr_bits(addr);
	int r = alone ? add(net, &p, err) : 0;

	if (!r)
		r = fl_ifaddr_del(net->a->nl, own_device(net), old, err);
	/* A second one of a subnet is the first one's secondary, and would go with it. */
	return r || alone ? r : add(net, &p, err);
}

bool own_put(struct network *net)
{
	struct fl_error err = { 0 };
	struct own o;
	bool changed = false;

	if (!find(net, &o))
		return false;
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++) {
		const struct fl_addr *want =
			o.found[i].addr.family == AF_INET6 ? &net->self.ip6 : &net->self.ip4;

		if (!fl_addr_is_set(&o.found[i].addr) || !fl_addr_is_set(want) ||
		    fl_addr_eq(want, &o.found[i].addr))
			continue;
		if (exchange(net, &o.found[i], want, &err))
			say("network %s: %s", net->rec.name, err.text);
		changed = true;
	}
	return changed;
}

/* ---- what the store says of it ---- */

/* What was ignored because of the former MAC may be another node's own. */
static void on_written(void *arg, struct fl_etcd_result *r)
{
	struct network *net = arg;

	net->writing = NULL;
	agent_heard(net->a, r);
	if (r->outcome == FL_ETCD_OK) {
		net->unwritten = false;
		follow_again(&net->joins);
	} else {
		network_adopt_later(net);
	}
}

void own_forget(struct network *net)
{
	if (net->writing)
		fl_etcd_cancel(fl_take_ptr(net->writing));
}

static void write_record(struct network *net)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	FL_AUTOSTRBUF struct fl_strbuf value = { 0 };
	struct fl_rec_key k = { .kind = FL_REC_JOIN };
	struct fl_rec *rec = must_alloc(sizeof(*rec));
	struct fl_error err = { 0 };
	char key[FL_REC_KEY_STR];

	own_forget(net);
	fl_strcpy(k.net, sizeof(k.net), net->id);
	fl_strcpy(k.id, sizeof(k.id), net->a->conf.node);
	fl_rec_key(&k, key);
	rec->kind = FL_REC_JOIN;
	rec->join = net->self;
	if (fl_rec_encode(rec, &value))
		die_of_memory();
	fl_etcd_txn_init(&t, fl_etcd_prefix(net->a->etcd));
	fl_etcd_txn_if(&t, key, FL_ETCD_T_MOD, FL_ETCD_EQ, net->self_mod);
	fl_etcd_txn_put(&t, FL_ETCD_SUCCESS, key, value.s, value.len, 0);
	if (fl_etcd_txn(net->a->etcd, &t, on_written, net, &net->writing, &err)) {
		say("network %s: %s", net->rec.name, err.text);
		network_adopt_later(net);
	}
	free(rec);
}

void own_adopt(struct network *net)
{
	struct fl_link l;

	if (!own_device(net) || fl_link_get_index(net->a->nl, own_device(net), &l, NULL))
		return;
	if (net->unwritten || memcmp(&l.mac, &net->self.mac, sizeof(l.mac)) != 0) {
		net->self.mac = l.mac;
		net->unwritten = true;
		write_record(net);
	}
	if (own_put(net))
		program_compare(net, true);
}
