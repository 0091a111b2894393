/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plugin/shape.h"

#include "nl/qdisc.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define LATENCY_US 25000 /* for which a packet waits at most; the reference's */
#define HANDLE 0x10000u
#define UNSHAPED 0x1u /* minor numbers of the classes; the reference's */
#define SHAPED 0x30u
#define LIMITLESS 100000000000ull /* bytes per second: more than there is */
#define LIMITLESS_BURST (16u << 20)
#define QUEUE_PACKETS 1000 /* of a class: an ifb has 32 by default, too few for one large burst */
#define PRIO_V6 15	   /* a number of its own for each family */
#define PRIO_V4 16

/* ---- the configuration ---- */

struct raw {
	int64_t in_rate, in_burst, out_rate, out_burst; /* bits */
	struct fl_list unshaped, shaped;
};

/* Bytes of a burst are below 4 GiB: the kernel's field has 32 bits. */
#define BURST_MAX (UINT32_MAX * 8ll - 1)

static const struct fl_field fields[] = {
	FL_F("ingressRate", INT, struct raw, in_rate, 0, INT64_MAX),
	FL_F("ingressBurst", INT, struct raw, in_burst, 0, BURST_MAX),
	FL_F("egressRate", INT, struct raw, out_rate, 0, INT64_MAX),
	FL_F("egressBurst", INT, struct raw, out_burst, 0, BURST_MAX),
	FL_F("unshapedSubnets", STRINGS, struct raw, unshaped, .max = FL_SHAPE_SUBNETS),
	FL_F("shapedSubnets", STRINGS, struct raw, shaped, .max = FL_SHAPE_SUBNETS),
	{ 0 },
};

struct source {
	const json_t *obj;
	const char *path; /* in front of its keys */
	struct raw raw;
};

static void source_clear(struct source *s)
{
	fl_fields_clear(fields, &s->raw);
}

static int decode(struct source *s, struct fl_error *err)
{
	char path[64] = "";

	/* Without the dot, which fl_fields_decode() puts. */
	if (*s->path)
		snprintf(path, sizeof(path), "%.*s", (int)strlen(s->path) - 1, s->path);
	if (s->obj && !json_is_object(s->obj))
		return fl_error_set(err, EINVAL, FL_ECODE_DECODE, "%s: expected an object, not %s",
				    path, fl_json_kind(s->obj));
	return s->obj ? fl_fields_decode(s->obj, fields, path, &s->raw, err) : 0;
}

static bool gives_rates(const struct source *s)
{
	for (const struct fl_field *f = fields; f->type == FL_FIELD_INT; f++)
		if (s->obj && fl_json_get(s->obj, f->key))
			return true;
	return false;
}

static int take_rate(const char *path, const char *direction, int64_t rate, int64_t burst,
		     struct fl_shape_rate *ret, struct fl_error *err)
{
	if (!rate != !burst)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s%s%s: expected together with %s%s, which is %s", path,
				    direction, rate ? "Rate" : "Burst", direction,
				    rate ? "Burst" : "Rate", "0 or absent");
	if (rate && rate < 8)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "%s%sRate: expected 0 or at least 8 (bits per second: a byte), "
				    "not %lld",
				    path, direction, (long long)rate);
	ret->rate = (uint64_t)rate / 8;
	ret->burst = (uint32_t)(burst / 8);
	return 0;
}

static int take_subnets(const struct source *s, struct fl_shape *ret, struct fl_error *err)
{
	const struct fl_list *list = s->raw.shaped.n ? &s->raw.shaped : &s->raw.unshaped;
	const char *const *text = list->items;

	if (s->raw.shaped.n && s->raw.unshaped.n)
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"%sunshapedSubnets, shapedSubnets: expected at most one of them", s->path);
	for (size_t i = 0; i < list->n; i++)
		if (fl_prefix_parse(text[i], &ret->subnets[i]))
			return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
					    "%s%s[%zu]: expected a prefix such as "
					    "\"10.1.0.0/16\", not \"%.64s\"",
					    s->path,
					    s->raw.shaped.n ? "shapedSubnets" : "unshapedSubnets",
					    i, text[i]);
	ret->n_subnets = list->n;
	ret->only = s->raw.shaped.n;
	return 0;
}

static int settle(const struct source *rates, const struct source *subnets, struct fl_shape *ret,
		  struct fl_error *err)
{
	const struct raw *raw = &rates->raw;
	int r = take_rate(rates->path, "ingress", raw->in_rate, raw->in_burst, &ret->in, err);

	if (!r)
		r = take_rate(rates->path, "egress", raw->out_rate, raw->out_burst, &ret->out, err);
	return r ? r : take_subnets(subnets, ret, err);
}

