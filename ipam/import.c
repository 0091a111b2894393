/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lease directory of the reference's host-local: DATADIR/NETWORK/ADDRESS holds "id\r\nifname"
 * (before plugins 0.7: "id"), last_reserved_ip.N the address that range set N gave last. It is read
 * once, so that a node changes over with its pods running; the files are left alone.
 */
#include "ipam/private.h"

#include "base/strbuf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FILES_MAX 262144
#define CONTENT_MAX 511
#define CURSOR_PREFIX "last_reserved_ip."

struct import {
	struct fl_txn *t;
	const struct fl_pool *pool;
	char network[FL_NAME_MAX + 1];
	int dir;
	time_t boot;
	struct fl_ipam_imported count;
	void (*conflict)(void *arg, const struct fl_addr *addr, const char *container,
			 const struct fl_endpoint_id *owner);
	void *arg;
	struct fl_error *err;
};

/* A pool's name is NETWORK or NETWORK@DATADIR; a network's name has no '@'. */
static void directory_of(const char *pool, char *network, size_t network_size, char *path,
			 size_t size)
{
	size_t n = strcspn(pool, "@");

	snprintf(network, network_size, "%.*s", (int)n, pool);
	snprintf(path, size, "%s/%s", pool[n] ? pool + n + 1 : FL_IPAM_DEFAULT_DIR, network);
}

static time_t boot_time(void)
{
	struct timespec now, up;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return now.tv_sec - up.tv_sec;
}

/* False for what is not a small regular file of this very directory. */
static bool read_small(int dir, const char *name, char *buf, size_t size, time_t *mtime)
{
	FL_AUTOCLOSE int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return false;
	n = read(fd, buf, size - 1);
	if (n <= 0 || memchr(buf, '\0', (size_t)n))
		return false;
	buf[n] = '\0';
	*mtime = st.st_mtime;
	return true;
}

/* The word at *s, up to white space; *s moves behind the white space. False when it does not fit.
 */
static bool take_word(const char **s, char *to, size_t size)
{
	size_t n = strcspn(*s, " \t\r\n");

	if (n >= size)
		return false;
	memcpy(to, *s, n);
	to[n] = '\0';
	*s += n + strspn(*s + n, " \t\r\n");
	return true;
}

/* The address is held: by the same one, or by another. */
static int note_held(struct import *im, const struct fl_addr *addr,
		     const struct fl_endpoint_id *wanted)
{
	struct fl_endpoint_id owner;
	int r = fl_lease_owner(im->t, im->pool, addr, &owner, im->err);

	if (r)
		return r;
	if (!strcmp(owner.container, wanted->container) &&
	    (!*wanted->ifname || !strcmp(owner.ifname, wanted->ifname))) {
		im->count.present++;
		return 0;
	}
	im->count.conflicts++;
	if (im->conflict)
		im->conflict(im->arg, addr, wanted->container, &owner);
	return 0;
}

static int import_lease(struct import *im, const struct fl_addr *addr, const char *name)
{
	struct fl_endpoint_id owner = { 0 };
	char buf[CONTENT_MAX + 1];
	const char *s = buf;
	time_t written;
	int r;

	if (!read_small(im->dir, name, buf, sizeof(buf), &written) ||
	    !take_word(&s, owner.container, sizeof(owner.container)) || !owner.container[0] ||
	    !take_word(&s, owner.ifname, sizeof(owner.ifname)) || *s)
		return 0;
	fl_strcpy(owner.network, sizeof(owner.network), im->network);
	fl_strcpy(owner.driver, sizeof(owner.driver),
		  written < im->boot ? FL_LEASE_STALE : FL_LEASE_IMPORTED);
	r = fl_lease_claim(im->t, im->pool, addr, &owner, im->err);
	if (r == -EEXIST)
		return note_held(im, addr, &owner);
	im->count.added += !r;
	return r;
}

static int import_cursor(struct import *im, const char *name)
{
	const char *number = name + strlen(CURSOR_PREFIX), *s;
	char buf[CONTENT_MAX + 1], text[FL_ADDR_STR], *end;
	unsigned long n = strtoul(number, &end, 10);
	struct fl_addr last;
	time_t written;

	s = buf;
	if (!*number || *end || n >= FL_IPAM_SETS ||
	    !read_small(im->dir, name, buf, sizeof(buf), &written) ||
	    !take_word(&s, text, sizeof(text)) || fl_addr_parse(text, &last))
		return 0;
	return fl_lease_imported_cursor_put(im->t, im->pool, (uint8_t)n, &last, im->err);
}

static int import_entry(struct import *im, const char *name)
{
	struct fl_addr addr;

	if (!strncmp(name, CURSOR_PREFIX, strlen(CURSOR_PREFIX)))
		return import_cursor(im, name);
	return fl_addr_parse(name, &addr) ? 0 : import_lease(im, &addr, name);
}

static void closedir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int import_directory(struct import *im, const char *path)
{
	FL_CLEANUP(closedir_p) DIR *d = NULL;
	FL_AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *e;
	size_t n = 0;
	int r = 0;

	if (fd < 0) {
		/* Not there, not a directory of its own, or not ours to read: nothing to take over.
		 */
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES)
			return 0;
		return fl_error_errno(im->err, errno, FL_ECODE_IO, "%s", path);
	}
	d = fdopendir(fd);
	if (!d)
		return fl_error_oom(im->err);
	im->dir = fl_take_fd(&fd);
	while (!r && (e = readdir(d))) {
		if (++n > FILES_MAX)
			return fl_error_set(im->err, E2BIG, FL_ECODE_CONFIG,
					    "%s: expected at most %d leases", path, FILES_MAX);
		r = import_entry(im, e->d_name);
	}
	return r;
}

int fl_ipam_pool_open(struct fl_txn *t, const char *name, struct fl_pool *ret, struct fl_error *err)
{
	struct fl_pool pool;
	struct import im = { .t = t, .pool = &pool, .dir = -1, .boot = boot_time(), .err = err };
	char path[PATH_MAX];
	int r = fl_pool_get(t, name, &pool, err);

	if (r == -ENOENT)
		r = fl_pool_create(t, name, &pool, err);
	if (!r && !pool.imported) {
		directory_of(name, im.network, sizeof(im.network), path, sizeof(path));
		r = import_directory(&im, path);
		if (!r)
			r = fl_pool_set_imported(t, name, &pool, err);
	}
	if (!r)
		*ret = pool;
	return r;
}

int fl_ipam_import(struct fl_txn *t, const char *name, const char *dir,
		   void (*conflict)(void *arg, const struct fl_addr *addr, const char *container,
				    const struct fl_endpoint_id *owner),
		   void *arg, struct fl_ipam_imported *ret, struct fl_error *err)
{
	struct fl_pool pool;
	struct import im = { .t = t,
			     .pool = &pool,
			     .dir = -1,
			     .boot = boot_time(),
			     .conflict = conflict,
			     .arg = arg,
			     .err = err };
	struct stat st;
	int r = fl_ipam_pool_open(t, name, &pool, err);

	if (r)
		return r;
	if (stat(dir, &st) || !S_ISDIR(st.st_mode))
		return fl_error_errno(err, errno == ENOENT ? ENOENT : ENOTDIR, FL_ECODE_IO, "%s",
				      dir);
	snprintf(im.network, sizeof(im.network), "%.*s", (int)strcspn(name, "@"), name);
	r = import_directory(&im, dir);
	if (!r)
		*ret = im.count;
	return r;
}
