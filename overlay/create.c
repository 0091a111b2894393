/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network is made by one transaction, under the condition that neither name nor VNI is taken, and
 * that no network was made since the list was read that its subnets were chosen by.
 */
#include "overlay/agent.h"

#include "ipam/ipam.h"
#include "overlay/vni.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { TRIES_MAX = 16 };

struct creation {
	struct agent *a;
	struct client *client;
	struct fl_rec *rec;
	char id[FL_OVERLAY_ID];
	unsigned tries;
	bool removes;
};

struct used {
	struct fl_prefix *v;
	size_t n;
	uint32_t *vnis;
	size_t n_vnis;
};

static void read_list(struct creation *x);

/* What is known of it before this node takes part. */
static void describe(const struct creation *x, struct fl_overlay_network *ret)
{
	const struct fl_rec_net *net = &x->rec->net;

	ret->mode = net->mode == FL_REC_L3 ? FL_OVERLAY_L3 : FL_OVERLAY_L2;
	ret->vni = net->vni;
	ret->port = net->port ? net->port : VXLAN_PORT;
	ret->mtu = net->mtu;
	ret->internal = net->internal;
	ret->broadcast = net->broadcast;
	ret->n_subnets = (uint32_t)net->n_subnets;
	for (size_t i = 0; i < net->n_subnets; i++) {
		ret->subnets[i].subnet = net->subnets[i].subnet;
		if (!net->internal)
			ret->subnets[i].gateway = net->subnets[i].gateway;
	}
}

static void finish(struct creation *x, int r, const struct fl_error *err)
{
	struct client *c = x->client;

	if (r) {
		client_answer(c, r, err, NULL);
	} else {
		struct fl_overlay_answer answer = { 0 };

		fl_strcpy(answer.network.id, sizeof(answer.network.id), x->id);
		if (x->rec)
			describe(x, &answer.network);
		client_answer(c, 0, NULL, &answer);
	}
	free(x->rec);
	free(x);
}

/* ---- what is taken ---- */

static void use(struct used *u, const struct fl_prefix *p)
{
	struct fl_prefix *grown = realloc(u->v, (u->n + 1) * sizeof(*grown));

	if (!grown)
		die_of_memory();
	u->v = grown;
	u->v[u->n++] = *p;
}

static int use_route(void *arg, const struct fl_nlroute *r)
{
	if (r->dst.len)
		use(arg, &r->dst);
	return 0;
}

static int use_local(void *arg, const struct fl_network *net)
{
	for (uint32_t i = 0; i < net->n_subnets; i++)
		use(arg, &net->subnets[i]);
	return 0;
}

/* This node's routes and networks; of the other nodes each knows its own. */
static int use_host(struct agent *a, struct used *u, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_routes_each(a->nl, AF_INET, use_route, u, err);

	if (!r)
		r = fl_routes_each(a->nl, AF_INET6, use_route, u, err);
	if (!r)
		r = fl_txn_begin(a->store, false, &t, err);
	return r ? r : fl_networks_each(t, use_local, u, err);
}

static void use_nets(const struct fl_etcd_result *r, struct used *u)
{
	struct fl_rec *rec = must_alloc(sizeof(*rec));

	u->vnis = must_alloc((r->kvs.n + 1) * sizeof(*u->vnis));
	for (size_t i = 0; i < r->kvs.n; i++) {
		const struct fl_etcd_kv *kv = &r->kvs.items[i];

		if (fl_rec_decode(FL_REC_NET, kv->value, kv->value_len, rec, NULL))
			continue;
		u->vnis[u->n_vnis++] = rec->net.vni;
		/* Nothing is routed to or from an internal one, but where nodes route all. */
		for (size_t k = 0; k < rec->net.n_subnets; k++)
			if (!rec->net.internal || rec->net.mode == FL_REC_L3)
				use(u, &rec->net.subnets[k].subnet);
	}
	free(rec);
}

static void used_clear(struct used *u)
{
	free(u->v);
	free(u->vnis);
}

/* ---- choosing ---- */

