/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostsfixture.h"

#include <errno.h>
#include <netinet/in.h>

enum { MANY = 1000 };

static struct fl_endpoint endpoint(const char *network, const char *container, const char *called,
				   const char *address)
{
	struct fl_endpoint ep = { .id = make_id(network, "bridge", container, "eth0"),
				  .state = FL_STATE_CREATING,
				  .cookie = 7,
				  .dns = "{}" };

	fl_strcpy(ep.name, sizeof(ep.name), called);
	if (*address)
		ep.addrs[ep.n_addrs++] = make_prefix(address);
	return ep;
}

static void put(struct fixture *f, const struct fl_endpoint *ep)
{
	assert_int_equal(fl_hosts_put(f->txn, ep, &f->err), 0);
}

static void del(struct fixture *f, const struct fl_endpoint *ep)
{
	assert_int_equal(fl_hosts_del(f->txn, ep, &f->err), 0);
}

/* ---- names and addresses ---- */

static void test_names_of_an_endpoint(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint ep = endpoint("net", "0123456789ABCDEF", "Web", "10.0.0.2/24");

	ep.addrs[ep.n_addrs++] = make_prefix("fd00::2/64");
	strcpy(ep.aliases, "[\"www\",\"API.example.\",\"web\",\"bad..name\",\".\",\"\",5]");
	strcpy(ep.hostname, "box.example.org");
	put(f, &ep);
	for (const char *const *n =
		     (const char *const[]){ "web", "WWW", "api.example", "0123456789ab",
					    "box.example.org", NULL };
	     *n; n++)
		assert_found(f, "net", *n, "10.0.0.2 fd00::2");
	for (const char *const *n = (const char *const[]){ "0123456789abcdef", "bad", "name", ".",
							   "box", "example", NULL };
	     *n; n++)
		assert_found(f, "net", *n, "?");
	assert_found(f, "other", "web", "?");
	assert_found(f, "ne", "web", "?");
	put(f, &ep); /* again */
	assert_found(f, "net", "web", "10.0.0.2 fd00::2");
	del(f, &ep);
	assert_int_equal(entries(f), 0);
	del(f, &ep);
}

static void test_networks_of_one_prefix(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint a = endpoint("net", "c1", "web", "10.0.0.2/24"),
			   b = endpoint("net2", "c1", "web", "10.0.0.3/24");

	put(f, &a);
	put(f, &b);
	assert_found(f, "net", "web", "10.0.0.2");
	assert_found(f, "net2", "web", "10.0.0.3");
	del(f, &a);
	assert_found(f, "net", "web", "?");
	assert_found(f, "net2", "web", "10.0.0.3");
}

static void test_several_of_one_name(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint a = endpoint("net", "c1", "web", "10.0.0.9/24"),
			   b = endpoint("net", "c2", "web", "10.0.0.2/24"),
			   c = endpoint("net", "c3", "web", "fd00::1/64");

	put(f, &a);
	put(f, &c);
	put(f, &b);
	assert_found(f, "net", "web", "10.0.0.2 10.0.0.9 fd00::1");
	del(f, &a);
	assert_found(f, "net", "web", "10.0.0.2 fd00::1");
	del(f, &c);
	del(f, &b);
	assert_found(f, "net", "web", "?");
}

/* The first record of an endpoint whose address comes late. */
static void test_address_that_comes_late(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint ep = endpoint("net", "c1", "web", "");

	put(f, &ep);
	assert_found(f, "net", "web", "-");
	ep.addrs[ep.n_addrs++] = make_prefix("10.0.0.2/24");
	put(f, &ep);
	assert_found(f, "net", "web", "10.0.0.2");
	del(f, &ep);
	assert_int_equal(entries(f), 0);
}

static void test_one_address_of_two_plugins(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint a = endpoint("net", "c1", "web", "10.0.0.2/24"), b = a;
	struct fl_addr address = make_addr("10.0.0.2");
	struct fl_endpoint_id id;

	strcpy(b.id.driver, "dns");
	put(f, &a);
	put(f, &b);
	assert_found(f, "net", "web", "10.0.0.2 10.0.0.2"); /* two owners */
	assert_int_equal(fl_hosts_reverse(f->txn, &address, "net", NULL, &id, &f->err), 0);
	assert_string_equal(id.driver, "dns");
	del(f, &a);
	assert_found(f, "net", "web", "10.0.0.2");
	assert_int_equal(fl_hosts_reverse(f->txn, &address, "net", NULL, &id, &f->err), 0);
}

