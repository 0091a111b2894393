/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor: what happens, as it happens. The store tells nobody of its changes: writing its file
 * does (LMDB writes it by pwrite(2), the page that makes a commit valid last). A wake-up says only
 * that it is time to look; what has happened is the difference to the look before. That costs by
 * what is different: links and addresses are kept by what is heard of them, records as texts, of
 * which only those are read that have changed.
 */
#include "netctl/changes.h"
#include "netctl/out.h"
#include "netctl/recorded.h"
#include "netctl/text.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <time.h>

/* Between two looks, in milliseconds, and how much longer than a look took: bounds what is spent.
 */
enum { PAUSE = 20, SHARE = 2 };
#define DATA_FILE "data.mdb"

struct monitor {
	struct ctl *c;
	const char *network;   /* NULL: all */
	struct host_view host; /* of the last look, as the records */
	struct recorded records;
	bool looked;
	struct fl_nl *events;
	struct host_heard heard;
	int signals, files;
	long next; /* not to look before */
};

/* ---- telling ---- */

static void print_json(const struct event *e, const struct timespec *at)
{
	FL_AUTOJSON json_t *o = NULL;
	char seconds[32], time[48];
	struct tm tm;

	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", gmtime_r(&at->tv_sec, &tm));
	snprintf(time, sizeof(time), "%s.%03ldZ", seconds, at->tv_nsec / 1000000);
	o = json_pack("{ss ss ss ss ss ss ss}", "time", time, "event", e->event, "network",
		      e->network, "container", e->container, "name", e->name, "interface",
		      e->interface, "detail", e->detail);
	if (!o)
		return;
	if (e->more)
		json_object_update(o, e->more);
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
}

static const char *colour_of(const char *event)
{
	return !strcmp(event, "attach") || !strcmp(event, "publish")	 ? COLOUR_GOOD
	       : !strcmp(event, "detach") || !strcmp(event, "unpublish") ? COLOUR_WARN
									 : NULL;
}

static void print_line(const struct ctl *c, const struct event *e, const struct timespec *at)
{
	FL_AUTOFREE char *label = plain_text(e->label), *detail = plain_text(e->detail);
	FL_AUTOFREE char *network = plain_text(*e->network ? e->network : "-");
	FL_AUTOFREE char *interface = plain_text(*e->interface ? e->interface : "-");
	char seconds[32], event[16];
	struct tm tm;

	strftime(seconds, sizeof(seconds), "%H:%M:%S", localtime_r(&at->tv_sec, &tm));
	snprintf(event, sizeof(event), "%-9s", e->event);
	if (label && detail && network && interface)
		printf("%s.%03ld %s %-12s %-16s %-8s %s\n", seconds, at->tv_nsec / 1000000,
		       PAINTED(c, colour_of(e->event), event), network, label, interface, detail);
}

static void print_event(void *arg, const struct event *e)
{
	const struct monitor *m = arg;
	bool wanted = !m->network || !*e->network || !strcmp(m->network, e->network);
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	if (wanted && m->c->json)
		print_json(e, &at);
	else if (wanted)
		print_line(m->c, e, &at);
	json_decref(e->more);
}

/* ---- looking ---- */

static long milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* By what was heard: a dump of 1,000 links takes the kernel some ten milliseconds. */
static int take_host(struct monitor *m, struct host_view *ret, struct fl_error *err)
{
	int r;

	fl_nl_hear(m->events, host_hear, &m->heard);
	if (m->looked && !m->heard.lost)
		return host_view_after(&m->host, &m->heard, ret, err);
	m->heard.lost = false;
	r = host_view_read(m->c, ret, err);
	if (!r)
		host_heard_forget(&m->heard);
	return r;
}

/* What the attachments that differ were and are. */
static int take_records(struct monitor *m, struct view *old, struct view *now, struct fl_error *err)
{
	FL_AUTOFREE uint32_t *links = NULL;
	size_t n;
	int r = host_view_changed(&old->host, &now->host, &links, &n, err);

	if (!r)
		r = recorded_look(m->c, &m->records, links, n, &old->m, &now->m, err);
	/* Somebody is making it right now, and will have written its file. */
	if (r)
		return r == -ENOENT && !m->c->store ? 0 : r;
	old->known = calloc(old->m.n_attachments + 1, sizeof(*old->known));
	if (!old->known)
		return fl_error_oom(err);
	for (size_t i = 0; i < old->m.n_attachments; i++)
		old->known[i] = recorded_knows(&m->records, &old->m.attachments[i]);
	return 0;
}

/*
 * Links first: what the store says is then newer, so that an interface that a deletion has taken is
 * never called lost.
 */
static int compare(struct monitor *m, struct fl_error *err)
{
	const struct changes changes = { print_event, m };
	struct view old = { .host = m->host }, now = { 0 };
	int r = take_host(m, &now.host, err);

	if (!r)
		r = take_records(m, &old, &now, err);
	if (!r)
		r = changes_tell(&changes, &old, &now, !m->looked, err);
	recorded_done(&m->records, &now.m, now.known);
	if (!r) {
		m->host = now.host;
		now.host = (struct host_view){ 0 };
	} else {
		old.host = (struct host_view){ 0 };
	}
	view_clear(&old);
	view_clear(&now);
	return r;
}

static int look(struct monitor *m, struct fl_error *err)
{
	long began = milliseconds(), took;
	int r = compare(m, err);

	if (r)
		return r;
	m->looked = true;
	took = milliseconds() - began;
	m->next = began + took + (took * SHARE > PAUSE ? took * SHARE : PAUSE);
	if (fflush(stdout) || ferror(stdout))
		return fl_error_errno(err, errno, FL_ECODE_IO, "standard output");
	return 0;
}

