/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runtimeConfig's `aliases` and `dns` (CNI CONVENTIONS.md, "Dynamic Plugin specific fields"). */
#include "plugin/internal.h"

#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALIAS_MAX 253 /* of a name: RFC 1035 section 2.3.4 */

/* podman passes a map from network to list; everybody else the list. */
static const json_t *alias_list(const struct fl_call *c, const json_t *v, const char **path)
{
	*path = "runtimeConfig.aliases";
	if (!json_is_object(v))
		return v;
	*path = "runtimeConfig.aliases.NETWORK";
	return json_object_get(v, c->req.network);
}

static int check_alias(const json_t *v, const char *path, size_t i, struct fl_error *err)
{
	if (!json_is_string(v))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "%s[%zu]: expected a string, not %s", path, i, fl_json_kind(v));
	if (!json_string_length(v) || json_string_length(v) > ALIAS_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s[%zu]: expected a name of 1 to %d bytes", path, i,
				    ALIAS_MAX);
	return 0;
}

static int parse_aliases(struct fl_call *c, const json_t *v, struct fl_error *err)
{
	FL_AUTOFREE char *text = NULL;
	const char *path;
	const json_t *list = alias_list(c, v, &path);

	if (!list)
		return 0;
	if (!json_is_array(list))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "%s: expected a list of strings, not %s", path,
				    fl_json_kind(list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		int r = check_alias(json_array_get(list, i), path, i, err);

		if (r)
			return r;
	}
	if (!json_array_size(list))
		return 0;
	text = json_dumps(list, JSON_COMPACT);
	if (!text)
		return fl_error_oom(err);
	if (strlen(text) >= sizeof(c->ep.aliases))
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
				    "%s: expected at most %zu bytes in all, not %zu", path,
				    sizeof(c->ep.aliases) - 1, strlen(text));
	memcpy(c->ep.aliases, text, strlen(text) + 1);
	return 0;
}

static int take_list(const json_t *from, const char *key, const char *as, json_t *to,
		     struct fl_error *err)
{
	json_t *v = fl_json_get(from, key);

	if (v && !json_is_array(v))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "runtimeConfig.dns.%s: expected a list of strings, not %s", key,
				    fl_json_kind(v));
	for (size_t i = 0; i < json_array_size(v); i++)
		if (!json_is_string(json_array_get(v, i)))
			return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
					    "runtimeConfig.dns.%s[%zu]: expected a string, not %s",
					    key, i, fl_json_kind(json_array_get(v, i)));
	if (json_array_size(v))
		json_object_set(to, as, v);
	return 0;
}

static void take_over(char ***from, char ***to)
{
	char **old = *to;

	if (!*from)
		return;
	*to = *from;
	*from = old;
}

/*
 * The capability's own spelling of the keys. Each wins over that of the configuration's `dns`; what
 * it does not say (`domain`, for which it has no word) stays.
 */
static int parse_dns(struct fl_call *c, const json_t *v, struct fl_error *err)
{
	FL_AUTOJSON json_t *dns = json_object();
	struct fl_dns d = { 0 };
	int r;

	if (!json_is_object(v))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "runtimeConfig.dns: expected an object, not %s",
				    fl_json_kind(v));
	r = take_list(v, "servers", "nameservers", dns, err);
	if (!r)
		r = take_list(v, "searches", "search", dns, err);
	if (!r)
		r = take_list(v, "options", "options", dns, err);
	if (!r)
		r = fl_dns_parse(dns, "runtimeConfig.dns", &d, err);
	if (r)
		return r;
	take_over(&d.nameservers, &c->dns.nameservers);
	take_over(&d.search, &c->dns.search);
	take_over(&d.options, &c->dns.options);
	fl_dns_clear(&d);
	return 0;
}

/* What people call the container: args.cni.name, else CNI_ARGS K8S_POD_NAME (podman, containerd).
 */
static int parse_name(struct fl_call *c, struct fl_error *err)
{
	const json_t *v = fl_config_get(c, "args", "cni", "name");
	const char *name = v ? json_string_value(v) : c->req.args_name;

	if (!name)
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "args.cni.name: expected a string, not %s", fl_json_kind(v));
	if (strlen(name) > FL_HOSTNAME_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "args.cni.name: expected a name of at most %d bytes",
				    FL_HOSTNAME_MAX);
	/* A name that cannot be one is no reason to refuse the container: nothing will ask for it.
	 */
	if (fl_name_valid(name, FL_HOSTNAME_MAX))
		memcpy(c->ep.name, name, strlen(name) + 1);
	return 0;
}

/* What it calls itself, where that is something else. */
static int parse_hostname(struct fl_call *c, struct fl_error *err)
{
	const json_t *v = fl_config_get(c, "args", "cni", "hostname");
	const char *name = json_string_value(v);

	if (v && !name)
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "args.cni.hostname: expected a string, not %s",
				    fl_json_kind(v));
	if (name && !fl_name_valid(name, FL_HOSTNAME_MAX))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "args.cni.hostname: expected a host name, not \"%.64s\"", name);
	if (name)
		memcpy(c->ep.hostname, name, strlen(name) + 1);
	return 0;
}

int fl_runtime_parse(struct fl_call *c, struct fl_error *err)
{
	const json_t *rc = fl_json_get(c->req.config, "runtimeConfig"), *v;
	int r = parse_name(c, err);

	if (!r)
		r = parse_hostname(c, err);
	if (r || !rc)
		return r;
	if (!json_is_object(rc))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "runtimeConfig: expected an object, not %s", fl_json_kind(rc));
	v = fl_json_get(rc, "aliases");
	if (v)
		r = parse_aliases(c, v, err);
	v = fl_json_get(rc, "dns");
	if (!r && v)
		r = parse_dns(c, v, err);
	return r;
}
