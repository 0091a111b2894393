/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is drawn, from the model and the host's links. */
#include "netctl/topology.h"

#include "netctl/links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

void topology_clear(struct topology *t)
{
	for (size_t i = 0; i < t->n_nets; i++)
		free(t->nets[i].gateways);
	free(t->nets);
	free(t->boxes);
	free(t->nodes);
	free(t->by_net);
	free(t->by_box);
	*t = (struct topology){ 0 };
}

static bool chosen(const struct attachment *a, char **only, size_t n_only)
{
	for (size_t i = 0; i < n_only; i++)
		if (!strcmp(only[i], a->main->id.network))
			return true;
	return !n_only;
}

static int compare_boxes(const void *x, const void *y)
{
	const struct attachment *a = *(const struct attachment *const *)x,
				*b = *(const struct attachment *const *)y;
	int r = strcmp(a->main->id.container, b->main->id.container);

	/* The model's own order: by network, then interface. */
	return r ? r : a < b ? -1 : a > b;
}

static const char *link_of(const struct attachment *a, const struct fl_network *record)
{
	if (record && *record->link && !record->host_access)
		return record->link;
	if (record && *record->parent)
		return record->parent;
	return a->main->link[0] && !record ? a->main->link : "";
}

static void group_nets(struct topology *t, const struct model *m)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct attachment *a = t->by_net[i];
		struct topo_net *last = t->n_nets ? &t->nets[t->n_nets - 1] : NULL;

		if (last && !strcmp(last->name, a->main->id.network)) {
			last->n++;
			continue;
		}
		t->nets[t->n_nets++] = (struct topo_net){ .name = a->main->id.network,
							  .driver = a->main->id.driver,
							  .record = model_network(m, a->main),
							  .members = &t->by_net[i],
							  .n = 1 };
		last = &t->nets[t->n_nets - 1];
		last->link = link_of(a, last->record);
	}
}

static void group_boxes(struct topology *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct attachment *a = t->by_box[i];
		struct topo_box *last = t->n_boxes ? &t->boxes[t->n_boxes - 1] : NULL;

		if (last && !strcmp(last->id, a->main->id.container))
			last->n++;
		else
			t->boxes[t->n_boxes++] =
				(struct topo_box){ a->main->id.container, &t->by_box[i], 1 };
	}
}

/* Peers of networks that nobody here is on are not shown. */
static void group_nodes(struct topology *t, const struct peers *peers)
{
	for (size_t i = 0, n; i < t->n_nets; i++) {
		struct topo_net *net = &t->nets[i];
		const struct fl_peer *v = peers_of(peers, net->name, &n);

		net->nodes = t->nodes + t->n_nodes;
		for (size_t k = 0; k < n; k++) {
			struct topo_node *last = &t->nodes[t->n_nodes];

			if (!net->n_nodes || strcmp(last[-1].name, v[k].node) != 0) {
				*last = (struct topo_node){ .name = v[k].node, .v = &v[k] };
				t->n_nodes++;
				net->n_nodes++;
			}
			t->nodes[t->n_nodes - 1].n++;
			t->nodes[t->n_nodes - 1].suspect += v[k].suspect;
		}
	}
}

/* ---- the host's links ---- */

struct seen_link {
	uint32_t index;
	struct topo_net *net;
};

struct host_links {
	struct topology *t;
	struct seen_link *v; /* by index */
	size_t n;
	uint32_t uplink;
};

static int compare_index(const void *x, const void *y)
{
	const struct seen_link *a = x, *b = y;

	return a->index < b->index ? -1 : a->index > b->index;
}

/*
 * One by one: in a dump of all links the kernel looks for the namespace id of each veth's peer
 * among all of them.
 */
static int find_links(struct ctl *c, struct host_links *h, struct fl_error *err)
{
	struct fl_link l = { 0 };
	int r = 0;

	for (size_t i = 0; i < h->t->n_nets && r >= 0; i++) {
		struct topo_net *net = &h->t->nets[i];

		if (!*net->link)
			continue;
		r = fl_link_find(c->host, net->link, &l, err);
		if (r > 0)
			h->v[h->n++] = (struct seen_link){ l.index, net };
	}
	if (r >= 0 && h->uplink && !fl_link_get_index(c->host, h->uplink, &l, NULL))
		memcpy(h->t->uplink, l.name, sizeof(h->t->uplink));
	if (h->n)
		qsort(h->v, h->n, sizeof(*h->v), compare_index);
	return r < 0 ? r : 0;
}

static int add_gateway(struct topo_net *net, const struct fl_prefix *p)
{
	struct fl_prefix *grown =
		realloc(net->gateways, (net->n_gateways + 1) * sizeof(*net->gateways));

	if (!grown)
		return -ENOMEM;
	net->gateways = grown;
	grown[net->n_gateways++] = *p;
	return 0;
}

static int take_address(void *arg, const struct fl_ifaddr *a)
{
	struct seen_link key = { a->index, NULL }, *found;
	struct host_links *h = arg;
	int r = 0;

	if (fl_addr_is_linklocal(&a->prefix.addr))
		return 0;
	if (a->index == h->uplink && h->t->n_uplink < FL_ARRAY_SIZE(h->t->uplink_addrs))
		h->t->uplink_addrs[h->t->n_uplink++] = a->prefix;
	found = h->n ? bsearch(&key, h->v, h->n, sizeof(key), compare_index) : NULL;
	while (found && found > h->v && found[-1].index == a->index)
		found--;
	for (; found && found < h->v + h->n && found->index == a->index && !r; found++)
		r = add_gateway(found->net, &a->prefix);
	return r;
}

