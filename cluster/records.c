/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values into records. Tables say types and sizes; what follows them says what words may mean. */
#include "cluster/records.h"

#include "base/dnsname.h"
#include "base/fields.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EPOCH_MAX INT64_MAX

/* Where a text of JSON goes. */
struct raw {
	int64_t vni, mtu, port, epoch, created, next;
	const char *name, *net, *node, *id, *boot_id, *key, *used, *container, *ifname;
	int mode, use;
	bool encrypted, internal, broadcast;
	struct fl_addr vtep4, vtep6, ip4, ip6;
	struct fl_mac mac;
	json_t *options, *labels;
	struct fl_list subnets, caps, aliases, services, released;
};

struct raw_subnet {
	struct fl_prefix subnet;
	struct fl_addr gateway;
};

struct raw_released {
	int64_t n, at;
};

static const char *const modes[] = { "l2", "l3", NULL };
static const char *const uses[] = { "endpoint", "node", "gateway", "service", "freed", NULL };

static const struct fl_field subnet_fields[] = {
	FL_F("subnet", PREFIX, struct raw_subnet, subnet),
	FL_F("gateway", ADDR, struct raw_subnet, gateway),
	{ 0 },
};
static const struct fl_field released_fields[] = {
	FL_F("n", INT, struct raw_released, n, .max = FL_REC_BLOCK - 1),
	FL_F("at", INT, struct raw_released, at, .max = INT64_MAX),
	{ 0 },
};

static const struct fl_field net_fields[] = {
	FL_F("name", STRING, struct raw, name, .max = FL_REC_NETNAME_MAX),
	FL_F("mode", ENUM, struct raw, mode, .names = modes),
	FL_F("vni", INT, struct raw, vni, .min = 1, .max = FL_REC_VNI_MAX),
	FL_F("mtu", INT, struct raw, mtu, .max = 65535),
	FL_F("port", INT, struct raw, port, .max = 65535),
	FL_F("encrypted", BOOL, struct raw, encrypted),
	FL_F("internal", BOOL, struct raw, internal),
	FL_F("broadcast", BOOL, struct raw, broadcast),
	FL_F("subnets", LIST, struct raw, subnets, .max = FL_REC_SUBNETS_MAX, .sub = subnet_fields,
	     .size = sizeof(struct raw_subnet)),
	FL_F("options", JSON_OBJECT, struct raw, options),
	FL_F("labels", JSON_OBJECT, struct raw, labels),
	{ 0 },
};
static const struct fl_field owner_fields[] = {
	FL_F("net", STRING, struct raw, net, .max = FL_REC_ID_MAX),
	{ 0 },
};
static const struct fl_field node_fields[] = {
	FL_F("vtep4", ADDR, struct raw, vtep4),
	FL_F("vtep6", ADDR, struct raw, vtep6),
	FL_F("mtu", INT, struct raw, mtu, .min = 1280, .max = 65535),
	FL_F("port", INT, struct raw, port, .min = 1, .max = 65535),
	FL_F("boot_id", STRING, struct raw, boot_id, .max = 36),
	FL_F("epoch", INT, struct raw, epoch, .max = EPOCH_MAX),
	FL_F("key", STRING, struct raw, key, .max = 44),
	FL_F("caps", STRINGS, struct raw, caps, .max = FL_REC_CAPS_MAX),
	{ 0 },
};
static const struct fl_field alive_fields[] = {
	FL_F("epoch", INT, struct raw, epoch, .max = EPOCH_MAX),
	{ 0 },
};
static const struct fl_field join_fields[] = {
	FL_F("epoch", INT, struct raw, epoch, .max = EPOCH_MAX),
	FL_F("ip4", ADDR, struct raw, ip4),
	FL_F("ip6", ADDR, struct raw, ip6),
	FL_F("mac", MAC, struct raw, mac),
	{ 0 },
};
static const struct fl_field ep_fields[] = {
	FL_F("node", STRING, struct raw, node, .max = FL_REC_ID_MAX),
	FL_F("container", STRING, struct raw, container, .max = FL_REC_CONTAINER_MAX),
	FL_F("ifname", STRING, struct raw, ifname, .max = FL_REC_IFNAME_MAX),
	FL_F("epoch", INT, struct raw, epoch, .max = EPOCH_MAX),
	FL_F("mac", MAC, struct raw, mac),
	FL_F("ip4", ADDR, struct raw, ip4),
	FL_F("ip6", ADDR, struct raw, ip6),
	FL_F("name", STRING, struct raw, name, .max = FL_REC_NAME_MAX),
	FL_F("aliases", STRINGS, struct raw, aliases, .max = FL_REC_ALIASES_MAX),
	FL_F("services", STRINGS, struct raw, services, .max = FL_REC_SERVICES_MAX),
	FL_F("created", INT, struct raw, created, .max = INT64_MAX),
	{ 0 },
};
static const struct fl_field ip_fields[] = {
	FL_F("use", ENUM, struct raw, use, .names = uses),
	FL_F("node", STRING, struct raw, node, .max = FL_REC_ID_MAX),
	FL_F("id", STRING, struct raw, id, .max = FL_REC_ID_MAX),
	{ 0 },
};
static const struct fl_field blk_fields[] = {
	FL_F("node", STRING, struct raw, node, .max = FL_REC_ID_MAX),
	FL_F("used", STRING, struct raw, used, .max = 16),
	FL_F("next", INT, struct raw, next, .max = FL_REC_BLOCK - 1),
	FL_F("released", LIST, struct raw, released, .max = FL_REC_BLOCK, .sub = released_fields,
	     .size = sizeof(struct raw_released)),
	{ 0 },
};