/* An address that another has by now is that one's. */
static void test_reverse(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint a = endpoint("net", "c1", "web", "10.0.0.2/24"),
			   b = endpoint("net", "c2", "db", "10.0.0.2/24"),
			   c = endpoint("net", "c3c3c3c3c3c3c3", "", "fd00::2/64");
	struct fl_addr four = make_addr("10.0.0.2"), six = make_addr("fd00::2"),
		       none = make_addr("10.0.0.3");
	struct fl_endpoint_id id;
	struct fl_dns_name n, wanted = name("db");

	put(f, &a);
	put(f, &b);
	put(f, &c);
	assert_int_equal(fl_hosts_reverse(f->txn, &four, "net", &n, &id, &f->err), 0);
	assert_true(fl_dns_name_eq(&n, &wanted));
	assert_true(fl_endpoint_id_eq(&id, &b.id));
	wanted = name("c3c3c3c3c3c3");
	assert_int_equal(fl_hosts_reverse(f->txn, &six, "net", &n, NULL, &f->err), 0);
	assert_true(fl_dns_name_eq(&n, &wanted));
	assert_int_equal(fl_hosts_reverse(f->txn, &none, "net", &n, &id, &f->err), -ENOENT);
	assert_int_equal(fl_hosts_reverse(f->txn, &four, "other", &n, &id, &f->err), -ENOENT);
	del(f, &a);
	assert_int_equal(fl_hosts_reverse(f->txn, &four, "net", NULL, NULL, &f->err), 0);
	del(f, &b);
	assert_int_equal(fl_hosts_reverse(f->txn, &four, "net", NULL, NULL, &f->err), -ENOENT);
	assert_int_equal(f->err.err, 0);
}

/* Whatever can be no domain name is left out, and the endpoint has the rest. */
static void test_without_a_usable_name(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint ep = endpoint("net", "a..b", "", "10.0.0.2/24");
	struct fl_addr a = make_addr("10.0.0.2");
	struct fl_dns_name n;

	assert_int_equal(fl_endpoint_canonical(&ep, &n), -EINVAL);
	put(f, &ep);
	assert_int_equal(entries(f), 1); /* of the sandbox */
	assert_int_equal(fl_hosts_reverse(f->txn, &a, "net", &n, NULL, &f->err), -ENOENT);
	strcpy(ep.aliases, "[\"www\"]");
	put(f, &ep);
	assert_found(f, "net", "www", "10.0.0.2");
	del(f, &ep);
	strcpy(ep.name, "x..y");
	assert_int_equal(fl_endpoint_canonical(&ep, &n), -EINVAL);
	strcpy(ep.aliases, "no JSON");
	put(f, &ep);
	del(f, &ep);
	assert_int_equal(entries(f), 0);
}

/* Names of the greatest length and a network of the greatest length fit into keys, both ways. */
static void test_longest(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint ep = endpoint("", "", "", "10.0.0.2/24");
	struct fl_addr a = make_addr("10.0.0.2");
	struct fl_dns_name n;

	memset(ep.id.network, 'n', FL_NAME_MAX);
	memset(ep.id.container, 'c', FL_NAME_MAX);
	memset(ep.name, 'x', FL_HOSTNAME_MAX);
	for (size_t i = 63; i < FL_HOSTNAME_MAX; i += 64)
		ep.name[i] = '.';
	put(f, &ep);
	assert_found(f, ep.id.network, ep.name, "10.0.0.2");
	assert_found(f, ep.id.network, "cccccccccccc", "10.0.0.2");
	assert_int_equal(fl_hosts_reverse(f->txn, &a, ep.id.network, &n, NULL, &f->err), 0);
	assert_int_equal(n.len, FL_DNS_NAME_MAX);
	del(f, &ep);
	assert_int_equal(entries(f), 0);
}

