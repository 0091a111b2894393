/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin/rebuild.h"

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

int fl_rules_rebuild(struct fl_txn *t, struct fl_fw *fw, struct fl_error *err)
{
	struct all a = { 0 };
	int r = fl_networks_each(t, take_network, &a, err);

	if (!r)
		r = fl_endpoints_each(t, NULL, take_endpoint, &a, err);
	if (r == -ENOMEM)
		fl_error_oom(err);
	if (!r)
		r = fl_fw_rebuild(fw, a.nets, a.n_nets, a.eps, a.n_eps, err);
	for (size_t i = 0; i < a.n_eps; i++)
		fl_endpoint_clear(&a.eps[i]);
	free(a.eps);
	free(a.nets);
	return r ? r : fl_store_rules_rebuilt(t, err);
}
