/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other people's FORWARD chains. An accept of ours does not overrule a drop in another base chain;
 * a host whose iptables policy for forwarding is drop (Docker, ufw) therefore needs one rule in
 * that very chain. Nothing in it may be unknown to iptables-nft (`ct` would be), or iptables
 * refuses to touch the chain at all.
 */
#include "fw/skeleton.h"
#include "fw/walk.h"

#include <errno.h>
#include <string.h>

#define ATTEMPTS 50

static bool has_our_rule(const struct fl_nft_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		if (!strcmp(rules->v[i].comment, FL_FW_COMMENT))
			return true;
	return false;
}

/* 1: a rule of ours is needed in front of the one with handle *ret_before, or at the end (0). */
static int place(struct fl_fw *fw, uint8_t family, uint32_t policy,
		 const struct fl_nft_rules *rules, uint64_t *ret_before, struct fl_error *err)
{
	struct fl_fw_walk w;
	int r = fl_fw_walk(fw, family, "filter", "FORWARD", rules, &w, err);

	*ret_before = 0;
	if (r || w.fate == FL_FW_PASSES)
		return r;
	if (fl_fw_closes(fw, family, "filter", rules, &w))
		*ret_before = rules->v[w.top].handle;
	return *ret_before || policy == NF_DROP;
}

/* 1: added, 0: not needed. -ERESTART when the ruleset has changed since it was read. */
static int add_once(struct fl_fw *fw, uint8_t family, uint32_t policy, struct fl_error *err)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	FL_AUTONFTRULES struct fl_nft_rules rules = { 0 };
	uint64_t before;
	int r = fl_nft_genid(&fw->nft, &b.genid, err);

	if (!r)
		r = fl_nft_list_rules(&fw->nft, family, "filter", "FORWARD", &rules, err);
	/* The usual chain whose policy is accept costs no more than reading its own rules. */
	if (r || has_our_rule(&rules) || !fl_fw_may_stop(&rules, policy))
		return r;
	r = place(fw, family, policy, &rules, &before, err);
	if (r <= 0)
		return r;
	fl_nft_before_rule(&b, before);
	fl_fw_put_admit_rule(&b, family);
	r = fl_nft_commit(&fw->nft, &b, NULL, err);
	return r ? r : 1;
}

/* Two of us at once must not add two rules: the generation makes reading and adding one step. */
static int admit(struct fl_fw *fw, uint8_t family, struct fl_error *err)
{
	struct fl_nft_base_chain c;
	struct fl_error last;
	int r = fl_nft_get_base_chain(&fw->nft, family, "filter", "FORWARD", &c, err);

	if (r == -ENOENT || (!r && c.policy != NF_DROP && !c.rules))
		return 0;
	if (r)
		return r;
	r = -ERESTART;
	for (int i = 0; r == -ERESTART && i < ATTEMPTS; i++)
		r = add_once(fw, family, c.policy, &last);
	if (r < 0 && err)
		*err = last;
	return r;
}

static int is_missing(struct fl_fw *fw, uint8_t family, struct fl_error *err)
{
	FL_AUTONFTRULES struct fl_nft_rules rules = { 0 };
	struct fl_nft_base_chain c;
	uint64_t before;
	int r = fl_nft_get_base_chain(&fw->nft, family, "filter", "FORWARD", &c, err);

	if (r == -ENOENT)
		return 0;
	if (!r)
		r = fl_nft_list_rules(&fw->nft, family, "filter", "FORWARD", &rules, err);
	if (r || has_our_rule(&rules) || !fl_fw_may_stop(&rules, c.policy))
		return r;
	return place(fw, family, c.policy, &rules, &before, err);
}

int fl_fw_admit_is_missing(struct fl_fw *fw, struct fl_error *err)
{
	int v4 = is_missing(fw, NFPROTO_IPV4, err);

	return v4 ? v4 : is_missing(fw, NFPROTO_IPV6, err);
}

int fl_fw_admit_foreign_forward(struct fl_fw *fw, struct fl_error *err)
{
	int v4 = admit(fw, NFPROTO_IPV4, err);
	int v6 = v4 < 0 ? v4 : admit(fw, NFPROTO_IPV6, err);

	return v6 < 0 ? v6 : v4 || v6;
}
