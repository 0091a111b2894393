/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * joined -> all prefixes synced -> announced (join/ in the store, the node's addresses claimed)
 *    ^                                  |
 *    +--- retired <--- no endpoint for LINGER_MS
 */
#include "overlay/agent.h"

#include "vxlan/dataplane.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static void announce(struct network *net);

struct fl_ippool *network_pool(struct network *net, const struct fl_addr *a)
{
	for (size_t i = 0; i < net->rec.n_subnets && i < FL_OVERLAY_SUBNETS; i++)
		if (net->pools[i] && fl_prefix_contains(&net->rec.subnets[i].subnet, a))
			return net->pools[i];
	return NULL;
}

bool network_synced(const struct network *net)
{
	return net->joined && nodes_known(net->a) && net->eps.synced && net->joins.synced &&
	       (!net->has_ip_keys || net->ip_keys.synced) &&
	       (!net->has_blocks || net->blocks.synced);
}

bool network_ready(const struct network *net)
{
	return net->member && network_synced(net) && net->announced && !net->retiring &&
	       net->a->member.state == MEMBER_IN;
}

struct network *network_named(struct agent *a, const char *name)
{
	struct network *net, *tmp;

	HASH_ITER (hh, a->networks, net, tmp)
		if (!net->gone && !strcmp(net->rec.name, name))
			return net;
	return NULL;
}

void network_answer(struct network *net, struct fl_overlay_network *ret)
{
	struct agent *a = net->a;
	uint32_t overhead = fl_vxlan_overhead(a->vtep.family);
	uint32_t mtu = nodes_mtu(a);

	*ret = (struct fl_overlay_network){
		.mode = net->rec.mode == FL_REC_L3 ? FL_OVERLAY_L3 : FL_OVERLAY_L2,
		.vni = net->rec.vni,
		.port = net->rec.port ? net->rec.port : VXLAN_PORT,
		.mtu = net->rec.mtu ? net->rec.mtu : mtu - overhead,
		.underlay_mtu = a->vtep_mtu,
		.internal = net->rec.internal,
		.broadcast = net->rec.broadcast,
		.local = a->vtep,
		.mac = net->self.mac,
		.n_subnets = (uint32_t)net->rec.n_subnets,
	};
	if (ret->mtu > a->vtep_mtu)
		ret->underlay_mtu = ret->mtu;
	fl_strcpy(ret->id, sizeof(ret->id), net->id);
	for (size_t i = 0; i < net->rec.n_subnets; i++) {
		const struct fl_addr *own = net->rec.subnets[i].subnet.addr.family == AF_INET6
						    ? &net->self.ip6
						    : &net->self.ip4;

		ret->subnets[i].subnet = net->rec.subnets[i].subnet;
		if (!network_has_gateway(net))
			continue;
		ret->subnets[i].gateway = net->rec.subnets[i].gateway;
		ret->subnets[i].node = *own;
	}
}
/* ---- what was told is made so ---- */

/* Some of a prefix has been told, and what else there is has not. */
static bool is_half_told(const struct network *net)
{
	return follow_tells(&net->eps) || follow_tells(&net->joins) ||
	       follow_tells(&net->ip_keys) || follow_tells(&net->blocks);
}

void network_settle(struct network *net)
{
	/* All of it comes when that is over. */
	if (is_half_told(net)) {
		mirror_flush(net->a);
		return;
	}
	if (net->mirror_stale) {
		net->mirror_stale = false;
		mirror_all(net);
	}
	if (net->flood_changed && network_synced(net))
		program_compare(net, true);
	net->flood_changed = false;
	program_flush(net);
	mirror_flush(net->a);
	if (net->reconcile && network_ready(net))
		local_reconcile(net);
	work_pump(net);
}

/* The last of the prefixes has come, and where the nodes are: what the kernel and the node's store
 * have is compared. */
void network_known(struct network *net)
{
	sweep_go_on(net->a);
	if (!net->member)
		return;
	mirror_all(net);
	program_compare(net, true);
	net->reconcile = true;
	if (!net->announced)
		announce(net);
	else if (net->self_seen)
		own_adopt(net);
	network_tidy(net);
}
/* ---- joining ---- */

void network_join(struct network *net)
{
	event_del(net->linger);
	if (net->member)
		return;
	net->member = true;
	network_observe(net);
	/* Somebody only looked at it until now. */
	if (network_synced(net))
		network_known(net);
	network_settle(net);
}

/* ---- announcing ---- */

static void announce_later(struct network *net)
{
	static const struct timeval pause = { 0, 200000 }, long_pause = { 2, 0 };

	event_add(net->retry, net->refusal.err ? &long_pause : &pause);
}

void network_lost_record(struct network *net)
{
	net->announced = net->self_seen = false;
	announce_later(net);
}

void network_adopt_later(struct network *net)
{
	static const struct timeval pause = { 1, 0 };

	event_add(net->retry, &pause);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct network *net = arg;

	(void)fd;
	(void)what;
	if (!net->member || !network_synced(net))
		return;
	if (!net->announced)
		announce(net);
	else if (net->unwritten)
		own_adopt(net);
}

static void on_announced(struct work *w, int r, const struct fl_error *err)
{
	struct network *net = w->net;

	net->announcing = false;
	/* Somebody else has them by now. */
	if (net->keeps && (r == -EADDRINUSE || r == -EINVAL)) {
		net->others = true;
		announce(net);
		return;
	}
	if (r == -ENOSPC && !net->refusal.err)
		say("network %s: %s", net->rec.name, err->text);
	net->refusal = r == -ENOSPC ? *err : (struct fl_error){ 0 };
	if (r) {
		agent_wake(net->a);
		announce_later(net);
		return;
	}
	net->announced = net->self_seen = true;
	net->self = w->rec->join;
	net->self_mod = w->revision;
	net->others = false;
	if (own_put(net))
		program_compare(net, true);
	agent_look(net->a);
	say("network %s: joined, VNI %u", net->rec.name, net->rec.vni);
	network_settle(net);
	network_used(net);
	agent_wake(net->a);
}

static struct fl_mac random_mac(void)
{
	struct fl_mac m;

	while (getrandom(m.b, sizeof(m.b), 0) != sizeof(m.b))
		continue;
	m.b[0] = (uint8_t)((m.b[0] & 0xfc) | 0x02);
	return m;
}

static void key_in(const struct network *net, enum fl_rec_kind kind, const char *id, char *buf)
{
	struct fl_rec_key k = { .kind = kind };

	fl_strcpy(k.net, sizeof(k.net), net->id);
	fl_strcpy(k.id, sizeof(k.id), id);
	fl_rec_key(&k, buf);
}

void network_if_exists(const struct network *net, struct fl_etcd_txn *t)
{
	char key[FL_REC_KEY_STR];

	key_in(net, FL_REC_NET, "", key);
	fl_etcd_txn_if(t, key, FL_ETCD_T_CREATE, FL_ETCD_GT, 0);
}

/* The record of an earlier life goes on, with its addresses: containers may have routes there. */
static bool adopt(struct network *net)
{
	if (!net->self_seen)
		return false;
	net->announced = true;
	own_adopt(net);
	agent_look(net->a);
	network_used(net);
	network_settle(net);
	agent_wake(net->a);
	return true;
}

static void announce(struct network *net)
{
	struct work *w;

	if (net->announcing || net->retiring || net->a->member.state != MEMBER_IN || adopt(net))
		return;
	net->announcing = true;
	w = must_alloc(sizeof(*w));
	w->rec = must_alloc(sizeof(*w->rec));
	w->rec->kind = FL_REC_JOIN;
	w->rec->join.epoch = net->a->member.epoch;
	w->rec->join.mac = random_mac();
	net->keeps = own_keep(net, &w->rec->join.mac, w->wanted) && !net->others;
	if (!net->keeps)
		memset(w->wanted, 0, sizeof(w->wanted));
	w->net = net;
	w->kind = WORK_TAKE;
	w->done = on_announced;
	w->only_wanted = !network_has_gateway(net);
	w->who.use = FL_REC_USE_NODE;
	fl_strcpy(w->who.node, sizeof(w->who.node), net->a->conf.node);
	key_in(net, FL_REC_JOIN, net->a->conf.node, w->key);
	work_add(w);
}

/* ---- leaving ---- */

/* Nothing of it is under way. */
static void forget(struct network *net)
{
	follow_stop(&net->eps);
	follow_stop(&net->joins);
	follow_stop(&net->ip_keys);
	follow_stop(&net->blocks);
	table_clear(net);
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		fl_ippool_free(fl_take_ptr(net->pools[i]));
	if (net->member)
		mirror_forget(net->a, net->rec.name);
	endpoint_forget_conflicts(net);
	net->joined = net->member = net->announced = net->retiring = net->self_seen = false;
	net->announcing = net->mirrored = net->mirror_stale = net->others = false;
	own_forget(net);
	net->has_ip_keys = net->has_blocks = net->unwritten = false;
	net->touched = net->port_left = false;
	net->self = (struct fl_rec_join){ 0 };
	net->bridge = net->tunnel = 0;
}

/* What a dead node has there is being given back: it is followed until that is over. */
static void part(struct network *net)
{
	mirror_forget(net->a, net->rec.name);
	net->member = net->announced = net->self_seen = net->mirrored = net->mirror_stale = false;
	net->unwritten = false;
	net->self = (struct fl_rec_join){ 0 };
	net->bridge = net->tunnel = 0;
}

void network_unobserve(struct network *net)
{
	if (net->joined && !net->member)
		forget(net);
}

static bool is_used(struct network *net)
{
	return net->n_local || local_has_endpoints(net->a, net->rec.name) ||
	       clients_want(net->a, net->rec.name);
}

static void linger(struct network *net)
{
	static const struct timeval t = { LINGER_MS / 1000, LINGER_MS % 1000 * 1000 };

	event_add(net->linger, &t);
}

static void on_retired(struct work *w, int r, const struct fl_error *err)
{
	struct network *net = w->net;

	(void)err;
	net->retiring = false;
	if (r) {
		if (!net->self_seen)
			network_lost_record(net);
		linger(net);
		return;
	}
	say("network %s: left", net->rec.name);
	if (sweep_is_in(net))
		part(net);
	else
		forget(net);
	mirror_flush(net->a);
	/* What could not be taken from it as long as it was in use. */
	if (net->unread)
		follow_again(&net->a->follow_nets);
	agent_wake(net->a);
}

static void retire(struct network *net)
{
	struct work *w = must_alloc(sizeof(*w));

	net->retiring = true;
	w->net = net;
	w->kind = WORK_LEAVE;
	w->done = on_retired;
	w->expected = net->self_mod;
	w->wanted[0] = net->self.ip4;
	w->wanted[1] = net->self.ip6;
	key_in(net, FL_REC_JOIN, net->a->conf.node, w->key);
	work_add(w);
}

/* Of what is under way something would come back to a network that is forgotten. */
static bool is_still(const struct network *net)
{
	return network_ready(net) && !net->works && !net->sendings && !net->n_local;
}

void network_leave(struct network *net)
{
	if (is_still(net))
		retire(net);
}

static void on_linger(evutil_socket_t fd, short what, void *arg)
{
	struct network *net = arg;

	(void)fd;
	(void)what;
	if (!net->joined || net->n_local || net->retiring)
		return;
	if (!is_still(net) || is_used(net))
		linger(net);
	else
		retire(net);
}

void network_used(struct network *net)
{
	if (!net->member || net->n_local)
		event_del(net->linger);
	else
		linger(net);
}

/* ---- networks of the cluster ---- */

static void begin_nets(void *arg)
{
	struct agent *a = arg;
	struct network *net, *tmp;

	HASH_ITER (hh, a->networks, net, tmp)
		net->seen = false;
}

static struct network *network_get(struct agent *a, const char *id)
{
	struct network *net;

	HASH_FIND_STR(a->networks, id, net);
	if (net)
		return net;
	net = must_alloc(sizeof(*net));
	net->a = a;
	fl_strcpy(net->id, sizeof(net->id), id);
	net->linger = evtimer_new(a->base, on_linger, net);
	net->retry = evtimer_new(a->base, on_retry, net);
	if (!net->linger || !net->retry)
		die_of_memory();
	net->gone = true;
	net->works_end = &net->works;
	HASH_ADD_STR(a->networks, id, net);
	return net;
}

static void remove_net(struct network *net)
{
	net->unread = false;
	if (net->gone)
		return;
	net->gone = true;
	if (!net->joined)
		return;
	say("network %s was removed from the cluster", net->rec.name);
	work_drop(net);
	event_del(net->linger);
	event_del(net->retry);
	forget(net);
	/* It may be waiting for what this network was about to tell. */
	sweep_go_on(net->a);
}

static void change_net(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
		       int64_t revision)
{
	struct network *net = network_get(arg, key->net);
	struct fl_error err = { 0 };
	struct fl_rec *rec;

	net->seen = true;
	if (!kv) {
		remove_net(net);
		return;
	}
	rec = must_alloc(sizeof(*rec));
	net->unread = true;
	if (fl_rec_decode(FL_REC_NET, kv->value, kv->value_len, rec, &err) ||
	    check_network(net, &rec->net, &err)) {
		ignore(net->a, kv->key, revision, &err);
	} else {
		net->rec = rec->net;
		net->gone = net->unread = false;
	}
	free(rec);
}

static void synced_nets(void *arg)
{
	struct agent *a = arg;
	struct network *net, *tmp;

	HASH_ITER (hh, a->networks, net, tmp)
		if (!net->seen)
			remove_net(net);
	local_rejoin(a);
}

static void network_free(struct network *net)
{
	own_forget(net);
	event_free(net->linger);
	event_free(net->retry);
	HASH_DEL(net->a->networks, net);
	free(net);
}

/* A sweep goes from one to the next; it keeps them until another one is over. */
static void settled_nets(void *arg)
{
	struct agent *a = arg;
	struct network *net, *tmp;

	mirror_flush(a);
	HASH_ITER (hh, a->networks, net, tmp)
		if (net->gone && !net->unread && !net->joined && !a->sweep)
			network_free(net);
}

void networks_start(struct agent *a)
{
	static const struct follow_ops ops = { begin_nets, change_net, synced_nets, settled_nets };

	follow_start(&a->follow_nets, a, "net/", &ops, a);
}

void networks_stop(struct agent *a)
{
	struct network *net, *tmp;

	follow_stop(&a->follow_nets);
	HASH_ITER (hh, a->networks, net, tmp) {
		work_drop(net);
		follow_stop(&net->eps);
		follow_stop(&net->joins);
		follow_stop(&net->ip_keys);
		follow_stop(&net->blocks);
		table_clear(net);
		for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
			fl_ippool_free(net->pools[i]);
		endpoint_forget_conflicts(net);
		network_free(net);
	}
}

bool networks_synced(const struct agent *a)
{
	return a->follow_nets.synced;
}

void networks_know_nodes(struct agent *a)
{
	struct network *net, *tmp;

	HASH_ITER (hh, a->networks, net, tmp)
		if (network_synced(net))
			network_known(net);
}

void networks_touch_node(struct agent *a, const struct node *n)
{
	struct network *net, *tmp;

	HASH_ITER (hh, a->networks, net, tmp) {
		if (!net->joined)
			continue;
		table_touch_node(net, n);
		net->ways_changed = true;
		net->flood_changed |= net->rec.broadcast;
	}
}

void networks_settle(struct agent *a)
{
	struct network *net, *tmp;

	HASH_ITER (hh, a->networks, net, tmp)
		if (net->joined)
			network_settle(net);
	mirror_flush(a);
}

/* The node is in the cluster, maybe again: what others may have taken from it is claimed. */
void networks_in(struct agent *a)
{
	struct network *net, *tmp;

	/* What was to be joined after the start may not have been known. */
	if (networks_synced(a) && !a->rejoined)
		local_rejoin(a);
	HASH_ITER (hh, a->networks, net, tmp) {
		if (!net->member || !network_synced(net))
			continue;
		net->reconcile = true;
		if (!net->announced)
			announce(net);
		else if (network_ready(net))
			local_reconcile(net);
		network_tidy(net);
	}
}
