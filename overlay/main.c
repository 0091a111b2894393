/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlay/agent.h"

#include "base/background.h"
#include "base/caps.h"
#include "base/options.h"
#include "base/service.h"
#include "netns/netns.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <syslog.h>

#define LOCK_FILE "overlay.lock"
enum {
	LOOK_MS = 50,
	ALARMS_MS = 60000,
};

static const char usage[] =
	"usage: fairlead-overlayd [OPTION]...\n"
	"Keeps this node's part in the overlay networks of a cluster.\n"
	"\n"
	"  --config FILE      where etcd is, and what this node is called (" FL_OVERLAY_CONFIG ")\n"
	"  --state DIR        state directory of this host namespace (default: as the plugins "
	"choose it)\n"
	"  --background       come back when ready; started again when it is killed; log to "
	"syslog\n"
	"  --replace          end the agent that serves the state now, and take its place\n"
	"  --linger MS        in the background: how long to stay in no network, 0: for ever "
	"(60000)\n"
	"  --version, --help\n";

static bool to_syslog;

/* A line, whatever strangers wrote into it. */
void say(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	if (to_syslog)
		syslog(LOG_NOTICE, "%s", text);
	else
		fprintf(stderr, "fairlead-overlayd: %s\n", text);
}

int64_t now_s(void)
{
	return (int64_t)time(NULL);
}

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- trouble ---- */

bool agent_heard(struct agent *a, const struct fl_etcd_result *r)
{
	bool ok = r->outcome == FL_ETCD_OK || r->outcome == FL_ETCD_COMPARE ||
		  r->outcome == FL_ETCD_LOST || r->outcome == FL_ETCD_COMPACTED;

	if (ok && a->trouble.err && !a->member.taken) {
		say("the store is reached again");
		a->trouble = (struct fl_error){ 0 };
		a->trouble_since = now_s();
		a->hopeless = false;
		networks_in(a);
		agent_wake(a);
	}
	if (ok)
		return r->outcome == FL_ETCD_OK || r->outcome == FL_ETCD_COMPARE;
	if (!a->trouble.err || (r->outcome == FL_ETCD_DENIED && !a->hopeless))
		say("%s", r->err.text);
	if (!a->trouble.err)
		a->trouble_since = now_s();
	a->trouble = r->err;
	if (!a->trouble.err)
		a->trouble.err = -EIO;
	a->hopeless = r->outcome == FL_ETCD_DENIED;
	if (a->hopeless)
		agent_wake(a);
	return false;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	clients_wake(arg);
}

void agent_wake(struct agent *a)
{
	if (a->wake)
		event_active(a->wake, EV_TIMEOUT, 0);
}

/* ---- links ---- */

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	struct network *net, *tmp;

	(void)fd;
	(void)what;
	underlay_look(a);
	HASH_ITER (hh, a->networks, net, tmp) {
		bool there = net->bridge && net->tunnel, whole = there && program_look(net);

		if (there ? whole && !net->touched && !net->port_left : !net->touched)
			continue;
		network_mend(net);
		program_compare(net, true);
	}
}

/* Bridges tell of each port that comes: they are looked at once for many. */
void agent_look(struct agent *a)
{
	static const struct timeval soon = { 0, LOOK_MS * 1000 };
	struct timeval due, now;

	evutil_gettimeofday(&now, NULL);
	evutil_timeradd(&now, &soon, &now);
	if (!evtimer_pending(a->look, &due) || evutil_timercmp(&now, &due, <))
		event_add(a->look, &soon);
}

static void on_link(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	mend_hear(arg);
	agent_look(arg);
}

static void on_alarms(void *arg, struct fl_etcd_result *r)
{
	struct agent *a = arg;

	if (r->outcome == FL_ETCD_OK)
		a->alarms = r->alarms;
}

static void on_compare(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	struct network *net, *tmp;

	(void)fd;
	(void)what;
	nodes_tidy(a);
	nodes_look(a);
	HASH_ITER (hh, a->networks, net, tmp) {
		if (!network_ready(net))
			continue;
		program_look(net);
		program_compare(net, false);
		mirror_all(net);
		net->reconcile = true;
		network_settle(net);
	}
	mirror_flush(a);
}

/* Somebody removed the folder: whoever comes now makes another, and another agent. */
static bool is_orphan(const struct agent *a)
{
	struct stat st;

	return stat(a->state, &st) || st.st_dev != a->state_dev || st.st_ino != a->state_ino;
}

