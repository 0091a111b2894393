/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way to each other node: does it pass what the networks need, and does it pass the tunnel? The
 * latter nobody can see from one side; but a node has an address of its own in a network, and an
 * echo request to that goes through the tunnel, there and back.
 */
#include "netctl/doctor_overlay.h"

#include "netctl/out.h"
#include "netctl/pathmtu.h"

#include <string.h>

struct way {
	const json_t *node, *net; /* net NULL: the underlay */
	size_t under;		  /* index of the node's underlay */
};

struct ways {
	struct doctor *d;
	struct path *v;
	struct way *of; /* of each path */
	size_t n, cap;
	bool failed;
};

static void ways_clear(struct ways *w)
{
	free(w->v);
	free(w->of);
}

static void add(struct ways *w, const char *to, uint32_t size, const struct way *of)
{
	size_t cap = w->cap ? 2 * w->cap : 64;
	struct fl_addr a;

	if (fl_addr_parse(to, &a) || w->n == PATHS_MAX)
		return;
	if (w->n == w->cap) {
		struct path *v = reallocarray(w->v, cap, sizeof(*v));
		struct way *o = reallocarray(w->of, cap, sizeof(*o));

		w->v = v ? v : w->v;
		w->of = o ? o : w->of;
		w->failed |= !v || !o;
		if (w->failed)
			return;
		w->cap = cap;
	}
	w->v[w->n] = (struct path){ .to = a, .size = size };
	w->of[w->n++] = *of;
}

static bool takes_part(const json_t *net, const char *node)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(net, "nodes"), i, one)
	{
		if (json_is_string(one) && !strcmp(json_string_value(one), node))
			return true;
	}
	return false;
}

/* The most that a network which both take part in may send. */
static uint32_t need(const struct doctor *d, const char *node)
{
	const json_t *net;
	long long most = 0;
	size_t i;

	json_array_foreach(d->cluster.networks, i, net)
	{
		if (is_true(net, "joined") && takes_part(net, node) && overlay_need(d, net) > most)
			most = overlay_need(d, net);
	}
	return most <= UINT16_MAX ? (uint32_t)most : 0;
}

static void add_node(struct ways *w, const json_t *node)
{
	const char *key = *text_of(w->d->cluster.agent, "vtep4") ? "vtep4" : "vtep6";
	struct way of = { .node = node };

	if (!is_true(node, "self") && !strcmp(text_of(node, "state"), "alive"))
		add(w, text_of(node, key), need(w->d, text_of(node, "name")), &of);
}

static const char *membership(const json_t *of, char *buf, size_t size)
{
	snprintf(buf, size, "%s %s", text_of(of, "network"), text_of(of, "node"));
	return buf;
}
#define MEMBERSHIP(of) membership(of, (char[256]){ 0 }, 256)

/* Who has an endpoint where: without one a node has no bridge there, which would answer. */
static json_t *memberships(const struct doctor *d)
{
	json_t *set = json_object();
	const json_t *one;
	size_t i;

	json_array_foreach(d->cluster.endpoints, i, one)
		json_object_set_new(set, MEMBERSHIP(one), json_true());
	return set;
}

/* Its address in a network, through the tunnel. */
static void add_inner(struct ways *w, const json_t *address, const json_t *there)
{
	const json_t *net = cluster_network(&w->d->cluster, text_of(address, "network")), *ip;
	size_t i, at;

	if (is_true(address, "local") || !net || !is_true(net, "synced") ||
	    !json_object_get(there, MEMBERSHIP(address)))
		return;
	for (at = 0; at < w->n && !w->of[at].net; at++)
		if (!strcmp(text_of(w->of[at].node, "name"), text_of(address, "node")))
			break;
	if (at == w->n || w->of[at].net)
		return;
	json_array_foreach(json_object_get(address, "ips"), i, ip)
	{
		struct way of = { w->of[at].node, net, at };

		if (json_is_string(ip))
			add(w, json_string_value(ip), 0, &of);
	}
}

/* ---- what was found ---- */

static void tell_under(struct doctor *d, const struct way *of, const struct path *p)
{
	char object[256];
	struct finding *f;

	snprintf(object, sizeof(object), "node %s", text_of(of->node, "name"));
	if (!p->small) {
		find(d, "overlay-node-silent", SEVERITY_WARNING, object,
		     "%s does not answer echo requests, though the node is alive: there is no way "
		     "between the two, or a firewall holds back ICMP",
		     fl_addr_str(&p->to, FL_ADDR_BUF));
		return;
	}
	if (!p->size || p->large)
		return;
	f = find(d, "overlay-path-mtu", SEVERITY_ERROR, object,
		 "packets of %u bytes, as its networks need, do not get to %s%s: large ones of "
		 "containers are lost, small ones are not",
		 p->size, fl_addr_str(&p->to, FL_ADDR_BUF),
		 p->limit ? ", a part of the way says that less fits"
			  : ", and nothing on the way says so");
	if (p->limit)
		remedy(f,
		       "raise the MTU of the way from %u to %u, or make the networks anew with "
		       "-o mtu=%u",
		       p->limit, p->size, p->limit - (p->to.family == AF_INET ? 50 : 70));
	else
		remedy(f,
		       "raise the MTU of the way to %u, or make the networks anew with a "
		       "smaller -o mtu=",
		       p->size);
}

static void tell_inner(struct doctor *d, const struct ways *w, size_t i)
{
	const struct way *of = &w->of[i];
	char object[256];
	struct finding *f;

	if (w->v[i].small || !w->v[of->under].small)
		return;
	snprintf(object, sizeof(object), "node %s, network %s", text_of(of->node, "name"),
		 text_of(of->net, "name"));
	f = find(d, "overlay-port-blocked", SEVERITY_ERROR, object,
		 "%s answers, and %s, the node's address behind the tunnel, does not: frames of "
		 "containers do not get there, or not back",
		 fl_addr_str(&w->v[of->under].to, FL_ADDR_BUF),
		 fl_addr_str(&w->v[i].to, FL_ADDR_BUF));
	remedy(f, "let UDP port %lld pass between the two nodes, both ways",
	       number_of(of->net, "port"));
}

int check_paths(struct doctor *d, struct fl_error *err)
{
	FL_CLEANUP(ways_clear) struct ways w = { .d = d };
	FL_AUTOJSON json_t *there = memberships(d);
	const json_t *one;
	size_t i;
	int r;

	json_array_foreach(d->cluster.nodes, i, one) add_node(&w, one);
	json_array_foreach(d->cluster.addresses, i, one) add_inner(&w, one, there);
	if (w.failed)
		return fl_error_oom(err);
	r = w.n ? paths_probe(w.v, w.n, err) : 0;
	for (i = 0; !r && i < w.n; i++)
		if (w.of[i].net)
			tell_inner(d, &w, i);
		else
			tell_under(d, &w.of[i], &w.v[i]);
	return r;
}
