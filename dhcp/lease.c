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

	if (!r)
		r = channel_send(l, p, &err);
	lease_sent(l, r, &err);
}

void lease_sent(struct lease *l, int r, const struct fl_error *err)
{
	if (r == -ESTALE) {
		l->gone = true;
		return;
	}
	/* No such interface and no lease for it: nothing to wait for. */
	if (r == -ENODEV && !lease_held(l) && !l->waiter)
		l->gone = true;
	if (r)
		say_of(l, "%s", err->text);
	l->listen_until = now_ms() + LISTEN_MS;
}

static void client_release(struct lease *l)
{
	if (l->family == AF_INET)
		fl_dhcp_client_release(&l->client, now_ms());
	else
		fl_dhcp6_client_release(&l->client6, now_ms());
}

/* The last of the leases that somebody waits for has come: they are told together. */
static void answer_waiter(struct lease *l)
{
	struct conn *c = l->waiter;

	for (struct lease *s = l->d->leases; s; s = s->next)
		if (s->waiter == c && !lease_held(s))
			return;
	for (struct lease *s = l->d->leases; s; s = s->next)
		if (s->waiter == c)
			s->waiter = NULL;
	conn_answer(c, answer_of(l->d, &l->q));
}

/* The other lease that was asked for with this one is given back; its own timer ends it. */
static void fail_waiter(struct lease *l, const struct fl_error *err)
{
	static const struct timeval at_once = { 0 };
	struct conn *c = fl_take_ptr(l->waiter);

	for (struct lease *s = l->d->leases; s && c; s = s->next) {
		if (s->waiter != c)
			continue;
		s->waiter = NULL;
		client_release(s);
		s->gone = true;
		event_add(s->timer, &at_once);
	}
	if (c)
		conn_fail(c, err);
}

void lease_hopeless(struct lease *l, int r, const struct fl_error *err)
{
	lease_sent(l, r, err);
	if (!l->waiter || lease_held(l))
		return;
	fail_waiter(l, err);
	l->gone = true;
}

/* The first lease is configured by the plugin that waits for it, later ones by the daemon. */
bool lease_keep(struct lease *l, bool renewed, const struct fl_prefix *ip, uint32_t seconds)
{
	struct fl_error err = { 0 };
	int r;

	channel_close(l);
	memcpy(l->ack, l->input.msg, l->input.len);
	l->ack_len = l->input.len;
	if (l->input.from)
		l->server_mac = *l->input.from;
	r = state_save(l, &err);
	if (r && l->waiter) {
		fail_waiter(l, &err);
		client_release(l);
		l->gone = true;
		return false;
	}
	if (r)
		say_of(l, "%s", err.text);
	say_of(l, "%s %s for %u s", renewed ? "renewed" : "has", fl_prefix_str(ip, FL_PREFIX_BUF),
	       seconds);
	if (!l->waiter)
		return true;
	answer_waiter(l);
	return false;
}

void lease_applied(struct lease *l, int r, const struct fl_error *err)
{
	if (r == -ESTALE)
		l->gone = true;
	else if (r)
		say_of(l, "%s", err->text);
}

void lease_lost(struct lease *l, enum fl_dhcp_event e, const struct fl_prefix *ip, int r,
		const struct fl_error *err)
{
	struct fl_error save = { 0 };

	say_of(l, "%s %s: it is removed from the interface, and another is asked for",
	       e == FL_DHCP_EXPIRED ? "expired:" : "refused by the server:",
	       fl_prefix_str(ip, FL_PREFIX_BUF));
	l->ack_len = 0;
	lease_applied(l, r, err);
	if (!l->gone && state_save(l, &save))
		say_of(l, "%s", save.text);
}

