/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fw/foreign.h"
#include "fw/skeleton.h"
#include "fw/walk.h"
#include "fw/xtables.h"

#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#define SENTENCE 1024
#define OUR_PRIORITY (-5) /* of chain forward, which sets the mark */

struct search {
	struct fl_fw *fw;
	fl_fw_obstacle fn;
	void *arg;
	int found;
	struct fl_error *err;
};

__attribute__((format(printf, 2, 3))) static void tell(struct search *s, const char *fmt, ...)
{
	char text[SENTENCE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	s->fn(s->arg, text);
	s->found++;
}

/* "-A CHAIN" or "-I CHAIN NUMBER" */
struct place {
	char text[FL_NFT_NAME + 16];
};

static struct place iptables_place(const char *chain, unsigned number)
{
	struct place p;

	if (number)
		snprintf(p.text, sizeof(p.text), "-I %s %u", chain, number);
	else
		snprintf(p.text, sizeof(p.text), "-A %s", chain);
	return p;
}

/* `rule`: the number of the rule that stops the packet, 0 for the policy of FORWARD. */
static void tell_iptables(struct search *s, const char *program, const char *table, unsigned rule,
			  const char *chain, const struct place *where)
{
	char what[FL_NFT_NAME + 64] = "the policy of chain FORWARD";

	if (rule)
		snprintf(what, sizeof(what), "rule %u of chain %s", rule, chain);
	tell(s,
	     "%s: %s in table %s stops every forwarded packet that comes to it: "
	     "`%s -t %s %s -m mark --mark 0x%x/0x%x -j ACCEPT`",
	     program, what, table, program, table, where->text, FL_FW_MARK, FL_FW_MARK);
}

/* ---- iptables-legacy ---- */

static int look_at_legacy(struct search *s, int family)
{
	const char *program = family == AF_INET ? "iptables-legacy" : "ip6tables-legacy";
	struct fl_xt_walk w;
	int r = fl_xt_walk_forward(family, &w, s->err);
	struct place where;

	if (r || w.fate == FL_XT_PASSES)
		return r;
	where = iptables_place(w.chain, w.number);
	tell_iptables(s, program, "filter", w.fate == FL_XT_STOPPED ? w.number : 0, w.chain,
		      &where);
	return 0;
}

/* ---- nf_tables ---- */

/* The name by which iptables-nft knows this base chain, or NULL. */
static const char *iptables_of(const struct fl_nft_base_chain *c)
{
	static const char *const tables[] = { "filter", "mangle", "security" };

	if ((c->family != NFPROTO_IPV4 && c->family != NFPROTO_IPV6) || strcmp(c->name, "FORWARD"))
		return NULL;
	for (size_t i = 0; i < FL_ARRAY_SIZE(tables); i++)
		if (!strcmp(c->table, tables[i]))
			return c->family == NFPROTO_IPV4 ? "iptables-nft" : "ip6tables-nft";
	return NULL;
}

static void tell_nft(struct search *s, const struct fl_nft_base_chain *c,
		     const struct fl_fw_walk *w)
{
	const char *family = fl_nft_family_str(c->family);
	char what[FL_NFT_NAME + 64], how[3 * FL_NFT_NAME + 64];

	if (w->fate == FL_FW_STOPPED)
		snprintf(what, sizeof(what), "rule %u of chain %s", w->number, w->chain);
	else
		snprintf(what, sizeof(what), "the policy of chain %s", c->name);
	if (w->number)
		snprintf(how, sizeof(how), "insert rule %s %s %s handle %llu", family, c->table,
			 w->chain, (unsigned long long)w->handle);
	else
		snprintf(how, sizeof(how), "add rule %s %s %s", family, c->table, w->chain);
	tell(s,
	     "nftables: %s in table %s %s stops every forwarded packet that comes to it: "
	     "`nft %s meta mark and 0x%x == 0x%x accept`",
	     what, family, c->table, how, FL_FW_MARK, FL_FW_MARK);
}

static void tell_chain(struct search *s, const struct fl_nft_base_chain *c,
		       const struct fl_fw_walk *w)
{
	const char *program = iptables_of(c);
	struct place where = iptables_place(w->chain, w->number);

	if (program)
		tell_iptables(s, program, c->table, w->fate == FL_FW_STOPPED ? w->number : 0,
			      w->chain, &where);
	else
		tell_nft(s, c, w);
}

/* firewalld rewrites its table whenever it likes: a rule of somebody else does not last there. */
static void tell_firewalld(struct search *s)
{
	tell(s,
	     "firewalld stops new connections of networks that are in none of the zones that let "
	     "them through; the plugin firewall puts each container's address into one, or for "
	     "a whole network: `firewall-cmd --zone=trusted --add-source=SUBNET` (and once more "
	     "with --permanent)");
}

/* Before our chain nothing has the mark yet. */
static void tell_early(struct search *s, const struct fl_nft_base_chain *c)
{
	tell(s,
	     "nftables: chain %s of table %s %s (priority %d, before fairlead's own) stops what no "
	     "rule in it accepts: let it accept the interfaces of your networks, or give it the "
	     "priority filter",
	     c->name, fl_nft_family_str(c->family), c->table, (int)c->priority);
}

/* What the next ADD mends by itself. */
static bool is_mended(struct fl_fw *fw, const struct fl_nft_base_chain *c,
		      const struct fl_nft_rules *rules, const struct fl_fw_walk *w)
{
	if (!iptables_of(c) || strcmp(c->table, "filter") || !fl_fw_may_stop(rules, c->policy))
		return false;
	if (w->fate == FL_FW_TO_POLICY)
		return !strcmp(w->chain, c->name) && !w->number;
	return fl_fw_closes(fw, c->family, c->table, rules, w);
}

static int look_at_chain(struct search *s, const struct fl_nft_base_chain *c)
{
	FL_AUTONFTRULES struct fl_nft_rules rules = { 0 };
	struct fl_fw_walk w;
	int r = fl_nft_list_rules(&s->fw->nft, c->family, c->table, c->name, &rules, s->err);

	if (!r)
		r = fl_fw_walk(s->fw, c->family, c->table, c->name, &rules, &w, s->err);
	if (r || w.fate == FL_FW_PASSES || is_mended(s->fw, c, &rules, &w) ||
	    (w.fate == FL_FW_TO_POLICY && c->policy != NF_DROP))
		return r;
	if (!strcmp(c->table, "firewalld"))
		tell_firewalld(s);
	else if (c->priority < OUR_PRIORITY)
		tell_early(s, c);
	else
		tell_chain(s, c, &w);
	return 0;
}

static int look_at_nftables(struct search *s)
{
	FL_AUTONFTCHAINS struct fl_nft_base_chains chains = { 0 };
	int r = fl_nft_list_base_chains(&s->fw->nft, &chains, s->err);

	for (size_t i = 0; !r && i < chains.n; i++) {
		const struct fl_nft_base_chain *c = &chains.v[i];

		if (c->hook == NF_INET_FORWARD && !fl_fw_skeleton_has(c) &&
		    (c->family == NFPROTO_IPV4 || c->family == NFPROTO_IPV6 ||
		     c->family == NFPROTO_INET))
			r = look_at_chain(s, c);
	}
	return r;
}

int fl_fw_foreign_obstacles(struct fl_fw *fw, fl_fw_obstacle fn, void *arg, struct fl_error *err)
{
	struct search s = { fw, fn, arg, 0, err };
	int r = look_at_nftables(&s);

	if (!r)
		r = look_at_legacy(&s, AF_INET);
	if (!r)
		r = look_at_legacy(&s, AF_INET6);
	return r ? r : s.found;
}
