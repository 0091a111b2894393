/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dhcp/daemon.h"

#include "nl/nl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* ---- what the client asks for ---- */

static uint32_t draw(void *arg)
{
	uint32_t v = 0;

	(void)arg;
	/* 4 bytes from the pool that is ready since boot: neither short nor interrupted
	 * (getrandom(2)) */
	if (getrandom(&v, sizeof(v), 0) != sizeof(v))
		v = (uint32_t)now_ms();
	return v;
}

static void send_packet(void *arg, const struct fl_dhcp_packet *p)
{
	struct fl_error err = { 0 };
	struct lease *l = arg;
	int r = channel_open(l, &err);

	if (r == -ESTALE) {
		l->gone = true;
		return;
	}
	/* No such interface and no lease for it: nothing to wait for. */
	if (r == -ENODEV && !l->client.held && !l->waiter)
		l->gone = true;
	if (!r)
		r = channel_send(l, p, &err);
	if (r)
		say_of(l, "%s", err.text);
	l->listen_until = now_ms() + LISTEN_MS;
}

static void answer_waiter(struct lease *l)
{
	struct conn *c = fl_take_ptr(l->waiter);

	if (c)
		conn_answer(c, lease_describe(l));
}

static void fail_waiter(struct lease *l, const struct fl_error *err)
{
	struct conn *c = fl_take_ptr(l->waiter);

	if (c)
		conn_fail(c, err);
}

/* The first lease is configured by the plugin that waits for it, later ones by the daemon. */
static void got(struct lease *l, const struct fl_dhcp_reply *old)
{
	struct fl_error err = { 0 };
	int r;

	channel_close(l);
	memcpy(l->ack, l->input.msg, l->input.len);
	l->ack_len = l->input.len;
	l->server_mac = *l->input.from;
	r = state_save(l, &err);
	if (r && l->waiter) {
		fail_waiter(l, &err);
		fl_dhcp_client_release(&l->client, now_ms());
		l->gone = true;
		return;
	}
	if (r)
		say_of(l, "%s", err.text);
	say_of(l, "%s %s for %u s", old ? "renewed" : "has",
	       fl_prefix_str(&l->client.lease.ip, FL_PREFIX_BUF), l->client.lease.lease);
	if (l->waiter) {
		answer_waiter(l);
		return;
	}
	r = apply_lease(l, old, &err);
	if (r == -ESTALE)
		l->gone = true;
	else if (r)
		say_of(l, "%s", err.text);
}

static void on_event(void *arg, enum fl_dhcp_event e, const struct fl_dhcp_reply *old)
{
	struct fl_error err = { 0 };
	struct lease *l = arg;

	if (e == FL_DHCP_GOT) {
		got(l, old);
		return;
	}
	say_of(l, "%s %s: it is removed from the interface, and another is asked for",
	       e == FL_DHCP_EXPIRED ? "expired:" : "refused by the server:",
	       fl_prefix_str(&old->ip, FL_PREFIX_BUF));
	l->ack_len = 0;
	if (apply_loss(l, old, &err) == -ESTALE)
		l->gone = true;
	else if (err.err)
		say_of(l, "%s", err.text);
	if (!l->gone && state_save(l, &err))
		say_of(l, "%s", err.text);
}

void lease_input(struct lease *l, const uint8_t *msg, size_t len, const struct fl_mac *from)
{
	struct fl_dhcp_reply reply;

	if (fl_dhcp_parse(msg, len, &reply))
		return;
	l->input = (struct input){ msg, len, from };
	fl_dhcp_client_input(&l->client, &reply, now_ms());
	l->input = (struct input){ 0 };
	lease_settle(l);
}

/* ---- life ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct lease *l = arg;
	uint64_t now = now_ms();
	struct fl_error err = { 0 };

	(void)fd;
	(void)what;
	if (l->waiter && now >= l->add_deadline) {
		fl_error_set(&err, ETIMEDOUT, FL_ECODE_TRY_AGAIN,
			     "dhcp: no server answered on %s within %d s (state %s)", l->q.ifname,
			     (int)l->q.timeout, fl_dhcp_state_name(l->client.state));
		say_of(l, "%s", err.text);
		fail_waiter(l, &err);
		l->gone = true;
	} else {
		if (!l->waiter && l->packet >= 0 && now >= l->listen_until)
			channel_close(l);
		fl_dhcp_client_timeout(&l->client, now);
	}
	lease_settle(l);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void lease_settle(struct lease *l)
{
	uint64_t now = now_ms(), at = now + CHECK_CLOCK_MS, ms;
	struct fl_error err = { 0 };
	struct timeval tv;

	if (l->gone) {
		fl_error_set(&err, ESTALE, FL_ECODE_UNKNOWN_CONTAINER,
			     "dhcp: %s or its interface %s went away meanwhile", l->q.netns,
			     l->q.ifname);
		fail_waiter(l, &err);
		say_of(l, "ended: forgotten");
		state_forget(l);
		lease_free(l);
		return;
	}
	at = least(at, l->client.deadline);
	if (l->waiter)
		at = least(at, l->add_deadline);
	else if (l->packet >= 0)
		at = least(at, l->listen_until);
	ms = at > now ? at - now : 0;
	tv = (struct timeval){ (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };
	event_add(l->timer, &tv);
}

struct lease *lease_find(struct daemon *d, const struct fl_dhcp_request *q)
{
	struct lease *l = d->leases;

	while (l && (strcmp(l->q.network, q->network) || strcmp(l->q.container, q->container) ||
		     strcmp(l->q.ifname, q->ifname)))
		l = l->next;
	return l;
}

static int lease_new(struct daemon *d, json_t *request, struct lease **ret, struct fl_error *err)
{
	FL_AUTOJSON json_t *owned = request;
	struct lease *l = calloc(1, sizeof(*l));
	int r = l ? fl_dhcp_request_parse(request, &l->q, err) : fl_error_oom(err);

	if (!r && !(l->timer = event_new(d->base, -1, 0, on_timer, l)))
		r = fl_error_oom(err);
	if (r) {
		free(l);
		return r;
	}
	l->d = d;
	l->request = fl_take_ptr(owned);
	l->packet = l->udp = -1;
	l->q.timeout = l->q.timeout ? l->q.timeout : d->timeout;
	l->client.id = l->q.id;
	l->client.id.broadcast |= d->broadcast;
	l->client.resend_max = d->resend_max;
	l->client.io = (struct fl_dhcp_io){ send_packet, draw, on_event, l };
	snprintf(l->id, sizeof(l->id), "%08x%08x", draw(NULL), draw(NULL));
	l->next = d->leases;
	d->leases = l;
	*ret = l;
	return 0;
}

int lease_add(struct daemon *d, json_t *request, struct conn *waiter, struct lease **ret,
	      struct fl_error *err)
{
	struct lease *l = NULL;
	int r = lease_new(d, request, &l, err);

	if (r)
		return r;
	/* What cannot work at all is told at once: no namespace, no interface, options too long. */
	r = channel_open(l, err);
	if (!r) {
		uint8_t msg[FL_DHCP_MSG_MAX];
		struct fl_dhcp_spec spec = { .kind = FL_DHCP_SEND_DISCOVER,
					     .max_size = FL_DHCP_MSG_MAX };
		size_t len;

		r = fl_dhcp_build(&l->client.id, &spec, msg, &len, err);
	}
	if (r) {
		lease_free(l);
		return r;
	}
	l->waiter = waiter;
	l->add_deadline = now_ms() + (uint64_t)l->q.timeout * 1000;
	*ret = l;
	fl_dhcp_client_start(&l->client, now_ms());
	return 0;
}

