/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vrf: puts an interface into a VRF (kernel: networking/vrf.rst), which is made in the sandbox with
 * the first interface and goes with the last.
 */
#include "drivers.h"

#include "base/strbuf.h"
#include "plan.h"

#include <string.h>
#include <sys/random.h>

/* On a VRF of ours (IFLA_IFALIAS): who else finds it empty may remove it. */
#define MARK "made by fairlead"

struct vrf_conf {
	const char *name;
	int64_t table;
};

static const struct fl_field fields[] = {
	FL_F("vrfname", STRING, struct vrf_conf, name),
	FL_F("table", INT, struct vrf_conf, table, 1, UINT32_MAX),
	{ 0 },
};

static int validate(struct fl_call *c, struct fl_error *err)
{
	const struct vrf_conf *conf = c->conf;
	const char *name = conf->name ? conf->name : "";

	if (!*name)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "vrfname: expected the name of a VRF in the sandbox, found "
				    "none");
	if (!fl_ifname_valid(name) || !strcmp(name, c->req.ifname))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "vrfname: expected an interface name of at most %d bytes other "
				    "than %s, not \"%.64s\"",
				    IFNAMSIZ - 1, c->req.ifname, name);
	for (size_t i = 0; i < c->prev.n_ips && c->ep.n_addrs < FL_ENDPOINT_ADDRS; i++)
		if (fl_prev_is_ours(c, &c->prev.ips[i]))
			c->ep.addrs[c->ep.n_addrs++] = c->prev.ips[i].address;
	return table_check(conf->table, err);
}

/* ---- prepare ---- */

static int use_existing(struct fl_call *c, const struct fl_link *l, struct vrf_plan *p,
			struct fl_error *err)
{
	const struct vrf_conf *conf = c->conf;

	if (strcmp(l->kind, "vrf"))
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				    "vrfname: the interface %s that is in the sandbox is no VRF; "
				    "expected one, or a free name",
				    conf->name);
	if (conf->table && (uint32_t)conf->table != l->vrf_table)
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				    "table: the VRF %s that is in the sandbox has table %u, not "
				    "%lld",
				    conf->name, l->vrf_table, (long long)conf->table);
	p->vrf = l->index;
	p->table = l->vrf_table;
	return 0;
}

