/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lib/fw against the running kernel, in a network namespace of its own. What is in the kernel is
 * read back by nft(8) and iptables(8), never by our own reader.
 */
#include "unit.h"

#include "fw/elems.h"
#include "fw/fw.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct fl_addr addr(const char *s)
{
	struct fl_addr a = { 0 };

	assert_int_equal(fl_addr_parse(s, &a), 0);
	return a;
}

static struct fl_prefix prefix(const char *s)
{
	struct fl_prefix p = { 0 };

	assert_int_equal(fl_prefix_parse(s, &p), 0);
	return p;
}

static struct fl_network bridge_network(const char *name, const char *link, const char *subnet)
{
	struct fl_network n = { .masquerade = true };

	strcpy(n.name, name);
	strcpy(n.driver, "bridge");
	strcpy(n.link, link);
	n.subnets[n.n_subnets++] = fl_prefix_masked(&(struct fl_prefix){ prefix(subnet).addr, 24 });
	return n;
}

static struct fl_endpoint endpoint(const char *container, const char *address,
				   struct fl_port *ports, uint32_t n_ports)
{
	struct fl_endpoint ep = { .state = FL_STATE_READY, .ports = ports, .n_ports = n_ports };

	strcpy(ep.id.network, "net");
	strcpy(ep.id.container, container);
	strcpy(ep.id.ifname, "eth0");
	strcpy(ep.id.driver, "bridge");
	ep.addrs[ep.n_addrs++] = prefix(address);
	return ep;
}

static struct fl_port port(uint8_t proto, uint16_t host, uint16_t container, uint32_t count)
{
	return (struct fl_port){ proto, { 0 }, host, container, count };
}

/* Output of a shell command; the caller frees it. */
static char *output_of(const char *command)
{
	size_t cap = 1 << 20, len = 0, n;
	char *buf = malloc(cap);
	FILE *f = popen(command, "r");

	assert_non_null(buf);
	assert_non_null(f);
	while ((n = fread(buf + len, 1, cap - len - 1, f)) > 0) {
		len += n;
		if (cap - len < 2) {
			cap *= 2;
			buf = realloc(buf, cap);
			assert_non_null(buf);
		}
	}
	buf[len] = '\0';
	pclose(f);
	return buf;
}

static int count(const char *hay, const char *needle)
{
	int n = 0;

	for (; (hay = strstr(hay, needle)); hay += strlen(needle))
		n++;
	return n;
}

static void expect_set(const char *set, const char *needle, int times)
{
	char command[128];
	char *out;

	snprintf(command, sizeof(command), "nft list set inet fairlead %s 2>&1", set);
	out = output_of(command);
	if (count(out, needle) != times)
		fail_msg("%s: wanted %d x '%s' in:\n%s", set, times, needle, out);
	free(out);
}

static void expect_map(const char *map, const char *needle, int times)
{
	char command[128];
	char *out;

	snprintf(command, sizeof(command), "nft list map inet fairlead %s 2>&1", map);
	out = output_of(command);
	if (count(out, needle) != times)
		fail_msg("%s: wanted %d x '%s' in:\n%s", map, times, needle, out);
	free(out);
}

static struct fl_fw *fw;
static struct fl_error err;

static void rebuild(const struct fl_network *nets, size_t n, const struct fl_endpoint *eps,
		    size_t m)
{
	if (fl_fw_rebuild(fw, nets, n, eps, m, &err))
		fail_msg("%s (%s)", err.text, err.details);
}

static void apply(struct fl_fw_change c)
{
	if (fl_fw_apply(fw, &c, &err))
		fail_msg("%s (%s)", err.text, err.details);
}

static int setup(void **state)
{
	(void)state;
	err = (struct fl_error){ 0 };
	return fl_fw_open(&fw, &err) || fl_fw_remove(fw, &err);
}

static int teardown(void **state)
{
	(void)state;
	fl_fw_close(fw);
	fw = NULL;
	return 0;
}

