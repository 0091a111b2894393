/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ADD: an endpoint from nothing, or nothing. */
#include "plugin/alive.h"
#include "plugin/internal.h"

#include "base/strbuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* ---- what every verb starts with ---- */

static int parse_dns(struct fl_call *c, struct fl_error *err)
{
	const json_t *dns = fl_json_get(c->req.config, "dns");

	return dns ? fl_dns_parse(dns, "dns", &c->dns, err) : 0;
}

static int need_prev(const struct fl_call *c, struct fl_error *err)
{
	bool chained = c->driver->flags & FL_DRIVER_CHAINED && c->req.verb == FL_VERB_ADD;
	bool ipam = c->driver->flags & FL_DRIVER_IS_IPAM;

	if (c->has_prev || ipam || (!chained && c->req.verb != FL_VERB_CHECK))
		return 0;
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG, "prevResult: required for %s of %s",
			    c->req.verb == FL_VERB_CHECK ? "CHECK" : "ADD", c->driver->type);
}

/* Whose list of living endpoints decides about this one: GC of a runtime leaves netctl's alone. */
static int parse_origin(struct fl_call *c, struct fl_error *err)
{
	const json_t *v = fl_config_get(c, "args", "fairlead", "origin");

	c->ep.origin = FL_ORIGIN_CNI;
	if (!v)
		return 0;
	if (!json_is_string(v) || strcmp(json_string_value(v), "netctl") != 0)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "args.fairlead.origin: expected \"netctl\"");
	c->ep.origin = FL_ORIGIN_NETCTL;
	return 0;
}

/* Results before 0.3.0 are made of addresses. Said before anything is touched. */
static int need_address(const struct fl_call *c, struct fl_error *err)
{
	bool none = c->driver->flags & FL_DRIVER_NO_ADDRESS ||
		    (c->driver->flags & FL_DRIVER_IPAM && c->ipam_mode == FL_IPAM_NONE);

	if (!none || c->req.verb != FL_VERB_ADD || c->req.version >= FL_V030)
		return 0;
	return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
			    "cniVersion: a result of %s needs an IP address, and this network has "
			    "none; use 0.3.1 or later",
			    fl_version_names[c->req.version]);
}

int fl_engine_decode(struct fl_call *c, struct fl_error *err)
{
	const struct fl_driver *d = c->driver;
	const json_t *check = fl_json_get(c->req.config, "checkHostPorts");
	int r = 0;

	fl_strcpy(c->ep.id.network, sizeof(c->ep.id.network), c->req.network);
	fl_strcpy(c->ep.id.container, sizeof(c->ep.id.container), c->req.container);
	fl_strcpy(c->ep.id.ifname, sizeof(c->ep.id.ifname), c->req.ifname);
	fl_strcpy(c->ep.id.driver, sizeof(c->ep.id.driver), d->type);
	fl_strcpy(c->net.name, sizeof(c->net.name), c->req.network);
	fl_strcpy(c->net.driver, sizeof(c->net.driver), d->type);
	if (check && !json_is_boolean(check))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				    "checkHostPorts: expected true or false, not %s",
				    fl_json_kind(check));
	c->check_host_ports = json_is_true(check);
	c->wholly_inside = d->flags & FL_DRIVER_INSIDE;
	r = parse_origin(c, err);
	if (r)
		return r;
	c->conf = calloc(1, d->conf_size ? d->conf_size : 1);
	if (!c->conf)
		return fl_error_oom(err);
	if (d->fields)
		r = fl_fields_decode(c->req.config, d->fields, "", c->conf, err);
	if (!r)
		r = parse_dns(c, err);
	if (!r && d->flags & (FL_DRIVER_IPAM | FL_DRIVER_IS_IPAM))
		r = fl_call_ipam_parse(c, err);
	if (!r && d->flags & (FL_DRIVER_IPAM | FL_DRIVER_NAMES))
		r = fl_runtime_parse(c, err);
	if (!r)
		r = fl_resolver_parse(c, err);
	if (!r)
		r = fl_ports_parse(c, err);
	if (!r)
		r = need_prev(c, err);
	if (!r && d->validate)
		r = d->validate(c, err);
	return r ? r : need_address(c, err);
}

/* A foreign IPAM, and the daemon of a driver's own one, get all that the caller gave. */
static bool executes(const struct fl_call *c)
{
	bool starts = c->req.verb == FL_VERB_ADD || c->req.verb == FL_VERB_STATUS;

	return c->ipam_mode == FL_IPAM_FOREIGN || (c->ipam_mode == FL_IPAM_DRIVER && starts);
}

