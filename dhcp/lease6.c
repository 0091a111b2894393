/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the DHCPv6 client asks for. */
#include "dhcp/daemon.h"

struct fl_prefix lease6_ip(const struct fl_dhcp6_reply *r)
{
	const struct fl_dhcp6_address *a = fl_dhcp6_best(r);

	return a ? (struct fl_prefix){ a->addr, 128 } : (struct fl_prefix){ 0 };
}

static void send_message(void *arg, const uint8_t *msg, size_t len)
{
	struct fl_error err = { 0 };
	struct lease *l = arg;
	int r = channel6_open(l, &err);

	if (r && r != -EAGAIN) {
		lease_hopeless(l, r, &err);
		return;
	}
	if (!r) {
		r = channel6_send(l, msg, len, &err);
		if (r) /* its source may be gone: the next one finds another */
			channel_close(l);
	}
	lease_sent(l, r == -EAGAIN ? 0 : r, &err);
}

static void on_event(void *arg, enum fl_dhcp_event e, const struct fl_dhcp6_reply *old)
{
	struct fl_error err = { 0 };
	struct lease *l = arg;
	struct fl_prefix ip = lease6_ip(e == FL_DHCP_GOT ? &l->client6.lease : old);

	if (e != FL_DHCP_GOT)
		lease_lost(l, e, &ip, apply6_loss(l, old, &err), &err);
	else if (lease_keep(l, old, &ip, fl_dhcp6_best(&l->client6.lease)->valid))
		lease_applied(l, apply6_lease(l, old, &err), &err);
}

void lease6_init(struct lease *l)
{
	l->client6.id = l->q.id6;
	l->client6.resend_max = l->d->resend_max;
	l->client6.io = (struct fl_dhcp6_io){ send_message, l->client.io.random, on_event, l };
}

void lease6_input(struct lease *l, const uint8_t *msg, size_t len)
{
	struct fl_dhcp6_reply reply;

	if (fl_dhcp6_parse(msg, len, l->client6.id.iaid, &reply))
		return;
	l->input = (struct input){ msg, len, NULL };
	fl_dhcp6_client_input(&l->client6, &reply, now_ms());
	l->input = (struct input){ 0 };
	lease_settle(l);
}
