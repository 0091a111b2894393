/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way home: out of the sandbox, or from where the kernel put it, to what it was before. */
#include "hostdev.h"
#include "plugin/plugin.h"

#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define FREE_NAME "hostdev%d"
/* A namespace is taken down in the background, and waits for RCU a few times. */
#define COMES_HOME_MS 5000

/* ---- the memo ---- */

void hostdev_of_link(const struct fl_link *l, struct hostdev *ret)
{
	*ret = (struct hostdev){ .index = l->index,
				 .mtu = l->mtu,
				 .mac = l->mac,
				 .perm_mac = l->perm_mac,
				 .up = l->flags & IFF_UP };
	fl_strcpy(ret->name, sizeof(ret->name), l->name);
	fl_strcpy(ret->kind, sizeof(ret->kind), l->kind);
	fl_strcpy(ret->alias, sizeof(ret->alias), l->alias);
	fl_strcpy(ret->bus, sizeof(ret->bus), l->parent_dev);
}

/* An alias may be any bytes, and JSON's strings are UTF-8. */
static void put_hex(const char *s, char ret[512])
{
	for (; *s; s++, ret += 2)
		snprintf(ret, 3, "%02x", (unsigned char)*s);
	*ret = '\0';
}

static bool take_hex(const char *s, char *ret, size_t size)
{
	size_t n = strlen(s);
	unsigned byte;

	if (n % 2 || n / 2 >= size)
		return false;
	for (; *s; s += 2) {
		if (sscanf(s, "%2x", &byte) != 1)
			return false;
		*ret++ = (char)byte;
	}
	*ret = '\0';
	return true;
}

json_t *hostdev_memo(const struct hostdev *d)
{
	char alias[512];

	if (d->dpdk)
		return json_pack("{s:b,s:s}", "dpdk", 1, "bus", d->bus);
	put_hex(d->alias, alias);
	return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:s,s:s,s:b}", "name", d->name, "kind", d->kind,
			 "alias", alias, "bus", d->bus, "index", (json_int_t)d->index, "mtu",
			 (json_int_t)d->mtu, "mac", fl_mac_str(&d->mac, FL_MAC_BUF), "perm",
			 fl_mac_str(&d->perm_mac, FL_MAC_BUF), "up", d->up);
}

int hostdev_memo_read(const json_t *memo, struct hostdev *ret, struct fl_error *err)
{
	const char *name = "", *kind = "", *alias = "", *bus = "", *mac = NULL, *perm = NULL;
	json_int_t index = 0, mtu = 0;
	int dpdk = 0, up = 0;
	struct hostdev d = { 0 };

	if (json_unpack((json_t *)memo, "{s?b,s?s,s?s,s?s,s?s,s?I,s?I,s?s,s?s,s?b}", "dpdk", &dpdk,
			"name", &name, "kind", &kind, "alias", &alias, "bus", &bus, "index", &index,
			"mtu", &mtu, "mac", &mac, "perm", &perm, "up", &up) ||
	    (!dpdk &&
	     (!fl_ifname_valid(name) || !mac || fl_mac_parse(mac, &d.mac) || !perm ||
	      fl_mac_parse(perm, &d.perm_mac) || !take_hex(alias, d.alias, sizeof(d.alias)))))
		return fl_error_set(err, EBADMSG, FL_ECODE_STORE,
				    "state: what is remembered of a device is damaged");
	fl_strcpy(d.name, sizeof(d.name), name);
	fl_strcpy(d.kind, sizeof(d.kind), kind);
	fl_strcpy(d.bus, sizeof(d.bus), bus);
	d.index = (uint32_t)index;
	d.mtu = (uint32_t)mtu;
	d.dpdk = dpdk;
	d.up = up;
	*ret = d;
	return 0;
}

static int read_memo(struct fl_call *c, const struct fl_endpoint *ep, struct hostdev *ret,
		     struct fl_error *err)
{
	FL_AUTOJSON json_t *memo = NULL;
	int r = fl_call_memo(c, ep, &memo, err);

	return r ? r : hostdev_memo_read(memo, ret, err);
}

/* ---- knowing it again ---- */

struct sought {
	const struct hostdev *d;
	const struct fl_endpoint *ep;
	struct fl_link *ret;
	bool found;
};

static bool same_mac(const struct fl_mac *a, const struct fl_mac *b)
{
	return !memcmp(a->b, b->b, sizeof(a->b));
}

static bool is_away(const struct fl_link *l, const struct hostdev *d)
{
	return !strcmp(l->kind, d->kind) && !strcmp(l->alias, d->name);
}

static bool same_hardware(const struct fl_link *l, const struct hostdev *d,
			  const struct fl_endpoint *ep)
{
	if (!fl_mac_is_zero(&d->perm_mac))
		return same_mac(&l->perm_mac, &d->perm_mac);
	return same_mac(&l->mac, &d->mac) || same_mac(&l->mac, &ep->mac);
}