static void test_apply_needs_skeleton(void **state)
{
	struct fl_network net = bridge_network("net", "br0", "10.1.0.0/24");

	(void)state;
	assert_int_equal(fl_fw_apply(fw, &(struct fl_fw_change){ .add_network = &net }, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "skeleton-" FL_FW_VERSION));
	assert_int_equal(system("nft list table inet fairlead >/dev/null 2>&1") != 0, 1);
	/* Another version is none. */
	assert_int_equal(system("nft 'add table inet fairlead; add set inet fairlead skeleton-0 "
				"{ type ifname; }'"),
			 0);
	assert_int_equal(fl_fw_apply(fw, &(struct fl_fw_change){ .add_network = &net }, &err),
			 -ENOENT);
	rebuild(&net, 1, NULL, 0);
	assert_int_not_equal(system("nft list set inet fairlead skeleton-0 >/dev/null 2>&1"), 0);
	apply((struct fl_fw_change){ .add_network = &net });
}

static void test_add_and_delete(void **state)
{
	struct fl_port ports[] = { port(IPPROTO_TCP, 8080, 80, 1),
				   port(IPPROTO_TCP, 9000, 9000, 1000),
				   port(IPPROTO_UDP, 5000, 6000, 3) };
	struct fl_network net = bridge_network("net", "br0", "10.1.0.0/24");
	struct fl_endpoint ep = endpoint("web", "10.1.0.2/24", ports, 3);
	char *before, *after;

	(void)state;
	ep.addrs[ep.n_addrs++] = prefix("fd00::2/64");
	rebuild(NULL, 0, NULL, 0);
	before = output_of("nft list ruleset");
	for (int i = 0; i < 2; i++)
		apply((struct fl_fw_change){
			.add_network = &net, .add_endpoint_network = &net, .add_endpoint = &ep });
	expect_map("publish4", "tcp . 8080 comment \"web/eth0\" : 10.1.0.2 . 80", 1);
	expect_map("publish4", "10.1.0.2 .", 4);
	expect_map("publish4", "udp . 5002 comment \"web/eth0\" : 10.1.0.2 . 6002", 1);
	expect_map("publish4_range", "tcp . 9000-9999 comment \"web/eth0\" : 10.1.0.2", 1);
	expect_map("publish6", "tcp . 8080 comment \"web/eth0\" : fd00::2 . 80", 1);
	expect_map("masquerade4", "10.1.0.0/24 comment \"net\" : goto outward", 1);
	expect_set("hairpin4", "127.0.0.0/8 . 10.1.0.0/24", 1);
	assert_int_equal(fl_fw_check(fw, &net, &ep, &err), 1);
	for (int i = 0; i < 2; i++)
		apply((struct fl_fw_change){
			.del_endpoint_network = &net, .del_endpoint = &ep, .del_network = &net });
	after = output_of("nft list ruleset");
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void test_conflict_names_the_owner(void **state)
{
	struct fl_port a_ports[] = { port(IPPROTO_TCP, 8080, 80, 1) };
	struct fl_port b_ports[] = { port(IPPROTO_TCP, 8079, 1, 1), port(IPPROTO_TCP, 8080, 80, 1),
				     port(IPPROTO_TCP, 8081, 80, 1) };
	struct fl_endpoint a = endpoint("a", "10.1.0.2/24", a_ports, 1);
	struct fl_endpoint b = endpoint("b", "10.1.0.3/24", b_ports, 3);

	(void)state;
	rebuild(NULL, 0, &a, 1);
	assert_int_equal(fl_fw_apply(fw, &(struct fl_fw_change){ .add_endpoint = &b }, &err),
			 -EEXIST);
	assert_int_equal(err.code, FL_ECODE_CONFLICT);
	assert_string_equal(err.text, "nftables: tcp . 8080 in publish4 is taken by a/eth0");
	expect_map("publish4", "10.1.0.3", 0);
	/* Deleting what it never got takes nothing from the owner, and the rest of what it has. */
	b.ports = b_ports + 2;
	b.n_ports = 1;
	apply((struct fl_fw_change){ .add_endpoint = &b });
	b.ports = b_ports;
	b.n_ports = 3;
	apply((struct fl_fw_change){ .del_endpoint = &b });
	expect_map("publish4", "10.1.0.3", 0);
	expect_map("publish4", "tcp . 8080 comment \"a/eth0\" : 10.1.0.2 . 80", 1);
}

static void test_overlapping_range_conflicts(void **state)
{
	struct fl_port a_ports[] = { port(IPPROTO_TCP, 9000, 9000, 100) };
	struct fl_port b_ports[] = { port(IPPROTO_TCP, 9050, 9050, 100) };
	struct fl_endpoint both[] = { endpoint("a", "10.1.0.2/24", a_ports, 1),
				      endpoint("b", "10.1.0.3/24", b_ports, 1) };

	(void)state;
	rebuild(NULL, 0, both, 1);
	assert_int_equal(fl_fw_apply(fw, &(struct fl_fw_change){ .add_endpoint = &both[1] }, &err),
			 -EEXIST);
	assert_int_equal(err.code, FL_ECODE_CONFLICT);
	/* Contradicting records do not stop a rebuild: the first that is ready wins. */
	both[0].state = FL_STATE_CREATING;
	rebuild(NULL, 0, both, 2);
	expect_map("publish4_range", "tcp . 9000-9099", 0);
	expect_map("publish4_range", "tcp . 9050-9149", 1);
}

static void test_other_networks_keep_shared_elements(void **state)
{
	struct fl_network nets[] = { bridge_network("net", "br0", "10.1.0.0/24"),
				     bridge_network("net", "", "10.1.0.0/24") };

	(void)state;
	strcpy(nets[1].driver, "portmap");
	nets[1].masquerade = false;
	rebuild(nets, 2, NULL, 0);
	apply((struct fl_fw_change){ .del_network = &nets[1], .others = nets, .n_others = 1 });
	expect_set("hairpin4", "10.1.0.0/24 . 10.1.0.0/24", 1);
	expect_set("subnets4", "10.1.0.0/24", 0);
	expect_set("bridges", "br0", 1);
	apply((struct fl_fw_change){ .del_network = &nets[0] });
	expect_set("hairpin4", "10.1.0.0/24 . 10.1.0.0/24", 0);
	expect_set("bridges", "br0", 0);
}

static void test_source_nat_and_adjacent_subnets(void **state)
{
	struct fl_network nets[] = { bridge_network("a", "br0", "10.1.0.0/24"),
				     bridge_network("b", "br1", "10.1.1.0/24"),
				     bridge_network("c", "br2", "255.255.255.0/24") };

	(void)state;
	nets[1].snat[0] = addr("192.0.2.7");
	rebuild(NULL, 0, NULL, 0);
	nets[1].snat[0].family = 0;
	for (size_t i = 0; i < 3; i++)
		apply((struct fl_fw_change){ .add_network = &nets[i] });
	expect_map("masquerade4", "10.1.0.0/24", 1);
	expect_map("masquerade4", "10.1.1.0/24", 1);
	expect_map("masquerade4", "255.255.255.0", 1);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(fl_fw_check(fw, &nets[i], NULL, &err), 1);
		apply((struct fl_fw_change){ .del_network = &nets[i] });
	}
	expect_map("masquerade4", "goto", 0);
	nets[1].snat[0] = addr("192.0.2.7");
	apply((struct fl_fw_change){ .add_network = &nets[1] });
	expect_map("snat4", "10.1.1.0/24 comment \"b\" : 192.0.2.7", 1);
	expect_map("masquerade4", "goto", 0);
}

