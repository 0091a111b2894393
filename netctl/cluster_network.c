/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "netctl/cluster_network.h"

#include "netctl/create.h"
#include "netctl/netfile.h"
#include "netctl/out.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

bool is_cluster_file(const struct conflist *f)
{
	const char *mode = json_string_value(fl_json_get(conflist_main(f), "mode"));

	return !strcmp(conflist_type(f), "overlay") && mode && !strcasecmp(mode, "etcd");
}

json_t *cluster_file(const struct ctl *c, const char *network, json_t *options, bool internal)
{
	FL_AUTOJSON json_t *p = json_pack("{ss ss sb}", "type", "overlay", "mode", "etcd",
					  internal ? "internal" : "ipMasq", 1);

	if (!p)
		return NULL;
	if (option_given(c, "isolate"))
		json_object_set_new(p, "isolate", json_true());
	create_common(p, true);
	/* What a key of -o says stays, as for any driver. */
	if (options)
		json_object_update(p, options);
	return create_list(network, p);
}

/* ---- adopting ---- */

static int write_adopted(struct ctl *c, const char *network, bool internal, struct fl_error *err)
{
	FL_AUTOJSON json_t *list = cluster_file(c, network, NULL, internal);
	AUTOCONFLISTS struct conflists files = { 0 };
	FL_AUTOCLOSE int lock = -1;
	char path[4400];
	int r = list ? netfile_lock(c, &lock, err) : fl_error_oom(err);

	if (!r)
		r = conflists_read(c->dir, &files, err);
	/* Another one was as quick. */
	if (!r && conflists_find(&files, network))
		return 1;
	if (!r)
		r = netfile_may_be_made(c, &files, network, err);
	if (!r)
		r = netfile_write(c, network, list, path, sizeof(path), err);
	if (r)
		return r;
	remark(c, "network %s is the cluster's: %s was written", network, path);
	return 1;
}

int cluster_adopt(struct ctl *c, const char *network, struct fl_error *err)
{
	struct fl_overlay_answer a = { 0 };
	struct fl_error why = { 0 };
	int r;

	if (strlen(network) >= FL_OVERLAY_NAME || !fl_name_valid(network, FL_OVERLAY_NAME - 1) ||
	    !agent_is_there(c))
		return 0;
	r = agent_ask_network(c, FL_OVERLAY_JOIN, network, &a, &why);
	if (r == -ENOENT)
		return 0;
	if (r) {
		remark(c, "whether the cluster has a network %s is not known: %s", network,
		       why.text);
		return 0;
	}
	return write_adopted(c, network, a.network.internal, err);
}

/* ---- removing ---- */

int cluster_remove(struct ctl *c, const char *network, struct fl_error *err)
{
	struct fl_error why = { 0 };
	int r = agent_ask_network(c, FL_OVERLAY_REMOVE, network, NULL, &why);

	if (!r || r == -ENOENT)
		return 0;
	return fl_error_set(err, r, why.code, "%s; --local removes this node's file alone",
			    why.text);
}
