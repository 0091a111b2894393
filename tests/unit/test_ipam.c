/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Allocation, release, GC. */
#include "ipamfixture.h"
#include "store/leases.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int count_entry(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	(void)key;
	(void)val;
	++*(int *)arg;
	return 0;
}

static int entries(struct fixture *f)
{
	int n = 0;

	assert_int_equal(
		fl_each(f->txn, FL_TABLE_LEASES, (struct fl_bytes){ 0 }, count_entry, &n, &f->err),
		0);
	return n;
}

static void next_fit(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c =
		conf_of("'subnet':'10.1.0.0/29'"); /* .1 gateway, .2 to .6 */
	struct fixture *f = *state;

	expect(f, &c, 2, "10.1.0.2/29");
	expect(f, &c, 3, "10.1.0.3/29");
	release(f, &c, 2);
	expect(f, &c, 4, "10.1.0.4/29"); /* not the one just freed */
	expect(f, &c, 5, "10.1.0.5/29");
	expect(f, &c, 6, "10.1.0.6/29");
	expect(f, &c, 7, "10.1.0.2/29"); /* wraps */
	expect_error(f, &c, 8, -ENOSPC, FL_ECODE_EXHAUSTED);
	assert_non_null(strstr(f->err.text, "10.1.0.1-10.1.0.6"));
	release(f, &c, 5);
	expect(f, &c, 8, "10.1.0.5/29");
	release(f, &c, 8);
	expect(f, &c, 8, "10.1.0.5/29"); /* the only one, at the cursor itself */
}

static void gateway_is_never_given(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'10.1.0.0/30','gateway':'10.1.0.2'");
	struct fixture *f = *state;

	expect(f, &c, 1, "10.1.0.1/30");
	expect_error(f, &c, 2, -ENOSPC, FL_ECODE_EXHAUSTED);
	request(&c, "10.1.0.2");
	expect_error(f, &c, 2, -EINVAL, FL_ECODE_CONFIG);
	assert_string_equal(f->err.text,
			    "runtimeConfig.ips: 10.1.0.2 is the gateway of 10.1.0.0/30");
}

static void retry_gets_a_clean_start(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'10.1.0.0/24'");
	struct fl_endpoint_id id = container(1);
	struct fixture *f = *state;
	int before;

	expect(f, &c, 1, "10.1.0.2/24");
	before = entries(f);
	expect(f, &c, 1, "10.1.0.3/24");
	assert_int_equal(entries(f), before);
	assert_int_equal(fl_ipam_held(f->txn, c.pool, &id, &f->err), 1);
	release(f, &c, 1);
	release(f, &c, 1);
	assert_int_equal(fl_ipam_held(f->txn, c.pool, &id, &f->err), 0);
	assert_int_equal(entries(f), 1); /* the cursor */
}

static void sets_and_ranges(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of(
		"'ranges':[[{'subnet':'10.1.0.0/"
		"24','rangeStart':'10.1.0.10','rangeEnd':'10.1.0.11'},"
		"{'subnet':'10.2.0.0/"
		"24','rangeStart':'10.2.0.20','rangeEnd':'10.2.0.20','gateway':'10.2.0.254'}],"
		"[{'subnet':'2001:db8::/64'}]]");
	struct fl_endpoint_id id = container(9);
	struct fl_ipam_result res;
	struct fixture *f = *state;

	expect(f, &c, 1, "10.1.0.10/24 2001:db8::2/64");
	expect(f, &c, 2, "10.1.0.11/24 2001:db8::3/64");
	assert_int_equal(fl_ipam_allocate(f->txn, &c, &id, NULL, &res, &f->err), 0);
	assert_string_equal(fl_prefix_str(&res.addrs[0].addr, FL_PREFIX_BUF), "10.2.0.20/24");
	assert_string_equal(fl_addr_str(&res.addrs[0].gateway, FL_ADDR_BUF), "10.2.0.254");
	assert_string_equal(fl_addr_str(&res.addrs[1].gateway, FL_ADDR_BUF), "2001:db8::1");
	release(f, &c, 1);
	expect(f, &c, 3, "10.1.0.10/24 2001:db8::5/64"); /* wraps over ranges */
}

