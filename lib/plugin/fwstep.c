/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nftables batches of a call, and the rebuild from the store when the skeleton is not there. */
#include "plugin/internal.h"

#include <errno.h>
#include <string.h>

struct all {
	struct fl_network *nets;
	struct fl_endpoint *eps;
	size_t n_nets, n_eps, cap_nets, cap_eps;
};

static bool grow(void **items, size_t n, size_t *cap, size_t size)
{
	void *grown;

	if (n < *cap)
		return true;
	grown = realloc(*items, (*cap ? *cap * 2 : 16) * size);
	if (!grown)
		return false;
	*items = grown;
	*cap = *cap ? *cap * 2 : 16;
	return true;
}

static int take_network(void *arg, const struct fl_network *net)
{
	struct all *a = arg;

	if (!grow((void **)&a->nets, a->n_nets, &a->cap_nets, sizeof(*net)))
		return -ENOMEM;
	a->nets[a->n_nets++] = *net;
	return 0;
}

static int take_endpoint(void *arg, const struct fl_endpoint *ep)
{
	struct all *a = arg;
	struct fl_endpoint copy = *ep;

	copy.ports = NULL;
	if (ep->n_ports) {
		copy.ports = malloc(ep->n_ports * sizeof(*ep->ports));
		if (!copy.ports)
			return -ENOMEM;
		memcpy(copy.ports, ep->ports, ep->n_ports * sizeof(*ep->ports));
	}
	if (!grow((void **)&a->eps, a->n_eps, &a->cap_eps, sizeof(*ep))) {
		fl_endpoint_clear(&copy);
		return -ENOMEM;
	}
	a->eps[a->n_eps++] = copy;
	return 0;
}

int fl_fw_rebuild_from_store(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	struct all a = { 0 };
	int r = fl_networks_each(t, take_network, &a, err);

	if (!r)
		r = fl_endpoints_each(t, NULL, take_endpoint, &a, err);
	if (r == -ENOMEM)
		fl_error_oom(err);
	if (!r)
		r = fl_fw_rebuild(c->fw, a.nets, a.n_nets, a.eps, a.n_eps, err);
	for (size_t i = 0; i < a.n_eps; i++)
		fl_endpoint_clear(&a.eps[i]);
	free(a.eps);
	free(a.nets);
	if (!r)
		r = fl_store_rules_rebuilt(t, err);
	c->rules_stale &= !!r;
	return r;
}

int fl_note_stale_rules(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	int r = fl_store_rules_stale(t, err);

	c->rules_stale = r > 0;
	return r < 0 ? r : 0;
}

int fl_fw_step(struct fl_call *c, const struct fl_fw_change *change, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	bool stale = c->rules_stale && change->add_endpoint;
	int r = stale ? -ENOENT : fl_fw_apply(c->fw, change, err);

	if (r != -ENOENT)
		return r;
	/* Somebody flushed the ruleset, or this is the first endpoint of the host. */
	r = fl_txn_begin(c->store, true, &t, err);
	if (!r)
		r = fl_fw_rebuild_from_store(c, t, err);
	if (!r)
		r = fl_txn_commit(&t, err);
	if (r)
		return r;
	/*
	 * The rebuild has this call's record already; asking again brings what is not in a record.
	 * Flushed once more in between, it is the next operation's to mend.
	 */
	r = fl_fw_apply(c->fw, change, err);
	return r == -ENOENT ? 0 : r;
}