/* Milliseconds of the processor, with the kernel: others that run meanwhile do not count. */
static double used(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void test_many_shifted_ports(void **state)
{
	struct fl_port ports[] = { port(IPPROTO_TCP, 20000, 30000, 10000) };
	struct fl_endpoint ep = endpoint("many", "10.1.0.2/24", ports, 1);
	double start;

	(void)state;
	rebuild(NULL, 0, NULL, 0);
	start = used();
	apply((struct fl_fw_change){ .add_endpoint = &ep });
	print_message("10,000 shifted ports: add %.1f ms", used() - start);
	/* A bound that a loaded machine keeps too, and that one batch per port would break. */
	assert_true(used() - start < 500);
	expect_map("publish4", "many/eth0", 10000);
	assert_int_equal(fl_fw_check(fw, NULL, &ep, &err), 1);
	start = used();
	apply((struct fl_fw_change){ .del_endpoint = &ep });
	print_message(", delete %.1f ms\n", used() - start);
	expect_map("publish4", "many/eth0", 0);
}

static void test_concurrent_rebuilds(void **state)
{
	struct fl_network net = bridge_network("net", "br0", "10.1.0.0/24");
	char *out;
	int status;

	(void)state;
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid) {
			struct fl_fw *mine;
			int r = fl_fw_open(&mine, NULL);

			_exit(r || fl_fw_rebuild(mine, &net, 1, NULL, 0, NULL));
		}
	}
	for (int i = 0; i < 20; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	out = output_of("nft list table inet fairlead");
	assert_int_equal(count(out, "jump publish"), 2);
	assert_int_equal(count(out, "vmap @masquerade4"), 1);
	assert_int_equal(count(out, "10.1.0.0/24 . 10.1.0.0/24"), 2);
	free(out);
}

