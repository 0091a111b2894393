/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/subnets.h"

#include "base/fields.h"
#include "plugin/subnet.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define SETTINGS "/etc/fairlead/netctl.json"
enum { POOLS_MAX = 64 };

void subnets_clear(struct subnets *s)
{
	free(s->v);
	*s = (struct subnets){ 0 };
}

static int add(struct subnets *s, const struct fl_prefix *p, struct fl_error *err)
{
	struct subnet *grown = realloc(s->v, (s->n + 1) * sizeof(*grown));

	if (!grown)
		return fl_error_oom(err);
	s->v = grown;
	s->v[s->n++] = (struct subnet){ .prefix = *p };
	return 0;
}

/* ---- what is in use ---- */

struct use {
	struct fl_used *used;
	struct fl_error *err;
};

static int use_file(void *arg, const struct fl_prefix *p)
{
	const struct use *u = arg;

	return fl_used_add(u->used, p, u->err);
}

static int use_files(const struct conflists *files, struct fl_used *used, struct fl_error *err)
{
	struct use u = { used, err };
	int r = 0;

	for (size_t i = 0; i < files->n && !r; i++)
		if (files->v[i].json)
			r = conflist_subnets_each(&files->v[i], use_file, &u);
	return r;
}

static int use_store(struct ctl *c, struct fl_used *used, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = ctl_store(c, false, err);

	if (r || !c->store)
		return r;
	r = fl_txn_begin(c->store, false, &t, err);
	return r ? r : fl_used_by_networks(t, used, err);
}

static int use_host(struct ctl *c, struct fl_used *used, struct fl_error *err)
{
	int r = ctl_host(c, err);

	if (!r)
		r = fl_used_by_host(c->host, AF_INET, used, err);
	return r ? r : fl_used_by_host(c->host, AF_INET6, used, err);
}

/* ---- default pools ---- */

struct pool {
	struct fl_prefix base;
	int64_t size;
};

struct settings {
	struct fl_list pools;
};

static const struct fl_field pool_fields[] = {
	FL_F("base", PREFIX, struct pool, base),
	FL_F("size", INT, struct pool, size, 1, 30),
	{ 0 },
};

static const struct fl_field settings_fields[] = {
	FL_F("defaultAddressPools", LIST, struct settings, pools, .max = POOLS_MAX,
	     .sub = pool_fields, .size = sizeof(struct pool)),
	{ 0 },
};

static int refuse_unknown(const json_t *v, struct fl_error *err)
{
	const char *key;
	json_t *one;

	json_object_foreach ((json_t *)v, key, one)
		if (strcmp(key, "defaultAddressPools") != 0)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    SETTINGS ": %s: no such key; expected "
						     "defaultAddressPools",
					    key);
	return 0;
}

static int take_pools(const struct settings *s, struct fl_default_pool *pools, size_t *n,
		      struct fl_error *err)
{
	const struct pool *p = s->pools.items;

	for (size_t i = 0; i < s->pools.n; i++) {
		if (p[i].base.addr.family != AF_INET || p[i].size < p[i].base.len)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    SETTINGS ": defaultAddressPools[%zu]: expected an IPv4 "
						     "prefix as base, and a size that is not "
						     "shorter",
					    i);
		pools[(*n)++] = (struct fl_default_pool){ p[i].base, (uint8_t)p[i].size };
	}
	return 0;
}

/* Those of the settings' file; ours when there is none or it names none. */
static int read_pools(struct fl_default_pool *pools, size_t *n, struct fl_error *err)
{
	FL_AUTOJSON json_t *v = NULL;
	struct settings s = { 0 };
	json_error_t je;
	int r;

	*n = 0;
	if (access(SETTINGS, F_OK))
		return 0;
	v = json_load_file(SETTINGS, 0, &je);
	if (!json_is_object(v))
		return fl_error_set(err, EBADMSG, FL_ECODE_CONFIG, SETTINGS ": %s",
				    v ? "expected an object" : je.text);
	r = refuse_unknown(v, err);
	if (!r)
		r = fl_fields_decode(v, settings_fields, "", &s, err);
	if (!r)
		r = take_pools(&s, pools, n, err);
	fl_fields_clear(settings_fields, &s);
	return r;
}

