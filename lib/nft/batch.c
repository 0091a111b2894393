/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Building a batch. Messages are written straight into one growing buffer;
 * libnftnl's object layer would cost an allocation per element and 70 us of every process start.
 */
#include "nft/internal.h"

#include <errno.h>
#include <string.h>

#define ROOM_FIRST 16384  /* a typical batch without a second allocation */
#define ROOM_MESSAGE 4096 /* the largest message but element lists: a rule of 20 expressions */
#define ROOM_ELEM 1024	  /* twice the largest element */
#define LIST_MAX 49152	  /* an attribute is at most 65,535 bytes */

/* Comment TLVs inside NFTA_*_USERDATA, as nft(8) writes them. */
#define UDATA_COMMENT 0
/* A set's userdata: without it nft(8) prints interface names of a set with one field as "". */
#define UDATA_KEY_BYTEORDER 0
#define BYTEORDER_HOST 1
#define BYTEORDER_BIG 2

void fl_nft_batch_clear(struct fl_nft_batch *b)
{
	free(b->buf);
	*b = (struct fl_nft_batch){ 0 };
}

static bool room(struct fl_nft_batch *b, size_t n)
{
	size_t cap = b->cap ? b->cap : ROOM_FIRST;
	uint8_t *buf;

	if (b->error)
		return false;
	while (cap < b->len + n)
		cap *= 2;
	if (cap == b->cap)
		return true;
	buf = realloc(b->buf, cap);
	if (!buf) {
		b->error = -ENOMEM;
		return false;
	}
	/* Zeroed: not every writer below fills its padding. */
	memset(buf + b->cap, 0, cap - b->cap);
	b->buf = buf;
	b->cap = cap;
	return true;
}

static struct nlmsghdr *open_message(struct fl_nft_batch *b)
{
	return (struct nlmsghdr *)(b->buf + b->open);
}

/* Takes over the message that was written. */
static void sync_len(struct fl_nft_batch *b)
{
	b->len = b->open + open_message(b)->nlmsg_len;
}

static void close_list(struct fl_nft_batch *b)
{
	if (b->list && !b->error)
		fl_attr_nest_end(open_message(b), (struct nlattr *)(b->buf + b->list));
	b->list = 0;
	b->list_set = NULL;
}

static struct nlmsghdr *put_header(struct fl_nft_batch *b, unsigned subsys, unsigned message,
				   uint16_t flags, uint8_t family, uint16_t resource)
{
	struct nlmsghdr *nlh;

	close_list(b);
	if (!room(b, ROOM_MESSAGE))
		return NULL;
	b->open = b->len;
	nlh = fl_nfnl_header(b->buf + b->len, subsys, message, flags, family, resource, ++b->seq);
	sync_len(b);
	return nlh;
}

static struct nlmsghdr *begin(struct fl_nft_batch *b, unsigned message, uint16_t flags,
			      uint8_t family)
{
	struct nlmsghdr *nlh;

	if (!b->seq) {
		nlh = put_header(b, NFNL_SUBSYS_NONE, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC,
				 NFNL_SUBSYS_NFTABLES);
		if (nlh && b->genid) {
			put_be32(nlh, NFNL_BATCH_GENID, b->genid);
			sync_len(b);
		}
	}
	return put_header(b, NFNL_SUBSYS_NFTABLES, message, flags, family, 0);
}

static void table_message(struct fl_nft_batch *b, unsigned message, uint16_t flags, uint8_t family,
			  const char *table)
{
	struct nlmsghdr *nlh = begin(b, message, flags, family);

	if (!nlh)
		return;
	fl_attr_put_strz(nlh, NFTA_TABLE_NAME, table);
	sync_len(b);
}

void fl_nft_add_table(struct fl_nft_batch *b, uint8_t family, const char *table)
{
	table_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE, family, table);
}

void fl_nft_del_table(struct fl_nft_batch *b, uint8_t family, const char *table)
{
	table_message(b, NFT_MSG_DELTABLE, 0, family, table);
}

