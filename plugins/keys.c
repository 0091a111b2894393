/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which keys of a configuration the code looks at: one JSON object a line with "plugin", "ipam",
 * "path", and for rows of field tables "type", "min", "max" and "names", for the test of the man
 * pages (man_keys.py). With --table the rows of a table in C, each once, for netctl.
 *
 * Each plugin decodes a configuration that has all the objects there are. The linker puts this
 * file's functions in front of those that look up a key (--wrap), so that what is told is what
 * happens, in whichever file the key's name stands.
 */
#include "dhcp/options.h"
#include "drivers.h"
#include "plugin/internal.h"

#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>

json_t *__real_fl_json_get(const json_t *obj, const char *key);
json_t *__wrap_fl_json_get(const json_t *obj, const char *key);
int __real_fl_fields_decode(const json_t *obj, const struct fl_field *table, const char *path,
			    void *base, struct fl_error *err);
int __wrap_fl_fields_decode(const json_t *obj, const struct fl_field *table, const char *path,
			    void *base, struct fl_error *err);

static const struct fl_driver *const drivers[] = {
#define DRIVER(name) &name##_driver,
#include "drivers.inc"
#undef DRIVER
};

/* What no plugin could decode without, beside what leads into every part of the code. */
static const char configuration[] =
	"{'master': 'm0', 'vlanId': 1, 'vrfname': 'v0', 'container': 'c0', 'device': 'd0',"
	" 'vni': 1, 'peers': [{'vtep': '192.0.2.2'}],"
	" 'dns': {'enabled': false},"
	" 'args': {'cni': {}, 'fairlead': {}},"
	" 'runtimeConfig': {'portMappings': [], 'bandwidth': {}, 'dns': {}},"
	" 'ipam': {'type': 'host-local', 'ranges': [[{'subnet': '10.1.0.0/24'}]],"
	"          'addresses': [{'address': '10.1.0.2/24'}], 'routes': [{'dst': '0.0.0.0/0'}],"
	"          'dns': {}, 'request': [{'option': 'routers'}],"
	"          'provide': [{'option': 'user-class', 'value': 'x'}]}}";

/* What of it is otherwise where two keys exclude each other. */
static const struct {
	const char *plugin, *change;
} variants[] = {
	{ "overlay", "{'mode': 'etcd', 'peers': null, 'subnets': [{'subnet': '10.1.0.0/24'}]}" },
};

static const char *const types[] = { "bool",	"tri",	"int",	      "string", "address",
				     "prefix",	"mac",	"enum",	      "object", "list",
				     "strings", "json", "json-object" };

/* ---- where an object stands in the configuration ---- */

enum { OBJECTS = 64, PATH_TEXT = 128 };
static struct {
	const json_t *obj;
	char path[PATH_TEXT];
} known[OBJECTS];
static size_t n_known;
static const char *plugin, *ipam;

static void learn(json_t *v, const char *path)
{
	char below[PATH_TEXT];
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_object(v) && n_known < OBJECTS) {
		known[n_known].obj = v;
		fl_strcpy(known[n_known++].path, PATH_TEXT, path);
	}
	json_object_foreach (v, key, item) {
		snprintf(below, sizeof(below), "%s%s%s", path, *path ? "." : "", key);
		learn(item, below);
	}
	snprintf(below, sizeof(below), "%s[]", path);
	json_array_foreach(v, i, item) learn(item, below);
}

/* NULL: of an object that the code made itself. */
static const char *path_of(const json_t *obj)
{
	for (size_t i = 0; i < n_known; i++)
		if (known[i].obj == obj)
			return known[i].path;
	return NULL;
}

/* ---- telling ---- */

static json_t *rows; /* of the table: told already; NULL: all is told */

static void tell_row(const char *path)
{
	char row[4 * PATH_TEXT];

	snprintf(row, sizeof(row), "{ \"%s\", \"%s\", \"%s\" },", plugin, ipam, path);
	if (json_object_get(rows, row))
		return;
	json_object_set_new(rows, row, json_true());
	puts(row);
}

static void tell(const char *path, const char *key, const struct fl_field *f)
{
	char full[2 * PATH_TEXT];
	json_t *o, *names;

	snprintf(full, sizeof(full), "%s%s%s", path, *path ? "." : "", key);
	if (rows) {
		tell_row(full);
		return;
	}
	names = json_array();
	o = json_pack("{s:s, s:s, s:s}", "plugin", plugin, "ipam", ipam, "path", full);
	for (const char *const *n = f ? f->names : NULL; n && *n; n++)
		json_array_append_new(names, json_string(*n));
	if (f)
		json_object_update_new(o, json_pack("{s:s, s:I, s:I, s:O}", "type", types[f->type],
						    "min", (json_int_t)f->min, "max",
						    (json_int_t)f->max, "names", names));
	json_decref(names);
	json_dumpf(o, stdout, JSON_COMPACT | JSON_SORT_KEYS);
	putchar('\n');
	json_decref(o);
}

