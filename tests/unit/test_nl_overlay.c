/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VXLAN devices, neighbours, forwarding databases and port flags against the running kernel, in a
 * network namespace of each test's own. What is in the kernel is read back by ip(8) and bridge(8).
 */
#include "unit.h"

#include "nl/neigh.h"
#include "nl/virtual.h"
#include "nl/vxlan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static int home_fd;
static struct fl_nl *nl;
static struct fl_error err;

static void ok_at(int line, int r)
{
	if (r)
		fail_msg("line %d: %d: %s (%s)", line, r, err.text, err.details);
}
#define ok(call) ok_at(__LINE__, call)

static void sh(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

/* Output of a command, one space between its words. */
static const char *text_of(const char *command)
{
	static char text[65536];
	size_t len = 0;
	FILE *f = popen(command, "r");
	int c;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF && len < sizeof(text) - 1)
		if (c > ' ' || (len && text[len - 1] != ' '))
			text[len++] = c > ' ' ? (char)c : ' ';
	text[len] = '\0';
	pclose(f);
	return text;
}

static void has(const char *command, const char *words)
{
	const char *text = text_of(command);

	if (!strstr(text, words))
		fail_msg("%s: no \"%s\" in: %s", command, words, text);
}

static void has_not(const char *command, const char *words)
{
	const char *text = text_of(command);

	if (strstr(text, words))
		fail_msg("%s: \"%s\" in: %s", command, words, text);
}

static struct fl_addr addr(const char *s)
{
	struct fl_addr a = { 0 };

	assert_int_equal(fl_addr_parse(s, &a), 0);
	return a;
}

static uint32_t index_of(const char *name)
{
	struct fl_link l;

	ok(fl_link_get(nl, name, &l, &err));
	return l.index;
}

/* up0 192.0.2.1/24 and 2001:db8::1/64, a bridge br0, and its ports vx0 and p0. */
static int setup(void **state)
{
	(void)state;
	err = (struct fl_error){ 0 };
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	ok(fl_nl_open(&nl, &err));
	sh("ip link set lo up; ip link add up0 type veth peer name up1 && ip link set up0 up && "
	   "ip link set up1 up && ip addr add 192.0.2.1/24 dev up0 && "
	   "ip addr add 2001:db8::1/64 dev up0 nodad");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fl_nl_close(nl);
	assert_int_equal(setns(home_fd, CLONE_NEWNET), 0);
	return 0;
}

static struct fl_vxlan_spec spec(const char *name, uint32_t vni)
{
	return (struct fl_vxlan_spec){ .name = name,
				       .vxlan = { vni, addr("192.0.2.1"), 4789, true },
				       .mtu = 1500,
				       .group = 0x666c };
}

static void make_bridge(void)
{
	struct fl_vxlan_spec s = spec("vx0", 5001);

	ok(fl_vxlan_create(nl, &s, &err));
	sh("ip link add br0 type bridge && ip link set vx0 master br0 && ip link set vx0 up && "
	   "ip link set br0 up && ip link add p0 master br0 type veth peer name p1 && "
	   "ip link set p0 up && ip link set p1 up");
}