static int pick(struct agent *a, int family, struct used *u, struct fl_rec_net *net,
		struct fl_error *err)
{
	struct fl_default_pool pools[POOLS_MAX];
	struct fl_prefix found;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < a->conf.n_pools; i++)
		if (a->conf.pools[i].from.addr.family == family)
			pools[n++] = (struct fl_default_pool){ a->conf.pools[i].from,
							       a->conf.pools[i].len };
	if (!n)
		return fl_error_set(err, ENOSPC, FL_ECODE_EXHAUSTED,
				    "pools: none of them is for %s; name a subnet, or add a pool "
				    "in %s",
				    family == AF_INET6 ? "IPv6" : "IPv4", FL_OVERLAY_CONFIG);
	r = fl_ipam_pick_subnet(pools, n, u->v, u->n, &found, err);
	if (r)
		return r;
	net->subnets[net->n_subnets].subnet = found;
	net->subnets[net->n_subnets++].gateway = fl_addr_add(found.addr, 1);
	return 0;
}

static int check_subnet(const struct fl_overlay_settings *s, uint32_t i, const struct used *u,
			struct fl_error *err)
{
	const struct fl_prefix *p = &s->subnets[i].subnet;
	struct fl_prefix masked = fl_prefix_masked(p);

	if (!fl_addr_is_set(&p->addr) || !fl_addr_eq(&masked.addr, &p->addr) ||
	    fl_addr_bits(&p->addr) - p->len < 2 || p->len < 4)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "subnet %s: expected a prefix without host bits, with room for "
				    "containers",
				    fl_prefix_str(p, FL_PREFIX_BUF));
	if (i && s->subnets[0].subnet.addr.family == p->addr.family)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "subnets: expected at most one of each family");
	if (s->mode == FL_OVERLAY_L3 && fl_addr_bits(&p->addr) - p->len < FL_IPPOOL_BLOCK_BITS)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "subnet %s: in mode l3 each node has blocks of %d addresses; "
				    "expected room for one at least",
				    fl_prefix_str(p, FL_PREFIX_BUF), FL_REC_BLOCK);
	for (size_t k = 0; k < u->n && (!s->internal || s->mode == FL_OVERLAY_L3); k++)
		if (fl_prefix_overlaps(&u->v[k], p))
			return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT,
					    "subnet %s overlaps %s, which another network or a "
					    "route of this node has",
					    fl_prefix_str(p, FL_PREFIX_BUF),
					    fl_prefix_str(&u->v[k], FL_PREFIX_BUF));
	return 0;
}

static int take_subnets(struct creation *x, struct used *u, struct fl_error *err)
{
	const struct fl_overlay_settings *s = &x->client->q.settings;
	struct fl_rec_net *net = &x->rec->net;
	int r = 0;

	for (uint32_t i = 0; i < s->n_subnets && !r; i++) {
		const struct fl_addr *gw = &s->subnets[i].gateway;

		r = check_subnet(s, i, u, err);
		net->subnets[i].subnet = s->subnets[i].subnet;
		net->subnets[i].gateway =
			fl_addr_is_set(gw) ? *gw : fl_addr_add(s->subnets[i].subnet.addr, 1);
		if (!r && !fl_prefix_contains(&s->subnets[i].subnet, &net->subnets[i].gateway))
			r = fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					 "gateway %s is not in the subnet %s",
					 fl_addr_str(gw, FL_ADDR_BUF),
					 fl_prefix_str(&s->subnets[i].subnet, FL_PREFIX_BUF));
		net->n_subnets = i + 1;
	}
	if (r || s->n_subnets)
		return r;
	r = pick(x->a, AF_INET, u, net, err);
	return r || !s->ipv6 ? r : pick(x->a, AF_INET6, u, net, err);
}

static int take_vni(struct creation *x, const struct used *u, struct fl_error *err)
{
	const struct fl_overlay_settings *s = &x->client->q.settings;

	x->rec->net.vni = s->vni;
	for (size_t i = 0; i < u->n_vnis && s->vni; i++)
		if (u->vnis[i] == s->vni)
			return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT,
					    "VNI %u is another network's in cluster %s", s->vni,
					    x->a->conf.cluster);
	if (s->vni > FL_REC_VNI_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "vni: expected an integer from 1 to %d", FL_REC_VNI_MAX);
	return s->vni ? 0 : fl_vni_find(u->vnis, u->n_vnis, 0, &x->rec->net.vni, err);
}

