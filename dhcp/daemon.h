/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fairlead-dhcpd: keeps the DHCP leases of containers. Private to the daemon.
 *
 * One thread, one event loop, one struct lease a container interface and family. A socket in a
 * namespace keeps that namespace alive, so each is open only while an answer may come: `ip netns
 * del` is never undone by the daemon for longer than LISTEN_MS. Before every transmission the
 * namespace is opened anew by its path and compared by its cookie; one that is gone or another ends
 * the lease without a packet.
 *
 * The first ADD's address is configured by the plugin that asked; from then on the daemon keeps it:
 * renewals set its lifetime, a changed lease changes address and routes, a lost one removes the
 * address. An ADD of both families is answered when both are leased, and when one fails the other
 * is given back.
 *
 * Answers (requests: dhcp/options.h), besides {"error": {"code", "msg"}}:
 *
 * - ADD, CHECK: {"ip4": {"address": "CIDR", "gateway"?}, "ip6": {"address": "ADDR/128"}, "routes":
 *   [{"dst", "gw" | "scope": 253, "priority"?}], "dns": {"nameservers"?, "domain"?, "search"?},
 *   "mtu"?, "lease": seconds left, -1 for ever}; "ip4" and "ip6" of the families that are leased
 * - DEL: {}, also when there is no such lease
 * - GC: {"released": number}
 * - STATUS: {"version", "leases": number}
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "dhcp/client6.h"
#include "dhcp/options.h"
#include "dhcp/request.h"
#include "netns/netns.h"

#include <event2/event.h>

#define STATE_DIR "/run/fairlead/dhcp"

enum {
	LISTEN_MS = 5000,	/* after a transmission, when no ADD waits */
	REQUEST_MS = 10000,	/* for reading a request */
	CHECK_CLOCK_MS = 60000, /* the loop's clock stands still while the machine sleeps */
	DEFAULT_TIMEOUT = 10,	/* seconds, of an ADD */
	CONNECTIONS_MAX = 4096,
};

struct lease;
struct conn;

struct daemon {
	struct event_base *base;
	struct fl_netns self;
	struct lease *leases;
	unsigned n_conns;
	int state_dir; /* descriptor */
	char boot[40]; /* /proc/sys/kernel/random/boot_id */
	/* options */
	const char *socket_path, *state_path, *host_prefix, *pid_file;
	unsigned timeout;    /* seconds */
	uint32_t resend_max; /* ms */
	bool broadcast;
};

/* The message that is being handled. */
struct input {
	const uint8_t *msg;
	size_t len;
	const struct fl_mac *from; /* of the Ethernet frame */
};

struct lease {
	struct daemon *d;
	struct lease *next;
	char id[17];		  /* name of its file */
	json_t *request;	  /* the ADD, owned; q borrows from it */
	struct fl_dhcp_request q; /* q.id is only a template: client.id is in use */
	int family;		  /* AF_INET: client, AF_INET6: client6 is in use */
	struct fl_dhcp_client client;
	struct fl_dhcp6_client client6;
	uint64_t cookie; /* of its namespace; 0: none known */

	/* channel.c, channel6.c */
	int packet, udp; /* sockets, -1 while closed */
	int watch; /* netlink: tells of IPv6 addresses, while the link-local one is not ready */
	uint32_t ifindex;
	struct event *readable, *watching;
	uint64_t listen_until;
	struct fl_mac server_mac; /* the next hop to the server, zero: unknown */

	struct event *timer;
	struct conn *waiter; /* of an ADD that is not answered yet */
	uint64_t add_deadline;
	uint8_t ack[FL_DHCP_INPUT_MAX]; /* as received: what the state file keeps */
	size_t ack_len;
	struct input input;
	bool gone; /* the namespace: to be forgotten */
};

