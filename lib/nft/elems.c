/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listing what a set holds: for who compares all of it with what there should be. */
#include "nft/internal.h"

#include <errno.h>
#include <string.h>

void fl_nft_founds_clear(struct fl_nft_founds *l)
{
	free(l->v);
	*l = (struct fl_nft_founds){ 0 };
}

static struct fl_nft_found *one_more(struct fl_nft_founds *l)
{
	size_t cap = l->cap ? 2 * l->cap : 64;
	struct fl_nft_found *v = l->n < l->cap ? l->v : reallocarray(l->v, cap, sizeof(*v));

	if (!v)
		return NULL;
	if (l->n == l->cap)
		l->cap = cap;
	l->v = v;
	v[l->n] = (struct fl_nft_found){ 0 };
	return &v[l->n++];
}

static int take_elems(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *t[NFTA_SET_ELEM_LIST_MAX + 1] = { 0 }, *elem;
	struct fl_nft_founds *l = arg;

	if (NFNL_MSG_TYPE(nlh->nlmsg_type) != NFT_MSG_NEWSETELEM)
		return 0;
	fl_nft_index_message(nlh, t, NFTA_SET_ELEM_LIST_MAX);
	/* A set without elements. */
	if (!t[NFTA_SET_ELEM_LIST_ELEMENTS])
		return 0;
	fl_attr_for_each_nested(elem, t[NFTA_SET_ELEM_LIST_ELEMENTS])
	{
		struct fl_nft_found *f = one_more(l);

		if (!f)
			return -ENOMEM;
		fl_nft_read_elem(elem, f);
	}
	return 0;
}

/* Where one interval ends and the next begins, the end comes first. */
static int by_key(const void *a, const void *b)
{
	const struct fl_nft_found *x = a, *y = b;
	int r = memcmp(x->key, y->key, sizeof(x->key));

	return r ? r : y->boundary - x->boundary;
}

/* The last value before `key`. */
static void one_less(uint8_t *key, size_t len)
{
	while (len-- && !key[len]--)
		continue;
}

/* A tree of boundaries: an interval goes to just before the next one, or to the top. */
static void join_bounds(struct fl_nft_founds *l, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct fl_nft_found f = l->v[i];

		if (f.boundary)
			continue;
		memset(f.key_end, 0xff, len);
		if (i + 1 < l->n) {
			memcpy(f.key_end, l->v[i + 1].key, len);
			one_less(f.key_end, len);
		}
		f.range = true;
		l->v[n++] = f;
	}
	l->n = n;
}

static void settle(const struct fl_nft_set *set, struct fl_nft_founds *l)
{
	size_t len = fl_nft_key_len(set);

	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_key);
	if (!set->interval)
		return;
	if (!set->key[1]) {
		join_bounds(l, len);
		return;
	}
	for (size_t i = 0; i < l->n; i++)
		if (!l->v[i].range) {
			memcpy(l->v[i].key_end, l->v[i].key, len);
			l->v[i].range = true;
		}
}

int fl_nft_list_elems(struct fl_nft *nft, const struct fl_nft_set *set, struct fl_nft_founds *ret,
		      struct fl_error *err)
{
	uint8_t buf[FL_NFT_REQUEST_MAX] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *nlh = fl_nft_request(buf, NFT_MSG_GETSETELEM, NLM_F_DUMP, set->family);
	FL_AUTONFTFOUNDS struct fl_nft_founds l = { 0 };
	int r;

	fl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, set->table);
	fl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set->name);
	r = fl_nfnl_talk(nft, nlh, take_elems, &l, NULL);
	if (r == -ENOENT)
		return r;
	if (r)
		return fl_error_errno(err, r, FL_ECODE_KERNEL,
				      "nftables: cannot list the elements of set %s", set->name);
	settle(set, &l);
	fl_nft_founds_clear(ret);
	*ret = l;
	l = (struct fl_nft_founds){ 0 };
	return 0;
}
