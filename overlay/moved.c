/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An address that comes back has another MAC, and containers that remember the former one would
 * send into nowhere for the five seconds in which Linux trusts a stale entry
 * (delay_first_probe_time). So they are told: a gratuitous ARP (RFC 5227 section 3) or an
 * unsolicited neighbour advertisement (RFC 4861 section 7.2.6), by the bridge to its ports. The
 * tunnel lets neither out.
 */
#include "overlay/agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <netpacket/packet.h>
#include <string.h>
#include <sys/socket.h>

struct arp_frame {
	struct ether_header eth;
	struct ether_arp arp;
} __attribute__((packed));

struct na_frame {
	struct ether_header eth;
	struct ip6_hdr ip;
	struct nd_neighbor_advert na;
	struct nd_opt_hdr opt;
	uint8_t mac[6];
} __attribute__((packed));

#define NA_LENGTH (sizeof(struct na_frame) - offsetof(struct na_frame, na))

/* Before the privilege for it is given up. Without it all works, a few seconds later. */
void moved_open(struct agent *a)
{
	a->moved = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->moved < 0)
		say("no packet socket (%s): containers learn late that an address has moved",
		    strerror(errno));
}

static void send_frame(const struct network *net, const void *frame, size_t n, uint16_t type)
{
	const struct sockaddr_ll to = { .sll_family = AF_PACKET,
					.sll_protocol = htons(type),
					.sll_ifindex = (int)net->bridge,
					.sll_halen = 6 };

	/* What is lost is learned late. */
	sendto(net->a->moved, frame, n, 0, (const struct sockaddr *)&to, sizeof(to));
}

static void tell_arp(const struct network *net, const struct fl_addr *addr,
		     const struct fl_mac *mac)
{
	struct arp_frame f = { .eth.ether_type = htons(ETHERTYPE_ARP),
			       .arp = { .arp_hrd = htons(ARPHRD_ETHER),
					.arp_pro = htons(ETHERTYPE_IP),
					.arp_hln = 6,
					.arp_pln = 4,
					.arp_op = htons(ARPOP_REQUEST) } };

	memset(f.eth.ether_dhost, 0xff, 6);
	memcpy(f.eth.ether_shost, mac->b, 6);
	memcpy(f.arp.arp_sha, mac->b, 6);
	memcpy(f.arp.arp_spa, addr->b, 4);
	memcpy(f.arp.arp_tpa, addr->b, 4);
	send_frame(net, &f, sizeof(f), ETHERTYPE_ARP);
}

static uint32_t add_words(uint32_t sum, const void *data, size_t n)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	return sum;
}

/* RFC 8200 section 8.1; everything here has an even length. */
static uint16_t icmp_checksum(const struct na_frame *f)
{
	uint32_t sum = IPPROTO_ICMPV6 + NA_LENGTH;

	sum = add_words(sum, &f->ip.ip6_src, 32);
	sum = add_words(sum, (const uint8_t *)f + offsetof(struct na_frame, na), NA_LENGTH);
	sum = (sum >> 16) + (sum & 0xffff);
	return htons((uint16_t) ~(sum + (sum >> 16)));
}

static void tell_na(const struct network *net, const struct fl_addr *addr, const struct fl_mac *mac)
{
	static const uint8_t all_nodes[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	struct na_frame f = { .eth.ether_type = htons(ETHERTYPE_IPV6),
			      .ip.ip6_flow = htonl(6u << 28),
			      .ip.ip6_plen = htons(NA_LENGTH),
			      .ip.ip6_nxt = IPPROTO_ICMPV6,
			      .ip.ip6_hlim = 255,
			      .na.nd_na_type = ND_NEIGHBOR_ADVERT,
			      .na.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE,
			      .opt = { ND_OPT_TARGET_LINKADDR, 1 } };

	memcpy(f.eth.ether_dhost, all_nodes, 6);
	memcpy(f.eth.ether_shost, mac->b, 6);
	memcpy(&f.ip.ip6_src, addr->b, 16);
	memcpy(&f.ip.ip6_dst, "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	memcpy(&f.na.nd_na_target, addr->b, 16);
	memcpy(f.mac, mac->b, 6);
	f.na.nd_na_cksum = icmp_checksum(&f);
	send_frame(net, &f, sizeof(f), ETHERTYPE_IPV6);
}

void moved_tell(struct network *net)
{
	for (struct ip_slot *s = net->dirty_ips; s; s = s->next) {
		if (!s->has || !memcmp(&s->told, &s->mac, sizeof(s->mac)))
			continue;
		s->told = s->mac;
		/* Where there is no container yet nobody remembers anything. */
		if (net->a->moved < 0 || !net->n_local)
			continue;
		if (s->addr.family == AF_INET6)
			tell_na(net, &s->addr, &s->mac);
		else
			tell_arp(net, &s->addr, &s->mac);
	}
}
