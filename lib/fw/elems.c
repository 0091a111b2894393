/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fw/elems.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What an enumeration carries along. */
struct emitter {
	fl_fw_sink sink;
	void *arg;
	const char *comment;
	int error;
};

static void emit(struct emitter *em, enum fl_fw_set_id set, struct fl_nft_elem *e)
{
	if (em->error)
		return;
	e->comment = em->comment;
	em->error = em->sink(em->arg, set, e);
}

/* The IPv6 set follows its IPv4 twin in enum fl_fw_set_id. */
static enum fl_fw_set_id by_family(enum fl_fw_set_id set4, int family)
{
	return family == AF_INET6 ? set4 + 1 : set4;
}

static size_t put_addr(uint8_t *key, const struct fl_addr *a)
{
	memcpy(key, a->b, fl_addr_len(a));
	return fl_addr_len(a);
}

/* inet_proto . inet_service */
static void put_port(uint8_t *key, uint8_t proto, uint32_t port)
{
	key[0] = proto;
	key[4] = (uint8_t)(port >> 8);
	key[5] = (uint8_t)port;
}

static void emit_link(struct emitter *em, enum fl_fw_set_id set, const char *link)
{
	struct fl_nft_elem e = { 0 };

	memcpy(e.key, link, strnlen(link, IFNAMSIZ));
	emit(em, set, &e);
}

static void emit_links(struct emitter *em, enum fl_fw_set_id set, const char *in, const char *out)
{
	struct fl_nft_elem e = { 0 };

	memcpy(e.key, in, strnlen(in, IFNAMSIZ));
	memcpy(e.key + IFNAMSIZ, out, strnlen(out, IFNAMSIZ));
	emit(em, set, &e);
}

static struct fl_nft_elem subnet_elem(const struct fl_prefix *p)
{
	struct fl_prefix first = fl_prefix_masked(p);
	struct fl_addr last = fl_prefix_last(p);
	struct fl_nft_elem e = { .range = true };

	put_addr(e.key, &first.addr);
	put_addr(e.key_end, &last);
	return e;
}

/* Subnet to masquerade, or to a fixed source address. */
static void emit_source_nat(struct emitter *em, const struct fl_network *net,
			    const struct fl_prefix *subnet)
{
	int family = subnet->addr.family;
	const struct fl_addr *to = &net->snat[family == AF_INET6];
	struct fl_nft_elem e = subnet_elem(subnet);

	if (to->family == family) {
		put_addr(e.data, to);
		emit(em, by_family(FL_FW_SNAT4, family), &e);
		return;
	}
	e.jump = fl_fw_outward;
	emit(em, by_family(FL_FW_MASQUERADE4, family), &e);
}

/* From any address of `from` to any of `to`. */
static void emit_pair(struct emitter *em, enum fl_fw_set_id set4, const struct fl_prefix *from,
		      const struct fl_prefix *to)
{
	struct fl_nft_elem e = subnet_elem(from), t = subnet_elem(to);
	size_t len = fl_addr_len(&to->addr);

	memcpy(e.key + len, t.key, len);
	memcpy(e.key_end + len, t.key_end, len);
	emit(em, by_family(set4, to->addr.family), &e);
}

static void emit_pairs(struct emitter *em, const struct fl_network *net, enum fl_fw_set_id set4,
		       const struct fl_prefix *to)
{
	for (uint32_t i = 0; i < net->n_subnets; i++)
		if (net->subnets[i].addr.family == to->addr.family)
			emit_pair(em, set4, &net->subnets[i], to);
}

static void emit_subnet(struct emitter *em, const struct fl_network *net,
			const struct fl_prefix *subnet)
{
	static const struct fl_prefix loopback = { { AF_INET, { 127 } }, 8 };
	int family = subnet->addr.family;
	struct fl_nft_elem e = subnet_elem(subnet);

	/* A bridge is recognised by its name, which nobody outside can forge. */
	if (!net->link[0])
		emit(em, by_family(FL_FW_SUBNETS4, family), &e);
	if (net->tunnel[0])
		emit(em, by_family(FL_FW_OVERLAY4, family), &e);
	if (net->masquerade) {
		emit_source_nat(em, net, subnet);
		emit_pairs(em, net, FL_FW_SAME_SUBNET4, subnet);
	}
	if (!net->no_hairpin_snat) {
		emit_pairs(em, net, FL_FW_HAIRPIN4, subnet);
		if (family == AF_INET)
			emit_pair(em, FL_FW_HAIRPIN4, &loopback, subnet);
	}
	if (net->hairpin_all)
		emit(em, by_family(FL_FW_HAIRPIN_ALL4, family), &e);
}

