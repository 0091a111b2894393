/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network create: a configuration that every CNI runtime of the host sees. */
#include "netctl/create.h"

#include "netctl/cluster_network.h"
#include "netctl/keys.h"
#include "netctl/netfile.h"
#include "netctl/subnets.h"

#include "base/strbuf.h"
#include "netctl/out.h"

#include <errno.h>
#include <string.h>

#define DRIVERS "bridge, overlay, macvlan, ipvlan, ptp, vlan, dummy or tap"

static const struct driver {
	const char *name;
	bool lower;  /* on an interface of the host */
	bool routed; /* its traffic passes the host, which can publish ports */
} drivers[] = {
	{ "bridge", false, true }, { "overlay", false, true }, { "macvlan", true, false },
	{ "ipvlan", true, false }, { "ptp", false, true },     { "vlan", true, false },
	{ "dummy", false, false }, { "tap", false, false },
};

static const struct driver *find_driver(const char *name)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(drivers); i++)
		if (!strcmp(drivers[i].name, name))
			return &drivers[i];
	return NULL;
}

/* ---- -o key=value ---- */

static int put_path(json_t *to, char *key, json_t *value)
{
	char *dot;

	while ((dot = strchr(key, '.'))) {
		json_t *next;

		*dot = '\0';
		next = json_object_get(to, key);
		if (!next) {
			next = json_object();
			json_object_set_new(to, key, next);
		}
		if (!json_is_object(next)) {
			json_decref(value);
			return -EINVAL;
		}
		to = next;
		key = dot + 1;
	}
	return json_object_set_new(to, key, value);
}

/*
 * mtu=1400, dns.enabled=false, snatAddress=["192.0.2.9"]: JSON where it is some, else a string.
 * The key is the caller's to free.
 */
static int read_option(const char *option, const char *text, char **ret_key, json_t **ret,
		       struct fl_error *err)
{
	FL_AUTOFREE char *copy = strdup(text);
	char *eq = copy ? strchr(copy, '=') : NULL;
	json_t *value;

	if (!copy)
		return fl_error_oom(err);
	if (!eq || eq == copy)
		return usage_error(err, "--%s %s: expected KEY=VALUE", option, text);
	*eq = '\0';
	value = json_loads(eq + 1, JSON_DECODE_ANY, NULL);
	if (!value)
		value = json_string(eq + 1);
	if (!value)
		return usage_error(err, "--%s %s: expected a value of UTF-8", option, copy);
	*ret_key = fl_take_ptr(copy);
	*ret = value;
	return 0;
}

static int put_option(const char *option, json_t *plugin, const char *text, struct fl_error *err)
{
	FL_AUTOFREE char *key = NULL;
	json_t *value;
	int r = read_option(option, text, &key, &value, err);

	if (r)
		return r;
	if (put_path(plugin, key, value))
		return usage_error(err,
				   "--%s %s: expected KEY=VALUE, with a path of keys as in "
				   "dns.enabled=false",
				   option, text);
	return 0;
}

static int check_key(const char *driver, const json_t *plugin, const char *text,
		     struct fl_error *err)
{
	const char *ipam = json_string_value(fl_json_get(fl_json_get(plugin, "ipam"), "type"));
	FL_AUTOFREE char *key = NULL;
	FL_AUTOJSON json_t *value = NULL;
	int r = read_option("opt", text, &key, &value, err);

	return r ? r : keys_check(driver, ipam, key, value, err);
}

int create_options(const struct ctl *c, const char *driver, json_t *plugin, struct fl_error *err)
{
	static const char *const kinds[] = { "opt", "foreign-opt" };
	const char *text;
	int r = 0;

	for (size_t k = 0; k < FL_ARRAY_SIZE(kinds); k++)
		for (size_t i = 0; !r && (text = option_nth(c, kinds[k], i)); i++)
			r = put_option(kinds[k], plugin, text, err);
	/* Behind them all: which keys of `ipam` there are is said by one of them. */
	for (size_t i = 0; !r && (text = option_nth(c, "opt", i)); i++)
		r = check_key(driver, plugin, text, err);
	return r;
}

/* ---- the plugin's configuration ---- */

