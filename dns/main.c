/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dns/broker.h"

#include "base/caps.h"
#include "base/options.h"
#include "base/service.h"
#include "base/strbuf.h"
#include "dns/start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>

#define LOCK_FILE "dns.lock"
#define CACHE_DEFAULT "4096"
enum { ACCEPTS = 16 };

static const char usage[] =
	"usage: fairlead-dnsd [OPTION]...\n"
	"Answers containers' questions for names, at 127.0.0.11 in each sandbox.\n"
	"\n"
	"  --state DIR        state directory of this host namespace (default: as the plugins "
	"choose it)\n"
	"  --background       come back when ready; started again when it is killed; log to "
	"syslog\n"
	"  --replace          end the daemon that serves the state now, and take its place\n"
	"  --linger MS        how long to wait for a sandbox when there is none, 0: for ever "
	"(10000)\n"
	"  --cache KIB        for foreign answers, 0: none (" CACHE_DEFAULT ")\n"
	"  --version, --help\n"
	"\n"
	"A socket passed by systemd (LISTEN_FDS) is served beside the one in the state directory.\n"
	"SIGHUP: the executable is started anew in place, and no query is lost.\n";

static bool to_syslog;

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (to_syslog) {
		vsyslog(LOG_NOTICE, fmt, ap);
	} else {
		fputs("fairlead-dnsd: ", stderr);
		vfprintf(stderr, fmt, ap);
		fputc('\n', stderr);
	}
	va_end(ap);
}

void leave_netns(const struct broker *b)
{
	struct fl_error err = { 0 };

	if (!fl_netns_enter(&b->self, &err))
		return;
	say("%s", err.text);
	_exit(1);
}

static int drop_capabilities(struct fl_error *err)
{
	/* Without the first two there is no entering a sandbox; the next two find namespaces of
	 * other users again; a listener for the host may have port 53; the next three make a worker
	 * that has none, and the last one ends it. */
	static const cap_value_t keep[] = {
		CAP_SYS_ADMIN,	     CAP_NET_ADMIN,	   CAP_SYS_PTRACE,
		CAP_DAC_READ_SEARCH, CAP_NET_BIND_SERVICE, CAP_SETUID,
		CAP_SETGID,	     CAP_SETPCAP,	   CAP_KILL
	};

	return fl_keep_capabilities(keep, FL_ARRAY_SIZE(keep), 2, FL_ARRAY_SIZE(keep),
				    "SYS_ADMIN and NET_ADMIN", err);
}

/* ---- events ---- */

static void on_listener(evutil_socket_t fd, short what, void *arg)
{
	int s;

	(void)what;
	/* Not all that wait: the worker's answers must be read too, or it waits for us. */
	for (int i = 0; i < ACCEPTS; i++) {
		s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (s < 0)
			return;
		client_accept(arg, s);
	}
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(b->base);
}

static void on_child(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	worker_reap(arg);
}

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	broker_replace(arg);
}

static void on_respawn(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;
	struct fl_error err = { 0 };

	(void)fd;
	(void)what;
	/* What fails now is tried again by the sweep. */
	if (!b->worker.pid && worker_start(b, &err))
		say("%s", err.text);
}

/* Somebody removed the folder: whoever comes now makes another, and another daemon. */
static bool is_orphan(const struct broker *b)
{
	struct stat st;

	return stat(b->state, &st) || st.st_dev != b->state_dev || st.st_ino != b->state_ino;
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;

	(void)fd;
	(void)what;
	b->respawns = 0;
	if (is_orphan(b)) {
		event_base_loopbreak(b->base);
		return;
	}
	if (broker_reads_old_state(b))
		broker_replace(b);
	on_respawn(-1, 0, b);
	served_sweep(b);
}

/* ---- start ---- */

