/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fairlead-dnsd, the privileged half. Private to the daemon.
 *
 * The broker enters sandboxes, opens sockets there and keeps them; it meets no byte of a container.
 * The worker gets the sockets and answers; when it dies, another one gets them, and no query is
 * lost. A new broker takes them over (SIGHUP: the executable is started anew, in place), or opens
 * them again from the records.
 *
 * A socket keeps its namespace alive. So a sandbox is closed when a plugin says so, when its last
 * record goes, and when it is provably nobody's any more: the path that led to it does not, and no
 * process is in it.
 */
#pragma once

#include "base/cleanup.h"
#include "dns/channel.h"
#include "dns/request.h"
#include "netns/netns.h"
#include "store/hosts.h"

#include <event2/event.h>
#include <sys/types.h>

enum {
	SWEEP_MS = 5000,
	LINGER_MS = 10000, /* without sandboxes, until the end */
	SERVED_BUCKETS = 4096,
	CLIENTS_MAX = 4096,
	FILES = 1 << 20, /* descriptors that are asked for */
};

struct broker;
struct client;

/* One sandbox, or the listener of a network for its host. Handed from one version of the daemon to
 * the next as it is: it may grow at its end only. */
struct served {
	struct served *next; /* of the bucket */
	uint64_t sandbox;
	int udp, tcp;
	uint16_t port;
	bool seen;	   /* the path led to it, as seen from here */
	uint64_t dev, ino; /* of the namespace's file */
	char network[201]; /* of a listener, else "" */
	char path[256];
};

/* A process that answers. */
struct worker_process {
	pid_t pid; /* 0: none */
	int fd;	   /* channel */
	struct event *event;
};

struct broker {
	struct event_base *base;
	struct fl_netns self;
	struct fl_store *store;
	char state[4096];   /* its directory */
	char program[4096]; /* this executable */
	uint64_t state_dev, state_ino;
	uint64_t data_ino; /* of the environment in it that is open */
	int lock;	   /* held as long as this daemon serves the state */
	int listeners[2];  /* ours, systemd's; -1 */
	struct worker_process worker, draining;
	struct served *served[SERVED_BUCKETS];
	size_t n_served;
	struct client *clients;
	unsigned n_clients;
	uint64_t next_token;
	struct event *linger, *respawn;
	unsigned respawns;
	struct hostconf *hostconf;
	bool quiet; /* to syslog(3) */
	bool stay;  /* without sandboxes too */
	unsigned linger_ms;
	const char *cache; /* worker's option */
};

/* ---- main.c ---- */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Hands everything to a new process image. Comes back only when that fails. */
void broker_replace(struct broker *b);
/* SIGHUP waits: an image that is not ready for it would end by it. */
void block_hangup(bool on);
/* Is what we read another file than what plugins write? Somebody removed it. */
bool broker_reads_old_state(const struct broker *b);
/* Back to the daemon's own namespace. Ends the process when that fails: to go on in a container's
 * would be worse than a restart. */
void leave_netns(const struct broker *b);

/* ---- clients.c ---- */
void client_accept(struct broker *b, int fd);
/* The worker has closed what the token is for; 0: all tokens, of a worker that is gone. */
void clients_closed(struct broker *b, const struct worker_process *w, uint64_t token);

/* ---- served.c ---- */
struct served *served_find(struct broker *b, uint64_t sandbox);
/*
 * Opens sockets in the namespace, on `port` where that is not 0 and free, and rewrites what is sent
 * to port 53 there, unless it is already to that port (`rewritten`). The worker is told.
 */
int served_open(struct broker *b, const struct fl_netns *ns, uint64_t sandbox, const char *path,
		uint16_t port, bool rewritten, struct served **ret, struct fl_error *err);
/* At an address of the host, of a network. */
int served_listen(struct broker *b, const char *network, const struct fl_addr *a, uint16_t port,
		  struct fl_error *err);
uint64_t listener_id(const char *network, const struct fl_addr *a);
/* Takes over sockets that are open. NULL: no memory. */
struct served *served_adopt(struct broker *b, const struct served *s);
/* Forgets it, closes its sockets and tells the worker, whose answer will carry the token. */
void served_close(struct broker *b, struct served *s, uint64_t token);
/* Has the sandbox a record of an endpoint that wants a resolver? */
bool served_recorded(struct broker *b, uint64_t sandbox);
bool served_listener_recorded(struct broker *b, const char *network);
/* Is somebody in it, or may come back by its path? */
bool served_used(const struct served *s);
/* `count` sockets in the sandbox for the worker. */
int served_sockets(struct broker *b, const struct channel_msg *want, int *fds);
/* Closes what has no record, or is nobody's. */
void served_sweep(struct broker *b);
void served_each(struct broker *b, void (*fn)(struct broker *b, struct served *s));

/* ---- reopen.c: everything that is recorded and not yet served ---- */
void reopen_all(struct broker *b);

/* ---- process.c: the worker ---- */
int worker_start(struct broker *b, struct fl_error *err);
void worker_end(struct broker *b, struct worker_process *w);
/* The worker is told to finish: it is `draining` from now on, and there is none at work. */
void worker_drain(struct broker *b);
void worker_adopt_draining(struct broker *b, pid_t pid, int fd);
/* SIGCHLD. */
void worker_reap(struct broker *b);
/* To the one at work; what cannot be sent within a second ends it. */
void worker_tell(struct broker *b, const struct channel_msg *m, const int *fds, size_t n);
void worker_open(struct broker *b, const struct served *s);
/* To both of them. */
void worker_close(struct broker *b, uint64_t sandbox, uint64_t token);

/* ---- hostconf.c: the host's resolv.conf, followed ---- */
int hostconf_start(struct broker *b, struct fl_error *err);
void hostconf_tell(struct broker *b);
void hostconf_stop(struct broker *b);

/* ---- worker.c ---- */
int worker_main(int channel, const char *state, const char *cache);
