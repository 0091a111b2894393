/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of nodes come and go for years: what nothing tells of any more is forgotten. */
#include "unit.h"

#include "overlay/agent.h"

static struct agent a;
static struct network net = { .a = &a, .rec.mode = FL_REC_L3 };
static const struct follow_ops *records, *alive;
static struct node *swept;

/* ---- the rest of the agent ---- */

void follow_start(struct follow *f, struct agent *agent, const char *prefix,
		  const struct follow_ops *ops, void *arg)
{
	(void)agent;
	(void)arg;
	f->synced = true;
	*(!strcmp(prefix, "node/") ? &records : &alive) = ops;
}

void follow_stop(struct follow *f)
{
	(void)f;
}

void say(const char *fmt, ...)
{
	(void)fmt;
}

int64_t now_s(void)
{
	return 1;
}

int64_t now_ms(void)
{
	return 1000;
}

void member_doubt(struct agent *agent, int64_t revision)
{
	(void)agent;
	(void)revision;
}

void networks_touch_node(struct agent *agent, const struct node *n)
{
	(void)agent;
	table_touch_node(&net, n);
}

void networks_know_nodes(struct agent *agent)
{
	(void)agent;
}

void networks_settle(struct agent *agent)
{
	(void)agent;
}

void sweep_check(struct agent *agent)
{
	(void)agent;
}

bool sweep_is_of(const struct agent *agent, const struct node *n)
{
	(void)agent;
	return n == swept;
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

void ignore(struct agent *agent, const char *key, int64_t revision, const struct fl_error *why)
{
	(void)agent;
	fail_msg("%s at %lld: %s", key, (long long)revision, why->text);
}

/* ---- what the store tells ---- */

static void tell_record(const char *name, bool there)
{
	static const char text[] =
		"{\"v\":1,\"vtep4\":\"192.0.2.9\",\"mtu\":1500,\"port\":4789,\"epoch\":1}";
	struct fl_etcd_kv kv = { .key = (char *)"node/x",
				 .value = (char *)text,
				 .value_len = sizeof(text) - 1 };
	struct fl_rec_key key = { .kind = FL_REC_NODE };

	fl_strcpy(key.id, sizeof(key.id), name);
	records->change(&a, &key, there ? &kv : NULL, 2);
}

static void tell_life(const char *name, bool there)
{
	struct fl_etcd_kv kv = { .key = (char *)"alive/x" };
	struct fl_rec_key key = { .kind = FL_REC_ALIVE };

	fl_strcpy(key.id, sizeof(key.id), name);
	alive->change(&a, &key, there ? &kv : NULL, 2);
}

static void put(const char *id, const char *node, uint8_t n)
{
	struct ep e = { .node = node_get(&a, node),
			.mac = { { 2, 0, 0, 0, 0, n } },
			.ip = { { AF_INET, { 10, 5, 0, n } } } };

	fl_strcpy(e.id, sizeof(e.id), id);
	table_put(&net, &e);
}

static void hold(const char *node, uint8_t n, int64_t revision)
{
	const struct fl_prefix block = { { AF_INET, { 10, 5, n, 0 } }, 26 };

	table_put_block(&net, &block, node, revision);
}

static bool is_known(const char *name)
{
	struct node *n;

	nodes_tidy(&a);
	HASH_FIND_STR(a.nodes, name, n);
	return n;
}

/* ---- the tests ---- */

static int set_up(void **state)
{
	struct fl_error err = { 0 };

	(void)state;
	assert_int_equal(fl_nl_open(&a.nl, &err), 0);
	a.conf.node = (char *)"self";
	nodes_start(&a);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	table_clear(&net);
	nodes_stop(&a);
	fl_nl_close(a.nl);
	swept = NULL;
	return 0;
}

static void records_and_life(void **state)
{
	(void)state;
	tell_record("one", true);
	assert_true(is_known("one"));
	tell_life("one", true);
	tell_record("one", false);
	assert_true(is_known("one"));
	tell_life("one", false);
	assert_false(is_known("one"));
	node_get(&a, "self");
	assert_true(is_known("self"));
}

static void what_is_its(void **state)
{
	(void)state;
	put("e1", "one", 1);
	put("e2", "one", 2);
	put("e2", "one", 3); /* another address: it is the same one */
	put("e3", "two", 4);
	assert_true(is_known("one") && is_known("two"));
	put("e3", "one", 4); /* it has moved */
	assert_false(is_known("two"));
	table_del(&net, "e1");
	table_del(&net, "e1");
	table_del(&net, "e2");
	assert_true(is_known("one"));
	table_del(&net, "e3");
	assert_false(is_known("one"));
}

static void its_blocks(void **state)
{
	(void)state;
	hold("one", 1, 5);
	hold("one", 1, 6);
	hold("two", 2, 6);
	assert_true(is_known("one") && is_known("two"));
	hold("two", 1, 7);
	assert_false(is_known("one"));
	hold(NULL, 1, 8);
	assert_true(is_known("two"));
	hold("", 2, 9);
	assert_false(is_known("two"));
}

static void a_network_is_left(void **state)
{
	(void)state;
	put("e1", "one", 1);
	hold("two", 1, 5);
	table_clear(&net);
	assert_false(is_known("one") || is_known("two"));
}

static void what_is_swept(void **state)
{
	(void)state;
	swept = node_get(&a, "one");
	assert_true(is_known("one"));
	swept = NULL;
	assert_false(is_known("one"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_and_life, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_its, set_up, tear_down),
		cmocka_unit_test_setup_teardown(its_blocks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_network_is_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_swept, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
