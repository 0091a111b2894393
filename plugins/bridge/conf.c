/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bridge.h"

#include "base/strbuf.h"

#include <errno.h>

#define DEFAULT_BRIDGE "cni0"
#define VLAN_MAX 4094

static const char *const gateway_modes[] = {
	[FL_GATEWAY_NAT] = "nat", [FL_GATEWAY_ROUTED] = "routed", NULL
};
/* Accepted for the reference's sake; there is one backend here. */
static const char *const masq_backends[] = { "", "nftables", "iptables", NULL };

static const struct fl_field trunk_fields[] = {
	FL_F("id", INT, struct vlan_trunk, id, 0, VLAN_MAX),
	FL_F("minID", INT, struct vlan_trunk, min, 0, VLAN_MAX),
	FL_F("maxID", INT, struct vlan_trunk, max, 0, VLAN_MAX),
	{ 0 },
};

const struct fl_field bridge_fields[] = {
	FL_F("bridge", STRING, struct bridge_conf, bridge),
	FL_F("isGateway", BOOL, struct bridge_conf, is_gateway),
	FL_F("isDefaultGateway", BOOL, struct bridge_conf, is_default_gateway),
	FL_F("forceAddress", BOOL, struct bridge_conf, force_address),
	FL_F("ipMasq", BOOL, struct bridge_conf, ip_masq),
	FL_F("ipMasqBackend", ENUM, struct bridge_conf, masq_backend, .names = masq_backends),
	FL_F("mtu", INT, struct bridge_conf, mtu, 0, 65535),
	FL_F("hairpinMode", BOOL, struct bridge_conf, hairpin),
	FL_F("promiscMode", BOOL, struct bridge_conf, promisc),
	FL_F("vlan", INT, struct bridge_conf, vlan, 0, VLAN_MAX),
	FL_F("vlanTrunk", LIST, struct bridge_conf, trunk, .max = VLAN_MAX, .sub = trunk_fields,
	     .size = sizeof(struct vlan_trunk)),
	FL_F("preserveDefaultVlan", TRI, struct bridge_conf, preserve_default_vlan),
	FL_F("macspoofchk", BOOL, struct bridge_conf, spoof_check),
	FL_F("enabledad", TRI, struct bridge_conf, dad),
	FL_F("disableContainerInterface", BOOL, struct bridge_conf, no_container_up),
	FL_F("portIsolation", BOOL, struct bridge_conf, port_isolation),
	FL_F("internal", BOOL, struct bridge_conf, internal),
	FL_F("icc", TRI, struct bridge_conf, icc),
	FL_F("isolate", BOOL, struct bridge_conf, isolate),
	FL_F("guarded", BOOL, struct bridge_conf, guarded),
	FL_F("gatewayMode", ENUM, struct bridge_conf, gateway_mode, .names = gateway_modes),
	FL_F("snatAddress", JSON, struct bridge_conf, snat_json),
	{ 0 },
};

static int bad(struct fl_error *err, const char *text)
{
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s", text);
}

static int check_trunk(const struct bridge_conf *conf, struct fl_error *err)
{
	const struct vlan_trunk *t = conf->trunk.items;

	for (size_t i = 0; i < conf->trunk.n; i++) {
		if (!t[i].id && !t[i].min && !t[i].max)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "vlanTrunk[%zu]: expected id, or minID and maxID", i);
		if (!t[i].min != !t[i].max)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "vlanTrunk[%zu]: expected minID and maxID together", i);
		if (t[i].min > t[i].max)
			return fl_error_set(
				err, EINVAL, FL_ECODE_CONFIG,
				"vlanTrunk[%zu].minID: expected at most maxID (%lld), not %lld", i,
				(long long)t[i].max, (long long)t[i].min);
	}
	return 0;
}

static int take_snat(struct fl_call *c, const json_t *v, const char *path, struct fl_error *err)
{
	struct fl_addr a;

	if (!json_is_string(v))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "%s: expected an IP address, not %s", path, fl_json_kind(v));
	if (fl_addr_parse(json_string_value(v), &a))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: expected an IP address, not \"%.64s\"", path,
				    json_string_value(v));
	c->net.snat[a.family == AF_INET6] = a;
	return 0;
}

/* One address, or a list with one of each family. */
static int read_snat(struct fl_call *c, const struct bridge_conf *conf, struct fl_error *err)
{
	int r = 0;

	if (!conf->snat_json)
		return 0;
	if (!json_is_array(conf->snat_json))
		return take_snat(c, conf->snat_json, "snatAddress", err);
	for (size_t i = 0; i < json_array_size(conf->snat_json) && !r; i++)
		r = take_snat(c, json_array_get(conf->snat_json, i), "snatAddress[]", err);
	return r;
}

int bridge_validate(struct fl_call *c, struct fl_error *err)
{
	struct bridge_conf *conf = c->conf;
	int r = check_trunk(conf, err);

	if (r)
		return r;
	if (!conf->bridge || !*conf->bridge)
		conf->bridge = DEFAULT_BRIDGE;
	if (!fl_ifname_valid(conf->bridge))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "bridge: expected an interface name of 1 to 15 bytes without "
				    "'/', ':', '%%' and spaces, not \"%.64s\"",
				    conf->bridge);
	if (conf->hairpin && conf->promisc)
		return bad(err, "hairpinMode, promiscMode: expected at most one of them");
	if (conf->no_container_up && c->ipam_mode != FL_IPAM_NONE)
		return bad(err, "disableContainerInterface: cannot be used together with ipam");
	if (conf->internal && conf->is_default_gateway)
		return bad(err, "internal, isDefaultGateway: an internal network has no route out; "
				"expected at most one of them");
	if (conf->mtu && conf->mtu < 68)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "mtu: expected 0 or an integer from 68 to 65535, not %lld",
				    (long long)conf->mtu);
	conf->is_gateway |= conf->is_default_gateway;
	fl_strcpy(c->net.link, sizeof(c->net.link), conf->bridge);
	c->net.internal = conf->internal;
	c->net.no_icc = fl_json_get(c->req.config, "icc") && !conf->icc;
	c->net.isolate = conf->isolate;
	c->net.guarded = conf->guarded;
	c->net.gateway_mode = (enum fl_gateway_mode)conf->gateway_mode;
	c->net.masquerade =
		conf->ip_masq && !conf->internal && conf->gateway_mode == FL_GATEWAY_NAT;
	c->ep.spoof_check = conf->spoof_check;
	if (!fl_json_get(c->req.config, "preserveDefaultVlan"))
		conf->preserve_default_vlan = 1;
	r = read_snat(c, conf, err);
	if (!r)
		r = fl_shape_parse(c, &conf->shape, err);
	return r ? r : fl_requested_mac(c, &c->ep.mac, err);
}
