/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sandboxes and host listeners as the worker sees them: sockets, and what may be asked there. */
#include "dns/worker.h"

#include "base/json.h"
#include "base/netconf.h"
#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

enum { NETS_MAX = 64, TEXT_MAX = 1024 };

static struct view **bucket_of(struct worker *w, uint64_t sandbox)
{
	return &w->views[(sandbox * 0x9e3779b97f4a7c15u) >> 52 & (VIEW_BUCKETS - 1)];
}

struct view *view_find(struct worker *w, uint64_t sandbox)
{
	struct view *v = *bucket_of(w, sandbox);

	while (v && v->sandbox != sandbox)
		v = v->next;
	return v;
}

void views_each(struct worker *w, void (*fn)(struct view *v, void *arg), void *arg)
{
	for (size_t i = 0; i < VIEW_BUCKETS; i++)
		for (struct view *v = w->views[i], *next; v; v = next) {
			next = v->next;
			fn(v, arg);
		}
}

struct net_counters *net_counters(struct worker *w, const char *name)
{
	struct net_counters *n = w->nets;

	while (n && strcmp(n->name, name) != 0)
		n = n->next;
	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	fl_strcpy(n->name, sizeof(n->name), name);
	n->next = w->nets;
	w->nets = n;
	return n;
}

/* ---- scope ---- */

struct reading {
	struct worker *w;
	struct {
		char network[201], ifname[16];
		char dns[TEXT_MAX];
		size_t len;
	} * v;
	size_t n;
};

static int take_entry(void *arg, const struct fl_sandbox_entry *e)
{
	struct reading *r = arg;
	size_t at = r->n;

	if (r->n == NETS_MAX || e->dns_len > TEXT_MAX)
		return 0;
	/* In the order of interfaces: eth0's name servers come first. */
	while (at > 0 && strcmp(r->v[at - 1].ifname, e->id.ifname) > 0) {
		r->v[at] = r->v[at - 1];
		at--;
	}
	fl_strcpy(r->v[at].network, sizeof(r->v[at].network), e->id.network);
	fl_strcpy(r->v[at].ifname, sizeof(r->v[at].ifname), e->id.ifname);
	memcpy(r->v[at].dns, e->dns, e->dns_len);
	r->v[at].len = e->dns_len;
	r->n++;
	return 0;
}

static void add_servers(struct scope *s, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct server one = { .port = FL_DNS_PORT };

		if (!s->servers) {
			s->servers = calloc(1, sizeof(*s->servers));
			if (s->servers)
				s->servers->refs = 1;
		}
		if (!s->servers || s->servers->n == SERVERS_MAX ||
		    fl_addr_parse(json_string_value(json_array_get(list, i)), &one.addr))
			continue;
		s->servers->v[s->servers->n++] = one;
	}
}

/* An endpoint on an internal network does not keep the sandbox from what another network allows. */
static void add_net(struct worker *w, struct scope *s, const char *network, const char *text,
		    size_t len)
{
	FL_AUTOJSON json_t *dns = json_loadb(text, len, 0, NULL);
	const char *domain = json_string_value(json_object_get(dns, "domain"));
	struct fl_zone_net *n = &s->nets[s->n_nets++];
	struct net_counters *count = net_counters(w, network);

	*n = (struct fl_zone_net){ .name = count ? count->name : "",
				   .hits = count ? &count->hits : NULL };
	fl_dns_name_parse(network, &n->suffix);
	if (domain)
		fl_dns_name_parse(domain, &n->domain);
	if (!json_is_false(json_object_get(dns, "forward"))) {
		s->forward = true;
		add_servers(s, json_object_get(dns, "nameservers"));
	}
	if (json_is_false(json_object_get(dns, "cache")))
		s->cache = false;
}

static struct scope *scope_new(size_t nets)
{
	struct scope *s = calloc(1, sizeof(*s) + nets * sizeof(s->nets[0]));

	if (s)
		s->cache = true;
	return s;
}

