/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host-device: addresses on buses, folders of a made-up /sys, the choice among links. */
#include "unit.h"

#include "hostdev.h"

#include "base/strbuf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char sys[] = "/tmp/fl-hostdev-XXXXXX";

static void test_pci(void **state)
{
	static const char *const good[][2] = {
		{ "0000:3d:00.1", "0000:3d:00.1" },
		{ "0000:3D:1F.7", "0000:3d:1f.7" },
		{ "3d:00.1", "0000:3d:00.1" },
		{ "10000:e1:00.0", "10000:e1:00.0" },
		{ "ABCD0123:ff:00.0", "abcd0123:ff:00.0" },
	};
	static const char *const bad[] = {
		"",
		"0000",
		"0000:3d:00",
		"0000:3d:00.8",
		"0000:3d:20.0",
		"0000:3d:00.1 ",
		"0000:3d:00.1/..",
		"../0000:3d:00.1",
		"000:3d:00.1",
		"0000:3d:00.10",
		"0000:3g:00.1",
		"0000:3d:0.1",
		"0000:3d::00.1",
		"::3d:00.1",
		"123456789:3d:00.1",
		"0000:3d:00.1\n",
		":3d:00.1",
		"3d:00.",
		"0x00:3d:00.1",
	};
	char got[HOSTDEV_BUS];

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(good); i++) {
		assert_int_equal(hostdev_pci_parse(good[i][0], got), 0);
		assert_string_equal(got, good[i][1]);
	}
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++)
		if (!hostdev_pci_parse(bad[i], got))
			fail_msg("accepted: \"%s\"", bad[i]);
}

static void test_auxiliary(void **state)
{
	static const char *const bad[] = {
		"",	      "mlx5_core",    "mlx5_core.4",	"mlx5_core.sf.",
		"mlx5.sf.4a", "../mlx5.sf.4", "mlx5..sf.4",	"a/b.c.1",
		".a.b.1",     "a.b.1/x",      "mlx5_core.sf.-1"
	};
	char longest[HOSTDEV_BUS + 8];

	(void)state;
	assert_true(hostdev_auxiliary_valid("mlx5_core.sf.4"));
	assert_true(hostdev_auxiliary_valid("ice.iidc.0"));
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++)
		if (hostdev_auxiliary_valid(bad[i]))
			fail_msg("accepted: \"%s\"", bad[i]);
	memset(longest, 'a', sizeof(longest));
	strcpy(longest + HOSTDEV_BUS - 4, ".b.1");
	assert_false(hostdev_auxiliary_valid(longest));
}

static void test_path(void **state)
{
	static const char *const bad[] = { "",
					   "/sys/devices",
					   "sys/devices/x",
					   "/sys/class/net/eth0",
					   "/sys/devices/../class",
					   "/sys/devices/a/..",
					   "/sys/devices/./a",
					   "/etc/passwd" };
	char longest[HOSTDEV_PATH + 8];

	(void)state;
	assert_true(hostdev_path_valid("/sys/devices/pci0000:00/0000:00:1f.6"));
	assert_true(hostdev_path_valid("/sys/devices/virtual/net/..a"));
	assert_true(hostdev_path_valid("/sys/devices/virtual//net/a"));
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++)
		if (hostdev_path_valid(bad[i]))
			fail_msg("accepted: \"%s\"", bad[i]);
	memset(longest, 'a', sizeof(longest) - 1);
	memcpy(longest, "/sys/devices/", 13);
	longest[HOSTDEV_PATH] = '\0';
	assert_false(hostdev_path_valid(longest));
	longest[HOSTDEV_PATH - 1] = '\0';
	assert_true(hostdev_path_valid(longest));
}

