/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fw/fw.h"

#include "fw/elems.h"
#include "fw/private.h"

#include <errno.h>
#include <string.h>

int fl_fw_open(struct fl_fw **ret, struct fl_error *err)
{
	struct fl_fw *fw = calloc(1, sizeof(*fw));

	if (!fw)
		return fl_error_oom(err);
	fw->nft.fd = -1;
	*ret = fw;
	return 0;
}

void fl_fw_close(struct fl_fw *fw)
{
	if (!fw)
		return;
	fl_nft_close(&fw->nft);
	free(fw);
}

/* One message per set and kind: the lists are short but for ports, which come in long runs. */
static void put_elems(struct fl_nft_batch *b, const struct fl_fw_elems *l,
		      void (*put)(struct fl_nft_batch *, const struct fl_nft_set *,
				  const struct fl_nft_elem *))
{
	size_t left = l->n;

	for (size_t set = 0; set < FL_FW_SETS && left; set++) {
		for (size_t i = 0; i < l->n; i++) {
			if (l->v[i].set != set)
				continue;
			put(b, &fl_fw_sets[set], &l->v[i].e);
			left--;
		}
	}
}

static bool needs_bridge_table(const struct fl_fw_elems *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].set >= FL_FW_FIRST_BRIDGE_SET)
			return true;
	return false;
}

/* Adding first makes a deletion succeed when the element is gone, and fail when it is another's. */
static void put_deletion(struct fl_nft_batch *b, const struct fl_fw_elems *del)
{
	put_elems(b, del, fl_nft_add_elem);
	put_elems(b, del, fl_nft_del_elem);
}

static void put_assertions(struct fl_nft_batch *b, const struct fl_fw_elems *del,
			   const struct fl_fw_elems *add)
{
	fl_fw_assert_skeleton(b, NFPROTO_INET);
	if (needs_bridge_table(del) || needs_bridge_table(add))
		fl_fw_assert_skeleton(b, NFPROTO_BRIDGE);
}

static int set_by_name(const char *name)
{
	for (int i = 0; i < FL_FW_SETS; i++)
		if (!strcmp(fl_fw_sets[i].name, name))
			return i;
	return -1;
}

/* Says which key is taken, and by whom when the holder's own key is the same. */
static int conflict(struct fl_fw *fw, const struct fl_nft_failure *f, struct fl_error *err)
{
	int id = f->set ? set_by_name(f->set) : -1;
	struct fl_nft_found found = { 0 };
	struct fl_nft_elem e = { 0 };
	char key[256], details[FL_ERROR_TEXT];

	if (!err)
		return -EEXIST;
	err->code = FL_ECODE_CONFLICT;
	if (id < 0 || !f->key || f->key_len > sizeof(e.key))
		return -EEXIST;
	memcpy(e.key, f->key, f->key_len);
	memcpy(details, err->details, sizeof(details));
	fl_nft_get_elem(&fw->nft, &fl_fw_sets[id], &e, &found, NULL);
	fl_error_set(err, -EEXIST, FL_ECODE_CONFLICT, "nftables: %s in %s is taken by %s",
		     fl_fw_key_str((enum fl_fw_set_id)id, &e, key, sizeof(key)), f->set,
		     found.comment[0] ? found.comment : "another owner");
	fl_error_details(err, details);
	return -EEXIST;
}

static int commit_change(struct fl_fw *fw, const struct fl_fw_elems *del,
			 const struct fl_fw_elems *add, struct fl_error *err)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };
	struct fl_nft_failure failure;
	int r;

	put_assertions(&b, del, add);
	put_deletion(&b, del);
	put_elems(&b, add, fl_nft_add_elem);
	r = fl_nft_commit(&fw->nft, &b, &failure, err);
	return r == -EEXIST ? conflict(fw, &failure, err) : r;
}

/*
 * One of the elements has become another owner's, and the batch left all of them: take them one by
 * one, and leave what is not ours.
 */
static int delete_singly(struct fl_fw *fw, const struct fl_fw_elems *del, struct fl_error *err)
{
	static const struct fl_fw_elems none;

	for (size_t i = 0; i < del->n; i++) {
		struct fl_fw_elems one = { .v = &del->v[i], .n = 1 };
		struct fl_error ignored = { 0 };
		int r = commit_change(fw, &one, &none, &ignored);

		if (r && r != -EEXIST) {
			if (err)
				*err = ignored;
			return r;
		}
	}
	return 0;
}

static int collect_change(const struct fl_fw_change *c, struct fl_fw_elems *del,
			  struct fl_fw_elems *add, struct fl_fw_elems *keep)
{
	int r = fl_fw_elems_endpoint(del, c->del_endpoint_network, c->del_endpoint);

	r = r ? r : fl_fw_elems_network(del, c->del_network);
	for (size_t i = 0; !r && c->del_network && i < c->n_others; i++)
		r = fl_fw_elems_network(keep, &c->others[i]);
	r = r ? r : fl_fw_elems_network(add, c->add_network);
	r = r ? r : fl_fw_elems_endpoint(add, c->add_endpoint_network, c->add_endpoint);
	if (r)
		return r;
	/* An element that is named twice can be added twice, but not deleted twice. */
	fl_fw_elems_unique(del);
	fl_fw_elems_unique(keep);
	fl_fw_elems_subtract(del, keep);
	return 0;
}

