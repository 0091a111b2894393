/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whichever IPAM the configuration names: ours in this process, a foreign one by execution. */
#include "plugin/internal.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *type;
	enum fl_ipam_mode mode;
} own_types[] = {
	{ "host-local", FL_IPAM_OWN },
	{ "static", FL_IPAM_STATIC },
	{ "dhcp", FL_IPAM_DHCP },
};

static enum fl_ipam_mode mode_of(const char *type)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(own_types); i++)
		if (!strcmp(own_types[i].type, type))
			return own_types[i].mode;
	return FL_IPAM_FOREIGN;
}

bool fl_call_ipam_is_late(const struct fl_call *c)
{
	return c->ipam_mode == FL_IPAM_FOREIGN || c->ipam_mode == FL_IPAM_DHCP ||
	       c->ipam_mode == FL_IPAM_DRIVER;
}

static int find_type(struct fl_call *c, const json_t *ipam, struct fl_error *err)
{
	const json_t *type = fl_json_get(ipam, "type");

	if (type && !json_is_string(type))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "ipam.type: expected a string, not %s", fl_json_kind(type));
	c->ipam_type = type ? json_string_value(type) : "";
	/* Whoever runs an IPAM executable has chosen it. */
	if (c->driver->flags & FL_DRIVER_IS_IPAM)
		c->ipam_type = c->driver->type;
	if (strchr(c->ipam_type, '/') || strlen(c->ipam_type) >= FL_DRIVER_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "ipam.type: expected a name without '/', not \"%.64s\"",
				    c->ipam_type);
	return 0;
}

int fl_call_ipam_parse(struct fl_call *c, struct fl_error *err)
{
	const json_t *ipam = fl_json_get(c->req.config, "ipam");
	const char *version = fl_version_names[c->req.version];
	const struct fl_args_ips asked = { *c->req.args_ip ? c->req.args_ip : NULL,
					   *c->req.args_gateway ? c->req.args_gateway : NULL };
	int r;

	if (!ipam && !(c->driver->flags & FL_DRIVER_IS_IPAM))
		return 0;
	if (!ipam)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "ipam: missing");
	if (!json_is_object(ipam))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "ipam: expected an object, not %s", fl_json_kind(ipam));
	r = find_type(c, ipam, err);
	if (r || !*c->ipam_type)
		return r;
	c->ipam_mode = mode_of(c->ipam_type);
	if (c->ipam_mode == FL_IPAM_OWN)
		return fl_ipam_parse(c->req.config, c->req.network, version, asked.ip, &c->ipam,
				     err);
	if (c->ipam_mode == FL_IPAM_STATIC)
		return fl_static_parse(c->req.config, version, &asked, &c->fixed, err);
	return c->ipam_mode == FL_IPAM_DHCP ? fl_dhcp_validate(c, err) : 0;
}

void fl_call_ipam_of_broken(struct fl_call *c)
{
	const json_t *ipam = fl_json_get(c->req.config, "ipam");
	unsigned flags = c->driver->flags;

	fl_ipam_conf_clear(&c->ipam);
	c->ipam_mode = FL_IPAM_NONE;
	if (flags & FL_DRIVER_IS_IPAM)
		c->ipam_type = c->driver->type;
	else if (!(flags & FL_DRIVER_IPAM) || !json_is_object(ipam) || find_type(c, ipam, NULL))
		return;
	if (c->ipam_type && *c->ipam_type)
		c->ipam_mode = mode_of(c->ipam_type);
	if (c->ipam_mode == FL_IPAM_OWN)
		fl_ipam_use_pool(&c->ipam, c->req.network,
				 json_is_object(ipam)
					 ? json_string_value(fl_json_get(ipam, "dataDir"))
					 : NULL);
}

static int take_addresses(struct fl_call *c, struct fl_error *err)
{
	const struct fl_result *r = &c->ipam_result;

	if (r->n_ips > FL_ENDPOINT_ADDRS)
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
				    "IPAM plugin %s gave %zu addresses; at most %d are supported",
				    c->ipam_type, r->n_ips, FL_ENDPOINT_ADDRS);
	c->ep.n_addrs = 0;
	for (size_t i = 0; i < r->n_ips; i++)
		c->ep.addrs[c->ep.n_addrs++] = r->ips[i].address;
	return 0;
}

