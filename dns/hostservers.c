/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's name servers, from the resolv.conf that the broker opened. */
#include "dns/worker.h"

#include "base/netconf.h"
#include "base/strbuf.h"
#include "dns/cache.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { FILE_MAX = 65536, LOOK_MS = 1000 };

void servers_unref(struct servers *s)
{
	if (s && !--s->refs)
		free(s);
}

uint64_t servers_id(struct worker *w, struct servers *s)
{
	if (!s->id)
		s->id = ++w->n_lists;
	return s->id;
}

struct servers *view_servers(const struct view *v)
{
	return v->scope && v->scope->servers ? v->scope->servers : v->w->host_servers;
}

/* ---- listeners of ours ---- */

static bool is_at(const union address *a, const struct server *s)
{
	if (a->sa.sa_family != s->addr.family)
		return false;
	return a->sa.sa_family == AF_INET
		       ? a->in.sin_port == htons(s->port) &&
				 !memcmp(&a->in.sin_addr, s->addr.b, sizeof(a->in.sin_addr))
		       : a->in6.sin6_port == htons(s->port) &&
				 !memcmp(&a->in6.sin6_addr, s->addr.b, sizeof(a->in6.sin6_addr));
}

static void note_listener(struct view *v, void *arg)
{
	struct servers *s = arg;
	union address a;
	socklen_t len = sizeof(a);

	if (!v->network || getsockname(v->udp, &a.sa, &len))
		return;
	for (size_t i = 0; i < s->n; i++)
		if (is_at(&a, &s->v[i]))
			s->ours |= (uint8_t)(1u << i);
}

uint8_t servers_ours(struct worker *w, struct servers *s)
{
	uint64_t now = now_ms();

	if (s->seen_views == w->n_views && now - s->seen < LOOK_MS)
		return s->ours;
	s->ours = 0;
	s->seen = now;
	s->seen_views = w->n_views;
	views_each(w, note_listener, s);
	return s->ours;
}

/* ---- resolv.conf ---- */

/* As if_nametoindex(3), which would ask by a socket that this process may not open. */
static uint32_t index_of(const char *zone)
{
	FL_AUTOCLOSE int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { 0 };

	fl_strcpy(r.ifr_name, sizeof(r.ifr_name), zone);
	return s >= 0 && !ioctl(s, SIOCGIFINDEX, &r) ? (uint32_t)r.ifr_ifindex
						     : (uint32_t)strtoul(zone, NULL, 10);
}

/* "fe80::1%eth0" as resolv.conf(5) has it. */
static bool parse_server(const char *text, struct server *ret)
{
	char copy[FL_ADDR_STR + IFNAMSIZ + 1], *zone;

	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	zone = strchr(copy, '%');
	if (zone)
		*zone++ = '\0';
	*ret = (struct server){ .port = FL_DNS_PORT };
	if (fl_addr_parse(copy, &ret->addr))
		return false;
	ret->scope = zone ? index_of(zone) : 0;
	return true;
}

static struct servers *make(const struct fl_dns *dns)
{
	struct servers *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->refs = 1;
	for (size_t i = 0; dns->nameservers && dns->nameservers[i] && s->n < SERVERS_MAX; i++)
		if (parse_server(dns->nameservers[i], &s->v[s->n]))
			s->n++;
	return s;
}

static bool same(const struct servers *a, const struct servers *b)
{
	if (!a || !b || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!fl_addr_eq(&a->v[i].addr, &b->v[i].addr) || a->v[i].scope != b->v[i].scope)
			return false;
	return true;
}

void hostservers_read(struct worker *w, int fd)
{
	char *text = fd >= 0 ? malloc(FILE_MAX) : NULL;
	struct fl_dns dns = { 0 };
	struct servers *s;
	size_t len = 0;
	struct stat st;
	ssize_t n;

	if (text && !fstat(fd, &st) && S_ISREG(st.st_mode)) {
		while (len < FILE_MAX && (n = read(fd, text + len, FILE_MAX - len)) > 0)
			len += (size_t)n;
		fl_resolvconf_parse(text, len, &dns, NULL);
	}
	free(text);
	s = make(&dns);
	fl_dns_clear(&dns);
	if (!s || same(s, w->host_servers)) {
		servers_unref(s);
		return;
	}
	servers_unref(w->host_servers);
	w->host_servers = s;
	/* What others said is of no use any more. */
	if (w->cache)
		cache_clear(w->cache);
}
