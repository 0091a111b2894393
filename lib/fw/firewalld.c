/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fw/firewalld.h"

#include <dbus/dbus.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIBRARY "libdbus-1.so.3"
#define SOCKET "/run/dbus/system_bus_socket"
#define NAME "org.fedoraproject.FirewallD1"
#define PATH "/org/fedoraproject/FirewallD1"
#define ZONE NAME ".zone"
#define EXCEPTION NAME ".Exception"
#define TIMEOUT_MS 2000

/* The functions used, each a member of the type that libdbus declares. */
#define FUNCTIONS(F)                      \
	F(error_init)                     \
	F(error_free)                     \
	F(set_error_const)                \
	F(set_error_from_message)         \
	F(connection_open_private)        \
	F(connection_set_change_sigpipe)  \
	F(connection_send_with_reply)     \
	F(connection_read_write_dispatch) \
	F(connection_close)               \
	F(connection_unref)               \
	F(pending_call_get_completed)     \
	F(pending_call_steal_reply)       \
	F(pending_call_cancel)            \
	F(pending_call_unref)             \
	F(message_new_method_call)        \
	F(message_set_auto_start)         \
	F(message_append_args)            \
	F(message_get_args)               \
	F(message_unref)                  \
	F(validate_utf8)

struct api {
#define MEMBER(name) __typeof__(dbus_##name) *name;
	FUNCTIONS(MEMBER)
#undef MEMBER
};

struct fl_firewalld {
	void *library;
	struct api dbus;
	DBusConnection *bus;
};

static const struct {
	const char *name;
	size_t offset;
} symbols[] = {
#define SYMBOL(name) { "dbus_" #name, offsetof(struct api, name) },
	FUNCTIONS(SYMBOL)
#undef SYMBOL
};

/* 1 loaded, 0 there is no such library. It stays in the process: it registers with libc. */
static int load(struct fl_firewalld *f, struct fl_error *err)
{
	f->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!f->library)
		return 0;
	for (size_t i = 0; i < FL_ARRAY_SIZE(symbols); i++) {
		void *function = dlsym(f->library, symbols[i].name);

		if (!function)
			return fl_error_set(err, -ELIBACC, FL_ECODE_KERNEL,
					    "firewalld: " LIBRARY " has no function %s; install "
					    "the libdbus-1 of your distribution",
					    symbols[i].name);
		memcpy((char *)&f->dbus + symbols[i].offset, &function, sizeof(function));
	}
	return 1;
}

static DBusMessage *request(struct fl_firewalld *f, const char *to, const char *path,
			    const char *interface, const char *method)
{
	DBusMessage *m = f->dbus.message_new_method_call(to, path, interface, method);

	if (m)
		f->dbus.message_set_auto_start(m, FALSE);
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

	while (!f->dbus.pending_call_get_completed(pending) && left > 0 &&
	       f->dbus.connection_read_write_dispatch(f->bus, (int)left))
		left = end - now_ms();
	if (f->dbus.pending_call_get_completed(pending))
		reply = f->dbus.pending_call_steal_reply(pending);
	if (!reply) {
		f->dbus.pending_call_cancel(pending);
		f->dbus.set_error_const(e, DBUS_ERROR_NO_REPLY, "no answer");
	} else if (f->dbus.set_error_from_message(e, reply)) {
		f->dbus.message_unref(reply);
		reply = NULL;
	}
	f->dbus.pending_call_unref(pending);
	return reply;
}

/* Takes the message. NULL: `e` says why; without a name, memory was short. */
static DBusMessage *ask(struct fl_firewalld *f, DBusMessage *m, DBusError *e)
{
	DBusPendingCall *pending = NULL;
	bool sent = m && f->dbus.connection_send_with_reply(f->bus, m, &pending, TIMEOUT_MS);

	if (m)
		f->dbus.message_unref(m);
	if (sent && !pending)
		f->dbus.set_error_const(e, DBUS_ERROR_DISCONNECTED, "the bus has hung up");
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

static int bus_failed(struct fl_firewalld *f, const char *address, DBusError *e,
		      struct fl_error *err)
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
	f->dbus.error_free(e);
	return r;
}