/* ---- words ---- */

static int wrong(struct fl_error *err, const char *path, const char *expected)
{
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s: expected %s", path, expected);
}

/* An id that the record cannot do without, or may lack (`optional`). */
static int take_id(const char *path, const char *text, bool optional, char *to,
		   struct fl_error *err)
{
	if (optional && !*text)
		return 0;
	if (!fl_name_valid(text, FL_REC_ID_MAX))
		return wrong(err, path, "1 to 64 of [a-zA-Z0-9_.-]");
	strcpy(to, text);
	return 0;
}

static int take_name(const char *path, const char *text, char *to, struct fl_error *err)
{
	struct fl_dns_name name;

	if (!fl_name_valid(text, FL_REC_NAME_MAX) || fl_dns_name_parse(text, &name))
		return wrong(err, path, "a host name of [a-zA-Z0-9_.-], at most 253 bytes");
	strcpy(to, text);
	return 0;
}

static int take_addr(const char *path, const struct fl_addr *a, int family, struct fl_addr *to,
		     struct fl_error *err)
{
	static const uint8_t broadcast[4] = { 255, 255, 255, 255 };
	bool bad = fl_addr_is_set(a) &&
		   (a->family != family || fl_addr_is_any(a) || fl_addr_is_multicast(a) ||
		    fl_addr_is_loopback(a) ||
		    (a->family == AF_INET && !memcmp(a->b, broadcast, sizeof(broadcast))));

	if (bad)
		return wrong(err, path,
			     family == AF_INET ? "a unicast IPv4 address"
					       : "a unicast IPv6 address");
	*to = *a;
	return 0;
}

static int take_both(const char *const paths[2], const struct fl_addr *a4, const struct fl_addr *a6,
		     bool optional, struct fl_addr *to4, struct fl_addr *to6, struct fl_error *err)
{
	char expected[64];
	int r = take_addr(paths[0], a4, AF_INET, to4, err);

	if (!r)
		r = take_addr(paths[1], a6, AF_INET6, to6, err);
	snprintf(expected, sizeof(expected), "an address, here or in \"%s\"", paths[1]);
	if (!r && !optional && !fl_addr_is_set(a4) && !fl_addr_is_set(a6))
		r = wrong(err, paths[0], expected);
	return r;
}

