/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ipam who: an address, and what it is to each network that it lies in. */
#include "netctl/agent.h"
#include "netctl/ipam.h"
#include "netctl/leftovers.h"
#include "netctl/links.h"
#include "netctl/out.h"
#include "netctl/peers.h"
#include "netctl/runtime.h"

#include <errno.h>
#include <string.h>

struct question {
	struct ctl *c;
	struct fl_addr addr;
	struct model m;
	struct conflists files;
	struct peers peers;
	struct cluster cluster;
	uint32_t index;	     /* of `host` */
	char host[IFNAMSIZ]; /* the host's interface that has it; "": none */
	struct fl_txn *t;
	json_t *rows;
	struct fl_error *err;
};

static void question_clear(struct question *q)
{
	fl_txn_abort(q->t);
	cluster_clear(&q->cluster);
	peers_clear(&q->peers);
	conflists_clear(&q->files);
	model_clear(&q->m);
	json_decref(q->rows);
}

/* ---- rows ---- */

/* What a row says; NULL: "". */
struct answer {
	const char *kind, *network, *container, *label, *interface, *link, *driver, *node, *state;
	const char *detail;
};

static const char *or_none(const char *s)
{
	return s ? s : "";
}

static int add(struct question *q, const struct answer *a)
{
	json_t *row = json_pack(
		"{ss ss ss ss ss ss ss ss ss ss ss}", "address", fl_addr_str(&q->addr, FL_ADDR_BUF),
		"kind", a->kind, "network", or_none(a->network), "container", or_none(a->container),
		"label", or_none(a->label), "interface", or_none(a->interface), "hostInterface",
		or_none(a->link), "driver", or_none(a->driver), "node", or_none(a->node), "state",
		or_none(a->state), "detail", or_none(a->detail));

	return !row || json_array_append_new(q->rows, row) ? fl_error_oom(q->err) : 0;
}

/* Is something of the network said already? */
static bool is_told(const struct question *q, const char *network, const char *container)
{
	const json_t *row;
	size_t i;

	json_array_foreach(q->rows, i, row)
	{
		if (!strcmp(text_of(row, "network"), network) &&
		    (!container || !strcmp(text_of(row, "container"), container)))
			return true;
	}
	return false;
}

/* ---- who has it ---- */

static bool has(const struct fl_endpoint *ep, const struct fl_addr *a)
{
	for (uint32_t i = 0; i < ep->n_addrs; i++)
		if (fl_addr_eq(&ep->addrs[i].addr, a))
			return true;
	return false;
}

static int ask_endpoints(struct question *q)
{
	int r = 0;

	for (size_t i = 0; i < q->m.n_attachments && !r; i++) {
		const struct fl_endpoint *ep = q->m.attachments[i].main;

		if (!has(ep, &q->addr))
			continue;
		r = add(q, &(struct answer){ .kind = "container",
					     .network = ep->id.network,
					     .container = ep->id.container,
					     .label = CONTAINER_LABEL(ep),
					     .interface = ep->id.ifname,
					     .link = ep->link,
					     .driver = ep->id.driver,
					     .state = runtime_is_gone(q->c, ep) ? "stale"
						      : ep->state == FL_STATE_READY
							      ? "live"
							      : state_str(ep->state) });
	}
	return r;
}

/* A lease of what is no endpoint here: imported, or of a plugin that keeps no record. */
static int ask_pool(void *arg, const char *name, const struct fl_pool *pool)
{
	struct question *q = arg;
	char network[FL_NAME_MAX + 1];
	struct fl_endpoint owner = { 0 };
	int r = fl_lease_owner(q->t, pool, &q->addr, &owner.id, q->err);

	if (r)
		return r == -ENOENT ? 0 : r;
	pool_network(name, network, sizeof(network));
	if (is_told(q, network, owner.id.container))
		return 0;
	return add(q, &(struct answer){ .kind = "container",
					.network = network,
					.container = owner.id.container,
					.label = CONTAINER_LABEL(&owner),
					.interface = owner.id.ifname,
					.driver = *owner.id.driver == '@' ? "" : owner.id.driver,
					.state = lease_state(q->c, &q->m, &owner.id),
					.detail = "by its lease alone" });
}

