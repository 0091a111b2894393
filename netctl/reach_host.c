/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host does with the packet: translates, routes, forwards, changes its source. */
#include "netctl/reach.h"

#include "base/strbuf.h"
#include "nft/chains.h"

#include <errno.h>
#include <string.h>

static const char REBUILD[] = "netctl reload brings fairlead's rules back";

/* 1: traced; 0: it could not be, which is a step. */
static int trace(struct walk *w, const char *chain, struct fl_fw_traced *t)
{
	struct fl_error why = { 0 };

	if (fl_fw_trace(w->fw, NFPROTO_INET, chain, &w->p, t, &why)) {
		step_unknown(w->steps, "nftables", NULL, "%s", why.text);
		return 0;
	}
	/* What it does is then told as if it had ours: it may well be what it does. */
	if (t->changed)
		step_unknown(w->steps, "nftables", REBUILD,
			     "chain %s of table inet fairlead, or one that it leads to, has other "
			     "rules than fairlead's",
			     chain);
	if (t->policy)
		step_failed(w->steps, "nftables", REBUILD,
			    "the policy of chain %s of table inet fairlead is drop, where fairlead "
			    "has accept",
			    chain);
	return !t->policy;
}

/* ---- published ports ---- */

static void not_translated(struct walk *w, const struct fl_fw_traced *t)
{
	struct mapping m;

	if (!mapping_find(w->m, w->p.proto, &w->p.dst, w->family, w->p.dport, &m))
		return;
	if (mapping_obstacle(&m))
		step_failed(w->steps, "published", "publish the port at 127.0.0.1, or at 0.0.0.0",
			    "port %u/%s is %s's by its record, but %s", w->p.dport,
			    fl_proto_str(w->p.proto), CONTAINER_LABEL(m.ep), mapping_obstacle(&m));
	else if (!m.translated)
		step_failed(w->steps, "published",
			    TEXT("ask for %s", ADDRESS_PORT(&m.inside, m.port.container_port)),
			    "network %s is %s: port %u of the host leads nowhere", m.ep->id.network,
			    model_network(w->m, m.ep)->internal ? "internal" : "routed",
			    w->p.dport);
	else
		step_failed(w->steps, "published", REBUILD,
			    "port %u/%s is %s's by its record, but nftables does not translate "
			    "it: %s",
			    w->p.dport, fl_proto_str(w->p.proto), CONTAINER_LABEL(m.ep),
			    t->absent ? "fairlead's rules are not there (flushed?)"
				      : "its element is missing");
}

/* Whose port it is, where several containers have the address that it is translated to. */
static const struct attachment *owner(const struct walk *w, const struct fl_addr *asked,
				      uint16_t port)
{
	struct mapping m;

	if (mapping_find(w->m, w->p.proto, asked, w->family, port, &m) &&
	    fl_addr_eq(&m.inside, &w->p.dst))
		return m.at;
	return attachment_of_address(w->m, &w->p.dst);
}

/* Chain prerouting or output: a published port's address becomes the container's. */
static void translate(struct walk *w, const char *chain)
{
	struct fl_fw_traced t;
	struct fl_addr asked = w->p.dst;
	uint16_t port = w->p.dport;

	w->p.to_local = address_is_local(w->c, &w->p.dst);
	if (!w->p.to_local || !trace(w, chain, &t))
		return;
	if (!fl_addr_is_set(&t.dnat)) {
		if (port)
			not_translated(w, &t);
		return;
	}
	w->p.dst = t.dnat;
	w->p.dport = t.dnat_port ? t.dnat_port : port;
	w->p.dnat = true;
	w->p.to_local = address_is_local(w->c, &w->p.dst);
	w->dst = owner(w, &asked, port);
	step_ok(w->steps, "published", "%s is translated to %s (%s)", ADDRESS_PORT(&asked, port),
		ADDRESS_PORT(&w->p.dst, w->p.dport), t.set >= 0 ? fl_fw_sets[t.set].name : "");
}

/* ---- routing ---- */

