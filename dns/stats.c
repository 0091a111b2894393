/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What netctl reads: counters, and queries as they come. One JSON object a line. */
#include "dns/worker.h"

#include "base/json.h"
#include "dns/cache.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { UNREAD_MAX = 1 << 20, STATS_SECONDS = 10 };

void count_latency(struct counters *c, uint64_t us, uint64_t n)
{
	unsigned i = us ? 64 - (unsigned)__builtin_clzll(us) : 0;

	c->histogram[i < HISTOGRAM ? i : HISTOGRAM - 1] += n;
}

/* Somebody who reads: counters, then the end; or the log until it goes away. */
struct watcher {
	struct watcher *next;
	struct worker *w;
	struct bufferevent *io;
	uint64_t sandbox; /* 0: all */
	bool endless;	  /* the log: counters come whole, of however many sandboxes */
	uint64_t lost;	  /* lines, since it read too slowly */
};

static void watcher_free(struct watcher *o)
{
	struct watcher **at = &o->w->watchers;

	while (*at && *at != o)
		at = &(*at)->next;
	if (*at)
		*at = o->next;
	bufferevent_free(o->io);
	free(o);
}

static void on_gone(struct bufferevent *io, short what, void *arg)
{
	(void)io;
	(void)what;
	watcher_free(arg);
}

static void on_drained(struct bufferevent *io, void *arg)
{
	(void)io;
	watcher_free(arg);
}

static struct watcher *watcher_new(struct worker *w, uint64_t sandbox, int fd)
{
	struct watcher *o = calloc(1, sizeof(*o));

	if (o)
		o->io = bufferevent_socket_new(w->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!o || !o->io) {
		free(o);
		close(fd);
		return NULL;
	}
	o->w = w;
	o->sandbox = sandbox;
	return o;
}

static void write_line(struct watcher *o, json_t *line)
{
	FL_AUTOJSON json_t *owned = line;
	FL_AUTOFREE char *text = json_dumps(owned, JSON_COMPACT);
	struct evbuffer *out = bufferevent_get_output(o->io);

	if (!text || (o->endless && evbuffer_get_length(out) > UNREAD_MAX)) {
		o->lost++;
		return;
	}
	bufferevent_write(o->io, text, strlen(text));
	bufferevent_write(o->io, "\n", 1);
}

/* ---- counters ---- */

static json_t *counters_json(const struct counters *c)
{
	json_t *histogram = json_array();

	for (size_t i = 0; i < HISTOGRAM; i++)
		json_array_append_new(histogram, json_integer((json_int_t)c->histogram[i]));
	return json_pack("{sI sI sI sI sI sI sI sI so}", "queries", (json_int_t)c->queries, "tcp",
			 (json_int_t)c->tcp, "local", (json_int_t)c->local, "cached",
			 (json_int_t)c->cached, "forwarded", (json_int_t)c->forwarded, "refused",
			 (json_int_t)c->refused, "failed", (json_int_t)c->failed, "malformed",
			 (json_int_t)c->malformed, "latency", histogram);
}

static void write_view(struct view *v, void *arg)
{
	struct watcher *o = arg;
	json_t *line = json_object(), *nets = json_array();
	char id[24];

	if (o->sandbox && o->sandbox != v->sandbox) {
		json_decref(line);
		json_decref(nets);
		return;
	}
	snprintf(id, sizeof(id), "%" PRIu64, v->sandbox);
	if (v->network)
		json_object_set_new(line, "listener", json_string(v->network));
	else
		json_object_set_new(line, "sandbox", json_string(id));
	for (size_t i = 0; v->scope && i < v->scope->n_nets; i++)
		json_array_append_new(nets, json_string(v->scope->nets[i].name));
	json_object_set_new(line, "networks", nets);
	json_object_set_new(line, "waiting", json_integer(v->n_forwards));
	json_object_set_new(line, "connections", json_integer(v->n_streams));
	json_object_set_new(line, "counters", counters_json(&v->count));
	write_line(o, line);
}

