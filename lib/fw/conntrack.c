/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UDP flows have no end: an entry from before a port was published (or of its last owner) would
 * keep its old translation for as long as the peer keeps sending.
 */
#include "fw/fw.h"
#include "nft/ctnetlink.h"

#include <errno.h>

/* More addresses than this, and one dump is cheaper than two walks of the table for each. */
#define WALKS_MAX 4

static bool port_matches(const struct fl_port *p, const struct fl_ct_entry *e)
{
	return p->proto == IPPROTO_UDP && e->orig_dport >= p->host_port &&
	       e->orig_dport - p->host_port < (int64_t)p->count &&
	       (!p->host.family || p->host.family == e->orig_dst.family) &&
	       (!p->host.family || fl_addr_is_any(&p->host) || fl_addr_eq(&p->host, &e->orig_dst));
}

static bool is_published(const struct fl_ct_entry *e, void *arg)
{
	const struct fl_endpoint *ep = arg;

	for (uint32_t i = 0; e->proto == IPPROTO_UDP && i < ep->n_ports; i++)
		if (port_matches(&ep->ports[i], e))
			return true;
	return false;
}

static bool is_ours(const struct fl_ct_entry *e, void *arg)
{
	const struct fl_endpoint *ep = arg;

	for (uint32_t i = 0; i < ep->n_addrs; i++) {
		const struct fl_addr *a = &ep->addrs[i].addr;

		if (fl_addr_eq(a, &e->orig_src) || fl_addr_eq(a, &e->orig_dst) ||
		    fl_addr_eq(a, &e->reply_src) || fl_addr_eq(a, &e->reply_dst))
			return true;
	}
	return false;
}

static bool is_either(const struct fl_ct_entry *e, void *arg)
{
	return is_published(e, arg) || is_ours(e, arg);
}

static bool has_family(const struct fl_endpoint *ep, int family)
{
	for (uint32_t i = 0; i < ep->n_addrs; i++)
		if (ep->addrs[i].addr.family == family)
			return true;
	return false;
}

/* UDP ports that this family's table may hold entries of; `ret_one` gets one of the ranges. */
static uint32_t udp_ports(const struct fl_endpoint *ep, int family, const struct fl_port **ret_one)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ep->n_ports; i++) {
		const struct fl_port *p = &ep->ports[i];

		if (p->proto != IPPROTO_UDP || (p->host.family && p->host.family != family))
			continue;
		n += p->count;
		*ret_one = p;
	}
	return n;
}

static int flush_ports(struct fl_nft *nft, const struct fl_endpoint *ep, int family,
		       struct fl_error *err)
{
	const struct fl_port *one = NULL;
	uint32_t n = has_family(ep, family) ? udp_ports(ep, family, &one) : 0;
	struct fl_ct_match match = { .family = (uint8_t)family, .proto = IPPROTO_UDP };
	int r = -EOPNOTSUPP;

	if (!n)
		return 0;
	if (n == 1) {
		match.dport = one->host_port;
		if (!fl_addr_is_any(&one->host))
			match.orig_dst = one->host;
		r = fl_ct_delete_matching(nft, &match, err);
	}
	if (r == -EOPNOTSUPP)
		r = fl_ct_delete_if(nft, (uint8_t)family, IPPROTO_UDP, is_published, (void *)ep,
				    err);
	return r;
}

/* Entries that an address began, and those that are answered by it. */
static int flush_addr(struct fl_nft *nft, const struct fl_addr *a, struct fl_error *err)
{
	struct fl_ct_match from = { .family = a->family, .orig_src = *a };
	struct fl_ct_match to = { .family = a->family, .reply_src = *a };
	int r = fl_ct_delete_matching(nft, &from, err);

	return r ? r : fl_ct_delete_matching(nft, &to, err);
}

static int flush_addrs(struct fl_nft *nft, const struct fl_endpoint *ep, struct fl_error *err)
{
	int r = ep->n_addrs * 2 > WALKS_MAX ? -EOPNOTSUPP : 0;

	for (uint32_t i = 0; !r && i < ep->n_addrs; i++)
		r = flush_addr(nft, &ep->addrs[i].addr, err);
	if (r == -EOPNOTSUPP)
		r = fl_ct_delete_if(nft, AF_UNSPEC, 0, is_either, (void *)ep, err);
	return r;
}

int fl_conntrack_flush(const struct fl_endpoint *ep, bool and_addrs, struct fl_error *err)
{
	static const int families[] = { AF_INET, AF_INET6 };
	const struct fl_port *one;
	struct fl_nft nft;
	int r;

	if (!(and_addrs && ep->n_addrs) && !udp_ports(ep, AF_INET, &one) &&
	    !udp_ports(ep, AF_INET6, &one))
		return 0;
	r = fl_nft_open(&nft, err);
	if (r)
		return r;
	/* Flows that a published port brought here are answered by the address: one walk has them
	 * all. */
	if (and_addrs && ep->n_addrs)
		r = flush_addrs(&nft, ep, err);
	for (size_t i = 0; !and_addrs && !r && i < FL_ARRAY_SIZE(families); i++)
		r = flush_ports(&nft, ep, families[i], err);
	fl_nft_close(&nft);
	return r;
}