static void test_device(void **state)
{
	struct fl_vxlan_spec s = spec("vx0", 5001), six = spec("vx6", 5001);
	struct fl_link l, found;

	(void)state;
	ok(fl_vxlan_create(nl, &s, &err));
	has("ip -d link show vx0", "mtu 1500");
	has("ip -d link show vx0", "vxlan id 5001 local 192.0.2.1 srcport 0 0 dstport 4789");
	ok(fl_link_get(nl, "vx0", &l, &err));
	assert_true(fl_vxlan_same(&l.vxlan, &s.vxlan));
	/* The mark is there from the first moment: an alias could come only later. */
	assert_int_equal(l.group, 0x666c);
	assert_false(l.flags & IFF_UP);
	six.vxlan = (struct fl_vxlan){ 5001, addr("2001:db8::1"), 8472, false };
	six.ttl = 9;
	ok(fl_vxlan_create(nl, &six, &err));
	has("ip -d link show vx6", "local 2001:db8::1");
	has("ip -d link show vx6", "dstport 8472");
	has("ip -d link show vx6", "ttl 9");
	has("ip -d link show vx6", "nolearning");
	ok(fl_link_get(nl, "vx6", &l, &err));
	assert_true(fl_vxlan_same(&l.vxlan, &six.vxlan));
	assert_false(fl_vxlan_same(&l.vxlan, &s.vxlan));
	assert_int_equal(fl_vxlan_find(nl, &six.vxlan, &found, &err), 1);
	assert_string_equal(found.name, "vx6");
	/* The kernel keeps the families apart. */
	six.vxlan.local = s.vxlan.local;
	assert_int_equal(fl_vxlan_find(nl, &six.vxlan, &found, &err), 0);
	s.vxlan.port = 4790;
	assert_int_equal(fl_vxlan_find(nl, &s.vxlan, &found, &err), 0);
}

static void test_taken(void **state)
{
	struct fl_vxlan_spec s = spec("vx0", 5001), again = spec("vx1", 5001);

	(void)state;
	ok(fl_vxlan_create(nl, &s, &err));
	assert_int_equal(fl_vxlan_create(nl, &again, &err), -EEXIST);
	again.vxlan.vni = 5002;
	again.name = "vx0";
	assert_int_equal(fl_vxlan_create(nl, &again, &err), -EEXIST);
	again.name = "vx1";
	again.vxlan.port = 4790;
	again.vxlan.vni = 5001;
	ok(fl_vxlan_create(nl, &again, &err));
}

static void test_dress(void **state)
{
	struct fl_vxlan_spec s = spec("vx0", 5001);
	struct fl_link_dress d = { .alias = "fairlead net", .mtu = 1400, .no_link_local = true };
	struct fl_link l;

	(void)state;
	ok(fl_vxlan_create(nl, &s, &err));
	sh("ip link add br0 type bridge && ip link set br0 up");
	d.master = index_of("br0");
	ok(fl_link_dress(nl, index_of("vx0"), &d, &err));
	ok(fl_link_set_up(nl, index_of("vx0"), true, &err));
	ok(fl_link_get(nl, "vx0", &l, &err));
	assert_string_equal(l.alias, "fairlead net");
	assert_int_equal(l.mtu, 1400);
	assert_int_equal(l.master, d.master);
	assert_string_equal(text_of("ip -6 addr show dev vx0 scope link"), "");
}

static void test_port_flags(void **state)
{
	struct fl_link l;

	(void)state;
	make_bridge();
	ok(fl_link_get(nl, "p0", &l, &err));
	assert_int_equal(l.port_flags, FL_PORT_LEARNING);
	ok(fl_link_change_port(nl, l.index,
			       FL_PORT_LOCKED | FL_PORT_NEIGH_SUPPRESS | FL_PORT_HAIRPIN,
			       FL_PORT_LEARNING, &err));
	ok(fl_link_get(nl, "p0", &l, &err));
	assert_int_equal(l.port_flags, FL_PORT_LOCKED | FL_PORT_NEIGH_SUPPRESS | FL_PORT_HAIRPIN);
	has("ip -d link show p0", "hairpin on");
	has("ip -d link show p0", "learning off");
	has("ip -d link show p0", "neigh_suppress on");
	has("ip -d link show p0", "locked on");
	/* What is not named stays. */
	ok(fl_link_set_port_flags(nl, l.index, FL_PORT_ISOLATED, &err));
	ok(fl_link_change_port(nl, l.index, 0, FL_PORT_HAIRPIN, &err));
	ok(fl_link_get(nl, "p0", &l, &err));
	assert_int_equal(l.port_flags, FL_PORT_LOCKED | FL_PORT_NEIGH_SUPPRESS | FL_PORT_ISOLATED);
}

static unsigned kernel(void)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	uname(&u);
	sscanf(u.release, "%u.%u", &major, &minor);
	return major * 100 + minor;
}

