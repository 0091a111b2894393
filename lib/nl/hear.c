/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a socket of groups was told, as far as somebody acts on it. */
#include "nl/nl.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

static bool read_link(const struct nlmsghdr *h, struct fl_nl_event *ret)
{
	const struct ifinfomsg *i = nlmsg_data(h);
	const struct nlattr *master;

	if (!nlmsg_valid_hdr(h, sizeof(*i)))
		return false;
	master = nlmsg_find_attr((struct nlmsghdr *)h, sizeof(*i), IFLA_MASTER);
	ret->index = (uint32_t)i->ifi_index;
	ret->gone = h->nlmsg_type == RTM_DELLINK && i->ifi_family != AF_BRIDGE;
	ret->master = master && nla_len(master) >= 4 ? nla_get_u32(master) : 0;
	/* The bridge's own word, which comes before the link's. */
	ret->kind = i->ifi_family == AF_BRIDGE && h->nlmsg_type == RTM_DELLINK ? FL_NL_PORT_LEFT
									       : FL_NL_LINK;
	return true;
}

static bool read_address(const struct nlmsghdr *h, struct fl_nl_event *ret)
{
	const struct ifaddrmsg *i = nlmsg_data(h);
	const struct nlattr *at;

	if (!nlmsg_valid_hdr(h, sizeof(*i)))
		return false;
	*ret = (struct fl_nl_event){ .kind = FL_NL_ADDRESS,
				     .index = i->ifa_index,
				     .gone = h->nlmsg_type == RTM_DELADDR };
	if (h->nlmsg_type == RTM_DELADDR)
		return true;
	/* LOCAL is the address itself where both are given (point to point). */
	at = nlmsg_find_attr((struct nlmsghdr *)h, sizeof(*i), IFA_LOCAL);
	if (!at)
		at = nlmsg_find_attr((struct nlmsghdr *)h, sizeof(*i), IFA_ADDRESS);
	if (at && nla_len(at) == (i->ifa_family == AF_INET ? 4 : 16))
		ret->addr = fl_addr_make(i->ifa_family, nla_data(at));
	return true;
}

static bool read_event(const struct nlmsghdr *h, struct fl_nl_event *ret)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return read_link(h, ret);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return read_address(h, ret);
	}
	return false;
}

void fl_nl_hear(struct fl_nl *nl, void (*fn)(void *arg, const struct fl_nl_event *), void *arg)
{
	char buf[32768] __attribute__((aligned(8)));
	struct fl_nl_event e;
	ssize_t n;

	for (;;) {
		n = recv(fl_nl_fd(nl), buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == ENOBUFS)
			fn(arg, &(struct fl_nl_event){ .kind = FL_NL_LOST });
		else if (n < 0 && errno != EINTR)
			return;
		for (struct nlmsghdr *h = (void *)buf; n > 0 && nlmsg_ok(h, (int)n);) {
			int left = (int)n;

			e = (struct fl_nl_event){ 0 };
			if (read_event(h, &e)) {
				e.msg = h;
				fn(arg, &e);
			}
			h = nlmsg_next(h, &left);
			n = left;
		}
	}
}
