/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/atomic.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* A device or a pipe has no state before, and would be one no more if it were renamed over. */
static int write_into(const char *path, const void *data, size_t len)
{
	FL_AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);

	return fd < 0 ? -errno : write_all(fd, data, len);
}

static int write_new(const char *path, const void *data, size_t len)
{
	FL_AUTOCLOSE int fd = -1;
	char near[PATH_MAX + 8];
	mode_t mask;
	int r;

	if (snprintf(near, sizeof(near), "%s.XXXXXX", path) >= (int)sizeof(near))
		return -ENAMETOOLONG;
	fd = mkostemp(near, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	mask = umask(0);
	umask(mask);
	r = write_all(fd, data, len);
	if (!r && (fchmod(fd, 0666 & ~mask) || rename(near, path)))
		r = -errno;
	if (r)
		unlink(near);
	return r;
}

int file_replace(const char *path, const void *data, size_t len, struct fl_error *err)
{
	char target[PATH_MAX];
	struct stat st;
	int r;

	if (!stat(path, &st))
		r = S_ISREG(st.st_mode) && realpath(path, target) ? write_new(target, data, len)
								  : write_into(path, data, len);
	else if (!lstat(path, &st))
		/* A link to what is not there yet. */
		r = write_into(path, data, len);
	else
		r = write_new(path, data, len);
	return r ? fl_error_errno(err, r, FL_ECODE_IO, "%s", path) : 0;
}
