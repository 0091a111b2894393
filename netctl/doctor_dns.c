/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The resolver: is it at work, and does it serve each sandbox that asks it? */
#include "netctl/doctor.h"
#include "netctl/reload.h"

#include "dns/request.h"
#include "plugin/resolver.h"
#include "store/hosts.h"

#include <errno.h>
#include <string.h>

static int start(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	(void)f;
	return fl_resolver_start(fl_store_path(d->c->store), err);
}

/* A daemon that starts anew opens it there again. */
static int record_port(struct doctor *d, const struct fl_endpoint *ep, uint32_t port,
		       struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint now = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = ctl_store(d->c, true, err);

	if (!r)
		r = fl_txn_begin(d->c->store, true, &t, err);
	if (!r)
		r = fl_endpoint_get(t, &ep->id, &now, err);
	if (r || now.dns_port == port)
		return r == -ENOENT ? 0 : r;
	now.dns_port = port;
	r = fl_endpoint_put(t, &now, err);
	return r ? r : fl_txn_commit(&t, err);
}

static int serve(struct doctor *d, const struct finding *f, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	struct fl_dnsd_answer a;
	struct fl_dnsd_request q = { .op = FL_DNSD_OPEN, .sandbox = fl_endpoint_sandbox(f->ep) };
	int r = ctl_sandbox(d->c, f->ep, &ns, NULL, err);

	if (r)
		return r == -ENOENT ? 0 : r;
	snprintf(q.path, sizeof(q.path), "%s", f->ep->netns);
	r = fl_dnsd_ask(fl_store_path(d->c->store), &q, ns.fd, false, &a, err);
	return r < 0 ? r : record_port(d, f->ep, a.port, err);
}

static bool asks(const struct fl_endpoint *ep)
{
	return *ep->dns && ep->state == FL_STATE_READY;
}

static void check_sandbox(struct doctor *d, const struct fl_endpoint *ep)
{
	struct fl_dnsd_request q = { .op = FL_DNSD_SERVED, .sandbox = fl_endpoint_sandbox(ep) };
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	struct finding *f;

	if (fl_dnsd_ask(fl_store_path(d->c->store), &q, -1, false, NULL, NULL) != -ENOENT ||
	    ctl_sandbox(d->c, ep, &ns, NULL, NULL))
		return;
	f = find(d, "resolver-absent", SEVERITY_ERROR, ENDPOINT_OBJECT(ep),
		 "the resolver at " FL_DNSD_ADDRESS " does not serve it");
	f->ep = ep;
	mend(f, STAGE_RESOLVER, serve);
}

static const struct fl_endpoint *first_asking(const struct doctor *d)
{
	for (size_t i = 0; i < d->m.n_endpoints; i++)
		if (asks(&d->m.endpoints[i]))
			return &d->m.endpoints[i];
	return NULL;
}

int check_resolver(struct doctor *d, struct fl_error *err)
{
	struct fl_dnsd_request ping = { .op = FL_DNSD_PING };
	struct finding *f;
	int r;

	if (!d->c->store || !first_asking(d))
		return 0;
	r = fl_dnsd_ask(fl_store_path(d->c->store), &ping, -1, false, NULL, err);
	if (r == -ENOENT) {
		f = find(d, "resolver-down", SEVERITY_ERROR, FL_DNSD_PROGRAM,
			 "it is not at work: containers resolve no names");
		remedy(f, "netctl reload");
		mend(f, STAGE_RESOLVER, start);
		return 0;
	}
	for (size_t i = 0; i < d->m.n_endpoints && !r; i++)
		if (asks(&d->m.endpoints[i]))
			check_sandbox(d, &d->m.endpoints[i]);
	return r;
}
