/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/model.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

void model_clear(struct model *m)
{
	for (size_t i = 0; i < m->n_endpoints; i++)
		fl_endpoint_clear(&m->endpoints[i]);
	free(m->endpoints);
	free(m->networks);
	free(m->attachments);
	*m = (struct model){ 0 };
}

int array_grow(void **items, size_t n, size_t size)
{
	void *grown;

	if (n && (n < 16 || n & (n - 1)))
		return 0;
	grown = realloc(*items, (n < 16 ? 16 : 2 * n) * size);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	return 0;
}

static int take_network(void *arg, const struct fl_network *net)
{
	struct model *m = arg;

	if (array_grow((void **)&m->networks, m->n_networks, sizeof(*net)))
		return -ENOMEM;
	m->networks[m->n_networks++] = *net;
	return 0;
}

int model_add(struct model *m, const struct fl_endpoint *ep)
{
	struct fl_endpoint *copy;

	if (array_grow((void **)&m->endpoints, m->n_endpoints, sizeof(*ep)))
		return -ENOMEM;
	copy = &m->endpoints[m->n_endpoints];
	*copy = *ep;
	copy->ports = NULL;
	if (ep->n_ports) {
		copy->ports = malloc(ep->n_ports * sizeof(*ep->ports));
		if (!copy->ports)
			return -ENOMEM;
		memcpy(copy->ports, ep->ports, ep->n_ports * sizeof(*ep->ports));
	}
	m->n_endpoints++;
	return 0;
}

static int take_endpoint(void *arg, const struct fl_endpoint *ep)
{
	return model_add(arg, ep);
}

static int compare_networks(const void *x, const void *y)
{
	const struct fl_network *a = x, *b = y;
	int r = strcmp(a->name, b->name);

	return r ? r : strcmp(a->driver, b->driver);
}

static int compare_attachments(const struct fl_endpoint *a, const struct fl_endpoint *b)
{
	int r = strcmp(a->id.network, b->id.network);

	if (!r)
		r = strcmp(a->id.container, b->id.container);
	return r ? r : strcmp(a->id.ifname, b->id.ifname);
}

static int compare_endpoints(const void *x, const void *y)
{
	const struct fl_endpoint *a = x, *b = y;
	int r = compare_attachments(a, b);

	return r ? r : strcmp(a->id.driver, b->id.driver);
}

/*
 * Which of a chain's records tells most of the interface. The plugin that makes it chooses a MAC;
 * those behind it only note the host's end and the addresses that they were given.
 */
static int rank(const struct fl_endpoint *ep)
{
	if (!fl_mac_is_zero(&ep->mac) || *ep->shares)
		return 3;
	return ep->n_addrs ? 2 : *ep->link || ep->ifindex;
}

static int group(struct model *m)
{
	for (size_t i = 0; i < m->n_endpoints; i++) {
		struct fl_endpoint *ep = &m->endpoints[i];
		struct attachment *last =
			m->n_attachments ? &m->attachments[m->n_attachments - 1] : NULL;

		if (last && !compare_attachments(last->first, ep)) {
			last->n++;
			if (rank(ep) > rank(last->main))
				last->main = ep;
			continue;
		}
		if (array_grow((void **)&m->attachments, m->n_attachments, sizeof(*m->attachments)))
			return -ENOMEM;
		m->attachments[m->n_attachments++] = (struct attachment){ ep, ep, 1, NULL };
	}
	return 0;
}

/* ---- whose sandbox ---- */

static const char *owner_id(const struct attachment *a)
{
	return *a->main->shares ? a->main->shares : a->main->id.container;
}

/* Those of one sandbox together, its owner's in front. */
static int compare_owners(const void *x, const void *y)
{
	const struct attachment *a = *(struct attachment *const *)x,
				*b = *(struct attachment *const *)y;
	int r = strcmp(owner_id(a), owner_id(b));

	if (!r)
		r = (*a->main->shares != '\0') - (*b->main->shares != '\0');
	return r ? r : a < b ? -1 : a > b;
}

static int find_owners(struct model *m)
{
	FL_AUTOFREE struct attachment **all = NULL;
	const struct attachment *owner = NULL;
	bool any = false;

	for (size_t i = 0; i < m->n_attachments && !any; i++)
		any = *m->attachments[i].main->shares;
	if (!any)
		return 0;
	all = calloc(m->n_attachments, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_attachments; i++)
		all[i] = &m->attachments[i];
	qsort(all, m->n_attachments, sizeof(*all), compare_owners);
	for (size_t i = 0; i < m->n_attachments; i++) {
		if (!i || strcmp(owner_id(all[i]), owner_id(all[i - 1])) != 0)
			owner = *all[i]->main->shares ? NULL : all[i];
		all[i]->owner = owner;
	}
	return 0;
}

int model_group(struct model *m)
{
	int r;

	if (m->n_endpoints)
		qsort(m->endpoints, m->n_endpoints, sizeof(*m->endpoints), compare_endpoints);
	r = group(m);
	return r ? r : find_owners(m);
}

