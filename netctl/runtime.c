/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/runtime.h"

#include "netctl/kept.h"
#include "nl/virtual.h"
#include "plugin/alive.h"
#include "plugin/execute.h"

#include <errno.h>
#include <string.h>

static int set_environment(const struct ctl *c, const char *container, const char *netns,
			   const char *ifname, struct fl_error *err)
{
	if (setenv("CNI_CONTAINERID", container, 1) || setenv("CNI_NETNS", netns, 1) ||
	    setenv("CNI_IFNAME", ifname, 1) || setenv("CNI_PATH", c->path, 1) ||
	    setenv("CNI_ARGS", "", 1))
		return fl_error_oom(err);
	return 0;
}

/* ---- what each plugin gets ---- */

static json_t *child(json_t *parent, const char *key)
{
	json_t *v = json_object_get(parent, key);

	if (json_is_object(v))
		return v;
	json_object_set_new(parent, key, json_object());
	return json_object_get(parent, key);
}

/* Those of the capability arguments that the plugin declares. */
static void add_capabilities(json_t *config, json_t *args)
{
	const json_t *declared = json_object_get(config, "capabilities");
	const char *key;
	json_t *v;

	json_object_foreach (args, key, v)
		if (json_is_true(json_object_get(declared, key)))
			json_object_set(child(config, "runtimeConfig"), key, v);
}

static void add_args(json_t *config, const json_t *kept)
{
	json_t *args = child(config, "args"), *cni = child(args, "cni");
	json_t *name = json_object_get(kept, "name"), *host = json_object_get(kept, "hostname");

	if (name)
		json_object_set(cni, "name", name);
	if (host)
		json_object_set(cni, "hostname", host);
	json_object_set_new(child(args, "fairlead"), "origin", json_string("netctl"));
}

static json_t *config_of(const json_t *kept, const json_t *plugin, json_t *prev)
{
	const json_t *list = json_object_get(kept, "config");
	json_t *config = json_deep_copy(plugin);
	json_t *version = json_object_get(list, "cniVersion");

	if (!config)
		return NULL;
	if (version)
		json_object_set(config, "cniVersion", version);
	json_object_set(config, "name", json_object_get(list, "name"));
	add_capabilities(config, json_object_get(kept, "capabilityArgs"));
	add_args(config, kept);
	if (prev)
		json_object_set(config, "prevResult", prev);
	return config;
}

static int execute(struct ctl *c, const json_t *kept, size_t i, const char *command, json_t *prev,
		   json_t **ret, struct fl_error *err)
{
	const json_t *plugins = json_object_get(json_object_get(kept, "config"), "plugins");
	const json_t *plugin = json_array_get(plugins, i);
	const char *type = json_string_value(json_object_get(plugin, "type"));
	FL_AUTOJSON json_t *config = config_of(kept, plugin, prev);
	int r;

	if (!config)
		return fl_error_oom(err);
	r = fl_plugin_execute(c->path, type ? type : "", command, config, ret, err);
	if (!r && ret && !json_is_object(*ret)) {
		json_decref(fl_take_ptr(*ret));
		r = fl_error_set(err, EIO, FL_ECODE_IO, "the plugin gave no result");
	}
	return r ? fl_error_prefix(err, "%s", type ? type : "") : 0;
}

static size_t n_plugins(const json_t *kept)
{
	return json_array_size(json_object_get(json_object_get(kept, "config"), "plugins"));
}

/* Every plugin is asked, whatever the others say; the first failure is reported. */
static int delete_chain(struct ctl *c, const json_t *kept, struct fl_error *err)
{
	json_t *prev = json_object_get(kept, "result");
	struct fl_error e;
	int first = 0;

	for (size_t i = n_plugins(kept); i-- > 0;) {
		int r;

		e = (struct fl_error){ 0 };
		r = execute(c, kept, i, "DEL", prev, NULL, &e);
		if (r && !first) {
			first = r;
			if (err)
				*err = e;
		}
	}
	return first;
}

