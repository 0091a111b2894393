/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a foreign server answered: as much of it as relaying and caching need. */
#include "dns/walk.h"

#include <errno.h>
#include <string.h>

/* Of the rdata of a SOA: what follows its two names, and where the minimum is in that. */
enum { SOA_TIMES = 20, SOA_MINIMUM = 16 };

static uint16_t rcode_of(const uint8_t *msg)
{
	return fl_dns_get16(msg + 2) & FL_DNS_RCODE;
}

/* The offset behind the questions; 0: they cannot be read. */
static size_t skip_questions(const uint8_t *msg, size_t len)
{
	size_t at = FL_DNS_HEADER;

	for (uint16_t left = fl_dns_count(msg, 0); left; left--) {
		at = fl_dns_skip_name(msg, len, at);
		if (!at || len - at < FL_DNS_QUESTION_FIXED)
			return 0;
		at += FL_DNS_QUESTION_FIXED;
	}
	return at;
}

/* ---- is it one ---- */

static bool same_question(const uint8_t *msg, size_t len, const uint8_t *sent, size_t sent_len)
{
	size_t end = fl_dns_count(sent, 0) == 1 ? skip_questions(sent, sent_len) : 0;

	if (!end || fl_dns_count(msg, 0) != 1 || len < end)
		return false;
	/* Lengths of labels are below 'A': where the bytes are equal, so is what they mean. */
	for (size_t i = FL_DNS_HEADER; i < end - FL_DNS_QUESTION_FIXED; i++)
		if (fl_dns_lower(msg[i]) != fl_dns_lower(sent[i]))
			return false;
	return !memcmp(msg + end - FL_DNS_QUESTION_FIXED, sent + end - FL_DNS_QUESTION_FIXED,
		       FL_DNS_QUESTION_FIXED);
}

bool fl_dns_is_answer(const uint8_t *msg, size_t len, const uint8_t *sent, size_t sent_len)
{
	uint16_t flags;

	if (len < FL_DNS_HEADER || sent_len < FL_DNS_HEADER || fl_dns_id(msg) != fl_dns_id(sent))
		return false;
	flags = fl_dns_get16(msg + 2);
	if (!(flags & FL_DNS_QR) || (flags ^ fl_dns_get16(sent + 2)) & FL_DNS_OPCODE)
		return false;
	if (fl_dns_count(msg, 0))
		return same_question(msg, len, sent, sent_len);
	switch (rcode_of(msg)) {
	case FL_DNS_FORMERR:
	case FL_DNS_SERVFAIL:
	case FL_DNS_NOTIMP:
	case FL_DNS_REFUSED:
		return true;
	default:
		return false;
	}
}

/* ---- what is in it ---- */

struct survey {
	struct fl_dns_facts f;
	uint16_t qtype;
	bool answered;	   /* there is a record of the type that was asked for */
	bool soa;	   /* there is one in the authority section */
	uint32_t ttl;	   /* the least */
	uint32_t negative; /* the least minimum of a SOA */
};

/* RFC 2181 section 8: with the highest bit set it counts as 0. */
static uint32_t sane(uint32_t ttl)
{
	return ttl > INT32_MAX ? 0 : ttl;
}

static void take_soa(const uint8_t *msg, const struct fl_dns_rr *rr, struct survey *s)
{
	size_t end = rr->rdata + rr->rdlen, at = fl_dns_skip_name(msg, end, rr->rdata);
	uint32_t minimum;

	at = at ? fl_dns_skip_name(msg, end, at) : 0;
	if (!at || end - at != SOA_TIMES)
		return;
	minimum = sane(fl_dns_get32(msg + at + SOA_MINIMUM));
	s->negative = !s->soa || minimum < s->negative ? minimum : s->negative;
	s->soa = true;
}

static bool take_record(const uint8_t *msg, const struct fl_dns_rr *rr, int section,
			struct survey *s)
{
	if (rr->type == FL_DNS_OPT) {
		if (!fl_dns_opt_valid(msg, rr, section, s->f.opt))
			return false;
		s->f.opt = true;
		s->f.rcode |= (uint16_t)(rr->ttl >> 24 << 4);
		return true;
	}
	if (sane(rr->ttl) < s->ttl)
		s->ttl = sane(rr->ttl);
	s->f.records_end = rr->rdata + rr->rdlen;
	if (section == 1 + FL_DNS_ADDITIONAL)
		s->f.additional++;
	if (section == 1 + FL_DNS_AUTHORITY && rr->type == FL_DNS_SOA)
		take_soa(msg, rr, s);
	if (section == 1 + FL_DNS_ANSWER && (rr->type == s->qtype || s->qtype == FL_DNS_ANY))
		s->answered = true;
	return true;
}

static bool take_records(const uint8_t *msg, size_t len, struct survey *s)
{
	size_t at = s->f.question_end;
	struct fl_dns_rr rr;

	for (int section = 1; section < FL_DNS_COUNTS; section++) {
		for (uint16_t left = fl_dns_count(msg, section); left; left--) {
			at = fl_dns_read_rr(msg, len, at, &rr);
			if (!at || !take_record(msg, &rr, section, s))
				return false;
		}
	}
	return at == len;
}

