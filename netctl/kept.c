/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define TEMPORARY ".new"

static int fail(const char *path, struct fl_error *err)
{
	return fl_error_errno(err, errno, FL_ECODE_STORE, "%s", path);
}

static int make(const char *path)
{
	return mkdir(path, 0700) && errno != EEXIST ? -1 : 0;
}

/* Its last user may remove the folder between our opening and our locking it. */
static int lock_folder(const char *folder)
{
	for (int tries = 0; tries < 100; tries++) {
		int dir = make(folder)
				  ? -1
				  : open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (dir < 0 && errno == ENOENT)
			continue;
		if (dir < 0)
			return -1;
		if (!flock(dir, LOCK_EX) && !fstat(dir, &st) && st.st_nlink)
			return dir;
		close(dir);
	}
	errno = EBUSY;
	return -1;
}

int kept_lock(struct ctl *c, const char *container, const char *network, const char *ifname,
	      struct kept *ret, struct fl_error *err)
{
	struct kept k = KEPT_NONE;
	char state[4096];
	int r = ctl_state_dir(c, state, sizeof(state), err);

	if (r)
		return r;
	snprintf(k.folder, sizeof(k.folder), "%.3900s/attachments", state);
	if (make(k.folder))
		return fail(k.folder, err);
	snprintf(k.folder, sizeof(k.folder), "%.3900s/attachments/%s", state, container);
	snprintf(k.file, sizeof(k.file), "%s,%s", network, ifname);
	k.dir = lock_folder(k.folder);
	if (k.dir < 0)
		return fail(k.folder, err);
	*ret = k;
	return 0;
}

int kept_read(const struct kept *k, json_t **ret, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = openat(k->dir, k->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	json_error_t je;
	json_t *v;

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : fail(k->file, err);
	v = json_loadfd(fd, 0, &je);
	if (!v)
		return fl_error_set(err, EBADMSG, FL_ECODE_STORE, "%s/%s: %s", k->folder, k->file,
				    je.text);
	*ret = v;
	return 0;
}

int kept_write(const struct kept *k, const json_t *v, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = openat(k->dir, TEMPORARY,
				     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || json_dumpfd(v, fd, JSON_COMPACT) ||
	    renameat(k->dir, TEMPORARY, k->dir, k->file))
		return fail(k->folder, err);
	return 0;
}

void kept_remove(const struct kept *k)
{
	unlinkat(k->dir, k->file, 0);
}

void kept_close(struct kept *k)
{
	if (k->dir < 0)
		return;
	rmdir(k->folder);
	close(k->dir);
	k->dir = -1;
}