static int choose_new(struct fl_call *c, struct vrf_plan *p, struct fl_error *err)
{
	const struct vrf_conf *conf = c->conf;
	AUTOTABLES struct table_list used = { 0 };
	uint32_t bits;
	int r = conf->table ? 0 : table_list_read(c->inside, &used, err);

	if (r)
		return r;
	while (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
		continue;
	/* Large, so that it is nobody's whom the kernel numbers itself. */
	p->vrf = (bits & 0x3fffffff) | 0x01000000;
	p->table = conf->table ? (uint32_t)conf->table : table_first_free(&used, VRF_FIRST_TABLE);
	p->made = true;
	return 0;
}

static int find_vrf(struct fl_call *c, struct vrf_plan *p, struct fl_error *err)
{
	const struct vrf_conf *conf = c->conf;
	struct fl_error e = { 0 };
	struct fl_link l;
	int r = fl_link_get(c->inside, conf->name, &l, &e);

	if (!r)
		return use_existing(c, &l, p, err);
	if (r == -ENODEV)
		return choose_new(c, p, err);
	*err = e;
	return fl_error_prefix(err, "vrfname");
}

static int find_interface(struct fl_call *c, struct fl_link *ret, struct fl_error *err)
{
	int r = fl_link_get(c->inside, c->req.ifname, ret, err);

	return r ? fl_error_prefix(err, "CNI_IFNAME") : 0;
}

static int no_other_master(struct fl_call *c, const struct fl_link *l, const struct vrf_plan *p,
			   struct fl_error *err)
{
	struct fl_link master;

	if (!l->master || l->master == p->vrf)
		return 0;
	return fl_error_set(
		err, EBUSY, FL_ECODE_CONFLICT,
		"CNI_IFNAME: %s has a master already (%s); expected none", c->req.ifname,
		fl_link_get_index(c->inside, l->master, &master, NULL) ? "unknown" : master.name);
}

struct addresses {
	struct vrf_plan *p;
	struct fl_error *err;
};

static int take_address(void *arg, const struct fl_ifaddr *a)
{
	struct addresses *t = arg;

	if (!vrf_restores_address(a))
		return 0;
	if (t->p->n_addrs == VRF_ADDRS)
		return fl_error_set(t->err, E2BIG, FL_ECODE_CONFIG,
				    "CNI_IFNAME: the interface has more than %d IPv6 addresses",
				    VRF_ADDRS);
	t->p->addrs[t->p->n_addrs++] = *a;
	return 0;
}

static int read_addresses(struct fl_nl *nl, struct vrf_plan *p, struct fl_error *err)
{
	struct addresses t = { p, err };

	p->n_addrs = 0;
	return fl_ifaddrs_each(nl, p->index, take_address, &t, err);
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	AUTOROUTES struct route_list all = { 0 };
	AUTOPLAN struct vrf_plan p = { 0 };
	struct fl_link l;
	/* Held until the process ends: a DEL may be about to remove the VRF that it found empty. */
	int r = sandbox_lock(&c->sandbox, err);

	if (!r)
		r = find_interface(c, &l, err);
	if (!r)
		r = find_vrf(c, &p, err);
	if (!r)
		r = no_other_master(c, &l, &p, err);
	if (r)
		return r;
	p.index = l.index;
	list_again(r, read_addresses(c->inside, &p, err));
	if (!r)
		r = route_list_read(c->inside, 0, p.index, &all, err);
	if (!r)
		r = vrf_plan_routes(&p, &all, err);
	return r ? r : vrf_plan_encode(&p, &c->memo, err);
}

/* ---- create and join ---- */

static int create(struct fl_call *c, struct fl_error *err)
{
	const struct vrf_conf *conf = c->conf;
	AUTOPLAN struct vrf_plan p = { 0 };
	int r = vrf_plan_decode(c->memo, &p, err);

	if (!r && p.made) {
		const struct fl_vlink_spec spec = { .kind = "vrf",
						    .name = conf->name,
						    .index = p.vrf,
						    .netns_fd = -1,
						    .up = true,
						    .table = p.table };

		r = fl_vlink_create(c->inside, &spec, err);
		if (!r)
			r = fl_link_set_alias(c->inside, p.vrf, MARK, err);
	}
	return r;
}

struct address_search {
	const struct fl_ifaddr *want;
	bool found;
};

static int see_address(void *arg, const struct fl_ifaddr *a)
{
	struct address_search *s = arg;

	s->found |= a->prefix.len == s->want->prefix.len &&
		    fl_addr_eq(&a->prefix.addr, &s->want->prefix.addr);
	return 0;
}

static int has_address(struct fl_nl *nl, const struct fl_ifaddr *a, bool *ret, struct fl_error *err)
{
	struct address_search s = { .want = a };
	int r;

	list_again(r, fl_ifaddrs_each(nl, a->index, see_address, &s, err));
	if (!r)
		*ret = s.found;
	return r;
}

static int restore_addresses(struct fl_nl *nl, const struct vrf_plan *p, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < p->n_addrs; i++) {
		const struct fl_ifaddr *a = &p->addrs[i];
		bool there = false;

		r = has_address(nl, a, &there, err);
		if (!r && !there)
			r = fl_ifaddr_add(nl, a->index, &a->prefix, vrf_address_flags(a), err);
	}
	return r;
}

static int join(struct fl_call *c, struct fl_error *err)
{
	AUTOPLAN struct vrf_plan p = { 0 };
	int r = vrf_plan_decode(c->memo, &p, err);

	/* A hop of an IPv6 route with several would outlive the link's going down. */
	if (!r)
		r = route_list_delete(c->inside, &p.take, err);
	if (!r)
		r = fl_link_set_master(c->inside, p.index, p.vrf, err);
	if (!r)
		r = restore_addresses(c->inside, &p, err);
	if (!r)
		r = route_list_put(c->inside, &p.put, err);
	return r ? fl_error_prefix(err, "%s", c->req.ifname) : 0;
}

/* ---- deletion ---- */

struct members {
	uint32_t vrf;
	bool any;
};

static int see_member(void *arg, const struct fl_link *l)
{
	struct members *m = arg;

	m->any |= l->master == m->vrf;
	return 0;
}

static int remove_empty(struct fl_nl *nl, const struct fl_link *vrf, struct fl_error *err)
{
	struct members m = { .vrf = vrf->index };
	int r;

	list_again(r, fl_links_each(nl, see_member, &m, err));
	return r || m.any ? r : fl_link_del_index(nl, vrf->index, err);
}