static void on_event(void *arg, enum fl_dhcp_event e, const struct fl_dhcp_reply *old)
{
	struct fl_error err = { 0 };
	struct lease *l = arg;

	if (e != FL_DHCP_GOT)
		lease_lost(l, e, &old->ip, apply_loss(l, old, &err), &err);
	else if (lease_keep(l, old, &l->client.lease.ip, l->client.lease.lease))
		lease_applied(l, apply_lease(l, old, &err), &err);
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

/* An ADD, for this lease and not only for its endpoint's other one. */
static bool is_awaited(const struct lease *l)
{
	return l->waiter && !lease_held(l);
}

static void client_timeout(struct lease *l, uint64_t now)
{
	if (l->family == AF_INET)
		fl_dhcp_client_timeout(&l->client, now);
	else
		fl_dhcp6_client_timeout(&l->client6, now);
}

static void set_timeout_error(const struct lease *l, struct fl_error *err)
{
	bool v4 = l->family == AF_INET;

	if (l->watch >= 0)
		fl_error_set(err, ETIMEDOUT, FL_ECODE_TRY_AGAIN,
			     "dhcp: %s got no link-local IPv6 address within %d s, from which "
			     "DHCPv6 asks: see its addr_gen_mode and duplicates of its MAC address",
			     l->q.ifname, (int)l->q.timeout);
	else
		fl_error_set(err, ETIMEDOUT, FL_ECODE_TRY_AGAIN,
			     "dhcp: no%s server answered on %s within %d s (state %s%s)",
			     v4 ? "" : " DHCPv6", l->q.ifname, (int)l->q.timeout,
			     fl_dhcp_state_name(v4 ? l->client.state : l->client6.state),
			     !v4 && l->client6.refusal == FL_DHCP6_NO_ADDRS
				     ? ", a server has no addresses left"
				     : "");
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct lease *l = arg;
	uint64_t now = now_ms();
	struct fl_error err = { 0 };

	(void)fd;
	(void)what;
	if (l->gone) {
		lease_settle(l);
		return;
	}
	if (is_awaited(l) && now >= l->add_deadline) {
		set_timeout_error(l, &err);
		say_of(l, "%s", err.text);
		fail_waiter(l, &err);
		l->gone = true;
	} else {
		if (!is_awaited(l) && channel_is_open(l) && now >= l->listen_until)
			channel_close(l);
		client_timeout(l, now);
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
		state_forget(l);
		say_of(l, "ended: forgotten");
		lease_free(l);
		return;
	}
	at = least(at, l->family == AF_INET ? l->client.deadline : l->client6.deadline);
	if (is_awaited(l))
		at = least(at, l->add_deadline);
	else if (channel_is_open(l))
		at = least(at, l->listen_until);
	ms = at > now ? at - now : 0;
	tv = (struct timeval){ (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };
	event_add(l->timer, &tv);
}

static struct lease *find_from(struct lease *l, const struct fl_dhcp_request *q)
{
	while (l && (strcmp(l->q.network, q->network) || strcmp(l->q.container, q->container) ||
		     strcmp(l->q.ifname, q->ifname)))
		l = l->next;
	return l;
}

struct lease *lease_find(struct daemon *d, const struct fl_dhcp_request *q)
{
	return find_from(d->leases, q);
}

struct lease *lease_next(const struct lease *l)
{
	return find_from(l->next, &l->q);
}

static int lease_new(struct daemon *d, json_t *request, int family, struct lease **ret,
		     struct fl_error *err)
{
	struct lease *l = calloc(1, sizeof(*l));
	int r = l ? fl_dhcp_request_parse(request, &l->q, err) : fl_error_oom(err);

	if (!r && !(l->timer = event_new(d->base, -1, 0, on_timer, l)))
		r = fl_error_oom(err);
	if (r) {
		free(l);
		return r;
	}
	l->d = d;
	l->family = family;
	l->request = json_incref(request);
	l->packet = l->udp = l->watch = -1;
	l->q.timeout = l->q.timeout ? l->q.timeout : d->timeout;
	l->client.id = l->q.id;
	l->client.id.broadcast |= d->broadcast;
	l->client.resend_max = d->resend_max;
	l->client.io = (struct fl_dhcp_io){ send_packet, draw, on_event, l };
	lease6_init(l);
	snprintf(l->id, sizeof(l->id), "%08x%08x", draw(NULL), draw(NULL));
	l->next = d->leases;
	d->leases = l;
	*ret = l;
	return 0;
}

/* What cannot work at all is told at once: no namespace, no interface, options too long. */
static int try_channel(struct lease *l, struct fl_error *err)
{
	struct fl_dhcp_spec spec = { .kind = FL_DHCP_SEND_DISCOVER, .max_size = FL_DHCP_MSG_MAX };
	uint8_t msg[FL_DHCP_MSG_MAX];
	size_t len;
	int r;

	if (l->family == AF_INET6) {
		r = channel6_open(l, err);
		return r == -EAGAIN ? 0 : r;
	}
	r = channel_open(l, err);
	return r ? r : fl_dhcp_build(&l->client.id, &spec, msg, &len, err);
}

static void client_start(struct lease *l)
{
	if (l->family == AF_INET)
		fl_dhcp_client_start(&l->client, now_ms());
	else
		fl_dhcp6_client_start(&l->client6, now_ms());
}

int lease_add(struct daemon *d, json_t *request, const struct fl_dhcp_request *q,
	      struct conn *waiter, struct fl_error *err)
{
	struct lease *made[2] = { NULL, NULL };
	size_t n = 0;
	int r = 0;

	for (int i = 0; i < 2 && !r; i++) {
		if (!(i ? q->v6 : q->v4))
			continue;
		r = lease_new(d, request, i ? AF_INET6 : AF_INET, &made[n], err);
		if (r)
			break;
		made[n]->waiter = waiter;
		made[n]->add_deadline = now_ms() + (uint64_t)made[n]->q.timeout * 1000;
		r = try_channel(made[n++], err);
	}
	for (size_t i = 0; i < n && r; i++)
		lease_free(made[i]);
	for (size_t i = 0; i < n && !r; i++)
		client_start(made[i]);
	/* Only now: the end of one may be the other's. */
	for (size_t i = 0; i < n && !r; i++)
		lease_settle(made[i]);
	return r;
}

struct lease *lease_restore(struct daemon *d, json_t *request, int family, struct fl_error *err)
{
	struct lease *l = NULL;

	return lease_new(d, request, family, &l, err) ? NULL : l;
}

void lease_resume(struct lease *l)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;

	if (channel_netns(l, &ns, NULL) == -ESTALE)
		l->gone = true;
	else if (!lease_held(l))
		client_start(l);
	else if (l->family == AF_INET)
		fl_dhcp_client_resume(&l->client, now_ms());
	else
		fl_dhcp6_client_resume(&l->client6, now_ms());
	lease_settle(l);
}

void lease_release(struct lease *l, const char *why)
{
	struct fl_error err = { 0 };

	fl_error_set(&err, ECANCELED, FL_ECODE_TRY_AGAIN, "dhcp: given up: %s", why);
	fail_waiter(l, &err);
	client_release(l);
	state_forget(l);
	say_of(l, "%s: %s", l->gone ? "forgotten, its namespace is gone" : "released", why);
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
