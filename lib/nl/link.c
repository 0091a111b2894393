/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/nl.h"

#include "base/strbuf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <string.h>

#ifndef IFF_UP
#define IFF_UP 1
#endif

static void link_init(struct fl_req *q, int type, int flags, uint32_t index, bool change_up,
		      bool up)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC, .ifi_index = (int)index };

	if (change_up) {
		ifi.ifi_change = IFF_UP;
		ifi.ifi_flags = up ? IFF_UP : 0;
	}
	fl_req_init(q, type, flags, &ifi, sizeof(ifi));
}

/* ---- reading ---- */

static const struct {
	unsigned flag;
	int attr;
} port_flags[] = {
	{ FL_PORT_HAIRPIN, IFLA_BRPORT_MODE },
	{ FL_PORT_ISOLATED, IFLA_BRPORT_ISOLATED },
	{ FL_PORT_LEARNING, IFLA_BRPORT_LEARNING },
	{ FL_PORT_NEIGH_SUPPRESS, IFLA_BRPORT_NEIGH_SUPPRESS },
	{ FL_PORT_LOCKED, IFLA_BRPORT_LOCKED },
};

static void parse_port(const struct nlattr *data, struct fl_link *l)
{
	const struct nlattr *a;
	int rest;

	nla_for_each_nested (a, (struct nlattr *)data, rest)
		for (size_t i = 0; i < FL_ARRAY_SIZE(port_flags); i++)
			if (nla_type(a) == port_flags[i].attr && nla_get_u8(a))
				l->port_flags |= port_flags[i].flag;
}

static void parse_vxlan(const struct nlattr *a, struct fl_vxlan *v)
{
	switch (nla_type(a)) {
	case IFLA_VXLAN_ID:
		v->vni = nla_get_u32(a);
		break;
	case IFLA_VXLAN_LOCAL:
		v->local = fl_addr_make(AF_INET, nla_data(a));
		break;
	case IFLA_VXLAN_LOCAL6:
		v->local = fl_addr_make(AF_INET6, nla_data(a));
		break;
	case IFLA_VXLAN_PORT:
		v->port = ntohs(nla_get_u16(a));
		break;
	case IFLA_VXLAN_LEARNING:
		v->learning = nla_get_u8(a);
		break;
	default:
		break;
	}
}

static void parse_kind_data(const struct nlattr *data, struct fl_link *l)
{
	bool bridge = !strcmp(l->kind, "bridge");
	bool macvlan = !strcmp(l->kind, "macvlan") || !strcmp(l->kind, "macvtap");
	bool vlan = !strcmp(l->kind, "vlan"), vrf = !strcmp(l->kind, "vrf");
	bool vxlan = !strcmp(l->kind, "vxlan");
	const struct nlattr *a;
	int rest;

	nla_for_each_nested (a, (struct nlattr *)data, rest) {
		int type = nla_type(a);

		if (bridge && type == IFLA_BR_VLAN_FILTERING)
			l->vlan_filtering = nla_get_u8(a);
		/* only with the option: br_fill_info() */
		if (bridge && type == IFLA_BR_VLAN_DEFAULT_PVID)
			l->knows_vlans = true;
		if (macvlan && type == IFLA_MACVLAN_MODE)
			l->macvlan_mode = nla_get_u32(a);
		if (vlan && type == IFLA_VLAN_ID)
			l->vlan_id = nla_get_u16(a);
		if (vrf && type == IFLA_VRF_TABLE)
			l->vrf_table = nla_get_u32(a);
		if (vxlan)
			parse_vxlan(a, &l->vxlan);
	}
}

static void parse_linkinfo(const struct nlattr *info, struct fl_link *l)
{
	const struct nlattr *a;
	int rest;

	/* The kernel puts the kind in front of the data. */
	nla_for_each_nested (a, (struct nlattr *)info, rest) {
		if (nla_type(a) == IFLA_INFO_KIND)
			fl_strcpy(l->kind, sizeof(l->kind), nla_data(a));
		if (nla_type(a) == IFLA_INFO_SLAVE_DATA)
			parse_port(a, l);
		if (nla_type(a) == IFLA_INFO_DATA)
			parse_kind_data(a, l);
	}
}

