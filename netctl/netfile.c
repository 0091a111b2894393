/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/netfile.h"

#include "base/service.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* What a kubelet leaves on its node. */
static bool has_kubelet(void)
{
	return !access("/var/lib/kubelet", F_OK) || !access("/etc/kubernetes", F_OK);
}

int netfile_may_be_made(const struct ctl *c, const struct conflists *files, const char *network,
			struct fl_error *err)
{
	char file[FL_NAME_MAX + 32];
	const struct conflist *first = files->n ? &files->v[0] : NULL;

	snprintf(file, sizeof(file), CONFLIST_PREFIX "%s.conflist", network);
	if (option_given(c, "default") || (first && strcmp(first->file, file) < 0))
		return 0;
	if (first && (!first->ours || has_kubelet()))
		return fl_error_set(
			err, EPERM, FL_ECODE_CONFLICT,
			"%s would come before %s in %s, and runtimes use the first file "
			"for what names no network; --default makes it all the same",
			file, first->file, c->dir);
	if (!first && has_kubelet())
		return fl_error_set(err, EPERM, FL_ECODE_CONFLICT,
				    "%s would be the only file in %s, and this machine has a "
				    "kubelet, whose pods would get it; --default makes it all the "
				    "same",
				    file, c->dir);
	return 0;
}

void netfile_bridge(const char *network, char *buf)
{
	uint32_t hash = 2166136261u;

	if (strlen(network) <= IFNAMSIZ - 1 - 3) {
		snprintf(buf, IFNAMSIZ, "fl-%s", network);
		return;
	}
	for (const char *p = network; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 16777619u;
	snprintf(buf, IFNAMSIZ, "fl-%.5s-%06x", network, hash & 0xffffff);
}

int netfile_lock(const struct ctl *c, int *ret, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = -1;
	char path[4400];
	int r;

	snprintf(path, sizeof(path), "%s/", c->dir);
	r = fl_make_parents(path, 0755, err);
	if (r)
		return r;
	fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX))
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot lock %s", c->dir);
	*ret = fl_take_fd(&fd);
	return 0;
}

static int write_all(int fd, const json_t *list)
{
	if (json_dumpfd(list, fd, JSON_INDENT(2)) || write(fd, "\n", 1) != 1 || fsync(fd))
		return errno ? -errno : -EIO;
	return 0;
}

/* Nobody ever sees half of a file: it gets its name when it is whole. */
int netfile_write(const struct ctl *c, const char *network, const json_t *list, char *path,
		  size_t size, struct fl_error *err)
{
	FL_AUTOCLOSE int fd = -1;
	char proc[64];
	int r;

	snprintf(path, size, "%s/" CONFLIST_PREFIX "%s.conflist", c->dir, network);
	fd = open(c->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot write into %s", c->dir);
	r = write_all(fd, list);
	if (r)
		return fl_error_errno(err, r, FL_ECODE_IO, "%s", path);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW))
		return fl_error_errno(err, errno, FL_ECODE_IO, "%s", path);
	return 0;
}
