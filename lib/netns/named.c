/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Named namespaces: files that keep one, where ip-netns(8) looks for them. */
#include "netns/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int fl_netns_unshare(struct fl_error *err)
{
	if (!unshare(CLONE_NEWNET))
		return 0;
	return fl_error_errno(err, errno, errno == EPERM ? FL_ECODE_PRIVILEGE : FL_ECODE_KERNEL,
			      "cannot make a network namespace");
}

/*
 * The folder is a shared mount of itself: then a file's namespace is let go by one umount, however
 * many mount namespaces were made since.
 */
static int prepare(const char *folder, struct fl_error *err)
{
	if (mkdir(folder, 0755) && errno != EEXIST)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot make %s", folder);
	if (!mount("", folder, "none", MS_SHARED | MS_REC, NULL))
		return 0;
	if (errno != EINVAL || mount(folder, folder, "none", MS_BIND | MS_REC, NULL) ||
	    mount("", folder, "none", MS_SHARED | MS_REC, NULL))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot mount %s", folder);
	return 0;
}

static int bind_new(const char *path, const struct fl_netns *self, struct fl_error *err)
{
	struct fl_error back = { 0 };
	int r = fl_netns_unshare(err), b;

	if (r)
		return r;
	if (mount("/proc/thread-self/ns/net", path, "none", MS_BIND, NULL))
		r = fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot mount %s", path);
	b = fl_netns_enter(self, &back);
	return b ? fl_error_set(err, b, back.code, "%s", back.text) : r;
}

static bool keeps_namespace(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == NSFS_MAGIC;
}

/*
 * The file is held while it is decided what it is: one that keeps nothing was left by somebody who
 * was killed between making it and mounting over it.
 */
int fl_netns_create(const char *path, const struct fl_netns *self, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = -1;
	char folder[4096];
	int r;

	snprintf(folder, sizeof(folder), "%s", path);
	r = prepare(dirname(folder), err);
	if (r)
		return r;
	if (keeps_namespace(path))
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				    "%s is there already; choose another name, or remove it", path);
	fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0 || flock(fd, LOCK_EX))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "%s", path);
	if (keeps_namespace(path))
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT, "%s was made just now", path);
	r = bind_new(path, self, err);
	if (r)
		unlink(path);
	return r;
}

int fl_netns_remove(const char *path, struct fl_error *err)
{
	/* EINVAL: a file whose mount is gone already. */
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) && errno != EINVAL && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot unmount %s", path);
	if (unlink(path) && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot remove %s", path);
	return 0;
}
