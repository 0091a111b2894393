/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan.h"

void sbr_plan_clear(struct sbr_plan *p)
{
	route_list_clear(&p->put);
	route_list_clear(&p->take);
	route_list_clear(&p->hints);
}

void sbr_choose_tables(const struct table_list *used, struct sbr_address *a, size_t n)
{
	uint32_t next = SBR_FIRST_TABLE;

	for (size_t i = 0; i < n; i++) {
		a[i].table = table_first_free(used, next);
		next = a[i].table + 1;
	}
}

bool sbr_moves(const struct fl_nlroute *r, uint32_t index)
{
	return r->oif == index && r->type == RTN_UNICAST && r->table == RT_TABLE_MAIN &&
	       !route_is_scoped(r) && !(r->multipath && r->dst.addr.family == AF_INET);
}

/* ---- into the tables ---- */

static bool claims(const struct sbr_address *a, const struct fl_nlroute *r)
{
	return (fl_addr_is_set(&r->src) && fl_prefix_contains(&a->prefix, &r->src)) ||
	       (fl_addr_is_set(&r->gw) && fl_prefix_contains(&a->prefix, &r->gw));
}

static bool is_claimed(const struct sbr_address *a, size_t n, const struct fl_nlroute *r)
{
	for (size_t i = 0; i < n; i++)
		if (claims(&a[i], r))
			return true;
	return false;
}

static bool belongs(const struct sbr_address *one, const struct sbr_address *all, size_t n,
		    const struct fl_nlroute *r)
{
	bool has_gateway = fl_addr_is_set(&one->gateway);

	if (one->prefix.addr.family != r->dst.addr.family)
		return false;
	if (!r->dst.len && one->gateway_fixed && !fl_addr_eq(&r->gw, &one->gateway))
		return false;
	if (claims(one, r))
		return true;
	/* Nobody's: everybody's, but for a default route where the own gateway is known. */
	return !is_claimed(all, n, r) && (r->dst.len || !has_gateway);
}

static int put_default(struct sbr_plan *p, const struct sbr_address *a, struct fl_error *err)
{
	struct fl_nlroute r = { .dst.addr.family = a->prefix.addr.family,
				.gw = a->gateway,
				.oif = p->index,
				.table = a->table };

	return route_list_add(&p->put, &r, false, err);
}

static int put_address(struct sbr_plan *p, const struct sbr_address *one,
		       const struct sbr_address *all, size_t n, struct fl_error *err)
{
	bool has_default = false;
	int r = 0;

	for (size_t i = 0; !r && i < p->take.n; i++) {
		struct fl_nlroute route = p->take.items[i].route;

		if (!belongs(one, all, n, &route))
			continue;
		has_default |= !route.dst.len;
		route.table = one->table;
		r = route_list_add(&p->put, &route, false, err);
	}
	/* A main plugin adds none when another interface's is there already. */
	if (!r && !has_default && fl_addr_is_set(&one->gateway))
		r = put_default(p, one, err);
	return r;
}

/* ---- the main table ---- */

/* The kernel looks at the first of those that have destination and metric in common. */
static bool is_behind(const struct route_list *main, size_t at)
{
	const struct fl_nlroute *r = &main->items[at].route;

	for (size_t i = 0; i < at; i++) {
		const struct fl_nlroute *o = &main->items[i].route;

		if (o->oif != r->oif && o->dst.len == r->dst.len && o->priority == r->priority &&
		    fl_addr_eq(&o->dst.addr, &r->dst.addr))
			return true;
	}
	return false;
}

static int take_all(struct sbr_plan *p, const struct route_list *main, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < main->n; i++) {
		struct fl_nlroute route = main->items[i].route;

		if (!sbr_moves(&route, p->index))
			continue;
		route.multipath = false;
		r = route_list_add(&p->take, &route, is_behind(main, i), err);
	}
	return r;
}

static bool is_subnet_of(const struct fl_nlroute *r, const struct fl_prefix *net)
{
	return !fl_addr_is_set(&r->gw) && r->dst.len == net->len &&
	       fl_prefix_same_net(&r->dst, net);
}

/* It stays where it is: no longer among those to take. */
static void keep(struct route_list *take, size_t at)
{
	take->n--;
	for (size_t i = at; i < take->n; i++)
		take->items[i] = take->items[i + 1];
}

/* Of two addresses of a subnet the first is the source, as without this plugin. */
static bool is_second(const struct sbr_address *a, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (a[i].prefix.len == a[at].prefix.len &&
		    fl_prefix_same_net(&a[i].prefix, &a[at].prefix))
			return true;
	return false;
}

