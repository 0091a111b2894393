/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tuning.h"

#include "unit.h"

#include <errno.h>
#include <string.h>

static void names_to_paths(void **state)
{
	static const struct {
		const char *name, *want; /* NULL: refused */
	} cases[] = {
		{ "net.core.somaxconn", "net/core/somaxconn" },
		{ "net/core/somaxconn", "net/core/somaxconn" },
		{ "net.ipv4.conf.IFNAME.arp_filter", "net/ipv4/conf/eth0.10/arp_filter" },
		{ "net/ipv4/conf/IFNAME/arp_filter", "net/ipv4/conf/eth0.10/arp_filter" },
		{ "net/ipv4/conf/eth0.5/arp_filter", "net/ipv4/conf/eth0.5/arp_filter" },
		{ "kernel.hostname", NULL },
		{ "net", NULL },
		{ "net.", NULL },
		{ "", NULL },
		{ "net..core", NULL },
		{ "net/../kernel/hostname", NULL },
		{ "net/core/../../kernel/hostname", NULL },
		{ "/net/core/somaxconn", NULL },
		{ "network.core", NULL },
	};
	char path[SYSCTL_PATH];

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		int r = tuning_sysctl_path(cases[i].name, "eth0.10", path);

		if (!cases[i].want != !!r)
			fail_msg("%s: %d, %s", cases[i].name, r, path);
		if (cases[i].want)
			assert_string_equal(path, cases[i].want);
	}
}

static void length_is_bounded(void **state)
{
	char name[4 * SYSCTL_PATH], path[SYSCTL_PATH];

	(void)state;
	memset(name, 'a', sizeof(name));
	memcpy(name, "net/", 4);
	name[SYSCTL_PATH - 1] = '\0';
	assert_int_equal(tuning_sysctl_path(name, "eth0", path), 0);
	name[SYSCTL_PATH - 1] = 'a';
	name[SYSCTL_PATH] = '\0';
	assert_int_equal(tuning_sysctl_path(name, "eth0", path), -ENAMETOOLONG);
	memcpy(name + SYSCTL_PATH - 8, "IFNAME", 7);
	assert_int_equal(tuning_sysctl_path(name, "fifteenbytes123", path), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_to_paths),
		cmocka_unit_test(length_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
