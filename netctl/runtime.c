/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/runtime.h"

#include "base/strbuf.h"
#include "netctl/kept.h"
#include "nl/virtual.h"
#include "plugin/alive.h"
#include "plugin/execute.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
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

static const char *type_of(const json_t *kept, size_t i)
{
	const json_t *plugins = json_object_get(json_object_get(kept, "config"), "plugins");

	return json_string_value(json_object_get(json_array_get(plugins, i), "type"));
}

/* One of the suite's: it leaves nothing behind a failed ADD, and has a record of what it did. */
static bool is_ours(const struct ctl *c, const char *type)
{
	char file[4096], real[PATH_MAX];
	const char *name;

	if (!type || fl_plugin_find(c->path, type, file, sizeof(file), NULL) ||
	    !realpath(file, real))
		return false;
	name = strrchr(real, '/');
	return name && !strcmp(name, "/fairlead");
}

/*
 * DEL of the first n plugins, the last one first. Each is asked, whatever the others say; the first
 * failure is reported, but for those of our own: what they do not delete by a configuration that
 * changed meanwhile goes by their records.
 */
static int delete_chain(struct ctl *c, const json_t *kept, size_t n, struct fl_error *err)
{
	json_t *prev = json_object_get(kept, "result");
	int first = 0;

	while (n-- > 0) {
		struct fl_error e = { 0 };
		int r = execute(c, kept, n, "DEL", prev, NULL, &e);

		if (!r || first || is_ours(c, type_of(kept, n)))
			continue;
		first = r;
		if (err)
			*err = e;
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
	const char *ifname; /* "": of this network, by whatever name */
	char found[IFNAMSIZ];
};

static int find_second(void *arg, const struct fl_endpoint *ep)
{
	struct second *s = arg;

	if (strcmp(ep->id.container, s->a->container) != 0 ||
	    (*s->ifname ? strcmp(ep->id.ifname, s->ifname)
			: strcmp(ep->id.network, s->a->net->name)) ||
	    runtime_is_gone(s->c, ep))
		return 0;
	memcpy(s->found, ep->id.ifname, sizeof(s->found));
	return 1;
}

/* 1: the container has such an attachment, s->found; 0: it has not. */
static int has_attachment(struct second *s, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = ctl_store(s->c, false, err);

	if (r || !s->c->store)
		return r;
	r = fl_txn_begin(s->c->store, false, &t, err);
	return r ? r : fl_endpoints_named(t, s->a->container, find_second, s, err);
}

/* Two interfaces on one network are seldom meant; who means it names the second. */
static int refuse_second(struct ctl *c, const struct attach *a, struct fl_error *err)
{
	struct second s = { .c = c, .a = a, .ifname = "" };
	int r = a->ifname ? 0 : has_attachment(&s, err);

	if (r <= 0)
		return r;
	return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
			    "%s is on network %s already, by %s; ports, names and addresses are "
			    "fixed when it is "
			    "attached: detach it first (or --interface NAME for another interface)",
			    a->container, a->net->name, s.found);
}

/* 1: recorded, or there in the sandbox, whoever made it. */
static int is_taken(struct ctl *c, const struct attach *a, struct fl_nl *nl, const char *name,
		    struct fl_error *err)
{
	struct second s = { .c = c, .a = a, .ifname = name };
	struct fl_link link;
	int r = has_attachment(&s, err);

	return r ? r : fl_link_find(nl, name, &link, err);
}

/*
 * The one that was asked for, or the first free ethN. Under the container's lock: a DEL behind a
 * refused ADD would take away what somebody else has under this name.
 */
static int choose_interface(struct ctl *c, const struct attach *a, char *ret, struct fl_error *err)
{
	FL_AUTONL struct fl_nl *nl = NULL;
	int r = ctl_nl_in(c, a->sandbox, &nl, err);

	if (!r && a->ifname) {
		fl_strcpy(ret, IFNAMSIZ, a->ifname);
		r = is_taken(c, a, nl, ret, err);
		return r <= 0 ? r
			      : fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
					     "container %s has an interface %s already; `netctl "
					     "detach` it first, or choose another name by "
					     "--interface",
					     a->container, ret);
	}
	for (unsigned i = 0; !r && i < 1000; i++) {
		snprintf(ret, IFNAMSIZ, "eth%u", i);
		r = is_taken(c, a, nl, ret, err);
		if (r <= 0)
			return r;
		r = 0;
	}
	return r ? r
		 : fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				"container %s: no free interface name; give one by --interface",
				a->container);
}

