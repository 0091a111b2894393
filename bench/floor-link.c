/* The floor's rtnetlink half: one veth pair, and what the sandbox needs. */
#include "floor-link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

int floor_ifindex(int fd, const char *name)
{
	struct ifreq req = { 0 };

	strncpy(req.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(fd, SIOCGIFINDEX, &req) < 0 ? -errno : req.ifr_ifindex;
}

void floor_put_mac(struct nlbuf *b)
{
	uint8_t mac[ETH_ALEN];

	if (getrandom(mac, sizeof(mac), GRND_NONBLOCK) != sizeof(mac))
		b->failed = true;
	mac[0] = (uint8_t)((mac[0] & 0xfe) | 2);
	nl_put(b, IFLA_ADDRESS, mac, sizeof(mac));
}

/* Both ends in one message: the sandbox's end is born there, the host's end enslaved and up. */
static void put_veth(struct nlbuf *b, const struct floor *f, int netns, int bridge)
{
	struct ifinfomsg host = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP }, sandbox = { 0 };

	uint16_t ack = f->hairpin ? 0 : NLM_F_ACK; /* else the next message asks for it */

	nl_message(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | ack, &host, sizeof(host));
	nl_put_str(b, IFLA_IFNAME, f->host_name);
	nl_put_u32(b, IFLA_MTU, f->mtu);
	nl_put_u32(b, IFLA_MASTER, (uint32_t)bridge);
	floor_put_mac(b);
	size_t info = nl_nest(b, IFLA_LINKINFO);

	nl_put(b, IFLA_INFO_KIND, "veth", 4);
	size_t data = nl_nest(b, IFLA_INFO_DATA), peer = nl_nest(b, VETH_INFO_PEER);

	nl_raw(b, &sandbox, sizeof(sandbox));
	nl_put_str(b, IFLA_IFNAME, f->ifname);
	nl_put_u32(b, IFLA_MTU, f->mtu);
	floor_put_mac(b);
	nl_put_u32(b, IFLA_NET_NS_FD, (uint32_t)netns);
	nl_nest_end(b, peer);
	nl_nest_end(b, data);
	nl_nest_end(b, info);
}

/* By name, so that it goes in the same send: the kernel takes no port attributes while it creates. */
static void put_hairpin(struct nlbuf *b, const struct floor *f)
{
	struct ifinfomsg host = { 0 };

	nl_message(b, RTM_NEWLINK, NLM_F_ACK, &host, sizeof(host));
	nl_put_str(b, IFLA_IFNAME, f->host_name);
	size_t info = nl_nest(b, IFLA_LINKINFO);

	nl_put(b, IFLA_INFO_SLAVE_KIND, "bridge", 6);
	size_t data = nl_nest(b, IFLA_INFO_SLAVE_DATA);

	nl_put_u8(b, IFLA_BRPORT_MODE, 1);
	nl_nest_end(b, data);
	nl_nest_end(b, info);
}

