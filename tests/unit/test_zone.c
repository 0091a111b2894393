/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables are arrays here, and what is answered is told by ldns. */
#include "unit.h"

#include "base/strbuf.h"
#include "dns/zone.h"

#include <errno.h>
#include <ldns/ldns.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct host {
	const char *network, *name, *address; /* "": known, without one */
	uint8_t owner;
};
struct back {
	const char *network, *address, *name;
};
struct service {
	const char *network, *address, *service;
	uint8_t proto;
	uint16_t port;
};

struct world {
	const struct host *hosts; /* as all of these ended by an empty entry */
	const struct back *backs;
	const struct service *services;
	unsigned finds, services_asked;
};

static struct fl_addr addr_of(const char *text)
{
	struct fl_addr a = { 0 };

	assert_int_equal(fl_addr_parse(text, &a), 0);
	return a;
}

static struct fl_dns_name name_of(const char *text)
{
	struct fl_dns_name n = { 0 };

	assert_int_equal(fl_dns_name_parse(text, &n), 0);
	return n;
}

static int find(void *arg, const struct fl_dns_name *name, const char *network, struct fl_host *out,
		size_t max, size_t *n)
{
	struct world *w = arg;
	int r = -ENOENT;

	w->finds++;
	for (const struct host *h = w->hosts; h->network; h++) {
		struct fl_dns_name own = name_of(h->name);
		struct fl_addr a = { 0 };

		if (strcmp(h->network, network) != 0 || !fl_dns_name_eq(&own, name))
			continue;
		r = 0;
		if (*n == max)
			continue;
		if (*h->address)
			a = addr_of(h->address);
		out[*n] = (struct fl_host){ .family = !*h->address	    ? 0
						      : a.family == AF_INET ? 4
									    : 6 };
		memcpy(out[*n].addr, a.b, sizeof(out->addr));
		out[*n].owner[0] = h->owner;
		++*n;
	}
	return r;
}

static int reverse(void *arg, const struct fl_addr *a, const char *network, struct fl_dns_name *ret)
{
	const struct world *w = arg;

	for (const struct back *b = w->backs; b->network; b++) {
		struct fl_addr own = addr_of(b->address);

		if (!strcmp(b->network, network) && fl_addr_eq(&own, a)) {
			*ret = name_of(b->name);
			return 0;
		}
	}
	return -ENOENT;
}

static int service(void *arg, const struct fl_addr *a, const char *network, const char *text,
		   uint8_t proto, uint16_t *ret)
{
	struct world *w = arg;

	w->services_asked++;
	for (const struct service *s = w->services; s->network; s++) {
		struct fl_addr own = addr_of(s->address);

		if (!strcmp(s->network, network) && fl_addr_eq(&own, a) &&
		    !strcmp(s->service, text) && s->proto == proto) {
			*ret = s->port;
			return 0;
		}
	}
	return -ENOENT;
}

/* ---- asking ---- */

static size_t make_query(const char *name, uint16_t type, uint8_t *buf)
{
	struct fl_dns_name n = name_of(name);

	memcpy(buf, "\x12\x34\1\0\0\1\0\0\0\0\0\0", FL_DNS_HEADER);
	memcpy(buf + FL_DNS_HEADER, n.b, n.len);
	fl_dns_set16(buf + FL_DNS_HEADER + n.len, type);
	fl_dns_set16(buf + FL_DNS_HEADER + n.len + 2, FL_DNS_IN);
	return FL_DNS_HEADER + (size_t)n.len + 4;
}

/* "web. A 10.0.0.2" for each record. */
static void put_section(struct fl_strbuf *b, const char *mark, const ldns_rr_list *list)
{
	for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
		const ldns_rr *rr = ldns_rr_list_rr(list, i);
		char *owner = ldns_rdf2str(ldns_rr_owner(rr)),
		     *type = ldns_rr_type2str(ldns_rr_get_type(rr));

		assert_int_equal(ldns_rr_ttl(rr), FL_ZONE_TTL);
		fl_strbuf_addf(b, "%s%s%s %s", b->len ? "; " : "", mark, owner, type);
		for (size_t k = 0; k < ldns_rr_rd_count(rr); k++) {
			char *rd = ldns_rdf2str(ldns_rr_rdf(rr, k));

			if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SOA)
				fl_strbuf_addf(b, " %s", rd);
			free(rd);
		}
		free(owner);
		free(type);
	}
}

