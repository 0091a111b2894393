/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

#define VNI_MAX 16777215
#define VXLAN_PORT 4789 /* IANA */
#define MTU_MIN 68	/* RFC 791 section 3.2 */

enum { MODE_STATIC, MODE_ETCD };
static const char *const modes[] = { [MODE_STATIC] = "static", [MODE_ETCD] = "etcd", NULL };

const struct fl_field overlay_fields[] = {
	FL_F("vni", INT, struct overlay_conf, vni, 1, VNI_MAX),
	FL_F("port", INT, struct overlay_conf, port, 1, UINT16_MAX),
	FL_F("mode", ENUM, struct overlay_conf, mode, .names = modes),
	FL_F("local", STRING, struct overlay_conf, local_text),
	FL_F("mtu", JSON, struct overlay_conf, mtu_json),
	FL_F("peers", JSON, struct overlay_conf, peers_json),
	FL_F("nodeAddress", JSON, struct overlay_conf, node_json),
	FL_F("ipMasq", BOOL, struct overlay_conf, ip_masq),
	FL_F("internal", BOOL, struct overlay_conf, internal),
	FL_F("isolate", BOOL, struct overlay_conf, isolate),
	FL_F("guarded", BOOL, struct overlay_conf, guarded),
	FL_F("broadcast", TRI, struct overlay_conf, broadcast),
	FL_F("attachable", BOOL, struct overlay_conf, attachable),
	{ 0 },
};

/* An object of `peers`. */
struct raw_peer {
	struct fl_addr vtep;
	json_t *node_json;
};

static const struct fl_field peer_fields[] = {
	FL_F("vtep", ADDR, struct raw_peer, vtep),
	FL_F("nodeAddress", JSON, struct raw_peer, node_json),
	{ 0 },
};

static int bad(struct fl_error *err, const char *text)
{
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s", text);
}

static int wrong_kind(const char *path, const char *want, const json_t *v, struct fl_error *err)
{
	return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected %s, not %s", path, want,
			    fl_json_kind(v));
}

static int check_vtep(const struct fl_addr *a, const char *path, struct fl_error *err)
{
	if (!fl_addr_is_set(a) || fl_addr_is_any(a) || fl_addr_is_loopback(a) ||
	    fl_addr_is_multicast(a))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: expected the unicast address of a node%s%s", path,
				    fl_addr_is_set(a) ? ", not " : "", fl_addr_str(a, FL_ADDR_BUF));
	return 0;
}

/* ---- nodeAddress ---- */

static int take_node(const json_t *v, const char *path, struct overlay_nodes *node,
		     struct fl_error *err)
{
	static const char want[] = "an address with the subnet's prefix length, such as "
				   "\"10.5.255.1/16\"";
	struct fl_prefix p, net;

	if (!json_is_string(v))
		return wrong_kind(path, want, v, err);
	if (fl_prefix_parse(json_string_value(v), &p) || p.len == fl_addr_bits(&p.addr))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s: expected %s, not \"%.64s\"",
				    path, want, json_string_value(v));
	net = fl_prefix_masked(&p);
	if (fl_addr_eq(&net.addr, &p.addr))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s: %.64s is the subnet's own address", path,
				    json_string_value(v));
	for (size_t i = 0; i < node->n; i++)
		if (fl_prefix_overlaps(&node->v[i], &p))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s: expected at most one address in each subnet",
					    path);
	if (node->n == OVERLAY_NODES_MAX)
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG, "%s: expected at most %d", path,
				    OVERLAY_NODES_MAX);
	node->v[node->n++] = p;
	return 0;
}

static int read_nodes(const json_t *v, const char *path, struct overlay_nodes *node,
		      struct fl_error *err)
{
	int r = 0;

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_array(v))
		return take_node(v, path, node, err);
	for (size_t i = 0; i < json_array_size(v) && !r; i++)
		r = take_node(json_array_get(v, i), path, node, err);
	return r;
}

/* ---- peers ---- */

static int take_peer(const json_t *v, const char *path, struct overlay_peer *p,
		     struct fl_error *err)
{
	struct raw_peer raw = { 0 };
	char below[64];
	int r;

	if (json_is_string(v)) {
		if (fl_addr_parse(json_string_value(v), &p->vtep))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s: expected an IP address, not \"%.64s\"", path,
					    json_string_value(v));
		return check_vtep(&p->vtep, path, err);
	}
	if (!json_is_object(v))
		return wrong_kind(path, "an address, or an object with vtep", v, err);
	r = fl_fields_decode(v, peer_fields, path, &raw, err);
	if (r)
		return r;
	p->vtep = raw.vtep;
	snprintf(below, sizeof(below), "%s.vtep", path);
	r = check_vtep(&p->vtep, below, err);
	snprintf(below, sizeof(below), "%s.nodeAddress", path);
	return r ? r : read_nodes(raw.node_json, below, &p->node, err);
}

static int check_peer(const struct overlay_conf *conf, size_t i, struct fl_error *err)
{
	const struct overlay_peer *p = &conf->peers[i];

	if (p->vtep.family != conf->peers[0].vtep.family)
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"peers[%zu]: %s is of another family than peers[0]; one network "
			"has one underlay",
			i, fl_addr_str(&p->vtep, FL_ADDR_BUF));
	for (size_t k = 0; k < i; k++)
		if (fl_addr_eq(&conf->peers[k].vtep, &p->vtep))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "peers[%zu]: %s stands there twice", i,
					    fl_addr_str(&p->vtep, FL_ADDR_BUF));
	return 0;
}

