/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/cleanup.h"
#include "dns/memo.h"

#include <string.h>

static const uint8_t query[] = { 0x12, 0x34, 1, 0, 0, 1, 'w', 'e', 'b' };
static const uint8_t again[] = { 0x56, 0x78, 1, 0, 0, 1, 'w', 'e', 'b' };
static const uint8_t other[] = { 0x12, 0x34, 1, 0, 0, 1, 'w', 'e', 'c' };
static const uint8_t answer[] = { 0x12, 0x34, 0x85, 0x80, 0, 1, 9, 8, 7, 6 };

static int set_up(void **state)
{
	*state = memo_new();
	return !*state;
}

static int tear_down(void **state)
{
	memo_free(*state);
	return 0;
}

static void test_same_words(void **state)
{
	uint8_t out[MEMO_ANSWER_MAX];
	struct memo *m = *state;

	assert_int_equal(memo_get(m, 7, 1, query, sizeof(query), out), 0);
	memo_put(m, 7, 1, query, sizeof(query), answer, sizeof(answer));
	assert_int_equal(memo_get(m, 7, 1, again, sizeof(again), out), sizeof(answer));
	/* With the id of who asks now. */
	assert_memory_equal(out, again, 2);
	assert_memory_equal(out + 2, answer + 2, sizeof(answer) - 2);
}

static void test_anything_else(void **state)
{
	uint8_t out[MEMO_ANSWER_MAX];
	struct memo *m = *state;

	memo_put(m, 7, 1, query, sizeof(query), answer, sizeof(answer));
	assert_int_equal(memo_get(m, 8, 1, query, sizeof(query), out), 0); /* the store changed */
	assert_int_equal(memo_get(m, 7, 2, query, sizeof(query), out),
			 0); /* who sees other names */
	assert_int_equal(memo_get(m, 7, 1, other, sizeof(other), out), 0); /* another name */
	assert_int_equal(memo_get(m, 7, 1, query, sizeof(query) - 1, out),
			 0); /* the beginning of it */
	assert_int_equal(memo_get(m, 7, 1, query, sizeof(query), out), sizeof(answer));
}

static void test_sizes(void **state)
{
	uint8_t long_query[MEMO_QUERY_MAX + 1] = { 1 }, long_answer[MEMO_ANSWER_MAX + 1] = { 2 },
					    out[MEMO_ANSWER_MAX];
	struct memo *m = *state;

	memo_put(m, 7, 1, long_query, MEMO_QUERY_MAX + 1, answer, sizeof(answer));
	assert_int_equal(memo_get(m, 7, 1, long_query, MEMO_QUERY_MAX + 1, out), 0);
	memo_put(m, 7, 1, long_query, MEMO_QUERY_MAX, long_answer, MEMO_ANSWER_MAX + 1);
	assert_int_equal(memo_get(m, 7, 1, long_query, MEMO_QUERY_MAX, out), 0);
	memo_put(m, 7, 1, long_query, MEMO_QUERY_MAX, long_answer, MEMO_ANSWER_MAX);
	assert_int_equal(memo_get(m, 7, 1, long_query, MEMO_QUERY_MAX, out), MEMO_ANSWER_MAX);
	memo_put(m, 7, 1, query, 2, answer, sizeof(answer));
	assert_int_equal(memo_get(m, 7, 1, query, 2, out), 0);
	assert_int_equal(memo_get(m, 7, 1, query, 0, out), 0);
}

/* How many of `n` questions, each asked `times` in a row, were answered. */
static unsigned ask(struct memo *m, unsigned n, unsigned times)
{
	uint8_t q[12] = { 0 }, out[MEMO_ANSWER_MAX];
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++) {
		memcpy(q + 4, &i, sizeof(i));
		for (unsigned t = 0; t < times; t++) {
			if (memo_get(m, 7, 1, q, sizeof(q), out))
				found++;
			else
				memo_put(m, 7, 1, q, sizeof(q), answer, sizeof(answer));
		}
	}
	return found;
}

static void test_not_worth_it_and_worth_it_again(void **state)
{
	struct memo *m = *state;

	assert_int_equal(ask(m, 5000, 1), 0);
	/* Now one in sixteen is looked at, and that is enough to notice. */
	assert_true(ask(m, 1, 100) < 20);
	ask(m, 1, 40000);
	assert_true(ask(m, 1, 100) > 90);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_same_words, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_anything_else, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_worth_it_and_worth_it_again, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