int fl_engine_open(struct fl_call *c, struct fl_error *err)
{
	bool ipam = c->driver->flags & FL_DRIVER_IS_IPAM;
	int r = fl_session_open(c, err);

	if (ipam)
		return r || c->ipam_mode != FL_IPAM_OWN ? r : fl_session_store(c, err);
	if (!r)
		r = fl_nl_open(&c->host, err);
	if (!r && !(c->driver->flags & FL_DRIVER_STATELESS))
		r = fl_session_store(c, err);
	if (!r && !(c->driver->flags & FL_DRIVER_STATELESS))
		r = fl_fw_open(&c->fw, err);
	if (!r)
		r = fl_session_inside(c, err);
	/* Naming a process needs capabilities that are dropped next. */
	if (!r && c->req.verb == FL_VERB_ADD && c->ep.n_ports)
		r = fl_ports_check_host(c, err);
	if (!r && !executes(c))
		r = fl_session_drop(c, err);
	return r;
}

/* ---- the first transaction ---- */

static bool is_attached(struct fl_call *c, const struct fl_endpoint *prior)
{
	struct fl_nl *where = *prior->link ? c->host : c->inside;
	struct fl_link link;

	if (c->driver->flags & FL_DRIVER_CHAINED || prior->cookie != c->sandbox.cookie)
		return false;
	return !prior->ifindex || !fl_link_get_index(where, prior->ifindex, &link, NULL);
}

static int read_prior(struct fl_call *c, struct fl_endpoint *ret, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = fl_txn_begin(c->store, false, &t, err);

	return r ? r : fl_endpoint_get(t, &c->ep.id, ret, err);
}

/*
 * 1: its ADD is dead. The record is read again afterwards: an ADD that ended between the first
 * reading and the question whether it is at work has changed it.
 */
static int is_orphan(struct fl_call *c, const struct fl_endpoint *prior, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint now = { 0 };
	int r = fl_alive_check(prior) ? -ENOENT : read_prior(c, &now, err);

	if (r)
		return r == -ENOENT ? 0 : r;
	return now.state == prior->state && now.nsid == prior->nsid &&
	       now.ifindex == prior->ifindex && !strcmp(now.link, prior->link);
}

/* A record of the same name: a failed ADD's, or an endpoint that lives. */
static int clear_prior(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOENDPOINT struct fl_endpoint prior = { 0 };
	int r = read_prior(c, &prior, err);

	if (r)
		return r == -ENOENT ? 0 : r;
	r = prior.state == FL_STATE_CREATING ? is_orphan(c, &prior, err) : 1;
	if (r < 0)
		return r;
	if (!r)
		return fl_error_set(err, EBUSY, FL_ECODE_TRY_AGAIN,
				    "another ADD of container %s, interface %s is under way",
				    prior.id.container, prior.id.ifname);
	if (prior.state == FL_STATE_READY && is_attached(c, &prior))
		return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
				    "container %s is attached to network %s as %s already%s%s; DEL "
				    "it first",
				    prior.id.container, prior.id.network, prior.id.ifname,
				    *prior.link ? ", by host interface " : "", prior.link);
	return fl_endpoint_destroy(c, &prior, err);
}

/* ---- nftables ---- */

/* Nothing of it is in nftables, or was. */
static bool needs_no_program(const struct fl_call *c, const struct fl_step *s)
{
	return c->net.direct && !c->ep.admit && (!s->has_old || s->old.direct);
}

static int program(struct fl_call *c, struct fl_step *s, struct fl_error *err)
{
	bool changed = s->has_old && !c->net.ready && !fl_network_same(&s->old, &c->net);
	struct fl_fw_change change = {
		.add_network = c->net.ready ? NULL : &c->net,
		.add_endpoint = &c->ep,
		.add_endpoint_network = &c->net,
		.del_network = changed ? &s->old : NULL,
		.others = &c->net,
		.n_others = 1,
	};
	int r;

	if (needs_no_program(c, s))
		return 0;
	s->programmed = c->rules_stale;
	r = fl_fw_step(c, &change, err);
	s->programmed |= !r;
	if (!r && fl_endpoint_is_forwarded(&c->net, &c->ep))
		r = fl_fw_admit_foreign_forward(c->fw, err);
	if (r < 0)
		return r;
	return fl_conntrack_flush(&c->ep, false, err);
}

/* ---- ADD ---- */

/* Large, so that it is nobody's whom the kernel numbers itself. */
static uint32_t high_number(uint32_t bits)
{
	return (bits & 0x3fffffff) | 0x01000000;
}

/*
 * The sandbox's life as the host's namespace sees it: the id goes when the namespace does. By the
 * cookie, so that ids lie close together: the kernel walks all of them for each message about one.
 */
