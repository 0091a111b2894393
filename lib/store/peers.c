/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/peers.h"

#include "store/private.h"

#include <errno.h>
#include <string.h>

static struct fl_bytes peer_key(struct fl_key *k, const char *network, const char *id)
{
	*k = (struct fl_key){ 0 };
	fl_key_str(k, network, false);
	fl_key_str(k, id, true);
	return fl_key_done(k);
}

static struct fl_named named_of(const struct fl_peer *p)
{
	struct fl_named who = { .network = p->network,
				.container = p->container,
				.name = p->name,
				.hostname = "",
				.aliases = p->aliases,
				.fresh = true };
	struct fl_key k;

	who.owner = fl_named_hash(peer_key(&k, p->network, p->id), true);
	for (size_t i = 0; i < FL_ARRAY_SIZE(p->addrs); i++)
		if (fl_addr_is_set(&p->addrs[i]))
			who.addrs[who.n_addrs++] = p->addrs[i];
	return who;
}

int fl_peer_canonical(const struct fl_peer *p, struct fl_dns_name *ret)
{
	struct fl_named who = named_of(p);

	return fl_named_canonical(&who, ret);
}

int fl_peer_hostnames(const struct fl_peer *p, int (*fn)(void *arg, const struct fl_dns_name *name),
		      void *arg)
{
	struct fl_named who = named_of(p);

	return fl_named_each(&who, fn, arg);
}

/* By what the record says, and by nothing else: only so is all of it found again. */
static int del_names(struct fl_txn *t, struct fl_bytes record, struct fl_error *err)
{
	struct fl_named who;
	struct fl_peer p;
	int r = fl_peer_decode(record.p, record.len, &p, err);

	if (r || p.suspect)
		return r;
	who = named_of(&p);
	return fl_named_del(t, &who, err);
}

int fl_peer_put(struct fl_txn *t, const struct fl_peer *p, struct fl_error *err)
{
	FL_AUTOFREE char *json = NULL;
	struct fl_bytes old, now, key;
	struct fl_named who;
	struct fl_key k;
	int r = fl_peer_encode(p, &json, err);

	if (r)
		return r;
	now = (struct fl_bytes){ json, strlen(json) };
	key = peer_key(&k, p->network, p->id);
	r = fl_get(t, FL_TABLE_PEERS, key, &old, err);
	if (!r && fl_bytes_eq(old, now))
		return 0;
	r = r == -ENOENT ? 0 : r ? r : del_names(t, old, err);
	if (!r)
		r = fl_put(t, FL_TABLE_PEERS, key, now, err);
	if (r || p->suspect)
		return r;
	who = named_of(p);
	return fl_named_put(t, &who, err);
}

int fl_peer_del(struct fl_txn *t, const char *network, const char *id, struct fl_error *err)
{
	struct fl_bytes old, key;
	struct fl_key k;
	int r;

	key = peer_key(&k, network, id);
	r = fl_get(t, FL_TABLE_PEERS, key, &old, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = del_names(t, old, err);
	return r ? r : fl_del(t, FL_TABLE_PEERS, key, err);
}

int fl_peer_get(struct fl_txn *t, const char *network, const char *id, struct fl_peer *ret,
		struct fl_error *err)
{
	struct fl_bytes val;
	struct fl_key k;
	int r = fl_get(t, FL_TABLE_PEERS, peer_key(&k, network, id), &val, err);

	return r ? r : fl_peer_decode(val.p, val.len, ret, err);
}

struct peers_each {
	int (*fn)(void *arg, const struct fl_peer *p);
	void *arg;
	struct fl_error *err;
};

static int each_peer(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	const struct peers_each *e = arg;
	struct fl_peer p;
	int r = fl_peer_decode(val.p, val.len, &p, e->err);

	(void)key;
	return r ? r : e->fn(e->arg, &p);
}

int fl_peers_each(struct fl_txn *t, const char *network,
		  int (*fn)(void *arg, const struct fl_peer *p), void *arg, struct fl_error *err)
{
	struct peers_each e = { fn, arg, err };
	struct fl_bytes prefix = { 0 };
	struct fl_key k = { 0 };

	if (network) {
		fl_key_str(&k, network, false);
		prefix = fl_key_done(&k);
	}
	return fl_each(t, FL_TABLE_PEERS, prefix, each_peer, &e, err);
}
