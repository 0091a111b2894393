/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sbr: routing by source (ip-rule(8)). What an interface has in the main table moves to a table of
 * each of its addresses, and packets from the address are looked up there.
 *
 * ADD: prepare() writes down what is to be done (plan.h), join() does that. The order is such
 * that there is always a way: tables, rules, and then the main table.
 */
#include "drivers.h"

#include "base/strbuf.h"
#include "nl/rule.h"
#include "plan.h"

#include <string.h>

struct sbr_conf {
	int64_t table;
	bool hints;
	struct fl_list gateways;
	struct fl_addr gateway[2]; /* [0] IPv4, [1] IPv6 */
	struct sbr_address addrs[FL_ENDPOINT_ADDRS];
	size_t n_addrs;
};

static const struct fl_field fields[] = {
	FL_F("table", INT, struct sbr_conf, table, 1, UINT32_MAX),
	FL_F("addSourceHints", BOOL, struct sbr_conf, hints),
	FL_F("gateways", STRINGS, struct sbr_conf, gateways, .max = 2),
	{ 0 },
};

/* ---- configuration ---- */

static int parse_gateways(struct sbr_conf *conf, struct fl_error *err)
{
	for (size_t i = 0; i < conf->gateways.n; i++) {
		const char *text = ((const char **)conf->gateways.items)[i];
		struct fl_addr a, *slot;

		if (fl_addr_parse(text, &a) || fl_addr_is_any(&a) || fl_addr_is_multicast(&a))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "gateways[%zu]: expected the IP address of a gateway, "
					    "not \"%.64s\"",
					    i, text);
		slot = &conf->gateway[a.family == AF_INET6];
		if (fl_addr_is_set(slot))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "gateways[%zu]: expected at most one address of each "
					    "family, and %s is the second of IPv%d",
					    i, text, a.family == AF_INET ? 4 : 6);
		*slot = a;
	}
	return 0;
}

/* With a table of somebody's there is nothing to move, and so nothing that these keys could do. */
static int check_table(const struct sbr_conf *conf, struct fl_error *err)
{
	const char *other = conf->gateways.n ? "gateways" : conf->hints ? "addSourceHints" : NULL;

	if (!conf->table)
		return 0;
	if (other)
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"%s: with \"table\" only rules are added, to routes that are in "
			"that table already; expected at most one of the two keys",
			other);
	return table_check(conf->table, err);
}

static int take_addresses(struct fl_call *c, struct fl_error *err)
{
	struct sbr_conf *conf = c->conf;

	for (size_t i = 0; i < c->prev.n_ips; i++) {
		const struct fl_result_ip *ip = &c->prev.ips[i];
		const struct fl_addr *fixed = &conf->gateway[ip->address.addr.family == AF_INET6];
		bool is_fixed = fl_addr_is_set(fixed);

		if (!fl_prev_is_ours(c, ip))
			continue;
		if (conf->n_addrs == FL_ENDPOINT_ADDRS)
			return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
					    "prevResult.ips: more than %d addresses of %s",
					    FL_ENDPOINT_ADDRS, c->req.ifname);
		conf->addrs[conf->n_addrs++] =
			(struct sbr_address){ .prefix = ip->address,
					      .gateway = is_fixed ? *fixed : ip->gateway,
					      .gateway_fixed = is_fixed };
		c->ep.addrs[c->ep.n_addrs++] = ip->address;
	}
	if (c->req.verb == FL_VERB_ADD && !conf->n_addrs)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "prevResult.ips: expected an address of %s, found none",
				    c->req.ifname);
	return 0;
}

static int validate(struct fl_call *c, struct fl_error *err)
{
	struct sbr_conf *conf = c->conf;
	int r = parse_gateways(conf, err);

	if (!r)
		r = check_table(conf, err);
	return r ? r : take_addresses(c, err);
}

/* ---- prepare ---- */

struct rule_search {
	const struct fl_rule *want;
	bool found;
};

static int see_rule(void *arg, const struct fl_rule *r)
{
	struct rule_search *s = arg;

	s->found |= !r->other && !r->iif[0] && !r->oif[0] && !r->dst.len &&
		    r->table == s->want->table && r->src.len == s->want->src.len &&
		    fl_addr_eq(&r->src.addr, &s->want->src.addr);
	return 0;
}

static struct fl_rule rule_of(const struct sbr_rule *r)
{
	return (struct fl_rule){ .family = r->from.family,
				 .src = { r->from, (uint8_t)fl_addr_bits(&r->from) },
				 .table = r->table };
}

