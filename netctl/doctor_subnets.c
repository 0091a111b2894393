/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Subnets that are in each other's way: of networks, of configurations, of the host's routes. */
#include "netctl/doctor.h"
#include "netctl/taken.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

struct subnet {
	struct fl_prefix prefix;
	const char *owner; /* network */
	const char *link;
	bool recorded; /* else of a configuration */
};

struct subnets {
	struct doctor *d;
	struct subnet *v;
	size_t n;
	const struct conflist *file; /* whose are being added */
	bool failed;
};

static void add(struct subnets *s, const struct fl_prefix *p, const char *owner, const char *link,
		bool recorded)
{
	size_t n = s->n;
	struct subnet *v = s->v;

	if (n < 16 ? !n : !(n & (n - 1)))
		v = reallocarray(v, n < 16 ? 16 : 2 * n, sizeof(*v));
	if (!v) {
		s->failed = true;
		return;
	}
	s->v = v;
	v[s->n++] = (struct subnet){ fl_prefix_masked(p), owner, link, recorded };
}

static int by_prefix(const void *a, const void *b)
{
	const struct subnet *x = a, *y = b;
	int r = x->prefix.addr.family - y->prefix.addr.family;

	r = r ? r : fl_addr_cmp(&x->prefix.addr, &y->prefix.addr);
	return r ? r : x->prefix.len - y->prefix.len;
}

/* Several networks may have one bridge, with a part of its subnet each; files describe what there
 * is. */
static bool may_share(const struct subnet *a, const struct subnet *b)
{
	return !strcmp(a->owner, b->owner) || (*a->link && !strcmp(a->link, b->link));
}

static void tell_overlap(struct doctor *d, const struct subnet *a, const struct subnet *b)
{
	bool both = a->recorded && b->recorded;
	char object[2 * FL_NAME_MAX + 32];

	snprintf(object, sizeof(object), "networks %.200s and %.200s", a->owner, b->owner);
	remedy(find(d, "subnets-overlap", both ? SEVERITY_ERROR : SEVERITY_WARNING, object,
		    "%s and %s overlap: %s", fl_prefix_str(&a->prefix, FL_PREFIX_BUF),
		    fl_prefix_str(&b->prefix, FL_PREFIX_BUF),
		    both ? "packets go to one of the two, whichever they are for"
			 : "they will be in each other's way when both are in use"),
	       "give one of them another subnet");
}

/* Sorted by first address: who overlaps lies inside the widest one before. */
static void compare_all(struct doctor *d, struct subnets *s)
{
	size_t wide = 0;

	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), by_prefix);
	for (size_t i = 1; i < s->n; i++) {
		if (fl_prefix_overlaps(&s->v[wide].prefix, &s->v[i].prefix)) {
			if (!may_share(&s->v[wide], &s->v[i]))
				tell_overlap(d, &s->v[wide], &s->v[i]);
		} else {
			wide = i;
		}
	}
}

static bool counts(const struct fl_network *net)
{
	return !net->direct && !net->internal && !net->filter_only;
}

static int add_configured(void *arg, const struct fl_prefix *subnet)
{
	struct subnets *s = arg;
	const json_t *main = conflist_main(s->file);
	const char *link = json_string_value(fl_json_get(main, "bridge"));

	add(s, subnet, s->file->name, link ? link : "", false);
	return 0;
}

static bool is_recorded(const struct doctor *d, const char *network)
{
	for (size_t i = 0; i < d->m.n_networks; i++)
		if (!strcmp(d->m.networks[i].name, network))
			return true;
	return false;
}

/* Those of the others share the segment that they are on. */
static bool has_own_subnet(const struct conflist *l)
{
	const char *type = conflist_type(l);

	return (!strcmp(type, "bridge") || !strcmp(type, "ptp")) &&
	       !json_is_true(fl_json_get(conflist_main(l), "internal"));
}

static void collect(struct doctor *d, struct subnets *s)
{
	for (size_t i = 0; i < d->m.n_networks; i++)
		for (uint32_t k = 0; counts(&d->m.networks[i]) && k < d->m.networks[i].n_subnets;
		     k++)
			add(s, &d->m.networks[i].subnets[k], d->m.networks[i].name,
			    d->m.networks[i].link, true);
	for (size_t i = 0; i < d->files.n; i++) {
		s->file = &d->files.v[i];
		if (s->file->json && has_own_subnet(s->file) && !is_recorded(d, s->file->name))
			conflist_subnets_each(s->file, add_configured, s);
	}
}

