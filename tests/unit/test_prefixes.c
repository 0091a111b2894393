/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A prefix is told in many turns of the loop: what this node does between two of them stays. */
#include "unit.h"

#include "overlay/agent.h"

#include <stdlib.h>

enum { READ = 100 }; /* the revision that is told anew */

static struct agent a;
static struct network net;
static struct node self = { .name = "node1", .self = true }, other = { .name = "node2" };
static bool doubt;

/* ---- the rest of the agent ---- */

void follow_start(struct follow *f, struct agent *agent, const char *prefix,
		  const struct follow_ops *ops, void *arg)
{
	*f = (struct follow){ .a = agent, .ops = ops, .arg = arg };
	fl_strcpy(f->prefix, sizeof(f->prefix), prefix);
}

void follow_restored(struct follow *f)
{
	f->synced = false;
}

struct node *node_get(struct agent *agent, const char *name)
{
	(void)agent;
	return strcmp(name, self.name) ? &other : &self;
}

struct fl_ippool *network_pool(struct network *n, const struct fl_addr *addr)
{
	(void)addr;
	return n->pools[0];
}

bool restore_in_doubt(const struct agent *agent)
{
	(void)agent;
	return doubt;
}

bool network_synced(const struct network *n)
{
	(void)n;
	return false;
}

void network_known(struct network *n)
{
	(void)n;
}

void network_settle(struct network *n)
{
	(void)n;
}

void sweep_check(struct agent *agent)
{
	(void)agent;
}

void network_lost_record(struct network *n)
{
	(void)n;
}

void network_adopt_later(struct network *n)
{
	(void)n;
}

void mirror_put(struct network *n, struct ep *e)
{
	(void)n;
	(void)e;
}

void mirror_del(struct network *n, const char *id)
{
	(void)n;
	(void)id;
}

void endpoint_freed(struct network *n, const struct fl_addr *addr)
{
	(void)n;
	(void)addr;
}

int check_ownership(const struct network *n, const struct fl_addr *ip4, const struct fl_addr *ip6,
		    const struct fl_mac *mac, struct fl_error *err)
{
	(void)n;
	(void)ip4;
	(void)ip6;
	(void)mac;
	(void)err;
	return 0;
}

void ignore(struct agent *agent, const char *key, int64_t revision, const struct fl_error *why)
{
	(void)agent;
	fail_msg("%s at %lld: %s", key, (long long)revision, why->text);
}

/* ---- endpoints ---- */

static struct fl_rec record(const char *node, unsigned n)
{
	struct fl_rec r = { .kind = FL_REC_EP };
	char text[FL_ADDR_STR];

	fl_strcpy(r.ep.node, sizeof(r.ep.node), node);
	snprintf(r.ep.container, sizeof(r.ep.container), "c%u", n);
	fl_strcpy(r.ep.ifname, sizeof(r.ep.ifname), "eth0");
	r.ep.epoch = 1;
	r.ep.mac = (struct fl_mac){ { 2, 0, 0, 0, 0, (uint8_t)n } };
	snprintf(text, sizeof(text), "10.5.0.%u", n);
	assert_int_equal(fl_addr_parse(text, &r.ep.ip4), 0);
	return r;
}

static const char *id_of(unsigned n)
{
	static char id[8];

	snprintf(id, sizeof(id), "e%u", n);
	return id;
}

/* What the store says; `n` is also the last byte of its address. `node` NULL: it is gone. */
static void tell(unsigned n, const char *node, int64_t revision)
{
	FL_AUTOSTRBUF struct fl_strbuf value = { 0 };
	struct fl_rec_key key = { .kind = FL_REC_EP };
	struct fl_etcd_kv kv = { .key = (char *)"ep/x", .mod_revision = revision };
	struct fl_rec r = record(node ? node : "", n);

	fl_strcpy(key.id, sizeof(key.id), id_of(n));
	if (node)
		assert_int_equal(fl_rec_encode(&r, &value), 0);
	kv.value = value.s;
	kv.value_len = value.len;
	net.eps.ops->change(&net, &key, node ? &kv : NULL, revision);
}

/* A transaction of this node was done. */
static void write_own(unsigned n, int64_t revision)
{
	struct fl_rec r = record(self.name, n);

	network_put_ep(&net, id_of(n), &r.ep, revision);
}