static int take_extras(struct fl_call *c, const struct fl_route *routes, size_t n,
		       const struct fl_dns *dns, struct fl_error *err)
{
	for (size_t i = 0; i < n; i++)
		if (fl_result_add_route(&c->ipam_result, &routes[i]))
			return fl_error_oom(err);
	if (fl_dns_copy(&c->ipam_result.dns, dns))
		return fl_error_oom(err);
	return take_addresses(c, err);
}

static int allocate(struct fl_call *c, struct fl_txn *t, const struct fl_gone *gone,
		    struct fl_error *err)
{
	struct fl_ipam_result got = { 0 };
	int r = fl_ipam_allocate(t, &c->ipam, &c->ep.id, gone, &got, err);

	if (r)
		return r;
	for (size_t i = 0; i < got.n_addrs; i++)
		c->ipam_result.ips[c->ipam_result.n_ips++] =
			(struct fl_result_ip){ got.addrs[i].addr, got.addrs[i].gateway, -1 };
	fl_strcpy(c->ep.pool, sizeof(c->ep.pool), c->ipam.pool);
	return take_extras(c, c->ipam.routes, c->ipam.n_routes, &c->ipam.dns, err);
}

int fl_call_ipam_early(struct fl_call *c, struct fl_txn *t, const struct fl_gone *gone,
		       struct fl_error *err)
{
	if (c->ipam_mode != FL_IPAM_OWN && c->ipam_mode != FL_IPAM_STATIC)
		return 0;
	fl_result_clear(&c->ipam_result);
	if (c->ipam_mode == FL_IPAM_OWN)
		return allocate(c, t, gone, err);
	for (size_t i = 0; i < c->fixed.n_addrs; i++)
		c->ipam_result.ips[c->ipam_result.n_ips++] =
			(struct fl_result_ip){ c->fixed.addrs[i].addr, c->fixed.addrs[i].gateway,
					       -1 };
	return take_extras(c, c->fixed.routes, c->fixed.n_routes, &c->fixed.dns, err);
}

static int run_foreign(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOJSON json_t *json = NULL;
	enum fl_version v = c->req.version;
	const char *text;
	int r = fl_delegate(c, c->ipam_type, "ADD", &json, err);

	if (r)
		return r;
	if (!json)
		return fl_error_set(err, EBADMSG, FL_ECODE_DECODE,
				    "IPAM plugin %s printed no result", c->ipam_type);
	text = json_is_object(json) ? json_string_value(fl_json_get(json, "cniVersion")) : NULL;
	for (int i = 0; text && i < FL_VERSIONS; i++)
		if (!strcmp(text, fl_version_names[i]))
			v = (enum fl_version)i;
	r = fl_result_parse(json, v, "", &c->ipam_result, err);
	if (r)
		return fl_error_prefix(err, "result of IPAM plugin %s", c->ipam_type);
	if (!c->ipam_result.n_ips)
		return fl_error_set(err, ENODATA, FL_ECODE_CONFIG,
				    "IPAM plugin %s returned no IP address", c->ipam_type);
	return take_addresses(c, err);
}

int fl_call_ipam_late(struct fl_call *c, struct fl_error *err)
{
	int r;

	if (c->ipam_mode == FL_IPAM_FOREIGN)
		return run_foreign(c, err);
	r = c->ipam_mode == FL_IPAM_DRIVER ? c->driver->allocate(c, err) : fl_dhcp_acquire(c, err);
	return r ? r : take_addresses(c, err);
}

int fl_call_ipam_verb(struct fl_call *c, const char *verb, struct fl_error *err)
{
	/* The driver's own steps do it. */
	if (!fl_call_ipam_is_late(c) || c->ipam_mode == FL_IPAM_DRIVER)
		return 0;
	if (c->ipam_mode == FL_IPAM_DHCP)
		return fl_dhcp_verb(c, verb, NULL, err);
	return fl_delegate(c, c->ipam_type, verb, NULL, err);
}