int fl_shape_parse(const struct fl_call *c, struct fl_shape *ret, struct fl_error *err)
{
	FL_CLEANUP(source_clear) struct source own = { c->req.config, "", { 0 } };
	FL_CLEANUP(source_clear)
	struct source runtime = { fl_config_get(c, "runtimeConfig", "bandwidth", NULL),
				  "runtimeConfig.bandwidth.",
				  { 0 } };
	const json_t *rc = fl_json_get(c->req.config, "runtimeConfig");
	bool own_subnets;
	int r = decode(&own, err);

	if (!r && rc && !json_is_object(rc))
		r = fl_error_set(err, EINVAL, FL_ECODE_DECODE,
				 "runtimeConfig: expected an object, not %s", fl_json_kind(rc));
	if (!r)
		r = decode(&runtime, err);
	if (r)
		return r;
	own_subnets = own.raw.unshaped.n || own.raw.shaped.n;
	return settle(gives_rates(&own) ? &own : &runtime, own_subnets ? &own : &runtime, ret, err);
}

bool fl_shape_wanted(const struct fl_shape *s)
{
	return s->in.rate || s->out.rate;
}

/* ---- making ---- */

static void ifb_name(uint32_t index, char name[IFNAMSIZ])
{
	snprintf(name, IFNAMSIZ, "bwp%08x", index);
}

