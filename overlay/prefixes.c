/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the store says of one network, as it is told: into its table and its pools. */
#include "overlay/agent.h"

static void synced(struct network *net)
{
	if (network_synced(net))
		network_known(net);
}

/* ---- endpoints ---- */

static void mark(struct network *net, bool of_node)
{
	struct ep *e, *tmp;

	HASH_ITER (hh, net->table, e, tmp)
		if (e->of_node == of_node)
			e->seen = false;
}

/* What came after the reading, by a transaction of ours, is not in it. */
static void sweep_unseen(struct network *net, bool of_node, int64_t revision)
{
	struct ep *e, *tmp;

	HASH_ITER (hh, net->table, e, tmp)
		if (e->of_node == of_node && !e->seen && e->mod <= revision)
			table_del(net, e->id);
}

/* Revisions of a store that was restored are counted anew. */
static void forget_revisions(struct network *net, bool of_node)
{
	struct ep *e, *tmp;

	HASH_ITER (hh, net->table, e, tmp)
		if (e->of_node == of_node)
			e->mod = 0;
}

static void begin_eps(void *arg)
{
	struct network *net = arg;

	mark(net, false);
	if (net->eps.restored)
		forget_revisions(net, false);
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
			.ip = { rec->ip4, rec->ip6 },
			.container = (char *)rec->container,
			.name = *rec->name ? (char *)rec->name : NULL,
			.aliases = aliases };

	fl_strcpy(e.id, sizeof(e.id), id);
	fl_strcpy(e.ifname, sizeof(e.ifname), rec->ifname);
	table_put(net, &e);
}

/* Another's that is not as it ought to be is not there, ours is as we know it. */
static void ignore_ep(struct network *net, const struct ep *old, const struct fl_etcd_kv *kv,
		      int64_t revision, const struct fl_error *why)
{
	ignore(net->a, kv->key, revision, why);
	if (old && !old->node->self)
		table_del(net, old->id);
}

static int decode_ep(const struct network *net, const struct fl_etcd_kv *kv, struct fl_rec *rec,
		     struct fl_error *err)
{
	const struct fl_rec_ep *e = &rec->ep;
	int r = fl_rec_decode(FL_REC_EP, kv->value, kv->value_len, rec, err);

	if (r || !strcmp(e->node, net->a->conf.node))
		return r;
	return check_ownership(net, &e->ip4, &e->ip6, &e->mac, err);
}

static void change_ep(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
		      int64_t revision)
{
	struct network *net = arg;
	const struct ep *old = table_find(net, key->id);
	struct fl_error err = { 0 };
	struct fl_rec *rec;

	if (!kv) {
		/* One of ours that went and came: its new record may be known before the old one's
		 * end is told. */
		if (old && revision < old->mod)
			return;
		net->reconcile |= old && old->node->self;
		table_del(net, key->id);
		return;
	}
	rec = must_alloc(sizeof(*rec));
	if (decode_ep(net, kv, rec, &err)) {
		ignore_ep(net, old, kv, revision, &err);
	} else if (!old || old->mod <= revision) {
		/* One of ours that comes from the store is one of an earlier life. */
		net->reconcile |= !old && !strcmp(rec->ep.node, net->a->conf.node);
		network_put_ep(net, key->id, &rec->ep, revision);
	}
	free(rec);
}

static void settled(void *arg)
{
	struct network *net = arg;

	network_settle(net);
	/* Endpoints tell of nodes, too. */
	sweep_check(net->a);
}

static void synced_eps(void *arg)
{
	struct network *net = arg;

	if (!net->eps.restored || !restore_in_doubt(net->a))
		sweep_unseen(net, false, net->eps.revision);
	synced(net);
}

void network_restored(struct network *net)
{
	follow_restored(&net->eps);
	follow_restored(&net->joins);
	follow_restored(&net->ip_keys);
	follow_restored(&net->blocks);
}

void network_end_doubt(struct network *net)
{
	sweep_unseen(net, false, 0);
	table_blocks_end(net, 0);
	net->reconcile = true;
	network_settle(net);
}

/* ---- nodes ---- */

static void begin_joins(void *arg)
{
	struct network *net = arg;

	mark(net, true);
	if (net->joins.restored)
		forget_revisions(net, true);
	net->self_seen = false;
}

static bool is_same(const struct fl_rec_join *a, const struct fl_rec_join *b)
{
	return fl_addr_eq(&a->ip4, &b->ip4) && fl_addr_eq(&a->ip6, &b->ip6) &&
	       !memcmp(&a->mac, &b->mac, sizeof(a->mac));
}

/* Our own record. `rec` NULL: it cannot be read. What somebody else has written there who cannot
 * know better is written over; of a backup it counts: addresses may be others' now. */
static void change_self(struct network *net, const struct fl_rec_join *rec, int64_t revision)
{
	bool knows = net->announced && !net->joins.restored;
	bool keeps = knows && !(rec && is_same(rec, &net->self));

	if ((knows && revision < net->self_mod) || (!keeps && !rec))
		return;
	net->self_mod = revision;
	net->self_seen = true;
	net->unwritten = keeps;
	if (keeps)
		network_adopt_later(net);
	else
		net->self = *rec;
}