/* ---- choosing ---- */

static int pick4(struct subnets *s, const struct fl_used *used, struct fl_error *err)
{
	struct fl_default_pool pools[POOLS_MAX];
	struct fl_prefix p;
	size_t n;
	int r = read_pools(pools, &n, err);

	if (!r)
		r = fl_ipam_pick_subnet(n ? pools : fl_default_pools, n ? n : fl_n_default_pools,
					used->v, used->n, &p, err);
	return r ? r : add(s, &p, err);
}

/* RFC 4193 section 3.2: fd00::/8, 40 random bits, and subnet 0 of them. */
static int pick6(struct subnets *s, struct fl_error *err)
{
	struct fl_prefix p = { { AF_INET6, { 0xfd } }, 64 };

	if (getrandom(p.addr.b + 1, 5, 0) != 5)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "getrandom");
	return add(s, &p, err);
}

static int refuse_overlap(const struct fl_prefix *p, const struct fl_used *used,
			  struct fl_error *err)
{
	for (size_t i = 0; i < used->n; i++)
		if (used->v[i].len && fl_prefix_overlaps(p, &used->v[i]))
			return fl_error_set(
				err, EEXIST, FL_ECODE_CONFLICT,
				"--subnet %s overlaps %s, which a network or a route of "
				"the host uses",
				fl_prefix_str(p, FL_PREFIX_BUF),
				fl_prefix_str(&used->v[i], FL_PREFIX_BUF));
	return 0;
}

/* Network and broadcast address, the gateway, and one for a container. */
static int check_prefix(const struct fl_prefix *p, const char *text, struct fl_error *err)
{
	struct fl_prefix masked = fl_prefix_masked(p);
	unsigned longest = fl_addr_bits(&p->addr) - 2;

	if (!fl_addr_eq(&masked.addr, &p->addr))
		return usage_error(
			err, "--subnet %s has host bits; did you mean %s, with --gateway %s?", text,
			fl_prefix_str(&masked, FL_PREFIX_BUF), fl_addr_str(&p->addr, FL_ADDR_BUF));
	return p->len <= longest
		       ? 0
		       : usage_error(err,
				     "--subnet %s has no address for a container; expected a "
				     "length of at most %u",
				     text, longest);
}

static int take_given(const struct ctl *c, struct subnets *s, const struct fl_used *used,
		      struct fl_error *err)
{
	const char *text;

	for (size_t i = 0; (text = option_nth(c, "subnet", i)); i++) {
		struct fl_prefix p;
		int r;

		if (fl_prefix_parse(text, &p))
			return usage_error(err, "--subnet: expected ADDRESS/LENGTH, not \"%s\"",
					   text);
		r = check_prefix(&p, text, err);
		if (!r)
			r = refuse_overlap(&p, used, err);
		for (size_t k = 0; !r && k < s->n; k++)
			if (fl_prefix_overlaps(&s->v[k].prefix, &p))
				r = usage_error(err, "--subnet %s overlaps another --subnet", text);
		if (!r)
			r = add(s, &p, err);
		if (r)
			return r;
	}
	return 0;
}

static struct subnet *containing(struct subnets *s, const struct fl_addr *a)
{
	for (size_t i = 0; i < s->n; i++)
		if (fl_prefix_contains(&s->v[i].prefix, a))
			return &s->v[i];
	return NULL;
}

/* The network's own address, and that of IPv4's broadcasts. */
static bool is_nobodys(const struct subnet *s, const struct fl_addr *a)
{
	struct fl_addr last = fl_prefix_last(&s->prefix);

	return fl_addr_eq(a, &s->prefix.addr) || (last.family == AF_INET && fl_addr_eq(a, &last));
}

