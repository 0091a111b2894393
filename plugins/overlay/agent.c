/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mode "etcd": what the node's agent is asked (overlay/request.h). */
#include "overlay.h"

#include "base/seqpacket.h"
#include "base/strbuf.h"
#include "plugin/daemon.h"

#include <errno.h>
#include <string.h>

static bool listens(const char *state_dir)
{
	FL_AUTOCLOSE int s = fl_packet_connect_in(state_dir, FL_OVERLAY_SOCKET);

	return s >= 0 || (s != -ENOENT && s != -ECONNREFUSED);
}

static const struct fl_daemon agent = { FL_OVERLAY_PROGRAM, "mode \"etcd\"", "overlay.start",
					listens };

void overlay_agent_free(struct overlay_agent *a)
{
	if (a)
		fl_close_p(&a->fd);
	free(a);
}

struct question {
	const char *state;
	int *fd;
	struct fl_overlay_request *q;
	struct fl_overlay_answer *ret;
};

static int ask(void *arg, struct fl_error *err)
{
	const struct question *q = arg;

	return fl_overlay_ask(q->state, q->fd, q->q, q->ret, err);
}

static int ask_started(struct fl_call *c, struct fl_overlay_request *q,
		       struct fl_overlay_answer *ret, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct question question = { fl_store_path(c->store), &conf->agent->fd, q, ret };

	return fl_daemon_ask(&agent, question.state, ask, &question, err);
}

/* Where nobody listens, the network does not follow what other nodes do: that is a finding. */
static int ask_running(struct fl_call *c, struct fl_overlay_request *q,
		       struct fl_overlay_answer *ret, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct fl_error e = { 0 };
	int r = fl_overlay_ask(fl_store_path(c->store), &conf->agent->fd, q, ret, &e);

	if (r == -ENOENT && !e.err)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "network %s: no %s is at work on this node; the next ADD "
				    "starts one",
				    c->net.name, FL_OVERLAY_PROGRAM);
	if (r < 0 && err)
		*err = e;
	return r;
}

static void name_endpoint(struct fl_overlay_request *q, const struct fl_endpoint_id *id)
{
	fl_strcpy(q->network, sizeof(q->network), id->network);
	fl_strcpy(q->container, sizeof(q->container), id->container);
	fl_strcpy(q->ifname, sizeof(q->ifname), id->ifname);
}

/* ---- JOIN ---- */

static bool makes_sense(const struct fl_overlay_network *n)
{
	bool ok = *n->id && memchr(n->id, 0, sizeof(n->id)) && n->vni &&
		  n->vni <= OVERLAY_VNI_MAX && n->port && n->mtu && n->underlay_mtu >= n->mtu &&
		  (n->mode == FL_OVERLAY_L2 || n->mode == FL_OVERLAY_L3) &&
		  fl_addr_is_set(&n->local) && !fl_mac_is_zero(&n->mac) && n->n_subnets &&
		  n->n_subnets <= FL_OVERLAY_SUBNETS;

	for (uint32_t i = 0; ok && i < n->n_subnets; i++) {
		const struct fl_prefix *s = &n->subnets[i].subnet;
		const struct fl_addr *node = &n->subnets[i].node, *gateway = &n->subnets[i].gateway;

		ok = fl_addr_is_set(&s->addr) && s->len && s->len < fl_addr_bits(&s->addr) &&
		     ((n->internal && n->mode != FL_OVERLAY_L3) ||
		      (fl_prefix_contains(s, node) && fl_prefix_contains(s, gateway)));
	}
	return ok;
}

static int check_answer(const struct fl_call *c, const struct fl_overlay_network *n,
			struct fl_error *err)
{
	if (!makes_sense(n))
		return fl_error_set(err, EPROTO, FL_ECODE_IO,
				    "network %s: %s gave an incomplete answer: restart it",
				    c->net.name, FL_OVERLAY_PROGRAM);
	return 0;
}

