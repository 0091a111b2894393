/* SPDX-License-Identifier: GPL-2.0-or-later */
/* endpoint inspect: one attachment from both of its ends. */
#include "netctl/links.h"
#include "netctl/out.h"
#include "netctl/text.h"
#include "netctl/topology.h"

#include "dns/request.h"
#include "store/hosts.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What a container may fill without end is shown up to here. */
enum { INSIDE_MAX = 256, PROCESSES_MAX = 64 };

struct inspected {
	struct ctl *c;
	const struct attachment *a;
	json_t *o;
	struct fl_link host, inside; /* index 0: there is none, or it cannot be seen */
};

static void set(json_t *o, const char *key, json_t *v)
{
	json_object_set_new(o, key, v);
}

/* ---- the sandbox ---- */

/* Why the path does not lead into the sandbox; "" when it does, and `ns` is open. */
static int open_sandbox(struct ctl *c, const struct fl_endpoint *ep, struct fl_netns *ns, char *why,
			size_t size, struct fl_error *err)
{
	struct fl_netns recorded = { -1, ep->cookie, ep->dev, ep->ino };
	struct fl_error e = { 0 };
	int r = ctl_self(c, err);

	if (r)
		return r;
	*why = '\0';
	if (!*ep->netns) {
		snprintf(why, size, "no path to it was recorded");
	} else if (fl_netns_open(ep->netns, &c->self, ns, &e)) {
		snprintf(why, size, "%s", e.text);
	} else if (!fl_netns_same(ns, &recorded)) {
		snprintf(why, size, "the path leads to another namespace (cookie %" PRIu64 ")",
			 ns->cookie);
		fl_netns_close(ns);
	}
	return 0;
}

static void add_processes(struct inspected *in, const struct fl_netns *ns)
{
	pid_t pids[PROCESSES_MAX];
	json_t *list = json_array();
	size_t n = ns->fd >= 0 ? fl_netns_processes(ns, pids, PROCESSES_MAX) : 0;

	for (size_t i = 0; i < n && i < PROCESSES_MAX; i++)
		json_array_append_new(list, json_integer(pids[i]));
	set(in->o, "processes", list);
	set(in->o, "processCount", json_integer((json_int_t)n));
}

/* ---- inside ---- */

struct listed {
	json_t *list;
	uint32_t index;
	size_t n;
};

static int take_address(void *arg, const struct fl_ifaddr *a)
{
	struct listed *l = arg;

	if (l->n++ < INSIDE_MAX)
		json_array_append_new(l->list,
				      json_string(fl_prefix_str(&a->prefix, FL_PREFIX_BUF)));
	return 0;
}

static int take_route(void *arg, const struct fl_nlroute *r)
{
	struct listed *l = arg;

	/* The kernel's own ones for local addresses tell nobody anything. */
	if (r->oif != l->index || r->table == RT_TABLE_LOCAL || l->n++ >= INSIDE_MAX)
		return 0;
	json_array_append_new(
		l->list,
		json_pack("{ss ss ss si si}", "dst",
			  r->dst.len ? fl_prefix_str(&r->dst, FL_PREFIX_BUF) : "default", "gw",
			  fl_addr_is_set(&r->gw) ? fl_addr_str(&r->gw, FL_ADDR_BUF) : "", "src",
			  fl_addr_is_set(&r->src) ? fl_addr_str(&r->src, FL_ADDR_BUF) : "",
			  "metric", (int)r->priority, "table", (int)r->table));
	return 0;
}

static int find_inside(struct inspected *in, struct fl_nl *nl, struct fl_error *err)
{
	const struct fl_endpoint *ep = in->a->main;
	int r;

	/* The owner may have an interface of this name. */
	if (*ep->shares)
		return 0;
	if (is_inside(ep))
		r = fl_link_get_index(nl, ep->ifindex, &in->inside, err);
	else if (in->host.index && in->host.peer_nsid >= 0)
		r = fl_link_get_index(nl, in->host.peer, &in->inside, err);
	else
		r = fl_link_get(nl, ep->id.ifname, &in->inside, err);
	return r == -ENODEV ? 0 : r;
}

