/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records of networks and endpoints. */
#include "store/hosts.h"
#include "store/leases.h"
#include "store/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct fl_bytes network_key(struct fl_key *k, const char *name, const char *driver)
{
	k->len = 0;
	k->overflow = false;
	fl_key_str(k, name, false);
	fl_key_str(k, driver, true);
	return fl_key_done(k);
}

static struct fl_bytes endpoint_key(struct fl_key *k, const struct fl_endpoint_id *id)
{
	k->len = 0;
	k->overflow = false;
	fl_key_endpoint(k, id);
	return fl_key_done(k);
}

int fl_network_get(struct fl_txn *t, const char *name, const char *driver, struct fl_network *ret,
		   struct fl_error *err)
{
	struct fl_bytes val;
	struct fl_key k;
	int r = fl_get(t, FL_TABLE_NETWORKS, network_key(&k, name, driver), &val, err);

	return r ? r : fl_network_decode(val.p, val.len, ret, err);
}

int fl_network_put(struct fl_txn *t, const struct fl_network *net, struct fl_error *err)
{
	FL_AUTOFREE char *json = NULL;
	struct fl_key k;
	int r = fl_network_encode(net, &json, err);

	if (r)
		return r;
	return fl_put(t, FL_TABLE_NETWORKS, network_key(&k, net->name, net->driver),
		      (struct fl_bytes){ json, strlen(json) }, err);
}

int fl_network_del(struct fl_txn *t, const char *name, const char *driver, struct fl_error *err)
{
	struct fl_key k;

	return fl_del(t, FL_TABLE_NETWORKS, network_key(&k, name, driver), err);
}

struct networks_each {
	int (*fn)(void *arg, const struct fl_network *net);
	void *arg;
	struct fl_error *err;
};

static int each_network(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	struct networks_each *e = arg;
	struct fl_network net;
	int r = fl_network_decode(val.p, val.len, &net, e->err);

	(void)key;
	return r ? r : e->fn(e->arg, &net);
}

int fl_networks_each(struct fl_txn *t, int (*fn)(void *arg, const struct fl_network *), void *arg,
		     struct fl_error *err)
{
	struct networks_each e = { fn, arg, err };

	return fl_each(t, FL_TABLE_NETWORKS, (struct fl_bytes){ 0 }, each_network, &e, err);
}

int fl_endpoint_get(struct fl_txn *t, const struct fl_endpoint_id *id, struct fl_endpoint *ret,
		    struct fl_error *err)
{
	struct fl_bytes val;
	struct fl_key k;
	int r = fl_get(t, FL_TABLE_ENDPOINTS, endpoint_key(&k, id), &val, err);

	return r ? r : fl_endpoint_decode(val.p, val.len, ret, err);
}

/* NAME NUL hash of the endpoint's key (both would not fit) -> the endpoint's key */
static struct fl_bytes name_key(struct fl_key *k, const char *name, struct fl_bytes owner)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	*k = (struct fl_key){ 0 };
	fl_key_str(k, name, false);
	for (size_t i = 0; i < owner.len; i++)
		h = (h ^ ((const uint8_t *)owner.p)[i]) * 0x100000001b3u;
	if (owner.len)
		fl_key_bytes(k, &h, sizeof(h));
	return fl_key_done(k);
}

/* '@' is in no id: what sharers are found by. */
static void sharing_name(const char *container, char *buf, size_t size)
{
	snprintf(buf, size, "@%s", container);
}

/* Calls fn with each name that leads to the endpoint. */
static int each_name(struct fl_txn *t, const struct fl_endpoint *ep,
		     int (*fn)(struct fl_txn *t, const char *name, struct fl_bytes owner,
			       struct fl_error *err),
		     struct fl_error *err)
{
	char sharing[FL_NAME_MAX + 2];
	struct fl_key self;
	struct fl_bytes owner = endpoint_key(&self, &ep->id);
	int r = fn(t, ep->id.container, owner, err);

	if (!r && ep->name[0])
		r = fn(t, ep->name, owner, err);
	if (r || !ep->shares[0])
		return r;
	sharing_name(ep->shares, sharing, sizeof(sharing));
	return fn(t, sharing, owner, err);
}

static int put_name(struct fl_txn *t, const char *name, struct fl_bytes owner, struct fl_error *err)
{
	struct fl_key k;

	return fl_put(t, FL_TABLE_NAMES, name_key(&k, name, owner), owner, err);
}

static int del_name(struct fl_txn *t, const char *name, struct fl_bytes owner, struct fl_error *err)
{
	struct fl_key k;

	return fl_del(t, FL_TABLE_NAMES, name_key(&k, name, owner), err);
}

