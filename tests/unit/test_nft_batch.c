/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bytes of batches, as uapi/linux/netfilter/{nfnetlink,nf_tables}.h lay them out: one line per
 * message, one word per attribute header or value. Headers are in the order of a little-endian
 * host.
 */
#include "unit.h"

#include "base/strbuf.h"
#include "nft/chains.h"
#include "nft/nft.h"

#include <errno.h>
#include <limits.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>

static const struct fl_nft_set map = {
	.family = NFPROTO_INET,
	.table = "t",
	.name = "m",
	.key = { FL_NFT_PROTO, FL_NFT_PORT },
	.data = { FL_NFT_IPV4, FL_NFT_PORT },
};
static const struct fl_nft_set tree = {
	.family = NFPROTO_INET,
	.table = "t",
	.name = "s",
	.interval = true,
	.key = { FL_NFT_IPV4 },
};
static const struct fl_nft_set ranges = {
	.family = NFPROTO_INET,
	.table = "t",
	.name = "p",
	.interval = true,
	.key = { FL_NFT_PROTO, FL_NFT_PORT },
	.data = { FL_NFT_VERDICT },
};

static const struct nlmsghdr *message(const struct fl_nft_batch *b, size_t at)
{
	return (const struct nlmsghdr *)(b->buf + at);
}

static void expect_words(struct fl_nft_batch *b, const char *want)
{
	FL_AUTOSTRBUF struct fl_strbuf got = { 0 };
	size_t end = 0;

	if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		skip();
	assert_int_equal(fl_nft_batch_finish(b), 0);
	for (size_t i = 0; i < b->len; i++) {
		if (i == end) {
			end += message(b, i)->nlmsg_len;
			fl_strbuf_add(&got, i ? "\n" : "");
		} else if (i % 4 == 0) {
			fl_strbuf_add(&got, " ");
		}
		fl_strbuf_addf(&got, "%02x", b->buf[i]);
	}
	assert_string_equal(got.s, want);
}

#define BEGIN "14000000 10000100 01000000 00000000 0000000a\n"
#define END(seq) "14000000 11000100 0" #seq "000000 00000000 0000000a"

static void test_add_and_delete_element(void **state)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	const struct fl_nft_elem e = { .key = { 6, 0, 0, 0, 0x1f, 0x90 },
				       .data = { 10, 1, 0, 2, 0, 80 },
				       .comment = "a" };

	(void)state;
	fl_nft_add_elem(&b, &map, &e);
	fl_nft_del_elem(&b, &map, &e);
	expect_words(
		&b, BEGIN
		/* NEWSETELEM, REQUEST | CREATE, 2, inet */
		"54000000 0c0a0104 02000000 00000000 01000000 "
		/* table "t", set "m", elements { element { */
		"06000100 74000000 06000200 6d000000 30000380 2c000180 "
		/* key { value }, data { value }, userdata { comment "a" } } } */
		"10000180 0c000100 06000000 1f900000 10000280 0c000100 0a010002 00500000 "
		"08000600 00026100\n"
		/* DELSETELEM, REQUEST | ACK: the last message, and no other, asks for an ack */
		"3c000000 0e0a0500 03000000 00000000 01000000 "
		"06000100 74000000 06000200 6d000000 18000380 14000180 "
		"10000180 0c000100 06000000 1f900000\n" END(4));
}

static void test_assertion_and_tree(void **state)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	const struct fl_nft_elem e = { .key = { 10, 1, 0, 0 },
				       .key_end = { 10, 1, 0, 255 },
				       .range = true };

	(void)state;
	fl_nft_assert_set(&b, &tree);
	fl_nft_add_elem(&b, &tree, &e);
	expect_words(
		&b, BEGIN
		/* NEWSET without CREATE: flags INTERVAL, key type ipv4_addr, length 4, id, userdata
		 */
		"50000000 090a0100 02000000 00000000 01000000 06000100 74000000 06000200 73000000 "
		"08000300 00000004 08000400 00000007 08000500 00000004 08000a00 00000002 "
		"0a000d00 00040200 00000000\n"
		/* 10.1.0.0, and 10.1.1.0 with the flag INTERVAL_END */
		"50000000 0c0a0504 03000000 00000000 01000000 06000100 74000000 06000200 73000000 "
		"2c000380 10000180 0c000180 08000100 0a010000 "
		"18000180 0c000180 08000100 0a010100 08000300 00000001\n" END(4));
}