static int look_inside(struct inspected *in, struct fl_nl *nl, struct fl_error *err)
{
	struct listed addresses = { json_array(), 0, 0 }, routes = { json_array(), 0, 0 };
	int r = find_inside(in, nl, err);

	addresses.index = routes.index = in->inside.index;
	if (!r && in->inside.index)
		r = fl_ifaddrs_each(nl, in->inside.index, take_address, &addresses, err);
	if (!r && in->inside.index)
		r = fl_routes_each(nl, AF_INET, take_route, &routes, err);
	if (!r && in->inside.index)
		r = fl_routes_each(nl, AF_INET6, take_route, &routes, err);
	set(in->o, "addressesInside", addresses.list);
	set(in->o, "routes", routes.list);
	set(in->o, "routeCount", json_integer((json_int_t)routes.n));
	/* Somebody in there changes its tables all the time: what was read is shown. */
	return r == -EINTR ? 0 : r;
}

/* ---- the resolver ---- */

static json_t *resolver_json(struct inspected *in, struct fl_error *err)
{
	const struct fl_endpoint *ep = in->a->main;
	struct fl_dnsd_request q = { .op = FL_DNSD_SERVED, .sandbox = fl_endpoint_sandbox(ep) };
	struct fl_dnsd_answer answer = { 0 };
	bool served = false;
	char dir[4096];

	for (size_t i = 0; i < in->a->n && !*ep->dns; i++)
		ep = &in->a->first[i];
	if (!*ep->dns)
		return json_pack("{sb sb ss si}", "enabled", 0, "served", 0, "address", "", "port",
				 0);
	/* Nobody is started for a question. */
	if (!ctl_state_dir(in->c, dir, sizeof(dir), err))
		served = !fl_dnsd_ask(dir, &q, -1, false, &answer, err);
	return json_pack("{sb sb ss si}", "enabled", 1, "served", (int)served, "address",
			 FL_DNSD_ADDRESS, "port", (int)ep->dns_port);
}

/* ---- one attachment ---- */

static void add_link(json_t *o, const char *const keys[6], const struct fl_link *l)
{
	set(o, keys[0], json_integer(l->index));
	set(o, keys[1], json_integer(l->index ? l->peer : 0));
	set(o, keys[2], json_integer(l->mtu));
	set(o, keys[3], json_string(l->index ? operstate_str(l->operstate) : ""));
	set(o, keys[4],
	    json_string(fl_mac_is_zero(&l->mac) ? "" : fl_mac_str(&l->mac, FL_MAC_BUF)));
	set(o, keys[5], json_string(l->kind));
}

static void add_links(struct inspected *in)
{
	static const char *const host[] = { "hostIndex", "hostPeerIndex", "hostMtu",
					    "hostState", "hostMac",	  "hostKind" };
	static const char *const inside[] = { "index",	   "peerIndex", "mtu",
					      "operstate", "macInside", "kind" };

	add_link(in->o, host, &in->host);
	add_link(in->o, inside, &in->inside);
	set(in->o, "interfaceInside", json_string(in->inside.name));
}

static void add_network(struct inspected *in, const struct fl_network *net)
{
	json_t *subnets = json_array();

	for (uint32_t i = 0; net && i < net->n_subnets; i++)
		json_array_append_new(subnets,
				      json_string(fl_prefix_str(&net->subnets[i], FL_PREFIX_BUF)));
	set(in->o, "networkLink", json_string(net ? net->link : ""));
	set(in->o, "networkParent", json_string(net ? net->parent : ""));
	set(in->o, "networkSubnets", subnets);
	set(in->o, "networkFlags", network_flags(net));
}

static int add_host_end(struct inspected *in, struct fl_error *err)
{
	const struct fl_endpoint *ep = in->a->main;
	int r = ctl_host(in->c, err);

	if (r || !*ep->link || !ep->ifindex)
		return r;
	r = fl_link_get_index(in->c->host, ep->ifindex, &in->host, err);
	return r == -ENODEV ? 0 : r;
}

static int add_sandbox(struct inspected *in, struct fl_error *err)
{
	FL_AUTONETNS struct fl_netns ns = FL_NETNS_NONE;
	const struct fl_endpoint *ep = in->a->main;
	FL_AUTONL struct fl_nl *nl = NULL;
	char why[FL_ERROR_TEXT];
	int r = open_sandbox(in->c, ep, &ns, why, sizeof(why), err);

	if (r)
		return r;
	set(in->o, "cookie", json_integer((json_int_t)ep->cookie));
	set(in->o, "namespaceOpen", json_boolean(!*why));
	set(in->o, "namespaceWhy", json_string(why));
	if (option_given(in->c, "processes"))
		add_processes(in, &ns);
	if (*why)
		return 0;
	r = ctl_nl_in(in->c, &ns, &nl, err);
	return r ? r : look_inside(in, nl, err);
}

