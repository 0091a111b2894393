/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cable between two sandboxes: a pair of interfaces, one end in each, a host address on either
 * and a route to the other. No bridge, and the host is not on the way. The record is that of the
 * container that was attached; the peer's end goes with it.
 */
#include "ptp.h"

#include "base/strbuf.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <stdio.h>
#include <string.h>

int ptp_cable_validate(struct fl_call *c, struct fl_error *err)
{
	struct ptp_conf *conf = c->conf;
	const char *problem = NULL;

	c->wholly_inside = true;
	c->net.direct = true;
	c->ipam.pair = true;
	if (c->req.verb != FL_VERB_ADD)
		return 0;
	if (conf->ip_masq)
		problem = "peer, ipMasq: a cable does not lead to the host; expected at most one "
			  "of them";
	else if (c->ep.n_ports)
		problem = "runtimeConfig.portMappings: a cable does not lead to the host, which "
			  "cannot publish ports of it";
	else if (c->ipam_mode != FL_IPAM_OWN)
		problem = "ipam.type: a cable needs an address for each of its ends; expected "
			  "\"host-local\"";
	if (problem)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s", problem);
	if (conf->peer_ifname && *conf->peer_ifname && !fl_ifname_valid(conf->peer_ifname))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "peerIfName: expected an interface name of 1 to 15 bytes, not "
				    "\"%.64s\"",
				    conf->peer_ifname);
	return fl_requested_mac(c, &c->ep.mac, err);
}

/* ---- the peer ---- */

struct search {
	struct fl_call *c;
	bool found, is_self;
};

/* The first record whose sandbox can be entered. */
static int try_sandbox(void *arg, const struct fl_endpoint *ep)
{
	struct search *s = arg;
	struct ptp_conf *conf = s->c->conf;

	if (ep->cookie == s->c->sandbox.cookie) {
		s->is_self = true;
		return 0;
	}
	if (ep->state != FL_STATE_READY || fl_sandbox_open(s->c, ep, &conf->peer_sandbox, NULL))
		return 0;
	conf->peer_id = ep->id;
	fl_strcpy(conf->peer_netns, sizeof(conf->peer_netns), ep->netns);
	s->found = true;
	return 1;
}

static int find_peer(struct fl_call *c, struct fl_error *err)
{
	struct ptp_conf *conf = c->conf;
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct search s = { .c = c };
	int r = fl_txn_begin(c->store, false, &t, err);

	if (!r)
		r = fl_endpoints_named(t, conf->peer, try_sandbox, &s, err);
	if (r < 0)
		return r;
	if (s.found)
		return 0;
	return fl_error_set(err, ENOENT, FL_ECODE_CONFIG,
			    s.is_self ? "peer: \"%s\" is this container itself"
				      : "peer: no container with the id or name \"%s\" is attached "
					"to a fairlead network, or its sandbox is gone",
			    conf->peer);
}

/* The first ethN that is free there, unless a name was given. */
static int name_peer_end(struct fl_call *c, char name[IFNAMSIZ], struct fl_error *err)
{
	const struct ptp_conf *conf = c->conf;
	struct fl_link l;
	int r = 0;

	if (conf->peer_ifname && *conf->peer_ifname) {
		fl_strcpy(name, IFNAMSIZ, conf->peer_ifname);
		return 0;
	}
	for (unsigned i = 0; !r && i < 1000; i++) {
		snprintf(name, IFNAMSIZ, "eth%u", i);
		r = fl_link_get(conf->peer_sandbox.nl, name, &l, NULL);
	}
	return r == -ENODEV ? 0
			    : fl_error_set(err, r, FL_ECODE_KERNEL,
					   "peer: its interfaces cannot be read");
}

int ptp_cable_prepare(struct fl_call *c, struct fl_error *err)
{
	char name[IFNAMSIZ];
	int r = find_peer(c, err);

	if (!r)
		r = name_peer_end(c, name, err);
	if (r)
		return r;
	c->memo = json_pack("{s:s}", "peerIfName", name);
	return c->memo ? 0 : fl_error_oom(err);
}

static const char *peer_end(const json_t *memo)
{
	const char *name = json_string_value(json_object_get(memo, "peerIfName"));

	return name ? name : "";
}

/* ---- making it ---- */

int ptp_cable_create(struct fl_call *c, struct fl_error *err)
{
	const struct ptp_conf *conf = c->conf;
	struct fl_veth_spec spec = { .name = c->req.ifname,
				     .index = c->ep.ifindex,
				     .peer = peer_end(c->memo),
				     .peer_netns_fd = conf->peer_sandbox.ns.fd,
				     .mac = c->ep.mac,
				     .peer_mac = fl_mac_random(),
				     .mtu = (uint32_t)conf->mtu };
	struct fl_link l;
	int r = fl_veth_create(c->inside, &spec, err);

	if (r == -EEXIST && !fl_link_get(conf->peer_sandbox.nl, spec.peer, &l, NULL))
		return fl_error_set(err, r, FL_ECODE_CONFLICT,
				    "peerIfName: the peer's sandbox has an interface %s already",
				    spec.peer);
	if (r == -EEXIST)
		return fl_ifname_taken(c, err);
	if (!r)
		r = fl_link_get(conf->peer_sandbox.nl, spec.peer, &l, err);
	if (r)
		return r;
	c->link_index = l.index; /* of the peer's end */
	if (fl_result_add_interface(&c->result, spec.peer, &spec.peer_mac, conf->peer_netns,
				    l.mtu) < 0 ||
	    fl_result_add_interface(&c->result, spec.name, &spec.mac, c->req.netns, l.mtu) < 0)
		return fl_error_oom(err);
	return 0;
}

