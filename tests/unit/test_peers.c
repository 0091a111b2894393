/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostsfixture.h"

#include "store/peers.h"

#include <time.h>

enum { MANY = 10000 };

static struct fl_peer peer(const char *network, const char *id, const char *called,
			   const char *address)
{
	struct fl_peer p = { .mac = { { 2, 0, 0, 0, 0, 9 } } };

	fl_strcpy(p.network, sizeof(p.network), network);
	fl_strcpy(p.id, sizeof(p.id), id);
	fl_strcpy(p.node, sizeof(p.node), "node-b");
	snprintf(p.container, sizeof(p.container), "%s-0123456789abcdef", id);
	fl_strcpy(p.ifname, sizeof(p.ifname), "eth0");
	fl_strcpy(p.name, sizeof(p.name), called);
	if (*address)
		p.addrs[0] = make_addr(address);
	return p;
}

static void put(struct fixture *f, const struct fl_peer *p)
{
	assert_int_equal(fl_peer_put(f->txn, p, &f->err), 0);
}

static void del(struct fixture *f, const struct fl_peer *p)
{
	assert_int_equal(fl_peer_del(f->txn, p->network, p->id, &f->err), 0);
}

static struct fl_endpoint endpoint_here(const char *container, const char *called,
					const char *address)
{
	struct fl_endpoint ep = { .id = make_id("net", "overlay", container, "eth0"),
				  .state = FL_STATE_CREATING,
				  .cookie = 7,
				  .dns = "{}",
				  .n_addrs = 1,
				  .addrs[0] = make_prefix(address) };

	fl_strcpy(ep.name, sizeof(ep.name), called);
	return ep;
}

/* What the address is called, "?" for one unknown. */
static const char *reverse_in(struct fixture *f, const char *network, const char *address)
{
	static char text[FL_DNS_TEXT_MAX];
	struct fl_addr a = make_addr(address);
	struct fl_dns_name n;

	if (fl_hosts_reverse(f->txn, &a, network, &n, NULL, &f->err))
		return "?";
	return fl_dns_name_str(&n, text);
}

#define assert_reverse(f, network, address, wanted) \
	assert_string_equal(reverse_in(f, network, address), wanted)

static int records(struct fixture *f)
{
	int n = 0;

	assert_int_equal(
		fl_each(f->txn, FL_TABLE_PEERS, (struct fl_bytes){ 0 }, count_entry, &n, &f->err),
		0);
	return n;
}

static void test_there_and_back(void **state)
{
	struct fixture *f = *state;
	struct fl_peer p = peer("net", "e1", "Web", "10.0.0.2"), got;

	p.addrs[1] = make_addr("fd00::2");
	strcpy(p.aliases, "[\"www\",\"API.example.\",\"bad..name\",\".\"]");
	put(f, &p);
	assert_int_equal(fl_peer_get(f->txn, "net", "e1", &got, &f->err), 0);
	assert_memory_equal(&got, &p, sizeof(p));
	for (const char *const *n =
		     (const char *const[]){ "web", "WWW", "api.example", "e1-012345678", NULL };
	     *n; n++)
		assert_found(f, "net", *n, "10.0.0.2 fd00::2");
	for (const char *const *n =
		     (const char *const[]){ "e1", "e1-0123456789abcdef", "bad", ".", NULL };
	     *n; n++)
		assert_found(f, "net", *n, "?");
	assert_found(f, "ne", "web", "?");
	assert_reverse(f, "net", "10.0.0.2", "web.");
	assert_reverse(f, "net", "fd00::2", "web.");
	assert_reverse(f, "other", "10.0.0.2", "?");
	del(f, &p);
	assert_int_equal(entries(f) + records(f), 0);
	assert_int_equal(fl_peer_get(f->txn, "net", "e1", &got, &f->err), -ENOENT);
	del(f, &p);
	assert_int_equal(f->err.err, 0);
}

static int count_sandbox(void *arg, const struct fl_sandbox_entry *e)
{
	(void)e;
	++*(int *)arg;
	return 0;
}