static int ask_peers(struct question *q)
{
	int r = 0;

	for (size_t i = 0; i < q->peers.n && !r; i++) {
		const struct fl_peer *p = &q->peers.v[i];

		if (peer_has(p, &q->addr))
			r = add(q, &(struct answer){ .kind = "container",
						     .network = p->network,
						     .container = p->container,
						     .label = PEER_LABEL(p),
						     .interface = p->ifname,
						     .node = p->node,
						     .state = p->suspect ? "suspect" : "live" });
	}
	return r;
}

/* Of overlays: what a node has there itself. */
static int ask_nodes(struct question *q)
{
	const json_t *one;
	size_t i;
	int r = 0;

	json_array_foreach(q->cluster.addresses, i, one)
	{
		if (!r && ips_have(one, &q->addr))
			r = add(q, &(struct answer){ .kind = "node",
						     .network = text_of(one, "network"),
						     .node = text_of(one, "node"),
						     .detail = "the node's own on the network" });
	}
	return r;
}

/* ---- what it is where nobody has it ---- */

static bool within(const struct fl_prefix *v, size_t n, const struct fl_addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (fl_prefix_contains(&v[i], a))
			return true;
	return false;
}

/* Why the range does not give it; NULL: it does. */
static const char *reserved(const struct fl_ipam_conf *conf, const struct fl_range *r,
			    const struct fl_addr *a)
{
	struct fl_addr last = fl_prefix_last(&r->subnet);

	if (fl_addr_eq(a, &r->subnet.addr))
		return "the network's own address";
	if (a->family == AF_INET && fl_addr_eq(a, &last))
		return "the network's broadcast address";
	if (fl_addr_cmp(a, &r->start) < 0 || fl_addr_cmp(a, &r->end) > 0)
		return "outside of the ranges that containers get";
	return within(r->exclude, r->n_exclude, a) || within(conf->exclude, conf->n_exclude, a)
		       ? "excluded by the configuration"
		       : NULL;
}

/* Several ranges may be of one subnet: what one of them gives is not reserved. */
static int ask_ranges(struct question *q, const char *network, const struct fl_ipam_conf *conf,
		      const char *detail)
{
	const char *why = NULL, *gives = NULL;

	for (size_t i = 0; i < conf->n_sets; i++)
		for (size_t k = 0; k < conf->sets[i].n; k++) {
			const struct fl_range *r = &conf->sets[i].ranges[k];

			if (!fl_prefix_contains(&r->subnet, &q->addr))
				continue;
			if (fl_addr_eq(&r->gateway, &q->addr))
				return add(q, &(struct answer){ .kind = "gateway",
								.network = network,
								.link = q->host });
			why = reserved(conf, r, &q->addr);
			if (!why)
				gives = "free";
		}
	if (!why && !gives)
		return 0;
	return add(q, &(struct answer){ .kind = gives ? gives : "reserved",
					.network = network,
					.detail = gives ? detail : why });
}

/* Of the cluster, and its agent does not tell. */
static bool is_elsewhere(const struct question *q, const char *network)
{
	for (size_t i = 0; i < q->m.n_networks; i++)
		if (!strcmp(q->m.networks[i].name, network) && *q->m.networks[i].cluster)
			return !q->cluster.agent;
	return false;
}

static int ask_network(struct question *q, const char *network)
{
	AUTORANGES struct ranges r = { 0 };
	const char *detail = is_elsewhere(q, network)
				     ? "as far as is known here: " FL_OVERLAY_PROGRAM
				       " does not run, and other nodes may have it"
				     : NULL;

	if (is_told(q, network, NULL))
		return 0;
	ranges_read(&q->m, &q->files, network, &r);
	return r.known ? ask_ranges(q, network, &r.conf, detail) : 0;
}