static int name_sandbox(struct fl_call *c, uint32_t bits, struct fl_error *err)
{
	uint64_t cookie = c->sandbox.cookie;
	int32_t want = (int32_t)high_number(cookie ? (uint32_t)cookie : bits), id;
	int r = fl_nsid_assign(c->host, c->sandbox.fd, want, &id, err);

	if (r == -EEXIST)
		r = fl_nsid_assign(c->host, c->sandbox.fd, -1, &id, err);
	if (!r)
		c->ep.nsid = (uint32_t)id + 1;
	return r;
}

static int identify(struct fl_call *c, struct fl_error *err)
{
	unsigned flags = c->driver->flags;
	uint32_t bits[2] = { 0 };
	int r = 0;

	while (getrandom(bits, sizeof(bits), 0) != sizeof(bits))
		continue;
	c->ep.state = FL_STATE_CREATING;
	c->ep.cookie = c->sandbox.cookie;
	c->ep.dev = c->sandbox.dev;
	c->ep.ino = c->sandbox.ino;
	c->net.direct |= !!(flags & FL_DRIVER_DIRECT);
	fl_strcpy(c->ep.netns, sizeof(c->ep.netns), c->req.netns);
	if (c->ipam_mode != FL_IPAM_NONE && c->ipam_mode != FL_IPAM_DRIVER)
		fl_strcpy(c->ep.ipam, sizeof(c->ep.ipam), c->ipam_type);
	if (c->wholly_inside && !(flags & FL_DRIVER_CHAINED)) {
		r = name_sandbox(c, bits[0], err);
		c->ep.ifindex = c->inside_index = high_number(bits[1]);
	} else if (!(flags & (FL_DRIVER_CHAINED | FL_DRIVER_SHARES))) {
		snprintf(c->ep.link, sizeof(c->ep.link), "veth%08x", bits[0]);
	}
	if (!r && !(flags & FL_DRIVER_CHAINED))
		fl_alive_hold(&c->ep);
	return r;
}

static int set_dns(struct fl_call *c, struct fl_error *err)
{
	const struct fl_dns *from = fl_dns_empty(&c->dns) ? &c->ipam_result.dns : &c->dns;

	if (c->resolver.enabled)
		return fl_resolver_result(c, err);
	if (fl_dns_empty(from) || !fl_dns_empty(&c->result.dns))
		return 0;
	return fl_dns_copy(&c->result.dns, from) ? fl_error_oom(err) : 0;
}

/* A chained plugin passes on what it was given, with what it has to add. */
static void pass_through(struct fl_call *c)
{
	json_t *extra = fl_take_ptr(c->result.extra);
	struct fl_dns dns = c->result.dns;

	c->result.dns = (struct fl_dns){ 0 };
	fl_result_clear(&c->result);
	c->result = c->prev;
	c->prev = (struct fl_result){ 0 };
	c->result.extra = extra;
	if (c->resolver.enabled) {
		fl_dns_clear(&c->result.dns);
		c->result.dns = dns;
	} else {
		fl_dns_clear(&dns);
	}
}

/* An IPAM that may look at the interface (dhcp sends from it) comes when that is there. */
static int address_late(struct fl_call *c, struct fl_step *s, struct fl_error *err)
{
	int r = fl_call_ipam_late(c, err);

	if (!r)
		r = fl_claim(c, s, err);
	if (!r && c->ipam_mode == FL_IPAM_FOREIGN)
		r = fl_session_drop(c, err);
	return r;
}

static int build(struct fl_call *c, struct fl_step *s, struct fl_error *err)
{
	const struct fl_driver *d = c->driver;
	int r = d->network_create ? d->network_create(c, err) : 0;

	if (!r && d->endpoint_create)
		r = d->endpoint_create(c, err);
	if (!r && fl_call_ipam_is_late(c))
		r = address_late(c, s, err);
	if (!r && d->network_address)
		r = d->network_address(c, err);
	if (!r && d->join)
		r = d->join(c, err);
	if (!r)
		r = program(c, s, err);
	if (!r)
		r = set_dns(c, err);
	if (!r && d->flags & FL_DRIVER_CHAINED)
		pass_through(c);
	if (!r)
		r = fl_resolver_open(c, err);
	if (!r)
		fl_await_addresses(c);
	return r ? r : c->emit(c, err);
}

/* A changed configuration that did not come to be: the network is again as its endpoints have it.
 */
static void restore_network(struct fl_call *c, struct fl_step *s)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	struct fl_network now;

	if (!s->has_old || fl_network_same(&s->old, &c->net) ||
	    fl_txn_begin(c->store, true, &t, NULL) ||
	    fl_network_get(t, c->net.name, c->net.driver, &now, NULL) ||
	    !fl_network_same(&now, &c->net) || now.ready /* another ADD stands on it by now */)
		return;
	if (fl_network_put(t, &s->old, NULL) ||
	    (s->programmed && fl_fw_rebuild_from_store(c, t, NULL)))
		return;
	fl_txn_commit(&t, NULL);
}

