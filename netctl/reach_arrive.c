/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The end of the way: link, sandbox, interface, the way back, and who listens. */
#include "netctl/reach.h"

#include <errno.h>
#include <string.h>

/* What was seen in the sandbox, or on the host. */
struct heard {
	const struct walk *w;
	struct fl_listener l;
	int at_address, anywhere; /* fl_port_listener()'s answers */
};

static int ask_listener(struct ctl *c, void *arg, struct fl_error *err)
{
	static const struct fl_addr any;
	struct heard *h = arg;
	const struct fl_fw_packet *p = &h->w->p;
	int r = fl_port_listener(p->proto, &p->dst, p->dport, 1, &h->l, err);

	(void)c;
	h->at_address = r;
	if (!r)
		r = h->anywhere = fl_port_listener(p->proto, &any, p->dport, 1, &h->l, err);
	return r < 0 ? r : 0;
}

static void judge_listener(struct walk *w, const struct heard *h, const char *where)
{
	const char *proto = fl_proto_str(w->p.proto);

	if (h->at_address > 0)
		step_ok(w->steps, "listener", "%s listens at %s/%s %s",
			h->l.uid ? TEXT("user %u", h->l.uid) : "root",
			ADDRESS_PORT(&h->l.addr, h->l.port), proto, where);
	else if (!h->anywhere)
		step_failed(w->steps, "listener",
			    TEXT("start the server, or use the port that it listens at"),
			    "nothing listens at port %u/%s %s", w->p.dport, proto, where);
	else if (fl_addr_is_loopback(&h->l.addr))
		step_failed(w->steps, "listener",
			    TEXT("let the server listen at %s",
				 w->family == AF_INET6 ? ":: or 0.0.0.0" : "0.0.0.0"),
			    "the server listens on %s only, where nobody outside its sandbox "
			    "reaches it: port %u/%s %s",
			    fl_addr_str(&h->l.addr, FL_ADDR_BUF), w->p.dport, proto, where);
	else
		step_failed(w->steps, "listener",
			    TEXT("let the server listen at %s",
				 w->family == AF_INET6 ? "::" : "0.0.0.0"),
			    "the server listens at %s, not at %s: port %u/%s %s",
			    fl_addr_str(&h->l.addr, FL_ADDR_BUF),
			    fl_addr_str(&w->p.dst, FL_ADDR_BUF), w->p.dport, proto, where);
}

int reach_arrive_host(struct walk *w, struct fl_error *err)
{
	struct heard h = { .w = w };
	int r;

	reach_foreign_socket(w);
	if (w->from->kind == PARTY_HOST)
		reach_foreign_device(w, "lo");
	if (!w->p.dport) {
		step_ok(w->steps, "host", "%s is the host's", fl_addr_str(&w->p.dst, FL_ADDR_BUF));
		return 0;
	}
	r = ask_listener(w->c, &h, err);
	if (r)
		return r;
	judge_listener(w, &h, "on the host");
	return 0;
}

/* ---- inside ---- */

struct search {
	const struct fl_addr *want;
	uint32_t index; /* of the interface that has it; 0: none */
};

static int compare_address(void *arg, const struct fl_ifaddr *a)
{
	struct search *s = arg;

	if (fl_addr_eq(&a->prefix.addr, s->want))
		s->index = a->index;
	return 0;
}

static void check_interface(struct walk *w, struct fl_nl *nl)
{
	const char *ifname = w->dst->main->id.ifname, *want = fl_addr_str(&w->p.dst, FL_ADDR_BUF);
	struct search s = { .want = &w->p.dst };
	struct fl_error why = { 0 };
	struct fl_link link = { 0 };
	int r = fl_ifaddrs_each(nl, 0, compare_address, &s, &why);

	if (!r)
		r = s.index ? fl_link_get_index(nl, s.index, &link, &why)
			    : fl_link_find(nl, ifname, &link, &why);
	if (r < 0)
		step_unknown(w->steps, "interface", NULL, "%s", why.text);
	else if (!link.index)
		step_failed(w->steps, "interface", "delete the attachment and make it again",
			    "there is no %s in the sandbox, and nothing has %s", ifname, want);
	else if (!(link.flags & IFF_UP))
		step_failed(w->steps, "interface",
			    TEXT("ip link set %s up, in the sandbox", link.name),
			    "%s is down in the sandbox", link.name);
	else if (!s.index)
		step_failed(w->steps, "interface",
			    TEXT("ip address add %s/PREFIX dev %s, in the sandbox", want, ifname),
			    "%s has not the address %s in the sandbox", ifname, want);
	else
		step_ok(w->steps, "interface", "%s is up and has %s", link.name, want);
}

