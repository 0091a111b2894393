/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records and their JSON, both directions from one table of members each. Members at their default
 * (0, "", false, unset) are not written. Reading is strict: these are our own files, and a key that
 * this version does not know would be lost when the record is written again.
 */
#include "store/peers.h"

#include "base/json.h"
#include "base/strbuf.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum kind {
	KIND_STRING,
	KIND_U32,
	KIND_U64,
	KIND_BOOL,
	KIND_ENUM,
	KIND_MAC,
	KIND_ADDR4,
	KIND_ADDR6,
	KIND_PREFIXES,
	KIND_NETS,
	KIND_PORTS
};

struct member {
	const char *key;
	enum kind kind;
	size_t offset;
	size_t size;		  /* of a string; capacity of a list of prefixes */
	size_t count;		  /* offset of a list's count */
	const char *const *names; /* of an enum, NULL-terminated */
	bool required;
};

static const char *const origins[] = { [FL_ORIGIN_CNI] = "cni",
				       [FL_ORIGIN_CNM] = "cnm",
				       [FL_ORIGIN_NETAVARK] = "netavark",
				       [FL_ORIGIN_NETCTL] = "netctl",
				       NULL };
static const char *const states[] = { [FL_STATE_CREATING] = "creating",
				      [FL_STATE_READY] = "ready",
				      [FL_STATE_DELETING] = "deleting",
				      NULL };
static const char *const gateway_modes[] = {
	[FL_GATEWAY_NAT] = "nat", [FL_GATEWAY_ROUTED] = "routed", NULL
};

#define EP(m) offsetof(struct fl_endpoint, m)
#define EP_SIZE(m) sizeof(((struct fl_endpoint *)0)->m)
#define NET(m) offsetof(struct fl_network, m)
#define NET_SIZE(m) sizeof(((struct fl_network *)0)->m)
#define PEER(m) offsetof(struct fl_peer, m)
#define PEER_SIZE(m) sizeof(((struct fl_peer *)0)->m)

static const struct member endpoint_members[] = {
	{ "network", KIND_STRING, EP(id.network), EP_SIZE(id.network), .required = true },
	{ "driver", KIND_STRING, EP(id.driver), EP_SIZE(id.driver), .required = true },
	{ "container", KIND_STRING, EP(id.container), EP_SIZE(id.container), .required = true },
	{ "ifname", KIND_STRING, EP(id.ifname), EP_SIZE(id.ifname), .required = true },
	{ "origin", KIND_ENUM, EP(origin), .names = origins, .required = true },
	{ "state", KIND_ENUM, EP(state), .names = states, .required = true },
	{ "link", KIND_STRING, EP(link), EP_SIZE(link) },
	{ "ifindex", KIND_U32, EP(ifindex) },
	{ "ifb", KIND_U32, EP(ifb) },
	{ "nsid", KIND_U32, EP(nsid) },
	{ "netns", KIND_STRING, EP(netns), EP_SIZE(netns) },
	{ "cookie", KIND_U64, EP(cookie) },
	{ "dev", KIND_U64, EP(dev) },
	{ "ino", KIND_U64, EP(ino) },
	{ "mac", KIND_MAC, EP(mac) },
	{ "addrs", KIND_PREFIXES, EP(addrs), FL_ENDPOINT_ADDRS, EP(n_addrs) },
	{ "ports", KIND_PORTS, EP(ports), FL_PORTS_MAX, EP(n_ports) },
	{ "spoofCheck", KIND_BOOL, EP(spoof_check) },
	{ "admit", KIND_BOOL, EP(admit) },
	{ "ipam", KIND_STRING, EP(ipam), EP_SIZE(ipam) },
	{ "pool", KIND_STRING, EP(pool), EP_SIZE(pool) },
	{ "shares", KIND_STRING, EP(shares), EP_SIZE(shares) },
	{ "name", KIND_STRING, EP(name), EP_SIZE(name) },
	{ "hostname", KIND_STRING, EP(hostname), EP_SIZE(hostname) },
	{ "aliases", KIND_STRING, EP(aliases), EP_SIZE(aliases) },
	{ "dns", KIND_STRING, EP(dns), EP_SIZE(dns) },
	{ "dnsPort", KIND_U32, EP(dns_port) },
	{ NULL },
};