static int subnet_of(const struct fl_overlay_network *n, const struct fl_addr *a)
{
	for (uint32_t i = 0; i < n->n_subnets; i++)
		if (fl_prefix_contains(&n->subnets[i].subnet, a))
			return (int)i;
	return -1;
}

static int check_asked(const struct fl_call *c, const struct fl_overlay_network *n,
		       struct fl_error *err)
{
	const struct fl_ipam_conf *p = &c->ipam;

	for (size_t i = 0; i < p->n_requests; i++)
		if (subnet_of(n, &p->requests[i]) < 0)
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s: %s lies in no subnet of network %s",
					    p->request_src[i],
					    fl_addr_str(&p->requests[i], FL_ADDR_BUF), c->net.name);
	return 0;
}

static void take_network(struct fl_call *c, const struct fl_overlay_network *n)
{
	struct overlay_conf *conf = c->conf;

	conf->agent->net = *n;
	conf->vni = n->vni;
	conf->port = n->port;
	conf->internal = n->internal;
	conf->routed = n->mode == FL_OVERLAY_L3;
	conf->node.n = 0;
	for (uint32_t i = 0; i < n->n_subnets && overlay_has_host(conf); i++)
		conf->node.v[conf->node.n++] =
			(struct fl_prefix){ n->subnets[i].node, n->subnets[i].subnet.len };
	/* In a CHECK it is the record that counts. */
	if (c->req.verb != FL_VERB_ADD)
		return;
	overlay_intend(c);
	fl_strcpy(c->net.cluster, sizeof(c->net.cluster), n->id);
}

int overlay_agent_join(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct fl_overlay_request q = { .op = FL_OVERLAY_JOIN,
					.create = c->req.verb == FL_VERB_ADD,
					.settings = conf->agent->settings };
	struct fl_overlay_answer a = { 0 };
	int r;

	fl_strcpy(q.network, sizeof(q.network), c->net.name);
	r = q.create ? ask_started(c, &q, &a, err) : ask_running(c, &q, &a, err);
	if (!r)
		r = check_answer(c, &a.network, err);
	if (!r)
		r = check_asked(c, &a.network, err);
	if (!r)
		take_network(c, &a.network);
	return r < 0 ? r : 0;
}

/* ---- ALLOCATE ---- */

static int take_ips(struct fl_call *c, const struct fl_overlay_answer *a, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	const struct fl_overlay_network *n = &conf->agent->net;
	struct fl_result *to = &c->ipam_result;

	fl_result_clear(to);
	for (uint32_t i = 0; i < n->n_subnets; i++) {
		struct fl_prefix p = { a->ips[i], n->subnets[i].subnet.len };

		if (!fl_addr_is_set(&p.addr))
			continue;
		if (!fl_prefix_contains(&n->subnets[i].subnet, &p.addr))
			return fl_error_set(err, EPROTO, FL_ECODE_IO,
					    "network %s: %s gave %s, which lies not in %s",
					    c->net.name, FL_OVERLAY_PROGRAM,
					    fl_addr_str(&p.addr, FL_ADDR_BUF),
					    fl_prefix_str(&n->subnets[i].subnet, FL_PREFIX_BUF));
		to->ips[to->n_ips++] = (struct fl_result_ip){ p, n->subnets[i].gateway, -1 };
	}
	if (!to->n_ips)
		return fl_error_set(err, EPROTO, FL_ECODE_IO, "network %s: %s gave no address",
				    c->net.name, FL_OVERLAY_PROGRAM);
	return 0;
}