static void test_flushed_ruleset_is_seen(void **state)
{
	struct fl_port ports[] = { port(IPPROTO_TCP, 8080, 80, 1) };
	struct fl_endpoint ep = endpoint("web", "10.1.0.2/24", ports, 1);

	(void)state;
	rebuild(NULL, 0, &ep, 1);
	assert_int_equal(fl_fw_check(fw, NULL, &ep, &err), 1);
	assert_int_equal(system("nft delete element inet fairlead publish4 '{ tcp . 8080 }'"), 0);
	assert_int_equal(fl_fw_check(fw, NULL, &ep, &err), 0);
	assert_int_equal(err.code, FL_ECODE_CHECK);
	assert_non_null(strstr(err.text, "publish4 { tcp . 8080 }"));
	assert_int_equal(system("nft add element inet fairlead publish4 "
				"'{ tcp . 8080 : 10.1.0.9 . 80 }'"),
			 0);
	assert_int_equal(fl_fw_check(fw, NULL, &ep, &err), 0);
	assert_non_null(strstr(err.text, "leads elsewhere"));
	assert_int_equal(system("nft flush ruleset"), 0);
	assert_int_equal(fl_fw_check(fw, NULL, &ep, &err), 0);
	assert_int_equal(fl_fw_apply(fw, &(struct fl_fw_change){ .add_endpoint = &ep }, &err),
			 -ENOENT);
	rebuild(NULL, 0, &ep, 1);
	assert_int_equal(fl_fw_check(fw, NULL, &ep, &err), 1);
}

/* ---- all against all ---- */

struct told {
	char text[2048];
};

static void remember(void *arg, const struct fl_fw_difference *d)
{
	static const char *const kinds[] = { "no-table", "version",   "chain",
					     "missing",	 "elsewhere", "orphan" };
	struct told *t = arg;
	size_t len = strlen(t->text);

	snprintf(t->text + len, sizeof(t->text) - len, "%s|%s|%s|%zu|%zu\n", kinds[d->kind],
		 d->what, d->owner, d->wanted, d->found);
}

static struct fl_network ready_network(void)
{
	struct fl_network n = bridge_network("net", "br0", "10.1.0.0/24");

	fl_network_add_subnet(&n, &(struct fl_prefix){ addr("fd00::"), 64 });
	n.ready = true;
	return n;
}

static void expect_differences(const struct fl_network *net, const struct fl_endpoint *ep,
			       const char *text)
{
	struct told t = { 0 };
	int n = fl_fw_compare(fw, net, net ? 1 : 0, ep, ep ? 1 : 0, remember, &t, &err);

	assert_int_equal(n, count(text, "\n"));
	assert_string_equal(t.text, text);
}

