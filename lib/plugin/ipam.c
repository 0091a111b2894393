/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whichever IPAM the configuration names: ours in this process, a foreign one by execution. */
#include "plugin/internal.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

int fl_call_ipam_parse(struct fl_call *c, struct fl_error *err)
{
	const json_t *ipam = fl_json_get(c->req.config, "ipam"), *type;

	if (!ipam)
		return 0;
	if (!json_is_object(ipam))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "ipam: expected an object, not %s", fl_json_kind(ipam));
	type = fl_json_get(ipam, "type");
	if (type && !json_is_string(type))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "ipam.type: expected a string, not %s", fl_json_kind(type));
	c->ipam_type = type ? json_string_value(type) : "";
	if (!*c->ipam_type && !(c->driver->flags & FL_DRIVER_IS_IPAM))
		return 0;
	if (strchr(c->ipam_type, '/') || strlen(c->ipam_type) >= FL_DRIVER_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "ipam.type: expected a name without '/', not \"%.64s\"",
				    c->ipam_type);
	if (strcmp(c->ipam_type, "host-local") && !(c->driver->flags & FL_DRIVER_IS_IPAM)) {
		c->ipam_mode = FL_IPAM_FOREIGN;
		return 0;
	}
	c->ipam_mode = FL_IPAM_OWN;
	return fl_ipam_parse(c->req.config, c->req.network, fl_version_names[c->req.version],
			     *c->req.args_ip ? c->req.args_ip : NULL, &c->ipam, err);
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

int fl_call_ipam_own(struct fl_call *c, struct fl_txn *t, const struct fl_gone *gone,
		     struct fl_error *err)
{
	struct fl_ipam_result got = { 0 };
	int r = fl_ipam_allocate(t, &c->ipam, &c->ep.id, gone, &got, err);

	if (r)
		return r;
	fl_result_clear(&c->ipam_result);
	for (size_t i = 0; i < got.n_addrs; i++)
		c->ipam_result.ips[c->ipam_result.n_ips++] =
			(struct fl_result_ip){ got.addrs[i].addr, got.addrs[i].gateway, -1 };
	for (size_t i = 0; i < c->ipam.n_routes; i++)
		if (fl_result_add_route(&c->ipam_result, &c->ipam.routes[i]))
			return fl_error_oom(err);
	if (fl_dns_copy(&c->ipam_result.dns, &c->ipam.dns))
		return fl_error_oom(err);
	fl_strcpy(c->ep.pool, sizeof(c->ep.pool), c->ipam.pool);
	return take_addresses(c, err);
}

int fl_call_ipam_foreign(struct fl_call *c, struct fl_error *err)
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
