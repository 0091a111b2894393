/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one way in which an endpoint goes: DEL, GC, the rollback of a failed ADD and the clean start
 * of a retried one. By the record alone, in an order that can be cut anywhere and run again: mark
 * `deleting`; nftables; kernel objects; what others keep for it; conntrack; the record with its
 * leases and ports.
 */
#include "plugin/alive.h"
#include "plugin/internal.h"
#include "store/hosts.h"

#include <errno.h>
#include <string.h>

struct living {
	const struct fl_network *dying;
	struct fl_network *nets;
	size_t n;
};

static int take_living(void *arg, const struct fl_network *net)
{
	struct living *l = arg;
	struct fl_network *grown;

	if (!strcmp(net->name, l->dying->name) && !strcmp(net->driver, l->dying->driver))
		return 0;
	grown = realloc(l->nets, (l->n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	l->nets = grown;
	l->nets[l->n++] = *net;
	return 0;
}

/*
 * The network's last endpoint went: its elements and record go inside the write transaction, so
 * that an ADD that revives the network cannot come in between.
 */
static int forget_network(struct fl_call *c, struct fl_txn *t, const struct fl_endpoint_id *id,
			  struct fl_error *err)
{
	struct fl_network net;
	struct living others = { .dying = &net };
	int r = fl_network_get(t, id->network, id->driver, &net, err);

	if (r)
		return r == -ENOENT ? 0 : r;
	r = fl_networks_each(t, take_living, &others, err);
	if (!r)
		r = fl_fw_apply(c->fw,
				&(struct fl_fw_change){ .del_network = &net,
							.others = others.nets,
							.n_others = others.n },
				err);
	free(others.nets);
	if (r && r != -ENOENT)
		return r;
	if (c->driver->network_delete)
		r = c->driver->network_delete(c, t, &net, err);
	return r < 0 && r != -ENOENT ? r : fl_network_del(t, id->network, id->driver, err);
}

int fl_network_forget_unused(struct fl_call *c, struct fl_error *err)
{
	const struct fl_endpoint_id *id = &c->ep.id;
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_network net;
	int r = fl_txn_begin(c->store, false, &t, err);

	if (!r)
		r = fl_network_get(t, id->network, id->driver, &net, err);
	fl_txn_abort(fl_take_ptr(t));
	if (r)
		return r == -ENOENT ? 0 : r;
	r = fl_txn_begin(c->store, true, &t, err);
	if (!r)
		r = fl_network_in_use(t, id->network, id->driver, NULL, err);
	if (!r)
		r = forget_network(c, t, id, err);
	return r < 0 ? r : fl_txn_commit(&t, err);
}

/* What marking found out. */
struct marked {
	struct fl_network net;
	bool has_net;
	bool last_resolver; /* of its sandbox */
};

static int mark(struct fl_call *c, const struct fl_endpoint *ep, struct marked *m,
		struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_endpoint copy = *ep;
	int r = fl_txn_begin(c->store, true, &t, err);

	if (r)
		return r;
	copy.state = FL_STATE_DELETING;
	r = fl_endpoint_put(t, &copy, err);
	if (r)
		return r;
	r = *ep->dns ? fl_sandbox_in_use(t, fl_endpoint_sandbox(ep), &ep->id, err) : 0;
	if (r < 0)
		return r;
	m->last_resolver = !r;
	r = fl_network_get(t, ep->id.network, ep->id.driver, &m->net, err);
	m->has_net = !r;
	return r && r != -ENOENT ? r : fl_txn_commit(&t, err);
}

static bool listens(const struct fl_endpoint *ep)
{
	return strstr(ep->dns, "\"listen\":");
}

static int forget(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_txn_begin(c->store, true, &t, err), used = 1;

	if (!r)
		r = fl_endpoint_evict(t, ep, err);
	if (!r)
		r = used = fl_network_in_use(t, ep->id.network, ep->id.driver, &ep->id, err);
	if (!r)
		r = forget_network(c, t, &ep->id, err);
	/* The other plugins of a chain have networks of the same name, and do not listen. */
	if (!r && !used && listens(ep))
		r = fl_listener_del(t, ep->id.network, err);
	r = r < 0 ? r : fl_txn_commit(&t, err);
	if (!r && !used && listens(ep))
		fl_resolver_unlisten(c, ep->id.network);
	return r;
}

/* One whose network has no elements, and that has none of its own, needs no rules to be there. */
static bool has_elements(const struct fl_endpoint *ep, const struct fl_network *net)
{
	return (*net->name && !net->direct) || ep->n_ports || ep->admit || ep->spoof_check;
}

int fl_endpoint_destroy(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	struct marked m = { 0 };
	int r = mark(c, ep, &m, err);

	/* First: an open socket would keep the sandbox, and the pair with it. */
	if (!r)
		r = fl_resolver_close(c, ep, m.last_resolver, err);
	if (!r && has_elements(ep, &m.net))
		r = fl_fw_step(
			c,
			&(struct fl_fw_change){ .del_endpoint = ep,
						.del_endpoint_network = m.has_net ? &m.net : NULL },
			err);
	if (!r && c->driver->endpoint_delete)
		r = c->driver->endpoint_delete(c, ep, err);
	/* Behind the interface: whoever gets the address next must not meet this one. */
	if (!r && c->driver->release)
		r = c->driver->release(c, &ep->id, err);
	if (!r)
		r = fl_conntrack_flush(
			ep, !(c->driver->flags & (FL_DRIVER_CHAINED | FL_DRIVER_DIRECT)), err);
	return r ? r : forget(c, ep, err);
}

/* Provably: its host interface is absent, or the host's namespace knows its sandbox no more. */
static bool is_gone(struct fl_call *c, const struct fl_endpoint *owner)
{
	struct fl_link link;

	if (!*owner->link)
		return owner->nsid &&
		       fl_nsid_exists(c->host, (int32_t)(owner->nsid - 1), NULL) == 0;
	return (owner->ifindex ? fl_link_get_index(c->host, owner->ifindex, &link, NULL)
			       : fl_link_get(c->host, owner->link, &link, NULL)) == -ENODEV;
}

int fl_call_memo(struct fl_call *c, const struct fl_endpoint *ep, json_t **ret,
		 struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_bytes memo;
	json_t *v;
	int r = fl_txn_begin(c->store, false, &t, err);

	if (!r)
		r = fl_memo_get(t, &ep->id, &memo, err);
	if (r)
		return r;
	v = json_loadb(memo.p, memo.len, 0, NULL);
	if (!v)
		return fl_error_set(err, EBADMSG, FL_ECODE_STORE,
				    "state: the memo of container %s, interface %s is damaged",
				    ep->id.container, ep->id.ifname);
	*ret = v;
	return 0;
}

/* Asked inside a write transaction about the holder of an address or port that this call wants. */
bool fl_owner_gone(void *arg, const struct fl_endpoint *owner)
{
	struct fl_call *c = arg;
	struct fl_endpoint copy = *owner, *grown;

	if ((!*owner->link && !owner->nsid) || fl_alive_check(owner) ||
	    !(is_gone(c, owner) || fl_resolver_is_gone(c, owner)))
		return false;
	/* Its record is all that knows of this one, and goes with this transaction. */
	if (owner->ifb && fl_link_del_index(c->host, owner->ifb, NULL))
		return false;
	copy.ports = owner->n_ports ? malloc(owner->n_ports * sizeof(*copy.ports)) : NULL;
	grown = realloc(c->evicted, (c->n_evicted + 1) * sizeof(*grown));
	if (grown)
		c->evicted = grown;
	if (!grown || (owner->n_ports && !copy.ports)) {
		free(copy.ports);
		return false;
	}
	if (owner->n_ports)
		memcpy(copy.ports, owner->ports, owner->n_ports * sizeof(*copy.ports));
	c->evicted[c->n_evicted++] = copy;
	return true;
}