/* Each kind of set: hash, tree of boundaries, concatenated intervals, maps of both, a verdict map.
 */
static void test_compare(void **state)
{
	struct fl_port ports[] = { port(IPPROTO_TCP, 8080, 80, 1), port(IPPROTO_UDP, 90, 90, 10) };
	struct fl_endpoint ep = endpoint("web", "10.1.0.2/24", ports, 2);
	struct fl_network net = ready_network();

	(void)state;
	expect_differences(NULL, NULL, "no-table|||0|0\n");
	rebuild(&net, 1, &ep, 1);
	expect_differences(&net, &ep, "");
	assert_int_equal(
		system("nft delete element inet fairlead publish4 '{ tcp . 8080 }' && "
		       "nft add element inet fairlead publish4 '{ tcp . 8080 : 10.1.0.9 . 80 }' && "
		       "nft delete element inet fairlead masquerade4 '{ 10.1.0.0/24 }' && "
		       "nft delete element inet fairlead publish4_range '{ udp . 90-99 }' && "
		       "nft add element inet fairlead bridges '{ \"xx\" comment \"gone\" }' && "
		       "nft add element inet fairlead masquerade4 '{ 10.9.0.0/16 : goto outward, "
		       "10.10.0.0/16 : goto outward, 255.0.0.0/8 : goto outward }' && "
		       "nft add rule inet fairlead forward counter"),
		0);
	expect_differences(&net, &ep,
			   "orphan|bridges { xx }|gone|0|0\n"
			   "missing|masquerade4 { 10.1.0.0-10.1.0.255 }|net|0|0\n"
			   "orphan|masquerade4 { 10.9.0.0-10.9.255.255 }||0|0\n"
			   "orphan|masquerade4 { 10.10.0.0-10.10.255.255 }||0|0\n"
			   "orphan|masquerade4 { 255.0.0.0-255.255.255.255 }||0|0\n"
			   "elsewhere|publish4 { tcp . 8080 }|web/eth0|0|0\n"
			   "missing|publish4_range { udp . 90-99 }|web/eth0|0|0\n"
			   "chain|forward||10|11\n");
	rebuild(&net, 1, &ep, 1);
	expect_differences(&net, &ep, "");
}

static void test_compare_what_is_on_its_way(void **state)
{
	struct fl_port ports[] = { port(IPPROTO_TCP, 8080, 80, 1) };
	struct fl_endpoint ep = endpoint("web", "10.1.0.2/24", ports, 1);

	(void)state;
	rebuild(NULL, 0, &ep, 1);
	ep.state = FL_STATE_DELETING;
	expect_differences(NULL, &ep, "");
	rebuild(NULL, 0, NULL, 0);
	ep.state = FL_STATE_CREATING;
	expect_differences(NULL, &ep, "");
	ep.state = FL_STATE_READY;
	expect_differences(NULL, &ep, "missing|publish4 { tcp . 8080 }|web/eth0|0|0\n");
	assert_int_equal(system("nft delete table inet fairlead && nft add table inet fairlead && "
				"nft add chain inet fairlead f '{ type filter hook forward "
				"priority 0; }'"),
			 0);
	expect_differences(NULL, &ep, "version|||1|0\n");
}

