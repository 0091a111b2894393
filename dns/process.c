/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The worker as the broker sees it: started, fed, started again. */
#include "dns/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
	TELL_SECONDS = 1,
	RESPAWN_MS = 100, /* between two deaths in a row */
	RESPAWN_MAX = 5,  /* that many at once, before the pause grows to a second */
};

static void answer_want(struct broker *b, const struct worker_process *w,
			const struct channel_msg *want)
{
	struct channel_msg m = *want;
	int fds[CHANNEL_FDS], n = served_sockets(b, want, fds);

	m.op = CHANNEL_SOCKETS;
	m.err = n < 0 ? n : 0;
	m.count = n < 0 ? 0 : (uint32_t)n;
	channel_send(w->fd, &m, fds, m.count);
	for (uint32_t i = 0; i < m.count; i++)
		close(fds[i]);
}

void worker_end(struct broker *b, struct worker_process *w)
{
	struct worker_process gone = *w;

	if (!gone.pid)
		return;
	*w = (struct worker_process){ .fd = -1 };
	kill(gone.pid, SIGKILL);
	event_free(gone.event);
	close(gone.fd);
	/* What it had open is closed with it. */
	clients_closed(b, w, 0);
}

static void on_channel(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;
	struct worker_process *w = fd == b->worker.fd ? &b->worker : &b->draining;
	struct channel_msg m;
	int fds[CHANNEL_FDS], n = channel_receive(fd, &m, fds);

	(void)what;
	if (n == -EAGAIN)
		return;
	for (int i = 0; i < n; i++)
		close(fds[i]);
	if (n < 0)
		worker_end(b, w); /* SIGCHLD starts another */
	else if (m.op == CHANNEL_CLOSED)
		clients_closed(b, w, m.value);
	else if (m.op == CHANNEL_WANT)
		answer_want(b, w, &m);
}

static void watch_channel(struct broker *b, struct worker_process *w)
{
	w->event = event_new(b->base, w->fd, EV_READ | EV_PERSIST, on_channel, b);
	event_add(w->event, NULL);
}

static void become_worker(const struct broker *b, int fd, pid_t parent)
{
	char number[12];
	char *argv[] = {
		(char *)"fairlead-dnsd", (char *)"--worker", number,	       (char *)"--state",
		(char *)b->state,	 (char *)"--cache",  (char *)b->cache, NULL
	};
	sigset_t none;

	snprintf(number, sizeof(number), "%d", fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Above all not the state, which LMDB opens without O_CLOEXEC: this one may not write it.
	 */
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	if (getppid() == parent && !fcntl(fd, F_SETFD, 0))
		execv("/proc/self/exe", argv);
	_exit(127);
}

static void hand_over(struct broker *b, struct served *s)
{
	worker_open(b, s);
}

int worker_start(struct broker *b, struct fl_error *err)
{
	static const struct timeval limit = { TELL_SECONDS, 0 };
	int pair[2];
	pid_t parent = getpid(), pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot make a socket pair");
	pid = fork();
	if (!pid)
		become_worker(b, pair[1], parent);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return fl_error_errno(err, errno, FL_ECODE_KERNEL, "cannot start the worker");
	}
	/* Blocking, so that a thousand sandboxes can be handed over; but not for ever. */
	setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	b->worker = (struct worker_process){ pid, pair[0], NULL };
	watch_channel(b, &b->worker);
	hostconf_tell(b);
	served_each(b, hand_over);
	return 0;
}

void worker_drain(struct broker *b)
{
	b->draining = b->worker;
	b->worker = (struct worker_process){ .fd = -1 };
}

void worker_adopt_draining(struct broker *b, pid_t pid, int fd)
{
	b->draining = (struct worker_process){ pid, fd, NULL };
	watch_channel(b, &b->draining);
}

void worker_tell(struct broker *b, const struct channel_msg *m, const int *fds, size_t n)
{
	int r = b->worker.pid ? channel_send(b->worker.fd, m, fds, n) : 0;

	if (!r)
		return;
	say("the worker does not listen (%s): it is replaced", strerror(-r));
	worker_end(b, &b->worker);
}

void worker_open(struct broker *b, const struct served *s)
{
	struct channel_msg m = { .op = CHANNEL_OPEN, .sandbox = s->sandbox };
	int fds[2] = { s->udp, s->tcp };

	memcpy(m.network, s->network, sizeof(m.network));
	worker_tell(b, &m, fds, 2);
}

void worker_close(struct broker *b, uint64_t sandbox, uint64_t token)
{
	struct channel_msg m = { .op = CHANNEL_CLOSE, .sandbox = sandbox, .value = token };

	worker_tell(b, &m, NULL, 0);
	if (b->draining.pid)
		channel_send(b->draining.fd, &m, NULL, 0);
}

static void start_again(struct broker *b)
{
	struct timeval pause = { 0, RESPAWN_MS * 1000 };
	struct fl_error err = { 0 };

	/* At once, unless it dies again and again. */
	if (b->respawns++ < RESPAWN_MAX) {
		if (!worker_start(b, &err))
			return;
		say("%s", err.text);
	}
	pause.tv_sec = b->respawns > 2 * RESPAWN_MAX;
	event_add(b->respawn, &pause);
}

void worker_reap(struct broker *b)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == b->draining.pid)
			worker_end(b, &b->draining);
		if (pid == b->worker.pid)
			worker_end(b, &b->worker);
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
			say("the worker was ended by signal %d", WTERMSIG(status));
		else if (WIFEXITED(status) && WEXITSTATUS(status))
			say("the worker ended with status %d", WEXITSTATUS(status));
	}
	if (!b->worker.pid)
		start_again(b);
}