static char *tell(const uint8_t *msg, size_t len)
{
	struct fl_strbuf b = { 0 };
	ldns_pkt *p = NULL;

	assert_int_equal(ldns_wire2pkt(&p, msg, len), LDNS_STATUS_OK);
	assert_true(ldns_pkt_qr(p) && ldns_pkt_ra(p) && ldns_pkt_id(p) == 0x1234);
	if (ldns_pkt_get_rcode(p))
		fl_strbuf_addf(&b, "rcode %d", ldns_pkt_get_rcode(p));
	if (ldns_pkt_tc(p))
		fl_strbuf_add(&b, b.len ? "; TC" : "TC");
	put_section(&b, "", ldns_pkt_answer(p));
	put_section(&b, "# ", ldns_pkt_authority(p));
	put_section(&b, "+ ", ldns_pkt_additional(p));
	ldns_pkt_free(p);
	fl_strbuf_add(&b, "");
	return b.s;
}

static size_t ask_into(const struct fl_zone *z, const char *name, uint16_t type, uint8_t *out,
		       size_t size)
{
	uint8_t msg[512];
	size_t len = make_query(name, type, msg), n = 77;
	struct fl_dns_query q;

	assert_int_equal(fl_dns_query_parse(msg, len, &q), 0);
	if (fl_zone_answer(z, msg, &q, out, size, &n))
		return n;
	assert_int_equal(n, 77);
	return 0;
}

/* NULL: nobody here is called so. Otherwise the caller's to free. */
static char *ask(const struct fl_zone *z, const char *name, uint16_t type)
{
	/* Of exactly that size, so that ASan sees a byte too much. */
	uint8_t *out = malloc(4096);
	size_t n;
	char *text;

	assert_non_null(out);
	n = ask_into(z, name, type, out, 4096);
	text = n ? tell(out, n) : NULL;
	free(out);
	return text;
}

struct question {
	const char *name;
	uint16_t type;
	const char *wanted;
};

static void check(const struct fl_zone *z, const struct question *q)
{
	for (; q->name; q++) {
		char *text = ask(z, q->name, q->type);

		if ((!text) != (!q->wanted) || (text && strcmp(text, q->wanted) != 0))
			fail_msg("%s %u: \"%s\", expected \"%s\"", q->name, q->type,
				 text ? text : "unknown", q->wanted ? q->wanted : "unknown");
		free(text);
	}
}

static const struct host hosts[] = {
	{ "net", "web", "10.0.0.2", 1 },
	{ "net", "web", "fd00::2", 1 },
	{ "net", "www", "10.0.0.2", 1 },
	{ "net", "four", "10.0.0.4", 4 },
	{ "net", "six", "fd00::6", 6 },
	{ "net", "none", "", 9 },
	{ "net", "db", "10.0.0.11", 11 },
	{ "net", "db", "10.0.0.12", 12 },
	{ "net", "db", "10.0.0.13", 13 },
	{ "net", "db", "fd00::11", 11 },
	{ "net", "twice", "10.0.0.4", 4 },
	{ "net", "twice", "10.0.0.4", 5 },
	{ "net", "twice", "fd00::6", 6 },
	{ "net", "twice", "fd00::6", 7 },
	{ "other", "web", "10.1.0.2", 21 },
	{ "other", "far", "10.1.0.3", 22 },
	{ "other", "four.net", "10.1.0.4", 23 },
	{ "third", "third", "10.2.0.2", 31 },
	{ "other", "_80._tcp.web", "10.1.0.9", 24 },
	{ "net", "lost", "10.0.0.99", 1 },
	{ 0 },
};
static const struct back backs[] = {
	{ "net", "10.0.0.2", "web" },
	{ "net", "fd00::2", "web" },
	{ "net", "10.0.0.4", "four" },
	{ "net", "10.0.0.11", "db1" },
	{ "net", "10.0.0.12", "db2" },
	{ "net", "10.0.0.13", "db3" },
	{ "net", "fd00::11", "db1" },
	{ "other", "10.1.0.2", "web" },
	{ "other", "10.0.0.4", "no" },
	{ "third", "10.2.0.2", "third" },
	{ 0 },
};
static const struct service services[] = {
	{ "net", "10.0.0.2", "443", IPPROTO_TCP, 443 },
	{ "net", "10.0.0.11", "5432", IPPROTO_TCP, 5432 },
	{ "net", "10.0.0.13", "5432", IPPROTO_TCP, 5433 },
	{ "net", "10.0.0.2", "domain", IPPROTO_UDP, 53 },
	{ "net", "10.0.0.2", "7", IPPROTO_SCTP, 7 },
	{ "other", "10.1.0.2", "443", IPPROTO_TCP, 8443 },
	{ "net", "10.0.0.99", "9", IPPROTO_TCP, 9 },
	{ 0 },
};

