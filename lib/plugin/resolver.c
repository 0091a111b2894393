/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin/resolver.h"

#include "base/strbuf.h"
#include "dns/request.h"
#include "plugin/daemon.h"
#include "plugin/internal.h"
#include "store/hosts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { DNS_PORT = 53 };

static const struct fl_field fields[] = {
	FL_F("enabled", BOOL, struct fl_resolver, enabled),
	FL_F("forward", TRI, struct fl_resolver, forward),
	FL_F("cache", TRI, struct fl_resolver, cache),
	FL_F("listen", JSON, struct fl_resolver, listen),
	FL_F("hosts", STRINGS, struct fl_resolver, hosts, .max = 1024),
	{ 0 },
};

void fl_resolver_clear(struct fl_resolver *r)
{
	fl_fields_clear(fields, r);
}

/* ---- configuration ---- */

static int parse_listen(struct fl_resolver *r, struct fl_error *err)
{
	json_int_t port = json_is_true(r->listen) ? DNS_PORT : json_integer_value(r->listen);

	if (!r->listen || json_is_false(r->listen))
		return 0;
	if (!json_is_true(r->listen) && !json_is_integer(r->listen))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "dns.listen: expected true, false or a port, not %s",
				    fl_json_kind(r->listen));
	if (port < 1 || port > UINT16_MAX)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "dns.listen: expected a port from 1 to 65535, not %lld",
				    (long long)port);
	r->listen_port = (uint16_t)port;
	return 0;
}

static int check_hosts(const struct fl_resolver *r, struct fl_error *err)
{
	for (size_t i = 0; i < r->hosts.n; i++) {
		const char *text = ((const char **)r->hosts.items)[i], *at = strchr(text, ':');
		char name[FL_HOSTNAME_MAX + 1];
		struct fl_addr a;

		if (at && at - text < (ptrdiff_t)sizeof(name)) {
			memcpy(name, text, (size_t)(at - text));
			name[at - text] = '\0';
			if (fl_name_valid(name, FL_HOSTNAME_MAX) &&
			    (!strcmp(at + 1, "host-gateway") || !fl_addr_parse(at + 1, &a)))
				continue;
		}
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "dns.hosts[%zu]: expected \"NAME:ADDRESS\" or "
				    "\"NAME:host-gateway\", not \"%.64s\"",
				    i, text);
	}
	return 0;
}

bool fl_resolver_is_word(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	while (*p > ' ' && *p != 127)
		p++;
	return *s && !*p;
}

static bool is_address(const char *s)
{
	struct fl_addr a;

	return !fl_addr_parse(s, &a);
}

static bool is_domain(const char *s)
{
	struct fl_dns_name n;

	return fl_resolver_is_word(s) && !fl_dns_name_parse(s, &n);
}

/* A list of the configuration's or, where the runtime gives one, of that. */
static int check_list(const struct fl_call *c, char **list, const char *key, const char *capability,
		      bool (*is_good)(const char *s), const char *expected, struct fl_error *err)
{
	const json_t *own = fl_config_get(c, "runtimeConfig", "dns", capability);
	bool runtime = json_array_size(own);

	for (size_t i = 0; list && list[i]; i++)
		if (!is_good(list[i]))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s.%s[%zu]: expected %s, not \"%.64s\"",
					    runtime ? "runtimeConfig.dns" : "dns",
					    runtime ? capability : key, i, expected, list[i]);
	return 0;
}

static int check_dns(const struct fl_call *c, struct fl_error *err)
{
	const struct fl_dns *d = &c->dns;
	int r = check_list(c, d->nameservers, "nameservers", "servers", is_address, "an IP address",
			   err);

	if (!r)
		r = check_list(c, d->search, "search", "searches", is_domain, "a domain", err);
	if (!r)
		r = check_list(c, d->options, "options", "options", fl_resolver_is_word, "one word",
			       err);
	if (!r && d->domain && *d->domain && !is_domain(d->domain))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "dns.domain: expected a domain, not \"%.64s\"", d->domain);
	return r;
}

