/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/ipam.h"

#include "netctl/leftovers.h"
#include "netctl/runtime.h"

#include <string.h>

static json_t *ipam_of(const struct conflists *files, const char *network)
{
	const struct conflist *file = conflists_find(files, network);
	json_t *main = file ? conflist_main(file) : NULL, *ipam = fl_json_get(main, "ipam");
	const char *type = json_string_value(fl_json_get(ipam, "type"));

	return type && !strcmp(type, "host-local") ? main : NULL;
}

void ranges_read(const struct model *m, const struct conflists *files, const char *network,
		 struct ranges *ret)
{
	json_t *config = ipam_of(files, network);

	*ret = (struct ranges){ 0 };
	ret->known = config && !fl_ipam_parse(config, network, "1.0.0", NULL, &ret->conf, NULL) &&
		     ret->conf.n_sets;
	for (size_t i = 0; !ret->known && i < m->n_networks; i++) {
		const struct fl_network *net = &m->networks[i];

		/* Once is enough: the plugins of a chain have the same subnets. */
		if (strcmp(net->name, network) != 0 || !net->n_subnets)
			continue;
		for (uint32_t k = 0; k < net->n_subnets; k++)
			fl_ipam_use_subnet(&ret->conf, &net->subnets[k], NULL);
		ret->known = ret->conf.n_sets;
	}
}

void ranges_clear(struct ranges *r)
{
	fl_ipam_conf_clear(&r->conf);
}

static int family_of(const struct fl_range_set *set)
{
	return set->n ? set->ranges[0].start.family : 0;
}

/* Distances are counted up to what 64 bits hold. */
static uint64_t add_up(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

static uint64_t between(const struct fl_addr *from, const struct fl_addr *to)
{
	return fl_addr_cmp(from, to) > 0 ? 0 : add_up(fl_addr_distance(from, to), 1);
}

/* What of the prefix lies in the range. */
static uint64_t shared(const struct fl_range *r, const struct fl_prefix *p)
{
	struct fl_addr first = fl_prefix_masked(p).addr, last = fl_prefix_last(p);

	if (p->addr.family != r->start.family)
		return 0;
	if (fl_addr_cmp(&first, &r->start) < 0)
		first = r->start;
	if (fl_addr_cmp(&last, &r->end) > 0)
		last = r->end;
	return between(&first, &last);
}

static uint64_t range_size(const struct fl_ipam_conf *conf, const struct fl_range *r)
{
	uint64_t n = between(&r->start, &r->end), out = 0;

	for (size_t i = 0; i < r->n_exclude; i++)
		out = add_up(out, shared(r, &r->exclude[i]));
	for (size_t i = 0; i < conf->n_exclude; i++)
		out = add_up(out, shared(r, &conf->exclude[i]));
	if (fl_addr_is_set(&r->gateway) && fl_addr_cmp(&r->gateway, &r->start) >= 0 &&
	    fl_addr_cmp(&r->gateway, &r->end) <= 0)
		out = add_up(out, 1);
	return n == UINT64_MAX || out > n ? n : n - out;
}

uint64_t ranges_size(const struct ranges *r, int family)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->conf.n_sets; i++)
		for (size_t k = 0; family_of(&r->conf.sets[i]) == family && k < r->conf.sets[i].n;
		     k++)
			n = add_up(n, range_size(&r->conf, &r->conf.sets[i].ranges[k]));
	return n;
}

json_t *ranges_json(const struct ranges *r, int family)
{
	json_t *list = json_array();
	char text[2 * FL_ADDR_STR + 2];

	for (size_t i = 0; i < r->conf.n_sets; i++)
		for (size_t k = 0; family_of(&r->conf.sets[i]) == family && k < r->conf.sets[i].n;
		     k++) {
			const struct fl_range *one = &r->conf.sets[i].ranges[k];

			snprintf(text, sizeof(text), "%s-%s", fl_addr_str(&one->start, FL_ADDR_BUF),
				 fl_addr_str(&one->end, FL_ADDR_BUF));
			json_array_append_new(list, json_string(text));
		}
	return list;
}

void pool_of(const struct conflists *files, const char *network, char *buf, size_t size)
{
	const json_t *ipam = fl_json_get(ipam_of(files, network), "ipam");
	const char *dir = json_string_value(fl_json_get(ipam, "dataDir"));
	struct fl_ipam_conf conf = { 0 };

	fl_ipam_use_pool(&conf, network, dir && *dir ? dir : NULL);
	snprintf(buf, size, "%s", conf.pool);
}

const char *lease_state(struct ctl *c, const struct model *m, const struct fl_endpoint_id *owner)
{
	const struct fl_endpoint *ep;

	if (!strcmp(owner->driver, FL_LEASE_IMPORTED))
		return "imported";
	if (lease_is_stale(m, owner))
		return "stale";
	ep = model_endpoint(m, owner);
	if (!ep)
		return "foreign";
	return runtime_is_gone(c, ep) ? "stale" : "live";
}