struct fixture {
	struct world w;
	uint64_t hits[2];
	struct fl_zone_net nets[2];
	struct fl_zone zone;
};

/* On "net", whose domain is corp.example, and on "other". */
static struct fixture *fixture(struct fixture *f)
{
	*f = (struct fixture){ .w = { hosts, backs, services, 0, 0 } };
	f->nets[0] = (struct fl_zone_net){ .name = "net",
					   .suffix = name_of("net"),
					   .domain = name_of("corp.example"),
					   .hits = &f->hits[0] };
	f->nets[1] = (struct fl_zone_net){ .name = "other",
					   .suffix = name_of("other"),
					   .hits = &f->hits[1] };
	f->zone = (struct fl_zone){ f->nets, 2, 0, find, reverse, service, &f->w };
	return f;
}

static void test_addresses(void **state)
{
	static const struct question questions[] = {
		{ "four", FL_DNS_A, "four. A 10.0.0.4" },
		{ "FOUR.", FL_DNS_A, "four. A 10.0.0.4" },
		{ "www", FL_DNS_A, "www. A 10.0.0.2" },
		{ "six", FL_DNS_AAAA, "six. AAAA fd00::6" },
		{ "six", FL_DNS_ANY, "six. AAAA fd00::6" },
		{ "db", FL_DNS_A, "db. A 10.0.0.11; db. A 10.0.0.12; db. A 10.0.0.13" },
		{ "db", FL_DNS_AAAA, "db. AAAA fd00::11" },
		/* one address of two plugins of a chain */
		{ "twice", FL_DNS_A, "twice. A 10.0.0.4" },
		{ "twice", FL_DNS_ANY, "twice. A 10.0.0.4; twice. AAAA fd00::6" },
		/* known, and nothing of the type */
		{ "four", FL_DNS_AAAA, "# four. SOA" },
		{ "six", FL_DNS_A, "# six. SOA" },
		{ "none", FL_DNS_A, "# none. SOA" },
		{ "none", FL_DNS_ANY, "# none. SOA" },
		{ "four", FL_DNS_MX, "# four. SOA" },
		{ "four", FL_DNS_PTR, "# four. SOA" },
		{ "four", 65280, "# four. SOA" },
		{ "nobody", FL_DNS_A, NULL },
		{ "third", FL_DNS_A, NULL },
		{ ".", FL_DNS_NS, NULL },
		{ 0 },
	};
	struct fixture f;

	(void)state;
	check(&fixture(&f)->zone, questions);
}

/* As it stands on every network together; below a network's name or domain on the first that knows
 * it. */
static void test_networks(void **state)
{
	static const struct question questions[] = {
		{ "web", FL_DNS_A, "web. A 10.0.0.2; web. A 10.1.0.2" },
		{ "web.net", FL_DNS_A, "web.net. A 10.0.0.2" },
		{ "web.other", FL_DNS_A, "web.other. A 10.1.0.2" },
		{ "web.other", FL_DNS_AAAA, "# web.other. SOA" },
		{ "web.corp.example", FL_DNS_A, "web.corp.example. A 10.0.0.2" },
		{ "far.corp.example", FL_DNS_A, NULL },
		{ "far.other", FL_DNS_A, "far.other. A 10.1.0.3" },
		{ "far.net", FL_DNS_A, NULL },
		/* another's whole name comes first */
		{ "four.net", FL_DNS_A, "four.net. A 10.1.0.4" },
		{ "four.net.other", FL_DNS_A, "four.net.other. A 10.1.0.4" },
		{ "net", FL_DNS_A, NULL },
		{ "corp.example", FL_DNS_A, NULL },
		{ "web.example", FL_DNS_A, NULL },
		{ "webnet", FL_DNS_A, NULL },
		{ "third.third", FL_DNS_A, NULL },
		{ 0 },
	};
	struct fixture f;

	(void)state;
	check(&fixture(&f)->zone, questions);
}

