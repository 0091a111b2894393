/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DEL, CHECK, GC and STATUS. */
#include "plugin/internal.h"

#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static bool stateless(const struct fl_call *c)
{
	return c->driver->flags & FL_DRIVER_STATELESS;
}

/* ---- DEL ---- */

struct other {
	const struct fl_call *c;
	bool found;
};

static int same_interface(void *arg, const struct fl_endpoint *ep)
{
	struct other *o = arg;

	o->found = ep->cookie && ep->cookie == o->c->sandbox.cookie &&
		   !strcmp(ep->id.ifname, o->c->req.ifname);
	return o->found;
}

/*
 * No record: the second DEL, a foreign plugin's container, or one from before a reboot. The path
 * may lead to another container's sandbox by now, whose interface is not ours to remove.
 */
static int release_unknown(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	/* Also with a configuration that does not tell which IPAM it was. */
	int r = c->driver->release ? c->driver->release(c, &c->ep.id, err) : 0;

	if (r || c->ipam_mode != FL_IPAM_OWN)
		return r;
	r = fl_txn_begin(c->store, true, &t, err);
	if (!r)
		r = fl_ipam_release_conf(t, &c->ipam, &c->ep.id, err);
	return r ? r : fl_txn_commit(&t, err);
}

/*
 * The state was lost, and with it who has what in nftables. The first ADD rebuilds; until then
 * nobody has anything.
 */
static int forget_stale_rules(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = c->fw ? fl_txn_begin(c->store, true, &t, err) : 1;

	if (!r)
		r = fl_note_stale_rules(c, t, err);
	if (r || !c->rules_stale)
		return r > 0 ? 0 : r;
	r = fl_fw_remove(c->fw, err);
	if (!r)
		r = fl_store_rules_rebuilt(t, err);
	return r ? r : fl_txn_commit(&t, err);
}

static int del_unknown_link(struct fl_call *c, struct fl_error *err)
{
	struct other o = { c, false };
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r;

	if (c->driver->flags & FL_DRIVER_CHAINED ||
	    (c->driver->flags & FL_DRIVER_KEEPS_LINK ? !c->driver->endpoint_unknown : !c->inside))
		return 0;
	r = fl_txn_begin(c->store, false, &t, err);
	if (!r && c->inside)
		r = fl_endpoints_each(t, NULL, same_interface, &o, err);
	fl_txn_abort(fl_take_ptr(t));
	if (r < 0 || o.found)
		return r < 0 ? r : 0;
	return c->driver->flags & FL_DRIVER_KEEPS_LINK ? c->driver->endpoint_unknown(c, err)
						       : fl_link_del(c->inside, c->req.ifname, err);
}

static int del_unknown_network(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_network net;
	int r = fl_txn_begin(c->store, true, &t, err);

	if (!r)
		r = fl_network_get(t, c->net.name, c->net.driver, &net, err);
	return r == -ENOENT ? c->driver->network_unknown(c, t, err) : r;
}

static int del_unknown(struct fl_call *c, struct fl_error *err)
{
	int r = release_unknown(c, err);

	if (!r)
		r = forget_stale_rules(c, err);
	if (!r && c->fw)
		r = fl_network_forget_unused(c, err);
	if (!r)
		r = del_unknown_link(c, err);
	return r || !c->driver->network_unknown ? r : del_unknown_network(c, err);
}

/*
 * DEL must work with a configuration that ADD would refuse: it goes by the record, and of the
 * configuration only whose IPAM it is counts.
 */
static int decode_lenient(struct fl_call *c, struct fl_error *err)
{
	struct fl_error quiet = { 0 };
	int r = fl_engine_decode(c, &quiet);

	if (!r)
		return 0;
	if (r == -ENOMEM)
		return fl_error_oom(err);
	fprintf(stderr, "note: %s\n", quiet.text);
	fl_call_ipam_of_broken(c);
	return 0;
}

static int tell_sharer(void *arg, const struct fl_endpoint *ep)
{
	(void)arg;
	fprintf(stderr,
		"note: container %s (network %s) shares this sandbox; it loses what is deleted "
		"here\n",
		ep->id.container, ep->id.network);
	return 0;
}

