/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many nodes with pools of one subnet, over a store that compares: watches lag, requests and
 * answers get lost, agents crash, lists are read again, nodes leave. An endpoint's key, here
 * `holder`, is compared and written in the same transaction as its address, as agents do.
 */
#include "pool_store.h"

#include <errno.h>

enum { NODES = 4, EPS = 600, FLIGHTS = 3, ADDRS = 4096 };

enum ep_state { EP_NONE, EP_CHOSEN, EP_HELD, EP_RELEASED };
struct ep {
	enum ep_state state;
	bool in_flight;
	struct fl_addr addr;
	int id;
};

enum flight_state { FLIGHT_NONE, FLIGHT_SENT, FLIGHT_RUN };
struct flight {
	enum flight_state state;
	struct fl_ippool_batch *batch;
	int eps[EPS];
	size_t n;
	bool won, known; /* known: the answer arrives */
	int64_t revision;
	struct value read[64]; /* by a transaction that compared unequal */
};

struct node {
	char name[8];
	struct fl_ippool *pool;
	size_t at; /* of the log */
	struct ep eps[EPS];
	struct flight flights[FLIGHTS];
	/* endpoints as they were read, and when */
	bool has[ADDRS];
	int64_t known;
};

static struct sim {
	uint64_t seed, random;
	int64_t now;
	int step, next_id;
	struct fl_prefix subnet;
	struct fl_addr gateway;
	size_t n_addrs;
	struct store store;
	struct node nodes[NODES];
	int holder[ADDRS]; /* endpoint's id, 0: nobody */
	int64_t freed_at[ADDRS];
	uint64_t won, lost, unknown, stale, busy, exhausted, quarantined, crashes, left, orphans,
		mended;
} * sim;