static void all_or_none(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c =
		conf_of("'ranges':[[{'subnet':'10.1.0.0/24'}],[{'subnet':'10.2.0.0/30'}]]");
	struct fl_endpoint_id id = container(2);
	struct fixture *f = *state;

	expect(f, &c, 1, "10.1.0.2/24 10.2.0.2/30");
	expect_error(f, &c, 2, -ENOSPC, FL_ECODE_EXHAUSTED);
	assert_int_equal(fl_ipam_held(f->txn, c.pool, &id, &f->err), 0);
}

static void excluded_addresses(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c =
		conf_of("'ranges':[[{'subnet':'10.1.0.0/24','exclude':['10.1.0.2','10.1.0.4/"
			"30','10.1.0.5']}]],"
			"'exclude':['10.1.0.8/29','2001:db8::/32','10.1.0.240/28']");
	struct fixture *f = *state;

	expect(f, &c, 1, "10.1.0.3/24");
	expect(f, &c, 2, "10.1.0.16/24");
	request(&c, "10.1.0.238");
	expect(f, &c, 3, "10.1.0.238/24");
	request(&c, "10.1.0.9");
	expect_error(f, &c, 4, -EINVAL, FL_ECODE_CONFIG);
	assert_string_equal(f->err.text, "runtimeConfig.ips: 10.1.0.9 is excluded");
}

static void fully_excluded(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c =
		conf_of("'subnet':'10.1.0.0/24','exclude':['0.0.0.0/0']");
	struct fixture *f = *state;

	expect_error(f, &c, 1, -ENOSPC, FL_ECODE_EXHAUSTED);
	assert_int_equal(fl_ipam_status(f->txn, &c, &f->err), -ENOSPC);
	assert_int_equal(f->err.code, FL_ECODE_NOT_AVAILABLE);
}

static void requested_addresses(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c =
		conf_of("'ranges':[[{'subnet':'10.1.0.0/"
			"24','rangeEnd':'10.1.0.99'}],[{'subnet':'2001:db8::/64'}]]");
	struct fixture *f = *state;

	request(&c, "2001:db8::77");
	expect(f, &c, 1, "10.1.0.2/24 2001:db8::77/64");
	expect_error(f, &c, 2, -EADDRINUSE, FL_ECODE_CONFLICT);
	assert_string_equal(f->err.text, "runtimeConfig.ips: 2001:db8::77 is held by container c1 "
					 "(interface eth0) on network net");
	expect(f, &c, 1, "10.1.0.4/24 2001:db8::77/64"); /* its own; .3 went to the failed try */
	request(&c, "10.1.0.100");
	expect_error(f, &c, 3, -EINVAL, FL_ECODE_CONFIG);
	assert_string_equal(f->err.text,
			    "runtimeConfig.ips: 10.1.0.100 is in no range of the network");
	request(&c, "10.1.0.50");
	c.requests[1] = make_addr("10.1.0.51");
	strcpy(c.request_src[1], "args.cni.ips");
	c.n_requests = 2;
	expect_error(f, &c, 3, -EINVAL, FL_ECODE_CONFIG);
	assert_string_equal(
		f->err.text,
		"args.cni.ips: 10.1.0.50 and 10.1.0.51 are of the same range set, which gives "
		"one address");
}

