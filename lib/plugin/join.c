/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside the sandbox: addresses, routes and sysctls of an interface, and their check. */
#include "plugin/internal.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define REQS 32
#define DAD_TIMEOUT_MS 5000
#define IN_USE_TIMEOUT_MS 1000

json_t *fl_config_get(const struct fl_call *c, const char *a, const char *b, const char *d)
{
	json_t *v = fl_json_get(c->req.config, a);

	if (v && b)
		v = json_is_object(v) ? fl_json_get(v, b) : NULL;
	if (v && d)
		v = json_is_object(v) ? fl_json_get(v, d) : NULL;
	return v;
}

static int take_mac(const char *key, const char *text, enum fl_ecode code, struct fl_mac *ret,
		    struct fl_error *err)
{
	struct fl_mac m;

	if (!text || !*text)
		return 0;
	if (fl_mac_parse(text, &m) || m.b[0] & 1 || fl_mac_is_zero(&m))
		return fl_error_set(err, EINVAL, code,
				    "%s: expected a unicast MAC address such as "
				    "\"02:00:00:00:00:01\", not \"%.64s\"",
				    key, text);
	*ret = m;
	return 0;
}

int fl_requested_mac(const struct fl_call *c, struct fl_mac *ret, struct fl_error *err)
{
	const json_t *args = fl_config_get(c, "args", "cni", "mac"),
		     *rc = fl_config_get(c, "runtimeConfig", "mac", NULL);
	struct fl_mac m = { 0 };
	int r = take_mac("CNI_ARGS: MAC", c->req.args_mac, FL_ECODE_ENV, &m, err);

	if (!r && args && !json_is_string(args))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "args.cni.mac: expected a string, not %s", fl_json_kind(args));
	if (!r && rc && !json_is_string(rc))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "runtimeConfig.mac: expected a string, not %s",
				    fl_json_kind(rc));
	if (!r)
		r = take_mac("args.cni.mac", json_string_value(args), FL_ECODE_CONFIG, &m, err);
	if (!r)
		r = take_mac("runtimeConfig.mac", json_string_value(rc), FL_ECODE_CONFIG, &m, err);
	if (!r)
		*ret = m;
	return r;
}

struct fl_mac fl_mac_for_address(const struct fl_call *c, const struct fl_addr *a)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
	struct fl_mac m;

	for (size_t i = 0; i < sizeof(c->self.cookie); i++)
		h = (h ^ (c->self.cookie >> (8 * i) & 0xff)) * 0x100000001b3u;
	for (const char *s = c->req.network; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	for (size_t i = 0; i < fl_addr_len(a); i++)
		h = (h ^ a->b[i]) * 0x100000001b3u;
	for (int i = 0; i < 6; i++)
		m.b[i] = (uint8_t)(h >> (8 * i));
	m.b[0] = (uint8_t)((m.b[0] & 0xfc) | 0x02);
	return m;
}