/* As a string: JSON's numbers are not made for 64 bits. */
static json_t *cookie_json(uint64_t cookie)
{
	return json_sprintf("%" PRIu64, cookie);
}

static json_t *keep_of(const struct attach *a)
{
	json_t *kept = json_object();

	json_object_set(kept, "config", a->net->json);
	json_object_set_new(kept, "netns", json_string(a->netns));
	json_object_set_new(kept, "cookie", cookie_json(a->sandbox->cookie));
	if (a->capabilities)
		json_object_set(kept, "capabilityArgs", a->capabilities);
	if (a->name)
		json_object_set_new(kept, "name", json_string(a->name));
	if (a->hostname)
		json_object_set_new(kept, "hostname", json_string(a->hostname));
	return kept;
}

/* *ret_n is how many plugins have succeeded. */
static int add_chain(struct ctl *c, json_t *kept, size_t *ret_n, struct fl_error *err)
{
	for (*ret_n = 0; *ret_n < n_plugins(kept); ++*ret_n) {
		json_t *result = NULL;
		int r = execute(c, kept, *ret_n, "ADD", json_object_get(kept, "result"), &result,
				err);

		if (r)
			return r;
		json_object_set_new(kept, "result", result);
	}
	return 0;
}

/* One of ours that was killed in the midst of its ADD has left its record. */
static int forget_own(struct ctl *c, const struct fl_endpoint_id *id, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = ctl_store(c, false, err);

	if (r || !c->store)
		return r;
	r = fl_txn_begin(c->store, false, &t, err);
	if (!r)
		r = fl_endpoint_get(t, id, &ep, err);
	fl_txn_abort(fl_take_ptr(t));
	if (r || ep.origin != FL_ORIGIN_NETCTL)
		return r == -ENOENT ? 0 : r;
	return runtime_forget(c, &ep, err);
}

/*
 * The plugin whose ADD failed. One of ours has cleaned up, and what is there under this name may be
 * another runtime's, which came first; one that is not there has done nothing.
 */
static int undo_failed(struct ctl *c, const struct attach *a, const json_t *kept,
		       const char *ifname, size_t n, struct fl_error *err)
{
	const char *type = type_of(kept, n);
	struct fl_endpoint_id id = { .network = "" };
	char file[4096];
	int r;

	if (!is_ours(c, type))
		return fl_plugin_find(c->path, type, file, sizeof(file), NULL)
			       ? 0
			       : execute(c, kept, n, "DEL", NULL, NULL, err);
	fl_strcpy(id.network, sizeof(id.network), a->net->name);
	fl_strcpy(id.container, sizeof(id.container), a->container);
	fl_strcpy(id.ifname, sizeof(id.ifname), ifname);
	fl_strcpy(id.driver, sizeof(id.driver), type);
	r = forget_own(c, &id, err);
	return r ? r : set_environment(c, a->container, a->netns, ifname, err);
}

/* What succeeded is deleted whatever becomes of the rest; the file stays when something failed. */
static void roll_back(struct ctl *c, const struct attach *a, struct kept *k, const json_t *kept,
		      const char *ifname, size_t n)
{
	struct fl_error e = { 0 };
	int r = n < n_plugins(kept) ? undo_failed(c, a, kept, ifname, n, &e) : 0;
	int rest = delete_chain(c, kept, n, r ? NULL : &e);

	if (!r && !rest)
		kept_remove(k);
	else
		remark(c, "%s; `netctl detach %s %s` tries again", e.text, a->net->name,
		       a->container);
}

int runtime_attach(struct ctl *c, const struct attach *a, json_t **ret_result, char *ret_ifname,
		   struct fl_error *err)
{
	AUTOKEPT struct kept k = KEPT_NONE;
	FL_AUTOJSON json_t *kept = keep_of(a);
	char ifname[IFNAMSIZ] = "";
	size_t n;
	int r = check_capabilities(a, err);

