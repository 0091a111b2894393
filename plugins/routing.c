/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "routing.h"

#include "nl/rule.h"

#include <string.h>
#include <sys/file.h>
#include <time.h>

#define LOCK_TRIES 2000
#define LOCK_PAUSE_NS 5000000

/* ---- routes ---- */

void route_list_clear(struct route_list *l)
{
	free(l->items);
	*l = (struct route_list){ 0 };
}

int route_list_add(struct route_list *l, const struct fl_nlroute *r, bool behind,
		   struct fl_error *err)
{
	struct route_item *grown;

	if (l->n == ROUTE_LIST_MAX)
		return fl_error_set(err, E2BIG, FL_ECODE_KERNEL,
				    "the sandbox has more than %d routes", ROUTE_LIST_MAX);
	grown = realloc(l->items, (l->n + 1) * sizeof(*grown));
	if (!grown)
		return fl_error_oom(err);
	l->items = grown;
	l->items[l->n++] = (struct route_item){ *r, behind };
	return 0;
}

struct reading {
	struct route_list *list;
	int family;
	uint32_t oif;
	struct fl_error *err;
};

static int take_route(void *arg, const struct fl_nlroute *r)
{
	const struct reading *d = arg;

	/* A kernel without the family answers for all that it has. */
	if (r->dst.addr.family != d->family || (d->oif && r->oif != d->oif))
		return 0;
	return route_list_add(d->list, r, false, d->err);
}

static bool no_family(int r)
{
	return r == -EAFNOSUPPORT || r == -EOPNOTSUPP;
}

static int read_once(struct fl_nl *nl, uint32_t table, uint32_t oif, struct route_list *ret,
		     struct fl_error *err)
{
	static const int families[] = { AF_INET, AF_INET6 };
	int r = 0;

	route_list_clear(ret);
	for (size_t i = 0; !r && i < FL_ARRAY_SIZE(families); i++) {
		struct reading d = { ret, families[i], oif, err };

		r = table ? fl_routes_each_table(nl, d.family, table, oif, take_route, &d, err)
			  : fl_routes_each(nl, d.family, take_route, &d, err);
		r = no_family(r) ? 0 : r;
	}
	return r;
}

int route_list_read(struct fl_nl *nl, uint32_t table, uint32_t oif, struct route_list *ret,
		    struct fl_error *err)
{
	int r;

	list_again(r, read_once(nl, table, oif, ret, err));
	return r;
}

static int put_one(struct fl_nl *nl, const struct route_item *i, int before, struct fl_error *err)
{
	struct fl_error e = { 0 };
	int r = i->behind ? fl_route_append(nl, &i->route, &e) : fl_route_add(nl, &i->route, &e);

	if (!r || r == -EEXIST)
		return before;
	if (!before && err)
		*err = e;
	return before ? before : r;
}

int route_list_put(struct fl_nl *nl, const struct route_list *l, struct fl_error *err)
{
	int r = 0;

	for (int via = 0; via < 2; via++) {
		for (size_t i = l->n; i-- > 0;)
			if (!l->items[i].behind && fl_addr_is_set(&l->items[i].route.gw) == via)
				r = put_one(nl, &l->items[i], r, err);
		for (size_t i = 0; i < l->n; i++)
			if (l->items[i].behind && fl_addr_is_set(&l->items[i].route.gw) == via)
				r = put_one(nl, &l->items[i], r, err);
	}
	return r;
}

int route_list_delete(struct fl_nl *nl, const struct route_list *l, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < l->n; i++)
		r = fl_route_del(nl, &l->items[i].route, err);
	return r;
}

static bool addr_same(const struct fl_addr *a, const struct fl_addr *b)
{
	return a->family == b->family && (!a->family || fl_addr_eq(a, b));
}

bool route_same(const struct fl_nlroute *a, const struct fl_nlroute *b)
{
	return a->table == b->table && a->oif == b->oif && a->dst.len == b->dst.len &&
	       fl_addr_eq(&a->dst.addr, &b->dst.addr) && addr_same(&a->gw, &b->gw) &&
	       addr_same(&a->src, &b->src);
}

static bool has_route(const struct route_list *l, const struct fl_nlroute *r)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i].route.priority == r->priority && route_same(&l->items[i].route, r))
			return true;
	return false;
}