static void large_and_small_ipv6(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf wide = conf_of("'subnet':'2001:db8::/64'");
	FL_AUTOIPAM struct fl_ipam_conf small = conf_of("'subnet':'2001:db8:1::ff00/120'");
	FL_AUTOIPAM struct fl_ipam_conf top =
		conf_of("'subnet':'ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126'");
	struct fixture *f = *state;
	char got[1024], want[64];

	expect(f, &wide, 1, "2001:db8::2/64");
	request(&wide, "2001:db8::ffff:ffff:ffff:fffe");
	expect(f, &wide, 2, "2001:db8::ffff:ffff:ffff:fffe/64");

	/* ::ff00 is the network, ::ff01 the gateway, ::ffff is given: IPv6 has no broadcast. */
	for (int i = 2; i <= 255; i++) {
		snprintf(want, sizeof(want), "2001:db8:1::ff%02x/120", (unsigned)i);
		expect(f, &small, 1000 + i, want);
	}
	assert_int_equal(allocate(f, &small, 2000, NULL, got), -ENOSPC);

	expect(f, &top, 3000, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/126");
	expect(f, &top, 3001, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/126");
	assert_int_equal(allocate(f, &top, 3002, NULL, got), -ENOSPC);
}

static void put_endpoint(struct fixture *f, const struct fl_ipam_conf *c, int n)
{
	struct fl_endpoint ep = { .id = container(n), .state = FL_STATE_READY };

	fl_strcpy(ep.pool, sizeof(ep.pool), c->pool);
	assert_int_equal(fl_endpoint_put(f->txn, &ep, &f->err), 0);
}

static bool third_is_gone(void *arg, const struct fl_endpoint *owner)
{
	++*(int *)arg;
	return !strcmp(owner->id.container, "c3");
}

static void gone_owners_make_room(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'10.1.0.0/29'");
	struct fixture *f = *state;
	struct fl_endpoint_id third = container(3);
	struct fl_endpoint ep;
	char got[1024] = "";
	int asked = 0;
	struct fl_gone alive = { say_alive, &asked }, gone = { third_is_gone, &asked };

	for (int i = 2; i <= 6; i++) {
		assert_int_equal(allocate(f, &c, i, NULL, got), 0);
		if (i != 4) /* a foreign one has no record: it lives */
			put_endpoint(f, &c, i);
	}
	assert_int_equal(allocate(f, &c, 7, &alive, got), -ENOSPC);
	assert_int_equal(asked, 4);
	assert_int_equal(allocate(f, &c, 7, &gone, got), 0);
	assert_string_equal(got, "10.1.0.3/29");
	assert_int_equal(asked, 8);
	assert_int_equal(fl_endpoint_get(f->txn, &third, &ep, &f->err), -ENOENT);
}

static void gone_owner_of_a_requested_address(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'10.1.0.0/24'");
	struct fixture *f = *state;
	char got[1024] = "";
	int asked = 0;
	struct fl_gone alive = { say_alive, &asked }, gone = { say_gone, &asked };

	expect(f, &c, 1, "10.1.0.2/24");
	put_endpoint(f, &c, 1);
	request(&c, "10.1.0.2");
	assert_int_equal(allocate(f, &c, 2, &alive, got), -EADDRINUSE);
	assert_int_equal(allocate(f, &c, 2, &gone, got), 0);
	assert_string_equal(got, "10.1.0.2/24");
	assert_int_equal(asked, 2);
}

static void evict_frees_leases(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'10.1.0.0/24'");
	struct fl_endpoint ep = { .id = container(1) };
	struct fixture *f = *state;

	expect(f, &c, 1, "10.1.0.2/24");
	strcpy(ep.pool, c.pool);
	assert_int_equal(fl_endpoint_put(f->txn, &ep, &f->err), 0);
	assert_int_equal(fl_endpoint_evict(f->txn, &ep, &f->err), 0);
	assert_int_equal(fl_ipam_held(f->txn, c.pool, &ep.id, &f->err), 0);
}

static void garbage_collection(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'10.1.0.0/24'");
	struct fl_attachment valid[] = { { (char *)"c4", (char *)"eth0" },
					 { (char *)"c2", (char *)"eth0" },
					 { (char *)"c3", (char *)"eth1" } };
	static const bool kept[] = { [1] = false, [2] = true, [3] = false, [4] = true };
	struct fixture *f = *state;
	char got[64];

	for (int i = 1; i <= 4; i++)
		assert_int_equal(allocate(f, &c, i, NULL, got), 0);
	assert_int_equal(fl_ipam_gc(f->txn, c.pool, "macvlan", valid, 3, &f->err), 0);
	for (int i = 1; i <= 4; i++) {
		struct fl_endpoint_id id = container(i);

		assert_int_equal(fl_ipam_held(f->txn, c.pool, &id, &f->err), 1);
	}
	assert_int_equal(fl_ipam_gc(f->txn, c.pool, "bridge", valid, 3, &f->err), 0);
	for (int i = 1; i <= 4; i++) {
		struct fl_endpoint_id id = container(i);

		assert_int_equal(fl_ipam_held(f->txn, c.pool, &id, &f->err), kept[i]);
	}
	assert_int_equal(fl_ipam_gc(f->txn, c.pool, "bridge", NULL, 0, &f->err), 0);
	assert_int_equal(entries(f), 1); /* the cursor */
}

static void status(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'10.1.0.0/30'");
	struct fixture *f = *state;

	assert_int_equal(fl_ipam_status(f->txn, &c, &f->err), 0);
	expect(f, &c, 1, "10.1.0.2/30");
	assert_int_equal(fl_ipam_status(f->txn, &c, &f->err), -ENOSPC);
	assert_int_equal(f->err.code, FL_ECODE_NOT_AVAILABLE);
}

static int join_pools(void *arg, const char *name, const struct fl_pool *pool)
{
	strcat(strcat(arg, name), pool->imported ? "+ " : " ");
	return 0;
}

static void pools_are_apart(void **state)
{
	char names[128] = "";

	FL_AUTOIPAM struct fl_ipam_conf a = conf_of("'subnet':'10.1.0.0/24'");
	FL_AUTOIPAM struct fl_ipam_conf b = conf_of("'subnet':'10.1.0.0/24'");
	struct fixture *f = *state;

	strcpy(b.pool, "other@/nonexistent");
	expect(f, &a, 1, "10.1.0.2/24");
	expect(f, &b, 1, "10.1.0.2/24");
	release(f, &a, 1);
	expect(f, &b, 2, "10.1.0.3/24");
	assert_int_equal(fl_pools_each(f->txn, join_pools, names, &f->err), 0);
	assert_string_equal(names, "net@/nonexistent+ other@/nonexistent+ ");
}

/* ---- cost ---- */

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Allocates and frees for one container, 2,000 times. */
static double cost(struct fixture *f, const struct fl_ipam_conf *c)
{
	double start = seconds();
	char got[64];

	for (int i = 0; i < 2000; i++) {
		assert_int_equal(allocate(f, c, 1000000, NULL, got), 0);
		release(f, c, 1000000);
	}
	return seconds() - start;
}

/* The best of three: other work on the machine only ever adds. */
static double best_cost(struct fixture *f, const struct fl_ipam_conf *c)
{
	double best = cost(f, c);

	for (int i = 0; i < 2; i++) {
		double t = cost(f, c);

		best = t < best ? t : best;
	}
	return best;
}

static void cost_at_65000_leases(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'10.0.0.0/16'");
	struct fixture *f = *state;
	double empty = best_cost(f, &c), full;
	char got[64];

	for (int i = 0; i < 65000; i++)
		assert_int_equal(allocate(f, &c, i, NULL, got), 0);
	full = best_cost(f, &c);
	print_message(
		"2,000 allocations and releases: %.1f ms with no lease, %.1f ms with 65,000\n",
		empty * 1e3, full * 1e3);
	/* A search over leases would be 10,000 times slower; deeper trees may cost a little. */
	assert_true(full < empty * 4);
}

/* ---- processes ---- */

static void allocate_in_child(const char *dir, int fd, int from)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'10.1.0.0/16'");

	for (int i = from; i < from + 64; i++) {
		struct fl_endpoint_id id = container(i);
		struct fl_ipam_result res;
		struct fl_store *s;
		struct fl_txn *t;

		/* As plugins do: an environment opened for each. */
		if (fl_store_open(dir, &s, NULL) || fl_txn_begin(s, true, &t, NULL) ||
		    fl_ipam_allocate(t, &c, &id, NULL, &res, NULL) || fl_txn_commit(&t, NULL))
			_exit(1);
		fl_store_close(s);
		if (write(fd, &res.addrs[0].addr.addr, sizeof(struct fl_addr)) !=
		    sizeof(struct fl_addr))
			_exit(1);
	}
	fl_ipam_conf_clear(&c);
	_exit(0);
}

static void two_processes(void **state)
{
	struct fixture *f = *state;
	bool seen[65536] = { false };
	struct fl_addr a;
	int fds[2], n = 0, st;

	fl_txn_abort(f->txn);
	fl_store_close(f->store);
	f->store = NULL;
	assert_int_equal(pipe(fds), 0);
	for (int i = 0; i < 2; i++)
		if (!fork())
			allocate_in_child(f->dir, fds[1], 1000 * i);
	close(fds[1]);
	while (read(fds[0], &a, sizeof(a)) == sizeof(a)) {
		unsigned at = (unsigned)(a.b[2] << 8 | a.b[3]);

		assert_false(seen[at]);
		seen[at] = true;
		n++;
	}
	close(fds[0]);
	for (int i = 0; i < 2; i++) {
		assert_true(wait(&st) > 0);
		assert_int_equal(st, 0);
	}
	assert_int_equal(n, 128);
}

/* ---- automatic subnets ---- */

static void picked_subnets(void **state)
{
	static const struct {
		const char *used[6], *want;
	} cases[] = {
		{ { NULL }, "172.16.0.0/16" },
		{ { "0.0.0.0/0" }, "172.16.0.0/16" },
		{ { "172.16.0.0/16" }, "172.17.0.0/16" },
		{ { "172.17.0.0/16", "172.16.5.5/32" }, "172.18.0.0/16" },
		{ { "172.16.0.0/15", "172.18.255.0/24", "172.18.0.0/24" }, "172.19.0.0/16" },
		{ { "172.16.0.0/14", "172.16.0.0/16", "10.0.0.0/8" }, "192.168.0.0/20" },
		{ { "172.16.0.0/14", "192.168.0.0/17" }, "192.168.128.0/20" },
		{ { "172.16.0.0/14", "192.168.0.0/16" }, "fd00::/64" },
		{ { "172.0.0.0/8", "192.168.0.0/16", "fd00::1/128", "fd00:0:0:1::/64" },
		  "fd00:0:0:2::/64" },
		{ { "0.0.0.0/1", "128.0.0.0/1", "fd00::/8" }, NULL },
	};
	const struct fl_default_pool pools[] = { { make_prefix("172.16.0.0/14"), 16 },
						 { make_prefix("192.168.0.0/16"), 20 },
						 { make_prefix("10.0.0.0/16"),
						   8 }, /* senseless: skipped */
						 { make_prefix("fd00::/16"), 64 } };

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		struct fl_prefix used[6], got;
		struct fl_error err = { 0 };
		size_t n = 0;
		int r;

		while (n < 6 && cases[i].used[n]) {
			used[n] = make_prefix(cases[i].used[n]);
			n++;
		}
		r = fl_ipam_pick_subnet(pools, FL_ARRAY_SIZE(pools), used, n, &got, &err);
		assert_int_equal(r, cases[i].want ? 0 : -ENOSPC);
		if (!r)
			assert_string_equal(fl_prefix_str(&got, FL_PREFIX_BUF), cases[i].want);
	}
}