static void test_interval_up_to_the_top(void **state)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	const struct fl_nft_elem e = { .key = { 255, 0, 0, 0 },
				       .key_end = { 255, 255, 255, 255 },
				       .range = true };

	(void)state;
	fl_nft_add_elem(&b, &tree, &e);
	expect_words(
		&b, BEGIN
		"38000000 0c0a0504 02000000 00000000 01000000 06000100 74000000 06000200 73000000 "
		"14000380 10000180 0c000180 08000100 ff000000\n" END(3));
}

static void test_generation_and_concatenated_ranges(void **state)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { .genid = 5 };
	const struct fl_nft_elem e = { .key = { 6, 0, 0, 0, 0, 1 },
				       .key_end = { 6, 0, 0, 0, 0, 9 },
				       .range = true,
				       .jump = "c" };

	(void)state;
	fl_nft_add_set(&b, &ranges);
	fl_nft_add_elem(&b, &ranges, &e);
	expect_words(
		&b,
		"1c000000 10000100 01000000 00000000 0000000a 08000100 00000005\n"
		/* flags CONCAT | MAP | INTERVAL, key 12 << 6 | 13, data verdict, fields 1 and 2 */
		"74000000 090a0104 02000000 00000000 01000000 06000100 74000000 06000200 70000000 "
		"08000300 0000008c 08000400 0000030d 08000500 00000008 08000600 ffffff00 "
		"08000700 00000010 08000a00 00000002 20000980 1c000280 0c000180 08000100 00000001 "
		"0c000180 08000100 00000002\n"
		/* key, key_end, data { verdict { goto, "c" } } */
		"64000000 0c0a0504 03000000 00000000 01000000 06000100 74000000 06000200 70000000 "
		"40000380 3c000180 10000180 0c000100 06000000 00010000 "
		"10000a80 0c000100 06000000 00090000 18000280 14000280 08000100 fffffffc "
		"06000200 63000000\n" END(4));
}

static void test_chain_and_rule(void **state)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	const struct fl_nft_expr exprs[] = {
		{ .op = FL_NFT_META, .key = NFT_META_IIFNAME, .reg = NFT_REG32_00 },
		{ .op = FL_NFT_LOOKUP, .reg = NFT_REG32_00, .name = "s", .code = NFT_LOOKUP_F_INV },
		{ .op = FL_NFT_IMMEDIATE, .code = NFT_GOTO, .name = "d" },
		{ .op = FL_NFT_END },
	};

	(void)state;
	fl_nft_add_table(&b, NFPROTO_INET, "t");
	fl_nft_add_chain(&b, NFPROTO_INET, "t",
			 &(struct fl_nft_chain){ "c", "nat", NF_INET_PRE_ROUTING, -100 });
	fl_nft_add_rule(&b, NFPROTO_INET, "t", "c", exprs, "hi");
	expect_words(
		&b, BEGIN
		"1c000000 000a0104 02000000 00000000 01000000 06000100 74000000\n"
		"48000000 030a0104 03000000 00000000 01000000 06000100 74000000 06000300 63000000 "
		"14000480 08000100 00000000 08000200 ffffff9c 08000500 00000001 08000700 6e617400\n"
		"bc000000 060a050c 04000000 00000000 01000000 06000100 74000000 06000200 63000000 "
		"8c000480 "
		"24000180 09000100 6d657461 00000000 14000280 08000200 00000006 08000100 00000008 "
		"2c000180 0b000100 6c6f6f6b 75700000 1c000280 06000100 73000000 08000200 00000008 "
		"08000500 00000001 "
		"38000180 0e000100 696d6d65 64696174 65000000 24000280 08000100 00000000 18000280 "
		"14000280 08000100 fffffffc 06000200 64000000 "
		"09000700 00036869 00000000\n" END(5));
}