int route_list_restore(struct fl_nl *nl, const struct route_list *l, struct fl_error *err)
{
	AUTOROUTES struct route_list now = { 0 }, missing = { 0 };
	int r = l->n ? route_list_read(nl, 0, 0, &now, err) : 0;

	for (size_t i = 0; !r && i < l->n; i++)
		if (!has_route(&now, &l->items[i].route))
			r = route_list_add(&missing, &l->items[i].route, l->items[i].behind, err);
	return r ? r : route_list_put(nl, &missing, err);
}

bool route_is_scoped(const struct fl_nlroute *r)
{
	return r->dst.addr.family == AF_INET6 && r->dst.len &&
	       (fl_addr_is_linklocal(&r->dst.addr) || fl_addr_is_multicast(&r->dst.addr));
}

/* ---- routes in a memo ---- */

struct raw_route {
	struct fl_prefix dst;
	struct fl_addr gw, src;
	int64_t oif, table, metric, mtu, advmss, scope, protocol, type;
	bool onlink, behind;
};

#define NUMBER(key, member, max) FL_F(key, INT, struct raw_route, member, 0, max)
static const struct fl_field route_fields[] = {
	FL_F("dst", PREFIX, struct raw_route, dst),
	FL_F("gw", ADDR, struct raw_route, gw),
	FL_F("src", ADDR, struct raw_route, src),
	NUMBER("oif", oif, INT32_MAX),
	NUMBER("table", table, UINT32_MAX),
	NUMBER("metric", metric, UINT32_MAX),
	NUMBER("mtu", mtu, UINT32_MAX),
	NUMBER("advmss", advmss, UINT32_MAX),
	NUMBER("scope", scope, 255),
	NUMBER("protocol", protocol, 255),
	NUMBER("type", type, 255),
	FL_F("onlink", BOOL, struct raw_route, onlink),
	FL_F("behind", BOOL, struct raw_route, behind),
	{ 0 },
};

struct raw_routes {
	struct fl_list routes;
};

static const struct fl_field list_fields[] = {
	FL_F("routes", LIST, struct raw_routes, routes, .max = ROUTE_LIST_MAX, .sub = route_fields,
	     .size = sizeof(struct raw_route)),
	{ 0 },
};

/* What is 0 or unset is left out, as it is when it is read back. */
static int set_number(json_t *o, const char *key, uint32_t v)
{
	return v ? json_object_set_new(o, key, json_integer(v)) : 0;
}

static int set_addr(json_t *o, const char *key, const struct fl_addr *a)
{
	return fl_addr_is_set(a)
		       ? json_object_set_new(o, key, json_string(fl_addr_str(a, FL_ADDR_BUF)))
		       : 0;
}

static json_t *encode_route(const struct route_item *i)
{
	const struct fl_nlroute *r = &i->route;
	json_t *o = json_pack("{s:s}", "dst", fl_prefix_str(&r->dst, FL_PREFIX_BUF));

	if (!o || set_addr(o, "gw", &r->gw) || set_addr(o, "src", &r->src) ||
	    set_number(o, "oif", r->oif) || set_number(o, "table", r->table) ||
	    set_number(o, "metric", r->priority) || set_number(o, "mtu", r->mtu) ||
	    set_number(o, "advmss", r->advmss) || set_number(o, "scope", r->scope) ||
	    set_number(o, "protocol", r->protocol) || set_number(o, "type", r->type) ||
	    (r->onlink && json_object_set_new(o, "onlink", json_true())) ||
	    (i->behind && json_object_set_new(o, "behind", json_true()))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

int route_list_encode(const struct route_list *l, json_t **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *list = json_array();

	for (size_t i = 0; i < l->n; i++)
		if (json_array_append_new(list, encode_route(&l->items[i])))
			return fl_error_oom(err);
	if (!list)
		return fl_error_oom(err);
	*ret = fl_take_ptr(list);
	return 0;
}

static int add_raw(struct route_list *l, const struct raw_route *w, struct fl_error *err)
{
	struct fl_nlroute r = { .dst = w->dst,
				.gw = w->gw,
				.src = w->src,
				.oif = (uint32_t)w->oif,
				.table = (uint32_t)w->table,
				.priority = (uint32_t)w->metric,
				.mtu = (uint32_t)w->mtu,
				.advmss = (uint32_t)w->advmss,
				.scope = (uint8_t)w->scope,
				.protocol = (uint8_t)w->protocol,
				.type = (uint8_t)w->type,
				.onlink = w->onlink };

	return route_list_add(l, &r, w->behind, err);
}

int route_list_decode(const json_t *list, struct route_list *ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *o = json_pack("{s:O}", "routes", list);
	struct raw_routes raw = { 0 };
	struct route_list l = { 0 };
	int r = o ? fl_fields_decode(o, list_fields, "", &raw, err) : -EBADMSG;

	for (size_t i = 0; !r && i < raw.routes.n; i++)
		r = add_raw(&l, &((const struct raw_route *)raw.routes.items)[i], err);
	fl_fields_clear(list_fields, &raw);
	if (r) {
		route_list_clear(&l);
		return fl_error_set(err, EBADMSG, FL_ECODE_STORE,
				    "state: a list of routes is damaged");
	}
	*ret = l;
	return 0;
}

/* ---- tables ---- */

void table_list_clear(struct table_list *l)
{
	free(l->items);
	*l = (struct table_list){ 0 };
}

static bool has_table(const struct table_list *l, uint32_t table)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->items[i] == table)
			return true;
	return false;
}