int fl_host_sysctl(const char *value, struct fl_error *err, const char *fmt, ...)
{
	char name[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	return fl_sysctl_write(name, value, NULL, 0, err);
}

static int keep_accepting_ra(void *arg, const struct fl_link *l)
{
	char name[128], now[16];

	(void)arg;
	snprintf(name, sizeof(name), "net/ipv6/conf/%s/accept_ra", l->name);
	if (!fl_sysctl_read(name, now, sizeof(now), NULL) && !strcmp(now, "1"))
		fl_sysctl_write(name, "2", NULL, 0, NULL);
	return 0;
}

int fl_enable_forwarding(struct fl_call *c, int family, struct fl_error *err)
{
	bool on = false;
	int r;

	if (!fl_forwarding_get(c->host, family, &on, NULL) && on)
		return 0;
	if (family == AF_INET)
		return fl_host_sysctl("1", err, "net/ipv4/ip_forward");
	/* A router ignores advertisements unless accept_ra is 2: ip-sysctl.rst. */
	r = fl_links_each(c->host, keep_accepting_ra, NULL, err);
	return r ? r : fl_host_sysctl("1", err, "net/ipv6/conf/all/forwarding");
}

/* ---- joining ---- */

struct joining {
	struct fl_call *c;
	const struct fl_join *how;
	bool v6;
	struct fl_req reqs[REQS];
	struct fl_req *list[REQS];
	char what[REQS][96];
	const char *names[REQS];
	size_t n;
};

static int set_inside(struct fl_call *c, struct fl_error *err, const char *key, const char *value)
{
	char name[128];

	snprintf(name, sizeof(name), "net/%s/conf/%s/%s", strchr(key, '6') ? "ipv6" : "ipv4",
		 c->req.ifname, strchr(key, ':') + 1);
	return fl_sysctl_write(name, value, NULL, 0, err);
}

static int sysctls_v6(struct fl_call *c, struct fl_error *err)
{
	int r = set_inside(c, err, "6:disable_ipv6", "0");

	if (r >= 0)
		r = set_inside(c, err, "6:keep_addr_on_down", "1");
	if (r >= 0 && c->mac_chosen)
		r = set_inside(c, err, "6:ndisc_notify", "1");
	if (r >= 0)
		r = set_inside(c, err, "6:accept_dad", "0");
	return r < 0 ? r : fl_nl_open_groups(RTMGRP_IPV6_IFADDR, &c->addr_watch, err);
}

/*
 * A host that sends a packet back through the link on which it came tells the sender to go to its
 * neighbour directly; of IPv6 no switch of the host's keeps it from that.
 */
static int sysctls_v6_routed(struct fl_call *c, struct fl_error *err)
{
	int r = sysctls_v6(c, err);

	return r < 0 ? r : set_inside(c, err, "6:accept_redirects", "0");
}

static int sysctls_v6_dad(struct fl_call *c, struct fl_error *err)
{
	int r = sysctls_v6(c, err);

	if (r >= 0)
		r = set_inside(c, err, "6:accept_dad", "1");
	if (r >= 0)
		r = set_inside(c, err, "6:enhanced_dad", "1");
	return r;
}

struct dad {
	bool tentative;
	struct fl_prefix failed;
};

static int see_dad(void *arg, const struct fl_ifaddr *a)
{
	struct dad *d = arg;

	d->tentative |= !!(a->flags & IFA_F_TENTATIVE);
	if (a->flags & IFA_F_DADFAILED)
		d->failed = a->prefix;
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until no address is tentative; the kernel tells when that changes. RFC 4862 section 5.4. */
static int wait_dad(struct fl_call *c, struct fl_error *err)
{
	int64_t end = now_ms() + DAD_TIMEOUT_MS;

	for (;;) {
		struct dad d = { 0 };
		int64_t left = end - now_ms();
		int r = fl_ifaddrs_each(c->inside, c->inside_index, see_dad, &d, err);

		if (r)
			return r;
		if (fl_addr_is_set(&d.failed.addr))
			return fl_error_set(err, EADDRINUSE, FL_ECODE_CONFLICT,
					    "%s: another host uses the address %s (duplicate "
					    "address detection)",
					    c->req.ifname, fl_prefix_str(&d.failed, FL_PREFIX_BUF));
		if (!d.tentative) {
			fl_nl_close(fl_take_ptr(c->addr_watch));
			return 0;
		}
		r = left > 0 ? fl_nl_wait(c->addr_watch, (int)left, err) : 0;
		if (r < 0)
			return r;
		if (!r)
			return fl_error_set(
				err, ETIMEDOUT, FL_ECODE_KERNEL,
				"%s: duplicate address detection did not end within %d ms",
				c->req.ifname, DAD_TIMEOUT_MS);
	}
}

static struct fl_req *next(struct joining *j, struct fl_error *err, const char *what,
			   const char *object)
{
	if (j->n == REQS) {
		fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
			     "more addresses and routes than one interface may have here (%d)",
			     REQS);
		return NULL;
	}
	snprintf(j->what[j->n], sizeof(j->what[0]), "%s: %s %s", j->c->req.ifname, what, object);
	j->names[j->n] = j->what[j->n];
	j->list[j->n] = &j->reqs[j->n];
	return &j->reqs[j->n++];
}

static int flush(struct joining *j, struct fl_error *err)
{
	int r = fl_nl_do_all(j->c->inside, j->list, j->names, j->n, NULL, err);

	for (size_t i = 0; i < j->n; i++)
		fl_req_clear(&j->reqs[i]);
	j->n = 0;
	return r;
}

static int put_address(struct joining *j, const struct fl_prefix *p, struct fl_error *err)
{
	struct fl_req *q = next(j, err, "address", fl_prefix_str(p, FL_PREFIX_BUF));

	if (!q)
		return -E2BIG;
	fl_ifaddr_build(q, j->c->inside_index, p,
			(p->addr.family == AF_INET6 && !j->how->dad ? IFA_F_NODAD : 0) |
				(j->how->via_gateway ? IFA_F_NOPREFIXROUTE : 0));
	return 0;
}

static const struct fl_addr *gateway_of(const struct fl_call *c, int family)
{
	for (size_t i = 0; i < c->result.n_ips; i++)
		if (c->result.ips[i].gateway.family == family)
			return &c->result.ips[i].gateway;
	return NULL;
}

static int put_raw_route(struct joining *j, const struct fl_nlroute *route, struct fl_error *err)
{
	int r = j->n == REQS ? flush(j, err) : 0;
	struct fl_req *q =
		r ? NULL : next(j, err, "route to", fl_prefix_str(&route->dst, FL_PREFIX_BUF));

	if (!q)
		return r ? r : -E2BIG;
	fl_route_build(q, route);
	return 0;
}

/* The gateway alone is on the link, and the rest of the subnet is behind it. */
static int put_gateway_routes(struct joining *j, const struct fl_result_ip *ip,
			      struct fl_error *err)
{
	bool v6 = ip->address.addr.family == AF_INET6;
	struct fl_nlroute link = { .dst = { ip->gateway, (uint8_t)fl_addr_bits(&ip->gateway) },
				   .oif = j->c->inside_index,
				   .scope = v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
				   .src = ip->address.addr };
	struct fl_nlroute net = { .dst = fl_prefix_masked(&ip->address),
				  .gw = ip->gateway,
				  .oif = j->c->inside_index,
				  .src = ip->address.addr };
	int r = put_raw_route(j, &link, err);

	if (r || ip->address.len == fl_addr_bits(&ip->address.addr))
		return r;
	return put_raw_route(j, &net, err);
}

static int put_route(struct joining *j, const struct fl_route *r, struct fl_error *err)
{
	const struct fl_addr *gw =
		fl_addr_is_set(&r->gw) ? &r->gw : gateway_of(j->c, r->dst.addr.family);
	struct fl_nlroute route = { .dst = r->dst,
				    .oif = j->c->inside_index,
				    .table = r->table,
				    .priority = r->priority,
				    .mtu = r->mtu,
				    .advmss = r->advmss };

	if (gw)
		route.gw = *gw;
	route.scope = r->scope >= 0 ? (uint8_t)r->scope : gw ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	if (r->dst.addr.family == AF_INET6)
		route.scope = RT_SCOPE_UNIVERSE;
	return put_raw_route(j, &route, err);
}

static int put_up(struct joining *j, struct fl_error *err)
{
	struct fl_req *q = next(j, err, "set", "up");

	if (!q)
		return -E2BIG;
	fl_link_up_build(q, j->c->inside_index, true);
	return 0;
}

/*
 * Neighbours learn a MAC that changed behind a known address: one gratuitous ARP (and, by sysctl,
 * one unsolicited NA). Not for a MAC that follows the address (fl_mac_for_address): the broadcast
 * would go to every port of the bridge.
 */
static int put_arp_notify(struct joining *j, struct fl_error *err)
{
	struct fl_req *q = next(j, err, "set", "arp_notify");

	if (!q)
		return -E2BIG;
	fl_link_arp_notify_build(q, j->c->inside_index);
	return 0;
}

static int send_join(struct joining *j, struct fl_error *err)
{
	struct fl_call *c = j->c;
	int r = c->mac_chosen && c->result.n_ips ? put_arp_notify(j, err) : 0;

	for (size_t i = 0; i < c->result.n_ips && !r; i++)
		r = put_address(j, &c->result.ips[i].address, err);
	if (!r && !j->how->down)
		r = put_up(j, err);
	for (size_t i = 0; i < c->result.n_ips && !r && j->how->via_gateway; i++)
		r = put_gateway_routes(j, &c->result.ips[i], err);
	for (size_t i = 0; i < c->result.n_routes && !r; i++)
		r = put_route(j, &c->result.routes[i], err);
	if (!r)
		return flush(j, err);
	for (size_t i = 0; i < j->n; i++)
		fl_req_clear(&j->reqs[i]);
	return r;
}

int fl_join_interface(struct fl_call *c, const struct fl_join *how, struct fl_error *err)
{
	struct joining j = { .c = c, .how = how };
	int r = 0;

	for (size_t i = 0; i < c->ipam_result.n_ips; i++) {
		c->result.ips[c->result.n_ips] = c->ipam_result.ips[i];
		c->result.ips[c->result.n_ips++].interface = how->result_index;
		j.v6 |= c->ipam_result.ips[i].address.addr.family == AF_INET6;
	}
	for (size_t i = 0; i < c->ipam_result.n_routes && !r; i++)
		r = fl_result_add_route(&c->result, &c->ipam_result.routes[i]) ? fl_error_oom(err)
									       : 0;
	if (!r && j.v6)
		r = fl_call_inside(c,
				   how->dad	      ? sysctls_v6_dad
				   : how->via_gateway ? sysctls_v6_routed
						      : sysctls_v6,
				   err);
	if (r >= 0)
		r = send_join(&j, err);
	/* A link that is down takes none into use, and gives the other end no carrier. */
	if (how->down) {
		fl_nl_close(fl_take_ptr(c->addr_watch));
		fl_nl_close(fl_take_ptr(c->near_watch));
	}
	return !r && how->dad && c->addr_watch ? wait_dad(c, err) : r;
}

static int see_link_local(void *arg, const struct fl_ifaddr *a)
{
	bool *found = arg;

	*found |= fl_addr_is_linklocal(&a->prefix.addr) && !(a->flags & IFA_F_TENTATIVE);
	return 0;
}

int fl_expect_link_local(struct fl_call *c, const char *link, uint32_t index, struct fl_error *err)
{
	char name[128], mode[16];
	bool found = false;
	int r;

	snprintf(name, sizeof(name), "net/ipv6/conf/%s/addr_gen_mode", link);
	/* Without IPv6 there is none; somebody may want none (IN6_ADDR_GEN_MODE_NONE). */
	if (fl_sysctl_read(name, mode, sizeof(mode), NULL) || !strcmp(mode, "1"))
		return 0;
	c->near_index = index;
	r = fl_nl_open_groups(RTMGRP_IPV6_IFADDR, &c->near_watch, err);
	if (!r)
		r = fl_ifaddrs_each(c->host, index, see_link_local, &found, err);
	if (found)
		fl_nl_close(fl_take_ptr(c->near_watch));
	return r;
}

struct awaiting {
	const struct fl_call *c;
	size_t left;
	bool there[REQS]; /* of c->result.ips */
};

static void on_address(void *arg, const struct fl_nl_event *e)
{
	struct awaiting *a = arg;
	const struct fl_result *result = &a->c->result;

	if (e->kind == FL_NL_LOST)
		a->left = 0;
	for (size_t i = 0; i < result->n_ips && i < REQS && a->left; i++)
		if (!a->there[i] && e->index == a->c->inside_index &&
		    fl_addr_eq(&e->addr, &result->ips[i].address.addr)) {
			a->there[i] = true;
			a->left--;
		}
}

static void on_near_address(void *arg, const struct fl_nl_event *e)
{
	struct awaiting *a = arg;

	if (e->kind == FL_NL_LOST ||
	    (e->index == a->c->near_index && fl_addr_is_linklocal(&e->addr)))
		a->left = 0;
}

static void await(struct fl_nl *nl, void (*fn)(void *, const struct fl_nl_event *),
		  struct awaiting *a, int64_t end)
{
	while (a->left) {
		int64_t left = end - now_ms();
		struct pollfd p = { fl_nl_fd(nl), POLLIN, 0 };

		fl_nl_hear(nl, fn, a);
		if (a->left && (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR)))
			break;
	}
	fl_nl_close(nl);
}

