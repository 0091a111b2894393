/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin/result.h"

#include "base/fields.h"
#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *const fl_version_names[FL_VERSIONS + 1] = {
	[FL_V010] = "0.1.0", [FL_V020] = "0.2.0", [FL_V030] = "0.3.0", [FL_V031] = "0.3.1",
	[FL_V040] = "0.4.0", [FL_V100] = "1.0.0", [FL_V110] = "1.1.0",
};

void fl_result_clear(struct fl_result *r)
{
	for (size_t i = 0; i < r->n_interfaces; i++) {
		free(r->interfaces[i].sandbox);
		free(r->interfaces[i].socket_path);
		free(r->interfaces[i].pci_id);
	}
	free(r->routes);
	fl_dns_clear(&r->dns);
	json_decref(r->extra);
	r->extra = NULL;
	r->routes = NULL;
	r->n_routes = r->n_interfaces = r->n_ips = 0;
}

static char *copy_or_null(const char *s)
{
	return s && *s ? strdup(s) : NULL;
}

int fl_result_add_interface(struct fl_result *r, const char *name, const struct fl_mac *mac,
			    const char *sandbox, uint32_t mtu)
{
	struct fl_result_interface *i;

	if (r->n_interfaces == FL_RESULT_INTERFACES)
		return -ENOSPC;
	i = &r->interfaces[r->n_interfaces];
	*i = (struct fl_result_interface){ .mtu = mtu, .sandbox = copy_or_null(sandbox) };
	fl_strcpy(i->name, sizeof(i->name), name);
	if (mac)
		fl_mac_str(mac, i->mac);
	return (int)r->n_interfaces++;
}

int fl_result_add_route(struct fl_result *r, const struct fl_route *route)
{
	struct fl_route *grown = realloc(r->routes, (r->n_routes + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	r->routes = grown;
	r->routes[r->n_routes++] = *route;
	return 0;
}

/* ---- reading ---- */

struct raw_interface {
	const char *name, *mac, *sandbox, *socket_path, *pci_id;
	int64_t mtu;
};

static const struct fl_field interface_fields[] = {
	FL_F("name", STRING, struct raw_interface, name, .max = 127),
	FL_F("mac", STRING, struct raw_interface, mac, .max = 63),
	FL_F("sandbox", STRING, struct raw_interface, sandbox),
	FL_F("mtu", INT, struct raw_interface, mtu, 0, UINT32_MAX),
	FL_F("socketPath", STRING, struct raw_interface, socket_path),
	FL_F("pciID", STRING, struct raw_interface, pci_id),
	{ 0 },
};

struct raw_ip {
	struct fl_prefix address;
	struct fl_addr gateway;
	int64_t interface;
	json_t *interface_given;
};

static const struct fl_field ip_fields[] = {
	FL_F("address", PREFIX, struct raw_ip, address),
	FL_F("gateway", ADDR, struct raw_ip, gateway),
	FL_F("interface", INT, struct raw_ip, interface, 0, FL_RESULT_INTERFACES - 1),
	FL_F("interface", JSON, struct raw_ip, interface_given),
	{ 0 },
};

struct raw_list {
	struct fl_list interfaces, ips, routes;
	json_t *routes_json, *dns;
};

static const struct fl_field result_fields[] = {
	FL_F("interfaces", LIST, struct raw_list, interfaces, .max = FL_RESULT_INTERFACES,
	     .sub = interface_fields, .size = sizeof(struct raw_interface)),
	FL_F("ips", LIST, struct raw_list, ips, .max = FL_RESULT_IPS, .sub = ip_fields,
	     .size = sizeof(struct raw_ip)),
	FL_F("routes", JSON, struct raw_list, routes_json),
	FL_F("dns", JSON_OBJECT, struct raw_list, dns),
	{ 0 },
};

static int sub_path(char *buf, size_t size, const char *path, const char *key)
{
	return snprintf(buf, size, "%s%s%s", path, *path ? "." : "", key);
}

static int parse_tail(const struct raw_list *raw, const char *path, struct fl_result *ret,
		      struct fl_error *err)
{
	char full[128];
	int r = 0;

	if (raw->routes_json) {
		sub_path(full, sizeof(full), path, "routes");
		r = fl_routes_parse(raw->routes_json, full, &ret->routes, &ret->n_routes, err);
	}
	if (!r && raw->dns) {
		sub_path(full, sizeof(full), path, "dns");
		r = fl_dns_parse(raw->dns, full, &ret->dns, err);
	}
	return r;
}

static int parse_new(const json_t *json, const char *path, struct fl_result *ret,
		     struct fl_error *err)
{
	struct raw_list raw = { 0 };
	int r = fl_fields_decode(json, result_fields, path, &raw, err);

	for (size_t i = 0; !r && i < raw.interfaces.n; i++) {
		const struct raw_interface *in = (struct raw_interface *)raw.interfaces.items + i;
		struct fl_result_interface *to = &ret->interfaces[ret->n_interfaces++];

		*to = (struct fl_result_interface){ .mtu = (uint32_t)in->mtu,
						    .sandbox = copy_or_null(in->sandbox),
						    .socket_path = copy_or_null(in->socket_path),
						    .pci_id = copy_or_null(in->pci_id) };
		fl_strcpy(to->name, sizeof(to->name), in->name ? in->name : "");
		fl_strcpy(to->mac, sizeof(to->mac), in->mac ? in->mac : "");
	}
	for (size_t i = 0; !r && i < raw.ips.n; i++) {
		const struct raw_ip *in = (struct raw_ip *)raw.ips.items + i;

		if (!fl_addr_is_set(&in->address.addr)) {
			r = fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					 "%s%sips[%zu].address: expected a prefix such as "
					 "\"10.1.0.2/16\", found none",
					 path, *path ? "." : "", i);
			break;
		}
		if (in->interface_given && (size_t)in->interface >= raw.interfaces.n) {
			r = fl_error_set(
				err, EINVAL, FL_ECODE_CONFIG,
				"%s%sips[%zu].interface: expected an index below %zu, not %lld",
				path, *path ? "." : "", i, raw.interfaces.n,
				(long long)in->interface);
			break;
		}
		ret->ips[ret->n_ips++] =
			(struct fl_result_ip){ in->address, in->gateway,
					       in->interface_given ? (int)in->interface : -1 };
	}
	if (!r)
		r = parse_tail(&raw, path, ret, err);
	fl_fields_clear(result_fields, &raw);
	return r;
}

struct raw_old {
	struct fl_prefix ip;
	struct fl_addr gateway;
	json_t *routes;
};

static const struct fl_field old_fields[] = {
	FL_F("ip", PREFIX, struct raw_old, ip),
	FL_F("gateway", ADDR, struct raw_old, gateway),
	FL_F("routes", JSON, struct raw_old, routes),
	{ 0 },
};

static int parse_old_family(const json_t *obj, const char *path, struct fl_result *ret,
			    struct fl_error *err)
{
	struct fl_route *routes = NULL;
	struct raw_old raw = { 0 };
	char full[160];
	size_t n = 0;
	int r;

	if (!obj)
		return 0;
	if (!json_is_object(obj))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected an object, not %s",
				    path, fl_json_kind(obj));
	r = fl_fields_decode(obj, old_fields, path, &raw, err);
	if (r || !fl_addr_is_set(&raw.ip.addr))
		return r;
	ret->ips[ret->n_ips++] = (struct fl_result_ip){ raw.ip, raw.gateway, -1 };
	if (!raw.routes)
		return 0;
	sub_path(full, sizeof(full), path, "routes");
	r = fl_routes_parse(raw.routes, full, &routes, &n, err);
	for (size_t i = 0; !r && i < n; i++)
		if (fl_result_add_route(ret, &routes[i]))
			r = fl_error_oom(err);
	free(routes);
	return r;
}

