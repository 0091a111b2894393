/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reload: everything in the kernel's tables that the records ask for, as after a flush. */
#include "netctl/reload.h"

#include "netctl/model.h"
#include "netctl/out.h"

#include "plugin/rebuild.h"
#include "plugin/resolver.h"

#include <errno.h>
#include <string.h>

int reload_rules(struct ctl *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	FL_AUTOFW struct fl_fw *fw = NULL;
	int r = ctl_store(c, true, err);

	if (!r)
		r = fl_fw_open(&fw, err);
	if (!r)
		r = fl_txn_begin(c->store, true, &t, err);
	if (!r)
		r = fl_rules_rebuild(t, fw, err);
	return r ? r : fl_txn_commit(&t, err);
}

/* What fl_endpoint_is_forwarded() asks of each. */
bool reload_wants_admit(const struct model *m)
{
	for (size_t i = 0; i < m->n_networks; i++)
		if (m->networks[i].masquerade)
			return true;
	for (size_t i = 0; i < m->n_endpoints; i++)
		if (m->endpoints[i].n_ports || m->endpoints[i].admit)
			return true;
	return false;
}

int reload_admit(const struct model *m, struct fl_error *err)
{
	FL_AUTOFW struct fl_fw *fw = NULL;
	int r = reload_wants_admit(m) ? fl_fw_open(&fw, err) : 0;

	return r || !fw ? r : fl_fw_admit_foreign_forward(fw, err);
}

bool reload_wants_resolver(const struct model *m)
{
	for (size_t i = 0; i < m->n_endpoints; i++)
		if (*m->endpoints[i].dns && m->endpoints[i].state == FL_STATE_READY)
			return true;
	return false;
}

static int run_reload(struct ctl *c, struct fl_error *err)
{
	AUTOMODEL struct model m = { 0 };
	int r = model_read(c, &m, err), admitted = 0;
	bool resolver;

	if (r)
		return r;
	/* Nothing was ever attached on this host: no table is wanted either. */
	if (!c->store) {
		if (c->json)
			return show_json(json_pack("{si si sb sb}", "networks", 0, "endpoints", 0,
						   "admitted", 0, "resolver", 0),
					 err);
		say(c, "no plugin has run on this host yet: nothing to load");
		return 0;
	}
	r = reload_rules(c, err);
	if (!r)
		r = admitted = reload_admit(&m, err);
	resolver = reload_wants_resolver(&m);
	if (r >= 0 && resolver)
		r = fl_resolver_start(fl_store_path(c->store), err);
	if (r < 0)
		return r;
	if (c->json)
		return show_json(json_pack("{si si sb sb}", "networks",
					   (int)model_count_networks(&m), "endpoints",
					   (int)m.n_attachments, "admitted", admitted > 0,
					   "resolver", (int)resolver),
				 err);
	say(c, "loaded the rules of %zu networks and %zu endpoints%s%s", model_count_networks(&m),
	    m.n_attachments, admitted > 0 ? "; iptables' FORWARD chain lets them pass again" : "",
	    resolver ? "; the resolver is at work" : "");
	return 0;
}

static const struct example examples[] = {
	{ "netctl reload", "after nft flush ruleset, or a restart of a firewall" },
	{ 0 },
};

const struct command reload_command = {
	.name = "reload",
	.args = "",
	.about = "load all nftables rules again, and the resolver",
	.text = "Builds the whole of table inet fairlead from what is recorded, in one step: "
		"packets "
		"meet the old rules or the new ones. Makes sure that iptables' FORWARD chains let "
		"containers pass, and starts the resolver where it is down. "
		"fairlead-reload.service does it whenever a firewall is started anew.",
	.json = "networks and endpoints (how many), admitted (a foreign FORWARD chain "
		"lacked the rule), resolver (it is at work).",
	.examples = examples,
	.flags = COMMAND_READS,
	.run = run_reload,
};
