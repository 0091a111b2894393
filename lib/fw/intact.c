/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the skeleton in the kernel is still the one that we put there, rule by rule. */
#include "fw/private.h"
#include "fw/trace.h"
#include "nft/chains.h"

#include <errno.h>

static size_t wanted_rules(uint8_t family, const char *chain)
{
	size_t n = 0;

	while (fl_fw_skeleton_rule(family, chain, n))
		n++;
	return n;
}

/* Rules of ours that follow each other in their order; between them there may be others. */
static void compare(uint8_t family, const char *chain, const struct fl_nft_rules *rules,
		    struct fl_fw_chain_state *s)
{
	size_t next = 0;

	for (size_t i = 0; i < rules->n; i++) {
		const struct fl_nft_expr *rule;
		size_t at = next;

		while ((rule = fl_fw_skeleton_rule(family, chain, at)) &&
		       fl_nft_rule_digest(rule) != rules->v[i].digest)
			at++;
		if (rule) {
			s->kept++;
			next = at + 1;
		} else {
			s->foreign++;
		}
	}
}

int fl_fw_chain_state(struct fl_fw *fw, uint8_t family, const char *chain,
		      struct fl_fw_chain_state *ret, struct fl_error *err)
{
	FL_AUTONFTRULES struct fl_nft_rules rules = { 0 };
	struct fl_fw_chain_state s = { .wanted = wanted_rules(family, chain) };
	int r = fl_nft_list_rules(&fw->nft, family, FL_FW_TABLE, chain, &rules, err);

	if (r)
		return r;
	compare(family, chain, &rules, &s);
	*ret = s;
	return 0;
}

int fl_fw_chain_drops(struct fl_fw *fw, uint8_t family, const char *chain, struct fl_error *err)
{
	struct fl_nft_base_chain c;
	int r = fl_nft_get_base_chain(&fw->nft, family, FL_FW_TABLE, chain, &c, err);

	return r == -ENOENT ? 0 : r ? r : c.policy == NF_DROP;
}

/* 1: as it was put there; 0: err says what is not. */
static int check_chain(struct fl_fw *fw, const char *chain, struct fl_error *err)
{
	struct fl_fw_chain_state s = { .wanted = wanted_rules(NFPROTO_INET, chain) };
	int r = fl_fw_chain_state(fw, NFPROTO_INET, chain, &s, err), drops;

	if (r && r != -ENOENT)
		return r;
	drops = fl_fw_chain_drops(fw, NFPROTO_INET, chain, err);
	if (drops < 0)
		return drops;
	if (s.kept < s.wanted)
		fl_error_set(err, -ENOENT, FL_ECODE_CHECK,
			     "nftables: chain %s of table inet " FL_FW_TABLE
			     " lacks %zu of its %zu rules, or has them changed",
			     chain, s.wanted - s.kept, s.wanted);
	else if (s.foreign)
		fl_error_set(err, -ENOENT, FL_ECODE_CHECK,
			     "nftables: chain %s of table inet " FL_FW_TABLE
			     " has %zu rules that are not fairlead's",
			     chain, s.foreign);
	else if (drops)
		fl_error_set(err, -ENOENT, FL_ECODE_CHECK,
			     "nftables: the policy of chain %s of table inet " FL_FW_TABLE
			     " is drop, where fairlead has accept",
			     chain);
	else
		return 1;
	return 0;
}

int fl_fw_check_skeleton(struct fl_fw *fw, struct fl_error *err)
{
	const char *chain;
	int r = 1;

	for (size_t i = 0; r > 0 && (chain = fl_fw_skeleton_chain(i)); i++)
		r = check_chain(fw, chain, err);
	return r;
}