/* 1 connected, 0 nobody listens there. */
static int connect_bus(struct fl_firewalld *f, const char *address, struct fl_error *err)
{
	DBusMessage *reply;
	DBusError e;

	f->dbus.error_init(&e);
	/* Ignoring SIGPIPE would outlive us in the programs that a plugin executes. */
	f->dbus.connection_set_change_sigpipe(FALSE);
	f->bus = f->dbus.connection_open_private(address, &e);
	if (is(&e, DBUS_ERROR_NO_SERVER) || is(&e, DBUS_ERROR_FILE_NOT_FOUND)) {
		f->dbus.error_free(&e);
		return 0;
	}
	if (!f->bus)
		return bus_failed(f, address, &e, err);
	/* Not dbus_bus_register(), which waits for 25 seconds. */
	reply = ask(f, request(f, DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "Hello"),
		    &e);
	if (!reply)
		return bus_failed(f, address, &e, err);
	f->dbus.message_unref(reply);
	return 1;
}

/* 1 or 0: whether firewalld is on the bus. */
static int has_owner(struct fl_firewalld *f, const char *address, struct fl_error *err)
{
	DBusMessage *m =
		request(f, DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "NameHasOwner");
	const char *name = NAME;
	DBusMessage *reply;
	dbus_bool_t owned = FALSE;
	DBusError e;

	f->dbus.error_init(&e);
	if (m)
		f->dbus.message_append_args(m, DBUS_TYPE_STRING, &name, DBUS_TYPE_INVALID);
	reply = ask(f, m, &e);
	if (!reply)
		return bus_failed(f, address, &e, err);
	f->dbus.message_get_args(reply, NULL, DBUS_TYPE_BOOLEAN, &owned, DBUS_TYPE_INVALID);
	f->dbus.message_unref(reply);
	return owned ? 1 : 0;
}

void fl_firewalld_close(struct fl_firewalld *f)
{
	if (f->bus) {
		f->dbus.connection_close(f->bus);
		f->dbus.connection_unref(f->bus);
	}
	if (f->library)
		dlclose(f->library);
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
	r = load(f, err);
	if (r == 1)
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
	DBusMessage *m = request(f, NAME, PATH, ZONE, a->method);
	dbus_bool_t answer = FALSE;
	DBusMessage *reply;
	DBusError e;
	int r = 0;

	f->dbus.error_init(&e);
	if (m)
		f->dbus.message_append_args(m, DBUS_TYPE_STRING, &zone, DBUS_TYPE_STRING, &source,
					    DBUS_TYPE_INVALID);
	reply = ask(f, m, &e);
	if (reply && ret_answer) {
		f->dbus.message_get_args(reply, NULL, DBUS_TYPE_BOOLEAN, &answer,
					 DBUS_TYPE_INVALID);
		*ret_answer = answer;
	}
	if (reply)
		f->dbus.message_unref(reply);
	else if (!is_done_already(a, &e))
		r = zone_failed(a, zone, source, &e, err);
	f->dbus.error_free(&e);
	return r;
}

static const char *host_str(const struct fl_prefix *p, char *buf)
{
	struct fl_prefix host = { p->addr, (uint8_t)fl_addr_bits(&p->addr) };

	return fl_prefix_str(&host, buf);
}

/* libdbus ends the process when it is given anything but UTF-8. */
static int check_zone(struct fl_firewalld *f, const char *zone, struct fl_error *err)
{
	return f->dbus.validate_utf8(zone, NULL)
		       ? 0
		       : fl_error_set(err, -EINVAL, FL_ECODE_CONFIG,
				      "firewalld: the name of the zone is not UTF-8");
}

static int for_each(struct fl_firewalld *f, const struct action *a, const char *zone,
		    const struct fl_prefix *addrs, size_t n, struct fl_error *err)
{
	int r = check_zone(f, zone, err);

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
	int r = check_zone(f, zone, err);

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