#define CHECK(x)                                                                          \
	do {                                                                              \
		if (!(x))                                                                 \
			fail_msg("seed %llu, step %d: %s", (unsigned long long)sim->seed, \
				 sim->step, #x);                                          \
	} while (0)

static uint64_t draw(uint64_t below)
{
	sim->random ^= sim->random << 13;
	sim->random ^= sim->random >> 7;
	sim->random ^= sim->random << 17;
	return (sim->random * 0x2545f4914f6cdd1dull >> 20) % below;
}

static size_t offset(const struct fl_addr *a)
{
	return (size_t)fl_addr_distance(&sim->subnet.addr, a);
}

static struct fl_rec_ip who(const struct node *n, const struct ep *e)
{
	struct fl_rec_ip ip = { .use = FL_REC_USE_ENDPOINT };

	strcpy(ip.node, n->name);
	snprintf(ip.id, sizeof(ip.id), "e%d", e->id);
	return ip;
}

static void node_start(struct node *n)
{
	struct fl_ippool_config c = { "n1", n->name, sim->subnet, sim->gateway };

	assert_int_equal(fl_ippool_new(&c, &n->pool, NULL), 0);
	store_list(&sim->store, n->pool, &n->at, false);
	for (int i = 0; i < FLIGHTS; i++)
		n->flights[i].batch = fl_ippool_batch_new();
}

static void node_stop(struct node *n)
{
	for (int i = 0; i < FLIGHTS; i++) {
		fl_ippool_batch_free(n->flights[i].batch);
		n->flights[i] = (struct flight){ 0 };
	}
	fl_ippool_free(n->pool);
	n->pool = NULL;
}

static void start(uint64_t seed, const char *subnet, const char *gateway)
{
	sim = calloc(1, sizeof(*sim));
	sim->seed = seed;
	sim->random = seed * 0x9e3779b97f4a7c15ull + 1;
	sim->now = 1000000;
	assert_int_equal(fl_prefix_parse(subnet, &sim->subnet), 0);
	assert_int_equal(fl_addr_parse(gateway, &sim->gateway), 0);
	sim->n_addrs = 1u << (fl_addr_bits(&sim->gateway) - sim->subnet.len);
	sim->store.blocks = sim->n_addrs > FL_IPPOOL_SMALL;
	for (int i = 0; i < NODES; i++) {
		snprintf(sim->nodes[i].name, sizeof(sim->nodes[i].name), "host-%d", i);
		node_start(&sim->nodes[i]);
	}
}

static void stop(void)
{
	for (int i = 0; i < NODES; i++)
		node_stop(&sim->nodes[i]);
	free(sim);
	sim = NULL;
}

/* ---- quarantine ---- */

static bool quarantined(size_t i)
{
	struct fl_addr a = fl_addr_add(sim->subnet.addr, i), key = fl_rec_block_of(&a).addr;

	if (!sim->store.blocks) {
		const struct entry *e = store_entry(&sim->store, &a);

		return e->now.exists && e->now.ip.use == FL_REC_USE_FREED;
	}
	const struct entry *e = store_entry(&sim->store, &key);
	int64_t at = e->now.exists ? e->now.blk.released[fl_addr_distance(&key, &a)] : 0;

	return !sim->holder[i] && at && at > sim->now - FL_IPPOOL_QUARANTINE;
}

static bool is_anybodys(size_t i)
{
	struct fl_addr a = fl_addr_add(sim->subnet.addr, i);

	return i && !fl_addr_eq(&a, &sim->gateway) &&
	       (i + 1 < sim->n_addrs || a.family == AF_INET6);
}

/* A node that knows all, and takes one in quarantine: nothing else is free. */
static void check_quarantine(const struct node *n, const struct fl_addr *chosen)
{
	static bool staged[ADDRS];

	if (n->at != sim->store.end || !quarantined(offset(chosen)))
		return;
	sim->quarantined++;
	memset(staged, 0, sizeof(staged));
	for (int i = 0; i < EPS; i++)
		if (n->eps[i].state == EP_CHOSEN)
			staged[offset(&n->eps[i].addr)] = true;
	for (size_t i = 0; i < sim->n_addrs; i++) {
		struct fl_addr a = fl_addr_add(sim->subnet.addr, i);

		CHECK(!is_anybodys(i) || staged[i] || store_used(&sim->store, &a) ||
		      quarantined(i));
	}
}

/* ---- what a node does ---- */

static void ep_choose(struct node *n, struct ep *e)
{
	struct fl_ippool_want w = { .now = sim->now, .random = draw(UINT64_MAX), .who = who(n, e) };
	struct fl_error err = { 0 };
	int r;

	if (!draw(8))
		w.addr = fl_addr_add(sim->subnet.addr, draw(sim->n_addrs));
	r = fl_ippool_choose(n->pool, &w, &e->addr, &err);
	CHECK(!r || (r == -ENOSPC && !fl_addr_is_set(&w.addr)) ||
	      ((r == -EADDRINUSE || r == -EINVAL) && fl_addr_is_set(&w.addr)));
	e->state = r ? EP_NONE : EP_CHOSEN;
	if (!r && !fl_addr_is_set(&w.addr))
		check_quarantine(n, &e->addr);
	sim->exhausted += r == -ENOSPC;
}

static void do_add(struct node *n)
{
	struct ep *e = &n->eps[draw(EPS)];

	if (e->state != EP_NONE || e->in_flight)
		return;
	e->id = ++sim->next_id;
	ep_choose(n, e);
}

static void ep_release(struct node *n, struct ep *e)
{
	struct fl_rec_ip ip = who(n, e);
	int r = fl_ippool_release(n->pool, &e->addr, &ip, sim->now);

	/* The pool may know less than the endpoint, whose list is read elsewhere. */
	CHECK(!r || r == -ENOENT);
	e->state = r ? EP_HELD : EP_RELEASED;
}

static void do_del(struct node *n)
{
	struct ep *e = &n->eps[draw(EPS)];

	/* In turn the subnet fills and empties. */
	if (sim->step / 45000 % 2 == 0 && sim->store.blocks && draw(10))
		return;
	if (e->state == EP_HELD && !e->in_flight)
		ep_release(n, e);
	else if (e->state == EP_CHOSEN && !e->in_flight && !draw(4)) {
		fl_ippool_cancel(n->pool, &e->addr);
		e->state = EP_NONE;
	}
}

static struct flight *flight_in(struct node *n, enum flight_state state)
{
	size_t from = draw(FLIGHTS);

	for (size_t i = 0; i < FLIGHTS; i++)
		if (n->flights[(from + i) % FLIGHTS].state == state)
			return &n->flights[(from + i) % FLIGHTS];
	return NULL;
}

static void fill(struct node *n, struct flight *f)
{
	size_t max = 1 + draw(40);

	for (int i = 0; i < EPS && f->n < max; i++) {
		struct ep *e = &n->eps[i];
		struct fl_ippool_at at = { n->pool, e->addr };
		int r;

		if (e->in_flight || (e->state != EP_CHOSEN && e->state != EP_RELEASED))
			continue;
		r = fl_ippool_batch_add(f->batch, &at, 1);
		CHECK(!r || r == -EBUSY || r == -ESTALE);
		if (!r) {
			e->in_flight = true;
			f->eps[f->n++] = i;
		}
		sim->busy += r == -EBUSY;
		if (r != -ESTALE)
			continue;
		sim->stale++;
		if (e->state == EP_CHOSEN)
			ep_choose(n, e);
		else
			ep_release(n, e);
	}
}

/* ---- bits that nobody has ---- */

static bool put_orphan(struct node *n, const struct fl_addr *a, struct entry *e)
{
	if (sim->store.blocks) {
		if (e->now.exists)
			e->now.blk.used |= 1ull << fl_addr_distance(&e->addr, a);
		return e->now.exists;
	}
	e->now = (struct value){ .exists = true, .ip = { .use = FL_REC_USE_ENDPOINT } };
	strcpy(e->now.ip.node, n->name);
	strcpy(e->now.ip.id, "orphan");
	e->expires = 0;
	return true;
}

/* As another program may write it: an address or a bit without an endpoint. */
static void do_orphan(struct node *n)
{
	size_t i = draw(sim->n_addrs);
	struct fl_addr a = fl_addr_add(sim->subnet.addr, i), block = fl_rec_block_of(&a).addr;
	struct entry *e;

	if (store_used(&sim->store, &a) || !is_anybodys(i))
		return;
	e = store_entry(&sim->store, sim->store.blocks ? &block : &a);
	if (!put_orphan(n, &a, e))
		return;
	e->now.revision = ++sim->store.revision;
	store_log(&sim->store, e);
	sim->orphans++;
}

static void do_read(struct node *n)
{
	for (size_t i = 0; i < sim->n_addrs; i++)
		n->has[i] = sim->holder[i] != 0;
	n->known = sim->store.revision;
}

static bool has_key(void *arg, const struct fl_addr *a)
{
	const struct node *n = arg;

	return n->has[offset(a)];
}

static struct fl_ippool_mend mend(struct node *n, struct fl_ippool_batch *b)
{
	struct fl_ippool_mend m = { has_key, n, .known = n->known };

	CHECK(!fl_ippool_mend(n->pool, &m, sim->now, b, 60));
	sim->mended += m.n;
	return m;
}

static bool has_eps(const struct node *n)
{
	for (int i = 0; i < EPS; i++)
		if (n->eps[i].state != EP_NONE)
			return true;
	return false;
}

static void do_send(struct node *n)
{
	struct flight *f = flight_in(n, FLIGHT_NONE);

	if (!f)
		return;
	f->n = 0;
	fill(n, f);
	/* Of small subnets that takes the addresses, too, of which an agent has none any more. */
	if (!draw(50)) {
		bool own = draw(2) && (sim->store.blocks || !has_eps(n));

		CHECK(fl_ippool_leave(n->pool, own ? n->name : "", sim->now, f->batch, 60) >= 0);
		sim->left++;
	}
	if (!draw(20))
		mend(n, f->batch);
	if (fl_ippool_batch_size(f->batch))
		f->state = FLIGHT_SENT;
}

static bool eps_compare(const struct node *n, const struct flight *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct ep *e = &n->eps[f->eps[i]];

		if (e->state == EP_RELEASED && sim->holder[offset(&e->addr)] != e->id)
			return false;
	}
	return true;
}

