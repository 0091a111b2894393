/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The transactions of an ADD: what it is about to make is written down before it is made. */
#include "plugin/internal.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

struct adoption {
	struct fl_network *net;
	struct fl_error *err;
};

static int adopt(void *arg, const char *what, const char *name)
{
	struct adoption *a = arg;

	if (!fl_network_made_add(a->net, what, name))
		return 0;
	return fl_error_set(a->err, E2BIG, FL_ECODE_CONFIG,
			    "network %s has made too many host interfaces: %s is one more",
			    a->net->name, name);
}

/*
 * Has the network elements that it would not have now? Its endpoints' elements too are computed
 * from it when they go, so all of it is rebuilt then; the mark in the store sees to that even if
 * this process does not come so far.
 */
static bool loses_elements(const struct fl_network *old, const struct fl_network *now)
{
	struct fl_network aligned = *old;

	memcpy(aligned.subnets, now->subnets, sizeof(aligned.subnets));
	aligned.n_subnets = now->n_subnets;
	memcpy(aligned.anycast, now->anycast, sizeof(aligned.anycast));
	aligned.n_anycast = now->n_anycast;
	memcpy(aligned.made, now->made, sizeof(aligned.made));
	memcpy(aligned.parent, now->parent, sizeof(aligned.parent));
	return !old->direct && !fl_network_same(&aligned, now);
}

static int merge_network(struct fl_call *c, struct fl_txn *t, struct fl_network *old, bool *has_old,
			 struct fl_error *err)
{
	struct adoption a = { &c->net, err };
	int r = fl_network_get(t, c->net.name, c->net.driver, old, err);

	*has_old = !r;
	if (r && r != -ENOENT)
		return r;
	for (uint32_t i = 0; *has_old && i < old->n_subnets; i++)
		fl_network_add_subnet(&c->net, &old->subnets[i]);
	for (uint32_t i = 0; *has_old && i < old->n_anycast; i++)
		fl_network_add_anycast(&c->net, &old->anycast[i].addr);
	for (uint32_t i = 0; !c->net.direct && !c->net.filter_only && i < c->ep.n_addrs; i++)
		fl_network_add_subnet(&c->net, &c->ep.addrs[i]);
	r = *has_old ? fl_network_made_each(old, adopt, &a) : 0;
	if (r)
		return r;
	if (*has_old && loses_elements(old, &c->net)) {
		r = fl_store_rules_mark_stale(t, err);
		if (r)
			return r;
		c->rules_stale = true;
	}
	c->net.ready = *has_old && old->ready && fl_network_same(&c->net, old);
	return c->net.ready ? 0 : fl_network_put(t, &c->net, err);
}

static int take_own(void *arg, const struct fl_ifaddr *a)
{
	struct fl_prefix *own = arg;

	if (a->prefix.addr.family != AF_INET)
		return 0;
	*own = fl_prefix_masked(&a->prefix);
	return 1;
}

/*
 * The record goes with the last endpoint; the bridge stays, with its address. That is no other's
 * subnet, but the one that this network has had.
 */
static int look_around(struct fl_call *c, struct fl_error *err)
{
	struct fl_link link;
	int r = fl_used_by_host(c->host, AF_INET, &c->used, err);

	if (!r && *c->net.link)
		r = fl_link_find(c->host, c->net.link, &link, err);
	if (r > 0)
		r = fl_ifaddrs_each(c->host, link.index, take_own, &c->own_subnet, err);
	return r < 0 ? r : 0;
}

static int pick_subnet(struct fl_call *c, struct fl_txn *t, struct fl_prefix *ret,
		       struct fl_error *err)
{
	size_t hosts = c->used.n;
	int r = fl_used_by_networks(t, &c->used, err);
	bool own = c->own_subnet.len;

	if (r)
		return r;
	/* Unless two networks share the bridge. */
	for (size_t i = hosts; i < c->used.n && own; i++)
		own = !fl_prefix_overlaps(&c->used.v[i], &c->own_subnet);
	if (own) {
		*ret = c->own_subnet;
		return 0;
	}
	return fl_ipam_pick_subnet(fl_default_pools, fl_n_default_pools, c->used.v, c->used.n, ret,
				   err);
}

/* "subnet": "auto": the network's own if it has one, else the first that nothing here uses. */
static int settle_subnet(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	struct fl_network net;
	struct fl_prefix subnet;
	int r;

	if (!c->ipam.auto_subnet)
		return 0;
	r = fl_network_get(t, c->net.name, c->net.driver, &net, err);
	if (!r && net.n_subnets)
		subnet = net.subnets[0];
	else if (!r || r == -ENOENT)
		r = pick_subnet(c, t, &subnet, err);
	return r ? r : fl_ipam_use_subnet(&c->ipam, &subnet, err);
}

/* Before the record is written: a rebuild by another process makes elements from it. */
static void settle_mac(struct fl_call *c)
{
	if (c->driver->flags & (FL_DRIVER_CHAINED | FL_DRIVER_SHARES) || c->mac_settled)
		return;
	c->mac_settled = true;
	/* Behind an address that somebody else gives, neighbours may know another MAC as well. */
	c->mac_given = !fl_mac_is_zero(&c->ep.mac);
	c->mac_chosen = c->mac_given || fl_call_ipam_is_late(c) || c->wholly_inside;
	if (c->mac_given)
		return;
	/*
	 * Not on a parent: it refuses a MAC that it has already, and that of a container whose
	 * namespace is being torn down lives on for a moment.
	 */
	c->ep.mac = c->ep.n_addrs && !c->wholly_inside ? fl_mac_for_address(c, &c->ep.addrs[0].addr)
						       : fl_mac_random();
}