#define ETHERTYPE 0x88b5 /* IEEE 802 local experimental */

static int packet_socket(const char *name)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETHERTYPE),
				  .sll_ifindex = (int)index_of(name) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETHERTYPE));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* Without it almost every one of these is lost. */
static void test_sends_at_once(void **state)
{
	uint8_t frame[60] = { [0 ... 5] = 0xff, [6] = 2, [12] = ETHERTYPE >> 8, ETHERTYPE & 0xff };
	uint32_t port, peer;
	int from, to;

	(void)state;
	if (kernel() < 608)
		skip();
	make_bridge();
	port = index_of("p0");
	peer = index_of("p1");
	from = packet_socket("br0");
	to = packet_socket("p1");
	for (int i = 0; i < 50; i++) {
		uint8_t got[60];

		ok(fl_link_set_up(nl, peer, false, &err));
		ok(fl_link_sync(nl, port, &err));
		while (recv(to, got, sizeof(got), 0) >= 0 || errno == ENETDOWN)
			continue;
		ok(fl_link_set_up(nl, peer, true, &err));
		ok(fl_link_sync(nl, port, &err));
		assert_int_equal(send(from, frame, sizeof(frame), 0), sizeof(frame));
		assert_int_equal(recv(to, got, sizeof(got), 0), sizeof(got));
	}
	close(from);
	close(to);
}

static int count_neigh(void *arg, const struct fl_neigh *n)
{
	if (n->state == NUD_PERMANENT)
		++*(int *)arg;
	return 0;
}

static void test_neighbours(void **state)
{
	struct fl_neigh n = { .addr = addr("10.5.0.12"),
			      .mac = { { 2, 0, 0, 0, 0, 1 } },
			      .protocol = 200 };
	int found = 0;

	(void)state;
	make_bridge();
	n.index = index_of("br0");
	ok(fl_neigh_replace(nl, &n, &err));
	n.mac.b[5] = 2;
	ok(fl_neigh_replace(nl, &n, &err));
	has("ip neigh", "10.5.0.12 dev br0 lladdr 02:00:00:00:00:02 PERMANENT proto 200");
	n.addr = addr("fd05::12");
	ok(fl_neigh_replace(nl, &n, &err));
	has("ip -6 neigh", "fd05::12 dev br0 lladdr 02:00:00:00:00:02 PERMANENT proto 200");
	ok(fl_neighs_each(nl, AF_UNSPEC, n.index, count_neigh, &found, &err));
	assert_int_equal(found, 2);
	ok(fl_neighs_each(nl, AF_INET, n.index, count_neigh, &found, &err));
	assert_int_equal(found, 3);
	ok(fl_neighs_each(nl, AF_UNSPEC, index_of("p0"), count_neigh, &found, &err));
	assert_int_equal(found, 3);
	for (int twice = 0; twice < 2; twice++)
		ok(fl_neigh_del(nl, &n, &err));
	n.addr = addr("10.5.0.12");
	ok(fl_neigh_del(nl, &n, &err));
	assert_string_equal(text_of("ip neigh"), "");
	n.index = 4242;
	ok(fl_neigh_del(nl, &n, &err));
}

#define FDB "bridge fdb show dev vx0"