static int read_peers(struct overlay_conf *conf, struct fl_error *err)
{
	size_t n = json_array_size(conf->peers_json);
	char path[32];
	int r = 0;

	if (!conf->peers_json)
		return bad(err, "peers: missing; mode \"static\" needs the list of the nodes");
	if (!json_is_array(conf->peers_json))
		return wrong_kind("peers", "a list", conf->peers_json, err);
	if (n > OVERLAY_PEERS_MAX)
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
				    "peers: expected at most %d, found %zu", OVERLAY_PEERS_MAX, n);
	conf->peers = calloc(n + 1, sizeof(*conf->peers));
	if (!conf->peers)
		return fl_error_oom(err);
	for (size_t i = 0; i < n && !r; i++) {
		snprintf(path, sizeof(path), "peers[%zu]", i);
		r = take_peer(json_array_get(conf->peers_json, i), path, &conf->peers[i], err);
		conf->n_peers = i + 1;
		if (!r)
			r = check_peer(conf, i, err);
	}
	return r;
}

/* ---- the rest ---- */

static int read_local(struct overlay_conf *conf, struct fl_error *err)
{
	const char *text = conf->local_text;

	if (!text || !*text) {
		if (!conf->n_peers)
			return bad(err, "local: missing; without peers nothing tells which address "
					"of this node is meant");
		return 0;
	}
	if (fl_addr_parse(text, &conf->local)) {
		if (!fl_ifname_valid(text))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "local: expected an IP address or the name of an "
					    "interface, not \"%.64s\"",
					    text);
		conf->local_link = text;
		return 0;
	}
	if (conf->n_peers && conf->local.family != conf->peers[0].vtep.family)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "local: %s is of another family than the peers", text);
	return check_vtep(&conf->local, "local", err);
}

static int read_mtu(struct overlay_conf *conf, struct fl_error *err)
{
	const json_t *v = conf->mtu_json;
	json_int_t n = json_integer_value(v);

	if (!v || (json_is_string(v) && !strcmp(json_string_value(v), "auto")))
		return 0;
	if (!json_is_integer(v) && !json_is_string(v))
		return wrong_kind("mtu", "\"auto\" or an integer", v, err);
	if (!json_is_integer(v) || n < MTU_MIN || n > UINT16_MAX - (int)FL_VXLAN_OVERHEAD6)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "mtu: expected \"auto\" or an integer from %d to %d", MTU_MIN,
				    UINT16_MAX - (int)FL_VXLAN_OVERHEAD6);
	conf->mtu = (uint32_t)n;
	return 0;
}

static int check_flags(const struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;

	if (conf->mode == MODE_ETCD)
		return fl_error_set(err, EOPNOTSUPP, FL_ECODE_UNSUPPORTED,
				    "mode: \"etcd\" needs an agent on each node, which this "
				    "version of fairlead does not have; use \"static\" with peers");
	if (!conf->vni)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "vni: missing; expected an integer from 1 to %d, the same on "
				    "every node",
				    VNI_MAX);
	if (fl_json_get(c->req.config, "broadcast") && !conf->broadcast)
		return bad(err, "broadcast: mode \"static\" learns from broadcasts where the "
				"containers are; expected true, or nothing");
	if (c->ipam.auto_subnet)
		return bad(err, "ipam.subnet: every node would choose one of its own; expected a "
				"subnet, with rangeStart and rangeEnd of this node");
	if (conf->internal && conf->node_json)
		return bad(err, "internal, nodeAddress: the node has no address in an internal "
				"network; expected at most one of them");
	return 0;
}

static int keep_node(struct fl_call *c, const struct overlay_nodes *node, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; i < node->n && !r; i++)
		r = fl_ipam_exclude(&c->ipam, &node->v[i].addr, err);
	return r;
}

/* None of the nodes' addresses is given to a container, whatever the range says. */
static int keep_node_addresses(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	int r = keep_node(c, &conf->node, err);

	for (size_t i = 0; i < conf->n_peers && !r; i++)
		r = keep_node(c, &conf->peers[i].node, err);
	return r;
}

int overlay_validate(struct fl_call *c, struct fl_error *err)
{
	struct overlay_conf *conf = c->conf;
	int r = check_flags(c, err);

	if (!r)
		r = read_peers(conf, err);
	if (!r)
		r = read_local(conf, err);
	if (!r)
		r = read_mtu(conf, err);
	if (!r)
		r = read_nodes(conf->node_json, "nodeAddress", &conf->node, err);
	if (!r)
		r = keep_node_addresses(c, err);
	if (r)
		return r;
	if (!conf->port)
		conf->port = VXLAN_PORT;
	/* Both are the network's alone: no user names them, and they go with its last endpoint. */
	fl_network_link_name(c, "flo", c->net.link);
	fl_network_link_name(c, "flx", c->net.tunnel);
	c->net.internal = conf->internal;
	c->net.isolate = conf->isolate;
	c->net.guarded = conf->guarded;
	c->net.masquerade = conf->ip_masq && !conf->internal;
	return fl_requested_mac(c, &c->ep.mac, err);
}

void overlay_clear(struct fl_call *c)
{
	struct overlay_conf *conf = c->conf;

	free(conf->peers);
	conf->peers = NULL;
}