/* It has no sandbox here, and nobody takes it for an endpoint of this node. */
static void test_is_not_here(void **state)
{
	struct fixture *f = *state;
	struct fl_peer p = peer("net", "e1", "web", "10.0.0.2");
	struct fl_endpoint ep = endpoint_here("c1", "db", "10.0.0.3/24");
	struct fl_dns_name web = name("web"), db = name("db");
	struct fl_host out[2];
	struct fl_endpoint_id id;
	int sandboxes = 0;
	size_t n = 0;

	put(f, &p);
	assert_int_equal(fl_endpoint_put(f->txn, &ep, &f->err), 0);
	assert_int_equal(fl_hosts_find(f->txn, &web, "net", out, 2, &n, &f->err), 0);
	assert_int_equal(fl_hosts_find(f->txn, &db, "net", out, 2, &n, &f->err), 0);
	assert_int_equal(n, 2);
	assert_false(fl_host_is_here(&out[0]));
	assert_true(fl_host_is_here(&out[1]));
	assert_int_equal(fl_hosts_reverse(f->txn, &p.addrs[0], "net", NULL, &id, &f->err), -ENOENT);
	assert_int_equal(f->err.err, 0);
	assert_int_equal(fl_sandboxes_each(f->txn, 0, true, count_sandbox, &sandboxes, &f->err), 0);
	assert_int_equal(sandboxes, 1);
}

static void test_replacing(void **state)
{
	struct fixture *f = *state;
	struct fl_peer old = peer("net", "e1", "web", "10.0.0.2"), now = old, got;

	strcpy(old.aliases, "[\"a\",\"b\"]");
	strcpy(now.aliases, "[\"b\",\"c\"]");
	old.addrs[1] = make_addr("fd00::2");
	now.addrs[0] = make_addr("10.0.0.3");
	strcpy(now.node, "node-c");
	put(f, &old);
	put(f, &now);
	assert_int_equal(records(f), 1);
	assert_int_equal(fl_peer_get(f->txn, "net", "e1", &got, &f->err), 0);
	assert_memory_equal(&got, &now, sizeof(now));
	assert_found(f, "net", "a", "?");
	assert_found(f, "net", "b", "10.0.0.3");
	assert_found(f, "net", "c", "10.0.0.3");
	assert_found(f, "net", "web", "10.0.0.3");
	assert_reverse(f, "net", "10.0.0.2", "?");
	assert_reverse(f, "net", "fd00::2", "?");
	assert_reverse(f, "net", "10.0.0.3", "web.");
	/* What was there is known by the record, not by who asks. */
	del(f, &old);
	assert_int_equal(entries(f) + records(f), 0);
}

static void test_address_that_goes(void **state)
{
	struct fixture *f = *state;
	struct fl_peer with = peer("net", "e1", "web", "10.0.0.2"), without = with;

	without.addrs[0] = (struct fl_addr){ 0 };
	put(f, &with);
	put(f, &without);
	assert_found(f, "net", "web", "-");
	assert_reverse(f, "net", "10.0.0.2", "?");
	put(f, &with);
	assert_found(f, "net", "web", "10.0.0.2");
	del(f, &with);
	assert_int_equal(entries(f), 0);
}

static void test_suspect_and_back(void **state)
{
	struct fixture *f = *state;
	struct fl_peer p = peer("net", "e1", "web", "10.0.0.2"), got;

	for (int round = 0; round < 2; round++) {
		p.suspect = false;
		put(f, &p);
		assert_found(f, "net", "web", "10.0.0.2");
		p.suspect = true;
		put(f, &p);
		assert_int_equal(entries(f), 0);
		assert_int_equal(fl_peer_get(f->txn, "net", "e1", &got, &f->err), 0);
		assert_true(got.suspect);
	}
	/* It is not there any more: its deletion takes nothing that is another's by now. */
	strcpy(got.id, "e2");
	got.suspect = false;
	put(f, &got);
	del(f, &p);
	assert_found(f, "net", "web", "10.0.0.2");
	assert_reverse(f, "net", "10.0.0.2", "web.");
	del(f, &got);
	assert_int_equal(entries(f) + records(f), 0);
}

