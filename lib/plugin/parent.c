/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin/parent.h"

#include "base/strbuf.h"
#include "plugin/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINK "link"
#define PROMISC "promisc"
#define VID_MAX 4094
#define MTU_MIN 68 /* RFC 791 section 3.2 */

void fl_network_link_name(const struct fl_call *c, const char *prefix, char name[IFNAMSIZ])
{
	uint32_t h = 0x811c9dc5; /* FNV-1a */

	for (const char *s = c->net.name; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x01000193;
	for (const char *s = c->net.driver; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x01000193;
	snprintf(name, IFNAMSIZ, "%s%08x", prefix, h);
}

/* ---- which ---- */

static int default_master(struct fl_call *c, struct fl_parent *p, struct fl_error *err)
{
	struct fl_nl *nl = fl_parent_nl(c, p);
	struct fl_nlroute route;
	int r = fl_default_route(nl, AF_INET, &route, err);

	if (r == -ENOENT)
		r = fl_default_route(nl, AF_INET6, &route, err);
	if (r == -ENOENT)
		return fl_error_set(err, r, FL_ECODE_CONFIG,
				    "master: expected the name of an interface; there is no "
				    "default route%s whose interface it could be",
				    p->in_sandbox ? " in the sandbox" : "");
	return r ? r : fl_link_get_index(nl, route.oif, &p->link, err);
}

/* "eth0.10" with an interface eth0: the VLAN and the index of its base. */
static bool split_vlan(struct fl_call *c, const char *name, struct fl_parent *p)
{
	const char *dot = strrchr(name, '.');
	char base[IFNAMSIZ], *end;
	struct fl_link l;
	long vid;

	if (p->no_vlan || p->in_sandbox || !dot || dot == name)
		return false;
	vid = strtol(dot + 1, &end, 10);
	if (*end || dot[1] < '1' || dot[1] > '9' || vid > VID_MAX)
		return false;
	snprintf(base, sizeof(base), "%.*s", (int)(dot - name), name);
	if (fl_link_get(c->host, base, &l, NULL))
		return false;
	p->base = l.index;
	p->vid = (uint16_t)vid;
	p->link = (struct fl_link){ .mtu = l.mtu, .flags = l.flags & IFF_UP };
	fl_strcpy(p->link.name, sizeof(p->link.name), name);
	return true;
}

static int named_master(struct fl_call *c, struct fl_parent *p, struct fl_error *err)
{
	int r;

	if (!fl_ifname_valid(p->master))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "master: expected an interface name of 1 to 15 bytes without "
				    "'/', ':', '%%' and spaces, not \"%.64s\"",
				    p->master);
	r = fl_link_find(fl_parent_nl(c, p), p->master, &p->link, err);
	if (r)
		return r < 0 ? r : 0;
	if (split_vlan(c, p->master, p)) {
		p->ours = true;
		return 0;
	}
	return fl_error_set(err, ENODEV, FL_ECODE_CONFIG, "master: there is no interface \"%s\"%s",
			    p->master, p->in_sandbox ? " in the sandbox" : "");
}

static int stand_in(struct fl_call *c, struct fl_parent *p, struct fl_error *err)
{
	char name[IFNAMSIZ];
	int r;

	p->ours = true;
	fl_network_link_name(c, "flp", name);
	r = fl_link_find(c->host, name, &p->link, err);
	if (!r)
		p->link = (struct fl_link){ .mtu = 1500, .flags = IFF_UP };
	fl_strcpy(p->link.name, sizeof(p->link.name), name);
	return r < 0 ? r : 0;
}

/* ---- what is made for it ---- */

struct lister {
	const struct fl_network *self; /* left out; NULL: nobody */
	const char *what, *name;
};

static int lists(void *arg, const struct fl_network *net)
{
	const struct lister *l = arg;

	if (l->self && !strcmp(net->name, l->self->name) && !strcmp(net->driver, l->self->driver))
		return 0;
	return fl_network_made_has(net, l->what, l->name);
}

/* Made by some network of ours, and so kept by this one too. */
static int made_before(struct fl_call *c, const char *what, const char *name, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct lister l = { NULL, what, name };
	int r = fl_txn_begin(c->store, false, &t, err);

	return r ? r : fl_networks_each(t, lists, &l, err);
}

/* Off, or on by a network of ours. */
static int is_promisc_ours(struct fl_call *c, struct fl_parent *p, struct fl_error *err)
{
	int r = p->link.flags & IFF_PROMISC ? made_before(c, PROMISC, p->link.name, err) : 1;

	/* On and nobody's: unless that network's last DEL came in between. */
	if (!r)
		r = fl_link_get_index(c->host, p->link.index, &p->link, err);
	return r ? r : !(p->link.flags & IFF_PROMISC);
}

static int list_made(struct fl_call *c, struct fl_parent *p, struct fl_error *err)
{
	const char *name = p->link.name;
	int r = 0;

	/* Only a name with a dot can be a VLAN interface that a network of ours made. */
	if (!p->ours && !p->no_vlan && !p->in_sandbox && strchr(name, '.'))
		r = made_before(c, LINK, name, err);
	p->ours |= r > 0;
	if (r >= 0 && p->ours)
		r = fl_network_made_add(&c->net, LINK, name);
	if (r < 0 || !p->promisc || p->in_sandbox)
		return r < 0 ? r : 0;
	r = is_promisc_ours(c, p, err);
	return r > 0 ? fl_network_made_add(&c->net, PROMISC, name) : r;
}

int fl_parent_prepare(struct fl_call *c, struct fl_parent *p, struct fl_error *err)
{
	int r;

	if (p->internal)
		r = stand_in(c, p, err);
	else if (!p->master || !*p->master)
		r = default_master(c, p, err);
	else
		r = named_master(c, p, err);
	if (r)
		return r;
	if (p->link.flags & IFF_LOOPBACK)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "master: \"%s\" is a loopback interface", p->link.name);
	if (!(p->link.flags & IFF_UP) && c->req.verb == FL_VERB_ADD)
		fprintf(stderr, "note: master: interface %s is down\n", p->link.name);
	if (p->mtu && p->mtu < MTU_MIN)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "mtu: expected 0 or at least %d, not %lld", MTU_MIN,
				    (long long)p->mtu);
	if (p->mtu > p->link.mtu)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "mtu: expected at most the MTU of the master %s (%u), not %lld",
				    p->link.name, p->link.mtu, (long long)p->mtu);
	if (!p->in_sandbox)
		fl_strcpy(c->net.parent, sizeof(c->net.parent), p->link.name);
	return list_made(c, p, err);
}

