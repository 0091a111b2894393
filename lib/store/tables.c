/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records of networks and endpoints. */
#include "store/leases.h"
#include "store/private.h"

#include <errno.h>
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

int fl_endpoint_put(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOFREE char *json = NULL;
	struct fl_key k;
	int r = fl_endpoint_encode(ep, &json, err);

	if (r)
		return r;
	return fl_put(t, FL_TABLE_ENDPOINTS, endpoint_key(&k, &ep->id),
		      (struct fl_bytes){ json, strlen(json) }, err);
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
	int r = fl_ports_release(t, ep, err);

	if (!r)
		r = evict_leases(t, ep, err);
	return r ? r : fl_endpoint_del(t, &ep->id, err);
}