static void test_two_of_one_name(void **state)
{
	struct fixture *f = *state;
	struct fl_peer a = peer("net", "e1", "web", "10.0.0.2"),
		       b = peer("net", "e2", "web", "10.0.0.3"),
		       c = peer("net2", "e1", "web", "10.0.0.4"),
		       same = peer("net", "e3", "web", "10.0.0.2");
	struct fl_endpoint here = endpoint_here("c1", "web", "10.0.0.9/24");

	put(f, &a);
	put(f, &b);
	put(f, &c);
	assert_int_equal(fl_endpoint_put(f->txn, &here, &f->err), 0);
	assert_found(f, "net", "web", "10.0.0.2 10.0.0.3 10.0.0.9");
	assert_found(f, "net2", "web", "10.0.0.4");
	del(f, &a);
	assert_found(f, "net", "web", "10.0.0.3 10.0.0.9");
	put(f, &a);
	here.state = FL_STATE_DELETING;
	assert_int_equal(fl_endpoint_put(f->txn, &here, &f->err), 0);
	assert_found(f, "net", "web", "10.0.0.2 10.0.0.3");
	/* An address that moved is told of before the old one is taken back. */
	put(f, &same);
	del(f, &a);
	assert_found(f, "net", "web", "10.0.0.2 10.0.0.3");
	assert_reverse(f, "net", "10.0.0.2", "web.");
	del(f, &same);
	del(f, &b);
	del(f, &c);
	assert_int_equal(entries(f) + records(f), 0);
}

/* Whoever is here keeps the name of its address. */
static void test_address_of_one_that_is_here(void **state)
{
	struct fixture *f = *state;
	struct fl_peer p = peer("net", "e1", "far", "10.0.0.2"),
		       q = peer("net", "e2", "farther", "10.0.0.2");
	struct fl_endpoint here = endpoint_here("c1", "near", "10.0.0.2/24");
	struct fl_endpoint_id id;

	put(f, &q);
	put(f, &p);
	assert_reverse(f, "net", "10.0.0.2", "far.");
	assert_int_equal(fl_endpoint_put(f->txn, &here, &f->err), 0);
	assert_reverse(f, "net", "10.0.0.2", "near.");
	strcpy(p.aliases, "[\"more\"]");
	put(f, &p);
	assert_reverse(f, "net", "10.0.0.2", "near.");
	assert_int_equal(fl_hosts_reverse(f->txn, &p.addrs[0], "net", NULL, &id, &f->err), 0);
	assert_true(fl_endpoint_id_eq(&id, &here.id));
	del(f, &p);
	assert_reverse(f, "net", "10.0.0.2", "near.");
}

/* Two keys that are one string of bytes but for where their parts begin. */
static void test_owners_differ(void **state)
{
	struct fixture *f = *state;
	struct fl_peer a = peer("net", "e1", "web", "10.0.0.2"),
		       b = peer("nete", "1", "web", "10.0.0.2");
	struct fl_dns_name web = name("web");
	struct fl_host out[2];
	size_t n = 0;

	put(f, &a);
	put(f, &b);
	assert_int_equal(fl_hosts_find(f->txn, &web, "net", out, 2, &n, &f->err), 0);
	assert_int_equal(fl_hosts_find(f->txn, &web, "nete", out, 2, &n, &f->err), 0);
	assert_int_equal(n, 2);
	assert_true(memcmp(out[0].owner, out[1].owner, sizeof(out[0].owner)) != 0);
}