static int tell_sharers(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_txn_begin(c->store, false, &t, err);

	return r ? r : fl_endpoints_sharing(t, c->req.container, tell_sharer, NULL, err);
}

int fl_engine_del(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = decode_lenient(c, err), found;

	if (!r)
		r = fl_engine_open(c, err);
	if (r || stateless(c))
		return r			    ? r
		       : c->driver->endpoint_delete ? c->driver->endpoint_delete(c, &c->ep, err)
						    : 0;
	r = fl_call_ipam_verb(c, "DEL", err);
	if (r || !c->store)
		return r;
	r = fl_txn_begin(c->store, false, &t, err);
	if (r)
		return r;
	found = c->driver->flags & FL_DRIVER_IS_IPAM ? -ENOENT
						     : fl_endpoint_get(t, &c->ep.id, &ep, err);
	fl_txn_abort(fl_take_ptr(t));
	if (found == -ENOENT)
		return del_unknown(c, err);
	r = found ? found : tell_sharers(c, err);
	return r ? r : fl_endpoint_destroy(c, &ep, err);
}

/* ---- CHECK ---- */

static int load_own(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_network net;
	int r = fl_txn_begin(c->store, false, &t, err);

	fl_endpoint_clear(&c->ep);
	if (r)
		return r;
	struct fl_endpoint_id id = c->ep.id;

	r = fl_endpoint_get(t, &id, &c->ep, err);
	if (!r)
		r = fl_network_get(t, id.network, id.driver, &net, err);
	if (r == -ENOENT)
		return fl_error_set(
			err, r, FL_ECODE_CHECK,
			"container %s, interface %s: no record of an attachment to network %s",
			id.container, id.ifname, id.network);
	if (!r)
		c->net = net;
	if (!r && c->ep.state != FL_STATE_READY)
		return fl_error_set(
			err, EUCLEAN, FL_ECODE_CHECK,
			"container %s, interface %s: the last ADD or DEL was not finished",
			id.container, id.ifname);
	if (!r && c->ep.cookie != c->sandbox.cookie)
		return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK,
				    "CNI_NETNS: %s is not the sandbox that was attached",
				    c->req.netns);
	return r;
}

int fl_engine_check(struct fl_call *c, struct fl_error *err)
{
	int r = fl_engine_decode(c, err);

	if (!r)
		r = fl_engine_open(c, err);
	if (!r)
		r = fl_call_ipam_verb(c, "CHECK", err);
	if (!r && c->driver->flags & FL_DRIVER_CHAINED && c->idle)
		return 0;
	if (!r && !stateless(c) && !(c->driver->flags & FL_DRIVER_IS_IPAM))
		r = load_own(c, err);
	if (!r && c->ipam_mode == FL_IPAM_OWN) {
		FL_AUTOTXN struct fl_txn *t = NULL;

		/* A writing one: the first use of a pool imports the reference's leases. */
		r = fl_txn_begin(c->store, true, &t, err);
		if (!r)
			r = fl_ipam_held(t, c->ipam.pool, &c->ep.id, err);
		if (!r)
			return fl_error_set(
				err, EUCLEAN, FL_ECODE_CHECK,
				"container %s, interface %s: its address lease is missing",
				c->req.container, c->req.ifname);
		r = r < 0 ? r : fl_txn_commit(&t, err);
	}
	if (!r && c->driver->check)
		r = c->driver->check(c, err);
	if (!r && c->store)
		r = fl_resolver_check(c, err);
	if (!r && c->fw) {
		r = fl_fw_check(c->fw, &c->net, &c->ep, err);
		r = r < 0 ? r : !r;
	}
	return r;
}

/* ---- GC ---- */

struct sweep {
	struct fl_call *c;
	struct fl_attachment *valid;
	size_t n_valid;
	struct fl_endpoint_id *stale;
	size_t n_stale;
	struct fl_strbuf errors;
};

