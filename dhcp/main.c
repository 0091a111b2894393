/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/daemon.h"

#include "base/caps.h"
#include "base/options.h"
#include "base/service.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static const char usage[] =
	"usage: fairlead-dhcpd [OPTION]...\n"
	"Keeps the DHCP leases of containers for the plugin dhcp.\n"
	"\n"
	"  --socket PATH      where plugins ask (" FL_DHCP_SOCKET ")\n"
	"  --state DIR        where leases are kept (" STATE_DIR ")\n"
	"  --timeout SECONDS  for a lease, when the request has none (10)\n"
	"  --resendmax SECONDS  longest pause between two transmissions (64)\n"
	"  --broadcast        servers are asked to answer by broadcast\n"
	"  --hostprefix DIR   put before the paths of namespaces\n"
	"  --pidfile PATH     gets the process id\n"
	"  --version, --help\n"
	"\n"
	"A socket passed by systemd (LISTEN_FDS) takes the place of --socket.\n";

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

__attribute__((format(printf, 2, 0))) static void say_with(const struct lease *l, const char *fmt,
							   va_list ap)
{
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (l)
		fprintf(stderr, "fairlead-dhcpd: %s/%s/%s: %s\n", l->q.network, l->q.container,
			l->q.ifname, text);
	else
		fprintf(stderr, "fairlead-dhcpd: %s\n", text);
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_with(NULL, fmt, ap);
	va_end(ap);
}

void say_of(const struct lease *l, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_with(l, fmt, ap);
	va_end(ap);
}

void leave_netns(const struct daemon *d)
{
	struct fl_error err = { 0 };

	if (!fl_netns_enter(&d->self, &err))
		return;
	say("%s", err.text);
	_exit(1);
}

static int drop_capabilities(struct fl_error *err)
{
	static const cap_value_t keep[] = { CAP_NET_ADMIN,	 CAP_NET_RAW,
					    CAP_SYS_ADMIN,	 CAP_SYS_PTRACE,
					    CAP_DAC_READ_SEARCH, CAP_NET_BIND_SERVICE };

	/* Without the fourth and fifth namespaces of other users are refused; without the last one
	 * DHCPv6 is, and DHCPv4 renews by the packet socket alone. That one channel_bind() raises
	 * when it is needed. */
	return fl_keep_capabilities(keep, FL_ARRAY_SIZE(keep), 3, FL_ARRAY_SIZE(keep) - 1,
				    "NET_ADMIN, NET_RAW and SYS_ADMIN", err);
}

static int parse(int argc, char **argv, struct daemon *d)
{
	unsigned long timeout = DEFAULT_TIMEOUT, resend = FL_DHCP_RESEND_MAX / 1000;
	const struct fl_option known[] = {
		{ "socket", .text = &d->socket_path },
		{ "state", .text = &d->state_path },
		{ "timeout", .number = &timeout, .min = 1, .max = 600 },
		{ "resendmax", .number = &resend, .min = 1, .max = 600 },
		{ "broadcast", .given = &d->broadcast },
		{ "hostprefix", .text = &d->host_prefix },
		{ "pidfile", .text = &d->pid_file },
	};
	const struct fl_program program = { "fairlead-dhcpd", FAIRLEAD_VERSION, usage, known,
					    FL_ARRAY_SIZE(known) };
	int r = fl_options_parse(&program, argc, argv);

	d->timeout = (unsigned)timeout;
	d->resend_max = (uint32_t)resend * 1000;
	return r;
}

static void on_listener(evutil_socket_t fd, short what, void *arg)
{
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (s >= 0)
		conn_accept(arg, s);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static int write_pid(const char *path, struct fl_error *err)
{
	FL_AUTOFCLOSE FILE *f = path ? fopen(path, "we") : NULL;

	if (path && (!f || fprintf(f, "%d\n", (int)getpid()) < 0))
		return fl_error_errno(err, errno, FL_ECODE_IO, "cannot write %s", path);
	return 0;
}

static int prepare(struct daemon *d, int *ret_fd, bool *ret_own, struct fl_error *err)
{
	int r;

	if (d->host_prefix[0] && d->host_prefix[0] != '/')
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "--hostprefix: expected an absolute path");
	d->base = event_base_new();
	if (!d->base)
		return fl_error_oom(err);
	/* Hundreds of leases may each have two sockets open at once. */
	fl_raise_files(0);
	r = drop_capabilities(err);
	if (!r)
		r = fl_netns_self(&d->self, err);
	if (!r)
		r = state_open(d, err);
	if (r)
		return r;
	*ret_fd = open_listener(d, ret_own, err);
	return *ret_fd < 0 ? *ret_fd : write_pid(d->pid_file, err);
}

/* Leases are neither released nor forgotten: the next daemon goes on with them. */
static void serve(struct daemon *d, int listener)
{
	struct event *events[] = {
		event_new(d->base, listener, EV_READ | EV_PERSIST, on_listener, d),
		evsignal_new(d->base, SIGTERM, on_signal, d->base),
		evsignal_new(d->base, SIGINT, on_signal, d->base),
	};

	signal(SIGPIPE, SIG_IGN);
	state_load(d);
	for (size_t i = 0; i < FL_ARRAY_SIZE(events); i++)
		event_add(events[i], NULL);
	say("ready");
	fl_notify_ready();
	event_base_dispatch(d->base);
	for (size_t i = 0; i < FL_ARRAY_SIZE(events); i++)
		event_free(events[i]);
	while (d->leases)
		lease_free(d->leases);
}

int main(int argc, char **argv)
{
	struct daemon d = { .self = FL_NETNS_NONE,
			    .state_dir = -1,
			    .socket_path = FL_DHCP_SOCKET,
			    .state_path = STATE_DIR,
			    .host_prefix = "" };
	int listener = -1, r = parse(argc, argv, &d);
	struct fl_error err = { 0 };
	bool own = false;

	if (r >= 0)
		return r;
	if (prepare(&d, &listener, &own, &err)) {
		say("%s", err.text);
		return 1;
	}
	serve(&d, listener);
	close(listener);
	if (own)
		unlink(d.socket_path);
	fl_close_p(&d.state_dir);
	fl_netns_close(&d.self);
	event_base_free(d.base);
	return 0;
}
