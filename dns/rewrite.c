/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/rewrite.h"

#include "dns/wire.h"
#include "nft/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#define CHAIN "output"
#define PRIORITY_RAW (-300) /* NF_IP_PRI_RAW: before conntrack sees the packet */

enum { SADDR = 12, DADDR = 16, SPORT = 0, DPORT = 2 };
enum { UDP_CHECKSUM = 6, TCP_CHECKSUM = 16 };

static const uint8_t address[4] = { 127, 0, 0, 11 };

static struct fl_nft_expr compare(const void *value, uint8_t len)
{
	struct fl_nft_expr e = {
		.op = FL_NFT_CMP, .reg = NFT_REG_1, .key = NFT_CMP_EQ, .len = len
	};

	memcpy(e.value, value, len);
	return e;
}

static struct fl_nft_expr load(uint8_t base, uint8_t offset, uint8_t len)
{
	return (struct fl_nft_expr){
		.op = FL_NFT_PAYLOAD, .reg = NFT_REG_1, .key = base, .offset = offset, .len = len
	};
}

/* What leaves by another interface than lo is none of ours, and goes by most rules. */
static void add_shortcut(struct fl_nft_batch *b)
{
	static const uint32_t lo = 1; /* in every namespace */
	struct fl_nft_expr rule[] = {
		{ .op = FL_NFT_META, .reg = NFT_REG_1, .key = NFT_META_OIF },
		compare(&lo, sizeof(lo)),
		{ .op = FL_NFT_IMMEDIATE, .code = NF_ACCEPT },
		{ .op = FL_NFT_END },
	};

	rule[1].key = NFT_CMP_NEQ;
	fl_nft_add_rule(b, NFPROTO_IPV4, FL_DNS_TABLE, CHAIN, rule, NULL);
}

/* ip ADDRESS FIELD 127.0.0.11, PROTO, PORT FIELD `from`: notrack, PORT FIELD set `to`, accept */
static void add_rule(struct fl_nft_batch *b, uint8_t proto, bool reply, uint16_t from, uint16_t to)
{
	uint8_t port = reply ? SPORT : DPORT;
	uint16_t wire_from = htons(from), wire_to = htons(to);
	struct fl_nft_expr rule[] = {
		load(NFT_PAYLOAD_NETWORK_HEADER, reply ? SADDR : DADDR, sizeof(address)),
		compare(address, sizeof(address)),
		{ .op = FL_NFT_META, .reg = NFT_REG_1, .key = NFT_META_L4PROTO },
		compare(&proto, sizeof(proto)),
		load(NFT_PAYLOAD_TRANSPORT_HEADER, port, sizeof(from)),
		compare(&wire_from, sizeof(wire_from)),
		{ .op = FL_NFT_NOTRACK },
		{ .op = FL_NFT_LOAD, .reg = NFT_REG_1, .len = sizeof(wire_to) },
		{ .op = FL_NFT_PAYLOAD_SET,
		  .reg = NFT_REG_1,
		  .key = NFT_PAYLOAD_TRANSPORT_HEADER,
		  .offset = port,
		  .len = sizeof(wire_to),
		  .code = proto == IPPROTO_UDP ? UDP_CHECKSUM : TCP_CHECKSUM },
		{ .op = FL_NFT_IMMEDIATE, .code = NF_ACCEPT },
		{ .op = FL_NFT_END },
	};

	memcpy(rule[7].value, &wire_to, sizeof(wire_to));
	fl_nft_add_rule(b, NFPROTO_IPV4, FL_DNS_TABLE, CHAIN, rule, NULL);
}

static int commit(struct fl_nft_batch *b, struct fl_error *err)
{
	struct fl_nft nft;
	int r = fl_nft_open(&nft, err);

	if (r)
		return r;
	r = fl_nft_commit(&nft, b, NULL, err);
	fl_nft_close(&nft);
	return r;
}

int rewrite_set(uint16_t port, struct fl_error *err)
{
	static const struct fl_nft_chain chain = {
		.name = CHAIN, .type = "filter", .hook = NF_INET_LOCAL_OUT, .priority = PRIORITY_RAW
	};
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };

	fl_nft_add_table(&b, NFPROTO_IPV4, FL_DNS_TABLE);
	fl_nft_add_chain(&b, NFPROTO_IPV4, FL_DNS_TABLE, &chain);
	fl_nft_flush_chain(&b, NFPROTO_IPV4, FL_DNS_TABLE, CHAIN);
	/* Answers first: with many sandboxes each rule is another line that is in no cache. */
	add_rule(&b, IPPROTO_UDP, true, port, FL_DNS_PORT);
	add_shortcut(&b);
	add_rule(&b, IPPROTO_UDP, false, FL_DNS_PORT, port);
	add_rule(&b, IPPROTO_TCP, false, FL_DNS_PORT, port);
	add_rule(&b, IPPROTO_TCP, true, port, FL_DNS_PORT);
	return commit(&b, err);
}

int rewrite_remove(struct fl_error *err)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	int r;

	fl_nft_del_table(&b, NFPROTO_IPV4, FL_DNS_TABLE);
	r = commit(&b, err);
	return r == -ENOENT ? 0 : r;
}
