/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ID.json in the state directory, one a lease:
 *
 * - "version": 1, "boot": boot_id, "request": the ADD, "cookie": decimal text
 * - "family": 6; without it 4
 * - "ack": the server's message in hex; "serverMac": who sent it, IPv4 only
 * - "t1", "t2", "expiry": ms of CLOCK_BOOTTIME
 *
 * Without "ack": no lease at present, one is being asked for. Files are replaced by rename(2),
 * which a kill cannot cut; nothing is synced, because what a power failure could lose is of another
 * boot, and so are its namespaces.
 */
#include "dhcp/daemon.h"

#include "base/service.h"
#include "base/strbuf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define VERSION 1
#define FILE_MAX (2 * FL_DHCP_JSON_MAX)

static int read_boot_id(struct daemon *d, struct fl_error *err)
{
	FL_AUTOFCLOSE FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(d->boot, sizeof(d->boot), f))
		return fl_error_errno(err, errno, FL_ECODE_STORE, "cannot read the boot id");
	d->boot[strcspn(d->boot, "\n")] = '\0';
	return 0;
}

int state_open(struct daemon *d, struct fl_error *err)
{
	FL_AUTOSTRBUF struct fl_strbuf path = { 0 };
	FL_AUTOCLOSE int fd = -1;
	int r;

	fl_strbuf_addf(&path, "%s/", d->state_path);
	if (path.failed)
		return fl_error_oom(err);
	r = fl_make_parents(path.s, 0700, err);
	if (r)
		return r;
	fd = open(d->state_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fl_error_errno(err, errno, FL_ECODE_STORE,
				      "cannot open the state directory %s", d->state_path);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return fl_error_set(err, errno, FL_ECODE_STORE,
				    "another fairlead-dhcpd works with %s: end it, or choose "
				    "another --state",
				    d->state_path);
	d->state_dir = fl_take_fd(&fd);
	return read_boot_id(d, err);
}

/* ---- writing ---- */

static char *to_hex(const uint8_t *b, size_t n)
{
	char *s = malloc(2 * n + 1);

	for (size_t i = 0; s && i < n; i++)
		snprintf(s + 2 * i, 3, "%02x", b[i]);
	if (s)
		s[2 * n] = '\0';
	return s;
}

static json_t *record(const struct lease *l)
{
	FL_AUTOFREE char *ack = to_hex(l->ack, l->ack_len);
	char cookie[24];
	bool v4 = l->family == AF_INET;
	json_t *o;

	snprintf(cookie, sizeof(cookie), "%" PRIu64, l->cookie);
	o = json_pack("{sissssso}", "version", VERSION, "boot", l->d->boot, "cookie", cookie,
		      "request", json_incref(l->request));
	if (o && !v4)
		json_object_set_new(o, "family", json_integer(6));
	if (!o || !ack || !lease_held(l))
		return o;
	json_object_set_new(o, "ack", json_string(ack));
	if (v4)
		json_object_set_new(o, "serverMac",
				    json_string(fl_mac_str(&l->server_mac, FL_MAC_BUF)));
	/* FL_DHCP_NEVER becomes -1 and back */
	json_object_set_new(o, "t1", json_integer((json_int_t)(v4 ? l->client.t1 : l->client6.t1)));
	json_object_set_new(o, "t2", json_integer((json_int_t)(v4 ? l->client.t2 : l->client6.t2)));
	json_object_set_new(o, "expiry", json_integer((json_int_t)lease_expiry(l)));
	return o;
}

static int write_all(int fd, const char *s, size_t n)
{
	while (n) {
		ssize_t w = write(fd, s, n);

		if (w < 0 && errno != EINTR)
			return -errno;
		s += w > 0 ? w : 0;
		n -= w > 0 ? (size_t)w : 0;
	}
	return 0;
}

int state_save(const struct lease *l, struct fl_error *err)
{
	FL_AUTOJSON json_t *o = record(l);
	FL_AUTOFREE char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	FL_AUTOCLOSE int fd = -1;
	char name[32], temporary[32];
	int r;

	if (!text)
		return fl_error_oom(err);
	snprintf(name, sizeof(name), "%s.json", l->id);
	snprintf(temporary, sizeof(temporary), "%s.new", l->id);
	fd = openat(l->d->state_dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
	if (!r && renameat(l->d->state_dir, temporary, l->d->state_dir, name))
		r = -errno;
	if (r)
		return fl_error_errno(err, r, FL_ECODE_STORE,
				      "dhcp: cannot keep the lease in %s/%s", l->d->state_path,
				      name);
	return 0;
}

void state_forget(const struct lease *l)
{
	char name[32];

	snprintf(name, sizeof(name), "%s.json", l->id);
	if (unlinkat(l->d->state_dir, name, 0) && errno != ENOENT)
		say_of(l, "cannot remove %s/%s: %s", l->d->state_path, name, strerror(errno));
}

/* ---- reading ---- */

static size_t from_hex(const char *s, uint8_t *to)
{
	size_t n = strlen(s) / 2;
	unsigned v;

	for (size_t i = 0; i < n; i++) {
		if (n > FL_DHCP_INPUT_MAX || sscanf(s + 2 * i, "%2x", &v) != 1)
			return 0;
		to[i] = (uint8_t)v;
	}
	return n;
}

static uint64_t time_of(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static int restore_lease6(struct lease *l, const json_t *o)
{
	struct fl_dhcp6_client *c = &l->client6;

	if (fl_dhcp6_parse(l->ack, l->ack_len, c->id.iaid, &c->lease) || !fl_dhcp6_best(&c->lease))
		return -EBADMSG;
	c->t1 = time_of(o, "t1");
	c->t2 = time_of(o, "t2");
	c->expiry = time_of(o, "expiry");
	c->held = true;
	return 0;
}

static int restore_lease(struct lease *l, const json_t *o)
{
	const char *ack = json_string_value(json_object_get(o, "ack"));
	const char *mac = json_string_value(json_object_get(o, "serverMac"));
	const char *cookie = json_string_value(json_object_get(o, "cookie"));

	l->cookie = cookie ? strtoull(cookie, NULL, 10) : 0;
	if (!ack)
		return 0;
	l->ack_len = from_hex(ack, l->ack);
	if (l->family == AF_INET6)
		return restore_lease6(l, o);
	if (fl_dhcp_parse(l->ack, l->ack_len, &l->client.lease) || !mac ||
	    fl_mac_parse(mac, &l->server_mac))
		return -EBADMSG;
	l->client.t1 = time_of(o, "t1");
	l->client.t2 = time_of(o, "t2");
	l->client.expiry = time_of(o, "expiry");
	l->client.held = true;
	l->client.id.mac = l->client.lease.mac;
	return 0;
}

static json_t *read_file(const struct daemon *d, const char *name)
{
	FL_AUTOCLOSE int fd = openat(d->state_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return NULL;
	return json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
}

static int load(struct daemon *d, const char *name, struct fl_error *err)
{
	FL_AUTOJSON json_t *o = read_file(d, name);
	json_t *request = json_object_get(o, "request");
	const char *boot = json_string_value(json_object_get(o, "boot"));
	json_int_t family = json_integer_value(json_object_get(o, "family"));
	struct lease *l;

	if (!request || !boot || json_integer_value(json_object_get(o, "version")) != VERSION)
		return fl_error_set(err, EBADMSG, FL_ECODE_STORE, "not a lease of this version");
	if (strcmp(boot, d->boot)) {
		unlinkat(d->state_dir, name, 0);
		return 0;
	}
	l = lease_restore(d, request, family == 6 ? AF_INET6 : AF_INET, err);
	if (!l)
		return err->err;
	fl_strcpy(l->id, sizeof(l->id), name);
	if (!restore_lease(l, o))
		return 0;
	lease_free(l);
	return fl_error_set(err, EBADMSG, FL_ECODE_STORE, "its server's message cannot be read");
}

/* The name is 16 digits and ".json". */
static bool is_record(const char *name)
{
	return strlen(name) == 21 && strspn(name, "0123456789abcdef") == 16 &&
	       !strcmp(name + 16, ".json");
}

void state_load(struct daemon *d)
{
	int fd = openat(d->state_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char bad[32];
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		struct fl_error err = { 0 };

		/* ID.new: a kill came before the rename */
		if (strlen(e->d_name) == 20 && !strcmp(e->d_name + 16, ".new"))
			unlinkat(d->state_dir, e->d_name, 0);
		if (!is_record(e->d_name) || !load(d, e->d_name, &err))
			continue;
		say("%s/%s is set aside: %s", d->state_path, e->d_name, err.text);
		snprintf(bad, sizeof(bad), "%.16s.bad", e->d_name);
		renameat(d->state_dir, e->d_name, d->state_dir, bad);
	}
	if (dir)
		closedir(dir);
	for (struct lease *l = d->leases, *next; l; l = next) {
		next = l->next;
		lease_resume(l);
	}
}
