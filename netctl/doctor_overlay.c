/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Overlay networks of a cluster: the agent, its way to etcd, and what it says of the nodes. */
#include "netctl/doctor_overlay.h"

#include "netctl/cluster_network.h"
#include "netctl/out.h"

#include <errno.h>
#include <string.h>

/* It is renewed when a third of it is over: of what has less than a third left, two renewals
 * failed.
 */
static bool is_short(const json_t *agent)
{
	const json_t *lease = json_object_get(agent, "lease");

	return json_is_integer(lease) &&
	       json_integer_value(lease) * 3 < number_of(agent, "leaseSeconds");
}

bool is_of_cluster(const struct fl_network *net)
{
	return *net->cluster && *net->tunnel;
}

static size_t count_networks(const struct doctor *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->m.n_networks; i++)
		n += is_of_cluster(&d->m.networks[i]);
	return n;
}

static size_t count_files(const struct doctor *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->files.n; i++)
		n += d->files.v[i].json && is_cluster_file(&d->files.v[i]);
	return n;
}

/* ---- the agent ---- */

static void find_down(struct doctor *d, const struct fl_error *why)
{
	size_t n = count_networks(d);
	struct finding *f =
		find(d, "overlay-agent-down", n ? SEVERITY_ERROR : SEVERITY_WARNING,
		     FL_OVERLAY_PROGRAM, "%s; what is attached goes on, but %s", why->text,
		     n ? "nothing is attached anew, and changes of other nodes do not come here"
		       : "nothing can be attached to overlays");

	remedy(f, "systemctl enable --now fairlead-overlayd");
}

static void check_etcd(struct doctor *d, const json_t *agent)
{
	const json_t *lease = json_object_get(agent, "lease");
	struct finding *f;

	if (!is_true(agent, "reachable")) {
		f = find(d, "overlay-etcd-unreachable", SEVERITY_ERROR, "etcd",
			 "%s: networks go on as they were, nothing is attached anew%s",
			 *text_of(agent, "error") ? text_of(agent, "error")
						  : "it has not been reached yet",
			 json_is_integer(lease) ? ""
						: ", and other nodes take this one for suspect");
		remedy(f,
		       "etcdctl endpoint health --endpoints ... (those of " FL_OVERLAY_CONFIG ")");
	} else if (is_short(agent)) {
		find(d, "overlay-lease-short", SEVERITY_WARNING, "etcd",
		     "the lease that shows that this node is alive ends in %lld s unless it is "
		     "renewed: etcd answers slowly",
		     (long long)json_integer_value(lease));
	}
}

static void check_alarms(struct doctor *d, const json_t *agent)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(agent, "alarms"), i, one)
	{
		const char *name = json_string_value(one);
		bool space = name && !strcasecmp(name, "nospace");
		struct finding *f;

		if (!name)
			continue;
		f = find(d, "overlay-etcd-alarm", SEVERITY_ERROR, "etcd", "alarm %s: %s", name,
			 space ? "its database has reached its quota, and nothing is written any "
				 "more"
			       : "see the manual of etcd");
		remedy(f, "%s",
		       space ? "etcdctl compact REVISION; etcdctl defrag; etcdctl alarm disarm"
			     : "etcdctl alarm list");
	}
}

/* ---- the nodes ---- */

/* The kind is what a key begins with: "ep/". */
static void find_kept(struct doctor *d, const char *name, const char *key)
{
	char object[256];
	struct finding *f;

	snprintf(object, sizeof(object), "node %.64s", name);
	f = find(d, "overlay-node-kept", SEVERITY_WARNING, object,
		 "it is dead, and its record stays in the cluster: what a later version wrote in "
		 "etcd under %s is its, and this version does not understand it; what it "
		 "understands was given back",
		 key);
	remedy(f,
	       "update fairlead on a node, whose agent gives it back (netctl node rm %s); or, if "
	       "it is nobody's: etcdctl del %s; netctl node rm %s",
	       name, key, name);
}

static void check_node(struct doctor *d, const json_t *node)
{
	const char *name = text_of(node, "name"), *state = text_of(node, "state");
	char object[256];
	struct finding *f;

	if (is_true(node, "self") || !strcmp(state, "alive"))
		return;
	if (*text_of(node, "kept")) {
		find_kept(d, name, text_of(node, "kept"));
		return;
	}
	snprintf(object, sizeof(object), "node %s", name);
	if (json_is_false(json_object_get(node, "record"))) {
		f = find(d, "overlay-node-unknown", SEVERITY_WARNING, object,
			 "endpoints in the cluster are its, and it has no record of its own there: "
			 "nobody reaches them, and after the hold-down time they are given up");
		remedy(f,
		       "start fairlead-overlayd there, which writes its record again, or, if there "
		       "is no such node any more: netctl node rm %s",
		       name);
		return;
	}
	f = find(d, !strcmp(state, "suspect") ? "overlay-node-suspect" : "overlay-node-dead",
		 SEVERITY_WARNING, object,
		 "it gives no sign of life: its containers are still reached, where they live, and "
		 "their names are not answered%s",
		 !strcmp(state, "suspect") ? "" : "; what it had is about to be given up");
	remedy(f, "start fairlead-overlayd there, or, if it does not come back: netctl node rm %s",
	       name);
}