/* Would the answer to a translated packet go straight to who asked, untranslated? */
static bool bypasses(const struct walk *w, const struct fl_nlroute *back)
{
	/* Where bridged packets are filtered, the host sees the answer and undoes the translation.
	 */
	return w->p.dnat && w->src && !bridge_filters(w->family) && !fl_addr_is_set(&back->gw) &&
	       back->type == RTN_UNICAST && attachment_has(w->src, &w->p.src);
}

static void check_answer(struct walk *w, struct fl_nl *nl)
{
	const char *src = fl_addr_str(&w->p.src, FL_ADDR_BUF);
	struct fl_error why = { 0 };
	struct fl_nlroute back;

	if (!fl_addr_is_set(&w->p.src))
		return;
	if (fl_route_get(nl, &w->p.src, NULL, 0, &back, &why))
		step_failed(w->steps, "answer",
			    "give the sandbox a default route: isDefaultGateway of the network",
			    "the answer has no way back: in the sandbox: %s", why.text);
	else if (back.type == RTN_LOCAL)
		step_failed(w->steps, "answer", "let the network have hairpin masquerade",
			    "it arrives with %s, the container's own address, as its source", src);
	else if (bypasses(w, &back))
		step_failed(w->steps, "answer", "let the network have hairpin masquerade",
			    "the answer goes straight to %s, who did not ask %s", src,
			    fl_addr_str(&w->p.dst, FL_ADDR_BUF));
	else
		step_ok(w->steps, "answer", "goes back to %s%s%s", src,
			fl_addr_is_set(&back.gw) ? " by " : "",
			fl_addr_is_set(&back.gw) ? fl_addr_str(&back.gw, FL_ADDR_BUF) : "");
}

static int look_inside(struct walk *w, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	FL_AUTONL struct fl_nl *nl = NULL;
	struct heard h = { .w = w };
	int r = ctl_sandbox(w->c, w->dst->main, &ns, &nl, err);

	if (r && r != -ENOENT)
		return r;
	if (r) {
		step_failed(w->steps, "sandbox", "delete the attachment and make it again",
			    "the sandbox of %s is gone, or its path %s leads to another one",
			    CONTAINER_LABEL(w->dst->main), w->dst->main->netns);
		return 0;
	}
	step_ok(w->steps, "sandbox", "%s is the recorded one", w->dst->main->netns);
	check_interface(w, nl);
	reach_foreign_inside(w, w->dst, &ns);
	if (!w->own)
		check_answer(w, nl);
	if (!w->p.dport)
		return 0;
	r = ctl_inside(w->c, &ns, ask_listener, &h, err);
	if (r)
		return r;
	judge_listener(w, &h, "in the sandbox");
	return 0;
}

int reach_arrive(struct walk *w, struct fl_error *err)
{
	if (!w->dst && w->to->kind == PARTY_PEER)
		return reach_peer(w, err);
	if (!w->dst) {
		if (w->to->kind == PARTY_CONTAINER)
			step_failed(w->steps, "endpoint", NULL, "nobody has the address %s",
				    fl_addr_str(&w->p.dst, FL_ADDR_BUF));
		else if (!reach_is_routed(w))
			step_ok(w->steps, "outside",
				"leaves the host; what %s makes of it is "
				"not looked at",
				PARTY(w->to));
		return reach_routed(w, err);
	}
	if (!w->own)
		reach_link(w, w->dst, NULL);
	return look_inside(w, err);
}

int reach(struct walk *w, struct fl_error *err)
{
	AUTOFOREIGN struct foreign *foreign = NULL;
	int r = reach_choose(w, err);

	int e = r > 0 ? reach_foreign_open(&foreign, err) : 0;

	if (e)
		return e;
	w->foreign = foreign;
	if (r > 0)
		r = reach_leave(w, err);
	if (r > 0 && w->bridged)
		r = reach_bridge(w, err);
	else if (r > 0 && !w->own)
		r = reach_host(w, err);
	if (r > 0)
		r = reach_arrive(w, err);
	if (r >= 0)
		r = reach_routed_back(w, err);
	return r < 0 ? r : 0;
}
