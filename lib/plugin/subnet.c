/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin/subnet.h"

#include <errno.h>
#include <stdio.h>

const struct fl_default_pool fl_default_pools[] = {
	{ { { AF_INET, { 10, 89 } }, 16 }, 24 },
	{ { { AF_INET, { 172, 16 } }, 12 }, 16 },
	{ { { AF_INET, { 192, 168 } }, 16 }, 20 },
};
const size_t fl_n_default_pools = FL_ARRAY_SIZE(fl_default_pools);

void fl_used_clear(struct fl_used *u)
{
	free(u->v);
	*u = (struct fl_used){ 0 };
}

int fl_used_add(struct fl_used *u, const struct fl_prefix *p, struct fl_error *err)
{
	struct fl_prefix *grown = realloc(u->v, (u->n + 1) * sizeof(*grown));

	if (!grown)
		return fl_error_oom(err);
	u->v = grown;
	u->v[u->n++] = *p;
	return 0;
}

static int use_route(void *arg, const struct fl_nlroute *r)
{
	return fl_used_add(arg, &r->dst, NULL);
}

static int use_network(void *arg, const struct fl_network *net)
{
	int r = 0;

	for (uint32_t i = 0; i < net->n_subnets && !r; i++)
		r = fl_used_add(arg, &net->subnets[i], NULL);
	return r;
}

static int use_name_servers(struct fl_used *u, int family)
{
	FL_AUTOFCLOSE FILE *f = fopen("/etc/resolv.conf", "re");
	char line[512], text[64];
	struct fl_prefix p;
	int r = 0;

	while (f && !r && fgets(line, sizeof(line), f))
		if (sscanf(line, " nameserver %63s", text) == 1 &&
		    !fl_prefix_parse_lenient(text, &p) && p.addr.family == family)
			r = fl_used_add(u, &p, NULL);
	return r;
}

int fl_used_by_host(struct fl_nl *host, int family, struct fl_used *u, struct fl_error *err)
{
	int r = fl_routes_each(host, family, use_route, u, err);

	if (!r)
		r = use_name_servers(u, family);
	return r == -ENOMEM ? fl_error_oom(err) : r;
}

int fl_used_by_networks(struct fl_txn *t, struct fl_used *u, struct fl_error *err)
{
	int r = fl_networks_each(t, use_network, u, err);

	return r == -ENOMEM ? fl_error_oom(err) : r;
}
