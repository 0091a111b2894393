/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/hostview.h"

#include "netctl/links.h"

#include <errno.h>
#include <string.h>

void host_view_clear(struct host_view *v)
{
	free(v->links);
	free(v->addresses);
	*v = (struct host_view){ 0 };
}

static int room_for(void **items, size_t n, size_t *room, size_t size)
{
	size_t wanted = *room ? 2 * *room : 64;
	void *grown;

	if (n < *room)
		return 0;
	grown = reallocarray(*items, wanted, size);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*room = wanted;
	return 0;
}

static int add_link(struct host_view *v, const struct fl_link *l, struct host_news news)
{
	struct host_link *one;

	if (room_for((void **)&v->links, v->n_links, &v->room_links, sizeof(*v->links)))
		return -ENOMEM;
	one = &v->links[v->n_links++];
	*one = (struct host_link){ news, l->index, l->operstate, "" };
	memcpy(one->name, l->name, sizeof(one->name));
	return 0;
}

static int add_address(struct host_view *v, const struct fl_ifaddr *a, struct host_news news)
{
	if (fl_addr_is_linklocal(&a->prefix.addr))
		return 0;
	if (room_for((void **)&v->addresses, v->n_addresses, &v->room_addresses,
		     sizeof(*v->addresses)))
		return -ENOMEM;
	v->addresses[v->n_addresses++] = (struct host_address){ news, a->index, a->prefix };
	return 0;
}

static int compare_links(const void *x, const void *y)
{
	const struct host_link *a = x, *b = y;

	return a->index < b->index ? -1 : a->index > b->index;
}

int host_address_compare(const void *x, const void *y)
{
	const struct host_address *a = x, *b = y;
	int r;

	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	r = fl_addr_cmp(&a->prefix.addr, &b->prefix.addr);
	return r ? r : (int)a->prefix.len - (int)b->prefix.len;
}

const struct host_link *host_link_find(const struct host_view *v, uint32_t index)
{
	struct host_link key = { .index = index };

	return v->n_links && index ? bsearch(&key, v->links, v->n_links, sizeof(key), compare_links)
				   : NULL;
}

/* ---- a dump ---- */

static int take_link(void *arg, const struct fl_link *l)
{
	return add_link(arg, l, (struct host_news){ 0 });
}

static int take_address(void *arg, const struct fl_ifaddr *a)
{
	return add_address(arg, a, (struct host_news){ 0 });
}

int host_view_read(struct ctl *c, struct host_view *ret, struct fl_error *err)
{
	struct host_view v = { 0 };
	int r = ctl_host(c, err);
	int tries = 0;

	while (!r) {
		v.n_links = v.n_addresses = 0;
		r = fl_links_each(c->host, take_link, &v, err);
		if (!r)
			r = fl_ifaddrs_each(c->host, 0, take_address, &v, err);
		if (r != -EINTR || ++tries == DUMP_TRIES)
			break;
		r = 0;
	}
	if (r) {
		host_view_clear(&v);
		return r == -ENOMEM ? fl_error_oom(err) : r;
	}
	if (v.n_links)
		qsort(v.links, v.n_links, sizeof(*v.links), compare_links);
	if (v.n_addresses)
		qsort(v.addresses, v.n_addresses, sizeof(*v.addresses), host_address_compare);
	*ret = v;
	return 0;
}

/* ---- events ---- */

void host_heard_forget(struct host_heard *heard)
{
	heard->news.n_links = heard->news.n_addresses = heard->n = 0;
}

void host_hear(void *arg, const struct fl_nl_event *e)
{
	struct host_heard *h = arg;
	struct host_news news = { h->n++, e->gone };
	struct fl_link l;
	struct fl_ifaddr a;

	if (e->kind == FL_NL_LOST)
		h->lost = true;
	else if (fl_nl_event_link(e, &l))
		h->lost |= add_link(&h->news, &l, news) != 0;
	else if (fl_nl_event_address(e, &a))
		h->lost |= add_address(&h->news, &a, news) != 0;
}

static int by_turn(int order, const struct host_news *a, const struct host_news *b)
{
	return order ? order : a->at < b->at ? -1 : a->at > b->at;
}

static int compare_link_news(const void *a, const void *b)
{
	return by_turn(compare_links(a, b), a, b);
}

static int compare_address_news(const void *a, const void *b)
{
	return by_turn(host_address_compare(a, b), a, b);
}

/* Items of `size` bytes, which begin with their news. Both are sorted; the last word counts. */
struct items {
	const char *v;
	size_t n;
};

static size_t merge(char *to, struct items old, struct items news, size_t size,
		    int (*compare)(const void *a, const void *b))
{
	size_t i = 0, k = 0, n = 0;

	while (i < old.n || k < news.n) {
		const char *was = i < old.n ? old.v + i * size : NULL;
		const char *is = k < news.n ? news.v + k * size : NULL;
		int order = !was ? 1 : !is ? -1 : compare(was, is);
		bool again = order >= 0 && k + 1 < news.n && !compare(is, is + size);

		if (order < 0)
			memcpy(to + n++ * size, was, size);
		else if (!again && !((const struct host_news *)is)->gone)
			memcpy(to + n++ * size, is, size);
		i += order < 0 || (!order && !again);
		k += order >= 0;
	}
	return n;
}

int host_view_after(const struct host_view *old, struct host_heard *heard, struct host_view *ret,
		    struct fl_error *err)
{
	struct host_view v = { 0 }, *news = &heard->news;

	v.room_links = old->n_links + news->n_links + 1;
	v.room_addresses = old->n_addresses + news->n_addresses + 1;
	v.links = calloc(v.room_links, sizeof(*v.links));
	v.addresses = calloc(v.room_addresses, sizeof(*v.addresses));
	if (!v.links || !v.addresses) {
		host_view_clear(&v);
		return fl_error_oom(err);
	}
	if (news->n_links)
		qsort(news->links, news->n_links, sizeof(*news->links), compare_link_news);
	if (news->n_addresses)
		qsort(news->addresses, news->n_addresses, sizeof(*news->addresses),
		      compare_address_news);
	v.n_links = merge((char *)v.links, (struct items){ (char *)old->links, old->n_links },
			  (struct items){ (char *)news->links, news->n_links }, sizeof(*v.links),
			  compare_links);
	v.n_addresses = merge((char *)v.addresses,
			      (struct items){ (char *)old->addresses, old->n_addresses },
			      (struct items){ (char *)news->addresses, news->n_addresses },
			      sizeof(*v.addresses), host_address_compare);
	host_heard_forget(heard);
	*ret = v;
	return 0;
}

int host_view_changed(const struct host_view *old, const struct host_view *now, uint32_t **ret,
		      size_t *n, struct fl_error *err)
{
	uint32_t *list = calloc(old->n_links + 1, sizeof(*list));
	size_t k = 0;

	*n = 0;
	if (!list)
		return fl_error_oom(err);
	for (size_t i = 0; i < old->n_links; i++) {
		const struct host_link *l = &old->links[i];

		while (k < now->n_links && now->links[k].index < l->index)
			k++;
		if (k == now->n_links || now->links[k].index != l->index ||
		    now->links[k].operstate != l->operstate)
			list[(*n)++] = l->index;
	}
	*ret = list;
	return 0;
}
