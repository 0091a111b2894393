/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An automatic subnet: from the default pools, clear of every route and name server of the host. */
#include "plugin/internal.h"

#include <errno.h>
#include <stdio.h>

/* Small subnets first, in a range that neither Docker nor podman hands out by default. */
static const struct fl_default_pool pools[] = {
	{ { { AF_INET, { 10, 89 } }, 16 }, 24 },
	{ { { AF_INET, { 172, 16 } }, 12 }, 16 },
	{ { { AF_INET, { 192, 168 } }, 16 }, 20 },
};

static int use(struct fl_call *c, const struct fl_prefix *p)
{
	struct fl_prefix *grown = realloc(c->used, (c->n_used + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	c->used = grown;
	c->used[c->n_used++] = *p;
	return 0;
}

static int use_route(void *arg, const struct fl_nlroute *r)
{
	return use(arg, &r->dst);
}

static int use_network(void *arg, const struct fl_network *net)
{
	int r = 0;

	for (uint32_t i = 0; i < net->n_subnets && !r; i++)
		r = use(arg, &net->subnets[i]);
	return r;
}

static int use_name_servers(struct fl_call *c)
{
	FL_AUTOFCLOSE FILE *f = fopen("/etc/resolv.conf", "re");
	char line[512], text[64];
	struct fl_prefix p;
	int r = 0;

	while (f && !r && fgets(line, sizeof(line), f))
		if (sscanf(line, " nameserver %63s", text) == 1 &&
		    !fl_prefix_parse_lenient(text, &p))
			r = use(c, &p);
	return r;
}

int fl_call_used_prefixes(struct fl_call *c, struct fl_error *err)
{
	int r = fl_routes_each(c->host, AF_INET, use_route, c, err);

	if (!r)
		r = use_name_servers(c);
	return r == -ENOMEM ? fl_error_oom(err) : r;
}

int fl_call_pick_subnet(struct fl_call *c, struct fl_txn *t, struct fl_prefix *ret,
			struct fl_error *err)
{
	int r = fl_networks_each(t, use_network, c, err);

	if (r == -ENOMEM)
		return fl_error_oom(err);
	return r ? r
		 : fl_ipam_pick_subnet(pools, FL_ARRAY_SIZE(pools), c->used, c->n_used, ret, err);
}
