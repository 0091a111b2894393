/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipam/ipam.h"

#include "base/fields.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct raw_address {
	struct fl_prefix address;
	struct fl_addr gateway;
};

struct raw_static {
	struct fl_list addresses;
	json_t *routes, *dns;
};

static const struct fl_field address_fields[] = {
	FL_F("address", PREFIX, struct raw_address, address),
	FL_F("gateway", ADDR, struct raw_address, gateway),
	{ 0 },
};

static const struct fl_field static_fields[] = {
	FL_F("addresses", LIST, struct raw_static, addresses, .max = FL_ENDPOINT_ADDRS,
	     .sub = address_fields, .size = sizeof(struct raw_address)),
	FL_F("routes", JSON, struct raw_static, routes),
	FL_F("dns", JSON_OBJECT, struct raw_static, dns),
	{ 0 },
};

static int add(struct fl_static_conf *c, const struct fl_prefix *p, const struct fl_addr *gateway,
	       const char *path, struct fl_error *err)
{
	if (c->n_addrs == FL_ENDPOINT_ADDRS)
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
				    "%s: expected at most %d addresses", path, FL_ENDPOINT_ADDRS);
	if (fl_addr_is_set(gateway) && gateway->family != p->addr.family)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: the gateway %s is of another family than %s", path,
				    fl_addr_str(gateway, FL_ADDR_BUF),
				    fl_prefix_str(p, FL_PREFIX_BUF));
	c->addrs[c->n_addrs++] = (struct fl_ipam_address){ *p, *gateway };
	return 0;
}

static int add_text(struct fl_static_conf *c, const char *text, const char *path,
		    enum fl_ecode code, struct fl_error *err)
{
	static const struct fl_addr none;
	struct fl_prefix p;

	if (fl_prefix_parse(text, &p))
		return fl_error_set(err, EINVAL, code,
				    "%s: expected an address with its prefix such as "
				    "\"10.1.0.2/16\", not \"%.64s\"",
				    path, text);
	return add(c, &p, &none, path, err);
}

static int read_addresses(struct fl_static_conf *c, const struct raw_static *raw,
			  struct fl_error *err)
{
	const struct raw_address *a = raw->addresses.items;
	char path[64];
	int r = 0;

	for (size_t i = 0; i < raw->addresses.n && !r; i++) {
		snprintf(path, sizeof(path), "ipam.addresses[%zu]", i);
		if (!fl_addr_is_set(&a[i].address.addr))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s.address: expected an address with its prefix, "
					    "found none",
					    path);
		r = add(c, &a[i].address, &a[i].gateway, path, err);
	}
	return r;
}

/* ---- CNI_ARGS ---- */

typedef int (*each_text)(struct fl_static_conf *c, const char *text, struct fl_error *err);

static int each(struct fl_static_conf *c, const char *list, each_text fn, struct fl_error *err)
{
	FL_AUTOFREE char *copy = list ? strdup(list) : NULL;
	char *text, *next = copy;
	int r = 0;

	if (list && !copy)
		return fl_error_oom(err);
	while (!r && (text = strsep(&next, ","))) {
		text += strspn(text, " ");
		text[strcspn(text, " ")] = '\0';
		r = *text ? fn(c, text, err) : 0;
	}
	return r;
}

static int add_arg(struct fl_static_conf *c, const char *text, struct fl_error *err)
{
	return add_text(c, text, "CNI_ARGS: IP", FL_ECODE_ENV, err);
}

/* A gateway goes to each address whose subnet has it. */
static int add_gateway(struct fl_static_conf *c, const char *text, struct fl_error *err)
{
	struct fl_addr gateway;

	if (fl_addr_parse(text, &gateway))
		return fl_error_set(err, EINVAL, FL_ECODE_ENV,
				    "CNI_ARGS: GATEWAY: expected an IP address, not \"%.64s\"",
				    text);
	for (size_t i = 0; i < c->n_addrs; i++)
		if (fl_prefix_contains(&c->addrs[i].addr, &gateway))
			c->addrs[i].gateway = gateway;
	return 0;
}

/* ---- args.cni.ips and runtimeConfig.ips: each replaces what is there ---- */

static int replace(struct fl_static_conf *c, const json_t *list, const char *path,
		   struct fl_error *err)
{
	char item_path[64];
	int r = 0;

	if (!list)
		return 0;
	if (!json_is_array(list))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "%s: expected a list of addresses, not %s", path,
				    fl_json_kind(list));
	if (json_array_size(list))
		c->n_addrs = 0;
	for (size_t i = 0; i < json_array_size(list) && !r; i++) {
		const json_t *item = json_array_get(list, i);

		snprintf(item_path, sizeof(item_path), "%s[%zu]", path, i);
		if (!json_is_string(item))
			return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
					    "%s: expected an address, not %s", item_path,
					    fl_json_kind(item));
		r = add_text(c, json_string_value(item), item_path, FL_ECODE_CONFIG, err);
	}
	return r;
}

static const json_t *member(const json_t *obj, const char *key)
{
	return json_is_object(obj) ? fl_json_get(obj, key) : NULL;
}

/* Results before 0.3.0 have one address of each family. */
static int check_version(const struct fl_static_conf *c, const char *version, struct fl_error *err)
{
	unsigned n[2] = { 0, 0 };

	for (size_t i = 0; i < c->n_addrs; i++)
		n[c->addrs[i].addr.addr.family == AF_INET6]++;
	if ((n[0] <= 1 && n[1] <= 1) || strcmp(version, "0.3.0") >= 0)
		return 0;
	return fl_error_set(
		err, EINVAL, FL_ECODE_CONFIG,
		"cniVersion: %s allows one IPv4 and one IPv6 address; use 0.3.0 or later", version);
}

static int read_all(struct fl_static_conf *c, json_t *config, const struct raw_static *raw,
		    const struct fl_args_ips *args, struct fl_error *err)
{
	int r = read_addresses(c, raw, err);

	if (!r)
		r = each(c, args->ip, add_arg, err);
	if (!r)
		r = each(c, args->gateway, add_gateway, err);
	if (!r)
		r = replace(c, member(member(fl_json_get(config, "args"), "cni"), "ips"),
			    "args.cni.ips", err);
	if (!r)
		r = replace(c, member(fl_json_get(config, "runtimeConfig"), "ips"),
			    "runtimeConfig.ips", err);
	if (!r && raw->routes)
		r = fl_routes_parse(raw->routes, "ipam.routes", &c->routes, &c->n_routes, err);
	if (!r && raw->dns)
		r = fl_dns_parse(raw->dns, "ipam.dns", &c->dns, err);
	return r;
}

int fl_static_parse(json_t *config, const char *cni_version, const struct fl_args_ips *args,
		    struct fl_static_conf *ret, struct fl_error *err)
{
	struct fl_static_conf c = { 0 };
	struct raw_static raw = { 0 };
	int r = fl_fields_decode(fl_json_get(config, "ipam"), static_fields, "ipam", &raw, err);

	if (!r)
		r = read_all(&c, config, &raw, args, err);
	if (!r)
		r = check_version(&c, cni_version, err);
	fl_fields_clear(static_fields, &raw);
	if (r)
		fl_static_conf_clear(&c);
	else
		*ret = c;
	return r;
}

void fl_static_conf_clear(struct fl_static_conf *c)
{
	free(c->routes);
	fl_dns_clear(&c->dns);
	*c = (struct fl_static_conf){ 0 };
}