/* ---- routes ---- */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct routes {
	struct doctor *d;
	uint32_t *ours; /* indexes of links of networks and endpoints, sorted */
	size_t n;
};

static int collect_links(struct routes *r)
{
	struct doctor *d = r->d;

	r->ours = calloc(d->m.n_endpoints + d->m.n_networks + 1, sizeof(*r->ours));
	if (!r->ours)
		return -ENOMEM;
	for (size_t i = 0; i < d->m.n_endpoints; i++) {
		const struct fl_link *l = host_end(d, &d->m.endpoints[i]);

		if (l)
			r->ours[r->n++] = l->index;
	}
	for (size_t i = 0; i < d->m.n_networks; i++) {
		const struct fl_link *l =
			*d->m.networks[i].link ? host_link(d, d->m.networks[i].link) : NULL;

		if (l)
			r->ours[r->n++] = l->index;
	}
	qsort(r->ours, r->n, sizeof(*r->ours), by_number);
	return 0;
}

static void tell_route(struct doctor *d, const struct fl_network *net,
		       const struct fl_prefix *subnet, const struct fl_nlroute *route)
{
	const struct fl_link *l = host_link_index(d, route->oif);
	bool taken = route->dst.len >= subnet->len;
	char object[FL_NAME_MAX + 16];
	struct finding *f;

	snprintf(object, sizeof(object), "network %s", net->name);
	f = find(d, taken ? "route-taken" : "route-hidden", taken ? SEVERITY_ERROR : SEVERITY_NOTE,
		 object, "a route to %s by %s %s its subnet %s%s",
		 fl_prefix_str(&route->dst, FL_PREFIX_BUF), l ? l->name : "another interface",
		 taken ? "takes what is for" : "has a part that is hidden by",
		 fl_prefix_str(subnet, FL_PREFIX_BUF),
		 taken ? ": containers there are not reached" : "");
	if (taken)
		taken_remedy(route, l ? l->name : "", f->remedy, sizeof(f->remedy));
	else
		remedy(f, "choose another subnet where %s by %s is needed",
		       fl_prefix_str(&route->dst, FL_PREFIX_BUF), l ? l->name : "IFACE");
}

/* Of an overlay whose host routes: by its bridge and its tunnel, as the agent is asked for. */
static bool is_overlays(const struct doctor *d, const struct fl_nlroute *route)
{
	const struct fl_link *l = host_link_index(d, route->oif);

	for (size_t i = 0; l && i < d->m.n_networks; i++)
		if (d->m.networks[i].tunnel_routed && !strcmp(d->m.networks[i].tunnel, l->name))
			return true;
	return false;
}

static int take_route(void *arg, const struct fl_nlroute *route)
{
	struct routes *r = arg;
	struct doctor *d = r->d;

	if (!route->dst.len || route->table != RT_TABLE_MAIN || !route->oif ||
	    (route->dst.addr.family == AF_INET6 && fl_addr_is_linklocal(&route->dst.addr)) ||
	    bsearch(&route->oif, r->ours, r->n, sizeof(*r->ours), by_number) ||
	    is_overlays(d, route))
		return 0;
	for (size_t i = 0; i < d->m.n_networks; i++) {
		const struct fl_network *net = &d->m.networks[i];

		for (uint32_t k = 0; counts(net) && k < net->n_subnets; k++)
			if (fl_prefix_overlaps(&net->subnets[k], &route->dst))
				tell_route(d, net, &net->subnets[k], route);
	}
	return 0;
}

static int check_routes(struct doctor *d, struct fl_error *err)
{
	struct routes routes = { .d = d };
	int r = collect_links(&routes);

	if (r)
		return fl_error_oom(err);
	r = fl_routes_each(d->c->host, AF_INET, take_route, &routes, err);
	if (!r)
		r = fl_routes_each(d->c->host, AF_INET6, take_route, &routes, err);
	free(routes.ours);
	return r;
}

int check_subnets(struct doctor *d, struct fl_error *err)
{
	struct subnets s = { .d = d };

	collect(d, &s);
	if (!s.failed)
		compare_all(d, &s);
	free(s.v);
	return s.failed ? fl_error_oom(err) : dump(d, check_routes, err);
}
