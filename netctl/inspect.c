/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network inspect */
#include "netctl/cluster_network.h"
#include "netctl/conflist.h"
#include "netctl/network_common.h"
#include "netctl/out.h"
#include "netctl/peers.h"

#include <string.h>

static const struct column endpoint_columns[] = {
	{ "CONTAINER", "label", COLUMN_TRUNC, NULL },
	{ "INTERFACE", "interface", 0, NULL },
	{ "HOST", "hostInterface", 0, NULL },
	{ "ADDRESSES", "addresses", COLUMN_WRAP, NULL },
	{ "MAC", "mac", COLUMN_WIDE, NULL },
	{ 0 },
};

static const char *suspect_colour(const json_t *row)
{
	return json_is_true(json_object_get(row, "suspect")) ? COLOUR_WARN : NULL;
}

static const struct column peer_columns[] = {
	{ "CONTAINER", "label", COLUMN_TRUNC, NULL },
	{ "NODE", "node", COLUMN_TRUNC, NULL },
	{ "ADDRESSES", "addresses", COLUMN_WRAP, NULL },
	{ "SUSPECT", "suspect", 0, suspect_colour },
	{ "MAC", "mac", COLUMN_WIDE, NULL },
	{ 0 },
};

static const struct field fields[] = {
	{ "Name", "name", NULL },
	{ "Driver", "driver", NULL },
	{ "Plugins", "plugins", NULL },
	{ "File", "file", NULL },
	{ "Link", "link", NULL },
	{ "Parent", "parent", NULL },
	{ "Subnets", "subnets", NULL },
	{ "Gateways", "gateways", NULL },
	{ "Internal", "internal", NULL },
	{ "Isolated", "isolate", NULL },
	{ "Between endpoints", "icc", NULL },
	{ "Masquerade", "masquerade", NULL },
	{ "Guarded", "guarded", NULL },
	{ "Gateway mode", "gatewayMode", NULL },
	{ "Name service", "dns", NULL },
	CLUSTER_FIELDS,
	{ "Endpoints", "endpoints", endpoint_columns },
	{ "On other nodes", "peers", peer_columns },
	{ 0 },
};

/* As the plugin will have it; JSON's own word where it is no record yet. */
static void add_record(json_t *o, const struct fl_network *net)
{
	json_object_set_new(o, "driver", json_string(net->driver));
	json_object_set_new(o, "link", json_string(net->link));
	if (*net->parent)
		json_object_set_new(o, "parent", json_string(net->parent));
	json_object_set_new(o, "subnets", network_subnets(net));
	json_object_set_new(o, "internal", json_boolean(net->internal));
	json_object_set_new(o, "isolate", json_boolean(net->isolate));
	json_object_set_new(o, "icc", json_boolean(!net->no_icc));
	json_object_set_new(o, "masquerade", json_boolean(net->masquerade));
	json_object_set_new(o, "guarded", json_boolean(net->guarded));
	json_object_set_new(o, "gatewayMode",
			    json_string(net->gateway_mode == FL_GATEWAY_NAT ? "nat" : "routed"));
}

static void copy(json_t *o, const char *to, const json_t *from, const char *key)
{
	json_t *v = fl_json_get(from, key);

	if (v)
		json_object_set(o, to, v);
}

/* What the configuration asks for, until the first ADD makes a record. */
static void add_configuration(json_t *o, const struct conflist *f)
{
	const json_t *main = conflist_main(f);
	const json_t *masq = fl_json_get(main, "ipMasq");
	json_t *subnets = json_array(), *icc = fl_json_get(main, "icc");

	json_object_set_new(o, "driver", json_string(conflist_type(f)));
	copy(o, "link", main, "bridge");
	copy(o, "parent", main, "master");
	conflist_subnets_each(f, add_subnet, subnets);
	json_object_set_new(o, "subnets", subnets);
	json_object_set_new(o, "internal",
			    json_boolean(json_is_true(fl_json_get(main, "internal"))));
	json_object_set_new(o, "isolate", json_boolean(json_is_true(fl_json_get(main, "isolate"))));
	json_object_set_new(o, "icc", json_boolean(!icc || json_is_true(icc)));
	json_object_set_new(o, "masquerade", json_boolean(json_is_true(masq)));
	json_object_set_new(o, "guarded", json_boolean(json_is_true(fl_json_get(main, "guarded"))));
	copy(o, "gatewayMode", main, "gatewayMode");
}

static void add_file(json_t *o, const struct ctl *c, const struct conflist *f)
{
	const json_t *plugin, *dns = fl_json_get(conflist_main(f), "dns");
	json_t *plugins = json_array();
	char path[4400];
	size_t i;

	json_array_foreach(json_object_get(f->json, "plugins"), i, plugin)
		json_array_append(plugins, json_object_get(plugin, "type"));
	conflist_path(c->dir, f, path, sizeof(path));
	json_object_set_new(o, "file", json_text(path));
	json_object_set_new(o, "managed", json_boolean(f->ours));
	json_object_set_new(o, "plugins", plugins);
	json_object_set_new(o, "dns", json_boolean(json_is_true(fl_json_get(dns, "enabled"))));
	json_object_set(o, "configuration", f->json);
}

