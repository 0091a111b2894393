/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records whose containers are gone, interfaces that are gone, leases. */
#include "netctl/doctor.h"

#include "netctl/runtime.h"
#include "store/leases.h"

#include <errno.h>
#include <string.h>

static int remove_leftover(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	return leftover_remove(d->c, f->left, err);
}

static void tell_leftover(struct doctor *d, const struct leftover *l)
{
	static const struct {
		const char *code;
		enum severity severity;
		enum stage stage;
	} kinds[] = {
		[LEFT_SANDBOX] = { "sandbox-gone", SEVERITY_WARNING, STAGE_RECORD },
		[LEFT_UNFINISHED] = { "endpoint-unfinished", SEVERITY_WARNING, STAGE_RECORD },
		[LEFT_UNPLUGGED] = { "interface-gone", SEVERITY_ERROR, STAGE_RECORD },
		[LEFT_LEASE] = { "lease-stale", SEVERITY_WARNING, STAGE_LEASE },
		[LEFT_KEPT] = { "attachment-stale", SEVERITY_WARNING, STAGE_RECORD },
		[LEFT_FILES] = { "files-stale", SEVERITY_WARNING, STAGE_RECORD },
	};
	struct finding *f = find(d, kinds[l->kind].code, kinds[l->kind].severity, LEFTOVER_STR(l),
				 "%s", leftover_why(l));

	f->left = l;
	mend(f, kinds[l->kind].stage, remove_leftover);
	if (l->kind == LEFT_UNPLUGGED)
		remedy(f, "attach the container again; --repair frees its addresses and ports");
	else
		remedy(f, "netctl gc");
}

static int detach(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	for (size_t i = 0; i < d->m.n_attachments; i++)
		if (d->m.attachments[i].main == f->ep)
			return attachment_remove(d->c, &d->m.attachments[i], err);
	return 0;
}

/* macvlan and the like: the record has the index of the interface inside. */
static void check_inside(struct doctor *d, const struct fl_endpoint *ep)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	FL_AUTONL struct fl_nl *nl = NULL;
	struct fl_link link;
	struct finding *f;

	if (*ep->link || !ep->ifindex || !ep->nsid || *ep->shares || ep->state != FL_STATE_READY ||
	    ctl_sandbox(d->c, ep, &ns, &nl, NULL) ||
	    fl_link_get_index(nl, ep->ifindex, &link, NULL) != -ENODEV)
		return;
	f = find(d, "interface-gone", SEVERITY_ERROR, ENDPOINT_OBJECT(ep),
		 "its interface is gone, though the sandbox lives");
	f->ep = ep;
	mend(f, STAGE_RECORD, detach);
	remedy(f, "attach the container again; --repair frees its addresses and ports");
}

/*
 * A namespace outlives its file as long as a program runs in it: all is well for that, but nobody
 * finds the way in, and a new namespace under the old name is another one.
 */
static void check_path(struct doctor *d, const struct fl_endpoint *ep)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	struct finding *f;

	if (!*ep->netns || *ep->shares || ep->state != FL_STATE_READY ||
	    ctl_sandbox(d->c, ep, &ns, NULL, NULL) != -ENOENT || runtime_is_gone(d->c, ep))
		return;
	f = find(
		d, "path-lost", SEVERITY_WARNING, ENDPOINT_OBJECT(ep),
		"%s leads nowhere, or to another namespace, though the sandbox lives: a program in "
		"it keeps it",
		ep->netns);
	remedy(f, "end the program, then netctl gc; or netctl detach %s %s", ep->id.network,
	       ep->id.container);
}

int check_records(struct doctor *d, struct fl_error *err)
{
	(void)err;
	for (size_t i = 0; i < d->left.n; i++)
		tell_leftover(d, &d->left.v[i]);
	for (size_t i = 0; i < d->m.n_attachments; i++) {
		check_inside(d, d->m.attachments[i].main);
		check_path(d, d->m.attachments[i].main);
	}
	return 0;
}

/* ---- leases ---- */

/* Claims it unless somebody has it by now. */
static int claim_lease(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint now = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_pool pool;
	int r = ctl_store(d->c, true, err);

	if (!r)
		r = fl_txn_begin(d->c->store, true, &t, err);
	if (!r)
		r = fl_endpoint_get(t, &f->ep->id, &now, err);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = fl_pool_get(t, f->ep->pool, &pool, err);
	if (r == -ENOENT)
		r = fl_pool_create(t, f->ep->pool, &pool, err);
	if (!r)
		r = fl_lease_claim(t, &pool, &f->prefix.addr, &f->ep->id, err);
	if (r == -EEXIST)
		return fl_error_set(err, r, FL_ECODE_CONFLICT,
				    "%s is another's by now: attach the container again",
				    fl_addr_str(&f->prefix.addr, FL_ADDR_BUF));
	return r ? r : fl_txn_commit(&t, err);
}

static int check_lease(struct doctor *d, struct fl_txn *t, const struct fl_pool *pool,
		       const struct fl_endpoint *ep, const struct fl_prefix *a,
		       struct fl_error *err)
{
	struct fl_endpoint_id owner = { 0 };
	int r = pool ? fl_lease_owner(t, pool, &a->addr, &owner, err) : -ENOENT;
	struct finding *f;

	if (r && r != -ENOENT)
		return r;
	if (!r && !strcmp(owner.container, ep->id.container) &&
	    !strcmp(owner.ifname, ep->id.ifname))
		return 0;
	if (!r) {
		f = find(d, "lease-conflict", SEVERITY_ERROR, ENDPOINT_OBJECT(ep),
			 "its address %s is leased to container %s, interface %s",
			 fl_addr_str(&a->addr, FL_ADDR_BUF), owner.container, owner.ifname);
		remedy(f, "attach one of the two again");
		return 0;
	}
	f = find(d, "lease-missing", SEVERITY_ERROR, ENDPOINT_OBJECT(ep),
		 "its address %s is not leased: the next container may get it too",
		 fl_addr_str(&a->addr, FL_ADDR_BUF));
	f->ep = ep;
	f->prefix = *a;
	mend(f, STAGE_LEASE, claim_lease);
	return 0;
}

int check_leases(struct doctor *d, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = d->c->store ? fl_txn_begin(d->c->store, false, &t, err) : 0;

	for (size_t i = 0; t && i < d->m.n_endpoints && !r; i++) {
		const struct fl_endpoint *ep = &d->m.endpoints[i];
		struct fl_pool pool;
		int have;

		if (!*ep->pool || ep->state != FL_STATE_READY)
			continue;
		have = fl_pool_get(t, ep->pool, &pool, err);
		if (have && have != -ENOENT)
			return have;
		for (uint32_t k = 0; k < ep->n_addrs && !r; k++)
			r = check_lease(d, t, have ? NULL : &pool, ep, &ep->addrs[k], err);
	}
	return r;
}
