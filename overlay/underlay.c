/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which address of this node the others send to, and how much goes through there. */
#include "overlay/agent.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>

enum {
	MTU_LEAST = 1280, /* RFC 8200 section 5 */
	GONE_MS = 10000,  /* without its address, before it takes one that is less alike */
};

struct finding {
	int family; /* of the address; 0: any */
	struct fl_addr addr;
	uint8_t len;
	uint32_t index;
};

static bool fits(const struct finding *f, const struct fl_ifaddr *x)
{
	if (fl_addr_is_set(&f->addr))
		return fl_addr_eq(&f->addr, &x->prefix.addr);
	return x->scope == RT_SCOPE_UNIVERSE && (!f->family || f->family == x->prefix.addr.family);
}

static int see_address(void *arg, const struct fl_ifaddr *x)
{
	struct finding *f = arg;

	if (!fits(f, x))
		return 0;
	f->addr = x->prefix.addr;
	f->len = x->prefix.len;
	f->index = x->index;
	return 1;
}

/* The host of a URL: "http://[2001:db8::1]:2379". */
static int endpoint_address(const char *url, struct fl_addr *ret, struct fl_error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const char *host = strstr(url, "://");
	struct addrinfo *list = NULL;
	char name[256];
	size_t n;
	int r;

	host = host ? host + 3 : url;
	host += *host == '[';
	n = host[-1] == '[' ? strcspn(host, "]") : strcspn(host, ":/");
	snprintf(name, sizeof(name), "%.*s", (int)n, host);
	r = getaddrinfo(name, NULL, &hints, &list);
	if (r)
		return fl_error_set(err, EHOSTUNREACH, FL_ECODE_CONFIG,
				    "local: missing, and the address of %s is not known (%s)", url,
				    gai_strerror(r));
	if (list->ai_family == AF_INET6)
		*ret = fl_addr_make(AF_INET6,
				    &((const struct sockaddr_in6 *)list->ai_addr)->sin6_addr);
	else
		*ret = fl_addr_make(AF_INET,
				    &((const struct sockaddr_in *)list->ai_addr)->sin_addr);
	freeaddrinfo(list);
	return 0;
}

/* Where etcd is. A name is resolved once: that may take seconds. */
static int find_etcd(struct agent *a, struct fl_error *err)
{
	int r = endpoint_address(a->conf.endpoints[0], &a->towards, err);

	if (!r && fl_addr_is_loopback(&a->towards))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "local: missing; etcd is on this host itself, so nothing tells "
				    "which address the other nodes reach it by");
	return r;
}

static int find_by_route(struct agent *a, struct finding *f, struct fl_error *err)
{
	struct fl_nlroute route;
	int r = fl_route_get(a->nl, &a->towards, NULL, 0, &route, err);

	if (r)
		return r;
	f->addr = route.type == RTN_LOCAL ? a->towards : route.src;
	return 0;
}

/* Of this family, or of any (0). */
static int find(struct agent *a, int family, struct finding *f, struct fl_link *l,
		struct fl_error *err)
{
	const char *local = a->conf.local;
	uint32_t in = 0;
	int r = 0;

	*f = (struct finding){ .family = family };
	if (!local || !*local) {
		r = find_by_route(a, f, err);
	} else if (fl_addr_parse(local, &f->addr)) {
		r = fl_link_get(a->nl, local, l, err);
		in = r ? 0 : l->index;
	}
	if (!r)
		r = fl_ifaddrs_each(a->nl, in, see_address, f, err);
	if (r < 0)
		return fl_error_prefix(err, "local");
	if (!f->index)
		return fl_error_set(err, EADDRNOTAVAIL, FL_ECODE_CONFIG,
				    "local: this node has no address %s",
				    local && *local ? local : fl_addr_str(&f->addr, FL_ADDR_BUF));
	r = fl_link_get_index(a->nl, f->index, l, err);
	if (!r && l->mtu < MTU_LEAST)
		return fl_error_set(err, EMSGSIZE, FL_ECODE_CONFIG,
				    "interface %s has an MTU of %u; expected at least 1280",
				    l->name, l->mtu);
	return r;
}