int table_list_add(struct table_list *l, uint32_t table, struct fl_error *err)
{
	uint32_t *grown;

	if (has_table(l, table))
		return 0;
	if (l->n == TABLES_MAX)
		return fl_error_set(err, E2BIG, FL_ECODE_KERNEL,
				    "the sandbox has more than %d routing tables", TABLES_MAX);
	grown = realloc(l->items, (l->n + 1) * sizeof(*grown));
	if (!grown)
		return fl_error_oom(err);
	l->items = grown;
	l->items[l->n++] = table;
	return 0;
}

struct using
{
	struct table_list *list;
	struct fl_error *err;
};

static int use_route(void *arg, const struct fl_nlroute *r)
{
	return table_list_add(((struct using *)arg)->list, r->table, ((struct using *)arg)->err);
}

static int use_rule(void *arg, const struct fl_rule *r)
{
	return table_list_add(((struct using *)arg)->list, r->table, ((struct using *)arg)->err);
}

static int use_link(void *arg, const struct fl_link *l)
{
	struct using *u = arg;

	return l->vrf_table ? table_list_add(u->list, l->vrf_table, u->err) : 0;
}

int table_list_read(struct fl_nl *nl, struct table_list *ret, struct fl_error *err)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct using u = { ret, err };
	int r;

	list_again(r, fl_links_each(nl, use_link, &u, err));
	for (size_t i = 0; !r && i < FL_ARRAY_SIZE(families); i++) {
		list_again(r, fl_routes_each(nl, families[i], use_route, &u, err));
		if (!r)
			list_again(r, fl_rules_each(nl, families[i], use_rule, &u, err));
		r = no_family(r) ? 0 : r;
	}
	return r;
}

bool table_is_reserved(int64_t table)
{
	return table >= RT_TABLE_DEFAULT && table <= RT_TABLE_LOCAL;
}

uint32_t table_first_free(const struct table_list *used, uint32_t from)
{
	while (table_is_reserved(from) || has_table(used, from))
		from++;
	return from;
}

int table_check(int64_t table, struct fl_error *err)
{
	if (!table_is_reserved(table))
		return 0;
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
			    "table: %lld is the kernel's own (253 default, 254 main, 255 local); "
			    "expected another one",
			    (long long)table);
}

int link_look(struct fl_nl *nl, uint32_t index, struct fl_link *ret, struct fl_error *err)
{
	struct fl_error e = { 0 };
	int r = fl_link_get_index(nl, index, ret, &e);

	if (r && r != -ENODEV && err)
		*err = e;
	return r == -ENODEV ? 0 : r ? r : 1;
}

int sandbox_lock(const struct fl_netns *ns, struct fl_error *err)
{
	const struct timespec pause = { 0, LOCK_PAUSE_NS };

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (!flock(ns->fd, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fl_error_errno(err, errno, FL_ECODE_NETNS,
					      "the sandbox cannot be locked");
		nanosleep(&pause, NULL);
	}
	return fl_error_set(err, EAGAIN, FL_ECODE_TRY_AGAIN,
			    "another process has held the sandbox (flock) for ten seconds");
}
