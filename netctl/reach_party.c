/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is meant, and by which address. */
#include "netctl/reach.h"
#include "netctl/shares.h"

#include <errno.h>
#include <string.h>

void party_clear(struct party *p)
{
	free(p->text);
	free(p->at);
	peers_clear(&p->peers);
	*p = (struct party){ 0 };
}

const struct fl_addr *attachment_address(const struct attachment *at, int family)
{
	for (uint32_t i = 0; i < at->main->n_addrs; i++)
		if (at->main->addrs[i].addr.family == family &&
		    !fl_addr_is_linklocal(&at->main->addrs[i].addr))
			return &at->main->addrs[i].addr;
	return NULL;
}

bool attachment_has(const struct attachment *at, const struct fl_addr *a)
{
	for (uint32_t i = 0; i < at->main->n_addrs; i++)
		if (fl_addr_eq(&at->main->addrs[i].addr, a))
			return true;
	return false;
}

const struct attachment *attachment_of_address(const struct model *m, const struct fl_addr *a)
{
	for (size_t i = 0; i < m->n_attachments; i++)
		if (attachment_has(&m->attachments[i], a))
			return &m->attachments[i];
	return NULL;
}

bool address_is_local(struct ctl *c, const struct fl_addr *a)
{
	struct fl_error ignored = { 0 };
	struct fl_nlroute r;

	return !fl_route_get(c->host, a, NULL, 0, &r, &ignored) && r.type == RTN_LOCAL;
}

/* Cuts ":PORT[/PROTO]" off; "[ADDRESS]" loses its brackets. */
static int split(char *words, bool port, struct port_want *ret, struct fl_error *err)
{
	char *colon = strrchr(words, ':'), *close = strchr(words, ']');
	struct fl_addr whole;

	if (!fl_addr_parse(words, &whole))
		return 0;
	if (port && colon && colon[1] && (!close || close < colon)) {
		int r = port_parse(colon + 1, ret, err);

		if (r)
			return r;
		*colon = '\0';
	}
	if (*words == '[' && close && !close[1]) {
		*close = '\0';
		memmove(words, words + 1, strlen(words));
	}
	return 0;
}

/* Its name without doubt goes before the beginning of an id, wherever the two are. */
static int take_container(struct ctl *c, const struct model *m, struct party *p,
			  struct fl_error *err)
{
	struct fl_error why = { 0 };
	int r = model_knows(m, p->text) ? 0 : party_take_peers(c, p, true, err);

	if (r)
		return r < 0 ? r : 0;
	p->kind = PARTY_CONTAINER;
	r = model_find(m, p->text, NULL, NULL, &p->at, &p->n, &why);
	if (r == -ENOENT) {
		int found = party_take_peers(c, p, false, err);

		if (found)
			return found < 0 ? found : 0;
	}
	if (r) {
		*err = why;
		return r;
	}
	/* Who joined another's sandbox has that one's interfaces. */
	return shares_resolve(m, &p->at, &p->n, err);
}

/* Networks may have one subnet: then it is several containers' address, one of which is meant. */
static int take_address(struct ctl *c, const struct model *m, struct party *p, struct fl_error *err)
{
	p->kind = address_is_local(c, &p->addr) ? PARTY_HOST : PARTY_OUTSIDE;
	if (p->kind == PARTY_HOST)
		return 0;
	p->at = calloc(m->n_attachments + 1, sizeof(*p->at));
	if (!p->at)
		return fl_error_oom(err);
	for (size_t i = 0; i < m->n_attachments; i++)
		if (attachment_has(&m->attachments[i], &p->addr))
			p->at[p->n++] = &m->attachments[i];
	if (!p->n) {
		int r = party_take_peers(c, p, true, err);

		return r < 0 ? r : 0;
	}
	p->kind = PARTY_CONTAINER;
	return 0;
}

void party_narrow(struct party *p, const struct attachment *at)
{
	if (!fl_addr_is_set(&p->addr) || p->kind != PARTY_CONTAINER)
		return;
	p->at[0] = at;
	p->n = 1;
}

int party_parse(struct ctl *c, const struct model *m, const char *words, bool port,
		struct party *ret, struct fl_error *err)
{
	AUTOPARTY struct party p = { .text = strdup(words) };
	int r = p.text ? split(p.text, port, &p.port, err) : fl_error_oom(err);

	if (!r && !p.port.proto)
		p.port.proto = p.port.port ? IPPROTO_TCP : IPPROTO_ICMP;
	if (r)
		return r;
	if (!strcmp(p.text, "host"))
		p.kind = PARTY_HOST;
	else if (!strcmp(p.text, "outside"))
		p.kind = PARTY_OUTSIDE;
	else if (!fl_addr_parse(p.text, &p.addr))
		r = take_address(c, m, &p, err);
	else
		r = take_container(c, m, &p, err);
	if (r)
		return r;
	*ret = p;
	p = (struct party){ 0 };
	return 0;
}

