/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/zone.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static const struct fl_dns_name root = { 1, { 0 } };

struct found {
	struct fl_host host[FL_ZONE_ANSWERS];
	uint8_t net[FL_ZONE_ANSWERS]; /* index of its network */
	size_t n;
	bool known;
};

/* Two plugins of a chain may have told of one address. They are in order. */
static size_t drop_doubles(struct fl_host *h, size_t n)
{
	size_t kept = n > 0;

	for (size_t i = 1; i < n; i++)
		if (h[i].family != h[kept - 1].family ||
		    memcmp(h[i].addr, h[kept - 1].addr, sizeof(h[i].addr)) != 0)
			h[kept++] = h[i];
	return kept;
}

static void find_on(const struct fl_zone *z, size_t net, const struct fl_dns_name *name,
		    struct found *f)
{
	size_t before = f->n;

	if (z->find(z->arg, name, z->nets[net].name, f->host, FL_ZONE_ANSWERS, &f->n))
		return;
	f->known = true;
	f->n = before + drop_doubles(f->host + before, f->n - before);
	memset(f->net + before, (int)net, f->n - before);
	if (z->nets[net].hits)
		++*z->nets[net].hits;
}

static void find_below(const struct fl_zone *z, size_t net, const struct fl_dns_name *name,
		       const struct fl_dns_name *suffix, struct found *f)
{
	struct fl_dns_name stem;

	if (suffix->len && fl_dns_name_stem(name, suffix, &stem))
		find_on(z, net, &stem, f);
}

static bool find(const struct fl_zone *z, const struct fl_dns_name *name, struct found *f)
{
	f->n = 0;
	f->known = false;
	for (size_t i = 0; i < z->n_nets; i++)
		find_on(z, i, name, f);
	for (size_t i = 0; !f->known && i < z->n_nets; i++) {
		find_below(z, i, name, &z->nets[i].suffix, f);
		if (!f->known)
			find_below(z, i, name, &z->nets[i].domain, f);
	}
	return f->known;
}

static struct fl_addr addr_of(const struct fl_host *h)
{
	return fl_addr_make(h->family == 4 ? AF_INET : AF_INET6, h->addr);
}

static bool wanted(const struct fl_host *h, uint16_t type)
{
	return (h->family == 4 && (type == FL_DNS_A || type == FL_DNS_ANY)) ||
	       (h->family == 6 && (type == FL_DNS_AAAA || type == FL_DNS_ANY));
}

/* Entries that the type asks for come first; returns how many. */
static size_t select_type(struct found *f, uint16_t type)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		if (wanted(&f->host[i], type))
			f->host[n++] = f->host[i];
	return n;
}

static void put_addresses(const struct fl_zone *z, struct fl_dns_reply *r, struct found *f,
			  uint16_t type)
{
	size_t n = select_type(f, type), first = n > 1 ? z->rotate % n : 0;

	for (size_t i = 0; i < n; i++) {
		struct fl_addr a = addr_of(&f->host[(first + i) % n]);

		fl_dns_put_addr(r, FL_DNS_ANSWER, NULL, FL_ZONE_TTL, &a);
	}
}

/* ---- PTR ---- */

static bool answer_reverse(const struct fl_zone *z, struct fl_dns_reply *r, const struct fl_addr *a)
{
	struct fl_dns_name name, full;

	for (size_t i = 0; i < z->n_nets; i++) {
		if (z->reverse(z->arg, a, z->nets[i].name, &name))
			continue;
		if (z->nets[i].hits)
			++*z->nets[i].hits;
		/* Too long with the network's name: then as it is. */
		if (!z->nets[i].suffix.len || fl_dns_name_join(&name, &z->nets[i].suffix, &full))
			full = name;
		fl_dns_put_ptr(r, FL_ZONE_TTL, &full);
		return true;
	}
	return false;
}

/* ---- SRV ---- */

struct service {
	char name[FL_DNS_LABEL_MAX + 1];
	uint8_t proto;
	struct fl_dns_name host;
};

/* "_SERVICE._PROTO.NAME" (RFC 2782) */
static bool read_service(const struct fl_dns_name *n, struct service *ret)
{
	static const struct {
		const char *label;
		uint8_t proto;
	} protos[] = { { "_tcp", IPPROTO_TCP },
		       { "_udp", IPPROTO_UDP },
		       { "_sctp", IPPROTO_SCTP } };
	struct fl_dns_name rest = fl_dns_name_parent(n);
	size_t len = n->b[0];

	if (len < 2 || n->b[1] != '_' || memchr(n->b + 1, '\0', len) || rest.len < 2)
		return false;
	memcpy(ret->name, n->b + 2, len - 1);
	ret->name[len - 1] = '\0';
	for (size_t i = 0; i < FL_ARRAY_SIZE(protos); i++)
		if (rest.b[0] == strlen(protos[i].label) &&
		    !memcmp(rest.b + 1, protos[i].label, rest.b[0])) {
			ret->proto = protos[i].proto;
			ret->host = fl_dns_name_parent(&rest);
			return ret->host.len > 1;
		}
	return false;
}