static void automatic_subnet_is_used(void **state)
{
	FL_AUTOIPAM struct fl_ipam_conf c = conf_of("'subnet':'auto','exclude':['172.17.0.2']");
	struct fl_prefix subnet = make_prefix("172.17.0.0/16");
	struct fixture *f = *state;

	expect_error(f, &c, 1, -EINVAL, FL_ECODE_CONFIG);
	assert_int_equal(fl_ipam_use_subnet(&c, &subnet, &f->err), 0);
	expect(f, &c, 1, "172.17.0.3/16");
}

#define IPAM_TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_begin, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IPAM_TEST(next_fit),
		IPAM_TEST(gateway_is_never_given),
		IPAM_TEST(retry_gets_a_clean_start),
		IPAM_TEST(sets_and_ranges),
		IPAM_TEST(all_or_none),
		IPAM_TEST(excluded_addresses),
		IPAM_TEST(fully_excluded),
		IPAM_TEST(requested_addresses),
		IPAM_TEST(large_and_small_ipv6),
		IPAM_TEST(gone_owners_make_room),
		IPAM_TEST(gone_owner_of_a_requested_address),
		IPAM_TEST(evict_frees_leases),
		IPAM_TEST(garbage_collection),
		IPAM_TEST(status),
		IPAM_TEST(pools_are_apart),
		IPAM_TEST(cost_at_65000_leases),
		IPAM_TEST(two_processes),
		cmocka_unit_test(picked_subnets),
		IPAM_TEST(automatic_subnet_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