int model_read(struct ctl *c, struct model *ret, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	AUTOMODEL struct model m = { 0 };
	int r = ctl_store(c, false, err);

	if (!r && c->store)
		r = fl_txn_begin(c->store, false, &t, err);
	if (!r && t)
		m.txn = fl_txn_id(t);
	if (!r && t)
		r = fl_networks_each(t, take_network, &m, err);
	if (!r && t)
		r = fl_endpoints_each(t, NULL, take_endpoint, &m, err);
	if (!r) {
		/* No lookups of names by the libc: qsort of nothing needs a pointer all the same.
		 */
		if (m.n_networks)
			qsort(m.networks, m.n_networks, sizeof(*m.networks), compare_networks);
		r = model_group(&m);
	}
	if (r)
		return r == -ENOMEM ? fl_error_oom(err) : r;
	*ret = m;
	m = (struct model){ 0 };
	return 0;
}

/* Has the store not changed since it was read? 1 or 0. */
static int is_current(struct ctl *c, const struct model *m, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = c->store && m->txn ? fl_txn_begin(c->store, false, &t, err) : 0;

	return r ? r : t && fl_txn_id(t) == m->txn;
}

int model_update(struct ctl *c, struct model *m, struct fl_error *err)
{
	struct model now = { 0 };
	int r = is_current(c, m, err);

	if (r)
		return r < 0 ? r : 0;
	r = model_read(c, &now, err);
	if (r)
		return r;
	model_clear(m);
	*m = now;
	return 1;
}

const struct fl_network *model_network(const struct model *m, const struct fl_endpoint *ep)
{
	struct fl_network key = { 0 };

	if (!m->n_networks)
		return NULL;
	memcpy(key.name, ep->id.network, sizeof(key.name));
	memcpy(key.driver, ep->id.driver, sizeof(key.driver));
	return bsearch(&key, m->networks, m->n_networks, sizeof(key), compare_networks);
}

size_t model_count_networks(const struct model *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_networks; i++)
		n += !i || strcmp(m->networks[i].name, m->networks[i - 1].name) != 0;
	return n;
}

const struct fl_endpoint *model_endpoint(const struct model *m, const struct fl_endpoint_id *id)
{
	struct fl_endpoint key = { .id = *id };

	return m->n_endpoints
		       ? bsearch(&key, m->endpoints, m->n_endpoints, sizeof(key), compare_endpoints)
		       : NULL;
}

/* ---- finding ---- */

/* In the order in which they go before each other. */
enum match { MATCH_NO, MATCH_PREFIX, MATCH_NAME, MATCH_ID };

static enum match matches(const struct attachment *a, const char *container)
{
	const struct fl_endpoint *ep = a->main;

	if (!container || !strcmp(ep->id.container, container))
		return MATCH_ID;
	for (size_t i = 0; i < a->n; i++)
		if (!strcmp(a->first[i].name, container))
			return MATCH_NAME;
	/* As docker has it; one letter of an id is chance. */
	return strlen(container) >= 2 && !strncmp(ep->id.container, container, strlen(container))
		       ? MATCH_PREFIX
		       : MATCH_NO;
}

static bool within(const struct attachment *a, const char *network, const char *ifname)
{
	return (!network || !strcmp(a->main->id.network, network)) &&
	       (!ifname || !strcmp(a->main->id.ifname, ifname));
}

/* How the container is found best, and two of those that are found so. */
static enum match best_match(const struct model *m, const char *container, const char *ids[2])
{
	enum match best = MATCH_NO;

	for (size_t i = 0; i < m->n_attachments && container; i++) {
		enum match now = matches(&m->attachments[i], container);
		const char *id = m->attachments[i].main->id.container;

		if (now > best) {
			best = now;
			ids[0] = id;
			ids[1] = NULL;
		} else if (now && now == best && strcmp(id, ids[0]) != 0) {
			ids[1] = id;
		}
	}
	return container ? best : MATCH_ID;
}

bool model_knows(const struct model *m, const char *word)
{
	const char *ids[2] = { NULL, NULL };

	return best_match(m, word, ids) >= MATCH_NAME;
}

static int nothing_found(const struct model *m, const char *container, const char *network,
			 const char *ifname, struct fl_error *err)
{
	(void)m;
	if (!container)
		return not_found(err, "nothing is attached to network %s", network);
	if (!network && !ifname)
		return not_found(err,
				 "%s: no container of this name or id is attached to a network",
				 container);
	return not_found(err, "container %s is not attached to network %s%s%s", container,
			 network ? network : "(any)", ifname ? " as " : "", ifname ? ifname : "");
}