static struct fl_endpoint one_of_many(int i)
{
	char container[16], address[32];

	snprintf(container, sizeof(container), "c%d", i);
	snprintf(address, sizeof(address), "10.0.%d.%d/16", i / 200, i % 200 + 1);
	return endpoint("net", container, "db", address);
}

static size_t found(struct fl_txn *t, struct fl_host *out, size_t max, size_t from)
{
	struct fl_dns_name db = name("db");
	size_t n = from;

	assert_int_equal(fl_hosts_find(t, &db, "net", out, max, &n, NULL), 0);
	for (size_t i = from + 1; i < n; i++)
		assert_true(memcmp(&out[i - 1], &out[i], sizeof(*out)) < 0);
	return n;
}

static void test_thousand_addresses_of_one_name(void **state)
{
	static struct fl_host out[MANY + 10];
	struct fixture *f = *state;
	struct fl_endpoint ep;

	for (int i = 0; i < MANY; i++) {
		ep = one_of_many(i * 7 % MANY);
		put(f, &ep);
	}
	assert_int_equal(found(f->txn, out, FL_ARRAY_SIZE(out), 0), MANY);
	for (size_t max = 0; max < MANY; max += 1 + max / 3)
		assert_int_equal(found(f->txn, out, max, 0), max);
	/* Behind what is there already. */
	assert_int_equal(found(f->txn, out, 100, 40), 100);
	assert_int_equal(found(f->txn, out, FL_ARRAY_SIZE(out), 9), MANY + 9);
	for (int i = 0; i < MANY; i++) {
		ep = one_of_many(i);
		del(f, &ep);
		if (i % 50 == 49 && i + 1 < MANY)
			assert_int_equal(found(f->txn, out, FL_ARRAY_SIZE(out), 0), MANY - 1 - i);
	}
	assert_int_equal(entries(f), 0);
}

/* ---- what a reader sees: of the record's life ---- */

static void commit(struct fixture *f)
{
	assert_int_equal(fl_txn_commit(&f->txn, &f->err), 0);
}

static void begin(struct fixture *f, bool write)
{
	assert_int_equal(fl_txn_begin(f->store, write, &f->txn, &f->err), 0);
}

static void test_life_of_a_record(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint ep = endpoint("net", "c1", "web", "10.0.0.2/24");

	for (int round = 0; round < 3; round++) {
		ep.state = FL_STATE_CREATING;
		assert_int_equal(fl_endpoint_put(f->txn, &ep, &f->err), 0);
		commit(f);
		begin(f, false);
		assert_found(f, "net", "web", "10.0.0.2");
		fl_txn_abort(f->txn);
		begin(f, true);
		ep.state = FL_STATE_READY;
		assert_int_equal(fl_endpoint_put(f->txn, &ep, &f->err), 0);
		assert_found(f, "net", "web", "10.0.0.2");
		ep.state = FL_STATE_DELETING;
		assert_int_equal(fl_endpoint_put(f->txn, &ep, &f->err), 0);
		commit(f);
		begin(f, false);
		assert_found(f, "net", "web", "?");
		fl_txn_abort(f->txn);
		begin(f, true);
		assert_int_equal(entries(f), 0);
		ep.state = FL_STATE_CREATING;
		assert_int_equal(fl_endpoint_put(f->txn, &ep, &f->err), 0);
		assert_int_equal(fl_endpoint_evict(f->txn, &ep, &f->err), 0);
		assert_int_equal(entries(f), 0);
	}
	/* Without a resolver none of it. */
	ep.dns[0] = '\0';
	assert_int_equal(fl_endpoint_put(f->txn, &ep, &f->err), 0);
	assert_int_equal(entries(f), 0);
	fl_txn_abort(f->txn);
}

/* ---- sandboxes ---- */

struct seen {
	int n;
	int stop_at;
	uint64_t last;
	char text[512];
};

static int see(void *arg, const struct fl_sandbox_entry *e)
{
	struct seen *s = arg;

	snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text), "%llu:%s/%s:%.*s ",
		 (unsigned long long)e->sandbox, e->id.network, e->id.ifname, (int)e->dns_len,
		 e->dns);
	s->last = e->sandbox;
	return ++s->n == s->stop_at ? 42 : 0;
}