static int see(void *arg, const struct fl_link *l)
{
	struct sought *s = arg;

	if (same_hardware(l, s->d, s->ep) && is_away(l, s->d)) {
		*s->ret = *l;
		s->found = true;
	}
	return 0;
}

/*
 * By the index of the record, by the one that it had on the host and the alias, by hardware and
 * alias. -ENODEV (err untouched): not there, or never moved.
 */
static int locate(struct fl_nl *nl, const struct fl_endpoint *ep, const struct hostdev *d,
		  struct fl_link *ret, struct fl_error *err)
{
	struct sought s = { d, ep, ret, false };
	struct fl_error e = { 0 };
	int r = ep->ifindex ? fl_link_get_index(nl, ep->ifindex, ret, &e) : -ENODEV;

	/* Before Linux 5.13 it is a small number, and on the host another device's. */
	if (!r && !strcmp(ret->kind, d->kind) && (is_away(ret, d) || same_hardware(ret, d, ep)))
		return 0;
	if (!r || r == -ENODEV)
		r = d->index ? fl_link_get_index(nl, d->index, ret, &e) : -ENODEV;
	if (!r && is_away(ret, d))
		return 0;
	if (!r || r == -ENODEV)
		r = fl_links_each(nl, see, &s, &e);
	if (r && err)
		*err = e;
	return r ? r : s.found ? 0 : -ENODEV;
}

/* In the sandbox the index is enough: the container may have changed all the rest. */
static int locate_inside(struct fl_nl *nl, const struct fl_endpoint *ep, const struct hostdev *d,
			 struct fl_link *ret, struct fl_error *err)
{
	if (ep->ifindex && !fl_link_get_index(nl, ep->ifindex, ret, NULL) &&
	    !strcmp(ret->kind, d->kind))
		return 0;
	return locate(nl, ep, d, ret, err);
}

/* ---- steps home ---- */

/* Not to be settled by another try: said, and left. */
static int or_note(int r, const struct fl_error *e, const char *name, struct fl_error *err)
{
	if (r != -EOPNOTSUPP && r != -EINVAL) {
		if (r && err)
			*err = *e;
		return r;
	}
	fprintf(stderr, "note: device %s is not as it was: %s\n", name, e->text);
	return 0;
}

static int rename_home(struct fl_call *c, const struct hostdev *d, const struct fl_link *l,
		       bool *ret_named, struct fl_error *err)
{
	struct fl_error e = { 0 };
	int r = strcmp(l->name, d->name) != 0 ? fl_link_rename(c->host, l->index, d->name, &e) : 0;

	*ret_named = r != -EEXIST;
	if (r && *ret_named && err)
		*err = e;
	if (!*ret_named)
		fprintf(stderr,
			"note: device %s is back on the host as %s: another interface is %s by "
			"now\n",
			d->name, l->name, d->name);
	return *ret_named ? r : 0;
}

/* All that differs; the alias last, by which a second run finds it after this one was cut. */
static int restore(struct fl_call *c, const struct hostdev *d, const struct fl_link *l,
		   struct fl_error *err)
{
	struct fl_error e = { 0 };
	bool named;
	int r = rename_home(c, d, l, &named, err);

	if (!r && !fl_mac_is_zero(&d->mac) && !same_mac(&l->mac, &d->mac))
		r = or_note(fl_link_set_mac(c->host, l->index, &d->mac, &e), &e, d->name, err);
	if (!r && d->mtu && l->mtu != d->mtu)
		r = or_note(fl_link_set_mtu(c->host, l->index, d->mtu, &e), &e, d->name, err);
	if (!r && d->up != !!(l->flags & IFF_UP))
		r = or_note(fl_link_set_up(c->host, l->index, d->up, &e), &e, d->name, err);
	if (!r && named && strcmp(l->alias, d->alias) != 0)
		r = fl_link_set_alias(c->host, l->index, d->alias, err);
	return r;
}

/*
 * The index that it had is taken (-EBUSY): it gets another. The name is taken (-EEXIST): it has
 * moved all the same under the sandbox's name, or that one is taken too and it gets a free one.
 * What the container made of its alias must not hide it on the host.
 */
static int take_out(struct fl_call *c, const struct fl_sandbox *s, const struct hostdev *d,
		    const struct fl_link *l, struct fl_error *err)
{
	struct fl_link_target to = { c->self.fd, d->name, d->index, NULL };
	struct fl_error e = { 0 };
	bool tried = false;
	int r = strcmp(l->alias, d->name) != 0 ? fl_link_set_alias(s->nl, l->index, d->name, err)
					       : 0;

	if (r)
		return r;
	for (;;) {
		r = fl_link_move_as(s->nl, l->index, &to, &e);
		if (r == -EBUSY && to.index) {
			to.index = 0;
		} else if (r == -EEXIST && !tried) {
			tried = true;
			to.name = FREE_NAME;
		} else if (!r || (r == -ENODEV && tried)) {
			return 0;
		} else {
			if (err)
				*err = e;
			return fl_error_prefix(err, "device %s, which the sandbox has", d->name);
		}
	}
}

