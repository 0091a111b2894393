/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The floor of macvlan: born in the sandbox with the index that we choose, so that nothing is
 * asked. */
#include "floor-link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* Far above those that the kernel gives itself. */
static int random_index(void)
{
	uint32_t bits = 0;

	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != sizeof(bits))
		return -EAGAIN;
	return (int)((bits & 0x3fffffff) | 0x01000000);
}

static void put_macvlan(struct nlbuf *b, const struct floor *f, int netns, int master, int index)
{
	struct ifinfomsg link = { .ifi_index = index };

	nl_message(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &link, sizeof(link));
	nl_put_str(b, IFLA_IFNAME, f->ifname);
	nl_put_u32(b, IFLA_LINK, (uint32_t)master);
	nl_put_u32(b, IFLA_NET_NS_FD, (uint32_t)netns);
	floor_put_mac(b);
	size_t info = nl_nest(b, IFLA_LINKINFO);

	nl_put(b, IFLA_INFO_KIND, "macvlan", 7);
	size_t data = nl_nest(b, IFLA_INFO_DATA);

	nl_put_u32(b, IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
	nl_nest_end(b, data);
	nl_nest_end(b, info);
}

static int create(const struct floor *f, struct nlbuf *b, int netns, int index)
{
	int fd = nl_open(NETLINK_ROUTE), r = fd;

	if (r >= 0)
		r = floor_ifindex(fd, f->master);
	if (r >= 0) {
		put_macvlan(b, f, netns, r, index);
		r = nl_talk(fd, b, b->seq);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* The MAC is new behind its address: neighbours are told when the link comes up, if it has this
 * then. */
static void put_arp_notify(struct nlbuf *b, int index)
{
	struct ifinfomsg link = { .ifi_index = index };

	nl_message(b, RTM_NEWLINK, 0, &link, sizeof(link));
	size_t spec = nl_nest(b, IFLA_AF_SPEC), inet = nl_nest(b, AF_INET),
	       conf = nl_nest(b, IFLA_INET_CONF);

	nl_put_u32(b, IPV4_DEVCONF_ARP_NOTIFY, 1);
	nl_nest_end(b, conf);
	nl_nest_end(b, inet);
	nl_nest_end(b, spec);
}

static int configure(const struct floor *f, struct nlbuf *b, int index)
{
	int fd = nl_open(NETLINK_ROUTE), r = fd;

	if (r >= 0) {
		nlbuf_reset(b);
		if (f->lo)
			floor_put_up(b, 1);
		put_arp_notify(b, index);
		floor_put_address(b, index, f->address, f->prefix, 0);
		floor_put_up(b, index);
		floor_put_default_route(b, f->gateway);
		r = nl_talk(fd, b, b->seq);
		close(fd);
	}
	return r;
}

int floor_macvlan_add(const struct floor *f, const char **ret_step)
{
	struct nlbuf b = { 0 };
	int netns = open(f->netns, O_RDONLY | O_CLOEXEC), r = netns < 0 ? -errno : 0;
	int index = random_index();

	*ret_step = "open the sandbox";
	if (r == 0)
		r = index < 0 ? index : 0;
	if (r == 0) {
		*ret_step = "create the macvlan";
		r = create(f, &b, netns, index);
	}
	/* Nothing is left to do outside: the process ends inside. */
	if (r == 0) {
		*ret_step = "configure the sandbox";
		r = setns(netns, CLONE_NEWNET) < 0 ? -errno : configure(f, &b, index);
	}
	nlbuf_free(&b);
	if (netns >= 0)
		close(netns);
	return r;
}

static int delete_link(const struct floor *f)
{
	struct nlbuf b = { 0 };
	struct ifinfomsg any = { 0 };
	int fd = nl_open(NETLINK_ROUTE), r = fd;

	if (r >= 0) {
		nl_message(&b, RTM_DELLINK, NLM_F_ACK, &any, sizeof(any));
		nl_put_str(&b, IFLA_IFNAME, f->ifname);
		r = nl_talk(fd, &b, b.seq);
		nlbuf_free(&b);
		close(fd);
	}
	return r;
}

int floor_macvlan_del(const struct floor *f, const char **ret_step)
{
	int netns = open(f->netns, O_RDONLY | O_CLOEXEC), r = netns < 0 ? -errno : 0;

	*ret_step = "enter the sandbox";
	if (r == 0 && setns(netns, CLONE_NEWNET) < 0)
		r = -errno;
	if (r == 0) {
		*ret_step = "delete the macvlan";
		r = delete_link(f);
	}
	if (netns >= 0)
		close(netns);
	return r;
}
