/* SPDX-License-Identifier: GPL-2.0-or-later */
/* `ipam` of a network configuration, and everything beside it that may ask for addresses. */
#include "ipam/private.h"

#include "base/fields.h"
#include "base/json.h"
#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define EXCLUDE_MAX 4096
#define PATH_TEXT 64

struct raw_range {
	struct fl_prefix subnet;
	struct fl_addr start, end, gateway;
	struct fl_list exclude;
};

struct raw_ipam {
	const char *type, *data_dir, *resolv_conf;
	struct fl_list exclude;
	json_t *routes;
	const json_t *ranges;
};

static const struct fl_field range_fields[] = {
	FL_F("subnet", PREFIX, struct raw_range, subnet),
	FL_F("rangeStart", ADDR, struct raw_range, start),
	FL_F("rangeEnd", ADDR, struct raw_range, end),
	FL_F("gateway", ADDR, struct raw_range, gateway),
	FL_F("exclude", STRINGS, struct raw_range, exclude, 0, EXCLUDE_MAX),
	{ NULL },
};

/* The old style: one range in `ipam` itself, whose `exclude` is that of the whole pool. */
static const struct fl_field single_range_fields[] = {
	FL_F("subnet", PREFIX, struct raw_range, subnet),
	FL_F("rangeStart", ADDR, struct raw_range, start),
	FL_F("rangeEnd", ADDR, struct raw_range, end),
	FL_F("gateway", ADDR, struct raw_range, gateway),
	{ NULL },
};

static const struct fl_field ipam_fields[] = {
	FL_F("type", STRING, struct raw_ipam, type, 0, FL_DRIVER_MAX - 1),
	FL_F("dataDir", STRING, struct raw_ipam, data_dir, 0, 255),
	FL_F("resolvConf", STRING, struct raw_ipam, resolv_conf),
	FL_F("routes", JSON, struct raw_ipam, routes),
	FL_F("exclude", STRINGS, struct raw_ipam, exclude, 0, EXCLUDE_MAX),
	FL_F("ranges", JSON, struct raw_ipam, ranges),
	{ NULL },
};

struct parser {
	struct fl_ipam_conf *c;
	char set_path[FL_IPAM_SETS][PATH_TEXT]; /* where each set was read from, for messages */
	struct fl_error *err;
};

static int bad_type(struct fl_error *err, const char *path, const char *expected, const json_t *v)
{
	return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected %s, not %s", path, expected,
			    fl_json_kind(v));
}

/* ---- excluded prefixes ---- */

static int read_exclude(const struct fl_list *list, const char *path, int family,
			struct fl_prefix **ret, size_t *ret_n, struct fl_error *err)
{
	FL_AUTOFREE struct fl_prefix *p = NULL;
	const char *const *texts = list->items;

	if (!list->n)
		return 0;
	p = calloc(list->n, sizeof(*p));
	if (!p)
		return fl_error_oom(err);
	for (size_t i = 0; i < list->n; i++) {
		if (fl_prefix_parse_lenient(texts[i], &p[i]))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s.exclude[%zu]: expected an IP address or a prefix, "
					    "not \"%.64s\"",
					    path, i, texts[i]);
		if (family && p[i].addr.family != family)
			return fl_error_set(
				err, EINVAL, FL_ECODE_CONFIG,
				"%s.exclude[%zu]: %.64s is of another family than the subnet", path,
				i, texts[i]);
	}
	*ret_n = list->n;
	fl_prefixes_tidy(p, ret_n);
	*ret = fl_take_ptr(p);
	return 0;
}

/* ---- ranges and range sets ---- */

static void clear_range(struct fl_range *r)
{
	free(r->exclude);
	*r = (struct fl_range){ 0 };
}

static int make_range(const struct raw_range *raw, const char *path, struct fl_range *ret,
		      struct fl_error *err)
{
	struct fl_range range = {
		.subnet = raw->subnet, .start = raw->start, .end = raw->end, .gateway = raw->gateway
	};
	int r;

