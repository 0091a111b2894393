/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of services, read once, while files may still be opened. */
#include "dns/worker.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>

enum { SERVICES_MAX = 4096 };

struct service {
	char name[32];
	uint16_t port;
	uint8_t proto;
};

struct services {
	size_t n;
	struct service v[];
};

static uint8_t proto_of(const char *name)
{
	return !strcmp(name, "tcp")    ? IPPROTO_TCP
	       : !strcmp(name, "udp")  ? IPPROTO_UDP
	       : !strcmp(name, "sctp") ? IPPROTO_SCTP
				       : 0;
}

struct services *services_read(void)
{
	struct services *s = calloc(1, sizeof(*s) + SERVICES_MAX * sizeof(s->v[0])), *fitted;
	const struct servent *e;

	setservent(1);
	while (s && s->n < SERVICES_MAX && (e = getservent())) {
		struct service *to = &s->v[s->n];

		to->proto = proto_of(e->s_proto);
		to->port = ntohs((uint16_t)e->s_port);
		if (!to->proto || strlen(e->s_name) >= sizeof(to->name))
			continue;
		strcpy(to->name, e->s_name);
		s->n++;
	}
	endservent();
	fitted = s ? realloc(s, sizeof(*s) + s->n * sizeof(s->v[0])) : NULL;
	return fitted ? fitted : s;
}

uint16_t services_find(const struct services *s, const char *name, uint8_t proto)
{
	char *end;
	unsigned long port = strtoul(name, &end, 10);

	if (*name >= '1' && *name <= '9' && !*end)
		return port <= UINT16_MAX ? (uint16_t)port : 0;
	for (size_t i = 0; s && i < s->n; i++)
		if (s->v[i].proto == proto && !strcasecmp(s->v[i].name, name))
			return s->v[i].port;
	return 0;
}
