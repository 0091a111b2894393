/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/changes.h"

#include "netctl/links.h"
#include "netctl/topology.h"

#include <errno.h>
#include <string.h>

void view_clear(struct view *v)
{
	model_clear(&v->m);
	free(v->known);
	host_view_clear(&v->host);
	*v = (struct view){ 0 };
}

/* ---- telling ---- */

static void tell(const struct changes *c, const char *event, const struct attachment *a,
		 const char *detail, json_t *more)
{
	const struct fl_endpoint *ep = a->main, *named = ep;

	for (size_t i = 0; i < a->n && !*named->name; i++)
		if (*a->first[i].name)
			named = &a->first[i];
	c->tell(c->arg, &(struct event){ event, ep->id.network, ep->id.container, named->name,
					 CONTAINER_LABEL(named), ep->id.ifname, detail, more });
}

static void tell_port(const struct changes *c, const char *event, const struct attachment *a,
		      const struct fl_port *p)
{
	char words[128];

	port_words(p, "->", words, sizeof(words));
	tell(c, event, a, words, json_pack("{so}", "port", port_json(p)));
}

static void tell_state(const struct changes *c, const struct attachment *a, const char *state,
		       const char *detail)
{
	tell(c, "state", a, detail, json_pack("{ss}", "state", state));
}

static void tell_address(const struct changes *c, const struct attachment *a,
			 const struct fl_prefix *p, bool added)
{
	const char *address = fl_prefix_str(p, FL_PREFIX_BUF);
	char words[96];

	snprintf(words, sizeof(words), "%s %s", added ? "added" : "removed", address);
	tell(c, "address", a, words,
	     json_pack("{ss ss}", "address", address, "change", added ? "added" : "removed"));
}

/* ---- ports ---- */

struct ports {
	const struct fl_port **v;
	size_t n;
};

static void count_port(void *arg, const struct fl_port *p)
{
	(void)p;
	(*(size_t *)arg)++;
}

static void take_port(void *arg, const struct fl_port *p)
{
	struct ports *all = arg;

	all->v[all->n++] = p;
}

static int compare_ports(const void *x, const void *y)
{
	const struct fl_port *a = *(const struct fl_port *const *)x,
			     *b = *(const struct fl_port *const *)y;
	int r = fl_addr_cmp(&a->host, &b->host);

	if (!r)
		r = (int)a->proto - (int)b->proto;
	if (!r)
		r = (int)a->host_port - (int)b->host_port;
	if (!r)
		r = (int)a->container_port - (int)b->container_port;
	return r ? r : a->count < b->count ? -1 : a->count > b->count;
}

/* NULL: an attachment without any. */
static int sorted_ports(const struct attachment *a, struct ports *ret)
{
	size_t n = 0;

	*ret = (struct ports){ 0 };
	if (a)
		ports_each(a, count_port, &n);
	if (!n)
		return 0;
	ret->v = calloc(n, sizeof(const struct fl_port *));
	if (!ret->v)
		return -ENOMEM;
	ports_each(a, take_port, ret);
	qsort(ret->v, ret->n, sizeof(const struct fl_port *), compare_ports);
	return 0;
}

/* `old` or `now` may be NULL. */
static int compare_published(const struct changes *c, const struct attachment *old,
			     const struct attachment *now)
{
	struct ports before = { 0 }, after = { 0 };
	size_t i = 0, k = 0;
	int r = sorted_ports(old, &before);

	if (!r)
		r = sorted_ports(now, &after);
	while (!r && (i < before.n || k < after.n)) {
		int order = i == before.n  ? 1
			    : k == after.n ? -1
					   : compare_ports(&before.v[i], &after.v[k]);

		if (order < 0)
			tell_port(c, "unpublish", old, before.v[i]);
		if (order > 0)
			tell_port(c, "publish", now, after.v[k]);
		i += order <= 0;
		k += order >= 0;
	}
	free(before.v);
	free(after.v);
	return r;
}

/* ---- attachments ---- */