static json_t *servers_json(const struct servers *s)
{
	json_t *list = json_array();

	for (size_t i = 0; s && i < s->n; i++)
		json_array_append_new(list, json_string(fl_addr_str(&s->v[i].addr, FL_ADDR_BUF)));
	return list;
}

void stats_client(struct worker *w, uint64_t sandbox, int fd)
{
	static const struct timeval limit = { STATS_SECONDS, 0 };
	struct watcher *o = watcher_new(w, sandbox, fd);

	if (!o)
		return;
	views_each(w, write_view, o);
	for (const struct net_counters *n = w->nets; n && !sandbox; n = n->next)
		write_line(o,
			   json_pack("{ss sI}", "network", n->name, "hits", (json_int_t)n->hits));
	if (!sandbox)
		write_line(o,
			   json_pack("{s{sI sI} so sI sI}", "cache", "entries",
				     (json_int_t)(w->cache ? cache_entries(w->cache) : 0), "bytes",
				     (json_int_t)(w->cache ? cache_used(w->cache) : 0), "servers",
				     servers_json(w->host_servers), "sandboxes",
				     (json_int_t)w->n_views, "waiting", (json_int_t)w->n_forwards));
	bufferevent_setcb(o->io, NULL, on_drained, on_gone, o);
	bufferevent_set_timeouts(o->io, NULL, &limit);
	bufferevent_enable(o->io, EV_WRITE);
	if (!evbuffer_get_length(bufferevent_get_output(o->io)))
		watcher_free(o);
}

/* ---- log ---- */

void log_client(struct worker *w, uint64_t sandbox, int fd)
{
	struct watcher *o = watcher_new(w, sandbox, fd);

	if (!o)
		return;
	o->endless = true;
	o->next = w->watchers;
	w->watchers = o;
	/* Only to hear when it goes. */
	bufferevent_setcb(o->io, NULL, NULL, on_gone, o);
	bufferevent_enable(o->io, EV_READ | EV_WRITE);
}

static json_t *type_json(uint16_t type)
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = { { FL_DNS_A, "A" },     { FL_DNS_AAAA, "AAAA" }, { FL_DNS_PTR, "PTR" },
		      { FL_DNS_SRV, "SRV" }, { FL_DNS_MX, "MX" },     { FL_DNS_TXT, "TXT" },
		      { FL_DNS_NS, "NS" },   { FL_DNS_SOA, "SOA" },   { FL_DNS_CNAME, "CNAME" },
		      { FL_DNS_ANY, "ANY" } };
	char other[16];

	for (size_t i = 0; i < FL_ARRAY_SIZE(names); i++)
		if (names[i].type == type)
			return json_string(names[i].name);
	snprintf(other, sizeof(other), "TYPE%u", type); /* RFC 3597 section 5 */
	return json_string(other);
}

void log_query(struct worker *w, const struct view *v, const struct fl_dns_query *q,
	       const char *how, uint16_t rcode, uint64_t us)
{
	char name[FL_DNS_TEXT_MAX], id[24];

	fl_dns_name_str(&q->name, name);
	snprintf(id, sizeof(id), "%" PRIu64, v->sandbox);
	for (struct watcher *o = w->watchers; o; o = o->next) {
		if (o->sandbox && o->sandbox != v->sandbox)
			continue;
		if (o->lost && !evbuffer_get_length(bufferevent_get_output(o->io))) {
			write_line(o, json_pack("{sI}", "lost", (json_int_t)o->lost));
			o->lost = 0;
		}
		write_line(o, json_pack("{ss ss so ss si sI}", v->network ? "listener" : "sandbox",
					v->network ? v->network : id, "name", name, "type",
					type_json(q->type), "answer", how, "rcode", (int)rcode,
					"us", (json_int_t)us));
	}
}