static bool has_own_sandbox(const struct fl_driver *d)
{
	return d->flags & (FL_DRIVER_IPAM | FL_DRIVER_NAMES);
}

int fl_resolver_parse(struct fl_call *c, struct fl_error *err)
{
	struct fl_resolver *res = &c->resolver;
	const json_t *dns = fl_json_get(c->req.config, "dns");
	int r = 0;

	*res = (struct fl_resolver){ .forward = 1, .cache = 1 };
	/* An IPAM executable is shown the configuration of the plugin that asks it. */
	if (c->driver->flags & FL_DRIVER_IS_IPAM)
		return 0;
	res->enabled = c->driver->flags & FL_DRIVER_NAMES;
	if (dns)
		r = fl_fields_decode(dns, fields, "dns", res, err);
	if (!r)
		r = parse_listen(res, err);
	if (!r)
		r = check_hosts(res, err);
	if (r || !res->enabled)
		return r;
	if (!has_own_sandbox(c->driver))
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"dns.enabled: a resolver belongs to the plugin that attaches the "
			"container, or to the plugin \"dns\" in the chain, not to %s",
			c->driver->type);
	return check_dns(c, err);
}

/* ---- the record ---- */

static void put_list(json_t *obj, const char *key, char **list)
{
	json_t *array = json_array();

	for (; list && *list; list++)
		if (strcmp(*list, FL_DNSD_ADDRESS) != 0)
			json_array_append_new(array, json_string(*list));
	if (json_array_size(array))
		json_object_set(obj, key, array);
	json_decref(array);
}

static void add_missing(struct fl_dns *d, const struct fl_dns *from)
{
	d->nameservers = d->nameservers ? d->nameservers : from->nameservers;
	d->search = d->search ? d->search : from->search;
	d->options = d->options ? d->options : from->options;
	d->domain = d->domain && *d->domain ? d->domain : from->domain;
}

/* Borrowed: the configuration's, else IPAM's. A chained plugin adds to what the earlier ones said.
 */
static struct fl_dns settings(const struct fl_call *c)
{
	struct fl_dns d = fl_dns_empty(&c->dns) ? c->ipam_result.dns : c->dns;

	if (c->driver->flags & FL_DRIVER_CHAINED)
		add_missing(&d, &c->prev.dns);
	/* Whom to ask is IPAM's to say also where the configuration only says `search`. */
	d.nameservers = d.nameservers ? d.nameservers : c->ipam_result.dns.nameservers;
	return d;
}

/* Gateways of the endpoint's networks, where the host listens for itself. */
static void put_listeners(const struct fl_call *c, json_t *obj)
{
	const struct fl_result *r = c->result.n_ips ? &c->result
				    : c->has_prev   ? &c->prev
						    : &c->ipam_result;
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_ips; i++)
		if (fl_addr_is_set(&r->ips[i].gateway))
			json_array_append_new(
				list,
				json_pack("[s,i]", fl_addr_str(&r->ips[i].gateway, FL_ADDR_BUF),
					  (int)c->resolver.listen_port));
	if (json_array_size(list))
		json_object_set(obj, "listen", list);
	json_decref(list);
}

int fl_resolver_record(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOJSON json_t *obj = json_object();
	FL_AUTOFREE char *text = NULL;
	struct fl_dns d = settings(c);

	if (!c->resolver.enabled)
		return 0;
	/* Half of the record's addresses are the peer's, and would be told as this container's. */
	if (c->ipam.pair)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "dns.enabled, peer: a cable has two ends and no names; "
				    "expected at most one of them");
	if (!c->resolver.forward || c->net.internal)
		json_object_set_new(obj, "forward", json_false());
	if (!c->resolver.cache)
		json_object_set_new(obj, "cache", json_false());
	put_list(obj, "nameservers", d.nameservers);
	if (d.domain && *d.domain)
		json_object_set_new(obj, "domain", json_string(d.domain));
	if (c->resolver.listen_port)
		put_listeners(c, obj);
	text = json_dumps(obj, JSON_COMPACT);
	if (!text)
		return fl_error_oom(err);
	if (strlen(text) >= sizeof(c->ep.dns))
		return fl_error_set(err, E2BIG, FL_ECODE_CONFIG,
				    "dns: expected settings of at most %zu bytes in all, not %zu",
				    sizeof(c->ep.dns) - 1, strlen(text));
	memcpy(c->ep.dns, text, strlen(text) + 1);
	return 0;
}

