/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Namespaces, sockets, store and privileges of one call. */
#include "plugin/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/capability.h>

static const struct {
	cap_value_t cap;
	const char *name, *why;
} needed[] = {
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN", "to create interfaces and rules" },
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "to enter the sandbox" },
};

static int check_caps(cap_t caps, struct fl_error *err)
{
	cap_flag_value_t has;

	for (size_t i = 0; i < FL_ARRAY_SIZE(needed); i++)
		if (!cap_get_flag(caps, needed[i].cap, CAP_EFFECTIVE, &has) && has != CAP_SET)
			return fl_error_set(err, EPERM, FL_ECODE_PRIVILEGE,
					    "%s is missing: it is needed %s", needed[i].name,
					    needed[i].why);
	return 0;
}

/* For the namespace of another user's process, or one below a private folder. */
static const cap_value_t finding[] = { CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH };

static int keep_of(const struct fl_call *c, cap_value_t *keep)
{
	bool removes = c->req.verb == FL_VERB_DEL || c->req.verb == FL_VERB_GC;
	/* A cable leads to a second sandbox, which is found by its record also when it is laid. */
	bool cable = c->wholly_inside && !(c->driver->flags & FL_DRIVER_INSIDE);
	bool finds = c->driver->flags & FL_DRIVER_SHARES || cable || (c->wholly_inside && removes);
	cap_t now = finds ? cap_get_proc() : NULL;
	cap_flag_value_t has;
	int n = 0;

	for (size_t i = 0; i < FL_ARRAY_SIZE(needed); i++)
		keep[n++] = needed[i].cap;
	for (size_t i = 0; now && i < FL_ARRAY_SIZE(finding); i++)
		if (!cap_get_flag(now, finding[i], CAP_PERMITTED, &has) && has == CAP_SET)
			keep[n++] = finding[i];
	cap_free(now);
	return n;
}

int fl_session_drop(const struct fl_call *c, struct fl_error *err)
{
	cap_value_t keep[FL_ARRAY_SIZE(needed) + FL_ARRAY_SIZE(finding)];
	cap_t caps = cap_init();
	int r = 0, n = keep_of(c, keep);

	if (!caps || cap_set_flag(caps, CAP_PERMITTED, n, keep, CAP_SET) ||
	    cap_set_flag(caps, CAP_EFFECTIVE, n, keep, CAP_SET) || cap_set_proc(caps))
		r = fl_error_errno(err, errno, FL_ECODE_PRIVILEGE, "cannot drop capabilities");
	cap_free(caps);
	return r;
}

/* Opens what CNI_NETNS names. Absence is an error for ADD and CHECK only. */
static int open_sandbox(struct fl_call *c, struct fl_error *err)
{
	bool must = c->req.verb == FL_VERB_ADD || c->req.verb == FL_VERB_CHECK;
	const char *override = getenv("CNI_NETNS_OVERRIDE");
	struct fl_error quiet = { 0 };
	int r;

	if (!*c->req.netns)
		return 0;
	r = fl_netns_open(c->req.netns, &c->self, &c->sandbox, &quiet);
	if (r && must) {
		*err = quiet;
		return fl_error_prefix(err, "CNI_NETNS");
	}
	if (c->driver->flags & FL_DRIVER_HOST)
		return r || !must || fl_netns_same(&c->self, &c->sandbox)
			       ? 0
			       : fl_error_set(
					 err, EINVAL, FL_ECODE_NETNS,
					 "CNI_NETNS: %s is a namespace of its own; the network "
					 "\"%s\" is the host's, and its containers have the "
					 "host's namespace",
					 c->req.netns, c->req.network);
	if (r || !fl_netns_same(&c->self, &c->sandbox))
		return 0;
	if (!must) {
		/* The path leads to ourselves by now: the sandbox is gone. */
		fl_netns_close(&c->sandbox);
		return 0;
	}
	if (override && (!strcmp(override, "1") || !strcmp(override, "true")))
		return 0;
	return fl_error_set(
		err, EINVAL, FL_ECODE_NETNS,
		"CNI_NETNS: %s is the plugin's own network namespace; a container's was expected",
		c->req.netns);
}

int fl_session_open(struct fl_call *c, struct fl_error *err)
{
	bool ipam = c->driver->flags & FL_DRIVER_IS_IPAM;
	cap_t caps = ipam ? NULL : cap_get_proc();
	int r = caps ? check_caps(caps, err) : 0;

	cap_free(caps);
	if (!r)
		r = fl_netns_self(&c->self, err);
	/* An IPAM executable touches no namespace. */
	if (!r && !ipam)
		r = open_sandbox(c, err);
	return r;
}

