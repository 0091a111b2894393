/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other people's firewalls on the packet's way and on its answer's: base chains of nftables at any
 * hook that either passes, on the host and in the sandboxes. Ours are known (fw/trace.h), and empty
 * chains do nothing; each other one is told, once.
 */
#include "netctl/reach.h"

#include "dns/rewrite.h"
#include "fw/foreign.h"
#include "nft/chains.h"

#include <string.h>

enum { MARKED = -5 }; /* priority of our chain forward: from there on packets have the mark */

/* Where base chains were found. */
struct place {
	struct fl_nft_base_chains chains;
	struct fl_nft nft;
	char where[320]; /* " in the sandbox of web", or "" */
};

static void place_clear(struct place *p)
{
	fl_nft_base_chains_clear(&p->chains);
	fl_nft_close(&p->nft);
}

/* ---- one chain ---- */

enum effect { PASSES, MAY_STOP, STOPS };

static bool is_for_mark(const struct fl_nft_rule *r)
{
	return r->mark_mask == FL_FW_MARK && r->mark == FL_FW_MARK;
}

/* What a chain without a verdict for everything does is beyond us: its conditions are not tried. */
static enum effect effect_of_rules(const struct fl_nft_rules *rules, uint32_t policy, bool marked)
{
	bool may_pass = false, may_stop = false;

	for (size_t i = 0; i < rules->n; i++) {
		const struct fl_nft_rule *rule = &rules->v[i];
		bool stops = rule->effect == FL_NFT_DROPS || rule->effect == FL_NFT_REJECTS;
		bool idle = rule->effect == FL_NFT_GOES_ON && !rule->conditional;

		if (stops && !rule->conditional)
			return may_pass ? MAY_STOP : STOPS;
		if (rule->effect == FL_NFT_ACCEPTS &&
		    (!rule->conditional || (marked && is_for_mark(rule))))
			return may_stop ? MAY_STOP : PASSES;
		may_stop |= !idle && rule->effect != FL_NFT_ACCEPTS;
		may_pass |= !idle && !stops;
	}
	if (policy == NF_DROP)
		return may_pass ? MAY_STOP : STOPS;
	return may_stop ? MAY_STOP : PASSES;
}

static const char *hook_str(const struct fl_nft_base_chain *c)
{
	static const char *const names[] = { "prerouting", "input",	  "forward",
					     "output",	   "postrouting", "ingress" };

	if (c->family == NFPROTO_NETDEV)
		return c->hook ? "egress" : "ingress";
	return c->hook < FL_ARRAY_SIZE(names) ? names[c->hook] : "some hook";
}

static const char *family_str(const struct fl_nft_base_chain *c)
{
	return c->family == NFPROTO_NETDEV ? "netdev" : fl_nft_family_str(c->family);
}

static void judge(struct walk *w, struct place *p, struct fl_nft_base_chain *c, bool marked)
{
	FL_AUTONFTRULES struct fl_nft_rules rules = { 0 };
	const char *chain = TEXT("%s %s %s", family_str(c), c->table, c->name);
	const char *remedy =
		c->policy == NF_DROP && !c->rules
			? TEXT("nft add rule %s accept, with conditions as you see fit", chain)
			: TEXT("nft list chain %s", chain);
	const char *inside = *p->where ? ", in the sandbox" : "";
	struct fl_error why = { 0 };
	enum effect effect = MAY_STOP;

	if (!fl_nft_list_rules(&p->nft, c->family, c->table, c->name, &rules, &why))
		effect = effect_of_rules(&rules, c->policy, marked && c->priority >= MARKED);
	if (effect == STOPS)
		step_failed(w->steps, "firewall", TEXT("%s%s", remedy, inside),
			    "chain %s of table %s %s (%s)%s drops everything", c->name,
			    family_str(c), c->table, hook_str(c), p->where);
	else if (effect == MAY_STOP)
		step_unknown(w->steps, "firewall", TEXT("%s%s", remedy, inside),
			     "chain %s of table %s %s (%s, policy %s)%s may stop it, send it "
			     "elsewhere, or stop its answer",
			     c->name, family_str(c), c->table, hook_str(c),
			     c->policy == NF_DROP ? "drop" : "accept", p->where);
	/* Named once. */
	c->rules = 0;
	c->policy = NF_ACCEPT;
}

static bool does_something(const struct fl_nft_base_chain *c)
{
	return (c->rules || c->policy == NF_DROP) && !fl_fw_skeleton_has(c);
}

/* ---- which ones ---- */

static bool at_hook(const struct walk *w, const struct fl_nft_base_chain *c, bool bridge,
		    uint32_t hook)
{
	uint8_t own = w->family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4;

	if (c->hook != hook || c->n_devices)
		return false;
	return bridge ? c->family == NFPROTO_BRIDGE : c->family == NFPROTO_INET || c->family == own;
}

static bool at_device(const struct fl_nft_base_chain *c, const char *ifname)
{
	if (c->n_devices > FL_NFT_DEVICES)
		return true;
	for (size_t i = 0; i < c->n_devices; i++) {
		size_t len = strlen(c->devices[i]);
		bool prefix = len && c->devices[i][len - 1] == '*';

		if (prefix ? !strncmp(c->devices[i], ifname, len - 1)
			   : !strcmp(c->devices[i], ifname))
			return true;
	}
	return false;
}

