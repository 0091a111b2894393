/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/peers.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

void peers_clear(struct peers *p)
{
	free(p->v);
	*p = (struct peers){ 0 };
}

static int take_peer(void *arg, const struct fl_peer *p)
{
	struct peers *all = arg;

	if (array_grow((void **)&all->v, all->n, sizeof(*p)))
		return -ENOMEM;
	all->v[all->n++] = *p;
	return 0;
}

static int compare_peers(const void *x, const void *y)
{
	const struct fl_peer *a = x, *b = y;
	int r = strcmp(a->network, b->network);

	if (!r)
		r = strcmp(a->node, b->node);
	if (!r)
		r = strcmp(*a->name ? a->name : a->container, *b->name ? b->name : b->container);
	return r ? r : strcmp(a->id, b->id);
}

int peers_read(struct ctl *c, struct peers *ret, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	AUTOPEERS struct peers all = { 0 };
	int r = ctl_store(c, false, err);

	if (!r && c->store)
		r = fl_txn_begin(c->store, false, &t, err);
	if (!r && t)
		r = fl_peers_each(t, NULL, take_peer, &all, err);
	if (r)
		return r == -ENOMEM ? fl_error_oom(err) : r;
	if (all.n)
		qsort(all.v, all.n, sizeof(*all.v), compare_peers);
	*ret = all;
	all = (struct peers){ 0 };
	return 0;
}

const struct fl_peer *peers_of(const struct peers *p, const char *network, size_t *n)
{
	size_t from = 0, to = p->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (strcmp(p->v[mid].network, network) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	*n = 0;
	while (from + *n < p->n && !strcmp(p->v[from + *n].network, network))
		++*n;
	return p->n ? p->v + from : NULL;
}

static bool has_alias(const struct fl_peer *p, const char *word)
{
	FL_AUTOJSON json_t *aliases = *p->aliases ? json_loads(p->aliases, 0, NULL) : NULL;
	const json_t *one;
	size_t i;

	json_array_foreach(aliases, i, one)
	{
		if (json_is_string(one) && !strcasecmp(json_string_value(one), word))
			return true;
	}
	return false;
}

bool peer_is_called(const struct fl_peer *p, const char *word)
{
	return !strcmp(p->name, word) || !strcmp(p->container, word) || has_alias(p, word);
}

bool peer_id_begins(const struct fl_peer *p, const char *word)
{
	return strlen(word) >= 2 && !strncmp(p->container, word, strlen(word));
}

bool peer_has(const struct fl_peer *p, const struct fl_addr *a)
{
	return fl_addr_eq(&p->addrs[0], a) || fl_addr_eq(&p->addrs[1], a);
}

const char *peer_label(const struct fl_peer *p, char *buf, size_t size)
{
	return name_or_id(p->name, p->container, buf, size);
}

json_t *peer_addresses(const struct fl_peer *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < FL_ARRAY_SIZE(p->addrs); i++)
		if (fl_addr_is_set(&p->addrs[i]))
			json_array_append_new(list,
					      json_string(fl_addr_str(&p->addrs[i], FL_ADDR_BUF)));
	return list;
}

json_t *peer_json(const struct fl_peer *p)
{
	json_t *aliases = *p->aliases ? json_loads(p->aliases, 0, NULL) : NULL;

	return json_pack("{ss ss ss ss ss ss ss so so sb}", "id", p->id, "node", p->node,
			 "container", p->container, "name", p->name, "label", PEER_LABEL(p),
			 "interface", p->ifname, "mac",
			 fl_mac_is_zero(&p->mac) ? "" : fl_mac_str(&p->mac, FL_MAC_BUF),
			 "addresses", peer_addresses(p), "aliases",
			 aliases ? aliases : json_array(), "suspect", (int)p->suspect);
}
