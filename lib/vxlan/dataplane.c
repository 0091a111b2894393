/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vxlan/dataplane.h"

#include "netns/netns.h"
#include "nl/neigh.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define ALIAS_MAX 256

/* ---- the bridge ---- */

static int sysctl(const char *link, const char *key, const char *value, struct fl_error *err)
{
	char name[128];
	int r;

	snprintf(name, sizeof(name), "net/ipv6/conf/%s/%s", link, key);
	r = fl_sysctl_write(name, value, NULL, 0, err);
	return r < 0 && r != -ENOENT ? r : 0; /* no IPv6 in this kernel */
}

/* Before it is up: a container's advertisements must not configure the host, and a tentative
 * link-local address cannot ask for neighbours. */
static int finish_bridge(struct fl_nl *nl, const struct fl_dataplane *d, const struct fl_link *l,
			 struct fl_error *err)
{
	int r = sysctl(d->link, "accept_ra", "0", err);

	if (!r)
		r = sysctl(d->link, "accept_dad", "0", err);
	return r ? r : fl_link_set_up(nl, l->index, true, err);
}

static int ensure_bridge(struct fl_nl *nl, const struct fl_dataplane *d, struct fl_link *ret,
			 struct fl_error *err)
{
	/*
	 * A bridge has the least MTU of its ports, here the tunnel's, until it is given another
	 * one; an equal one is not taken for that.
	 */
	struct fl_bridge_spec spec = {
		.name = d->link, .mac = d->mac, .mtu = d->mtu - 1, .group = FL_VXLAN_GROUP
	};
	int r = fl_link_find(nl, d->link, ret, err);

	if (!r) {
		r = fl_bridge_create(nl, &spec, err);
		if (!r || r == -EEXIST) /* another first ADD was quicker */
			r = fl_link_get(nl, d->link, ret, err);
	}
	if (r < 0)
		return r;
	if (strcmp(ret->kind, "bridge"))
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				    "network %s: interface %s exists and is no bridge", d->network,
				    d->link);
	if (ret->mtu != d->mtu) {
		r = fl_link_dress(nl, ret->index, &(struct fl_link_dress){ .mtu = d->mtu }, err);
		ret->mtu = d->mtu;
	}
	return r < 0 || ret->flags & IFF_UP ? (r < 0 ? r : 0) : finish_bridge(nl, d, ret, err);
}

/* ---- the tunnel ---- */

static uint32_t tunnel_mtu(const struct fl_dataplane *d)
{
	return d->routed ? d->mtu : d->underlay_mtu;
}

static bool can_serve(const struct fl_link *tunnel, const struct fl_dataplane *d)
{
	return fl_vxlan_same(&tunnel->vxlan, &d->vxlan) &&
	       (!d->routed || (!tunnel->master && !memcmp(&tunnel->mac, &d->mac, sizeof(d->mac))));
}

static int make_tunnel(struct fl_nl *nl, const struct fl_dataplane *d,
		       const struct fl_vxlan_owner *owner, struct fl_link *ret,
		       struct fl_error *err)
{
	struct fl_vxlan_spec spec = { .name = d->tunnel,
				      .vxlan = d->vxlan,
				      .mac = d->routed ? d->mac : (struct fl_mac){ { 0 } },
				      .mtu = tunnel_mtu(d),
				      .group = FL_VXLAN_GROUP };
	int r = fl_vxlan_create(nl, &spec, err);

	if (r == -EEXIST) {
		r = fl_link_find(nl, d->tunnel, ret, err);
		if (r)
			return r < 0 ? r : 0;
		r = fl_vxlan_evict(nl, d, owner, err);
		if (!r)
			r = fl_vxlan_create(nl, &spec, err);
	}
	return r ? r : fl_link_get(nl, d->tunnel, ret, err);
}

static int ensure_tunnel(struct fl_nl *nl, const struct fl_dataplane *d,
			 const struct fl_vxlan_owner *owner, struct fl_link *ret,
			 struct fl_error *err)
{
	int r = fl_link_find(nl, d->tunnel, ret, err);

	if (r > 0 && (strcmp(ret->kind, "vxlan") || !fl_vxlan_is_ours(ret)))
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				    "network %s: interface %s exists and is not fairlead's",
				    d->network, d->tunnel);
	if (r > 0 && !can_serve(ret, d)) {
		r = fl_link_del_index(nl, ret->index, err);
		if (r)
			return r;
	}
	return r ? (r < 0 ? r : 0) : make_tunnel(nl, d, owner, ret, err);
}

/* ---- flooding ---- */

struct flood {
	const struct fl_addr *want;
	size_t n;
	bool *have;
	struct fl_addr *extra;
	size_t n_extra;
};