/* IFLA_AF_SPEC of a link: AF_INET's IFLA_INET_CONF is an array of 32-bit values from index 1 on. */
static void parse_af_spec(const struct nlattr *spec, struct fl_link *l)
{
	const struct nlattr *family, *a;
	int rest, rest2;

	nla_for_each_nested (family, (struct nlattr *)spec, rest) {
		if (nla_type(family) != AF_INET)
			continue;
		nla_for_each_nested (a, (struct nlattr *)family, rest2)
			if (nla_type(a) == IFLA_INET_CONF &&
			    nla_len(a) >= (int)(IPV4_DEVCONF_ROUTE_LOCALNET * sizeof(uint32_t)))
				l->route_localnet = ((const uint32_t *)nla_data(
					a))[IPV4_DEVCONF_ROUTE_LOCALNET - 1];
	}
}

static void take_mac(const struct nlattr *a, struct fl_mac *ret)
{
	if (nla_len(a) == 6)
		memcpy(ret->b, nla_data(a), 6);
}

static void take_attr(const struct nlattr *a, struct fl_link *l)
{
	switch (nla_type(a)) {
	case IFLA_IFNAME:
		fl_strcpy(l->name, sizeof(l->name), nla_data(a));
		break;
	case IFLA_MTU:
		l->mtu = nla_get_u32(a);
		break;
	case IFLA_MASTER:
		l->master = nla_get_u32(a);
		break;
	case IFLA_LINK:
		l->peer = nla_get_u32(a);
		break;
	case IFLA_LINK_NETNSID:
		l->peer_nsid = nla_get_s32(a);
		break;
	case IFLA_OPERSTATE:
		l->operstate = nla_get_u8(a);
		break;
	case IFLA_PROMISCUITY:
		l->promisc = nla_get_u32(a);
		break;
	case IFLA_GROUP:
		l->group = nla_get_u32(a);
		break;
	case IFLA_TXQLEN:
		l->txqlen = nla_get_u32(a);
		break;
	case IFLA_IFALIAS:
		fl_strcpy(l->alias, sizeof(l->alias), nla_data(a));
		break;
	case IFLA_PARENT_DEV_NAME:
		fl_strcpy(l->parent_dev, sizeof(l->parent_dev), nla_data(a));
		break;
	case IFLA_ADDRESS:
		take_mac(a, &l->mac);
		break;
	case IFLA_PERM_ADDRESS:
		take_mac(a, &l->perm_mac);
		break;
	case IFLA_LINKINFO:
		parse_linkinfo(a, l);
		break;
	case IFLA_AF_SPEC:
		parse_af_spec(a, l);
		break;
	default:
		break;
	}
}

static bool parse_link(const struct nlmsghdr *h, struct fl_link *l)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(h);
	const struct nlattr *a;
	int rest;

	if (h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK)
		return false;
	*l = (struct fl_link){ .index = (uint32_t)ifi->ifi_index,
			       .flags = ifi->ifi_flags,
			       .peer_nsid = -1 };
	a = (const struct nlattr *)((const char *)ifi + NLMSG_ALIGN(sizeof(*ifi)));
	rest = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*ifi)));
	for (; nla_ok(a, rest); a = nla_next(a, &rest))
		take_attr(a, l);
	return true;
}

bool fl_nl_event_link(const struct fl_nl_event *e, struct fl_link *ret)
{
	const struct ifinfomsg *i = e->msg ? NLMSG_DATA(e->msg) : NULL;

	return i && e->kind == FL_NL_LINK && i->ifi_family == AF_UNSPEC && parse_link(e->msg, ret);
}

static int take_link(void *arg, const struct nlmsghdr *h)
{
	return parse_link(h, arg) ? 0 : -EBADMSG;
}

