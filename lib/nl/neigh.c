/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/neigh.h"

#include <errno.h>
#include <netlink/attr.h>
#include <string.h>

/* ---- neighbours ---- */

void fl_neigh_build(struct fl_req *q, bool add, const struct fl_neigh *n)
{
	struct ndmsg nd = { .ndm_family = n->addr.family, .ndm_ifindex = (int)n->index };

	if (add)
		nd.ndm_state = n->state ? n->state : NUD_PERMANENT;
	fl_req_init(q, add ? RTM_NEWNEIGH : RTM_DELNEIGH, add ? NLM_F_CREATE | NLM_F_REPLACE : 0,
		    &nd, sizeof(nd));
	fl_req_addr(q, NDA_DST, &n->addr);
	if (!add)
		return;
	fl_req_put(q, NDA_LLADDR, n->mac.b, 6);
	if (n->protocol)
		fl_req_u8(q, NDA_PROTOCOL, n->protocol);
}

int fl_neigh_replace(struct fl_nl *nl, const struct fl_neigh *n, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_neigh_build(&q, true, n);
	return fl_nl_do(nl, &q, err, "neighbour %s", fl_addr_str(&n->addr, FL_ADDR_BUF));
}

int fl_neigh_del(struct fl_nl *nl, const struct fl_neigh *n, struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	fl_neigh_build(&q, false, n);
	r = fl_nl_do(nl, &q, err, "neighbour %s: delete", fl_addr_str(&n->addr, FL_ADDR_BUF));
	return r == -ENOENT || r == -ENODEV ? 0 : r;
}

static int see_one(void *arg, const struct nlmsghdr *h)
{
	*(bool *)arg |= h->nlmsg_type == RTM_NEWNEIGH;
	return 0;
}

int fl_neigh_find(struct fl_nl *nl, const struct fl_neigh *n, struct fl_error *err)
{
	struct ndmsg nd = { .ndm_family = n->addr.family, .ndm_ifindex = (int)n->index };
	FL_AUTOREQ struct fl_req q = { 0 };
	bool found = false;
	int r;

	fl_req_init(&q, RTM_GETNEIGH, 0, &nd, sizeof(nd));
	fl_req_addr(&q, NDA_DST, &n->addr);
	r = fl_nl_ask(nl, &q, see_one, &found, err);
	return r == -ENOENT || r == -ENODEV ? 0 : r ? r : found;
}

struct each {
	uint32_t index;
	int (*neigh)(void *arg, const struct fl_neigh *);
	int (*fdb)(void *arg, const struct fl_fdb *);
	void *arg;
};

static const struct nlattr *first_attr(const struct nlmsghdr *h, int *ret_rest)
{
	const struct ndmsg *nd = NLMSG_DATA(h);

	*ret_rest = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*nd)));
	return (const struct nlattr *)((const char *)nd + NLMSG_ALIGN(sizeof(*nd)));
}

static void take_addr(const struct nlattr *a, struct fl_addr *ret)
{
	if (nla_len(a) == 4 || nla_len(a) == 16)
		*ret = fl_addr_make(nla_len(a) == 4 ? AF_INET : AF_INET6, nla_data(a));
}

static int each_neigh(void *arg, const struct nlmsghdr *h)
{
	const struct ndmsg *nd = NLMSG_DATA(h);
	const struct each *e = arg;
	struct fl_neigh n = { .index = (uint32_t)nd->ndm_ifindex, .state = nd->ndm_state };
	const struct nlattr *a;
	int rest;

	/* Before Linux 4.20 the kernel does not filter. */
	if (h->nlmsg_type != RTM_NEWNEIGH || (e->index && e->index != n.index))
		return 0;
	for (a = first_attr(h, &rest); nla_ok(a, rest); a = nla_next(a, &rest)) {
		if (nla_type(a) == NDA_DST)
			take_addr(a, &n.addr);
		if (nla_type(a) == NDA_LLADDR && nla_len(a) == 6)
			memcpy(n.mac.b, nla_data(a), 6);
		if (nla_type(a) == NDA_PROTOCOL)
			n.protocol = nla_get_u8(a);
	}
	return fl_addr_is_set(&n.addr) ? e->neigh(e->arg, &n) : 0;
}