void create_common(json_t *p, bool routed)
{
	json_t *v = json_pack("{sb sb sb sb}", "ips", 1, "mac", 1, "aliases", 1, "dns", 1);

	if (routed)
		json_object_set_new(v, "portMappings", json_true());
	json_object_set_new(p, "dns", json_pack("{sb}", "enabled", 1));
	json_object_set_new(p, "capabilities", v);
	/* As docker has it: a port of the host's own is not taken over by mistake. */
	if (routed)
		json_object_set_new(p, "checkHostPorts", json_true());
}

json_t *create_list(const char *network, json_t *plugin)
{
	return json_pack("{ss ss s[O]}", "cniVersion", CNI_VERSION, "name", network, "plugins",
			 plugin);
}

static json_t *ipam_of(const struct subnets *s)
{
	json_t *ranges = json_array();

	for (size_t i = 0; i < s->n; i++) {
		const struct subnet *sub = &s->v[i];
		json_t *range =
			json_pack("{ss}", "subnet", fl_prefix_str(&sub->prefix, FL_PREFIX_BUF));

		if (fl_addr_is_set(&sub->first)) {
			json_object_set_new(range, "rangeStart",
					    json_string(fl_addr_str(&sub->first, FL_ADDR_BUF)));
			json_object_set_new(range, "rangeEnd",
					    json_string(fl_addr_str(&sub->last, FL_ADDR_BUF)));
		}
		if (fl_addr_is_set(&sub->gateway))
			json_object_set_new(range, "gateway",
					    json_string(fl_addr_str(&sub->gateway, FL_ADDR_BUF)));
		json_array_append_new(ranges, json_pack("[o]", range));
	}
	/* None: it comes from elsewhere, as -o ipam=... says. */
	if (!s->n) {
		json_decref(ranges);
		return json_object();
	}
	return json_pack("{ss so}", "type", "host-local", "ranges", ranges);
}

static void add_bridge(const struct ctl *c, json_t *p, const char *network)
{
	bool internal = option_given(c, "internal");
	char name[IFNAMSIZ];

	netfile_bridge(network, name);
	json_object_set_new(p, "bridge", json_string(name));
	json_object_set_new(p, internal ? "isGateway" : "isDefaultGateway", json_true());
	if (!internal)
		json_object_set_new(p, "ipMasq", json_true());
	json_object_set_new(p, "hairpinMode", json_true());
	if (internal)
		json_object_set_new(p, "internal", json_true());
	if (option_given(c, "isolate"))
		json_object_set_new(p, "isolate", json_true());
}

/* In mode "static": the list of nodes is an option. */
static void add_overlay(const struct ctl *c, json_t *p)
{
	json_object_set_new(p, option_given(c, "internal") ? "internal" : "ipMasq", json_true());
	if (option_given(c, "isolate"))
		json_object_set_new(p, "isolate", json_true());
}

static int add_driver(const struct ctl *c, json_t *p, const char *driver, const char *network,
		      struct fl_error *err)
{
	const char *parent = option_value(c, "parent");
	bool lower = find_driver(driver)->lower;

	if (lower && parent)
		json_object_set_new(p, "master", json_string(parent));
	if (parent && !lower)
		return usage_error(err, "--parent is for macvlan, ipvlan and vlan, not %s", driver);
	if (strcmp(driver, "bridge") != 0 && strcmp(driver, "overlay") != 0 &&
	    (option_given(c, "internal") || option_given(c, "isolate")))
		return usage_error(
			err, "--internal and --isolate are for bridge and overlay, not %s", driver);
	if (!strcmp(driver, "bridge"))
		add_bridge(c, p, network);
	if (!strcmp(driver, "overlay"))
		add_overlay(c, p);
	if (!strcmp(driver, "ptp"))
		json_object_set_new(p, "ipMasq", json_true());
	return 0;
}

/* ---- what no plugin would accept ---- */

static int check_interface(const json_t *plugin, const char *key, struct fl_error *err)
{
	const json_t *v = fl_json_get(plugin, key);
	const char *name = json_string_value(v);

	if (!v || (name && fl_ifname_valid(name)))
		return 0;
	return usage_error(err,
			   "%s %s: expected the name of an interface, at most 15 letters without "
			   "'/', ':', '%%' and blanks",
			   key, name ? name : fl_json_kind(v));
}

