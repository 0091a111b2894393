/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan.h"

#include <linux/if_addr.h>

void vrf_plan_clear(struct vrf_plan *p)
{
	route_list_clear(&p->put);
	route_list_clear(&p->take);
}

bool vrf_restores_address(const struct fl_ifaddr *a)
{
	return a->prefix.addr.family == AF_INET6 && !fl_addr_is_linklocal(&a->prefix.addr) &&
	       a->flags & IFA_F_PERMANENT && !(a->flags & (IFA_F_TEMPORARY | IFA_F_DADFAILED));
}

uint32_t vrf_address_flags(const struct fl_ifaddr *a)
{
	const uint32_t kept = IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE;

	return (a->flags & kept) | (a->flags & IFA_F_TENTATIVE ? 0 : IFA_F_NODAD);
}

bool vrf_restores_route(const struct fl_nlroute *r, uint32_t index)
{
	bool own = r->protocol == RTPROT_KERNEL && r->table == RT_TABLE_MAIN;

	return r->oif == index && r->type == RTN_UNICAST && r->table != RT_TABLE_LOCAL && !own &&
	       r->protocol != RTPROT_RA && !route_is_scoped(r) &&
	       !(r->multipath && r->dst.addr.family == AF_INET);
}

int vrf_plan_routes(struct vrf_plan *p, const struct route_list *all, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < all->n; i++) {
		struct fl_nlroute route = all->items[i].route;

		if (!vrf_restores_route(&route, p->index))
			continue;
		route.multipath = false;
		r = route_list_add(&p->take, &route, false, err);
		if (route.table == RT_TABLE_MAIN)
			route.table = p->table;
		if (!r)
			r = route_list_add(&p->put, &route, false, err);
	}
	return r;
}

/* ---- the memo ---- */

struct raw_addr {
	struct fl_prefix address;
	int64_t flags;
};

static const struct fl_field addr_fields[] = {
	FL_F("address", PREFIX, struct raw_addr, address),
	FL_F("flags", INT, struct raw_addr, flags, 0, UINT32_MAX),
	{ 0 },
};

struct raw_plan {
	int64_t index, vrf, table;
	bool made;
	struct fl_list addrs;
	json_t *put, *take;
};

static const struct fl_field plan_fields[] = {
	FL_F("index", INT, struct raw_plan, index, 1, INT32_MAX),
	FL_F("vrf", INT, struct raw_plan, vrf, 1, INT32_MAX),
	FL_F("table", INT, struct raw_plan, table, 1, UINT32_MAX),
	FL_F("made", BOOL, struct raw_plan, made),
	FL_F("addrs", LIST, struct raw_plan, addrs, .max = VRF_ADDRS, .sub = addr_fields,
	     .size = sizeof(struct raw_addr)),
	FL_F("put", JSON, struct raw_plan, put),
	FL_F("take", JSON, struct raw_plan, take),
	{ 0 },
};

static json_t *encode_addrs(const struct vrf_plan *p)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < p->n_addrs; i++) {
		const struct fl_ifaddr *a = &p->addrs[i];

		if (json_array_append_new(list, json_pack("{s:s, s:I}", "address",
							  fl_prefix_str(&a->prefix, FL_PREFIX_BUF),
							  "flags", (json_int_t)a->flags))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int vrf_plan_encode(const struct vrf_plan *p, json_t **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *put = NULL, *take = NULL, *addrs = encode_addrs(p);
	int r = addrs ? route_list_encode(&p->put, &put, err) : fl_error_oom(err);
	json_t *memo;

	if (!r)
		r = route_list_encode(&p->take, &take, err);
	if (r)
		return r;
	memo = json_pack("{s:I, s:I, s:I, s:b, s:O, s:O, s:O}", "index", (json_int_t)p->index,
			 "vrf", (json_int_t)p->vrf, "table", (json_int_t)p->table, "made", p->made,
			 "addrs", addrs, "put", put, "take", take);
	if (!memo)
		return fl_error_oom(err);
	*ret = memo;
	return 0;
}

int vrf_plan_decode(const json_t *memo, struct vrf_plan *ret, struct fl_error *err)
{
	struct raw_plan raw = { 0 };
	struct vrf_plan p = { 0 };
	int r = fl_fields_decode(memo, plan_fields, "memo", &raw, err);

	p.index = (uint32_t)raw.index;
	p.vrf = (uint32_t)raw.vrf;
	p.table = (uint32_t)raw.table;
	p.made = raw.made;
	for (size_t i = 0; !r && i < raw.addrs.n; i++) {
		const struct raw_addr *w = &((const struct raw_addr *)raw.addrs.items)[i];

		p.addrs[p.n_addrs++] = (struct fl_ifaddr){ .index = p.index,
							   .prefix = w->address,
							   .flags = (uint32_t)w->flags };
	}
	if (!r)
		r = route_list_decode(raw.put, &p.put, err);
	if (!r)
		r = route_list_decode(raw.take, &p.take, err);
	fl_fields_clear(plan_fields, &raw);
	if (r)
		vrf_plan_clear(&p);
	else
		*ret = p;
	return r;
}
