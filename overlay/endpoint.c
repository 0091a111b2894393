/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay/agent.h"

#include "base/siphash.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* An endpoint of this node whose addresses are somebody else's by now. */
struct conflict {
	char id[FL_OVERLAY_ID];
	char text[256];
	struct fl_addr ips[FL_OVERLAY_SUBNETS];
	UT_hash_handle hh;
};

/* The same in every life of the agent, so that an ADD that is tried again finds what it had. */
void endpoint_id(const struct agent *a, const char *container, const char *ifname, char *buf)
{
	static const uint8_t keys[2][16] = { "fairlead ep one", "fairlead ep two" };
	char text[FL_OVERLAY_ID + FL_OVERLAY_CONTAINER + IFNAMSIZ];
	size_t n =
		(size_t)snprintf(text, sizeof(text), "%s/%s/%s", a->conf.node, container, ifname);

	snprintf(buf, FL_OVERLAY_ID, "%016" PRIx64 "%016" PRIx64, fl_siphash(keys[0], text, n),
		 fl_siphash(keys[1], text, n));
}

static void key_of(const struct network *net, const char *id, char *buf)
{
	struct fl_rec_key k = { .kind = FL_REC_EP };

	fl_strcpy(k.net, sizeof(k.net), net->id);
	fl_strcpy(k.id, sizeof(k.id), id);
	fl_rec_key(&k, buf);
}

static void work_init(struct work *w, struct network *net, enum work_kind kind, const char *id)
{
	w->net = net;
	w->kind = kind;
	fl_strcpy(w->id, sizeof(w->id), id);
	key_of(net, id, w->key);
	w->who.use = FL_REC_USE_ENDPOINT;
	fl_strcpy(w->who.node, sizeof(w->who.node), net->a->conf.node);
	fl_strcpy(w->who.id, sizeof(w->who.id), id);
}

static struct work *work_new(struct network *net, enum work_kind kind, const char *id)
{
	struct work *w = must_alloc(sizeof(*w));

	work_init(w, net, kind, id);
	return w;
}

/* ---- allocating ---- */

static void answer_allocated(struct client *c, const struct ep *e)
{
	struct fl_overlay_answer answer = { .n_synced = e->net->n_remote };
	const struct fl_rec_net *rec = &e->net->rec;

	for (size_t i = 0; i < rec->n_subnets; i++)
		answer.ips[i] = e->ip[rec->subnets[i].subnet.addr.family == AF_INET6];
	client_answer(c, 0, NULL, &answer);
}

static void on_allocated(struct work *w, int r, const struct fl_error *err)
{
	struct network *net = w->net;

	if (r) {
		client_answer(w->client, r, err, NULL);
		return;
	}
	net->a->n.allocations++;
	/* Whoever asked does not wait any more: does its record? */
	net->reconcile |= w->client->gone;
	network_put_ep(net, w->id, &w->rec->ep, w->revision);
	network_used(net);
	program_flush(net);
	answer_allocated(w->client, table_find(net, w->id));
}

static void fill_record(const struct client *c, struct fl_rec *rec)
{
	const struct fl_overlay_request *q = &c->q;
	struct fl_rec_ep *e = &rec->ep;

	rec->kind = FL_REC_EP;
	fl_strcpy(e->node, sizeof(e->node), c->a->conf.node);
	fl_strcpy(e->container, sizeof(e->container), q->container);
	fl_strcpy(e->ifname, sizeof(e->ifname), q->ifname);
	e->epoch = c->a->member.epoch;
	e->mac = q->mac;
	e->created = now_s();
	fl_strcpy(e->name, sizeof(e->name), q->name);
	for (uint32_t i = 0; i < q->n_aliases; i++)
		fl_strcpy(e->aliases[e->n_aliases++], sizeof(e->aliases[0]), q->aliases[i]);
}

/* What bridge and tunnel are, which the plugin has just looked at. */
static void take_devices(struct network *net, const struct fl_overlay_request *q)
{ /* What they have lost is heard of otherwise. */
	if (net->bridge == q->bridge && net->tunnel == q->tunnel)
		return;
	net->bridge = q->bridge;
	net->tunnel = q->tunnel;
	program_compare(net, true);
}

static int check_wanted(struct network *net, const struct fl_overlay_request *q,
			struct fl_error *err)
{
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		if (fl_addr_is_set(&q->ips[i]) && !network_pool(net, &q->ips[i]))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s is in no subnet of network %s",
					    fl_addr_str(&q->ips[i], FL_ADDR_BUF), net->rec.name);
	return 0;
}

