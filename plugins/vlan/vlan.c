/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vlan: an 802.1Q interface of a host interface, in the sandbox. */
#include "drivers.h"
#include "plugin/parent.h"

#include <errno.h>
#include <string.h>

struct vlan_conf {
	struct fl_parent parent;
	int64_t vid;
	json_t *vid_json;
	bool dad;
};

static const struct fl_field fields[] = {
	FL_F("master", STRING, struct vlan_conf, parent.master),
	FL_F("vlanId", INT, struct vlan_conf, vid, 0, 4094),
	FL_F("vlanId", JSON, struct vlan_conf, vid_json),
	FL_F("mtu", INT, struct vlan_conf, parent.mtu, 0, 65535),
	FL_F("linkInContainer", BOOL, struct vlan_conf, parent.in_sandbox),
	FL_F("enabledad", BOOL, struct vlan_conf, dad),
	{ 0 },
};

static int validate(struct fl_call *c, struct fl_error *err)
{
	struct vlan_conf *conf = c->conf;

	conf->parent.no_vlan = true;
	if (!conf->parent.master || !*conf->parent.master)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "master: expected the name of an interface, found none");
	if (!conf->vid_json)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "vlanId: expected an integer from 0 to 4094, found none");
	if (c->ipam_mode == FL_IPAM_NONE && c->req.verb == FL_VERB_ADD)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "ipam: expected an object with a type, found none");
	return fl_requested_mac(c, &c->ep.mac, err);
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	struct vlan_conf *conf = c->conf;

	return fl_parent_prepare(c, &conf->parent, err);
}

/* Its MAC is the master's unless one was asked for. */
static int endpoint_create(struct fl_call *c, struct fl_error *err)
{
	const struct vlan_conf *conf = c->conf;
	struct fl_vlink_spec spec = { .kind = "vlan", .vlan_id = (uint16_t)conf->vid };
	int r;

	if (c->mac_given)
		spec.mac = c->ep.mac;
	r = fl_parent_attach(c, &conf->parent, &spec, err);
	return r || !fl_mac_is_zero(&spec.mac) ? r : fl_inherited_mac(c, err);
}

static int join(struct fl_call *c, struct fl_error *err)
{
	const struct vlan_conf *conf = c->conf;

	return fl_join_interface(c, &(struct fl_join){ .dad = conf->dad }, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	struct vlan_conf *conf = c->conf;
	struct fl_link l;
	int r = fl_parent_check(c, &conf->parent, "vlan", &l, err);

	if (!r && l.vlan_id != conf->vid)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: %s has VLAN %u, not %lld", c->req.container,
				    c->req.ifname, l.vlan_id, (long long)conf->vid);
	return r ? r : fl_check_interface(c, err);
}

const struct fl_driver vlan_driver = {
	.type = "vlan",
	.about = "puts an 802.1Q VLAN of a host interface into a sandbox",
	.flags = FL_DRIVER_IPAM | FL_DRIVER_INSIDE | FL_DRIVER_DIRECT,
	.fields = fields,
	.conf_size = sizeof(struct vlan_conf),
	.validate = validate,
	.prepare = prepare,
	.endpoint_create = endpoint_create,
	.join = join,
	.endpoint_delete = fl_endpoint_delete_inside,
	.check = check,
};
