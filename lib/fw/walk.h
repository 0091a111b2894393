/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of a packet in somebody's chain when it carries our mark and no condition of the
 * chain's rules applies to it: the default of that firewall, by policy, by a last rule that
 * rejects, or in a chain that it jumps to.
 */
#pragma once

#include "fw/private.h"
#include "nft/chains.h"

enum fl_fw_fate {
	FL_FW_PASSES,	 /* accepted: by a rule for our mark, or for everybody */
	FL_FW_TO_POLICY, /* no rule has a verdict for it */
	FL_FW_STOPPED,	 /* a rule without conditions drops or rejects it */
};

struct fl_fw_walk {
	enum fl_fw_fate fate;
	/*
	 * Where that happens: in front of the number-th rule (from 1) of this chain a rule for our
	 * mark would be met; 0: at its end.
	 */
	char chain[FL_NFT_NAME];
	unsigned number;
	uint64_t handle; /* of that rule */
	size_t top;	 /* index of the rule of the first chain that led there */
	bool bare;	 /* no condition was met between that rule and the verdict */
};

/* Whether the chain needs to be walked: a policy of drop, or a rule that stops everything. */
bool fl_fw_may_stop(const struct fl_nft_rules *rules, uint32_t policy);

/* `rules` are those of `chain`. -ELOOP when jumps go deeper than the kernel allows. */
int fl_fw_walk(struct fl_fw *fw, uint8_t family, const char *table, const char *chain,
	       const struct fl_nft_rules *rules, struct fl_fw_walk *ret, struct fl_error *err);

/*
 * True when the rule that stops it does what a policy would: it closes the first chain, as its last
 * rule or as all that there is in a chain jumped to last. Any other drop is somebody's will, which
 * a rule of ours in front of it would overrule.
 */
bool fl_fw_closes(struct fl_fw *fw, uint8_t family, const char *table,
		  const struct fl_nft_rules *rules, const struct fl_fw_walk *w);
