/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole ruleset against the records, for a doctor: nothing here is part of an ADD. */
#include "fw/elems.h"
#include "fw/private.h"
#include "nft/chains.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct comparison {
	struct fl_fw *fw;
	struct fl_fw_elems wanted, allowed; /* both unique: sorted by set and key */
	void (*fn)(void *arg, const struct fl_fw_difference *d);
	void *arg;
	int n;
	struct fl_error *err;
};

static void tell(struct comparison *c, struct fl_fw_difference d)
{
	d.what = d.what ? d.what : "";
	d.owner = d.owner ? d.owner : "";
	c->fn(c->arg, &d);
	c->n++;
}

static void tell_elem(struct comparison *c, enum fl_fw_difference_kind kind, enum fl_fw_set_id set,
		      const struct fl_nft_elem *e, const char *owner)
{
	const struct fl_nft_set *s = &fl_fw_sets[set];
	char key[256], what[320];

	snprintf(what, sizeof(what), "%s { %s }", s->name, fl_fw_key_str(set, e, key, sizeof(key)));
	tell(c, (struct fl_fw_difference){ kind, fl_nft_family_str(s->family), what, owner, 0, 0 });
}

/* ---- records ---- */

/* As the kernel lists them: each element of an interval set has two bounds. */
static void normalise(struct fl_fw_elems *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct fl_nft_elem *e = &l->v[i].e;

		if (fl_fw_sets[l->v[i].set].interval && !e->range) {
			memcpy(e->key_end, e->key, sizeof(e->key_end));
			e->range = true;
		}
	}
}

static int collect(struct comparison *c, const struct fl_network *networks, size_t n_networks,
		   const struct fl_endpoint *endpoints, size_t n_endpoints)
{
	int r = 0;

	for (size_t i = 0; !r && i < n_networks; i++)
		r = fl_fw_elems_network(networks[i].ready ? &c->wanted : &c->allowed, &networks[i]);
	r = r ? r
	      : fl_fw_collect_state(&c->wanted, FL_STATE_READY, networks, n_networks, endpoints,
				    n_endpoints);
	r = r ? r
	      : fl_fw_collect_state(&c->allowed, FL_STATE_CREATING, networks, n_networks, endpoints,
				    n_endpoints);
	r = r ? r
	      : fl_fw_collect_state(&c->allowed, FL_STATE_DELETING, networks, n_networks, endpoints,
				    n_endpoints);
	normalise(&c->wanted);
	normalise(&c->allowed);
	fl_fw_elems_unique(&c->wanted);
	fl_fw_elems_unique(&c->allowed);
	return r;
}

/* ---- one set ---- */

static int compare_found(const struct fl_nft_found *f, const struct fl_nft_elem *e)
{
	int r = memcmp(f->key, e->key, sizeof(f->key));

	return r ? r : memcmp(f->key_end, e->key_end, sizeof(f->key_end));
}

static int by_bounds(const void *a, const void *b)
{
	const struct fl_nft_found *x = a, *y = b;
	int r = memcmp(x->key, y->key, sizeof(x->key));

	return r ? r : memcmp(x->key_end, y->key_end, sizeof(x->key_end));
}

/* Those of the set, in the sorted list. */
static const struct fl_fw_elem *part(const struct fl_fw_elems *l, enum fl_fw_set_id set,
				     const struct fl_fw_elem **end)
{
	static const struct fl_fw_elem nothing;
	const struct fl_fw_elem *v = l->n ? l->v : &nothing; /* C has no NULL + 0 */
	size_t from = 0, to;

	while (from < l->n && l->v[from].set < set)
		from++;
	for (to = from; to < l->n && l->v[to].set == set; to++)
		continue;
	*end = v + to;
	return v + from;
}

static bool is_allowed(const struct fl_fw_elem *at, const struct fl_fw_elem *end,
		       const struct fl_nft_found *f)
{
	while (at < end) {
		const struct fl_fw_elem *mid = at + (end - at) / 2;
		int r = compare_found(f, &mid->e);

		if (!r)
			return true;
		if (r < 0)
			end = mid;
		else
			at = mid + 1;
	}
	return false;
}

static void tell_orphan(struct comparison *c, enum fl_fw_set_id set, const struct fl_nft_found *f)
{
	struct fl_nft_elem e = { .range = f->range };

	memcpy(e.key, f->key, sizeof(e.key));
	memcpy(e.key_end, f->key_end, sizeof(e.key_end));
	tell_elem(c, FL_FW_ORPHAN, set, &e, f->comment);
}

/* Both are sorted by their keys. */
static void merge(struct comparison *c, enum fl_fw_set_id set, const struct fl_nft_founds *l)
{
	const struct fl_fw_elem *end, *may_end, *want = part(&c->wanted, set, &end);
	const struct fl_fw_elem *may = part(&c->allowed, set, &may_end);
	size_t i = 0;

	while (i < l->n || want < end) {
		int r = i == l->n ? 1 : want == end ? -1 : compare_found(&l->v[i], &want->e);

		if (r < 0 && !is_allowed(may, may_end, &l->v[i]))
			tell_orphan(c, set, &l->v[i]);
		else if (r > 0)
			tell_elem(c, FL_FW_MISSING, set, &want->e, want->e.comment);
		else if (!r && !fl_nft_found_is(&fl_fw_sets[set], &l->v[i], &want->e))
			tell_elem(c, FL_FW_ELSEWHERE, set, &want->e, want->e.comment);
		i += r <= 0;
		want += r >= 0;
	}
}