static int parse_old(const json_t *json, const char *path, struct fl_result *ret,
		     struct fl_error *err)
{
	const json_t *dns = fl_json_get(json, "dns");
	char full[128];
	int r;

	sub_path(full, sizeof(full), path, "ip4");
	r = parse_old_family(fl_json_get(json, "ip4"), full, ret, err);
	sub_path(full, sizeof(full), path, "ip6");
	if (!r)
		r = parse_old_family(fl_json_get(json, "ip6"), full, ret, err);
	sub_path(full, sizeof(full), path, "dns");
	if (!r && dns)
		r = fl_dns_parse(dns, full, &ret->dns, err);
	return r;
}

int fl_result_parse(const json_t *json, enum fl_version version, const char *path,
		    struct fl_result *ret, struct fl_error *err)
{
	if (!json_is_object(json))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected an object, not %s",
				    path, fl_json_kind(json));
	return version < FL_V030 ? parse_old(json, path, ret, err)
				 : parse_new(json, path, ret, err);
}

/* ---- writing ---- */

static json_t *addr_json(const struct fl_addr *a)
{
	return json_string(fl_addr_str(a, FL_ADDR_BUF));
}

static void put_strings(json_t *obj, const char *key, char **list)
{
	json_t *array;

	if (!list || !list[0])
		return;
	array = json_array();
	for (; *list; list++)
		json_array_append_new(array, json_string(*list));
	json_object_set_new(obj, key, array);
}

static json_t *dns_json(const struct fl_dns *d)
{
	json_t *obj = json_object();

	put_strings(obj, "nameservers", d->nameservers);
	if (d->domain && *d->domain)
		json_object_set_new(obj, "domain", json_string(d->domain));
	put_strings(obj, "search", d->search);
	put_strings(obj, "options", d->options);
	return obj;
}

