/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netns/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* /proc/sys/net shows the namespace of the thread that opens it: proc_sys_lookup(). */
static int open_key(const char *name, int flags)
{
	char path[256];

	if (snprintf(path, sizeof(path), "/proc/sys/%s", name) >= (int)sizeof(path) ||
	    strstr(path, "..")) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW);
}

static int read_value(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return 0;
}

int fl_sysctl_read(const char *name, char *buf, size_t size, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = open_key(name, O_RDONLY);
	int r = fd < 0 ? -errno : read_value(fd, buf, size);

	return r ? fl_error_errno(err, r, FL_ECODE_KERNEL, "sysctl %s", name) : 0;
}

int fl_sysctl_write(const char *name, const char *value, char *old, size_t size,
		    struct fl_error *err)
{
	FL_AUTOCLOSE int fd = open_key(name, O_RDWR);
	char now[64] = "";
	int r = fd < 0 ? -errno : read_value(fd, now, sizeof(now));

	if (r)
		return fl_error_errno(err, r, FL_ECODE_KERNEL, "sysctl %s", name);
	if (old)
		snprintf(old, size, "%s", now);
	if (!strcmp(now, value))
		return 0;
	if (pwrite(fd, value, strlen(value), 0) < 0)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "sysctl %s: write \"%s\"", name,
				      value);
	return 1;
}
