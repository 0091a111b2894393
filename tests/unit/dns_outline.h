/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Why ldns and we may differ about a damaged message: told by its outline. */
#pragma once

#include "dns_message.h"

#include <ldns/ldns.h>

enum { WIRE_MAX = 8192 };

struct wire {
	uint8_t b[WIRE_MAX];
	size_t len;
};

enum why {
	NOT_EXPLAINED,
	TRAILING,	  /* bytes behind the last record: ldns leaves them */
	QUESTION_POINTER, /* nothing stands before the first question that it could point to */
	POINTER_AHEAD,	  /* owners point back alone (RFC 1035 section 4.1.4) */
	SECOND_OPT,	  /* RFC 6891 section 6.1.1 */
	NAMED_OPT,	  /* section 6.1.2 */
	STRAY_OPT,	  /* of another section */
	CONTENTS,	  /* ldns refuses what we do not read: rdata, and where pointers lead */
	MISLED, /* ldns goes on where the known fields of rdata end, we where RDLENGTH does */
	N_WHY,
};
static const char *const why_names[N_WHY] = {
	[TRAILING] = "trailing bytes",	     [QUESTION_POINTER] = "question with a pointer",
	[POINTER_AHEAD] = "pointer ahead",   [SECOND_OPT] = "second OPT",
	[NAMED_OPT] = "OPT with a name",     [STRAY_OPT] = "OPT in another section",
	[CONTENTS] = "contents of a record", [MISLED] = "RDLENGTH beyond the contents",
};

/* What a message looks like without a look at its contents. */
struct outline {
	bool whole; /* all that the counts announce lies inside */
	bool strict[N_WHY];
	size_t question_end, records_end;
	bool opt_inside;
	bool soa_ahead; /* of a SOA whose names point ahead we read no minimum */
};

/* A name's end; *ahead when it ends in a pointer not to what stands before `from`. 0: none. */
static inline size_t name_end(const struct wire *w, size_t from, bool *ret_pointer, bool *ret_ahead)
{
	size_t at = from;

	*ret_pointer = *ret_ahead = false;
	while (at < w->len && w->b[at] && w->b[at] < 64)
		at += w->b[at] + 1u;
	if (at >= w->len || (w->b[at] && w->b[at] < 192) || at - from > 254)
		return 0;
	if (!w->b[at])
		return at + 1;
	if (at + 1 == w->len)
		return 0;
	*ret_pointer = true;
	*ret_ahead = (w->b[at] & 63) * 256u + w->b[at + 1] < 12 ||
		     (w->b[at] & 63) * 256u + w->b[at + 1] >= from;
	return at + 2;
}

static inline void see_opt(const struct wire *w, size_t at, int section, unsigned n_opt,
			   struct outline *o)
{
	o->strict[STRAY_OPT] |= section < 3;
	o->strict[NAMED_OPT] |= w->b[at] != 0;
	o->strict[SECOND_OPT] |= n_opt > 0;
}

static inline void see_soa(const struct wire *w, size_t at, struct outline *o)
{
	bool pointer, ahead;

	for (int i = 0; i < 2 && at; i++) {
		at = name_end(w, at, &pointer, &ahead);
		o->soa_ahead |= ahead;
	}
}

static inline struct outline outline(const struct wire *w)
{
	struct outline o = { .question_end = 12, .records_end = 12 };
	bool pointer, ahead;
	size_t at = 12, end;
	unsigned n_opt = 0;

	for (int section = 0; section < 4; section++) {
		for (unsigned n = fl_dns_get16(w->b + 4 + 2 * section); n; n--) {
			end = name_end(w, at, &pointer, &ahead);
			if (!end || end + (section ? 10 : 4) > w->len)
				return o;
			o.strict[at == 12 && !section ? QUESTION_POINTER : POINTER_AHEAD] |=
				at == 12 && !section ? pointer : ahead;
			if (section && fl_dns_get16(w->b + end) == FL_DNS_OPT)
				see_opt(w, at, section, n_opt++, &o);
			else
				o.records_end = 0;
			if (section == 2 && fl_dns_get16(w->b + end) == FL_DNS_SOA)
				see_soa(w, end + 10, &o);
			at = section ? end + 10 + fl_dns_get16(w->b + end + 8) : end + 4;
			if (at > w->len)
				return o;
			o.records_end = o.records_end ? o.records_end : at;
			o.question_end = section ? o.question_end : at;
		}
	}
	o.whole = true;
	o.strict[TRAILING] = at != w->len;
	o.opt_inside = n_opt && o.records_end == at;
	return o;
}

/* Does ldns read a record to another end than the one that its RDLENGTH gives? */
static inline bool misled(const struct wire *w)
{
	bool pointer, ahead;
	size_t at = 12, end, pos;

	for (int section = 0; section < 4; section++) {
		for (unsigned n = fl_dns_get16(w->b + 4 + 2 * section); n; n--) {
			ldns_rr *rr = NULL;

			pos = at;
			if (ldns_wire2rr(&rr, w->b, w->len, &pos, (ldns_pkt_section)section))
				return false;
			ldns_rr_free(rr);
			end = name_end(w, at, &pointer, &ahead);
			at = section ? end + 10 + fl_dns_get16(w->b + end + 8) : end + 4;
			if (!end || pos != at)
				return end != 0;
		}
	}
	return false;
}

/* The first of the reasons for which we refuse what ldns accepts, or the one the other way round.
 */
static inline enum why explain(const struct wire *w, bool by_ldns)
{
	struct outline o = outline(w);

	if (misled(w))
		return MISLED;
	if (!by_ldns)
		return o.whole ? CONTENTS : NOT_EXPLAINED;
	for (enum why i = NOT_EXPLAINED + 1; i < CONTENTS; i++)
		if (o.strict[i])
			return i;
	return NOT_EXPLAINED;
}
