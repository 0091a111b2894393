/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network create -d overlay */
#include "netctl/cluster_network.h"
#include "netctl/create.h"
#include "netctl/keys.h"
#include "netctl/netfile.h"
#include "netctl/out.h"
#include "netctl/subnets.h"

#include "base/fields.h"
#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

#define VNI_MAX 16777215

/* The options that are the network's, on all nodes. */
struct wanted {
	int64_t vni, port, mtu;
	int mode;
	bool broadcast;
};

enum { MODE_ETCD = 2 };
static const char *const modes[] = {
	[FL_OVERLAY_L2] = "l2", [FL_OVERLAY_L3] = "l3", [MODE_ETCD] = "etcd", NULL
};

static const struct fl_field wanted_fields[] = {
	FL_F("vni", INT, struct wanted, vni, 1, VNI_MAX),
	FL_F("port", INT, struct wanted, port, 1, UINT16_MAX),
	FL_F("mtu", INT, struct wanted, mtu, 68, UINT16_MAX),
	FL_F("mode", ENUM, struct wanted, mode, .names = modes),
	FL_F("broadcast", BOOL, struct wanted, broadcast),
	{ 0 },
};

/* Takes them out of the -o, which leaves the plugin's own. */
static int take_options(json_t *options, struct fl_overlay_settings *s, struct fl_error *err)
{
	struct wanted w = { 0 };
	struct fl_error why = { 0 };
	const json_t *encrypted = json_object_get(options, "encrypted");

	/* Here, before the cluster has it. */
	if (encrypted && !json_is_false(encrypted))
		return usage_error(err, "--opt encrypted: fairlead does not encrypt what goes "
					"between nodes; expected none");
	if (fl_fields_decode(options, wanted_fields, "", &w, &why))
		return usage_error(err, "--opt %s", why.text);
	for (const struct fl_field *f = wanted_fields; f->key; f++)
		json_object_del(options, f->key);
	s->mode = w.mode == FL_OVERLAY_L3 ? FL_OVERLAY_L3 : FL_OVERLAY_L2;
	s->vni = (uint32_t)w.vni;
	s->port = (uint16_t)w.port;
	s->mtu = (uint32_t)w.mtu;
	s->broadcast = w.broadcast;
	return 0;
}

static int take_subnets(const struct ctl *c, struct fl_overlay_settings *s, struct fl_error *err)
{
	AUTOSUBNETS struct subnets given = { 0 };
	int r = subnets_given(c, &given, err);

	for (size_t i = 0; !r && i < given.n; i++) {
		const struct subnet *sub = &given.v[i];

		if (i == FL_OVERLAY_SUBNETS ||
		    (i && sub->prefix.addr.family == given.v[0].prefix.addr.family))
			return usage_error(err,
					   "--subnet %s: an overlay of a cluster has at most one "
					   "subnet of each family; take a larger one, or make a "
					   "second network",
					   fl_prefix_str(&sub->prefix, FL_PREFIX_BUF));
		s->subnets[i].subnet = sub->prefix;
		s->subnets[i].gateway = sub->gateway;
		s->n_subnets++;
	}
	return r;
}

static int check(const struct ctl *c, const char *network, struct fl_error *err)
{
	static const char *const others[] = { "ip-range", "parent" };

	for (size_t i = 0; i < FL_ARRAY_SIZE(others); i++)
		if (option_given(c, others[i]))
			return usage_error(err,
					   "--%s is not for overlay, unless with -o mode=static",
					   others[i]);
	if (option_given(c, "internal") && option_given(c, "gateway"))
		return usage_error(err,
				   "--internal: an overlay without a way out has no --gateway");
	if (strlen(network) >= FL_OVERLAY_NAME)
		return usage_error(err,
				   "%.80s: expected a name of at most %d letters for an overlay",
				   network, FL_OVERLAY_NAME - 1);
	return 0;
}

/* Returns 1 when it was there already, and this node has joined it. */
static int make(struct ctl *c, struct fl_overlay_request *q, struct fl_overlay_answer *ret,
		struct fl_error *err)
{
	struct fl_error why = { 0 };
	int r;

	q->op = FL_OVERLAY_CREATE;
	r = agent_ask(c, q, ret, &why);
	if (r != -EEXIST)
		return r ? fl_error_set(err, r, why.code, "%s", why.text) : 0;
	/* It may be so new that this node's agent has not heard of it. */
	q->op = FL_OVERLAY_JOIN;
	q->create = true;
	r = agent_ask(c, q, ret, err);
	return r ? r : 1;
}

static int write_file(struct ctl *c, const char *network, json_t *list, char *path, size_t size,
		      bool made, struct fl_error *err)
{
	int r = netfile_write(c, network, list, path, size, err);

	/* Nobody uses it yet. */
	if (r && made)
		agent_ask_network(c, FL_OVERLAY_REMOVE, network, NULL, NULL);
	return r;
}

static void print(const struct fl_overlay_network *net, bool joined)
{
	if (joined)
		printf("  joined: the cluster has this network already\n");
	for (uint32_t i = 0; i < net->n_subnets && i < FL_OVERLAY_SUBNETS; i++)
		printf("  subnet %s\n", fl_prefix_str(&net->subnets[i].subnet, FL_PREFIX_BUF));
	printf("  VNI %u\n", net->vni);
}

/* Before the cluster has the network. */
static int check_values(const struct ctl *c, const char *network, json_t *options,
			struct fl_error *err)
{
	FL_AUTOJSON json_t *list = cluster_file(c, network, options, option_given(c, "internal"));
	json_t *plugin = json_array_get(json_object_get(list, "plugins"), 0);

	return plugin ? keys_check_values("overlay", network, plugin, err) : fl_error_oom(err);
}

int cluster_create(struct ctl *c, const char *network, struct fl_error *err)
{
	FL_AUTOFREE struct fl_overlay_request *q = calloc(1, sizeof(*q));
	FL_AUTOJSON json_t *options = json_object(), *list = NULL;
	struct fl_overlay_answer a = { 0 };
	char path[4400];
	bool joined;
	int r = q && options ? check(c, network, err) : fl_error_oom(err);

	if (!r)
		r = create_options(c, "overlay", options, err);
	if (!r)
		r = take_options(options, &q->settings, err);
	if (!r)
		r = take_subnets(c, &q->settings, err);
	if (!r)
		r = check_values(c, network, options, err);
	if (r)
		return r;
	fl_strcpy(q->network, sizeof(q->network), network);
	q->settings.internal = option_given(c, "internal");
	q->settings.ipv6 = option_given(c, "ipv6");
	r = make(c, q, &a, err);
	if (r < 0)
		return r;
	joined = r;
	list = cluster_file(c, network, options, a.network.internal);
	r = list ? write_file(c, network, list, path, sizeof(path), !joined, err)
		 : fl_error_oom(err);
	if (!r)
		r = create_show(c, list, path, err);
	if (!r && !c->json && !c->quiet)
		print(&a.network, joined);
	return r;
}
