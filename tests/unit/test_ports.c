/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storefixture.h"

#include <errno.h>
#include <netinet/in.h>

#define BOTH (FL_FAMILY_V4 | FL_FAMILY_V6)

static struct fl_port port(uint8_t proto, const char *host, uint16_t first, uint32_t count)
{
	struct fl_port p = { proto, { 0 }, first, first, count };

	if (*host)
		p.host = make_addr(host);
	return p;
}

static struct fl_endpoint endpoint(const char *container, struct fl_port *ports, uint32_t n)
{
	return (struct fl_endpoint){ .id = make_id("net", "portmap", container, "eth0"),
				     .ports = ports,
				     .n_ports = n };
}

/* Puts the record and claims its ports. */
static int claim(struct fixture *f, const char *container, struct fl_port p, unsigned families,
		 const struct fl_gone *gone)
{
	struct fl_endpoint ep = endpoint(container, &p, 1);
	int r;

	f->err = (struct fl_error){ 0 };
	r = fl_ports_claim(f->txn, &ep, families, gone, &f->err);
	return r ? r : fl_endpoint_put(f->txn, &ep, &f->err);
}

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
		fl_each(f->txn, FL_TABLE_PORTS, (struct fl_bytes){ 0 }, count_entry, &n, &f->err),
		0);
	return n;
}

static void restart(struct fixture *f)
{
	fl_txn_abort(f->txn);
	assert_int_equal(fl_txn_begin(f->store, true, &f->txn, &f->err), 0);
}

static void conflicts(void **state)
{
	static const struct {
		struct {
			uint8_t proto;
			const char *host;
			uint16_t first;
			uint32_t count;
			unsigned families;
		} held, wanted;
		bool conflict;
	} cases[] = {
		{ { 6, "", 80, 1, BOTH }, { 6, "", 80, 1, BOTH }, true },
		{ { 6, "", 80, 1, BOTH }, { 17, "", 80, 1, BOTH }, false },
		{ { 6, "", 80, 1, BOTH }, { 6, "", 81, 1, BOTH }, false },
		{ { 6, "", 80, 1, FL_FAMILY_V4 }, { 6, "", 80, 1, FL_FAMILY_V6 }, false },
		{ { 6, "", 80, 1, FL_FAMILY_V4 }, { 6, "", 80, 1, BOTH }, true },
		/* wildcard and address, either way */
		{ { 6, "", 80, 1, BOTH }, { 6, "192.0.2.1", 80, 1, BOTH }, true },
		{ { 6, "", 80, 1, BOTH }, { 6, "2001:db8::1", 80, 1, BOTH }, true },
		{ { 6, "192.0.2.1", 80, 1, BOTH }, { 6, "", 80, 1, BOTH }, true },
		{ { 6, "2001:db8::1", 80, 1, BOTH }, { 6, "", 80, 1, BOTH }, true },
		{ { 6, "2001:db8::1", 80, 1, BOTH }, { 6, "", 80, 1, FL_FAMILY_V4 }, false },
		{ { 6, "192.0.2.1", 80, 1, BOTH }, { 6, "192.0.2.2", 80, 1, BOTH }, false },
		{ { 6, "192.0.2.1", 80, 1, BOTH }, { 6, "192.0.2.1", 80, 1, BOTH }, true },
		{ { 6, "0.0.0.0", 80, 1, BOTH }, { 6, "192.0.2.1", 80, 1, BOTH }, true },
		{ { 6, "0.0.0.0", 80, 1, BOTH }, { 6, "::", 80, 1, BOTH }, false },
		{ { 6, "::", 80, 1, BOTH }, { 6, "::1", 80, 1, BOTH }, true },
		/* ranges */
		{ { 6, "", 8000, 100, BOTH }, { 6, "", 8099, 1, BOTH }, true },
		{ { 6, "", 8000, 100, BOTH }, { 6, "", 8100, 1, BOTH }, false },
		{ { 6, "", 8000, 100, BOTH }, { 6, "", 7999, 1, BOTH }, false },
		{ { 6, "", 8000, 100, BOTH }, { 6, "", 7999, 2, BOTH }, true },
		{ { 6, "", 8050, 1, BOTH }, { 6, "", 8000, 100, BOTH }, true },
		{ { 6, "", 8000, 100, BOTH }, { 6, "192.0.2.1", 8050, 10, BOTH }, true },
		{ { 6, "192.0.2.1", 8050, 10, BOTH }, { 6, "", 8000, 100, BOTH }, true },
		{ { 6, "", 65535, 1, BOTH }, { 6, "", 1, 65535, BOTH }, true },
		{ { 6, "", 65534, 1, BOTH }, { 6, "", 65535, 1, BOTH }, false },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		__auto_type h = &cases[i].held;
		__auto_type w = &cases[i].wanted;
		int r;

		restart(f);
		assert_int_equal(claim(f, "first", port(h->proto, h->host, h->first, h->count),
				       h->families, NULL),
				 0);
		r = claim(f, "second", port(w->proto, w->host, w->first, w->count), w->families,
			  NULL);
		if (r != (cases[i].conflict ? -EADDRINUSE : 0))
			fail_msg("case %zu: %d (%s)", i, r, f->err.text);
	}
}

