/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Collections of elements, and their text. */
#include "fw/elems.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void fl_fw_elems_clear(struct fl_fw_elems *l)
{
	for (size_t i = 0; i < l->n_comments; i++)
		free(l->comments[i]);
	free(l->comments);
	free(l->v);
	*l = (struct fl_fw_elems){ 0 };
}

/* A record's elements share one comment. */
static int keep_comment(struct fl_fw_elems *l, const char *comment, const char **ret)
{
	if (l->n_comments == l->cap_comments) {
		size_t cap = l->cap_comments ? l->cap_comments * 2 : 4;
		char **p = realloc(l->comments, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->comments = p;
		l->cap_comments = cap;
	}
	*ret = l->comments[l->n_comments] = strdup(comment);
	if (!*ret)
		return -ENOMEM;
	l->n_comments++;
	return 0;
}

static int collect(void *arg, enum fl_fw_set_id set, const struct fl_nft_elem *e)
{
	struct fl_fw_elems *l = arg;
	const char *comment = l->n ? l->v[l->n - 1].e.comment : NULL;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct fl_fw_elem *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	if ((!comment || strcmp(comment, e->comment)) && keep_comment(l, e->comment, &comment))
		return -ENOMEM;
	l->v[l->n] = (struct fl_fw_elem){ set, (uint32_t)l->n, *e };
	l->v[l->n++].e.comment = comment;
	return 0;
}

int fl_fw_elems_network(struct fl_fw_elems *l, const struct fl_network *net)
{
	return net ? fl_fw_network_elems(net, collect, l) : 0;
}

int fl_fw_elems_endpoint(struct fl_fw_elems *l, const struct fl_network *net,
			 const struct fl_endpoint *ep)
{
	return ep ? fl_fw_endpoint_elems(net, ep, collect, l) : 0;
}

static int key_cmp(const struct fl_fw_elem *a, const struct fl_fw_elem *b)
{
	int c;

	if (a->set != b->set)
		return a->set < b->set ? -1 : 1;
	c = memcmp(a->e.key, b->e.key, FL_NFT_KEY_MAX);
	return c ? c : memcmp(a->e.key_end, b->e.key_end, FL_NFT_KEY_MAX);
}

/* The order of addition decides between equals. */
static int sort_cmp(const void *a, const void *b)
{
	const struct fl_fw_elem *x = a, *y = b;
	int c = key_cmp(x, y);

	return c ? c : x->order < y->order ? -1 : x->order > y->order;
}

void fl_fw_elems_unique(struct fl_fw_elems *l)
{
	size_t n = 0;

	if (l->n < 2)
		return;
	qsort(l->v, l->n, sizeof(*l->v), sort_cmp);
	for (size_t i = 0; i < l->n; i++)
		if (!n || key_cmp(&l->v[n - 1], &l->v[i]))
			l->v[n++] = l->v[i];
	l->n = n;
}

/* Intervals of a concatenation overlap when all of their fields do. */
static bool overlap(const struct fl_fw_elem *a, const struct fl_fw_elem *b)
{
	const struct fl_nft_set *set = &fl_fw_sets[a->set];
	const uint8_t *a_end = a->e.range ? a->e.key_end : a->e.key;
	const uint8_t *b_end = b->e.range ? b->e.key_end : b->e.key;
	size_t at = 0;

	for (size_t i = 0; i < FL_NFT_FIELDS && set->key[i]; i++) {
		size_t len = fl_nft_field_len(set->key[i]);

		if (memcmp(a->e.key + at, b_end + at, len) > 0 ||
		    memcmp(b->e.key + at, a_end + at, len) > 0)
			return false;
		at += (len + 3) & ~(size_t)3;
	}
	return true;
}

static int order_cmp(const void *a, const void *b)
{
	const struct fl_fw_elem *x = a, *y = b;

	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

void fl_fw_elems_drop_overlaps(struct fl_fw_elems *l)
{
	size_t n = 0, first = 0;

	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), order_cmp);
	for (size_t i = 0; i < l->n; i++) {
		bool bad = false;

		if (n && l->v[n - 1].set != l->v[i].set)
			first = n;
		for (size_t k = first; fl_fw_sets[l->v[i].set].interval && k < n && !bad; k++)
			bad = overlap(&l->v[k], &l->v[i]);
		if (!bad)
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

void fl_fw_elems_subtract(struct fl_fw_elems *l, const struct fl_fw_elems *keep)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < l->n; i++) {
		while (k < keep->n && key_cmp(&keep->v[k], &l->v[i]) < 0)
			k++;
		if (k == keep->n || key_cmp(&keep->v[k], &l->v[i]))
			l->v[n++] = l->v[i];
	}
	l->n = n;
}

static void field_str(uint8_t type, const uint8_t *p, char *buf, size_t size)
{
	struct fl_addr a;
	struct fl_mac mac;

	switch (type) {
	case FL_NFT_IPV4:
	case FL_NFT_IPV6:
		a = fl_addr_make(type == FL_NFT_IPV4 ? AF_INET : AF_INET6, p);
		snprintf(buf, size, "%s", fl_addr_str(&a, FL_ADDR_BUF));
		break;
	case FL_NFT_PROTO:
		snprintf(buf, size, "%s",
			 p[0] == IPPROTO_TCP	? "tcp"
			 : p[0] == IPPROTO_UDP	? "udp"
			 : p[0] == IPPROTO_SCTP ? "sctp"
						: "?");
		break;
	case FL_NFT_PORT:
		snprintf(buf, size, "%u", (unsigned)p[0] << 8 | p[1]);
		break;
	case FL_NFT_ETHER:
		memcpy(mac.b, p, sizeof(mac.b));
		snprintf(buf, size, "%s", fl_mac_str(&mac, FL_MAC_BUF));
		break;
	default:
		snprintf(buf, size, "%.15s", (const char *)p);
	}
}

const char *fl_fw_key_str(enum fl_fw_set_id set, const struct fl_nft_elem *e, char *buf,
			  size_t size)
{
	const uint8_t *types = fl_fw_sets[set].key;
	char from[FL_ADDR_STR], to[FL_ADDR_STR];
	size_t at = 0, n = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < FL_NFT_FIELDS && types[i] && n < size; i++) {
		bool range;

		field_str(types[i], e->key + at, from, sizeof(from));
		field_str(types[i], e->key_end + at, to, sizeof(to));
		range = e->range && strcmp(from, to);
		n += (size_t)snprintf(buf + n, size - n, "%s%s%s%s", i ? " . " : "", from,
				      range ? "-" : "", range ? to : "");
		at += (fl_nft_field_len(types[i]) + 3) & ~(size_t)3;
	}
	return buf;
}
