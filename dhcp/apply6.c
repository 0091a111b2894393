/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A DHCPv6 lease that changes: the address alone, because routes are the routers' to advertise. */
#include "dhcp/daemon.h"

#include "nl/nl.h"

#include <linux/rtnetlink.h>

/* Adds the address or changes its life. Its preferred life may be over before it is (RFC 4862,
 * 5.5.4), other than with fl_ifaddr_set(). */
static int set_address(const struct lease *l, const struct inside *in, const struct fl_prefix *p,
		       struct fl_error *err)
{
	const struct fl_dhcp6_address *a = fl_dhcp6_best(&l->client6.lease);
	struct ifaddrmsg m = { .ifa_family = AF_INET6,
			       .ifa_prefixlen = p->len,
			       .ifa_index = in->index };
	uint64_t preferred = l->client6.expiry - ((uint64_t)a->valid - a->preferred) * 1000;
	struct ifa_cacheinfo life = { .ifa_valid = seconds_until(l->client6.expiry) };
	FL_AUTOREQ struct fl_req q = { 0 };

	if (a->preferred == FL_DHCP_FOREVER)
		preferred = FL_DHCP_NEVER;
	else if (a->valid == FL_DHCP_FOREVER)
		preferred = l->client6.sent + (uint64_t)a->preferred * 1000;
	life.ifa_prefered = a->preferred ? seconds_until(preferred) : 0;
	fl_req_init(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &m, sizeof(m));
	fl_req_addr(&q, IFA_LOCAL, &p->addr);
	fl_req_addr(&q, IFA_ADDRESS, &p->addr);
	fl_req_put(&q, IFA_CACHEINFO, &life, sizeof(life));
	return fl_nl_do(in->nl, &q, err, "address %s", fl_prefix_str(p, FL_PREFIX_BUF));
}

int apply6_lease(struct lease *l, const struct fl_dhcp6_reply *old, struct fl_error *err)
{
	struct fl_prefix to = lease6_ip(&l->client6.lease), from = { 0 };
	AUTOINSIDE struct inside in = { 0 };
	int r = inside_open(l, false, &in, err);
	bool moved;

	if (old)
		from = lease6_ip(old);
	moved = old && !fl_addr_eq(&from.addr, &to.addr);
	if (r)
		return r;
	/* Somebody took it away on purpose: a renewal does not bring it back. */
	if (old && !moved && !inside_has(&in, &to))
		return 0;
	r = set_address(l, &in, &to, err);
	return !r && moved ? fl_ifaddr_del(in.nl, in.index, &from, err) : r;
}

int apply6_loss(struct lease *l, const struct fl_dhcp6_reply *old, struct fl_error *err)
{
	struct fl_prefix ip = lease6_ip(old);
	AUTOINSIDE struct inside in = { 0 };
	int r = inside_open(l, false, &in, err);

	return r ? r : fl_ifaddr_del(in.nl, in.index, &ip, err);
}