/* An attribute's length has 16 bits: a long run of elements takes several messages. */
/* In front of a rule: NFTA_RULE_POSITION and no NLM_F_APPEND, for the next rule only. */
static void test_rule_before_another(void **state)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	static const struct fl_nft_expr accept[] = { { .op = FL_NFT_IMMEDIATE, .code = NF_ACCEPT },
						     { .op = FL_NFT_END } };
	static const uint8_t position[] = { 12, 0, NFTA_RULE_POSITION, 0, 0, 0, 0, 0, 0, 0, 1, 2 };
	const struct nlmsghdr *first, *second;

	(void)state;
	fl_nft_before_rule(&b, 0x102);
	fl_nft_add_rule(&b, NFPROTO_IPV4, "t", "c", accept, NULL);
	first = message(&b, b.open);
	assert_non_null(memmem(first, first->nlmsg_len, position, sizeof(position)));
	assert_int_equal(first->nlmsg_flags & NLM_F_APPEND, 0);
	fl_nft_add_rule(&b, NFPROTO_IPV4, "t", "c", accept, NULL);
	second = message(&b, b.open);
	assert_null(memmem(second, second->nlmsg_len, position, 4));
	assert_int_equal(second->nlmsg_flags & NLM_F_APPEND, NLM_F_APPEND);
}

/* The source port of a packet becomes 53, and its checksum follows. */
static void test_rewriting_rule(void **state)
{
	static const struct fl_nft_expr rule[] = {
		{ .op = FL_NFT_NOTRACK },
		{ .op = FL_NFT_LOAD, .reg = NFT_REG_1, .len = 2, .value = { 0, 53 } },
		{ .op = FL_NFT_PAYLOAD_SET,
		  .reg = NFT_REG_1,
		  .key = NFT_PAYLOAD_TRANSPORT_HEADER,
		  .offset = 0,
		  .len = 2,
		  .code = 6 },
		{ .op = FL_NFT_END },
	};
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };

	(void)state;
	fl_nft_add_rule(&b, NFPROTO_IPV4, "t", "c", rule, NULL);
	expect_words(
		&b, BEGIN
		/* NEWRULE, REQUEST | ACK | CREATE | APPEND: table "t", chain "c", expressions { */
		"ac000000 060a050c 02000000 00000000 02000000 06000100 74000000 06000200 63000000 "
		"88000480 "
		/* { "notrack", {} } */
		"14000180 0c000100 6e6f7472 61636b00 04000280 "
		/* { "immediate", { dreg 1, data { value 0035 } } } */
		"2c000180 0e000100 696d6d65 64696174 65000000 18000280 08000100 00000001 0c000280 "
		"06000100 00350000 "
		/* { "payload", { sreg 1, base transport, offset 0, len 2, checksum inet, at 6 } }
		 */
		"44000180 0c000100 7061796c 6f616400 34000280 08000500 00000001 08000200 00000002 "
		"08000300 00000000 08000400 00000002 08000600 00000001 08000700 00000006\n" END(3));
}

static void test_long_runs_are_split(void **state)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	struct fl_nft_elem e = { .key = { 6 }, .comment = "0123456789abcdef/eth0" };
	size_t elements = 0, messages = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		e.key[4] = (uint8_t)(i >> 8);
		e.key[5] = (uint8_t)i;
		fl_nft_add_elem(&b, &map, &e);
	}
	assert_int_equal(fl_nft_batch_finish(&b), 0);
	for (size_t at = 0; at < b.len; at += message(&b, at)->nlmsg_len) {
		const struct nlmsghdr *nlh = message(&b, at);

		if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM))
			continue;
		messages++;
		assert_true(nlh->nlmsg_len < 65536);
		/* header 20, table 8, set 8, list 4; an element 4 + 16 + 16 + 28 */
		assert_int_equal((nlh->nlmsg_len - 40) % 64, 0);
		elements += (nlh->nlmsg_len - 40) / 64;
	}
	assert_int_equal(elements, 10000);
	assert_in_range(messages, 10, 20);
}