static int has_rule(struct fl_nl *nl, const struct sbr_rule *r, bool *ret, struct fl_error *err)
{
	const struct fl_rule want = rule_of(r);
	struct rule_search s = { .want = &want };
	int res;

	list_again(res, fl_rules_each(nl, want.family, see_rule, &s, err));
	if (!res)
		*ret = s.found;
	return res;
}

/* A rule that is there already is somebody's, and stays. */
static int plan_rules(struct fl_call *c, struct sbr_plan *p, struct fl_error *err)
{
	const struct sbr_conf *conf = c->conf;
	int r = 0;

	for (size_t i = 0; !r && i < conf->n_addrs; i++) {
		struct sbr_rule rule = { conf->addrs[i].prefix.addr, conf->addrs[i].table };
		bool there = false;

		r = has_rule(c->inside, &rule, &there, err);
		if (!r && !there)
			p->rules[p->n_rules++] = rule;
	}
	return r;
}

static int plan_own_tables(struct fl_call *c, struct sbr_plan *p, struct fl_error *err)
{
	struct sbr_conf *conf = c->conf;
	AUTOTABLES struct table_list used = { 0 };
	AUTOROUTES struct route_list main = { 0 };
	int r = table_list_read(c->inside, &used, err);

	if (!r)
		r = route_list_read(c->inside, RT_TABLE_MAIN, 0, &main, err);
	if (r)
		return r;
	p->own = true;
	sbr_choose_tables(&used, conf->addrs, conf->n_addrs);
	return sbr_plan_routes(p, &main, conf->addrs, conf->n_addrs, conf->hints, err);
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	struct sbr_conf *conf = c->conf;
	AUTOPLAN struct sbr_plan p = { 0 };
	struct fl_link l;
	int r = fl_link_get(c->inside, c->req.ifname, &l, err);

	if (r)
		return fl_error_prefix(err, "CNI_IFNAME");
	p.index = l.index;
	/* Held until the process ends, when the rules show which tables are taken. */
	r = sandbox_lock(&c->sandbox, err);
	for (size_t i = 0; conf->table && i < conf->n_addrs; i++)
		conf->addrs[i].table = (uint32_t)conf->table;
	if (!r && !conf->table)
		r = plan_own_tables(c, &p, err);
	if (!r)
		r = plan_rules(c, &p, err);
	return r ? r : sbr_plan_encode(&p, &c->memo, err);
}

/* ---- join ---- */

static int fill_tables(struct fl_call *c, const struct sbr_plan *p, struct fl_error *err)
{
	const struct sbr_conf *conf = c->conf;
	int r = route_list_put(c->inside, &p->put, err);

	if (!r)
		return 0;
	fl_error_prefix(err, "%s, table of its own", c->req.ifname);
	/* The others are copies of what the kernel has: one of these it has not seen yet. */
	return conf->gateways.n ? fl_error_prefix(err, "gateways") : r;
}

/* A later plugin, and the main plugin's CHECK, look for the default route that there is now. */
static void tell_gateways(struct fl_call *c)
{
	const struct sbr_conf *conf = c->conf;

	for (size_t i = 0; i < c->prev.n_routes; i++) {
		struct fl_route *r = &c->prev.routes[i];
		const struct fl_addr *gw = &conf->gateway[r->dst.addr.family == AF_INET6];

		if (!r->dst.len && !r->table && fl_addr_is_set(gw))
			r->gw = *gw;
	}
}

static int join(struct fl_call *c, struct fl_error *err)
{
	AUTOPLAN struct sbr_plan p = { 0 };
	int r = sbr_plan_decode(c->memo, &p, err);

	if (!r)
		r = fill_tables(c, &p, err);
	for (size_t i = 0; !r && i < p.n_rules; i++) {
		const struct fl_rule rule = rule_of(&p.rules[i]);

		r = fl_rule_add(c->inside, &rule, err);
	}
	if (!r)
		r = route_list_delete(c->inside, &p.take, err);
	if (!r)
		r = route_list_put(c->inside, &p.hints, err);
	if (!r)
		tell_gateways(c);
	return r;
}

/* ---- deletion ---- */

/*
 * By table and interface: a table that was given up by a DEL cut short may be another interface's
 * by now.
 */
static int empty_table(struct fl_nl *nl, uint32_t table, uint32_t index, struct fl_error *err)
{
	AUTOROUTES struct route_list l = { 0 };
	int r = route_list_read(nl, table, index, &l, err);

	return r ? r : route_list_delete(nl, &l, err);
}