static int compare(const void *a, const void *b)
{
	const struct fl_attachment *x = a, *y = b;
	int r = strcmp(x->container, y->container);

	return r ? r : strcmp(x->ifname, y->ifname);
}

static int read_valid(struct sweep *s, struct fl_error *err)
{
	const json_t *list = json_object_get(s->c->req.config, "cni.dev/valid-attachments");
	size_t n = json_array_size(list);

	/* An absent list must never be read as "nothing is valid". */
	if (!list)
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"cni.dev/valid-attachments: expected a list of objects, found none");
	/* null is how Go writes an empty list that was never made. */
	if (!json_is_array(list) && !json_is_null(list))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "cni.dev/valid-attachments: expected a list of objects, not %s",
				    fl_json_kind(list));
	s->valid = calloc(n + 1, sizeof(*s->valid));
	if (!s->valid)
		return fl_error_oom(err);
	for (; s->n_valid < n; s->n_valid++) {
		const json_t *item = json_array_get(list, s->n_valid);
		const char *id = json_is_object(item)
					 ? json_string_value(fl_json_get(item, "containerID"))
					 : NULL;
		const char *ifname = id ? json_string_value(fl_json_get(item, "ifname")) : NULL;

		/* A list that cannot be read must never make a living container stale. */
		if (!ifname)
			return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
					    "cni.dev/valid-attachments[%zu]: expected an object "
					    "with the strings containerID and ifname",
					    s->n_valid);
		s->valid[s->n_valid] = (struct fl_attachment){ (char *)id, (char *)ifname };
	}
	qsort(s->valid, s->n_valid, sizeof(*s->valid), compare);
	return 0;
}

