/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's resolv.conf, followed by inotify(7). It is often a link into /run, and programs
 * replace it as well as write into it: so the file is watched, the folder that it lies in, and the
 * folder that the link lies in.
 */
#include "dns/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define SETTLE_MS 20 /* several events come for one change */

struct hostconf {
	int fd;
	struct event *event, *settle;
};

static void watch_folder(const struct hostconf *h, const char *file)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", file);
	inotify_add_watch(h->fd, dirname(copy),
			  IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE);
}

/* Watches of what is gone end by themselves. */
static void watch(const struct hostconf *h)
{
	char real[PATH_MAX];

	watch_folder(h, RESOLV_CONF);
	if (!realpath(RESOLV_CONF, real))
		return;
	if (strcmp(real, RESOLV_CONF) != 0)
		watch_folder(h, real);
	inotify_add_watch(h->fd, real, IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF);
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
	watch(b->hostconf);
	hostconf_tell(b);
}

static bool is_about_it(const struct inotify_event *e, const char *real)
{
	const char *base = strrchr(real, '/');

	return !e->len || !strcmp(e->name, "resolv.conf") || (base && !strcmp(e->name, base + 1));
}

static void on_change(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval settle = { 0, SETTLE_MS * 1000 };
	char buf[8192] __attribute__((aligned(__alignof__(struct inotify_event)))), real[PATH_MAX];
	struct broker *b = arg;
	bool about = false;
	ssize_t n;

	(void)what;
	if (!realpath(RESOLV_CONF, real))
		real[0] = '\0';
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const void *)p;

			about |= is_about_it(e, real);
			p += sizeof(*e) + e->len;
		}
	if (about && !evtimer_pending(b->hostconf->settle, NULL))
		event_add(b->hostconf->settle, &settle);
}

int hostconf_start(struct broker *b, struct fl_error *err)
{
	struct hostconf *h = calloc(1, sizeof(*h));

	if (!h)
		return fl_error_oom(err);
	b->hostconf = h;
	h->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (h->fd < 0)
		return fl_error_errno(err, errno, FL_ECODE_KERNEL,
				      "cannot follow " RESOLV_CONF
				      " (fs.inotify.max_user_instances)");
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
