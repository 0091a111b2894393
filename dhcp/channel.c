/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/daemon.h"

#include "nl/nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/socket.h>

int channel_netns(const struct lease *l, struct fl_netns *ret, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	char path[8192];
	int r;

	snprintf(path, sizeof(path), "%s%s", l->d->host_prefix, l->q.netns);
	r = fl_netns_open(path, &l->d->self, &ns, err);
	/* `ip netns del` leaves nothing or, for a moment, an ordinary file. */
	if (r == -ENOENT || r == -EINVAL || r == -ENOTDIR || r == -ESRCH)
		return fl_error_set(err, ESTALE, FL_ECODE_UNKNOWN_CONTAINER,
				    "dhcp: %s is no network namespace (any more)", l->q.netns);
	if (r)
		return r;
	if (fl_netns_same(&ns, &l->d->self))
		return fl_error_set(err, EINVAL, FL_ECODE_NETNS,
				    "dhcp: %s is the daemon's own namespace", l->q.netns);
	if (l->cookie && ns.cookie != l->cookie)
		return fl_error_set(err, ESTALE, FL_ECODE_UNKNOWN_CONTAINER,
				    "dhcp: %s is another namespace by now", l->q.netns);
	*ret = ns;
	ns.fd = -1;
	return 0;
}

/* The MAC address is read each time: a later plugin of the chain may change it. */
int channel_link(struct lease *l, struct fl_error *err)
{
	FL_AUTONL struct fl_nl *nl = NULL;
	struct fl_link link;
	int r = fl_nl_open(&nl, err);

	if (!r)
		r = fl_link_get(nl, l->q.ifname, &link, err);
	if (r)
		return r;
	if (fl_mac_is_zero(&link.mac))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "dhcp: interface %s has no Ethernet address", l->q.ifname);
	l->ifindex = link.index;
	l->client.id.mac = link.mac;
	l->client.max_size = link.mtu < 576		    ? 576
			     : link.mtu > FL_DHCP_FRAME_MAX ? FL_DHCP_FRAME_MAX
							    : (uint16_t)link.mtu;
	return link.flags & IFF_UP ? 0 : fl_link_set_up(nl, link.index, true, err);
}

static int open_packet(struct lease *l)
{
	const struct sock_fprog prog = { FL_DHCP_FILTER_LEN,
					 (struct sock_filter *)(uintptr_t)fl_dhcp_filter };
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = (int)l->ifindex };
	/* Protocol 0 until the filter is on: nothing unfiltered is queued. */
	FL_AUTOCLOSE int s = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) ||
	    setsockopt(s, SOL_PACKET, PACKET_AUXDATA, &(int){ 1 }, sizeof(int)) ||
	    bind(s, (struct sockaddr *)&at, sizeof(at)))
		return -errno;
	l->packet = fl_take_fd(&s);
	return 0;
}

int channel_bind(int s, const struct sockaddr *at, socklen_t len)
{
	static const cap_value_t low_ports = CAP_NET_BIND_SERVICE;
	cap_t caps = cap_get_proc();
	int r = 0;

	if (caps && !cap_set_flag(caps, CAP_EFFECTIVE, 1, &low_ports, CAP_SET))
		cap_set_proc(caps); /* fails when it is not permitted: bind(2) tells */
	if (bind(s, at, len))
		r = -errno;
	if (caps && !cap_set_flag(caps, CAP_EFFECTIVE, 1, &low_ports, CAP_CLEAR))
		cap_set_proc(caps);
	cap_free(caps);
	return r;
}

/*
 * For unicast to the server by the container's own routes and neighbours; the answer's copy for
 * this socket is not read, but spares the server an ICMP "port unreachable".
 */
