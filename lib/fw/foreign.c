/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Other people's FORWARD chains. An accept of ours does not overrule a drop in another base chain;
 * a host whose iptables policy for forwarding is drop (Docker, ufw) therefore needs one rule in
 * that very chain. Nothing in it may be unknown to iptables-nft (`ct` would be), or iptables
 * refuses to touch the chain at all.
 */
#include "fw/private.h"
#include "fw/skeleton.h"

#include <errno.h>

#define ATTEMPTS 50

/* 1: added, 0: is there already. -ERESTART when the ruleset has changed since it was read. */
static int append_once(struct fl_fw *fw, uint8_t family, struct fl_error *err)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	int r = fl_nft_genid(&fw->nft, &b.genid, err);

	if (r)
		return r;
	r = fl_nft_chain_has_rule(&fw->nft, family, "filter", "FORWARD", FL_FW_COMMENT, err);
	if (r)
		return r < 0 ? r : 0;
	fl_fw_put_admit_rule(&b, family);
	r = fl_nft_commit(&fw->nft, &b, NULL, err);
	return r ? r : 1;
}

/* Two of us at once must not append two rules: the generation makes read and append one step. */
static int admit(struct fl_fw *fw, uint8_t family, struct fl_error *err)
{
	uint32_t policy = NF_ACCEPT;
	struct fl_error last;
	int r = fl_nft_chain_policy(&fw->nft, family, "filter", "FORWARD", &policy, err);

	if (r == -ENOENT || (!r && policy != NF_DROP))
		return 0;
	if (r)
		return r;
	r = -ERESTART;
	for (int i = 0; r == -ERESTART && i < ATTEMPTS; i++)
		r = append_once(fw, family, &last);
	if (r < 0 && err)
		*err = last;
	return r;
}

int fl_fw_admit_foreign_forward(struct fl_fw *fw, struct fl_error *err)
{
	int v4 = admit(fw, NFPROTO_IPV4, err);
	int v6 = v4 < 0 ? v4 : admit(fw, NFPROTO_IPV6, err);

	return v6 < 0 ? v6 : v4 || v6;
}