static void eps_apply(const struct node *n, const struct flight *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct ep *e = &n->eps[f->eps[i]];
		int *holder = &sim->holder[offset(&e->addr)];

		CHECK(is_anybodys(offset(&e->addr)));
		CHECK(e->state == EP_CHOSEN ? !*holder : *holder == e->id);
		*holder = e->state == EP_CHOSEN ? e->id : 0;
	}
}

/* The store has it, or it never gets there. */
static void do_run(struct node *n)
{
	struct flight *f = flight_in(n, FLIGHT_SENT);
	size_t writes;

	if (!f)
		return;
	f->state = FLIGHT_RUN;
	f->known = draw(10) != 0;
	f->won = draw(20) && eps_compare(n, f) && store_compares(&sim->store, f->batch);
	if (f->won) {
		eps_apply(n, f);
		store_apply(&sim->store, f->batch, sim->now);
	}
	f->revision = sim->store.revision;
	writes = fl_ippool_batch_size(f->batch);
	CHECK(writes <= 64 + 40);
	for (size_t i = 0; i < writes && i < 64; i++)
		f->read[i] =
			store_entry(&sim->store, key_addr(&fl_ippool_batch_write(f->batch, i)->key))
				->now;
}

static void settle(struct node *n, struct flight *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct ep *e = &n->eps[f->eps[i]];

		e->in_flight = false;
		if (f->won)
			e->state = e->state == EP_CHOSEN ? EP_HELD : EP_NONE;
		else if (e->state == EP_CHOSEN)
			ep_choose(n, e);
		else
			e->state = EP_HELD; /* and is released again */
	}
}