static int fill(struct creation *x, struct used *u, struct fl_error *err)
{
	const struct fl_overlay_request *q = &x->client->q;
	struct fl_rec_net *net = &x->rec->net;
	uint8_t random[8];
	int r;

	*x->rec = (struct fl_rec){ .kind = FL_REC_NET };
	fl_strcpy(net->name, sizeof(net->name), q->network);
	if (!fl_name_valid(net->name, FL_REC_NETNAME_MAX))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: expected a name of at most %d of [a-zA-Z0-9_.-]",
				    q->network, FL_REC_NETNAME_MAX);
	if (q->settings.mode == FL_OVERLAY_L3 && q->settings.broadcast)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "broadcast: a network of mode l3 is routed between nodes, and "
				    "routers pass no broadcast on; use mode l2");
	while (getrandom(random, sizeof(random), 0) != sizeof(random))
		continue;
	for (int i = 0; i < 8; i++)
		snprintf(x->id + 2 * i, 3, "%02x", random[i]);
	net->mode = q->settings.mode == FL_OVERLAY_L3 ? FL_REC_L3 : FL_REC_L2;
	net->mtu = q->settings.mtu;
	net->port = q->settings.port;
	net->internal = q->settings.internal;
	net->broadcast = q->settings.broadcast;
	r = use_host(x->a, u, err);
	if (!r)
		r = take_subnets(x, u, err);
	return r ? r : take_vni(x, u, err);
}

/* ---- the transaction ---- */

static void put(struct fl_etcd_txn *t, const struct fl_rec_key *k, const struct fl_rec *rec,
		bool absent)
{
	FL_AUTOSTRBUF struct fl_strbuf value = { 0 };
	char key[FL_REC_KEY_STR];

	fl_rec_key(k, key);
	if (absent)
		fl_etcd_txn_if_absent(t, key);
	if (fl_rec_encode(rec, &value))
		die_of_memory();
	fl_etcd_txn_put(t, FL_ETCD_SUCCESS, key, value.s, value.len, 0);
}

static void build(const struct creation *x, int64_t revision, struct fl_etcd_txn *t)
{
	struct fl_rec_key k = { .kind = FL_REC_NET };
	struct fl_rec owner = { .kind = FL_REC_VNI };

	fl_etcd_txn_init(t, fl_etcd_prefix(x->a->etcd));
	fl_etcd_txn_if_each(t, "net/", FL_ETCD_T_MOD, FL_ETCD_LT, revision + 1);
	fl_strcpy(k.net, sizeof(k.net), x->id);
	put(t, &k, x->rec, true);
	fl_strcpy(owner.owner.net, sizeof(owner.owner.net), x->id);
	k = (struct fl_rec_key){ .kind = FL_REC_VNI, .vni = x->rec->net.vni };
	put(t, &k, &owner, true);
	k = (struct fl_rec_key){ .kind = FL_REC_NETNAME };
	fl_strcpy(k.id, sizeof(k.id), x->rec->net.name);
	owner.kind = FL_REC_NETNAME;
	put(t, &k, &owner, true);
}

static void on_created(void *arg, struct fl_etcd_result *r)
{
	struct creation *x = arg;
	struct agent *a = x->a;

	agent_heard(a, r);
	if (r->outcome == FL_ETCD_OK) {
		say("network %s was created: VNI %u", x->rec->net.name, x->rec->net.vni);
		if (x->client->q.op == FL_OVERLAY_JOIN) {
			/* Goes on when the watch tells of it. */
			x->client->started = false;
			x->client->q.create = false;
			x->client->expects = true;
			free(x->rec);
			free(x);
			agent_wake(a);
			return;
		}
		finish(x, 0, NULL);
	} else if ((r->outcome == FL_ETCD_COMPARE || r->outcome == FL_ETCD_UNKNOWN) &&
		   ++x->tries < TRIES_MAX) {
		read_list(x);
	} else {
		finish(x, r->err.err ? r->err.err : -EIO, &r->err);
	}
}

