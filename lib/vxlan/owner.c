/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who has a VNI that is taken: one of ours that was forgotten, one that lives, or a stranger. */
#include "vxlan/dataplane.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

bool fl_vxlan_is_ours(const struct fl_link *l)
{
	return l->group == FL_VXLAN_GROUP ||
	       !strncmp(l->alias, FL_VXLAN_ALIAS, strlen(FL_VXLAN_ALIAS));
}

struct ports {
	uint32_t bridge, except;
	bool found;
};

static int see_port(void *arg, const struct fl_link *l)
{
	struct ports *p = arg;

	p->found |= l->master == p->bridge && l->index != p->except;
	return 0;
}

/* A bridge of ours that has no other port and no owner goes with its tunnel. */
static int remove_bridge(struct fl_nl *nl, const struct fl_link *tunnel,
			 const struct fl_vxlan_owner *owner, struct fl_error *err)
{
	struct ports p = { tunnel->master, tunnel->index, false };
	struct fl_link bridge;
	char network[256];
	int r;

	if (!tunnel->master || fl_link_get_index(nl, tunnel->master, &bridge, NULL) ||
	    bridge.group != FL_VXLAN_GROUP)
		return 0;
	r = owner->fn(owner->arg, bridge.name, network, sizeof(network));
	if (!r)
		r = fl_links_each(nl, see_port, &p, err);
	if (r || p.found)
		return r < 0 ? r : 0;
	return fl_link_del_index(nl, bridge.index, err);
}

int fl_vxlan_evict(struct fl_nl *nl, const struct fl_dataplane *d,
		   const struct fl_vxlan_owner *owner, struct fl_error *err)
{
	const struct fl_vxlan *v = &d->vxlan;
	struct fl_link l;
	char network[256];
	int r = fl_vxlan_find(nl, v, &l, err);

	if (r < 0)
		return r;
	if (!r)
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				    "vni: a VXLAN device that was made here and moved into another "
				    "network namespace has VNI %u on UDP port %u",
				    v->vni, v->port);
	if (!fl_vxlan_is_ours(&l))
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				    "vni: the interface %s, which is not fairlead's, has VNI %u on "
				    "UDP port %u",
				    l.name, v->vni, v->port);
	r = owner->fn(owner->arg, l.name, network, sizeof(network));
	if (r > 0)
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				    "vni: network %s has VNI %u on UDP port %u (interface %s)",
				    network, v->vni, v->port, l.name);
	if (!r)
		r = remove_bridge(nl, &l, owner, err);
	return r ? r : fl_link_del_index(nl, l.index, err);
}

int fl_dataplane_remove_unused(struct fl_nl *nl, const char *link, const char *tunnel,
			       struct fl_error *err)
{
	struct fl_link b, t = { 0 };
	struct ports p = { 0 };
	int r = fl_link_find(nl, tunnel, &t, err);

	if (r > 0 && fl_vxlan_is_ours(&t))
		p.except = t.index;
	if (r >= 0)
		r = fl_link_find(nl, link, &b, err);
	if (r <= 0 || b.group != FL_VXLAN_GROUP)
		return r < 0 ? r : 0;
	p.bridge = b.index;
	r = fl_links_each(nl, see_port, &p, err);
	if (!r && !p.found && p.except)
		r = fl_link_del_index(nl, p.except, err);
	return r || p.found ? r : fl_link_del_index(nl, b.index, err);
}

int fl_dataplane_remove(struct fl_nl *nl, const char *link, const char *tunnel,
			struct fl_error *err)
{
	const char *const names[] = { tunnel, link };
	uint32_t index[2], group, n = 0;
	struct fl_link l;
	int r = 0;

	for (size_t i = 0; i < FL_ARRAY_SIZE(names) && r >= 0; i++) {
		r = fl_link_find(nl, names[i], &l, err);
		if (r > 0)
			index[n++] = l.index;
	}
	if (r < 0 || !n)
		return r < 0 ? r : 0;
	if (n == 1 || getrandom(&group, sizeof(group), 0) != sizeof(group))
		return fl_link_del_index(nl, index[0], err);
	return fl_links_del(nl, index, n, group | 1u << 31, err);
}
