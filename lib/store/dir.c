/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the state of a host namespace lies. */
#include "store/store.h"

#include "base/service.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_BASE "/run/fairlead"

/* An existing folder is taken only when no other user could have prepared it for us. */
static int check_owner(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if ((st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	return 0;
}

/* BASE/COOKIE exists afterwards. One system call creates it, two find it. */
static int prepare(const char *path)
{
	int r;

	if (!mkdir(path, 0700))
		return 0;
	if (errno == ENOENT) {
		r = fl_make_parents(path, 0700, NULL);
		if (r)
			return r;
		if (!mkdir(path, 0700))
			return 0;
	}
	return errno == EEXIST ? check_owner(path) : -errno;
}

static bool unwritable(int r)
{
	return r == -EACCES || r == -EPERM || r == -EROFS;
}

int fl_store_dir(const char *configured, uint64_t cookie, char *buf, size_t size,
		 struct fl_error *err)
{
	const char *base = getenv("FAIRLEAD_STATE_DIR"), *runtime = getenv("XDG_RUNTIME_DIR");
	char path[PATH_MAX];
	bool chosen;
	int r;

	if (!base || !*base)
		base = configured;
	chosen = base && *base;
	snprintf(path, sizeof(path), "%s/%" PRIu64, chosen ? base : DEFAULT_BASE, cookie);
	r = prepare(path);
	if (!chosen && unwritable(r) && runtime && *runtime) {
		snprintf(path, sizeof(path), "%s/fairlead/%" PRIu64, runtime, cookie);
		r = prepare(path);
	}
	if (r == -EPERM)
		return fl_error_set(err, r, FL_ECODE_STORE,
				    "state directory %s: belongs to or is writable by another user",
				    path);
	if (r)
		return fl_error_errno(err, r, FL_ECODE_STORE, "state directory %s", path);
	if (strlen(path) >= size)
		return fl_error_set(err, ENAMETOOLONG, FL_ECODE_STORE,
				    "state directory %s: expected a path of at most %zu bytes",
				    path, size - 1);
	strcpy(buf, path);
	return 0;
}