/* Nothing of them is asked through a tunnel that is no port of the bridge. */
static void emit_anycast(struct emitter *em, const struct fl_network *net)
{
	for (uint32_t i = 0; net->tunnel[0] && !net->tunnel_routed && i < net->n_anycast; i++) {
		const struct fl_addr *a = &net->anycast[i].addr;
		struct fl_nft_elem e = { 0 };

		memcpy(e.key, net->tunnel, strnlen(net->tunnel, IFNAMSIZ));
		put_addr(e.key + IFNAMSIZ, a);
		emit(em, by_family(FL_FW_ANYCAST4, a->family), &e);
	}
}

/* What a network's traffic with the rest of the host passes through: each is as good as the other,
 * and what goes between them stays in the network. */
static void emit_interfaces(struct emitter *em, const struct fl_network *net)
{
	const struct {
		bool wanted;
		enum fl_fw_set_id set;
	} sets[] = {
		{ net->isolate, FL_FW_ISOLATED },
		{ net->internal, FL_FW_INTERNAL },
		{ net->no_icc, FL_FW_NO_ICC },
		{ net->guarded, FL_FW_GUARDED },
		{ net->guarded && net->gateway_mode == FL_GATEWAY_ROUTED, FL_FW_ROUTED },
		{ net->tunnel[0], FL_FW_OVERLAYS },
	};
	const char *const links[] = { net->link, net->tunnel };
	size_t n = net->tunnel[0] && net->tunnel_routed ? 2 : 1;

	for (size_t i = 0; i < n; i++) {
		emit_link(em, FL_FW_BRIDGES, links[i]);
		for (size_t k = 0; k < n; k++)
			emit_links(em, FL_FW_SAME_NET, links[i], links[k]);
		for (size_t k = 0; k < FL_ARRAY_SIZE(sets); k++)
			if (sets[k].wanted)
				emit_link(em, sets[k].set, links[i]);
	}
}

int fl_fw_network_elems(const struct fl_network *net, fl_fw_sink sink, void *arg)
{
	struct emitter em = { sink, arg, net->name, 0 };

	if (net->link[0] && !net->direct)
		emit_interfaces(&em, net);
	if (net->direct || net->filter_only)
		return em.error;
	emit_anycast(&em, net);
	/* No NAT for internal networks, so that two of them may have the same subnet. */
	for (uint32_t i = 0; !net->internal && i < net->n_subnets; i++)
		emit_subnet(&em, net, &net->subnets[i]);
	return em.error;
}

/* Ports go to the first address of a family; a link-local one cannot be reached from elsewhere. */
const struct fl_addr *fl_fw_publish_addr(const struct fl_endpoint *ep, int family)
{
	for (uint32_t i = 0; i < ep->n_addrs; i++) {
		const struct fl_addr *a = &ep->addrs[i].addr;

		if (a->family == family && !(family == AF_INET6 && fl_addr_is_linklocal(a)))
			return a;
	}
	return NULL;
}

/* Nothing leads from ::1 to a container: the kernel has no route_localnet for IPv6. */
bool fl_fw_port_has_family(const struct fl_port *p, int family)
{
	if (p->host.family == AF_INET6 && fl_addr_is_loopback(&p->host))
		return false;
	return !p->host.family || p->host.family == family;
}

static bool port_is_wildcard(const struct fl_port *p)
{
	return !p->host.family || fl_addr_is_any(&p->host);
}

/* An equal range is one interval; the data have no port, which keeps the packet's. */
static void publish_range(struct emitter *em, const struct fl_port *p, const struct fl_addr *to)
{
	bool any = port_is_wildcard(p);
	struct fl_nft_elem e = { .range = true };
	size_t at = 0;

	if (!any) {
		at = put_addr(e.key, &p->host);
		put_addr(e.key_end, &p->host);
	}
	put_port(e.key + at, p->proto, p->host_port);
	put_port(e.key_end + at, p->proto, p->host_port + p->count - 1);
	put_addr(e.data, to);
	emit(em, by_family(any ? FL_FW_PUBLISH4_RANGE : FL_FW_PUBLISH4_RANGE_AT, to->family), &e);
}

static void publish_each(struct emitter *em, const struct fl_port *p, const struct fl_addr *to)
{
	bool any = port_is_wildcard(p);
	enum fl_fw_set_id set = by_family(any ? FL_FW_PUBLISH4 : FL_FW_PUBLISH4_AT, to->family);
	struct fl_nft_elem e = { 0 };
	size_t at = any ? 0 : put_addr(e.key, &p->host), data = put_addr(e.data, to);

	for (uint32_t i = 0; i < p->count && !em->error; i++) {
		uint32_t port = p->container_port + i;

		put_port(e.key + at, p->proto, p->host_port + i);
		e.data[data] = (uint8_t)(port >> 8);
		e.data[data + 1] = (uint8_t)port;
		emit(em, set, &e);
	}
}