static void test_unicast(void **state)
{
	struct fl_fdb f = { .index = 0, .mac = { { 2, 0, 0, 0, 0, 1 } }, .dst = addr("192.0.2.2") },
		      m = { .table = FL_FDB_MASTER,
			    .life = FL_FDB_STICKY,
			    .mac = { { 2, 0, 0, 0, 0, 1 } } };

	(void)state;
	make_bridge();
	f.index = m.index = index_of("vx0");
	ok(fl_fdb_change(nl, FL_FDB_REPLACE, &f, &err));
	ok(fl_fdb_change(nl, FL_FDB_REPLACE, &m, &err));
	has(FDB, "02:00:00:00:00:01 sticky master br0 static");
	has(FDB, "02:00:00:00:00:01 dst 192.0.2.2 self permanent");
	f.dst = addr("192.0.2.3");
	ok(fl_fdb_change(nl, FL_FDB_REPLACE, &f, &err));
	has(FDB, "02:00:00:00:00:01 dst 192.0.2.3 self permanent");
	has_not(FDB, "192.0.2.2");
	/* A container that came here: the sticky entry gives way to one that names its port. */
	m.index = index_of("p0");
	m.life = FL_FDB_STATIC;
	ok(fl_fdb_change(nl, FL_FDB_REPLACE, &m, &err));
	has("bridge fdb show dev p0", "02:00:00:00:00:01 master br0 static");
	has_not(FDB, "sticky");
	for (int twice = 0; twice < 2; twice++) {
		ok(fl_fdb_change(nl, FL_FDB_DELETE, &f, &err));
		ok(fl_fdb_change(nl, FL_FDB_DELETE, &m, &err));
	}
	has_not("bridge fdb", "02:00:00:00:00:01");
}

struct flood {
	struct fl_addr dst[8];
	size_t n;
};

static int collect_flood(void *arg, const struct fl_fdb *f)
{
	struct flood *l = arg;

	if (f->table == FL_FDB_SELF && fl_mac_is_zero(&f->mac) && l->n < 8)
		l->dst[l->n++] = f->dst;
	return 0;
}

static void test_flood(void **state)
{
	struct fl_fdb f = { .dst = addr("192.0.2.2") };
	struct flood l = { .n = 0 };

	(void)state;
	make_bridge();
	f.index = index_of("vx0");
	for (int twice = 0; twice < 2; twice++)
		ok(fl_fdb_change(nl, FL_FDB_APPEND, &f, &err));
	f.dst = addr("192.0.2.3");
	ok(fl_fdb_change(nl, FL_FDB_APPEND, &f, &err));
	ok(fl_fdbs_each(nl, f.index, collect_flood, &l, &err));
	assert_int_equal(l.n, 2);
	for (int twice = 0; twice < 2; twice++)
		ok(fl_fdb_change(nl, FL_FDB_DELETE, &f, &err));
	l.n = 0;
	ok(fl_fdbs_each(nl, f.index, collect_flood, &l, &err));
	assert_int_equal(l.n, 1);
	assert_true(fl_addr_eq(&l.dst[0], &(struct fl_addr){ AF_INET, { 192, 0, 2, 2 } }));
	l.n = 0;
	ok(fl_fdbs_each(nl, index_of("p0"), collect_flood, &l, &err));
	assert_int_equal(l.n, 0);
}

struct mass {
	uint32_t bridge, vxlan;
};

/* Of the remote container i / 3: the order in which the agent will program them. */
static void build_one(struct fl_req *q, void *arg, size_t i)
{
	const struct mass *m = arg;
	uint32_t c = (uint32_t)i / 3;
	struct fl_mac mac = { { 2, 0, 0, 1, (uint8_t)(c >> 8), (uint8_t)c } };
	struct fl_fdb f = { .index = m->vxlan, .mac = mac, .dst = { AF_INET, { 192, 0, 2, 2 } } };
	struct fl_neigh n = { .index = m->bridge,
			      .addr = { AF_INET, { 10, 5, (uint8_t)(c >> 8), (uint8_t)c } },
			      .mac = mac,
			      .protocol = 200 };

	if (i % 3 == 1) {
		f.table = FL_FDB_MASTER;
		f.life = FL_FDB_STICKY;
		f.dst = (struct fl_addr){ 0 };
	}
	if (i % 3 == 2)
		fl_neigh_build(q, true, &n);
	else
		fl_fdb_build(q, FL_FDB_REPLACE, &f);
}

static int count_fdb(void *arg, const struct fl_fdb *f)
{
	static const uint8_t ours[] = { 2, 0, 0, 1 }; /* others are random */

	*(int *)arg += !memcmp(f->mac.b, ours, sizeof(ours));
	return 0;
}