static json_t *route_json(const struct fl_route *r, enum fl_version v)
{
	json_t *obj = json_object();

	json_object_set_new(obj, "dst", json_string(fl_prefix_str(&r->dst, FL_PREFIX_BUF)));
	if (fl_addr_is_set(&r->gw))
		json_object_set_new(obj, "gw", addr_json(&r->gw));
	if (v < FL_V030)
		return obj;
	if (r->mtu)
		json_object_set_new(obj, "mtu", json_integer(r->mtu));
	if (r->advmss)
		json_object_set_new(obj, "advmss", json_integer(r->advmss));
	if (r->priority)
		json_object_set_new(obj, "priority", json_integer(r->priority));
	if (r->table)
		json_object_set_new(obj, "table", json_integer(r->table));
	if (r->scope >= 0)
		json_object_set_new(obj, "scope", json_integer(r->scope));
	return obj;
}

static json_t *old_family(const struct fl_result *r, int family)
{
	json_t *obj, *routes = json_array();
	const struct fl_result_ip *ip = NULL;

	for (size_t i = 0; i < r->n_ips && !ip; i++)
		if (r->ips[i].address.addr.family == family)
			ip = &r->ips[i];
	for (size_t i = 0; i < r->n_routes; i++)
		if (r->routes[i].dst.addr.family == family)
			json_array_append_new(routes, route_json(&r->routes[i], FL_V020));
	if (!ip) {
		json_decref(routes);
		return NULL;
	}
	obj = json_object();
	json_object_set_new(obj, "ip", json_string(fl_prefix_str(&ip->address, FL_PREFIX_BUF)));
	if (fl_addr_is_set(&ip->gateway))
		json_object_set_new(obj, "gateway", addr_json(&ip->gateway));
	if (json_array_size(routes))
		json_object_set(obj, "routes", routes);
	json_decref(routes);
	return obj;
}

static void old_json(const struct fl_result *r, json_t *obj)
{
	json_t *v4 = old_family(r, AF_INET), *v6 = old_family(r, AF_INET6);

	if (v4)
		json_object_set_new(obj, "ip4", v4);
	if (v6)
		json_object_set_new(obj, "ip6", v6);
	json_object_set_new(obj, "dns", dns_json(&r->dns));
}

static json_t *interface_json(const struct fl_result_interface *i, enum fl_version v)
{
	json_t *obj = json_object();

	json_object_set_new(obj, "name", json_string(i->name));
	if (i->mac[0])
		json_object_set_new(obj, "mac", json_string(i->mac));
	if (i->sandbox)
		json_object_set_new(obj, "sandbox", json_string(i->sandbox));
	if (v < FL_V100)
		return obj;
	if (i->mtu)
		json_object_set_new(obj, "mtu", json_integer(i->mtu));
	if (i->socket_path)
		json_object_set_new(obj, "socketPath", json_string(i->socket_path));
	if (i->pci_id)
		json_object_set_new(obj, "pciID", json_string(i->pci_id));
	return obj;
}

static json_t *ip_json(const struct fl_result_ip *ip, enum fl_version v)
{
	json_t *obj = json_object();

	if (v < FL_V100)
		json_object_set_new(obj, "version",
				    json_string(ip->address.addr.family == AF_INET ? "4" : "6"));
	if (ip->interface >= 0)
		json_object_set_new(obj, "interface", json_integer(ip->interface));
	json_object_set_new(obj, "address",
			    json_string(fl_prefix_str(&ip->address, FL_PREFIX_BUF)));
	if (fl_addr_is_set(&ip->gateway))
		json_object_set_new(obj, "gateway", addr_json(&ip->gateway));
	return obj;
}

static void new_json(const struct fl_result *r, enum fl_version v, json_t *obj)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_interfaces; i++)
		json_array_append_new(list, interface_json(&r->interfaces[i], v));
	if (r->n_interfaces)
		json_object_set(obj, "interfaces", list);
	json_decref(list);
	list = json_array();
	for (size_t i = 0; i < r->n_ips; i++)
		json_array_append_new(list, ip_json(&r->ips[i], v));
	if (r->n_ips)
		json_object_set(obj, "ips", list);
	json_decref(list);
	list = json_array();
	for (size_t i = 0; i < r->n_routes; i++)
		json_array_append_new(list, route_json(&r->routes[i], v));
	if (r->n_routes)
		json_object_set(obj, "routes", list);
	json_decref(list);
	if (!fl_dns_empty(&r->dns))
		json_object_set_new(obj, "dns", dns_json(&r->dns));
	if (r->extra)
		json_object_update(obj, r->extra);
}

int fl_result_json(const struct fl_result *r, enum fl_version version, json_t **ret,
		   struct fl_error *err)
{
	FL_AUTOJSON json_t *obj = json_object();

	if (!obj)
		return fl_error_oom(err);
	json_object_set_new(obj, "cniVersion", json_string(fl_version_names[version]));
	if (version < FL_V030)
		old_json(r, obj);
	else
		new_json(r, version, obj);
	*ret = fl_take_ptr(obj);
	return 0;
}
