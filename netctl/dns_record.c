/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records of DNS in words (RFC 1035 section 5.1, RFC 3597). What they hold is a stranger's. */
#include "netctl/dns.h"

#include "base/strbuf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const struct {
	uint16_t type;
	const char *name;
} types[] = {
	{ FL_DNS_A, "A" },     { FL_DNS_NS, "NS" },   { FL_DNS_CNAME, "CNAME" },
	{ FL_DNS_SOA, "SOA" }, { FL_DNS_PTR, "PTR" }, { FL_DNS_MX, "MX" },
	{ FL_DNS_TXT, "TXT" }, { FL_DNS_SRV, "SRV" }, { FL_DNS_AAAA, "AAAA" },
	{ FL_DNS_ANY, "ANY" }, { FL_DNS_OPT, "OPT" },
};

int dns_type_parse(const char *text, uint16_t *ret)
{
	unsigned long n;
	char *end;

	for (size_t i = 0; i < FL_ARRAY_SIZE(types); i++)
		if (!strcasecmp(types[i].name, text)) {
			*ret = types[i].type;
			return 0;
		}
	if (strncasecmp(text, "TYPE", 4) != 0 || text[4] < '0' || text[4] > '9')
		return -EINVAL;
	n = strtoul(text + 4, &end, 10);
	if (*end || n > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)n;
	return 0;
}

const char *dns_type_str(uint16_t type, char *buf, size_t size)
{
	for (size_t i = 0; i < FL_ARRAY_SIZE(types); i++)
		if (types[i].type == type)
			return types[i].name;
	snprintf(buf, size, "TYPE%u", type);
	return buf;
}

const char *dns_rcode_str(uint16_t rcode, char *buf, size_t size)
{
	static const char *const names[] = { "NOERROR",	 "FORMERR", "SERVFAIL",
					     "NXDOMAIN", "NOTIMP",  "REFUSED" };

	if (rcode < FL_ARRAY_SIZE(names))
		return names[rcode];
	snprintf(buf, size, "RCODE%u", rcode);
	return buf;
}

/* ---- data ---- */

struct reader {
	const uint8_t *msg;
	size_t len, at, end;
	struct fl_strbuf *out;
};

static bool put_name(struct reader *r)
{
	char text[FL_DNS_TEXT_MAX];
	struct fl_dns_name n;
	size_t end = fl_dns_skip_name(r->msg, r->end, r->at);

	if (!end || fl_dns_expand_name(r->msg, r->len, r->at, &n))
		return false;
	r->at = end;
	fl_strbuf_add(r->out, fl_dns_name_str(&n, text));
	return true;
}

static bool put_number(struct reader *r, size_t bytes)
{
	if (r->end - r->at < bytes)
		return false;
	fl_strbuf_addf(r->out, "%u",
		       bytes == 2 ? fl_dns_get16(r->msg + r->at) : fl_dns_get32(r->msg + r->at));
	r->at += bytes;
	return true;
}

/* Strings of a TXT: each with its length in front. */
static bool put_strings(struct reader *r)
{
	bool first = true;

	for (; r->at < r->end; first = false) {
		size_t n = r->msg[r->at++];

		if (n > r->end - r->at)
			return false;
		fl_strbuf_add(r->out, first ? "\"" : " \"");
		for (; n; n--, r->at++) {
			uint8_t c = r->msg[r->at];

			if (c < ' ' || c > '~')
				fl_strbuf_addf(r->out, "\\%03u", c);
			else
				fl_strbuf_addf(r->out, "%s%c", c == '"' || c == '\\' ? "\\" : "",
					       c);
		}
		fl_strbuf_add(r->out, "\"");
	}
	return true;
}

static bool put_address(struct reader *r, int family)
{
	struct fl_addr a;

	if (r->end - r->at != (family == AF_INET ? 4 : 16))
		return false;
	a = fl_addr_make(family, r->msg + r->at);
	r->at = r->end;
	fl_strbuf_add(r->out, fl_addr_str(&a, FL_ADDR_BUF));
	return true;
}

static bool put_blank(struct reader *r)
{
	fl_strbuf_add(r->out, " ");
	return true;
}

/* n: name, 2: number of 16 bits, 4: of 32; joined by blanks */
static bool put_fields(struct reader *r, const char *layout)
{
	for (const char *p = layout; *p; p++) {
		if (p != layout)
			put_blank(r);
		if (!(*p == 'n' ? put_name(r) : put_number(r, (size_t)(*p - '0'))))
			return false;
	}
	return true;
}

static bool put_known(struct reader *r, uint16_t type)
{
	switch (type) {
	case FL_DNS_A:
		return put_address(r, AF_INET);
	case FL_DNS_AAAA:
		return put_address(r, AF_INET6);
	case FL_DNS_NS:
	case FL_DNS_CNAME:
	case FL_DNS_PTR:
		return put_fields(r, "n");
	case FL_DNS_MX:
		return put_fields(r, "2n");
	case FL_DNS_SRV:
		return put_fields(r, "222n");
	case FL_DNS_SOA:
		return put_fields(r, "nn44444");
	case FL_DNS_TXT:
		return put_strings(r);
	default:
		return false;
	}
}

json_t *dns_data_json(const uint8_t *msg, size_t len, const struct fl_dns_rr *rr)
{
	FL_AUTOSTRBUF struct fl_strbuf out = { 0 };
	struct reader r = { msg, len, rr->rdata, rr->rdata + rr->rdlen, &out };

	if (!put_known(&r, rr->type) || r.at != r.end) {
		fl_strbuf_clear(&out);
		fl_strbuf_addf(&out, "\\# %u%s", rr->rdlen, rr->rdlen ? " " : "");
		for (size_t i = 0; i < rr->rdlen; i++)
			fl_strbuf_addf(&out, "%02x", msg[rr->rdata + i]);
	}
	return out.failed ? NULL : json_string(out.s ? out.s : "");
}
