/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the agent knows, as JSON: overlay/request.h. */
#include "overlay/agent.h"

#include <string.h>

static void line(struct client *c, json_t *owned)
{
	FL_AUTOJSON json_t *j = owned;
	FL_AUTOFREE char *text = json_dumps(j, JSON_COMPACT);

	if (!text)
		die_of_memory();
	fl_strbuf_add(&c->out, text);
	fl_strbuf_add(&c->out, "\n");
	if (c->out.failed)
		die_of_memory();
}

static void put_addr(json_t *to, const char *key, const struct fl_addr *a)
{
	json_object_set_new(to, key,
			    fl_addr_is_set(a) ? json_string(fl_addr_str(a, FL_ADDR_BUF))
					      : json_null());
}

static json_t *stats(const struct agent *a)
{
	const struct fl_etcd_stats *e = fl_etcd_stats(a->etcd);
	const struct {
		const char *key;
		uint64_t n;
	} list[] = {
		{ "events", a->n.events },	  { "programmed", a->n.programmed },
		{ "compared", a->n.compared },	  { "fixed", a->n.fixed },
		{ "mirrored", a->n.mirrored },	  { "reclaimed", a->n.reclaimed },
		{ "givenBack", a->n.given_back }, { "swept", a->n.swept },
		{ "conflicts", a->n.conflicts },  { "allocations", a->n.allocations },
		{ "releases", a->n.releases },	  { "requests", e->requests },
		{ "retries", e->retries },	  { "failovers", e->failovers },
		{ "logins", e->logins },	  { "watchRestarts", e->watch_restarts },
		{ "bytesIn", e->bytes_in },	  { "bytesOut", e->bytes_out },
		{ "badAnswers", e->bad_answers }, { "ignoredKeys", e->ignored_keys },
		{ "restores", e->restores },
	};
	json_t *j = json_object();

	for (size_t i = 0; i < FL_ARRAY_SIZE(list); i++)
		json_object_set_new(j, list[i].key, json_integer((json_int_t)list[i].n));
	return j;
}

static unsigned waiting(const struct agent *a)
{
	struct network *net, *n_tmp;
	struct ep *e, *e_tmp;
	unsigned n = 0;

	HASH_ITER (hh, a->networks, net, n_tmp)
		HASH_ITER (hh, net->table, e, e_tmp)
			n += e->released && e->node->self;
	return n;
}

static json_t *alarms_json(unsigned alarms)
{
	json_t *list = json_array();

	if (alarms & FL_ETCD_ALARM_NOSPACE)
		json_array_append_new(list, json_string("nospace"));
	if (alarms & FL_ETCD_ALARM_CORRUPT)
		json_array_append_new(list, json_string("corrupt"));
	if (alarms & FL_ETCD_ALARM_OTHER)
		json_array_append_new(list, json_string("other"));
	return list;
}

static void show_agent(struct client *c)
{
	struct agent *a = c->a;
	const char *url, *version, *error = NULL;
	int64_t left = (a->member.lease_ends - now_ms()) / 1000, revision;
	uint64_t cluster;
	json_t *j;

	if (a->trouble.err)
		error = a->trouble.text;
	else if (a->member.state != MEMBER_IN)
		error = "the store was not read yet";
	fl_etcd_endpoint(a->etcd, &url, &version);
	fl_etcd_identity(a->etcd, &cluster, &revision);
	j = json_pack("{ss ss ss sI sI si ss* ss* sb ss? sI sI so si so}", "kind", "agent", "node",
		      a->conf.node, "cluster", a->conf.cluster, "leaseSeconds",
		      (json_int_t)a->conf.lease_s, "epoch", (json_int_t)a->member.epoch, "mtu",
		      (int)a->vtep_mtu, "endpoint", url && *url ? url : NULL, "version",
		      version && *version ? version : NULL, "reachable", !error, "error", error,
		      "since", (json_int_t)a->trouble_since, "revision", (json_int_t)revision,
		      "alarms", alarms_json(a->alarms), "releases", (int)waiting(a), "stats",
		      stats(a));
	json_object_set_new(j, "lease",
			    a->member.state == MEMBER_IN && left > 0 ? json_integer(left)
								     : json_null());
	put_addr(j, "vtep4", a->vtep.family == AF_INET ? &a->vtep : &(struct fl_addr){ 0 });
	put_addr(j, "vtep6", a->vtep.family == AF_INET6 ? &a->vtep : &(struct fl_addr){ 0 });
	line(c, j);
}