	if (!fl_addr_is_set(&raw->subnet.addr))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s.subnet: missing: expected a prefix such as \"10.1.0.0/16\"",
				    path);
	r = fl_range_complete(&range, path, err);
	if (!r)
		r = read_exclude(&raw->exclude, path, range.subnet.addr.family, &range.exclude,
				 &range.n_exclude, err);
	if (!r)
		*ret = range;
	return r;
}

static int read_range(const json_t *v, const char *path, struct fl_range *ret, struct fl_error *err)
{
	struct raw_range raw = { 0 };
	int r;

	if (!json_is_object(v))
		return bad_type(err, path, "an object", v);
	r = fl_fields_decode(v, range_fields, path, &raw, err);
	if (!r)
		r = make_range(&raw, path, ret, err);
	fl_fields_clear(range_fields, &raw);
	return r;
}

/* A new, empty set with room for n ranges. */
static int add_set(struct parser *p, size_t n, const char *path, struct fl_range_set **ret)
{
	struct fl_ipam_conf *c = p->c;

	if (c->n_sets == FL_IPAM_SETS)
		return fl_error_set(p->err, EINVAL, FL_ECODE_CONFIG,
				    "%s: expected at most %d range sets", path, FL_IPAM_SETS);
	if (!n || n > FL_IPAM_RANGES)
		return fl_error_set(p->err, EINVAL, FL_ECODE_CONFIG,
				    "%s: expected 1 to %d ranges, not %zu", path, FL_IPAM_RANGES,
				    n);
	c->sets[c->n_sets].ranges = calloc(n, sizeof(struct fl_range));
	if (!c->sets[c->n_sets].ranges)
		return fl_error_oom(p->err);
	fl_strcpy(p->set_path[c->n_sets], PATH_TEXT, path);
	*ret = &c->sets[c->n_sets++];
	return 0;
}

/* The ranges of a set are alternatives: one family, and no address in two of them. */
static int check_range(const struct fl_range_set *set, const struct fl_range *range,
		       const char *path, struct fl_error *err)
{
	for (size_t i = 0; i < set->n; i++) {
		if (set->ranges[i].subnet.addr.family != range->subnet.addr.family)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s: expected one address family in a range set", path);
		if (fl_range_overlaps(&set->ranges[i], range))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s: overlaps with range %zu of its set", path, i);
	}
	return 0;
}

static int read_set(struct parser *p, const json_t *v, const char *path)
{
	struct fl_range_set *set;
	char item[PATH_TEXT];
	int r;

	if (!json_is_array(v))
		return bad_type(p->err, path, "a list of ranges", v);
	r = add_set(p, json_array_size(v), path, &set);
	for (size_t i = 0; !r && i < json_array_size(v); i++) {
		struct fl_range range = { 0 };

		snprintf(item, sizeof(item), "%s[%zu]", path, i);
		r = read_range(json_array_get(v, i), item, &range, p->err);
		if (!r)
			r = check_range(set, &range, item, p->err);
		if (r)
			clear_range(&range);
		else
			set->ranges[set->n++] = range;
	}
	return r;
}

static int read_sets(struct parser *p, const json_t *v, const char *path)
{
	char item[PATH_TEXT];
	int r = 0;

	if (!v)
		return 0;
	if (!json_is_array(v))
		return bad_type(p->err, path, "a list of range sets", v);
	for (size_t i = 0; !r && i < json_array_size(v); i++) {
		snprintf(item, sizeof(item), "%s[%zu]", path, i);
		r = read_set(p, json_array_get(v, i), item);
	}
	return r;
}

static bool wants_auto(const json_t *ipam)
{
	const char *s = json_string_value(fl_json_get(ipam, "subnet"));

	return s && !strcasecmp(s, "auto");
}