static void test_selectors(void **state)
{
	struct hostdev_selector s;
	struct fl_error err = { 0 };

	(void)state;
	assert_int_equal(
		hostdev_selector_parse("pciBusID", HOSTDEV_PCI, "mlx5_core.sf.4", &s, &err),
		-EINVAL);
	assert_int_equal(err.code, FL_ECODE_CONFIG);
	assert_non_null(strstr(err.text, "pciBusID"));
	assert_int_equal(hostdev_selector_parse("id", HOSTDEV_AUXILIARY, "3D:00.1", &s, &err), 0);
	assert_int_equal(s.by, HOSTDEV_PCI);
	assert_string_equal(s.text, "0000:3d:00.1");
	assert_int_equal(
		hostdev_selector_parse("id", HOSTDEV_AUXILIARY, "mlx5_core.sf.4", &s, &err), 0);
	assert_int_equal(s.by, HOSTDEV_AUXILIARY);
	assert_string_equal(s.text, "mlx5_core.sf.4");
	assert_int_equal(
		hostdev_selector_parse("hwaddr", HOSTDEV_MAC, "02-00-00-00-00-AA", &s, &err), 0);
	assert_string_equal(s.text, "02:00:00:00:00:aa");
	assert_int_equal(
		hostdev_selector_parse("hwaddr", HOSTDEV_MAC, "00:00:00:00:00:00", &s, &err),
		-EINVAL);
	assert_int_equal(hostdev_selector_parse("device", HOSTDEV_NAME, "a/b", &s, &err), -EINVAL);
}

/* ---- folders ---- */