static void test_compare_many(void **state)
{
	enum { N = 5000 };
	struct fl_endpoint *eps = calloc(N, sizeof(*eps));
	struct fl_port *ports = calloc(N, sizeof(*ports));
	struct timespec from, to;
	struct told t = { 0 };

	(void)state;
	for (int i = 0; i < N; i++) {
		ports[i] = port(IPPROTO_TCP, (uint16_t)(1000 + i), 80, 1);
		eps[i] = endpoint("web", "10.1.0.2/24", &ports[i], 1);
	}
	rebuild(NULL, 0, eps, N);
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(fl_fw_compare(fw, NULL, 0, eps, N, remember, &t, &err), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	print_message("compared %d endpoints in %.1f ms\n", N,
		      (double)(to.tv_sec - from.tv_sec) * 1e3 +
			      (double)(to.tv_nsec - from.tv_nsec) / 1e6);
	free(eps);
	free(ports);
}

static void test_spoof_check_has_its_own_table(void **state)
{
	struct fl_endpoint ep = endpoint("web", "10.1.0.2/24", NULL, 0);
	char *out;

	(void)state;
	rebuild(NULL, 0, NULL, 0);
	assert_int_not_equal(system("nft list table bridge fairlead >/dev/null 2>&1"), 0);
	strcpy(ep.link, "veth123");
	ep.spoof_check = true;
	assert_int_equal(fl_mac_parse("02:00:00:00:00:07", &ep.mac), 0);
	assert_int_equal(fl_fw_apply(fw, &(struct fl_fw_change){ .add_endpoint = &ep }, &err),
			 -ENOENT);
	rebuild(NULL, 0, &ep, 1);
	out = output_of("nft list table bridge fairlead");
	assert_int_equal(count(out, "\"veth123\" . 02:00:00:00:00:07"), 1);
	assert_int_equal(
		count(out, "iifname @checked_ports iifname . ether saddr != @allowed_macs drop"),
		1);
	free(out);
	assert_int_equal(fl_fw_check(fw, NULL, &ep, &err), 1);
	apply((struct fl_fw_change){ .del_endpoint = &ep });
	out = output_of("nft list table bridge fairlead");
	assert_int_equal(count(out, "veth123"), 0);
	free(out);
	ep.state = FL_STATE_DELETING;
	rebuild(NULL, 0, &ep, 1);
	apply((struct fl_fw_change){ .del_endpoint = &ep });
}

/* As nft(8) reads it; that it works is tested with traffic. */
static void test_overlay_keeps_its_gateway(void **state)
{
	struct fl_network n = bridge_network("net", "flo1", "10.5.0.0/16");
	const struct fl_addr four = addr("10.5.0.1"), six = addr("fd05::1");
	char *out;

	(void)state;
	strcpy(n.tunnel, "flx1");
	fl_network_add_anycast(&n, &four);
	fl_network_add_anycast(&n, &six);
	rebuild(NULL, 0, NULL, 0);
	assert_int_equal(fl_fw_apply(fw, &(struct fl_fw_change){ .add_network = &n }, &err),
			 -ENOENT);
	rebuild(&n, 1, NULL, 0);
	out = output_of("nft list table bridge fairlead");
	assert_int_equal(count(out, "\"flx1\" . 10.5.0.1"), 1);
	assert_int_equal(count(out, "\"flx1\" . fd05::1"), 1);
	assert_int_equal(count(out, "iifname . arp daddr ip @anycast4 drop"), 1);
	assert_int_equal(count(out, "oifname . arp saddr ip @anycast4 drop"), 1);
	free(out);
	expect_set("overlays", "flo1", 1);
	out = output_of("nft list table inet fairlead");
	assert_int_equal(count(out, "iifname @overlays ct state invalid drop"), 1);
	assert_int_equal(count(out, "ip daddr @overlay4 ip daddr != @local4 masquerade"), 1);
	free(out);
	apply((struct fl_fw_change){ .del_network = &n });
	out = output_of("nft list ruleset");
	assert_int_equal(count(out, "flx1") + count(out, "flo1"), 0);
	free(out);
}

static void test_foreign_forward_policy(void **state)
{
	char *out;

	(void)state;
	assert_int_equal(fl_fw_admit_foreign_forward(fw, &err), 0);
	if (system("iptables-nft -P FORWARD ACCEPT && ip6tables-nft -P FORWARD ACCEPT")) {
		print_message("no iptables-nft\n");
		skip();
	}
	assert_int_equal(fl_fw_admit_foreign_forward(fw, &err), 0);
	assert_int_equal(
		system("iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP;"
		       "iptables-nft -N DOCKER-USER; iptables-nft -A FORWARD -j DOCKER-USER"),
		0);
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct fl_fw *mine;

			_exit(fl_fw_open(&mine, NULL) ||
			      fl_fw_admit_foreign_forward(mine, NULL) < 0);
		}
	}
	for (int i = 0, status; i < 20; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(fl_fw_admit_foreign_forward(fw, &err), 0);
	out = output_of("iptables-nft -S FORWARD; ip6tables-nft -S FORWARD");
	assert_int_equal(count(out, "-A FORWARD -m mark --mark 0x100000/0x100000 -m comment "
				    "--comment fairlead -j ACCEPT"),
			 2);
	free(out);
	assert_int_equal(
		system("iptables-nft-save >/dev/null && "
		       "iptables-nft -D FORWARD -m mark --mark 0x100000/0x100000 -m comment "
		       "--comment fairlead -j ACCEPT"),
		0);
	assert_int_equal(fl_fw_admit_foreign_forward(fw, &err), 1);
	assert_int_equal(system("nft delete table ip filter; nft delete table ip6 filter"), 0);
}

