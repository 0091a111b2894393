/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Published ports. Key: protocol (1 byte), family, host address, first port (2 bytes, big endian);
 * value: count (4 bytes) and the owner's endpoint key. A wildcard is the all-zeroes address of each
 * family it covers. Entries of one (protocol, address) never overlap, so the last entry that begins
 * before the end of an interval is the only one that can reach into it from below.
 */
#include "store/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define COUNT_BYTES 4

/* One entry to be: a port of an endpoint at one address. */
struct claim {
	uint8_t proto;
	struct fl_addr host;
	uint32_t first, count;
	uint16_t container_port;
};

/* An entry as it lies in the table. */
struct entry {
	struct claim at;
	struct fl_bytes owner; /* valid until the next change */
};

static uint32_t last_of(const struct claim *c)
{
	return c->first + c->count - 1;
}

static void address_key(struct fl_key *k, uint8_t proto, const struct fl_addr *host)
{
	k->len = 0;
	k->overflow = false;
	fl_key_u8(k, proto);
	fl_key_addr(k, host);
}

static struct fl_bytes port_key(struct fl_key *k, const struct claim *c)
{
	address_key(k, c->proto, &c->host);
	fl_key_u16(k, (uint16_t)c->first);
	return fl_key_done(k);
}

static int damaged(struct fl_error *err)
{
	return fl_error_set(err, EBADMSG, FL_ECODE_STORE,
			    "state: an entry of the published ports is damaged");
}

static int parse_entry(struct fl_bytes key, struct fl_bytes val, struct entry *ret,
		       struct fl_error *err)
{
	const uint8_t *k = key.p, *v = val.p;
	size_t n = key.len > 1 && k[1] == 4 ? 4 : 16;

	if (key.len != 2 + n + 2 || val.len <= COUNT_BYTES)
		return damaged(err);
	ret->at.proto = k[0];
	ret->at.host = fl_addr_make(n == 4 ? AF_INET : AF_INET6, k + 2);
	ret->at.first = (uint32_t)(k[2 + n] << 8 | k[3 + n]);
	ret->at.count = fl_get_u32(v);
	ret->owner = (struct fl_bytes){ v + COUNT_BYTES, val.len - COUNT_BYTES };
	return 0;
}

/* ---- conflicts ---- */

/* The entry at exactly `c->host` that ends last among those that overlap c. -ENOENT. */
static int overlap_at(struct fl_txn *t, const struct claim *c, struct entry *ret,
		      struct fl_error *err)
{
	struct fl_bytes key, val, prefix;
	struct fl_key before, k;
	struct entry e;
	int r;

	address_key(&k, c->proto, &c->host);
	prefix = fl_key_done(&k);
	/* One byte more than the key of the last port sorts behind it and before the next port. */
	address_key(&before, c->proto, &c->host);
	fl_key_u16(&before, (uint16_t)last_of(c));
	fl_key_u8(&before, 0);
	r = fl_seek_before(t, FL_TABLE_PORTS, fl_key_done(&before), &key, &val, err);
	if (r)
		return r;
	if (!fl_bytes_start(key, prefix))
		return -ENOENT;
	r = parse_entry(key, val, &e, err);
	if (r)
		return r;
	if (last_of(&e.at) < c->first)
		return -ENOENT;
	*ret = e;
	return 0;
}

/* The next host address in use for this protocol and family that is greater than *host. -ENOENT. */
static int next_address(struct fl_txn *t, uint8_t proto, struct fl_addr *host, struct fl_error *err)
{
	struct fl_bytes key, val;
	struct fl_key k;
	struct entry e;
	int r;

	address_key(&k, proto, host);
	fl_key_u32(&k, UINT32_MAX); /* behind every port of this address */
	r = fl_seek(t, FL_TABLE_PORTS, fl_key_done(&k), &key, &val, err);
	if (!r)
		r = parse_entry(key, val, &e, err);
	if (r)
		return r;
	if (e.at.proto != proto || e.at.host.family != host->family)
		return -ENOENT;
	*host = e.at.host;
	return 0;
}

static bool owned_by(const struct entry *e, const struct fl_key *self)
{
	return self && fl_bytes_eq(e->owner, fl_key_done(self));
}

/*
 * An entry of anyone but `self` (NULL: of anyone) that overlaps c as bind(2) has it: at the same
 * address, at the wildcard, and for a wildcard at any address of the family. -ENOENT.
 */
static int find_conflict(struct fl_txn *t, const struct claim *c, const struct fl_key *self,
			 struct entry *ret, struct fl_error *err)
{
	struct claim at = *c;
	int r;

	at.host = (struct fl_addr){ .family = c->host.family };
	do {
		r = overlap_at(t, &at, ret, err);
		/* Of our own entries at this address one that is not ours may begin before. */
		while (!r && owned_by(ret, self)) {
			struct claim below = at;

			if (ret->at.first <= at.first) {
				r = -ENOENT;
				break;
			}
			below.count = ret->at.first - at.first;
			r = overlap_at(t, &below, ret, err);
		}
		if (r != -ENOENT)
			return r;
		if (fl_addr_is_any(&c->host)) {
			r = next_address(t, c->proto, &at.host, err);
		} else if (fl_addr_is_any(&at.host)) {
			at.host = c->host;
			r = 0;
		}
	} while (!r);
	return r;
}