static void test_hits(void **state)
{
	struct fixture f;

	(void)state;
	free(ask(&fixture(&f)->zone, "web", FL_DNS_A));
	free(ask(&f.zone, "web.net", FL_DNS_A));
	free(ask(&f.zone, "11.0.0.10.in-addr.arpa", FL_DNS_PTR));
	free(ask(&f.zone, "nobody", FL_DNS_A));
	assert_int_equal(f.hits[0], 3);
	assert_int_equal(f.hits[1], 1);
	/* Nobody counts. */
	f.nets[0].hits = f.nets[1].hits = NULL;
	free(ask(&f.zone, "web", FL_DNS_A));
	free(ask(&f.zone, "2.0.1.10.in-addr.arpa", FL_DNS_PTR));
	/* On no network at all. */
	f.zone.n_nets = 0;
	assert_null(ask(&f.zone, "web", FL_DNS_A));
	assert_null(ask(&f.zone, "2.0.0.10.in-addr.arpa", FL_DNS_PTR));
}

/* A network whose name cannot be a domain has names without it. */
static void test_network_without_a_suffix(void **state)
{
	static const struct question questions[] = {
		{ "four", FL_DNS_A, "four. A 10.0.0.4" },
		{ "four.corp.example", FL_DNS_A, "four.corp.example. A 10.0.0.4" },
		{ "11.0.0.10.in-addr.arpa", FL_DNS_PTR, "11.0.0.10.in-addr.arpa. PTR db1." },
		{ "_443._tcp.web", FL_DNS_SRV,
		  "_443._tcp.web. SRV 0 0 443 web.; + web. A 10.0.0.2; + web. AAAA fd00::2" },
		{ 0 },
	};
	struct fixture f;

	(void)state;
	fixture(&f)->nets[0].suffix.len = 0;
	f.zone.n_nets = 1;
	check(&f.zone, questions);
}

static void test_turns(void **state)
{
	static const char *const wanted[] = {
		"db. A 10.0.0.11; db. A 10.0.0.12; db. A 10.0.0.13",
		"db. A 10.0.0.12; db. A 10.0.0.13; db. A 10.0.0.11",
		"db. A 10.0.0.13; db. A 10.0.0.11; db. A 10.0.0.12",
	};
	struct fixture f;

	(void)state;
	fixture(&f);
	for (unsigned i = 0; i < 9; i++) {
		f.zone.rotate = UINT32_MAX - UINT32_MAX % 3 - 9 + i;
		char *text = ask(&f.zone, "db", FL_DNS_A);

		assert_string_equal(text, wanted[i % 3]);
		free(text);
		text = ask(&f.zone, "four", FL_DNS_A);
		assert_string_equal(text, "four. A 10.0.0.4");
		free(text);
	}
}

static void test_reverse(void **state)
{
	static const struct question questions[] = {
		{ "2.0.0.10.in-addr.arpa", FL_DNS_PTR, "2.0.0.10.in-addr.arpa. PTR web.net." },
		{ "2.0.1.10.in-addr.arpa", FL_DNS_PTR, "2.0.1.10.in-addr.arpa. PTR web.other." },
		/* on two networks: the first one's */
		{ "4.0.0.10.IN-ADDR.arpa", FL_DNS_PTR, "4.0.0.10.in-addr.arpa. PTR four.net." },
		{ "2.0.0.10.in-addr.arpa", FL_DNS_ANY, "2.0.0.10.in-addr.arpa. PTR web.net." },
		{ "2.0.0.10.in-addr.arpa", FL_DNS_A, "# 2.0.0.10.in-addr.arpa. SOA" },
		{ "2.0.0.10.in-addr.arpa", FL_DNS_SOA, "# 2.0.0.10.in-addr.arpa. SOA" },
		{ "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
		  FL_DNS_PTR,
		  "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. PTR "
		  "db1.net." },
		{ "99.0.0.10.in-addr.arpa", FL_DNS_PTR, NULL },
		{ "2.0.2.10.in-addr.arpa", FL_DNS_PTR, NULL },
		{ "0.0.10.in-addr.arpa", FL_DNS_PTR, NULL },
		{ "in-addr.arpa", FL_DNS_PTR, NULL },
		{ 0 },
	};
	struct fixture f;

	(void)state;
	check(&fixture(&f)->zone, questions);
}