static void message_names_the_owner(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(claim(f, "first", port(IPPROTO_TCP, "", 8000, 100), BOTH, NULL), 0);
	assert_int_equal(claim(f, "second", port(IPPROTO_TCP, "", 8080, 1), BOTH, NULL),
			 -EADDRINUSE);
	assert_int_equal(f->err.code, FL_ECODE_CONFLICT);
	assert_string_equal(f->err.text, "tcp port 8080 is already published by container first "
					 "(interface eth0) on network net");
}

static void release_frees_only_own(void **state)
{
	struct fl_port a = port(IPPROTO_TCP, "", 80, 1), b = port(IPPROTO_TCP, "", 81, 1);
	struct fixture *f = *state;
	struct fl_endpoint first = endpoint("first", &a, 1), liar = endpoint("liar", &a, 1);

	assert_int_equal(claim(f, "first", a, BOTH, NULL), 0);
	assert_int_equal(claim(f, "second", b, FL_FAMILY_V6, NULL), 0);
	assert_int_equal(entries(f), 3);
	assert_int_equal(fl_ports_release(f->txn, &liar, &f->err), 0);
	assert_int_equal(entries(f), 3);
	assert_int_equal(fl_ports_release(f->txn, &first, &f->err), 0);
	assert_int_equal(fl_ports_release(f->txn, &first, &f->err), 0);
	assert_int_equal(entries(f), 1);
}

static void own_ports_never_conflict(void **state)
{
	struct fl_port again[] = { port(IPPROTO_TCP, "", 8000, 10),
				   port(IPPROTO_TCP, "192.0.2.1", 8000, 1) };
	struct fixture *f = *state;
	struct fl_endpoint ep = endpoint("c", again, 2);

	/* A retry with other ranges replaces what an earlier attempt left. */
	assert_int_equal(claim(f, "c", port(IPPROTO_TCP, "", 8005, 10), BOTH, NULL), 0);
	assert_int_equal(fl_ports_claim(f->txn, &ep, FL_FAMILY_V4, NULL, &f->err), 0);
	assert_int_equal(fl_ports_release(f->txn, &ep, &f->err), 0);
	assert_int_equal(entries(f), 1); /* the IPv6 half of the first attempt */
}

static void foreign_ports_below_own_are_seen(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(claim(f, "other", port(IPPROTO_TCP, "", 8000, 10), FL_FAMILY_V4, NULL), 0);
	assert_int_equal(claim(f, "c", port(IPPROTO_TCP, "", 8010, 10), FL_FAMILY_V4, NULL), 0);
	assert_int_equal(claim(f, "c", port(IPPROTO_TCP, "", 8005, 10), FL_FAMILY_V4, NULL),
			 -EADDRINUSE);
}