void fl_nft_add_chain(struct fl_nft_batch *b, uint8_t family, const char *table,
		      const struct fl_nft_chain *chain)
{
	struct nlmsghdr *nlh = begin(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, family);
	struct nlattr *hook;

	if (!nlh)
		return;
	fl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, table);
	fl_attr_put_strz(nlh, NFTA_CHAIN_NAME, chain->name);
	if (chain->type) {
		hook = fl_attr_nest_start(nlh, NFTA_CHAIN_HOOK);
		put_be32(nlh, NFTA_HOOK_HOOKNUM, chain->hook);
		put_be32(nlh, NFTA_HOOK_PRIORITY, (uint32_t)chain->priority);
		fl_attr_nest_end(nlh, hook);
		put_be32(nlh, NFTA_CHAIN_POLICY, NF_ACCEPT);
		fl_attr_put_strz(nlh, NFTA_CHAIN_TYPE, chain->type);
	}
	sync_len(b);
}

void fl_nft_flush_chain(struct fl_nft_batch *b, uint8_t family, const char *table,
			const char *chain)
{
	struct nlmsghdr *nlh = begin(b, NFT_MSG_DELRULE, 0, family);

	if (!nlh)
		return;
	fl_attr_put_strz(nlh, NFTA_RULE_TABLE, table);
	fl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	sync_len(b);
}

size_t fl_nft_field_len(uint8_t type)
{
	switch (type) {
	case FL_NFT_IPV4:
		return 4;
	case FL_NFT_IPV6:
	case FL_NFT_IFNAME:
		return 16;
	case FL_NFT_ETHER:
		return 6;
	case FL_NFT_PROTO:
		return 1;
	case FL_NFT_PORT:
		return 2;
	default:
		return 0;
	}
}

static size_t fields_len(const uint8_t *types, size_t max)
{
	size_t n, len = 0;

	for (n = 0; n < max && types[n]; n++)
		len += NLMSG_ALIGN(fl_nft_field_len(types[n]));
	return n == 1 ? fl_nft_field_len(types[0]) : len;
}

size_t fl_nft_key_len(const struct fl_nft_set *set)
{
	return fields_len(set->key, FL_NFT_FIELDS);
}

size_t fl_nft_data_len(const struct fl_nft_set *set)
{
	return fields_len(set->data, FL_ARRAY_SIZE(set->data));
}

/* A concatenation's type number is its fields' numbers, 6 bits each. */
static uint32_t concat_type(const uint8_t *types, size_t max)
{
	uint32_t type = 0;

	for (size_t i = 0; i < max && types[i]; i++)
		type = type << 6 | types[i];
	return type;
}

static bool is_concat(const struct fl_nft_set *set)
{
	return set->key[1] != FL_NFT_NONE;
}

static void put_concat(struct nlmsghdr *nlh, const struct fl_nft_set *set)
{
	struct nlattr *desc = fl_attr_nest_start(nlh, NFTA_SET_DESC);
	struct nlattr *concat = fl_attr_nest_start(nlh, NFTA_SET_DESC_CONCAT);

	for (size_t i = 0; i < FL_NFT_FIELDS && set->key[i]; i++) {
		struct nlattr *field = fl_attr_nest_start(nlh, NFTA_LIST_ELEM);

		put_be32(nlh, NFTA_SET_FIELD_LEN, (uint32_t)fl_nft_field_len(set->key[i]));
		fl_attr_nest_end(nlh, field);
	}
	fl_attr_nest_end(nlh, concat);
	fl_attr_nest_end(nlh, desc);
}

static void put_byteorder(struct nlmsghdr *nlh, const struct fl_nft_set *set)
{
	uint32_t order = set->key[0] == FL_NFT_IFNAME ? BYTEORDER_HOST : BYTEORDER_BIG;
	uint8_t tlv[2 + sizeof(order)] = { UDATA_KEY_BYTEORDER, sizeof(order) };

	memcpy(tlv + 2, &order, sizeof(order));
	fl_attr_put(nlh, NFTA_SET_USERDATA, sizeof(tlv), tlv);
}

