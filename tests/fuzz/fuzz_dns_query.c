/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What anyone may ask; every reply that is built to it has to be a whole message, within its size.
 */
#include "dns/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_query(const struct fl_dns_query *q)
{
	size_t at = 0;

	must(q->udp_size >= FL_DNS_UDP_MIN && q->udp_size <= FL_DNS_UDP_MAX);
	must(q->edns || (!q->dnssec_ok && q->udp_size == FL_DNS_UDP_MIN));
	must(q->question_len == (q->name.len ? q->name.len + 4 : 0));
	if (!q->name.len)
		return;
	while (q->name.b[at]) {
		must(q->name.b[at] <= FL_DNS_LABEL_MAX);
		at += 1 + (size_t)q->name.b[at];
		must(at < q->name.len);
	}
	must(at + 1 == q->name.len);
	for (size_t i = 0; i < q->name.len; i++)
		must(q->name.b[i] < 'A' || q->name.b[i] > 'Z');
}

/* As many records, of as many kinds, as the query's id says. */
static void put_records(struct fl_dns_reply *r, const struct fl_dns_query *q)
{
	struct fl_addr v4 = { .family = AF_INET, .b = { 10, 0, 0, 1 } },
		       v6 = { .family = AF_INET6, .b = { 0xfd } };

	for (unsigned i = q->id & 63; i && q->name.len; i--) {
		fl_dns_put_addr(r, FL_DNS_ANSWER, NULL, i, i & 1 ? &v4 : &v6);
		if (q->id & 64)
			fl_dns_put_ptr(r, i, &q->name);
		if (q->id & 128)
			fl_dns_put_srv(r, i, 1, 2, 3, &q->name);
	}
	if (q->id & 256)
		fl_dns_put_soa(r, q->name.len && q->id & 512 ? &q->name : NULL, 30);
	for (unsigned i = q->id >> 12; i && q->name.len; i--)
		fl_dns_put_addr(r, FL_DNS_ADDITIONAL, &q->name, i, &v6);
}

/* In the place of the query, as a server does it, on memory of exactly the size that it gives. */
static void check_reply(const uint8_t *data, const struct fl_dns_query *q, uint16_t rcode)
{
	size_t head = FL_DNS_HEADER + (size_t)q->question_len, len;
	uint8_t *buf = malloc(q->udp_size);
	struct fl_dns_reply r;
	struct fl_dns_facts f;

	must(buf);
	memcpy(buf, data, head);
	fl_dns_reply_begin(&r, buf, q->udp_size, buf, q, FL_DNS_AA);
	if (!rcode && q->name.len)
		put_records(&r, q);
	len = fl_dns_reply_end(&r, rcode);
	must(len <= q->udp_size);
	must(!fl_dns_inspect(buf, len, &f) && f.complete);
	must(f.rcode == rcode && f.truncated == r.truncated && f.opt == q->edns);
	must(f.question_end == head);
	must(!memcmp(buf + FL_DNS_HEADER, data + FL_DNS_HEADER, q->question_len));
	must(fl_dns_id(buf) == q->id);
	must(!q->question_len || fl_dns_is_answer(buf, len, data, head));
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fl_dns_query q;
	int r = fl_dns_query_parse(data, size, &q);

	if (r < 0)
		return 0;
	check_query(&q);
	must(r || q.name.len);
	check_reply(data, &q, (uint16_t)r);
	return 0;
}
