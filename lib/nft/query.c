/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading single objects back: for CHECK, and for naming who is in the way. */
#include "nft/internal.h"

#include <errno.h>
#include <string.h>

static void copy_value(const struct nlattr *nest, uint8_t *dst, size_t size)
{
	const struct nlattr *t[NFTA_DATA_MAX + 1] = { 0 };

	fl_nft_index_attrs(nest, t, NFTA_DATA_MAX);
	if (t[NFTA_DATA_VALUE] && fl_attr_len(t[NFTA_DATA_VALUE]) <= size)
		memcpy(dst, fl_attr_data(t[NFTA_DATA_VALUE]), fl_attr_len(t[NFTA_DATA_VALUE]));
}

static void copy_jump(const struct nlattr *data, struct fl_nft_found *ret)
{
	const struct nlattr *d[NFTA_DATA_MAX + 1] = { 0 }, *v[NFTA_VERDICT_MAX + 1] = { 0 };

	fl_nft_index_attrs(data, d, NFTA_DATA_MAX);
	if (!d[NFTA_DATA_VERDICT])
		return;
	fl_nft_index_attrs(d[NFTA_DATA_VERDICT], v, NFTA_VERDICT_MAX);
	if (v[NFTA_VERDICT_CHAIN])
		strncpy(ret->jump, fl_attr_str(v[NFTA_VERDICT_CHAIN]), sizeof(ret->jump) - 1);
}

void fl_nft_read_elem(const struct nlattr *elem, struct fl_nft_found *ret)
{
	const struct nlattr *e[NFTA_SET_ELEM_MAX + 1] = { 0 };

	fl_nft_index_attrs(elem, e, NFTA_SET_ELEM_MAX);
	if (e[NFTA_SET_ELEM_KEY])
		copy_value(e[NFTA_SET_ELEM_KEY], ret->key, sizeof(ret->key));
	if (e[NFTA_SET_ELEM_KEY_END]) {
		copy_value(e[NFTA_SET_ELEM_KEY_END], ret->key_end, sizeof(ret->key_end));
		ret->range = true;
	}
	if (e[NFTA_SET_ELEM_DATA]) {
		copy_value(e[NFTA_SET_ELEM_DATA], ret->data, sizeof(ret->data));
		copy_jump(e[NFTA_SET_ELEM_DATA], ret);
	}
	if (e[NFTA_SET_ELEM_FLAGS] && fl_attr_is_u32(e[NFTA_SET_ELEM_FLAGS]))
		ret->boundary =
			ntohl(fl_attr_u32(e[NFTA_SET_ELEM_FLAGS])) & NFT_SET_ELEM_INTERVAL_END;
	if (e[NFTA_SET_ELEM_USERDATA])
		fl_nft_copy_comment(e[NFTA_SET_ELEM_USERDATA], ret->comment, sizeof(ret->comment));
}

static int take_elem(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *t[NFTA_SET_ELEM_LIST_MAX + 1] = { 0 };

	if (NFNL_MSG_TYPE(nlh->nlmsg_type) != NFT_MSG_NEWSETELEM)
		return 0;
	fl_nft_index_message(nlh, t, NFTA_SET_ELEM_LIST_MAX);
	if (!t[NFTA_SET_ELEM_LIST_ELEMENTS])
		return -EBADMSG;
	fl_nft_read_elem(fl_attr_data(t[NFTA_SET_ELEM_LIST_ELEMENTS]), arg);
	return 0;
}

int fl_nft_get_elem(struct fl_nft *nft, const struct fl_nft_set *set, const struct fl_nft_elem *e,
		    struct fl_nft_found *ret, struct fl_error *err)
{
	uint8_t buf[FL_NFT_REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *nlh = fl_nft_request(buf, NFT_MSG_GETSETELEM, 0, set->family);
	struct fl_nft_found found = { 0 };
	int r;

	fl_nft_put_get_elem(nlh, set, e);
	r = fl_nfnl_talk(nft, nlh, take_elem, &found, err);
	if (r == -ENOENT)
		return r;
	if (r)
		return fl_error_errno(err, r, FL_ECODE_KERNEL,
				      "nftables: cannot look up an element of set %s", set->name);
	*ret = found;
	return 0;
}

bool fl_nft_found_is(const struct fl_nft_set *set, const struct fl_nft_found *f,
		     const struct fl_nft_elem *e)
{
	size_t len = fl_nft_key_len(set);

	if (memcmp(f->key, e->key, len) || memcmp(f->data, e->data, fl_nft_data_len(set)))
		return false;
	if (set->data[0] == FL_NFT_VERDICT && strcmp(f->jump, e->jump))
		return false;
	/* Trees of boundaries do not tell the end with the start. */
	return !f->range || !memcmp(f->key_end, e->range ? e->key_end : e->key, len);
}

static int take_genid(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *t[NFTA_GEN_MAX + 1] = { 0 };

	fl_nft_index_message(nlh, t, NFTA_GEN_MAX);
	if (t[NFTA_GEN_ID])
		*(uint32_t *)arg = ntohl(fl_attr_u32(t[NFTA_GEN_ID]));
	return 0;
}

int fl_nft_genid(struct fl_nft *nft, uint32_t *ret, struct fl_error *err)
{
	uint8_t buf[FL_NFT_REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *nlh = fl_nft_request(buf, NFT_MSG_GETGEN, 0, AF_UNSPEC);
	uint32_t id = 0;
	int r = fl_nfnl_talk(nft, nlh, take_genid, &id, err);

	if (r)
		return fl_error_errno(err, r, FL_ECODE_KERNEL,
				      "nftables: cannot read the ruleset's generation");
	*ret = id;
	return 0;
}
