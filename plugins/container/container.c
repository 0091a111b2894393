/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * container: joins the sandbox of a container that is attached already. Nothing is made in it; the
 * record says who shares, so that the owner's DEL can tell, and a sharer's DEL touches nothing.
 */
#include "drivers.h"

#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

struct container_conf {
	const char *container;
	bool remount;
	struct fl_endpoint_id owner;
};

static const struct fl_field fields[] = {
	FL_F("container", STRING, struct container_conf, container, .max = FL_HOSTNAME_MAX),
	FL_F("remount", BOOL, struct container_conf, remount),
	{ 0 },
};

static int refuse(const struct fl_call *c, const char *key, struct fl_error *err)
{
	const struct container_conf *conf = c->conf;

	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
			    "%s: a container that shares the sandbox of \"%s\" has that one's "
			    "interfaces, addresses and ports, none of its own",
			    key, conf->container);
}

static int validate(struct fl_call *c, struct fl_error *err)
{
	const struct container_conf *conf = c->conf;
	const json_t *ips = fl_config_get(c, "runtimeConfig", "ips", NULL);
	struct fl_mac mac = { 0 };
	int r = fl_requested_mac(c, &mac, err);

	if (r || c->req.verb != FL_VERB_ADD)
		return r;
	if (!conf->container || !*conf->container)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "container: expected the id or name of an attached container, "
				    "found none");
	if (c->ep.n_ports)
		return refuse(c, "runtimeConfig.portMappings", err);
	if (!fl_mac_is_zero(&mac))
		return refuse(c, "runtimeConfig.mac", err);
	if (json_array_size(ips) || *c->req.args_ip)
		return refuse(c, "runtimeConfig.ips", err);
	return fl_json_get(c->req.config, "ipam") ? refuse(c, "ipam", err) : 0;
}

/* ---- whose ---- */

struct search {
	struct fl_call *c;
	bool known;
	struct fl_endpoint found; /* without its ports */
};

/* A sharer's own record leads to the same sandbox, and no interface. */
static int take(void *arg, const struct fl_endpoint *ep)
{
	struct search *s = arg;

	if (*ep->shares || ep->state != FL_STATE_READY)
		return 0;
	s->known = true;
	s->found = *ep;
	s->found.ports = NULL;
	s->found.n_ports = 0;
	/* One in this very sandbox, if the container has several. */
	return ep->cookie == s->c->sandbox.cookie;
}

static int find_owner(struct fl_call *c, struct fl_endpoint *ret, struct fl_error *err)
{
	const struct container_conf *conf = c->conf;
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct search s = { .c = c };
	int r = fl_txn_begin(c->store, false, &t, err);

	if (!r)
		r = fl_endpoints_named(t, conf->container, take, &s, err);
	if (r < 0)
		return r;
	if (!s.known)
		return fl_error_set(err, ENOENT, FL_ECODE_UNKNOWN_CONTAINER,
				    "container: no container with the id or name \"%s\" is "
				    "attached to a fairlead network",
				    conf->container);
	*ret = s.found;
	return 0;
}

/* ---- remount: the caller's path becomes another way to the owner's sandbox ---- */

