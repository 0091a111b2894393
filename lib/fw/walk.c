/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fw/walk.h"

#include "base/strbuf.h"
#include "fw/skeleton.h"

#include <errno.h>

#define DEPTH 16 /* NFT_JUMP_STACK_SIZE */

struct walker {
	struct fl_fw *fw;
	uint8_t family;
	const char *table;
	struct fl_fw_walk *w;
	struct fl_error *err;
};

bool fl_fw_may_stop(const struct fl_nft_rules *rules, uint32_t policy)
{
	for (size_t i = 0; i < rules->n; i++)
		if (!rules->v[i].conditional &&
		    (rules->v[i].effect == FL_NFT_DROPS || rules->v[i].effect == FL_NFT_REJECTS))
			return true;
	return policy == NF_DROP;
}

static bool is_ours(const struct fl_nft_rule *r)
{
	return r->mark_mask && !(r->mark_mask & ~FL_FW_MARK) && r->mark == FL_FW_MARK;
}

static int walk(struct walker *k, const char *chain, const struct fl_nft_rules *rules,
		unsigned depth);

static int follow(struct walker *k, const char *chain, unsigned depth)
{
	FL_AUTONFTRULES struct fl_nft_rules rules = { 0 };
	int r = fl_nft_list_rules(&k->fw->nft, k->family, k->table, chain, &rules, k->err);

	return r ? r : walk(k, chain, &rules, depth);
}

/* `i` may be the number of rules: the chain's end. */
static void leave(struct walker *k, enum fl_fw_fate fate, const char *chain,
		  const struct fl_nft_rules *rules, size_t i)
{
	k->w->fate = fate;
	fl_strcpy(k->w->chain, sizeof(k->w->chain), chain);
	k->w->handle = i < rules->n ? rules->v[i].handle : 0;
	k->w->number = i < rules->n ? (unsigned)i + 1 : 0;
}

/* FL_FW_TO_POLICY here: on to the rule behind the jump. */
static int walk(struct walker *k, const char *chain, const struct fl_nft_rules *rules,
		unsigned depth)
{
	if (depth > DEPTH)
		return fl_error_set(k->err, -ELOOP, FL_ECODE_KERNEL,
				    "nftables: chain %s of %s %s: jumps go too deep", chain,
				    fl_nft_family_str(k->family), k->table);
	k->w->fate = FL_FW_TO_POLICY;
	for (size_t i = 0; i < rules->n; i++) {
		const struct fl_nft_rule *rule = &rules->v[i];
		int r = 0;

		if (!depth) {
			k->w->top = i;
			k->w->bare = true;
		}
		if (rule->conditional && !is_ours(rule)) {
			k->w->bare = false;
			continue;
		}
		switch (rule->effect) {
		case FL_NFT_GOES_ON:
			break;
		case FL_NFT_ACCEPTS:
			k->w->fate = FL_FW_PASSES;
			break;
		case FL_NFT_DROPS:
		case FL_NFT_REJECTS:
			leave(k, FL_FW_STOPPED, chain, rules, i);
			break;
		case FL_NFT_RETURNS:
			leave(k, FL_FW_TO_POLICY, chain, rules, i);
			return 0;
		case FL_NFT_JUMPS:
		case FL_NFT_GOES_TO:
			r = follow(k, rule->target, depth + 1);
			break;
		}
		if (r || k->w->fate != FL_FW_TO_POLICY || rule->effect == FL_NFT_GOES_TO)
			return r;
	}
	leave(k, FL_FW_TO_POLICY, chain, rules, rules->n);
	return 0;
}

int fl_fw_walk(struct fl_fw *fw, uint8_t family, const char *table, const char *chain,
	       const struct fl_nft_rules *rules, struct fl_fw_walk *ret, struct fl_error *err)
{
	struct fl_fw_walk w = { 0 };
	struct walker k = { fw, family, table, &w, err };
	int r = walk(&k, chain, rules, 0);

	if (!r)
		*ret = w;
	return r;
}

/* No rule from `from` on could accept anything: nothing is left, or jumps to nothing. */
static bool rest_is_idle(struct fl_fw *fw, uint8_t family, const char *table,
			 const struct fl_nft_rules *rules, size_t from)
{
	for (size_t i = from; i < rules->n; i++) {
		const struct fl_nft_rule *rule = &rules->v[i];
		FL_AUTONFTRULES struct fl_nft_rules there = { 0 };

		if (rule->effect != FL_NFT_JUMPS && rule->effect != FL_NFT_GOES_TO)
			return false;
		if (fl_nft_list_rules(&fw->nft, family, table, rule->target, &there, NULL) ||
		    there.n)
			return false;
	}
	return true;
}

bool fl_fw_closes(struct fl_fw *fw, uint8_t family, const char *table,
		  const struct fl_nft_rules *rules, const struct fl_fw_walk *w)
{
	return w->fate == FL_FW_STOPPED && w->bare &&
	       rest_is_idle(fw, family, table, rules, w->top + 1);
}
