/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/taken.h"

#include "netctl/links.h"
#include "nl/rule.h"
#include "vxlan/dataplane.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

struct search {
	const struct taken_question *q;
	const struct taken *t;
	struct fl_nlroute ours, in_front, elsewhere; /* dst.addr unset: none */
};

static bool is_ours(const struct search *s, const struct fl_nlroute *r)
{
	return r->protocol == FL_VXLAN_RTPROT && r->table == RT_TABLE_MAIN && r->oif == s->q->want;
}

/* Does it do what the kernel said? */
static bool does_that(const struct search *s, const struct fl_nlroute *r)
{
	return s->t->route.oif ? r->oif == s->t->route.oif
			       : r->type != RTN_UNICAST && r->type != RTN_LOCAL;
}

static void keep_longer(struct fl_nlroute *best, const struct fl_nlroute *r)
{
	if (!fl_addr_is_set(&best->dst.addr) || r->dst.len > best->dst.len)
		*best = *r;
}

static int take_route(void *arg, const struct fl_nlroute *r)
{
	struct search *s = arg;
	struct fl_nlroute one = *r;

	/* Of a default route the kernel gives no address. */
	if (!one.dst.len)
		one.dst.addr.family = s->q->to.family;
	if (r->table == RT_TABLE_LOCAL || !fl_prefix_contains(&one.dst, &s->q->to))
		return 0;
	if (is_ours(s, r))
		keep_longer(&s->ours, &one);
	else if (does_that(s, r))
		keep_longer(r->table == RT_TABLE_MAIN ? &s->in_front : &s->elsewhere, &one);
	return 0;
}

struct rule_search {
	uint32_t table, priority; /* 0: none */
};

static int take_rule(void *arg, const struct fl_rule *r)
{
	struct rule_search *s = arg;

	if (r->table != s->table)
		return 0;
	s->priority = r->priority;
	return 1;
}

static const char *type_str(const struct fl_nlroute *r)
{
	return r->type == RTN_BLACKHOLE	    ? "blackhole "
	       : r->type == RTN_UNREACHABLE ? "unreachable "
	       : r->type == RTN_PROHIBIT    ? "prohibit "
					    : "";
}

/* As ip-route(8) has it. */
static void words(const struct fl_nlroute *r, const char *ifname, char *buf, size_t size)
{
	bool refuses = *type_str(r);
	char metric[32] = "";

	if (r->priority)
		snprintf(metric, sizeof(metric), " metric %u", r->priority);
	snprintf(buf, size, "%s%s%s%s%s", type_str(r), fl_prefix_str(&r->dst, FL_PREFIX_BUF),
		 refuses || !*ifname ? "" : " dev ", refuses ? "" : ifname, metric);
}

static void name_of(struct ctl *c, const struct fl_nlroute *r, char *buf)
{
	struct fl_link l;

	*buf = '\0';
	if (r->oif && !fl_link_get_index(c->host, r->oif, &l, NULL))
		memcpy(buf, l.name, IFNAMSIZ);
}

void taken_remedy(const struct fl_nlroute *r, const char *ifname, char *buf, size_t size)
{
	char text[160];

	words(r, ifname, text, sizeof(text));
	snprintf(buf, size, "ip %sroute del %s", r->dst.addr.family == AF_INET6 ? "-6 " : "", text);
}

static void by_route(struct ctl *c, const struct fl_nlroute *r, struct taken *t)
{
	char text[160], ifname[IFNAMSIZ];

	name_of(c, r, ifname);
	words(r, ifname, text, sizeof(text));
	snprintf(t->prefix, sizeof(t->prefix), "%s", fl_prefix_str(&r->dst, FL_PREFIX_BUF));
	snprintf(t->cause, sizeof(t->cause), "the route %s goes before the network's", text);
	taken_remedy(r, ifname, t->remedy, sizeof(t->remedy));
}

/* A packet of the table's own network has to be asked about in table main before. */
static void by_rule(struct ctl *c, const struct search *s, struct taken *t)
{
	const struct fl_nlroute *r = &s->elsewhere;
	struct rule_search rule = { .table = r->table };
	struct fl_error ignored = { 0 };
	const char *six = s->q->to.family == AF_INET6 ? "-6 " : "";
	struct fl_prefix to = s->q->subnet.len ? s->q->subnet : s->ours.dst;
	char text[160], ifname[IFNAMSIZ];

	name_of(c, r, ifname);
	words(r, ifname, text, sizeof(text));
	fl_rules_each(c->host, s->q->to.family, take_rule, &rule, &ignored);
	snprintf(t->cause, sizeof(t->cause), "the rule %u of the host leads to table %u, with %s",
		 rule.priority, r->table, text);
	snprintf(t->remedy, sizeof(t->remedy), "ip %srule add to %s lookup main priority %u", six,
		 fl_prefix_str(&to, FL_PREFIX_BUF), rule.priority > 1 ? rule.priority - 1 : 1);
}

static void name_it(struct ctl *c, struct search *s, struct taken *t)
{
	const char *six = s->q->to.family == AF_INET6 ? "-6 " : "";

	t->missing = !fl_addr_is_set(&s->ours.dst.addr);
	if (t->missing)
		return;
	if (fl_addr_is_set(&s->in_front.dst.addr) && s->in_front.dst.len >= s->ours.dst.len)
		by_route(c, &s->in_front, t);
	else if (fl_addr_is_set(&s->elsewhere.dst.addr))
		by_rule(c, s, t);
	else {
		snprintf(t->cause, sizeof(t->cause), "a rule of the host refuses it%s%s",
			 t->why.err ? ": " : "", t->why.err ? t->why.text : "");
		snprintf(t->remedy, sizeof(t->remedy), "ip %srule show", six);
	}
}

struct fl_prefix taken_subnet(const struct fl_network *net, const struct fl_addr *a)
{
	for (uint32_t i = 0; i < net->n_subnets; i++)
		if (fl_prefix_contains(&net->subnets[i], a))
			return net->subnets[i];
	return (struct fl_prefix){ 0 };
}

int taken_ask(struct ctl *c, const struct taken_question *q, struct taken *ret,
	      struct fl_error *err)
{
	const struct fl_addr *from = fl_addr_is_set(&q->from) ? &q->from : NULL;
	struct taken t = { 0 };
	struct search s = { .q = q, .t = &t };
	int r = fl_route_get(c->host, &q->to, from, q->iif, &t.route, &t.why);

	if (r)
		t.route = (struct fl_nlroute){ 0 };
	t.away = r || t.route.oif != q->want;
	r = 0;
	for (int tries = 0; t.away && !q->brief && tries < DUMP_TRIES; tries++) {
		s = (struct search){ .q = q, .t = &t };
		r = fl_routes_each(c->host, q->to.family, take_route, &s, err);
		if (r != -EINTR)
			break;
	}
	if (r)
		return r;
	if (t.away && !q->brief)
		name_it(c, &s, &t);
	*ret = t;
	return 0;
}
