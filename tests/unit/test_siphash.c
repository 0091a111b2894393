/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes 00, 01, ... under the key of zeros, as CPython's hash() of bytes has them with
 * PYTHONHASHSEED=0. */
#include "unit.h"

#include "base/cleanup.h"
#include "base/siphash.h"

static void test_vectors(void **state)
{
	static const struct {
		size_t len;
		uint64_t want;
	} cases[] = {
		{ 1, 0x68a914128e01e473 },  { 3, 0x4d4c9a4a8ef6e0ad },	{ 7, 0x2f098ab0c751325a },
		{ 8, 0xead411e67ebe2eea },  { 9, 0x75927f9d95124362 },	{ 15, 0xf30eb725bb91c9ea },
		{ 16, 0x8972188433a5c5b7 }, { 17, 0x4883c49a2c009c1d }, { 31, 0x169739443111d49b },
	};
	uint8_t key[16] = { 0 }, in[64];

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)i;
	for (size_t i = 0; i < FL_ARRAY_SIZE(cases); i++)
		assert_int_equal(fl_siphash(key, in, cases[i].len), cases[i].want);
	/* The key 00, 01, ..., and nothing: of the reference implementation's family of vectors. */
	assert_int_equal(fl_siphash(in, in, 0), 0xabac0158050fc4dc);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
