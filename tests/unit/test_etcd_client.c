/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of requests and watches when nobody answers: cancelled, freed, too many. */
#include "cluster/etcd.h"

#include "unit.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

static const char *const endpoints[] = { "http://127.0.0.1:1", "http://[::1]:1" };

struct world {
	struct event_base *base;
	struct fl_etcd *c;
	unsigned done, states;
	enum fl_etcd_outcome last;
	struct fl_etcd_call *other; /* to be cancelled by the next that is done */
};

static struct fl_etcd_config config(void)
{
	return (struct fl_etcd_config){ .endpoints = endpoints,
					.n_endpoints = FL_ARRAY_SIZE(endpoints),
					.cluster = "test" };
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct fl_etcd_config f = config();
	struct fl_error err;

	w->base = event_base_new();
	*state = w;
	return fl_etcd_new(w->base, &f, &w->c, &err);
}

static int teardown(void **state)
{
	struct world *w = *state;

	fl_etcd_free(w->c);
	event_base_free(w->base);
	free(w);
	return 0;
}

static void on_done(void *arg, struct fl_etcd_result *r)
{
	struct world *w = arg;

	w->done++;
	w->last = r->outcome;
	if (w->other)
		fl_etcd_cancel(fl_take_ptr(w->other));
}

static void on_ended(void *arg, enum fl_etcd_end why, int64_t revision)
{
	(void)arg;
	(void)why;
	(void)revision;
	fail();
}

static void on_state(void *arg, const struct fl_error *err)
{
	struct world *w = arg;

	assert_non_null(err);
	w->states++;
}

static void on_events(void *arg, const struct fl_etcd_event *events, size_t n)
{
	(void)arg;
	(void)events;
	(void)n;
	fail();
}

static int range(struct world *w, struct fl_etcd_call **ret)
{
	return fl_etcd_range(w->c, &(struct fl_etcd_range){ .key = "a" }, on_done, w, ret, NULL);
}

static void run_until(struct world *w, const unsigned *count, unsigned n)
{
	while (*count < n)
		assert_int_equal(event_base_loop(w->base, EVLOOP_ONCE), 0);
}

static void one_call_each(void **state)
{
	struct world *w = *state;

	assert_int_equal(range(w, NULL), 0);
	assert_int_equal(fl_etcd_put(w->c, "a", "b", 1, 0, on_done, w, NULL, NULL), 0);
	assert_int_equal(w->done, 0); /* never from inside */
	run_until(w, &w->done, 2);
	assert_int_equal(w->last, FL_ETCD_NOT_REACHED);
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	assert_int_equal(w->done, 2);
}

static void cancelled(void **state)
{
	struct world *w = *state;
	struct fl_etcd_call *call;

	assert_int_equal(range(w, &call), 0);
	fl_etcd_cancel(call); /* before anything happened */
	assert_int_equal(range(w, NULL), 0);
	assert_int_equal(range(w, &w->other), 0); /* under way, by the first */
	assert_int_equal(range(w, NULL), 0);
	run_until(w, &w->done, 2);
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	assert_int_equal(w->done, 2);
}

static void freed_while_all_is_under_way(void **state)
{
	struct world *w = *state;
	struct fl_etcd_watch_ops ops = { on_events, on_ended, on_state, w };
	struct fl_etcd_watch *watch;

	for (int i = 0; i < 10; i++) {
		assert_int_equal(range(w, NULL), 0);
		assert_int_equal(fl_etcd_watch(w->c, "a/", 0, &ops, &watch, NULL), 0);
	}
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	fl_etcd_watch_stop(watch);
}

static void a_watch_keeps_trying(void **state)
{
	struct world *w = *state;
	struct fl_etcd_watch_ops ops = { on_events, on_ended, on_state, w };
	struct fl_etcd_watch *watch;

	assert_int_equal(fl_etcd_watch(w->c, "a/", 0, &ops, &watch, NULL), 0);
	run_until(w, &w->states, 2);
	assert_null(fl_etcd_watch_endpoint(watch));
	assert_true(fl_etcd_stats(w->c)->watch_restarts >= 2);
}