int model_find(const struct model *m, const char *container, const char *network,
	       const char *ifname, const struct attachment ***ret, size_t *n, struct fl_error *err)
{
	const struct attachment **found = calloc(m->n_attachments + 1, sizeof(*found));
	const char *ids[2] = { NULL, NULL };
	enum match best;
	size_t used = 0;

	if (!found)
		return fl_error_oom(err);
	best = best_match(m, container, ids);
	if (ids[1]) {
		free(found);
		return ambiguous(
			err, "%s: several containers %s, %s and %s among them; give the id",
			container, best == MATCH_NAME ? "have this name" : "have ids that begin so",
			ids[0], ids[1]);
	}
	for (size_t i = 0; best && i < m->n_attachments; i++)
		if (matches(&m->attachments[i], container) == best &&
		    within(&m->attachments[i], network, ifname))
			found[used++] = &m->attachments[i];
	if (!used && (container || network)) {
		free(found);
		return nothing_found(m, container, network, ifname, err);
	}
	*ret = found;
	*n = used;
	return 0;
}

/* ---- in words ---- */

const char *name_or_id(const char *name, const char *id, char *buf, size_t size)
{
	bool hex = strspn(id, "0123456789abcdef") == strlen(id);

	/* A name that somebody chose is not cut. */
	if (*name && strcmp(name, id) != 0)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%.*s", hex && strlen(id) == 64 ? 12 : FL_NAME_MAX, id);
	return buf;
}

const char *container_label(const struct fl_endpoint *ep, char *buf, size_t size)
{
	return name_or_id(ep->name, ep->id.container, buf, size);
}

const char *state_str(enum fl_state s)
{
	return s == FL_STATE_CREATING ? "creating" : s == FL_STATE_READY ? "ready" : "deleting";
}

const char *origin_str(enum fl_origin o)
{
	static const char *const names[] = { [FL_ORIGIN_CNI] = "cni",
					     [FL_ORIGIN_CNM] = "cnm",
					     [FL_ORIGIN_NETAVARK] = "netavark",
					     [FL_ORIGIN_NETCTL] = "netctl" };

	return names[o];
}

const char *port_host_str(const struct fl_port *p, int family, char *buf, size_t size)
{
	char addr[FL_ADDR_STR], end[16] = "";
	bool v6 = fl_addr_is_set(&p->host) ? p->host.family == AF_INET6 : family == AF_INET6;

	if (fl_addr_is_set(&p->host))
		fl_addr_str(&p->host, addr);
	else
		snprintf(addr, sizeof(addr), "%s", v6 ? "::" : "0.0.0.0");
	if (p->count > 1)
		snprintf(end, sizeof(end), "-%u", p->host_port + p->count - 1);
	snprintf(buf, size, "%s%s%s:%u%s", v6 ? "[" : "", addr, v6 ? "]" : "", p->host_port, end);
	return buf;
}

const char *port_container_str(const struct fl_port *p, char *buf, size_t size)
{
	char end[16] = "";

	if (p->count > 1)
		snprintf(end, sizeof(end), "-%u", p->container_port + p->count - 1);
	snprintf(buf, size, "%u%s/%s", p->container_port, end, fl_proto_str(p->proto));
	return buf;
}

json_t *port_json(const struct fl_port *p)
{
	return json_pack("{ss si si ss si}", "hostIP",
			 fl_addr_is_set(&p->host) ? fl_addr_str(&p->host, FL_ADDR_BUF) : "",
			 "hostPort", (int)p->host_port, "containerPort", (int)p->container_port,
			 "protocol", fl_proto_str(p->proto), "range", (int)p->count);
}

static json_t *addresses_json(const struct fl_endpoint *ep)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < ep->n_addrs; i++)
		json_array_append_new(list,
				      json_string(fl_prefix_str(&ep->addrs[i], FL_PREFIX_BUF)));
	return list;
}

json_t *attachment_json(const struct attachment *a)
{
	json_t *ports = json_array(), *plugins = json_array(), *aliases = NULL;
	const struct fl_endpoint *ep = a->main, *named = ep;
	char mac[FL_MAC_STR] = "";

	for (size_t i = 0; i < a->n; i++) {
		const struct fl_endpoint *one = &a->first[i];

		json_array_append_new(plugins, json_string(one->id.driver));
		for (uint32_t k = 0; k < one->n_ports; k++)
			json_array_append_new(ports, port_json(&one->ports[k]));
		if (!aliases && *one->aliases)
			aliases = json_loads(one->aliases, 0, NULL);
		if (!*named->name && *one->name)
			named = one;
	}
	if (!fl_mac_is_zero(&ep->mac))
		fl_mac_str(&ep->mac, mac);
	return json_pack("{ss ss ss ss ss so ss ss ss ss so so ss so}", "network", ep->id.network,
			 "container", ep->id.container, "name", named->name, "interface",
			 ep->id.ifname, "driver", ep->id.driver, "plugins", plugins, "state",
			 state_str(ep->state), "origin", origin_str(ep->origin), "hostInterface",
			 ep->link, "mac", mac, "addresses", addresses_json(ep), "ports", ports,
			 "netns", ep->netns, "aliases", aliases ? aliases : json_array());
}