static bool is_there(unsigned n)
{
	struct fl_rec r = record(self.name, n);
	const struct ep *owner = table_owner(&net, &r.ep.ip4);

	assert_true(owner == table_find(&net, id_of(n)));
	return owner;
}

static void end(void)
{
	net.eps.revision = READ;
	net.eps.ops->synced(&net);
	net.eps.restored = false;
}

static int begin(void **state)
{
	(void)state;
	doubt = false;
	a.conf.node = self.name;
	net = (struct network){ .a = &a };
	fl_strcpy(net.id, sizeof(net.id), "0123456789abcdef");
	network_observe(&net);
	net.eps.ops->begin(&net);
	for (unsigned n = 1; n <= 6; n++)
		tell(n, n % 2 ? "node1" : "node2", 10 + n);
	end();
	for (unsigned n = 1; n <= 6; n++)
		assert_true(is_there(n));
	return 0;
}

static int clear(void **state)
{
	(void)state;
	table_clear(&net);
	return 0;
}

static void test_what_is_not_told_is_gone(void **state)
{
	(void)state;
	net.eps.ops->begin(&net);
	tell(1, "node1", 11);
	tell(2, "node2", 12);
	tell(9, "node2", 50);
	assert_true(is_there(3) && is_there(4)); /* until all is told */
	end();
	assert_true(is_there(1) && is_there(2) && is_there(9));
	for (unsigned n = 3; n <= 6; n++)
		assert_false(is_there(n));
}

/* New ones, one that came after the reading and before the telling, one of an earlier endpoint, and
 * one that is told of later than it was written. */
static void test_own_writes_between(void **state)
{
	(void)state;
	write_own(9, READ + 4);
	net.eps.ops->begin(&net);
	tell(1, "node1", 11);
	write_own(7, READ + 1);
	write_own(3, READ + 2); /* and is not in what was read */
	write_own(5, READ + 3);
	tell(5, "node2", 15);
	end();
	assert_true(is_there(1) && is_there(3) && is_there(5) && is_there(7) && is_there(9));
	assert_false(is_there(2) || is_there(4) || is_there(6));
	assert_true(table_find(&net, id_of(5))->node == &self);
	assert_int_equal(table_find(&net, id_of(5))->mod, READ + 3);
	assert_int_equal(net.n_local, 5);
	assert_int_equal(net.n_remote, 0);
}

/* What was read has it still; the watch, which begins behind that, tells of its end. */
static void test_own_deletion_between(void **state)
{
	(void)state;
	net.eps.ops->begin(&net);
	tell(1, "node1", 11);
	table_del(&net, id_of(1));
	table_del(&net, id_of(3));
	tell(3, "node1", 13);
	assert_true(net.reconcile); /* as one of an earlier life: looked at before it is believed */
	end();
	assert_false(is_there(1));
	tell(1, NULL, READ + 1);
	tell(3, NULL, READ + 2);
	assert_false(is_there(1) || is_there(3));
	assert_int_equal(net.n_local, 0);
}

/* Revisions of the former store count for nothing, what was written to this one does. */
static void test_own_writes_to_a_restored_store(void **state)
{
	(void)state;
	net.eps.restored = true;
	write_own(3, 7 * READ); /* to the former one */
	net.eps.ops->begin(&net);
	tell(1, "node1", 11);
	write_own(5, READ + 1);
	write_own(8, READ + 2);
	end();
	assert_true(is_there(1) && is_there(5) && is_there(8));
	assert_false(is_there(2) || is_there(3) || is_there(4) || is_there(6));
	assert_int_equal(net.n_local, 3);
}

/* While others may write again what the backup has not, nothing goes. */
static void test_in_doubt(void **state)
{
	(void)state;
	doubt = net.eps.restored = true;
	net.eps.ops->begin(&net);
	tell(1, "node1", 11);
	write_own(8, READ + 2);
	end();
	for (unsigned n = 1; n <= 6; n++)
		assert_true(is_there(n));
	assert_false(table_find(&net, id_of(3))->seen);
	network_end_doubt(&net);
	assert_true(is_there(1) && is_there(8));
	for (unsigned n = 2; n <= 6; n++)
		assert_false(is_there(n));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, clear)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_is_not_told_is_gone),
		CASE(test_own_writes_between),
		CASE(test_own_deletion_between),
		CASE(test_own_writes_to_a_restored_store),
		CASE(test_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