/* The host's own address on the network's bridge is a gateway, whatever the configuration says. */
static int ask_host(struct question *q)
{
	bool known = false;
	int r = 0;

	for (size_t i = 0; i < q->m.n_networks && *q->host && !r; i++) {
		const struct fl_network *net = &q->m.networks[i];

		if (strcmp(net->link, q->host) != 0 || net->host_access)
			continue;
		known = true;
		if (is_told(q, net->name, NULL))
			continue;
		r = add(q, &(struct answer){
				   .kind = "gateway", .network = net->name, .link = q->host });
	}
	return r || known || !*q->host
		       ? r
		       : add(q, &(struct answer){ .kind = "host", .link = q->host });
}

/* By the agent's word for it. */
static const struct pooled {
	const char *state, *kind, *detail;
} pooled[] = {
	{ "free", "free", NULL },
	{ "quarantined", "quarantined", "it was freed a short while ago" },
	{ "pending", "reserved", "for a container that is being attached" },
	{ "used", "reserved", "for a container that comes or goes" },
	{ "reserved", "reserved", "the network's own, or its broadcast address" },
	{ "", "free", "as far as is known here: this node takes no part in the network" },
};

static const struct pooled *pool_says(const struct question *q, const char *network)
{
	const char *state = "";
	const json_t *one;
	size_t i;

	json_array_foreach(q->cluster.asked, i, one)
	{
		if (!strcmp(text_of(one, "network"), network))
			state = text_of(one, "state");
	}
	for (i = 0; i < FL_ARRAY_SIZE(pooled) - 1 && strcmp(pooled[i].state, state) != 0;)
		i++;
	return &pooled[i];
}

/* Networks of the cluster: which addresses are in use is its agents' to know. */
static int ask_cluster(struct question *q, const json_t *net)
{
	const char *name = text_of(net, "name");
	const struct pooled *says = pool_says(q, name);
	const json_t *sub;
	struct fl_prefix p;
	struct fl_addr gateway;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(net, "subnets"), i, sub)
	{
		if (r || fl_prefix_parse(text_of(sub, "subnet"), &p) ||
		    !fl_prefix_contains(&p, &q->addr) || is_told(q, name, NULL))
			continue;
		if (!fl_addr_parse(text_of(sub, "gateway"), &gateway) &&
		    fl_addr_eq(&gateway, &q->addr))
			r = add(q, &(struct answer){ .kind = "gateway", .network = name });
		else
			r = add(q, &(struct answer){ .kind = says->kind,
						     .network = name,
						     .detail = says->detail });
	}
	return r;
}

static int ask_networks(struct question *q)
{
	const json_t *net;
	size_t i;
	int r = 0;

	json_array_foreach(q->cluster.networks, i, net) r = r ? r : ask_cluster(q, net);
	for (i = 0; i < q->files.n && !r; i++)
		if (q->files.v[i].json)
			r = ask_network(q, q->files.v[i].name);
	for (i = 0; i < q->m.n_networks && !r; i++)
		r = ask_network(q, q->m.networks[i].name);
	return r;
}

/* ---- the verb ---- */

static int take_host(void *arg, const struct fl_ifaddr *a)
{
	struct question *q = arg;

	if (fl_addr_eq(&a->prefix.addr, &q->addr))
		q->index = a->index;
	return 0;
}

static int read_host(struct question *q)
{
	struct fl_link l;
	int r = -EINTR;

	for (int tries = 0; tries < DUMP_TRIES && r == -EINTR; tries++)
		r = fl_ifaddrs_each(q->c->host, 0, take_host, q, q->err);
	/* It may be gone again. */
	if (!r && q->index && !fl_link_get_index(q->c->host, q->index, &l, NULL))
		memcpy(q->host, l.name, sizeof(q->host));
	return r;
}