struct lease *lease_restore(struct daemon *d, json_t *request, struct fl_error *err)
{
	struct lease *l = NULL;

	return lease_new(d, request, &l, err) ? NULL : l;
}

void lease_resume(struct lease *l)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;

	if (channel_netns(l, &ns, NULL) == -ESTALE)
		l->gone = true;
	else if (l->client.held)
		fl_dhcp_client_resume(&l->client, now_ms());
	else
		fl_dhcp_client_start(&l->client, now_ms());
	lease_settle(l);
}

void lease_release(struct lease *l, const char *why)
{
	struct fl_error err = { 0 };

	fl_error_set(&err, ECANCELED, FL_ECODE_TRY_AGAIN, "dhcp: given up: %s", why);
	fail_waiter(l, &err);
	fl_dhcp_client_release(&l->client, now_ms());
	say_of(l, "%s: %s", l->gone ? "forgotten, its namespace is gone" : "released", why);
	state_forget(l);
	lease_free(l);
}

void lease_free(struct lease *l)
{
	struct lease **at = &l->d->leases;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	channel_close(l);
	event_free(l->timer);
	json_decref(l->request);
	free(l);
}

/* ---- the answer ---- */

static json_t *text_of(const struct fl_addr *a)
{
	return json_string(fl_addr_str(a, FL_ADDR_BUF));
}

static json_t *routes_of(const struct lease *l)
{
	const struct fl_dhcp_reply *r = &l->client.lease;
	json_t *list = json_array(), *route;

	for (size_t i = 0; i < r->n_routes; i++) {
		route = json_pack("{ss}", "dst", fl_prefix_str(&r->routes[i].dst, FL_PREFIX_BUF));
		if (fl_addr_is_set(&r->routes[i].gw))
			json_object_set_new(route, "gw", text_of(&r->routes[i].gw));
		else
			json_object_set_new(route, "scope", json_integer(RT_SCOPE_LINK));
		if (l->q.priority)
			json_object_set_new(route, "priority", json_integer(l->q.priority));
		json_array_append_new(list, route);
	}
	return list;
}

static json_t *dns_of(const struct fl_dhcp_reply *r)
{
	json_t *dns = json_object(), *list = json_array();

	for (size_t i = 0; i < r->n_dns; i++)
		json_array_append_new(list, text_of(&r->dns[i]));
	if (r->n_dns)
		json_object_set(dns, "nameservers", list);
	json_decref(list);
	if (*r->domain)
		json_object_set_new(dns, "domain", json_string(r->domain));
	list = json_array();
	for (size_t i = 0; i < r->n_search; i++)
		json_array_append_new(list, json_string(r->search[i]));
	if (r->n_search)
		json_object_set(dns, "search", list);
	json_decref(list);
	return dns;
}

json_t *lease_describe(const struct lease *l)
{
	const struct fl_dhcp_reply *r = &l->client.lease;
	uint64_t now = now_ms(), expiry = l->client.expiry;
	json_t *ip4 = json_pack("{ss}", "address", fl_prefix_str(&r->ip, FL_PREFIX_BUF));
	json_t *answer = json_object();

	if (fl_addr_is_set(&r->gateway))
		json_object_set_new(ip4, "gateway", text_of(&r->gateway));
	json_object_set_new(answer, "ip4", ip4);
	json_object_set_new(answer, "routes", routes_of(l));
	json_object_set_new(answer, "dns", dns_of(r));
	if (r->mtu)
		json_object_set_new(answer, "mtu", json_integer(r->mtu));
	json_object_set_new(answer, "lease",
			    json_integer(expiry == FL_DHCP_NEVER ? -1
					 : expiry < now		 ? 0
							: (json_int_t)((expiry - now) / 1000)));
	return answer;
}