/* ---- nodes ---- */

static bool takes_part(struct network *net, const struct node *n)
{
	char id[TABLE_ID];

	table_node_id(n->name, id);
	return n->self ? net->announced : table_find(net, id) != NULL;
}

static json_t *networks_of(struct agent *a, const struct node *n)
{
	struct network *net, *tmp;
	json_t *list = json_array();

	HASH_ITER (hh, a->networks, net, tmp)
		if (net->joined && takes_part(net, n))
			json_array_append_new(list, json_string(net->rec.name));
	return list;
}

static const char *state_of(const struct node *n)
{
	if (n->alive)
		return "alive";
	return n->sweep_at && now_ms() >= n->sweep_at ? "dead" : "suspect";
}

static void put_kept(json_t *to, const struct agent *a, const struct node *n)
{
	json_t *key = *n->kept ? json_sprintf("%s%s", fl_etcd_prefix(a->etcd), n->kept) : NULL;

	json_object_set_new(to, "kept", key ? key : json_null());
}

static void show_node(struct client *c, const struct node *n)
{
	json_t *j = json_pack("{ss ss ss sI si sI sb sb so}", "kind", "node", "name", n->name,
			      "state", state_of(n), "since", (json_int_t)n->since, "mtu",
			      (int)n->rec.mtu, "epoch", (json_int_t)n->rec.epoch, "self", n->self,
			      "record", n->known || n->unread, "networks", networks_of(c->a, n));

	put_addr(j, "vtep4", &n->rec.vtep4);
	put_addr(j, "vtep6", &n->rec.vtep6);
	put_kept(j, c->a, n);
	line(c, j);
}

/* ---- networks ---- */

static json_t *subnets_json(struct network *net)
{
	struct fl_overlay_network answer;
	json_t *list = json_array();

	network_answer(net, &answer);
	for (uint32_t i = 0; i < answer.n_subnets; i++) {
		json_t *j = json_pack("{ss}", "subnet",
				      fl_prefix_str(&answer.subnets[i].subnet, FL_PREFIX_BUF));

		put_addr(j, "gateway", &answer.subnets[i].gateway);
		put_addr(j, "node", &answer.subnets[i].node);
		json_array_append_new(list, j);
	}
	return list;
}

static json_t *nodes_of(struct network *net)
{
	json_t *list = json_array();
	struct node *n, *tmp;

	HASH_ITER (hh, net->a->nodes, n, tmp)
		if (takes_part(net, n))
			json_array_append_new(list, json_string(n->name));
	return list;
}

static void show_network(struct client *c, struct network *net)
{
	struct fl_overlay_network answer;

	network_answer(net, &answer);
	line(c, json_pack("{ss ss ss si si ss si sb sb so sb sb si si so}", "kind", "network",
			  "name", net->rec.name, "id", net->id, "vni", (int)answer.vni, "port",
			  (int)answer.port, "mode", answer.mode == FL_OVERLAY_L3 ? "l3" : "l2",
			  "mtu", (int)answer.mtu, "internal", answer.internal, "broadcast",
			  answer.broadcast, "subnets", subnets_json(net), "joined", net->member,
			  "synced", network_ready(net), "local", (int)net->n_local, "remote",
			  (int)net->n_remote, "nodes", nodes_of(net)));
}

static json_t *ips_of(const struct ep *e)
{
	json_t *list = json_array();

	for (int i = 0; i < FL_OVERLAY_SUBNETS; i++)
		if (fl_addr_is_set(&e->ip[i]))
			json_array_append_new(list,
					      json_string(fl_addr_str(&e->ip[i], FL_ADDR_BUF)));
	return list;
}

