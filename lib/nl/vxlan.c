/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/vxlan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <string.h>

static void put_vxlan(struct fl_req *q, const struct fl_vxlan_spec *s)
{
	const struct fl_vxlan *v = &s->vxlan;

	fl_req_u32(q, IFLA_VXLAN_ID, v->vni);
	if (fl_addr_is_set(&v->local))
		fl_req_addr(q, v->local.family == AF_INET6 ? IFLA_VXLAN_LOCAL6 : IFLA_VXLAN_LOCAL,
			    &v->local);
	/* Without it the kernel takes 8472, a number from before IANA's. */
	fl_req_u16(q, IFLA_VXLAN_PORT, htons(v->port));
	fl_req_u8(q, IFLA_VXLAN_LEARNING, v->learning);
	if (s->ttl)
		fl_req_u8(q, IFLA_VXLAN_TTL, s->ttl);
}

void fl_vxlan_build(struct fl_req *q, const struct fl_vxlan_spec *s)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };

	fl_req_init(q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	fl_req_str(q, IFLA_IFNAME, s->name);
	if (!fl_mac_is_zero(&s->mac))
		fl_req_put(q, IFLA_ADDRESS, s->mac.b, 6);
	if (s->mtu)
		fl_req_u32(q, IFLA_MTU, s->mtu);
	if (s->group)
		fl_req_u32(q, IFLA_GROUP, s->group);
	fl_req_nest(q, IFLA_LINKINFO);
	fl_req_str(q, IFLA_INFO_KIND, "vxlan");
	fl_req_nest(q, IFLA_INFO_DATA);
	put_vxlan(q, s);
	fl_req_end(q);
	fl_req_end(q);
}

int fl_vxlan_create(struct fl_nl *nl, const struct fl_vxlan_spec *s, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	fl_vxlan_build(&q, s);
	r = fl_nl_do(nl, &q, err, "vxlan %s", s->name);
	if (r == -EOPNOTSUPP && (!err || strstr(err->text, "Unknown device type")))
		return fl_error_set(err, r, FL_ECODE_KERNEL,
				    "vxlan %s: this kernel has no VXLAN devices (CONFIG_VXLAN)",
				    s->name);
	return r;
}

bool fl_vxlan_same(const struct fl_vxlan *a, const struct fl_vxlan *b)
{
	return a->vni == b->vni && a->port == b->port && a->learning == b->learning &&
	       fl_addr_eq(&a->local, &b->local);
}

struct search {
	const struct fl_vxlan *want;
	struct fl_link *ret;
};

static int is_it(void *arg, const struct fl_link *l)
{
	const struct search *s = arg;
	const struct fl_vxlan *v = &l->vxlan, *w = s->want;

	if (strcmp(l->kind, "vxlan") || v->vni != w->vni || v->port != w->port ||
	    (v->local.family == AF_INET6) != (w->local.family == AF_INET6))
		return 0;
	*s->ret = *l;
	return 1;
}

int fl_vxlan_find(struct fl_nl *nl, const struct fl_vxlan *v, struct fl_link *ret,
		  struct fl_error *err)
{
	struct search s = { v, ret };

	return fl_links_each(nl, is_it, &s, err);
}

void fl_link_dress_build(struct fl_req *q, uint32_t index, const struct fl_link_dress *d)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC, .ifi_index = (int)index };

	fl_req_init(q, RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	if (d->mtu)
		fl_req_u32(q, IFLA_MTU, d->mtu);
	if (d->alias)
		fl_req_put(q, IFLA_IFALIAS, d->alias, strlen(d->alias));
	if (d->master)
		fl_req_u32(q, IFLA_MASTER, d->master);
	if (!d->no_link_local)
		return;
	fl_req_nest(q, IFLA_AF_SPEC);
	fl_req_nest(q, AF_INET6);
	fl_req_u8(q, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	fl_req_end(q);
	fl_req_end(q);
}

int fl_link_dress(struct fl_nl *nl, uint32_t index, const struct fl_link_dress *d,
		  struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_link_dress_build(&q, index, d);
	return fl_nl_do(nl, &q, err, "interface %u: settings", index);
}