static bool text_valid(const char *text, size_t max)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return n <= max;
}

static int take_pairs(const char *path, const json_t *obj, struct fl_rec_pairs *to,
		      struct fl_error *err)
{
	char at[FL_REC_WORD_MAX + 16];
	const char *key;
	json_t *value;

	if (json_object_size(obj) > FL_REC_PAIRS_MAX)
		return wrong(err, path, "at most 16 keys");
	json_object_foreach ((json_t *)obj, key, value) {
		struct fl_rec_pair *p = &to->list[to->n++];

		snprintf(at, sizeof(at), "%s.%s", path, key);
		if (!*key || !text_valid(key, FL_REC_WORD_MAX))
			return wrong(err, path, "keys of 1 to 63 printable bytes");
		if (!json_is_string(value) ||
		    !text_valid(json_string_value(value), FL_REC_TEXT_MAX))
			return wrong(err, at, "a string of at most 255 printable bytes");
		strcpy(p->key, key);
		strcpy(p->value, json_string_value(value));
	}
	return 0;
}

/* ---- kinds ---- */

static int take_subnets(const struct fl_list *list, struct fl_rec_net *to, struct fl_error *err)
{
	char path[40];

	for (size_t i = 0; i < list->n; i++) {
		const struct raw_subnet *s = (const struct raw_subnet *)list->items + i;
		struct fl_prefix masked = fl_prefix_masked(&s->subnet);

		snprintf(path, sizeof(path), "subnets[%zu].subnet", i);
		if (!fl_addr_is_set(&s->subnet.addr) || !s->subnet.len ||
		    !fl_addr_eq(&masked.addr, &s->subnet.addr))
			return wrong(err, path, "a prefix without host bits");
		snprintf(path, sizeof(path), "subnets[%zu].gateway", i);
		if (fl_addr_is_set(&s->gateway) && !fl_prefix_contains(&s->subnet, &s->gateway))
			return wrong(err, path, "an address of the subnet");
		to->subnets[i].subnet = s->subnet;
		to->subnets[i].gateway = s->gateway;
	}
	to->n_subnets = list->n;
	return 0;
}

static int take_net(const struct raw *raw, struct fl_rec *rec, struct fl_error *err)
{
	struct fl_rec_net *to = &rec->net;
	int r;

	if (!fl_name_valid(raw->name, FL_REC_NETNAME_MAX))
		return wrong(err, "name", "1 to 63 of [a-zA-Z0-9_.-]");
	strcpy(to->name, raw->name);
	if (!raw->vni)
		return wrong(err, "vni", "an integer from 1 to 16777215");
	if (raw->mtu && raw->mtu < 576)
		return wrong(err, "mtu", "0, or an integer from 576 to 65535");
	to->mode = (enum fl_rec_mode)raw->mode;
	to->vni = (uint32_t)raw->vni;
	to->mtu = (uint32_t)raw->mtu;
	to->encrypted = raw->encrypted;
	to->internal = raw->internal;
	to->port = (uint16_t)raw->port;
	to->broadcast = raw->broadcast;
	r = take_subnets(&raw->subnets, to, err);
	if (!r)
		r = take_pairs("options", raw->options, &to->options, err);
	if (!r)
		r = take_pairs("labels", raw->labels, &to->labels, err);
	return r;
}

static int take_owner(const struct raw *raw, struct fl_rec *rec, struct fl_error *err)
{
	return take_id("net", raw->net, false, rec->owner.net, err);
}

static bool key_valid(const char *key)
{
	size_t n = strlen(key);

	return !n || (n == 44 && key[43] == '=' &&
		      strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				  "+/") == 43);
}