static void test_comment_is_cut(void **state)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	char longest[300] = "";
	struct fl_nft_elem e = { .comment = longest };

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	fl_nft_add_elem(&b, &map, &e);
	assert_int_equal(fl_nft_batch_finish(&b), 0);
	/* begin 20, header 20, table 8, set 8, list 4, element 36, userdata 4 + 2 + 127 + NUL + pad
	 */
	assert_int_equal(b.len, 20 + 20 + 8 + 8 + 4 + 36 + 136 + 20);
}

static void test_sticky_error_and_empty_batch(void **state)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	struct fl_nft_elem e = { 0 };
	struct fl_nft nowhere = { .fd = INT_MAX };
	struct fl_error err = { 0 };

	(void)state;
	assert_int_equal(fl_nft_batch_finish(&b), 0);
	assert_int_equal(fl_nft_commit(&nowhere, &b, NULL, &err), 0);
	b.error = -ENOMEM;
	fl_nft_add_table(&b, NFPROTO_INET, "t");
	fl_nft_add_elem(&b, &map, &e);
	fl_nft_assert_set(&b, &tree);
	assert_null(b.buf);
	assert_int_equal(fl_nft_commit(&nowhere, &b, NULL, &err), -ENOMEM);
	assert_string_equal(err.text, "out of memory");
	b.error = 0;
	fl_nft_add_table(&b, NFPROTO_INET, "t");
	assert_int_equal(fl_nft_commit(&nowhere, &b, NULL, &err), -EBADF);
}

static void test_digest_of_a_rule(void **state)
{
	const struct fl_nft_expr rule[] = {
		{ .op = FL_NFT_META, .key = NFT_META_IIFNAME, .reg = NFT_REG32_00 },
		{ .op = FL_NFT_LOOKUP, .reg = NFT_REG32_00, .name = "names" },
		{ .op = FL_NFT_COUNTER },
		{ .op = FL_NFT_IMMEDIATE, .code = NFT_GOTO, .name = "there" },
		{ .op = FL_NFT_END },
	};
	struct fl_nft_expr other[FL_ARRAY_SIZE(rule)];
	uint64_t digest = fl_nft_rule_digest(rule);

	(void)state;
#define CHANGED(i, field, v)               \
	memcpy(other, rule, sizeof(rule)); \
	other[i].field = (v);              \
	assert_int_not_equal(fl_nft_rule_digest(other), digest)

	assert_int_not_equal(digest, 0);
	assert_int_equal(fl_nft_rule_digest(rule), digest);
	CHANGED(0, key, NFT_META_OIFNAME);
	CHANGED(0, reg, NFT_REG32_01);
	CHANGED(0, op, FL_NFT_META_SET);
	CHANGED(1, name, "other");
	CHANGED(1, code, NFT_LOOKUP_F_INV);
	CHANGED(1, map, true);
	CHANGED(2, op, FL_NFT_NOTRACK);
	CHANGED(3, code, NFT_JUMP);
	CHANGED(3, name, "elsewhere");
	CHANGED(3, op, FL_NFT_END);
	/* Kernels call the first 16 bytes NFT_REG_1. */
	memcpy(other, rule, sizeof(rule));
	other[0].reg = other[1].reg = NFT_REG_1;
	assert_int_equal(fl_nft_rule_digest(other), digest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_and_delete_element),
		cmocka_unit_test(test_assertion_and_tree),
		cmocka_unit_test(test_interval_up_to_the_top),
		cmocka_unit_test(test_generation_and_concatenated_ranges),
		cmocka_unit_test(test_chain_and_rule),
		cmocka_unit_test(test_rule_before_another),
		cmocka_unit_test(test_rewriting_rule),
		cmocka_unit_test(test_long_runs_are_split),
		cmocka_unit_test(test_comment_is_cut),
		cmocka_unit_test(test_digest_of_a_rule),
		cmocka_unit_test(test_sticky_error_and_empty_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