int fl_neighs_each(struct fl_nl *nl, int family, uint32_t index,
		   int (*fn)(void *arg, const struct fl_neigh *), void *arg, struct fl_error *err)
{
	struct ndmsg nd = { .ndm_family = (uint8_t)family };
	struct each e = { .index = index, .neigh = fn, .arg = arg };
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_req_init(&q, RTM_GETNEIGH, NLM_F_DUMP, &nd, sizeof(nd));
	if (index)
		fl_req_u32(&q, NDA_IFINDEX, index);
	return fl_nl_ask(nl, &q, each_neigh, &e, err);
}

/* ---- forwarding databases ---- */

static int flags_of(enum fl_fdb_change what)
{
	return what == FL_FDB_DELETE   ? 0
	       : what == FL_FDB_APPEND ? NLM_F_CREATE | NLM_F_APPEND
				       : NLM_F_CREATE | NLM_F_REPLACE;
}

void fl_fdb_build(struct fl_req *q, enum fl_fdb_change what, const struct fl_fdb *f)
{
	struct ndmsg nd = { .ndm_family = AF_BRIDGE, .ndm_ifindex = (int)f->index };

	nd.ndm_flags = f->table == FL_FDB_SELF ? NTF_SELF : NTF_MASTER;
	if (f->life == FL_FDB_STICKY)
		nd.ndm_flags |= NTF_STICKY;
	nd.ndm_state = f->life == FL_FDB_PERMANENT ? NUD_PERMANENT : NUD_NOARP;
	fl_req_init(q, what == FL_FDB_DELETE ? RTM_DELNEIGH : RTM_NEWNEIGH, flags_of(what), &nd,
		    sizeof(nd));
	fl_req_put(q, NDA_LLADDR, f->mac.b, 6);
	if (fl_addr_is_set(&f->dst))
		fl_req_addr(q, NDA_DST, &f->dst);
}

int fl_fdb_change(struct fl_nl *nl, enum fl_fdb_change what, const struct fl_fdb *f,
		  struct fl_error *err)
{
	FL_AUTOREQ struct fl_req q = { 0 };
	int r;

	fl_fdb_build(&q, what, f);
	r = fl_nl_do(nl, &q, err, "FDB entry %s%s%s", fl_mac_str(&f->mac, FL_MAC_BUF),
		     fl_addr_is_set(&f->dst) ? " at " : "", fl_addr_str(&f->dst, FL_ADDR_BUF));
	if (what == FL_FDB_DELETE && (r == -ENOENT || r == -ENODEV))
		return 0;
	return what == FL_FDB_APPEND && r == -EEXIST ? 0 : r;
}

static enum fl_fdb_life life_of(const struct ndmsg *nd)
{
	if (nd->ndm_flags & NTF_STICKY)
		return FL_FDB_STICKY;
	if (nd->ndm_state & NUD_PERMANENT)
		return FL_FDB_PERMANENT;
	return nd->ndm_state & NUD_NOARP ? FL_FDB_STATIC : FL_FDB_LEARNED;
}

static int each_fdb(void *arg, const struct nlmsghdr *h)
{
	const struct ndmsg *nd = NLMSG_DATA(h);
	const struct each *e = arg;
	struct fl_fdb f = { .index = (uint32_t)nd->ndm_ifindex, .life = life_of(nd) };
	const struct nlattr *a;
	int rest;

	if (h->nlmsg_type != RTM_NEWNEIGH || nd->ndm_family != AF_BRIDGE ||
	    (e->index && e->index != f.index))
		return 0;
	f.table = nd->ndm_flags & NTF_SELF ? FL_FDB_SELF : FL_FDB_MASTER;
	for (a = first_attr(h, &rest); nla_ok(a, rest); a = nla_next(a, &rest)) {
		if (nla_type(a) == NDA_LLADDR && nla_len(a) == 6)
			memcpy(f.mac.b, nla_data(a), 6);
		if (nla_type(a) == NDA_DST)
			take_addr(a, &f.dst);
	}
	return e->fdb(e->arg, &f);
}

int fl_fdbs_each(struct fl_nl *nl, uint32_t index, int (*fn)(void *arg, const struct fl_fdb *),
		 void *arg, struct fl_error *err)
{
	struct ndmsg nd = { .ndm_family = AF_BRIDGE, .ndm_ifindex = (int)index };
	struct each e = { .index = index, .fdb = fn, .arg = arg };
	FL_AUTOREQ struct fl_req q = { 0 };

	fl_req_init(&q, RTM_GETNEIGH, NLM_F_DUMP, &nd, sizeof(nd));
	return fl_nl_ask(nl, &q, each_fdb, &e, err);
}