static int check_vlan(const json_t *plugin, const char *driver, struct fl_error *err)
{
	const json_t *id = fl_json_get(plugin, "vlanId");

	if (strcmp(driver, "vlan") != 0 ||
	    (json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) <= 4094))
		return 0;
	return usage_error(err, "--driver vlan: expected -o vlanId=NUMBER, from 0 to 4094");
}

static int check_plugin(json_t *plugin, const char *network, const char *driver,
			struct fl_error *err)
{
	int r = check_interface(plugin, "bridge", err);

	if (!r)
		r = check_interface(plugin, "master", err);
	if (!r)
		r = check_vlan(plugin, driver, err);
	return r ? r : keys_check_values(driver, network, plugin, err);
}

static int build(const struct ctl *c, const char *network, const char *driver,
		 const struct subnets *s, json_t **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *p = json_pack("{ss}", "type", driver);
	int r = p ? add_driver(c, p, driver, network, err) : fl_error_oom(err);

	if (r)
		return r;
	json_object_set_new(p, "ipam", ipam_of(s));
	create_common(p, find_driver(driver)->routed);
	r = create_options(c, driver, p, err);
	if (!r)
		r = check_plugin(p, network, driver, err);
	if (!r)
		*ret = create_list(network, p);
	return r;
}

/* -o ipam={"type":"dhcp"} or -o ipam.type=dhcp */
static bool has_own_ipam(const struct ctl *c)
{
	const char *text;

	for (size_t i = 0; (text = option_nth(c, "opt", i)); i++)
		if (!strncmp(text, "ipam=", 5) || !strncmp(text, "ipam.type=", 10))
			return true;
	return false;
}

static bool is_static(const struct ctl *c, const char *driver)
{
	const char *text;

	for (size_t i = 0; (text = option_nth(c, "opt", i)); i++)
		if (!strcmp(text, "mode=static"))
			return !strcmp(driver, "overlay");
	return false;
}

static int check_driver(const struct ctl *c, const char *name, struct fl_error *err)
{
	const struct driver *d = find_driver(name);

	if (!d)
		return usage_error(err, "--driver: expected " DRIVERS ", not %s", name);
	/* Others have addresses of that network: which are free nobody but its owner knows. */
	if (d->lower && !option_given(c, "subnet") && !has_own_ipam(c))
		return usage_error(err,
				   "--driver %s: expected --subnet, that of the network which the "
				   "interface is on, and --ip-range with the part of it that is "
				   "free; or -o ipam.type=dhcp",
				   name);
	if (is_static(c, name) && !option_given(c, "subnet"))
		return usage_error(err,
				   "--driver overlay -o mode=static: expected --subnet, the same "
				   "on every node, and --ip-range with this node's part of it");
	return 0;
}

static int check(const struct ctl *c, const char *network, const char *driver,
		 const struct conflists *files, struct fl_error *err)
{
	const struct conflist *same = conflists_find(files, network);

	if (!fl_name_valid(network, FL_NAME_MAX))
		return usage_error(err,
				   "%.64s: expected a letter or digit, then letters, digits, '_', "
				   "'.', '-'",
				   network);
	if (check_driver(c, driver, err))
		return -EINVAL;
	if (same)
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				    "network %s exists already: %s/%s", network, c->dir,
				    same->file);
	return 0;
}

/* For all drivers but those whose addresses come from elsewhere. */
static int create(struct ctl *c, const struct conflists *files, const char *driver,
		  struct fl_error *err)
{
	AUTOSUBNETS struct subnets subnets = { 0 };
	FL_AUTOJSON json_t *list = NULL;
	char path[4400];
	int r = subnets_choose(c, files, find_driver(driver)->lower, &subnets, err);

	if (!r)
		r = build(c, c->argv[0], driver, &subnets, &list, err);
	if (!r)
		r = netfile_write(c, c->argv[0], list, path, sizeof(path), err);
	if (!r)
		r = create_show(c, list, path, err);
	if (r || c->json || c->quiet)
		return r;
	for (size_t i = 0; i < subnets.n; i++)
		printf("  subnet %s\n", fl_prefix_str(&subnets.v[i].prefix, FL_PREFIX_BUF));
	return 0;
}

int create_show(const struct ctl *c, json_t *list, const char *path, struct fl_error *err)
{
	if (c->json)
		return show_json(json_incref(list), err);
	puts(c->quiet ? c->argv[0] : path);
	return 0;
}

