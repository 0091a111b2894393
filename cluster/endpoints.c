/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cluster/endpoints.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool host_valid(const char *s, size_t len)
{
	bool v6 = len > 2 && s[0] == '[' && s[len - 1] == ']';

	for (size_t i = v6; i < len - v6; i++) {
		unsigned char c = (unsigned char)s[i];

		if (v6 ? !isxdigit(c) && c != ':' && c != '.' : !isalnum(c) && c != '.' && c != '-')
			return false;
	}
	return len > 0;
}

static bool port_valid(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n && n <= 5 && !s[n] && strtoul(s, NULL, 10) > 0 && strtoul(s, NULL, 10) < 65536;
}

/* "http://HOST:PORT", a slash after it allowed and left out. */
static int read_url(const char *url, char *to)
{
	size_t len = strlen(url), scheme;
	const char *colon;

	if (len && url[len - 1] == '/')
		len--;
	if (len >= FL_ETCD_URL_MAX)
		return -EINVAL;
	memcpy(to, url, len);
	to[len] = '\0';
	scheme = !strncmp(to, "https://", 8) ? 8 : !strncmp(to, "http://", 7) ? 7 : 0;
	colon = strrchr(to, ':');
	if (!scheme || colon < to + scheme || !port_valid(colon + 1) ||
	    !host_valid(to + scheme, (size_t)(colon - to) - scheme))
		return -EINVAL;
	return 0;
}

int endpoints_init(struct endpoints *e, const char *const *urls, size_t n, uint32_t lot,
		   struct fl_error *err)
{
	if (!n || n > FL_ETCD_ENDPOINTS_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "etcd: expected 1 to %d endpoints, not %zu",
				    FL_ETCD_ENDPOINTS_MAX, n);
	*e = (struct endpoints){ .n = (unsigned)n, .current = lot % (unsigned)n };
	for (size_t i = 0; i < n; i++)
		if (read_url(urls[i], e->list[i].url))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "etcd: endpoint \"%.64s\": expected "
					    "http://HOST:PORT or https://HOST:PORT",
					    urls[i]);
	return 0;
}

int endpoints_pick(const struct endpoints *e, uint32_t tried, uint64_t now)
{
	int best = -1;

	for (unsigned k = 0; k < e->n; k++) {
		unsigned i = (e->current + k) % e->n;

		if (tried & 1u << i)
			continue;
		if (e->list[i].avoid_until <= now)
			return (int)i;
		if (best < 0 || e->list[i].avoid_until < e->list[best].avoid_until)
			best = (int)i;
	}
	return best;
}

unsigned backoff_ms(unsigned n, unsigned base, unsigned max, uint32_t lot)
{
	unsigned ms = base;

	while (n-- > 1 && ms < max)
		ms *= 2;
	if (ms > max)
		ms = max;
	return ms / 2 + lot % (ms / 2 + 1);
}

void endpoints_failed(struct endpoints *e, unsigned i, uint64_t now, uint32_t lot)
{
	struct endpoint *p = &e->list[i];

	if (p->fails < 16)
		p->fails++;
	p->avoid_until = now + backoff_ms(p->fails, ENDPOINT_AVOID_MS, ENDPOINT_AVOID_MAX_MS, lot);
	/* It may come back as another version. */
	p->api = NULL;
}

void endpoints_worked(struct endpoints *e, unsigned i)
{
	e->list[i].fails = 0;
	e->list[i].avoid_until = 0;
	e->current = i;
}

const char *endpoint_api(const char *version)
{
	unsigned major, minor;

	if (sscanf(version, "%3u.%3u", &major, &minor) != 2 || major < 3)
		return NULL;
	if (major > 3 || minor >= 4)
		return "/v3";
	return minor == 3 ? "/v3beta" : minor == 2 ? "/v3alpha" : NULL;
}