static int put_memo(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	FL_AUTOFREE char *text = c->memo ? json_dumps(c->memo, JSON_COMPACT) : NULL;

	if (!c->memo)
		return 0;
	if (!text)
		return fl_error_oom(err);
	return fl_memo_put(t, &c->ep.id, (struct fl_bytes){ text, strlen(text) }, err);
}

static int put_record(struct fl_call *c, struct fl_txn *t, const struct fl_endpoint *ep,
		      struct fl_error *err)
{
	struct fl_endpoint full = *ep;
	int r = fl_resolver_record(c, err);

	memcpy(full.dns, c->ep.dns, sizeof(full.dns));
	if (!r)
		r = fl_endpoint_put(t, &full, err);
	return r ? r : put_memo(c, t, err);
}

/*
 * Owners that were found gone: their records go with this transaction, and nobody would know of
 * their elements afterwards. Without rules there are none.
 */
static int drop_evicted(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	int r = 0;

	for (size_t i = 0; i < c->n_evicted && !r; i++) {
		const struct fl_endpoint *ep = &c->evicted[i];
		struct fl_network net;

		r = fl_network_get(t, ep->id.network, ep->id.driver, &net, err);
		if (r && r != -ENOENT)
			return r;
		r = fl_fw_apply(c->fw,
				&(struct fl_fw_change){ .del_endpoint = ep,
							.del_endpoint_network = r ? NULL : &net },
				err);
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

/* Two ADDs of one attachment that came so far at once: the record is the first one's. */
static int refuse_other(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint prior = { 0 };
	int r = fl_endpoint_get(t, &c->ep.id, &prior, err);

	if (r)
		return r == -ENOENT ? 0 : r;
	if (prior.nsid == c->ep.nsid && !strcmp(prior.link, c->ep.link) &&
	    (*prior.link || prior.ifindex == c->ep.ifindex))
		return 0;
	return fl_error_set(err, EBUSY, FL_ECODE_TRY_AGAIN,
			    "another ADD of container %s, interface %s is under way",
			    prior.id.container, prior.id.ifname);
}

/* announce_network()'s: there is nothing in it that a failure would have to restore. */
static bool is_announcement(const struct fl_call *c, const struct fl_network *net)
{
	return net->direct && !*net->link && !c->net.direct;
}

int fl_claim(struct fl_call *c, struct fl_step *s, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_gone gone = { fl_owner_gone, c };
	int r = c->ipam.auto_subnet ? look_around(c, err) : 0;

	if (!r)
		r = fl_txn_begin(c->store, true, &t, err);
	if (!r)
		r = refuse_other(c, t, err);
	if (!r)
		r = fl_note_stale_rules(c, t, err);
	if (!r)
		r = settle_subnet(c, t, err);
	if (!r)
		r = fl_call_ipam_early(c, t, &gone, err);
	if (!r)
		settle_mac(c);
	if (!r)
		r = fl_ports_choose(c, t, err);
	if (!r && c->ep.n_ports)
		r = fl_ports_claim(t, &c->ep, fl_endpoint_families(&c->ep), &gone, err);
	if (!r)
		r = drop_evicted(c, t, err);
	if (!r && c->driver->settle)
		r = c->driver->settle(c, t, err);
	if (!r)
		r = merge_network(c, t, &s->old, &s->has_old, err);
	s->has_old = s->has_old && !is_announcement(c, &s->old);
	if (!r)
		r = put_record(c, t, &c->ep, err);
	if (!r)
		r = fl_txn_commit(&t, err);
	/* What cannot be removed is in nobody's way. */
	for (size_t i = 0; !r && i < c->n_evicted; i++)
		if (*c->evicted[i].dns)
			fl_files_remove(c, &c->evicted[i], NULL);
	return r;
}

/* The network's part is its `made` alone: what it will have in nftables is not known yet. */
static int announce_network(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	struct fl_network old, bare = { .direct = true };
	struct adoption a = { &old, err };
	int r = *c->net.made ? fl_network_get(t, c->net.name, c->net.driver, &old, err) : 1;

	if (r == -ENOENT) {
		fl_strcpy(bare.name, sizeof(bare.name), c->net.name);
		fl_strcpy(bare.driver, sizeof(bare.driver), c->net.driver);
		fl_strcpy(bare.parent, sizeof(bare.parent), c->net.parent);
		memcpy(bare.made, c->net.made, sizeof(bare.made));
		memcpy(bare.cluster, c->net.cluster, sizeof(bare.cluster));
		return fl_network_put(t, &bare, err);
	}
	if (r)
		return r > 0 ? 0 : r;
	if (*c->net.cluster)
		memcpy(old.cluster, c->net.cluster, sizeof(old.cluster));
	r = fl_network_made_each(&c->net, adopt, &a);
	return r ? r : fl_network_put(t, &old, err);
}

int fl_announce(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_endpoint bare;
	int r = fl_txn_begin(c->store, true, &t, err);

	settle_mac(c);
	bare = c->ep;
	bare.ports = NULL;
	bare.n_ports = 0;
	bare.spoof_check = false;
	if (!r)
		r = refuse_other(c, t, err);
	if (!r)
		r = announce_network(c, t, err);
	if (!r)
		r = put_record(c, t, &bare, err);
	return r ? r : fl_txn_commit(&t, err);
}

int fl_conclude(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_network now;
	int r = fl_txn_begin(c->store, true, &t, err);

	c->ep.state = FL_STATE_READY;
	if (!r)
		r = fl_endpoint_put(t, &c->ep, err);
	if (!r && !c->net.ready && !fl_network_get(t, c->net.name, c->net.driver, &now, err) &&
	    fl_network_same(&now, &c->net)) {
		now.ready = true;
		r = fl_network_put(t, &now, err);
	}
	return r ? r : fl_txn_commit(&t, err);
}