static void duplicates_in_one_endpoint(void **state)
{
	struct fl_port same[] = { port(IPPROTO_TCP, "", 80, 1), port(IPPROTO_TCP, "", 80, 1) };
	struct fl_port differ[] = { port(IPPROTO_TCP, "", 80, 1),
				    port(IPPROTO_TCP, "0.0.0.0", 80, 1) };
	struct fl_port overlap[] = { port(IPPROTO_TCP, "", 80, 10), port(IPPROTO_TCP, "", 85, 1) };
	struct fixture *f = *state;
	struct fl_endpoint ep = endpoint("c", same, 2);

	assert_int_equal(fl_ports_claim(f->txn, &ep, BOTH, NULL, &f->err), 0);
	restart(f);
	ep.ports = differ;
	differ[1].container_port = 81;
	assert_int_equal(fl_ports_claim(f->txn, &ep, BOTH, NULL, &f->err), -EINVAL);
	assert_string_equal(f->err.text, "tcp port 80 is published twice");
	restart(f);
	ep.ports = overlap;
	assert_int_equal(fl_ports_claim(f->txn, &ep, BOTH, NULL, &f->err), -EINVAL);
	restart(f);
	overlap[0].count = 65536;
	assert_int_equal(fl_ports_claim(f->txn, &ep, BOTH, NULL, &f->err), -EINVAL);
}

static void gone_owners_make_room(void **state)
{
	struct fixture *f = *state;
	struct fl_endpoint_id id = make_id("net", "portmap", "first", "eth0"), owner;
	struct fl_addr any = { 0 };
	struct fl_endpoint back;
	int asked = 0;

	assert_int_equal(claim(f, "first", port(IPPROTO_TCP, "", 80, 10), BOTH, NULL), 0);
	assert_int_equal(claim(f, "other", port(IPPROTO_TCP, "", 79, 1), BOTH, NULL), 0);
	assert_int_equal(claim(f, "second", port(IPPROTO_TCP, "", 85, 1), BOTH,
			       &(struct fl_gone){ say_alive, &asked }),
			 -EADDRINUSE);
	assert_int_equal(asked, 1);
	assert_int_equal(claim(f, "second", port(IPPROTO_TCP, "", 85, 1), BOTH,
			       &(struct fl_gone){ say_gone, &asked }),
			 0);
	assert_int_equal(asked, 2); /* once, though it is in the way in both families */
	assert_int_equal(fl_endpoint_get(f->txn, &id, &back, &f->err), -ENOENT);
	assert_int_equal(fl_ports_owner(f->txn, IPPROTO_TCP, &any, 85, &owner, &f->err), 0);
	assert_string_equal(owner.container, "second");
	assert_int_equal(fl_ports_owner(f->txn, IPPROTO_TCP, &any, 80, &owner, &f->err), -ENOENT);
	assert_int_equal(fl_ports_owner(f->txn, IPPROTO_TCP, &any, 79, &owner, &f->err), 0);
	assert_int_equal(entries(f), 4);
}

static void entry_without_record_is_no_conflict(void **state)
{
	struct fl_port p = port(IPPROTO_TCP, "", 80, 1);
	struct fixture *f = *state;
	struct fl_endpoint ep = endpoint("ghost", &p, 1);

	assert_int_equal(fl_ports_claim(f->txn, &ep, BOTH, NULL, &f->err), 0);
	assert_int_equal(claim(f, "second", p, BOTH, NULL), 0);
	assert_int_equal(entries(f), 2);
}

static void owner_by_address(void **state)
{
	struct fixture *f = *state;
	struct fl_addr a = make_addr("192.0.2.1"), b = make_addr("192.0.2.2");
	struct fl_endpoint_id owner;

	assert_int_equal(claim(f, "one", port(IPPROTO_UDP, "192.0.2.1", 53, 1), BOTH, NULL), 0);
	assert_int_equal(claim(f, "all", port(IPPROTO_UDP, "", 54, 1), BOTH, NULL), 0);
	assert_int_equal(fl_ports_owner(f->txn, IPPROTO_UDP, &a, 53, &owner, &f->err), 0);
	assert_string_equal(owner.container, "one");
	assert_int_equal(fl_ports_owner(f->txn, IPPROTO_UDP, &b, 53, &owner, &f->err), -ENOENT);
	assert_int_equal(fl_ports_owner(f->txn, IPPROTO_UDP, &b, 54, &owner, &f->err), 0);
	assert_string_equal(owner.container, "all");
	assert_int_equal(fl_ports_owner(f->txn, IPPROTO_TCP, &b, 54, &owner, &f->err), -ENOENT);
}