/* Too long with the network's name: as it is. */
static void test_reverse_of_the_longest(void **state)
{
	char longest[254], wanted[400];
	struct back back[] = { { "net", "10.0.0.2", longest }, { 0 } };
	const struct question questions[] = {
		{ "2.0.0.10.in-addr.arpa", FL_DNS_PTR, wanted },
		{ 0 },
	};
	struct fixture f;

	(void)state;
	memset(longest, 'x', 253);
	longest[253] = '\0';
	for (int i = 63; i < 253; i += 64)
		longest[i] = '.';
	snprintf(wanted, sizeof(wanted), "2.0.0.10.in-addr.arpa. PTR %s.", longest);
	fixture(&f)->w.backs = back;
	check(&f.zone, questions);
}

static void test_services(void **state)
{
	static const struct question questions[] = {
		{ "_443._tcp.web.net", FL_DNS_SRV,
		  "_443._tcp.web.net. SRV 0 0 443 web.net.; + web.net. A 10.0.0.2; + web.net. AAAA "
		  "fd00::2" },
		{ "_443._tcp.web", FL_DNS_SRV,
		  "_443._tcp.web. SRV 0 0 443 web.net.; _443._tcp.web. SRV 0 0 8443 web.other.; + "
		  "web.net. A 10.0.0.2; + web.net. AAAA fd00::2; + web.other. A 10.1.0.2" },
		{ "_DOMAIN._UDP.web.net", FL_DNS_ANY,
		  "_domain._udp.web.net. SRV 0 0 53 web.net.; + web.net. A 10.0.0.2; + web.net. "
		  "AAAA "
		  "fd00::2" },
		{ "_7._sctp.www", FL_DNS_SRV,
		  "_7._sctp.www. SRV 0 0 7 web.net.; + web.net. A 10.0.0.2" },
		/* two of three have it, one with both families */
		{ "_5432._tcp.db", FL_DNS_SRV,
		  "_5432._tcp.db. SRV 0 0 5432 db1.net.; _5432._tcp.db. SRV 0 0 5433 db3.net.; + "
		  "db1.net. A 10.0.0.11; + db1.net. AAAA fd00::11; + db3.net. A 10.0.0.13" },
		/* the host is known, and has nothing of it */
		{ "_443._tcp.web", FL_DNS_A, "# _443._tcp.web. SOA" },
		{ "_443._udp.web", FL_DNS_SRV, "# _443._udp.web. SOA" },
		{ "_444._tcp.web", FL_DNS_SRV, "# _444._tcp.web. SOA" },
		{ "_443._tcp.none", FL_DNS_SRV, "# _443._tcp.none. SOA" },
		/* whoever publishes it is called nothing */
		{ "_9._tcp.lost", FL_DNS_SRV, "# _9._tcp.lost. SOA" },
		/* a container that is called like a service */
		{ "_80._tcp.web", FL_DNS_A, "_80._tcp.web. A 10.1.0.9" },
		{ "_443._tcp.nobody", FL_DNS_SRV, NULL },
		{ "_443._icmp.web", FL_DNS_SRV, NULL },
		{ "_443.web", FL_DNS_SRV, NULL },
		{ "_443._tcp", FL_DNS_SRV, NULL },
		{ "_443", FL_DNS_SRV, NULL },
		{ "_._tcp.web", FL_DNS_SRV, NULL },
		{ "443._tcp.web", FL_DNS_SRV, NULL },
		{ "_443.tcp.web", FL_DNS_SRV, NULL },
		{ "_443._tcpx.web", FL_DNS_SRV, NULL },
		{ 0 },
	};
	struct fixture f;

	(void)state;
	check(&fixture(&f)->zone, questions);
}

