/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading what a stub asks, and building what it is told. */
#include "dns/walk.h"

#include <errno.h>
#include <string.h>

/* Of what stands behind the owner of a record (RFC 1035 section 4.1.3). */
enum { RR_FIXED = 10, RR_TTL = 4, RR_RDLEN = 8 };
enum { POINTER = 0xc0, OPT_DO = 0x8000 };

/* ---- stepping through a message ---- */

size_t fl_dns_skip_name(const uint8_t *msg, size_t len, size_t at)
{
	size_t start = at, target;

	while (at < len && at - start < FL_DNS_NAME_MAX) {
		if (!msg[at])
			return at + 1;
		if (msg[at] >= POINTER) {
			if (len - at < 2)
				return 0;
			target = fl_dns_get16(msg + at) & 0x3fff;
			return target >= FL_DNS_HEADER && target < start ? at + 2 : 0;
		}
		if (msg[at] > FL_DNS_LABEL_MAX)
			return 0;
		at += 1 + (size_t)msg[at];
	}
	return 0;
}

int fl_dns_expand_name(const uint8_t *msg, size_t len, size_t at, struct fl_dns_name *ret)
{
	struct fl_dns_name n = { 0 };
	size_t used = 0;

	for (;;) {
		size_t end = fl_dns_skip_name(msg, len, at), label;

		if (!end)
			return -EBADMSG;
		/* Labels up to the root's or a pointer. */
		for (; msg[at] && msg[at] < POINTER; at += label, used += label) {
			label = 1 + (size_t)msg[at];
			if (used + label >= FL_DNS_NAME_MAX)
				return -EBADMSG;
			memcpy(n.b + used, msg + at, label);
		}
		if (!msg[at])
			break;
		at = fl_dns_get16(msg + at) & 0x3fff;
	}
	n.b[used++] = 0;
	n.len = (uint8_t)used;
	*ret = n;
	return 0;
}

size_t fl_dns_read_rr(const uint8_t *msg, size_t len, size_t at, struct fl_dns_rr *ret)
{
	size_t fixed = fl_dns_skip_name(msg, len, at);

	if (!fixed || len - fixed < RR_FIXED)
		return 0;
	ret->start = at;
	ret->ttl_at = fixed + RR_TTL;
	ret->rdata = fixed + RR_FIXED;
	ret->type = fl_dns_get16(msg + fixed);
	ret->class = fl_dns_get16(msg + fixed + 2);
	ret->ttl = fl_dns_get32(msg + ret->ttl_at);
	ret->rdlen = fl_dns_get16(msg + fixed + RR_RDLEN);
	return ret->rdlen <= len - ret->rdata ? ret->rdata + ret->rdlen : 0;
}

bool fl_dns_opt_valid(const uint8_t *msg, const struct fl_dns_rr *rr, int section, bool seen)
{
	return section == 1 + FL_DNS_ADDITIONAL && !msg[rr->start] && !seen;
}

void fl_dns_write_opt(uint8_t *to, uint16_t rcode, bool dnssec_ok)
{
	to[0] = 0; /* the root */
	fl_dns_set16(to + 1, FL_DNS_OPT);
	fl_dns_set16(to + 3, FL_DNS_UDP_MAX);
	fl_dns_set32(to + 5, (uint32_t)rcode >> 4 << 24 | (dnssec_ok ? OPT_DO : 0));
	fl_dns_set16(to + 9, 0);
}

/* ---- what a stub asks ---- */

/*
 * Names of questions are never compressed: nothing stands before them. Copies in lower case, in
 * which a length, being below 'A', stays what it is. 0: it is no name.
 */
static size_t read_question_name(const uint8_t *msg, size_t len, struct fl_dns_name *ret)
{
	const uint8_t *name = msg + FL_DNS_HEADER;
	size_t n = fl_dns_skip_name(msg, len, FL_DNS_HEADER);

	if (!n)
		return 0;
	n -= FL_DNS_HEADER;
	for (size_t i = 0; i < n; i++)
		ret->b[i] = fl_dns_lower(name[i]);
	ret->len = (uint8_t)n;
	return n;
}