/* ---- claims ---- */

static struct fl_addr wildcard(int family)
{
	return (struct fl_addr){ .family = (uint8_t)family };
}

/* The entries of one port: one, or one for each family of a wildcard. Returns how many. */
static size_t expand(const struct fl_port *p, unsigned families, struct claim ret[2])
{
	struct claim c = { p->proto, p->host, p->host_port, p->count, p->container_port };
	size_t n = 0;

	if (fl_addr_is_set(&p->host)) {
		ret[n++] = c;
		return n;
	}
	if (families & FL_FAMILY_V4) {
		ret[n] = c;
		ret[n++].host = wildcard(AF_INET);
	}
	if (families & FL_FAMILY_V6) {
		ret[n] = c;
		ret[n++].host = wildcard(AF_INET6);
	}
	return n;
}

static int compare_claims(const void *x, const void *y)
{
	const struct claim *a = x, *b = y;
	int c = fl_addr_cmp(&a->host, &b->host);

	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	if (c)
		return c;
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return 0;
}

static bool same_place(const struct claim *a, const struct claim *b)
{
	return a->proto == b->proto && fl_addr_eq(&a->host, &b->host);
}

/*
 * Sorts; drops repetitions of the same mapping; refuses two mappings of one port. A wildcard beside
 * one address of the same endpoint is allowed: the address is the more specific one.
 */
static int unique_claims(struct claim *c, size_t *n, struct fl_error *err)
{
	size_t kept = 0;

	qsort(c, *n, sizeof(*c), compare_claims);
	for (size_t i = 0; i < *n; i++) {
		struct claim *last = kept ? &c[kept - 1] : NULL;

		if (!last || !same_place(last, &c[i]) || last_of(last) < c[i].first) {
			c[kept++] = c[i];
			continue;
		}
		if (last->first != c[i].first || last->count != c[i].count ||
		    last->container_port != c[i].container_port)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s port %u is published twice",
					    fl_proto_str(c[i].proto), c[i].first);
	}
	*n = kept;
	return 0;
}

static int in_use(const struct claim *c, const struct entry *e, const struct fl_endpoint_id *owner,
		  struct fl_error *err)
{
	uint32_t port = e->at.first > c->first ? e->at.first : c->first;

	return fl_error_set(
		err, EADDRINUSE, FL_ECODE_CONFLICT,
		"%s port %u is already published by container %s (interface %s) on network %s",
		fl_proto_str(c->proto), port, owner->container, owner->ifname, owner->network);
}

/* 0 when the entry was removed with its owner, or alone because it has none. */
static int displace(struct fl_txn *t, const struct claim *c, const struct entry *e,
		    const struct fl_gone *gone, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint owner = { 0 };
	struct claim at = e->at;
	struct fl_endpoint_id id;
	struct fl_key k;
	int r = fl_key_endpoint_parse(e->owner, &id, err);

	if (r)
		return r;
	r = fl_endpoint_get(t, &id, &owner, err);
	if (r && r != -ENOENT)
		return r;
	if (!r) {
		if (!gone || !gone->fn(gone->arg, &owner))
			return in_use(c, e, &id, err);
		r = fl_endpoint_evict(t, &owner, err);
		if (r)
			return r;
	}
	/* The record may not have known of it. */
	return fl_del(t, FL_TABLE_PORTS, port_key(&k, &at), err);
}