static void scope_free(struct scope *s)
{
	if (!s)
		return;
	servers_unref(s->servers);
	free(s);
}

/* With several networks answers turn, and differ by who asks; they are not worth remembering. */
static void note_sight(struct scope *s)
{
	const struct fl_zone_net *n = &s->nets[0];
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	if (s->n_nets != 1 || !n->hits)
		return;
	for (const char *p = n->name; *p; p++)
		h = (h ^ (uint8_t)*p) * 0x100000001b3u;
	for (size_t i = 0; i < n->domain.len; i++)
		h = (h ^ n->domain.b[i]) * 0x100000001b3u;
	s->sight = h | 1;
}

static struct scope *read_scope(struct view *v, struct fl_txn *t)
{
	struct reading r = { .w = v->w };
	struct scope *s = NULL;

	r.v = malloc(NETS_MAX * sizeof(*r.v));
	if (r.v && !fl_sandboxes_each(t, v->sandbox, false, take_entry, &r, NULL))
		s = scope_new(r.n);
	for (size_t i = 0; s && i < r.n; i++)
		add_net(v->w, s, r.v[i].network, r.v[i].dns, r.v[i].len);
	free(r.v);
	if (s)
		note_sight(s);
	return s;
}

static struct scope *read_listener(struct view *v, struct fl_txn *t)
{
	struct fl_bytes dns;
	struct scope *s;

	if (fl_listener_get(t, v->network, &dns, NULL))
		return NULL;
	s = scope_new(1);
	if (!s)
		return NULL;
	add_net(v->w, s, v->network, dns.p, dns.len);
	note_sight(s);
	return s;
}

bool view_refresh(struct view *v, struct fl_txn *t)
{
	uint64_t id = fl_txn_id(t), digest = 1;

	if (v->seen == id)
		return v->scope;
	if (!v->network && fl_sandbox_digest(t, v->sandbox, &digest, NULL))
		return v->scope;
	v->seen = id;
	if (!v->network && v->scope && digest == v->digest)
		return true;
	scope_free(v->scope);
	v->scope = !digest ? NULL : v->network ? read_listener(v, t) : read_scope(v, t);
	v->digest = digest;
	return v->scope;
}

/* ---- life ---- */

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	streams_accept(arg);
}

void view_open(struct worker *w, const struct channel_msg *m, int *fds, int n)
{
	struct view *old = view_find(w, m->sandbox), **bucket = bucket_of(w, m->sandbox);
	struct view *v = n == 2 ? aligned_alloc(_Alignof(struct view), sizeof(*v)) : NULL;
	struct epoll_event e = { .events = EPOLLIN };

	if (old)
		view_close(old);
	if (!v) {
		while (n > 0)
			close(fds[--n]);
		return;
	}
	*v = (struct view){ .w = w, .sandbox = m->sandbox, .udp = fds[0], .tcp = fds[1] };
	v->network = m->network[0] ? strdup(m->network) : NULL;
	pool_init(&v->pool, w, v);
	v->next = *bucket;
	*bucket = v;
	w->n_views++;
	e.data.ptr = v;
	v->accept = event_new(w->base, v->tcp, EV_READ | EV_PERSIST, on_accept, v);
	if (!v->accept || event_add(v->accept, NULL) ||
	    epoll_ctl(w->udp_set, EPOLL_CTL_ADD, v->udp, &e)) {
		worker_note("cannot serve a sandbox: no memory");
		view_close(v);
	}
}

void view_close(struct view *v)
{
	struct view **at = bucket_of(v->w, v->sandbox);

	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	v->w->n_views--;
	if (v->w->hot == v)
		v->w->hot = NULL;
	forwards_drop(v);
	streams_close(v);
	pool_clear(&v->pool);
	epoll_ctl(v->w->udp_set, EPOLL_CTL_DEL, v->udp, NULL);
	if (v->accept)
		event_free(v->accept);
	close(v->udp);
	close(v->tcp);
	scope_free(v->scope);
	free(v->network);
	free(v);
}
