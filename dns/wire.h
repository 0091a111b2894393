/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DNS messages (RFC 1035, RFC 6891 for EDNS): what a stub asks, what is answered to it, and as much
 * of a foreign server's answer as relaying and caching need. Pure; never reads or writes outside
 * the bytes that it is given, in time proportional to them.
 */
#pragma once

#include "base/dnsname.h"

enum {
	FL_DNS_HEADER = 12,
	FL_DNS_UDP_MIN = 512,  /* RFC 1035 section 2.3.4: without EDNS */
	FL_DNS_UDP_MAX = 1232, /* what we announce, and the most that we send: fits every path */
	FL_DNS_MESSAGE_MAX = 65535,
	FL_DNS_OPT_SIZE = 11, /* of an OPT record without options */
	FL_DNS_PORT = 53,
};

enum {
	FL_DNS_A = 1,
	FL_DNS_NS = 2,
	FL_DNS_CNAME = 5,
	FL_DNS_SOA = 6,
	FL_DNS_PTR = 12,
	FL_DNS_MX = 15,
	FL_DNS_TXT = 16,
	FL_DNS_AAAA = 28,
	FL_DNS_SRV = 33,
	FL_DNS_OPT = 41,
	FL_DNS_TSIG = 250,
	FL_DNS_IXFR = 251,
	FL_DNS_AXFR = 252,
	FL_DNS_ANY = 255,
};
enum { FL_DNS_IN = 1, FL_DNS_CLASS_ANY = 255 };
enum {
	FL_DNS_NOERROR = 0,
	FL_DNS_FORMERR = 1,
	FL_DNS_SERVFAIL = 2,
	FL_DNS_NXDOMAIN = 3,
	FL_DNS_NOTIMP = 4,
	FL_DNS_REFUSED = 5,
	FL_DNS_BADVERS = 16, /* RFC 6891 section 6.1.3 */
};
/* Of the header's second 16 bits (RFC 1035 section 4.1.1, RFC 4035 section 3.1.6). */
enum {
	FL_DNS_QR = 0x8000,
	FL_DNS_OPCODE = 0x7800,
	FL_DNS_AA = 0x0400,
	FL_DNS_TC = 0x0200,
	FL_DNS_RD = 0x0100,
	FL_DNS_RA = 0x0080,
	FL_DNS_AD = 0x0020,
	FL_DNS_CD = 0x0010,
	FL_DNS_RCODE = 0x000f,
};

static inline uint16_t fl_dns_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline void fl_dns_set16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline uint16_t fl_dns_id(const uint8_t *msg)
{
	return fl_dns_get16(msg);
}

/* ---- what a stub asks ---- */

struct fl_dns_query {
	uint16_t id, flags;	 /* as in the header */
	struct fl_dns_name name; /* in lower case; len 0 where there is no question */
	uint16_t type, class;
	uint16_t question_len; /* bytes of the question, at FL_DNS_HEADER; as asked, in its own case
				*/
	bool edns;
	bool dnssec_ok;	   /* DO */
	uint16_t udp_size; /* the most that may be answered by UDP: FL_DNS_UDP_MIN to FL_DNS_UDP_MAX
			    */
};

/*
 * Reads a query. 0: it is one. An rcode (> 0): it is to be answered with that, and *ret holds what
 * is needed to do so: FORMERR (counts other than one question, a name that is compressed, too long
 * or cut off, records that do not add up, two OPT, an OPT whose name is not the root, bytes behind
 * the end of the message), NOTIMP (another opcode: read no further than the header), BADVERS (EDNS
 * other than 0). -EBADMSG: not to be answered at all: shorter than a header, or an answer itself.
 * Records in the other sections are stepped over, but an OPT there is a FORMERR.
 */
int fl_dns_query_parse(const uint8_t *msg, size_t len, struct fl_dns_query *ret);

/* ---- an answer of our own ---- */

/*
 * Sticky: a record that does not fit sets `truncated`, and those after it are not put either. One
 * of the additional section sets nothing (RFC 2181 section 9). Sections are put in their order.
 * Room for the OPT is kept free throughout.
 */