void fl_await_addresses(struct fl_call *c)
{
	int64_t end = now_ms() + IN_USE_TIMEOUT_MS;
	struct awaiting inside = { .c = c }, near = { .c = c, .left = 1 };

	for (size_t i = 0; c->addr_watch && i < c->result.n_ips; i++)
		inside.left += c->result.ips[i].address.addr.family == AF_INET6;
	if (c->addr_watch)
		await(fl_take_ptr(c->addr_watch), on_address, &inside, end);
	if (c->near_watch)
		await(fl_take_ptr(c->near_watch), on_near_address, &near, end);
}

/* ---- checking ---- */

struct seen {
	const struct fl_prefix *want;
	const struct fl_route *route;
	uint32_t index;
	bool found;
};

static int see_address(void *arg, const struct fl_ifaddr *a)
{
	struct seen *s = arg;

	s->found |= a->prefix.len == s->want->len && fl_addr_eq(&a->prefix.addr, &s->want->addr);
	return 0;
}

static int see_route(void *arg, const struct fl_nlroute *r)
{
	struct seen *s = arg;

	s->found |= r->oif == s->index && r->dst.len == s->route->dst.len &&
		    (r->dst.len == 0 || fl_prefix_same_net(&r->dst, &s->route->dst)) &&
		    (!fl_addr_is_set(&s->route->gw) || fl_addr_eq(&r->gw, &s->route->gw));
	return 0;
}