static int take_caps(const struct fl_list *list, struct fl_rec_node *to, struct fl_error *err)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *word = ((const char *const *)list->items)[i];
		char path[32];

		snprintf(path, sizeof(path), "caps[%zu]", i);
		if (!fl_name_valid(word, sizeof(to->caps[0]) - 1))
			return wrong(err, path, "1 to 31 of [a-zA-Z0-9_.-]");
		strcpy(to->caps[i], word);
	}
	to->n_caps = list->n;
	return 0;
}

static int take_node(const struct raw *raw, struct fl_rec *rec, struct fl_error *err)
{
	static const char *const paths[] = { "vtep4", "vtep6" };
	struct fl_rec_node *to = &rec->node;
	int r = take_both(paths, &raw->vtep4, &raw->vtep6, false, &to->vtep4, &to->vtep6, err);

	if (r)
		return r;
	if (!raw->mtu)
		return wrong(err, "mtu", "an integer from 1280 to 65535");
	if (!raw->port)
		return wrong(err, "port", "an integer from 1 to 65535");
	if (!key_valid(raw->key))
		return wrong(err, "key", "a public key of 44 characters");
	if (*raw->boot_id && !fl_name_valid(raw->boot_id, 36))
		return wrong(err, "boot_id", "a UUID");
	to->mtu = (uint32_t)raw->mtu;
	to->port = (uint16_t)raw->port;
	to->epoch = raw->epoch;
	strcpy(to->key, raw->key);
	strcpy(to->boot_id, raw->boot_id);
	return take_caps(&raw->caps, to, err);
}

static int take_alive(const struct raw *raw, struct fl_rec *rec, struct fl_error *err)
{
	(void)err;
	rec->alive.epoch = raw->epoch;
	return 0;
}

static int take_join(const struct raw *raw, struct fl_rec *rec, struct fl_error *err)
{
	static const char *const paths[] = { "ip4", "ip6" };

	rec->join.epoch = raw->epoch;
	rec->join.mac = raw->mac;
	if (raw->mac.b[0] & 1)
		return wrong(err, "mac", "a unicast MAC address");
	return take_both(paths, &raw->ip4, &raw->ip6, true, &rec->join.ip4, &rec->join.ip6, err);
}

static int take_words(const struct raw *raw, struct fl_rec_ep *to, struct fl_error *err)
{
	char path[32];
	int r = 0;

	for (size_t i = 0; !r && i < raw->aliases.n; i++) {
		snprintf(path, sizeof(path), "aliases[%zu]", i);
		r = take_name(path, ((const char *const *)raw->aliases.items)[i], to->aliases[i],
			      err);
	}
	for (size_t i = 0; !r && i < raw->services.n; i++) {
		snprintf(path, sizeof(path), "services[%zu]", i);
		r = take_id(path, ((const char *const *)raw->services.items)[i], false,
			    to->services[i], err);
	}
	to->n_aliases = raw->aliases.n;
	to->n_services = raw->services.n;
	return r;
}

static int take_ep(const struct raw *raw, struct fl_rec *rec, struct fl_error *err)
{
	static const char *const paths[] = { "ip4", "ip6" };
	struct fl_rec_ep *to = &rec->ep;
	int r = take_id("node", raw->node, false, to->node, err);

	if (!r && !fl_name_valid(raw->container, FL_REC_CONTAINER_MAX))
		r = wrong(err, "container", "1 to 200 of [a-zA-Z0-9_.-]");
	if (!r && !fl_ifname_valid(raw->ifname))
		r = wrong(err, "ifname", "the name of an interface");
	if (!r) {
		strcpy(to->container, raw->container);
		strcpy(to->ifname, raw->ifname);
	}
	if (!r && (fl_mac_is_zero(&raw->mac) || raw->mac.b[0] & 1))
		r = wrong(err, "mac", "a unicast MAC address");
	if (!r)
		r = take_both(paths, &raw->ip4, &raw->ip6, false, &to->ip4, &to->ip6, err);
	if (!r && *raw->name)
		r = take_name("name", raw->name, to->name, err);
	to->mac = raw->mac;
	to->epoch = raw->epoch;
	to->created = raw->created;
	return r ? r : take_words(raw, to, err);
}