/* -ENOENT: the set is not there. */
static int compare_set(struct comparison *c, enum fl_fw_set_id set)
{
	FL_AUTONFTFOUNDS struct fl_nft_founds l = { 0 };
	int r = fl_nft_list_elems(&c->fw->nft, &fl_fw_sets[set], &l, c->err);

	/* The bridge family has a table only while somebody needs it. */
	if (r == -ENOENT && set >= FL_FW_FIRST_BRIDGE_SET)
		r = 0;
	if (r)
		return r;
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), by_bounds);
	merge(c, set, &l);
	return 0;
}

/* ---- chains ---- */

/* Told twice where it has both: rules of ours that are gone or changed, and others. */
static int compare_chain(struct comparison *c, const char *chain)
{
	struct fl_fw_chain_state s;
	struct fl_fw_difference d = { FL_FW_CHAIN, "inet", chain, NULL, 0, 0 };
	int r = fl_fw_chain_state(c->fw, NFPROTO_INET, chain, &s, c->err);

	if (r)
		return r;
	d.wanted = s.wanted;
	d.found = s.kept;
	if (s.kept < s.wanted)
		tell(c, d);
	d.found = s.wanted + s.foreign;
	if (s.foreign)
		tell(c, d);
	return 0;
}

/* Policies, and base chains that somebody put into our table; an empty one does nothing. */
static int compare_base_chains(struct comparison *c)
{
	FL_AUTONFTCHAINS struct fl_nft_base_chains l = { 0 };
	int r = fl_nft_list_base_chains(&c->fw->nft, &l, c->err);

	for (size_t i = 0; !r && i < l.n; i++) {
		const struct fl_nft_base_chain *b = &l.v[i];
		struct fl_fw_difference d = { FL_FW_CHAIN, "inet", b->name, NULL, 0, b->rules };

		if (b->family != NFPROTO_INET || strcmp(b->table, FL_FW_TABLE) != 0)
			continue;
		if (b->policy == NF_DROP)
			d.kind = FL_FW_POLICY;
		if (d.kind == FL_FW_POLICY || (!fl_fw_skeleton_has(b) && b->rules))
			tell(c, d);
	}
	return r;
}

static int compare_chains(struct comparison *c)
{
	const char *chain;
	int r = compare_base_chains(c);

	for (size_t i = 0; !r && (chain = fl_fw_skeleton_chain(i)); i++)
		r = compare_chain(c, chain);
	return r;
}

/* ---- all ---- */

static int has_set(struct fl_fw *fw, const struct fl_nft_set *set, struct fl_error *err)
{
	FL_AUTONFTFOUNDS struct fl_nft_founds l = { 0 };
	int r = fl_nft_list_elems(&fw->nft, set, &l, err);

	return r == -ENOENT ? 0 : r ? r : 1;
}

int fl_fw_has_table(struct fl_fw *fw, const char *table, struct fl_error *err)
{
	FL_AUTONFTCHAINS struct fl_nft_base_chains l = { 0 };
	int r = fl_nft_list_base_chains(&fw->nft, &l, err);

	for (size_t i = 0; !r && i < l.n; i++)
		if (l.v[i].family == NFPROTO_INET && !strcmp(l.v[i].table, table))
			return 1;
	return r;
}

static int compare_all(struct comparison *c)
{
	int r = has_set(c->fw, fl_fw_version_set(NFPROTO_INET), c->err);

	if (!r) {
		r = fl_fw_has_table(c->fw, FL_FW_TABLE, c->err);
		if (r >= 0)
			tell(c, (struct fl_fw_difference){ .kind = r ? FL_FW_OTHER_VERSION
								     : FL_FW_NO_TABLE,
							   .family = "inet",
							   .wanted = c->wanted.n });
		return r < 0 ? r : 0;
	}
	for (int set = 0; set < FL_FW_SETS && r >= 0; set++)
		r = compare_set(c, (enum fl_fw_set_id)set);
	if (r >= 0)
		r = compare_chains(c);
	/* Flushed, or rebuilt as another version, while we looked. */
	return r == -ENOENT ? fl_error_set(c->err, -ENOENT, FL_ECODE_TRY_AGAIN,
					   "nftables: table inet " FL_FW_TABLE
					   " lacks one of its sets or chains")
			    : r;
}

int fl_fw_compare(struct fl_fw *fw, const struct fl_network *networks, size_t n_networks,
		  const struct fl_endpoint *endpoints, size_t n_endpoints,
		  void (*fn)(void *arg, const struct fl_fw_difference *d), void *arg,
		  struct fl_error *err)
{
	struct comparison c = { .fw = fw, .fn = fn, .arg = arg, .err = err };
	int r = collect(&c, networks, n_networks, endpoints, n_endpoints);

	r = r ? fl_error_oom(err) : compare_all(&c);
	fl_fw_elems_clear(&c.wanted);
	fl_fw_elems_clear(&c.allowed);
	return r < 0 ? r : c.n;
}
