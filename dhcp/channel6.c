/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/daemon.h"

#include "nl/nl.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const struct fl_addr servers = { AF_INET6,
					{ 0xff, 2, [13] = 1, [15] = 2 } }; /* RFC 8415, 7.1 */

static struct sockaddr_in6 endpoint(const struct lease *l, const struct fl_addr *a, uint16_t port)
{
	struct sockaddr_in6 s = { .sin6_family = AF_INET6,
				  .sin6_port = htons(port),
				  .sin6_scope_id = l->ifindex };

	memcpy(&s.sin6_addr, a->b, 16);
	return s;
}

/* ---- the link ---- */

/*
 * On-link prefix and routers come by router advertisements, which have to be accepted before the
 * link goes up, because that is when it asks for them; 2: whether or not the container forwards
 * (ip-sysctl.rst). Only for an ADD: what has been changed after it is meant.
 */
static void allow_ipv6(const struct lease *l)
{
	char key[64];

	if (!l->waiter)
		return;
	snprintf(key, sizeof(key), "net/ipv6/conf/%s/accept_ra", l->q.ifname);
	fl_sysctl_write(key, "2", NULL, 0, NULL);
	snprintf(key, sizeof(key), "net/ipv6/conf/%s/disable_ipv6", l->q.ifname);
	fl_sysctl_write(key, "0", NULL, 0, NULL);
}

static int look(void *arg, const struct fl_ifaddr *a)
{
	struct fl_addr *found = arg;

	if (fl_addr_is_linklocal(&a->prefix.addr) && a->prefix.addr.family == AF_INET6 &&
	    !(a->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)))
		*found = a->prefix.addr;
	return 0;
}

/* Its address from which may be sent; unset: none yet. */
static int find_source(const struct lease *l, struct fl_addr *ret, struct fl_error *err)
{
	FL_AUTONL struct fl_nl *nl = NULL;
	int r = fl_nl_open(&nl, err);

	*ret = (struct fl_addr){ 0 };
	return r ? r : fl_ifaddrs_each(nl, l->ifindex, look, ret, err);
}

/* ---- sockets ---- */

static int open_udp(struct lease *l, const struct fl_addr *source)
{
	struct sockaddr_in6 at = endpoint(l, source, FL_DHCP6_CLIENT_PORT);
	FL_AUTOCLOSE int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (s < 0 || setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int)) ||
	    setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &(int){ 0 }, sizeof(int)))
		return -errno;
	r = channel_bind(s, (const struct sockaddr *)&at, sizeof(at));
	if (!r)
		l->udp = fl_take_fd(&s);
	return r;
}

static int open_watch(struct lease *l)
{
	struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV6_IFADDR };
	FL_AUTOCLOSE int s =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (s < 0 || bind(s, (struct sockaddr *)&at, sizeof(at)))
		return -errno;
	l->watch = fl_take_fd(&s);
	return 0;
}

/* In the namespace. The watch comes first, so that no change is missed. */
static int open_sockets(struct lease *l, struct fl_error *err)
{
	struct fl_addr source;
	int r;

	allow_ipv6(l);
	r = channel_link(l, err);
	if (r || l->udp >= 0)
		return r;
	r = l->watch < 0 ? open_watch(l) : 0;
	if (r)
		return fl_error_errno(err, r, FL_ECODE_KERNEL, "dhcp: cannot watch addresses");
	r = find_source(l, &source, err);
	if (!r && !fl_addr_is_set(&source))
		return fl_error_set(err, EAGAIN, FL_ECODE_TRY_AGAIN,
				    "dhcp: %s has no link-local address yet", l->q.ifname);
	if (r)
		return r;
	r = open_udp(l, &source);
	if (r)
		return fl_error_errno(err, r, r == -EACCES ? FL_ECODE_PRIVILEGE : FL_ECODE_KERNEL,
				      "dhcp: cannot open UDP port %d on %s%s", FL_DHCP6_CLIENT_PORT,
				      l->q.ifname,
				      r == -EACCES	 ? " (CAP_NET_BIND_SERVICE is missing)"
				      : r == -EADDRINUSE ? " (the container runs a client itself)"
							 : "");
	return 0;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	uint8_t msg[FL_DHCP_INPUT_MAX];
	struct iovec v = { msg, sizeof(msg) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	ssize_t n = recvmsg(fd, &m, 0);

	(void)what;
	if (n >= 0 && !(m.msg_flags & MSG_TRUNC))
		lease6_input(arg, msg, (size_t)n);
}

/* An address has changed: which one and how is asked for, not read. */
static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct fl_error err = { 0 };
	struct lease *l = arg;
	uint8_t b[8192];
	int r;

	(void)what;
	while (recv(fd, b, sizeof(b), 0) > 0 || errno == ENOBUFS)
		;
	r = channel6_open(l, &err);
	if (!r)
		fl_dhcp6_client_ready(&l->client6, now_ms());
	else if (r != -EAGAIN)
		lease_hopeless(l, r, &err);
	lease_settle(l);
}

static int hear(struct lease *l, int fd, event_callback_fn fn, struct event **to,
		struct fl_error *err)
{
	if (*to)
		return 0;
	*to = event_new(l->d->base, fd, EV_READ | EV_PERSIST, fn, l);
	return *to && !event_add(*to, NULL) ? 0 : fl_error_oom(err);
}

static void close_watch(struct lease *l)
{
	if (l->watching)
		event_free(l->watching);
	l->watching = NULL;
	fl_close_p(&l->watch);
	l->watch = -1;
}

int channel6_open(struct lease *l, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	int r = channel_netns(l, &ns, err), heard = 0;

	if (!r)
		r = fl_netns_enter(&ns, err);
	if (r)
		return r;
	r = open_sockets(l, err);
	leave_netns(l->d);
	if (r && r != -EAGAIN) {
		close_watch(l);
		return r;
	}
	l->cookie = ns.cookie;
	if (r) {
		heard = hear(l, l->watch, on_watch, &l->watching, err);
		return heard ? heard : r;
	}
	close_watch(l);
	return hear(l, l->udp, on_readable, &l->readable, err);
}

int channel6_send(struct lease *l, const uint8_t *msg, size_t len, struct fl_error *err)
{
	struct sockaddr_in6 to = endpoint(l, &servers, FL_DHCP6_SERVER_PORT);

	if (sendto(l->udp, msg, len, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to)) < 0)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "dhcp: cannot send on %s",
				      l->q.ifname);
	return 0;
}