/*
 * An alias that leads to nothing of the asked type is as negative as an empty answer (RFC 2308
 * section 2.2.1), and a negative answer without a SOA has no known TTL (section 5).
 */
static void conclude(const uint8_t *msg, size_t len, struct survey *s)
{
	struct fl_dns_facts *f = &s->f;
	bool negative = f->rcode == FL_DNS_NXDOMAIN || !s->answered;
	bool opt_inside = f->opt && f->records_end == len;

	if (negative && !s->soa)
		return;
	f->ttl = negative && s->negative < s->ttl ? s->negative : s->ttl;
	f->cacheable = (f->rcode == FL_DNS_NOERROR || f->rcode == FL_DNS_NXDOMAIN) &&
		       !f->truncated && fl_dns_count(msg, 0) == 1 && !opt_inside;
}

int fl_dns_inspect(const uint8_t *msg, size_t len, struct fl_dns_facts *ret)
{
	struct survey s = { .ttl = UINT32_MAX };

	if (len < FL_DNS_HEADER)
		return -EBADMSG;
	s.f.rcode = rcode_of(msg);
	s.f.truncated = fl_dns_get16(msg + 2) & FL_DNS_TC;
	s.f.question_end = s.f.records_end = skip_questions(msg, len);
	if (s.f.question_end > FL_DNS_HEADER)
		s.qtype = fl_dns_get16(msg + s.f.question_end - FL_DNS_QUESTION_FIXED);
	s.f.complete = s.f.question_end && take_records(msg, len, &s);
	if (s.f.complete)
		conclude(msg, len, &s);
	*ret = s.f;
	return 0;
}

/* ---- what is made of it ---- */

static unsigned records(const uint8_t *msg)
{
	return (unsigned)fl_dns_count(msg, 1) + fl_dns_count(msg, 2) + fl_dns_count(msg, 3);
}

void fl_dns_age(uint8_t *msg, size_t len, uint32_t seconds)
{
	size_t at = skip_questions(msg, len);
	struct fl_dns_rr rr = { 0 };

	for (unsigned left = records(msg); left && at; left--) {
		at = fl_dns_read_rr(msg, len, at, &rr);
		rr.ttl = sane(rr.ttl);
		if (at && rr.type != FL_DNS_OPT)
			fl_dns_set32(msg + rr.ttl_at, rr.ttl > seconds ? rr.ttl - seconds : 0);
	}
}

static void set_rcode(uint8_t *msg, uint16_t rcode)
{
	fl_dns_set16(msg + 2, (uint16_t)((fl_dns_get16(msg + 2) & ~FL_DNS_RCODE) | rcode));
}

/*
 * Ends the message before its OPT. Records behind it, which nobody puts there, go too: what is
 * additional may be left out, and pointers among them would no longer fit. Returns the new length.
 */
static size_t drop_opt(uint8_t *msg, size_t len, const struct fl_dns_facts *f)
{
	unsigned before = fl_dns_count(msg, 1) + (unsigned)fl_dns_count(msg, 2);
	size_t at = f->question_end;
	uint16_t kept = 0;
	struct fl_dns_rr rr;

	for (unsigned i = 0;; i++) {
		size_t next = fl_dns_read_rr(msg, len, at, &rr);

		if (!next || rr.type == FL_DNS_OPT)
			break;
		kept += i >= before;
		at = next;
	}
	fl_dns_set16(msg + 10, kept);
	/* The header alone would make NOERROR of a BADVERS. */
	if (f->rcode > FL_DNS_RCODE)
		set_rcode(msg, FL_DNS_SERVFAIL);
	return at;
}

/* The header with its questions, unless these do not fit either. Returns the new length. */
static size_t cut(uint8_t *msg, const struct fl_dns_facts *f, size_t size)
{
	fl_dns_set16(msg + 2, fl_dns_get16(msg + 2) | FL_DNS_TC);
	memset(msg + 6, 0, 6);
	if (f->question_end <= size)
		return f->question_end;
	fl_dns_set16(msg + 4, 0);
	return FL_DNS_HEADER;
}

size_t fl_dns_fit(uint8_t *msg, size_t len, const struct fl_dns_facts *f,
		  const struct fl_dns_query *q, size_t size)
{
	bool put_opt = q->edns && !f->opt;
	size_t room = q->edns ? FL_DNS_OPT_SIZE : 0;

	if (f->opt && !q->edns)
		len = drop_opt(msg, len, f);
	if (len + (put_opt ? room : 0) > size) {
		len = cut(msg, f, size - room);
		put_opt = q->edns;
	}
	if (put_opt) {
		fl_dns_write_opt(msg + len, f->rcode, q->dnssec_ok);
		fl_dns_set16(msg + 10, fl_dns_count(msg, 3) + 1);
		len += FL_DNS_OPT_SIZE;
	}
	return len;
}
