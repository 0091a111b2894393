/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet's way from one party to another, step by step: by the routes of the namespaces it
 * passes, the links of the bridges, and the skeleton's rules with the elements that are in the
 * kernel (fw/trace.h). Records say only who is who.
 *
 *   depart        reach_leave.c   out of a sandbox, off the host, or in from outside
 *   neighbours    reach_bridge.c  inside one bridge
 *   tunnel        reach_peer.c    to and from other nodes
 *                 reach_routed.c  where the host routes to them
 *   host          reach_host.c    translation, routing, forwarding, source
 *   arrive        reach_arrive.c  link, sandbox, interface, way back, listener
 *
 * A step that fails does not end the walk where the rest can still be looked at.
 */
#pragma once

#include "fw/trace.h"
#include "netctl/peers.h"
#include "netctl/port.h"
#include "netctl/steps.h"

enum party_kind { PARTY_HOST, PARTY_OUTSIDE, PARTY_CONTAINER, PARTY_PEER };

struct party {
	enum party_kind kind;
	char *text;		      /* as it was named, without the port; owned */
	const struct attachment **at; /* of a container; owned */
	size_t n;
	struct peers peers;	    /* containers of other nodes that may be meant; owned */
	const struct fl_peer *peer; /* the one of them that is */
	struct fl_addr addr;	    /* that was named, or unset; a peer's that was chosen */
	struct port_want port;	    /* port 0: none was named */
};

void party_clear(struct party *p);
#define AUTOPARTY FL_CLEANUP(party_clear)
/* A container, here or on another node, host, outside, or an address; with `port` PORT[/PROTO] may
 * follow behind ':'. */
int party_parse(struct ctl *c, const struct model *m, const char *words, bool port,
		struct party *ret, struct fl_error *err);
/* Of several with the address that was named: this one. */
void party_narrow(struct party *p, const struct attachment *at);
/* "container web", "the host", "the outside", "192.0.2.9 outside" */
const char *party_str(const struct party *p, char *buf, size_t size);
#define PARTY(p) party_str(p, (char[300]){ 0 }, 300)

struct foreign; /* other people's base chains on the host */

struct walk {
	struct ctl *c;
	const struct model *m;
	struct steps *steps;
	struct fl_fw *fw;
	struct party *from, *to;
	int family;
	struct fl_fw_packet p;		    /* as it is at this point of its way */
	const struct attachment *src, *dst; /* whose addresses it has; NULL: no container's */
	struct fl_addr nexthop;		    /* of the sandbox that it leaves */
	bool bridged;			    /* it does not leave the bridge that it came from */
	bool own;			    /* it does not leave the sandbox */
	struct foreign *foreign;	    /* during reach() */
};

/* The whole way; the result is in the steps. Fails only where nothing at all can be told. */
int reach(struct walk *w, struct fl_error *err);

/* ---- between the files ---- */

/* Whom of other nodes the party's address or words mean; without `whole`, the beginning of an id
 * will do. 1, 0: nobody; -errno. */
int party_take_peers(struct ctl *c, struct party *p, bool whole, struct fl_error *err);
/* On a network in common with the other party, whose name is returned, or on any: NULL. */
const char *party_choose_peer(struct party *p, const struct party *other, int family);
/* Out to a peer: the end of what can be looked at. */
int reach_peer(struct walk *w, struct fl_error *err);
/* In from one. -ENOENT: not through a tunnel. */
int reach_from_peer(struct walk *w);

/* The network that routes by this tunnel, or NULL. */
const struct fl_network *reach_tunnel_of(const struct walk *w, const char *ifname);
/* The host's route leads into the tunnel where it ought to; else false, and a step. */
bool reach_routed_gate(struct walk *w);
/* The host has no route: the step that says why, if it is about such a network. */
bool reach_routed_refused(struct walk *w);
/* Does the packet go to an address of such a network? */
bool reach_is_routed(const struct walk *w);
/* From the route into the tunnel to the node's VTEP; nothing where the packet does not go there. */
int reach_routed(struct walk *w, struct fl_error *err);
/* The same for the answer to who is on another node. */
int reach_routed_back(struct walk *w, struct fl_error *err);

/* Source and destination, by names and common networks. 1: there is a way to look at, 0: none. */
int reach_choose(struct walk *w, struct fl_error *err);
/* These return 1 to go on, 0 at the end of the way. */
int reach_leave(struct walk *w, struct fl_error *err);
int reach_bridge(struct walk *w, struct fl_error *err);
int reach_host(struct walk *w, struct fl_error *err);
int reach_arrive(struct walk *w, struct fl_error *err);
/* At a socket of the host. */
int reach_arrive_host(struct walk *w, struct fl_error *err);

bool attachment_has(const struct attachment *at, const struct fl_addr *a);
/* The first one of those that have it. */
const struct attachment *attachment_of_address(const struct model *m, const struct fl_addr *a);
/* Its address of the family; NULL. */
const struct fl_addr *attachment_address(const struct attachment *at, int family);
bool address_is_local(struct ctl *c, const struct fl_addr *a);
/* The host's link of an endpoint: there, up, where it belongs. `ret` may be NULL. 1: usable. */
int reach_link(struct walk *w, const struct attachment *at, struct fl_link *ret);
/* The interface of the host that leads to it: the bridge, or its own link. "" for none. */
const char *attachment_gate(const struct model *m, const struct attachment *at);
/* Has it no link on the host (macvlan, host-device)? What it sends passes nothing of the host's. */
bool attachment_is_apart(const struct attachment *at);
/* Does the kernel send bridged packets through the host's rules? */
bool bridge_filters(int family);

/*
 * Other people's base chains that the packet or its answer passes: what stops everything is a
 * failure, what may stop it is not known. Each is told where the way meets it first.
 */
int reach_foreign_open(struct foreign **ret, struct fl_error *err);
void reach_foreign_close(struct foreign *f);
static inline void reach_foreign_closep(struct foreign **f)
{
	reach_foreign_close(*f);
}
#define AUTOFOREIGN FL_CLEANUP(reach_foreign_closep)
void reach_foreign(struct walk *w, uint32_t hook); /* NF_INET_..., of the host's own routing */
void reach_foreign_forward(struct walk *w, bool marked);
void reach_foreign_bridge(struct walk *w, uint32_t hook);
void reach_foreign_socket(struct walk *w); /* of the host */
void reach_foreign_device(struct walk *w, const char *ifname);
/* Between an endpoint and the host's routing: its link, the bridge. */
void reach_foreign_gate(struct walk *w, const struct attachment *at);
void reach_foreign_inside(struct walk *w, const struct attachment *at, const struct fl_netns *ns);