/* Who was started by a plugin goes when nobody needs it any more. */
static bool is_idle(struct agent *a)
{
	struct network *net, *tmp;

	HASH_ITER (hh, a->networks, net, tmp)
		if (net->member || local_has_endpoints(a, net->rec.name))
			return false;
	return a->linger_ms && !a->clients && networks_synced(a);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;

	(void)fd;
	(void)what;
	if (is_orphan(a)) {
		event_base_loopbreak(a->base);
		return;
	}
	/* Twice in a row, so that no plugin is between two of its questions. */
	a->idle = is_idle(a) ? a->idle + 1 : 0;
	if (a->idle > 1)
		member_leave(a, NULL);
}

static void on_minute(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	struct network *net, *tmp;

	(void)fd;
	(void)what;
	fl_etcd_query(a->etcd, FL_ETCD_ALARMS, on_alarms, a, NULL, NULL);
	/* An endpoint may have been evicted by another network's ADD, which asks nobody here. */
	HASH_ITER (hh, a->networks, net, tmp)
		if (network_ready(net)) {
			if (net->doubtful)
				program_compare(net, true);
			net->reconcile = true;
			network_settle(net);
			network_prove(net);
			network_tidy(net);
		}
}
/* ---- start ---- */

static int parse(int argc, char **argv, struct options *o)
{
	const struct fl_option known[] = {
		{ "config", .text = &o->config },
		{ "state", .text = &o->state },
		{ "background", .given = &o->background },
		{ "replace", .given = &o->replace },
		{ "linger", .number = &o->linger_ms, .max = 1ul << 30 },
	};
	const struct fl_program program = { FL_OVERLAY_PROGRAM, FAIRLEAD_VERSION, usage, known,
					    FL_ARRAY_SIZE(known) };

	return fl_options_parse(&program, argc, argv);
}

static int open_state(struct agent *a, const struct options *o, struct fl_error *err)
{
	const struct fl_state_lock lock = { LOCK_FILE, FL_OVERLAY_PROGRAM, FL_OVERLAY_SOCKET,
					    o->replace };
	FL_AUTONETNS struct fl_netns self = FL_NETNS_NONE;
	struct stat st;
	int r = fl_netns_self(&self, err);

	if (r)
		return r;
	if (o->state)
		fl_strcpy(a->state, sizeof(a->state), o->state);
	else
		r = fl_store_dir(NULL, self.cookie, a->state, sizeof(a->state), err);
	if (!r)
		r = fl_store_open(a->state, &a->store, err);
	if (r)
		return r;
	if (stat(a->state, &st))
		return fl_error_errno(err, errno, FL_ECODE_STORE, "state directory %s", a->state);
	a->state_dev = st.st_dev;
	a->state_ino = st.st_ino;
	a->lock = fl_lock_state(a->state, &lock, err);
	return a->lock < 0 ? a->lock : 0;
}

static int read_boot_id(struct agent *a, struct fl_error *err)
{
	FL_AUTOFCLOSE FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || fscanf(f, "%36s", a->boot_id) != 1)
		return fl_error_errno(err, EIO, FL_ECODE_KERNEL,
				      "cannot read /proc/sys/kernel/random/boot_id");
	return 0;
}

static int open_etcd(struct agent *a, struct fl_error *err)
{
	const struct fl_etcd_config c = {
		.endpoints = a->conf.endpoints,
		.n_endpoints = a->conf.n_endpoints,
		.ca_file = a->conf.ca_file,
		.cert_file = a->conf.cert_file,
		.key_file = a->conf.key_file,
		.user = a->conf.user,
		.password = a->conf.password,
		.password_file = a->conf.password_file,
		.cluster = a->conf.cluster,
		.total_ms = 4000,
		.restored = restore_begin,
		.arg = a,
	};

	return fl_etcd_new(a->base, &c, &a->etcd, err);
}

/* What of the configuration only the host and the client can judge. */
static int begin_config(struct agent *a, const char *path, struct fl_error *err)
{
	int r = open_etcd(a, err);

	if (!r)
		r = underlay_find(a, err);
	return r ? fl_error_prefix(err, "%s", path) : 0;
}

static int drop_capabilities(struct fl_error *err)
{
	static const cap_value_t keep[] = { CAP_NET_ADMIN };

	return fl_keep_capabilities(keep, 1, 1, 1, "NET_ADMIN", err);
}