static int undo(struct fl_nl *nl, const struct sbr_plan *p, bool restore, struct fl_error *err)
{
	struct fl_link l;
	/* Its routes went with the interface. */
	int there = link_look(nl, p->index, &l, err);
	int r = there > 0 ? route_list_delete(nl, &p->hints, err) : there;

	if (!r && there && restore)
		/* A link that went down meanwhile takes none: no reason to keep the rest. */
		route_list_restore(nl, &p->take, NULL);
	for (size_t i = 0; !r && i < p->n_rules; i++) {
		const struct fl_rule rule = rule_of(&p->rules[i]);

		r = fl_rule_del(nl, &rule, err);
	}
	for (size_t i = 0; !r && there && p->own && i < p->n_rules; i++)
		r = empty_table(nl, p->rules[i].table, p->index, err);
	return r;
}

static int endpoint_delete(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOSANDBOX struct fl_sandbox s = { .ns = FL_NETNS_NONE };
	FL_AUTOJSON json_t *memo = NULL;
	AUTOPLAN struct sbr_plan p = { 0 };
	/* An attachment that was whole is about to end: its routes would only be in the way. */
	bool restore = c->req.verb == FL_VERB_ADD || ep->state == FL_STATE_CREATING;
	int r = fl_call_memo(c, ep, &memo, err);

	if (!r)
		r = fl_sandbox_open(c, ep, &s, err);
	if (!r)
		r = sbr_plan_decode(memo, &p, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	return undo(s.nl, &p, restore, err);
}

/* ---- check ---- */

static int missing_route(struct fl_call *c, const struct route_list *want, struct fl_error *err)
{
	AUTOROUTES struct route_list now = { 0 };
	int r = want->n ? route_list_read(c->inside, 0, 0, &now, err) : 0;

	for (size_t i = 0, k; !r && i < want->n; i++) {
		const struct fl_nlroute *w = &want->items[i].route;

		for (k = 0; k < now.n && !route_same(&now.items[k].route, w); k++)
			continue;
		if (k == now.n)
			return fl_error_set(
				err, EUCLEAN, FL_ECODE_CHECK,
				"container %s: route to %s is missing in table %u on %s",
				c->req.container, fl_prefix_str(&w->dst, FL_PREFIX_BUF), w->table,
				c->req.ifname);
	}
	return r;
}

static int missing_rule(struct fl_call *c, const struct sbr_plan *p, struct fl_error *err)
{
	for (size_t i = 0; i < p->n_rules; i++) {
		bool there = false;
		int r = has_rule(c->inside, &p->rules[i], &there, err);

		if (r)
			return r;
		if (!there)
			return fl_error_set(
				err, EUCLEAN, FL_ECODE_CHECK,
				"container %s: rule from %s lookup %u is missing", c->req.container,
				fl_addr_str(&p->rules[i].from, FL_ADDR_BUF), p->rules[i].table);
	}
	return 0;
}

static int check(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOJSON json_t *memo = NULL;
	AUTOPLAN struct sbr_plan p = { 0 };
	struct fl_link l;
	int r = fl_call_memo(c, &c->ep, &memo, err);

	if (!r)
		r = sbr_plan_decode(memo, &p, err);
	if (r)
		return r == -ENOENT ? fl_error_set(err, r, FL_ECODE_CHECK,
						   "container %s: its record has no memo of what "
						   "was changed",
						   c->req.container)
				    : r;
	if (fl_link_get(c->inside, c->req.ifname, &l, NULL) || l.index != p.index)
		return fl_error_set(
			err, EUCLEAN, FL_ECODE_CHECK,
			"container %s: interface %s is missing, or another one than was "
			"attached",
			c->req.container, c->req.ifname);
	r = missing_rule(c, &p, err);
	if (!r)
		r = missing_route(c, &p.put, err);
	return r ? r : missing_route(c, &p.hints, err);
}

const struct fl_driver sbr_driver = {
	.type = "sbr",
	.about = "routes packets by their source address (chained)",
	.flags = FL_DRIVER_CHAINED | FL_DRIVER_INSIDE | FL_DRIVER_DIRECT,
	.fields = fields,
	.conf_size = sizeof(struct sbr_conf),
	.validate = validate,
	.prepare = prepare,
	.join = join,
	.endpoint_delete = endpoint_delete,
	.check = check,
};