/* What self holds at the very address from an earlier attempt makes room for what it wants now. */
static int drop_own(struct fl_txn *t, const struct claim *c, struct fl_error *err)
{
	struct entry e;
	struct fl_key k;
	int r;

	while (!(r = overlap_at(t, c, &e, err))) {
		struct claim at = e.at;

		r = fl_del(t, FL_TABLE_PORTS, port_key(&k, &at), err);
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

static int claim_one(struct fl_txn *t, const struct claim *c, const struct fl_key *self,
		     const struct fl_gone *gone, struct fl_error *err)
{
	struct fl_key k, val = { 0 };
	struct entry e;
	int r;

	while (!(r = find_conflict(t, c, self, &e, err))) {
		r = displace(t, c, &e, gone, err);
		if (r)
			return r;
	}
	if (r != -ENOENT)
		return r;
	r = drop_own(t, c, err);
	if (r)
		return r;
	fl_key_u32(&val, c->count);
	fl_key_bytes(&val, self->b, self->len);
	return fl_put(t, FL_TABLE_PORTS, port_key(&k, c), fl_key_done(&val), err);
}

int fl_ports_claim(struct fl_txn *t, const struct fl_endpoint *ep, unsigned families,
		   const struct fl_gone *gone, struct fl_error *err)
{
	FL_AUTOFREE struct claim *claims = NULL;
	struct fl_key self = { 0 };
	size_t n = 0;
	int r;

	if (!ep->n_ports)
		return 0;
	claims = calloc(2 * (size_t)ep->n_ports, sizeof(*claims));
	if (!claims)
		return fl_error_oom(err);
	for (uint32_t i = 0; i < ep->n_ports; i++) {
		if (!fl_port_valid(&ep->ports[i]))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "published port %u: out of range",
					    ep->ports[i].host_port);
		n += expand(&ep->ports[i], families, claims + n);
	}
	r = unique_claims(claims, &n, err);
	fl_key_endpoint(&self, &ep->id);
	for (size_t i = 0; i < n && !r; i++)
		r = claim_one(t, &claims[i], &self, gone, err);
	return r;
}

int fl_ports_release(struct fl_txn *t, const struct fl_endpoint *ep, struct fl_error *err)
{
	struct fl_key self = { 0 }, k;

	fl_key_endpoint(&self, &ep->id);
	for (uint32_t i = 0; i < ep->n_ports; i++) {
		struct claim c[2];
		size_t n = expand(&ep->ports[i], FL_FAMILY_V4 | FL_FAMILY_V6, c);

		for (size_t j = 0; j < n; j++) {
			struct fl_bytes key = port_key(&k, &c[j]), val;
			struct entry e;
			int r = fl_get(t, FL_TABLE_PORTS, key, &val, err);

			if (r == -ENOENT)
				continue;
			if (!r)
				r = parse_entry(key, val, &e, err);
			if (!r && owned_by(&e, &self))
				r = fl_del(t, FL_TABLE_PORTS, key, err);
			if (r)
				return r;
		}
	}
	return 0;
}

/* ---- questions ---- */

/*
 * Can the interval begin at `first`? 0: yes. Otherwise *next is the first port behind what is in
 * the way, and the result is 1.
 */
static int blocked(struct fl_txn *t, const struct fl_port *want, unsigned families, uint32_t first,
		   uint32_t *next, struct fl_error *err)
{
	struct claim c[2];
	size_t n = expand(want, families, c);
	struct entry e;

	for (size_t i = 0; i < n; i++) {
		int r;

		c[i].first = first;
		r = find_conflict(t, &c[i], NULL, &e, err);
		if (!r) {
			*next = last_of(&e.at) + 1;
			return 1;
		}
		if (r != -ENOENT)
			return r;
	}
	return 0;
}

struct port_search {
	struct fl_port want;
	unsigned families;
	bool (*reserved)(void *arg, uint16_t port);
	void *arg;
};

static bool reserved_in(const struct port_search *s, uint32_t first, uint32_t *next)
{
	for (uint32_t i = s->want.count; s->reserved && i-- > 0;)
		if (s->reserved(s->arg, (uint16_t)(first + i))) {
			*next = first + i + 1;
			return true;
		}
	return false;
}

/* The first fitting interval that begins in [from, to]. -ENOENT. */
static int search(struct fl_txn *t, const struct port_search *s, uint32_t from, uint32_t to,
		  uint16_t *ret, struct fl_error *err)
{
	for (uint32_t first = from; first <= to;) {
		int r = blocked(t, &s->want, s->families, first, &first, err);

		if (r < 0)
			return r;
		if (r > 0 || reserved_in(s, first, &first))
			continue;
		*ret = (uint16_t)first;
		return 0;
	}
	return -ENOENT;
}

int fl_ports_find_free(struct fl_txn *t, uint8_t proto, const struct fl_addr *host,
		       unsigned families, uint32_t count, uint16_t first, uint16_t last,
		       uint32_t offset, bool (*reserved)(void *arg, uint16_t port), void *arg,
		       uint16_t *ret, struct fl_error *err)
{
	struct port_search s = {
		{ .proto = proto, .host = *host, .count = count }, families, reserved, arg
	};
	uint32_t span = (uint32_t)last - first + 1, start, end;
	int r = -ENOENT;

	if (first && first <= last && count && count <= span) {
		end = last - count + 1;
		start = first + offset % span;
		r = start <= end ? search(t, &s, start, end, ret, err) : -ENOENT;
		if (r == -ENOENT && start > first)
			r = search(t, &s, first, start - 1 < end ? start - 1 : end, ret, err);
	}
	if (r == -ENOENT)
		return fl_error_set(err, EADDRNOTAVAIL, FL_ECODE_EXHAUSTED,
				    "no %u consecutive free %s ports in %u-%u", count,
				    fl_proto_str(proto), first, last);
	return r;
}

int fl_ports_owner(struct fl_txn *t, uint8_t proto, const struct fl_addr *host, uint16_t port,
		   struct fl_endpoint_id *ret, struct fl_error *err)
{
	struct fl_port want = { .proto = proto, .host = *host, .host_port = port, .count = 1 };
	struct claim c[2];
	size_t n = expand(&want, FL_FAMILY_V4 | FL_FAMILY_V6, c);
	int r = -ENOENT;

	for (size_t i = 0; i < n && r == -ENOENT; i++) {
		struct entry e;

		r = find_conflict(t, &c[i], NULL, &e, err);
		if (!r)
			r = fl_key_endpoint_parse(e.owner, ret, err);
	}
	return r;
}