static void test_longest(void **state)
{
	struct fixture *f = *state;
	struct fl_peer p = peer("", "", "", "10.0.0.2"), got;

	memset(p.network, 'n', sizeof(p.network) - 1);
	memset(p.id, 'i', sizeof(p.id) - 1);
	memset(p.node, 'o', sizeof(p.node) - 1);
	memset(p.container, 'c', sizeof(p.container) - 1);
	memset(p.name, 'x', FL_HOSTNAME_MAX);
	for (size_t i = 63; i < FL_HOSTNAME_MAX; i += 64)
		p.name[i] = '.';
	put(f, &p);
	assert_int_equal(fl_peer_get(f->txn, p.network, p.id, &got, &f->err), 0);
	assert_memory_equal(&got, &p, sizeof(p));
	assert_found(f, p.network, p.name, "10.0.0.2");
	assert_found(f, p.network, "cccccccccccc", "10.0.0.2");
	del(f, &p);
	assert_int_equal(entries(f) + records(f), 0);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct fl_peer good = peer("net", "e1", "web", "10.0.0.2"), bad[5];

	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].network[0] = bad[1].id[0] = bad[2].node[0] = '\0';
	bad[3].addrs[0] = make_addr("fd00::1");
	strcpy(bad[4].name, "\xff");
	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++) {
		f->err = (struct fl_error){ 0 };
		assert_int_equal(fl_peer_put(f->txn, &bad[i], &f->err), -EINVAL);
		assert_int_equal(f->err.code, FL_ECODE_CONFIG);
	}
	assert_int_equal(entries(f) + records(f), 0);
}

/* ---- many ---- */

struct seen {
	int n, stop_at;
	struct fl_txn *t; /* deletes what it sees */
	char text[128];
	struct fl_error err;
};

static int see(void *arg, const struct fl_peer *p)
{
	struct seen *s = arg;
	size_t len = strlen(s->text);

	snprintf(s->text + len, sizeof(s->text) - len, "%s/%s ", p->network, p->id);
	if (s->t)
		assert_int_equal(fl_peer_del(s->t, p->network, p->id, &s->err), 0);
	return ++s->n == s->stop_at ? 42 : 0;
}

static void test_each(void **state)
{
	static const char *const all[][2] = {
		{ "net", "b" }, { "net", "a" }, { "net2", "a" }, { "ne", "a" }, { "net", "c" }
	};
	struct fixture *f = *state;
	struct seen s = { 0 };

	for (size_t i = 0; i < FL_ARRAY_SIZE(all); i++) {
		struct fl_peer p = peer(all[i][0], all[i][1], "", "");

		put(f, &p);
	}
	assert_int_equal(fl_peers_each(f->txn, NULL, see, &s, &f->err), 0);
	assert_string_equal(s.text, "ne/a net/a net/b net/c net2/a ");
	s = (struct seen){ .stop_at = 2 };
	assert_int_equal(fl_peers_each(f->txn, "net", see, &s, &f->err), 42);
	assert_string_equal(s.text, "net/a net/b ");
	s = (struct seen){ .t = f->txn };
	assert_int_equal(fl_peers_each(f->txn, "net", see, &s, &f->err), 0);
	assert_string_equal(s.text, "net/a net/b net/c ");
	s = (struct seen){ 0 };
	assert_int_equal(fl_peers_each(f->txn, NULL, see, &s, &f->err), 0);
	assert_string_equal(s.text, "ne/a net2/a ");
	s = (struct seen){ 0 };
	assert_int_equal(fl_peers_each(f->txn, "other", see, &s, &f->err), 0);
	assert_int_equal(s.n, 0);
}

static struct fl_peer one_of_many(int i)
{
	char id[32], called[32], address[32];
	struct fl_peer p;

