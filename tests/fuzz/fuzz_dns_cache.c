/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sequence of what is put into a cache and asked of it, with messages of an attacker's choice.
 * Each step is a byte of flags, one of time and a length with as many bytes: an answer, which is
 * put under the question that it carries, and whose question is then asked.
 */
#include "dns/cache.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP = 4, SIZE = 16384 };
enum {
	EDNS = 1,
	DNSSEC_OK = 2,
	OTHER_OWNER = 4,
	NARROW = 8,
	CLEAR = 16,
	UPPER = 32,
	LONG_TIME = 64
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* The query with the answer's question, id and bits, as it would be read. False: there is none. */
static bool query_of(const uint8_t *msg, size_t len, const struct fl_dns_facts *f, uint8_t *asked,
		     struct fl_dns_query *q)
{
	if (len < f->question_end || f->question_end > FL_DNS_HEADER + FL_DNS_NAME_MAX + 4)
		return false;
	memcpy(asked, msg, f->question_end);
	fl_dns_set16(asked + 2, fl_dns_get16(msg + 2) & (FL_DNS_RD | FL_DNS_AD | FL_DNS_CD));
	memset(asked + 6, 0, 6);
	return !fl_dns_query_parse(asked, f->question_end, q) && q->name.len;
}

static void check_answer(const uint8_t *out, size_t len, size_t room, const uint8_t *asked,
			 size_t asked_len, const struct fl_dns_query *q)
{
	struct fl_dns_facts g;

	must(len <= room);
	must(!fl_dns_inspect(out, len, &g) && g.complete);
	must(fl_dns_is_answer(out, len, asked, asked_len));
	must(g.opt == q->edns && g.rcode != FL_DNS_SERVFAIL);
	must(g.truncated || (g.ttl > 0 && g.cacheable));
	must(!memcmp(out + FL_DNS_HEADER, asked + FL_DNS_HEADER, q->question_len));
}

static void get(struct cache *c, uint64_t owner, const struct fl_dns_query *q, const uint8_t *asked,
		size_t asked_len, uint64_t now, size_t room)
{
	uint8_t *out = malloc(CACHE_ENTRY_MAX + FL_DNS_OPT_SIZE);
	size_t before = cache_used(c), len;

	must(out);
	len = cache_get(c, owner, q, asked, now, out, room);
	if (len)
		check_answer(out, len, room, asked, asked_len, q);
	must(cache_used(c) <= before);
	free(out);
}

/* Only what a server may have answered to that query comes so far (dns/forward.c). */
static void step(struct cache *c, uint8_t flags, uint64_t now, const uint8_t *msg, size_t len)
{
	uint8_t asked[FL_DNS_HEADER + FL_DNS_NAME_MAX + 4];
	uint64_t owner = flags & OTHER_OWNER ? 2 : 1;
	struct fl_dns_query q;
	struct fl_dns_facts f;

	if (flags & CLEAR)
		cache_clear(c);
	if (fl_dns_inspect(msg, len, &f) || !f.complete || !query_of(msg, len, &f, asked, &q))
		return;
	q.edns = flags & EDNS;
	q.dnssec_ok = flags & DNSSEC_OK;
	if (f.cacheable && fl_dns_is_answer(msg, len, asked, f.question_end))
		cache_put(c, owner, &q, msg, &f, now);
	must(cache_used(c) <= SIZE);
	if (flags & UPPER)
		for (size_t i = FL_DNS_HEADER; i < FL_DNS_HEADER + (size_t)q.name.len; i++)
			asked[i] = asked[i] >= 'a' && asked[i] <= 'z' ? asked[i] - 0x20 : asked[i];
	get(c, owner, &q, asked, f.question_end, now,
	    flags & NARROW ? FL_DNS_UDP_MIN : FL_DNS_MESSAGE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cache *c = cache_new(SIZE);
	size_t empty = cache_used(c);
	uint64_t now = 0;

	must(c);
	while (size >= STEP) {
		size_t len = fl_dns_get16(data + 2);
		uint8_t *msg;

		len = len < size - STEP ? len : size - STEP;
		msg = malloc(len ? len : 1); /* of its own, so that a byte too far is seen */
		must(msg);
		memcpy(msg, data + STEP, len);
		now += (uint64_t)data[1] * (data[0] & LONG_TIME ? 1000000 : 100);
		step(c, data[0], now, msg, len);
		free(msg);
		data += STEP + len;
		size -= STEP + len;
	}
	cache_clear(c);
	must(cache_used(c) == empty && !cache_entries(c));
	cache_free(c);
	return 0;
}
