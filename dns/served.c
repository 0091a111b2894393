/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/broker.h"
#include "dns/rewrite.h"

#include "base/strbuf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif

/* Above what the kernel gives out by itself (ip_local_port_range). */
enum { PORT_FIRST = 61000, PORT_COUNT = 4096, PORT_TRIES = 64, BACKLOG = 128 };
enum { RECEIVE_BYTES = 1 << 19 };

static struct served **bucket_of(struct broker *b, uint64_t sandbox)
{
	return &b->served[(sandbox * 0x9e3779b97f4a7c15u) >> 52 & (SERVED_BUCKETS - 1)];
}

struct served *served_find(struct broker *b, uint64_t sandbox)
{
	struct served *s = *bucket_of(b, sandbox);

	while (s && s->sandbox != sandbox)
		s = s->next;
	return s;
}

struct served *served_adopt(struct broker *b, const struct served *s)
{
	struct served **bucket = bucket_of(b, s->sandbox), *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *s;
	copy->next = *bucket;
	*bucket = copy;
	b->n_served++;
	if (b->linger)
		event_del(b->linger);
	return copy;
}

/* ---- sockets: in the namespace that the thread is in ---- */

static int bound(int type, const struct fl_addr *a, uint16_t port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool v4 = a->family == AF_INET;
	FL_AUTOCLOSE int s = socket(a->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, whole = IP_PMTUDISC_DO, room = RECEIVE_BYTES;

	if (s < 0)
		return -errno;
	memcpy(&four.sin_addr, a->b, sizeof(four.sin_addr));
	memcpy(&six.sin6_addr, a->b, sizeof(six.sin6_addr));
	/* An address of the host need not be ready yet. */
	setsockopt(s, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_FREEBIND : IPV6_FREEBIND, &one, sizeof(one));
	/* Then the kernel does not look for each answer whether its source is an address of an
	 * interface, which ours, for being in 127.0.0.0/8 without, takes two searches to find. */
	if (v4)
		setsockopt(s, SOL_IP, IP_TRANSPARENT, &one, sizeof(one));
	/* Thousands of queries may come from one sandbox while another is answered. */
	if (type == SOCK_DGRAM)
		setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	/* Never in fragments (RFC 9715 section 3.1), which also spares the packet a number. */
	if (v4 && type == SOCK_DGRAM)
		setsockopt(s, SOL_IP, IP_MTU_DISCOVER, &whole, sizeof(whole));
	if (!v4)
		setsockopt(s, SOL_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	/* Connections of a predecessor that wait for their end do not count. */
	if (type == SOCK_STREAM)
		setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, v4 ? (const struct sockaddr *)&four : (const struct sockaddr *)&six,
		 v4 ? sizeof(four) : sizeof(six)) ||
	    (type == SOCK_STREAM && listen(s, BACKLOG)))
		return -errno;
	return fl_take_fd(&s);
}

static int open_pair(const struct fl_addr *a, uint16_t port, struct served *s)
{
	FL_AUTOCLOSE int udp = bound(SOCK_DGRAM, a, port);
	int tcp = udp < 0 ? udp : bound(SOCK_STREAM, a, port);

	if (tcp < 0)
		return tcp;
	s->udp = fl_take_fd(&udp);
	s->tcp = tcp;
	s->port = port;
	return 0;
}

static struct fl_addr own_address(void)
{
	return fl_addr_make(AF_INET, (const uint8_t[]){ 127, 0, 0, 11 });
}

/* `port`, else the first free one of a sequence that is the sandbox's own. */
static int open_free_pair(uint16_t port, struct served *s, struct fl_error *err)
{
	struct fl_addr a = own_address();
	int r = port ? open_pair(&a, port, s) : -EADDRINUSE;

	for (unsigned i = 0; r == -EADDRINUSE && i < PORT_TRIES; i++)
		r = open_pair(&a, (uint16_t)(PORT_FIRST + (s->sandbox * 31 + i) % PORT_COUNT), s);
	if (!r)
		return 0;
	return fl_error_errno(err, r, FL_ECODE_KERNEL,
			      "dns: cannot listen on " FL_DNSD_ADDRESS " in the sandbox");
}

/*
 * The runtime may not have come so far. It is needed before the sockets are bound: in a namespace
 * without any address the kernel takes ours for a broadcast address, and answers from another one.
 */
static int raise_loopback(struct fl_error *err)
{
	FL_AUTOCLOSE int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = { .ifr_name = "lo" };

	if (s < 0 || ioctl(s, SIOCGIFFLAGS, &lo))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL,
				      "dns: cannot look at lo in the sandbox");
	if (lo.ifr_flags & IFF_UP)
		return 0;
	lo.ifr_flags |= IFF_UP;
	return ioctl(s, SIOCSIFFLAGS, &lo)
		       ? fl_error_errno(err, errno, FL_ECODE_KERNEL,
					"dns: cannot bring lo up in the sandbox")
		       : 0;
}

static int open_inside(uint16_t port, bool rewritten, struct served *s, struct fl_error *err)
{
	int r = raise_loopback(err);

	if (!r)
		r = open_free_pair(port, s, err);
	if (r || (rewritten && s->port == port))
		return r;
	r = rewrite_set(s->port, err);
	if (!r)
		return 0;
	close(s->udp);
	close(s->tcp);
	if (r == -EOPNOTSUPP || r == -ENOENT || r == -EAFNOSUPPORT || r == -EPROTONOSUPPORT)
		fl_error_prefix(err, "dns: the kernel cannot rewrite ports in the sandbox "
				     "(CONFIG_NF_TABLES_IPV4, CONFIG_NFT_CT)");
	return r;
}