static const struct member network_members[] = {
	{ "name", KIND_STRING, NET(name), NET_SIZE(name), .required = true },
	{ "driver", KIND_STRING, NET(driver), NET_SIZE(driver), .required = true },
	{ "origin", KIND_ENUM, NET(origin), .names = origins, .required = true },
	{ "ready", KIND_BOOL, NET(ready) },
	{ "link", KIND_STRING, NET(link), NET_SIZE(link) },
	{ "internal", KIND_BOOL, NET(internal) },
	{ "direct", KIND_BOOL, NET(direct) },
	{ "filterOnly", KIND_BOOL, NET(filter_only) },
	{ "hostAccess", KIND_BOOL, NET(host_access) },
	{ "noIcc", KIND_BOOL, NET(no_icc) },
	{ "isolate", KIND_BOOL, NET(isolate) },
	{ "guarded", KIND_BOOL, NET(guarded) },
	{ "masquerade", KIND_BOOL, NET(masquerade) },
	{ "hairpinAll", KIND_BOOL, NET(hairpin_all) },
	{ "noHairpinSnat", KIND_BOOL, NET(no_hairpin_snat) },
	{ "gatewayMode", KIND_ENUM, NET(gateway_mode), .names = gateway_modes },
	{ "snat4", KIND_ADDR4, NET(snat[0]) },
	{ "snat6", KIND_ADDR6, NET(snat[1]) },
	{ "parent", KIND_STRING, NET(parent), NET_SIZE(parent) },
	{ "made", KIND_STRING, NET(made), NET_SIZE(made) },
	{ "subnets", KIND_NETS, NET(subnets), FL_NETWORK_SUBNETS, NET(n_subnets) },
	{ "tunnel", KIND_STRING, NET(tunnel), NET_SIZE(tunnel) },
	{ "tunnelRouted", KIND_BOOL, NET(tunnel_routed) },
	{ "cluster", KIND_STRING, NET(cluster), NET_SIZE(cluster) },
	{ "anycast", KIND_PREFIXES, NET(anycast), FL_NETWORK_SUBNETS, NET(n_anycast) },
	{ NULL },
};

static const struct member peer_members[] = {
	{ "network", KIND_STRING, PEER(network), PEER_SIZE(network), .required = true },
	{ "id", KIND_STRING, PEER(id), PEER_SIZE(id), .required = true },
	{ "node", KIND_STRING, PEER(node), PEER_SIZE(node), .required = true },
	{ "container", KIND_STRING, PEER(container), PEER_SIZE(container), .required = true },
	{ "ifname", KIND_STRING, PEER(ifname), PEER_SIZE(ifname) },
	{ "mac", KIND_MAC, PEER(mac) },
	{ "addr4", KIND_ADDR4, PEER(addrs[0]) },
	{ "addr6", KIND_ADDR6, PEER(addrs[1]) },
	{ "name", KIND_STRING, PEER(name), PEER_SIZE(name) },
	{ "aliases", KIND_STRING, PEER(aliases), PEER_SIZE(aliases) },
	{ "suspect", KIND_BOOL, PEER(suspect) },
	{ NULL },
};

/* ---- writing: NULL without failure means "at its default" ---- */

