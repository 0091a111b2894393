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
	return net->joined && net->eps.synced && net->joins.synced &&
	       (!net->has_ip_keys || net->ip_keys.synced) &&
	       (!net->has_blocks || net->blocks.synced);
}

bool network_ready(const struct network *net)
{
	return net->member && network_synced(net) && net->announced && !net->retiring;
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
		if (net->rec.internal)
			continue;
		ret->subnets[i].gateway = net->rec.subnets[i].gateway;
		ret->subnets[i].node = *own;
	}
}

/* ---- endpoints ---- */

static void mark(struct network *net, bool of_node)
{
	struct ep *e, *tmp;

	HASH_ITER (hh, net->table, e, tmp)
		if (e->of_node == of_node)
			e->seen = false;
}

static void sweep_unseen(struct network *net, bool of_node)
{
	struct ep *e, *tmp;

	HASH_ITER (hh, net->table, e, tmp)
		if (e->of_node == of_node && !e->seen)
			table_del(net, e->id);
}

static void begin_eps(void *arg)
{
	mark(arg, false);
}

static char *aliases_json(const struct fl_rec_ep *rec)
{
	FL_AUTOJSON json_t *list = json_array();

	for (size_t i = 0; i < rec->n_aliases; i++)
		json_array_append_new(list, json_string(rec->aliases[i]));
	return rec->n_aliases ? json_dumps(list, JSON_COMPACT) : NULL;
}

void network_put_ep(struct network *net, const char *id, const struct fl_rec_ep *rec,
		    int64_t revision)
{
	FL_AUTOFREE char *aliases = aliases_json(rec);
	struct ep e = { .node = node_get(net->a, rec->node),
			.mac = rec->mac,
			.mod = revision,
			.container = (char *)rec->container,
			.name = *rec->name ? (char *)rec->name : NULL,
			.aliases = aliases };
	unsigned n = 0;

	fl_strcpy(e.id, sizeof(e.id), id);
	fl_strcpy(e.ifname, sizeof(e.ifname), rec->ifname);
	if (fl_addr_is_set(&rec->ip4))
		e.ip[n++] = rec->ip4;
	if (fl_addr_is_set(&rec->ip6))
		e.ip[n++] = rec->ip6;
	table_put(net, &e);
}

static void change_ep(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
		      int64_t revision)
{
	struct network *net = arg;
	const struct ep *old = table_find(net, key->id);
	struct fl_error err = { 0 };
	struct fl_rec *rec;

	if (!kv) {
		net->reconcile |= old && old->node->self;
		table_del(net, key->id);
		return;
	}
	rec = must_alloc(sizeof(*rec));
	if (fl_rec_decode(FL_REC_EP, kv->value, kv->value_len, rec, &err)) {
		say("ep/%s/%s: %s", net->id, key->id, err.text);
	} else if (!old || old->mod <= revision) {
		/* One of ours that comes from the store is one of an earlier life. */
		net->reconcile |= !old && !strcmp(rec->ep.node, net->a->conf.node);
		network_put_ep(net, key->id, &rec->ep, revision);
	}
	free(rec);
}