static int create_veth(const struct floor *f, struct nlbuf *b, int netns)
{
	int fd = nl_open(NETLINK_ROUTE), r = fd;

	if (r >= 0)
		r = floor_ifindex(fd, f->bridge);
	if (r >= 0) {
		put_veth(b, f, netns, r);
		if (f->hairpin)
			put_hairpin(b, f);
		r = nl_talk(fd, b, b->seq);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

void floor_put_up(struct nlbuf *b, int index)
{
	struct ifinfomsg up = { .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

	nl_message(b, RTM_NEWLINK, 0, &up, sizeof(up));
}

void floor_put_address(struct nlbuf *b, int index, struct in_addr address, uint8_t prefix,
	uint16_t flags)
{
	struct ifaddrmsg ifa = {
		.ifa_family = AF_INET, .ifa_prefixlen = prefix, .ifa_index = (uint32_t)index,
	};
	struct in_addr broadcast = { address.s_addr | htonl((uint32_t)(0xffffffffULL >> prefix)) };

	nl_message(b, RTM_NEWADDR, NLM_F_CREATE | flags, &ifa, sizeof(ifa));
	nl_put(b, IFA_LOCAL, &address, sizeof(address));
	nl_put(b, IFA_ADDRESS, &address, sizeof(address));
	nl_put(b, IFA_BROADCAST, &broadcast, sizeof(broadcast));
}

void floor_put_default_route(struct nlbuf *b, struct in_addr gateway)
{
	struct rtmsg route = {
		.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
		.rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST,
	};

	nl_message(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_ACK, &route, sizeof(route));
	nl_put(b, RTA_GATEWAY, &gateway, sizeof(gateway));
}

/* All messages in one send, one acknowledgement: errors come without being asked for. */
static int configure_sandbox(const struct floor *f, struct nlbuf *b)
{
	int fd = nl_open(NETLINK_ROUTE), r = fd;

	if (r >= 0)
		r = floor_ifindex(fd, f->ifname);
	if (r >= 0) {
		int eth0 = r;

		nlbuf_reset(b);
		if (f->lo)
			floor_put_up(b, 1);
		floor_put_up(b, eth0);
		floor_put_address(b, eth0, f->address, f->prefix, 0);
		floor_put_default_route(b, f->gateway);
		r = nl_talk(fd, b, b->seq);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

static int enter_and_configure(const struct floor *f, struct nlbuf *b, int netns)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0)
		return -errno;
	int r = setns(netns, CLONE_NEWNET) < 0 ? -errno : configure_sandbox(f, b);

	if (setns(home, CLONE_NEWNET) < 0 && r == 0)
		r = -errno;
	close(home);
	return r;
}

int floor_link_add(const struct floor *f, const char **ret_step)
{
	struct nlbuf b = { 0 };
	int netns = open(f->netns, O_RDONLY | O_CLOEXEC), r = netns < 0 ? -errno : 0;

	*ret_step = "open the sandbox";
	if (r == 0) {
		*ret_step = "create the veth pair";
		r = create_veth(f, &b, netns);
	}
	if (r == 0) {
		*ret_step = "configure the sandbox";
		r = enter_and_configure(f, &b, netns);
	}
	nlbuf_free(&b);
	if (netns >= 0)
		close(netns);
	return r;
}

int floor_link_del(const struct floor *f, const char **ret_step)
{
	struct nlbuf b = { 0 };
	struct ifinfomsg any = { 0 };
	int fd = nl_open(NETLINK_ROUTE), r = fd;

	*ret_step = "delete the veth pair";
	if (r >= 0) {
		nl_message(&b, RTM_DELLINK, NLM_F_ACK, &any, sizeof(any));
		nl_put_str(&b, IFLA_IFNAME, f->host_name);
		r = nl_talk(fd, &b, b.seq);
		nlbuf_free(&b);
		close(fd);
	}
	return r;
}

static void put_bridge(struct nlbuf *b, const struct floor *f)
{
	struct ifinfomsg up = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

	nl_message(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &up, sizeof(up));
	nl_put_str(b, IFLA_IFNAME, f->bridge);
	floor_put_mac(b); /* an own address stays; a borrowed one changes with the ports */
	size_t info = nl_nest(b, IFLA_LINKINFO);

	nl_put(b, IFLA_INFO_KIND, "bridge", 6);
	nl_nest_end(b, info);
}

int floor_link_setup(const struct floor *f, const char **ret_step)
{
	struct nlbuf b = { 0 };
	int fd = nl_open(NETLINK_ROUTE), r = fd;

	*ret_step = "create the bridge";
	if (r >= 0) {
		put_bridge(&b, f);
		r = nl_talk(fd, &b, b.seq);
	}
	bool present = r == -EEXIST; /* somebody else's, with an address */

	if (r == 0)
		r = floor_ifindex(fd, f->bridge);
	if (r > 0) {
		nlbuf_reset(&b);
		floor_put_address(&b, r, f->address, f->prefix, NLM_F_ACK);
		r = nl_talk(fd, &b, b.seq);
	}
	nlbuf_free(&b);
	if (fd >= 0)
		close(fd);
	return present ? 0 : r;
}
