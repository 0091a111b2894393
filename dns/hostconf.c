/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's resolv.conf, followed by inotify(7). It is often a link into /run, maybe to another
 * link, and programs replace each of them as well as write into the file. So every name on the way
 * is watched, in the folder that it lies in, and the file itself, which may be mounted there. Where
 * a folder is not there yet, the next one above it is watched for that name.
 */
#include "dns/broker.h"

#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define RESOLV_CONF "/etc/resolv.conf"
enum {
	SETTLE_MS = 20, /* several events come for one change */
	LOOK_MS = 1000, /* without inotify */
	NAMES_MAX = 16, /* on the way to the file */
};

/* A name in a folder; "" for what is watched itself. */
struct watched {
	int wd;
	char name[NAME_MAX + 1];
};

struct hostconf {
	int fd;
	struct event *event, *settle;
	size_t n;
	struct watched v[NAMES_MAX];
};

static void add(struct hostconf *h, const char *path, const char *name, uint32_t mask)
{
	int wd = h->n < NAMES_MAX ? inotify_add_watch(h->fd, path, mask) : -1;

	if (wd < 0)
		return;
	h->v[h->n].wd = wd;
	fl_strcpy(h->v[h->n++].name, sizeof(h->v[0].name), name);
}

/* The folder that `path` lies in, or that the first missing one of its folders would lie in. */
static void add_folder(struct hostconf *h, const char *path)
{
	char folder[PATH_MAX], *slash;

	/* Once more where the missing one came before the watch. */
	do {
		fl_strcpy(folder, sizeof(folder), path);
		do {
			slash = strrchr(folder, '/');
			*slash = '\0';
		} while (slash != folder && access(folder, X_OK));
		add(h, slash == folder ? "/" : folder, slash + 1,
		    IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF |
			    IN_MOVE_SELF);
		*slash = '/';
	} while (strlen(folder) < strlen(path) && h->n < NAMES_MAX && !access(folder, X_OK));
}

/* Where the link leads; false: it is none. */
static bool next_name(char *path)
{
	char to[PATH_MAX], copy[2 * PATH_MAX];
	ssize_t n = readlink(path, to, sizeof(to) - 1);

	if (n <= 0)
		return false;
	to[n] = '\0';
	snprintf(copy, sizeof(copy), "%.*s%s",
		 *to == '/' ? 0 : (int)(strrchr(path, '/') + 1 - path), path, to);
	if (strlen(copy) >= PATH_MAX)
		return false;
	strcpy(path, copy);
	return true;
}

static bool is_among(const struct hostconf *h, int wd)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].wd == wd)
			return true;
	return false;
}

/* Watches of what is removed end by themselves; those of what is elsewhere now do not. */
static void watch(struct hostconf *h)
{
	const struct hostconf old = *h;
	char path[PATH_MAX] = RESOLV_CONF;

	h->n = 0;
	do
		add_folder(h, path);
	while (h->n < NAMES_MAX - 1 && next_name(path));
	add(h, RESOLV_CONF, "", IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF);
	for (size_t i = 0; i < old.n; i++)
		if (!is_among(h, old.v[i].wd))
			inotify_rm_watch(h->fd, old.v[i].wd);
}

void hostconf_tell(struct broker *b)
{
	/* NONBLOCK: it may be anything. The worker reads what is a file. */
	FL_AUTOCLOSE int fd = open(RESOLV_CONF, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct channel_msg m = { .op = CHANNEL_HOSTCONF };

	worker_tell(b, &m, &fd, fd >= 0);
}

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;

	(void)fd;
	(void)what;
	if (b->hostconf->fd >= 0)
		watch(b->hostconf);
	hostconf_tell(b);
}

static bool is_about_it(const struct hostconf *h, const struct inotify_event *e)
{
	/* Some were lost. */
	if (e->mask & IN_Q_OVERFLOW)
		return true;
	/* Without a name it is about what is watched itself: a folder that went. */
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i].wd == e->wd && (!e->len || !strcmp(h->v[i].name, e->name)))
			return true;
	return false;
}

static void on_change(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval settle = { 0, SETTLE_MS * 1000 };
	char buf[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct broker *b = arg;
	bool about = false;
	ssize_t n;

	(void)what;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const void *)p;

			about |= is_about_it(b->hostconf, e);
			p += sizeof(*e) + e->len;
		}
	if (about && !evtimer_pending(b->hostconf->settle, NULL))
		event_add(b->hostconf->settle, &settle);
}

/* Instances of inotify(7) are few, and all of one user: without one the file is read again and
 * again. What did not change is no news to the worker. */
static int look_instead(struct broker *b, struct fl_error *err)
{
	static const struct timeval pause = { LOOK_MS / 1000, LOOK_MS % 1000 * 1000 };
	struct hostconf *h = b->hostconf;

	say("cannot follow " RESOLV_CONF ", it is read each second (fs.inotify.max_user_instances: "
	    "%s)",
	    strerror(errno));
	h->settle = event_new(b->base, -1, EV_PERSIST, on_settled, b);
	return h->settle && !event_add(h->settle, &pause) ? 0 : fl_error_oom(err);
}

int hostconf_start(struct broker *b, struct fl_error *err)
{
	struct hostconf *h = calloc(1, sizeof(*h));

	if (!h)
		return fl_error_oom(err);
	b->hostconf = h;
	h->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (h->fd < 0)
		return look_instead(b, err);
	h->event = event_new(b->base, h->fd, EV_READ | EV_PERSIST, on_change, b);
	h->settle = evtimer_new(b->base, on_settled, b);
	if (!h->event || !h->settle || event_add(h->event, NULL))
		return fl_error_oom(err);
	watch(h);
	return 0;
}

void hostconf_stop(struct broker *b)
{
	struct hostconf *h = b->hostconf;

	if (!h)
		return;
	if (h->event)
		event_free(h->event);
	if (h->settle)
		event_free(h->settle);
	fl_close_p(&h->fd);
	free(h);
	b->hostconf = NULL;
}