int served_open(struct broker *b, const struct fl_netns *ns, uint64_t sandbox, const char *path,
		uint16_t port, bool rewritten, struct served **ret, struct fl_error *err)
{
	struct served s = { .sandbox = sandbox, .dev = ns->dev, .ino = ns->ino };
	struct stat st;
	int r = fl_netns_enter(ns, err);

	if (r)
		return r;
	r = open_inside(port, rewritten, &s, err);
	leave_netns(b);
	if (r)
		return r;
	fl_strcpy(s.path, sizeof(s.path), path);
	s.seen = *path && !stat(path, &st) && st.st_dev == s.dev && st.st_ino == s.ino;
	*ret = served_adopt(b, &s);
	if (!*ret) {
		close(s.udp);
		close(s.tcp);
		return fl_error_oom(err);
	}
	worker_open(b, *ret);
	return 0;
}

uint64_t listener_id(const char *network, const struct fl_addr *a)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	for (const char *p = network; *p; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3u;
	for (size_t i = 0; i < sizeof(a->b); i++)
		h = (h ^ a->b[i]) * 0x100000001b3u;
	return h | 3ull << 62; /* no cookie is so large */
}

int served_listen(struct broker *b, const char *network, const struct fl_addr *a, uint16_t port,
		  struct fl_error *err)
{
	struct served s = { .sandbox = listener_id(network, a) }, *old = served_find(b, s.sandbox);
	int r;

	if (old && old->port == port)
		return 0;
	fl_strcpy(s.network, sizeof(s.network), network);
	r = open_pair(a, port, &s);
	if (r == -EADDRINUSE)
		return fl_error_set(err, r, FL_ECODE_CONFLICT,
				    "dns.listen: another server has port %u of %s on the host; let "
				    "it listen on other addresses only, or choose another port for "
				    "network %s",
				    port, fl_addr_str(a, FL_ADDR_BUF), network);
	if (r)
		return fl_error_errno(err, r, FL_ECODE_KERNEL,
				      "dns.listen: cannot listen at port %u of %s", port,
				      fl_addr_str(a, FL_ADDR_BUF));
	if (old)
		served_close(b, old, 0);
	old = served_adopt(b, &s);
	if (!old) {
		close(s.udp);
		close(s.tcp);
		return fl_error_oom(err);
	}
	worker_open(b, old);
	return 0;
}

/* ---- the end ---- */

/* The namespace may live on without us. */
static void clear_rules(const struct broker *b, const struct served *s)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;

	if (*s->network)
		return;
	ns.fd = ioctl(s->udp, SIOCGSKNS);
	if (ns.fd < 0 || fl_netns_enter(&ns, NULL))
		return;
	rewrite_remove(NULL);
	leave_netns(b);
}

void served_close(struct broker *b, struct served *s, uint64_t token)
{
	struct served **at = bucket_of(b, s->sandbox);
	struct timeval linger = { b->linger_ms / 1000, b->linger_ms % 1000 * 1000 };

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	clear_rules(b, s);
	close(s->udp);
	close(s->tcp);
	worker_close(b, s->sandbox, token);
	free(s);
	if (!--b->n_served && b->linger && !b->stay)
		event_add(b->linger, &linger);
}

bool served_used(const struct served *s)
{
	struct fl_netns ns = { .fd = -1, .dev = s->dev, .ino = s->ino };
	struct stat st;

	/* A path that we never saw proves nothing. */
	if (!s->seen || *s->network)
		return true;
	if (!stat(s->path, &st) && st.st_dev == s->dev && st.st_ino == s->ino)
		return true;
	return fl_netns_in_use(&ns);
}

void served_each(struct broker *b, void (*fn)(struct broker *b, struct served *s))
{
	for (size_t i = 0; i < SERVED_BUCKETS; i++)
		for (struct served *s = b->served[i], *next; s; s = next) {
			next = s->next;
			fn(b, s);
		}
}

bool served_recorded(struct broker *b, uint64_t sandbox)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	uint64_t digest;

	/* A store that cannot be read says nothing. */
	return fl_txn_begin(b->store, false, &t, NULL) ||
	       fl_sandbox_digest(t, sandbox, &digest, NULL) || digest;
}

bool served_listener_recorded(struct broker *b, const char *network)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_bytes dns;

	return fl_txn_begin(b->store, false, &t, NULL) ||
	       fl_listener_get(t, network, &dns, NULL) != -ENOENT;
}

static void sweep(struct broker *b, struct served *s)
{
	bool recorded = *s->network ? served_listener_recorded(b, s->network)
				    : served_recorded(b, s->sandbox);

	if (!recorded || !served_used(s))
		served_close(b, s, 0);
}

void served_sweep(struct broker *b)
{
	served_each(b, sweep);
}

/* ---- for the worker ---- */

int served_sockets(struct broker *b, const struct channel_msg *want, int *fds)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	const struct served *s = served_find(b, want->sandbox);
	uint32_t n = 0;

	if (!s || *s->network)
		return -ENOENT;
	ns.fd = ioctl(s->udp, SIOCGSKNS);
	if (ns.fd < 0)
		return -errno;
	if (fl_netns_enter(&ns, NULL))
		return -EPERM;
	while (n < want->count && n < CHANNEL_FDS) {
		fds[n] = socket(want->family == AF_INET6 ? AF_INET6 : AF_INET,
				(want->type == SOCK_STREAM ? SOCK_STREAM : SOCK_DGRAM) |
					SOCK_CLOEXEC | SOCK_NONBLOCK,
				0);
		if (fds[n] < 0)
			break;
		n++;
	}
	leave_netns(b);
	return n ? (int)n : -EMFILE;
}