int fl_session_store(struct fl_call *c, struct fl_error *err)
{
	const json_t *configured = fl_json_get(c->req.config, "stateDir");
	char dir[4096];
	int r;

	if (configured && !json_is_string(configured))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "stateDir: expected a string, not %s",
				    fl_json_kind(configured));
	r = fl_store_dir(json_string_value(configured), c->self.cookie, dir, sizeof(dir), err);
	return r ? r : fl_store_open(dir, &c->store, err);
}

static int run_in(struct fl_call *c, const struct fl_netns *ns,
		  int (*fn)(struct fl_call *c, void *arg, struct fl_error *err), void *arg,
		  struct fl_error *err)
{
	struct fl_error back = { 0 };
	int r = fl_netns_enter(ns, err), b;

	if (r)
		return r;
	r = fn(c, arg, err);
	b = fl_netns_enter(&c->self, &back);
	/* What this call made is taken away again now, from here: once more, should memory have
	 * been short, or the host's rules would be looked for in the sandbox. */
	if (b)
		fl_netns_enter(&c->self, NULL);
	if (b && err)
		*err = back;
	return r < 0 ? r : b ? b : r;
}

static int open_route_socket(struct fl_call *c, void *arg, struct fl_error *err)
{
	(void)c;
	return fl_nl_open(arg, err);
}

int fl_session_inside(struct fl_call *c, struct fl_error *err)
{
	if (c->sandbox.fd < 0 || c->inside)
		return 0;
	return run_in(c, &c->sandbox, open_route_socket, &c->inside, err);
}

struct plain {
	int (*fn)(struct fl_call *c, struct fl_error *err);
};

static int call_plain(struct fl_call *c, void *arg, struct fl_error *err)
{
	return ((struct plain *)arg)->fn(c, err);
}

int fl_call_inside(struct fl_call *c, int (*fn)(struct fl_call *c, struct fl_error *err),
		   struct fl_error *err)
{
	return run_in(c, &c->sandbox, call_plain, &(struct plain){ fn }, err);
}

/* ---- the sandbox of a record ---- */

void fl_sandbox_close(struct fl_sandbox *s)
{
	if (!s->borrowed) {
		fl_nl_close(s->nl);
		fl_netns_close(&s->ns);
	}
	*s = (struct fl_sandbox){ .ns = FL_NETNS_NONE };
}

int fl_sandbox_open(struct fl_call *c, const struct fl_endpoint *ep, struct fl_sandbox *ret,
		    struct fl_error *err)
{
	struct fl_netns recorded = { -1, ep->cookie, ep->dev, ep->ino };
	struct fl_sandbox s = { .ns = FL_NETNS_NONE };
	int r;

	if (c->sandbox.fd >= 0 && fl_netns_same(&c->sandbox, &recorded)) {
		*ret = (struct fl_sandbox){ c->sandbox, c->inside, true };
		return 0;
	}
	/* The host's own one it can only be by CNI_NETNS_OVERRIDE at ADD. */
	r = fl_netns_reopen(ep->netns, &recorded, &c->self, &s.ns, err);
	if (r)
		return r;
	r = run_in(c, &s.ns, open_route_socket, &s.nl, err);
	if (r)
		fl_sandbox_close(&s);
	else
		*ret = s;
	return r;
}

int fl_sandbox_run(struct fl_call *c, const struct fl_sandbox *s,
		   int (*fn)(struct fl_call *c, void *arg, struct fl_error *err), void *arg,
		   struct fl_error *err)
{
	return run_in(c, &s->ns, fn, arg, err);
}

void fl_call_clear(struct fl_call *c)
{
	if (c->driver->clear && c->conf)
		c->driver->clear(c);
	if (c->driver->fields && c->conf)
		fl_fields_clear(c->driver->fields, c->conf);
	free(c->conf);
	for (size_t i = 0; i < c->n_evicted; i++)
		fl_endpoint_clear(&c->evicted[i]);
	free(c->evicted);
	fl_used_clear(&c->used);
	fl_endpoint_clear(&c->ep);
	json_decref(c->memo);
	fl_static_conf_clear(&c->fixed);
	fl_ipam_conf_clear(&c->ipam);
	fl_result_clear(&c->ipam_result);
	fl_result_clear(&c->prev);
	fl_result_clear(&c->result);
	fl_dns_clear(&c->dns);
	fl_resolver_clear(&c->resolver);
	fl_fw_close(c->fw);
	fl_store_close(c->store);
	fl_nl_close(c->addr_watch);
	fl_nl_close(c->near_watch);
	fl_nl_close(c->inside);
	fl_nl_close(c->host);
	fl_netns_close(&c->sandbox);
	fl_netns_close(&c->self);
	json_decref(c->req.config);
}
