/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nftables batches of a call. */
#include "plugin/internal.h"
#include "plugin/rebuild.h"

#include <errno.h>

int fl_fw_rebuild_from_store(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	int r = fl_rules_rebuild(t, c->fw, err);

	c->rules_stale &= !!r;
	return r;
}

int fl_note_stale_rules(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	int r = fl_store_rules_stale(t, err);

	c->rules_stale = r > 0;
	return r < 0 ? r : 0;
}

int fl_fw_step(struct fl_call *c, const struct fl_fw_change *change, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	bool stale = c->rules_stale && change->add_endpoint;
	int r = stale ? -ENOENT : fl_fw_apply(c->fw, change, err);

	if (r != -ENOENT)
		return r;
	/* Somebody flushed the ruleset, or this is the first endpoint of the host. */
	r = fl_txn_begin(c->store, true, &t, err);
	if (!r)
		r = fl_fw_rebuild_from_store(c, t, err);
	if (!r)
		r = fl_txn_commit(&t, err);
	if (r)
		return r;
	/*
	 * The rebuild has this call's record already; asking again brings what is not in a record.
	 * Flushed once more in between, it is the next operation's to mend.
	 */
	r = fl_fw_apply(c->fw, change, err);
	return r == -ENOENT ? 0 : r;
}