static void test_sandboxes(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint a = endpoint("net", "c1", "web", "10.0.0.2/24"),
			   b = endpoint("other", "c1", "web", "10.0.1.2/24"),
			   c = endpoint("net", "c2", "db", "10.0.0.3/24");
	uint64_t before, after, none;
	struct seen s = { 0 };

	strcpy(b.dns, "{\"forward\":false}");
	c.cookie = 1ull << 40;
	assert_int_equal(fl_sandbox_digest(f->txn, 7, &none, &f->err), 0);
	assert_int_equal(none, 0);
	assert_int_equal(fl_sandbox_in_use(f->txn, 7, NULL, &f->err), 0);
	put(f, &a);
	put(f, &c);
	assert_int_equal(fl_sandbox_digest(f->txn, 7, &before, &f->err), 0);
	assert_int_equal(fl_sandbox_in_use(f->txn, 7, &a.id, &f->err), 0);
	put(f, &b);
	assert_int_equal(fl_sandbox_digest(f->txn, 7, &after, &f->err), 0);
	assert_true(before && after && before != after);
	assert_int_equal(fl_sandbox_in_use(f->txn, 7, &a.id, &f->err), 1);
	assert_int_equal(fl_sandbox_in_use(f->txn, 7, NULL, &f->err), 1);

	assert_int_equal(fl_sandboxes_each(f->txn, 7, false, see, &s, &f->err), 0);
	assert_int_equal(s.n, 2);
	assert_non_null(strstr(s.text, "7:net/eth0:{} "));
	assert_non_null(strstr(s.text, "7:other/eth0:{\"forward\":false} "));
	s = (struct seen){ 0 };
	assert_int_equal(fl_sandboxes_each(f->txn, 0, true, see, &s, &f->err), 0);
	assert_int_equal(s.n, 3);
	assert_true(s.last == 1ull << 40); /* a sandbox's together, in their order */
	s = (struct seen){ .stop_at = 2 };
	assert_int_equal(fl_sandboxes_each(f->txn, 0, true, see, &s, &f->err), 42);
	assert_int_equal(s.n, 2);

	strcpy(b.dns, "{\"cache\":false}");
	put(f, &b);
	assert_int_equal(fl_sandbox_digest(f->txn, 7, &before, &f->err), 0);
	assert_true(before != after);
	del(f, &b);
	del(f, &a);
	assert_int_equal(fl_sandbox_digest(f->txn, 7, &none, &f->err), 0);
	assert_int_equal(none, 0);
}

static void test_sandbox_without_a_cookie(void **state)
{
	(void)state;
	assert_true(fl_sandbox_id(5, 1, 2) == 5);
	assert_true(fl_sandbox_id(0, 1, 2) >> 63);
	assert_true(fl_sandbox_id(0, 1, 2) != fl_sandbox_id(0, 1, 3));
	assert_true(fl_sandbox_id(0, 1, 2) != fl_sandbox_id(0, 2, 2));
	assert_true(fl_sandbox_id(0, 1, 2) == fl_sandbox_id(0, 1, 2));
}

/* ---- listeners ---- */

static int see_listener(void *arg, const char *network, const struct fl_addr *a, uint16_t port)
{
	struct seen *s = arg;

	snprintf(s->text + strlen(s->text), sizeof(s->text) - strlen(s->text), "%s %s %u ", network,
		 fl_addr_str(a, FL_ADDR_BUF), port);
	return ++s->n == s->stop_at ? 42 : 0;
}

