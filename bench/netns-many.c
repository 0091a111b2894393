/* Network namespaces by the hundred, bound to files as ip-netns(8) does. */
#include "fl-bench.h"
#include "nlraw.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MARKER "fl-marker"

static int add_one(const char *path)
{
	int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	if (fd < 0)
		return -errno;
	close(fd);
	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	return mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

int bench_netns_add(int argc, char **argv)
{
	char path[4096];

	if (argc != 4)
		return 2;
	mkdir(argv[1], 0755);
	for (long i = 0, n = strtol(argv[3], NULL, 10); i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s%ld", argv[1], argv[2], i);
		if (nl_report(add_one(path), path))
			return 1;
	}
	return 0;
}

static int set_lo_up(const char *path)
{
	struct ifreq lo = { .ifr_name = "lo" };
	int netns = open(path, O_RDONLY | O_CLOEXEC), fd = -1, r = 0;

	if (netns < 0)
		return -errno;
	if (setns(netns, CLONE_NEWNET) < 0 || (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0 ||
	    ioctl(fd, SIOCGIFFLAGS, &lo) < 0)
		r = -errno;
	lo.ifr_flags |= IFF_UP;
	if (r == 0 && ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	close(netns);
	return r;
}

int bench_netns_lo(int argc, char **argv)
{
	char path[4096];

	if (argc != 4)
		return 2;
	for (long i = 0, n = strtol(argv[3], NULL, 10); i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s%ld", argv[1], argv[2], i);
		if (nl_report(set_lo_up(path), path))
			return 1;
	}
	return 0;
}

static int put_marker(int target)
{
	struct nlbuf b = { 0 };
	struct ifinfomsg none = { 0 };
	int fd = nl_open(NETLINK_ROUTE);

	if (fd < 0)
		return fd;
	nl_message(&b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &none, sizeof(none));
	size_t info = nl_nest(&b, IFLA_LINKINFO);

	nl_put(&b, IFLA_INFO_KIND, "veth", 4);
	size_t data = nl_nest(&b, IFLA_INFO_DATA), peer = nl_nest(&b, VETH_INFO_PEER);

	nl_raw(&b, &none, sizeof(none));
	nl_put_str(&b, IFLA_IFNAME, MARKER);
	nl_put_u32(&b, IFLA_NET_NS_FD, (uint32_t)target);
	nl_nest_end(&b, peer);
	nl_nest_end(&b, data);
	nl_nest_end(&b, info);
	int r = nl_talk(fd, &b, b.seq);

	nlbuf_free(&b);
	close(fd);
	return r;
}

/*
 * Namespaces die in the background and in batches, with the lock held that an ADD needs. A veth between us
 * and a namespace that is given up last goes when its batch does.
 */
static int wait_until_clean(void)
{
	struct timespec pause = { .tv_nsec = 10000000 };
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), r;

	if (home < 0 || unshare(CLONE_NEWNET) < 0)
		return -errno;
	r = put_marker(home);
	if (setns(home, CLONE_NEWNET) < 0)
		return -errno;
	close(home);
	for (int i = 0; r == 0 && i < 6000 && if_nametoindex(MARKER) != 0; i++)
		nanosleep(&pause, NULL);
	pause.tv_nsec = 200000000;
	nanosleep(&pause, NULL);
	return r;
}

int bench_netns_del(int argc, char **argv)
{
	char path[4096];

	if (argc != 4)
		return 2;
	for (long i = 0, n = strtol(argv[3], NULL, 10); i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s%ld", argv[1], argv[2], i);
		if (umount2(path, MNT_DETACH) < 0)
			perror(path);
		unlink(path);
	}
	return nl_report(wait_until_clean(), "waiting for the namespaces to go");
}