static int read_all(struct question *q)
{
	struct ctl *c = q->c;
	int r = conflists_read(c->dir, &q->files, q->err);

	if (!r)
		r = model_read(c, &q->m, q->err);
	if (!r)
		r = peers_read(c, &q->peers, q->err);
	if (!r)
		r = cluster_ask_if(c, &q->addr, &q->cluster, q->err);
	if (!r)
		r = ctl_host(c, q->err);
	if (!r)
		r = read_host(q);
	if (!r && c->store)
		r = fl_txn_begin(c->store, false, &q->t, q->err);
	return r;
}

static int ask(struct question *q)
{
	int r = read_all(q);

	if (!r)
		r = ask_endpoints(q);
	if (!r && q->t)
		r = fl_pools_each(q->t, ask_pool, q, q->err);
	if (!r)
		r = ask_peers(q);
	if (!r)
		r = ask_nodes(q);
	if (!r)
		r = ask_host(q);
	return r ? r : ask_networks(q);
}

static bool is_somebodys(const json_t *rows)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		const char *kind = text_of(row, "kind");

		if (strcmp(kind, "free") != 0 && strcmp(kind, "reserved") != 0 &&
		    strcmp(kind, "quarantined") != 0)
			return true;
	}
	return false;
}

static const char *state_colour(const json_t *row)
{
	const char *s = text_of(row, "state");

	return !strcmp(s, "live") ? COLOUR_GOOD : *s ? COLOUR_WARN : NULL;
}

static const struct column columns[] = {
	{ "ADDRESS", "address", 0, NULL },
	{ "KIND", "kind", 0, NULL },
	{ "NETWORK", "network", 0, NULL },
	{ "CONTAINER", "label", COLUMN_TRUNC, NULL },
	{ "INTERFACE", "interface", 0, NULL },
	{ "ON THE HOST", "hostInterface", 0, NULL },
	{ "NODE", "node", 0, NULL },
	{ "STATE", "state", 0, state_colour },
	{ "DETAIL", "detail", COLUMN_WRAP, NULL },
	{ 0 },
};

static int run(struct ctl *c, struct fl_error *err)
{
	FL_CLEANUP(question_clear) struct question q = { .c = c, .err = err };
	int r;

	if (fl_addr_parse(c->argv[0], &q.addr))
		return usage_error(err, "%s: expected an IP address", c->argv[0]);
	q.rows = json_array();
	r = q.rows ? ask(&q) : fl_error_oom(err);
	if (r)
		return r;
	c->status = is_somebodys(q.rows) ? 0 : EXIT_NO;
	if (json_array_size(q.rows) || c->json)
		return show_list(c, json_incref(q.rows), columns, err);
	say(c, "nobody's: %s lies outside of every network that is known here",
	    fl_addr_str(&q.addr, FL_ADDR_BUF));
	return 0;
}

static const struct example examples[] = {
	{ "netctl ipam who 10.89.0.2", "the container that has it, or what else it is" },
	{ 0 },
};

const struct command ipam_who_command = {
	.name = "ipam who",
	.args = "ADDRESS",
	.about = "whose an address is: a container's, a gateway, free, ...",
	.text = "A row for each network that the address lies in. Kind: container (here, or on the "
		"node that is named), gateway (of the network), node (a node's own on an overlay), "
		"host (of the host, on no network's interface), free, quarantined (of an overlay: "
		"freed a short while ago), or reserved (nobody gets "
		"it, and the detail says why). Exit status 4: nobody has it, or it lies outside of "
		"every network.",
	.json = "a list of objects: address, kind (container, gateway, node, host, free, "
		"quarantined, "
		"reserved), network, container (id), label (for people), interface, hostInterface, "
		"driver, node, state (of a container: live, creating, deleting, stale, imported, "
		"foreign, suspect), detail (for people). Strings are \"\" where there is nothing "
		"to say; none at all: it lies outside of every network.",
	.examples = examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 1,
	.completes = "@address",
	.run = run,
};