int fl_fw_apply(struct fl_fw *fw, const struct fl_fw_change *change, struct fl_error *err)
{
	FL_AUTOFWELEMS struct fl_fw_elems del = { 0 };
	FL_AUTOFWELEMS struct fl_fw_elems add = { 0 };
	FL_AUTOFWELEMS struct fl_fw_elems keep = { 0 };
	struct fl_error taken;
	int r = collect_change(change, &del, &add, &keep);

	if (r == -ENOMEM)
		return fl_error_oom(err);
	/* An endpoint without elements still asks whether the skeleton is there: this is how it
	 * comes back. */
	if (r || (!del.n && !add.n && !change->add_endpoint && !change->add_network))
		return r;
	if (add.n || !del.n)
		return commit_change(fw, &del, &add, err);
	r = commit_change(fw, &del, &add, &taken);
	if (r == -EEXIST)
		return delete_singly(fw, &del, err);
	if (r && err)
		*err = taken;
	return r;
}

static const struct fl_network *network_of(const struct fl_endpoint *ep,
					   const struct fl_network *networks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(networks[i].name, ep->id.network) &&
		    !strcmp(networks[i].driver, ep->id.driver))
			return &networks[i];
	return NULL;
}

int fl_fw_collect_state(struct fl_fw_elems *l, enum fl_state state,
			const struct fl_network *networks, size_t n_networks,
			const struct fl_endpoint *endpoints, size_t n_endpoints)
{
	int r = 0;

	for (size_t i = 0; !r && i < n_endpoints; i++)
		if (endpoints[i].state == state)
			r = fl_fw_elems_endpoint(l, network_of(&endpoints[i], networks, n_networks),
						 &endpoints[i]);
	return r;
}

/* Endpoints that are ready first: if two records contend for a key, the one in service wins. */
static int collect_all(struct fl_fw_elems *l, const struct fl_network *networks, size_t n_networks,
		       const struct fl_endpoint *endpoints, size_t n_endpoints)
{
	static const enum fl_state order[] = { FL_STATE_READY, FL_STATE_CREATING };
	int r = 0;

	for (size_t i = 0; !r && i < n_networks; i++)
		r = fl_fw_elems_network(l, &networks[i]);
	for (size_t s = 0; s < FL_ARRAY_SIZE(order) && !r; s++)
		r = fl_fw_collect_state(l, order[s], networks, n_networks, endpoints, n_endpoints);
	return r;
}

static int commit_rebuild(struct fl_fw *fw, const struct fl_fw_elems *l, bool bridge,
			  struct fl_error *err)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };

	fl_fw_drop_skeleton(&b, NFPROTO_INET);
	fl_fw_drop_skeleton(&b, NFPROTO_BRIDGE);
	fl_fw_put_skeleton(&b, NFPROTO_INET);
	if (bridge)
		fl_fw_put_skeleton(&b, NFPROTO_BRIDGE);
	put_elems(&b, l, fl_nft_add_elem);
	return fl_nft_commit(&fw->nft, &b, NULL, err);
}

int fl_fw_rebuild(struct fl_fw *fw, const struct fl_network *networks, size_t n_networks,
		  const struct fl_endpoint *endpoints, size_t n_endpoints, struct fl_error *err)
{
	FL_AUTOFWELEMS struct fl_fw_elems l = { 0 };
	struct fl_error contradiction;
	bool bridge = false;
	int r = collect_all(&l, networks, n_networks, endpoints, n_endpoints);

	if (r == -ENOMEM)
		return fl_error_oom(err);
	if (r)
		return r;
	for (size_t i = 0; i < n_networks; i++)
		bridge = bridge || networks[i].n_anycast;
	/* Also for one that is being deleted: its deletion asserts the table. */
	for (size_t i = 0; i < n_endpoints; i++)
		bridge = bridge || endpoints[i].spoof_check;
	r = commit_rebuild(fw, &l, bridge, &contradiction);
	if (r && r != -EEXIST && err)
		*err = contradiction;
	if (r != -EEXIST)
		return r;
	/* Records that contradict each other must not cost everybody else the network. */
	fl_fw_elems_unique(&l);
	fl_fw_elems_drop_overlaps(&l);
	return commit_rebuild(fw, &l, bridge, err);
}

int fl_fw_remove(struct fl_fw *fw, struct fl_error *err)
{
	FL_AUTONFTBATCH struct fl_nft_batch b = { 0 };

	fl_fw_drop_skeleton(&b, NFPROTO_INET);
	fl_fw_drop_skeleton(&b, NFPROTO_BRIDGE);
	return fl_nft_commit(&fw->nft, &b, NULL, err);
}

struct check {
	struct fl_fw *fw;
	struct fl_error *err;
};

/* -ESTALE: the element is not what the record says; the error tells which. */
static int check_elem(void *arg, enum fl_fw_set_id set, const struct fl_nft_elem *e)
{
	struct check *c = arg;
	const struct fl_nft_set *s = &fl_fw_sets[set];
	struct fl_nft_found found;
	char key[256];
	int r = fl_nft_get_elem(&c->fw->nft, s, e, &found, c->err);

	if (r && r != -ENOENT)
		return r;
	if (!r && fl_nft_found_is(s, &found, e))
		return 0;
	fl_error_set(c->err, -ENOENT, FL_ECODE_CHECK, "nftables: %s { %s } of table %s %s %s",
		     s->name, fl_fw_key_str(set, e, key, sizeof(key)), fl_nft_family_str(s->family),
		     s->table, r ? "is missing" : "leads elsewhere");
	return -ESTALE;
}

int fl_fw_check(struct fl_fw *fw, const struct fl_network *net, const struct fl_endpoint *ep,
		struct fl_error *err)
{
	struct check c = { fw, err };
	int r = net ? fl_fw_network_elems(net, check_elem, &c) : 0;

	if (!r && ep)
		r = fl_fw_endpoint_elems(net, ep, check_elem, &c);
	if (r == -ENOMEM)
		return fl_error_oom(err);
	return r == -ESTALE ? 0 : r ? r : 1;
}