/* Asserting needs the same description as creating: kernels compare it. */
static void set_message(struct fl_nft_batch *b, const struct fl_nft_set *set, uint16_t flags)
{
	struct nlmsghdr *nlh = begin(b, NFT_MSG_NEWSET, flags, set->family);
	bool verdict = set->data[0] == FL_NFT_VERDICT;
	uint32_t set_flags = set->data[0] ? NFT_SET_MAP : 0;

	if (!nlh)
		return;
	if (set->interval)
		set_flags |= NFT_SET_INTERVAL | (is_concat(set) ? NFT_SET_CONCAT : 0);
	fl_attr_put_strz(nlh, NFTA_SET_TABLE, set->table);
	fl_attr_put_strz(nlh, NFTA_SET_NAME, set->name);
	put_be32(nlh, NFTA_SET_FLAGS, set_flags);
	put_be32(nlh, NFTA_SET_KEY_TYPE, concat_type(set->key, FL_NFT_FIELDS));
	put_be32(nlh, NFTA_SET_KEY_LEN, (uint32_t)fl_nft_key_len(set));
	if (set->data[0]) {
		put_be32(nlh, NFTA_SET_DATA_TYPE,
			 verdict ? NFT_DATA_VERDICT
				 : concat_type(set->data, FL_ARRAY_SIZE(set->data)));
		put_be32(nlh, NFTA_SET_DATA_LEN, verdict ? 16 : (uint32_t)fl_nft_data_len(set));
	}
	put_be32(nlh, NFTA_SET_ID, b->seq);
	if (set->interval && is_concat(set))
		put_concat(nlh, set);
	if (!is_concat(set))
		put_byteorder(nlh, set);
	sync_len(b);
}

void fl_nft_add_set(struct fl_nft_batch *b, const struct fl_nft_set *set)
{
	set_message(b, set, NLM_F_CREATE);
}

void fl_nft_assert_set(struct fl_nft_batch *b, const struct fl_nft_set *set)
{
	set_message(b, set, 0);
}

static void put_comment(struct nlmsghdr *nlh, uint16_t type, const char *comment)
{
	uint8_t tlv[2 + FL_NFT_COMMENT_MAX + 1] = { UDATA_COMMENT };
	size_t n = comment ? strnlen(comment, FL_NFT_COMMENT_MAX) : 0;

	if (!n)
		return;
	tlv[1] = (uint8_t)(n + 1);
	memcpy(tlv + 2, comment, n);
	fl_attr_put(nlh, type, n + 3, tlv);
}

/* The open element list of this set, or a new message with one. */
static struct nlmsghdr *elem_list(struct fl_nft_batch *b, uint16_t message,
				  const struct fl_nft_set *set)
{
	struct nlmsghdr *nlh;
	struct nlattr *nest;

	if (b->list && b->list_set == set && b->list_type == message && b->len - b->list < LIST_MAX)
		return room(b, ROOM_ELEM) ? open_message(b) : NULL;
	nlh = begin(b, message, message == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0, set->family);
	if (!nlh)
		return NULL;
	fl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, set->table);
	fl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set->name);
	nest = fl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	b->list = (size_t)((uint8_t *)nest - b->buf);
	b->list_set = set;
	b->list_type = message;
	sync_len(b);
	return nlh;
}

static void put_elem(struct nlmsghdr *nlh, const struct fl_nft_set *set,
		     const struct fl_nft_elem *e, bool data)
{
	struct nlattr *nest = fl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	size_t key_len = fl_nft_key_len(set);

	put_value(nlh, NFTA_SET_ELEM_KEY, e->key, key_len);
	if (set->interval && is_concat(set))
		put_value(nlh, NFTA_SET_ELEM_KEY_END, e->range ? e->key_end : e->key, key_len);
	if (data && set->data[0] == FL_NFT_VERDICT)
		fl_nft_put_verdict(nlh, NFTA_SET_ELEM_DATA, NFT_GOTO, e->jump);
	else if (data && set->data[0])
		put_value(nlh, NFTA_SET_ELEM_DATA, e->data, fl_nft_data_len(set));
	if (data)
		put_comment(nlh, NFTA_SET_ELEM_USERDATA, e->comment);
	fl_attr_nest_end(nlh, nest);
}