static int read_question(const uint8_t *msg, size_t len, struct fl_dns_query *ret)
{
	size_t end;

	if (fl_dns_count(msg, 0) != 1)
		return FL_DNS_FORMERR;
	end = FL_DNS_HEADER + read_question_name(msg, len, &ret->name);
	if (end == FL_DNS_HEADER || len - end < FL_DNS_QUESTION_FIXED) {
		ret->name.len = 0;
		return FL_DNS_FORMERR;
	}
	ret->type = fl_dns_get16(msg + end);
	ret->class = fl_dns_get16(msg + end + 2);
	ret->question_len = (uint16_t)(end + FL_DNS_QUESTION_FIXED - FL_DNS_HEADER);
	return 0;
}

static void take_opt(const struct fl_dns_rr *rr, struct fl_dns_query *q)
{
	q->edns = true;
	q->dnssec_ok = rr->ttl & OPT_DO;
	if (rr->class > FL_DNS_UDP_MAX)
		q->udp_size = FL_DNS_UDP_MAX;
	else if (rr->class > FL_DNS_UDP_MIN)
		q->udp_size = rr->class;
}

static int read_records(const uint8_t *msg, size_t len, struct fl_dns_query *q)
{
	size_t at = FL_DNS_HEADER + (size_t)q->question_len;
	bool badvers = false;
	struct fl_dns_rr rr;

	for (int section = 1; section < FL_DNS_COUNTS; section++) {
		for (uint16_t left = fl_dns_count(msg, section); left; left--) {
			at = fl_dns_read_rr(msg, len, at, &rr);
			if (!at)
				return FL_DNS_FORMERR;
			if (rr.type != FL_DNS_OPT)
				continue;
			if (!fl_dns_opt_valid(msg, &rr, section, q->edns))
				return FL_DNS_FORMERR;
			take_opt(&rr, q);
			badvers = rr.ttl >> 16 & 0xff;
		}
	}
	if (at != len)
		return FL_DNS_FORMERR;
	return badvers ? FL_DNS_BADVERS : 0;
}

int fl_dns_query_parse(const uint8_t *msg, size_t len, struct fl_dns_query *ret)
{
	int r;

	if (len < FL_DNS_HEADER || fl_dns_get16(msg + 2) & FL_DNS_QR)
		return -EBADMSG;
	ret->id = fl_dns_id(msg);
	ret->flags = fl_dns_get16(msg + 2);
	ret->name.len = 0;
	ret->type = ret->class = ret->question_len = 0;
	ret->edns = ret->dnssec_ok = false;
	ret->udp_size = FL_DNS_UDP_MIN;
	/* What the sections of another opcode are is for that opcode to say. */
	if (ret->flags & FL_DNS_OPCODE)
		return FL_DNS_NOTIMP;
	r = read_question(msg, len, ret);
	return r ? r : read_records(msg, len, ret);
}

/* ---- an answer of our own ---- */

void fl_dns_reply_begin(struct fl_dns_reply *r, uint8_t *buf, size_t size, const uint8_t *msg,
			const struct fl_dns_query *q, uint16_t flags)
{
	memmove(buf, msg, FL_DNS_HEADER + (size_t)q->question_len);
	flags |= FL_DNS_QR | (q->flags & (FL_DNS_OPCODE | FL_DNS_RD | FL_DNS_CD));
	fl_dns_set16(buf + 2, flags);
	fl_dns_set16(buf + 4, q->question_len > 0);
	if (size > FL_DNS_MESSAGE_MAX)
		size = FL_DNS_MESSAGE_MAX;
	*r = (struct fl_dns_reply){
		.buf = buf,
		.len = FL_DNS_HEADER + (size_t)q->question_len,
		.limit = size - (q->edns ? FL_DNS_OPT_SIZE : 0),
		.edns = q->edns,
		.dnssec_ok = q->dnssec_ok,
	};
}

static const struct fl_dns_name question_pointer = { 2, { POINTER, FL_DNS_HEADER } };

/*
 * Owner and fixed part of a record. Returns where its `rdlen` bytes go, NULL when they have no
 * room.
 */