static const struct fl_etcd_kv *named(const struct fl_etcd_result *r, const char *name,
				      struct fl_rec *rec)
{
	for (size_t i = 0; i < r->kvs.n; i++) {
		const struct fl_etcd_kv *kv = &r->kvs.items[i];

		if (!fl_rec_decode(FL_REC_NET, kv->value, kv->value_len, rec, NULL) &&
		    !strcmp(rec->net.name, name))
			return kv;
	}
	return NULL;
}

/* Somebody was faster, or we were, and the answer was lost. */
static void already_there(struct creation *x, const struct fl_etcd_kv *kv)
{
	struct client *c = x->client;
	struct fl_error err = { 0 };
	struct fl_rec_key k;

	if (c->q.op == FL_OVERLAY_JOIN) {
		c->started = false;
		c->q.create = false;
		c->expects = true;
		free(x->rec);
		free(x);
		agent_wake(c->a);
		return;
	}
	if (!fl_rec_key_parse(kv->key, &k) && !strcmp(k.net, x->id)) {
		finish(x, 0, NULL);
		return;
	}
	finish(x,
	       fl_error_set(&err, EEXIST, FL_ECODE_CONFLICT, "cluster %s has a network %s already",
			    c->a->conf.cluster, c->q.network),
	       &err);
}

/* network.c ignores it. */
static int refuse_later(const struct creation *x, struct fl_error *err)
{
	return fl_error_set(err, EOPNOTSUPP, FL_ECODE_UNSUPPORTED,
			    "network %s has %zu subnets in the cluster, and this version knows %d; "
			    "use another name, or a later version",
			    x->client->q.network, x->rec->net.n_subnets, FL_OVERLAY_SUBNETS);
}

static void on_list(void *arg, struct fl_etcd_result *r)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	struct creation *x = arg;
	struct used u = { 0 };
	struct fl_error err = { 0 };
	const struct fl_etcd_kv *there;
	int result;

	fl_etcd_txn_init(&t, "/");
	if (!agent_heard(x->a, r)) {
		finish(x, r->err.err, &r->err);
		return;
	}
	there = named(r, x->client->q.network, x->rec);
	if (there) {
		if (x->rec->net.n_subnets > FL_OVERLAY_SUBNETS)
			finish(x, refuse_later(x, &err), &err);
		else
			already_there(x, there);
		return;
	}
	use_nets(r, &u);
	result = fill(x, &u, &err);
	used_clear(&u);
	if (!result) {
		build(x, r->header.revision, &t);
		result = fl_etcd_txn(x->a->etcd, &t, on_created, x, NULL, &err);
	}
	if (result)
		finish(x, err.err, &err);
}

static void read_list(struct creation *x)
{
	const struct fl_etcd_range q = { .key = "net/", .prefix = true };
	struct fl_error err = { 0 };

	if (fl_etcd_range(x->a->etcd, &q, on_list, x, NULL, &err))
		finish(x, err.err, &err);
}

void create_network(struct client *c)
{
	struct creation *x = must_alloc(sizeof(*x));

	x->a = c->a;
	x->client = c;
	x->rec = must_alloc(sizeof(*x->rec));
	c->started = true;
	read_list(x);
}

/* ---- removing ---- */

static void on_removed(void *arg, struct fl_etcd_result *r)
{
	struct creation *x = arg;
	struct fl_error err = { 0 };
	const char *name = x->client->q.network;

	agent_heard(x->a, r);
	if (r->outcome == FL_ETCD_COMPARE)
		finish(x,
		       fl_error_set(&err, EBUSY, FL_ECODE_CONFLICT,
				    "network %s has an endpoint by now; detach it first", name),
		       &err);
	else
		finish(x, r->outcome == FL_ETCD_OK ? 0 : r->err.err ? r->err.err : -EIO, &r->err);
}