/* What is agreed on for all nodes has to fit through each one's underlay. */
static void check_mtu(struct doctor *d, const json_t *net)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(net, "nodes"), i, one)
	{
		const json_t *node = json_is_string(one)
					     ? cluster_node(&d->cluster, json_string_value(one))
					     : NULL;
		long long mtu = number_of(node, "mtu"), need = overlay_need(d, net);
		char object[256];
		struct finding *f;

		if (!mtu || mtu >= need)
			continue;
		snprintf(object, sizeof(object), "network %s, node %s", text_of(net, "name"),
			 text_of(node, "name"));
		f = find(d, "overlay-mtu-too-large", SEVERITY_ERROR, object,
			 "packets of its MTU %lld have %lld bytes on the way, and the node's own "
			 "interface passes %lld: large ones are lost there",
			 number_of(net, "mtu"), need, mtu);
		remedy(f,
		       "raise the MTU of the node's interface, or make the network anew with -o "
		       "mtu=%lld",
		       number_of(net, "mtu") - (need - mtu));
	}
}

long long overlay_need(const struct doctor *d, const json_t *net)
{
	long long mtu = number_of(net, "mtu");
	int family = *text_of(d->cluster.agent, "vtep4") ? AF_INET : AF_INET6;

	return mtu ? mtu + fl_vxlan_overhead(family) : 0;
}

/* ---- endpoints and tunnels ---- */

static void check_conflicts(struct doctor *d)
{
	const json_t *one;
	size_t i;

	json_array_foreach(d->cluster.endpoints, i, one)
	{
		char object[256];
		struct finding *f;

		if (!is_true(one, "conflict"))
			continue;
		snprintf(object, sizeof(object), "container %.200s, network %.40s",
			 text_of(one, "container"), text_of(one, "network"));
		f = find(d, "overlay-conflict", SEVERITY_ERROR, object,
			 "its address went to another node's container while this node was away "
			 "from the cluster");
		remedy(f, "start the container anew: it gets another address");
	}
}

/* The tunnel was made from the same record; somebody else may have made it again. */
static void check_tunnel(struct doctor *d, const struct fl_network *net)
{
	const json_t *is = cluster_network(&d->cluster, net->name);
	const struct fl_link *l = host_link(d, net->tunnel);
	struct finding *f;
	char object[256];

	snprintf(object, sizeof(object), "network %s", net->name);
	if (!is && d->cluster.agent) {
		f = find(d, "overlay-unknown", SEVERITY_ERROR, object,
			 "the cluster has no such network any more, and containers here are on it");
		remedy(f, "detach them; netctl network rm --local %s", net->name);
	}
	if (!is)
		return;
	if (l && !strcmp(l->kind, "vxlan") && l->vxlan.vni == (uint32_t)number_of(is, "vni") &&
	    l->vxlan.port == (uint16_t)number_of(is, "port"))
		return;
	f = find(d, "overlay-tunnel", SEVERITY_ERROR, object,
		 l ? "interface %s is not its tunnel (VNI %u, UDP port %u): the cluster has VNI "
		     "%lld, port %lld"
		   : "its tunnel %s is gone",
		 net->tunnel, l ? l->vxlan.vni : 0, l ? l->vxlan.port : 0, number_of(is, "vni"),
		 number_of(is, "port"));
	remedy(f, "attach a container: the plugin makes it again");
}

int check_overlay(struct doctor *d, struct fl_error *err)
{
	struct fl_error why = { 0 };
	const json_t *one;
	size_t i;
	int r;

	if (!agent_is_there(d->c) && !count_networks(d) && !count_files(d))
		return 0;
	r = cluster_read(d->c, &d->cluster, &why);
	if (r == -ENOTCONN) {
		if (count_networks(d) || count_files(d))
			find_down(d, &why);
		return 0;
	}
	if (r)
		return fl_error_set(err, r, why.code, "%s", why.text);
	check_etcd(d, d->cluster.agent);
	check_alarms(d, d->cluster.agent);
	json_array_foreach(d->cluster.nodes, i, one) check_node(d, one);
	json_array_foreach(d->cluster.networks, i, one) check_mtu(d, one);
	check_conflicts(d);
	for (i = 0; i < d->m.n_networks; i++)
		if (is_of_cluster(&d->m.networks[i]))
			check_tunnel(d, &d->m.networks[i]);
	return 0;
}
