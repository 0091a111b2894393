/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The keys, and what is the same in both modes. */
#include "overlay.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

#define VXLAN_PORT 4789 /* IANA */
#define MTU_MIN 68	/* RFC 791 section 3.2 */

static const char *const mode_names[] = { "static", "etcd", NULL };
static const struct overlay_mode *const modes[] = { &overlay_static, &overlay_etcd };
static const char *const overlay_modes[] = { [FL_OVERLAY_L2] = "l2", [FL_OVERLAY_L3] = "l3", NULL };

const struct fl_field overlay_fields[] = {
	FL_F("vni", INT, struct overlay_conf, vni, 1, OVERLAY_VNI_MAX),
	FL_F("port", INT, struct overlay_conf, port, 1, UINT16_MAX),
	FL_F("mode", ENUM, struct overlay_conf, mode_number, .names = mode_names),
	FL_F("local", STRING, struct overlay_conf, local_text),
	FL_F("mtu", JSON, struct overlay_conf, mtu_json),
	FL_F("peers", JSON, struct overlay_conf, peers_json),
	FL_F("nodeAddress", JSON, struct overlay_conf, node_json),
	FL_F("subnet", JSON, struct overlay_conf, subnet_json),
	FL_F("subnets", JSON, struct overlay_conf, subnets_json),
	FL_F("ipv6", BOOL, struct overlay_conf, ipv6),
	FL_F("overlayMode", ENUM, struct overlay_conf, overlay_mode, .names = overlay_modes),
	FL_F("ipMasq", BOOL, struct overlay_conf, ip_masq),
	FL_F("internal", BOOL, struct overlay_conf, internal),
	FL_F("isolate", BOOL, struct overlay_conf, isolate),
	FL_F("guarded", BOOL, struct overlay_conf, guarded),
	FL_F("broadcast", TRI, struct overlay_conf, broadcast),
	FL_F("attachable", BOOL, struct overlay_conf, attachable),
	FL_F("encrypted", JSON, struct overlay_conf, encrypted_json),
	{ 0 },
};

int overlay_bad(struct fl_error *err, const char *text)
{
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s", text);
}

int overlay_wrong_kind(const char *path, const char *want, const json_t *v, struct fl_error *err)
{
	return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected %s, not %s", path, want,
			    fl_json_kind(v));
}

static int read_mtu(struct overlay_conf *conf, struct fl_error *err)
{
	const json_t *v = conf->mtu_json;
	json_int_t n = json_integer_value(v);

	if (!v || (json_is_string(v) && !strcmp(json_string_value(v), "auto")))
		return 0;
	if (!json_is_integer(v) && !json_is_string(v))
		return overlay_wrong_kind("mtu", "\"auto\" or an integer", v, err);
	if (!json_is_integer(v) || n < MTU_MIN || n > UINT16_MAX - (int)FL_VXLAN_OVERHEAD6)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "mtu: expected \"auto\" or an integer from %d to %d", MTU_MIN,
				    UINT16_MAX - (int)FL_VXLAN_OVERHEAD6);
	conf->mtu = (uint32_t)n;
	return 0;
}

/* A key that the other mode has: to leave it out is what its owner should know. */
int overlay_refuse_keys(const struct fl_call *c, const char *const *keys, const char *why,
			struct fl_error *err)
{
	for (; *keys; keys++) {
		const json_t *v = fl_json_get(c->req.config, *keys);

		if (v && !json_is_null(v))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s: %s", *keys, why);
	}
	return 0;
}

/* Whatever it says: a network that was meant to be secret must not be a clear one. */
static int refuse_encryption(const struct overlay_conf *conf, struct fl_error *err)
{
	const json_t *v = conf->encrypted_json;

	if (!v || json_is_null(v) || json_is_false(v))
		return 0;
	return fl_error_set(err, EOPNOTSUPP, FL_ECODE_UNSUPPORTED,
			    "encrypted: fairlead does not encrypt what goes between nodes; "
			    "expected false or nothing, and for \"local\" the address of a "
			    "WireGuard or IPsec tunnel where it has to be secret");
}

void overlay_intend(struct fl_call *c)
{
	const struct overlay_conf *conf = c->conf;

	/* Both are the network's alone: no user names them, and they go with its last endpoint. */
	fl_network_link_name(c, "flo", c->net.link);
	fl_network_link_name(c, "flx", c->net.tunnel);
	c->net.tunnel_routed = conf->routed;
	c->net.internal = conf->internal;
	c->net.isolate = conf->isolate;
	c->net.guarded = conf->guarded;
	c->net.masquerade = conf->ip_masq && !conf->internal;
}

int overlay_validate(struct fl_call *c, struct fl_error *err)
{
	struct overlay_conf *conf = c->conf;
	int r = read_mtu(conf, err);

	conf->mode = modes[conf->mode_number];
	if (!r)
		r = conf->mode->validate(c, err);
	if (!r)
		r = refuse_encryption(conf, err);
	if (r)
		return r;
	if (!conf->port)
		conf->port = VXLAN_PORT;
	overlay_intend(c);
	return fl_requested_mac(c, &c->ep.mac, err);
}

void overlay_clear(struct fl_call *c)
{
	struct overlay_conf *conf = c->conf;

	free(conf->peers);
	conf->peers = NULL;
	overlay_agent_free(conf->agent);
	conf->agent = NULL;
}