/* a + 1 in network order; false when it wraps */
static bool next_key(uint8_t *key, size_t len)
{
	for (size_t i = len; i-- > 0;)
		if (++key[i])
			return true;
	return false;
}

/*
 * An interval set of one field is a tree of boundaries: the end is an element of its own, just
 * behind the last key, and there is none when the interval reaches the top of the space.
 */
static void put_boundary(struct nlmsghdr *nlh, const struct fl_nft_set *set,
			 const struct fl_nft_elem *e)
{
	size_t len = fl_nft_key_len(set);
	uint8_t key[FL_NFT_KEY_MAX];
	struct nlattr *nest;

	memcpy(key, e->range ? e->key_end : e->key, len);
	if (!next_key(key, len))
		return;
	nest = fl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	put_value(nlh, NFTA_SET_ELEM_KEY, key, len);
	put_be32(nlh, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	fl_attr_nest_end(nlh, nest);
}

static void elem_message(struct fl_nft_batch *b, uint16_t message, const struct fl_nft_set *set,
			 const struct fl_nft_elem *e)
{
	struct nlmsghdr *nlh = elem_list(b, message, set);

	if (!nlh)
		return;
	put_elem(nlh, set, e, message == NFT_MSG_NEWSETELEM);
	if (set->interval && !is_concat(set))
		put_boundary(nlh, set, e);
	sync_len(b);
}

void fl_nft_add_elem(struct fl_nft_batch *b, const struct fl_nft_set *set,
		     const struct fl_nft_elem *e)
{
	elem_message(b, NFT_MSG_NEWSETELEM, set, e);
}

void fl_nft_del_elem(struct fl_nft_batch *b, const struct fl_nft_set *set,
		     const struct fl_nft_elem *e)
{
	elem_message(b, NFT_MSG_DELSETELEM, set, e);
}

void fl_nft_put_get_elem(struct nlmsghdr *nlh, const struct fl_nft_set *set,
			 const struct fl_nft_elem *e)
{
	struct nlattr *list;

	fl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, set->table);
	fl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set->name);
	list = fl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	put_elem(nlh, set, e, false);
	fl_attr_nest_end(nlh, list);
}

struct nlmsghdr *fl_nft_begin_rule(struct fl_nft_batch *b, uint8_t family)
{
	return begin(b, NFT_MSG_NEWRULE, NLM_F_CREATE | (b->before ? 0 : NLM_F_APPEND), family);
}

void fl_nft_before_rule(struct fl_nft_batch *b, uint64_t handle)
{
	b->before = handle;
}

void fl_nft_end_rule(struct fl_nft_batch *b, struct nlmsghdr *nlh, const char *comment)
{
	put_comment(nlh, NFTA_RULE_USERDATA, comment);
	sync_len(b);
}

int fl_nft_batch_finish(struct fl_nft_batch *b)
{
	struct nlmsghdr *nlh;

	close_list(b);
	if (b->error || !b->seq)
		return b->error;
	/*
	 * Only the last message asks for an acknowledgement: kernels before 6.10 ignore the flag on
	 * the batch's end, and errors come without being asked for.
	 */
	open_message(b)->nlmsg_flags |= NLM_F_ACK;
	if (!room(b, ROOM_MESSAGE))
		return b->error;
	nlh = fl_nfnl_header(b->buf + b->len, NFNL_SUBSYS_NONE, NFNL_MSG_BATCH_END, 0, AF_UNSPEC,
			     NFNL_SUBSYS_NFTABLES, b->seq + 1);
	b->len += nlh->nlmsg_len;
	return 0;
}
