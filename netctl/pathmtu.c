/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/pathmtu.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { SMALL = 84, PACKET_MAX = 65536 };

/* Both families' echo messages: RFC 792, RFC 4443 section 4.1. */
struct echo {
	uint8_t type, code;
	uint16_t sum, id, seq; /* seq: twice the index in `v`, one more for the large one */
};

struct prober {
	struct path *v;
	size_t n, open; /* those that are waited for */
	int s[2];	/* of IPv4 and IPv6; -1: not needed */
	uint16_t id;
	uint8_t *packet; /* PACKET_MAX */
};

static void prober_clear(struct prober *p)
{
	for (int i = 0; i < 2; i++)
		if (p->s[i] >= 0)
			close(p->s[i]);
	free(p->packet);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_six(const struct fl_addr *a)
{
	return a->family == AF_INET6;
}

static socklen_t fill(struct sockaddr_storage *to, const struct fl_addr *a)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
	struct sockaddr_in *four = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = a->family;
	if (is_six(a))
		memcpy(&six->sin6_addr, a->b, 16);
	else
		memcpy(&four->sin_addr, a->b, 4);
	return is_six(a) ? sizeof(*six) : sizeof(*four);
}

/* Only answers are let in: the host's other echo requests are not ours to read. */
static int set_options(int s, bool six)
{
	struct icmp6_filter f6;
	int level = six ? IPPROTO_IPV6 : IPPROTO_IP, on = 1;
	int probe = six ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE, room = 4 << 20;
	uint32_t others = ~(1u << ICMP_ECHOREPLY);

	ICMP6_FILTER_SETBLOCKALL(&f6);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f6);
	setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (setsockopt(s, level, six ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &probe,
		       sizeof(probe)) ||
	    setsockopt(s, level, six ? IPV6_RECVERR : IP_RECVERR, &on, sizeof(on)))
		return -errno;
	if (six ? setsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &f6, sizeof(f6))
		: setsockopt(s, SOL_RAW, ICMP_FILTER, &others, sizeof(others)))
		return -errno;
	return 0;
}