/* ---- ADD ---- */

static bool is_declared(const json_t *list, const char *capability)
{
	const json_t *plugin;
	size_t i;

	json_array_foreach(
		json_object_get(list, "plugins"), i,
		plugin) if (json_is_true(json_object_get(json_object_get(plugin, "capabilities"),
							 capability))) return true;
	return false;
}

static int check_capabilities(const struct attach *a, struct fl_error *err)
{
	const char *key;
	json_t *v;

	json_object_foreach (a->capabilities, key, v)
		if (!is_declared(a->net->json, key))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "network %s: no plugin of %s takes %s; add "
					    "\"capabilities\": {\"%s\": true} to the one that can",
					    a->net->name, a->net->file, key, key);
	return 0;
}

struct second {
	struct ctl *c;
	const struct attach *a;
	char ifname[IFNAMSIZ];
};

static int find_second(void *arg, const struct fl_endpoint *ep)
{
	struct second *s = arg;

	/* Two interfaces on one network are seldom meant; who means it names the second. */
	if (strcmp(ep->id.container, s->a->container) != 0 ||
	    (strcmp(ep->id.ifname, s->a->ifname) != 0 &&
	     (s->a->another || strcmp(ep->id.network, s->a->net->name) != 0)) ||
	    runtime_is_gone(s->c, ep))
		return 0;
	memcpy(s->ifname, ep->id.ifname, sizeof(s->ifname));
	return 1;
}

/* Under the lock; a DEL behind a refused ADD would take somebody's endpoint away. */
static int refuse_second(struct ctl *c, const struct attach *a, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct second s = { .c = c, .a = a };
	int r = ctl_store(c, false, err);

	if (r || !c->store)
		return r;
	r = fl_txn_begin(c->store, false, &t, err);
	if (!r)
		r = fl_endpoints_named(t, a->container, find_second, &s, err);
	if (r <= 0)
		return r;
	if (!strcmp(s.ifname, a->ifname))
		return fl_error_set(
			err, EEXIST, FL_ECODE_CONFLICT,
			"container %s has an interface %s on a network already; `netctl "
			"detach` it first, or choose another name by --interface",
			a->container, a->ifname);
	return fl_error_set(
		err, EEXIST, FL_ECODE_CONFLICT,
		"%s is on network %s already, by %s; --interface NAME makes another one",
		a->container, a->net->name, s.ifname);
}

static json_t *keep_of(const struct attach *a)
{
	json_t *kept = json_object();

	json_object_set(kept, "config", a->net->json);
	json_object_set_new(kept, "netns", json_string(a->netns));
	if (a->capabilities)
		json_object_set(kept, "capabilityArgs", a->capabilities);
	if (a->name)
		json_object_set_new(kept, "name", json_string(a->name));
	if (a->hostname)
		json_object_set_new(kept, "hostname", json_string(a->hostname));
	return kept;
}

static int add_chain(struct ctl *c, json_t *kept, struct fl_error *err)
{
	for (size_t i = 0; i < n_plugins(kept); i++) {
		json_t *result = NULL;
		int r = execute(c, kept, i, "ADD", json_object_get(kept, "result"), &result, err);

		if (r)
			return r;
		json_object_set_new(kept, "result", result);
	}
	return 0;
}

int runtime_attach(struct ctl *c, const struct attach *a, json_t **ret_result, struct fl_error *err)
{
	AUTOKEPT struct kept k = KEPT_NONE;
	FL_AUTOJSON json_t *kept = keep_of(a);
	int r = check_capabilities(a, err);

	if (!r)
		r = kept_lock(c, a->container, a->net->name, a->ifname, &k, err);
	if (!r)
		r = refuse_second(c, a, err);
	if (!r)
		r = set_environment(c, a->container, a->netns, a->ifname, err);
	/* Before the ADD, so that what is killed in the midst of it can be taken away by the list.
	 */
	if (!r)
		r = kept_write(&k, kept, err);
	if (r)
		return r;
	r = add_chain(c, kept, err);
	if (!r)
		r = kept_write(&k, kept, err);
	if (r) {
		delete_chain(c, kept, NULL);
		kept_remove(&k);
		return r;
	}
	*ret_result = json_incref(json_object_get(kept, "result"));
	return 0;
}

