/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fw/skeleton.h"

#include "nft/chains.h"

#include <linux/if_ether.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define IFNAME FL_NFT_IFNAME
#define IPV4 FL_NFT_IPV4
#define IPV6 FL_NFT_IPV6
#define PROTO FL_NFT_PROTO
#define PORT FL_NFT_PORT

/* Hash tables, and interval sets: those of one field are trees, concatenations are pipapo. */
#define HASH_SET(n, ...)                                                                          \
	{                                                                                         \
		.family = NFPROTO_INET, .table = FL_FW_TABLE, .name = (n), .key = { __VA_ARGS__ } \
	}
#define INTERVAL_SET(n, ...)                                                                 \
	{                                                                                    \
		.family = NFPROTO_INET, .table = FL_FW_TABLE, .name = (n), .interval = true, \
		.key = { __VA_ARGS__ }                                                       \
	}
#define BRIDGE_SET(n, ...)                                                   \
	{                                                                    \
		.family = NFPROTO_BRIDGE, .table = FL_FW_TABLE, .name = (n), \
		.key = { __VA_ARGS__ }                                       \
	}
#define HASH_MAP(n, k, ...)                                                                        \
	{                                                                                          \
		.family = NFPROTO_INET, .table = FL_FW_TABLE, .name = (n), .key = KEY k, .data = { \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define INTERVAL_MAP(n, k, ...)                                                              \
	{                                                                                    \
		.family = NFPROTO_INET, .table = FL_FW_TABLE, .name = (n), .interval = true, \
		.key = KEY k, .data = {                                                      \
			__VA_ARGS__                                                          \
		}                                                                            \
	}
#define KEY(...)            \
	{                   \
		__VA_ARGS__ \
	}

const struct fl_nft_set fl_fw_sets[FL_FW_SETS] = {
	[FL_FW_BRIDGES] = HASH_SET("bridges", IFNAME),
	[FL_FW_SAME_NET] = HASH_SET("same_net", IFNAME, IFNAME),
	[FL_FW_ISOLATED] = HASH_SET("isolated", IFNAME),
	[FL_FW_INTERNAL] = HASH_SET("internal", IFNAME),
	[FL_FW_NO_ICC] = HASH_SET("no_icc", IFNAME),
	[FL_FW_GUARDED] = HASH_SET("guarded", IFNAME),
	[FL_FW_ROUTED] = HASH_SET("routed", IFNAME),
	[FL_FW_OVERLAYS] = HASH_SET("overlays", IFNAME),
	[FL_FW_SUBNETS4] = INTERVAL_SET("subnets4", IPV4),
	[FL_FW_SUBNETS6] = INTERVAL_SET("subnets6", IPV6),
	[FL_FW_HOSTS4] = HASH_SET("hosts4", IPV4),
	[FL_FW_HOSTS6] = HASH_SET("hosts6", IPV6),
	[FL_FW_SAME_SUBNET4] = INTERVAL_SET("same_subnet4", IPV4, IPV4),
	[FL_FW_SAME_SUBNET6] = INTERVAL_SET("same_subnet6", IPV6, IPV6),
	[FL_FW_OVERLAY4] = INTERVAL_SET("overlay4", IPV4),
	[FL_FW_OVERLAY6] = INTERVAL_SET("overlay6", IPV6),
	[FL_FW_LOCAL4] = HASH_SET("local4", IPV4),
	[FL_FW_LOCAL6] = HASH_SET("local6", IPV6),
	[FL_FW_HAIRPIN4] = INTERVAL_SET("hairpin4", IPV4, IPV4),
	[FL_FW_HAIRPIN6] = INTERVAL_SET("hairpin6", IPV6, IPV6),
	[FL_FW_HAIRPIN_ALL4] = INTERVAL_SET("hairpin_all4", IPV4),
	[FL_FW_HAIRPIN_ALL6] = INTERVAL_SET("hairpin_all6", IPV6),
	[FL_FW_MASQUERADE4] = INTERVAL_MAP("masquerade4", (IPV4), FL_NFT_VERDICT),
	[FL_FW_MASQUERADE6] = INTERVAL_MAP("masquerade6", (IPV6), FL_NFT_VERDICT),
	[FL_FW_SNAT4] = INTERVAL_MAP("snat4", (IPV4), IPV4),
	[FL_FW_SNAT6] = INTERVAL_MAP("snat6", (IPV6), IPV6),
	[FL_FW_PUBLISH4] = HASH_MAP("publish4", (PROTO, PORT), IPV4, PORT),
	[FL_FW_PUBLISH6] = HASH_MAP("publish6", (PROTO, PORT), IPV6, PORT),
	[FL_FW_PUBLISH4_AT] = HASH_MAP("publish4_at", (IPV4, PROTO, PORT), IPV4, PORT),
	[FL_FW_PUBLISH6_AT] = HASH_MAP("publish6_at", (IPV6, PROTO, PORT), IPV6, PORT),
	[FL_FW_PUBLISH4_RANGE] = INTERVAL_MAP("publish4_range", (PROTO, PORT), IPV4),
	[FL_FW_PUBLISH6_RANGE] = INTERVAL_MAP("publish6_range", (PROTO, PORT), IPV6),
	[FL_FW_PUBLISH4_RANGE_AT] = INTERVAL_MAP("publish4_range_at", (IPV4, PROTO, PORT), IPV4),
	[FL_FW_PUBLISH6_RANGE_AT] = INTERVAL_MAP("publish6_range_at", (IPV6, PROTO, PORT), IPV6),
	[FL_FW_OPEN4] = HASH_SET("open4", IPV4, PROTO, PORT),
	[FL_FW_OPEN6] = HASH_SET("open6", IPV6, PROTO, PORT),
	[FL_FW_OPEN4_RANGE] = INTERVAL_SET("open4_range", IPV4, PROTO, PORT),
	[FL_FW_OPEN6_RANGE] = INTERVAL_SET("open6_range", IPV6, PROTO, PORT),
	[FL_FW_CHECKED_PORTS] = BRIDGE_SET("checked_ports", IFNAME),
	[FL_FW_ALLOWED_MACS] = BRIDGE_SET("allowed_macs", IFNAME, FL_NFT_ETHER),
	[FL_FW_ANYCAST4] = BRIDGE_SET("anycast4", IFNAME, IPV4),
	[FL_FW_ANYCAST6] = BRIDGE_SET("anycast6", IFNAME, IPV6),
};

/* Empty; only their names matter. */
static const struct fl_nft_set version_inet = HASH_SET("skeleton-" FL_FW_VERSION, IFNAME);
static const struct fl_nft_set version_bridge = BRIDGE_SET("skeleton-" FL_FW_VERSION, IFNAME);

const char fl_fw_outward[] = "outward";

static const struct fl_nft_chain inet_chains[] = {
	{ "raw", "filter", NF_INET_PRE_ROUTING, -300 },
	{ "prerouting", "nat", NF_INET_PRE_ROUTING, -100 },
	{ "output", "nat", NF_INET_LOCAL_OUT, -100 },
	{ "forward", "filter", NF_INET_FORWARD, -5 },
	{ "postrouting", "nat", NF_INET_POST_ROUTING, 100 },
	{ .name = "publish" },
	{ .name = "containers" },
	{ .name = "neighbours" },
	{ .name = "guard" },
	{ .name = "admit" },
	{ .name = fl_fw_outward },
};

static const struct fl_nft_chain bridge_chains[] = {
	{ "prerouting", "filter", NF_INET_PRE_ROUTING, -300 },
	{ "postrouting", "filter", NF_INET_POST_ROUTING, 0 },
};

#define ND_SOLICIT 135 /* RFC 4861 section 4.3 */
#define ND_ADVERT 136

/* The n-th 4-byte register; concatenations are loaded into consecutive ones. */
#define R(n) (NFT_REG32_00 + (n))
#define BYTE(v, n) (uint8_t)((v) >> 8 * (n))
#define BYTES_BE(v)                                            \
	{                                                      \
		BYTE(v, 3), BYTE(v, 2), BYTE(v, 1), BYTE(v, 0) \
	}
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTES_HOST(v)                                          \
	{                                                      \
		BYTE(v, 0), BYTE(v, 1), BYTE(v, 2), BYTE(v, 3) \
	}
#else
#define BYTES_HOST(v) BYTES_BE(v)
#endif

/* Single expressions; `r` is the register. Values are compared as the kernel keeps them there. */
#define META(k, r)                                                  \
	{                                                           \
		.op = FL_NFT_META, .key = NFT_META_##k, .reg = R(r) \
	}
#define PAYLOAD(b, o, l, r)                                                                       \
	{                                                                                         \
		.op = FL_NFT_PAYLOAD, .key = NFT_PAYLOAD_##b##_HEADER, .offset = (o), .len = (l), \
		.reg = R(r)                                                                       \
	}
#define CMP(o, l, ...)                                                         \
	{                                                                      \
		.op = FL_NFT_CMP, .key = NFT_CMP_##o, .reg = R(0), .len = (l), \
		.value = __VA_ARGS__                                           \
	}
#define AND(m, v)                                                                   \
	{                                                                           \
		.op = FL_NFT_BITWISE, .reg = R(0), .len = 4, .mask = BYTES_HOST(m), \
		.value = BYTES_HOST(v)                                              \
	}
#define IN(s)                                                 \
	{                                                     \
		.op = FL_NFT_LOOKUP, .reg = R(0), .name = (s) \
	}
#define NOT_IN(s)                                                                       \
	{                                                                               \
		.op = FL_NFT_LOOKUP, .reg = R(0), .name = (s), .code = NFT_LOOKUP_F_INV \
	}
#define MAP(s)                                                                           \
	{                                                                                \
		.op = FL_NFT_LOOKUP, .reg = R(0), .name = (s), .map = true, .dreg = R(0) \
	}
#define VMAP(s)                                                             \
	{                                                                   \
		.op = FL_NFT_LOOKUP, .reg = R(0), .name = (s), .map = true, \
		.dreg = NFT_REG_VERDICT                                     \
	}
#define DROP                                            \
	{                                               \
		.op = FL_NFT_IMMEDIATE, .code = NF_DROP \
	}
#define ACCEPT                                            \
	{                                                 \
		.op = FL_NFT_IMMEDIATE, .code = NF_ACCEPT \
	}
#define RETURN                                             \
	{                                                  \
		.op = FL_NFT_IMMEDIATE, .code = NFT_RETURN \
	}
#define JUMP(c)                                                       \
	{                                                             \
		.op = FL_NFT_IMMEDIATE, .code = NFT_JUMP, .name = (c) \
	}
#define GOTO(c)                                                       \
	{                                                             \
		.op = FL_NFT_IMMEDIATE, .code = NFT_GOTO, .name = (c) \
	}
#define MASQUERADE                \
	{                         \
		.op = FL_NFT_MASQ \
	}
#define MASQUERADE_RANDOM                                                  \
	{                                                                  \
		.op = FL_NFT_MASQ, .code = NF_NAT_RANGE_PROTO_RANDOM_FULLY \
	}
#define NAT(t, f, p, c)                                                                        \
	{                                                                                      \
		.op = FL_NFT_NAT, .key = NFT_NAT_##t, .family = (f), .reg = R(0), .dreg = (p), \
		.code = (c)                                                                    \
	}

/* Matches, in nft(8)'s words. */
#define IIFNAME META(IIFNAME, 0)
#define OIFNAME META(OIFNAME, 0)
#define IS_V4 META(NFPROTO, 0), CMP(EQ, 1, { NFPROTO_IPV4 })
#define IS_V6 META(NFPROTO, 0), CMP(EQ, 1, { NFPROTO_IPV6 })
#define SADDR4(r) PAYLOAD(NETWORK, 12, 4, r)
#define DADDR4(r) PAYLOAD(NETWORK, 16, 4, r)
#define SADDR6(r) PAYLOAD(NETWORK, 8, 16, r)
#define DADDR6(r) PAYLOAD(NETWORK, 24, 16, r)
/* meta l4proto . th dport */
#define PROTO_DPORT(r) META(L4PROTO, r), PAYLOAD(TRANSPORT, 2, 2, (r) + 1)
#define CT_HAS(k, bits)                                                    \
	{ .op = FL_NFT_CT, .key = NFT_CT_##k, .reg = R(0) }, AND(bits, 0), \
		CMP(NEQ, 4, BYTES_HOST(0))
#define CT_DNAT CT_HAS(STATUS, IPS_DST_NAT)
/* enum ip_conntrack_info: a state's bit is 1 << (state + 1) */
#define CT_ESTABLISHED_RELATED \
	CT_HAS(STATE, 1 << (IP_CT_ESTABLISHED + 1) | 1 << (IP_CT_RELATED + 1))
#define CT_INVALID CT_HAS(STATE, 1)
#define TO_LOCAL                          \
	{ .op = FL_NFT_FIB,               \
	  .key = NFT_FIB_RESULT_ADDRTYPE, \
	  .code = NFTA_FIB_F_DADDR,       \
	  .reg = R(0) },                  \
		CMP(EQ, 4, BYTES_HOST(RTN_LOCAL))
#define IS_L4(p) META(L4PROTO, 0), CMP(EQ, 1, { p })
/* Bridge: who is asked for (target), or speaks (sender), in ARP (RFC 826) and ND (RFC 4861). */
#define IS_ETHER(t) META(PROTOCOL, 0), CMP(EQ, 2, { (t) >> 8, (t)&0xff })
#define ARP_SENDER(r) IS_ETHER(ETH_P_ARP), PAYLOAD(NETWORK, 14, 4, r)
#define ARP_TARGET(r) IS_ETHER(ETH_P_ARP), PAYLOAD(NETWORK, 24, 4, r)
#define ND_TARGET(t, r)                                                           \
	IS_ETHER(ETH_P_IPV6), IS_L4(IPPROTO_ICMPV6), PAYLOAD(TRANSPORT, 0, 1, 0), \
		CMP(EQ, 1, { t }), PAYLOAD(TRANSPORT, 8, 16, r)
#define NOT_MULTICAST4                                                                            \
	DADDR4(0), { .op = FL_NFT_BITWISE, .reg = R(0), .len = 4, .mask = BYTES_BE(0xf0000000) }, \
		CMP(NEQ, 4, BYTES_BE(0xe0000000))
#define NOT_MULTICAST6 PAYLOAD(NETWORK, 24, 1, 0), CMP(NEQ, 1, { 0xff })
/* dnat: the map's data are address and port, or the address alone, which keeps the port */
#define DNAT4_PORT NAT(DNAT, NFPROTO_IPV4, R(1), 0)
#define DNAT6_PORT NAT(DNAT, NFPROTO_IPV6, R(4), 0)
#define DNAT4 NAT(DNAT, NFPROTO_IPV4, 0, 0)
#define DNAT6 NAT(DNAT, NFPROTO_IPV6, 0, 0)
#define SNAT4 NAT(SNAT, NFPROTO_IPV4, 0, NF_NAT_RANGE_PROTO_RANDOM_FULLY)
#define SNAT6 NAT(SNAT, NFPROTO_IPV6, 0, NF_NAT_RANGE_PROTO_RANDOM_FULLY)

struct rule {
	const char *chain;
	const struct fl_nft_expr *exprs;
};

#define RULE(c, ...)                              \
	{                                         \
		(c), (const struct fl_nft_expr[]) \
		{                                 \
			__VA_ARGS__,              \
			{                         \
				.op = FL_NFT_END  \
			}                         \
		}                                 \
	}

static const struct rule inet_rules[] = {
	/* What route_localnet opens for 127.0.0.1:PORT, nobody but the host itself may use. */
	RULE("raw", META(IIF, 0), CMP(NEQ, 4, BYTES_HOST(1)), IS_V4, PAYLOAD(NETWORK, 16, 1, 0),
	     CMP(EQ, 1, { 127 }), DROP),

	RULE("prerouting", TO_LOCAL, JUMP("publish")),
	/*
	 * IPv6 has no route_localnet: an answer to ::1 is never let in. Refused at once, a client
	 * that asks for "localhost" goes on to 127.0.0.1.
	 */
	RULE("output", IS_V6, DADDR6(0), CMP(EQ, 16, { [15] = 1 }), RETURN),
	RULE("output", TO_LOCAL, JUMP("publish")),

	/* A port published at one address goes before one that is published at all of them. */
	RULE("publish", IS_V4, DADDR4(0), PROTO_DPORT(1), MAP("publish4_at"), DNAT4_PORT),
	RULE("publish", IS_V4, DADDR4(0), PROTO_DPORT(1), MAP("publish4_range_at"), DNAT4),
	RULE("publish", IS_V4, PROTO_DPORT(0), MAP("publish4"), DNAT4_PORT),
	RULE("publish", IS_V4, PROTO_DPORT(0), MAP("publish4_range"), DNAT4),
	RULE("publish", IS_V6, DADDR6(0), PROTO_DPORT(4), MAP("publish6_at"), DNAT6_PORT),
	RULE("publish", IS_V6, DADDR6(0), PROTO_DPORT(4), MAP("publish6_range_at"), DNAT6),
	RULE("publish", IS_V6, PROTO_DPORT(0), MAP("publish6"), DNAT6_PORT),
	RULE("publish", IS_V6, PROTO_DPORT(0), MAP("publish6_range"), DNAT6),

	/* Other people's traffic passes unmarked. */
	RULE("forward", IIFNAME, IN("bridges"), GOTO("containers")),
	RULE("forward", OIFNAME, IN("bridges"), GOTO("containers")),
	RULE("forward", IS_V4, SADDR4(0), IN("subnets4"), GOTO("containers")),
	RULE("forward", IS_V4, DADDR4(0), IN("subnets4"), GOTO("containers")),
	RULE("forward", IS_V6, SADDR6(0), IN("subnets6"), GOTO("containers")),
	RULE("forward", IS_V6, DADDR6(0), IN("subnets6"), GOTO("containers")),
	RULE("forward", IS_V4, SADDR4(0), IN("hosts4"), GOTO("containers")),
	RULE("forward", IS_V4, DADDR4(0), IN("hosts4"), GOTO("containers")),
	RULE("forward", IS_V6, SADDR6(0), IN("hosts6"), GOTO("containers")),
	RULE("forward", IS_V6, DADDR6(0), IN("hosts6"), GOTO("containers")),

	RULE("containers", CT_ESTABLISHED_RELATED, GOTO("admit")),
	RULE("containers", IIFNAME, META(OIFNAME, 4), IN("same_net"), GOTO("neighbours")),
	/*
	 * An answer to a connection that another node translated, on its way out past that node:
	 * it would leave unencapsulated, from an address that nobody outside knows.
	 */
	RULE("containers", IIFNAME, IN("overlays"), CT_INVALID, DROP),
	/*
	 * What is nowhere in a network that is routed has no route but the host's default one,
	 * which would carry it out.
	 */
	RULE("containers", IIFNAME, IN("overlays"), OIFNAME, NOT_IN("bridges"), IS_V4, DADDR4(0),
	     IN("overlay4"), DROP),
	RULE("containers", IIFNAME, IN("overlays"), OIFNAME, NOT_IN("bridges"), IS_V6, DADDR6(0),
	     IN("overlay6"), DROP),
	RULE("containers", IIFNAME, IN("internal"), DROP),
	RULE("containers", OIFNAME, IN("internal"), DROP),
	RULE("containers", CT_DNAT, GOTO("admit")),
	RULE("containers", IIFNAME, IN("isolated"), OIFNAME, IN("bridges"), DROP),
	RULE("containers", IIFNAME, IN("bridges"), OIFNAME, IN("isolated"), DROP),
	RULE("containers", IIFNAME, IN("bridges"), GOTO("admit")),
	RULE("containers", OIFNAME, IN("guarded"), GOTO("guard")),
	RULE("containers", IS_V4, SADDR4(0), IN("subnets4"), GOTO("admit")),
	RULE("containers", IS_V6, SADDR6(0), IN("subnets6"), GOTO("admit")),
	RULE("containers", IS_V4, SADDR4(0), IN("hosts4"), GOTO("admit")),
	RULE("containers", IS_V6, SADDR6(0), IN("hosts6"), GOTO("admit")),
	/* A new connection from outside, not published, not guarded: the host's policy decides. */

	RULE("neighbours", CT_DNAT, GOTO("admit")),
	RULE("neighbours", IIFNAME, IN("no_icc"), DROP),
	RULE("neighbours", GOTO("admit")),

	RULE("guard", IS_V4, DADDR4(0), PROTO_DPORT(1), IN("open4"), GOTO("admit")),
	RULE("guard", IS_V4, DADDR4(0), PROTO_DPORT(1), IN("open4_range"), GOTO("admit")),
	RULE("guard", IS_V6, DADDR6(0), PROTO_DPORT(4), IN("open6"), GOTO("admit")),
	RULE("guard", IS_V6, DADDR6(0), PROTO_DPORT(4), IN("open6_range"), GOTO("admit")),
	RULE("guard", OIFNAME, IN("routed"), IS_L4(IPPROTO_ICMP), GOTO("admit")),
	RULE("guard", OIFNAME, IN("routed"), IS_L4(IPPROTO_ICMPV6), GOTO("admit")),
	RULE("guard", DROP),

	RULE("admit", META(MARK, 0), AND(~FL_FW_MARK, FL_FW_MARK),
	     { .op = FL_NFT_META_SET, .key = NFT_META_MARK, .reg = R(0) }, ACCEPT),

	/* By addresses, not by interfaces: a bridged frame has no input interface here. */
	RULE("postrouting", CT_DNAT, IS_V4, DADDR4(0), IN("hairpin_all4"), MASQUERADE),
	RULE("postrouting", CT_DNAT, IS_V6, DADDR6(0), IN("hairpin_all6"), MASQUERADE),
	/* To another node's container: it has its own gateway, and would answer past this host. */
	RULE("postrouting", CT_DNAT, IS_V4, DADDR4(0), IN("overlay4"), NOT_IN("local4"),
	     MASQUERADE),
	RULE("postrouting", CT_DNAT, IS_V6, DADDR6(0), IN("overlay6"), NOT_IN("local6"),
	     MASQUERADE),
	RULE("postrouting", CT_DNAT, IS_V4, SADDR4(0), DADDR4(1), IN("hairpin4"), MASQUERADE),
	RULE("postrouting", CT_DNAT, IS_V6, SADDR6(0), DADDR6(4), IN("hairpin6"), MASQUERADE),
	RULE("postrouting", IS_V4, SADDR4(0), DADDR4(1), IN("same_subnet4"), RETURN),
	RULE("postrouting", IS_V6, SADDR6(0), DADDR6(4), IN("same_subnet6"), RETURN),
	RULE("postrouting", IS_V4, NOT_MULTICAST4, SADDR4(0), VMAP("masquerade4")),
	RULE("postrouting", IS_V6, NOT_MULTICAST6, SADDR6(0), VMAP("masquerade6")),
	RULE("postrouting", IS_V4, NOT_MULTICAST4, SADDR4(0), MAP("snat4"), SNAT4),
	RULE("postrouting", IS_V6, NOT_MULTICAST6, SADDR6(0), MAP("snat6"), SNAT6),

	/* Avoids the kernel's race for a port between two connections that start at once. */
	RULE(fl_fw_outward, MASQUERADE_RANDOM),
};

static const struct rule bridge_rules[] = {
	RULE("prerouting", IIFNAME, IN("checked_ports"), IIFNAME, PAYLOAD(LL, 6, ETH_ALEN, 4),
	     NOT_IN("allowed_macs"), DROP),
	/* Each node answers for its gateway itself, and hears of no other's. */
	RULE("prerouting", ARP_TARGET(4), IIFNAME, IN("anycast4"), DROP),
	RULE("prerouting", ARP_SENDER(4), IIFNAME, IN("anycast4"), DROP),
	RULE("prerouting", ND_TARGET(ND_SOLICIT, 4), IIFNAME, IN("anycast6"), DROP),
	RULE("prerouting", ND_TARGET(ND_ADVERT, 4), IIFNAME, IN("anycast6"), DROP),
	RULE("postrouting", ARP_TARGET(4), OIFNAME, IN("anycast4"), DROP),
	RULE("postrouting", ARP_SENDER(4), OIFNAME, IN("anycast4"), DROP),
	RULE("postrouting", ND_TARGET(ND_SOLICIT, 4), OIFNAME, IN("anycast6"), DROP),
	RULE("postrouting", ND_TARGET(ND_ADVERT, 4), OIFNAME, IN("anycast6"), DROP),
};

/* iptables shows it as: -m mark --mark 0x100000/0x100000 -m comment --comment fairlead -j ACCEPT */
static const struct fl_nft_expr admit_rule[] = {
	META(MARK, 0),
	AND(FL_FW_MARK, 0),
	CMP(EQ, 4, BYTES_HOST(FL_FW_MARK)),
	{ .op = FL_NFT_COUNTER },
	ACCEPT,
	{ .op = FL_NFT_END },
};

const struct fl_nft_set *fl_fw_version_set(uint8_t family)
{
	return family == NFPROTO_BRIDGE ? &version_bridge : &version_inet;
}

const char *fl_fw_skeleton_chain(size_t i)
{
	return i < FL_ARRAY_SIZE(inet_chains) ? inet_chains[i].name : NULL;
}

const struct fl_nft_expr *fl_fw_skeleton_rule(uint8_t family, const char *chain, size_t i)
{
	bool bridge = family == NFPROTO_BRIDGE;
	const struct rule *rules = bridge ? bridge_rules : inet_rules;
	size_t n = bridge ? FL_ARRAY_SIZE(bridge_rules) : FL_ARRAY_SIZE(inet_rules);

	for (size_t k = 0; k < n; k++)
		if (!strcmp(rules[k].chain, chain) && !i--)
			return rules[k].exprs;
	return NULL;
}

bool fl_fw_skeleton_has(const struct fl_nft_base_chain *c)
{
	bool bridge = c->family == NFPROTO_BRIDGE;
	const struct fl_nft_chain *ours = bridge ? bridge_chains : inet_chains;
	size_t n = bridge ? FL_ARRAY_SIZE(bridge_chains) : FL_ARRAY_SIZE(inet_chains);

	if (strcmp(c->table, FL_FW_TABLE) || (!bridge && c->family != NFPROTO_INET))
		return false;
	for (size_t i = 0; i < n; i++)
		if (ours[i].type && !strcmp(ours[i].name, c->name))
			return ours[i].hook == c->hook && ours[i].priority == c->priority;
	return false;
}

void fl_fw_assert_skeleton(struct fl_nft_batch *b, uint8_t family)
{
	fl_nft_assert_set(b, fl_fw_version_set(family));
}

void fl_fw_drop_skeleton(struct fl_nft_batch *b, uint8_t family)
{
	fl_nft_add_table(b, family, FL_FW_TABLE);
	fl_nft_del_table(b, family, FL_FW_TABLE);
}

static void put_chains(struct fl_nft_batch *b, uint8_t family, const struct fl_nft_chain *chains,
		       size_t n)
{
	for (size_t i = 0; i < n; i++)
		fl_nft_add_chain(b, family, FL_FW_TABLE, &chains[i]);
}

static void put_rules(struct fl_nft_batch *b, uint8_t family, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fl_nft_add_rule(b, family, FL_FW_TABLE, rules[i].chain, rules[i].exprs, NULL);
}

void fl_fw_put_skeleton(struct fl_nft_batch *b, uint8_t family)
{
	bool bridge = family == NFPROTO_BRIDGE;

	fl_nft_add_table(b, family, FL_FW_TABLE);
	fl_nft_add_set(b, bridge ? &version_bridge : &version_inet);
	for (size_t i = 0; i < FL_FW_SETS; i++)
		if (fl_fw_sets[i].family == family)
			fl_nft_add_set(b, &fl_fw_sets[i]);
	if (bridge) {
		put_chains(b, family, bridge_chains, FL_ARRAY_SIZE(bridge_chains));
		put_rules(b, family, bridge_rules, FL_ARRAY_SIZE(bridge_rules));
	} else {
		put_chains(b, family, inet_chains, FL_ARRAY_SIZE(inet_chains));
		put_rules(b, family, inet_rules, FL_ARRAY_SIZE(inet_rules));
	}
}

void fl_fw_put_admit_rule(struct fl_nft_batch *b, uint8_t family)
{
	fl_nft_add_rule(b, family, "filter", "FORWARD", admit_rule, FL_FW_COMMENT);
}