static int inspect(struct inspected *in, const struct model *m, struct fl_error *err)
{
	struct fl_error quiet = { 0 };
	struct traffic t = { 0 };
	int r;

	in->o = attachment_json(in->a);
	if (!in->o)
		return fl_error_oom(err);
	set(in->o, "label", json_string(CONTAINER_LABEL(in->a->main)));
	set(in->o, "sharesSandboxOf", json_string(in->a->main->shares));
	r = add_host_end(in, err);
	if (!r)
		r = add_sandbox(in, err);
	if (!r)
		r = traffic_read(in->c, &in->a, 1, &t, err);
	if (r)
		return r;
	add_links(in);
	add_network(in, model_network(m, in->a->main));
	set(in->o, "traffic", traffic_json(&t));
	set(in->o, "resolver", resolver_json(in, &quiet));
	return 0;
}

/* ---- for people ---- */

/* "veth1a2b3c4d (9) <-> eth0 (2)" */
static json_t *line_of_links(const struct inspected *in)
{
	const char *name = in->inside.index ? in->inside.name : in->a->main->id.ifname;
	char inside[64], host[64];

	if (*in->a->main->shares)
		return json_sprintf("those of %s, whose sandbox it shares", in->a->main->shares);
	snprintf(inside, sizeof(inside), in->inside.index ? "%s (%u)" : "%s", name,
		 in->inside.index);
	if (!*in->a->main->link)
		return json_sprintf("%s, no host end", inside);
	snprintf(host, sizeof(host), in->host.index ? "%s (%u)" : "%s (gone)", in->a->main->link,
		 in->host.index);
	return json_sprintf("%s on the host <-> %s", host, inside);
}

static json_t *line_of_traffic(const json_t *t, const char *direction)
{
	char bytes[32], packets[32], dropped[32], errors[32];

	if (!*text_of(t, "from"))
		return json_string("not to be read");
	snprintf(bytes, sizeof(bytes), "%sBytes", direction);
	snprintf(packets, sizeof(packets), "%sPackets", direction);
	snprintf(dropped, sizeof(dropped), "%sDropped", direction);
	snprintf(errors, sizeof(errors), "%sErrors", direction);
	return json_sprintf("%lld bytes, %lld packets, %lld dropped, %lld errors",
			    number_of(t, bytes), number_of(t, packets), number_of(t, dropped),
			    number_of(t, errors));
}

static json_t *line_of_resolver(const json_t *r)
{
	if (!json_is_true(json_object_get(r, "enabled")))
		return json_string("none");
	return json_sprintf("%s, %s, port %lld", text_of(r, "address"),
			    json_is_true(json_object_get(r, "served")) ? "served" : "not served",
			    number_of(r, "port"));
}

struct port_rows {
	json_t *list;
	const struct attachment *a;
};

static void add_port(void *arg, const struct fl_port *p)
{
	int family;
	struct port_rows *rows = arg;

	family = rows->a->main->n_addrs ? rows->a->main->addrs[0].addr.family : AF_INET;
	json_array_append_new(rows->list, json_pack("{ss ss}", "host", PORT_HOST(p, family),
						    "container", PORT_CONTAINER(p)));
}

static void add_lines(const struct inspected *in)
{
	struct port_rows ports = { json_array(), in->a };
	const json_t *t = json_object_get(in->o, "traffic");
	const char *why = text_of(in->o, "namespaceWhy");
	json_t *o = in->o;

	set(o, "links", line_of_links(in));
	set(o, "sandbox",
	    *why ? json_sprintf("%s (%s)", in->a->main->netns, why)
		 : json_sprintf("%s (cookie %" PRIu64 ")", in->a->main->netns,
				in->a->main->cookie));
	set(o, "in", line_of_traffic(t, "in"));
	set(o, "out", line_of_traffic(t, "out"));
	set(o, "resolverLine", line_of_resolver(json_object_get(o, "resolver")));
	set(o, "hostLine",
	    in->host.index ? json_sprintf("%s, MTU %u, %s", operstate_str(in->host.operstate),
					  in->host.mtu, text_of(o, "hostMac"))
			   : NULL);
	set(o, "insideLine",
	    in->inside.index ? json_sprintf("%s, MTU %u, %s", operstate_str(in->inside.operstate),
					    in->inside.mtu, text_of(o, "macInside"))
			     : NULL);
	ports_each(in->a, add_port, &ports);
	set(o, "portRows", ports.list);
}