const char *party_str(const struct party *p, char *buf, size_t size)
{
	bool named = fl_addr_is_set(&p->addr);

	if (p->kind == PARTY_CONTAINER && named && p->n > 1)
		snprintf(buf, size, "%s", p->text);
	else if (p->kind == PARTY_CONTAINER)
		snprintf(buf, size, "container %s", CONTAINER_LABEL(p->at[0]->main));
	else if (p->kind == PARTY_PEER)
		snprintf(buf, size, "container %s of node %s", PEER_LABEL(p->peer), p->peer->node);
	else if (p->kind == PARTY_HOST)
		snprintf(buf, size, "the host%s%s", named ? " at " : "", named ? p->text : "");
	else
		snprintf(buf, size, "%s%s", named ? p->text : "the outside",
			 named ? " outside" : "");
	return buf;
}

/* ---- addresses ---- */

static const struct attachment *with_family(const struct party *p, int family)
{
	for (size_t i = 0; i < p->n; i++)
		if (attachment_address(p->at[i], family))
			return p->at[i];
	return NULL;
}

enum { OWN_MAX = 64 };

/* Addresses of the host in whose subnets others have room. */
struct own {
	int family;
	struct fl_ifaddr v[OWN_MAX];
	size_t n;
};

static int take_own(void *arg, const struct fl_ifaddr *a)
{
	struct own *o = arg;
	const struct fl_addr *addr = &a->prefix.addr;

	if (addr->family == o->family && !fl_addr_is_loopback(addr) &&
	    !fl_addr_is_linklocal(addr) && a->prefix.len < fl_addr_bits(addr) - 1)
		o->v[o->n++] = *a;
	return o->n == OWN_MAX;
}

static bool is_networks_link(struct walk *w, uint32_t index)
{
	struct fl_link link;

	if (fl_link_get_index(w->c->host, index, &link, NULL))
		return true;
	for (size_t i = 0; i < w->m->n_networks; i++)
		if (!strcmp(w->m->networks[i].link, link.name))
			return true;
	return false;
}

/* Somebody beside the host, on a network that is not ours. */
static int neighbour_address(struct walk *w, int family, struct fl_addr *ret)
{
	struct own o = { .family = family };
	struct fl_error ignored = { 0 };

	if (fl_ifaddrs_each(w->c->host, 0, take_own, &o, &ignored) < 0)
		return 0;
	for (size_t i = 0; i < o.n; i++) {
		if (is_networks_link(w, o.v[i].index))
			continue;
		*ret = fl_addr_add(fl_prefix_masked(&o.v[i].prefix).addr, 1);
		if (fl_addr_eq(ret, &o.v[i].prefix.addr))
			*ret = fl_addr_add(*ret, 1);
		return 1;
	}
	return 0;
}

/* The next router; behind a default route without one (a tunnel), an address that is nobody's. */
static int router_address(struct walk *w, int family, struct fl_addr *ret)
{
	static const struct fl_addr some4 = { AF_INET, { 198, 51, 100, 1 } },	  /* RFC 5737 */
		some6 = { AF_INET6, { 0x20, 0x01, 0x0d, 0xb8, 0xff, [15] = 1 } }; /* RFC 3849 */
	struct fl_error ignored = { 0 };
	struct fl_nlroute r;

	if (fl_default_route(w->c->host, family, &r, &ignored))
		return 0;
	*ret = r.gw.family == family ? r.gw : family == AF_INET ? some4 : some6;
	return 1;
}

/* Who may ask from outside: on a host without a default route, a neighbour. */
static int outside_address(struct walk *w, int family, struct fl_addr *ret)
{
	return router_address(w, family, ret) || neighbour_address(w, family, ret);
}

static bool has_family(struct walk *w, const struct party *p, int family)
{
	struct fl_addr ignored;

	if (fl_addr_is_set(&p->addr))
		return p->addr.family == family;
	if (p->kind == PARTY_CONTAINER)
		return with_family(p, family);
	if (p->kind == PARTY_PEER)
		return false; /* it has no address yet */
	/* The host has its loopback; to the outside a way is needed, from it there may be one. */
	return p->kind == PARTY_HOST || (p == w->from ? outside_address(w, family, &ignored)
						      : router_address(w, family, &ignored));
}

static bool choose_family(struct walk *w)
{
	static const int both[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < FL_ARRAY_SIZE(both); i++)
		if ((!w->family || w->family == both[i]) && has_family(w, w->from, both[i]) &&
		    has_family(w, w->to, both[i])) {
			w->family = both[i];
			return true;
		}
	return false;
}

