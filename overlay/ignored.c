/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records that are not followed: what is wrong with them, said once for each change of theirs. */
#include "overlay/agent.h"

#include <errno.h>
#include <string.h>

enum { IGNORED_MAX = 4096 }; /* that are remembered */

struct ignored {
	char key[FL_REC_KEY_STR];
	int64_t revision;
	bool seen;
	UT_hash_handle hh;
};

void ignore(struct agent *a, const char *key, int64_t revision, const struct fl_error *why)
{
	struct ignored *x;

	HASH_FIND_STR(a->ignored, key, x);
	if (x)
		x->seen = true;
	if (x && x->revision == revision)
		return;
	if (!x) {
		if (HASH_COUNT(a->ignored) >= IGNORED_MAX) {
			ignored_clear(a);
			a->ignored_more = true;
		}
		x = must_alloc(sizeof(*x));
		fl_strcpy(x->key, sizeof(x->key), key);
		HASH_ADD_STR(a->ignored, key, x);
	}
	x->revision = revision;
	x->seen = true;
	say("%s is ignored: %s", key, why->text);
}

bool ignored_in(const struct agent *a, const char *net)
{
	struct fl_rec_key k;

	for (const struct ignored *x = a->ignored; x; x = x->hh.next)
		if (!fl_rec_key_parse(x->key, &k) && !strcmp(k.net, net))
			return true;
	return a->ignored_more;
}

static bool begins(const char *key, const char *prefix)
{
	return !strncmp(key, prefix, strlen(prefix));
}

static void forget(struct agent *a, struct ignored *x)
{
	HASH_DEL(a->ignored, x);
	free(x);
}

void ignored_changed(struct agent *a, const char *key, int64_t revision)
{
	struct ignored *x;

	HASH_FIND_STR(a->ignored, key, x);
	if (x && x->revision != revision)
		forget(a, x);
}

void ignored_begin(struct agent *a, const char *prefix)
{
	for (struct ignored *x = a->ignored; x; x = x->hh.next)
		x->seen &= !begins(x->key, prefix);
}

void ignored_end(struct agent *a, const char *prefix)
{
	struct ignored *x, *tmp;

	HASH_ITER (hh, a->ignored, x, tmp)
		if (!x->seen && begins(x->key, prefix))
			forget(a, x);
}

bool ignored_any(const struct agent *a, const char *prefix)
{
	for (const struct ignored *x = a->ignored; x; x = x->hh.next)
		if (begins(x->key, prefix))
			return true;
	return a->ignored_more;
}

void ignored_clear(struct agent *a)
{
	struct ignored *x, *tmp;

	HASH_ITER (hh, a->ignored, x, tmp) {
		HASH_DEL(a->ignored, x);
		free(x);
	}
}

/* ---- what no agent would have written ---- */

static int misplaced(const char *what, const struct fl_addr *a, struct fl_error *err)
{
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "%s %s", fl_addr_str(a, FL_ADDR_BUF),
			    what);
}

static int check_address(const struct network *net, const struct fl_addr *a, struct fl_error *err)
{
	const struct fl_rec_net *rec = &net->rec;

	for (size_t i = 0; i < rec->n_subnets; i++) {
		const struct fl_prefix *s = &rec->subnets[i].subnet;
		struct fl_addr last = fl_prefix_last(s);

		if (!fl_prefix_contains(s, a))
			continue;
		if (fl_addr_eq(a, &rec->subnets[i].gateway))
			return misplaced("is the gateway's", a, err);
		if (fl_addr_eq(a, &s->addr) || (a->family == AF_INET && fl_addr_eq(a, &last)))
			return misplaced("is no host's", a, err);
		return 0;
	}
	return misplaced("is in no subnet of the network", a, err);
}

int check_ownership(const struct network *net, const struct fl_addr *ip4, const struct fl_addr *ip6,
		    const struct fl_mac *mac, struct fl_error *err)
{
	int r = fl_addr_is_set(ip4) ? check_address(net, ip4, err) : 0;

	if (!r && fl_addr_is_set(ip6))
		r = check_address(net, ip6, err);
	/* That would be the entry for all that nobody has. */
	if (!r && fl_mac_is_zero(mac))
		r = fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "mac: expected one");
	/* Behind the tunnel it would be lost to our own containers. */
	if (!r && !memcmp(mac, &net->self.mac, sizeof(*mac)))
		r = fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "MAC %s is this node's own",
				 fl_mac_str(mac, FL_MAC_BUF));
	return r;
}

static bool same_subnets(const struct fl_rec_net *a, const struct fl_rec_net *b)
{
	for (size_t i = 0; i < a->n_subnets && a->n_subnets == b->n_subnets; i++)
		if (a->subnets[i].subnet.len != b->subnets[i].subnet.len ||
		    !fl_addr_eq(&a->subnets[i].subnet.addr, &b->subnets[i].subnet.addr) ||
		    !fl_addr_eq(&a->subnets[i].gateway, &b->subnets[i].gateway))
			return false;
	return a->n_subnets == b->n_subnets;
}

static bool same_network(const struct fl_rec_net *a, const struct fl_rec_net *b)
{
	return !strcmp(a->name, b->name) && a->mode == b->mode && a->vni == b->vni &&
	       a->port == b->port && a->internal == b->internal && same_subnets(a, b);
}

int check_network(const struct network *net, const struct fl_rec_net *rec, struct fl_error *err)
{
	if (rec->n_subnets > FL_OVERLAY_SUBNETS ||
	    (rec->n_subnets == FL_OVERLAY_SUBNETS &&
	     rec->subnets[0].subnet.addr.family == rec->subnets[1].subnet.addr.family))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "more than one subnet of a family is of a later version");
	if (net->joined && !same_network(&net->rec, rec))
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "name, mode, VNI, port, subnets and \"internal\" of a network "
				    "in use stay as they are; make another network");
	return 0;
}