static int open_entry(int folder, const char *name)
{
	return openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int bind_over(int from, int to)
{
	char source[64], target[64];

	snprintf(source, sizeof(source), "/proc/self/fd/%d", from);
	snprintf(target, sizeof(target), "/proc/self/fd/%d", to);
	return mount(source, target, NULL, MS_BIND, NULL) ? -errno : 0;
}

/*
 * The path may be changed by others meanwhile: its folder is held open, and what is unmounted is
 * the very entry that was seen to be CNI_NETNS.
 */
static int replace(struct fl_call *c, int with, struct fl_error *err)
{
	const char *slash = strrchr(c->req.netns, '/'), *name = slash ? slash + 1 : c->req.netns;
	FL_AUTOFREE char *folder =
		strndup(c->req.netns, slash ? (size_t)(slash - c->req.netns) : 0);
	FL_AUTOCLOSE int dir = -1, entry = -1, bare = -1;
	char path[64];
	struct stat st;
	int r;

	if (!folder)
		return fl_error_oom(err);
	dir = open(slash ? (*folder ? folder : "/") : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	entry = dir < 0 ? -1 : open_entry(dir, name);
	if (entry < 0 || fstat(entry, &st) || st.st_ino != c->sandbox.ino ||
	    st.st_dev != c->sandbox.dev)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "remount: CNI_NETNS %s is no file of a namespace",
				    c->req.netns);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", entry);
	if (umount2(path, MNT_DETACH))
		return fl_error_errno(err, errno, FL_ECODE_CONFIG,
				      "remount: CNI_NETNS %s is no mount point", c->req.netns);
	bare = open_entry(dir, name);
	r = bare < 0 ? -errno : bind_over(with, bare);
	if (!r)
		return 0;
	if (bare >= 0)
		(void)bind_over(c->sandbox.fd, bare); /* as it was */
	return fl_error_errno(err, r, FL_ECODE_KERNEL, "remount: %s", c->req.netns);
}

static int remount(struct fl_call *c, const struct fl_endpoint *owner, struct fl_error *err)
{
	FL_AUTOSANDBOX struct fl_sandbox s = { .ns = FL_NETNS_NONE };
	int r = fl_sandbox_open(c, owner, &s, err);

	if (r == -ENOENT)
		return fl_error_set(err, r, FL_ECODE_UNKNOWN_CONTAINER,
				    "container: the sandbox of \"%s\" is gone, or its path %s "
				    "cannot be opened",
				    owner->id.container, owner->netns);
	if (r)
		return r;
	if (fl_netns_in_use(&c->sandbox))
		return fl_error_set(err, EBUSY, FL_ECODE_CONFIG,
				    "remount: processes run in %s already; expected a fresh "
				    "namespace",
				    c->req.netns);
	return replace(c, s.ns.fd, err);
}

static bool same_sandbox(const struct fl_call *c, const struct fl_endpoint *owner)
{
	struct fl_netns recorded = { -1, owner->cookie, owner->dev, owner->ino };

	return fl_netns_same(&recorded, &c->sandbox);
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	struct container_conf *conf = c->conf;
	struct fl_endpoint owner;
	int r = find_owner(c, &owner, err);

	if (r)
		return r;
	if (!same_sandbox(c, &owner) && !conf->remount)
		return fl_error_set(err, EINVAL, FL_ECODE_NETNS,
				    "CNI_NETNS: %s is not the sandbox of \"%s\"; give that "
				    "container's (%s), or set remount",
				    c->req.netns, conf->container, owner.netns);
	conf->owner = owner.id;
	c->ep.cookie = owner.cookie;
	c->ep.dev = owner.dev;
	c->ep.ino = owner.ino;
	fl_strcpy(c->ep.shares, sizeof(c->ep.shares), owner.id.container);
	return 0;
}

static int enter(struct fl_call *c, struct fl_error *err)
{
	struct fl_endpoint owner;
	int r = find_owner(c, &owner, err);

	return r || same_sandbox(c, &owner) ? r : remount(c, &owner, err);
}

/* ---- what the owner has there ---- */

static int add_interface(void *arg, const struct fl_endpoint *ep)
{
	struct fl_call *c = arg;
	int i;

	if (ep->state != FL_STATE_READY || ep->cookie != c->ep.cookie || *ep->shares)
		return 0;
	/* Chained plugins have records of the same interface. */
	for (size_t k = 0; k < c->result.n_interfaces; k++)
		if (!strcmp(c->result.interfaces[k].name, ep->id.ifname))
			return 0;
	i = fl_result_add_interface(&c->result, ep->id.ifname,
				    fl_mac_is_zero(&ep->mac) ? NULL : &ep->mac, c->req.netns, 0);
	for (uint32_t k = 0; i >= 0 && k < ep->n_addrs && c->result.n_ips < FL_RESULT_IPS; k++)
		c->result.ips[c->result.n_ips++] =
			(struct fl_result_ip){ .address = ep->addrs[k], .interface = i };
	return 0;
}

static int report(struct fl_call *c, struct fl_error *err)
{
	const struct container_conf *conf = c->conf;
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_txn_begin(c->store, false, &t, err);

	return r ? r : fl_endpoints_named(t, conf->owner.container, add_interface, c, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	struct fl_endpoint owner = { 0 };

	if (find_owner(c, &owner, err) || owner.cookie != c->ep.cookie)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: the container whose sandbox it shares (%s) is "
				    "attached no more",
				    c->req.container, c->ep.shares);
	return 0;
}

const struct fl_driver container_driver = {
	.type = "container",
	.about = "shares the sandbox of another container",
	.flags = FL_DRIVER_PORTS | FL_DRIVER_DIRECT | FL_DRIVER_KEEPS_LINK | FL_DRIVER_SHARES,
	.fields = fields,
	.conf_size = sizeof(struct container_conf),
	.validate = validate,
	.prepare = prepare,
	.endpoint_create = enter,
	.join = report,
	.check = check,
};