/* ---- being woken ---- */

/* The directory is made when it is not there; the file in it by the first plugin. */
static int watch(struct monitor *m, struct fl_error *err)
{
	char dir[4096];
	int r = ctl_state_dir(m->c, dir, sizeof(dir), err);

	if (!r &&
	    inotify_add_watch(m->files, dir,
			      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM |
				      IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) < 0)
		r = fl_error_errno(err, errno, FL_ECODE_IO, "watching %s", dir);
	return r;
}

/* The records are gone, not what they were about: nothing is known any more. */
static int start_again(struct monitor *m, struct fl_error *err)
{
	const struct event e = { "state",
				 "",
				 "",
				 "",
				 "-",
				 "",
				 "the state was removed: what was attached is not known any more",
				 json_pack("{ss}", "state", "removed") };

	fl_store_close(m->c->store);
	m->c->store = NULL;
	if (m->records.n)
		print_event(m, &e);
	else
		json_decref(e.more);
	recorded_clear(&m->records);
	return watch(m, err);
}

/* Is there a reason to look? *lost: the file that is open is no longer the state. */
static bool is_change(const struct inotify_event *e, bool *lost)
{
	bool file = e->len && !strcmp(e->name, DATA_FILE);

	/* A removed directory's watch ends by itself, a moved one's goes with it. */
	if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF) ||
	    (file && e->mask & (IN_DELETE | IN_MOVED_FROM)))
		*lost = true;
	return file || *lost || e->mask & IN_Q_OVERFLOW;
}

static int drain_files(struct monitor *m, bool *look_now, struct fl_error *err)
{
	char buf[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool lost = false;
	ssize_t n;

	while ((n = read(m->files, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const void *)p;

			*look_now |= is_change(e, &lost);
			p += sizeof(*e) + e->len;
		}
	return lost ? start_again(m, err) : 0;
}

/* Waits for something, or until a look that is due may begin. 1: the end. */
static int wait_for(struct monitor *m, bool *due, struct fl_error *err)
{
	struct pollfd p[] = { { m->signals, POLLIN, 0 },
			      { m->files, POLLIN, 0 },
			      { fl_nl_fd(m->events), POLLIN, 0 },
			      /* Who read it has gone: nobody would see the next event. */
			      { STDOUT_FILENO, 0, 0 } };
	long left = *due ? m->next - milliseconds() : -1;

	if (*due && left <= 0)
		return 0;
	if (poll(p, FL_ARRAY_SIZE(p), (int)left) < 0 && errno != EINTR)
		return fl_error_errno(err, errno, FL_ECODE_IO, "poll");
	/* A pipe says POLLERR, a socket or a terminal POLLHUP, a closed descriptor POLLNVAL. */
	if (p[0].revents || p[3].revents)
		return 1;
	if (p[2].revents) {
		fl_nl_hear(m->events, host_hear, &m->heard);
		*due = true;
	}
	return p[1].revents ? drain_files(m, due, err) : 0;
}

static int loop(struct monitor *m, struct fl_error *err)
{
	bool due = false;
	int r = look(m, err);

	if (!r)
		remark(m->c, "watching %s; ^C ends it", m->network ? m->network : "all networks");
	while (!r) {
		r = wait_for(m, &due, err);
		if (!r && due && milliseconds() >= m->next) {
			due = false;
			r = look(m, err);
		}
	}
	return r < 0 ? r : 0;
}

static int prepare(struct monitor *m, struct fl_error *err)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	m->signals = signalfd(-1, &set, SFD_CLOEXEC);
	m->files = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (m->signals < 0 || m->files < 0)
		return fl_error_errno(err, errno, FL_ECODE_IO, "signals and changes as files");
	r = fl_nl_open_groups(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, &m->events,
			      err);
	return r ? r : watch(m, err);
}

static int run(struct ctl *c, struct fl_error *err)
{
	struct monitor m = {
		.c = c, .network = option_value(c, "network"), .signals = -1, .files = -1
	};
	int r = prepare(&m, err);

	if (!r)
		r = loop(&m, err);
	recorded_clear(&m.records);
	host_view_clear(&m.host);
	host_view_clear(&m.heard.news);
	fl_nl_close(m.events);
	close(m.signals);
	close(m.files);
	return r;
}

static const struct option_spec options[] = {
	{ "network", 0, "NETWORK", "events of this network only; it need not be there yet",
	  "@network" },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl monitor", "what comes and goes, until ^C" },
	{ "netctl monitor --json --network web", "one network, an object a line" },
	{ 0 },
};

const struct command monitor_command = {
	.name = "monitor",
	.args = "",
	.about = "what is attached, detached, published and changed, as it happens",
	.text = "A line for each event: time, event, network, container, interface, detail. "
		"Events: "
		"attach, detach, publish, unpublish, address (of an endpoint, or of the network's "
		"interface on the host), state (of an endpoint or its host interface). With --json "
		"each event is an object in a line of its own.\n\nWhat is there in the beginning "
		"is "
		"not told of. What came and went within some milliseconds may not be told of "
		"either, and never by halves.",
	.json = "each event is a line with an object: time (UTC), event, network, container (id), "
		"name, "
		"interface, detail (for people); of attach also addresses (list), hostInterface, "
		"driver, netns; of publish and unpublish port (hostIP, hostPort, containerPort, "
		"protocol, range); of address: address, change (added, removed); of state: state "
		"(creating, deleting, removed, gone, or that of the interface: up, down, ...).",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.completes = NULL,
	.run = run,
};