static void do_answer(struct node *n)
{
	struct flight *f = flight_in(n, FLIGHT_RUN);
	size_t writes;

	if (!f)
		return;
	writes = fl_ippool_batch_size(f->batch);
	for (size_t i = 0; i < writes && i < 64 && !(f->known && f->won); i++) {
		const struct fl_addr *a = key_addr(&fl_ippool_batch_write(f->batch, i)->key);
		/* after an unknown outcome: as they are by now */
		const struct value *v = f->known ? &f->read[i] : &store_entry(&sim->store, a)->now;
		int64_t at = f->known ? f->revision : sim->store.revision;

		feed(&sim->store, n->pool, a, v, v->exists ? v->revision : at);
	}
	sim->unknown += !f->known;
	*(f->won ? &sim->won : &sim->lost) += 1;
	fl_ippool_batch_done(f->batch, f->won, f->revision);
	settle(n, f);
	f->state = FLIGHT_NONE;
	f->n = 0;
}

/* Starts again with what the store says. What it had sent arrives before or never. */
static void do_crash(struct node *n)
{
	sim->crashes++;
	while (draw(3) && flight_in(n, FLIGHT_SENT))
		do_run(n);
	node_stop(n);
	node_start(n);
	for (int i = 0; i < EPS; i++) {
		struct ep *e = &n->eps[i];
		bool held = e->state != EP_NONE && sim->holder[offset(&e->addr)] == e->id;

		e->state = held ? EP_HELD : EP_NONE;
		e->in_flight = false;
	}
}

static void do_watch(struct node *n)
{
	store_tell(&sim->store, n->pool, &n->at, 1 + draw(20));
}

static void do_time(struct node *n)
{
	(void)n;
	sim->now += (int64_t)draw(3);
	store_expire(&sim->store, sim->now);
}

static void do_list(struct node *n)
{
	store_list(&sim->store, n->pool, &n->at, false);
}

static void step(void)
{
	static const struct {
		unsigned weight;
		void (*act)(struct node *n);
	} acts[] = { { 400, do_add },	 { 300, do_del },   { 200, do_send }, { 220, do_run },
		     { 220, do_answer }, { 300, do_watch }, { 30, do_time },  { 2, do_list },
		     { 1, do_crash },	 { 20, do_orphan }, { 20, do_read } };
	unsigned at = 0;

	for (size_t i = 0; i < FL_ARRAY_SIZE(acts); i++)
		at += acts[i].weight;
	at = (unsigned)draw(at);
	for (size_t i = 0; i < FL_ARRAY_SIZE(acts); i++) {
		if (at < acts[i].weight) {
			acts[i].act(&sim->nodes[draw(NODES)]);
			break;
		}
		at -= acts[i].weight;
	}
	/* The ring forgets nothing that a watch has not told. */
	for (int i = 0; i < NODES; i++)
		if (sim->store.end - sim->nodes[i].at > STORE_LOG / 2)
			store_tell(&sim->store, sim->nodes[i].pool, &sim->nodes[i].at, 1000);
}

/* ---- in the end ---- */

static uint64_t held(void)
{
	uint64_t n = 0;

	for (size_t i = 0; i < sim->n_addrs; i++)
		n += sim->holder[i] != 0;
	return n;
}

/* One that knows all leaves no orphan in its blocks, nor in nobody's. */
static void mend_all(struct node *n)
{
	struct flight *f = flight_in(n, FLIGHT_NONE);
	struct fl_ippool_mend m;

	store_list(&sim->store, n->pool, &n->at, false);
	do_read(n);
	do {
		m = mend(n, f->batch);
		CHECK(!m.unproven);
		CHECK(!m.n || store_run(&sim->store, n->pool, f->batch, sim->now));
	} while (m.n);
}

