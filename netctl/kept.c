/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/kept.h"

#include "base/strbuf.h"

#include <dirent.h>
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

static int state_folder(struct ctl *c, char *buf, size_t size, struct fl_error *err)
{
	char state[4096];
	int r = ctl_state_dir(c, state, sizeof(state), err);

	if (r)
		return r;
	snprintf(buf, size, "%.3900s/attachments", state);
	return make(buf) ? fail(buf, err) : 0;
}

int kept_lock(struct ctl *c, const char *container, struct kept *ret, struct fl_error *err)
{
	struct kept k = KEPT_NONE;
	char all[4096];
	int r = state_folder(c, all, sizeof(all), err);

	if (r)
		return r;
	/* It is a name of a file here. */
	if (!fl_name_valid(container, FL_NAME_MAX))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%.64s: cannot be a container's id", container);
	snprintf(k.folder, sizeof(k.folder), "%s/%s", all, container);
	k.dir = lock_folder(k.folder);
	if (k.dir < 0)
		return fail(k.folder, err);
	*ret = k;
	return 0;
}

int kept_lock_all(struct ctl *c, int *ret, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = -1;
	char all[4096];
	int r = state_folder(c, all, sizeof(all), err);

	if (r)
		return r;
	fd = open(all, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX))
		return fail(all, err);
	*ret = fl_take_fd(&fd);
	return 0;
}

void kept_choose(struct kept *k, const char *network, const char *ifname)
{
	snprintf(k->file, sizeof(k->file), "%s,%s", network, ifname);
}

static int visit(struct kept *k, char *name,
		 int (*fn)(void *arg, struct kept *k, const char *network, const char *ifname),
		 void *arg)
{
	char *comma = strchr(name, ',');

	/* Whatever else lies there is nobody's attachment. */
	if (!comma)
		return 0;
	*comma = '\0';
	if (!fl_name_valid(name, FL_NAME_MAX) || !fl_ifname_valid(comma + 1))
		return 0;
	kept_choose(k, name, comma + 1);
	return fn(arg, k, name, comma + 1);
}

int kept_each(struct kept *k,
	      int (*fn)(void *arg, struct kept *k, const char *network, const char *ifname),
	      void *arg)
{
	struct dirent **names = NULL;
	int n = scandirat(k->dir, ".", &names, NULL, alphasort), r = 0;

	for (int i = 0; i < n; i++) {
		if (!r)
			r = visit(k, names[i]->d_name, fn, arg);
		free(names[i]);
	}
	free(names);
	return r;
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
	/* One that was killed while it wrote. */
	unlinkat(k->dir, TEMPORARY, 0);
	rmdir(k->folder);
	close(k->dir);
	k->dir = -1;
}