__attribute__((format(printf, 1, 2))) static void in_sys(const char *fmt, ...)
{
	char command[512];
	va_list ap;
	int n = snprintf(command, sizeof(command), "cd %s && ", sys);

	va_start(ap, fmt);
	vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

static int make_sys(void **state)
{
	(void)state;
	return mkdtemp(sys) ? 0 : -1;
}

static int remove_sys(void **state)
{
	(void)state;
	in_sys("rm -rf %s", sys);
	return 0;
}

static void names_of(enum hostdev_by by, const char *text, int want, struct hostdev_names *ret)
{
	struct hostdev_selector s = { .by = by };
	char folder[2 * HOSTDEV_PATH];

	fl_strcpy(s.text, sizeof(s.text), text);
	hostdev_folder(sys, &s, folder);
	assert_int_equal(hostdev_names(folder, ret), want);
}

static void test_names(void **state)
{
	struct hostdev_names n;

	(void)state;
	in_sys("mkdir -p bus/pci/devices/0000:00:01.0/net/b bus/pci/devices/0000:00:01.0/net/a "
	       "bus/pci/devices/0000:00:02.0/virtio3/net/v bus/pci/devices/0000:00:03.0/msi_irqs "
	       "bus/auxiliary/devices/m.sf.1/net/s devices/pci0/net/k devices/virtual/net/dummy0 "
	       "&& touch devices/virtual/net/dummy0/ifindex devices/file");
	names_of(HOSTDEV_PCI, "0000:00:01.0", 0, &n);
	assert_int_equal(n.n, 2);
	assert_string_equal(n.name[0], "a");
	assert_string_equal(n.name[1], "b");
	names_of(HOSTDEV_PCI, "0000:00:02.0", 0, &n);
	assert_int_equal(n.n, 1);
	assert_string_equal(n.name[0], "v");
	names_of(HOSTDEV_PCI, "0000:00:03.0", 0, &n);
	assert_int_equal(n.n, 0);
	names_of(HOSTDEV_PCI, "0000:00:04.0", -ENOENT, &n);
	names_of(HOSTDEV_AUXILIARY, "m.sf.1", 0, &n);
	assert_string_equal(n.name[0], "s");
	names_of(HOSTDEV_KERNEL_PATH, "/sys/devices/pci0", 0, &n);
	assert_string_equal(n.name[0], "k");
	names_of(HOSTDEV_KERNEL_PATH, "/sys/devices/virtual/net/dummy0", 0, &n);
	assert_int_equal(n.n, 1);
	assert_string_equal(n.name[0], "dummy0");
	names_of(HOSTDEV_KERNEL_PATH, "/sys/devices/file", -ENOENT, &n);
}

static void test_drivers(void **state)
{
	struct hostdev_selector s = { .by = HOSTDEV_PCI, .text = "0000:00:05.0" };
	char folder[2 * HOSTDEV_PATH], driver[64];

	(void)state;
	in_sys("mkdir -p bus/pci/devices/0000:00:05.0");
	hostdev_folder(sys, &s, folder);
	hostdev_bound_driver(folder, driver, sizeof(driver));
	assert_string_equal(driver, "");
	in_sys("ln -s ../../../drivers/vfio-pci bus/pci/devices/0000:00:05.0/driver");
	hostdev_bound_driver(folder, driver, sizeof(driver));
	assert_string_equal(driver, "vfio-pci");
	assert_true(hostdev_is_userspace(driver));
	assert_true(hostdev_is_userspace("uio_pci_generic"));
	assert_true(hostdev_is_userspace("igb_uio"));
	assert_false(hostdev_is_userspace("mlx5_core"));
	assert_false(hostdev_is_userspace(""));
}

/* ---- choosing ---- */

static const struct fl_mac mac = { { 2, 0, 0, 0, 0, 1 } }, other = { { 2, 0, 0, 0, 0, 2 } };

static void offer(struct hostdev_choice *c, const char *name, const char *kind,
		  const struct fl_mac *now, const struct fl_mac *perm)
{
	struct fl_link l = { .mac = *now };

	if (perm)
		l.perm_mac = *perm;
	fl_strcpy(l.name, sizeof(l.name), name);
	fl_strcpy(l.kind, sizeof(l.kind), kind);
	hostdev_choose(c, &l);
}

static void test_choice(void **state)
{
	struct hostdev_choice c = { .mac = mac };

	(void)state;
	offer(&c, "no", "", &other, &other);
	assert_int_equal(c.rank, 0);
	offer(&c, "bond0", "bond", &mac, NULL);
	assert_string_equal(c.link.name, "bond0");
	offer(&c, "vlan0", "vlan", &mac, NULL);
	assert_true(c.tie);
	assert_string_equal(c.other.name, "vlan0");
	offer(&c, "port2", "", &mac, &other); /* the bond's MAC, not its own */
	assert_false(c.tie);
	assert_string_equal(c.link.name, "port2");
	offer(&c, "port1", "", &other, &mac);
	assert_false(c.tie);
	assert_string_equal(c.link.name, "port1");
	offer(&c, "vlan1", "vlan", &mac, NULL);
	assert_false(c.tie);
	assert_string_equal(c.link.name, "port1");
}

static bool means(enum hostdev_by by, const char *text, const struct hostdev *d)
{
	struct hostdev_selector s = { .by = by, .mac = mac };

	fl_strcpy(s.text, sizeof(s.text), text);
	return hostdev_matches(&s, d);
}

static void test_matches(void **state)
{
	struct hostdev d = { .name = "eth1", .bus = "0000:00:01.0", .mac = other, .perm_mac = mac };
	struct hostdev plain = { .name = "eth2" };

	(void)state;
	assert_true(means(HOSTDEV_NAME, "eth1", &d));
	assert_false(means(HOSTDEV_NAME, "eth2", &d));
	assert_true(means(HOSTDEV_MAC, "", &d));
	assert_false(means(HOSTDEV_MAC, "", &plain));
	assert_true(means(HOSTDEV_PCI, "0000:00:01.0", &d));
	assert_false(means(HOSTDEV_PCI, "0000:00:01.1", &d));
	assert_true(means(HOSTDEV_KERNEL_PATH, "/sys/devices/pci0000:00/0000:00:01.0", &d));
	assert_true(means(HOSTDEV_KERNEL_PATH, "/sys/devices/virtual/net/eth2", &plain));
	assert_false(means(HOSTDEV_KERNEL_PATH, "/sys/devices/virtual/", &plain));
}

static void test_stray_names(void **state)
{
	(void)state;
	assert_true(hostdev_is_stray_name("dev5", "eth0"));
	assert_true(hostdev_is_stray_name("hostdev0", ""));
	assert_true(hostdev_is_stray_name("eth0", "eth0"));
	assert_false(hostdev_is_stray_name("eth1", "eth0"));
	assert_false(hostdev_is_stray_name("dev", ""));
	assert_false(hostdev_is_stray_name("dev5a", ""));
	assert_false(hostdev_is_stray_name("device5", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pci),	    cmocka_unit_test(test_auxiliary),
		cmocka_unit_test(test_path),	    cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_names),	    cmocka_unit_test(test_drivers),
		cmocka_unit_test(test_choice),	    cmocka_unit_test(test_matches),
		cmocka_unit_test(test_stray_names),
	};

	return cmocka_run_group_tests(tests, make_sys, remove_sys);
}