static void tell_table(const struct fl_field *table, const char *path)
{
	char below[2 * PATH_TEXT];

	for (const struct fl_field *f = table; f->key; f++) {
		tell(path, f->key, f);
		snprintf(below, sizeof(below), "%s%s%s%s", path, *path ? "." : "", f->key,
			 f->type == FL_FIELD_LIST ? "[]" : "");
		if (f->sub)
			tell_table(f->sub, below);
	}
}

json_t *__wrap_fl_json_get(const json_t *obj, const char *key)
{
	const char *path = path_of(obj);

	if (path)
		tell(path, key, NULL);
	return __real_fl_json_get(obj, key);
}

int __wrap_fl_fields_decode(const json_t *obj, const struct fl_field *table, const char *path,
			    void *base, struct fl_error *err)
{
	const char *known_path = path_of(obj);

	if (known_path)
		tell_table(table, known_path);
	return __real_fl_fields_decode(obj, table, path, base, err);
}

/* ---- the plugins ---- */

/* The options' lists are the daemon's to judge. */
static int ask_dhcp(const json_t *config, struct fl_error *err)
{
	const json_t *o = json_object_get(config, "ipam");
	FL_AUTOJSON json_t *q =
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:O, s:O}", "command", "ADD", "network", "n",
			  "container", "c", "ifname", "eth0", "netns", "/n", "request",
			  json_object_get(o, "request"), "provide", json_object_get(o, "provide"));
	struct fl_dhcp_request ret = { 0 };

	return fl_dhcp_request_parse(q, &ret, err);
}

static bool opens_store(const struct fl_call *c)
{
	return c->driver->flags & FL_DRIVER_IS_IPAM ? c->ipam_mode == FL_IPAM_OWN
						    : !(c->driver->flags & FL_DRIVER_STATELESS);
}

/* An error where none was expected ends it: keys behind it would not be told. */
static int decode(const struct fl_driver *d, json_t *config)
{
	struct fl_call c;
	struct fl_error err = { 0 };
	int r;

	fl_call_of_config(d, "n", config, &c);
	if (c.has_prev) {
		fl_result_add_interface(&c.prev, "br0", &(struct fl_mac){ { 2 } }, NULL, 1500);
		c.prev.ips[c.prev.n_ips++] =
			(struct fl_result_ip){ .address = { { AF_INET, { 10, 1, 0, 2 } }, 24 },
					       .interface = -1 };
	}
	r = fl_engine_decode(&c, &err);
	if (!r && c.ipam_mode == FL_IPAM_DHCP)
		r = ask_dhcp(config, &err);
	/* Refused by the environment, behind the look at the key. */
	if (!r && opens_store(&c))
		fl_session_store(&c, NULL);
	if (r)
		fprintf(stderr, "keys-probe: %s with ipam \"%s\": %s\n", d->type, ipam, err.text);
	fl_call_clear(&c);
	return r;
}

static json_t *read_json(const char *quoted)
{
	FL_AUTOFREE char *text = strdup(quoted);

	for (char *p = text; p && *p; p++)
		if (*p == '\'')
			*p = '"';
	return json_loads(text ? text : "", 0, NULL);
}

static int ask(const struct fl_driver *d, const char *ipam_type, const char *change)
{
	FL_AUTOJSON json_t *config = read_json(configuration), *other = read_json(change);
	int r;

	if (!config || !other)
		return -1;
	plugin = d->type;
	ipam = ipam_type;
	if (*ipam_type)
		json_object_set_new(json_object_get(config, "ipam"), "type",
				    json_string(ipam_type));
	else
		json_object_del(config, "ipam");
	json_object_update(config, other);
	n_known = 0;
	learn(config, "");
	r = decode(d, config);
	n_known = 0;
	return r;
}

static int ask_all(const struct fl_driver *d)
{
	static const char *const ipams[] = { "host-local", "static", "dhcp" };
	int r = 0;

	if (!(d->flags & (FL_DRIVER_IPAM | FL_DRIVER_IS_IPAM)))
		return ask(d, "", "{}");
	for (size_t i = 0; i < FL_ARRAY_SIZE(ipams) && !r; i++)
		if (d->flags & FL_DRIVER_IPAM || !strcmp(ipams[i], d->type))
			r = ask(d, ipams[i], "{}");
	for (size_t i = 0; i < FL_ARRAY_SIZE(variants) && !r; i++)
		if (!strcmp(variants[i].plugin, d->type))
			r = ask(d, "", variants[i].change);
	return r;
}

int main(int argc, char **argv)
{
	FL_AUTOJSON json_t *told = argc > 1 && !strcmp(argv[1], "--table") ? json_object() : NULL;

	rows = told;
	setenv("FAIRLEAD_STATE_DIR", "/dev/null/none", 1);
	for (size_t i = 0; i < FL_ARRAY_SIZE(drivers); i++)
		if (ask_all(drivers[i]))
			return 1;
	return 0;
}