static int read_single_range(struct parser *p, const json_t *ipam)
{
	struct raw_range raw = { 0 };
	struct fl_range range = { 0 };
	struct fl_range_set *set;
	int r = fl_fields_decode(ipam, single_range_fields, "ipam", &raw, p->err);

	if (r || !fl_addr_is_set(&raw.subnet.addr))
		return r;
	r = make_range(&raw, "ipam", &range, p->err);
	if (!r)
		r = add_set(p, 1, "ipam.subnet", &set);
	if (!r)
		set->ranges[set->n++] = range;
	return r;
}

static bool sets_overlap(const struct fl_range_set *a, const struct fl_range_set *b)
{
	for (size_t i = 0; i < a->n; i++)
		for (size_t j = 0; j < b->n; j++)
			if (fl_range_overlaps(&a->ranges[i], &b->ranges[j]))
				return true;
	return false;
}

static int check_overlaps(const struct parser *p)
{
	const struct fl_ipam_conf *c = p->c;

	for (size_t i = 1; i < c->n_sets; i++)
		for (size_t j = 0; j < i; j++)
			if (sets_overlap(&c->sets[i], &c->sets[j]))
				return fl_error_set(p->err, EINVAL, FL_ECODE_CONFIG,
						    "%s: overlaps with %s", p->set_path[i],
						    p->set_path[j]);
	return 0;
}

/* Results before 0.3.0 have one member for each family. No version: no limit. */
static int check_version(const struct parser *p, const char *version)
{
	size_t per_family[2] = { 0 };
	unsigned major = 0, minor = 0;

	if (!version)
		return 0;
	/* An empty version is 0.1.0, as the reference has it: what cannot be read stays 0. */
	if (sscanf(version, "%u.%u", &major, &minor) > 0 && (major > 0 || minor >= 3))
		return 0;
	for (size_t i = 0; i < p->c->n_sets; i++)
		if (++per_family[p->c->sets[i].ranges[0].subnet.addr.family == AF_INET6] > 1)
			return fl_error_set(p->err, EINVAL, FL_ECODE_CONFIG,
					    "%s: cniVersion \"%.16s\" has one address per family: "
					    "expected 0.3.0 or "
					    "later for more",
					    p->set_path[i], version);
	return 0;
}

/* ---- requested addresses ---- */

static int add_request(struct parser *p, const char *text, const char *source, enum fl_ecode code)
{
	struct fl_ipam_conf *c = p->c;
	struct fl_prefix a;

	if (fl_prefix_parse_lenient(text, &a))
		return fl_error_set(p->err, EINVAL, code,
				    "%s: expected an IP address, not \"%.64s\"", source, text);
	for (size_t i = 0; i < c->n_requests; i++)
		if (fl_addr_eq(&c->requests[i], &a.addr))
			return 0;
	if (c->n_requests == FL_IPAM_REQUESTS)
		return fl_error_set(p->err, EINVAL, code, "%s: expected at most %d addresses",
				    source, FL_IPAM_REQUESTS);
	c->requests[c->n_requests] = a.addr;
	fl_strcpy(c->request_src[c->n_requests++], sizeof(c->request_src[0]), source);
	return 0;
}

static int read_args_ip(struct parser *p, const char *list)
{
	FL_AUTOFREE char *copy = list ? strdup(list) : NULL;
	char *text, *next = copy;

	if (!list)
		return 0;
	if (!copy)
		return fl_error_oom(p->err);
	while ((text = strsep(&next, ","))) {
		int r = *text ? add_request(p, text, "CNI_ARGS IP", FL_ECODE_ENV) : 0;

		if (r)
			return r;
	}
	return 0;
}

static int read_requests(struct parser *p, const json_t *v, const char *source)
{
	char path[PATH_TEXT];

	if (!v)
		return 0;
	if (!json_is_array(v))
		return bad_type(p->err, source, "a list of IP addresses", v);
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *item = json_array_get(v, i);
		int r;

		snprintf(path, sizeof(path), "%s[%zu]", source, i);
		if (!json_is_string(item))
			return bad_type(p->err, path, "an IP address", item);
		r = add_request(p, json_string_value(item), source, FL_ECODE_CONFIG);
		if (r)
			return r;
	}
	return 0;
}

