/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Other people's firewalls on the packet's way. */
#include "netctl/reach.h"

#include "fw/foreign.h"
#include "nft/chains.h"

#include <string.h>

static bool concerns(const struct fl_nft_base_chain *c, uint32_t hook, int family)
{
	uint8_t own = family == AF_INET6 ? NFPROTO_IPV6 : NFPROTO_IPV4;

	return c->hook == hook && (c->family == NFPROTO_INET || c->family == own) &&
	       !(c->family == NFPROTO_INET && !strcmp(c->table, FL_FW_TABLE));
}

static void judge(struct walk *w, const struct fl_nft_base_chain *c, bool marked)
{
	const char *family = fl_nft_family_str(c->family);

	if (c->policy == NF_DROP && !c->rules)
		step_failed(w->steps, "firewall",
			    TEXT("nft add rule %s %s %s accept, with conditions as you see fit",
				 family, c->table, c->name),
			    "chain %s of table %s %s drops everything", c->name, family, c->table);
	else if (!marked && c->rules)
		step_unknown(w->steps, "firewall",
			     TEXT("nft list chain %s %s %s", family, c->table, c->name),
			     "chain %s of table %s %s (policy %s) may stop it", c->name, family,
			     c->table, c->policy == NF_DROP ? "drop" : "accept");
}

static void obstacle(void *arg, const char *sentence)
{
	struct walk *w = arg;

	step_unknown(w->steps, "firewall", NULL, "%s", sentence);
}

void reach_foreign(struct walk *w, uint32_t hook, bool marked)
{
	FL_AUTONFTCHAINS struct fl_nft_base_chains all = { 0 };
	struct fl_nft nft = { .fd = -1 };
	struct fl_error why = { 0 };
	bool stopped = w->steps->failed;
	int r = fl_nft_list_base_chains(&nft, &all, &why);

	fl_nft_close(&nft);
	w->steps->failed = false;
	for (size_t i = 0; i < all.n; i++)
		if (concerns(&all.v[i], hook, w->family))
			judge(w, &all.v[i], marked);
	/* What stops all of it need not be named once more. */
	if (!r && marked && !w->steps->failed)
		r = fl_fw_foreign_obstacles(w->fw, obstacle, w, &why);
	if (r < 0)
		step_unknown(w->steps, "firewall", NULL, "%s", why.text);
	w->steps->failed |= stopped;
}