static bool check_forwarding(struct walk *w)
{
	struct fl_error why = { 0 };
	bool on = false, v6 = w->family == AF_INET6;
	const char *name = v6 ? "net.ipv6.conf.all.forwarding" : "net.ipv4.ip_forward";

	if (fl_forwarding_get(w->c->host, w->family, &on, &why))
		step_unknown(w->steps, "forwarding", NULL, "%s", why.text);
	else if (!on)
		step_failed(w->steps, "forwarding", TEXT("sysctl -w %s=1", name),
			    "%s is 0: the host forwards nothing", name);
	else
		step_ok(w->steps, "forwarding", "%s is 1", name);
	return on;
}

/* Where it goes out. With an interface that it came in by, the kernel's own checks have their say.
 */
static int route(struct walk *w, bool forwarding)
{
	struct fl_error why = { 0 }, again = { 0 };
	struct fl_link in = { 0 }, out;
	struct fl_nlroute r;
	const struct fl_addr *from = *w->p.in ? &w->p.src : NULL;
	bool filtered;
	int e;

	if (*w->p.in && forwarding)
		fl_link_find(w->c->host, w->p.in, &in, &again);
	e = fl_route_get(w->c->host, &w->p.dst, in.index ? from : NULL, in.index, &r, &why);
	/* EXDEV, which kernels since 6.14 call EINVAL. */
	filtered = in.index && (e == -EXDEV || e == -EINVAL);
	if (e && reach_routed_refused(w))
		return 0;
	if (e) {
		step_failed(w->steps, "host route",
			    filtered   ? TEXT("sysctl net.ipv4.conf.%s.rp_filter", w->p.in)
			    : in.index ? TEXT("ip route get %s from %s iif %s",
					      fl_addr_str(&w->p.dst, FL_ADDR_BUF),
					      fl_addr_str(&w->p.src, FL_ADDR_BUF), w->p.in)
				       : "give the host a route there",
			    "%s%s", why.text, filtered ? ": the reverse path filter drops it" : "");
		return 0;
	}
	if (fl_link_get_index(w->c->host, r.oif, &out, &why)) {
		step_unknown(w->steps, "host route", NULL, "%s", why.text);
		return 0;
	}
	fl_strcpy(w->p.out, sizeof(w->p.out), out.name);
	if (!fl_addr_is_set(&w->p.src) && fl_addr_is_set(&r.src))
		w->p.src = r.src;
	step_ok(w->steps, "host route", "%s goes out through %s",
		fl_addr_str(&w->p.dst, FL_ADDR_BUF), out.name);
	return 1;
}

/* A lower device gives to its macvlans what comes from outside, and nothing that the host sends. */
static void check_lower(struct walk *w)
{
	const struct fl_network *net = model_network(w->m, w->dst->main);
	const char *driver = w->dst->main->id.driver;

	if (net && net->host_access && !strcmp(net->link, w->p.out))
		return;
	if (net && !strcmp(net->parent, w->p.out) &&
	    (!strcmp(driver, "macvlan") || !strcmp(driver, "ipvlan")))
		step_failed(w->steps, "network", "make the network with hostAccess",
			    "%s is the lower device of network %s (%s): the host itself does not "
			    "reach its endpoints",
			    net->parent, net->name, driver);
	else
		step_unknown(w->steps, "network", NULL,
			     "network %s (%s) has no link of its own on the host",
			     w->dst->main->id.network, driver);
}

/* Of several containers with one address, that one to whose network the route leads. */
static void choose_by_route(struct walk *w)
{
	for (size_t i = 0; !w->p.dnat && w->to->n > 1 && i < w->to->n; i++)
		if (attachment_has(w->to->at[i], &w->p.dst) &&
		    !strcmp(attachment_gate(w->m, w->to->at[i]), w->p.out)) {
			w->dst = w->to->at[i];
			party_narrow(w->to, w->dst);
		}
}