static int run(struct ctl *c, struct fl_error *err)
{
	const char *network = c->argv[0], *driver = option_value(c, "driver");
	AUTOCONFLISTS struct conflists files = { 0 };
	FL_AUTOCLOSE int lock = -1;
	int r = netfile_lock(c, &lock, err);

	driver = driver ? driver : "bridge";
	if (!r)
		r = conflists_read(c->dir, &files, err);
	if (!r)
		r = check(c, network, driver, &files, err);
	if (!r)
		r = netfile_may_be_made(c, &files, network, err);
	if (r)
		return r;
	if (!strcmp(driver, "overlay") && !is_static(c, driver))
		return cluster_create(c, network, err);
	return create(c, &files, driver, err);
}

static const struct option_spec options[] = {
	{ "driver", 'd', "DRIVER",
	  "bridge (the default), overlay, macvlan, ipvlan, ptp, vlan, dummy or tap",
	  "bridge|overlay|macvlan|ipvlan|ptp|vlan|dummy|tap" },
	{ "subnet", 0, "CIDR",
	  "again for more: a container has an address of each (one that is free)", NULL },
	{ "gateway", 0, "ADDRESS", "of a subnet (its first address)", NULL },
	{ "ip-range", 0, "CIDR", "the part of a subnet that containers get (all)", NULL },
	{ "ipv6", 0, NULL, "an IPv6 subnet too, a random unique local one", NULL },
	{ "internal", 0, NULL, "no way out of the network", NULL },
	{ "isolate", 0, NULL, "other networks do not reach this one, nor it them", NULL },
	{ "parent", 0, "INTERFACE",
	  "the host's interface of a macvlan, ipvlan or vlan (default route's)", NULL },
	{ "opt", 'o', "KEY=VALUE", "a key of the plugin's configuration: mtu=1400, icc=false",
	  NULL },
	{ "foreign-opt", 0, "KEY=VALUE", "a key that only other programs read, as it is", NULL },
	{ "default", 0, NULL, "even if runtimes then use it for what names no network", NULL },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl network create web", "a bridge with a free subnet, NAT and names" },
	{ "netctl network create db --internal --subnet 10.50.0.0/24", "no way out" },
	{ "netctl network create six --ipv6 -o mtu=1400",
	  "both families, and a key of the plugin" },
	{ "netctl network create lan -d macvlan --subnet 192.0.2.0/24",
	  "on the network of the default route's interface" },
	{ "netctl network create -d overlay wide", "one subnet for containers of all nodes" },
	{ 0 },
};

const struct command network_create_command = {
	.name = "network create",
	.args = "NAME",
	.about = "make a network: a configuration that every CNI runtime sees",
	.text = "Writes " CONFLIST_PREFIX "NAME.conflist. Bridge and NAT come to be when the first "
		"container is attached.\n\nWithout --subnet a free one is taken from the default "
		"pools: what routes, name servers and other networks of the host use is avoided. A "
		"macvlan, ipvlan or vlan is on a network of others, and needs its --subnet. "
		"Several --subnet, also of one family, each have their --gateway and --ip-range; "
		"an overlay of a cluster has one of each family. "
		"/etc/fairlead/netctl.json sets the pools: "
		"{\"defaultAddressPools\": [{\"base\": \"10.89.0.0/16\", \"size\": "
		"24}]}.\n\nAn overlay spans the nodes of a cluster: its agent on this node, "
		"fairlead-overlayd(8), records it in etcd and gives it a free subnet. Where "
		"another node has made one of the name, this node joins it. -o vni=, port=, mtu=, "
		"broadcast= and mode= (l2, l3) are the network's, on all nodes; -o mode=static, "
		"with "
		"peers=, needs no agent.\n\nKeys of -o are those of the plugin's manual page, and "
		"of "
		"the IPAM that ipam.type names; their values are judged before anything is "
		"written. What other programs read in the file is written by --foreign-opt, as it "
		"is.\n\nRuntimes "
		"use the first file of the folder for containers that name no network. A new "
		"network does not become that in front of somebody else's file, nor on a machine "
		"with a kubelet, unless --default is given.",
	.json = "the configuration that was written.",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 1,
	.run = run,
};