/* A store whose commit failed halfway takes no more transactions from this process (MDB_PANIC). */
static bool store_is_usable(struct fl_call *c)
{
	FL_AUTOTXN struct fl_txn *t = NULL;

	if (!fl_txn_begin(c->store, false, &t, NULL))
		return true;
	fl_store_close(fl_take_ptr(c->store));
	return !fl_session_store(c, NULL);
}

static void roll_back(struct fl_call *c, struct fl_step *s)
{
	struct fl_error quiet = { 0 };

	/* The record leads DEL and GC to what is left. */
	if (!store_is_usable(c))
		return;
	restore_network(c, s);
	if (fl_call_ipam_is_late(c))
		fl_call_ipam_verb(c, "DEL", &quiet);
	/* What stays after a failure here is in the record, for DEL and GC. */
	fl_endpoint_destroy(c, &c->ep, &quiet);
	if (c->driver->network_undo)
		c->driver->network_undo(c);
}

static int add_stateless(struct fl_call *c, struct fl_error *err)
{
	int r = c->driver->endpoint_create ? c->driver->endpoint_create(c, err) : 0;

	if (!r && c->driver->join)
		r = c->driver->join(c, err);
	if (!r)
		r = set_dns(c, err);
	if (!r)
		fl_await_addresses(c);
	return r ? r : c->emit(c, err);
}

/* A lease that was given may be in use: only a DEL frees it. */
static int refuse_second(struct fl_call *c, struct fl_txn *t, struct fl_error *err)
{
	int r = fl_ipam_held(t, c->ipam.pool, &c->ep.id, err);

	if (r <= 0)
		return r;
	return fl_error_set(err, EEXIST, FL_ECODE_CONFLICT,
			    "container %s holds an address of network %s for %s already; DEL it "
			    "first",
			    c->req.container, c->req.network, c->req.ifname);
}

/* An IPAM executable: the lease is all there is. Nobody's endpoint record vouches for its owner. */
static int add_lease(struct fl_call *c, struct fl_error *err)
{
	FL_AUTOTXN struct fl_txn *t = NULL;
	int r = c->store ? fl_txn_begin(c->store, true, &t, err) : 0;

	if (!r && t)
		r = refuse_second(c, t, err);
	if (!r)
		r = fl_call_ipam_is_late(c) ? fl_call_ipam_late(c, err)
					    : fl_call_ipam_early(c, t, NULL, err);
	if (!r && t)
		r = fl_txn_commit(&t, err);
	if (r)
		return r;
	fl_result_clear(&c->result);
	c->result = c->ipam_result;
	c->ipam_result = (struct fl_result){ 0 };
	r = c->emit(c, err);
	if (r && fl_call_ipam_is_late(c))
		fl_call_ipam_verb(c, "DEL", NULL);
	else if (r && c->store && !fl_txn_begin(c->store, true, &t, NULL) &&
		 !fl_ipam_release_conf(t, &c->ipam, &c->ep.id, NULL))
		fl_txn_commit(&t, NULL);
	return r;
}

int fl_engine_add(struct fl_call *c, struct fl_error *err)
{
	struct fl_step s = { 0 };
	int r = fl_engine_decode(c, err);

	if (!r && c->driver->flags & FL_DRIVER_CHAINED && c->idle) {
		pass_through(c);
		return c->emit(c, err);
	}
	if (!r)
		r = fl_engine_open(c, err);
	if (r)
		return r;
	if (c->driver->flags & FL_DRIVER_IS_IPAM)
		return add_lease(c, err);
	if (c->driver->flags & FL_DRIVER_STATELESS)
		return add_stateless(c, err);
	r = clear_prior(c, err);
	if (!r)
		r = identify(c, err);
	if (!r && c->driver->prepare)
		r = c->driver->prepare(c, err);
	if (!r && c->ipam_mode == FL_IPAM_DRIVER)
		r = fl_session_drop(c, err);
	if (!r)
		r = fl_call_ipam_is_late(c) ? fl_announce(c, err) : fl_claim(c, &s, err);
	if (r)
		return r;
	r = build(c, &s, err);
	if (r)
		roll_back(c, &s);
	else
		/*
		 * After the caller has its result: a process killed before this leaves a record
		 * that a retried ADD clears away. Should it fail, the endpoint works all the same,
		 * and DEL finds all it needs.
		 */
		fl_conclude(c, NULL);
	return r;
}