static int take_gateways(const struct ctl *c, struct subnets *s, struct fl_error *err)
{
	const char *text;

	for (size_t i = 0; (text = option_nth(c, "gateway", i)); i++) {
		struct subnet *sub;
		struct fl_addr a;

		if (fl_addr_parse(text, &a))
			return usage_error(err, "--gateway: expected an IP address, not \"%s\"",
					   text);
		sub = containing(s, &a);
		if (!sub)
			return usage_error(err, "--gateway %s lies in no --subnet", text);
		if (is_nobodys(sub, &a))
			return usage_error(err,
					   "--gateway %s: the first and the last address of %s "
					   "are no host's",
					   text, fl_prefix_str(&sub->prefix, FL_PREFIX_BUF));
		if (fl_addr_is_set(&sub->gateway))
			return usage_error(err,
					   "--gateway %s: --subnet %s has one --gateway already",
					   text, fl_prefix_str(&sub->prefix, FL_PREFIX_BUF));
		sub->gateway = a;
	}
	return 0;
}

static void set_range(struct subnet *s, const struct fl_prefix *p)
{
	s->first = p->addr;
	s->last = fl_prefix_last(p);
	if (is_nobodys(s, &s->first))
		s->first = fl_addr_add(s->first, 1);
	if (is_nobodys(s, &s->last))
		s->last = fl_addr_sub(s->last, 1);
}

static bool has_addresses(const struct subnet *s)
{
	struct fl_addr gateway =
		fl_addr_is_set(&s->gateway) ? s->gateway : fl_addr_add(s->prefix.addr, 1);
	int order = fl_addr_cmp(&s->first, &s->last);

	return order < 0 || (!order && !fl_addr_eq(&s->first, &gateway));
}

static int take_ranges(const struct ctl *c, struct subnets *s, struct fl_error *err)
{
	const char *text;

	for (size_t i = 0; (text = option_nth(c, "ip-range", i)); i++) {
		struct fl_prefix p;
		struct subnet *sub;

		if (fl_prefix_parse(text, &p))
			return usage_error(err, "--ip-range: expected ADDRESS/LENGTH, not \"%s\"",
					   text);
		p = fl_prefix_masked(&p);
		sub = containing(s, &p.addr);
		if (!sub || p.len < sub->prefix.len)
			return usage_error(err, "--ip-range %s lies in no --subnet", text);
		if (fl_addr_is_set(&sub->first))
			return usage_error(
				err,
				"--ip-range %s: --subnet %s has one --ip-range already; several "
				"ranges of a subnet are said by -o ipam.ranges=[[{\"subnet\": ..., "
				"\"rangeStart\": ..., \"rangeEnd\": ...}, ...]]",
				text, fl_prefix_str(&sub->prefix, FL_PREFIX_BUF));
		set_range(sub, &p);
		if (!has_addresses(sub))
			return usage_error(err,
					   "--ip-range %s has no address for a container: those of "
					   "the network, its broadcasts and its gateway are taken",
					   text);
	}
	return 0;
}

static bool has_family(const struct subnets *s, int family)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].prefix.addr.family == family)
			return true;
	return false;
}

int subnets_choose(struct ctl *c, const struct conflists *files, bool lan, struct subnets *ret,
		   struct fl_error *err)
{
	AUTOSUBNETS struct subnets s = { 0 };
	FL_AUTOUSED struct fl_used used = { 0 };
	int r = use_files(files, &used, err);

	if (!r)
		r = use_store(c, &used, err);
	if (!r && !lan)
		r = use_host(c, &used, err);
	if (!r)
		r = take_given(c, &s, &used, err);
	if (!r && !s.n && !lan)
		r = pick4(&s, &used, err);
	if (!r && option_given(c, "ipv6") && !has_family(&s, AF_INET6))
		r = pick6(&s, err);
	if (!r)
		r = take_gateways(c, &s, err);
	if (!r)
		r = take_ranges(c, &s, err);
	if (r)
		return r;
	*ret = s;
	s = (struct subnets){ 0 };
	return 0;
}

int subnets_given(const struct ctl *c, struct subnets *ret, struct fl_error *err)
{
	AUTOSUBNETS struct subnets s = { 0 };
	int r = take_given(c, &s, &(struct fl_used){ 0 }, err);

	if (!r)
		r = take_gateways(c, &s, err);
	if (r)
		return r;
	*ret = s;
	s = (struct subnets){ 0 };
	return 0;
}