/* A pair of attachments to one network, or the first ones. */
static const char *choose_pair(struct walk *w)
{
	for (size_t i = 0; i < w->from->n; i++)
		for (size_t k = 0; k < w->to->n; k++)
			if (!strcmp(w->from->at[i]->main->id.network,
				    w->to->at[k]->main->id.network) &&
			    attachment_address(w->from->at[i], w->family) &&
			    attachment_address(w->to->at[k], w->family)) {
				w->src = w->from->at[i];
				w->dst = w->to->at[k];
				party_narrow(w->from, w->src);
				party_narrow(w->to, w->dst);
				return w->dst->main->id.network;
			}
	return NULL;
}

/* The host's own address, as others have it. */
static int host_address(struct walk *w, struct fl_addr *ret)
{
	struct fl_error ignored = { 0 };
	struct fl_addr outside;
	struct fl_nlroute r;

	if (!outside_address(w, w->family, &outside) ||
	    fl_route_get(w->c->host, &outside, NULL, 0, &r, &ignored) || !fl_addr_is_set(&r.src))
		return 0;
	*ret = r.src;
	return 1;
}

/* A container asks for the host by its own gateway where the host has no other address. */
static int gateway_of(struct walk *w, struct fl_addr *ret)
{
	const struct fl_addr *own = w->src ? attachment_address(w->src, w->family) : NULL;
	struct fl_error ignored = { 0 };
	struct fl_nlroute r;

	if (!own || fl_route_get(w->c->host, own, NULL, 0, &r, &ignored) || !fl_addr_is_set(&r.src))
		return 0;
	*ret = r.src;
	return 1;
}

static int destination(struct walk *w)
{
	static const struct fl_addr lo4 = { AF_INET, { 127, 0, 0, 1 } },
				    lo6 = { AF_INET6, { [15] = 1 } };

	if (fl_addr_is_set(&w->to->addr))
		w->p.dst = w->to->addr;
	else if (w->to->kind == PARTY_CONTAINER)
		w->p.dst = *attachment_address(w->dst, w->family);
	else if (w->to->kind == PARTY_OUTSIDE)
		return router_address(w, w->family, &w->p.dst);
	else if (w->from->kind == PARTY_HOST)
		w->p.dst = w->family == AF_INET ? lo4 : lo6;
	else
		return host_address(w, &w->p.dst) || gateway_of(w, &w->p.dst);
	return 1;
}

static int source(struct walk *w)
{
	if (fl_addr_is_set(&w->from->addr))
		w->p.src = w->from->addr;
	else if (w->from->kind == PARTY_OUTSIDE)
		return outside_address(w, w->family, &w->p.src);
	return 1;
}

static int no_address(struct walk *w)
{
	step_failed(w->steps, "addresses",
		    "name an address instead of host or outside, or give the host a default route",
		    "%s and %s have no %saddresses by which they could meet", PARTY(w->from),
		    PARTY(w->to),
		    w->family == AF_INET6  ? "IPv6 "
		    : w->family == AF_INET ? "IPv4 "
					   : "");
	return 0;
}

int reach_choose(struct walk *w, struct fl_error *err)
{
	const char *common = NULL;
	int r = ctl_host(w->c, err);

	if (r)
		return r;
	if (w->from->kind == PARTY_PEER)
		common = party_choose_peer(w->from, w->to, w->family);
	if (w->to->kind == PARTY_PEER)
		common = party_choose_peer(w->to, w->from, w->family);
	if (!choose_family(w))
		return no_address(w);
	if (w->from->n && w->to->n)
		common = choose_pair(w);
	if (!w->src && w->from->n)
		w->src = with_family(w->from, w->family);
	if (!w->dst && w->to->n)
		w->dst = with_family(w->to, w->family);
	if (!destination(w) || !source(w))
		return no_address(w);
	w->p.proto = w->to->port.proto;
	if (w->p.proto == IPPROTO_ICMP && w->family == AF_INET6)
		w->p.proto = IPPROTO_ICMPV6;
	w->p.dport = w->to->port.port;
	if (common)
		step_ok(w->steps, "endpoints", "%s and %s are both on network %s: address %s",
			PARTY(w->from), PARTY(w->to), common, fl_addr_str(&w->p.dst, FL_ADDR_BUF));
	else
		step_ok(w->steps, "endpoints", "from %s to %s%s%s%s", PARTY(w->from), PARTY(w->to),
			fl_addr_is_set(&w->to->addr) ? "" : " at ",
			fl_addr_is_set(&w->to->addr) ? "" : fl_addr_str(&w->p.dst, FL_ADDR_BUF),
			w->from->n && w->to->n ? ": no network in common, by way of the host" : "");
	return 1;
}
