/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The last answers from the store, for questions that are asked again in the same words. An answer
 * is good for one state of the store (`txn`, fl_txn_id()) and for who sees the same of it
 * (`scope`), so that it is never older than the store. Where questions hardly ever repeat, most are
 * neither looked up nor kept. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct memo;

enum { MEMO_QUERY_MAX = 64, MEMO_ANSWER_MAX = 104 }; /* longer ones are not kept */

struct memo *memo_new(void);
void memo_free(struct memo *m);
/*
 * The answer to a message that is equal but for its id, which is set. `out` has room for
 * MEMO_ANSWER_MAX. Returns its length, 0: there is none.
 */
size_t memo_get(struct memo *m, uint64_t txn, uint64_t scope, const uint8_t *query, size_t len,
		uint8_t *out);
/* Behind a memo_get() that found none. */
void memo_put(struct memo *m, uint64_t txn, uint64_t scope, const uint8_t *query, size_t len,
	      const uint8_t *answer, size_t answer_len);
