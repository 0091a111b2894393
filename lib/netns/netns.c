/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netns/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#ifndef NS_GET_NSTYPE
#define NS_GET_NSTYPE 0xb703
#endif

void fl_netns_close(struct fl_netns *ns)
{
	if (ns->fd >= 0)
		close(ns->fd);
	*ns = FL_NETNS_NONE;
}

/*
 * Cookie of the namespace the thread is in; 0 before kernel 5.14. Any other failure is an error:
 * the cookie chooses the store, and a wrong one would be another host's.
 */
static int current_cookie(uint64_t *ret, struct fl_error *err)
{
	FL_AUTOCLOSE int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie = 0;

	if (s < 0)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot open a socket");
	if (getsockopt(s, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) && errno != ENOPROTOOPT)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL,
				      "cannot read the namespace's cookie");
	*ret = cookie;
	return 0;
}

static int open_file(const char *path, struct fl_netns *ns, struct fl_error *err)
{
	struct stat st;

	ns->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (ns->fd < 0 && (errno == EACCES || errno == EPERM))
		return fl_error_errno(err, errno, FL_ECODE_PRIVILEGE,
				      "cannot open the namespace %s (another user's needs "
				      "CAP_SYS_PTRACE for a path in "
				      "/proc, CAP_DAC_READ_SEARCH for one below a private folder)",
				      path);
	if (ns->fd < 0)
		return fl_error_errno(err, errno, FL_ECODE_ENV, "cannot open the namespace %s",
				      path);
	if (fstat(ns->fd, &st))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot stat %s", path);
	ns->dev = st.st_dev;
	ns->ino = st.st_ino;
	return 0;
}

int fl_netns_self(struct fl_netns *ret, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	int r = open_file("/proc/thread-self/ns/net", &ns, err);

	if (!r)
		r = current_cookie(&ns.cookie, err);
	if (r)
		return r;
	*ret = ns;
	ns.fd = -1;
	return 0;
}

int fl_netns_open(const char *path, const struct fl_netns *self, struct fl_netns *ret,
		  struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	struct fl_error back = { 0 };
	int r = open_file(path, &ns, err), b;

	if (r)
		return r;
	if (ioctl(ns.fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return fl_error_set(err, EINVAL, FL_ECODE_ENV, "%s is not a network namespace",
				    path);
	if (ns.dev == self->dev && ns.ino == self->ino) {
		ns.cookie = self->cookie;
	} else {
		r = fl_netns_enter(&ns, err);
		if (r)
			return fl_error_prefix(err, "%s", path);
		r = current_cookie(&ns.cookie, err);
		b = fl_netns_enter(self, &back);
		if (b)
			return fl_error_set(err, b, back.code, "%s", back.text);
		if (r)
			return r;
	}
	*ret = ns;
	ns.fd = -1;
	return 0;
}

int fl_netns_reopen(const char *path, const struct fl_netns *recorded, const struct fl_netns *self,
		    struct fl_netns *ret, struct fl_error *err)
{
	struct fl_netns ns = FL_NETNS_NONE;
	struct fl_error why = { 0 };
	int r = *path ? fl_netns_open(path, self, &ns, &why) : -ENOENT;

	if (r && r != -ENOENT && r != -ENOTDIR && r != -EINVAL && r != -ESRCH)
		return fl_error_set(err, r, why.code, "%s", why.text);
	if (r || !fl_netns_same(&ns, recorded)) {
		fl_netns_close(&ns);
		return -ENOENT;
	}
	*ret = ns;
	return 0;
}

bool fl_netns_same(const struct fl_netns *a, const struct fl_netns *b)
{
	if (a->cookie && b->cookie)
		return a->cookie == b->cookie;
	return a->dev == b->dev && a->ino == b->ino;
}

int fl_netns_enter(const struct fl_netns *ns, struct fl_error *err)
{
	if (!setns(ns->fd, CLONE_NEWNET))
		return 0;
	return fl_error_errno(err, errno, errno == EPERM ? FL_ECODE_PRIVILEGE : FL_ECODE_KERNEL,
			      "cannot enter the network namespace%s",
			      errno == EPERM ? " (CAP_SYS_ADMIN is missing)" : "");
}

/* Calls fn for each process in it until that is false. */
static void each_process(const struct fl_netns *ns, bool (*fn)(void *arg, pid_t pid), void *arg)
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	char path[300];
	struct stat st;

	while (proc && (e = readdir(proc))) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/ns/net", e->d_name);
		if (!stat(path, &st) && st.st_dev == ns->dev && st.st_ino == ns->ino &&
		    !fn(arg, (pid_t)strtol(e->d_name, NULL, 10)))
			break;
	}
	if (proc)
		closedir(proc);
}

static bool note_one(void *arg, pid_t pid)
{
	(void)pid;
	*(bool *)arg = true;
	return false;
}

bool fl_netns_in_use(const struct fl_netns *ns)
{
	bool found = false;

	each_process(ns, note_one, &found);
	return found;
}

struct pids {
	pid_t *v;
	size_t max, n;
};

static bool note_pid(void *arg, pid_t pid)
{
	struct pids *p = arg;

	if (p->n < p->max)
		p->v[p->n] = pid;
	p->n++;
	return true;
}

size_t fl_netns_processes(const struct fl_netns *ns, pid_t *pids, size_t max)
{
	struct pids p = { pids, max, 0 };

	each_process(ns, note_pid, &p);
	return p.n;
}
