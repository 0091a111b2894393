/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mode "static": the nodes are in the configuration, and the bridges learn who is where. */
#include "overlay.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

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
		return overlay_wrong_kind(path, want, v, err);
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
		return overlay_wrong_kind(path, "an address, or an object with vtep", v, err);
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
		return overlay_bad(err,
				   "peers: missing; mode \"static\" needs the list of the nodes");
	if (!json_is_array(conf->peers_json))
		return overlay_wrong_kind("peers", "a list", conf->peers_json, err);
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

static int read_local(struct overlay_conf *conf, struct fl_error *err)
{
	const char *text = conf->local_text;

	if (!text || !*text) {
		if (!conf->n_peers)
			return overlay_bad(
				err, "local: missing; without peers nothing tells which address "
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

static int check_flags(const struct fl_call *c, struct fl_error *err)
{
	static const char *const others[] = { "subnet", "subnets", "ipv6", "overlayMode", NULL };
	const struct overlay_conf *conf = c->conf;
	int r = overlay_refuse_keys(c, others,
				    "mode \"static\" has its subnets in ipam; expected it "
				    "with mode \"etcd\" only",
				    err);

	if (r)
		return r;
	if (!conf->vni)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "vni: missing; expected an integer from 1 to %d, the same on "
				    "every node",
				    OVERLAY_VNI_MAX);
	if (fl_json_get(c->req.config, "broadcast") && !conf->broadcast)
		return overlay_bad(err,
				   "broadcast: mode \"static\" learns from broadcasts where the "
				   "containers are; expected true, or nothing");
	if (c->ipam.auto_subnet)
		return overlay_bad(
			err, "ipam.subnet: every node would choose one of its own; expected a "
			     "subnet, with rangeStart and rangeEnd of this node");
	if (conf->internal && conf->node_json)
		return overlay_bad(err,
				   "internal, nodeAddress: the node has no address in an internal "
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

static int static_validate(struct fl_call *c, struct fl_error *err)
{
	struct overlay_conf *conf = c->conf;
	int r = check_flags(c, err);

	if (!r)
		r = read_peers(conf, err);
	if (!r)
		r = read_local(conf, err);
	if (!r)
		r = read_nodes(conf->node_json, "nodeAddress", &conf->node, err);
	return r ? r : keep_node_addresses(c, err);
}

/* ---- which of the nodes this is ---- */

struct finding {
	int family; /* 0: any */
	struct fl_addr found;
};

static int see_global(void *arg, const struct fl_ifaddr *a)
{
	struct finding *f = arg;

	if (a->scope != RT_SCOPE_UNIVERSE || (f->family && a->prefix.addr.family != f->family))
		return 0;
	f->found = a->prefix.addr;
	return 1;
}

/* `local` where it is in the configuration; unset: the routes tell. */
static int configured_local(struct fl_call *c, struct fl_addr *ret, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct finding f = { .family = conf->n_peers ? conf->peers[0].vtep.family : 0 };
	struct fl_link l;
	int r;

	*ret = conf->local;
	if (!conf->local_link)
		return 0;
	r = fl_link_get(c->host, conf->local_link, &l, err);
	if (!r)
		r = fl_ifaddrs_each(c->host, l.index, see_global, &f, err);
	if (r < 0)
		return fl_error_prefix(err, "local");
	if (!fl_addr_is_set(&f.found))
		return fl_error_set(err, EADDRNOTAVAIL, FL_ECODE_CONFIG,
				    "local: interface %s has no %s address", conf->local_link,
				    f.family == AF_INET6 ? "global IPv6"
				    : f.family		 ? "IPv4"
							 : "global");
	*ret = f.found;
	return 0;
}

static int is_own(struct fl_call *c, const struct fl_addr *vtep, struct fl_error *err)
{
	struct fl_nlroute route;
	int r = fl_route_get(c->host, vtep, NULL, 0, &route, err);

	return r ? r : route.type == RTN_LOCAL;
}

/* The list of nodes may have this one's address in the subnet, too. */
static int own_node_address(struct fl_call *c, struct fl_error *err)
{
	struct overlay_conf *conf = c->conf;
	struct fl_addr local;
	int r = configured_local(c, &local, err), own = 0;

	if (r || conf->internal || conf->node.n)
		return r;
	for (size_t i = 0; i < conf->n_peers && !own; i++) {
		const struct overlay_peer *p = &conf->peers[i];

		if (!p->node.n)
			continue;
		own = fl_addr_is_set(&local) ? fl_addr_eq(&local, &p->vtep)
					     : is_own(c, &p->vtep, err);
		if (own > 0)
			conf->node = p->node;
	}
	return own < 0 ? own : 0;
}

/* Of the configuration, so that an ADD need not look at what has not changed. */
static uint32_t static_stamp(const struct overlay_conf *conf)
{
	uint64_t h = overlay_hash(OVERLAY_HASH_START, &conf->vni, sizeof(conf->vni));

	h = overlay_hash(h, &conf->mode_number, sizeof(conf->mode_number));
	h = overlay_hash(h, &conf->port, sizeof(conf->port));
	h = overlay_hash(h, &conf->mtu, sizeof(conf->mtu));
	if (conf->local_text)
		h = overlay_hash(h, conf->local_text, strlen(conf->local_text) + 1);
	for (size_t i = 0; i < conf->n_peers; i++)
		h = overlay_hash(h, &conf->peers[i].vtep, sizeof(conf->peers[i].vtep));
	return (uint32_t)(h ^ h >> 32);
}

/* Is the node's address still the one that the tunnel has? One route tells, not that of each peer.
 */
static bool same_underlay(struct fl_call *c, const struct fl_link *tunnel)
{
	const struct overlay_conf *conf = c->conf;
	struct fl_addr local;
	struct fl_nlroute route;

	if (configured_local(c, &local, NULL))
		return false;
	if (fl_addr_is_set(&local))
		return fl_addr_eq(&local, &tunnel->vxlan.local);
	for (size_t i = 0; i < conf->n_peers; i++) {
		if (fl_addr_eq(&conf->peers[i].vtep, &tunnel->vxlan.local))
			continue;
		return !fl_route_get(c->host, &conf->peers[i].vtep, NULL, 0, &route, NULL) &&
		       fl_addr_eq(&route.src, &tunnel->vxlan.local);
	}
	return true;
}

static int static_plan(struct fl_call *c, struct fl_dataplane *d, struct fl_addr **ret_flood,
		       struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	FL_AUTOFREE struct fl_addr *flood = calloc(conf->n_peers + 1, sizeof(*flood));
	struct fl_underlay u = { 0 };
	size_t n = conf->n_peers;
	int r;

	if (!flood)
		return fl_error_oom(err);
	for (size_t i = 0; i < n; i++)
		flood[i] = conf->peers[i].vtep;
	r = configured_local(c, &u.local, err);
	if (!r)
		r = fl_underlay_find(c->host, flood, &n, &u, err);
	if (r)
		return fl_error_prefix(err, "network %s", c->net.name);
	if (u.mtu == UINT32_MAX)
		u.mtu = 1500;
	d->vxlan = (struct fl_vxlan){ .vni = (uint32_t)conf->vni,
				      .local = u.local,
				      .port = (uint16_t)conf->port,
				      .learning = true };
	d->mtu = conf->mtu ? conf->mtu : u.mtu - fl_vxlan_overhead(u.local.family);
	d->underlay_mtu = conf->mtu > u.mtu ? conf->mtu : u.mtu;
	d->mac = fl_mac_for_address(c, conf->node.n ? &conf->node.v[0].addr : &u.local);
	d->flood = *ret_flood = fl_take_ptr(flood);
	d->n_flood = n;
	return 0;
}

static int static_check(struct fl_call *c, const struct fl_link *bridge,
			const struct fl_link *tunnel, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	FL_AUTOFREE struct fl_addr *vtep = calloc(conf->n_peers + 1, sizeof(*vtep));
	struct fl_underlay u = { .local = tunnel->vxlan.local };
	size_t n = conf->n_peers;
	int r;

	(void)bridge;
	if (!vtep)
		return fl_error_oom(err);
	for (size_t i = 0; i < n; i++)
		vtep[i] = conf->peers[i].vtep;
	r = fl_underlay_find(c->host, vtep, &n, &u, err);
	if (!r)
		r = fl_dataplane_floods(c->host, tunnel->index, vtep, n, err);
	if (r < 0)
		return r;
	return r ? 0
		 : fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				"interface %s does not flood to exactly the peers", tunnel->name);
}

static int static_status(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct fl_nlroute route;
	int r = 0;

	for (size_t i = 0; i < conf->n_peers && !r; i++)
		r = fl_route_get(c->host, &conf->peers[i].vtep, NULL, 0, &route, err);
	return r;
}

const struct overlay_mode overlay_static = {
	.validate = static_validate,
	.prepare = own_node_address,
	.stamp = static_stamp,
	.same_underlay = same_underlay,
	.plan = static_plan,
	.check = static_check,
	.status = static_status,
};