/* Of the processor, the kernel's work included: others that run at the same time do not count. */
static double used(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void test_ten_thousand(void **state)
{
	struct mass m;
	int fdbs = 0, neighs = 0;
	double start, took;

	(void)state;
	make_bridge();
	m = (struct mass){ index_of("br0"), index_of("vx0") };
	start = used();
	ok(fl_nl_bulk(nl, 30000, build_one, &m, NULL, &err));
	took = used() - start;
	print_message("10000 remote containers, 30000 entries: %.0f ms\n", took * 1000);
	/* About 70 ms here; the bound is for slow machines, sanitizers and valgrind. */
	assert_true(took < 5);
	ok(fl_fdbs_each(nl, m.vxlan, count_fdb, &fdbs, &err));
	ok(fl_neighs_each(nl, AF_INET, m.bridge, count_neigh, &neighs, &err));
	assert_int_equal(fdbs, 20000);
	assert_int_equal(neighs, 10000);
}

/* The second of each three names an interface that is not there. */
static void build_some_bad(struct fl_req *q, void *arg, size_t i)
{
	struct mass m = *(struct mass *)arg;

	if (i >= 40 && i % 3 == 1)
		m.vxlan = 4242;
	build_one(q, &m, i);
}

static void test_bulk_goes_on(void **state)
{
	size_t failed = 0;
	int fdbs = 0;
	struct mass m;

	(void)state;
	make_bridge();
	m = (struct mass){ index_of("br0"), index_of("vx0") };
	assert_int_equal(fl_nl_bulk(nl, 300, build_some_bad, &m, &failed, &err), -ENODEV);
	assert_int_equal(failed, 40);
	ok(fl_fdbs_each(nl, m.vxlan, count_fdb, &fdbs, &err));
	assert_int_equal(fdbs, 100 + 13);
}

static void test_route(void **state)
{
	struct fl_nlroute r = { 0 };
	struct fl_addr to = addr("198.51.100.7");

	(void)state;
	assert_int_equal(fl_route_get(nl, &to, NULL, 0, &r, &err), -ENETUNREACH);
	sh("ip route add 198.51.100.0/24 via 192.0.2.9 mtu 1400 && "
	   "ip -6 route add 2001:db8:7::/48 via 2001:db8::9");
	ok(fl_route_get(nl, &to, NULL, 0, &r, &err));
	assert_int_equal(r.mtu, 1400);
	assert_int_equal(r.oif, index_of("up0"));
	assert_string_equal(fl_addr_str(&r.src, FL_ADDR_BUF), "192.0.2.1");
	assert_int_equal(r.type, RTN_UNICAST);
	to = addr("2001:db8:7::1");
	ok(fl_route_get(nl, &to, NULL, 0, &r, &err));
	assert_int_equal(r.mtu, 0);
	assert_string_equal(fl_addr_str(&r.src, FL_ADDR_BUF), "2001:db8::1");
	to = addr("192.0.2.1");
	ok(fl_route_get(nl, &to, NULL, 0, &r, &err));
	assert_int_equal(r.type, RTN_LOCAL);
}

static void test_deprecated(void **state)
{
	struct fl_prefix p = { addr("fd05::1"), 128 };

	(void)state;
	make_bridge();
	ok(fl_ifaddr_add_deprecated(nl, index_of("br0"), &p, 0x02 /* IFA_F_NODAD */, &err));
	has("ip -6 addr show dev br0", "fd05::1/128 scope global nodad deprecated");
	has("ip -6 addr show dev br0", "valid_lft forever preferred_lft 0sec");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_device),	 TEST(test_taken),	   TEST(test_dress),
		TEST(test_port_flags),	 TEST(test_sends_at_once), TEST(test_neighbours),
		TEST(test_unicast),	 TEST(test_flood),	   TEST(test_ten_thousand),
		TEST(test_bulk_goes_on), TEST(test_route),	   TEST(test_deprecated),
	};

	home_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET)) {
		printf("1..0 # SKIP needs root: unshare: %s\n", strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