static int open_udp(struct lease *l)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(FL_DHCP_CLIENT_PORT) };
	FL_AUTOCLOSE int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	memcpy(&at.sin_addr, l->client.lease.ip.addr.b, 4);
	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) ||
	    setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, l->q.ifname,
		       (socklen_t)strlen(l->q.ifname) + 1))
		return -errno;
	r = channel_bind(s, (struct sockaddr *)&at, sizeof(at));
	if (!r)
		l->udp = fl_take_fd(&s);
	return r;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	union {
		char b[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct cmsghdr align;
	} control;
	uint8_t packet[FL_DHCP_INPUT_MAX];
	struct sockaddr_ll from = { 0 };
	struct iovec v = { packet, sizeof(packet) };
	struct msghdr m = { &from, sizeof(from), &v, 1, &control, sizeof(control), 0 };
	bool unsummed = false;
	struct lease *l = arg;
	struct cmsghdr *c;
	const uint8_t *msg;
	struct fl_mac mac;
	size_t len;
	ssize_t n;

	(void)what;
	n = recvmsg(fd, &m, 0);
	if (n < 0 && errno == ENETDOWN)
		channel_close(l);
	if (n < 0 || m.msg_flags & MSG_TRUNC)
		return;
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA)
			unsummed = ((struct tpacket_auxdata *)CMSG_DATA(c))->tp_status &
				   TP_STATUS_CSUMNOTREADY;
	memcpy(mac.b, from.sll_addr, 6);
	if (fl_dhcp_unframe(packet, (size_t)n, unsummed, &msg, &len))
		lease_input(l, msg, len, &mac);
}

/* In the namespace. */
static int open_sockets(struct lease *l, struct fl_error *err)
{
	int r = channel_link(l, err);

	if (r || l->packet >= 0)
		return r;
	r = open_packet(l);
	if (r)
		return fl_error_errno(err, r, r == -EPERM ? FL_ECODE_PRIVILEGE : FL_ECODE_KERNEL,
				      "dhcp: cannot open a packet socket on %s%s", l->q.ifname,
				      r == -EPERM ? " (CAP_NET_RAW is missing)" : "");
	return 0;
}

int channel_open(struct lease *l, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	int r = channel_netns(l, &ns, err);

	if (!r)
		r = fl_netns_enter(&ns, err);
	if (r)
		return r;
	r = open_sockets(l, err);
	if (!r && l->udp < 0 && l->client.state == FL_DHCP_RENEWING)
		open_udp(l); /* fails when the address is not there: then by the packet socket */
	leave_netns(l->d);
	if (r)
		return r;
	l->cookie = ns.cookie;
	if (!l->readable) {
		l->readable =
			event_new(l->d->base, l->packet, EV_READ | EV_PERSIST, on_readable, l);
		if (!l->readable || event_add(l->readable, NULL))
			return fl_error_oom(err);
	}
	return 0;
}

void channel_close(struct lease *l)
{
	if (l->readable)
		event_free(l->readable);
	if (l->watching)
		event_free(l->watching);
	l->readable = l->watching = NULL;
	fl_close_p(&l->packet);
	fl_close_p(&l->udp);
	fl_close_p(&l->watch);
	l->packet = l->udp = l->watch = -1;
}

int channel_send(struct lease *l, const struct fl_dhcp_packet *p, struct fl_error *err)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = (int)l->ifindex,
				  .sll_halen = 6,
				  .sll_addr = { 255, 255, 255, 255, 255, 255 } };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(FL_DHCP_SERVER_PORT) };
	uint8_t frame[FL_DHCP_FRAME_MAX];
	size_t len = fl_dhcp_frame(&p->src, &p->dst, p->msg, p->len, frame);

	memcpy(&in.sin_addr, p->dst.b, 4);
	if (p->unicast && l->udp >= 0 &&
	    sendto(l->udp, p->msg, p->len, MSG_NOSIGNAL, (struct sockaddr *)&in, sizeof(in)) >= 0)
		return 0;
	if (p->unicast && !fl_mac_is_zero(&l->server_mac))
		memcpy(ll.sll_addr, l->server_mac.b, 6);
	if (sendto(l->packet, frame, len, MSG_NOSIGNAL, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "dhcp: cannot send on %s",
				      l->q.ifname);
	return 0;
}