static int open_one(int *s, bool six, struct fl_error *err)
{
	int r;

	if (*s >= 0)
		return 0;
	*s = socket(six ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    six ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	r = *s < 0 ? -errno : set_options(*s, six);
	return r ? fl_error_errno(err, r, FL_ECODE_KERNEL, "cannot send echo requests") : 0;
}

static uint16_t checksum(const uint8_t *b, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	if (n & 1)
		sum += (uint32_t)b[n - 1] << 8;
	sum = (sum >> 16) + (sum & 0xffff);
	return htons((uint16_t) ~(sum + (sum >> 16)));
}

/* ---- what comes back ---- */

static bool is_done(const struct path *path)
{
	return path->size ? path->large || (path->small && path->limit) : path->small;
}

static struct path *meant(const struct prober *p, const struct echo *e, bool *large)
{
	size_t i = ntohs(e->seq) / 2;

	*large = ntohs(e->seq) & 1;
	return e->id == p->id && i < p->n ? &p->v[i] : NULL;
}

/* The message that it is about comes with it. */
static void take_error(struct prober *p, int s)
{
	union {
		char bytes[512];
		struct cmsghdr align;
	} control;
	struct echo e = { 0 };
	struct iovec iov = { &e, sizeof(e) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(s, &m, MSG_ERRQUEUE);
	struct path *path;
	bool large, was;

	path = n >= (ssize_t)sizeof(e) ? meant(p, &e, &large) : NULL;
	was = path && is_done(path);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); path && n >= 0 && c; c = CMSG_NXTHDR(&m, c)) {
		const struct sock_extended_err *x = (const void *)CMSG_DATA(c);

		if (((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
		     (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) &&
		    x->ee_errno == EMSGSIZE && large && x->ee_info)
			path->limit = x->ee_info;
	}
	p->open -= path && !was && is_done(path);
}

static void take_answer(struct prober *p, int s, bool six)
{
	ssize_t n = recv(s, p->packet, PACKET_MAX, 0);
	size_t head = six || n < 20 ? 0 : (size_t)(p->packet[0] & 15) * 4;
	struct path *path;
	struct echo e;
	bool large, was;

	if (n < 0 || (size_t)n < head + sizeof(e))
		return;
	memcpy(&e, p->packet + head, sizeof(e));
	path = meant(p, &e, &large);
	if (!path)
		return;
	was = is_done(path);
	path->small = true;
	path->large |= large;
	p->open -= !was && is_done(path);
}

static void receive(struct prober *p, int ms)
{
	struct pollfd f[2] = { { .fd = p->s[0], .events = POLLIN },
			       { .fd = p->s[1], .events = POLLIN } };

	if (poll(f, 2, ms) <= 0)
		return;
	for (int i = 0; i < 2; i++) {
		if (f[i].revents & POLLERR)
			take_error(p, p->s[i]);
		if (f[i].revents & POLLIN)
			take_answer(p, p->s[i], i);
	}
}

/* ---- asking ---- */

/* Of the way's first hop, to which the message was too large already. */
static uint32_t device_mtu(const struct sockaddr_storage *to, socklen_t len)
{
	FL_AUTOCLOSE int probe = socket(to->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool six = to->ss_family == AF_INET6;
	int mtu = 0;
	socklen_t n = sizeof(mtu);

	if (probe < 0 || connect(probe, (const struct sockaddr *)to, len) ||
	    getsockopt(probe, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_MTU : IP_MTU, &mtu, &n))
		return 0;
	return (uint32_t)mtu;
}

static void send_one(struct prober *p, size_t i, bool large)
{
	struct path *path = &p->v[i];
	bool six = is_six(&path->to);
	size_t len = (large ? path->size : SMALL) - (six ? 40 : 20);
	struct echo e = { .type = six ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
			  .id = p->id,
			  .seq = htons((uint16_t)(2 * i + large)) };
	struct sockaddr_storage to;
	socklen_t n = fill(&to, &path->to);

	memset(p->packet, 0, len);
	memcpy(p->packet, &e, sizeof(e));
	if (!six) {
		e.sum = checksum(p->packet, len);
		memcpy(p->packet, &e, sizeof(e));
	}
	/* What came back of an earlier one is told first, and the message not sent. */
	for (int tries = 0; tries < 3; tries++) {
		if (sendto(p->s[six], p->packet, len, 0, (const struct sockaddr *)&to, n) >= 0)
			return;
		if (errno == EMSGSIZE && !path->limit)
			path->limit = device_mtu(&to, n);
		if (errno != EAGAIN)
			take_error(p, p->s[six]);
	}
}

static void ask(struct prober *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct path *path = &p->v[i];

		if (path->size > SMALL && !path->large)
			send_one(p, i, true);
		if (!path->small)
			send_one(p, i, false);
		/* Before there are more answers than a socket holds. */
		if (!(i % 64))
			receive(p, 0);
	}
}

int paths_probe(struct path *v, size_t n, struct fl_error *err)
{
	FL_CLEANUP(prober_clear)
	struct prober p = { .v = v, .n = n < PATHS_MAX ? n : PATHS_MAX, .s = { -1, -1 } };
	int64_t begin, left;
	bool again = false;
	int r = 0;

	p.packet = malloc(PACKET_MAX);
	if (!p.packet || getrandom(&p.id, sizeof(p.id), 0) != sizeof(p.id))
		return fl_error_oom(err);
	for (size_t i = 0; !r && i < p.n; i++) {
		v[i].small = v[i].large = false;
		v[i].limit = 0;
		r = open_one(&p.s[is_six(&v[i].to)], is_six(&v[i].to), err);
	}
	if (r || !p.n)
		return r;
	p.open = p.n;
	begin = now_ms();
	ask(&p);
	while (p.open && (left = begin + PATH_WAIT_MS - now_ms()) > 0) {
		if (!again && left <= PATH_WAIT_MS / 2) {
			again = true;
			ask(&p);
		}
		receive(&p, (int)(again ? left : left - PATH_WAIT_MS / 2));
	}
	return 0;
}