static uint8_t *put_rr(struct fl_dns_reply *r, enum fl_dns_section s,
		       const struct fl_dns_name *owner, uint16_t type, uint32_t ttl, size_t rdlen)
{
	uint8_t *p = r->buf + r->len;
	size_t need;

	owner = owner ? owner : &question_pointer;
	need = owner->len + RR_FIXED + rdlen;
	if (r->len + need > r->limit) {
		r->limit = r->len; /* nor has any other */
		r->truncated = r->truncated || s != FL_DNS_ADDITIONAL;
		return NULL;
	}
	memcpy(p, owner->b, owner->len);
	p += owner->len;
	fl_dns_set16(p, type);
	fl_dns_set16(p + 2, FL_DNS_IN);
	fl_dns_set32(p + RR_TTL, ttl);
	fl_dns_set16(p + RR_RDLEN, (uint16_t)rdlen);
	r->len += need;
	r->counts[s]++;
	return p + RR_FIXED;
}

void fl_dns_put_addr(struct fl_dns_reply *r, enum fl_dns_section s, const struct fl_dns_name *owner,
		     uint32_t ttl, const struct fl_addr *a)
{
	bool v4 = a->family == AF_INET;
	size_t n = v4 ? 4 : 16;
	uint8_t *p = put_rr(r, s, owner, v4 ? FL_DNS_A : FL_DNS_AAAA, ttl, n);

	if (p)
		memcpy(p, a->b, n);
}

void fl_dns_put_ptr(struct fl_dns_reply *r, uint32_t ttl, const struct fl_dns_name *target)
{
	uint8_t *p = put_rr(r, FL_DNS_ANSWER, NULL, FL_DNS_PTR, ttl, target->len);

	if (p)
		memcpy(p, target->b, target->len);
}

void fl_dns_put_srv(struct fl_dns_reply *r, uint32_t ttl, uint16_t priority, uint16_t weight,
		    uint16_t port, const struct fl_dns_name *target)
{
	uint8_t *p = put_rr(r, FL_DNS_ANSWER, NULL, FL_DNS_SRV, ttl, 6 + (size_t)target->len);

	if (!p)
		return;
	fl_dns_set16(p, priority);
	fl_dns_set16(p + 2, weight);
	fl_dns_set16(p + 4, port);
	memcpy(p + 6, target->b, target->len); /* never compressed: RFC 2782 */
}

/* The values of RFC 6303, section 3, for zones that nobody transfers; the minimum is the ttl. */
void fl_dns_put_soa(struct fl_dns_reply *r, const struct fl_dns_name *owner, uint32_t ttl)
{
	static const uint8_t rname[] = "\6nobody\7invalid";
	const struct fl_dns_name *mname = owner ? owner : &question_pointer;
	const uint32_t times[] = { 1, 3600, 1200, 604800, ttl };
	uint8_t *p = put_rr(r, FL_DNS_AUTHORITY, owner, FL_DNS_SOA, ttl,
			    mname->len + sizeof(rname) + sizeof(times));

	if (!p)
		return;
	memcpy(p, mname->b, mname->len);
	p += mname->len;
	memcpy(p, rname, sizeof(rname));
	p += sizeof(rname);
	for (size_t i = 0; i < 5; i++)
		fl_dns_set32(p + 4 * i, times[i]);
}

size_t fl_dns_reply_end(struct fl_dns_reply *r, uint16_t rcode)
{
	uint16_t flags = fl_dns_get16(r->buf + 2);

	fl_dns_set16(r->buf + 2,
		     (uint16_t)(flags | (r->truncated ? FL_DNS_TC : 0) | (rcode & FL_DNS_RCODE)));
	if (r->edns) {
		fl_dns_write_opt(r->buf + r->len, rcode, r->dnssec_ok);
		r->len += FL_DNS_OPT_SIZE;
		r->counts[FL_DNS_ADDITIONAL]++;
	}
	for (int i = 0; i < 3; i++)
		fl_dns_set16(r->buf + 6 + 2 * i, r->counts[i]);
	return r->len;
}