static int prepare(struct agent *a, const struct options *o, struct fl_error *err)
{
	int r = config_read(o->config, &a->conf, err);

	srandom((unsigned)getpid() ^ (unsigned)now_ms());
	fl_raise_files(0);
	if (!r)
		r = open_state(a, o, err);
	if (!r)
		r = fl_nl_open(&a->nl, err);
	if (!r)
		r = fl_nl_open_groups(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
				      &a->links, err);
	if (!r)
		r = read_boot_id(a, err);
	a->base = event_base_new();
	if (!a->base)
		return fl_error_oom(err);
	if (!r)
		r = begin_config(a, o->config, err);
	if (!r) {
		moved_open(a);
		r = drop_capabilities(err);
	}
	return r ? r : control_open(a, err);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static struct event *must_event(struct event *e)
{
	if (!e)
		die_of_memory();
	return e;
}

static void serve(struct agent *a, const struct fl_background *keeper)
{
	static const struct timeval compare = { COMPARE_MS / 1000, 0 };
	static const struct timeval minute = { ALARMS_MS / 1000, 0 };
	struct event *ends[] = { must_event(evsignal_new(a->base, SIGTERM, on_end, a->base)),
				 must_event(evsignal_new(a->base, SIGINT, on_end, a->base)) };
	struct event *alarms = must_event(event_new(a->base, -1, EV_PERSIST, on_minute, a));
	struct event *idle = must_event(event_new(a->base, -1, EV_PERSIST, on_idle, a));
	unsigned long half = (a->linger_ms ? a->linger_ms : 60000) / 2;
	const struct timeval look = { (time_t)(half / 1000), (suseconds_t)(half % 1000 * 1000) };
	signal(SIGPIPE, SIG_IGN);
	a->link_event = must_event(
		event_new(a->base, fl_nl_fd(a->links), EV_READ | EV_PERSIST, on_link, a));
	a->look = must_event(evtimer_new(a->base, on_look, a));
	a->wake = must_event(event_new(a->base, -1, 0, on_wake, a));
	a->compare = must_event(event_new(a->base, -1, EV_PERSIST, on_compare, a));
	event_add(a->link_event, NULL);
	event_add(a->compare, &compare);
	event_add(alarms, &minute);
	event_add(idle, &look);
	for (size_t i = 0; i < FL_ARRAY_SIZE(ends); i++)
		event_add(ends[i], NULL);
	sweep_start(a);
	restore_start(a);
	follow_prepare(a);
	nodes_start(a);
	networks_start(a);
	member_start(a);
	say("ready");
	fl_background_ready(keeper);
	if (!to_syslog)
		fl_notify_ready();
	event_base_dispatch(a->base);
	for (size_t i = 0; i < FL_ARRAY_SIZE(ends); i++)
		event_free(ends[i]);
	event_free(alarms);
	event_free(idle);
}

/* Everything stays as it is: in the kernel, in both stores. The next agent goes on with it. */
static void finish(struct agent *a)
{
	struct event **events[] = { &a->link_event, &a->look,  &a->wake,
				    &a->compare,    &a->doubt, &a->tell };

	if (a->sweep_timer)
		sweep_stop(a);
	member_stop(a);
	networks_stop(a);
	nodes_stop(a);
	control_close(a);
	for (size_t i = 0; i < FL_ARRAY_SIZE(events); i++)
		if (*events[i])
			event_free(fl_take_ptr(*events[i]));
	if (a->joins_call)
		fl_etcd_cancel(a->joins_call);
	if (a->etcd)
		fl_etcd_free(a->etcd);
	fl_nl_close(a->nl);
	fl_nl_close(a->links);
	ignored_clear(a);
	fl_store_close(a->store);
	if (a->base)
		event_base_free(a->base);
	fl_close_p(&a->lock);
	fl_close_p(&a->moved);
	config_clear(&a->conf);
}

int main(int argc, char **argv)
{
	struct fl_background keeper = { "fairlead-overlayd", -1 };
	struct options o = { .config = FL_OVERLAY_CONFIG, .linger_ms = 60000 };
	static struct agent a = { .lock = -1, .listener = -1, .moved = -1 };
	struct fl_error err = { 0 };
	int r = parse(argc, argv, &o);

	if (r >= 0)
		return r;
	r = 0;
	a.trouble_since = now_s();
	a.linger_ms = o.background ? o.linger_ms : 0;
	if (o.background) {
		r = fl_background_start(&keeper);
		if (r >= 0)
			return r;
		r = 0;
		to_syslog = true;
		openlog("fairlead-overlayd", LOG_PID, LOG_DAEMON);
	}
	if (prepare(&a, &o, &err)) {
		fl_background_failed(&keeper, &err);
		say("%s", err.text);
		r = err.err == -EWOULDBLOCK ? FL_BACKGROUND_ANOTHER : 1;
	} else {
		serve(&a, &keeper);
	}
	finish(&a);
	return r;
}
