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

int fl_session_drop(struct fl_error *err)
{
	cap_value_t keep[FL_ARRAY_SIZE(needed)];
	cap_t caps = cap_init();
	int r = 0;

	for (size_t i = 0; i < FL_ARRAY_SIZE(needed); i++)
		keep[i] = needed[i].cap;
	if (!caps || cap_set_flag(caps, CAP_PERMITTED, FL_ARRAY_SIZE(keep), keep, CAP_SET) ||
	    cap_set_flag(caps, CAP_EFFECTIVE, FL_ARRAY_SIZE(keep), keep, CAP_SET) ||
	    cap_set_proc(caps))
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

int fl_session_inside(struct fl_call *c, struct fl_error *err)
{
	struct fl_error back = { 0 };
	int r, b;

	if (c->sandbox.fd < 0 || c->inside)
		return 0;
	r = fl_netns_enter(&c->sandbox, err);
	if (r)
		return r;
	r = fl_nl_open(&c->inside, err);
	b = fl_netns_enter(&c->self, &back);
	if (b)
		*err = back;
	return r ? r : b;
}

int fl_call_inside(struct fl_call *c, int (*fn)(struct fl_call *c, struct fl_error *err),
		   struct fl_error *err)
{
	struct fl_error back = { 0 };
	int r = fl_netns_enter(&c->sandbox, err), b;

	if (r)
		return r;
	r = fn(c, err);
	b = fl_netns_enter(&c->self, &back);
	if (b)
		*err = back;
	return r ? r : b;
}

void fl_call_clear(struct fl_call *c)
{
	if (c->driver->fields && c->conf)
		fl_fields_clear(c->driver->fields, c->conf);
	free(c->conf);
	for (size_t i = 0; i < c->n_evicted; i++)
		fl_endpoint_clear(&c->evicted[i]);
	free(c->evicted);
	free(c->used);
	fl_endpoint_clear(&c->ep);
	fl_ipam_conf_clear(&c->ipam);
	fl_result_clear(&c->ipam_result);
	fl_result_clear(&c->prev);
	fl_result_clear(&c->result);
	fl_dns_clear(&c->dns);
	fl_fw_close(c->fw);
	fl_store_close(c->store);
	fl_nl_close(c->dad_watch);
	fl_nl_close(c->inside);
	fl_nl_close(c->host);
	fl_netns_close(&c->sandbox);
	fl_netns_close(&c->self);
	json_decref(c->req.config);
}