int fl_resolver_result(struct fl_call *c, struct fl_error *err)
{
	static char *own[] = { (char *)FL_DNSD_ADDRESS, NULL };
	struct fl_dns d = settings(c);

	if (!c->resolver.enabled)
		return 0;
	d.nameservers = own;
	return fl_dns_copy(&c->result.dns, &d) ? fl_error_oom(err) : 0;
}

/* ---- the daemon ---- */

static bool listens(const char *state)
{
	struct fl_dnsd_request ping = { .op = FL_DNSD_PING };

	return fl_dnsd_ask(state, &ping, -1, false, NULL, NULL) != -ENOENT;
}

static const struct fl_daemon dnsd = { FL_DNSD_PROGRAM, "dns.enabled", "dns.start", listens };

int fl_resolver_start(const char *state, struct fl_error *err)
{
	struct fl_dnsd_request ping = { .op = FL_DNSD_PING };
	int r = fl_dnsd_ask(state, &ping, -1, true, NULL, err);

	return r == -ENOENT ? fl_daemon_start(&dnsd, state, err) : r;
}

struct question {
	const char *state;
	struct fl_dnsd_request *q;
	int fd;
	struct fl_dnsd_answer *ret;
};

static int ask(void *arg, struct fl_error *err)
{
	const struct question *q = arg;

	return fl_dnsd_ask(q->state, q->q, q->fd, true, q->ret, err);
}

static int ask_started(struct fl_call *c, struct fl_dnsd_request *q, int fd,
		       struct fl_dnsd_answer *ret, struct fl_error *err)
{
	struct question question = { fl_store_path(c->store), q, fd, ret };

	return fl_daemon_ask(&dnsd, question.state, ask, &question, err);
}

static int listen_at(struct fl_call *c, const struct fl_addr *a, struct fl_error *err)
{
	struct fl_dnsd_request q = { .op = FL_DNSD_LISTEN,
				     .port = c->resolver.listen_port,
				     .family = a->family };

	memcpy(q.addr, a->b, sizeof(q.addr));
	fl_strcpy(q.network, sizeof(q.network), c->req.network);
	return ask_started(c, &q, -1, NULL, err);
}

static int same_address(void *arg, const struct fl_ifaddr *a)
{
	return fl_addr_eq(&a->prefix.addr, arg);
}

bool fl_resolver_is_host(const struct fl_call *c, const struct fl_addr *a)
{
	return fl_addr_is_set(a) && fl_ifaddrs_each(c->host, 0, same_address, (void *)a, NULL) == 1;
}

static int listen_all(struct fl_call *c, struct fl_error *err)
{
	const struct fl_result *res = &c->result;
	bool found = !c->resolver.listen_port;
	int r = 0;

	for (size_t i = 0; !r && c->resolver.listen_port && i < res->n_ips; i++)
		if (fl_resolver_is_host(c, &res->ips[i].gateway)) {
			found = true;
			r = listen_at(c, &res->ips[i].gateway, err);
		}
	if (!r && !found)
		return fl_error_set(err, EADDRNOTAVAIL, FL_ECODE_CONFIG,
				    "dns.listen: network %s has no gateway that is an address of "
				    "this host",
				    c->req.network);
	return r;
}

/* A gateway that the plugin chose, since IPAM named none, is known by now only. */
static int record_listeners(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	char before[sizeof(c->ep.dns)];
	int r;

	memcpy(before, c->ep.dns, sizeof(before));
	r = c->resolver.listen_port ? fl_resolver_record(c, err) : 0;
	if (r || !strcmp(before, c->ep.dns))
		return r;
	r = fl_txn_begin(c->store, true, &t, err);
	if (!r)
		r = fl_endpoint_put(t, &c->ep, err);
	return r ? r : fl_txn_commit(&t, err);
}