static int see_flood(void *arg, const struct fl_fdb *f)
{
	struct flood *s = arg;
	struct fl_addr *grown;

	if (f->table != FL_FDB_SELF || !fl_mac_is_zero(&f->mac) || !fl_addr_is_set(&f->dst))
		return 0;
	for (size_t i = 0; i < s->n; i++)
		if (fl_addr_eq(&s->want[i], &f->dst)) {
			s->have[i] = true;
			return 0;
		}
	grown = realloc(s->extra, (s->n_extra + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->extra = grown;
	s->extra[s->n_extra++] = f->dst;
	return 0;
}

/* `s->have` and `s->extra` are the caller's to free, also on failure. */
static int read_flood(struct fl_nl *nl, uint32_t tunnel, struct flood *s, struct fl_error *err)
{
	int r;

	s->have = calloc(s->n + 1, sizeof(*s->have));
	if (!s->have)
		return fl_error_oom(err);
	r = fl_fdbs_each(nl, tunnel, see_flood, s, err);
	return r == -ENOMEM ? fl_error_oom(err) : r;
}

static int change_flood(struct fl_nl *nl, uint32_t tunnel, enum fl_fdb_change what,
			const struct fl_addr *vtep, struct fl_error *err)
{
	return fl_fdb_change(nl, what, &(struct fl_fdb){ .index = tunnel, .dst = *vtep }, err);
}

static int ensure_flood(struct fl_nl *nl, const struct fl_dataplane *d, uint32_t tunnel,
			struct fl_error *err)
{
	struct flood s = { .want = d->flood, .n = d->n_flood };
	int r = read_flood(nl, tunnel, &s, err);

	for (size_t i = 0; i < s.n && !r; i++)
		if (!s.have[i])
			r = change_flood(nl, tunnel, FL_FDB_APPEND, &s.want[i], err);
	for (size_t i = 0; i < s.n_extra && !r; i++)
		r = change_flood(nl, tunnel, FL_FDB_DELETE, &s.extra[i], err);
	free(s.have);
	free(s.extra);
	return r;
}

int fl_dataplane_floods(struct fl_nl *nl, uint32_t tunnel, const struct fl_addr *vtep, size_t n,
			struct fl_error *err)
{
	struct flood s = { .want = vtep, .n = n };
	int r = read_flood(nl, tunnel, &s, err), same = !s.n_extra;

	for (size_t i = 0; i < n && !r; i++)
		same &= s.have[i];
	free(s.have);
	free(s.extra);
	return r ? r : same;
}

/* ---- all of it ---- */

/* The stamp is last: a kernel that names an alias in full needs no byte for its end. */
static void put_alias(char alias[ALIAS_MAX], const char *network, uint32_t stamp)
{
	snprintf(alias, ALIAS_MAX, FL_VXLAN_ALIAS "%.200s %08x", network, stamp);
}

bool fl_dataplane_settled(const struct fl_link *bridge, const struct fl_link *tunnel, bool routed,
			  uint32_t stamp)
{
	char end[16];
	size_t len = strlen(tunnel->alias);

	snprintf(end, sizeof(end), " %08x", stamp);
	return !strcmp(bridge->kind, "bridge") && !strcmp(tunnel->kind, "vxlan") &&
	       bridge->flags & tunnel->flags & IFF_UP &&
	       tunnel->master == (routed ? 0 : bridge->index) && len > strlen(end) &&
	       !strcmp(tunnel->alias + len - strlen(end), end);
}

static int dress_routed(struct fl_nl *nl, const struct fl_dataplane *d,
			const struct fl_link *tunnel, struct fl_error *err)
{
	struct fl_link_dress dress = { .mtu = tunnel_mtu(d), .no_link_local = true };
	int r = fl_link_dress(nl, tunnel->index, &dress, err);

	if (r || tunnel->flags & IFF_UP)
		return r;
	r = sysctl(d->tunnel, "accept_ra", "0", err);
	if (!r)
		r = sysctl(d->tunnel, "accept_dad", "0", err);
	/* At once as it is to be: another first ADD may be adding addresses. */
	return r ? r : sysctl(d->tunnel, "disable_ipv6", d->ipv6 ? "0" : "1", err);
}

static int dress_tunnel(struct fl_nl *nl, const struct fl_dataplane *d, uint32_t bridge,
			const struct fl_link *tunnel, struct fl_error *err)
{
	struct fl_link_dress dress = { .master = tunnel->master == bridge ? 0 : bridge,
				       .mtu = tunnel_mtu(d),
				       .no_link_local = true };
	unsigned flags = (d->vxlan.learning ? FL_PORT_LEARNING : 0) |
			 (d->suppress ? FL_PORT_NEIGH_SUPPRESS : 0);
	int r = fl_link_dress(nl, tunnel->index, &dress, err);

	/* A port speaks for nobody: its group reports would go to every node. */
	if (!r && !(tunnel->flags & IFF_UP))
		r = sysctl(d->tunnel, "disable_ipv6", "1", err);
	if (!r)
		r = fl_link_change_port(nl, tunnel->index, flags,
					(FL_PORT_LEARNING | FL_PORT_NEIGH_SUPPRESS) & ~flags, err);
	return r;
}

int fl_dataplane_ensure(struct fl_nl *nl, const struct fl_dataplane *d,
			const struct fl_vxlan_owner *owner, struct fl_link *ret_bridge,
			struct fl_error *err)
{
	struct fl_link bridge, tunnel;
	int r = ensure_bridge(nl, d, &bridge, err);

	if (!r)
		r = ensure_tunnel(nl, d, owner, &tunnel, err);
	if (!r)
		r = d->routed ? dress_routed(nl, d, &tunnel, err)
			      : dress_tunnel(nl, d, bridge.index, &tunnel, err);
	if (!r)
		r = ensure_flood(nl, d, tunnel.index, err);
	if (!r)
		r = fl_link_set_up(nl, tunnel.index, true, err);
	/* The bridge has a carrier since it has a port that is up. */
	if (!r && !d->routed)
		r = fl_link_sync(nl, bridge.index, err);
	if (r)
		return fl_error_prefix(err, "network %s", d->network);
	*ret_bridge = bridge;
	return 0;
}

int fl_dataplane_settle(struct fl_nl *nl, const struct fl_dataplane *d, struct fl_error *err)
{
	struct fl_link tunnel;
	char alias[ALIAS_MAX];
	int r = fl_link_get(nl, d->tunnel, &tunnel, err);

	put_alias(alias, d->network, d->stamp);
	if (!r)
		r = fl_link_dress(nl, tunnel.index, &(struct fl_link_dress){ .alias = alias }, err);
	return r ? fl_error_prefix(err, "network %s", d->network) : 0;
}

/* ---- a container's port ---- */

int fl_dataplane_port(struct fl_nl *nl, uint32_t index, const struct fl_mac *mac, bool hairpin,
		      struct fl_error *err)
{
	struct fl_fdb own = {
		.table = FL_FDB_MASTER, .life = FL_FDB_STATIC, .index = index, .mac = *mac
	};
	FL_AUTOREQ struct fl_req entry = { 0 };
	FL_AUTOREQ struct fl_req flags = { 0 };
	struct fl_req *const list[] = { &entry, &flags };
	static const char *const what[] = { "bridge port: FDB entry", "bridge port: flags" };

	fl_fdb_build(&entry, FL_FDB_REPLACE, &own);
	fl_port_change_build(&flags, index, FL_PORT_LOCKED | (hairpin ? FL_PORT_HAIRPIN : 0),
			     FL_PORT_LEARNING);
	return fl_nl_do_all(nl, list, what, 2, NULL, err);
}

bool fl_dataplane_port_ok(const struct fl_link *port, bool hairpin)
{
	return port->port_flags & FL_PORT_LOCKED && !(port->port_flags & FL_PORT_LEARNING) &&
	       (!hairpin || port->port_flags & FL_PORT_HAIRPIN);
}

/* ---- the underlay ---- */

static int look_at_peer(struct fl_nl *nl, const struct fl_addr *peer, struct fl_underlay *u,
			bool *ret_local, struct fl_error *err)
{
	struct fl_nlroute route;
	struct fl_link out;
	int r = fl_route_get(nl, peer, NULL, 0, &route, err);

	if (r)
		return r;
	*ret_local = route.type == RTN_LOCAL;
	if (*ret_local) {
		if (!fl_addr_is_set(&u->local))
			u->local = *peer;
		return 0;
	}
	if (!route.mtu) {
		r = fl_link_get_index(nl, route.oif, &out, err);
		route.mtu = r ? 0 : out.mtu;
	}
	if (!r && route.mtu < u->mtu)
		u->mtu = route.mtu;
	return r;
}

static int source_to(struct fl_nl *nl, const struct fl_addr *peer, struct fl_addr *ret,
		     struct fl_error *err)
{
	struct fl_nlroute route;
	int r = fl_route_get(nl, peer, NULL, 0, &route, err);

	if (!r && !fl_addr_is_set(&route.src))
		r = fl_error_set(err, EADDRNOTAVAIL, FL_ECODE_KERNEL,
				 "the route to %s has no source address",
				 fl_addr_str(peer, FL_ADDR_BUF));
	if (!r)
		*ret = route.src;
	return r;
}

int fl_underlay_find(struct fl_nl *nl, struct fl_addr *peers, size_t *n, struct fl_underlay *u,
		     struct fl_error *err)
{
	size_t kept = 0;
	int r = 0;

	u->mtu = UINT32_MAX;
	for (size_t i = 0; i < *n && !r; i++) {
		bool local = false;

		r = look_at_peer(nl, &peers[i], u, &local, err);
		if (!r && !local)
			peers[kept++] = peers[i];
	}
	if (r)
		return r;
	*n = kept;
	if (!fl_addr_is_set(&u->local) && kept)
		return source_to(nl, &peers[0], &u->local, err);
	return 0;
}
