/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nl/nl.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

/* enum tcp_states of the kernel: an unconnected UDP socket counts as CLOSE. */
#define STATE_CLOSE 7
#define STATE_LISTEN 10

struct wanted {
	uint8_t proto;
	const struct fl_addr *host;
	uint16_t port;
	uint32_t count;
};

/* IPV6_V6ONLY, which the kernel tells of sockets of this family. */
static bool is_v6only(const struct nlmsghdr *h)
{
	const struct inet_diag_msg *d = NLMSG_DATA(h);
	int left = (int)(h->nlmsg_len - NLMSG_SPACE(sizeof(*d)));

	for (const struct rtattr *a = (const void *)((const char *)d + NLMSG_ALIGN(sizeof(*d)));
	     RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(a) >= 1)
			return *(const uint8_t *)RTA_DATA(a);
	return false;
}

static bool holds(const struct nlmsghdr *h, const struct wanted *w)
{
	const struct inet_diag_msg *d = NLMSG_DATA(h);
	struct fl_addr a = fl_addr_make(d->idiag_family, d->id.idiag_src);
	const struct fl_addr *host = w->host;
	uint16_t port = ntohs(d->id.idiag_sport);

	if (port < w->port || port - w->port >= (int)w->count)
		return false;
	if (host->family == AF_INET && a.family == AF_INET6 && is_v6only(h))
		return false;
	return !fl_addr_is_set(host) || fl_addr_is_any(host) || fl_addr_is_any(&a) ||
	       fl_addr_eq(&a, host);
}

static int scan(int fd, const struct wanted *w, struct fl_listener *ret, bool *found)
{
	char buf[16384];
	ssize_t len;

	for (;;) {
		len = recv(fd, buf, sizeof(buf), 0);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			const struct inet_diag_msg *d = NLMSG_DATA(h);

			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (*found || !holds(h, w))
				continue;
			*found = true;
			*ret = (struct fl_listener){
				d->idiag_inode, d->idiag_uid, ntohs(d->id.idiag_sport),
				fl_addr_make(d->idiag_family, d->id.idiag_src)
			};
		}
	}
}

static int ask_family(int fd, int family, const struct wanted *w, struct fl_listener *ret,
		      bool *found)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} q = { .h = { sizeof(q), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 },
		.r = { .sdiag_family = (uint8_t)family,
		       .sdiag_protocol = w->proto,
		       .idiag_states =
			       1u << (w->proto == IPPROTO_UDP ? STATE_CLOSE : STATE_LISTEN) } };

	/* The kernel filters dumps by the source port given here: inet_diag_dump_icsk(). */
	q.r.id.idiag_sport = w->count == 1 ? htons(w->port) : 0;
	if (send(fd, &q, sizeof(q), 0) < 0)
		return -errno;
	return scan(fd, w, ret, found);
}

int fl_port_listener(uint8_t proto, const struct fl_addr *host, uint16_t port, uint32_t count,
		     struct fl_listener *ret, struct fl_error *err)
{
	struct wanted w = { proto, host, port, count };
	FL_AUTOCLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	bool found = false;
	int r = 0;

	if (fd < 0)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL,
				      "cannot open a socket-diagnosis socket");
	if (host->family != AF_INET6)
		r = ask_family(fd, AF_INET, &w, ret, &found);
	/* A wildcard IPv6 socket takes IPv4 connections too. */
	if (!r && !found)
		r = ask_family(fd, AF_INET6, &w, ret, &found);
	/* ENOENT: this kernel has no diagnosis module for the protocol; nobody can be named then.
	 */
	if (r && r != -ENOENT)
		return fl_error_errno(err, r, FL_ECODE_KERNEL, "cannot ask who listens on port %u",
				      port);
	return found;
}

static bool process_has(const char *pid, const char *want)
{
	char path[300], link[64];
	struct dirent *e;
	ssize_t n;
	bool has = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!has && (e = readdir(dir))) {
		n = readlinkat(dirfd(dir), e->d_name, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		has = !strcmp(link, want);
	}
	closedir(dir);
	return has;
}

static void read_comm(const char *pid, char *comm)
{
	char path[300];

	comm[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	FL_AUTOFCLOSE FILE *f = fopen(path, "re");

	if (f && fgets(comm, 16, f))
		comm[strcspn(comm, "\n")] = '\0';
}

int fl_inode_owner(uint32_t inode, pid_t *ret_pid, char *comm)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	char want[64];
	int found = 0;

	if (!proc)
		return 0;
	snprintf(want, sizeof(want), "socket:[%u]", inode);
	while (!found && (e = readdir(proc))) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9' || !process_has(e->d_name, want))
			continue;
		*ret_pid = (pid_t)atoi(e->d_name);
		read_comm(e->d_name, comm);
		found = 1;
	}
	closedir(proc);
	return found;
}