static json_t *encode_prefixes(const struct fl_prefix *p, uint32_t n, bool masked)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < n && list; i++) {
		struct fl_prefix q = masked ? fl_prefix_masked(&p[i]) : p[i];

		if (json_array_append_new(list, json_string(fl_prefix_str(&q, FL_PREFIX_BUF)))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* ["tcp", "192.0.2.1", host port, container port, count], "" for every address. */
static json_t *encode_ports(const struct fl_port *p, uint32_t n)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < n && list; i++) {
		json_t *item = json_pack("[s,s,i,i,i]", fl_proto_str(p[i].proto),
					 fl_addr_str(&p[i].host, FL_ADDR_BUF), (int)p[i].host_port,
					 (int)p[i].container_port, (int)p[i].count);

		if (json_array_append_new(list, item)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static uint32_t count_of(const struct member *m, const void *base)
{
	return *(const uint32_t *)((const char *)base + m->count);
}

/* True when the member is to be left out. */
static bool at_default(const struct member *m, const void *base)
{
	const char *at = (const char *)base + m->offset;

	switch (m->kind) {
	case KIND_STRING:
		return !*at;
	case KIND_U32:
		return !*(const uint32_t *)at;
	case KIND_U64:
		return !*(const uint64_t *)at;
	case KIND_BOOL:
		return !*(const bool *)at;
	case KIND_ENUM:
		return !*(const int *)at;
	case KIND_MAC:
		return fl_mac_is_zero((const struct fl_mac *)at);
	case KIND_ADDR4:
	case KIND_ADDR6:
		return !fl_addr_is_set((const struct fl_addr *)at);
	default:
		return !count_of(m, base);
	}
}

static json_t *encode_member(const struct member *m, const void *base)
{
	const void *at = (const char *)base + m->offset;

	switch (m->kind) {
	case KIND_STRING:
		return json_string(at);
	case KIND_U32:
		return json_integer(*(const uint32_t *)at);
	case KIND_U64: /* JSON integers of jansson are signed: the bits are kept */
		return json_integer((json_int_t) * (const uint64_t *)at);
	case KIND_BOOL:
		return json_true();
	case KIND_ENUM:
		return json_string(m->names[*(const int *)at]);
	case KIND_MAC:
		return json_string(fl_mac_str(at, FL_MAC_BUF));
	case KIND_ADDR4:
	case KIND_ADDR6:
		return json_string(fl_addr_str(at, FL_ADDR_BUF));
	case KIND_PREFIXES:
	case KIND_NETS:
		return encode_prefixes(at, count_of(m, base), m->kind == KIND_NETS);
	case KIND_PORTS:
		return encode_ports(*(struct fl_port *const *)at, count_of(m, base));
	}
	return NULL;
}

static bool is_utf8(const char *s)
{
	FL_AUTOJSON json_t *j = json_string(s);

	return j;
}

static int encode(const struct member *table, const void *base, char **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *obj = json_object();
	char *text;

	if (!obj)
		return fl_error_oom(err);
	for (const struct member *m = table; m->key; m++) {
		const char *at = (const char *)base + m->offset;

		if (at_default(m, base) && !m->required)
			continue;
		if (m->kind == KIND_STRING && !is_utf8(at))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s \"%s\": expected UTF-8", m->key, at);
		if (json_object_set_new_nocheck(obj, m->key, encode_member(m, base)))
			return fl_error_oom(err);
	}
	text = json_dumps(obj, JSON_COMPACT);
	if (!text)
		return fl_error_oom(err);
	*ret = text;
	return 0;
}

/* ---- reading: each returns false for what encode would not have written ---- */

static bool decode_string(const json_t *v, char *to, size_t size)
{
	const char *s = json_string_value(v);

	if (!s || json_string_length(v) >= size)
		return false;
	fl_strcpy(to, size, s);
	return true;
}

static bool decode_u32(const json_t *v, int64_t min, int64_t max, uint32_t *to)
{
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return false;
	*to = (uint32_t)json_integer_value(v);
	return true;
}

static bool decode_enum(const json_t *v, const char *const *names, int *to)
{
	const char *s = json_string_value(v);

	for (int i = 0; s && names[i]; i++)
		if (!strcmp(names[i], s)) {
			*to = i;
			return true;
		}
	return false;
}

static bool decode_addr(const json_t *v, int family, struct fl_addr *to)
{
	const char *s = json_string_value(v);
	struct fl_addr a;

	if (!s || fl_addr_parse(s, &a) || (family && a.family != family))
		return false;
	*to = a;
	return true;
}

static bool decode_prefixes(const json_t *v, size_t max, bool masked, struct fl_prefix *to,
			    uint32_t *n)
{
	if (!json_is_array(v) || json_array_size(v) > max)
		return false;
	for (*n = 0; *n < json_array_size(v); ++*n) {
		const char *s = json_string_value(json_array_get(v, *n));
		struct fl_prefix p, m;

		if (!s || fl_prefix_parse(s, &p))
			return false;
		m = fl_prefix_masked(&p);
		if (masked && !fl_addr_eq(&m.addr, &p.addr))
			return false;
		to[*n] = p;
	}
	return true;
}

static bool decode_port(const json_t *v, struct fl_port *to)
{
	const char *proto = json_string_value(json_array_get(v, 0));
	const char *host = json_string_value(json_array_get(v, 1));
	uint32_t host_port, container_port, count;

	*to = (struct fl_port){ 0 };
	if (json_array_size(v) != 5 || !proto || fl_proto_parse(proto, &to->proto) || !host)
		return false;
	if (*host && fl_addr_parse(host, &to->host))
		return false;
	if (!decode_u32(json_array_get(v, 2), 1, UINT16_MAX, &host_port) ||
	    !decode_u32(json_array_get(v, 3), 1, UINT16_MAX, &container_port) ||
	    !decode_u32(json_array_get(v, 4), 1, FL_PORTS_MAX, &count))
		return false;
	to->host_port = (uint16_t)host_port;
	to->container_port = (uint16_t)container_port;
	to->count = count;
	return fl_port_valid(to);
}

/* On failure *to may hold what fl_endpoint_clear() releases. */
static bool decode_ports(const json_t *v, struct fl_port **to, uint32_t *n)
{
	size_t size = json_array_size(v);

	if (!json_is_array(v) || size > FL_PORTS_MAX)
		return false;
	if (!size)
		return true;
	*to = calloc(size, sizeof(**to));
	if (!*to)
		return false;
	for (*n = 0; *n < size; ++*n)
		if (!decode_port(json_array_get(v, *n), &(*to)[*n]))
			return false;
	return true;
}

static bool decode_member(const struct member *m, const json_t *v, void *base)
{
	void *at = (char *)base + m->offset;
	uint32_t *count = (uint32_t *)((char *)base + m->count);

	switch (m->kind) {
	case KIND_STRING:
		return decode_string(v, at, m->size);
	case KIND_U32:
		return decode_u32(v, 0, UINT32_MAX, at);
	case KIND_U64:
		*(uint64_t *)at = (uint64_t)json_integer_value(v);
		return json_is_integer(v);
	case KIND_BOOL:
		*(bool *)at = json_is_true(v);
		return json_is_boolean(v);
	case KIND_ENUM:
		return decode_enum(v, m->names, at);
	case KIND_MAC:
		return json_is_string(v) && !fl_mac_parse(json_string_value(v), at);
	case KIND_ADDR4:
		return decode_addr(v, AF_INET, at);
	case KIND_ADDR6:
		return decode_addr(v, AF_INET6, at);
	case KIND_PREFIXES:
	case KIND_NETS:
		return decode_prefixes(v, m->size, m->kind == KIND_NETS, at, count);
	case KIND_PORTS:
		return decode_ports(v, at, count);
	}
	return false;
}

static const struct member *find_member(const struct member *table, const char *key)
{
	for (; table->key; table++)
		if (!strcmp(table->key, key))
			return table;
	return NULL;
}

static int bad(struct fl_error *err, const char *what, const char *key, const char *problem)
{
	return fl_error_set(err, EBADMSG, FL_ECODE_STORE, "state: %s record: key \"%.64s\" %s",
			    what, key, problem);
}

static int decode(const struct member *table, const char *what, const char *json, size_t len,
		  void *base, struct fl_error *err)
{
	json_error_t je;
	FL_AUTOJSON json_t *obj = json_loadb(json, len, JSON_REJECT_DUPLICATES, &je);
	const struct member *m;
	const char *key;
	json_t *v;

	if (!json_is_object(obj))
		return fl_error_set(err, EBADMSG, FL_ECODE_STORE, "state: %s record: %s", what,
				    obj ? "expected an object" : je.text);
	json_object_foreach (obj, key, v) {
		m = find_member(table, key);
		if (!m)
			return bad(err, what, key, "is unknown");
		if (!decode_member(m, v, base))
			return bad(err, what, key, "has a bad value");
	}
	for (m = table; m->key; m++)
		if (m->required && !json_object_get(obj, m->key))
			return bad(err, what, m->key, "is missing");
	return 0;
}

/* ---- public ---- */

int fl_endpoint_encode(const struct fl_endpoint *ep, char **ret, struct fl_error *err)
{
	for (uint32_t i = 0; i < ep->n_ports; i++)
		if (!fl_port_valid(&ep->ports[i]))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "published port %u: out of range",
					    ep->ports[i].host_port);
	return encode(endpoint_members, ep, ret, err);
}

int fl_network_encode(const struct fl_network *net, char **ret, struct fl_error *err)
{
	return encode(network_members, net, ret, err);
}

int fl_peer_encode(const struct fl_peer *p, char **ret, struct fl_error *err)
{
	static const int families[] = { AF_INET, AF_INET6 };

	if (!*p->network || !*p->id || !*p->node)
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"peer \"%s\" of network \"%s\" on node \"%s\": expected none of "
			"the three to be empty",
			p->id, p->network, p->node);
	for (size_t i = 0; i < FL_ARRAY_SIZE(families); i++)
		if (fl_addr_is_set(&p->addrs[i]) && p->addrs[i].family != families[i])
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "peer %s of network %s: address %s: expected the IPv4 "
					    "address first, then the IPv6 one",
					    p->id, p->network,
					    fl_addr_str(&p->addrs[i], FL_ADDR_BUF));
	return encode(peer_members, p, ret, err);
}