static void tell_attach(const struct changes *c, const struct attachment *a)
{
	const struct fl_endpoint *ep = a->main;
	json_t *addresses = json_array();
	char words[FL_PREFIX_STR * FL_ENDPOINT_ADDRS + 8] = "";
	size_t len = 0;

	for (uint32_t i = 0; i < ep->n_addrs; i++) {
		const char *one = fl_prefix_str(&ep->addrs[i], FL_PREFIX_BUF);

		json_array_append_new(addresses, json_string(one));
		len += (size_t)snprintf(words + len, sizeof(words) - len, "%s%s", i ? ", " : "",
					one);
	}
	tell(c, "attach", a, words,
	     json_pack("{so ss ss ss}", "addresses", addresses, "hostInterface", ep->link, "driver",
		       ep->id.driver, "netns", ep->netns));
}

static bool has_address(const struct fl_endpoint *ep, const struct fl_prefix *p)
{
	for (uint32_t i = 0; i < ep->n_addrs; i++)
		if (fl_addr_eq(&ep->addrs[i].addr, &p->addr) && ep->addrs[i].len == p->len)
			return true;
	return false;
}

static void compare_recorded(const struct changes *c, const struct attachment *old,
			     const struct attachment *now)
{
	for (uint32_t i = 0; i < old->main->n_addrs; i++)
		if (!has_address(now->main, &old->main->addrs[i]))
			tell_address(c, now, &old->main->addrs[i], false);
	for (uint32_t i = 0; i < now->main->n_addrs; i++)
		if (!has_address(old->main, &now->main->addrs[i]))
			tell_address(c, now, &now->main->addrs[i], true);
}

/* The same interface in the same sandbox: not one that was made again under the same name. */
static bool is_same(const struct attachment *a, const struct attachment *b)
{
	const struct fl_endpoint *x = a->main, *y = b->main;

	return x->cookie == y->cookie && x->dev == y->dev && x->ino == y->ino &&
	       (x->ifindex == y->ifindex || !x->ifindex || !y->ifindex);
}

static void compare_host_end(const struct changes *c, const struct view *old,
			     const struct view *now, const struct attachment *a)
{
	const struct host_link *before = host_link_find(&old->host, a->main->ifindex),
			       *after = host_link_find(&now->host, a->main->ifindex);

	if (!*a->main->link || !before || a->main->state != FL_STATE_READY)
		return;
	if (!after)
		tell_state(c, a, "gone", "its host interface is gone");
	else if (before->operstate != after->operstate)
		tell_state(c, a, operstate_str(after->operstate), operstate_str(after->operstate));
}

static int compare_attached(const struct changes *c, const struct view *old, const struct view *now,
			    const struct attachment *a, const struct attachment *b)
{
	int r = compare_published(c, a, b);

	compare_recorded(c, a, b);
	if (b->main->state == FL_STATE_DELETING && a->main->state != FL_STATE_DELETING)
		tell_state(c, b, "deleting", "deleting");
	else
		compare_host_end(c, old, now, b);
	return r;
}

static int attached(const struct changes *c, const struct attachment *a)
{
	tell_attach(c, a);
	return compare_published(c, NULL, a);
}

static int detached(const struct changes *c, const struct attachment *a)
{
	int r = compare_published(c, a, NULL);

	tell(c, "detach", a, "", NULL);
	return r;
}

/* One key of both; `a` or `b` may be NULL. */
static int compare_pair(const struct changes *c, const struct view *old, struct view *now,
			const struct attachment *a, const struct attachment *b)
{
	bool was = a && old->known[a - old->m.attachments];
	bool same = a && b && is_same(a, b);
	bool is = b && (b->main->state == FL_STATE_READY ||
			(b->main->state == FL_STATE_DELETING && was && same));
	int r = 0;

	if (b)
		now->known[b - now->m.attachments] = is;
	if (was && is && same)
		return compare_attached(c, old, now, a, b);
	if (was)
		r = detached(c, a);
	if (!r && is)
		r = attached(c, b);
	if (b && !is && b->main->state == FL_STATE_CREATING &&
	    (!a || a->main->state != FL_STATE_CREATING))
		tell_state(c, b, "creating", "creating");
	return r;
}

static int order_of(const struct attachment *a, const struct attachment *b)
{
	int r = strcmp(a->main->id.network, b->main->id.network);

	if (!r)
		r = strcmp(a->main->id.container, b->main->id.container);
	return r ? r : strcmp(a->main->id.ifname, b->main->id.ifname);
}

