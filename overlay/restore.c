/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store of the cluster is an old backup, or another one. What nodes have since then is not in
 * it, and what they have no more is. Each writes what it has, and gives back what it has not, when
 * it hears of it: at its next request, or at the next keepalive. Until then nobody is believed to
 * be gone, nobody is cut off, and no address is given out.
 */
#include "overlay/agent.h"

enum { HEARD_MS = 2000 }; /* behind the keepalive: to read all, and to write */

bool restore_in_doubt(const struct agent *a)
{
	return now_ms() < a->doubt_until;
}

static void on_over(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	struct network *net, *tmp;

	(void)fd;
	(void)what;
	a->doubt_until = 0;
	HASH_ITER (hh, a->networks, net, tmp)
		if (net->joined && net->eps.synced)
			network_end_doubt(net);
	agent_wake(a);
}

/* The watches have ended, and read all again. */
void restore_begin(void *arg)
{
	struct agent *a = arg;
	int64_t ms = a->conf.lease_s * 1000 / 3 + HEARD_MS;
	const struct timeval t = { ms / 1000, ms % 1000 * 1000 };
	struct network *net, *tmp;

	say("the store of the cluster was restored: what this node has is written again");
	a->restores++;
	a->doubt_until = now_ms() + ms;
	event_add(a->doubt, &t);
	a->quarantine_lease = 0;
	follow_restored(&a->follow_nodes);
	follow_restored(&a->follow_alive);
	follow_restored(&a->follow_nets);
	HASH_ITER (hh, a->networks, net, tmp) {
		network_restored(net);
		net->reconcile = true;
	}
	/* Revisions of before tell nothing any more. */
	a->member.entered = 0;
	member_renew(a);
}

void restore_start(struct agent *a)
{
	a->doubt = evtimer_new(a->base, on_over, a);
	if (!a->doubt)
		die_of_memory();
}