static int take_ip(const struct raw *raw, struct fl_rec *rec, struct fl_error *err)
{
	struct fl_rec_ip *to = &rec->ip;
	bool of_node = raw->use == FL_REC_USE_ENDPOINT || raw->use == FL_REC_USE_NODE;
	bool named = raw->use == FL_REC_USE_ENDPOINT || raw->use == FL_REC_USE_SERVICE;
	int r = take_id("node", raw->node, !of_node, to->node, err);

	to->use = (enum fl_rec_use)raw->use;
	return r ? r : take_id("id", raw->id, !named, to->id, err);
}

static int take_blk(const struct raw *raw, struct fl_rec *rec, struct fl_error *err)
{
	struct fl_rec_blk *to = &rec->blk;
	int r = take_id("node", raw->node, true, to->node, err);

	if (r)
		return r;
	if (!*raw->used || strspn(raw->used, "0123456789abcdef") != strlen(raw->used))
		return wrong(err, "used", "1 to 16 hexadecimal digits");
	to->used = strtoull(raw->used, NULL, 16);
	to->next = (uint8_t)raw->next;
	for (size_t i = 0; i < raw->released.n; i++) {
		const struct raw_released *x = (const struct raw_released *)raw->released.items + i;

		to->released[x->n] = x->at;
	}
	return 0;
}

static const struct {
	const struct fl_field *fields;
	int (*take)(const struct raw *raw, struct fl_rec *rec, struct fl_error *err);
} kinds[FL_REC_KINDS] = {
	[FL_REC_NET] = { net_fields, take_net },
	[FL_REC_VNI] = { owner_fields, take_owner },
	[FL_REC_NETNAME] = { owner_fields, take_owner },
	[FL_REC_NODE] = { node_fields, take_node },
	[FL_REC_ALIVE] = { alive_fields, take_alive },
	[FL_REC_JOIN] = { join_fields, take_join },
	[FL_REC_EP] = { ep_fields, take_ep },
	[FL_REC_IP] = { ip_fields, take_ip },
	[FL_REC_BLK] = { blk_fields, take_blk },
};

static int parse(const char *text, size_t len, json_t **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *doc = NULL;
	json_error_t where;

	if (len > FL_REC_VALUE_MAX)
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
				    "expected at most %d bytes, not %zu", FL_REC_VALUE_MAX, len);
	doc = json_loadb(text, len, 0, &where);
	if (!json_is_object(doc))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "expected a JSON object");
	if (json_integer_value(json_object_get(doc, "v")) != 1)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "v: expected 1; other versions need another fairlead");
	*ret = fl_take_ptr(doc);
	return 0;
}

/* An error may quote what a stranger wrote. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

int fl_rec_decode(enum fl_rec_kind kind, const char *text, size_t len, struct fl_rec *ret,
		  struct fl_error *err)
{
	struct raw raw = { .name = "",
			   .net = "",
			   .node = "",
			   .id = "",
			   .boot_id = "",
			   .key = "",
			   .used = "",
			   .container = "",
			   .ifname = "" };
	FL_AUTOFREE struct fl_rec *rec = calloc(1, sizeof(*rec));
	FL_AUTOJSON json_t *doc = NULL;
	int r;

	if (!rec)
		return fl_error_oom(err);
	rec->kind = kind;
	r = parse(text, len, &doc, err);
	if (!r)
		r = fl_fields_decode(doc, kinds[kind].fields, "", &raw, err);
	if (!r)
		r = kinds[kind].take(&raw, rec, err);
	fl_fields_clear(kinds[kind].fields, &raw);
	if (!r)
		*ret = *rec;
	else if (err)
		make_printable(err->text);
	return r;
}
