/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records into values. */
#include "cluster/records.h"

#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static const char *const modes[] = { "l2", "l3" };
static const char *const uses[] = { "endpoint", "node", "gateway", "service", "freed" };

/* ---- members; what is zero is left out ---- */

struct out {
	json_t *obj;
	bool failed; /* an allocation */
};

/* Takes the value; NULL is an allocation that failed. */
static void put(struct out *o, const char *key, json_t *value)
{
	if (json_object_set_new(o->obj, key, value))
		o->failed = true;
}

static void append(struct out *o, json_t *list, json_t *value)
{
	if (json_array_append_new(list, value))
		o->failed = true;
}

/* A list, or nothing when it is empty. */
static void put_list(struct out *o, const char *key, json_t *list)
{
	if (json_array_size(list) || !list)
		put(o, key, list);
	else
		json_decref(list);
}

static void put_text(struct out *o, const char *key, const char *text)
{
	if (*text)
		put(o, key, json_string(text));
}

static void put_int(struct out *o, const char *key, int64_t n)
{
	if (n)
		put(o, key, json_integer(n));
}

static void put_true(struct out *o, const char *key, bool value)
{
	if (value)
		put(o, key, json_true());
}

static void put_addr(struct out *o, const char *key, const struct fl_addr *a)
{
	put_text(o, key, fl_addr_str(a, FL_ADDR_BUF));
}

/* Texts that lie `size` bytes apart. */
static void put_texts(struct out *o, const char *key, const char *texts, size_t size, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		append(o, list, json_string(texts + i * size));
	put_list(o, key, list);
}

static void put_pairs(struct out *o, const char *key, const struct fl_rec_pairs *pairs)
{
	struct out in = { json_object(), false };

	for (size_t i = 0; i < pairs->n; i++)
		put(&in, pairs->list[i].key, json_string(pairs->list[i].value));
	o->failed |= in.failed;
	if (pairs->n)
		put(o, key, in.obj);
	else
		json_decref(in.obj);
}

/* ---- kinds ---- */

static void put_net(struct out *o, const struct fl_rec_net *n)
{
	json_t *subnets = json_array();

	put_text(o, "name", n->name);
	put_text(o, "mode", modes[n->mode]);
	put_int(o, "vni", n->vni);
	put_int(o, "mtu", n->mtu);
	put_true(o, "encrypted", n->encrypted);
	put_true(o, "internal", n->internal);
	put_int(o, "port", n->port);
	put_true(o, "broadcast", n->broadcast);
	for (size_t i = 0; i < n->n_subnets; i++) {
		struct out item = { json_object(), false };

		put_text(&item, "subnet", fl_prefix_str(&n->subnets[i].subnet, FL_PREFIX_BUF));
		put_addr(&item, "gateway", &n->subnets[i].gateway);
		o->failed |= item.failed;
		append(o, subnets, item.obj);
	}
	put_list(o, "subnets", subnets);
	put_pairs(o, "options", &n->options);
	put_pairs(o, "labels", &n->labels);
}

static void put_node(struct out *o, const struct fl_rec_node *n)
{
	put_addr(o, "vtep4", &n->vtep4);
	put_addr(o, "vtep6", &n->vtep6);
	put_int(o, "mtu", n->mtu);
	put_int(o, "port", n->port);
	put_text(o, "boot_id", n->boot_id);
	put_int(o, "epoch", n->epoch);
	put_text(o, "key", n->key);
	put_texts(o, "caps", n->caps[0], sizeof(n->caps[0]), n->n_caps);
}

static void put_join(struct out *o, const struct fl_rec_join *j)
{
	put_int(o, "epoch", j->epoch);
	put_addr(o, "ip4", &j->ip4);
	put_addr(o, "ip6", &j->ip6);
	if (!fl_mac_is_zero(&j->mac))
		put_text(o, "mac", fl_mac_str(&j->mac, FL_MAC_BUF));
}

static void put_ep(struct out *o, const struct fl_rec_ep *e)
{
	put_text(o, "node", e->node);
	put_text(o, "container", e->container);
	put_text(o, "ifname", e->ifname);
	put_int(o, "epoch", e->epoch);
	put_text(o, "mac", fl_mac_str(&e->mac, FL_MAC_BUF));
	put_addr(o, "ip4", &e->ip4);
	put_addr(o, "ip6", &e->ip6);
	put_text(o, "name", e->name);
	put_texts(o, "aliases", e->aliases[0], sizeof(e->aliases[0]), e->n_aliases);
	put_texts(o, "services", e->services[0], sizeof(e->services[0]), e->n_services);
	put_int(o, "created", e->created);
}

static void put_ip(struct out *o, const struct fl_rec_ip *i)
{
	put_text(o, "use", uses[i->use]);
	put_text(o, "node", i->node);
	put_text(o, "id", i->id);
}

static void put_blk(struct out *o, const struct fl_rec_blk *b)
{
	json_t *released = json_array();
	char used[17];

	put_text(o, "node", b->node);
	snprintf(used, sizeof(used), "%" PRIx64, b->used);
	put_text(o, "used", used);
	put_int(o, "next", b->next);
	for (int i = 0; i < FL_REC_BLOCK; i++)
		if (b->released[i])
			append(o, released,
			       json_pack("{sisI}", "n", i, "at", (json_int_t)b->released[i]));
	put_list(o, "released", released);
}

int fl_rec_encode(const struct fl_rec *r, struct fl_strbuf *b)
{
	FL_AUTOJSON json_t *obj = json_pack("{si}", "v", 1);
	FL_AUTOFREE char *text = NULL;
	struct out o = { obj, false };

	switch (r->kind) {
	case FL_REC_NET:
		put_net(&o, &r->net);
		break;
	case FL_REC_VNI:
	case FL_REC_NETNAME:
		put_text(&o, "net", r->owner.net);
		break;
	case FL_REC_NODE:
		put_node(&o, &r->node);
		break;
	case FL_REC_ALIVE:
		put_int(&o, "epoch", r->alive.epoch);
		break;
	case FL_REC_JOIN:
		put_join(&o, &r->join);
		break;
	case FL_REC_EP:
		put_ep(&o, &r->ep);
		break;
	case FL_REC_IP:
		put_ip(&o, &r->ip);
		break;
	case FL_REC_BLK:
		put_blk(&o, &r->blk);
		break;
	case FL_REC_KINDS:
		break;
	}
	text = o.failed || !obj ? NULL : json_dumps(obj, JSON_COMPACT);
	if (text)
		fl_strbuf_add(b, text);
	return text && !b->failed ? 0 : -ENOMEM;
}
