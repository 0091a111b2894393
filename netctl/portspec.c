/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/portspec.h"

#include "base/strbuf.h"
#include "netctl/ctl.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* "80" or "80-89" */
static int parse_range(const char *text, size_t len, uint16_t *ret_first, uint32_t *ret_n)
{
	unsigned long first, last;
	char buf[16], *end;

	if (!len || len >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	if (*buf < '0' || *buf > '9')
		return -EINVAL;
	first = last = strtoul(buf, &end, 10);
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		last = strtoul(end + 1, &end, 10);
	if (*end || !first || last < first || last > 65535)
		return -EINVAL;
	*ret_first = (uint16_t)first;
	*ret_n = (uint32_t)(last - first + 1);
	return 0;
}

/* "192.0.2.1", "[2001:db8::1]" */
static int parse_host(const char *text, size_t len, char *ret, size_t size)
{
	bool brackets = len > 2 && *text == '[' && text[len - 1] == ']';
	struct fl_addr a;
	char buf[64];

	if (brackets) {
		text++;
		len -= 2;
	}
	if (!len || len >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	if (fl_addr_parse(buf, &a) || (a.family == AF_INET6) != brackets)
		return -EINVAL;
	/* Any address of the family: docker writes it so too. */
	fl_strcpy(ret, size, buf);
	return 0;
}

static int bad(struct fl_error *err, const char *spec, const char *part, size_t len,
	       const char *expected)
{
	return usage_error(err, "%s: expected %s, not \"%.*s\"", spec, expected,
			   (int)(len > 64 ? 64 : len), part);
}

static int check(const char *text, const struct portspec *p, struct fl_error *err)
{
	/* Several host ports for one container port: one of them is chosen. */
	if (p->n_host && p->n_host != p->count && p->count != 1)
		return usage_error(err,
				   "%s: %u host ports for %u container ports: expected as many, or "
				   "one container port",
				   text, p->n_host, p->count);
	return 0;
}

int portspec_parse(const char *text, struct portspec *ret, struct fl_error *err)
{
	struct portspec p = { .proto = IPPROTO_TCP };
	const char *slash = strchrnul(text, '/'), *inside = text, *colon, *host = NULL;
	size_t len = (size_t)(slash - text);

	if (*slash && fl_proto_parse(slash + 1, &p.proto))
		return bad(err, text, slash + 1, strlen(slash + 1), "tcp, udp or sctp");
	colon = memrchr(text, ':', len);
	if (colon) {
		inside = colon + 1;
		host = memrchr(text, ':', (size_t)(colon - text));
	}
	if (parse_range(inside, (size_t)(slash - inside), &p.container_port, &p.count))
		return bad(err, text, inside, (size_t)(slash - inside),
			   "a container port from 1 to 65535, or a range of them");
	if (host && parse_host(text, (size_t)(host - text), p.host, sizeof(p.host)))
		return bad(err, text, text, (size_t)(host - text),
			   "an address of the host, IPv6 in brackets");
	host = host ? host + 1 : text;
	/* ADDRESS::80 leaves the host's port open. */
	if (colon && (colon > host || host == text) &&
	    parse_range(host, (size_t)(colon - host), &p.host_port, &p.n_host))
		return bad(err, text, host, (size_t)(colon - host),
			   "a host port from 1 to 65535, or a range of them");
	if (check(text, &p, err))
		return -EINVAL;
	*ret = p;
	return 0;
}

json_t *portspec_json(const struct portspec *p)
{
	json_t *v = json_pack("{si si ss}", "hostPort", (int)p->host_port, "containerPort",
			      (int)p->container_port, "protocol", fl_proto_str(p->proto));

	if (p->count > 1)
		json_object_set_new(v, "range", json_integer(p->count));
	if (*p->host)
		json_object_set_new(v, "hostIP", json_string(p->host));
	return v;
}
