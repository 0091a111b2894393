/* SPDX-License-Identifier: GPL-2.0-or-later */
/* portmap: publishes ports of a container that another plugin attached (chained). */
#include "drivers.h"

#include "base/strbuf.h"

#include <errno.h>
#include <string.h>

struct portmap_conf {
	int snat;
	bool masq_all;
	int64_t mark_bit;
	const char *backend, *mark_chain;
	struct fl_list conditions4, conditions6;
};

static const struct fl_field fields[] = {
	FL_F("snat", TRI, struct portmap_conf, snat),
	FL_F("masqAll", BOOL, struct portmap_conf, masq_all),
	FL_F("markMasqBit", INT, struct portmap_conf, mark_bit, 0, 31),
	FL_F("externalSetMarkChain", STRING, struct portmap_conf, mark_chain),
	FL_F("backend", STRING, struct portmap_conf, backend),
	FL_F("conditionsV4", STRINGS, struct portmap_conf, conditions4, .max = 64),
	FL_F("conditionsV6", STRINGS, struct portmap_conf, conditions6, .max = 64),
	{ 0 },
};

/* Rules here are constant, so a match of iptables' or nft's language has nowhere to go. */
static int refuse_conditions(const struct fl_list *l, const char *key, struct fl_error *err)
{
	if (!l->n)
		return 0;
	return fl_error_set(err, ENOTSUP, FL_ECODE_UNSUPPORTED,
			    "%s: \"%.64s\" cannot be expressed; publish at an address instead "
			    "(hostIP), or filter in a table of your own",
			    key, ((const char **)l->items)[0]);
}

static int validate(struct fl_call *c, struct fl_error *err)
{
	struct portmap_conf *conf = c->conf;
	int r = refuse_conditions(&conf->conditions4, "conditionsV4", err);

	if (!r)
		r = refuse_conditions(&conf->conditions6, "conditionsV6", err);
	if (r)
		return r;
	if (conf->mark_chain && *conf->mark_chain && fl_json_get(c->req.config, "markMasqBit"))
		return fl_error_set(
			err, EINVAL, FL_ECODE_CONFIG,
			"externalSetMarkChain, markMasqBit: expected at most one of them");
	c->idle = !c->ep.n_ports;
	c->net.hairpin_all = conf->masq_all;
	c->net.no_hairpin_snat = fl_json_get(c->req.config, "snat") && !conf->snat;
	for (size_t i = 0; i < c->prev.n_ips && c->ep.n_addrs < FL_ENDPOINT_ADDRS; i++)
		if (fl_prev_is_ours(c, &c->prev.ips[i]))
			c->ep.addrs[c->ep.n_addrs++] = c->prev.ips[i].address;
	if (!c->idle && c->req.verb == FL_VERB_ADD && !c->ep.n_addrs)
		return fl_error_set(err, EINVAL, FL_ECODE_CONFIG,
				    "prevResult.ips: expected an address of %s, found none",
				    c->req.ifname);
	/* So that an owner without a DEL can be seen to be gone. */
	fl_strcpy(c->ep.link, sizeof(c->ep.link), fl_prev_host_end(c));
	return 0;
}

static int prepare(struct fl_call *c, struct fl_error *err)
{
	struct fl_link l;

	if (*c->ep.link && !fl_link_get(c->host, c->ep.link, &l, NULL))
		c->ep.ifindex = l.index;
	for (uint32_t i = 0; i < c->ep.n_addrs; i++) {
		const struct fl_addr *a = &c->ep.addrs[i].addr;
		uint32_t oif;
		int r = fl_route_lookup(c->host, a, &oif, err);

		if (!r)
			r = fl_link_get_index(c->host, oif, &l, err);
		if (!r)
			r = fl_enable_forwarding(c, a->family, err);
		/* 127.0.0.1:PORT on the host leaves with a loopback source before NAT. */
		if (r >= 0 && a->family == AF_INET && !c->net.no_hairpin_snat && !l.route_localnet)
			r = fl_host_sysctl("1", err, "net/ipv4/conf/%s/route_localnet", l.name);
		if (r < 0)
			return r;
	}
	return 0;
}

const struct fl_driver portmap_driver = {
	.type = "portmap",
	.about = "publishes ports of a container that another plugin attached",
	.flags = FL_DRIVER_CHAINED | FL_DRIVER_PORTS,
	.fields = fields,
	.conf_size = sizeof(struct portmap_conf),
	.validate = validate,
	.network_create = prepare,
};