static int take_stale(void *arg, const struct fl_endpoint *ep)
{
	struct sweep *s = arg;
	struct fl_attachment key = { (char *)ep->id.container, (char *)ep->id.ifname };
	struct fl_endpoint_id *grown;

	if (ep->origin != FL_ORIGIN_CNI || strcmp(ep->id.driver, s->c->driver->type) ||
	    bsearch(&key, s->valid, s->n_valid, sizeof(key), compare))
		return 0;
	grown = realloc(s->stale, (s->n_stale + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->stale = grown;
	s->stale[s->n_stale++] = ep->id;
	return 0;
}

static void collect(struct sweep *s, const struct fl_error *e)
{
	fl_strbuf_addf(&s->errors, "%s%s", s->errors.len ? "; " : "", e->text);
}

static void sweep_one(struct sweep *s, const struct fl_endpoint_id *id)
{
	FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_error e = { 0 };
	int r = fl_txn_begin(s->c->store, false, &t, &e);

	if (!r)
		r = fl_endpoint_get(t, id, &ep, &e);
	fl_txn_abort(fl_take_ptr(t));
	if (r == -ENOENT)
		return;
	if (!r)
		r = fl_endpoint_destroy(s->c, &ep, &e);
	if (r) {
		fl_error_prefix(&e, "container %s, interface %s", id->container, id->ifname);
		collect(s, &e);
	}
}

/*
 * The pairs of all stale endpoints at once, before each is destroyed by its record: one wait in the
 * kernel instead of one for each. Only an optimisation: what it does not delete, the record does.
 */
static void sweep_links(struct sweep *s)
{
	struct fl_call *c = s->c;
	uint32_t *index = calloc(2 * s->n_stale + 1, sizeof(*index)), group = 0;
	FL_AUTOTXN struct fl_txn *t = NULL;
	size_t n = 0;

	if (!index || s->n_stale < 2 || c->driver->endpoint_delete != fl_endpoint_delete_link ||
	    fl_txn_begin(c->store, false, &t, NULL) ||
	    getrandom(&group, sizeof(group), 0) != sizeof(group)) {
		free(index);
		return;
	}
	for (size_t i = 0; i < s->n_stale; i++) {
		FL_AUTOENDPOINT struct fl_endpoint ep = { 0 };

		if (fl_endpoint_get(t, &s->stale[i], &ep, NULL))
			continue;
		if (ep.ifindex)
			index[n++] = ep.ifindex;
		if (ep.ifb)
			index[n++] = ep.ifb;
	}
	fl_txn_abort(fl_take_ptr(t));
	if (n > 1)
		fl_links_del(c->host, index, n, group | 1u << 31, NULL);
	free(index);
}

static int sweep_records(struct sweep *s, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_txn_begin(s->c->store, false, &t, err);

	if (!r)
		r = fl_endpoints_each(t, s->c->req.network, take_stale, s, err);
	fl_txn_abort(fl_take_ptr(t));
	if (!r)
		sweep_links(s);
	for (size_t i = 0; !r && i < s->n_stale; i++)
		sweep_one(s, &s->stale[i]);
	return r;
}

static void sweep_leases(struct sweep *s)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_call *c = s->c;
	struct fl_error e = { 0 };
	int r = 0;

	r = fl_call_ipam_verb(c, "GC", &e);
	if (c->ipam_mode == FL_IPAM_OWN) {
		r = fl_txn_begin(c->store, true, &t, &e);
		if (!r)
			r = fl_ipam_gc(t, c->ipam.pool, c->driver->type, s->valid, s->n_valid, &e);
		if (!r)
			r = fl_txn_commit(&t, &e);
	}
	if (r)
		collect(s, &e);
}

static int is_forwarded(void *arg, const struct fl_endpoint *ep)
{
	const struct fl_network *net = arg;

	return !strcmp(ep->id.driver, net->driver) && fl_endpoint_is_forwarded(net, ep);
}

/* Another firewall may have come to the host since ADD: what is kept is let through that too. */
static int admit_kept(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_network net;
	int r = fl_txn_begin(c->store, false, &t, err);

	if (!r)
		r = fl_network_get(t, c->req.network, c->driver->type, &net, err);
	if (!r)
		r = fl_endpoints_each(t, net.name, is_forwarded, &net, err);
	fl_txn_abort(fl_take_ptr(t));
	if (r > 0)
		r = fl_fw_admit_foreign_forward(c->fw, err);
	return r < 0 && r != -ENOENT ? r : 0;
}

int fl_engine_gc(struct fl_call *c, struct fl_error *err)
{
	struct sweep s = { .c = c };
	int r = fl_engine_decode(c, err);

	if (!r)
		r = read_valid(&s, err);
	if (!r)
		r = fl_engine_open(c, err);
	if (!r && !stateless(c)) {
		bool late = fl_call_ipam_is_late(c);

		/* A server is told through the interface, which goes with the record. */
		if (late)
			sweep_leases(&s);
		if (!(c->driver->flags & FL_DRIVER_IS_IPAM))
			r = sweep_records(&s, err);
		if (!r && c->fw)
			r = fl_network_forget_unused(c, err);
		if (!r && c->fw)
			r = admit_kept(c, err);
		if (!r && !late)
			sweep_leases(&s);
		if (!r && s.errors.len)
			r = fl_error_set(err, EIO, FL_ECODE_KERNEL, "GC of network %s: %s",
					 c->req.network, s.errors.s);
	}
	free(s.valid);
	free(s.stale);
	fl_strbuf_clear(&s.errors);
	return r;
}

/* ---- STATUS ---- */

int fl_engine_status(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_engine_decode(c, err);

	if (!r)
		r = fl_engine_open(c, err);
	if (!r)
		r = fl_call_ipam_verb(c, "STATUS", err);
	if (r && fl_call_ipam_is_late(c))
		return r;
	if (!r && c->ipam_mode == FL_IPAM_OWN) {
		r = fl_txn_begin(c->store, false, &t, err);
		if (!r)
			r = fl_ipam_status(t, &c->ipam, err);
		fl_txn_abort(fl_take_ptr(t));
	}
	if (!r && c->driver->status)
		r = c->driver->status(c, err);
	if (!r && c->store)
		r = fl_resolver_status(c, err);
	if (r && err->code >= FL_ECODE_KERNEL)
		err->code = FL_ECODE_NOT_AVAILABLE;
	return r;
}
