/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network namespaces: opening one by its path, knowing it again, entering it, and its sysctls.
 * The only code that calls setns(2).
 *
 * Identity: the netns cookie (SO_NETNS_COOKIE, kernel 5.14), unique for the boot. Inode numbers of
 * namespaces are recycled at once and prove nothing after the namespace is gone.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fl_netns {
	int fd;		 /* of the namespace file; -1: not open */
	uint64_t cookie; /* 0: the kernel has none */
	uint64_t dev, ino;
};

#define FL_NETNS_NONE ((struct fl_netns){ .fd = -1 })

void fl_netns_close(struct fl_netns *ns);
#define FL_AUTONETNS FL_CLEANUP(fl_netns_close)

/* The caller's own. */
int fl_netns_self(struct fl_netns *ret, struct fl_error *err);
/*
 * Opens the path and reads the cookie (which enters it for a moment). -ENOENT: nothing there;
 * -EINVAL: not a network namespace; -EACCES names the missing capability.
 */
int fl_netns_open(const char *path, const struct fl_netns *self, struct fl_netns *ret,
		  struct fl_error *err);
/*
 * The namespace that was `recorded` (cookie, dev, ino), by the path that led to it then. -ENOENT
 * (err untouched): the path leads nowhere any more, or to another one. What else keeps it from
 * being opened is an error, and says nothing of the namespace.
 */
int fl_netns_reopen(const char *path, const struct fl_netns *recorded, const struct fl_netns *self,
		    struct fl_netns *ret, struct fl_error *err);
bool fl_netns_same(const struct fl_netns *a, const struct fl_netns *b);

/*
 * Does a process run in it? Looks through /proc: only for what is rare. What another user's
 * process is in is seen with CAP_SYS_PTRACE only.
 */
bool fl_netns_in_use(const struct fl_netns *ns);
/* The processes that it looks for, the first `max` of them; how many there are. */
size_t fl_netns_processes(const struct fl_netns *ns, pid_t *pids, size_t max);

#define FL_NETNS_RUN_DIR "/run/netns" /* of named ones, as ip-netns(8) has it */

/*
 * Makes a namespace that lives as long as its file at `path` (FL_NETNS_RUN_DIR/NAME), which other
 * mount namespaces see too; the thread stays where it is, `self`. -EEXIST.
 */
int fl_netns_create(const char *path, const struct fl_netns *self, struct fl_error *err);
/* Takes the file away; the namespace goes when nothing else keeps it. Absent is success. */
int fl_netns_remove(const char *path, struct fl_error *err);
/* A new namespace for this thread, which has only lo, down. */
int fl_netns_unshare(struct fl_error *err);

/* Enters the namespace (this thread). Leave by entering the own again. */
int fl_netns_enter(const struct fl_netns *ns, struct fl_error *err);

/*
 * Writes a sysctl of the namespace the thread is in, unless it has that value already:
 * name "net/ipv4/ip_forward". 1: written, 0: had it, -ENOENT: no such key. `old` (may be NULL) gets
 * the former value without its newline.
 */
int fl_sysctl_write(const char *name, const char *value, char *old, size_t size,
		    struct fl_error *err);
/* Value without its newline. */
int fl_sysctl_read(const char *name, char *buf, size_t size, struct fl_error *err);