static void insert_flow(const char *src, const char *dst, int dport)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "conntrack -I -p udp -s %s -d %s --sport 1000 --dport %d "
		 "-t 100 >/dev/null 2>&1",
		 src, dst, dport);
	assert_int_equal(system(command), 0);
}

static void test_conntrack_flush(void **state)
{
	struct fl_port ports[] = { port(IPPROTO_UDP, 53, 53, 1), port(IPPROTO_UDP, 60, 60, 10),
				   port(IPPROTO_TCP, 99, 99, 1) };
	struct fl_endpoint ep = endpoint("dns", "10.1.0.2/24", ports, 1);
	char *out;

	(void)state;
	if (system("conntrack -L >/dev/null 2>&1")) {
		print_message("no conntrack\n");
		skip();
	}
	ep.addrs[ep.n_addrs++] = prefix("fd00::2/64");
	insert_flow("1.1.1.1", "2.2.2.2", 53);
	insert_flow("fd00::1", "fd00::9", 53);
	insert_flow("1.1.1.1", "2.2.2.2", 59);
	insert_flow("1.1.1.1", "2.2.2.2", 60);
	insert_flow("1.1.1.1", "2.2.2.2", 69);
	insert_flow("1.1.1.1", "2.2.2.2", 99);
	insert_flow("10.1.0.2", "2.2.2.2", 123);
	insert_flow("1.1.1.1", "10.1.0.2", 124);
	insert_flow("fd00::2", "fd00::9", 125);
	assert_int_equal(fl_conntrack_flush(&ep, false, &err), 0);
	out = output_of("conntrack -L 2>/dev/null");
	assert_int_equal(count(out, "\n"), 7);
	free(out);
	ep.n_ports = 3;
	assert_int_equal(fl_conntrack_flush(&ep, false, &err), 0);
	out = output_of("conntrack -L 2>/dev/null");
	assert_int_equal(count(out, "\n"), 5);
	assert_int_equal(count(out, "dport=59 ") + count(out, "dport=99 "), 2);
	free(out);
	assert_int_equal(fl_conntrack_flush(&ep, true, &err), 0);
	out = output_of("conntrack -L 2>/dev/null");
	assert_int_equal(count(out, "\n"), 2);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_apply_needs_skeleton, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_and_delete, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conflict_names_the_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlapping_range_conflicts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_networks_keep_shared_elements, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_source_nat_and_adjacent_subnets, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_many_shifted_ports, setup, teardown),
		cmocka_unit_test_setup_teardown(test_concurrent_rebuilds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flushed_ruleset_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compare, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compare_what_is_on_its_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compare_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overlay_keeps_its_gateway, setup, teardown),
		cmocka_unit_test_setup_teardown(test_spoof_check_has_its_own_table, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_foreign_forward_policy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conntrack_flush, setup, teardown),
	};

	if (unshare(CLONE_NEWNET)) {
		printf("1..0 # SKIP needs root: unshare: %s\n", strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