int fl_endpoint_put(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOFREE char *json = NULL;
	struct fl_key k;
	int r = fl_endpoint_encode(ep, &json, err);

	if (!r)
		r = fl_put(t, FL_TABLE_ENDPOINTS, endpoint_key(&k, &ep->id),
			   (struct fl_bytes){ json, strlen(json) }, err);
	if (!r && *ep->dns && ep->state == FL_STATE_CREATING)
		r = fl_hosts_put(t, ep, err);
	/* Nobody finds it any more by its names from here on. */
	if (!r && *ep->dns && ep->state == FL_STATE_DELETING)
		r = fl_hosts_del(t, ep, err);
	return r || ep->state != FL_STATE_CREATING ? r : each_name(t, ep, put_name, err);
}

struct named {
	struct fl_txn *t;
	int (*fn)(void *arg, const struct fl_endpoint *ep);
	void *arg;
	struct fl_error *err;
};

static int each_named(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	struct named *n = arg;
	int r = fl_get(n->t, FL_TABLE_ENDPOINTS, val, &val, n->err);

	(void)key;
	if (r == -ENOENT)
		return 0;
	if (!r)
		r = fl_endpoint_decode(val.p, val.len, &ep, n->err);
	return r ? r : n->fn(n->arg, &ep);
}

int fl_endpoints_named(struct fl_txn *t, const char *name,
		       int (*fn)(void *arg, const struct fl_endpoint *), void *arg,
		       struct fl_error *err)
{
	struct fl_key k;
	struct fl_bytes prefix = name_key(&k, name, (struct fl_bytes){ 0 });
	struct named n = { t, fn, arg, err };

	return fl_each(t, FL_TABLE_NAMES, prefix, each_named, &n, err);
}

int fl_endpoints_sharing(struct fl_txn *t, const char *container,
			 int (*fn)(void *arg, const struct fl_endpoint *), void *arg,
			 struct fl_error *err)
{
	char name[FL_NAME_MAX + 2];

	sharing_name(container, name, sizeof(name));
	return fl_endpoints_named(t, name, fn, arg, err);
}

int fl_memo_put(struct fl_txn *t, const struct fl_endpoint_id *id, struct fl_bytes memo,
		struct fl_error *err)
{
	struct fl_key k;

	return fl_put(t, FL_TABLE_MEMOS, endpoint_key(&k, id), memo, err);
}

int fl_memo_get(struct fl_txn *t, const struct fl_endpoint_id *id, struct fl_bytes *ret,
		struct fl_error *err)
{
	struct fl_key k;

	return fl_get(t, FL_TABLE_MEMOS, endpoint_key(&k, id), ret, err);
}

int fl_endpoint_del(struct fl_txn *t, const struct fl_endpoint_id *id, struct fl_error *err)
{
	struct fl_key k;

	return fl_del(t, FL_TABLE_ENDPOINTS, endpoint_key(&k, id), err);
}

struct endpoints_each {
	int (*fn)(void *arg, const struct fl_endpoint *ep);
	void *arg;
	struct fl_error *err;
};

static int each_endpoint(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	struct endpoints_each *e = arg;
	int r = fl_endpoint_decode(val.p, val.len, &ep, e->err);

	(void)key;
	return r ? r : e->fn(e->arg, &ep);
}

int fl_endpoints_each(struct fl_txn *t, const char *network,
		      int (*fn)(void *arg, const struct fl_endpoint *), void *arg,
		      struct fl_error *err)
{
	struct endpoints_each e = { fn, arg, err };
	struct fl_bytes prefix = { 0 };
	struct fl_key k = { 0 };

	if (network) {
		fl_key_str(&k, network, false);
		prefix = fl_key_done(&k);
	}
	return fl_each(t, FL_TABLE_ENDPOINTS, prefix, each_endpoint, &e, err);
}

static int is_other(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	struct fl_bytes *except = arg;

	(void)val;
	return !fl_bytes_eq(key, *except);
}

int fl_network_in_use(struct fl_txn *t, const char *name, const char *driver,
		      const struct fl_endpoint_id *except, struct fl_error *err)
{
	struct fl_bytes except_key = { "", 0 };
	struct fl_key k = { 0 }, prefix = { 0 };

	if (except)
		except_key = endpoint_key(&k, except);
	fl_key_str(&prefix, name, false);
	fl_key_str(&prefix, driver, false);
	/* Stops at the first or the second entry. */
	return fl_each(t, FL_TABLE_ENDPOINTS, fl_key_done(&prefix), is_other, &except_key, err);
}

static int evict_leases(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err)
{
	struct fl_pool pool;
	int r;

	if (!ep->pool[0])
		return 0;
	r = fl_pool_get(t, ep->pool, &pool, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = fl_leases_free_owner(t, &pool, ep->id.container, ep->id.ifname, err);
	return r < 0 ? r : 0;
}

int fl_endpoint_evict(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err)
{
	struct fl_key k;
	int r = fl_ports_release(t, ep, err);

	if (!r)
		r = evict_leases(t, ep, err);
	if (!r && *ep->dns)
		r = fl_hosts_del(t, ep, err);
	if (!r)
		r = each_name(t, ep, del_name, err);
	if (!r)
		r = fl_del(t, FL_TABLE_MEMOS, endpoint_key(&k, &ep->id), err);
	return r ? r : fl_endpoint_del(t, &ep->id, err);
}