/* ---- a namespace that is gone ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* What has a kind dies with its namespace, but for CAN hardware (rtnl_link_ops.netns_refund). */
static bool comes_home(const struct hostdev *d)
{
	return !*d->kind || !strcmp(d->kind, "can");
}

static int wait_home(struct fl_call *c, const struct fl_endpoint *ep, const struct hostdev *d,
		     struct fl_link *ret, struct fl_error *err)
{
	int64_t end = now_ms() + COMES_HOME_MS, left;
	FL_AUTONL struct fl_nl *nl = NULL;
	int r = fl_nl_open_groups(RTMGRP_LINK, &nl, err);

	if (r)
		return r;
	for (;;) {
		r = locate(c->host, ep, d, ret, err);
		left = end - now_ms();
		if (r != -ENODEV || left <= 0)
			return r;
		r = fl_nl_wait(nl, (int)left, err);
		if (r < 0)
			return r;
	}
}

/* -ENODEV (err untouched): it is not on the host, and that is as it should be. */
static int find_home(struct fl_call *c, const struct fl_endpoint *ep, const struct hostdev *d,
		     bool waits, struct fl_link *ret, struct fl_error *err)
{
	struct fl_link at_index;
	int r = locate(c->host, ep, d, ret, err);

	if (r != -ENODEV)
		return r;
	/* It never left: ADD ended before. */
	if (!fl_link_get_index(c->host, d->index, &at_index, NULL) &&
	    !strcmp(at_index.name, d->name))
		return r;
	if (waits && ep->nsid && fl_nsid_exists(c->host, (int32_t)(ep->nsid - 1), NULL) == 1) {
		fprintf(stderr,
			"note: device %s stays in its sandbox, which has no path any more; when "
			"that ends %s\n",
			d->name,
			comes_home(d) ? "the kernel returns it, with its name as alias"
				      : "it ends too");
		return r;
	}
	if (!comes_home(d))
		return r;
	if (waits)
		r = wait_home(c, ep, d, ret, err);
	/* The ADD that lost a race for it goes back as well, and has nothing to tell. */
	if (r == -ENODEV && c->req.verb != FL_VERB_ADD)
		fprintf(stderr,
			"note: device %s is neither in its sandbox nor on the host; where it is, "
			"its alias is %s\n",
			d->name, d->name);
	return r;
}

int hostdev_return(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	FL_AUTOSANDBOX struct fl_sandbox s = { .ns = FL_NETNS_NONE };
	struct hostdev d;
	struct fl_link l;
	int r = read_memo(c, ep, &d, err);
	bool reached;

	if (r || d.dpdk)
		return r == -ENOENT ? 0 : r;
	r = fl_sandbox_open(c, ep, &s, err);
	reached = !r;
	if (reached)
		r = locate_inside(s.nl, ep, &d, &l, err);
	if (reached && !r)
		r = take_out(c, &s, &d, &l, err);
	if (r && r != -ENOENT && r != -ENODEV)
		return r;
	r = find_home(c, ep, &d, !reached, &l, err);
	return r ? (r == -ENODEV ? 0 : r) : restore(c, &d, &l, err);
}

/* ---- without a record ---- */

/* What sits in CNI_IFNAME, when its alias and the configuration say the same of it. */
static int return_inside(struct fl_call *c, const struct hostdev_selector *sel,
			 struct fl_error *err)
{
	const struct fl_sandbox s = { c->sandbox, c->inside, true };
	struct fl_endpoint ep = { 0 };
	struct fl_error e = { 0 };
	struct hostdev d;
	struct fl_link l;
	int r = fl_link_get(c->inside, c->req.ifname, &l, &e);

	if (r && r != -ENODEV && err)
		*err = e;
	if (r)
		return r;
	hostdev_of_link(&l, &d);
	fl_strcpy(d.name, sizeof(d.name), l.alias);
	if (!fl_ifname_valid(l.alias) || !hostdev_matches(sel, &d))
		return -ENODEV;
	d.index = 0;
	d.alias[0] = '\0';
	d.up = false;
	ep.ifindex = l.index;
	ep.mac = l.mac;
	if (!fl_mac_is_zero(&d.perm_mac))
		d.mac = d.perm_mac;
	r = take_out(c, &s, &d, &l, err);
	if (!r)
		r = locate(c->host, &ep, &d, &l, err);
	return r ? r : restore(c, &d, &l, err);
}

int hostdev_return_unknown(struct fl_call *c, struct fl_error *err)
{
	struct hostdev_selector sel;
	struct hostdev d;
	struct fl_link l;
	int r;

	if (hostdev_select(c, &sel, NULL))
		return 0;
	r = c->inside ? return_inside(c, &sel, err) : -ENODEV;
	if (r != -ENODEV)
		return r;
	r = hostdev_find_stray(c, &sel, &l, err);
	if (r)
		return r == -ENODEV ? 0 : r;
	hostdev_of_link(&l, &d);
	fl_strcpy(d.name, sizeof(d.name), l.alias);
	d.alias[0] = '\0';
	return restore(c, &d, &l, err);
}