/* ---- the rest of `ipam` ---- */

/* The default directory written out is the same pool as no directory at all. */
int fl_ipam_exclude(struct fl_ipam_conf *c, const struct fl_addr *a, struct fl_error *err)
{
	struct fl_prefix *grown = realloc(c->exclude, (c->n_exclude + 1) * sizeof(*grown));

	if (!grown)
		return fl_error_oom(err);
	c->exclude = grown;
	c->exclude[c->n_exclude++] = (struct fl_prefix){ *a, (uint8_t)fl_addr_bits(a) };
	fl_prefixes_tidy(c->exclude, &c->n_exclude);
	return 0;
}

void fl_ipam_use_pool(struct fl_ipam_conf *c, const char *network, const char *data_dir)
{
	size_t n;

	if (data_dir)
		fl_strcpy(c->data_dir, sizeof(c->data_dir), data_dir);
	for (n = strlen(c->data_dir); n > 1 && c->data_dir[n - 1] == '/'; n--)
		c->data_dir[n - 1] = '\0';
	if (!strcmp(c->data_dir, FL_IPAM_DEFAULT_DIR))
		c->data_dir[0] = '\0';
	snprintf(c->pool, sizeof(c->pool), "%s%s%s", network, c->data_dir[0] ? "@" : "",
		 c->data_dir);
}

static int read_ipam(struct parser *p, const json_t *ipam, const char *network,
		     struct raw_ipam *raw)
{
	struct fl_ipam_conf *c = p->c;
	int r = fl_fields_decode(ipam, ipam_fields, "ipam", raw, p->err);

	if (r)
		return r;
	if (raw->type)
		fl_strcpy(c->type, sizeof(c->type), raw->type);
	fl_ipam_use_pool(c, network, raw->data_dir);
	r = read_exclude(&raw->exclude, "ipam", 0, &c->exclude, &c->n_exclude, p->err);
	if (!r && raw->routes)
		r = fl_routes_parse(raw->routes, "ipam.routes", &c->routes, &c->n_routes, p->err);
	if (r || !raw->resolv_conf || !*raw->resolv_conf)
		return r;
	r = fl_resolvconf_read(raw->resolv_conf, &c->dns, p->err);
	if (r)
		fl_error_prefix(p->err, "ipam.resolvConf");
	return r;
}

/* Sets in the reference's order: ipRanges, the single range, ranges. */
static int read_all_sets(struct parser *p, const json_t *ipam, const json_t *ip_ranges,
			 const json_t *ranges, const char *version)
{
	int r = read_sets(p, ip_ranges, "runtimeConfig.ipRanges");

	p->c->auto_subnet = wants_auto(ipam);
	if (!r && !p->c->auto_subnet)
		r = read_single_range(p, ipam);
	if (!r)
		r = read_sets(p, ranges, "ipam.ranges");
	if (r)
		return r;
	if (p->c->auto_subnet && p->c->n_sets)
		return fl_error_set(p->err, EINVAL, FL_ECODE_CONFIG,
				    "ipam.subnet: \"auto\" cannot stand beside %s", p->set_path[0]);
	if (!p->c->auto_subnet && !p->c->n_sets)
		return fl_error_set(p->err, EINVAL, FL_ECODE_CONFIG,
				    "ipam: expected `ranges` or `subnet`");
	r = check_version(p, version);
	return r ? r : check_overlaps(p);
}

/* A member that must be an object when it is there; NULL when it is not. */
static int get_object(const json_t *parent, const char *key, const char *path, json_t **ret,
		      struct fl_error *err)
{
	json_t *v = parent ? fl_json_get(parent, key) : NULL;

