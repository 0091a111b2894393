/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses that nobody cares for otherwise: blocks without owner, which go once they are empty,
 * and addresses and bits without a key of an endpoint or a node. Whoever gives back such a key
 * while the other watch has not told of the address yet leaves one behind.
 *
 * That a bit is nobody's is proven by revisions. Key and bit are written by one transaction, and
 * each of them writes the block. So when the block was last written at B, and the keys are known as
 * of B or later without one that has the bit, nobody can have got it since without another revision
 * of the block, and the transaction compares that with B. With an address that has a key of its own
 * it is the same.
 */
#include "overlay/agent.h"

static bool has_key(void *arg, const struct fl_addr *a)
{
	struct network *net = arg;

	return fl_addr_eq(a, &net->self.ip4) || fl_addr_eq(a, &net->self.ip6) ||
	       table_owner(net, a);
}

/* What cannot be read, and what has not been written again, has bits, too. */
static bool is_doubtful(const struct network *net)
{
	const struct agent *a = net->a;

	return restore_in_doubt(a) || net->eps.restores != a->restores ||
	       net->joins.restores != a->restores ||
	       (net->has_blocks && net->blocks.restores != a->restores) ||
	       (net->has_ip_keys && net->ip_keys.restores != a->restores) ||
	       ignored_any(a, net->eps.prefix) || ignored_any(a, net->joins.prefix);
}

struct fl_ippool_mend network_keys(struct network *net)
{
	bool joins_older = net->joins.revision < net->eps.revision;
	int64_t known = joins_older ? net->joins.revision : net->eps.revision;

	return (struct fl_ippool_mend){ .has_key = has_key,
					.arg = net,
					.known = is_doubtful(net) ? -1 : known };
}

void network_prove(struct network *net)
{
	struct fl_ippool_mend m = network_keys(net);

	if (m.known < 0)
		return;
	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		if (net->pools[i])
			fl_ippool_mend(net->pools[i], &m, now_s(), NULL, 0);
	if (!m.unproven)
		return;
	follow_again(&net->eps);
	follow_again(&net->joins);
}

static void on_tidied(struct work *w, int r, const struct fl_error *err)
{
	(void)err;
	w->net->tidying = false;
	if (!r && w->mended)
		say("network %s: %u addresses that nobody had were given back", w->net->rec.name,
		    w->mended);
}

void network_tidy(struct network *net)
{
	struct fl_rec_key k = { .kind = FL_REC_JOIN };
	struct work *w;

	if (net->tidying || !network_ready(net))
		return;
	net->tidying = true;
	w = must_alloc(sizeof(*w));
	w->net = net;
	w->kind = WORK_LEAVE;
	w->tidies = true;
	w->done = on_tidied;
	fl_strcpy(k.net, sizeof(k.net), net->id);
	fl_strcpy(k.id, sizeof(k.id), net->a->conf.node);
	fl_rec_key(&k, w->key);
	work_add(w);
}
