/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending a batch, and finding out which of its messages was refused. */
#include "nft/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *fl_nft_family_str(uint8_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_BRIDGE:
		return "bridge";
	default:
		return "?";
	}
}

/* The first refusal of a batch; later ones are mostly its consequences. */
struct refusal {
	int err;
	uint32_t seq, offset;
	bool have;
	char text[256];
};

static const struct nlmsghdr *find_message(const struct fl_nft_batch *b, uint32_t seq)
{
	for (size_t at = 0; at + NLMSG_HDRLEN <= b->len;) {
		const struct nlmsghdr *nlh = (const void *)(b->buf + at);

		if (nlh->nlmsg_seq == seq)
			return nlh;
		at += NLMSG_ALIGN(nlh->nlmsg_len);
	}
	return NULL;
}

static const char *string_attr(const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *attr;

	fl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg)) if (fl_attr_type(attr) ==
								 type) return fl_attr_str(attr);
	return "";
}

/* The element that holds the byte at `offset` of its message; its key goes to `ret`. */
static void find_key(const struct nlmsghdr *nlh, uint32_t offset, struct fl_nft_failure *ret)
{
	const uint8_t *bad = (const uint8_t *)nlh + offset;
	const struct nlattr *list, *elem, *value;

	fl_attr_for_each(list, nlh, sizeof(struct nfgenmsg))
	{
		if (fl_attr_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		fl_attr_for_each_nested(elem, list)
		{
			if (bad < (const uint8_t *)elem ||
			    bad >= (const uint8_t *)elem + elem->nla_len)
				continue;
			/* The builder puts the key first: key { value { bytes } }. */
			value = fl_attr_data(fl_attr_data(elem));
			ret->key = fl_attr_data(value);
			ret->key_len = fl_attr_len(value);
			return;
		}
	}
}

/* Names what a message was about, "element of set publish4" for instance. */
static void describe(const struct nlmsghdr *nlh, const struct refusal *r,
		     struct fl_nft_failure *ret, char *buf, size_t size)
{
	const struct nfgenmsg *nfg = fl_msg_payload(nlh);
	unsigned type = NFNL_MSG_TYPE(nlh->nlmsg_type);
	const char *table, *what = NULL, *name = "";

	if (NFNL_SUBSYS_ID(nlh->nlmsg_type) != NFNL_SUBSYS_NFTABLES) {
		snprintf(buf, size, "the batch");
		return;
	}
	ret->message = (uint16_t)type;
	/* NFTA_*_TABLE is attribute 1 of every message. */
	table = string_attr(nlh, NFTA_TABLE_NAME);
	switch (type) {
	case NFT_MSG_NEWTABLE:
	case NFT_MSG_DELTABLE:
		break;
	case NFT_MSG_NEWCHAIN:
		what = "chain";
		name = string_attr(nlh, NFTA_CHAIN_NAME);
		break;
	case NFT_MSG_NEWRULE:
	case NFT_MSG_DELRULE:
		what = "rule of chain";
		name = string_attr(nlh, NFTA_RULE_CHAIN);
		break;
	case NFT_MSG_NEWSET:
		what = "set";
		name = string_attr(nlh, NFTA_SET_NAME);
		break;
	default:
		what = "element of set";
		name = string_attr(nlh, NFTA_SET_ELEM_LIST_SET);
		ret->set = name;
		if (r->offset && r->offset < nlh->nlmsg_len)
			find_key(nlh, r->offset, ret);
	}
	if (what)
		snprintf(buf, size, "%s %s in table %s %s", what, name,
			 fl_nft_family_str(nfg->nfgen_family), table);
	else
		snprintf(buf, size, "table %s %s", fl_nft_family_str(nfg->nfgen_family), table);
}

static int report(const struct fl_nft_batch *b, const struct refusal *r,
		  struct fl_nft_failure *ret_failure, struct fl_error *err)
{
	const struct nlmsghdr *nlh = find_message(b, r->seq);
	struct fl_nft_failure failure = { 0 };
	char object[192] = "the batch";

	if (nlh)
		describe(nlh, r, &failure, object, sizeof(object));
	if (ret_failure)
		*ret_failure = failure;
	fl_error_errno(err, r->err, r->err == -EPERM ? FL_ECODE_PRIVILEGE : FL_ECODE_KERNEL,
		       "nftables: %s", object);
	fl_error_details(err, r->text);
	return r->err;
}

/*
 * Reads acknowledgements. Returns 0 when the last message's came and none was an error. Refusals of
 * the batch as a whole (permission, memory, generation) answer its first message.
 */
static int read_acks(struct fl_nft *nft, uint32_t last, struct refusal *ret)
{
	uint8_t buf[8192] __attribute__((aligned(8)));
	struct fl_nfnl_ack ack;
	bool done = false;

	for (;;) {
		ssize_t n = done && !ret->have ? -EAGAIN : fl_nfnl_recv(nft, buf, sizeof(buf));
		int left = (int)n;

		if (n == -EAGAIN)
			return ret->have ? ret->err : done ? 0 : -EIO;
		if (n < 0 && n != -ENOBUFS)
			return (int)n;
		for (struct nlmsghdr *nlh = (void *)buf; left > 0 && fl_msg_ok(nlh, left);
		     nlh = fl_msg_next(nlh, &left)) {
			if (nlh->nlmsg_type != NLMSG_ERROR)
				continue;
			fl_nfnl_parse_ack(nlh, &ack);
			done = done || ack.seq == last;
			if (!ack.err || ret->have)
				continue;
			*ret = (struct refusal){ ack.err, ack.seq, ack.offset, true, "" };
			snprintf(ret->text, sizeof(ret->text), "%s", ack.text ? ack.text : "");
		}
	}
}

int fl_nft_commit(struct fl_nft *nft, struct fl_nft_batch *b, struct fl_nft_failure *ret_failure,
		  struct fl_error *err)
{
	struct refusal refusal = { 0 };
	int r = fl_nft_batch_finish(b);

	if (ret_failure)
		*ret_failure = (struct fl_nft_failure){ 0 };
	if (r == -ENOMEM)
		return fl_error_oom(err);
	if (r || !b->seq)
		return r;
	r = fl_nfnl_send(nft, b->buf, b->len);
	if (r)
		return fl_error_errno(err, r, FL_ECODE_KERNEL,
				      "nftables: cannot send a batch of %zu bytes", b->len);
	r = read_acks(nft, b->seq, &refusal);
	if (refusal.have)
		return report(b, &refusal, ret_failure, err);
	if (r)
		return fl_error_errno(err, r, FL_ECODE_KERNEL, "nftables: no answer to a batch");
	return 0;
}