/* ---- making it ---- */

/* Carries no frame further than to its macvlans. dummy where the kernel has it, else ifb. */
static int make_stand_in(struct fl_call *c, struct fl_parent *p, struct fl_error *err)
{
	struct fl_vlink_spec spec = {
		.kind = "dummy", .name = p->link.name, .netns_fd = -1, .up = true
	};
	int r = fl_vlink_create(c->host, &spec, err);

	if (r == -EOPNOTSUPP) {
		spec.kind = "ifb";
		r = fl_vlink_create(c->host, &spec, err);
	}
	return r;
}

static int make_vlan(struct fl_call *c, struct fl_parent *p, struct fl_error *err)
{
	struct fl_vlink_spec spec = { .kind = "vlan",
				      .name = p->link.name,
				      .netns_fd = -1,
				      .lower = p->base,
				      .vlan_id = p->vid,
				      .up = true };
	int r = fl_vlink_create(c->host, &spec, err);

	return r && r != -EEXIST ? fl_error_prefix(err, "master %s", p->link.name) : r;
}

/* The record that keeps it is committed now: what is there stays, what is not is made. */
static int ensure_ours(struct fl_call *c, struct fl_parent *p, struct fl_error *err)
{
	char name[IFNAMSIZ];
	int r;

	memcpy(name, p->link.name, sizeof(name));
	r = fl_link_find(c->host, name, &p->link, err);
	if (r)
		return r < 0 ? r : 0;
	/* It was there when prepare() looked: the last DEL of another network has taken it away. */
	if (!p->internal && !p->base && !split_vlan(c, name, p))
		return fl_error_set(err, ENODEV, FL_ECODE_TRY_AGAIN,
				    "master: interface %s went away", name);
	r = p->internal ? make_stand_in(c, p, err) : make_vlan(c, p, err);
	return r && r != -EEXIST ? r : fl_link_get(c->host, name, &p->link, err);
}

