/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a foreign server, or anyone in its place, may answer; and what is made of it for a stub. */
#include "dns/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static uint8_t *copy(const uint8_t *data, size_t size, size_t more)
{
	uint8_t *to = malloc(size + more);

	must(to);
	memcpy(to, data, size);
	return to;
}

static void check_facts(const uint8_t *data, size_t size, const struct fl_dns_facts *f)
{
	must(f->question_end >= FL_DNS_HEADER && f->question_end <= f->records_end);
	must(f->records_end <= size);
	must(f->opt || f->records_end == size);
	must(f->opt || f->rcode < 16);
	must(!f->cacheable || (!f->truncated && (f->rcode == 0 || f->rcode == 3)));
	must(!f->cacheable || f->ttl <= INT32_MAX);
	must(f->additional + f->opt == fl_dns_get16(data + 10));
}

/* An answer is one to its own question. */
static void check_own_question(const uint8_t *data, size_t size)
{
	uint8_t *sent = copy(data, size, 0);

	sent[2] &= 0x7f;
	if (data[2] & 0x80 && fl_dns_get16(data + 4) == 1)
		must(fl_dns_is_answer(data, size, sent, size));
	must(!fl_dns_is_answer(sent, size, data, size));
	free(sent);
}

static void check_age(const uint8_t *data, size_t size, const struct fl_dns_facts *f,
		      uint32_t seconds)
{
	uint8_t *aged = copy(data, size, 0);
	struct fl_dns_facts g;

	fl_dns_age(aged, size, seconds);
	must(!fl_dns_inspect(aged, size, &g) && g.complete);
	must(g.cacheable == f->cacheable && g.rcode == f->rcode && g.opt == f->opt);
	must(g.records_end == f->records_end && g.question_end == f->question_end);
	if (f->cacheable)
		must(g.ttl <= f->ttl && (seconds || g.ttl == f->ttl));
	free(aged);
}

static void check_fit(const uint8_t *data, size_t size, const struct fl_dns_facts *f, bool edns,
		      size_t room)
{
	struct fl_dns_query q = { .edns = edns, .dnssec_ok = data[0] & 1 };
	uint8_t *fitted = copy(data, size, FL_DNS_OPT_SIZE);
	size_t len = fl_dns_fit(fitted, size, f, &q, room);
	struct fl_dns_facts g;

	must(len <= room && len <= size + FL_DNS_OPT_SIZE);
	must(!fl_dns_inspect(fitted, len, &g) && g.complete);
	must(g.opt == edns);
	must(g.rcode == (edns || f->rcode < 16 ? f->rcode : FL_DNS_SERVFAIL));
	must(g.truncated || !f->truncated);
	/* cut only where it would not fit */
	must(g.truncated == f->truncated || size + FL_DNS_OPT_SIZE > room);
	must(g.question_end == f->question_end || g.truncated);
	must(!memcmp(fitted + FL_DNS_HEADER, data + FL_DNS_HEADER, g.question_end - FL_DNS_HEADER));
	free(fitted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fl_dns_facts f;

	fl_dns_is_answer(data, size / 2, data + size / 2, size - size / 2);
	if (fl_dns_inspect(data, size, &f))
		return 0;
	if (!f.complete) {
		must(!f.cacheable);
		return 0;
	}
	check_facts(data, size, &f);
	check_own_question(data, size);
	for (uint32_t seconds = 0; seconds < 1000; seconds += 333)
		check_age(data, size, &f, seconds);
	for (int edns = 0; edns < 2; edns++) {
		check_fit(data, size, &f, edns, FL_DNS_UDP_MIN);
		check_fit(data, size, &f, edns, FL_DNS_UDP_MIN + data[1]);
		check_fit(data, size, &f, edns, FL_DNS_MESSAGE_MAX);
	}
	return 0;
}