void network_settle(struct network *net)
{
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

static void settled(void *arg)
{
	network_settle(arg);
}

/* The last of the prefixes has come: what the kernel and the node's store have is compared. */
static void synced(struct network *net)
{
	if (!network_synced(net))
		return;
	if (!net->member) {
		sweep_go_on(net->a);
		return;
	}
	mirror_all(net);
	program_compare(net, true);
	net->reconcile = true;
	if (!net->announced)
		announce(net);
}

static void synced_eps(void *arg)
{
	sweep_unseen(arg, false);
	synced(arg);
}

/* ---- nodes ---- */

static void begin_joins(void *arg)
{
	struct network *net = arg;

	mark(net, true);
	net->self_seen = false;
}

static void change_join(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
			int64_t revision)
{
	struct network *net = arg;
	struct ep e = { .of_node = true, .mod = revision, .node = node_get(net->a, key->id) };
	struct fl_error err = { 0 };
	struct fl_rec rec;
	unsigned n = 0;

	table_node_id(key->id, e.id);
	if (!kv) {
		if (e.node->self && net->announced && !net->retiring)
			net->announced = false; /* somebody took us for dead */
		table_del(net, e.id);
		net->flood_changed |= net->rec.broadcast;
		return;
	}
	if (fl_rec_decode(FL_REC_JOIN, kv->value, kv->value_len, &rec, &err)) {
		say("join/%s/%s: %s", net->id, key->id, err.text);
		return;
	}
	if (e.node->self) {
		net->self = rec.join;
		net->self_mod = revision;
		net->self_seen = true;
		return;
	}
	e.mac = rec.join.mac;
	if (fl_addr_is_set(&rec.join.ip4))
		e.ip[n++] = rec.join.ip4;
	if (fl_addr_is_set(&rec.join.ip6))
		e.ip[n++] = rec.join.ip6;
	table_put(net, &e);
	net->flood_changed |= net->rec.broadcast;
}

static void synced_joins(void *arg)
{
	struct network *net = arg;

	sweep_unseen(net, true);
	if (!net->self_seen)
		net->announced = false;
	net->flood_changed |= net->rec.broadcast;
	synced(net);
}

/* ---- addresses ---- */

static void begin_pools(struct network *net, bool blocks, bool restored)
{
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		if (net->pools[i] && fl_ippool_has_blocks(net->pools[i]) == blocks)
			fl_ippool_list_begin(net->pools[i], restored);
}

static void end_pools(struct network *net, bool blocks, int64_t revision)
{
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		if (net->pools[i] && fl_ippool_has_blocks(net->pools[i]) == blocks)
			fl_ippool_list_end(net->pools[i], revision);
	synced(net);
}

static void begin_ips(void *arg)
{
	struct network *net = arg;

	begin_pools(net, false, net->ip_keys.restored);
}

static void begin_blocks(void *arg)
{
	struct network *net = arg;

	begin_pools(net, true, net->blocks.restored);
}

static void synced_ips(void *arg)
{
	struct network *net = arg;

	end_pools(net, false, net->ip_keys.revision);
}

static void synced_blocks(void *arg)
{
	struct network *net = arg;

	end_pools(net, true, net->blocks.revision);
}

static void change_ip(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
		      int64_t revision)
{
	struct network *net = arg;
	struct fl_ippool *pool = network_pool(net, &key->addr);
	struct fl_error err = { 0 };
	struct fl_rec *rec;

	if (!pool)
		return;
	if (!kv) {
		fl_ippool_ip(pool, &key->addr, NULL, revision);
		return;
	}
	rec = must_alloc(sizeof(*rec));
	if (fl_rec_decode(FL_REC_IP, kv->value, kv->value_len, rec, &err)) {
		/* Whatever it is, it is somebody's. */
		rec->ip = (struct fl_rec_ip){ .use = FL_REC_USE_SERVICE };
		say("ip/%s/%s: %s", net->id, fl_addr_str(&key->addr, FL_ADDR_BUF), err.text);
	}
	fl_ippool_ip(pool, &key->addr, &rec->ip, revision);
	free(rec);
}

static void change_block(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
			 int64_t revision)
{
	struct network *net = arg;
	struct fl_ippool *pool = network_pool(net, &key->block.addr);
	struct fl_error err = { 0 };
	struct fl_rec *rec;

	if (!pool)
		return;
	if (!kv) {
		fl_ippool_block(pool, &key->block, NULL, revision);
		return;
	}
	rec = must_alloc(sizeof(*rec));
	if (fl_rec_decode(FL_REC_BLK, kv->value, kv->value_len, rec, &err))
		say("blk/%s/%s: %s", net->id, fl_prefix_str(&key->block, FL_PREFIX_BUF), err.text);
	else
		fl_ippool_block(pool, &key->block, &rec->blk, revision);
	free(rec);
}

/* ---- joining ---- */

static const struct follow_ops ep_ops = { begin_eps, change_ep, synced_eps, settled };
static const struct follow_ops join_ops = { begin_joins, change_join, synced_joins, settled };
static const struct follow_ops ip_ops = { begin_ips, change_ip, synced_ips, settled };
static const struct follow_ops block_ops = { begin_blocks, change_block, synced_blocks, settled };

static void make_pools(struct network *net)
{
	struct fl_error err = { 0 };

	for (size_t i = 0; i < net->rec.n_subnets && i < FL_OVERLAY_SUBNETS; i++) {
		const struct fl_ippool_config conf = { net->id, net->a->conf.node,
						       net->rec.subnets[i].subnet,
						       net->rec.subnets[i].gateway };

		if (fl_ippool_new(&conf, &net->pools[i], &err)) {
			net->refusal = err;
			continue;
		}
		net->has_ip_keys |= !fl_ippool_has_blocks(net->pools[i]);
		net->has_blocks |= fl_ippool_has_blocks(net->pools[i]);
	}
}

static void begin_following(struct network *net, struct follow *f, enum fl_rec_kind kind,
			    const struct follow_ops *ops)
{
	char prefix[FL_REC_KEY_STR];

	follow_start(f, net->a, fl_rec_prefix(kind, net->id, prefix), ops, net);
}

void network_observe(struct network *net)
{
	if (net->joined)
		return;
	net->joined = true;
	make_pools(net);
	begin_following(net, &net->eps, FL_REC_EP, &ep_ops);
	begin_following(net, &net->joins, FL_REC_JOIN, &join_ops);
	if (net->has_ip_keys)
		begin_following(net, &net->ip_keys, FL_REC_IP, &ip_ops);
	if (net->has_blocks)
		begin_following(net, &net->blocks, FL_REC_BLK, &block_ops);
}

void network_join(struct network *net)
{
	event_del(net->linger);
	if (net->member)
		return;
	net->member = true;
	network_observe(net);
	/* Somebody only looked at it until now. */
	synced(net);
	network_settle(net);
}

/* ---- announcing ---- */

static void announce_later(struct network *net)
{
	static const struct timeval pause = { 0, 200000 };

	event_add(net->retry, &pause);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct network *net = arg;

	(void)fd;
	(void)what;
	if (net->member && network_synced(net) && !net->announced)
		announce(net);
}

static void on_announced(struct work *w, int r, const struct fl_error *err)
{
	struct network *net = w->net;

	net->announcing = false;
	net->refusal = r == -ENOSPC ? *err : (struct fl_error){ 0 };
	if (r) {
		if (net->refusal.err)
			say("network %s: %s", net->rec.name, err->text);
		agent_wake(net->a);
		announce_later(net);
		return;
	}
	net->announced = net->self_seen = true;
	net->self = w->rec->join;
	net->self_mod = w->revision;
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
	w->net = net;
	w->kind = WORK_TAKE;
	w->done = on_announced;
	w->only_wanted = net->rec.internal;
	w->who.use = FL_REC_USE_NODE;
	fl_strcpy(w->who.node, sizeof(w->who.node), net->a->conf.node);
	key_in(net, FL_REC_JOIN, net->a->conf.node, w->key);
	work_add(w);
}

/* ---- leaving ---- */

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
	net->announcing = net->mirrored = net->mirror_stale = false;
	net->has_ip_keys = net->has_blocks = false;
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
		linger(net);
		return;
	}
	say("network %s: left", net->rec.name);
	forget(net);
	mirror_flush(net->a);
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
	key_in(net, FL_REC_JOIN, net->a->conf.node, w->key);
	work_add(w);
}

