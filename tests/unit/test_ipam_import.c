/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The reference's lease directory. */
#include "ipamfixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_file(const char *dir, const char *name, const char *content)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

/* A lease directory with all that may lie in one; returns its configuration. */
static struct fl_ipam_conf reference_conf(struct fixture *f, char *dir, size_t size)
{
	struct fl_ipam_conf c = conf_of("'subnet':'10.1.0.0/24'");

	snprintf(dir, size, "%s/net", f->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(c.pool, sizeof(c.pool), "net@%s", f->dir);
	write_file(dir, "lock", "");
	write_file(dir, "last_reserved_ip.0", "10.1.0.9");
	write_file(dir, "last_reserved_ip.x", "10.1.0.99");
	write_file(dir, "10.1.0.8", "c8\r\neth0");
	write_file(dir, "10.1.0.9", "c9");		     /* old format */
	write_file(dir, "10.1.0.10", "");		     /* plugins#498 */
	write_file(dir, "10.1.0.11", "c11\r\neth0\r\nmore"); /* not a lease */
	write_file(dir, "10.1.0.12", "c12\r\nan-interface-name-too-long");
	write_file(dir, "readme", "c13\r\neth0");
	write_file(dir, "2001:db8::5", "c8\r\neth0");
	return c;
}

static void import(void **state)
{
	struct fixture *f = *state;
	char dir[128];
	FL_AUTOIPAM struct fl_ipam_conf c = reference_conf(f, dir, sizeof(dir));
	struct fl_endpoint_id nine = make_id("net", "bridge", "c9", "eth3");

	expect(f, &c, 1,
	       "10.1.0.10/24"); /* behind the reference's cursor; the empty file is no lease */
	request(&c, "10.1.0.8");
	expect_error(f, &c, 2, -EADDRINUSE, FL_ECODE_CONFLICT);
	assert_non_null(
		strstr(f->err.text, "held by container c8 (interface eth0) on network net"));
	request(&c, "10.1.0.9");
	expect_error(f, &c, 2, -EADDRINUSE, FL_ECODE_CONFLICT);
	assert_non_null(strstr(f->err.text, "held by container c9 on network net"));
	request(&c, "10.1.0.11");
	expect(f, &c, 2, "10.1.0.11/24");

	/* DEL of an imported container, whichever interface the old format did not name */
	assert_int_equal(fl_ipam_held(f->txn, c.pool, &nine, &f->err), 1);
	assert_int_equal(fl_ipam_release(f->txn, c.pool, &nine, &f->err), 0);
	assert_int_equal(fl_ipam_held(f->txn, c.pool, &nine, &f->err), 0);
	request(&c, "10.1.0.9");
	expect(f, &c, 3, "10.1.0.9/24");

	/* It is read once. */
	write_file(dir, "10.1.0.70", "c70\r\neth0");
	request(&c, "10.1.0.70");
	expect(f, &c, 4, "10.1.0.70/24");
}

static void del_first(void **state)
{
	struct fixture *f = *state;
	char dir[128], path[256];
	FL_AUTOIPAM struct fl_ipam_conf c = reference_conf(f, dir, sizeof(dir));

	release(f, &c, 8);
	request(&c, "10.1.0.8");
	expect(f, &c, 1, "10.1.0.8/24");
	snprintf(path, sizeof(path), "%s/10.1.0.8", dir);
	assert_int_equal(access(path, F_OK), 0); /* the file is left alone */
}

static void gc_of_imported(void **state)
{
	struct fixture *f = *state;
	char dir[128];
	FL_AUTOIPAM struct fl_ipam_conf c = reference_conf(f, dir, sizeof(dir));
	struct fl_attachment valid[] = { { (char *)"c9", (char *)"eth0" } };

	assert_int_equal(fl_ipam_gc(f->txn, c.pool, "bridge", valid, 1, &f->err), 0);
	request(&c, "10.1.0.8");
	expect(f, &c, 1, "10.1.0.8/24");
	request(&c, "10.1.0.9");
	expect_error(f, &c, 2, -EADDRINUSE, FL_ECODE_CONFLICT);
}

static void no_way_out_by_links(void **state)
{
	struct fixture *f = *state;
	char dir[128], path[256], secret[128];
	FL_AUTOIPAM struct fl_ipam_conf c = reference_conf(f, dir, sizeof(dir));

	snprintf(secret, sizeof(secret), "%s/outside", f->dir);
	write_file(f->dir, "outside", "secret\r\neth0");
	snprintf(path, sizeof(path), "%s/10.1.0.50", dir);
	assert_int_equal(symlink(secret, path), 0);
	snprintf(path, sizeof(path), "%s/10.1.0.51", dir);
	assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes: opening must not wait */
	snprintf(path, sizeof(path), "%s/10.1.0.52", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	for (int i = 50; i <= 52; i++) {
		char want[32];

		snprintf(want, sizeof(want), "10.1.0.%d", i);
		request(&c, want);
		strcat(want, "/24");
		expect(f, &c, i, want);
	}
}

static void leases_of_another_boot(void **state)
{
	struct fixture *f = *state;
	char dir[128], path[256], got[64];
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'10.1.0.0/29'");
	struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };

	snprintf(dir, sizeof(dir), "%s/net", f->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(c.pool, sizeof(c.pool), "net@%s", f->dir);
	write_file(dir, "10.1.0.2", "old\r\neth0");
	write_file(dir, "10.1.0.3", "young\r\neth0");
	snprintf(path, sizeof(path), "%s/10.1.0.2", dir);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	/* The last to be taken, but taken: its container cannot have lived through the boot. */
	expect(f, &c, 4, "10.1.0.4/29");
	expect(f, &c, 5, "10.1.0.5/29");
	expect(f, &c, 6, "10.1.0.6/29");
	expect(f, &c, 7, "10.1.0.2/29");
	assert_int_equal(allocate(f, &c, 8, NULL, got), -ENOSPC);
}

#define IMPORT_TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_begin, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IMPORT_TEST(import),
		IMPORT_TEST(del_first),
		IMPORT_TEST(gc_of_imported),
		IMPORT_TEST(no_way_out_by_links),
		IMPORT_TEST(leases_of_another_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
