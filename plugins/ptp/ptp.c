/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ptp: a pair of interfaces between sandbox and host, and routes instead of a bridge. */
#include "ptp.h"

#include "drivers.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <string.h>

static const char *const masq_backends[] = { "", "nftables", "iptables", NULL };

static const struct fl_field fields[] = {
	FL_F("ipMasq", BOOL, struct ptp_conf, ip_masq),
	FL_F("ipMasqBackend", ENUM, struct ptp_conf, masq_backend, .names = masq_backends),
	FL_F("mtu", INT, struct ptp_conf, mtu, 0, 65535),
	FL_F("internal", BOOL, struct ptp_conf, internal),
	FL_F("enabledad", BOOL, struct ptp_conf, dad),
	FL_F("peer", STRING, struct ptp_conf, peer, .max = FL_HOSTNAME_MAX),
	FL_F("peerIfName", STRING, struct ptp_conf, peer_ifname, .max = IFNAMSIZ - 1),
	{ 0 },
};

static bool is_cable(const struct ptp_conf *conf)
{
	return conf->peer && *conf->peer;
}

static int validate(struct fl_call *c, struct fl_error *err)
{
	struct ptp_conf *conf = c->conf;

	conf->peer_sandbox.ns = FL_NETNS_NONE;
	if (c->ipam_mode == FL_IPAM_NONE && c->req.verb == FL_VERB_ADD)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "ipam: expected an object with a type, found none");
	if (conf->mtu && conf->mtu < 68)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "mtu: expected 0 or an integer from 68 to 65535, not %lld",
				    (long long)conf->mtu);
	c->net.masquerade = conf->ip_masq && !conf->internal;
	c->net.internal = conf->internal;
	if (is_cable(conf))
		return ptp_cable_validate(c, err);
	return fl_requested_mac(c, &c->ep.mac, err);
}

static void clear(struct fl_call *c)
{
	struct ptp_conf *conf = c->conf;

	/* Before validate() its namespace is 0, not none. */
	if (conf->peer_sandbox.nl)
		fl_sandbox_close(&conf->peer_sandbox);
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	return is_cable(c->conf) ? ptp_cable_prepare(c, err) : 0;
}

static int endpoint_create(struct fl_call *c, struct fl_error *err)
{
	const struct ptp_conf *conf = c->conf;

	if (is_cable(conf))
		return ptp_cable_create(c, err);
	return fl_veth_attach(c, 0, (uint32_t)conf->mtu, err);
}

/* The gateway is the host's end: its address alone, and one route back to each address. */
static int route_back(struct fl_call *c, struct fl_result_ip *ip, struct fl_error *err)
{
	bool v6 = ip->address.addr.family == AF_INET6;
	uint8_t bits = (uint8_t)fl_addr_bits(&ip->address.addr);
	struct fl_prefix gateway;
	struct fl_nlroute route = { .dst = { ip->address.addr, bits },
				    .oif = c->ep.ifindex,
				    .scope = v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK };
	int r;

	if (!fl_addr_is_set(&ip->gateway))
		ip->gateway = fl_addr_add(fl_prefix_masked(&ip->address).addr, 1);
	gateway = (struct fl_prefix){ ip->gateway, bits };
	r = fl_ifaddr_add(c->host, c->ep.ifindex, &gateway, v6 ? IFA_F_NODAD : 0, err);
	/* Two ranges of one subnet have one gateway. */
	return r && r != -EEXIST ? r : fl_route_replace(c->host, &route, err);
}

/*
 * Before the other end comes up, and with it this one's carrier: a tentative link-local address
 * cannot ask for neighbours, and advertisements of a container must not configure the host.
 */
static int prepare_ipv6(struct fl_call *c, struct fl_error *err)
{
	int r = fl_host_sysctl("0", err, "net/ipv6/conf/%s/accept_dad", c->ep.link);

	if (r >= 0)
		r = fl_host_sysctl("0", err, "net/ipv6/conf/%s/accept_ra", c->ep.link);
	return r < 0 ? r : fl_expect_link_local(c, c->ep.link, c->ep.ifindex, err);
}

static bool has_ipv6(const struct fl_call *c)
{
	return fl_endpoint_families(&c->ep) & FL_FAMILY_V6;
}

static int network_address(struct fl_call *c, struct fl_error *err)
{
	const struct ptp_conf *conf = c->conf;
	int r = 0;

	if (is_cable(conf))
		return 0;
	if (has_ipv6(c))
		r = prepare_ipv6(c, err);
	for (size_t i = 0; i < c->ipam_result.n_ips && r >= 0; i++) {
		r = route_back(c, &c->ipam_result.ips[i], err);
		if (!r && !conf->internal)
			r = fl_enable_forwarding(c, c->ipam_result.ips[i].address.addr.family, err);
	}
	if (r >= 0 && c->ep.n_ports)
		r = fl_host_sysctl("1", err, "net/ipv4/conf/%s/route_localnet", c->ep.link);
	return r < 0 ? r : 0;
}

static int join(struct fl_call *c, struct fl_error *err)
{
	const struct ptp_conf *conf = c->conf;

	if (is_cable(conf))
		return ptp_cable_join(c, err);
	return fl_join_interface(
		c, &(struct fl_join){ .result_index = 1, .dad = conf->dad, .via_gateway = true },
		err);
}

static int endpoint_delete(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	return *ep->link ? fl_endpoint_delete_link(c, ep, err)
			 : fl_endpoint_delete_inside(c, ep, err);
}

static int check(struct fl_call *c, struct fl_error *err)
{
	struct fl_link host;

	if (is_cable(c->conf))
		return ptp_cable_check(c, err);
	if (fl_link_get_index(c->host, c->ep.ifindex, &host, err) || !(host.flags & IFF_UP))
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "host interface %s of container %s is missing or down",
				    c->ep.link, c->req.container);
	for (uint32_t i = 0; i < c->ep.n_addrs; i++) {
		const struct fl_addr *a = &c->ep.addrs[i].addr;
		uint32_t oif;

		if (fl_route_lookup(c->host, a, &oif, err) || oif != c->ep.ifindex)
			return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
					    "the host's route to %s of container %s is missing",
					    fl_addr_str(a, FL_ADDR_BUF), c->req.container);
	}
	return fl_check_interface(c, err);
}

const struct fl_driver ptp_driver = {
	.type = "ptp",
	.about = "joins a sandbox to the host, or to another sandbox, by a pair of interfaces",
	.flags = FL_DRIVER_IPAM | FL_DRIVER_PORTS,
	.fields = fields,
	.conf_size = sizeof(struct ptp_conf),
	.validate = validate,
	.clear = clear,
	.prepare = prepare,
	.endpoint_create = endpoint_create,
	.network_address = network_address,
	.join = join,
	.endpoint_delete = endpoint_delete,
	.check = check,
};