int fl_resolver_open(struct fl_call *c, struct fl_error *err)
{
	struct fl_dnsd_request q = { .op = FL_DNSD_OPEN, .sandbox = fl_endpoint_sandbox(&c->ep) };
	struct fl_dnsd_answer a;
	int r;

	if (!c->resolver.enabled)
		return 0;
	fl_strcpy(q.path, sizeof(q.path), c->req.netns);
	r = ask_started(c, &q, c->sandbox.fd, &a, err);
	if (r)
		return r;
	c->ep.dns_port = a.port;
	r = record_listeners(c, err);
	if (!r)
		r = listen_all(c, err);
	return r ? r : fl_files_write(c, err);
}

/* Whoever is not at work has nothing open. */
static int ask_running(struct fl_call *c, struct fl_dnsd_request *q, struct fl_error *err)
{
	int r = fl_dnsd_ask(fl_store_path(c->store), q, -1, false, NULL, err);

	return r == -ENOENT ? 0 : r;
}

static int clear_rules(struct fl_call *c, void *arg, struct fl_error *err)
{
	(void)c;
	(void)arg;
	return fl_dnsd_clear_rules(err);
}

/* Its sockets went with the daemon, but not what it wrote into a sandbox that lives on. */
static void tidy_up(struct fl_call *c, const struct fl_endpoint *ep)
{
	FL_AUTOSANDBOX struct fl_sandbox s = { .ns = FL_NETNS_NONE };

	if (!fl_sandbox_open(c, ep, &s, NULL))
		fl_sandbox_run(c, &s, clear_rules, NULL, NULL);
}

static int close_sandbox(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	struct fl_dnsd_request q = { .op = FL_DNSD_CLOSE, .sandbox = fl_endpoint_sandbox(ep) };
	int r = fl_dnsd_ask(fl_store_path(c->store), &q, -1, false, NULL, err);

	if (r != -ENOENT)
		return r;
	tidy_up(c, ep);
	return 0;
}

int fl_resolver_close(struct fl_call *c, const struct fl_endpoint *ep, bool last,
		      struct fl_error *err)
{
	int r;

	if (!*ep->dns)
		return 0;
	r = last ? close_sandbox(c, ep, err) : 0;
	return r ? r : fl_files_remove(c, ep, err);
}

void fl_resolver_unlisten(struct fl_call *c, const char *network)
{
	struct fl_dnsd_request q = { .op = FL_DNSD_UNLISTEN };

	fl_strcpy(q.network, sizeof(q.network), network);
	/* It finds out by itself a little later. */
	ask_running(c, &q, NULL);
}

bool fl_resolver_is_gone(struct fl_call *c, const struct fl_endpoint *ep)
{
	struct fl_dnsd_request q = { .op = FL_DNSD_ALIVE, .sandbox = fl_endpoint_sandbox(ep) };

	return *ep->dns && !fl_dnsd_ask(fl_store_path(c->store), &q, -1, false, NULL, NULL);
}

int fl_resolver_check(struct fl_call *c, struct fl_error *err)
{
	struct fl_dnsd_request q = { .op = FL_DNSD_SERVED, .sandbox = fl_endpoint_sandbox(&c->ep) };
	struct fl_error quiet = { 0 };
	int r;

	if (!*c->ep.dns)
		return 0;
	r = fl_dnsd_ask(fl_store_path(c->store), &q, -1, false, NULL, &quiet);
	if (!r)
		return 0;
	return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
			    "container %s: the resolver at " FL_DNSD_ADDRESS " is not served%s%s",
			    c->req.container,
			    quiet.err ? ": " : ": no " FL_DNSD_PROGRAM " is at work",
			    quiet.err ? quiet.text : "");
}

int fl_resolver_status(struct fl_call *c, struct fl_error *err)
{
	struct fl_dnsd_request ping = { .op = FL_DNSD_PING };

	if (!c->resolver.enabled ||
	    fl_dnsd_ask(fl_store_path(c->store), &ping, -1, true, NULL, NULL) != -ENOENT)
		return 0;
	return fl_daemon_installed(&dnsd, err);
}
