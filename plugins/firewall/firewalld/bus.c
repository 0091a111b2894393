/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bus.h"

#include <dbus/dbus.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SOCKET "/run/dbus/system_bus_socket"
#define NAME "org.fedoraproject.FirewallD1"
#define PATH "/org/fedoraproject/FirewallD1"
#define ZONE NAME ".zone"
#define EXCEPTION NAME ".Exception"
#define TIMEOUT_MS 2000

struct fl_firewalld {
	DBusConnection *bus;
};

static DBusMessage *request(const char *to, const char *path, const char *interface,
			    const char *method)
{
	DBusMessage *m = dbus_message_new_method_call(to, path, interface, method);

	if (m)
		dbus_message_set_auto_start(m, FALSE);
	return m;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * Not dbus_connection_send_with_reply_and_block(): it first waits until the message is sent, for
 * ever if the bus does not authenticate us.
 */
static DBusMessage *wait_reply(struct fl_firewalld *f, DBusPendingCall *pending, DBusError *e)
{
	int64_t end = now_ms() + TIMEOUT_MS, left = TIMEOUT_MS;
	DBusMessage *reply = NULL;

	while (!dbus_pending_call_get_completed(pending) && left > 0 &&
	       dbus_connection_read_write_dispatch(f->bus, (int)left))
		left = end - now_ms();
	if (dbus_pending_call_get_completed(pending))
		reply = dbus_pending_call_steal_reply(pending);
	if (!reply) {
		dbus_pending_call_cancel(pending);
		dbus_set_error_const(e, DBUS_ERROR_NO_REPLY, "no answer");
	} else if (dbus_set_error_from_message(e, reply)) {
		dbus_message_unref(reply);
		reply = NULL;
	}
	dbus_pending_call_unref(pending);
	return reply;
}

/* Takes the message. NULL: `e` says why; without a name, memory was short. */
static DBusMessage *ask(struct fl_firewalld *f, DBusMessage *m, DBusError *e)
{
	DBusPendingCall *pending = NULL;
	bool sent = m && dbus_connection_send_with_reply(f->bus, m, &pending, TIMEOUT_MS);

	if (m)
		dbus_message_unref(m);
	if (sent && !pending)
		dbus_set_error_const(e, DBUS_ERROR_DISCONNECTED, "the bus has hung up");
	return pending ? wait_reply(f, pending, e) : NULL;
}

static bool is(const DBusError *e, const char *name)
{
	return e->name && !strcmp(e->name, name);
}

static bool timed_out(const DBusError *e)
{
	return is(e, DBUS_ERROR_NO_REPLY) || is(e, DBUS_ERROR_TIMEOUT) ||
	       is(e, DBUS_ERROR_TIMED_OUT);
}

static int bus_failed(const char *address, DBusError *e, struct fl_error *err)
{
	int r;

	if (timed_out(e))
		r = fl_error_set(err, -ETIMEDOUT, FL_ECODE_TRY_AGAIN,
				 "firewalld: the system bus at %s does not answer; look at "
				 "`systemctl status dbus`",
				 address);
	else
		r = fl_error_set(err, is(e, DBUS_ERROR_NO_MEMORY) || !e->name ? -ENOMEM : -EIO,
				 FL_ECODE_KERNEL,
				 "firewalld: cannot use the system bus at %s: %s; look at "
				 "`systemctl status dbus`",
				 address, e->message ? e->message : "out of memory");
	dbus_error_free(e);
	return r;
}

/* 1 connected, 0 nobody listens there. */
static int connect_bus(struct fl_firewalld *f, const char *address, struct fl_error *err)
{
	DBusMessage *reply;
	DBusError e;

	dbus_error_init(&e);
	/* Ignoring SIGPIPE would outlive us in the programs that a plugin executes. */
	dbus_connection_set_change_sigpipe(FALSE);
	f->bus = dbus_connection_open_private(address, &e);
	if (is(&e, DBUS_ERROR_NO_SERVER) || is(&e, DBUS_ERROR_FILE_NOT_FOUND)) {
		dbus_error_free(&e);
		return 0;
	}
	if (!f->bus)
		return bus_failed(address, &e, err);
	/* Not dbus_bus_register(), which waits for 25 seconds. */
	reply = ask(f, request(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "Hello"),
		    &e);
	if (!reply)
		return bus_failed(address, &e, err);
	dbus_message_unref(reply);
	return 1;
}

/* 1 or 0: whether firewalld is on the bus. */
static int has_owner(struct fl_firewalld *f, const char *address, struct fl_error *err)
{
	DBusMessage *m =
		request(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "NameHasOwner");
	const char *name = NAME;
	DBusMessage *reply;
	dbus_bool_t owned = FALSE;
	DBusError e;

	dbus_error_init(&e);
	if (m)
		dbus_message_append_args(m, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID);
	reply = ask(f, m, &e);
	if (!reply)
		return bus_failed(address, &e, err);
	dbus_message_get_args(reply, NULL, DBUS_TYPE_BOOLEAN, &owned, DBUS_TYPE_INVALID);
	dbus_message_unref(reply);
	return owned ? 1 : 0;
}

void fl_firewalld_close(struct fl_firewalld *f)
{
	if (f->bus) {
		dbus_connection_close(f->bus);
		dbus_connection_unref(f->bus);
	}
	free(f);
}

int fl_firewalld_open(struct fl_firewalld **ret, struct fl_error *err)
{
	const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
	FL_AUTOFIREWALLD struct fl_firewalld *f = NULL;
	int r;

	if (!address || !*address) {
		if (access(SOCKET, F_OK))
			return 0;
		address = "unix:path=" SOCKET;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return fl_error_oom(err);
	r = connect_bus(f, address, err);
	if (r == 1)
		r = has_owner(f, address, err);
	if (r == 1)
		*ret = fl_take_ptr(f);
	return r;
}

int fl_firewalld_running(struct fl_error *err)
{
	FL_AUTOFIREWALLD struct fl_firewalld *f = NULL;

	return fl_firewalld_open(&f, err);
}

/* What is asked of a zone, and how it reads in a sentence. */
struct action {
	const char *method, *verb, *preposition;
	bool removing;
};

static const struct action adding = { "addSource", "add", "to" };
static const struct action removing = { "removeSource", "remove", "from", .removing = true };
static const struct action querying = { "querySource", "look for", "in" };

/* firewalld's exceptions are texts that start with a code. */
static bool says(const DBusError *e, const char *code)
{
	size_t n = strlen(code);

	return is(e, EXCEPTION) && e->message && !strncmp(e->message, code, n) &&
	       (!e->message[n] || e->message[n] == ':');
}

static bool is_done_already(const struct action *a, const DBusError *e)
{
	if (a->removing)
		return says(e, "UNKNOWN_SOURCE") || says(e, "NOT_ENABLED") ||
		       says(e, "ZONE_CONFLICT") || is(e, DBUS_ERROR_SERVICE_UNKNOWN) ||
		       is(e, DBUS_ERROR_NAME_HAS_NO_OWNER);
	return says(e, "ALREADY_ENABLED") || says(e, "ZONE_ALREADY_SET");
}

static int zone_failed(const struct action *a, const char *zone, const char *source,
		       const DBusError *e, struct fl_error *err)
{
	const char *why = e->message ? e->message : "out of memory";
	char what[FL_PREFIX_STR + 256];

	snprintf(what, sizeof(what), "%s %s %s zone %s", a->verb, source, a->preposition, zone);
	if (timed_out(e))
		return fl_error_set(err, -ETIMEDOUT, FL_ECODE_TRY_AGAIN,
				    "firewalld: cannot %s: no answer within %d s; look at "
				    "`systemctl status firewalld`",
				    what, TIMEOUT_MS / 1000);
	if (says(e, "INVALID_ZONE"))
		return fl_error_set(err, -ENOENT, FL_ECODE_CONFIG,
				    "firewalld: cannot %s: there is no such zone; `firewall-cmd "
				    "--get-zones` lists them",
				    what);
	if (says(e, "ZONE_CONFLICT"))
		return fl_error_set(err, -EEXIST, FL_ECODE_CONFLICT,
				    "firewalld: cannot %s: another zone has it; `firewall-cmd "
				    "--get-zone-of-source=%s` names it",
				    what, source);
	if (is(e, DBUS_ERROR_ACCESS_DENIED) || says(e, "ACCESS_DENIED"))
		return fl_error_set(err, -EACCES, FL_ECODE_PRIVILEGE,
				    "firewalld: cannot %s: %s; run as root, and see whether its "
				    "lockdown is on (`firewall-cmd --query-lockdown`)",
				    what, why);
	return fl_error_set(err, e->name ? -EIO : -ENOMEM, FL_ECODE_KERNEL,
			    "firewalld: cannot %s: %s; see whether `firewall-cmd --state` is "
			    "running",
			    what, why);
}

/* *ret_answer is the boolean that a query comes back with. */
static int call_zone(struct fl_firewalld *f, const struct action *a, const char *zone,
		     const char *source, bool *ret_answer, struct fl_error *err)
{
	DBusMessage *m = request(NAME, PATH, ZONE, a->method);
	dbus_bool_t answer = FALSE;
	DBusMessage *reply;
	DBusError e;
	int r = 0;

	dbus_error_init(&e);
	if (m)
		dbus_message_append_args(m, DBUS_TYPE_STRING, &zone, DBUS_TYPE_STRING, &source,
					 DBUS_TYPE_INVALID);
	reply = ask(f, m, &e);
	if (reply && ret_answer) {
		dbus_message_get_args(reply, NULL, DBUS_TYPE_BOOLEAN, &answer, DBUS_TYPE_INVALID);
		*ret_answer = answer;
	}
	if (reply)
		dbus_message_unref(reply);
	else if (!is_done_already(a, &e))
		r = zone_failed(a, zone, source, &e, err);
	dbus_error_free(&e);
	return r;
}

static const char *host_str(const struct fl_prefix *p, char *buf)
{
	struct fl_prefix host = { p->addr, (uint8_t)fl_addr_bits(&p->addr) };

	return fl_prefix_str(&host, buf);
}

/* libdbus ends the process when it is given anything but UTF-8. */
static int check_zone(const char *zone, struct fl_error *err)
{
	return dbus_validate_utf8(zone, NULL)
		       ? 0
		       : fl_error_set(err, -EINVAL, FL_ECODE_CONFIG,
				      "firewalld: the name of the zone is not UTF-8");
}

static int for_each(struct fl_firewalld *f, const struct action *a, const char *zone,
		    const struct fl_prefix *addrs, size_t n, struct fl_error *err)
{
	int r = check_zone(zone, err);

	for (size_t i = 0; !r && i < n; i++)
		r = call_zone(f, a, zone, host_str(&addrs[i], FL_PREFIX_BUF), NULL, err);
	return r;
}

int fl_firewalld_add_sources(struct fl_firewalld *f, const char *zone,
			     const struct fl_prefix *addrs, size_t n, struct fl_error *err)
{
	return for_each(f, &adding, zone, addrs, n, err);
}

int fl_firewalld_remove_sources(struct fl_firewalld *f, const char *zone,
				const struct fl_prefix *addrs, size_t n, struct fl_error *err)
{
	return for_each(f, &removing, zone, addrs, n, err);
}

int fl_firewalld_has_sources(struct fl_firewalld *f, const char *zone,
			     const struct fl_prefix *addrs, size_t n, struct fl_error *err)
{
	char buf[FL_PREFIX_STR];
	int r = check_zone(zone, err);

	for (size_t i = 0; !r && i < n; i++) {
		bool there = false;

		r = call_zone(f, &querying, zone, host_str(&addrs[i], buf), &there, err);

		if (!r && !there) {
			fl_error_set(err, -ENOENT, FL_ECODE_CHECK,
				     "firewalld: zone %s does not have the source %s; it goes "
				     "when firewalld is reloaded or restarted",
				     zone, buf);
			return 0;
		}
	}
	return r ? r : 1;
}
