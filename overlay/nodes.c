/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay/agent.h"

#include "vxlan/dataplane.h"

#include <string.h>

#define MTU_DEFAULT 1500

struct node *node_get(struct agent *a, const char *name)
{
	struct node *n;

	HASH_FIND_STR(a->nodes, name, n);
	if (n)
		return n;
	n = must_alloc(sizeof(*n));
	fl_strcpy(n->name, sizeof(n->name), name);
	n->self = !strcmp(name, a->conf.node);
	n->since = now_s();
	HASH_ADD_STR(a->nodes, name, n);
	return n;
}

struct fl_addr node_vtep(const struct agent *a, const struct node *n)
{
	const struct fl_addr *vtep = a->vtep.family == AF_INET6 ? &n->rec.vtep6 : &n->rec.vtep4;

	/* Who says that it is where we are gets nothing: our own frames would come back. */
	if (!n->known || (!n->self && fl_addr_eq(vtep, &a->vtep)))
		return (struct fl_addr){ 0 };
	return *vtep;
}

bool node_exists(const struct node *n)
{
	return n->known || n->unread || n->alive || n->uses;
}

void nodes_tidy(struct agent *a)
{
	struct node *n, *tmp;

	HASH_ITER (hh, a->nodes, n, tmp)
		if (!n->self && !node_exists(n) && !sweep_is_of(a, n)) {
			HASH_DEL(a->nodes, n);
			free(n);
		}
}

uint32_t nodes_mtu(struct agent *a)
{
	uint32_t mtu = a->vtep_mtu;
	struct node *n, *tmp;
	HASH_ITER (hh, a->nodes, n, tmp) {
		if (n->known && n->rec.mtu < mtu)
			mtu = n->rec.mtu;
		if (n->known && n->route_mtu && n->route_mtu < mtu)
			mtu = n->route_mtu;
	}
	return mtu ? mtu : MTU_DEFAULT;
}

/* Its metric; what path MTU discovery found out may be over tomorrow, or be somebody's joke. */
static void look_at_way(struct agent *a, struct node *n)
{
	struct fl_addr vtep = node_vtep(a, n);
	struct fl_nlroute route;

	n->route_mtu = 0;
	if (!n->self && fl_addr_is_set(&vtep) && !fl_route_match(a->nl, &vtep, &route, NULL) &&
	    route.mtu >= 1280)
		n->route_mtu = route.mtu;
}

void nodes_look(struct agent *a)
{
	struct node *n, *tmp;

	HASH_ITER (hh, a->nodes, n, tmp)
		if (n->known)
			look_at_way(a, n);
}
/* ---- records ---- */

static void begin_records(void *arg)
{
	struct agent *a = arg;
	struct node *n, *tmp;

	HASH_ITER (hh, a->nodes, n, tmp)
		n->seen_record = false;
}

static void forget_record(struct agent *a, struct node *n, int64_t revision)
{
	if (!n->known && !n->unread)
		return;
	n->known = n->unread = false;
	n->mod = 0;
	if (n->self)
		member_doubt(a, revision);
	networks_touch_node(a, n);
}

static void change_record(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
			  int64_t revision)
{
	struct agent *a = arg;
	struct node *n = node_get(a, key->id);
	struct fl_error err = { 0 };
	struct fl_rec *rec;

	if (!kv) {
		forget_record(a, n, revision);
		return;
	}
	rec = must_alloc(sizeof(*rec));
	n->seen_record = true;
	if (fl_rec_decode(FL_REC_NODE, kv->value, kv->value_len, rec, &err)) {
		ignore(a, kv->key, revision, &err);
		n->unread = true;
		n->mod = revision;
	} else {
		n->unread = false;
		n->rec = rec->node;
		n->known = true;
		/* It was here again, whether or not its life was told of. */
		if (n->mod != revision)
			n->sweep_at = 0;
		n->mod = revision;
		look_at_way(a, n);
		networks_touch_node(a, n);
	}
	if (n->self)
		member_doubt(a, revision);
	free(rec);
}

static void synced_records(void *arg)
{
	struct agent *a = arg;
	struct node *n, *tmp;

	HASH_ITER (hh, a->nodes, n, tmp)
		if (!n->seen_record)
			forget_record(a, n, a->follow_nodes.revision);
	networks_know_nodes(a);
}

/* ---- life ---- */

static void set_alive(struct agent *a, struct node *n, bool alive)
{
	if (n->alive == alive && n->since)
		return;
	n->alive = alive;
	n->since = now_s();
	n->sweep_at = 0;
	if (!n->self)
		say("node %s %s", n->name, alive ? "is alive" : "gives no sign of life");
	networks_touch_node(a, n);
}

static void begin_alive(void *arg)
{
	struct agent *a = arg;
	struct node *n, *tmp;

	HASH_ITER (hh, a->nodes, n, tmp)
		n->seen_alive = false;
}

static void change_alive(void *arg, const struct fl_rec_key *key, const struct fl_etcd_kv *kv,
			 int64_t revision)
{
	struct node *n = node_get(arg, key->id);

	n->seen_alive = true;
	n->alive_mod = kv ? revision : 0;
	set_alive(arg, n, kv);
	if (n->self)
		member_doubt(arg, revision);
}

static void synced_alive(void *arg)
{
	struct agent *a = arg;
	struct node *n, *tmp;

	HASH_ITER (hh, a->nodes, n, tmp)
		if (!n->seen_alive) {
			n->alive_mod = 0;
			set_alive(a, n, false);
			if (n->self)
				member_doubt(a, a->follow_alive.revision);
		}
}

static void settled(void *arg)
{
	struct agent *a = arg;

	networks_settle(a);
	sweep_check(a);
}

void nodes_start(struct agent *a)
{
	static const struct follow_ops records = { begin_records, change_record, synced_records,
						   settled };
	static const struct follow_ops alive = { begin_alive, change_alive, synced_alive, settled };

	follow_start(&a->follow_nodes, a, "node/", &records, a);
	follow_start(&a->follow_alive, a, "alive/", &alive, a);
}

void nodes_stop(struct agent *a)
{
	struct node *n, *tmp;

	follow_stop(&a->follow_nodes);
	follow_stop(&a->follow_alive);
	HASH_ITER (hh, a->nodes, n, tmp) {
		HASH_DEL(a->nodes, n);
		free(n);
	}
}

bool nodes_known(const struct agent *a)
{
	return a->follow_nodes.synced;
}

bool nodes_synced(const struct agent *a)
{
	return a->follow_nodes.synced && a->follow_alive.synced;
}
