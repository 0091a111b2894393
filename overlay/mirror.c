/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay/agent.h"

#include <errno.h>
#include <string.h>

/* One transaction takes all that an event of the cluster's store changed. */
static struct fl_txn *txn(struct agent *a)
{
	struct fl_error err = { 0 };

	if (!a->mirror && fl_txn_begin(a->store, true, &a->mirror, &err)) {
		say("%s", err.text);
		a->mirror_failed = true;
	}
	return a->mirror;
}

static void failed(struct agent *a, const struct fl_error *err)
{
	say("%s", err->text);
	a->mirror_failed = true;
}

static void fill(struct fl_peer *p, const struct ep *e)
{
	*p = (struct fl_peer){ .mac = e->mac, .suspect = !e->node->alive };
	fl_strcpy(p->network, sizeof(p->network), e->net->rec.name);
	fl_strcpy(p->id, sizeof(p->id), e->id);
	fl_strcpy(p->node, sizeof(p->node), e->node->name);
	fl_strcpy(p->container, sizeof(p->container), e->container);
	fl_strcpy(p->ifname, sizeof(p->ifname), e->ifname);
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		p->addrs[i] = e->ip[i];
	if (e->name)
		fl_strcpy(p->name, sizeof(p->name), e->name);
	/* What does not fit has no names, rather than broken ones. */
	if (e->aliases && strlen(e->aliases) < sizeof(p->aliases))
		fl_strcpy(p->aliases, sizeof(p->aliases), e->aliases);
}

void mirror_put(struct network *net, struct ep *e)
{
	struct agent *a = net->a;
	struct fl_error err = { 0 };
	struct fl_peer p;

	e->mirrored_suspect = !e->node->alive;
	/* All of it is written when all of it is known. */
	if (!net->mirrored || !txn(a))
		return;
	fill(&p, e);
	a->n.mirrored++;
	if (fl_peer_put(a->mirror, &p, &err))
		failed(a, &err);
}

void mirror_del(struct network *net, const char *id)
{
	struct agent *a = net->a;
	struct fl_error err = { 0 };

	if (!net->mirrored || !txn(a))
		return;
	a->n.mirrored++;
	if (fl_peer_del(a->mirror, net->rec.name, id, &err))
		failed(a, &err);
}

struct comparison {
	struct network *net; /* NULL: all of it goes */
	struct agent *a;
};

static int compare(void *arg, const struct fl_peer *p)
{
	const struct comparison *c = arg;
	struct ep *e = c->net ? table_find(c->net, p->id) : NULL;
	struct fl_error err = { 0 };
	struct fl_peer want;

	if (e && !e->node->self) {
		fill(&want, e);
		e->mirrored = want.suspect == p->suspect && !strcmp(want.node, p->node) &&
			      !strcmp(want.container, p->container) &&
			      !strcmp(want.name, p->name) && !strcmp(want.aliases, p->aliases) &&
			      !memcmp(&want.mac, &p->mac, sizeof(p->mac)) &&
			      !memcmp(want.addrs, p->addrs, sizeof(p->addrs));
		return 0;
	}
	c->a->n.mirrored++;
	if (fl_peer_del(c->a->mirror, p->network, p->id, &err))
		failed(c->a, &err);
	return 0;
}

void mirror_all(struct network *net)
{
	struct comparison c = { net, net->a };
	struct fl_error err = { 0 };
	struct ep *e, *tmp;

	if (!txn(net->a))
		return;
	net->mirrored = true;
	HASH_ITER (hh, net->table, e, tmp)
		e->mirrored = e->of_node || e->node->self;
	if (fl_peers_each(net->a->mirror, net->rec.name, compare, &c, &err))
		failed(net->a, &err);
	HASH_ITER (hh, net->table, e, tmp)
		if (!e->mirrored)
			mirror_put(net, e);
}

void mirror_forget(struct agent *a, const char *network)
{
	struct comparison c = { NULL, a };
	struct fl_error err = { 0 };

	if (txn(a) && fl_peers_each(a->mirror, network, compare, &c, &err))
		failed(a, &err);
}

void mirror_flush(struct agent *a)
{
	struct fl_error err = { 0 };
	struct network *net, *tmp;

	if (a->mirror && a->mirror_failed)
		fl_txn_abort(fl_take_ptr(a->mirror));
	else if (a->mirror && fl_txn_commit(&a->mirror, &err))
		failed(a, &err);
	if (!a->mirror_failed)
		return;
	/* Nothing of it was written: the next comparison writes all. */
	a->mirror_failed = false;
	HASH_ITER (hh, a->networks, net, tmp)
		net->mirror_stale |= net->joined;
}
