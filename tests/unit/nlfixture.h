/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two network namespaces, a socket in each; what is in the kernel is read back by ip(8) and tc(8).
 */
#pragma once

#include "unit.h"

#include "nl/qdisc.h"
#include "nl/rule.h"
#include "nl/virtual.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int home_fd;		 /* of the whole run */
static int own_fd, other_fd;	 /* namespaces */
static struct fl_nl *nl, *other; /* their sockets */
static struct fl_error err;

static inline void ok_at(int line, int r)
{
	if (r)
		fail_msg("line %d: %d: %s (%s)", line, r, err.text, err.details);
}
#define ok(call) ok_at(__LINE__, call)

/* ---- namespaces and commands ---- */

static inline int new_netns(struct fl_nl **ret)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY);
	assert_true(fd >= 0);
	if (ret)
		ok(fl_nl_open(ret, &err));
	assert_int_equal(setns(own_fd, CLONE_NEWNET), 0);
	return fd;
}

__attribute__((format(printf, 2, 3))) static inline void in(int fd, const char *fmt, ...)
{
	char command[512];
	va_list ap;
	int r;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	r = system(command);
	assert_int_equal(setns(own_fd, CLONE_NEWNET), 0);
	if (r)
		fail_msg("%s: %d", command, r);
}

/* JSON of a command's output, whose first element is an object; the caller releases it. */
static inline json_t *json_in(int fd, const char *command)
{
	json_error_t e;
	json_t *j;
	FILE *f;

	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	f = popen(command, "r");
	assert_int_equal(setns(own_fd, CLONE_NEWNET), 0);
	assert_non_null(f);
	j = json_loadf(f, 0, &e);
	pclose(f);
	if (!j)
		fail_msg("%s: %s", command, e.text);
	return j;
}

/* "linkinfo.info_kind" of an object. */
static inline const json_t *at(const json_t *j, const char *path)
{
	char word[64];

	while (j && *path) {
		size_t n = strcspn(path, ".");

		snprintf(word, sizeof(word), "%.*s", (int)n, path);
		j = json_object_get(j, word);
		path += n + (path[n] == '.');
	}
	return j;
}

static inline void expect_str(const json_t *j, const char *path, const char *want)
{
	const char *s = json_string_value(at(j, path));

	if (!s || strcmp(s, want))
		fail_msg("%s: \"%s\", not \"%s\"", path, s ? s : "(none)", want);
}

static inline void expect_int(const json_t *j, const char *path, json_int_t want)
{
	const json_t *v = at(j, path);

	if (!json_is_integer(v) || json_integer_value(v) != want)
		fail_msg("%s: %lld, not %lld", path, (long long)json_integer_value(v),
			 (long long)want);
}

static inline bool has_flag(const json_t *j, const char *flag)
{
	size_t i;
	json_t *v;

	json_array_foreach(json_object_get(j, "flags"), i,
			   v) if (!strcmp(json_string_value(v), flag)) return true;
	return false;
}

static inline uint32_t index_in(struct fl_nl *where, const char *name)
{
	struct fl_link l;

	ok(fl_link_get(where, name, &l, &err));
	return l.index;
}

static inline struct fl_prefix prefix(const char *s)
{
	struct fl_prefix p = { 0 };

	assert_int_equal(fl_prefix_parse(s, &p), 0);
	return p;
}

/* Each test has two namespaces; eth0 of its own is a veth whose other end is p0. */
static inline int setup(void **state)
{
	(void)state;
	err = (struct fl_error){ 0 };
	own_fd = home_fd;
	own_fd = new_netns(&nl);
	assert_int_equal(setns(own_fd, CLONE_NEWNET), 0);
	other_fd = new_netns(&other);
	in(own_fd, "ip link add eth0 type veth peer name p0 && ip link set eth0 up && "
		   "ip link set p0 up && ip link set lo up");
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	fl_nl_close(nl);
	fl_nl_close(other);
	assert_int_equal(setns(home_fd, CLONE_NEWNET), 0);
	close(own_fd);
	close(other_fd);
	return 0;
}

static inline struct fl_vlink_spec macvlan(const char *name)
{
	return (struct fl_vlink_spec){ .kind = "macvlan",
				       .name = name,
				       .netns_fd = other_fd,
				       .lower = index_in(nl, "eth0"),
				       .mode = FL_MACVLAN_BRIDGE };
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