static void allocate(struct client *c, struct network *net, const char *id)
{
	struct ep *old = table_find(net, id);
	struct fl_error err = { 0 };
	struct work *w;
	int r = check_wanted(net, &c->q, &err);

	if (r) {
		client_answer(c, r, &err, NULL);
		return;
	}
	/* A failed ADD's, whose end has not been told yet, or is not finished. */
	if (old && old->busy)
		return;
	if (old && old->node->self) {
		endpoint_give_back(net, old, NULL);
		return;
	}
	w = work_new(net, WORK_TAKE, id);
	w->rec = must_alloc(sizeof(*w->rec));
	fill_record(c, w->rec);
	memcpy(w->wanted, c->q.ips, sizeof(w->wanted));
	w->client = c;
	w->done = on_allocated;
	c->started = true;
	work_add(w);
}

void endpoint_allocate(struct client *c)
{
	struct network *net = network_named(c->a, c->q.network);
	struct fl_error err = { 0 };
	char id[FL_OVERLAY_ID];

	if (!networks_synced(c->a) || !member_lives(c->a) || restore_in_doubt(c->a))
		return;
	if (!net) {
		fl_error_set(&err, ENOENT, FL_ECODE_UNKNOWN_CONTAINER,
			     "network %s was removed from the cluster", c->q.network);
		client_answer(c, -ENOENT, &err, NULL);
		return;
	}
	network_join(net);
	if (!network_ready(net))
		return;
	take_devices(net, &c->q);
	endpoint_id(c->a, c->q.container, c->q.ifname, id);
	allocate(c, net, id);
}

/* ---- giving back ---- */

static void on_given_back(struct work *w, int r, const struct fl_error *err)
{
	struct network *net = w->net;
	struct ep *e = table_find(net, w->id);

	(void)err;
	if (e) {
		e->busy = false;
		net->reconcile |= e->stale;
	}
	if (!r) {
		net->a->n.given_back++;
		if (e && e->node->self && e->mod <= w->revision)
			table_del(net, w->id);
		program_flush(net);
		network_used(net);
	} else {
		net->reconcile = true;
	}
	if (w->client)
		client_answer(w->client, 0, NULL, NULL);
	agent_wake(net->a);
}

void endpoint_give_back(struct network *net, struct ep *e, struct client *c)
{
	struct work *w;

	if (e->busy)
		return;
	e->busy = e->released = true;
	w = work_new(net, WORK_GIVE, e->id);
	w->expected = e->mod;
	memcpy(w->wanted, e->ip, sizeof(w->wanted));
	w->client = c;
	w->done = on_given_back;
	if (c)
		c->started = true;
	work_add(w);
}

static void forget_conflict(struct network *net, const char *id)
{
	struct conflict *x;

	HASH_FIND_STR(net->conflicts, id, x);
	if (!x)
		return;
	HASH_DEL(net->conflicts, x);
	free(x);
}

/* Whatever becomes of it here, the node's store says that the endpoint is gone. */
void endpoint_release(struct client *c)
{
	struct network *net = network_named(c->a, c->q.network);
	char id[FL_OVERLAY_ID];
	struct ep *e;

	endpoint_id(c->a, c->q.container, c->q.ifname, id);
	e = net ? table_find(net, id) : NULL;
	if (net)
		forget_conflict(net, id);
	c->a->n.releases++;
	if (!e || !e->node->self || e->of_node) {
		if (net && net->joined)
			net->reconcile = true;
		client_answer(c, 0, NULL, NULL);
		return;
	}
	if (c->a->trouble.err || e->busy || !network_ready(net)) {
		e->released = true;
		net->reconcile = true;
		client_answer(c, 0, NULL, NULL);
		return;
	}
	endpoint_give_back(net, e, c);
}

/* ---- claiming again ---- */

bool endpoint_conflict(struct network *net, const char *id, struct fl_error *err)
{
	struct conflict *x;

	HASH_FIND_STR(net->conflicts, id, x);
	if (x)
		fl_error_set(err, EUCLEAN, FL_ECODE_CHECK, "%s", x->text);
	return x;
}

void endpoint_forget_conflicts(struct network *net)
{
	struct conflict *x, *tmp;

	HASH_ITER (hh, net->conflicts, x, tmp) {
		HASH_DEL(net->conflicts, x);
		free(x);
	}
}