struct fl_dns_reply {
	uint8_t *buf;
	size_t len, limit;  /* limit: without the OPT that is to come */
	uint16_t counts[3]; /* answer, authority, additional (without OPT) */
	bool truncated, edns, dnssec_ok;
};

enum fl_dns_section { FL_DNS_ANSWER, FL_DNS_AUTHORITY, FL_DNS_ADDITIONAL };

/*
 * Header and question of the query `msg`, of which `q` was parsed: its id, opcode, RD and CD, with
 * QR and `flags` (AA, RA). `size` bytes may be used in all; at least FL_DNS_UDP_MIN. `buf` may be
 * `msg`.
 */
void fl_dns_reply_begin(struct fl_dns_reply *r, uint8_t *buf, size_t size, const uint8_t *msg,
			const struct fl_dns_query *q, uint16_t flags);
/* `owner` NULL: the question's name, as a pointer to it (RFC 1035 section 4.1.4). */
void fl_dns_put_addr(struct fl_dns_reply *r, enum fl_dns_section s, const struct fl_dns_name *owner,
		     uint32_t ttl, const struct fl_addr *a);
void fl_dns_put_ptr(struct fl_dns_reply *r, uint32_t ttl, const struct fl_dns_name *target);
void fl_dns_put_srv(struct fl_dns_reply *r, uint32_t ttl, uint16_t priority, uint16_t weight,
		    uint16_t port, const struct fl_dns_name *target);
/* A SOA whose minimum is the ttl, for negative caching (RFC 2308 section 3). Owner as above; it is
 * the primary server too (RFC 6303 section 3). */
void fl_dns_put_soa(struct fl_dns_reply *r, const struct fl_dns_name *owner, uint32_t ttl);
/* The OPT if the query had one, counts, TC and rcode (BADVERS's upper bits go into the OPT).
 * Returns the length of the message. */
size_t fl_dns_reply_end(struct fl_dns_reply *r, uint16_t rcode);

/* ---- a foreign server's answer ---- */

/*
 * Is `msg` an answer to the query `sent`: QR, the same id, opcode and question (names ignoring the
 * case of ASCII)? A message without question is one only with an rcode of FORMERR, NOTIMP, SERVFAIL
 * or REFUSED.
 */
bool fl_dns_is_answer(const uint8_t *msg, size_t len, const uint8_t *sent, size_t sent_len);

struct fl_dns_facts {
	uint16_t rcode; /* with the upper bits of an OPT */
	bool truncated; /* TC */
	bool complete;	/* every record lies inside, none behind it; else nothing below counts */
	bool cacheable; /* NOERROR or NXDOMAIN, not TC, a TTL known, one question, OPT (if any) last
			 */
	/*
	 * Of the whole, in seconds: the least TTL. Of a negative answer (NXDOMAIN, or no record of
	 * the type that was asked for) also the SOA's minimum (RFC 2308 section 5); without a SOA
	 * in the authority section it is not known.
	 */
	uint32_t ttl;
	size_t question_end; /* offset behind the question */
	size_t records_end;  /* offset behind the last record that is not OPT */
	bool opt;	     /* there is an OPT */
	uint16_t additional; /* records of the additional section without OPT */
};

/* -EBADMSG: shorter than a header. What cannot be read is not `complete`. */
int fl_dns_inspect(const uint8_t *msg, size_t len, struct fl_dns_facts *ret);
/* Lowers every TTL but OPT's by `seconds`, not below 0; one with the highest bit set is 0 (RFC 2181
 * section 8). The message is complete (fl_dns_inspect()). */
void fl_dns_age(uint8_t *msg, size_t len, uint32_t seconds);
/*
 * Makes of a complete answer one that fits the query `q` into `size` bytes, FL_DNS_UDP_MIN at
 * least: without its OPT where the query has none, with one of ours where only the query has one,
 * with TC and without records where it is too long. Records of the additional section behind an OPT
 * go with it, and an rcode that needs one becomes SERVFAIL. Id and question stay those of the
 * answer. `msg` has room for FL_DNS_OPT_SIZE more. Returns the new length.
 */
size_t fl_dns_fit(uint8_t *msg, size_t len, const struct fl_dns_facts *f,
		  const struct fl_dns_query *q, size_t size);