	if (v && !json_is_object(v))
		return bad_type(err, path, "an object", v);
	*ret = v;
	return 0;
}

static int read_all_requests(struct parser *p, const char *args_ip, const json_t *cni,
			     const json_t *runtime)
{
	int r = read_args_ip(p, args_ip);

	if (!r && cni)
		r = read_requests(p, fl_json_get(cni, "ips"), "args.cni.ips");
	if (!r && runtime)
		r = read_requests(p, fl_json_get(runtime, "ips"), "runtimeConfig.ips");
	return r;
}

int fl_ipam_requests(const json_t *config, const char *args_ip, struct fl_ipam_conf *c,
		     struct fl_error *err)
{
	struct parser p = { .c = c, .err = err };
	json_t *runtime = NULL, *args = NULL, *cni = NULL;
	int r = get_object(config, "runtimeConfig", "runtimeConfig", &runtime, err);

	if (!r)
		r = get_object(config, "args", "args", &args, err);
	if (!r)
		r = get_object(args, "cni", "args.cni", &cni, err);
	return r ? r : read_all_requests(&p, args_ip, cni, runtime);
}

static int read_config(struct parser *p, const json_t *config, const char *network,
		       const char *version, const char *args_ip, struct raw_ipam *raw)
{
	json_t *ipam = NULL, *runtime = NULL, *args = NULL, *cni = NULL;
	int r = get_object(config, "ipam", "ipam", &ipam, p->err);

	if (!r && !ipam)
		return fl_error_set(p->err, EINVAL, FL_ECODE_CONFIG, "ipam: missing");
	if (!r)
		r = get_object(config, "runtimeConfig", "runtimeConfig", &runtime, p->err);
	if (!r)
		r = get_object(config, "args", "args", &args, p->err);
	if (!r)
		r = get_object(args, "cni", "args.cni", &cni, p->err);
	if (!r)
		r = read_ipam(p, ipam, network, raw);
	if (!r)
		r = read_all_sets(p, ipam, runtime ? fl_json_get(runtime, "ipRanges") : NULL,
				  raw->ranges, version);
	return r ? r : read_all_requests(p, args_ip, cni, runtime);
}

int fl_ipam_parse(json_t *config, const char *network, const char *cni_version,
		  const char *cni_args_ip, struct fl_ipam_conf *ret, struct fl_error *err)
{
	struct fl_ipam_conf c = { 0 };
	struct raw_ipam raw = { 0 };
	struct parser p = { .c = &c, .err = err };
	int r;

	/* The name becomes part of a path when a lease directory is imported. */
	if (!fl_name_valid(network, FL_NAME_MAX))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "name: expected 1 to %d of [a-zA-Z0-9_.-], not \"%.64s\"",
				    FL_NAME_MAX, network);
	r = read_config(&p, config, network, cni_version, cni_args_ip, &raw);
	fl_fields_clear(ipam_fields, &raw);
	if (r)
		fl_ipam_conf_clear(&c);
	else
		*ret = c;
	return r;
}

int fl_ipam_use_subnet(struct fl_ipam_conf *c, const struct fl_prefix *subnet, struct fl_error *err)
{
	struct parser p = { .c = c, .err = err };
	struct fl_range range = { .subnet = *subnet };
	struct fl_range_set *set = NULL;
	int r = fl_range_complete(&range, "ipam", err);

	if (!r)
		r = add_set(&p, 1, "ipam.subnet", &set);
	if (!r)
		set->ranges[set->n++] = range;
	return r;
}

void fl_ipam_conf_clear(struct fl_ipam_conf *c)
{
	for (size_t i = 0; i < c->n_sets; i++) {
		for (size_t j = 0; j < c->sets[i].n; j++)
			clear_range(&c->sets[i].ranges[j]);
		free(c->sets[i].ranges);
	}
	free(c->routes);
	free(c->exclude);
	fl_dns_clear(&c->dns);
	*c = (struct fl_ipam_conf){ 0 };
}