void network_leave(struct network *net)
{
	if (network_ready(net) && !net->n_local)
		retire(net);
}

static void on_linger(evutil_socket_t fd, short what, void *arg)
{
	struct network *net = arg;

	(void)fd;
	(void)what;
	if (!net->joined || net->n_local || net->retiring)
		return;
	if (!network_ready(net) || is_used(net))
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
	if (fl_rec_decode(FL_REC_NET, kv->value, kv->value_len, rec, &err)) {
		say("net/%s: %s", key->net, err.text);
	} else if (rec->net.n_subnets > FL_OVERLAY_SUBNETS) {
		say("net/%s: more than %d subnets are of a later version", key->net,
		    FL_OVERLAY_SUBNETS);
	} else {
		net->rec = rec->net;
		net->gone = false;
		net->mod = revision;
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

static void settled_nets(void *arg)
{
	mirror_flush(arg);
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
		event_free(net->linger);
		event_free(net->retry);
		HASH_DEL(a->networks, net);
		free(net);
	}
}

bool networks_synced(const struct agent *a)
{
	return a->follow_nets.synced;
}

void networks_touch_node(struct agent *a, const struct node *n)
{
	struct network *net, *tmp;

	HASH_ITER (hh, a->networks, net, tmp) {
		if (!net->joined)
			continue;
		table_touch_node(net, n);
		net->flood_changed |= net->rec.broadcast;
		program_flush(net);
	}
}

/* The node is in the cluster, maybe again: what others may have taken from it is claimed. */
void networks_in(struct agent *a)
{
	struct network *net, *tmp;

	HASH_ITER (hh, a->networks, net, tmp) {
		if (!net->member || !network_synced(net))
			continue;
		net->reconcile = true;
		if (!net->announced)
			announce(net);
		else
			local_reconcile(net);
	}
}