static int add_gateway(void *arg, const struct fl_ifaddr *a)
{
	if (!fl_addr_is_linklocal(&a->prefix.addr))
		json_array_append_new(arg, json_string(fl_prefix_str(&a->prefix, FL_PREFIX_BUF)));
	return 0;
}

/* Addresses of the link as they are now. */
static int add_gateways(struct ctl *c, json_t *o, struct fl_error *err)
{
	const char *name = json_string_value(json_object_get(o, "link"));
	json_t *found = json_array();
	struct fl_link link;
	int r = ctl_host(c, err);

	json_object_set_new(o, "gateways", found);
	if (!r && name && *name)
		r = fl_link_find(c->host, name, &link, err);
	else
		return r;
	json_object_set_new(o, "up", json_boolean(r > 0 && link.flags & IFF_UP));
	return r > 0 ? fl_ifaddrs_each(c->host, link.index, add_gateway, found, err) : r;
}

static json_t *endpoints_of(const struct model *m, const char *network)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->n_attachments; i++) {
		const struct attachment *a = &m->attachments[i];
		json_t *row;

		if (strcmp(a->main->id.network, network) != 0)
			continue;
		row = attachment_json(a);
		json_object_set_new(row, "label", json_string(CONTAINER_LABEL(a->main)));
		json_array_append_new(list, row);
	}
	return list;
}

static json_t *peers_json(const struct peers *p, const char *network)
{
	json_t *list = json_array();
	size_t n;
	const struct fl_peer *v = peers_of(p, network, &n);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, peer_json(&v[i]));
	return list;
}

static int inspect(struct ctl *c, const struct model *m, const struct peers *peers,
		   const struct conflists *files, const struct cluster *k, const char *network,
		   json_t **ret, struct fl_error *err)
{
	const struct fl_network *net = network_record(m, network);
	const struct conflist *file = conflists_find(files, network);
	json_t *o;
	int r = 0;

	if (!net && !file && !cluster_network(k, network))
		return conflists_get(files, c->dir, network, &file, err);
	o = json_pack("{ss}", "name", network);
	if (file)
		add_file(o, c, file);
	if (net)
		add_record(o, net);
	else if (file)
		add_configuration(o, file);
	else
		json_object_set_new(o, "driver", json_string("overlay"));
	if (!file || is_cluster_file(file))
		cluster_inspect(k, network, o);
	json_object_set_new(o, "endpoints", endpoints_of(m, network));
	json_object_set_new(o, "peers", peers_json(peers, network));
	r = add_gateways(c, o, err);
	if (r)
		json_decref(o);
	else
		*ret = o;
	return r;
}

static int run(struct ctl *c, struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	FL_AUTOJSON json_t *all = json_array();
	AUTOMODEL struct model m = { 0 };
	AUTOPEERS struct peers peers = { 0 };
	AUTOCLUSTER struct cluster k = { 0 };
	int r = conflists_read(c->dir, &files, err);

	if (!r)
		r = model_read(c, &m, err);
	if (!r)
		r = peers_read(c, &peers, err);
	if (!r)
		r = cluster_read_if(c, &k, err);
	for (int i = 0; !r && i < c->argc; i++) {
		json_t *one = NULL;

		r = inspect(c, &m, &peers, &files, &k, c->argv[i], &one, err);
		if (r)
			break;
		json_array_append(all, one);
		if (c->json) {
			json_decref(one);
			continue;
		}
		if (i)
			putchar('\n');
		r = show_object(c, one, fields, err);
	}
	return r || !c->json ? r : show_json(json_incref(all), err);
}

static const struct example examples[] = {
	{ "netctl network inspect web", "what it is, and who is attached" },
	{ "netctl network inspect web db --json", "a list of objects, with the configurations" },
	{ 0 },
};

const struct command network_inspect_command = {
	.name = "network inspect",
	.args = "NETWORK...",
	.about = "everything about networks",
	.json = "a list of objects: name, driver, link, parent, subnets (list), gateways "
		"(addresses of "
		"the link now), up, internal, isolate, icc, masquerade, guarded, gatewayMode, "
		"plugins (list), file, managed, dns, configuration (the file), endpoints (list of "
		"what endpoint ls shows), peers (containers of other nodes, where an agent tells "
		"of "
		"them: a list of: " PEER_JSON
		"); of an overlay of the cluster " CLUSTER_INSPECT_JSON ".",
	.examples = examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = -1,
	.completes = "@network",
	.run = run,
};