static void change_other(struct network *net, struct ep *e, const struct fl_rec_join *rec)
{
	e->mac = rec->mac;
	e->ip[0] = rec->ip4;
	e->ip[1] = rec->ip6;
	table_put(net, e);
	net->ways_changed = true;
	net->flood_changed |= net->rec.broadcast;
}

static void lose_join(struct network *net, const struct ep *e, int64_t revision)
{
	/* While we delete it ourselves, the end of that tells. */
	if (e->node->self && revision > net->self_mod) {
		net->self_seen = false;
		if (!net->retiring)
			network_lost_record(net);
	}
	table_del(net, e->id);
	net->ways_changed = true;
	net->flood_changed |= net->rec.broadcast;
}

static int decode_join(const struct network *net, const struct node *n, const struct fl_etcd_kv *kv,
		       struct fl_rec *rec, struct fl_error *err)
{
	const struct fl_rec_join *j = &rec->join;
	int r = fl_rec_decode(FL_REC_JOIN, kv->value, kv->value_len, rec, err);

	return r || n->self ? r : check_ownership(net, &j->ip4, &j->ip6, &j->mac, err);
}

static void change_join(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
			int64_t revision)
{
	struct network *net = arg;
	struct ep e = { .of_node = true, .mod = revision, .node = node_get(net->a, key->id) };
	struct fl_error err = { 0 };
	struct fl_rec rec;
	int r;

	table_node_id(key->id, e.id);
	if (!kv) {
		lose_join(net, &e, revision);
		return;
	}
	r = decode_join(net, e.node, kv, &rec, &err);
	if (r) {
		ignore(net->a, kv->key, revision, &err);
		table_del(net, e.id);
		net->flood_changed |= net->rec.broadcast;
	}
	if (e.node->self)
		change_self(net, r ? NULL : &rec.join, revision);
	else if (!r)
		change_other(net, &e, &rec.join);
}

static void synced_joins(void *arg)
{
	struct network *net = arg;

	sweep_unseen(net, true, net->joins.revision);
	/* Of an old backup: maybe it is not what the bridge has. */
	if (!net->self_seen || net->joins.restored)
		net->announced = false;
	net->ways_changed = true;
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
	table_blocks_begin(net, net->blocks.restored);
}

static void synced_ips(void *arg)
{
	struct network *net = arg;

	end_pools(net, false, net->ip_keys.revision);
}

static void synced_blocks(void *arg)
{
	struct network *net = arg;

	if (!net->blocks.restored || !restore_in_doubt(net->a))
		table_blocks_end(net, net->blocks.revision);
	end_pools(net, true, net->blocks.revision);
}

void network_read_address(const struct network *net, const struct fl_rec_key *key,
			  const struct fl_etcd_kv *kv, struct fl_rec *ret)
{
	struct fl_error err = { 0 };

	if (!fl_rec_decode(key->kind, kv->value, kv->value_len, ret, &err))
		return;
	ignore(net->a, kv->key, kv->mod_revision, &err);
	*ret = (struct fl_rec){ .kind = key->kind };
	if (key->kind == FL_REC_IP)
		ret->ip.use = FL_REC_USE_SERVICE;
	else
		ret->blk.used = ~0ull;
}

static void change_ip(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
		      int64_t revision)
{
	struct network *net = arg;
	struct fl_ippool *pool = network_pool(net, &key->addr);
	struct fl_rec *rec;

	if (!pool)
		return;
	if (!kv) {
		fl_ippool_ip(pool, &key->addr, NULL, revision);
		endpoint_freed(net, &key->addr);
		return;
	}
	rec = must_alloc(sizeof(*rec));
	network_read_address(net, key, kv, rec);
	fl_ippool_ip(pool, &key->addr, &rec->ip, revision);
	if (rec->ip.use == FL_REC_USE_FREED)
		endpoint_freed(net, &key->addr);
	free(rec);
}

static void change_block(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
			 int64_t revision)
{
	struct network *net = arg;
	struct fl_ippool *pool = network_pool(net, &key->block.addr);
	struct fl_rec *rec;

	if (!pool)
		return;
	endpoint_freed(net, NULL);
	if (!kv) {
		fl_ippool_block(pool, &key->block, NULL, revision);
		table_put_block(net, &key->block, NULL, revision);
		return;
	}
	rec = must_alloc(sizeof(*rec));
	network_read_address(net, key, kv, rec);
	fl_ippool_block(pool, &key->block, &rec->blk, revision);
	table_put_block(net, &key->block, rec->blk.node, revision);
	free(rec);
}

/* ---- following ---- */

static const struct follow_ops ep_ops = { begin_eps, change_ep, synced_eps, settled };
static const struct follow_ops join_ops = { begin_joins, change_join, synced_joins, settled };
static const struct follow_ops ip_ops = { begin_ips, change_ip, synced_ips, settled };
static const struct follow_ops block_ops = { begin_blocks, change_block, synced_blocks, settled };

static void make_pools(struct network *net)
{
	struct fl_error err = { 0 };

	for (size_t i = 0; i < net->rec.n_subnets && i < FL_OVERLAY_SUBNETS; i++) {
		const struct fl_ippool_config conf = { .net = net->id,
						       .node = net->a->conf.node,
						       .subnet = net->rec.subnets[i].subnet,
						       .gateway = net->rec.subnets[i].gateway,
						       .blocks = net->rec.mode == FL_REC_L3 };

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