static int undo(struct fl_nl *nl, const struct vrf_plan *p, bool restore, struct fl_error *err)
{
	struct fl_link l, vrf;
	int link = link_look(nl, p->index, &l, err);
	int has_vrf = link < 0 ? link : link_look(nl, p->vrf, &vrf, err);
	int r = has_vrf < 0 ? has_vrf : 0;

	/* As in join(): hops that would outlive the link's going down. */
	if (!r && link)
		r = route_list_delete(nl, &p->put, err);
	if (!r && has_vrf && strcmp(vrf.kind, "vrf"))
		has_vrf = 0;
	if (!r && link && has_vrf && l.master == vrf.index)
		r = fl_link_set_master(nl, l.index, 0, err);
	if (!r && link && restore) {
		/* A link that went down meanwhile takes none: no reason to keep the rest. */
		restore_addresses(nl, p, NULL);
		route_list_restore(nl, &p->take, NULL);
	}
	if (!r && has_vrf && (p->made || !strcmp(vrf.alias, MARK)))
		r = remove_empty(nl, &vrf, err);
	return r;
}

static int endpoint_delete(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOSANDBOX struct fl_sandbox s = { .ns = FL_NETNS_NONE };
	FL_AUTOJSON json_t *memo = NULL;
	AUTOPLAN struct vrf_plan p = { 0 };
	bool restore = c->req.verb == FL_VERB_ADD || ep->state == FL_STATE_CREATING;
	int r = fl_call_memo(c, ep, &memo, err);

	if (!r)
		r = fl_sandbox_open(c, ep, &s, err);
	if (!r)
		r = vrf_plan_decode(memo, &p, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = sandbox_lock(&s.ns, err);
	return r ? r : undo(s.nl, &p, restore, err);
}

/* ---- check ---- */

static int differs(struct fl_call *c, struct fl_error *err, const char *what, const char *object)
{
	return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK, "container %s: %s: %s %s is missing",
			    c->req.container, c->req.ifname, what, object);
}

static int check_addresses(struct fl_call *c, const struct vrf_plan *p, struct fl_error *err)
{
	for (size_t i = 0; i < p->n_addrs; i++) {
		bool there = false;
		int r = has_address(c->inside, &p->addrs[i], &there, err);

		if (r || !there)
			return r ? r
				 : differs(c, err, "address",
					   fl_prefix_str(&p->addrs[i].prefix, FL_PREFIX_BUF));
	}
	return 0;
}

static int check_routes(struct fl_call *c, const struct vrf_plan *p, struct fl_error *err)
{
	AUTOROUTES struct route_list now = { 0 };
	int r = p->put.n ? route_list_read(c->inside, 0, p->index, &now, err) : 0;

	for (size_t i = 0, k; !r && i < p->put.n; i++) {
		const struct fl_nlroute *w = &p->put.items[i].route;

		for (k = 0; k < now.n && !route_same(&now.items[k].route, w); k++)
			continue;
		if (k == now.n)
			return differs(c, err, "route to", fl_prefix_str(&w->dst, FL_PREFIX_BUF));
	}
	return r;
}

static int check(struct fl_call *c, struct fl_error *err)
{
	const struct vrf_conf *conf = c->conf;
	FL_AUTOJSON json_t *memo = NULL;
	AUTOPLAN struct vrf_plan p = { 0 };
	struct fl_link l, vrf;
	int r = fl_call_memo(c, &c->ep, &memo, err);

	if (!r)
		r = vrf_plan_decode(memo, &p, err);
	if (r)
		return r == -ENOENT ? fl_error_set(err, r, FL_ECODE_CHECK,
						   "container %s: its record has no memo of what "
						   "was changed",
						   c->req.container)
				    : r;
	if (fl_link_get(c->inside, c->req.ifname, &l, NULL) || l.index != p.index)
		return differs(c, err, "interface", c->req.ifname);
	if (fl_link_get(c->inside, conf->name, &vrf, NULL) || strcmp(vrf.kind, "vrf") ||
	    vrf.vrf_table != p.table)
		return differs(c, err, "VRF", conf->name);
	if (l.master != vrf.index)
		return differs(c, err, "membership of VRF", conf->name);
	r = check_addresses(c, &p, err);
	return r ? r : check_routes(c, &p, err);
}

const struct fl_driver vrf_driver = {
	.type = "vrf",
	.about = "puts an interface into a VRF (chained)",
	.flags = FL_DRIVER_CHAINED | FL_DRIVER_INSIDE | FL_DRIVER_DIRECT,
	.fields = fields,
	.conf_size = sizeof(struct vrf_conf),
	.validate = validate,
	.prepare = prepare,
	.endpoint_create = create,
	.join = join,
	.endpoint_delete = endpoint_delete,
	.check = check,
};