static uint64_t data_inode(const struct broker *b)
{
	char path[sizeof(b->state) + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/data.mdb", b->state);
	return stat(path, &st) ? 0 : st.st_ino;
}

bool broker_reads_old_state(const struct broker *b)
{
	return data_inode(b) != b->data_ino;
}

static int open_state(struct broker *b, const char *given, struct fl_error *err)
{
	struct stat st;
	int r = fl_netns_self(&b->self, err);

	if (r)
		return r;
	if (given)
		snprintf(b->state, sizeof(b->state), "%s", given);
	else
		r = fl_store_dir(NULL, b->self.cookie, b->state, sizeof(b->state), err);
	if (!r)
		r = fl_store_open(b->state, &b->store, err);
	if (r)
		return r;
	if (stat(b->state, &st))
		return fl_error_errno(err, errno, FL_ECODE_STORE, "state directory %s", b->state);
	b->state_dev = st.st_dev;
	b->state_ino = st.st_ino;
	b->data_ino = data_inode(b);
	return 0;
}

static int take_lock(struct broker *b, bool replace, struct fl_error *err)
{
	const struct fl_state_lock lock = { LOCK_FILE, "fairlead-dnsd", FL_DNSD_SOCKET, replace };

	b->lock = fl_lock_state(b->state, &lock, err);
	return b->lock < 0 ? b->lock : 0;
}

static int open_listeners(struct broker *b, struct fl_error *err)
{
	FL_AUTOCLOSE int dir = -1;
	char path[sizeof(b->state) + 16];

	if (fl_passed_sockets())
		b->listeners[1] = FL_PASSED_FIRST;
	snprintf(path, sizeof(path), "%s/" FL_DNSD_SOCKET, b->state);
	/* The lock is ours: whoever listened there is dead. */
	if (unlink(path) && errno != ENOENT)
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot remove %s", path);
	dir = open(b->state, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fl_error_errno(err, errno, FL_ECODE_STORE, "state directory %s", b->state);
	/* By its descriptor: the path may be longer than an address can be. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d/" FL_DNSD_SOCKET, dir);
	b->listeners[0] = fl_listen_at(path, SOCK_SEQPACKET, "--state", err);
	return b->listeners[0] < 0 ? b->listeners[0] : 0;
}

static int prepare(struct broker *b, const struct start *s, struct fl_error *err)
{
	ssize_t n = readlink("/proc/self/exe", b->program, sizeof(b->program) - 1);
	int r;

	b->program[n > 0 ? n : 0] = '\0';
	fl_raise_files(FILES);
	r = drop_capabilities(err);
	if (!r)
		r = open_state(b, s->state, err);
	if (!r && s->handover < 0)
		r = take_lock(b, s->replace, err);
	b->base = event_base_new();
	if (!b->base)
		return fl_error_oom(err);
	if (!r && s->handover < 0)
		r = open_listeners(b, err);
	if (!r)
		r = hostconf_start(b, err);
	b->linger = evtimer_new(b->base, on_end, b);
	b->respawn = evtimer_new(b->base, on_respawn, b);
	if (!r && (!b->linger || !b->respawn))
		r = fl_error_oom(err);
	return r;
}

static int open_sandboxes(struct broker *b, const struct start *s, struct fl_error *err)
{
	int r = s->handover < 0 ? 0 : handover_take(b, s->handover, err);

	if (!r)
		r = worker_start(b, err);
	/* After a handover too: an ADD may have come in between. */
	if (!r)
		reopen_all(b);
	return r;
}

void block_hangup(bool on)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void serve(struct broker *b, const struct start *s)
{
	static const struct timeval sweep = { SWEEP_MS / 1000, 0 };
	struct timeval linger = { b->linger_ms / 1000, b->linger_ms % 1000 * 1000 };
	struct event *events[] = {
		event_new(b->base, b->listeners[0], EV_READ | EV_PERSIST, on_listener, b),
		event_new(b->base, b->listeners[1],
			  b->listeners[1] < 0 ? EV_PERSIST : EV_READ | EV_PERSIST, on_listener, b),
		event_new(b->base, -1, EV_PERSIST, on_sweep, b),
		evsignal_new(b->base, SIGTERM, on_end, b),
		evsignal_new(b->base, SIGINT, on_end, b),
		evsignal_new(b->base, SIGCHLD, on_child, b),
		evsignal_new(b->base, SIGHUP, on_hangup, b),
	};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < FL_ARRAY_SIZE(events); i++)
		if (events[i] && (i != 1 || b->listeners[1] >= 0))
			event_add(events[i], i == 2 ? &sweep : NULL);
	block_hangup(false);
	if (!b->n_served && !b->stay)
		event_add(b->linger, &linger);
	/* A child that died before its signal was ours. */
	worker_reap(b);
	fl_background_ready(&s->keeper);
	if (!s->background)
		fl_notify_ready();
	event_base_dispatch(b->base);
	for (size_t i = 0; i < FL_ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
}

/* Callers that come from now on find nobody, and start another. */
static void finish(struct broker *b)
{
	char path[sizeof(b->state) + 16];

	snprintf(path, sizeof(path), "%s/" FL_DNSD_SOCKET, b->state);
	if (!is_orphan(b))
		unlink(path);
	if (b->worker.pid)
		kill(b->worker.pid, SIGKILL);
	if (b->draining.pid)
		kill(b->draining.pid, SIGKILL);
}

static int run(struct broker *b, const struct start *s)
{
	struct fl_error err = { 0 };
	int r = prepare(b, s, &err);

	if (!r)
		r = open_sandboxes(b, s, &err);
	if (r) {
		fl_background_failed(&s->keeper, &err);
		say("%s", err.text);
		return r == -EWOULDBLOCK ? FL_BACKGROUND_ANOTHER : 1;
	}
	serve(b, s);
	finish(b);
	return 0;
}

/* ---- options ---- */

struct options {
	struct start start;
	unsigned long linger, cache, worker, handover;
	bool is_worker, is_handed_over;
};

static int parse(int argc, char **argv, struct options *o)
{
	const struct fl_option known[] = {
		{ "state", .text = &o->start.state },
		{ "background", .given = &o->start.background },
		{ "replace", .given = &o->start.replace },
		{ "linger", .number = &o->linger, .max = 1ul << 30 },
		{ "cache", .text = &o->start.cache, .number = &o->cache, .max = 1ul << 20 },
		/* By itself only. */
		{ "worker", .given = &o->is_worker, .number = &o->worker, .max = FILES },
		{ "handover", .given = &o->is_handed_over, .number = &o->handover, .max = FILES },
	};
	const struct fl_program program = { "fairlead-dnsd", FAIRLEAD_VERSION, usage, known,
					    FL_ARRAY_SIZE(known) };
	int r = fl_options_parse(&program, argc, argv);

	if (o->is_handed_over)
		o->start.handover = (int)o->handover;
	return r;
}

int main(int argc, char **argv)
{
	static struct broker b = { .self = { .fd = -1 },
				   .lock = -1,
				   .listeners = { -1, -1 },
				   .worker = { .fd = -1 },
				   .draining = { .fd = -1 } };
	struct options o = { .start = { .handover = -1,
					.cache = CACHE_DEFAULT,
					.keeper = { "fairlead-dnsd", -1 } },
			     .linger = LINGER_MS };
	int r = parse(argc, argv, &o);

	if (r >= 0)
		return r;
	if (o.is_worker)
		return worker_main((int)o.worker, o.start.state, o.start.cache);
	/* Until there is somebody to hear it, it would be the end. */
	block_hangup(true);
	b.linger_ms = (unsigned)o.linger;
	b.stay = !o.linger;
	b.cache = o.start.cache;
	if (o.start.background && o.start.handover < 0) {
		r = fl_background_start(&o.start.keeper);
		if (r >= 0)
			return r;
	}
	b.quiet = to_syslog = o.start.background;
	return run(&b, &o.start);
}