/* Two living owners are worse than a container that is cut off, and told so by CHECK. */
static void cut_off(struct network *net, const char *id, const struct fl_endpoint *ep,
		    const struct fl_error *why)
{
	struct conflict *x;
	struct fl_error err = { 0 };

	HASH_FIND_STR(net->conflicts, id, x);
	if (x)
		return;
	x = must_alloc(sizeof(*x));
	fl_strcpy(x->id, sizeof(x->id), id);
	snprintf(x->text, sizeof(x->text),
		 "container %.64s is cut off from network %s: this node was away, and %.*s; attach "
		 "it again, or remove the other one",
		 ep->id.container, net->rec.name, (int)strcspn(why->text, ";"), why->text);
	for (uint32_t i = 0; i < ep->n_addrs && i < FL_OVERLAY_SUBNETS; i++)
		x->ips[i] = ep->addrs[i].addr;
	HASH_ADD_STR(net->conflicts, id, x);
	net->a->n.conflicts++;
	say("%s", x->text);
	if (ep->ifindex && fl_link_set_up(net->a->nl, ep->ifindex, false, &err))
		say("%s", err.text);
}

/* `addr` NULL: something of a block. */
void endpoint_freed(struct network *net, const struct fl_addr *addr)
{
	struct conflict *x, *tmp;

	net->reconcile |= restore_in_doubt(net->a);
	HASH_ITER (hh, net->conflicts, x, tmp)
		for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
			net->reconcile |= !addr || fl_addr_eq(&x->ips[i], addr);
}

/* Maybe it was cut off, by an earlier life of the agent too. */
static void connect_again(struct network *net, const char *id, const struct fl_endpoint *ep)
{
	struct fl_error err = { 0 };

	if (endpoint_conflict(net, id, &err))
		say("container %.64s is back on network %s", ep->id.container, net->rec.name);
	forget_conflict(net, id);
	if (ep->ifindex && fl_link_set_up(net->a->nl, ep->ifindex, true, &err))
		say("%s", err.text);
}

struct reclaim {
	struct work w; /* first: work.c frees it */
	struct fl_endpoint ep;
};

/*
 * Each prefix has a watch of its own: that a bit of a block is set may be what it was when the
 * address was ours. Only whom the table has there is somebody else.
 */
static bool is_lost(const struct work *w)
{
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++) {
		const struct fl_addr *a = &w->wanted[i];
		struct fl_ippool *pool = fl_addr_is_set(a) ? network_pool(w->net, a) : NULL;

		if (pool && (!fl_ippool_has_blocks(pool) || table_owner(w->net, a)))
			return true;
	}
	return false;
}

static void on_reclaimed(struct work *w, int r, const struct fl_error *err)
{
	struct reclaim *x = (struct reclaim *)w;
	struct network *net = w->net;

	x->w.net->a->n.reclaimed += !r;
	if (!r) {
		network_put_ep(net, w->id, &w->rec->ep, w->revision);
		connect_again(net, w->id, &x->ep);
		program_flush(net);
		network_used(net);
	} else if (restore_in_doubt(net->a)) {
		/* The other one is maybe of an old backup, and its node gives it back. */
		net->reconcile |= r != -EADDRINUSE;
	} else if (r == -EINVAL || (r == -EADDRINUSE && is_lost(w))) {
		cut_off(net, w->id, &x->ep, err);
	} else {
		net->reconcile = true;
	}
}

static void fill_from_store(const struct agent *a, const struct fl_endpoint *ep, struct fl_rec *rec)
{
	FL_AUTOJSON json_t *list = *ep->aliases ? json_loads(ep->aliases, 0, NULL) : NULL;
	struct fl_rec_ep *e = &rec->ep;

	rec->kind = FL_REC_EP;
	fl_strcpy(e->node, sizeof(e->node), a->conf.node);
	fl_strcpy(e->container, sizeof(e->container), ep->id.container);
	fl_strcpy(e->ifname, sizeof(e->ifname), ep->id.ifname);
	e->epoch = a->member.epoch;
	e->mac = ep->mac;
	e->created = now_s();
	fl_strcpy(e->name, sizeof(e->name), ep->name);
	for (size_t i = 0; i < json_array_size(list) && e->n_aliases < FL_REC_ALIASES_MAX; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (text)
			fl_strcpy(e->aliases[e->n_aliases++], sizeof(e->aliases[0]), text);
	}
}

void endpoint_reclaim(struct network *net, const struct fl_endpoint *ep)
{
	struct reclaim *x;
	struct work *w;
	char id[FL_OVERLAY_ID], key[FL_REC_KEY_STR];

	endpoint_id(net->a, ep->id.container, ep->id.ifname, id);
	key_of(net, id, key);
	if (work_has(net, key))
		return;
	x = must_alloc(sizeof(*x));
	x->ep = *ep;
	w = &x->w;
	work_init(w, net, WORK_TAKE, id);
	w->only_wanted = true;
	w->done = on_reclaimed;
	w->rec = must_alloc(sizeof(*w->rec));
	fill_from_store(net->a, ep, w->rec);
	for (uint32_t i = 0; i < ep->n_addrs && i < FL_OVERLAY_SUBNETS; i++)
		w->wanted[i] = ep->addrs[i].addr;
	work_add(w);
}
