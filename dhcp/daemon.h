/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fairlead-dhcpd: keeps the DHCP leases of containers. Private to the daemon.
 *
 * One thread, one event loop, one struct lease a container interface. A socket in a namespace keeps
 * that namespace alive, so each is open only while an answer may come: `ip netns del` is never
 * undone by the daemon for longer than LISTEN_MS. Before every transmission the namespace is opened
 * anew by its path and compared by its cookie; one that is gone or another ends the lease without a
 * packet.
 *
 * The first ADD's address is configured by the plugin that asked; from then on the daemon keeps it:
 * renewals set its lifetime, a changed lease changes address and routes, a lost one removes the
 * address.
 *
 * Answers (requests: dhcp/options.h), besides {"error": {"code", "msg"}}:
 *   ADD, CHECK  {"ip4": {"address": "CIDR", "gateway"?}, "routes": [{"dst", "gw" | "scope": 253,
 *                "priority"?}], "dns": {"nameservers"?, "domain"?, "search"?}, "mtu"?,
 *                "lease": seconds left, -1 for ever}
 *   DEL         {}     also when there is no such lease
 *   GC          {"released": number}
 *   STATUS      {"version", "leases": number}
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "dhcp/client.h"
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
	struct fl_dhcp_client client;
	uint64_t cookie; /* of its namespace; 0: none known */

	/* channel.c */
	int packet, udp; /* sockets, -1 while closed */
	uint32_t ifindex;
	struct event *readable;
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
/* Private folders down to the path's last slash. */
int make_parents(const char *path, struct fl_error *err);

/* ---- conn.c ---- */
void conn_accept(struct daemon *d, int fd);
/* Takes the answer, sends it and closes. */
void conn_answer(struct conn *c, json_t *answer);
void conn_fail(struct conn *c, const struct fl_error *err);

/* ---- lease.c ---- */
struct lease *lease_find(struct daemon *d, const struct fl_dhcp_request *q);
/* Takes over `request` (owned) and begins; `waiter` is answered when the lease is bound or not. */
int lease_add(struct daemon *d, json_t *request, struct conn *waiter, struct lease **ret,
	      struct fl_error *err);
/* One read from its file: ack is set when there was a lease. */
struct lease *lease_restore(struct daemon *d, json_t *request, struct fl_error *err);
void lease_resume(struct lease *l);
/* Gives the lease back where its namespace still is, and forgets it. */
void lease_release(struct lease *l, const char *why);
/* Memory only; its file stays. */
void lease_free(struct lease *l);
/* The answer to ADD and CHECK. */
json_t *lease_describe(const struct lease *l);
/* After anything that may have changed the lease: next timer, or its end. */
void lease_settle(struct lease *l);
void lease_input(struct lease *l, const uint8_t *msg, size_t len, const struct fl_mac *from);

/* ---- channel.c: sockets in the lease's namespace ---- */
/*
 * Opens the lease's namespace if it is still the same one. -ESTALE: gone, or another.
 */
int channel_netns(const struct lease *l, struct fl_netns *ret, struct fl_error *err);
int channel_open(struct lease *l, struct fl_error *err);
void channel_close(struct lease *l);
int channel_send(struct lease *l, const struct fl_dhcp_packet *p, struct fl_error *err);

/* ---- apply.c: address and routes inside ---- */
/* old: what is configured, NULL: nothing. */
int apply_lease(struct lease *l, const struct fl_dhcp_reply *old, struct fl_error *err);
int apply_loss(struct lease *l, const struct fl_dhcp_reply *old, struct fl_error *err);
/* -ENOENT with a sentence when the lease's address is not on its interface. */
int apply_check(struct lease *l, struct fl_error *err);

/* ---- state.c: one file a lease ---- */
int state_open(struct daemon *d, struct fl_error *err);
int state_save(const struct lease *l, struct fl_error *err);
void state_forget(const struct lease *l);
void state_load(struct daemon *d);