static void look_at_hook(struct walk *w, struct place *p, bool bridge, uint32_t hook, bool marked)
{
	for (size_t i = 0; i < p->chains.n; i++)
		if (at_hook(w, &p->chains.v[i], bridge, hook) && does_something(&p->chains.v[i]))
			judge(w, p, &p->chains.v[i], marked);
}

static void look_at_device(struct walk *w, struct place *p, const char *ifname)
{
	for (size_t i = 0; i < p->chains.n; i++)
		if (*ifname && at_device(&p->chains.v[i], ifname) &&
		    does_something(&p->chains.v[i]))
			judge(w, p, &p->chains.v[i], false);
}

/* A socket's own packets and those that come to it. */
static void look_at_socket(struct walk *w, struct place *p)
{
	static const uint32_t hooks[] = { NF_INET_LOCAL_OUT, NF_INET_POST_ROUTING,
					  NF_INET_PRE_ROUTING, NF_INET_LOCAL_IN };

	for (size_t i = 0; i < FL_ARRAY_SIZE(hooks); i++)
		look_at_hook(w, p, false, hooks[i], false);
}

/* ---- the host ---- */

struct foreign {
	struct place host;
};

void reach_foreign_close(struct foreign *f)
{
	if (f)
		place_clear(&f->host);
	free(f);
}

int reach_foreign_open(struct foreign **ret, struct fl_error *err)
{
	struct foreign *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return fl_error_oom(err);
	f->host.nft.fd = -1;
	r = fl_nft_list_base_chains(&f->host.nft, &f->host.chains, err);
	if (r)
		reach_foreign_close(f);
	else
		*ret = f;
	return r;
}

void reach_foreign(struct walk *w, uint32_t hook)
{
	look_at_hook(w, &w->foreign->host, false, hook, false);
}

void reach_foreign_bridge(struct walk *w, uint32_t hook)
{
	look_at_hook(w, &w->foreign->host, true, hook, false);
}

void reach_foreign_socket(struct walk *w)
{
	look_at_socket(w, &w->foreign->host);
}

void reach_foreign_device(struct walk *w, const char *ifname)
{
	look_at_device(w, &w->foreign->host, ifname);
}

void reach_foreign_gate(struct walk *w, const struct attachment *at)
{
	static const uint32_t hooks[] = { NF_INET_PRE_ROUTING, NF_INET_LOCAL_IN, NF_INET_LOCAL_OUT,
					  NF_INET_POST_ROUTING };
	const char *gate = attachment_gate(w->m, at);

	if (attachment_is_apart(at))
		return;
	reach_foreign_device(w, at->main->link);
	reach_foreign_device(w, gate);
	for (size_t i = 0; strcmp(gate, at->main->link) && i < FL_ARRAY_SIZE(hooks); i++)
		reach_foreign_bridge(w, hooks[i]);
}

static void obstacle(void *arg, const char *sentence)
{
	struct walk *w = arg;

	step_unknown(w->steps, "firewall", NULL, "%s", sentence);
}

/* What stops all packets with our mark is told in the words of its maker, with the command. */
static void look_at_obstacles(struct walk *w)
{
	struct fl_error why = { 0 };
	int r = fl_fw_foreign_obstacles(w->fw, obstacle, w, &why);

	if (r < 0)
		step_unknown(w->steps, "firewall", NULL, "%s", why.text);
	else if (!r)
		look_at_hook(w, &w->foreign->host, false, NF_INET_FORWARD, true);
}

void reach_foreign_forward(struct walk *w, bool marked)
{
	struct fl_nft_base_chains *l = &w->foreign->host.chains;
	bool stopped = w->steps->failed;

	if (!marked) {
		reach_foreign(w, NF_INET_FORWARD);
		return;
	}
	w->steps->failed = false;
	for (size_t i = 0; i < l->n; i++)
		if (at_hook(w, &l->v[i], false, NF_INET_FORWARD) && l->v[i].policy == NF_DROP &&
		    !l->v[i].rules && does_something(&l->v[i]))
			judge(w, &w->foreign->host, &l->v[i], true);
	/* What stops all of it need not be named once more. */
	if (!w->steps->failed)
		look_at_obstacles(w);
	w->steps->failed |= stopped;
}

/* ---- the sandboxes ---- */

static int list_inside(struct ctl *c, void *arg, struct fl_error *err)
{
	struct place *p = arg;

	(void)c;
	return fl_nft_list_base_chains(&p->nft, &p->chains, err);
}

/* Ours, for names; it touches nothing else. */
static void forget_resolver(struct fl_nft_base_chains *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].family == NFPROTO_IPV4 && !strcmp(l->v[i].table, FL_DNS_TABLE)) {
			l->v[i].rules = 0;
			l->v[i].policy = NF_ACCEPT;
		}
}

void reach_foreign_inside(struct walk *w, const struct attachment *at, const struct fl_netns *ns)
{
	FL_CLEANUP(place_clear) struct place p = { .nft = { .fd = -1 } };
	struct fl_error why = { 0 };

	snprintf(p.where, sizeof(p.where), " in the sandbox of %s", CONTAINER_LABEL(at->main));
	if (ctl_inside(w->c, ns, list_inside, &p, &why)) {
		step_unknown(w->steps, "firewall", NULL, "%s%s", why.text, p.where);
		return;
	}
	forget_resolver(&p.chains);
	look_at_device(w, &p, w->own ? "lo" : at->main->id.ifname);
	look_at_socket(w, &p);
}