/* A node's own in the network: who looks at bridge and tunnel finds it there as an endpoint's. */
static void show_address(struct client *c, struct network *net, const struct ep *e)
{
	line(c, json_pack("{ss ss ss ss so sb}", "kind", "address", "network", net->rec.name,
			  "node", e->node->name, "mac", fl_mac_str(&e->mac, FL_MAC_BUF), "ips",
			  ips_of(e), "local", e->node->self));
}

/* It is not in the table: nothing leads there. */
static void show_own(struct client *c, struct network *net)
{
	const struct ep own = { .node = node_get(c->a, c->a->conf.node),
				.mac = net->self.mac,
				.ip = { net->self.ip4, net->self.ip6 } };
	char id[TABLE_ID];

	table_node_id(c->a->conf.node, id);
	if (net->announced && !table_find(net, id))
		show_address(c, net, &own);
}

static void show_endpoint(struct client *c, struct network *net, const struct ep *e)
{
	json_t *aliases = e->aliases ? json_loads(e->aliases, 0, NULL) : NULL;
	struct fl_error err;

	line(c, json_pack("{ss ss ss ss ss ss ss so ss so sb sb sb}", "kind", "endpoint", "network",
			  net->rec.name, "id", e->id, "node", e->node->name, "container",
			  e->container ? e->container : "", "ifname", e->ifname, "mac",
			  fl_mac_str(&e->mac, FL_MAC_BUF), "ips", ips_of(e), "name",
			  e->name ? e->name : "", "aliases", aliases ? aliases : json_array(),
			  "local", e->node->self, "suspect", !e->node->alive, "conflict",
			  endpoint_conflict(net, e->id, &err)));
}

struct shown {
	struct client *c;
	const struct network *net;
};

static void show_route(void *arg, const struct fl_prefix *to, const struct node *n,
		       const struct way *w)
{
	const struct shown *s = arg;
	json_t *j = json_pack("{ss ss ss ss sb sb sb}", "kind", "route", "network",
			      s->net->rec.name, "to", fl_prefix_str(to, FL_PREFIX_BUF), "node",
			      n->name, "block", to->len < fl_addr_bits(&to->addr), "local", n->self,
			      "direct", w->has && !n->self && !fl_addr_is_set(&w->via));

	put_addr(j, "via", &w->via);
	line(s->c, j);
}

/* The address that was asked for, in each network whose addresses are followed. */
static void show_asked(struct client *c, struct network *net)
{
	static const char *const states[] = {
		[FL_IPPOOL_FREE] = "free",
		[FL_IPPOOL_USED] = "used",
		[FL_IPPOOL_QUARANTINED] = "quarantined",
		[FL_IPPOOL_PENDING] = "pending",
		[FL_IPPOOL_RESERVED] = "reserved",
	};
	const struct fl_addr *a = &c->q.ips[0];
	const struct fl_ippool *pool = fl_addr_is_set(a) ? network_pool(net, a) : NULL;

	if (pool && network_synced(net))
		line(c, json_pack("{ss ss ss ss}", "kind", "asked", "network", net->rec.name,
				  "address", fl_addr_str(a, FL_ADDR_BUF), "state",
				  states[fl_ippool_state(pool, a, now_s())]));
}

void show(struct client *c)
{
	struct network *net, *n_tmp;
	struct node *n, *tmp;
	struct ep *e, *e_tmp;

	fl_strbuf_clear(&c->out);
	c->sent = 0;
	show_agent(c);
	HASH_ITER (hh, c->a->nodes, n, tmp)
		if (node_exists(n))
			show_node(c, n);
	HASH_ITER (hh, c->a->networks, net, n_tmp) {
		if (net->gone)
			continue;
		show_network(c, net);
		show_asked(c, net);
		HASH_ITER (hh, net->table, e, e_tmp)
			if (net->member)
				(e->of_node ? show_address : show_endpoint)(c, net, e);
		if (net->member)
			show_own(c, net);
		if (net->member && network_is_routed(net))
			l3_each(net, show_route, &(struct shown){ c, net });
	}
	client_stream(c);
}