static bool reserve_even(void *arg, uint16_t p)
{
	(void)arg;
	return p % 2 == 0;
}

static void free_ports(void **state)
{
	static const struct {
		uint32_t count;
		uint16_t first, last;
		uint32_t offset;
		int want; /* or -errno */
	} cases[] = {
		{ 1, 1000, 1009, 0, 1000 },
		{ 1, 1000, 1009, 3, 1005 }, /* 1003, 1004 are held */
		{ 1, 1000, 1009, 9, 1009 },
		{ 1, 1000, 1009, 10, 1000 },
		{ 5, 1000, 1009, 0, 1005 },
		{ 3, 1000, 1009, 8, 1000 }, /* wraps */
		{ 6, 1000, 1009, 0, -EADDRNOTAVAIL },
		{ 1, 1003, 1004, 1, -EADDRNOTAVAIL },
		{ 11, 1000, 1009, 0, -EADDRNOTAVAIL },
		{ 1, 1009, 1000, 0, -EADDRNOTAVAIL },
		{ 1, 65535, 65535, 5, 65535 },
		{ 0, 1000, 1009, 0, -EADDRNOTAVAIL },
	};
	struct fixture *f = *state;
	struct fl_addr any = { 0 }, specific = make_addr("192.0.2.9");
	uint16_t got = 0;

	assert_int_equal(claim(f, "x", port(IPPROTO_TCP, "192.0.2.1", 1003, 2), BOTH, NULL), 0);
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		int r = fl_ports_find_free(f->txn, IPPROTO_TCP, &any, BOTH, cases[i].count,
					   cases[i].first, cases[i].last, cases[i].offset, NULL,
					   NULL, &got, &f->err);

		if ((r ? r : got) != cases[i].want)
			fail_msg("case %zu: %d, %u", i, r, got);
	}
	assert_int_equal(f->err.code, FL_ECODE_EXHAUSTED);
	/* another address does not meet the specific one */
	assert_int_equal(fl_ports_find_free(f->txn, IPPROTO_TCP, &specific, BOTH, 1, 1003, 1009, 0,
					    NULL, NULL, &got, &f->err),
			 0);
	assert_int_equal(got, 1003);
	assert_int_equal(fl_ports_find_free(f->txn, IPPROTO_TCP, &any, BOTH, 1, 1003, 1009, 1,
					    reserve_even, NULL, &got, &f->err),
			 0);
	assert_int_equal(got, 1005);
	assert_int_equal(fl_ports_find_free(f->txn, IPPROTO_TCP, &any, BOTH, 2, 1005, 1009, 1,
					    reserve_even, NULL, &got, &f->err),
			 -EADDRNOTAVAIL);
}

static void many_ports_one_range(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(claim(f, "c", port(IPPROTO_TCP, "", 1, 65535), BOTH, NULL), 0);
	assert_int_equal(entries(f), 2);
	assert_int_equal(claim(f, "d", port(IPPROTO_TCP, "127.0.0.1", 65535, 1), BOTH, NULL),
			 -EADDRINUSE);
}

#define PORT_TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_begin, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(conflicts),
		PORT_TEST(message_names_the_owner),
		PORT_TEST(release_frees_only_own),
		PORT_TEST(own_ports_never_conflict),
		PORT_TEST(foreign_ports_below_own_are_seen),
		PORT_TEST(duplicates_in_one_endpoint),
		PORT_TEST(gone_owners_make_room),
		PORT_TEST(entry_without_record_is_no_conflict),
		PORT_TEST(owner_by_address),
		PORT_TEST(free_ports),
		PORT_TEST(many_ports_one_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