/* The route may lead elsewhere than to the container's network. */
static bool check_gate(struct walk *w)
{
	const char *gate;

	if (!reach_routed_gate(w))
		return false;
	if (fl_addr_is_set(&w->to->addr))
		choose_by_route(w);
	gate = w->dst ? attachment_gate(w->m, w->dst) : "";
	if (w->dst && attachment_is_apart(w->dst)) {
		check_lower(w);
		return true;
	}
	if (!*gate || !strcmp(gate, w->p.out))
		return true;
	step_failed(w->steps, "host route",
		    TEXT("ip route get %s tells the route in the way",
			 fl_addr_str(&w->p.dst, FL_ADDR_BUF)),
		    "it should go out through %s, the way to network %s", gate,
		    w->dst->main->id.network);
	return false;
}

/* ---- forward ---- */

static const char *network_at(const struct walk *w, const char *ifname)
{
	for (size_t i = 0; i < w->m->n_networks; i++)
		if (!strcmp(w->m->networks[i].link, ifname) ||
		    (w->m->networks[i].tunnel_routed && !strcmp(w->m->networks[i].tunnel, ifname)))
			return w->m->networks[i].name;
	return ifname;
}

static void dropped(struct walk *w, const struct fl_fw_traced *t)
{
	const char *in = network_at(w, w->p.in), *out = network_at(w, w->p.out);

	if (t->set == FL_FW_INTERNAL)
		step_failed(w->steps, "forward", "internal networks have no way in and out",
			    "network %s is internal: nothing goes in or out", t->comment);
	else if (t->set == FL_FW_ISOLATED || t->set == FL_FW_BRIDGES)
		step_failed(w->steps, "forward",
			    "publish a port, attach both to one network, or make the network "
			    "without isolate",
			    "networks %s and %s are isolated from each other", in, out);
	else if (t->set == FL_FW_NO_ICC)
		step_failed(w->steps, "forward", "make the network without icc: false",
			    "endpoints of network %s do not reach each other", t->comment);
	else if (!strcmp(t->chain, "guard"))
		step_failed(w->steps, "forward", "publish the port",
			    "network %s is guarded: from outside only published ports are reached",
			    out);
	else
		step_failed(w->steps, "forward", NULL, "chain %s of table inet fairlead drops it",
			    t->chain);
}

static void forward(struct walk *w)
{
	struct fl_fw_traced t;

	if (!trace(w, "forward", &t))
		return;
	if (t.outcome == FL_FW_DROPPED) {
		dropped(w, &t);
		return;
	}
	if (t.outcome == FL_FW_ACCEPTED)
		step_ok(w->steps, "forward", "let through from %s to %s (chain %s%s%s)", w->p.in,
			w->p.out, t.chain, t.set >= 0 ? ", set " : "",
			t.set >= 0 ? fl_fw_sets[t.set].name : "");
	else
		step_ok(w->steps, "forward", "%s: the host's own policy decides",
			t.absent ? "fairlead's rules are not there"
				 : "a new connection from outside straight to a container is "
				   "neither let through nor stopped by fairlead");
	reach_foreign_forward(w, t.marked);
}

/* A translated packet that stays in one bridge never left it, where bridged packets are filtered.
 */
static void check_hairpin(struct walk *w)
{
	struct fl_error ignored = { 0 };
	struct fl_link port, to;

	if (!w->p.dnat || !w->src || !w->dst || strcmp(w->p.in, w->p.out) != 0 ||
	    !bridge_filters(w->family) ||
	    fl_link_find(w->c->host, w->src->main->link, &port, &ignored) != 1 ||
	    fl_link_find(w->c->host, w->dst->main->link, &to, &ignored) != 1)
		return;
	/* An isolated port is kept apart from itself too. */
	if (port.index == to.index && !(port.port_flags & FL_PORT_HAIRPIN))
		step_failed(w->steps, "hairpin", "make the network with hairpinMode",
			    "it would have to go back through %s, which is not in hairpin mode",
			    port.name);
	else if (port.port_flags & to.port_flags & FL_PORT_ISOLATED)
		step_failed(w->steps, "isolation",
			    "sysctl -w net.bridge.bridge-nf-call-iptables=0, if nothing else "
			    "needs it",
			    "bridged packets are filtered here, so that the translated one stays "
			    "in the bridge, whose ports are isolated");
}

/* ---- the source ---- */