static void take(struct agent *a, const struct finding *f, const struct fl_link *l)
{
	a->vtep = f->addr;
	a->vtep_index = f->index;
	a->vtep_mtu = l->mtu < UINT16_MAX ? l->mtu : UINT16_MAX;
}

int underlay_find(struct agent *a, struct fl_error *err)
{
	struct finding f;
	struct fl_link l;
	int r = 0;

	if (!a->conf.local || !*a->conf.local)
		r = find_etcd(a, err);
	if (!r)
		r = find(a, 0, &f, &l, err);
	if (!r)
		take(a, &f, &l);
	return r;
}

/* ---- while it runs ---- */

/* Also on another interface: one that was made anew has another index. */
static bool is_there(struct agent *a)
{
	struct finding f = { .addr = a->vtep };
	int r = fl_ifaddrs_each(a->nl, a->vtep_index, see_address, &f, NULL);

	if (r <= 0 && !f.index)
		r = fl_ifaddrs_each(a->nl, 0, see_address, &f, NULL);
	if (f.index)
		a->vtep_index = f.index;
	/* What cannot be read is there. */
	return r < 0 || f.index;
}

/*
 * A short while without one is no reason to go elsewhere: while the interface is there, its next
 * address is waited for. One of a single host may be a service's, that moves on.
 */
static bool may_take(struct agent *a, const struct finding *f)
{
	struct fl_link l;

	if (f->addr.family != a->vtep.family)
		return false;
	if (f->index == a->vtep_index && f->len < fl_addr_bits(&f->addr))
		return true;
	return now_ms() - a->vtep_gone >= GONE_MS ||
	       fl_link_get_index(a->nl, a->vtep_index, &l, NULL) == -ENODEV;
}

/* The kernel tells of addresses, and not of the routes that come after them. */
static void wait_on(struct agent *a, const struct fl_error *why)
{
	static const struct timeval again = { 1, 0 };

	if (now_ms() - a->vtep_gone >= GONE_MS && !a->vtep_missed) {
		say("this node's address %s is gone, and no other takes its place%s%s",
		    fl_addr_str(&a->vtep, FL_ADDR_BUF), *why->text ? ": " : "", why->text);
		a->vtep_missed = true;
	}
	event_add(a->look, &again);
}

/* The tunnels have it as their source, and the others send to it. */
static void move(struct agent *a)
{
	struct fl_error err = { 0 };
	struct network *net, *tmp;
	struct finding f;
	struct fl_link l;

	if (!a->vtep_gone)
		a->vtep_gone = now_ms();
	if (find(a, a->vtep.family, &f, &l, &err) || !may_take(a, &f)) {
		wait_on(a, &err);
		return;
	}
	say("this node's address is %s now, and was %s", fl_addr_str(&f.addr, FL_ADDR_BUF),
	    fl_addr_str(&a->vtep, FL_ADDR_BUF));
	take(a, &f, &l);
	a->vtep_gone = 0;
	a->vtep_missed = false;
	HASH_ITER (hh, a->networks, net, tmp)
		net->touched = true;
	nodes_look(a);
	fl_etcd_reconnect(a->etcd);
	member_renew(a);
}

/* The other nodes count with it when they make interfaces. */
static void look_at_mtu(struct agent *a)
{
	struct fl_link l;

	if (fl_link_get_index(a->nl, a->vtep_index, &l, NULL) || l.mtu == a->vtep_mtu ||
	    l.mtu < MTU_LEAST || l.mtu > UINT16_MAX)
		return;
	say("interface %s has an MTU of %u now", l.name, l.mtu);
	a->vtep_mtu = l.mtu;
	member_renew(a);
}

void underlay_look(struct agent *a)
{
	if (!is_there(a)) {
		move(a);
		return;
	}
	a->vtep_gone = 0;
	a->vtep_missed = false;
	look_at_mtu(a);
}