static int compare_models(const struct changes *c, const struct view *old, struct view *now)
{
	size_t i = 0, k = 0;
	int r = 0;

	while (!r && (i < old->m.n_attachments || k < now->m.n_attachments)) {
		const struct attachment *a =
			i < old->m.n_attachments ? &old->m.attachments[i] : NULL;
		const struct attachment *b =
			k < now->m.n_attachments ? &now->m.attachments[k] : NULL;
		int order = !a ? 1 : !b ? -1 : order_of(a, b);

		r = compare_pair(c, old, now, order <= 0 ? a : NULL, order >= 0 ? b : NULL);
		i += order <= 0;
		k += order >= 0;
	}
	return r;
}

/* ---- the networks' own links ---- */

static void tell_network(const struct changes *c, const struct view *now, const char *link,
			 bool parent, const char *event, const char *detail, json_t *more)
{
	const char *last = "";

	for (size_t i = 0; i < now->m.n_networks; i++) {
		const struct fl_network *net = &now->m.networks[i];

		/* The plugins of a chain have a record each. */
		if ((strcmp(net->parent, link) != 0 && (parent || strcmp(net->link, link) != 0)) ||
		    !strcmp(net->name, last))
			continue;
		last = net->name;
		c->tell(c->arg, &(struct event){ event, net->name, "", "", "-", link, detail,
						 json_incref(more) });
	}
	json_decref(more);
}

static void address_changed(const struct changes *c, const struct view *old, const struct view *now,
			    const struct host_address *a, bool added)
{
	const char *address = fl_prefix_str(&a->prefix, FL_PREFIX_BUF);
	const char *change = added ? "added" : "removed";
	const struct host_link *link = host_link_find(added ? &now->host : &old->host, a->index);
	char words[96];

	if (!link)
		return;
	snprintf(words, sizeof(words), "%s %s", change, address);
	tell_network(c, now, link->name, false, "address", words,
		     json_pack("{ss ss}", "address", address, "change", change));
}

static void compare_host_addresses(const struct changes *c, const struct view *old,
				   const struct view *now)
{
	size_t i = 0, k = 0;

	while (i < old->host.n_addresses || k < now->host.n_addresses) {
		int order = i == old->host.n_addresses ? 1
			    : k == now->host.n_addresses
				    ? -1
				    : host_address_compare(&old->host.addresses[i],
							   &now->host.addresses[k]);

		if (order < 0)
			address_changed(c, old, now, &old->host.addresses[i], false);
		if (order > 0)
			address_changed(c, old, now, &now->host.addresses[k], true);
		i += order <= 0;
		k += order >= 0;
	}
}

/* Of what carries macvlans and the like. A bridge goes up and down with its first and last port. */
static void compare_parents(const struct changes *c, const struct view *old, const struct view *now)
{
	for (size_t i = 0; i < old->host.n_links; i++) {
		const struct host_link *before = &old->host.links[i],
				       *after = host_link_find(&now->host, before->index);
		const char *state = after ? operstate_str(after->operstate) : "gone";

		if (!after || after->operstate != before->operstate)
			tell_network(c, now, before->name, true, "state", state,
				     json_pack("{ss}", "state", state));
	}
}

static void ignore(void *arg, const struct event *e)
{
	(void)arg;
	json_decref(e->more);
}

int changes_tell(const struct changes *c, const struct view *old, struct view *now, bool first,
		 struct fl_error *err)
{
	const struct changes nobody = { ignore, NULL };
	int r;

	free(now->known);
	now->known = calloc(now->m.n_attachments + 1, sizeof(*now->known));
	if (!now->known)
		return fl_error_oom(err);
	r = compare_models(first ? &nobody : c, old, now);
	if (!first) {
		compare_host_addresses(c, old, now);
		compare_parents(c, old, now);
		return r ? fl_error_oom(err) : 0;
	}
	/* One that is on its way out has been attached. */
	for (size_t i = 0; i < now->m.n_attachments; i++)
		now->known[i] |= now->m.attachments[i].main->state == FL_STATE_DELETING;
	return r ? fl_error_oom(err) : 0;
}