static void take_source(struct walk *w, const struct fl_fw_traced *t)
{
	struct fl_error why = { 0 };
	struct fl_nlroute r;

	if (fl_addr_is_set(&t->snat)) {
		w->p.src = t->snat;
	} else if (!fl_route_get(w->c->host, &w->p.dst, NULL, 0, &r, &why) &&
		   fl_addr_is_set(&r.src)) {
		w->p.src = r.src;
	}
	step_ok(w->steps, "source", "the other side sees %s (%s, %s)",
		fl_addr_str(&w->p.src, FL_ADDR_BUF), t->masquerade ? "masquerade" : "snat",
		t->set >= 0 ? fl_fw_sets[t->set].name : t->chain);
}

static void change_source(struct walk *w)
{
	struct fl_fw_traced t;
	/* Other nodes have a route to it. */
	bool outward = w->src && !w->dst && !reach_tunnel_of(w, w->p.out);

	if (!trace(w, "postrouting", &t))
		return;
	if (t.masquerade || fl_addr_is_set(&t.snat))
		take_source(w, &t);
	else if (outward)
		step_unknown(w->steps, "source",
			     t.absent ? REBUILD
				      : "ipMasq, or a route to the network's subnet outside",
			     "%s: answers come only if the outside has a route to %s by this host",
			     t.absent ? "fairlead's rules are not there, so nothing masquerades"
				      : "the source is not masqueraded",
			     fl_addr_str(&w->p.src, FL_ADDR_BUF));
}

/* 127.0.0.1 leaves the host only where the link's route_localnet is on, and masqueraded. */
static void check_loopback(struct walk *w)
{
	struct fl_error ignored = { 0 };
	struct fl_link out;

	if (!fl_addr_is_loopback(&w->p.src))
		return;
	if (fl_link_find(w->c->host, w->p.out, &out, &ignored) == 1 && out.route_localnet)
		return;
	step_failed(w->steps, "loopback",
		    TEXT("sysctl -w net.ipv4.conf.%s.route_localnet=1", w->p.out),
		    "packets of 127.0.0.1 do not leave the host through %s", w->p.out);
}

/* ---- in order ---- */

static void leave_through(struct walk *w)
{
	reach_foreign_device(w, w->p.out);
	if (w->dst)
		reach_foreign_gate(w, w->dst);
}

/* A packet of the host itself has a source only once it has a route. */
static int leave_host(struct walk *w)
{
	struct fl_error why = { 0 };
	struct fl_nlroute r;

	if (!fl_addr_is_set(&w->p.src) && !fl_route_get(w->c->host, &w->p.dst, NULL, 0, &r, &why) &&
	    fl_addr_is_set(&r.src))
		w->p.src = r.src;
	reach_foreign_socket(w);
	fl_strcpy(w->p.out, sizeof(w->p.out), "lo");
	translate(w, "output");
	if (w->p.to_local)
		return 1;
	if (!route(w, false))
		return 0;
	if (!check_gate(w))
		return 1;
	check_loopback(w);
	change_source(w);
	leave_through(w);
	return 1;
}

static int pass_host(struct walk *w)
{
	struct fl_fw_traced t;
	bool forwarding;

	if (w->src)
		reach_foreign_gate(w, w->src);
	reach_foreign_device(w, w->p.in);
	reach_foreign(w, NF_INET_PRE_ROUTING);
	if (!trace(w, "raw", &t))
		return 0;
	if (t.outcome == FL_FW_DROPPED) {
		step_failed(w->steps, "raw", NULL, "127.0.0.0/8 is the host's own affair");
		return 0;
	}
	translate(w, "prerouting");
	if (w->p.to_local)
		return 1;
	forwarding = check_forwarding(w);
	if (!route(w, forwarding))
		return 0;
	if (!check_gate(w))
		return 1;
	forward(w);
	check_hairpin(w);
	change_source(w);
	reach_foreign(w, NF_INET_POST_ROUTING);
	leave_through(w);
	return 1;
}

int reach_host(struct walk *w, struct fl_error *err)
{
	int r = w->from->kind == PARTY_HOST ? leave_host(w) : pass_host(w);

	if (r > 0 && w->p.to_local)
		return reach_arrive_host(w, err);
	return r;
}
