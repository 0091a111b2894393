/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The IPAM `dhcp`: leases of a server, which fairlead-dhcpd gets and renews (dhcp/options.h). */
#include "plugin/internal.h"

#include "base/fields.h"
#include "dhcp/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT 10 /* seconds that a server may take */
#define SPARE_MS 5000

struct dhcp_conf {
	const char *socket;
	json_t *request, *provide;
	int64_t priority, timeout;
	bool broadcast, ipv4, ipv6;
};

static const struct fl_field fields[] = {
	FL_F("daemonSocketPath", STRING, struct dhcp_conf, socket, .max = 107),
	FL_F("request", JSON, struct dhcp_conf, request),
	FL_F("provide", JSON, struct dhcp_conf, provide),
	FL_F("priority", INT, struct dhcp_conf, priority, 0, UINT32_MAX),
	FL_F("timeout", INT, struct dhcp_conf, timeout, 1, 600),
	FL_F("broadcast", BOOL, struct dhcp_conf, broadcast),
	FL_F("ipv4", BOOL, struct dhcp_conf, ipv4),
	FL_F("ipv6", BOOL, struct dhcp_conf, ipv6),
	{ 0 },
};

static int read_conf(const struct fl_call *c, struct dhcp_conf *ret, struct fl_error *err)
{
	*ret = (struct dhcp_conf){ .timeout = TIMEOUT, .ipv4 = true };
	return fl_fields_decode(fl_json_get(c->req.config, "ipam"), fields, "ipam", ret, err);
}

static int want_list(const json_t *v, const char *key, struct fl_error *err)
{
	if (!v || json_is_array(v))
		return 0;
	return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
			    "ipam.%s: expected a list of objects, not %s", key, fl_json_kind(v));
}

/* What is in the lists is the daemon's to judge: it knows the options. */
int fl_dhcp_validate(const struct fl_call *c, struct fl_error *err)
{
	struct dhcp_conf conf;
	int r = read_conf(c, &conf, err);

	if (!r)
		r = want_list(conf.request, "request", err);
	if (!r)
		r = want_list(conf.provide, "provide", err);
	if (!r && !conf.ipv4 && !conf.ipv6)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "ipam.ipv4: is false, and ipam.ipv6 is not true: nothing is "
				    "left to be leased");
	return r;
}

/* [[container, ifname], ...] from the specification's list of objects. */
static json_t *valid_pairs(const struct fl_call *c)
{
	const json_t *list = json_object_get(c->req.config, "cni.dev/valid-attachments");
	json_t *pairs = json_array();

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);

		json_array_append_new(pairs, json_pack("[O,O]", fl_json_get(item, "containerID"),
						       fl_json_get(item, "ifname")));
	}
	return pairs;
}

static void put_string(json_t *obj, const char *key, const char *value)
{
	if (*value)
		json_object_set_new(obj, key, json_string(value));
}

static json_t *build(const struct fl_call *c, const struct dhcp_conf *conf, const char *verb)
{
	json_t *q = json_object();

	put_string(q, "command", verb);
	put_string(q, "network", c->req.network);
	if (!strcmp(verb, "GC"))
		json_object_set_new(q, "valid", valid_pairs(c));
	if (!strcmp(verb, "GC") || !strcmp(verb, "STATUS"))
		return q;
	put_string(q, "container", c->req.container);
	put_string(q, "ifname", c->req.ifname);
	put_string(q, "netns", c->req.netns);
	if (strcmp(verb, "ADD"))
		return q;
	put_string(q, "hostname", c->ep.name);
	put_string(q, "args", c->req.args);
	if (conf->ipv6)
		json_object_set_new(q, "families",
				    conf->ipv4 ? json_pack("[ii]", 4, 6) : json_pack("[i]", 6));
	json_object_set(q, "request", conf->request);
	json_object_set(q, "provide", conf->provide);
	json_object_set_new(q, "priority", json_integer(conf->priority));
	json_object_set_new(q, "timeout", json_integer(conf->timeout));
	json_object_set_new(q, "broadcast", json_boolean(conf->broadcast));
	return q;
}

int fl_dhcp_verb(struct fl_call *c, const char *verb, json_t **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *request = NULL, *answer = NULL;
	struct dhcp_conf conf = { .timeout = TIMEOUT };
	struct fl_error quiet = { 0 };
	int r = 0;

	/* But for ADD only the socket counts, so that a DEL with other mistakes gets through. */
	if (!strcmp(verb, "ADD"))
		r = read_conf(c, &conf, err);
	else
		conf.socket = json_string_value(
			fl_json_get(fl_json_get(c->req.config, "ipam"), "daemonSocketPath"));
	if (r)
		return r;
	request = build(c, &conf, verb);
	r = fl_dhcp_call(conf.socket && *conf.socket ? conf.socket : NULL, request,
			 (int)conf.timeout * 1000 + SPARE_MS, &answer, &quiet);
	if (!r && ret)
		*ret = fl_take_ptr(answer);
	if (r && quiet.code == FL_ECODE_NOT_AVAILABLE &&
	    (!strcmp(verb, "DEL") || !strcmp(verb, "GC"))) {
		/* A daemon that comes back gives up by itself what has lost its namespace. */
		fprintf(stderr, "note: %s\n", quiet.text);
		return 0;
	}
	if (r && err)
		*err = quiet;
	return r;
}

struct lease {
	struct fl_prefix address;
	struct fl_addr gateway;
};

static const struct fl_field lease_fields[] = {
	FL_F("address", PREFIX, struct lease, address),
	FL_F("gateway", ADDR, struct lease, gateway),
	{ 0 },
};

struct leases {
	struct lease ip4, ip6;
};

static const struct fl_field answer_fields[] = {
	{ "ip4", FL_FIELD_OBJECT, offsetof(struct leases, ip4), .sub = lease_fields },
	{ "ip6", FL_FIELD_OBJECT, offsetof(struct leases, ip6), .sub = lease_fields },
	{ 0 },
};

static int take_lease(struct fl_result *to, const struct lease *l, bool wanted, const char *key,
		      struct fl_error *err)
{
	if (!wanted)
		return 0;
	if (!fl_addr_is_set(&l->address.addr))
		return fl_error_set(err, EBADMSG, FL_ECODE_DECODE, "%s.address: found none", key);
	to->ips[to->n_ips++] = (struct fl_result_ip){ l->address, l->gateway, -1 };
	return 0;
}

static int take_answer(struct fl_call *c, const struct dhcp_conf *conf, const json_t *answer,
		       struct fl_error *err)
{
	struct fl_result *to = &c->ipam_result;
	const json_t *routes = fl_json_get(answer, "routes"), *dns = fl_json_get(answer, "dns");
	struct leases got = { 0 };
	int r = fl_fields_decode(answer, answer_fields, "", &got, err);

	if (!r)
		r = take_lease(to, &got.ip4, conf->ipv4, "ip4", err);
	if (!r)
		r = take_lease(to, &got.ip6, conf->ipv6, "ip6", err);
	if (!r && routes)
		r = fl_routes_parse(routes, "routes", &to->routes, &to->n_routes, err);
	if (!r && dns)
		r = fl_dns_parse(dns, "dns", &to->dns, err);
	return r ? fl_error_prefix(err, "answer of fairlead-dhcpd") : 0;
}

int fl_dhcp_acquire(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOJSON json_t *answer = NULL;
	struct dhcp_conf conf;
	int r = read_conf(c, &conf, err);

	if (!r)
		r = fl_dhcp_verb(c, "ADD", &answer, err);
	return r ? r : take_answer(c, &conf, answer, err);
}