static void build_removal(const struct network *net, struct fl_etcd_txn *t)
{
	static const enum fl_rec_kind kinds[] = { FL_REC_EP, FL_REC_JOIN, FL_REC_IP, FL_REC_BLK };
	struct fl_rec_key k = { .kind = FL_REC_NET };
	char key[FL_REC_KEY_STR];
	fl_etcd_txn_init(t, fl_etcd_prefix(net->a->etcd));
	/* Else its name and VNI may be another network's by now. */
	network_if_exists(net, t);
	fl_etcd_txn_if_each(t, fl_rec_prefix(FL_REC_EP, net->id, key), FL_ETCD_T_CREATE, FL_ETCD_EQ,
			    0);
	for (size_t i = 0; i < FL_ARRAY_SIZE(kinds); i++)
		fl_etcd_txn_delete(t, FL_ETCD_SUCCESS, fl_rec_prefix(kinds[i], net->id, key), true);
	fl_strcpy(k.net, sizeof(k.net), net->id);
	fl_rec_key(&k, key);
	fl_etcd_txn_delete(t, FL_ETCD_SUCCESS, key, false);
	k = (struct fl_rec_key){ .kind = FL_REC_VNI, .vni = net->rec.vni };
	fl_rec_key(&k, key);
	fl_etcd_txn_delete(t, FL_ETCD_SUCCESS, key, false);
	k = (struct fl_rec_key){ .kind = FL_REC_NETNAME };
	fl_strcpy(k.id, sizeof(k.id), net->rec.name);
	fl_rec_key(&k, key);
	fl_etcd_txn_delete(t, FL_ETCD_SUCCESS, key, false);
}

/* Who has endpoints there, and how many; false: nobody. */
static bool say_users(struct creation *x, const struct fl_etcd_result *r, struct fl_error *err)
{
	struct fl_rec *rec = must_alloc(sizeof(*rec));
	char first[FL_OVERLAY_ID] = "", others[FL_OVERLAY_ID] = "", container[201] = "";

	for (size_t i = 0; i < r->kvs.n; i++) {
		if (fl_rec_decode(FL_REC_EP, r->kvs.items[i].value, r->kvs.items[i].value_len, rec,
				  NULL))
			continue;
		if (!*first) {
			fl_strcpy(first, sizeof(first), rec->ep.node);
			fl_strcpy(container, sizeof(container), rec->ep.container);
		} else if (!*others && strcmp(first, rec->ep.node) != 0) {
			fl_strcpy(others, sizeof(others), rec->ep.node);
		}
	}
	free(rec);
	if (!r->count)
		return false;
	fl_error_set(err, EBUSY, FL_ECODE_CONFLICT,
		     "network %s is in use: %lld endpoints, among them container %.64s on node "
		     "%s%s%s; detach them first",
		     x->client->q.network, (long long)r->count, container, first,
		     *others ? ", others on node " : "", others);
	return true;
}

static void on_users(void *arg, struct fl_etcd_result *r)
{
	FL_AUTOETCDTXN struct fl_etcd_txn t;
	struct creation *x = arg;
	struct network *net = network_named(x->a, x->client->q.network);
	struct fl_error err = { 0 };

	fl_etcd_txn_init(&t, "/");
	if (!agent_heard(x->a, r)) {
		finish(x, r->err.err, &r->err);
		return;
	}
	if (!net) {
		finish(x, 0, NULL);
		return;
	}
	if (say_users(x, r, &err)) {
		finish(x, -EBUSY, &err);
		return;
	}
	build_removal(net, &t);
	if (fl_etcd_txn(x->a->etcd, &t, on_removed, x, NULL, &err))
		finish(x, err.err, &err);
}

void remove_network(struct client *c)
{
	struct network *net = network_named(c->a, c->q.network);
	struct fl_etcd_range q = { .prefix = true, .limit = 100 };
	struct creation *x;
	struct fl_error err = { 0 };
	char key[FL_REC_KEY_STR];

	if (!net) {
		fl_error_set(&err, ENOENT, FL_ECODE_UNKNOWN_CONTAINER,
			     "the cluster %s has no network %s", c->a->conf.cluster, c->q.network);
		client_answer(c, -ENOENT, &err, NULL);
		return;
	}
	x = must_alloc(sizeof(*x));
	x->a = c->a;
	x->client = c;
	c->started = true;
	q.key = fl_rec_prefix(FL_REC_EP, net->id, key);
	if (fl_etcd_range(c->a->etcd, &q, on_users, x, NULL, &err))
		finish(x, err.err, &err);
}