	snprintf(id, sizeof(id), "%012x", (unsigned)i * 2654435761u);
	snprintf(called, sizeof(called), "web-%d", i);
	snprintf(address, sizeof(address), "10.%d.%d.%d", i >> 16 & 255, i >> 8 & 255, i & 255);
	p = peer("net", id, called, address);
	snprintf(p.aliases, sizeof(p.aliases), "[\"web\",\"api-%d\"]", i);
	return p;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void change_all(struct fixture *f, const char *what, const char *node, bool suspect)
{
	double from = seconds();

	assert_int_equal(fl_txn_begin(f->store, true, &f->txn, &f->err), 0);
	for (int i = 0; i < MANY; i++) {
		struct fl_peer p = one_of_many(i);

		fl_strcpy(p.node, sizeof(p.node), node);
		p.suspect = suspect;
		if (*node)
			put(f, &p);
		else
			del(f, &p);
	}
	assert_int_equal(fl_txn_commit(&f->txn, &f->err), 0);
	print_message("%d peers %s: %.0f ms\n", MANY, what, 1e3 * (seconds() - from));
}

static uint64_t txn_now(struct fixture *f)
{
	uint64_t id;

	assert_int_equal(fl_txn_begin(f->store, false, &f->txn, &f->err), 0);
	id = fl_txn_id(f->txn);
	fl_txn_abort(f->txn);
	return id;
}

/* As when an agent starts, twice: what is there already changes nothing, not even the number that
 * tells the resolver to look again. */
static void test_ten_thousand(void **state)
{
	struct fixture *f = *state;
	uint64_t before;

	change_all(f, "written", "node-b", false);
	before = txn_now(f);
	change_all(f, "written again", "node-b", false);
	assert_true(txn_now(f) == before);
	change_all(f, "moved", "node-c", false);
	assert_true(txn_now(f) > before);
	assert_int_equal(fl_txn_begin(f->store, false, &f->txn, &f->err), 0);
	assert_int_equal(records(f), MANY);
	assert_found(f, "net", "api-4711", "10.0.18.103");
	assert_reverse(f, "net", "10.0.18.103", "web-4711.");
	fl_txn_abort(f->txn);
	change_all(f, "suspect", "node-c", true);
	change_all(f, "back", "node-c", false);
	change_all(f, "deleted", "", false);
	assert_int_equal(fl_txn_begin(f->store, false, &f->txn, &f->err), 0);
	assert_int_equal(entries(f) + records(f), 0);
	fl_txn_abort(f->txn);
}

/* ---- damage ---- */

#define RECORD "\"network\":\"net\",\"id\":\"e1\",\"container\":\"c\""

static void test_damaged(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{" RECORD "}",
		"{" RECORD ",\"node\":\"n\",\"more\":1}",
		"{" RECORD ",\"node\":5}",
		"{" RECORD ",\"node\":\"n\",\"node\":\"n\"}",
		"{" RECORD ",\"node\":\"n\",\"addr4\":\"fd00::1\"}",
		"{" RECORD ",\"node\":\"n\",\"addr6\":\"10.0.0.1\"}",
		"{" RECORD ",\"node\":\"n\",\"mac\":\"02\"}",
		"{" RECORD ",\"node\":\"n\",\"ifname\":\"0123456789abcdef\"}",
		"{" RECORD ",\"node\":\"n\",\"suspect\":1}",
		"{" RECORD ",\"node\":\"n\"} ,",
	};
	struct fixture *f = *state;
	struct fl_peer p = peer("net", "e1", "web", "10.0.0.2"), got = p;
	struct seen s = { 0 };

	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++) {
		assert_int_equal(fl_put(f->txn, FL_TABLE_PEERS, (struct fl_bytes){ "net\0e1", 6 },
					(struct fl_bytes){ bad[i], strlen(bad[i]) }, &f->err),
				 0);
		f->err = (struct fl_error){ 0 };
		assert_int_equal(fl_peer_get(f->txn, "net", "e1", &got, &f->err), -EBADMSG);
		assert_int_equal(f->err.code, FL_ECODE_STORE);
		assert_memory_equal(&got, &p, sizeof(p));
		assert_int_equal(fl_peers_each(f->txn, NULL, see, &s, &f->err), -EBADMSG);
		assert_int_equal(fl_peer_put(f->txn, &p, &f->err), -EBADMSG);
		assert_int_equal(fl_peer_del(f->txn, "net", "e1", &f->err), -EBADMSG);
	}
	assert_int_equal(s.n, 0);
}

int main(void)
{
#define IN_TXN(fn) cmocka_unit_test_setup_teardown(fn, fixture_begin, fixture_close)
	const struct CMUnitTest tests[] = {
		IN_TXN(test_there_and_back),
		IN_TXN(test_is_not_here),
		IN_TXN(test_replacing),
		IN_TXN(test_address_that_goes),
		IN_TXN(test_suspect_and_back),
		IN_TXN(test_two_of_one_name),
		IN_TXN(test_address_of_one_that_is_here),
		IN_TXN(test_owners_differ),
		IN_TXN(test_longest),
		IN_TXN(test_refused),
		IN_TXN(test_each),
		cmocka_unit_test_setup_teardown(test_ten_thousand, fixture_open, fixture_close),
		IN_TXN(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