static int missing(struct fl_call *c, const char *what, const struct fl_prefix *p,
		   struct fl_error *err)
{
	return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK, "container %s: %s %s is missing on %s",
			    c->req.container, what, fl_prefix_str(p, FL_PREFIX_BUF), c->req.ifname);
}

int fl_check_interface(struct fl_call *c, struct fl_error *err)
{
	struct fl_link l;
	int r = fl_link_get(c->inside, c->req.ifname, &l, err);

	if (r)
		return fl_error_set(err, r, FL_ECODE_CHECK, "container %s: interface %s is missing",
				    c->req.container, c->req.ifname);
	for (size_t i = 0; i < c->prev.n_interfaces; i++) {
		const struct fl_result_interface *in = &c->prev.interfaces[i];

		if (in->sandbox && !strcmp(in->name, c->req.ifname) && in->mac[0] &&
		    strcasecmp(in->mac, fl_mac_str(&l.mac, FL_MAC_BUF)))
			return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
					    "container %s: %s has MAC %s, the result says %s",
					    c->req.container, c->req.ifname,
					    fl_mac_str(&l.mac, FL_MAC_BUF), in->mac);
	}
	for (uint32_t i = 0; i < c->ep.n_addrs; i++) {
		struct seen s = { .want = &c->ep.addrs[i] };

		r = fl_ifaddrs_each(c->inside, l.index, see_address, &s, err);
		if (r || !s.found)
			return r ? r : missing(c, "address", s.want, err);
	}
	for (size_t i = 0; i < c->prev.n_routes; i++) {
		struct seen s = { .route = &c->prev.routes[i], .index = l.index };

		r = fl_routes_each(c->inside, s.route->dst.addr.family, see_route, &s, err);
		if (r || !s.found)
			return r ? r : missing(c, "route to", &s.route->dst, err);
	}
	return 0;
}
