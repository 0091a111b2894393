/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay/agent.h"

#include "base/fields.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#define CONFIG_MAX (1 << 20)

static const char *const pool_defaults = "[{\"subnet\": \"10.128.0.0/9\", \"size\": 24}, "
					 "{\"subnet\": \"fd66:6c00::/24\", \"size\": 64}]";

struct raw {
	struct config c;
	struct fl_list endpoints, pools;
};

struct raw_pool {
	struct fl_prefix subnet;
	int64_t size;
};

static const struct fl_field pool_fields[] = {
	FL_F("subnet", PREFIX, struct raw_pool, subnet),
	FL_F("size", INT, struct raw_pool, size, .min = 1, .max = 128),
	{ 0 },
};

static const struct fl_field fields[] = {
	FL_F("cluster", STRING, struct raw, c.cluster, .max = 63),
	FL_F("endpoints", STRINGS, struct raw, endpoints, .max = FL_ETCD_ENDPOINTS_MAX),
	FL_F("caFile", STRING, struct raw, c.ca_file),
	FL_F("certFile", STRING, struct raw, c.cert_file),
	FL_F("keyFile", STRING, struct raw, c.key_file),
	FL_F("user", STRING, struct raw, c.user),
	FL_F("password", STRING, struct raw, c.password),
	FL_F("passwordFile", STRING, struct raw, c.password_file),
	FL_F("node", STRING, struct raw, c.node, .max = FL_REC_ID_MAX - 1),
	FL_F("local", STRING, struct raw, c.local),
	FL_F("leaseSeconds", INT, struct raw, c.lease_s, .min = 2, .max = 3600),
	FL_F("holdDownSeconds", INT, struct raw, c.hold_down_s, .min = 0, .max = 2592000),
	FL_F("pools", LIST, struct raw, pools, .max = POOLS_MAX, .sub = pool_fields,
	     .size = sizeof(struct raw_pool)),
	{ 0 },
};

static int wrong(struct fl_error *err, const char *text)
{
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s", text);
}

/* A key that is misspelt would be a setting that is not there. */
static int refuse_unknown(const json_t *json, struct fl_error *err)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)json, key, v) {
		const struct fl_field *f = fields;

		while (f->key && strcmp(f->key, key) != 0)
			f++;
		if (!f->key)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%.64s: no such key",
					    key);
	}
	return 0;
}

static int take_pools(const struct fl_list *list, struct config *c, struct fl_error *err)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct raw_pool *p = (const struct raw_pool *)list->items + i;
		struct fl_prefix masked = fl_prefix_masked(&p->subnet);

		if (!fl_addr_is_set(&p->subnet.addr) || !fl_addr_eq(&masked.addr, &p->subnet.addr))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "pools[%zu].subnet: expected a prefix without host "
					    "bits",
					    i);
		if (p->size < p->subnet.len || p->size > fl_addr_bits(&p->subnet.addr) - 2)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "pools[%zu].size: expected the prefix length of a "
					    "subnet, from %u to %u",
					    i, p->subnet.len, fl_addr_bits(&p->subnet.addr) - 2);
		c->pools[c->n_pools++] = (struct pool_source){ p->subnet, (uint8_t)p->size };
	}
	return 0;
}

static int default_pools(struct config *c, struct fl_error *err)
{
	FL_AUTOJSON json_t *json = json_pack("{so}", "pools", json_loads(pool_defaults, 0, NULL));
	struct raw raw = { 0 };
	int r = json ? fl_fields_decode(json, fields, "", &raw, err) : fl_error_oom(err);

	if (!r)
		r = take_pools(&raw.pools, c, err);
	fl_fields_clear(fields, &raw);
	return r;
}

static int default_node(struct config *c, struct fl_error *err)
{
	static struct utsname u;

	if (uname(&u))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot read the host's name");
	c->node = u.nodename;
	if (!fl_name_valid(c->node, FL_REC_ID_MAX - 1))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "node: missing, and the host's name \"%.64s\" cannot be one: "
				    "expected at most 63 of [a-zA-Z0-9_.-]",
				    c->node);
	return 0;
}

static int take(struct raw *raw, struct fl_error *err)
{
	struct config *c = &raw->c;
	int r = 0;

	for (size_t i = 0; i < raw->endpoints.n; i++)
		c->endpoints[c->n_endpoints++] = ((const char *const *)raw->endpoints.items)[i];
	if (!c->n_endpoints)
		return wrong(err, "endpoints: missing; expected the URLs of etcd, such as "
				  "[\"http://192.0.2.1:2379\"]");
	if (!c->user && (c->password || c->password_file))
		return wrong(err, "user: missing; expected whose password it is");
	if (c->node && !fl_name_valid(c->node, FL_REC_ID_MAX - 1))
		return wrong(err, "node: expected a name of at most 63 of [a-zA-Z0-9_.-]");
	if (!c->node)
		r = default_node(c, err);
	if (!r)
		r = raw->pools.n ? take_pools(&raw->pools, c, err) : default_pools(c, err);
	return r;
}

static int read_file(const char *path, json_t **ret, struct fl_error *err)
{
	FL_AUTOFCLOSE FILE *f = fopen(path, "re");
	FL_AUTOFREE char *text = malloc(CONFIG_MAX);
	json_error_t where;
	size_t n;

	if (!f && errno == ENOENT)
		return fl_error_set(err, ENOENT, FL_ECODE_CONFIG,
				    "%s: no such file; expected at least {\"endpoints\": "
				    "[\"http://ADDRESS:2379\"]}, see fairlead-overlayd(8)",
				    path);
	if (!f)
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot read %s", path);
	if (!text)
		return fl_error_oom(err);
	n = fread(text, 1, CONFIG_MAX, f);
	*ret = n < CONFIG_MAX ? json_loadb(text, n, JSON_REJECT_DUPLICATES, &where) : NULL;
	if (!json_is_object(*ret))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected a JSON object%s%s",
				    path, *ret ? "" : ": ",
				    *ret || n == CONFIG_MAX ? "" : where.text);
	return 0;
}

int config_read(const char *path, struct config *ret, struct fl_error *err)
{
	struct raw raw = { .c = { .cluster = "fairlead", .lease_s = 15, .hold_down_s = 600 } };
	int r = read_file(path, &raw.c.json, err);

	if (r) {
		json_decref(raw.c.json);
		return r;
	}
	r = refuse_unknown(raw.c.json, err);
	if (!r)
		r = fl_fields_decode(raw.c.json, fields, "", &raw, err);
	if (!r)
		r = take(&raw, err);
	fl_fields_clear(fields, &raw);
	if (r) {
		json_decref(raw.c.json);
		return fl_error_prefix(err, "%s", path);
	}
	*ret = raw.c;
	return 0;
}

void config_clear(struct config *c)
{
	json_decref(c->json);
	c->json = NULL;
}
