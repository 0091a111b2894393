/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/netconf.h"

#include "base/fields.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void clear_strings(char **list)
{
	for (char **s = list; s && *s; s++)
		free(*s);
	free(list);
}

void fl_dns_clear(struct fl_dns *d)
{
	clear_strings(d->nameservers);
	clear_strings(d->search);
	clear_strings(d->options);
	free(d->domain);
	*d = (struct fl_dns){ 0 };
}

bool fl_dns_empty(const struct fl_dns *d)
{
	return (!d->nameservers || !d->nameservers[0]) && (!d->search || !d->search[0]) &&
	       (!d->options || !d->options[0]) && (!d->domain || !d->domain[0]);
}

static char **copy_n(const char *const *from, size_t n)
{
	char **to = calloc(n + 1, sizeof(*to));

	for (size_t i = 0; to && i < n; i++) {
		to[i] = strdup(from[i]);
		if (!to[i]) {
			clear_strings(to);
			return NULL;
		}
	}
	return to;
}

static int copy_list(char ***dst, char **src)
{
	size_t n = 0;

	while (src && src[n])
		n++;
	*dst = n ? copy_n((const char *const *)src, n) : NULL;
	return n && !*dst ? -ENOMEM : 0;
}

int fl_dns_copy(struct fl_dns *dst, const struct fl_dns *src)
{
	struct fl_dns d = { 0 };

	if (copy_list(&d.nameservers, src->nameservers) || copy_list(&d.search, src->search) ||
	    copy_list(&d.options, src->options) ||
	    (src->domain && !(d.domain = strdup(src->domain)))) {
		fl_dns_clear(&d);
		return -ENOMEM;
	}
	fl_dns_clear(dst);
	*dst = d;
	return 0;
}

struct raw_dns {
	struct fl_list nameservers, search, options;
	const char *domain;
};

static const struct fl_field dns_fields[] = {
	FL_F("nameservers", STRINGS, struct raw_dns, nameservers, .max = 64),
	FL_F("search", STRINGS, struct raw_dns, search, .max = 64),
	FL_F("options", STRINGS, struct raw_dns, options, .max = 64),
	FL_F("domain", STRING, struct raw_dns, domain, .max = 255),
	{ 0 },
};

int fl_dns_parse(const json_t *json, const char *path, struct fl_dns *ret, struct fl_error *err)
{
	struct raw_dns raw = { 0 };
	struct fl_dns d = { 0 };
	int r;

	if (!json_is_object(json))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected an object, not %s",
				    path, fl_json_kind(json));
	r = fl_fields_decode(json, dns_fields, path, &raw, err);
	if (!r) {
		d.nameservers =
			raw.nameservers.n ? copy_n(raw.nameservers.items, raw.nameservers.n) : NULL;
		d.search = raw.search.n ? copy_n(raw.search.items, raw.search.n) : NULL;
		d.options = raw.options.n ? copy_n(raw.options.items, raw.options.n) : NULL;
		d.domain = raw.domain ? strdup(raw.domain) : NULL;
		fl_dns_clear(ret);
		*ret = d;
	}
	fl_fields_clear(dns_fields, &raw);
	return r;
}

struct raw_route {
	struct fl_prefix dst;
	struct fl_addr gw;
	int64_t mtu, advmss, priority, table, scope;
};

static const struct fl_field route_fields[] = {
	FL_F("dst", PREFIX, struct raw_route, dst),
	FL_F("gw", ADDR, struct raw_route, gw),
	FL_F("mtu", INT, struct raw_route, mtu, 0, UINT32_MAX),
	FL_F("advmss", INT, struct raw_route, advmss, 0, UINT32_MAX),
	FL_F("priority", INT, struct raw_route, priority, 0, UINT32_MAX),
	FL_F("table", INT, struct raw_route, table, 0, UINT32_MAX),
	FL_F("scope", INT, struct raw_route, scope, 0, 255),
	{ 0 },
};

static int parse_route(const json_t *json, const char *path, struct fl_route *ret,
		       struct fl_error *err)
{
	struct raw_route raw = { .scope = -1 };
	int r;

	if (!json_is_object(json))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected an object, not %s",
				    path, fl_json_kind(json));
	r = fl_fields_decode(json, route_fields, path, &raw, err);
	if (r)
		return r;
	if (!fl_addr_is_set(&raw.dst.addr))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s.dst: expected a prefix such as \"0.0.0.0/0\"", path);
	if (fl_addr_is_set(&raw.gw) && raw.gw.family != raw.dst.addr.family)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s.gw: %s is of another family than dst", path,
				    fl_addr_str(&raw.gw, FL_ADDR_BUF));
	*ret = (struct fl_route){ fl_prefix_masked(&raw.dst),
				  raw.gw,
				  (uint32_t)raw.mtu,
				  (uint32_t)raw.advmss,
				  (uint32_t)raw.priority,
				  (uint32_t)raw.table,
				  (int)raw.scope };
	return 0;
}

int fl_routes_parse(const json_t *list, const char *path, struct fl_route **ret, size_t *ret_n,
		    struct fl_error *err)
{
	size_t n = json_array_size(list);
	FL_AUTOFREE struct fl_route *routes = NULL;
	char full[256];
	int r = 0;

	if (!json_is_array(list))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "%s: expected a list of objects, not %s", path,
				    fl_json_kind(list));
	if (n > FL_ROUTES_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: expected at most %d routes, not %zu", path, FL_ROUTES_MAX,
				    n);
	routes = calloc(n + 1, sizeof(*routes));
	if (!routes)
		return fl_error_oom(err);
	for (size_t i = 0; i < n && !r; i++) {
		snprintf(full, sizeof(full), "%s[%zu]", path, i);
		r = parse_route(json_array_get(list, i), full, &routes[i], err);
	}
	if (!r) {
		*ret = fl_take_ptr(routes);
		*ret_n = n;
	}
	return r;
}