int fl_endpoint_decode(const char *json, size_t len, struct fl_endpoint *ret, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	int r = decode(endpoint_members, "endpoint", json, len, &ep, err);

	if (r)
		return r;
	*ret = ep;
	ep.ports = NULL; /* handed on */
	return 0;
}

int fl_network_decode(const char *json, size_t len, struct fl_network *ret, struct fl_error *err)
{
	struct fl_network net = { 0 };
	int r = decode(network_members, "network", json, len, &net, err);

	if (!r)
		*ret = net;
	return r;
}

int fl_peer_decode(const char *json, size_t len, struct fl_peer *ret, struct fl_error *err)
{
	struct fl_peer p = { 0 };
	int r = decode(peer_members, "peer", json, len, &p, err);

	if (!r)
		*ret = p;
	return r;
}

void fl_endpoint_clear(struct fl_endpoint *ep)
{
	free(ep->ports);
	ep->ports = NULL;
	ep->n_ports = 0;
}

bool fl_endpoint_id_eq(const struct fl_endpoint_id *a, const struct fl_endpoint_id *b)
{
	return !strcmp(a->network, b->network) && !strcmp(a->container, b->container) &&
	       !strcmp(a->ifname, b->ifname) && !strcmp(a->driver, b->driver);
}

static const struct {
	uint8_t proto;
	const char *name;
} protos[] = { { IPPROTO_TCP, "tcp" }, { IPPROTO_UDP, "udp" }, { IPPROTO_SCTP, "sctp" } };

bool fl_port_valid(const struct fl_port *p)
{
	bool known = false;

	for (size_t i = 0; i < FL_ARRAY_SIZE(protos); i++)
		known |= protos[i].proto == p->proto;
	return known && p->host_port && p->container_port && p->count && p->count <= FL_PORTS_MAX &&
	       p->host_port + p->count - 1 <= UINT16_MAX &&
	       p->container_port + p->count - 1 <= UINT16_MAX;
}

const char *fl_proto_str(uint8_t proto)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	return "?";
}

int fl_proto_parse(const char *s, uint8_t *ret)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(protos); i++)
		if (!strcasecmp(protos[i].name, s)) {
			*ret = protos[i].proto;
			return 0;
		}
	return -EINVAL;
}
