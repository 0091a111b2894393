/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bandwidth: limits the rates of a container that another plugin attached by a veth pair (chained).
 */
#include "drivers.h"

#include "base/strbuf.h"
#include "nl/qdisc.h"
#include "plugin/shape.h"

#include <errno.h>
#include <string.h>

struct bandwidth_conf {
	struct fl_shape shape;
};

static int validate(struct fl_call *c, struct fl_error *err)
{
	struct bandwidth_conf *conf = c->conf;
	int r = fl_shape_parse(c, &conf->shape, err);

	c->idle = !r && !fl_shape_wanted(&conf->shape);
	return r;
}

/* Each end names the other one, as its namespace sees that: an index alone may be anybody's. */
static bool is_pair(struct fl_call *c, const struct fl_link *inside, const struct fl_link *host)
{
	int32_t id;

	return !strcmp(host->kind, "veth") && host->peer == inside->index &&
	       !fl_nsid_assign(c->host, c->sandbox.fd, -1, &id, NULL) && host->peer_nsid == id;
}

/* The kernel knows it whatever prevResult calls it: "veth..." of ours, "cali..." of others. */
static int find_host_end(struct fl_call *c, struct fl_link *ret, struct fl_error *err)
{
	struct fl_link inside;
	int r = fl_link_get(c->inside, c->req.ifname, &inside, err);

	if (r == -ENODEV)
		return fl_error_set(
			err, r, FL_ECODE_CONFIG,
			"prevResult: the sandbox %s has no interface %s; bandwidth goes "
			"behind the plugin that makes it",
			c->req.netns, c->req.ifname);
	if (r)
		return r;
	if (!strcmp(inside.kind, "veth") && inside.peer_nsid >= 0 &&
	    !fl_link_get_index(c->host, inside.peer, ret, NULL) && is_pair(c, &inside, ret))
		return 0;
	return fl_error_set(err, EOPNOTSUPP, FL_ECODE_CONFIG,
			    "prevResult: %s of the sandbox %s is of kind \"%s\" and has no end on "
			    "the host that could be shaped; bandwidth goes behind bridge, ptp or "
			    "another plugin that makes veth pairs",
			    c->req.ifname, c->req.netns, inside.kind);
}

/* What is there already stays, and must never come to be taken for ours. */
static int need_free(struct fl_call *c, const struct fl_link *host, uint32_t parent,
		     const char *key, struct fl_error *err)
{
	struct fl_error quiet = { 0 };
	struct fl_qdisc q;
	int r = fl_qdisc_get(c->host, host->index, parent, &q, &quiet);

	if (r == -ENOENT || (!r && !q.handle))
		return 0;
	if (r) {
		*err = quiet;
		return r;
	}
	return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
			    "%s: host interface %s has a qdisc of kind %s already, by another "
			    "plugin of the chain or another program; one of them can shape it",
			    key, host->name, q.kind);
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	const struct bandwidth_conf *conf = c->conf;
	struct fl_link host;
	int r = find_host_end(c, &host, err);

	if (!r && conf->shape.in.rate)
		r = need_free(c, &host, FL_TC_ROOT, "ingressRate", err);
	if (!r && conf->shape.out.rate)
		r = need_free(c, &host, FL_TC_INGRESS, "egressRate", err);
	if (r)
		return r;
	fl_strcpy(c->ep.link, sizeof(c->ep.link), host.name);
	c->ep.ifindex = host.index;
	fl_shape_prepare(c, &conf->shape);
	return 0;
}

static int create(struct fl_call *c, struct fl_error *err)
{
	const struct bandwidth_conf *conf = c->conf;

	return fl_shape_create(c, &conf->shape, &c->prev, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	const struct bandwidth_conf *conf = c->conf;

	return fl_shape_check(c, &conf->shape, err);
}

const struct fl_driver bandwidth_driver = {
	.type = "bandwidth",
	.about = "limits the rates of a container that another plugin attached",
	.flags = FL_DRIVER_CHAINED | FL_DRIVER_DIRECT,
	.conf_size = sizeof(struct bandwidth_conf),
	.validate = validate,
	.prepare = prepare,
	.endpoint_create = create,
	.endpoint_delete = fl_shape_delete,
	.check = check,
};
