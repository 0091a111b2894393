/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's links of endpoints, and what passes between two of one bridge. */
#include "netctl/reach.h"

#include "base/strbuf.h"

#include <string.h>

bool bridge_filters(int family)
{
	struct fl_error ignored = { 0 };
	char value[8] = "";

	return !fl_sysctl_read(family == AF_INET6 ? "net/bridge/bridge-nf-call-ip6tables"
						  : "net/bridge/bridge-nf-call-iptables",
			       value, sizeof(value), &ignored) &&
	       *value == '1';
}

const char *attachment_gate(const struct model *m, const struct attachment *at)
{
	const struct fl_network *net = model_network(m, at->main);

	return net && *net->link ? net->link : at->main->link;
}

bool attachment_is_apart(const struct attachment *at)
{
	return !*at->main->link;
}

/* What is wrong with the link; false: nothing. */
static bool misplaced(struct walk *w, const struct attachment *at, const struct fl_link *link)
{
	const struct fl_network *net = model_network(w->m, at->main);
	struct fl_error ignored = { 0 };
	struct fl_link bridge;

	if (!net || !*net->link || !strcmp(net->link, link->name))
		return false;
	if (fl_link_find(w->c->host, net->link, &bridge, &ignored) != 1) {
		step_failed(w->steps, "link", "attach a container to the network: it is made anew",
			    "%s, the link of network %s, does not exist", net->link, net->name);
		return true;
	}
	if (link->master != bridge.index) {
		step_failed(w->steps, "link",
			    TEXT("ip link set %s master %s", link->name, net->link),
			    "%s of %s is not in bridge %s", link->name, CONTAINER_LABEL(at->main),
			    net->link);
		return true;
	}
	if (!(bridge.flags & IFF_UP)) {
		step_failed(w->steps, "link", TEXT("ip link set %s up", net->link), "%s is down",
			    net->link);
		return true;
	}
	if (bridge.vlan_filtering)
		step_unknown(w->steps, "vlan", TEXT("bridge vlan show dev %s", link->name),
			     "bridge %s filters VLANs: whether they let it pass is not looked at",
			     net->link);
	return false;
}

int reach_link(struct walk *w, const struct attachment *at, struct fl_link *ret)
{
	const struct fl_endpoint *ep = at->main;
	struct fl_error why = { 0 };
	struct fl_link link;
	int r;

	if (!*ep->link)
		return 1;
	r = fl_link_find(w->c->host, ep->link, &link, &why);
	if (r < 0) {
		step_unknown(w->steps, "link", NULL, "%s", why.text);
		return 0;
	}
	if (!r || (ep->ifindex && link.index != ep->ifindex)) {
		step_failed(w->steps, "link", "delete the attachment and make it again",
			    "%s of %s %s", ep->link, CONTAINER_LABEL(ep),
			    r ? "is another link than the recorded one" : "does not exist");
		return 0;
	}
	if (!(link.flags & IFF_UP)) {
		step_failed(w->steps, "link", TEXT("ip link set %s up", link.name),
			    "%s of %s is down", link.name, CONTAINER_LABEL(ep));
		return 0;
	}
	if (misplaced(w, at, &link))
		return 0;
	step_ok(w->steps, "link", "%s of %s is up%s%s", link.name, CONTAINER_LABEL(ep),
		link.master ? " and in its bridge" : "",
		link.port_flags & FL_PORT_ISOLATED ? ", as an isolated port" : "");
	if (ret)
		*ret = link;
	return 1;
}

/* Ports of a bridge that a frame passes on from one to the other. */
static int between_ports(struct walk *w)
{
	struct fl_error ignored = { 0 };
	struct fl_link a, b;

	if (!*w->src->main->link || !*w->dst->main->link ||
	    fl_link_find(w->c->host, w->src->main->link, &a, &ignored) != 1 ||
	    fl_link_find(w->c->host, w->dst->main->link, &b, &ignored) != 1)
		return 1;
	if (a.index == b.index && !(a.port_flags & FL_PORT_HAIRPIN)) {
		step_failed(w->steps, "hairpin", TEXT("bridge link set dev %s hairpin on", a.name),
			    "the frame would have to go back through %s, which is not in hairpin "
			    "mode",
			    a.name);
		return 0;
	}
	if (a.port_flags & b.port_flags & FL_PORT_ISOLATED) {
		step_failed(w->steps, "isolation",
			    "a port that is published is reached by the host's address; or make "
			    "the network without icc: false (and without portIsolation)",
			    "both are isolated ports of the bridge: endpoints of network %s do "
			    "not reach each other",
			    w->dst->main->id.network);
		return 0;
	}
	return 1;
}

static void forward_bridged(struct walk *w)
{
	struct fl_fw_packet p = w->p;
	struct fl_error why = { 0 };
	struct fl_fw_traced t;

	fl_strcpy(p.out, sizeof(p.out), p.in);
	if (fl_fw_trace(w->fw, NFPROTO_INET, "forward", &p, &t, &why))
		step_unknown(w->steps, "forward", NULL, "%s", why.text);
	else if (t.outcome == FL_FW_DROPPED)
		step_failed(w->steps, "forward", "make the network without icc: false",
			    "bridged packets pass the host's rules, and endpoints of network %s "
			    "do not reach each other",
			    w->dst->main->id.network);
	else
		reach_foreign_forward(w, t.marked);
}

static void pass_foreign(struct walk *w, void (*look)(struct walk *w, uint32_t hook))
{
	reach_foreign_device(w, w->src->main->link);
	look(w, NF_INET_PRE_ROUTING);
	if (look == reach_foreign_bridge)
		look(w, NF_INET_FORWARD);
	look(w, NF_INET_POST_ROUTING);
	reach_foreign_device(w, w->dst->main->link);
}

int reach_bridge(struct walk *w, struct fl_error *err)
{
	(void)err;
	/* What is there is told already. */
	if (w->from->kind != PARTY_CONTAINER || attachment_is_apart(w->src))
		return 1;
	if (!between_ports(w))
		return 1; /* there may be more wrong behind it */
	step_ok(w->steps, "bridge", "%s and %s are neighbours in %s", CONTAINER_LABEL(w->src->main),
		CONTAINER_LABEL(w->dst->main), *w->p.in ? w->p.in : w->src->main->id.network);
	pass_foreign(w, reach_foreign_bridge);
	if (bridge_filters(w->family)) {
		pass_foreign(w, reach_foreign);
		forward_bridged(w);
	}
	return 1;
}