static int get_link(struct fl_nl *nl, const char *name, uint32_t index, struct fl_link *ret,
		    struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	struct fl_link l = { 0 };
	int r;

	link_init(&q, RTM_GETLINK, 0, index, false, false);
	if (name)
		fl_req_str(&q, IFLA_IFNAME, name);
	/* Statistics are half of the reply and nobody here reads them. */
	fl_req_u32(&q, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = fl_nl_ask(nl, &q, take_link, &l, err);
	if (r == -ENODEV)
		return name ? fl_error_set(err, r, FL_ECODE_KERNEL, "there is no interface \"%s\"",
					   name)
			    : fl_error_set(err, r, FL_ECODE_KERNEL,
					   "there is no interface with index %u", index);
	if (!r)
		*ret = l;
	return r;
}

int fl_link_get(struct fl_nl *nl, const char *name, struct fl_link *ret, struct fl_error *err)
{
	return get_link(nl, name, 0, ret, err);
}

int fl_link_find(struct fl_nl *nl, const char *name, struct fl_link *ret, struct fl_error *err)
{
	struct fl_error quiet = { 0 };
	int r = get_link(nl, name, 0, ret, &quiet);

	if (!r || r == -ENODEV)
		return !r;
	if (err)
		*err = quiet;
	return r;
}

int fl_link_get_index(struct fl_nl *nl, uint32_t index, struct fl_link *ret, struct fl_error *err)
{
	return get_link(nl, NULL, index, ret, err);
}

struct each {
	int (*fn)(void *arg, const struct fl_link *);
	void *arg;
};

static int each_link(void *arg, const struct nlmsghdr *h)
{
	const struct each *e = arg;
	struct fl_link l;

	return parse_link(h, &l) ? e->fn(e->arg, &l) : 0;
}

int fl_links_each(struct fl_nl *nl, int (*fn)(void *arg, const struct fl_link *), void *arg,
		  struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	struct each e = { fn, arg };

	link_init(&q, RTM_GETLINK, NLM_F_DUMP, 0, false, false);
	fl_req_u32(&q, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return fl_nl_ask(nl, &q, each_link, &e, err);
}

/* ---- creating ---- */

void fl_bridge_build(struct fl_req *q, const struct fl_bridge_spec *s)
{
	link_init(q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, false, false);
	fl_req_str(q, IFLA_IFNAME, s->name);
	if (!fl_mac_is_zero(&s->mac))
		fl_req_put(q, IFLA_ADDRESS, s->mac.b, 6);
	if (s->mtu)
		fl_req_u32(q, IFLA_MTU, s->mtu);
	if (s->group)
		fl_req_u32(q, IFLA_GROUP, s->group);
	fl_req_nest(q, IFLA_LINKINFO);
	fl_req_str(q, IFLA_INFO_KIND, "bridge");
	if (s->vlan_filtering) {
		fl_req_nest(q, IFLA_INFO_DATA);
		fl_req_u8(q, IFLA_BR_VLAN_FILTERING, 1);
		if (s->no_default_vlan)
			fl_req_u16(q, IFLA_BR_VLAN_DEFAULT_PVID, 0);
		fl_req_end(q);
	}
	fl_req_end(q);
}

int fl_bridge_create(struct fl_nl *nl, const struct fl_bridge_spec *spec, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	fl_bridge_build(&q, spec);
	r = fl_nl_do(nl, &q, err, "bridge %s", spec->name);
	if (r == -EOPNOTSUPP)
		return fl_error_set(err, r, FL_ECODE_KERNEL,
				    "bridge %s: this kernel has no bridges (CONFIG_BRIDGE)",
				    spec->name);
	return r;
}

static void veth_end(struct fl_req *q, const char *name, const struct fl_mac *mac, uint32_t mtu)
{
	fl_req_str(q, IFLA_IFNAME, name);
	if (!fl_mac_is_zero(mac))
		fl_req_put(q, IFLA_ADDRESS, mac->b, 6);
	if (mtu)
		fl_req_u32(q, IFLA_MTU, mtu);
}

void fl_veth_build(struct fl_req *q, const struct fl_veth_spec *s)
{
	struct ifinfomsg peer = { .ifi_family = AF_UNSPEC };

	link_init(q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, s->index, true, true);
	veth_end(q, s->name, &s->mac, s->mtu);
	if (s->master)
		fl_req_u32(q, IFLA_MASTER, s->master);
	fl_req_nest(q, IFLA_LINKINFO);
	fl_req_str(q, IFLA_INFO_KIND, "veth");
	fl_req_nest(q, IFLA_INFO_DATA);
	fl_req_nest(q, VETH_INFO_PEER);
	fl_req_raw(q, &peer, sizeof(peer));
	veth_end(q, s->peer, &s->peer_mac, s->mtu);
	if (s->peer_netns_fd >= 0)
		fl_req_u32(q, IFLA_NET_NS_FD, (uint32_t)s->peer_netns_fd);
	fl_req_end(q);
	fl_req_end(q);
	fl_req_end(q);
}

int fl_veth_create(struct fl_nl *nl, const struct fl_veth_spec *s, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	fl_veth_build(&q, s);
	r = fl_nl_do(nl, &q, err, "veth pair %s and %s", s->name, s->peer);
	if (r == -EOPNOTSUPP)
		fl_error_set(err, r, FL_ECODE_KERNEL,
			     "this kernel has no veth devices (CONFIG_VETH)");
	return r;
}

/* ---- changing ---- */

void fl_link_up_build(struct fl_req *q, uint32_t index, bool up)
{
	link_init(q, RTM_NEWLINK, 0, index, true, up);
}

void fl_link_arp_notify_build(struct fl_req *q, uint32_t index)
{
	link_init(q, RTM_NEWLINK, 0, index, false, false);
	fl_req_nest(q, IFLA_AF_SPEC);
	fl_req_nest(q, AF_INET);
	fl_req_nest(q, IFLA_INET_CONF);
	fl_req_u32(q, IPV4_DEVCONF_ARP_NOTIFY, 1);
	fl_req_end(q);
	fl_req_end(q);
	fl_req_end(q);
}

int fl_link_set_up(struct fl_nl *nl, uint32_t index, bool up, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_link_up_build(&q, index, up);
	return fl_nl_do(nl, &q, err, "interface %u: set %s", index, up ? "up" : "down");
}

int fl_link_set_mac(struct fl_nl *nl, uint32_t index, const struct fl_mac *mac,
		    struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	link_init(&q, RTM_NEWLINK, 0, index, false, false);
	fl_req_put(&q, IFLA_ADDRESS, mac->b, 6);
	return fl_nl_do(nl, &q, err, "interface %u: set MAC %s", index,
			fl_mac_str(mac, FL_MAC_BUF));
}

int fl_link_set_promisc(struct fl_nl *nl, uint32_t index, bool on, struct fl_error *err)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC,
				 .ifi_index = (int)index,
				 .ifi_change = IFF_PROMISC,
				 .ifi_flags = on ? IFF_PROMISC : 0 };
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_req_init(&q, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	return fl_nl_do(nl, &q, err, "interface %u: promiscuous mode", index);
}

void fl_port_change_build(struct fl_req *q, uint32_t index, unsigned set, unsigned clear)
{
	struct ifinfomsg ifi = { .ifi_family = AF_BRIDGE, .ifi_index = (int)index };

	fl_req_init(q, RTM_SETLINK, 0, &ifi, sizeof(ifi));
	fl_req_nest(q, IFLA_PROTINFO | NLA_F_NESTED);
	for (size_t i = 0; i < FL_ARRAY_SIZE(port_flags); i++)
		if ((set | clear) & port_flags[i].flag)
			fl_req_u8(q, port_flags[i].attr, !!(set & port_flags[i].flag));
	fl_req_end(q);
}

void fl_port_flags_build(struct fl_req *q, uint32_t index, unsigned flags)
{
	fl_port_change_build(q, index, flags, 0);
}

int fl_link_change_port(struct fl_nl *nl, uint32_t index, unsigned set, unsigned clear,
			struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_port_change_build(&q, index, set, clear);
	return fl_nl_do(nl, &q, err, "bridge port %u: set flags", index);
}

int fl_link_set_port_flags(struct fl_nl *nl, uint32_t index, unsigned flags, struct fl_error *err)
{
	return fl_link_change_port(nl, index, flags, 0, err);
}

/* rtnl_getlink() calls linkwatch_sync_dev(). */
int fl_link_sync(struct fl_nl *nl, uint32_t index, struct fl_error *err)
{
	struct fl_link l;

	return fl_link_get_index(nl, index, &l, err);
}

static int del_link(struct fl_nl *nl, const char *name, uint32_t index, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	link_init(&q, RTM_DELLINK, 0, index, false, false);
	if (name)
		fl_req_str(&q, IFLA_IFNAME, name);
	r = fl_nl_do(nl, &q, err, "interface %s: delete", name ? name : "");
	return r == -ENODEV ? 0 : r;
}

int fl_link_del(struct fl_nl *nl, const char *name, struct fl_error *err)
{
	return del_link(nl, name, 0, err);
}

int fl_link_del_index(struct fl_nl *nl, uint32_t index, struct fl_error *err)
{
	return del_link(nl, NULL, index, err);
}

static int set_group(struct fl_nl *nl, uint32_t index, uint32_t group, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	link_init(&q, RTM_NEWLINK, 0, index, false, false);
	fl_req_u32(&q, IFLA_GROUP, group);
	r = fl_nl_do(nl, &q, err, "interface %u: set group", index);
	return r == -ENODEV ? 0 : r;
}

int fl_links_del(struct fl_nl *nl, const uint32_t *index, size_t n, uint32_t group,
		 struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = set_group(nl, index[i], group, err);
	if (r)
		return r;
	link_init(&q, RTM_DELLINK, 0, 0, false, false);
	fl_req_u32(&q, IFLA_GROUP, group);
	r = fl_nl_do(nl, &q, err, "%zu interfaces: delete", n);
	return r == -ENODEV ? 0 : r;
}

/* ---- VLANs of a port: AF_BRIDGE, IFLA_AF_SPEC ---- */

void fl_vlan_build(struct fl_req *q, bool add, uint32_t index, bool self,
		   const struct fl_vlan_range *v, size_t n)
{
	struct ifinfomsg ifi = { .ifi_family = AF_BRIDGE, .ifi_index = (int)index };

	fl_req_init(q, add ? RTM_SETLINK : RTM_DELLINK, 0, &ifi, sizeof(ifi));
	fl_req_nest(q, IFLA_AF_SPEC);
	if (self)
		fl_req_u16(q, IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_SELF);
	for (size_t i = 0; i < n; i++) {
		struct bridge_vlan_info info = { .vid = v[i].first };

		info.flags = (uint16_t)((v[i].pvid ? BRIDGE_VLAN_INFO_PVID : 0) |
					(v[i].untagged ? BRIDGE_VLAN_INFO_UNTAGGED : 0));
		if (v[i].last <= v[i].first) {
			fl_req_put(q, IFLA_BRIDGE_VLAN_INFO, &info, sizeof(info));
			continue;
		}
		info.flags |= BRIDGE_VLAN_INFO_RANGE_BEGIN;
		fl_req_put(q, IFLA_BRIDGE_VLAN_INFO, &info, sizeof(info));
		info.flags = (uint16_t)((info.flags & ~BRIDGE_VLAN_INFO_RANGE_BEGIN) |
					BRIDGE_VLAN_INFO_RANGE_END);
		info.vid = v[i].last;
		fl_req_put(q, IFLA_BRIDGE_VLAN_INFO, &info, sizeof(info));
	}
	fl_req_end(q);
}

static int change_vlans(struct fl_nl *nl, bool add, uint32_t index, bool self,
			const struct fl_vlan_range *v, size_t n, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	fl_vlan_build(&q, add, index, self, v, n);
	r = fl_nl_do(nl, &q, err, "bridge port %u: %s VLANs", index, add ? "add" : "remove");
	if (r == -EOPNOTSUPP)
		fl_error_set(
			err, r, FL_ECODE_KERNEL,
			"this kernel has no bridge VLAN filtering (CONFIG_BRIDGE_VLAN_FILTERING)");
	return r;
}

int fl_vlan_add(struct fl_nl *nl, uint32_t index, bool self, const struct fl_vlan_range *v,
		size_t n, struct fl_error *err)
{
	return change_vlans(nl, true, index, self, v, n, err);
}

int fl_vlan_del(struct fl_nl *nl, uint32_t index, bool self, const struct fl_vlan_range *v,
		size_t n, struct fl_error *err)
{
	return change_vlans(nl, false, index, self, v, n, err);
}
