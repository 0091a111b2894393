/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/atomic.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

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

int file_replace(const char *path, const void *data, size_t len, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = -1;
	char near[4200];
	mode_t mask;
	int r;

	if (snprintf(near, sizeof(near), "%s.XXXXXX", path) >= (int)sizeof(near))
		return fl_error_errno(err, ENAMETOOLONG, FL_ECODE_IO, "%s", path);
	fd = mkostemp(near, O_CLOEXEC);
	if (fd < 0)
		return fl_error_errno(err, errno, FL_ECODE_IO, "%s", path);
	mask = umask(0);
	umask(mask);
	r = write_all(fd, data, len);
	if (!r && (fchmod(fd, 0666 & ~mask) || rename(near, path)))
		r = -errno;
	if (!r)
		return 0;
	unlink(near);
	return fl_error_errno(err, r, FL_ECODE_IO, "%s", path);
}