static void publish(struct emitter *em, const struct fl_endpoint *ep, int family)
{
	const struct fl_addr *to = fl_fw_publish_addr(ep, family);

	for (uint32_t i = 0; to && i < ep->n_ports; i++) {
		const struct fl_port *p = &ep->ports[i];

		if (!fl_fw_port_has_family(p, family))
			continue;
		if (p->count > 1 && p->host_port == p->container_port)
			publish_range(em, p, to);
		else
			publish_each(em, p, to);
	}
}

/* Container ports first..last of one protocol. */
struct span {
	uint8_t proto;
	uint32_t first, last;
};

static int span_cmp(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->proto != y->proto)
		return x->proto < y->proto ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static void emit_span(struct emitter *em, const struct span *s, const struct fl_addr *to)
{
	struct fl_nft_elem e = { .range = s->last > s->first };
	size_t at = put_addr(e.key, to);

	put_port(e.key + at, s->proto, s->first);
	if (e.range) {
		put_addr(e.key_end, to);
		put_port(e.key_end + at, s->proto, s->last);
	}
	emit(em, by_family(e.range ? FL_FW_OPEN4_RANGE : FL_FW_OPEN4, to->family), &e);
}

/*
 * Routed: the published container ports, each once, however many host ports lead to it. Overlapping
 * spans are merged, because an interval set refuses them.
 */
static int open_ports(struct emitter *em, const struct fl_endpoint *ep, int family)
{
	const struct fl_addr *to = fl_fw_publish_addr(ep, family);
	FL_AUTOFREE struct span *spans = NULL;
	size_t n = 0;

	if (!to || !ep->n_ports)
		return 0;
	spans = calloc(ep->n_ports, sizeof(*spans));
	if (!spans)
		return -ENOMEM;
	for (uint32_t i = 0; i < ep->n_ports; i++) {
		const struct fl_port *p = &ep->ports[i];

		if (fl_fw_port_has_family(p, family) && !fl_addr_is_loopback(&p->host))
			spans[n++] = (struct span){ p->proto, p->container_port,
						    p->container_port + p->count - 1 };
	}
	qsort(spans, n, sizeof(*spans), span_cmp);
	for (size_t i = 0; i < n; i++) {
		struct span s = spans[i];

		for (; i + 1 < n && spans[i + 1].proto == s.proto && spans[i + 1].first <= s.last;
		     i++)
			if (spans[i + 1].last > s.last)
				s.last = spans[i + 1].last;
		emit_span(em, &s, to);
	}
	return 0;
}

static void spoof_check(struct emitter *em, const struct fl_endpoint *ep)
{
	struct fl_nft_elem e = { 0 };

	emit_link(em, FL_FW_CHECKED_PORTS, ep->link);
	memcpy(e.key, ep->link, strnlen(ep->link, IFNAMSIZ));
	memcpy(e.key + IFNAMSIZ, ep->mac.b, sizeof(ep->mac.b));
	emit(em, FL_FW_ALLOWED_MACS, &e);
}

/* Each of its addresses, whatever their prefixes are. */
static void emit_hosts(struct emitter *em, const struct fl_endpoint *ep, enum fl_fw_set_id set4,
		       bool interval)
{
	for (uint32_t i = 0; i < ep->n_addrs; i++) {
		const struct fl_addr *a = &ep->addrs[i].addr;
		struct fl_nft_elem e = { .range = interval };

		put_addr(e.key, a);
		if (interval)
			put_addr(e.key_end, a);
		emit(em, by_family(set4, a->family), &e);
	}
}

int fl_fw_endpoint_elems(const struct fl_network *net, const struct fl_endpoint *ep,
			 fl_fw_sink sink, void *arg)
{
	static const struct fl_network plain;
	static const int families[] = { AF_INET, AF_INET6 };
	char comment[FL_NAME_MAX + IFNAMSIZ + 2];
	struct emitter em = { sink, arg, comment, 0 };
	int r = 0;

	if (!net)
		net = &plain;
	snprintf(comment, sizeof(comment), "%s/%s", ep->id.container, ep->id.ifname);
	comment[FL_NFT_COMMENT_MAX] = '\0';
	for (size_t i = 0; !r && !net->internal && i < FL_ARRAY_SIZE(families); i++) {
		if (net->gateway_mode == FL_GATEWAY_NAT)
			publish(&em, ep, families[i]);
		else if (net->guarded)
			r = open_ports(&em, ep, families[i]);
	}
	if (!r && ep->admit)
		emit_hosts(&em, ep, FL_FW_HOSTS4, false);
	if (!r && net->tunnel[0] && !net->internal)
		emit_hosts(&em, ep, FL_FW_LOCAL4, false);
	/* The answer to a stranger's packet would go to the endpoint's own router, not through us.
	 */
	if (!r && net->host_access && ep->n_ports)
		emit_hosts(&em, ep, FL_FW_HAIRPIN_ALL4, true);
	if (!r && ep->spoof_check && ep->link[0])
		spoof_check(&em, ep);
	return r ? r : em.error;
}