/* ---- DEL ---- */

/* A path that leads to another sandbox by now must not be given to a plugin. */
static const char *living_path(struct ctl *c, const struct fl_endpoint *ep)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;

	return ctl_sandbox(c, ep, &ns, NULL, NULL) ? "" : ep->netns;
}

int runtime_forget(struct ctl *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOJSON json_t *config = json_pack("{ss ss ss}", "cniVersion", "1.0.0", "name",
					       ep->id.network, "type", ep->id.driver);
	int r = config ? set_environment(c, ep->id.container, living_path(c, ep), ep->id.ifname,
					 err)
		       : fl_error_oom(err);

	if (r)
		return r;
	/* Leases of the in-process allocator go with the record; others have to be given back. */
	if (*ep->ipam && !*ep->pool)
		json_object_set_new(config, "ipam", json_pack("{ss}", "type", ep->ipam));
	r = fl_plugin_execute(c->path, ep->id.driver, "DEL", config, NULL, err);
	return r ? fl_error_prefix(err, "%s", ep->id.driver) : 0;
}

static int read_kept(struct ctl *c, const struct fl_endpoint *ep, struct kept *k, json_t **ret,
		     struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	const struct conflist *file;
	int r = kept_lock(c, ep->id.container, ep->id.network, ep->id.ifname, k, err);

	if (!r)
		r = kept_read(k, ret, err);
	if (r != -ENOENT)
		return r;
	r = conflists_read(c->dir, &files, err);
	file = r ? NULL : conflists_find(&files, ep->id.network);
	*ret = file ? json_pack("{sO}", "config", file->json) : json_object();
	return r;
}

/* The record as it is now, if it still is. */
static int forget_rest(struct ctl *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint now = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = ctl_store(c, false, err);

	if (!r && c->store)
		r = fl_txn_begin(c->store, false, &t, err);
	if (!r)
		r = t ? fl_endpoint_get(t, &ep->id, &now, err) : -ENOENT;
	fl_txn_abort(fl_take_ptr(t));
	return r == -ENOENT ? 0 : r ? r : runtime_forget(c, &now, err);
}

int runtime_detach(struct ctl *c, const struct attachment *a, struct fl_error *err)
{
	AUTOKEPT struct kept k = KEPT_NONE;
	FL_AUTOJSON json_t *kept = NULL;
	const struct fl_endpoint *ep = a->main;
	struct fl_error quiet = { 0 };
	int r = read_kept(c, ep, &k, &kept, err);

	if (!r)
		r = set_environment(c, ep->id.container, living_path(c, ep), ep->id.ifname, err);
	if (r)
		return r;
	/* What fails here by a configuration that has changed meanwhile goes by its record. */
	delete_chain(c, kept, &quiet);
	for (size_t i = 0; i < a->n && !r; i++)
		r = forget_rest(c, &a->first[i], err);
	if (!r)
		kept_remove(&k);
	return r;
}

bool runtime_is_gone(struct ctl *c, const struct fl_endpoint *ep)
{
	struct fl_link link;

	if (fl_alive_check(ep) || ctl_host(c, NULL))
		return false;
	if (*ep->link)
		return (ep->ifindex ? fl_link_get_index(c->host, ep->ifindex, &link, NULL)
				    : fl_link_get(c->host, ep->link, &link, NULL)) == -ENODEV;
	return ep->nsid && fl_nsid_exists(c->host, (int32_t)(ep->nsid - 1), NULL) == 0;
}