void fl_shape_prepare(struct fl_call *c, const struct fl_shape *s)
{
	uint32_t bits;

	if (!s->out.rate)
		return;
	while (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
		continue;
	/* Large, so that it is nobody's whom the kernel numbers itself. */
	c->ep.ifb = (bits & 0x3fffffff) | 0x01000000;
}

/* A bucket that does not hold one packet lets none pass. */
static uint32_t burst_of(const struct fl_shape_rate *rate, const struct fl_link *l)
{
	uint32_t packet = l->mtu + ETH_HLEN;

	return rate->burst < packet ? packet : rate->burst;
}

static int classify(struct fl_call *c, const struct fl_shape *s, uint32_t index, bool by_source,
		    struct fl_error *err)
{
	uint32_t class = HANDLE | (s->only ? SHAPED : UNSHAPED);
	int r = 0;

	for (size_t i = 0; i < s->n_subnets && !r; i++)
		r = fl_u32_class(c->host, index, HANDLE,
				 s->subnets[i].addr.family == AF_INET ? PRIO_V4 : PRIO_V6,
				 &s->subnets[i], by_source, class, err);
	return r;
}

/* What `l` sends. by_source: the other side is the packets' source. */
static int put_qdisc(struct fl_call *c, const struct fl_shape *s, const struct fl_shape_rate *rate,
		     const struct fl_link *l, bool by_source, struct fl_error *err)
{
	uint32_t burst = burst_of(rate, l);
	int r;

	if (!s->n_subnets)
		return fl_tbf_set(c->host, l->index, FL_TC_ROOT, HANDLE, rate->rate, burst,
				  LATENCY_US, err);
	r = fl_htb_root(c->host, l->index, HANDLE, s->only ? UNSHAPED : SHAPED, err);
	if (!r)
		r = fl_htb_class(c->host, l->index, HANDLE, HANDLE | UNSHAPED, LIMITLESS, LIMITLESS,
				 LIMITLESS_BURST, err);
	if (!r)
		r = fl_htb_class(c->host, l->index, HANDLE, HANDLE | SHAPED, rate->rate, rate->rate,
				 burst, err);
	return r ? r : classify(c, s, l->index, by_source, err);
}

static int make_ifb(struct fl_call *c, const struct fl_link *host, bool queues, struct fl_link *ret,
		    struct fl_error *err)
{
	char name[IFNAMSIZ];
	struct fl_vlink_spec spec = { .kind = "ifb",
				      .name = name,
				      .index = c->ep.ifb,
				      .netns_fd = -1,
				      .mtu = host->mtu,
				      .up = true };
	int r;

	ifb_name(c->ep.ifb, name);
	r = fl_vlink_create(c->host, &spec, err);
	/* A class takes it as the length of its queue when it is made. */
	if (!r && queues)
		r = fl_link_set_txqlen(c->host, c->ep.ifb, QUEUE_PACKETS, err);
	return r ? r : fl_link_get_index(c->host, c->ep.ifb, ret, err);
}

static int shape_out(struct fl_call *c, const struct fl_shape *s, const struct fl_link *host,
		     struct fl_result *result, struct fl_error *err)
{
	struct fl_link ifb;
	int r = make_ifb(c, host, s->n_subnets, &ifb, err);

	if (!r)
		r = put_qdisc(c, s, &s->out, &ifb, false, err);
	if (!r)
		r = fl_ingress_add(c->host, host->index, err);
	if (!r)
		r = fl_u32_redirect(c->host, host->index, FL_TC_INGRESS_HANDLE, ifb.index, err);
	if (!r && fl_result_add_interface(result, ifb.name, &ifb.mac, NULL, ifb.mtu) < 0)
		r = fl_error_set(err, ENOSPC, FL_ECODE_CONFIG,
				 "prevResult.interfaces: expected at most %d, to add the ifb %s",
				 FL_RESULT_INTERFACES - 1, ifb.name);
	return r;
}

int fl_shape_create(struct fl_call *c, const struct fl_shape *s, struct fl_result *result,
		    struct fl_error *err)
{
	struct fl_link host;
	int r = fl_link_get_index(c->host, c->ep.ifindex, &host, err);

	if (r)
		return r;
	if (s->in.rate)
		r = put_qdisc(c, s, &s->in, &host, true, err);
	if (r) {
		fl_error_prefix(err, "ingressRate");
		return r;
	}
	if (s->out.rate)
		r = shape_out(c, s, &host, result, err);
	if (r)
		fl_error_prefix(err, "egressRate");
	return r;
}

/* ---- taking away ---- */

/* Only what could be ours: another program may have put its own there since. */
static int drop_qdisc(struct fl_call *c, uint32_t index, uint32_t parent, struct fl_error *err)
{
	struct fl_error quiet = { 0 };
	struct fl_qdisc q;
	int r = fl_qdisc_get(c->host, index, parent, &q, &quiet);

	if (r == -ENOENT || r == -ENODEV)
		return 0;
	if (r && err)
		*err = quiet;
	if (r)
		return r;
	if (strcmp(q.kind, "ingress") && strcmp(q.kind, "tbf") && strcmp(q.kind, "htb"))
		return 0;
	return fl_qdisc_del(c->host, index, parent, err);
}

int fl_shape_delete(struct fl_call *c, const struct fl_endpoint *ep, struct fl_error *err)
{
	int r = ep->ifindex ? drop_qdisc(c, ep->ifindex, FL_TC_ROOT, err) : 0;

	if (!r && ep->ifindex && ep->ifb)
		r = drop_qdisc(c, ep->ifindex, FL_TC_INGRESS, err);
	return r || !ep->ifb ? r : fl_link_del_index(c->host, ep->ifb, err);
}

/* ---- looking ---- */

static int lost(const struct fl_call *c, const char *key, const char *device, const char *what,
		struct fl_error *err)
{
	return fl_error_set(err, EUCLEAN, FL_ECODE_CHECK, "container %s, interface %s: %s: %s %s",
			    c->req.container, c->req.ifname, key, device, what);
}

static int check_qdisc(struct fl_call *c, const struct fl_shape *s,
		       const struct fl_shape_rate *rate, const struct fl_link *l, const char *key,
		       struct fl_error *err)
{
	uint32_t burst = burst_of(rate, l);
	struct fl_qdisc q;
	bool same;

	if (fl_qdisc_get(c->host, l->index, FL_TC_ROOT, &q, err) ||
	    strcmp(q.kind, s->n_subnets ? "htb" : "tbf"))
		return lost(c, key, l->name, "has lost its qdisc", err);
	if (!s->n_subnets)
		same = fl_tbf_matches(&q, rate->rate, burst);
	else
		same = !fl_htb_class_get(c->host, l->index, HANDLE | SHAPED, &q, err) &&
		       fl_htb_matches(&q, rate->rate, burst);
	return same ? 0 : lost(c, key, l->name, "has another rate or burst", err);
}

static int check_out(struct fl_call *c, const struct fl_shape *s, const struct fl_link *host,
		     struct fl_error *err)
{
	static const char key[] = "egressRate";
	char name[IFNAMSIZ];
	struct fl_link ifb;
	struct fl_qdisc q;

	ifb_name(c->ep.ifb, name);
	if (!c->ep.ifb || fl_link_get_index(c->host, c->ep.ifb, &ifb, err))
		return lost(c, key, name, "is missing", err);
	if (!(ifb.flags & IFF_UP))
		return lost(c, key, name, "is down", err);
	if (fl_qdisc_get(c->host, host->index, FL_TC_INGRESS, &q, err))
		return lost(c, key, host->name, "has lost its ingress qdisc", err);
	return check_qdisc(c, s, &s->out, &ifb, key, err);
}

int fl_shape_check(struct fl_call *c, const struct fl_shape *s, struct fl_error *err)
{
	struct fl_link host;
	int r = 0;

	if (fl_link_get_index(c->host, c->ep.ifindex, &host, err))
		return lost(c, "host interface", c->ep.link, "is missing", err);
	if (s->in.rate)
		r = check_qdisc(c, s, &s->in, &host, "ingressRate", err);
	return r || !s->out.rate ? r : check_out(c, s, &host, err);
}