	if (!r)
		r = kept_lock(c, a->container, &k, err);
	if (!r)
		r = refuse_second(c, a, err);
	if (!r)
		r = choose_interface(c, a, ifname, err);
	if (!r)
		r = set_environment(c, a->container, a->netns, ifname, err);
	if (r)
		return r;
	kept_choose(&k, a->net->name, ifname);
	/* Before the ADD, so that what is killed in the midst of it can be taken away by the list.
	 */
	r = kept_write(&k, kept, err);
	if (r)
		return r;
	r = add_chain(c, kept, &n, err);
	if (!r)
		r = kept_write(&k, kept, err);
	if (r) {
		roll_back(c, a, &k, kept, ifname, n);
		return r;
	}
	*ret_result = json_incref(json_object_get(kept, "result"));
	fl_strcpy(ret_ifname, IFNAMSIZ, ifname);
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

static bool same_cookie(const json_t *kept, uint64_t cookie)
{
	FL_AUTOJSON json_t *wanted = cookie_json(cookie);

	return json_equal(json_object_get(kept, "cookie"), wanted);
}

/* What was kept, if it is of this very attachment; else the list in the folder; else nothing. */
static int read_kept(struct ctl *c, const struct fl_endpoint *ep, struct kept *k, json_t **ret,
		     struct fl_error *err)
{
	AUTOCONFLISTS struct conflists files = { 0 };
	FL_AUTOJSON json_t *kept = NULL;
	const struct conflist *file;
	int r = kept_lock(c, ep->id.container, k, err);

	if (r)
		return r;
	kept_choose(k, ep->id.network, ep->id.ifname);
	r = kept_read(k, &kept, err);
	if (r && r != -ENOENT)
		return r;
	if (!r && ep->origin == FL_ORIGIN_NETCTL && same_cookie(kept, ep->cookie)) {
		*ret = fl_take_ptr(kept);
		return 0;
	}
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

int runtime_detach(struct ctl *c, const struct attachment *a, bool force, struct fl_error *err)
{
	AUTOKEPT struct kept k = KEPT_NONE;
	FL_AUTOJSON json_t *kept = NULL;
	const struct fl_endpoint *ep = a->main;
	struct fl_error e = { 0 };
	int r = read_kept(c, ep, &k, &kept, err), failed;

	if (!r)
		r = set_environment(c, ep->id.container, living_path(c, ep), ep->id.ifname, err);
	if (r)
		return r;
	failed = delete_chain(c, kept, n_plugins(kept), &e);
	for (size_t i = 0; i < a->n && !r; i++)
		r = forget_rest(c, &a->first[i], err);
	if (!r && failed && !force)
		return fl_error_set(err, failed, e.code,
				    "%s; the rest is gone, and the next detach tries it again; "
				    "--force gives it up",
				    e.text);
	if (!r)
		kept_remove(&k);
	return r;
}

/* The path that was kept, if it still leads to that namespace. */
static const char *kept_path(struct ctl *c, const json_t *kept)
{
	const char *path = json_string_value(json_object_get(kept, "netns"));
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;

	if (!path || ctl_self(c, NULL) || fl_netns_open(path, &c->self, &ns, NULL))
		return "";
	return same_cookie(kept, ns.cookie) ? path : "";
}

struct unrecorded {
	struct ctl *c;
	const char *container, *network, *ifname;
	bool force;
	json_t *list;
	struct fl_error *err;
};

static int detach_unrecorded(void *arg, struct kept *k, const char *network, const char *ifname)
{
	struct unrecorded *u = arg;
	FL_AUTOJSON json_t *kept = NULL;
	int r;

	if ((u->network && strcmp(network, u->network) != 0) ||
	    (u->ifname && strcmp(ifname, u->ifname) != 0))
		return 0;
	r = kept_read(k, &kept, u->err);
	if (r == -ENOENT)
		return 0;
	if (!r)
		r = set_environment(u->c, u->container, kept_path(u->c, kept), ifname, u->err);
	if (!r)
		r = delete_chain(u->c, kept, n_plugins(kept), u->err);
	if (r && !u->force)
		return r;
	kept_remove(k);
	return json_array_append_new(u->list, json_pack("{ss ss ss}", "container", u->container,
							"network", network, "interface", ifname));
}

int runtime_detach_unrecorded(struct ctl *c, const char *container, const char *network,
			      const char *ifname, bool force, json_t *list, struct fl_error *err)
{
	AUTOKEPT struct kept k = KEPT_NONE;
	struct unrecorded u = { .c = c,
				.container = container,
				.network = network,
				.ifname = ifname,
				.force = force,
				.list = list,
				.err = err };
	int r = fl_name_valid(container, FL_NAME_MAX) ? kept_lock(c, container, &k, err) : -ENOENT;

	if (r)
		return r == -ENOENT ? 0 : r;
	return kept_each(&k, detach_unrecorded, &u);
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