static void check_end(void)
{
	for (int i = 0; i < NODES; i++) {
		struct node *n = &sim->nodes[i];

		while (flight_in(n, FLIGHT_SENT))
			do_run(n);
		while (flight_in(n, FLIGHT_RUN))
			do_answer(n);
	}
	for (int i = 0; i < NODES; i++)
		mend_all(&sim->nodes[i]);
	for (size_t i = 0; i < sim->n_addrs; i++) {
		struct fl_addr a = fl_addr_add(sim->subnet.addr, i);

		CHECK(store_used(&sim->store, &a) == (sim->holder[i] != 0));
	}
	for (int i = 0; i < NODES; i++) {
		struct node *n = &sim->nodes[i];
		struct fl_ippool_count c;

		store_tell(&sim->store, n->pool, &n->at, SIZE_MAX);
		for (int k = 0; k < EPS; k++)
			if (n->eps[k].state == EP_CHOSEN)
				fl_ippool_cancel(n->pool, &n->eps[k].addr);
		c = fl_ippool_count(n->pool, sim->now);
		CHECK(c.used == held());
		CHECK(!c.pending);
		CHECK(c.used + c.free + c.quarantined + c.pending == c.total);
	}
}

static void run(uint64_t seed, int steps, const char *subnet, const char *gateway)
{
	start(seed, subnet, gateway);
	for (sim->step = 0; sim->step < steps; sim->step++)
		step();
	check_end();
	print_message(
		"%s: won %llu, lost %llu, unknown %llu, stale %llu, busy %llu, exhausted %llu, "
		"from quarantine %llu, crashes %llu, leaves %llu, mended %llu of %llu\n",
		subnet, (unsigned long long)sim->won, (unsigned long long)sim->lost,
		(unsigned long long)sim->unknown, (unsigned long long)sim->stale,
		(unsigned long long)sim->busy, (unsigned long long)sim->exhausted,
		(unsigned long long)sim->quarantined, (unsigned long long)sim->crashes,
		(unsigned long long)sim->left, (unsigned long long)sim->mended,
		(unsigned long long)sim->orphans);
	/* All of this has to have happened. */
	CHECK(sim->mended);
	CHECK(sim->won && sim->lost && sim->unknown && sim->stale && sim->crashes && sim->left);
	stop();
}

static void random_nodes(void **state)
{
	static const struct {
		const char *subnet, *gateway;
	} cases[] = { { "10.1.0.0/28", "10.1.0.1" },   { "10.1.0.0/24", "10.1.0.254" },
		      { "10.1.0.0/22", "10.1.2.2" },   { "10.1.0.0/21", "10.1.0.1" },
		      { "10.1.16.0/20", "10.1.20.0" }, { "fd00::/116", "fd00::fff" } };

	(void)state;
	for (uint64_t seed = 1; seed <= 2; seed++)
		for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++)
			run(100 * seed + i, i < 3 ? 20000 : 60000, cases[i].subnet,
			    cases[i].gateway);
}

/* Three nodes take one after another, with watches that lag: each address, and then no more. */
static void exhaustion(void **state)
{
	static const struct {
		const char *subnet, *gateway;
		uint64_t total;
	} cases[] = { { "10.1.0.0/28", "10.1.0.1", 13 },
		      { "10.1.0.0/24", "10.1.0.1", 253 },
		      { "10.1.0.0/20", "10.1.0.1", 4093 },
		      { "fd00::/117", "fd00::1", 2046 } };

	(void)state;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++) {
		uint64_t taken = 0, turn = 0;
		unsigned refused = 0;

		start(i + 1, cases[i].subnet, cases[i].gateway);
		for (; refused < 3; turn++) {
			struct node *n = &sim->nodes[turn % 3];
			struct fl_ippool_want w = { .now = sim->now, .random = draw(UINT64_MAX) };
			struct fl_ippool_at at = { .pool = n->pool };
			int r;

			CHECK(turn < 10 * cases[i].total + 100);
			w.who = who(n, &n->eps[0]);
			r = fl_ippool_choose(n->pool, &w, &at.addr, NULL);
			CHECK(!r || r == -ENOSPC);
			refused = r ? refused + 1 : 0;
			if (r)
				continue;
			CHECK(!fl_ippool_batch_add(n->flights[0].batch, &at, 1));
			taken += store_run(&sim->store, n->pool, n->flights[0].batch, sim->now);
			store_tell(&sim->store, n->pool, &n->at, draw(3));
		}
		CHECK(taken == cases[i].total);
		stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_nodes),
		cmocka_unit_test(exhaustion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