static void too_many(void **state)
{
	struct world *w = *state;
	struct fl_error err;

	for (int i = 0; i < FL_ETCD_CALLS_MAX; i++)
		assert_int_equal(range(w, NULL), 0);
	assert_int_equal(range(w, NULL), -EBUSY);
	assert_int_equal(fl_etcd_lease_grant(w->c, 5, on_done, w, NULL, &err), -EBUSY);
}

static void wrong_requests(void **state)
{
	struct world *w = *state;
	struct fl_etcd_watch_ops ops = { on_events, on_ended, on_state, w };
	struct fl_etcd_watch *watch;
	char key[FL_ETCD_KEY_MAX + 2];

	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = '\0';
	assert_int_equal(
		fl_etcd_range(w->c, &(struct fl_etcd_range){ .key = key }, on_done, w, NULL, NULL),
		-EINVAL);
	assert_int_equal(
		fl_etcd_range(w->c, &(struct fl_etcd_range){ .key = "" }, on_done, w, NULL, NULL),
		-EINVAL);
	assert_int_equal(fl_etcd_watch(w->c, key, 0, &ops, &watch, NULL), -EINVAL);
	assert_int_equal(fl_etcd_watch(w->c, "a", -1, &ops, &watch, NULL), -EINVAL);
	assert_int_equal(fl_etcd_put(w->c, key, "", 0, 0, on_done, w, NULL, NULL), -EINVAL);
	assert_int_equal(fl_etcd_delete(w->c, "", on_done, w, NULL, NULL), -EINVAL);
	assert_int_equal(fl_etcd_lease_grant(w->c, 0, on_done, w, NULL, NULL), -EINVAL);
	assert_int_equal(fl_etcd_lease_grant(w->c, 86401, on_done, w, NULL, NULL), -EINVAL);
	assert_int_equal(fl_etcd_lease(w->c, FL_ETCD_REVOKE, 0, on_done, w, NULL, NULL), -EINVAL);
	assert_int_equal(w->done, 0);
}

static void wrong_settings(void **state)
{
	struct world *w = *state;
	struct fl_etcd *c = NULL;
	struct fl_etcd_config f;
	char name[65];

	f = config();
	f.n_endpoints = 0;
	assert_int_equal(fl_etcd_new(w->base, &f, &c, NULL), -EINVAL);
	f = config();
	f.cluster = NULL;
	assert_int_equal(fl_etcd_new(w->base, &f, &c, NULL), -EINVAL);
	memset(name, 'c', sizeof(name));
	name[64] = '\0';
	f.cluster = name;
	assert_int_equal(fl_etcd_new(w->base, &f, &c, NULL), -EINVAL);
	f = config();
	f.key_file = "/dev/null";
	assert_int_equal(fl_etcd_new(w->base, &f, &c, NULL), -EINVAL);
	f = config();
	f.user = "u";
	assert_int_equal(fl_etcd_new(w->base, &f, &c, NULL), -EINVAL);
	f.password_file = "/nonexistent";
	assert_int_equal(fl_etcd_new(w->base, &f, &c, NULL), -ENOENT);
	f.password_file = "/dev/null";
	assert_int_equal(fl_etcd_new(w->base, &f, &c, NULL), -EINVAL);
	assert_null(c);
	name[63] = '\0';
	f = config();
	f.cluster = name;
	assert_int_equal(fl_etcd_new(w->base, &f, &c, NULL), 0);
	assert_int_equal(strlen(fl_etcd_prefix(c)), 63 + 5);
	fl_etcd_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_call_each, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_while_all_is_under_way, setup, teardown),
		cmocka_unit_test_setup_teardown(a_watch_keeps_trying, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_settings, setup, teardown),
	};

	/* Nobody listens there, and in a namespace of our own nobody can. */
	if (unshare(CLONE_NEWNET))
		print_message("in the machine's namespace: %s\n", strerror(errno));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