/* Has an entry before this one the same owner, with the same network? */
static bool seen_owner(const struct found *f, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (f->net[j] == f->net[i] &&
		    !memcmp(f->host[j].owner, f->host[i].owner, sizeof(f->host[i].owner)))
			return true;
	return false;
}

static bool target_of(const struct fl_zone *z, const struct found *f, size_t i,
		      struct fl_dns_name *ret)
{
	const struct fl_zone_net *net = &z->nets[f->net[i]];
	struct fl_addr a = addr_of(&f->host[i]);
	struct fl_dns_name name;

	if (z->reverse(z->arg, &a, net->name, &name))
		return false;
	if (!net->suffix.len || fl_dns_name_join(&name, &net->suffix, ret))
		*ret = name;
	return true;
}

static void put_services(const struct fl_zone *z, struct fl_dns_reply *r, const struct found *f,
			 const struct service *s)
{
	enum { MOST = 64 }; /* owners that are looked at: each costs the reading of its records */
	size_t put[MOST], n = 0, asked = 0;
	struct fl_dns_name target;
	uint16_t port;

	for (size_t i = 0; i < f->n && asked < MOST; i++) {
		struct fl_addr a = addr_of(&f->host[i]);

		/* What others publish is on their nodes. */
		if (!f->host[i].family || !fl_host_is_here(&f->host[i]) || seen_owner(f, i))
			continue;
		asked++;
		if (z->service(z->arg, &a, z->nets[f->net[i]].name, s->name, s->proto, &port) ||
		    !target_of(z, f, i, &target))
			continue;
		fl_dns_put_srv(r, FL_ZONE_TTL, 0, 0, port, &target);
		put[n++] = i;
	}
	for (size_t p = 0; p < n; p++)
		for (size_t i = put[p]; i < f->n; i++) {
			const struct fl_host *h = &f->host[i], *first = &f->host[put[p]];
			struct fl_addr a = addr_of(h);

			if (h->family && f->net[i] == f->net[put[p]] &&
			    !memcmp(h->owner, first->owner, sizeof(h->owner)) &&
			    target_of(z, f, i, &target))
				fl_dns_put_addr(r, FL_DNS_ADDITIONAL, &target, FL_ZONE_TTL, &a);
		}
}

/* ---- the answer ---- */

/* False: unknown. */
static bool answer_name(const struct fl_zone *z, struct fl_dns_reply *r,
			const struct fl_dns_query *q)
{
	struct found f;
	struct service s;

	if (find(z, &q->name, &f)) {
		put_addresses(z, r, &f, q->type);
		return true;
	}
	if (!read_service(&q->name, &s) || !find(z, &s.host, &f))
		return false;
	if (q->type == FL_DNS_SRV || q->type == FL_DNS_ANY)
		put_services(z, r, &f, &s);
	return true;
}

bool fl_zone_answer(const struct fl_zone *z, const uint8_t *msg, const struct fl_dns_query *q,
		    uint8_t *out, size_t size, size_t *ret_len)
{
	struct fl_dns_reply r;
	struct fl_addr a;
	bool known;

	fl_dns_reply_begin(&r, out, size, msg, q, FL_DNS_AA | FL_DNS_RA);
	if (q->name.len > 6 && !fl_dns_name_to_addr(&q->name, &a)) {
		/* Of a reverse name only PTR is known; the rest of it is not there. */
		known = answer_reverse(z, &r, &a);
		if (known && q->type != FL_DNS_PTR && q->type != FL_DNS_ANY)
			fl_dns_reply_begin(&r, out, size, msg, q, FL_DNS_AA | FL_DNS_RA);
	} else {
		known = answer_name(z, &r, q);
	}
	if (!known)
		return false;
	if (!r.counts[FL_DNS_ANSWER] && !r.truncated)
		fl_dns_put_soa(&r, NULL, FL_ZONE_TTL);
	*ret_len = fl_dns_reply_end(&r, FL_DNS_NOERROR);
	return true;
}

size_t fl_zone_refuse(const uint8_t *msg, const struct fl_dns_query *q, uint16_t rcode,
		      uint8_t *out, size_t size)
{
	struct fl_dns_reply r;

	fl_dns_reply_begin(&r, out, size, msg, q, FL_DNS_RA);
	if (rcode == FL_DNS_NXDOMAIN)
		fl_dns_put_soa(&r, &root, FL_ZONE_TTL);
	return fl_dns_reply_end(&r, rcode);
}