static int read_uplink(struct ctl *c, uint32_t *ret, struct fl_error *err)
{
	struct fl_nlroute route = { 0 };
	int r = fl_default_route(c->host, AF_INET, &route, err);

	if (r == -ENOENT)
		r = fl_default_route(c->host, AF_INET6, &route, err);
	if (r && r != -ENOENT)
		return r;
	*ret = r ? 0 : route.oif;
	return 0;
}

static int read_addresses(struct ctl *c, struct host_links *h, struct fl_error *err)
{
	int r = -EINTR;

	for (int tries = 0; tries < DUMP_TRIES && r == -EINTR; tries++) {
		h->t->n_uplink = 0;
		for (size_t i = 0; i < h->t->n_nets; i++)
			h->t->nets[i].n_gateways = 0;
		r = fl_ifaddrs_each(c->host, 0, take_address, h, err);
	}
	return r == -ENOMEM ? fl_error_oom(err) : r;
}

static int read_host(struct ctl *c, struct topology *t, struct fl_error *err)
{
	FL_AUTOFREE struct seen_link *seen = calloc(t->n_nets + 1, sizeof(*seen));
	struct host_links h = { .t = t, .v = seen };
	int r = ctl_host(c, err);

	if (!seen)
		return fl_error_oom(err);
	gethostname(t->host, sizeof(t->host) - 1);
	if (!r)
		r = read_uplink(c, &h.uplink, err);
	if (!r)
		r = find_links(c, &h, err);
	return r ? r : read_addresses(c, &h, err);
}

static int check_names(const struct topology *t, char **only, size_t n_only, struct fl_error *err)
{
	for (size_t i = 0; i < n_only; i++) {
		bool found = false;

		for (size_t k = 0; k < t->n_nets && !found; k++)
			found = !strcmp(t->nets[k].name, only[i]);
		if (!found)
			return not_found(err, "nothing is attached to network %s", only[i]);
	}
	return 0;
}

int topology_make(struct ctl *c, const struct model *m, const struct peers *peers, char **only,
		  size_t n_only, struct topology *ret, struct fl_error *err)
{
	AUTOTOPOLOGY struct topology t = { 0 };
	size_t room = m->n_attachments + 1;
	int r;

	t.by_net = calloc(room, sizeof(*t.by_net));
	t.by_box = calloc(room, sizeof(*t.by_box));
	t.nets = calloc(room, sizeof(*t.nets));
	t.boxes = calloc(room, sizeof(*t.boxes));
	t.nodes = calloc(peers->n + 1, sizeof(*t.nodes));
	if (!t.by_net || !t.by_box || !t.nets || !t.boxes || !t.nodes)
		return fl_error_oom(err);
	for (size_t i = 0; i < m->n_attachments; i++)
		if (chosen(&m->attachments[i], only, n_only))
			t.by_net[t.n++] = &m->attachments[i];
	memcpy(t.by_box, t.by_net, t.n * sizeof(*t.by_box));
	qsort(t.by_box, t.n, sizeof(*t.by_box), compare_boxes);
	group_nets(&t, m);
	group_boxes(&t);
	group_nodes(&t, peers);
	r = check_names(&t, only, n_only, err);
	if (!r)
		r = read_host(c, &t, err);
	if (r)
		return r;
	*ret = t;
	t = (struct topology){ 0 };
	return 0;
}

/* ---- looking it up ---- */

const struct topo_box *topology_box(const struct topology *t, const struct attachment *a)
{
	size_t low = 0, high = t->n_boxes;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (strcmp(t->boxes[middle].id, a->main->id.container) <= 0)
			low = middle;
		else
			high = middle;
	}
	return &t->boxes[low];
}

const struct topo_net *topology_net(const struct topology *t, const struct attachment *a)
{
	size_t low = 0, high = t->n_nets;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (strcmp(t->nets[middle].name, a->main->id.network) <= 0)
			low = middle;
		else
			high = middle;
	}
	return &t->nets[low];
}

const char *node_words(const struct topo_node *node, char *buf, size_t size)
{
	char suspect[32] = "";

	if (node->suspect)
		snprintf(suspect, sizeof(suspect), ", %zu suspect", node->suspect);
	snprintf(buf, size, "%zu container%s%s", node->n, node->n == 1 ? "" : "s", suspect);
	return buf;
}

json_t *network_flags(const struct fl_network *net)
{
	json_t *list = json_array();

	if (!net)
		return list;
	const struct {
		bool set;
		const char *name;
	} flags[] = {
		{ net->internal, "internal" },
		{ net->isolate, "isolated" },
		{ net->no_icc, "no-icc" },
		{ net->guarded, "guarded" },
		{ net->gateway_mode == FL_GATEWAY_ROUTED, "routed" },
		{ net->masquerade, "masquerade" },
		{ fl_addr_is_set(&net->snat[0]) || fl_addr_is_set(&net->snat[1]), "snat" },
		{ net->direct, "direct" },
		{ net->tunnel_routed, "l3" },
	};

	for (size_t i = 0; i < FL_ARRAY_SIZE(flags); i++)
		if (flags[i].set)
			json_array_append_new(list, json_string(flags[i].name));
	return list;
}

void port_words(const struct fl_port *p, const char *arrow, char *buf, size_t size)
{
	const char *host = PORT_HOST(p, AF_INET);

	snprintf(buf, size, "%s %s %s", fl_addr_is_set(&p->host) ? host : strchr(host, ':') + 1,
		 arrow, PORT_CONTAINER(p));
}

void ports_each(const struct attachment *a, void (*fn)(void *arg, const struct fl_port *p),
		void *arg)
{
	for (size_t i = 0; i < a->n; i++)
		for (uint32_t k = 0; k < a->first[i].n_ports; k++)
			fn(arg, &a->first[i].ports[k]);
}
