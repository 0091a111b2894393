/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/virtual.h"

#include <errno.h>
#include <string.h>

/* ---- names ---- */

struct name {
	uint32_t value;
	const char *name;
};

static const struct name macvlan_modes[] = {
	{ FL_MACVLAN_PRIVATE, "private" }, { FL_MACVLAN_VEPA, "vepa" },
	{ FL_MACVLAN_BRIDGE, "bridge" },   { FL_MACVLAN_PASSTHRU, "passthru" },
	{ FL_MACVLAN_SOURCE, "source" },   { 0, NULL },
};
static const struct name ipvlan_modes[] = {
	{ FL_IPVLAN_L2, "l2" },
	{ FL_IPVLAN_L3, "l3" },
	{ FL_IPVLAN_L3S, "l3s" },
	{ 0, NULL },
};
static const struct name ipvlan_flags[] = {
	{ FL_IPVLAN_BRIDGE, "bridge" },
	{ FL_IPVLAN_PRIVATE, "private" },
	{ FL_IPVLAN_VEPA, "vepa" },
	{ 0, NULL },
};

static int value_of(const struct name *n, const char *name, uint32_t *ret)
{
	for (; n->name; n++)
		if (!strcmp(n->name, name)) {
			*ret = n->value;
			return 0;
		}
	return -EINVAL;
}

static const char *name_of(const struct name *n, uint32_t value)
{
	for (; n->name; n++)
		if (n->value == value)
			return n->name;
	return "";
}

int fl_macvlan_mode_parse(const char *name, uint32_t *ret)
{
	return value_of(macvlan_modes, name, ret);
}

int fl_ipvlan_mode_parse(const char *name, uint32_t *ret)
{
	return value_of(ipvlan_modes, name, ret);
}

int fl_ipvlan_flag_parse(const char *name, uint16_t *ret)
{
	uint32_t v;
	int r = value_of(ipvlan_flags, name, &v);

	if (!r)
		*ret = (uint16_t)v;
	return r;
}

const char *fl_macvlan_mode_name(uint32_t mode)
{
	return name_of(macvlan_modes, mode);
}

const char *fl_ipvlan_mode_name(uint32_t mode)
{
	return name_of(ipvlan_modes, mode);
}

const char *fl_ipvlan_flag_name(uint16_t flag)
{
	return name_of(ipvlan_flags, flag);
}

/* ---- what each kind has of its own ---- */

static void put_macvlan(struct fl_req *q, const struct fl_vlink_spec *s)
{
	if (s->mode)
		fl_req_u32(q, IFLA_MACVLAN_MODE, s->mode);
	if (s->has_bcqueuelen)
		fl_req_u32(q, IFLA_MACVLAN_BC_QUEUE_LEN, s->bcqueuelen);
	if (!s->n_source_macs)
		return;
	fl_req_u32(q, IFLA_MACVLAN_MACADDR_MODE, MACVLAN_MACADDR_SET);
	fl_req_nest(q, IFLA_MACVLAN_MACADDR_DATA);
	for (size_t i = 0; i < s->n_source_macs; i++)
		fl_req_put(q, IFLA_MACVLAN_MACADDR, s->source_macs[i].b, 6);
	fl_req_end(q);
}

static void put_ipvlan(struct fl_req *q, const struct fl_vlink_spec *s)
{
	fl_req_u16(q, IFLA_IPVLAN_MODE, (uint16_t)s->mode);
	fl_req_u16(q, IFLA_IPVLAN_FLAGS, s->ipvlan_flags);
}

static void put_vlan(struct fl_req *q, const struct fl_vlink_spec *s)
{
	fl_req_u16(q, IFLA_VLAN_ID, s->vlan_id);
}

static void put_vrf(struct fl_req *q, const struct fl_vlink_spec *s)
{
	fl_req_u32(q, IFLA_VRF_TABLE, s->table);
}

static const struct kind {
	const char *name, *option;
	void (*put)(struct fl_req *q, const struct fl_vlink_spec *s);
} kinds[] = {
	{ "macvlan", "CONFIG_MACVLAN", put_macvlan },
	{ "macvtap", "CONFIG_MACVTAP", put_macvlan },
	{ "ipvlan", "CONFIG_IPVLAN", put_ipvlan },
	{ "vlan", "CONFIG_VLAN_8021Q", put_vlan },
	{ "vrf", "CONFIG_NET_VRF", put_vrf },
	{ "dummy", "CONFIG_DUMMY", NULL },
	{ "ifb", "CONFIG_IFB", NULL },
};

static const struct kind *kind_of(const char *name)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	return NULL;
}

void fl_vlink_build(struct fl_req *q, const struct fl_vlink_spec *s)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC, .ifi_index = (int)s->index };
	const struct kind *kind = kind_of(s->kind);

	if (s->up)
		ifi.ifi_flags = ifi.ifi_change = IFF_UP;
	fl_req_init(q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	fl_req_str(q, IFLA_IFNAME, s->name);
	/* Without IFLA_LINK_NETNSID the lower device is looked up in the sender's namespace and
	 * the link is made in this one at once: it never has the name here. */
	if (s->netns_fd >= 0)
		fl_req_u32(q, IFLA_NET_NS_FD, (uint32_t)s->netns_fd);
	if (s->lower)
		fl_req_u32(q, IFLA_LINK, s->lower);
	if (!fl_mac_is_zero(&s->mac))
		fl_req_put(q, IFLA_ADDRESS, s->mac.b, 6);
	if (s->mtu)
		fl_req_u32(q, IFLA_MTU, s->mtu);
	if (s->master)
		fl_req_u32(q, IFLA_MASTER, s->master);
	fl_req_nest(q, IFLA_LINKINFO);
	fl_req_str(q, IFLA_INFO_KIND, s->kind);
	if (kind && kind->put) {
		fl_req_nest(q, IFLA_INFO_DATA);
		kind->put(q, s);
		fl_req_end(q);
	}
	fl_req_end(q);
}

int fl_vlink_create(struct fl_nl *nl, const struct fl_vlink_spec *s, struct fl_error *err)
{
	const struct kind *kind = kind_of(s->kind);
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	fl_vlink_build(&q, s);
	r = fl_nl_do(nl, &q, err, "%s %s", s->kind, s->name);
	/* With a kind that it knows the kernel's own reason stands (IPv6 off, an offload ...). */
	if (r == -EOPNOTSUPP && kind && (!err || strstr(err->text, "Unknown device type")))
		return fl_error_set(err, r, FL_ECODE_KERNEL,
				    "%s %s: this kernel has no %s devices (%s)", s->kind, s->name,
				    s->kind, kind->option);
	return r;
}
