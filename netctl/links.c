/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/links.h"

#include <errno.h>
#include <string.h>

/* One by one is cheaper than a dump for fewer than so many. */
enum { FEW = 8 };

const char *operstate_str(uint8_t operstate)
{
	/* RFC 2863 section 6, ifOperStatus; IF_OPER_* */
	static const char *const names[] = { "unknown", "notpresent", "down", "lowerlayerdown",
					     "testing", "dormant",    "up" };

	return operstate < FL_ARRAY_SIZE(names) ? names[operstate] : "unknown";
}

bool is_inside(const struct fl_endpoint *ep)
{
	return !*ep->link && ep->ifindex;
}

static void take(const struct fl_stats *s, bool inside, struct traffic *t)
{
	struct counters rx = { s->rx_bytes, s->rx_packets, s->rx_dropped, s->rx_errors };
	struct counters tx = { s->tx_bytes, s->tx_packets, s->tx_dropped, s->tx_errors };

	*t = (struct traffic){ inside ? "inside" : "host", inside ? rx : tx, inside ? tx : rx };
}

static void read_one(struct fl_nl *nl, uint32_t index, bool inside, struct traffic *t)
{
	struct fl_error why = { 0 };
	struct fl_stats s;

	/* An interface that has gone is no failure: its endpoint goes too, or is said to be gone.
	 */
	if (!fl_stats_get(nl, index, &s, &why))
		take(&s, inside, t);
}

static void read_inside(struct ctl *c, const struct fl_endpoint *ep, struct traffic *t)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	FL_AUTONL struct fl_nl *nl = NULL;
	struct fl_error why = { 0 };

	if (!ctl_sandbox(c, ep, &ns, &nl, &why))
		read_one(nl, ep->ifindex, true, t);
}

/* ---- the dump ---- */

struct dump {
	struct fl_stats *v; /* by index */
	size_t n, room;
};

static int take_stats(void *arg, const struct fl_stats *s)
{
	struct dump *d = arg;

	if (d->n == d->room) {
		size_t room = d->room ? 2 * d->room : 256;
		struct fl_stats *grown = realloc(d->v, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		d->v = grown;
		d->room = room;
	}
	d->v[d->n++] = *s;
	return 0;
}

static int compare_stats(const void *x, const void *y)
{
	const struct fl_stats *a = x, *b = y;

	return a->index < b->index ? -1 : a->index > b->index;
}

static int dump_stats(struct ctl *c, struct dump *d, struct fl_error *err)
{
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		d->n = 0;
		r = fl_stats_each(c->host, take_stats, d, err);
	}
	if (!r && d->n)
		qsort(d->v, d->n, sizeof(*d->v), compare_stats);
	return r == -ENOMEM ? fl_error_oom(err) : r;
}

static void look_up(const struct dump *d, uint32_t index, struct traffic *t)
{
	struct fl_stats key = { .index = index };
	const struct fl_stats *s =
		d->n ? bsearch(&key, d->v, d->n, sizeof(key), compare_stats) : NULL;

	if (s)
		take(s, false, t);
}

int traffic_read(struct ctl *c, const struct attachment *const *a, size_t n, struct traffic *ret,
		 struct fl_error *err)
{
	struct dump d = { 0 };
	int r = ctl_host(c, err);

	if (!r && n >= FEW)
		r = dump_stats(c, &d, err);
	for (size_t i = 0; !r && i < n; i++) {
		const struct fl_endpoint *ep = a[i]->main;

		ret[i] = (struct traffic){ 0 };
		if (is_inside(ep))
			read_inside(c, ep, &ret[i]);
		else if (ep->ifindex && n >= FEW)
			look_up(&d, ep->ifindex, &ret[i]);
		else if (ep->ifindex)
			read_one(c->host, ep->ifindex, false, &ret[i]);
	}
	free(d.v);
	return r;
}

static json_t *number(const struct traffic *t, uint64_t v)
{
	return t->from ? json_integer((json_int_t)v) : json_null();
}

json_t *traffic_json(const struct traffic *t)
{
	return json_pack("{ss so so so so so so so so}", "from", t->from ? t->from : "", "inBytes",
			 number(t, t->in.bytes), "inPackets", number(t, t->in.packets), "inDropped",
			 number(t, t->in.dropped), "inErrors", number(t, t->in.errors), "outBytes",
			 number(t, t->out.bytes), "outPackets", number(t, t->out.packets),
			 "outDropped", number(t, t->out.dropped), "outErrors",
			 number(t, t->out.errors));
}