static const struct column port_columns[] = {
	{ "HOST", "host", 0, NULL },
	{ "CONTAINER", "container", 0, NULL },
	{ 0 },
};

static const struct column route_columns[] = {
	{ "DESTINATION", "dst", 0, NULL },
	{ "GATEWAY", "gw", 0, NULL },
	{ "SOURCE", "src", 0, NULL },
	{ "METRIC", "metric", COLUMN_RIGHT, NULL },
	{ "TABLE", "table", COLUMN_RIGHT, NULL },
	{ 0 },
};

static const struct field fields[] = {
	{ "Container", "container", NULL },
	{ "Name", "name", NULL },
	{ "Aliases", "aliases", NULL },
	{ "Network", "network", NULL },
	{ "Network's flags", "networkFlags", NULL },
	{ "Plugins", "plugins", NULL },
	{ "State", "state", NULL },
	{ "Origin", "origin", NULL },
	{ "Interfaces", "links", NULL },
	{ "Host end", "hostLine", NULL },
	{ "Inside", "insideLine", NULL },
	{ "Addresses recorded", "addresses", NULL },
	{ "Addresses inside", "addressesInside", NULL },
	{ "Namespace", "sandbox", NULL },
	{ "Processes", "processes", NULL },
	{ "Resolver", "resolverLine", NULL },
	{ "Into the container", "in", NULL },
	{ "Out of it", "out", NULL },
	{ "Published ports", "portRows", port_columns },
	{ "Routes inside", "routes", route_columns },
	{ 0 },
};

static int run(struct ctl *c, struct fl_error *err)
{
	FL_AUTOFREE const struct attachment **found = NULL;
	FL_AUTOJSON json_t *all = json_array();
	AUTOMODEL struct model m = { 0 };
	size_t n = 0;
	int r = model_read(c, &m, err);

	if (!r)
		r = model_find(&m, c->argv[0], option_value(c, "network"),
			       option_value(c, "interface"), &found, &n, err);
	for (size_t i = 0; !r && i < n; i++) {
		struct inspected in = { .c = c, .a = found[i] };

		r = inspect(&in, &m, err);
		if (r || c->json) {
			json_array_append_new(all, in.o);
			continue;
		}
		add_lines(&in);
		if (i)
			putchar('\n');
		r = show_object(c, in.o, fields, err);
	}
	return r || !c->json ? r : show_json(json_incref(all), err);
}

static const struct option_spec options[] = {
	{ "network", 0, "NETWORK", "only the attachment to this network", "@network" },
	{ "interface", 'i', "NAME", "only this interface of the container", NULL },
	{ "processes", 0, NULL, "also the processes in the sandbox: reads all of /proc", NULL },
	{ 0 },
};

static const struct example examples[] = {
	{ "netctl endpoint inspect web", "all attachments of a container" },
	{ "netctl endpoint inspect web --network front --json", "one of them, for scripts" },
	{ 0 },
};

const struct command endpoint_inspect_command = {
	.name = "endpoint inspect",
	.args = "CONTAINER",
	.about = "everything about a container's attachments, from both ends",
	.text = "Counters are the container's: what goes in is what the host's end of the pair "
		"sends. Addresses are shown as they were recorded and as the interface has them.",
	.json = "a list of objects: " ATTACHMENT_JSON
		", sharesSandboxOf; of the host end hostIndex, hostPeerIndex, hostMtu, hostState, "
		"hostMac, hostKind; of the end inside interfaceInside, index, peerIndex, mtu, "
		"operstate, macInside, kind, addressesInside (list), routes (list of dst, gw, src, "
		"metric, table), routeCount (0 and \"\" of an end that is not there); cookie, "
		"namespaceOpen (boolean), namespaceWhy; with --processes processes (list) and "
		"processCount; networkLink, networkParent, networkSubnets (list), networkFlags "
		"(list); resolver: enabled, served, address, port; traffic: " TRAFFIC_JSON ".",
	.options = options,
	.examples = examples,
	.flags = COMMAND_READS,
	.min = 1,
	.max = 1,
	.completes = "@endpoint",
	.run = run,
};