/* Where it is listed, its state was another network's, and may have ended since it was read. */
static bool wants_promisc(const struct fl_call *c, const struct fl_parent *p)
{
	return p->promisc && (!(p->link.flags & IFF_PROMISC) ||
			      fl_network_made_has(&c->net, PROMISC, p->link.name));
}

int fl_parent_create(struct fl_call *c, struct fl_parent *p, struct fl_error *err)
{
	int r = p->ours ? ensure_ours(c, p, err) : 0;

	if (!r && wants_promisc(c, p))
		r = fl_link_set_promisc(fl_parent_nl(c, p), p->link.index, true, err);
	return r;
}

int fl_parent_attach(struct fl_call *c, const struct fl_parent *p, struct fl_vlink_spec *spec,
		     struct fl_error *err)
{
	int r;

	spec->name = c->req.ifname;
	spec->index = c->ep.ifindex;
	spec->netns_fd = p->in_sandbox ? -1 : c->sandbox.fd;
	spec->lower = p->link.index;
	spec->mtu = (uint32_t)p->mtu;
	r = fl_vlink_create(fl_parent_nl(c, p), spec, err);
	if (r == -EEXIST)
		return fl_ifname_taken(c, err);
	if (r == -EBUSY)
		return fl_error_set(err, r, FL_ECODE_CONFLICT,
				    "master: interface %s is a bridge's port, or has links of "
				    "another kind (macvlan beside ipvlan); choose another",
				    p->link.name);
	if (r)
		return fl_error_prefix(err, "master %s", p->link.name);
	if (fl_result_add_interface(&c->result, c->req.ifname, &spec->mac, c->req.netns,
				    spec->mtu ? spec->mtu : p->link.mtu) < 0)
		return fl_error_oom(err);
	return 0;
}

int fl_inherited_mac(struct fl_call *c, struct fl_error *err)
{
	struct fl_link l;
	int r = fl_link_get_index(c->inside, c->ep.ifindex, &l, err);

	if (r)
		return r;
	c->ep.mac = l.mac;
	fl_mac_str(&l.mac, c->result.interfaces[0].mac);
	return 0;
}

/* ---- its end ---- */

struct ending {
	struct fl_call *c;
	struct fl_txn *t;
	const struct fl_network *net;
	struct fl_error *err;
};

static int end_one(void *arg, const char *what, const char *name)
{
	struct ending *e = arg;
	struct lister l = { e->net, what, name };
	struct fl_link link;
	int r = fl_networks_each(e->t, lists, &l, e->err);

	if (r)
		return r < 0 ? r : 0; /* another network's as well */
	if (!strcmp(what, LINK))
		return fl_link_del(e->c->host, name, e->err);
	if (strcmp(what, PROMISC) || fl_link_get(e->c->host, name, &link, NULL))
		return 0;
	return fl_link_set_promisc(e->c->host, link.index, false, e->err);
}

int fl_parent_network_delete(struct fl_call *c, struct fl_txn *t, const struct fl_network *net,
			     struct fl_error *err)
{
	struct ending e = { c, t, net, err };

	return fl_network_made_each(net, end_one, &e);
}

/* ---- CHECK ---- */

int fl_parent_check(struct fl_call *c, struct fl_parent *p, const char *kind, struct fl_link *ret,
		    struct fl_error *err)
{
	struct fl_link master;
	int r = fl_link_get(c->inside, c->req.ifname, ret, err);

	if (r || ret->index != c->ep.ifindex)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: interface %s is missing", c->req.container,
				    c->req.ifname);
	if (strcmp(ret->kind, kind))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: interface %s is no %s", c->req.container,
				    c->req.ifname, kind);
	/* Without a name it is the default route's, which may be another by now. */
	if (p->in_sandbox || (!p->internal && (!p->master || !*p->master)))
		return 0;
	r = fl_link_get_index(c->host, ret->peer, &master, err);
	if (r || (!p->internal && strcmp(master.name, p->master)))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: interface %s is not on the master %s",
				    c->req.container, c->req.ifname,
				    p->internal ? c->net.parent : p->master);
	return 0;
}