static struct fl_prefix host_prefix(const struct fl_addr *a)
{
	return (struct fl_prefix){ *a, (uint8_t)fl_addr_bits(a) };
}

/* One end: its address alone, and the route to the other end's. */
static int dress(struct fl_nl *nl, uint32_t index, const struct fl_addr *own,
		 const struct fl_addr *other, struct fl_error *err)
{
	struct fl_prefix address = host_prefix(own);
	bool v6 = own->family == AF_INET6;
	struct fl_nlroute route = { .dst = host_prefix(other),
				    .oif = index,
				    .src = *own,
				    .scope = v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK };
	int r = fl_ifaddr_add(nl, index, &address, v6 ? IFA_F_NODAD : 0, err);

	return r ? r : fl_route_replace(nl, &route, err);
}

static int peer_ipv6(struct fl_call *c, void *arg, struct fl_error *err)
{
	int r = fl_host_sysctl("0", err, "net/ipv6/conf/%s/disable_ipv6", (const char *)arg);

	(void)c;
	return r < 0 ? r
		     : fl_host_sysctl("0", err, "net/ipv6/conf/%s/accept_dad", (const char *)arg);
}

static int dress_peer(struct fl_call *c, const struct fl_result *all, size_t n,
		      struct fl_error *err)
{
	const struct ptp_conf *conf = c->conf;
	bool v6 = false;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		v6 |= all->ips[i].address.addr.family == AF_INET6;
	if (v6)
		r = fl_sandbox_run(c, &conf->peer_sandbox, peer_ipv6, (void *)peer_end(c->memo),
				   err);
	if (r >= 0)
		r = fl_link_set_up(conf->peer_sandbox.nl, c->link_index, true, err);
	for (size_t i = 0; i < n && !r; i++)
		r = dress(conf->peer_sandbox.nl, c->link_index, &all->ips[n + i].address.addr,
			  &all->ips[i].address.addr, err);
	return r;
}

int ptp_cable_join(struct fl_call *c, struct fl_error *err)
{
	struct fl_result *all = &c->ipam_result;
	size_t n = all->n_ips / 2;
	int r = dress_peer(c, all, n, err);

	if (r)
		return r;
	/* The result is the container's own: its half, and routes that need no gateway. */
	all->n_ips = n;
	for (size_t i = 0; i < n; i++) {
		all->ips[i].address = host_prefix(&all->ips[i].address.addr);
		all->ips[i].gateway = (struct fl_addr){ 0 };
	}
	for (size_t i = 0; i < all->n_routes; i++)
		all->routes[i].gw = (struct fl_addr){ 0 };
	for (size_t i = 0; i < n && !r; i++) {
		struct fl_route to_peer = { .dst = host_prefix(&all->ips[n + i].address.addr),
					    .scope = -1 };

		r = fl_result_add_route(all, &to_peer) ? fl_error_oom(err) : 0;
	}
	if (!r)
		r = fl_join_interface(c, &(struct fl_join){ .result_index = 1 }, err);
	fl_sandbox_close(&((struct ptp_conf *)c->conf)->peer_sandbox);
	return r;
}

/* ---- CHECK ---- */

struct seen {
	const struct fl_addr *want;
	bool found;
};

static int see(void *arg, const struct fl_ifaddr *a)
{
	struct seen *s = arg;

	s->found |= fl_addr_eq(s->want, &a->prefix.addr);
	return 0;
}

int ptp_cable_check(struct fl_call *c, struct fl_error *err)
{
	struct fl_link l;
	int r = fl_link_get(c->inside, c->req.ifname, &l, err);

	if (r || l.index != c->ep.ifindex)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: its end %s of the cable is missing",
				    c->req.container, c->req.ifname);
	if (l.operstate != 6 /* IF_OPER_UP */)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "container %s: the cable at %s is down at one of its ends",
				    c->req.container, c->req.ifname);
	for (uint32_t i = 0; i < c->ep.n_addrs / 2; i++) {
		struct seen s = { .want = &c->ep.addrs[i].addr };

		r = fl_ifaddrs_each(c->inside, l.index, see, &s, err);
		if (r || !s.found)
			return r ? r
				 : fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
						"container %s: address %s is missing on %s",
						c->req.container, fl_addr_str(s.want, FL_ADDR_BUF),
						c->req.ifname);
	}
	return 0;
}
