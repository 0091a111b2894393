/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From one image of the executable to the next, in the same process: descriptors stay open, and a
 * memfd tells which is which. The worker finishes what it has at work while its successor answers.
 */
#include "dns/start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define MAGIC 0x6f766f31u

struct header {
	uint32_t magic, size; /* size of a record */
	uint32_t count;
	int32_t lock, listeners[2];
	int32_t old_pid, old_fd; /* the worker that finishes; 0 */
};

static int write_all(int fd, const void *p, size_t n)
{
	return write(fd, p, n) == (ssize_t)n ? 0 : -EIO;
}

static int read_all(int fd, void *p, size_t n)
{
	return read(fd, p, n) == (ssize_t)n ? 0 : -EIO;
}

/* ---- out ---- */

static int write_handover(struct broker *b)
{
	FL_AUTOCLOSE int fd = memfd_create("fairlead-dnsd", 0);
	struct header h = {
		.magic = MAGIC,
		.size = sizeof(struct served),
		.count = (uint32_t)b->n_served,
		.lock = b->lock,
		.listeners = { b->listeners[0], b->listeners[1] },
		.old_pid = b->draining.pid,
		.old_fd = b->draining.pid ? b->draining.fd : -1,
	};
	int r = fd < 0 ? -errno : write_all(fd, &h, sizeof(h));

	for (size_t i = 0; !r && i < SERVED_BUCKETS; i++)
		for (const struct served *s = b->served[i]; s && !r; s = s->next)
			r = write_all(fd, s, sizeof(*s));
	if (!r && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r ? r : fl_take_fd(&fd);
}

static void set_inherited(struct broker *b, bool on)
{
	int fixed[] = { b->lock, b->listeners[0], b->listeners[1], b->draining.fd };

	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < FL_ARRAY_SIZE(fixed); i++)
		if (fixed[i] >= 0)
			fcntl(fixed[i], F_SETFD, on ? 0 : FD_CLOEXEC);
	for (size_t i = 0; i < SERVED_BUCKETS; i++)
		for (const struct served *s = b->served[i]; s; s = s->next) {
			fcntl(s->udp, F_SETFD, on ? 0 : FD_CLOEXEC);
			fcntl(s->tcp, F_SETFD, on ? 0 : FD_CLOEXEC);
		}
}

static void execute(struct broker *b, int fd)
{
	char handover[12], linger[12];
	char *argv[] = { b->program,
			 (char *)"--state",
			 b->state,
			 (char *)"--cache",
			 (char *)b->cache,
			 (char *)"--linger",
			 linger,
			 (char *)"--handover",
			 handover,
			 NULL,
			 NULL };

	snprintf(handover, sizeof(handover), "%d", fd);
	snprintf(linger, sizeof(linger), "%u", b->linger_ms);
	if (b->quiet)
		argv[9] = (char *)"--background";
	execv(b->program, argv);
}

void broker_replace(struct broker *b)
{
	struct channel_msg drain = { .op = CHANNEL_DRAIN };
	struct fl_error err = { 0 };
	size_t end = strlen(" (deleted)"), len = strlen(b->program);
	int fd, failed;

	/* One that still finishes from the last time has had its time. */
	worker_end(b, &b->draining);
	if (b->worker.pid) {
		channel_send(b->worker.fd, &drain, NULL, 0);
		worker_drain(b);
	}
	if (len > end && !strcmp(b->program + len - end, " (deleted)"))
		b->program[len - end] = '\0';
	fd = write_handover(b);
	if (fd < 0) {
		say("cannot hand over: %s", strerror(-fd));
	} else {
		set_inherited(b, true);
		fcntl(fd, F_SETFD, 0);
		block_hangup(true);
		execute(b, fd);
		failed = errno;
		block_hangup(false);
		set_inherited(b, false);
		close(fd);
		say("cannot start %s: %s; going on as before", b->program, strerror(failed));
	}
	if (worker_start(b, &err))
		say("%s", err.text);
}

/* ---- in ---- */

static int take_records(struct broker *b, int fd, const struct header *h)
{
	struct served s = { 0 };
	size_t known = h->size < sizeof(s) ? h->size : sizeof(s);
	int r = 0;

	for (uint32_t i = 0; !r && i < h->count; i++) {
		r = read_all(fd, &s, known);
		if (!r && lseek(fd, (off_t)(h->size - known), SEEK_CUR) < 0)
			r = -errno;
		if (!r && !served_adopt(b, &s))
			r = -ENOMEM;
	}
	return r;
}

int handover_take(struct broker *b, int fd, struct fl_error *err)
{
	struct header h;
	int r = read_all(fd, &h, sizeof(h));

	if (!r && h.magic != MAGIC)
		r = -EPROTO;
	if (!r)
		r = take_records(b, fd, &h);
	close(fd);
	if (r)
		return fl_error_errno(err, r, FL_ECODE_IO, "cannot take over");
	b->lock = h.lock;
	b->listeners[0] = h.listeners[0];
	b->listeners[1] = h.listeners[1];
	if (h.old_pid)
		worker_adopt_draining(b, h.old_pid, h.old_fd);
	set_inherited(b, false);
	return 0;
}