/* A byte that ends a C string would make another service of it. */
static void test_service_with_a_null_byte(void **state)
{
	uint8_t msg[512], out[512];
	size_t len = make_query("_443x._tcp.web", FL_DNS_SRV, msg), n;
	struct fl_dns_query q;
	struct fixture f;

	(void)state;
	fixture(&f);
	msg[FL_DNS_HEADER + 5] = 0;
	assert_int_equal(fl_dns_query_parse(msg, len, &q), 0);
	assert_false(fl_zone_answer(&f.zone, msg, &q, out, sizeof(out), &n));
	assert_int_equal(f.w.services_asked, 0);
}

/* ---- many ---- */

enum { CROWD = 700 };

static void make_crowd(struct host *list, char (*text)[24])
{
	for (int i = 0; i < CROWD; i++) {
		snprintf(text[i], sizeof(text[i]), "10.9.%d.%d", i / 200, i % 200 + 1);
		list[i] = (struct host){ "net", "crowd", text[i], (uint8_t)i };
	}
	list[CROWD] = (struct host){ 0 };
}

/* An answer that is cut off says so, and has what there is room for; more than a limit is not
 * considered. */
static void test_too_many(void **state)
{
	static struct host list[CROWD + 1];
	static char text[CROWD][24];
	static uint8_t out[FL_DNS_MESSAGE_MAX];
	struct fixture f;
	size_t question = 12 + 7 + 4, n;

	(void)state;
	make_crowd(list, text);
	fixture(&f)->w.hosts = list;
	for (size_t size = 512; size < 1300; size += 97) {
		n = ask_into(&f.zone, "crowd", FL_DNS_A, out, size);
		assert_int_equal(n, question + (size - question) / 16 * 16);
		assert_true(fl_dns_get16(out + 2) & FL_DNS_TC);
		assert_int_equal(fl_dns_get16(out + 6), (n - question) / 16);
		assert_int_equal(fl_dns_get16(out + 8), 0);
	}
	n = ask_into(&f.zone, "crowd", FL_DNS_A, out, sizeof(out));
	assert_int_equal(n, question + 16 * FL_ZONE_ANSWERS);
	assert_false(fl_dns_get16(out + 2) & FL_DNS_TC);
	/* Services of so many: each costs a record, and only so many are looked at. */
	f.w.services_asked = 0;
	n = ask_into(&f.zone, "_1._tcp.crowd", FL_DNS_SRV, out, sizeof(out));
	assert_true(n > 0 && f.w.services_asked <= 64);
}

static void test_refuse(void **state)
{
	static const struct {
		uint16_t rcode;
		const char *wanted;
	} cases[] = {
		{ FL_DNS_NXDOMAIN, "rcode 3; # . SOA" },
		{ FL_DNS_SERVFAIL, "rcode 2" },
		{ FL_DNS_REFUSED, "rcode 5" },
		{ FL_DNS_NOTIMP, "rcode 4" },
	};
	uint8_t msg[512], out[512];
	size_t len = make_query("web.net", FL_DNS_A, msg);
	struct fl_dns_query q;

	(void)state;
	assert_int_equal(fl_dns_query_parse(msg, len, &q), 0);
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		char *text = tell(out, fl_zone_refuse(msg, &q, cases[i].rcode, out, sizeof(out)));

		assert_string_equal(text, cases[i].wanted);
		assert_false(fl_dns_get16(out + 2) & FL_DNS_AA);
		free(text);
	}
	/* Without a question, of which the header alone was read. */
	msg[2] = 0x20;
	assert_int_equal(fl_dns_query_parse(msg, len, &q), FL_DNS_NOTIMP);
	assert_int_equal(fl_zone_refuse(msg, &q, FL_DNS_NOTIMP, out, sizeof(out)), FL_DNS_HEADER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_hits),
		cmocka_unit_test(test_network_without_a_suffix),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_reverse),
		cmocka_unit_test(test_reverse_of_the_longest),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_service_with_a_null_byte),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_refuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