static void test_listeners(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint a = endpoint("net", "c1", "web", "10.0.0.2/24"),
			   b = endpoint("net", "c2", "db", "10.0.0.3/24"),
			   c = endpoint("other", "c1", "web", "10.0.1.2/24");
	struct fl_bytes dns;
	struct seen s = { 0 };

	assert_int_equal(fl_listener_get(f->txn, "net", &dns, &f->err), -ENOENT);
	strcpy(a.dns, "{\"listen\":[[\"10.0.0.1\",53],[\"fd00::1\",5353],[\"nonsense\",1],[5]]}");
	strcpy(c.dns, "{\"listen\":[[\"10.0.1.1\",53]]}");
	strcpy(b.dns, "{\"domain\":\"\\\"listen\\\":\"}"); /* no such key */
	put(f, &a);
	put(f, &b);
	put(f, &c);
	assert_int_equal(fl_listener_get(f->txn, "net", &dns, &f->err), 0);
	assert_int_equal(dns.len, strlen(a.dns));
	assert_memory_equal(dns.p, a.dns, dns.len);
	assert_int_equal(fl_listeners_each(f->txn, see_listener, &s, &f->err), 0);
	assert_string_equal(s.text, "net 10.0.0.1 53 net fd00::1 5353 other 10.0.1.1 53 ");
	s = (struct seen){ .stop_at = 1 };
	assert_int_equal(fl_listeners_each(f->txn, see_listener, &s, &f->err), 42);
	assert_int_equal(fl_listener_del(f->txn, "net", &f->err), 0);
	assert_int_equal(fl_listener_del(f->txn, "net", &f->err), 0);
	s = (struct seen){ 0 };
	assert_int_equal(fl_listeners_each(f->txn, see_listener, &s, &f->err), 0);
	assert_string_equal(s.text, "other 10.0.1.1 53 ");
}

/* ---- damage ---- */

struct first {
	struct fl_bytes key;
	uint8_t b[512];
};

static int take_first(void *arg, struct fl_bytes key, struct fl_bytes val)
{
	struct first *first = arg;

	(void)val;
	memcpy(first->b, key.p, key.len);
	first->key = (struct fl_bytes){ first->b, key.len };
	return 1;
}

static void replace_first(struct fixture *f, enum fl_table table, const void *value, size_t len)
{
	struct first first;

	assert_int_equal(
		fl_each(f->txn, table, (struct fl_bytes){ 0 }, take_first, &first, &f->err), 1);
	assert_int_equal(fl_put(f->txn, table, first.key, (struct fl_bytes){ value, len }, &f->err),
			 0);
}

static void test_damaged(void **state)
{
	static const struct {
		const char *value;
		size_t len;
	} bad[] = { { "", 0 }, { "\5", 1 }, { "\5\3web", 5 }, { "\5\3web", 6 }, { "\xff\xff", 2 } };
	struct fixture *f = *state;
	struct fl_endpoint ep = endpoint("net", "c1", "web", "10.0.0.2/24");
	struct fl_endpoint_id id;
	struct seen s = { 0 };

	for (size_t i = 0; i < FL_ARRAY_SIZE(bad); i++) {
		put(f, &ep);
		replace_first(f, FL_TABLE_ADDRESSES, bad[i].value, bad[i].len);
		assert_int_equal(
			fl_hosts_reverse(f->txn, &ep.addrs[0].addr, "net", NULL, &id, &f->err),
			-EBADMSG);
		put(f, &ep);
		replace_first(f, FL_TABLE_SANDBOXES, bad[i].value, bad[i].len);
		assert_int_equal(fl_sandboxes_each(f->txn, 7, false, see, &s, &f->err), -EBADMSG);
		assert_int_equal(s.n, 0);
	}
}

int main(void)
{
#define IN_TXN(fn) cmocka_unit_test_setup_teardown(fn, fixture_begin, fixture_close)
	const struct CMUnitTest tests[] = {
		IN_TXN(test_names_of_an_endpoint),
		IN_TXN(test_networks_of_one_prefix),
		IN_TXN(test_several_of_one_name),
		IN_TXN(test_address_that_comes_late),
		IN_TXN(test_one_address_of_two_plugins),
		IN_TXN(test_reverse),
		IN_TXN(test_without_a_usable_name),
		IN_TXN(test_longest),
		IN_TXN(test_thousand_addresses_of_one_name),
		IN_TXN(test_life_of_a_record),
		IN_TXN(test_sandboxes),
		cmocka_unit_test(test_sandbox_without_a_cookie),
		IN_TXN(test_listeners),
		IN_TXN(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