/* ---- main.c ---- */
/* ms of CLOCK_BOOTTIME */
uint64_t now_ms(void);
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_of(const struct lease *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Back to the daemon's own namespace. Ends the process when that fails: to go on in a container's
 * would be worse than a restart, which loses nothing. */
void leave_netns(const struct daemon *d);

/* ---- listen.c: the socket, or systemd's ---- */
int open_listener(const struct daemon *d, bool *ret_own, struct fl_error *err);

/* ---- conn.c ---- */
void conn_accept(struct daemon *d, int fd);
/* Takes the answer, sends it and closes. */
void conn_answer(struct conn *c, json_t *answer);
void conn_fail(struct conn *c, const struct fl_error *err);

/* ---- lease.c ---- */
static inline bool lease_held(const struct lease *l)
{
	return l->family == AF_INET ? l->client.held : l->client6.held;
}
/* When the address ends, ms, FL_DHCP_NEVER: not at all. */
static inline uint64_t lease_expiry(const struct lease *l)
{
	return l->family == AF_INET ? l->client.expiry : l->client6.expiry;
}
/* The first one of the endpoint, then those after it. */
struct lease *lease_find(struct daemon *d, const struct fl_dhcp_request *q);
struct lease *lease_next(const struct lease *l);
/* Borrows `request`, of which q is the decoded form, and begins; `waiter` is answered when all its
 * leases are bound, or one is not to be. On failure it is still to be answered. */
int lease_add(struct daemon *d, json_t *request, const struct fl_dhcp_request *q,
	      struct conn *waiter, struct fl_error *err);
/* One read from its file: ack is set when there was a lease. Borrows `request`. */
struct lease *lease_restore(struct daemon *d, json_t *request, int family, struct fl_error *err);
void lease_resume(struct lease *l);
/* Gives the lease back where its namespace still is, and forgets it. */
void lease_release(struct lease *l, const char *why);
/* Memory only; its file stays. */
void lease_free(struct lease *l);
/* After anything that may have changed the lease: next timer, or its end. */
void lease_settle(struct lease *l);
void lease_input(struct lease *l, const uint8_t *msg, size_t len, const struct fl_mac *from);
/* What both families have in common of an event: a message that could not be sent or was; a lease
 * that is to be kept and told of, and when true comes back, to be applied; what came of applying.
 */
void lease_sent(struct lease *l, int r, const struct fl_error *err);
/* As lease_sent(), for a reason that time does not mend: an ADD is told at once. The lease lives
 * until lease_settle(): the client may be calling. */
void lease_hopeless(struct lease *l, int r, const struct fl_error *err);
bool lease_keep(struct lease *l, bool renewed, const struct fl_prefix *ip, uint32_t seconds);
void lease_lost(struct lease *l, enum fl_dhcp_event e, const struct fl_prefix *ip, int r,
		const struct fl_error *err);
void lease_applied(struct lease *l, int r, const struct fl_error *err);

/* ---- lease6.c ---- */
void lease6_init(struct lease *l);
void lease6_input(struct lease *l, const uint8_t *msg, size_t len);
/* The address of a message, with the length 128. */
struct fl_prefix lease6_ip(const struct fl_dhcp6_reply *r);

/* ---- answer.c ---- */
/* The answer to ADD and CHECK, of all held leases of the endpoint. */
json_t *answer_of(struct daemon *d, const struct fl_dhcp_request *q);

/* ---- channel.c: sockets in the lease's namespace ---- */
/*
 * Opens the lease's namespace if it is still the same one. -ESTALE: gone, or another.
 */
int channel_netns(const struct lease *l, struct fl_netns *ret, struct fl_error *err);
int channel_open(struct lease *l, struct fl_error *err);
/* In the namespace: the link, up. */
int channel_link(struct lease *l, struct fl_error *err);
void channel_close(struct lease *l);
/* To a port below 1,024: the one thing for which the daemon needs CAP_NET_BIND_SERVICE. */
int channel_bind(int s, const struct sockaddr *at, socklen_t len);
static inline bool channel_is_open(const struct lease *l)
{
	return l->packet >= 0 || l->udp >= 0 || l->watch >= 0;
}
int channel_send(struct lease *l, const struct fl_dhcp_packet *p, struct fl_error *err);

/* ---- channel6.c: the same by UDP from the link-local address ---- */
/* -EAGAIN: that address is not ready, and fl_dhcp6_client_ready() will be called as it is. */
int channel6_open(struct lease *l, struct fl_error *err);
int channel6_send(struct lease *l, const uint8_t *msg, size_t len, struct fl_error *err);

/* ---- apply.c, apply6.c: address and routes inside ---- */
/* old: what is configured, NULL: nothing. */
int apply_lease(struct lease *l, const struct fl_dhcp_reply *old, struct fl_error *err);
int apply_loss(struct lease *l, const struct fl_dhcp_reply *old, struct fl_error *err);
int apply6_lease(struct lease *l, const struct fl_dhcp6_reply *old, struct fl_error *err);
int apply6_loss(struct lease *l, const struct fl_dhcp6_reply *old, struct fl_error *err);
/* -ENOENT with a sentence when the lease's address is not on its interface. */
int apply_check(struct lease *l, struct fl_error *err);

/* A visit of the namespace, for apply.c and apply6.c. */
struct inside {
	struct fl_nl *nl; /* belongs to the namespace, outlives the visit */
	uint32_t index;
};
void inside_close(struct inside *in);
#define AUTOINSIDE FL_CLEANUP(inside_close)
/* `promote`: a removed IPv4 address is not to take with it others of its subnet (ip-sysctl.rst). */
int inside_open(struct lease *l, bool promote, struct inside *in, struct fl_error *err);
bool inside_has(const struct inside *in, const struct fl_prefix *p);
/* Of the lease, at least 1, UINT32_MAX for ever: as the kernel counts. */
uint32_t seconds_until(uint64_t at);

/* ---- state.c: one file a lease ---- */
int state_open(struct daemon *d, struct fl_error *err);
int state_save(const struct lease *l, struct fl_error *err);
void state_forget(const struct lease *l);
void state_load(struct daemon *d);