int overlay_allocate_begin(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct overlay_agent *have = conf->agent;
	struct fl_overlay_request q = { .op = FL_OVERLAY_ALLOCATE,
					.mac = c->ep.mac,
					.bridge = c->link_index,
					.n_aliases = have->n_aliases };
	struct fl_link tunnel;
	int r = fl_link_get(c->host, c->net.tunnel, &tunnel, err);

	if (r)
		return r;
	q.tunnel = tunnel.index;
	name_endpoint(&q, &c->ep.id);
	fl_strcpy(q.name, sizeof(q.name), have->name);
	memcpy(q.aliases, have->aliases, sizeof(q.aliases));
	for (size_t i = 0; i < c->ipam.n_requests; i++)
		q.ips[subnet_of(&have->net, &c->ipam.requests[i])] = c->ipam.requests[i];
	have->sent = fl_overlay_send(fl_store_path(c->store), have->fd, &q);
	have->asked = true;
	return 0;
}

int overlay_allocate(struct fl_call *c, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct overlay_agent *have = conf->agent;
	struct fl_overlay_answer a = { 0 };
	int r = fl_overlay_receive(have->fd, have->sent, &a, err);

	have->asked = false;
	return r < 0 ? r : take_ips(c, &a, err);
}

/* ---- RELEASE ---- */

/* 1: its addresses are the cluster's, or nobody knows any more. */
static int is_clusters(struct fl_call *c, const struct fl_endpoint_id *id, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_network net;
	int r = fl_txn_begin(c->store, false, &t, err);

	if (!r)
		r = fl_network_get(t, id->network, id->driver, &net, err);
	return r == -ENOENT ? 1 : r ? r : *net.cluster != '\0';
}

/* What was asked for comes before it is given back. */
static void await_allocation(struct fl_call *c)
{
	const struct overlay_conf *conf = c->conf;

	if (!conf || !conf->agent || !conf->agent->asked)
		return;
	conf->agent->asked = false;
	fl_overlay_receive(conf->agent->fd, conf->agent->sent, NULL, NULL);
}

int overlay_release(struct fl_call *c, const struct fl_endpoint_id *id, struct fl_error *err)
{
	struct fl_overlay_request q = { .op = FL_OVERLAY_RELEASE };
	FL_AUTOCLOSE int s = -1;
	struct fl_error e = { 0 };
	int r = strlen(id->network) < sizeof(q.network) ? is_clusters(c, id, err) : 0;

	if (r <= 0)
		return r;
	name_endpoint(&q, id);
	await_allocation(c);
	/* Not the connection of an ALLOCATE, whose answer may still be to come. */
	r = fl_overlay_ask(fl_store_path(c->store), &s, &q, NULL, &e);
	/* An agent that comes back compares what it has with what is here. */
	if (r >= 0 || (r == -ENOENT && !e.err))
		return 0;
	if (err)
		*err = e;
	return r;
}

/* ---- CHECK and STATUS ---- */

int overlay_agent_check(struct fl_call *c, const struct fl_link *bridge,
			const struct fl_link *tunnel, struct fl_error *err)
{
	const struct overlay_conf *conf = c->conf;
	struct fl_overlay_request q = { .op = FL_OVERLAY_CHECK,
					.mac = c->ep.mac,
					.bridge = bridge->index,
					.tunnel = tunnel->index };
	int r;

	if (strcmp(c->net.cluster, conf->agent->net.id) != 0)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "network %s is another one in the cluster than when container "
				    "%s was attached",
				    c->net.name, c->req.container);
	name_endpoint(&q, &c->ep.id);
	for (uint32_t i = 0; i < c->ep.n_addrs; i++) {
		int at = subnet_of(&conf->agent->net, &c->ep.addrs[i].addr);

		if (at >= 0)
			q.ips[at] = c->ep.addrs[i].addr;
	}
	r = ask_running(c, &q, NULL, err);
	return r < 0 ? r : 0;
}

/* As an ADD would do, which is what is asked: the agent is started. */
int overlay_agent_status(struct fl_call *c, struct fl_error *err)
{
	struct fl_overlay_request q = { .op = FL_OVERLAY_STATUS };
	int r;

	fl_strcpy(q.network, sizeof(q.network), c->net.name);
	r = ask_started(c, &q, NULL, err);
	return r < 0 ? r : 0;
}