static int hint(struct sbr_plan *p, const struct sbr_address *a, struct fl_error *err)
{
	bool v4 = a->prefix.addr.family == AF_INET, behind = false;
	struct fl_nlroute r = { .dst = fl_prefix_masked(&a->prefix),
				.src = a->prefix.addr,
				.oif = p->index,
				.table = RT_TABLE_MAIN,
				.protocol = RTPROT_BOOT,
				.scope = v4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE };

	if (a->prefix.len == fl_addr_bits(&a->prefix.addr))
		return 0;
	for (size_t i = 0; i < p->take.n; i++) {
		const struct route_item *t = &p->take.items[i];

		if (!is_subnet_of(&t->route, &r.dst))
			continue;
		if (fl_addr_is_set(&t->route.src) && fl_addr_eq(&t->route.src, &r.src)) {
			keep(&p->take, i);
			return 0;
		}
		r.priority = t->route.priority;
		behind = t->behind;
		break;
	}
	return route_list_add(&p->hints, &r, behind, err);
}

int sbr_plan_routes(struct sbr_plan *p, const struct route_list *main, const struct sbr_address *a,
		    size_t n, bool hints, struct fl_error *err)
{
	int r = take_all(p, main, err);

	for (size_t i = 0; !r && i < n; i++)
		r = put_address(p, &a[i], a, n, err);
	for (size_t i = 0; !r && hints && i < n; i++)
		r = is_second(a, i) ? 0 : hint(p, &a[i], err);
	return r;
}

/* ---- the memo ---- */

struct raw_rule {
	struct fl_addr from;
	int64_t table;
};

static const struct fl_field rule_fields[] = {
	FL_F("from", ADDR, struct raw_rule, from),
	FL_F("table", INT, struct raw_rule, table, 1, UINT32_MAX),
	{ 0 },
};

struct raw_plan {
	int64_t index;
	bool own;
	struct fl_list rules;
	json_t *put, *take, *hints;
};

static const struct fl_field plan_fields[] = {
	FL_F("index", INT, struct raw_plan, index, 1, INT32_MAX),
	FL_F("own", BOOL, struct raw_plan, own),
	FL_F("rules", LIST, struct raw_plan, rules, .max = FL_ENDPOINT_ADDRS, .sub = rule_fields,
	     .size = sizeof(struct raw_rule)),
	FL_F("put", JSON, struct raw_plan, put),
	FL_F("take", JSON, struct raw_plan, take),
	FL_F("hints", JSON, struct raw_plan, hints),
	{ 0 },
};

static json_t *encode_rules(const struct sbr_plan *p)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < p->n_rules; i++) {
		const struct sbr_rule *r = &p->rules[i];

		if (json_array_append_new(list, json_pack("{s:s, s:I}", "from",
							  fl_addr_str(&r->from, FL_ADDR_BUF),
							  "table", (json_int_t)r->table))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int sbr_plan_encode(const struct sbr_plan *p, json_t **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *put = NULL, *take = NULL, *hints = NULL, *rules = encode_rules(p);
	int r = rules ? route_list_encode(&p->put, &put, err) : fl_error_oom(err);
	json_t *memo;

	if (!r)
		r = route_list_encode(&p->take, &take, err);
	if (!r)
		r = route_list_encode(&p->hints, &hints, err);
	if (r)
		return r;
	memo = json_pack("{s:I, s:b, s:O, s:O, s:O, s:O}", "index", (json_int_t)p->index, "own",
			 p->own, "rules", rules, "put", put, "take", take, "hints", hints);
	if (!memo)
		return fl_error_oom(err);
	*ret = memo;
	return 0;
}

int sbr_plan_decode(const json_t *memo, struct sbr_plan *ret, struct fl_error *err)
{
	struct raw_plan raw = { 0 };
	struct sbr_plan p = { 0 };
	int r = fl_fields_decode(memo, plan_fields, "memo", &raw, err);

	p.index = (uint32_t)raw.index;
	p.own = raw.own;
	for (size_t i = 0; !r && i < raw.rules.n; i++) {
		const struct raw_rule *w = &((const struct raw_rule *)raw.rules.items)[i];

		p.rules[p.n_rules++] = (struct sbr_rule){ w->from, (uint32_t)w->table };
	}
	if (!r)
		r = route_list_decode(raw.put, &p.put, err);
	if (!r)
		r = route_list_decode(raw.take, &p.take, err);
	if (!r)
		r = route_list_decode(raw.hints, &p.hints, err);
	fl_fields_clear(plan_fields, &raw);
	if (r)
		sbr_plan_clear(&p);
	else
		*ret = p;
	return r;
}
